"""Every output node of the catalogue from the submit to the bytes: what the history lists, and what it is."""

from __future__ import annotations

import io
import json
import pickle
import struct
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mockserver.world import catalogue
from mockserver.world.catalogue import Input
from tests.providers.comfyui_server import Serve, Server

CATALOGUE = catalogue.load()
OUTPUTS = [name for name in CATALOGUE if CATALOGUE[name].output_node]
LOADERS = ("CheckpointLoaderSimple", "ImageOnlyCheckpointLoader")


class Builder:
    """Writes the smallest graph around one node: what it needs comes from the first class that gives it."""

    def __init__(self) -> None:
        self.graph: dict[str, Any] = {}
        self._made: dict[str, str] = {}

    def add(self, name: str, **given: Any) -> str:
        id = str(len(self.graph) + 1)
        node = self.graph[id] = {"class_type": name, "inputs": dict(given)}
        for _ in range(2):  # some inputs are there only for some values of others
            for each in CATALOGUE[name].inputs_for(node["inputs"]).values():
                if each.required and each.name not in node["inputs"]:
                    node["inputs"][each.name] = self._value(each)
        return id

    def _value(self, each: Input) -> Any:
        if each.type == "COMFY_DYNAMICCOMBO_V3":
            return each.options["options"][0]["key"]
        if each.literal:
            choice = each.choices[0] if each.choices else {"INT": 64, "FLOAT": 1.0, "BOOLEAN": True}.get(each.type, "")
            return each.options.get("default", choice)
        return self._linked(each.type)

    def _linked(self, wanted: str) -> Any:
        for name in (*SOURCES, *LOADERS):
            given = CATALOGUE[name].outputs
            slot = next((at for at, one in enumerate(given) if graph_types(one) & graph_types(wanted)), None)
            if slot is not None:
                if name not in self._made:
                    self._made[name] = self.add(name, **SOURCES.get(name, {}))
                return [self._made[name], slot]
        return "nothing in the catalogue gives this"


def graph_types(types: Any) -> set[str]:
    return {one.strip() for one in str(types).split(",")}


SOURCES: dict[str, dict[str, Any]] = {
    "EmptyImage": {"width": 64, "height": 48, "batch_size": 2, "color": 0},
    "SolidMask": {"width": 64, "height": 48, "value": 1.0},
    "EmptyLatentImage": {"width": 64, "height": 48, "batch_size": 1},
    "EmptyAudio": {},
    "CreateVideo": {},
    "CLIPTextEncode": {"text": "a cat"},
    "TrainLoraNode": {},
    "Load3D": {},
}


def graph_of(name: str, **given: Any) -> tuple[dict[str, Any], str]:
    builder = Builder()
    id = builder.add(name, **given)
    return builder.graph, id


# --- what the bytes are -----------------------------------------------------------------------------------------------


def picture(form: str, *, frames: int = 1) -> Callable[[bytes], bool]:
    def fits(content: bytes) -> bool:
        image = Image.open(io.BytesIO(content))
        image.load()
        return (image.format, image.size, getattr(image, "n_frames", 1) > 1) == (form, (64, 48), frames > 1)

    return fits


def film(content: bytes) -> bool:
    av: Any = pytest.importorskip("av")
    with av.open(io.BytesIO(content)) as opened:
        return bool(len(list(opened.decode(video=0))) > 1)


def sound(content: bytes) -> bool:
    av: Any = pytest.importorskip("av")
    with av.open(io.BytesIO(content)) as opened:
        return bool(sum(frame.samples for frame in opened.decode(audio=0)) > 0)


def svg(content: bytes) -> bool:
    return ET.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"


def glb(content: bytes) -> bool:
    magic, version, length = struct.unpack_from("<4sII", content)
    return bool((magic, version, length) == (b"glTF", 2, len(content)))


def safetensors(content: bytes) -> bool:
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    tensors = [one for name, one in header.items() if name != "__metadata__"]
    return bool(max(one["data_offsets"][1] for one in tensors) == len(content) - 8 - length)


def text(content: bytes) -> bool:
    return content.decode() == ""


PNG = picture("PNG")

