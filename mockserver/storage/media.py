"""Results that are no plain picture: vector, text, 3D, tensors, sound and film, each a small valid file of its kind.

What a client can check is right (kind, size in pixels, prompt and seed where the format has a place for text); the
content is a token. The same recipe gives the same bytes. Pictures are `images`' business; sound and film need PyAV,
which an extra brings: without it `recipe.missing` says so, and making one is refused with that sentence.
"""

from __future__ import annotations

import colorsys
import hashlib
import importlib
import io
import itertools
import json
import math
import pickle
import struct
import zlib
from array import array
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image

from mockserver.errors import UserError
from mockserver.storage import images
from mockserver.storage.recipe import Picture, missing

# Films and tensors of larger pictures are scaled down to this side, in pixels, so that no result is costly.
FILM_SIDE, LATENT_SIDE = 1024, 2048
FILM_FRAMES, FILM_RATE = 8, 8
SOUND_SECONDS, SOUND_RATE = 1, 48_000


def make(picture: Picture) -> bytes:
    """Return a file of the kind that *picture*'s extension names, pictures included.

    Raises:
        UserError: no such kind is known, or what it takes is not installed; the text names the extra.
    """
    if picture.extension in images.FORMATS:
        return images.draw(picture)
    try:
        maker = _MAKERS[picture.extension]
    except KeyError:
        known = ", ".join(sorted({*_MAKERS, *images.FORMATS}))
        raise UserError(f"cannot make a file with extension {picture.extension!r}; known: {known}") from None
    problem = missing(picture.extension)
    if problem is not None:
        raise UserError(problem)
    return maker(picture)


