"""What a picture is drawn from and what is to be done to it, as plain values: many are made, few are drawn.

`images` draws and processes; it is imported when the first picture is, as Pillow takes its time.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Picture:
    """What a picture is drawn from. Equal recipes give equal bytes."""

    width: int
    height: int
    seed: int
    text: str
    extension: str = "png"
    index: int = 0
    """Place in its batch."""
    chunks: Mapping[str, str] = field(default_factory=dict)
    """PNG text chunks, such as ComfyUI's `prompt` and `workflow`."""
    inputs: tuple[bytes, ...] = ()
    """Pictures that must be visible in it."""
    frames: int = 1
    """More than one for an animated WebP, PNG or GIF."""

    def key(self) -> tuple[Any, ...]:
        """Return what tells it from others, hashable."""
        chunks = tuple(sorted(self.chunks.items()))
        return (
            self.width, self.height, self.seed, self.text, self.extension, self.index, chunks, self.inputs, self.frames
        )  # fmt: skip


EXTRA = "media"
"""The extra of this package that brings PyAV."""
ENCODED = frozenset({"flac", "mp3", "opus", "mp4", "webm"})
"""Extensions of sound and film, which take PyAV."""


def missing(extension: str) -> str | None:
    """Return what is not installed that a file with *extension* takes, as a sentence; None if nothing is."""
    if extension not in ENCODED or importlib.util.find_spec("av") is not None:
        return None
    return f"a .{extension} result takes PyAV, which is not installed: pip install 'comfy-mockserver[{EXTRA}]'"


def command(value: Any) -> str:
    """Return an image command in OSS's own syntax, `image/format,jpg/quality,q_80`; empty for none.

    Args:
        value: such a text, with or without the leading `image/`; or an object with `format` and `quality`.
    """
    if isinstance(value, str):
        text = value.strip().strip("/")
        return text if not text or text.startswith("image/") else f"image/{text}"
    if not isinstance(value, Mapping):
        return ""
    actions = []
    if value.get("format"):
        actions.append(f"format,{value['format']}")
    quality = value.get("quality")
    if isinstance(quality, Mapping) and quality:
        actions.append("quality," + ",".join(f"{name}_{amount}" for name, amount in quality.items()))
    return "/".join(["image", *actions]) if actions else ""