LISTED: Mapping[str, tuple[str, str, str, list[bool] | None, Callable[[bytes], bool]]] = {
    "ImageCompare": ("a_images", "temp", "ComfyUI_temp_*_00001_.png", None, PNG),
    "LossGraphNode": ("images", "temp", "ComfyUI_temp_*_00001_.png", [False], PNG),
    "MaskPreview": ("images", "temp", "ComfyUI_temp_*_00001_.png", [False], PNG),
    "PreviewImage": ("images", "temp", "ComfyUI_temp_*_00001_.png", None, PNG),
    "SaveImage": ("images", "output", "ComfyUI_00001_.png", None, PNG),
    "SaveImageAdvanced": ("images", "output", "ComfyUI_00001_.png", None, PNG),
    "SaveAnimatedPNG": ("images", "output", "ComfyUI_00001_.png", [True], picture("PNG", frames=2)),
    "SaveAnimatedWEBP": ("images", "output", "ComfyUI_00001_.webp", [True], picture("WEBP", frames=2)),
    "SAM3_TrackPreview": ("images", "temp", "ComfyUI_temp_*_00001_.mp4", [True], film),
    "SaveVideo": ("images", "output", "video/ComfyUI_00001_.mp4", [True], film),
    "SaveWEBM": ("images", "output", "ComfyUI_00001_.webm", [True], film),
    "PreviewAudio": ("audio", "temp", "ComfyUI_temp_*_00001_.flac", None, sound),
    "SaveAudio": ("audio", "output", "audio/ComfyUI_00001_.flac", None, sound),
    "SaveAudioAdvanced": ("audio", "output", "audio/ComfyUI_00001_.flac", None, sound),
    "SaveAudioMP3": ("audio", "output", "audio/ComfyUI_00001_.mp3", None, sound),
    "SaveAudioOpus": ("audio", "output", "audio/ComfyUI_00001_.opus", None, sound),
    "SaveSVGNode": ("images", "output", "svg/ComfyUI_00001_.svg", None, svg),
    "SaveGLB": ("3d", "output", "3d/ComfyUI_00001_.glb", None, glb),
    "SaveLatent": ("latents", "output", "latents/ComfyUI_00001_.latent", None, safetensors),
}
"""Class -> the key of its output, folder and name of the first file, whether it says it is animated, what it is."""

NAMED = ("Preview3D", "Preview3DAdvanced", "PreviewGaussianSplat", "PreviewPointCloud")
"""These list nothing but a name."""

WRITTEN: Mapping[str, list[tuple[str, Callable[[bytes], bool]]]] = {
    "CLIPSave": [("clip/ComfyUI_00001_.safetensors", safetensors)],
    "CheckpointSave": [("checkpoints/ComfyUI_00001_.safetensors", safetensors)],
    "ImageOnlyCheckpointSave": [("checkpoints/ComfyUI_00001_.safetensors", safetensors)],
    "LoraSave": [("loras/ComfyUI_extracted_lora_00001_.safetensors", safetensors)],
    "ModelSave": [("diffusion_models/ComfyUI_00001_.safetensors", safetensors)],
    "SaveLoRA": [("loras/ComfyUI_trained_lora_00001_.safetensors", safetensors)],
    "VAESave": [("vae/ComfyUI_vae_00001_.safetensors", safetensors)],
    "SaveImageDataSetToFolder": [("dataset/image_00000.png", PNG), ("dataset/image_00001.png", PNG)],
    "SaveImageTextDataSetToFolder": [("dataset/image_00001.png", PNG), ("dataset/image_00001.txt", text)],
    "SaveTrainingDataset": [
        ("training_dataset/shard_0000.pkl", lambda content: set(pickle.loads(content)) == {"latents", "conditioning"}),
        ("training_dataset/metadata.json", lambda content: "num_shards" in json.loads(content)),
    ],
}
"""These write files without listing them."""

ELSEWHERE = ("PreviewAny", "SaveImageWebsocket")
"""A text, and pictures on the socket: told of in `test_comfyui.py`."""


def fetched(server: Server, path: str, root: str = "output") -> bytes:
    folder, _, name = path.rpartition("/")
    return server.view({"filename": name, "subfolder": folder, "type": root})


def test_every_output_class_is_looked_at() -> None:
    assert sorted([*LISTED, *NAMED, *WRITTEN, *ELSEWHERE]) == sorted(OUTPUTS)
    assert len(OUTPUTS) == 35


@pytest.mark.parametrize("name", LISTED)
def test_what_a_node_lists_can_be_fetched_and_is_of_its_kind(server: Server, name: str) -> None:
    key, root, path, animated, fits = LISTED[name]
    graph, id = graph_of(name)
    if name == "ImageCompare":
        graph["9"] = {"class_type": "EmptyImage", "inputs": SOURCES["EmptyImage"]}
        graph[id]["inputs"]["image_a"] = ["9", 0]

    entry = server.done(graph)

    assert entry["status"]["status_str"] == "success"
    output = entry["outputs"][id]
    assert set(output) == {key} | (set() if animated is None else {"animated"})
    assert output.get("animated") in (None, animated, animated and animated * len(output[key]))
    first = output[key][0]
    before, star, after = path.partition("*")
    found = f"{first['subfolder']}/{first['filename']}".lstrip("/")
    assert (first["type"], found.startswith(before), found.endswith(after)) == (root, True, True)
    assert len(found) == len(path) + 4 * len(star)
    assert fits(server.view(first))