def _svg(picture: Picture) -> bytes:
    width, height = _size(picture)
    fill = "#{:02x}{:02x}{:02x}".format(*_colour(picture))
    letter = max(8, min(28, width // 22))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<rect width="100%" height="100%" fill="{fill}"/>'
        f'<g font-family="sans-serif" font-size="{letter}" fill="white">'
        f'<text x="{letter}" y="{2 * letter}">{escape(_printable(picture.text))}</text>'
        f'<text x="{letter}" y="{4 * letter}">seed {picture.seed}</text></g></svg>\n'
    ).encode()


def _text(picture: Picture) -> bytes:
    return _printable(picture.text).encode()


def _shard(picture: Picture) -> bytes:
    """What ComfyUI's SaveTrainingDataset calls a shard, with neither latents nor texts in it."""
    return pickle.dumps({"latents": [], "conditioning": []}, protocol=2)


def _metadata(picture: Picture) -> bytes:
    return json.dumps({"num_samples": 0, "num_shards": 1, "shard_size": 1000}, indent=2).encode()


def _glb(picture: Picture) -> bytes:
    """A tetrahedron in the recipe's colour, as glTF 2.0 binary (sections 3 and 4.4 of the specification)."""
    corners = array("f", [1, 1, 1, 1, -1, -1, -1, 1, -1, -1, -1, 1])
    faces = array("H", [0, 1, 2, 0, 3, 1, 0, 2, 3, 1, 3, 2])
    data = _little(corners) + _little(faces)
    red, green, blue = (part / 255 for part in _colour(picture))
    document = {
        "asset": {"version": "2.0", "extras": {"prompt": _printable(picture.text), "seed": str(picture.seed)}},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [red, green, blue, 1]}}],
        "buffers": [{"byteLength": len(data)}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 48, "target": 34962},
            {"buffer": 0, "byteOffset": 48, "byteLength": 24, "target": 34963},
        ],
        "accessors": [
            {
                "bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3",
                "min": [-1, -1, -1], "max": [1, 1, 1],
            },
            {"bufferView": 1, "componentType": 5123, "count": 12, "type": "SCALAR"},
        ],
    }  # fmt: skip
    head = json.dumps(document, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 4)
    chunks = struct.pack("<I4s", len(head), b"JSON") + head + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _latent(picture: Picture) -> bytes:
    """What ComfyUI's SaveLatent writes: four channels at an eighth of the size, and an empty mark of the version."""
    width, height = _size(picture, LATENT_SIDE)
    shape = [1, 4, max(1, height // 8), max(1, width // 8)]
    noise = hashlib.shake_256(_recipe(picture)).digest(math.prod(shape))
    values = array("f", ((byte - 127.5) / 48 for byte in noise))
    tensors = {"latent_tensor": (shape, _little(values)), "latent_format_version_0": ([0], b"")}
    return _safetensors(tensors, picture.chunks)


def _model(picture: Picture) -> bytes:
    values = array("f", ((byte - 127.5) / 128 for byte in hashlib.shake_256(_recipe(picture)).digest(16)))
    return _safetensors({"weight": ([4, 4], _little(values))}, picture.chunks)


def _safetensors(tensors: Mapping[str, tuple[list[int], bytes]], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + b"".join(data for _, data in tensors.values())


def _exr(picture: Picture) -> bytes:
    """One colour in 32-bit floats, lines packed one by one ("ZIPS" in the OpenEXR file layout)."""
    width, height = _size(picture)
    red, green, blue = (part / 255 for part in _colour(picture))
    # A line holds its channels one after the other, by name: B, G, R.
    raw = b"".join(struct.pack("<f", part) * width for part in (blue, green, red))
    shuffled = raw[::2] + raw[1::2]
    steps = bytes([shuffled[0], *((b - a + 128) & 255 for a, b in itertools.pairwise(shuffled))])
    packed = zlib.compress(steps, 9)
    line = packed if len(packed) < len(raw) else raw
    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    channels = b"".join(name + b"\0" + struct.pack("<iB3xii", 2, 0, 1, 1) for name in (b"B", b"G", b"R")) + b"\0"
    attributes = [
        (b"channels", b"chlist", channels),
        (b"compression", b"compression", b"\x02"),
        (b"dataWindow", b"box2i", box),
        (b"displayWindow", b"box2i", box),
        (b"lineOrder", b"lineOrder", b"\0"),
        (b"pixelAspectRatio", b"float", struct.pack("<f", 1)),
        (b"screenWindowCenter", b"v2f", struct.pack("<2f", 0, 0)),
        (b"screenWindowWidth", b"float", struct.pack("<f", 1)),
    ]
    head = struct.pack("<II", 0x01312F76, 2)
    head += (
        b"".join(b"%s\0%s\0%s%s" % (name, kind, struct.pack("<i", len(v)), v) for name, kind, v in attributes) + b"\0"
    )
    first, each = len(head) + 8 * height, 8 + len(line)
    table = b"".join(struct.pack("<Q", first + each * number) for number in range(height))
    lines = b"".join(struct.pack("<ii", number, len(line)) + line for number in range(height))
    return head + table + lines


def _sound(container: str, codec: str, layout: str) -> Callable[[Picture], bytes]:
    def make_sound(picture: Picture) -> bytes:
        av = importlib.import_module("av")
        held = io.BytesIO()
        pitch = 220 * 2 ** (_recipe(picture)[0] % 24 / 12)
        count = SOUND_RATE * SOUND_SECONDS
        wave = array("h", (round(9000 * math.sin(math.tau * pitch * n / SOUND_RATE)) for n in range(count)))
        with av.open(held, "w", format=container, options=_REPEATABLE) as film:
            stream = film.add_stream(codec, rate=SOUND_RATE)
            stream.layout = "mono"
            frame = av.AudioFrame(format=layout, layout="mono", samples=count)
            frame.sample_rate, frame.pts = SOUND_RATE, 0
            frame.planes[0].update(wave.tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
            film.mux(stream.encode(frame))
            film.mux(stream.encode(None))
        return held.getvalue()

    return make_sound


def _film(container: str, codec: str, options: Mapping[str, str]) -> Callable[[Picture], bytes]:
    def make_film(picture: Picture) -> bytes:
        av = importlib.import_module("av")
        # Halved chroma takes even sides.
        width, height = (max(2, side // 2 * 2) for side in _size(picture, FILM_SIDE))
        held = io.BytesIO()
        with av.open(held, "w", format=container, options=_REPEATABLE) as film:
            stream = film.add_stream(codec, rate=FILM_RATE, options=dict(options))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for number in range(FILM_FRAMES):
                drawn = images.draw(replace(picture, width=width, height=height, extension="bmp", index=number))
                with Image.open(io.BytesIO(drawn)) as image:
                    pixels = image.convert("RGB").tobytes()
                frame = av.VideoFrame(width, height, "rgb24")
                plane = frame.planes[0]
                row = 3 * width
                padding = b"\0" * (plane.line_size - row)
                plane.update(b"".join(pixels[at : at + row] + padding for at in range(0, len(pixels), row)))
                frame.pts = number
                film.mux(stream.encode(frame))
            film.mux(stream.encode(None))
        return held.getvalue()

    return make_film


# No dates, random ids or versions in the files.
_REPEATABLE = {"fflags": "+bitexact"}
_SOUNDS = {
    "flac": _sound("flac", "flac", "s16"),
    "mp3": _sound("mp3", "libmp3lame", "s16p"),
    "opus": _sound("ogg", "libopus", "s16"),
}
_FILMS = {
    "mp4": _film("mp4", "libx264", {"preset": "ultrafast", "threads": "1"}),
    "webm": _film("webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "threads": "1"}),
}
_MAKERS: Mapping[str, Callable[[Picture], bytes]] = {
    "svg": _svg, "txt": _text, "pkl": _shard, "json": _metadata,
    "glb": _glb, "latent": _latent, "safetensors": _model, "exr": _exr, **_SOUNDS, **_FILMS,
}  # fmt: skip


def _size(picture: Picture, most: int = 16384) -> tuple[int, int]:
    """Return the size asked for, scaled down so that no side is above *most*."""
    width, height = max(1, picture.width), max(1, picture.height)
    scale = min(1.0, most / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _recipe(picture: Picture) -> bytes:
    text = f"{picture.seed}/{picture.index}/{picture.text}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _colour(picture: Picture) -> tuple[int, int, int]:
    hue = int.from_bytes(_recipe(picture)[:2], "big") / 65536
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.6, 0.6)
    return round(red * 255), round(green * 255), round(blue * 255)


def _printable(text: str) -> str:
    """Return *text* without what XML and UTF-8 cannot hold."""
    return "".join(
        letter
        for letter in text
        if letter in "\t\n" or " " <= letter < "\ud800" or letter > "\uffff" or "\udfff" < letter < "\ufffe"
    )


def _little(values: array[Any]) -> bytes:
    """Return *values* in little-endian order, whatever the machine's."""
    if struct.pack("=H", 1) != struct.pack("<H", 1):
        values = values[:]
        values.byteswap()
    return values.tobytes()
