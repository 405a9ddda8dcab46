"""Results that are no plain picture: each a valid file of its kind, and a clear word where a library is missing."""

from __future__ import annotations

import importlib.util
import io
import json
import struct
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.errors import UserError
from mockserver.storage import media
from mockserver.storage.recipe import Picture

PLAIN = ["svg", "txt", "glb", "latent", "safetensors", "exr", "png", "webp"]
ENCODED = ["flac", "mp3", "opus", "mp4", "webm"]
needs_av = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="the extra 'media' is not installed")


def picture(extension: str, **changes: Any) -> Picture:
    recipe: dict[str, Any] = {"width": 128, "height": 96, "seed": 42, "text": "a <red> fox & 狐狸"} | changes
    return Picture(extension=extension, **recipe)


@pytest.mark.parametrize("extension", [*PLAIN, *(pytest.param(name, marks=needs_av) for name in ENCODED)])
def test_the_same_recipe_gives_the_same_bytes(extension: Any) -> None:
    assert media.make(picture(extension)) == media.make(picture(extension))


@pytest.mark.parametrize("extension", [name for name in PLAIN if name != "txt"])
def test_another_seed_gives_another_file(extension: Any) -> None:
    assert media.make(picture(extension, seed=1)) != media.make(picture(extension, seed=2))


def test_an_svg_is_xml_of_the_size_asked_for_and_holds_the_prompt() -> None:
    root = ET.fromstring(media.make(picture("svg")))

    assert (root.get("width"), root.get("height")) == ("128", "96")
    assert "a <red> fox & 狐狸" in "".join(root.itertext())


def test_a_glb_is_a_whole_gltf_2_document_with_its_buffer() -> None:
    content = media.make(picture("glb"))
    magic, version, length = struct.unpack_from("<4sII", content)
    head_length, head_kind = struct.unpack_from("<I4s", content, 12)
    document = json.loads(content[20 : 20 + head_length])
    data_length, data_kind = struct.unpack_from("<I4s", content, 20 + head_length)

    assert (magic, version, length) == (b"glTF", 2, len(content))
    assert (head_kind, data_kind) == (b"JSON", b"BIN\0")
    assert document["buffers"][0]["byteLength"] == data_length
    assert document["asset"]["extras"]["seed"] == "42"


@pytest.mark.parametrize(
    ("extension", "name", "shape"),
    [
        pytest.param("latent", "latent_tensor", [1, 4, 12, 16], id="a latent is an eighth of the picture"),
        pytest.param("safetensors", "weight", [4, 4], id="a model is a token"),
    ],
)
def test_tensors_are_safetensors_whose_offsets_cover_the_file(extension: Any, name: Any, shape: Any) -> None:
    content = media.make(picture(extension, chunks={"prompt": "{}"}))
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])

    assert header["__metadata__"] == {"prompt": "{}"}
    assert header[name]["shape"] == shape
    assert max(entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__") == len(
        content[8 + length :]
    )


@settings(max_examples=20)
@given(text=st.text(alphabet=st.characters()), seed=st.integers(-(2**63), 2**64), side=st.integers(1, 300))
def test_any_prompt_seed_and_size_make_a_readable_svg(text: Any, seed: Any, side: Any) -> None:
    root = ET.fromstring(media.make(picture("svg", text=text, seed=seed, width=side)))

    assert root.get("width") == str(side)


def test_an_unknown_kind_is_refused_with_the_kinds_there_are() -> None:
    with pytest.raises(UserError, match=r"'zzz'.*glb.*svg"):
        media.make(picture("zzz"))


@pytest.mark.parametrize("extension", ENCODED)
def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, extension: Any) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(UserError, match=r"comfy-mockserver\[media\]"):
        media.make(picture(extension))


@needs_av
@pytest.mark.parametrize("extension", ["mp4", "webm"])
def test_a_film_has_the_size_asked_for_and_several_frames(extension: Any) -> None:
    av = pytest.importorskip("av")

    with av.open(io.BytesIO(media.make(picture(extension)))) as film:
        frames = list(film.decode(video=0))

    assert {(frame.width, frame.height) for frame in frames} == {(128, 96)}
    assert len(frames) == media.FILM_FRAMES


@needs_av
@pytest.mark.parametrize("extension", ["flac", "mp3", "opus"])
def test_a_sound_lasts_about_a_second(extension: Any) -> None:
    av = pytest.importorskip("av")

    with av.open(io.BytesIO(media.make(picture(extension)))) as sound:
        seconds = sum(frame.samples / frame.sample_rate for frame in sound.decode(audio=0))

    assert seconds == pytest.approx(media.SOUND_SECONDS, abs=0.1)


@needs_av
def test_an_exr_is_decoded_to_the_size_asked_for() -> None:
    av: Any = pytest.importorskip("av")
    codec = av.CodecContext.create("exr", "r")

    frames = list(codec.decode(av.Packet(media.make(picture("exr"))))) + list(codec.decode(None))

    assert [(frame.width, frame.height) for frame in frames] == [(128, 96)]