@pytest.mark.parametrize("name", NAMED)
def test_a_preview_of_a_model_names_a_file_that_can_be_fetched(server: Server, name: str) -> None:
    graph, id = graph_of(name)

    output = server.done(graph)["outputs"][id]["result"]

    assert output[1:] == [None, None]
    assert glb(fetched(server, output[0]))


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_node_writes_without_listing_it_is_there(server: Server, name: str) -> None:
    graph, _ = graph_of(name)

    entry = server.done(graph)

    assert (entry["status"]["status_str"], entry["outputs"]) == ("success", {})
    assert all(fits(fetched(server, path)) for path, fits in WRITTEN[name])
    (job,) = server.json("/api/jobs")["jobs"]
    assert (job["outputs_count"], "preview_output" in job) == (0, False)


def test_a_preview_of_a_named_model_shows_that_name(server: Server) -> None:
    graph, id = graph_of("Preview3D", model_file="mine.glb")

    assert server.done(graph)["outputs"] == {id: {"result": ["mine.glb", None, None]}}


def test_a_data_set_is_written_over_or_goes_on(server: Server) -> None:
    graph, _ = graph_of("SaveImageDataSetToFolder", mode="increment")
    for color in (1, 2):
        graph["2"]["inputs"]["color"] = color
        server.done(graph)
    listed = [
        name for name in range(5) if server.call(f"/view?filename=image_{name:05}.png&subfolder=dataset")[0] == 200
    ]

    assert listed == [0, 1, 2, 3]


def test_a_film_without_its_library_fails_where_it_would_be_written(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    graph, id = graph_of("SaveVideo")

    error = dict(serve().done(graph)["status"]["messages"])["execution_error"]

    assert (error["node_id"], error["exception_type"]) == (id, "RuntimeError")
    assert "pip install 'comfy-mockserver[media]'" in error["exception_message"]


def test_own_films_take_no_library(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "mine.mp4").write_bytes(b"my own film")
    server = serve(results_dir=tmp_path)
    graph, id = graph_of("SaveVideo")

    (file,) = server.done(graph)["outputs"][id]["images"]

    assert (file["subfolder"], server.view(file)) == ("video", b"my own film")


@pytest.mark.parametrize(
    ("choice", "extension"),
    [pytest.param(one, end, id=one) for one, end in (("flac", "flac"), ("mp3", "mp3"), ("opus", "opus"))],
)
def test_the_format_asked_for_is_the_extension(server: Server, choice: str, extension: str) -> None:
    graph, id = graph_of("SaveAudioAdvanced", format=choice)

    (file,) = server.done(graph)["outputs"][id]["audio"]

    assert file["filename"].endswith(f".{extension}")
    assert sound(server.view(file))


def test_own_files_of_each_kind_take_the_place_of_drawn_ones(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "b.glb").write_bytes(b"my mesh")
    (tmp_path / "a.latent").write_bytes(b"my latent")
    server = serve(results_dir=tmp_path)

    for name, key, content in (("SaveGLB", "3d", b"my mesh"), ("SaveLatent", "latents", b"my latent")):
        graph, id = graph_of(name)
        assert server.view(server.done(graph)["outputs"][id][key][0]) == content
    graph, id = graph_of("SaveImage")
    assert PNG(server.view(server.done(graph)["outputs"][id]["images"][0]))


TEXTS = st.sampled_from(["../x", "/abs", "a/b/", "%width%", "", ".", "a\\b", "a\x1fb", "猫", "x" * 300]) | st.text(
    max_size=5
)
VALUES = st.none() | st.booleans() | st.integers(-5, 5000) | st.lists(st.integers(), max_size=3) | TEXTS


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(OUTPUTS), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), VALUES), max_size=2))
def test_whatever_is_submitted_what_is_listed_can_be_fetched(
    server: Server, name: str, changes: list[tuple[int, int, Any]]
) -> None:
    graph, _ = graph_of(name)
    nodes = list(graph.values())
    for node, place, value in changes:
        inputs = nodes[node % len(nodes)]["inputs"]
        inputs[list(inputs)[place % len(inputs)]] = value

    status, _, answer = server.call("/prompt", {"prompt": graph})
    server.turn(36_000)

    assert status in (200, 400, 500), answer
    files = [file for entry in server.json("/history").values() for file in files_in(entry["outputs"])]
    assert all(server.view(file) for file in files)
    problems = server.json("/_mock/problems")["problems"]
    assert not [one for one in problems if one["rule"] in ("answer-schema", "emulator-fault")]


def files_in(outputs: Any) -> Iterator[Any]:
    for output in outputs.values():
        for listed in output.values():
            yield from (one for one in listed if isinstance(one, dict))
