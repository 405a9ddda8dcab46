"""What ComfyUI's classes do that `/object_info` does not say: what they write, load, join and cost.

Read off their sources, release 0.27.0, and those of the most used custom nodes. Knows no graph: what a graph makes of
it is `plan.py`'s.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Place = tuple[str, str]
"""A literal of a graph: node id and input name."""
OutputKind = Literal["image", "animation", "video", "audio", "3d", "svg", "latent", "model", "data", "text"]


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """Files that an output node writes, or the text it shows."""

    kind: OutputKind
    ui: str
    """Key of the node's UI output that lists them (`images`, `audio`, ...); empty if it shows none."""
    count: int
    """Images of the batch, or what is written for each of them; 1 for anything else."""
    media: str
    extension: str
    """Empty for text, which is no file."""
    width: int
    height: int
    prefix: str
    """As the graph gives it: a path and `%tokens%` are not resolved. `ComfyUI_temp` for previews, to which ComfyUI
    adds five random letters."""
    root: Literal["output", "temp"]
    name: str = ""
    """Its name without extension, if not prefix and counter: with `{prefix}`, `{number:05}` from 0, `{hex}`."""
    grows: bool = False
    """Of such names: whether numbers go on after those of earlier runs, which are written over otherwise."""
    text: Place | None = None
    """Of a text: the literal it is; None where only a real run would tell."""


IMAGE_LOADERS = {
    "LoadImage": "image",
    "LoadImageMask": "image",
    "LoadImageOutput": "image",
    "LoadAudio": "audio",
    "LoadVideo": "file",
    "LoadLatent": "latent",
}


@dataclass(frozen=True, slots=True)
class Writes:
    """What an output class writes, before the graph says how many and how large."""

    kind: OutputKind
    ui: str
    media: str = ""
    extension: str = ""
    prefix: str = "ComfyUI"
    root: Literal["output", "temp"] = "output"
    name: str = ""
    """See `OutputSpec.name`."""
    shows: str = ""
    """Of a text: the input that it shows."""


PNG = Writes("image", "images", "image/png", "png")
_PREVIEW = Writes("image", "images", "image/png", "png", "ComfyUI_temp", "temp")
_MP4 = Writes("video", "images", "video/mp4", "mp4", "video/ComfyUI")
_FLAC = Writes("audio", "audio", "audio/flac", "flac", "audio/ComfyUI")
_MP3 = Writes("audio", "audio", "audio/mpeg", "mp3", "audio/ComfyUI")
_OPUS = Writes("audio", "audio", "audio/ogg", "opus", "audio/ComfyUI")
_MESH = Writes("3d", "result", "model/gltf-binary", "glb", "preview3d", name="{prefix}_{hex}")
_MODEL = Writes("model", "", "application/octet-stream", "safetensors")
_NOTHING: tuple[Writes, ...] = ()
_DATA_IMAGE = Writes("image", "", "image/png", "png", "image", name="{prefix}_{number:05}")
DATA_TEXT = Writes("data", "", "text/plain", "txt", "image", name="{prefix}_{number:05}")
_SHARD = Writes("data", "", "application/octet-stream", "pkl", "shard", name="shard_{number:04}")
_METADATA = Writes("data", "", "application/json", "json", "metadata", name="metadata")

# Output classes of ComfyUI 0.27.0 and the most used ones of custom nodes. The key of the UI output and the extension
# are as the nodes' sources have them.
OUTPUTS: Mapping[str, tuple[Writes, ...]] = {
    "SaveImage": (PNG,),
    "SaveImageAdvanced": (PNG,),
    "SaveImageDataSetToFolder": (_DATA_IMAGE,),
    "SaveImageTextDataSetToFolder": (_DATA_IMAGE, DATA_TEXT),
    "SaveImageWebsocket": _NOTHING,
    "PreviewImage": (_PREVIEW,),
    "MaskPreview": (_PREVIEW,),
    "ImageCompare": (replace(_PREVIEW, ui="a_images"),),
    "LossGraphNode": (_PREVIEW,),
    "SaveAnimatedWEBP": (Writes("animation", "images", "image/webp", "webp"),),
    "SaveAnimatedPNG": (Writes("animation", "images", "image/png", "png"),),
    "SaveWEBM": (Writes("video", "images", "video/webm", "webm"),),
    "SaveVideo": (_MP4,),
    "VHS_VideoCombine": (Writes("video", "gifs", "video/mp4", "mp4", "AnimateDiff"),),
    "SAM3_TrackPreview": (Writes("video", "images", "video/mp4", "mp4", "ComfyUI_temp", "temp"),),
    "SaveAudio": (_FLAC,),
    "SaveAudioAdvanced": (_FLAC,),
    "SaveAudioMP3": (_MP3,),
    "SaveAudioOpus": (_OPUS,),
    "PreviewAudio": (Writes("audio", "audio", "audio/flac", "flac", "ComfyUI_temp", "temp"),),
    "SaveSVGNode": (Writes("svg", "images", "image/svg+xml", "svg", "svg/ComfyUI"),),
    "SaveGLB": (Writes("3d", "3d", "model/gltf-binary", "glb", "3d/ComfyUI"),),
    "Preview3D": (_MESH,),
    "Preview3DAdvanced": (_MESH,),
    "PreviewGaussianSplat": (_MESH,),
    "PreviewPointCloud": (_MESH,),
    "SaveLatent": (Writes("latent", "latents", "application/octet-stream", "latent", "latents/ComfyUI"),),
    "PreviewAny": (Writes("text", "text", shows="source"),),
    "ShowText|pysssss": (Writes("text", "text", shows="text"),),
    "CheckpointSave": (_MODEL,),
    "CLIPSave": (_MODEL,),
    "ImageOnlyCheckpointSave": (_MODEL,),
    "LoraSave": (_MODEL,),
    "ModelSave": (_MODEL,),
    "SaveLoRA": (_MODEL,),
    "SaveTrainingDataset": (_SHARD, _METADATA),
    "VAESave": (_MODEL,),
}

# What only another node can give.
LINKED = frozenset({"IMAGE", "MASK", "LATENT", "MODEL", "CLIP", "VAE", "CONDITIONING", "CONTROL_NET", "CLIP_VISION"})

PUSHING = frozenset({"SaveImageWebsocket"})

# `format` of SaveAudioAdvanced and SaveImageAdvanced.
FORMATS: Mapping[tuple[str, str], Writes] = {
    ("SaveAudioAdvanced", "mp3"): _MP3,
    ("SaveAudioAdvanced", "opus"): _OPUS,
    ("SaveImageAdvanced", "exr"): Writes("image", "images", "image/x-exr", "exr"),
}

# Links that carry pictures, the most telling first: the size of a node's result is that of the first that has one.
PICTURES = ("samples", "latent_image", "pixels", "images", "image", "video", "latent", "input", "mask", "source")

# What nodes that hand a number or a text on call it.
PRIMITIVES = ("value", "int", "float", "number", "Number", "string")

CONDITIONS = ("conditioning", "guider", "positive", "negative")
TEXTS = ("text", "text_g", "prompt", "t5xxl", "clip_l", "tags", "string", "value", "text_positive", "text_negative")

SIZED = frozenset({"image", "animation", "video", "svg"})
JOINING = frozenset({"ImageBatch", "LatentBatch", "BatchImagesNode", "BatchLatentsNode", "BatchMasksNode"})

# Words in a class's name -> seconds it usually takes; the first that fits.
_COSTS: Sequence[tuple[tuple[str, ...], float]] = (
    (("CheckpointLoader", "UNETLoader"), 5.0),
    (("LoadImage", "LoadLatent", "LoadAudio"), 0.3),
    (("ControlNetLoader", "CLIPLoader", "VAELoader", "Loader"), 1.5),
    (("CLIPTextEncode", "TextEncode"), 0.3),
    (("VAEDecode", "VAEEncode"), 1.2),
    (("UpscaleWithModel",), 4.0),
    (("Video", "Animated", "WEBM"), 3.0),
    (("Save", "Preview"), 0.3),
    (("Empty", "Primitive"), 0.01),
)


@functools.cache
def usual_seconds(name: str) -> float:
    return next((seconds for words, seconds in _COSTS if any(word in name for word in words)), 0.1)
