"""Pictures: drawn from a recipe, and processed as OSS and ComfyUI do it.

A drawn picture is no art, but a person recognises it: a seeded field of colour, the prompt, the seed and the size, and
the input pictures where there are any. The same recipe gives the same bytes. Pillow does the work; all of it
is bounded.
"""

from __future__ import annotations

import colorsys
import functools
import hashlib
import io
import itertools
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from typing import Any

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from mockserver.errors import Refused
from mockserver.storage.recipe import Picture

FORMATS = {
    "png": ("PNG", "image/png"),
    "jpg": ("JPEG", "image/jpeg"),
    "jpeg": ("JPEG", "image/jpeg"),
    "webp": ("WEBP", "image/webp"),
    "bmp": ("BMP", "image/bmp"),
    "gif": ("GIF", "image/gif"),
    "tiff": ("TIFF", "image/tiff"),
}
"""Extension -> Pillow's format, media type."""

MAX_PIXELS = 64_000_000
"""What is decoded at most: a guard against small files that unfold into gigabytes. ComfyUI's cloud takes as many."""
DRAWN_SIDE = 1024
"""Pictures are composed at up to this side and enlarged from there, so that a huge one costs little."""

PREVIEW_SIDE = 512

# Faces for most scripts of the world, from the package that Weblate ships for its own pictures.
FONTS = "weblate_fonts"
FACES = "static/weblate_fonts/kurinto/ttf/KurintoSans{}-Rg.ttf"
_SCRIPTS = (
    (re.compile(r"[\u3040-\u30ff\u31f0-\u31ff]"), "JP"),
    (re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]"), "KR"),
    (re.compile(r"[\u2e80-\u303f\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"), "SC"),
)
"""What to look for in a letter, and the face that has it; all else is in the face without a suffix."""

# Table K.1 of the JPEG standard (ITU-T T.81), which qualities scale.
_IJG_LUMINANCE = bytes.fromhex(
    "100b0a101828333d0c0c0e131a3a3c370e0d1018283945380e11161d3357503e"
    "12162538446d674d182337405168715c31404e5767797865485c5f6270646763"
)

# EC codes of OSS's image service, from its error pages.
BAD_FORMAT, NO_FORMAT, BAD_ACTION, TOO_MANY = "0040-00000206", "0040-00000207", "0040-00000213", "0040-00000203"


def draw(picture: Picture) -> bytes:
    """Return the bytes of *picture*."""
    name, _ = FORMATS.get(picture.extension, FORMATS["png"])
    frames = [_frame(picture, number) for number in range(max(1, picture.frames))]
    held = io.BytesIO()
    options: dict[str, Any] = {}
    if name == "PNG":
        info = PngImagePlugin.PngInfo()
        for key, value in picture.chunks.items():
            info.add_text(key, value)
        options = {"pnginfo": info, "compress_level": 1}
    elif name == "JPEG":
        options = {"quality": 90}
    elif name == "WEBP":
        options = {"quality": 85, "method": 0}
    if len(frames) > 1:
        options |= {"save_all": True, "append_images": frames[1:], "duration": 120, "loop": 0}
    frames[0].save(held, name, **options)
    return held.getvalue()


def unfinished(picture: Picture, share: float) -> bytes:
    """Return *picture* as a sampler would preview it when *share* of its steps are done: a JPEG, 512 pixels long.

    Source: ComfyUI's `latent_preview`; small pictures are enlarged. The noise is ours.
    """
    scale = PREVIEW_SIDE / max(picture.width, picture.height, 1)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = replace(picture, width=size[0], height=size[1], chunks={})
    grain = max(1, size[0] // 8), max(1, size[1] // 8)
    bits = hashlib.shake_256(f"{picture.seed}".encode()).digest(3 * grain[0] * grain[1])
    noise = Image.frombytes("RGB", grain, bits).resize(size)
    held = io.BytesIO()
    Image.blend(noise, _frame(small, 0).convert("RGB").resize(size), min(1.0, max(0.0, share))).save(
        held, "JPEG", quality=95
    )
    return held.getvalue()


def is_image(data: bytes) -> bool:
    """Say whether *data* is a picture that Pillow reads, of a size we are willing to decode."""
    return size_of(data) is not None


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels; None if *data* is no picture, or too large to decode."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            return (width, height) if width * height <= MAX_PIXELS else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def process(data: bytes, text: str) -> tuple[bytes, str]:
    """Apply an image command; return the new bytes and their media type.

    Raises:
        Refused: `process-refused`, with the facts `process.problem` and `process.code` (OSS's EC code).
    """
    actions = [action for action in text.removeprefix("image/").split("/") if action]
    wanted: str | None = None
    relative: int | None = None
    absolute: int | None = None
    for action in actions:
        name, _, rest = action.partition(",")
        arguments = [argument for argument in rest.split(",") if argument]
        if name == "format":
            wanted = _format(arguments)
        elif name == "quality":
            relative, absolute = _quality(arguments)
        else:
            raise _wrong(f"The action {name!r} is not supported.", BAD_ACTION)
    image = _opened(data)
    source = str(image.format)
    target = {extension: name for extension, (name, _) in FORMATS.items()}[wanted] if wanted else source
    if target == "GIF" and source != "GIF":
        target = source  # only a GIF stays one
    if target == source and relative is None and absolute is None:
        return data, _media(source)
    if source == "JPEG":
        # OSS: `q` is a share of the quality the source has, `Q` never raises it.
        has = _jpeg_quality(image)
        if absolute is not None and target == source and has <= absolute:
            return data, _media(source)
        if absolute is None and relative is not None:
            relative = max(1, round(has * relative / 100))
    quality = absolute if absolute is not None else relative
    held = io.BytesIO()
    if target == "JPEG":
        image = _flattened(image).convert("RGB")
        image.save(held, target, quality=quality or 90)
    elif target == "WEBP":
        image.save(held, target, quality=quality or 90, method=0)
    else:
        if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
            image = image.convert("RGB")
        if target == "BMP":
            image = _flattened(image)
        image.save(held, target)
    return held.getvalue(), _media(target)


def preview(data: bytes, wanted: str) -> tuple[bytes, str]:
    """Re-encode as ComfyUI's `/view?preview=` does: `webp` or `jpeg`, then `;QUALITY` (90)."""
    name, _, amount = wanted.partition(";")
    target = "JPEG" if name == "jpeg" else "WEBP"
    quality = _share(amount) or 90
    image = _opened(data)
    held = io.BytesIO()
    (image.convert("RGB") if target == "JPEG" else image).save(held, target, quality=quality)
    return held.getvalue(), _media(target)


def channel(data: bytes, wanted: str) -> tuple[bytes, str]:
    """Re-encode as ComfyUI's `/view?channel=` does: `rgb` without alpha, `a` the alpha alone; both PNG."""
    image = _opened(data)
    if wanted == "rgb":
        result = image.convert("RGB")
    else:
        alpha = image.getchannel("A") if "A" in image.getbands() else Image.new("L", image.size, 255)
        result = Image.new("RGBA", image.size)
        result.putalpha(alpha)
    held = io.BytesIO()
    result.save(held, "PNG", compress_level=1)
    return held.getvalue(), "image/png"


def mask(original: bytes, upload: bytes) -> bytes:
    """Give *original* the alpha of *upload*, as ComfyUI's `/upload/mask` does; PNG text chunks are kept."""
    base, over = _opened(original), _opened(upload).convert("RGBA")
    info = PngImagePlugin.PngInfo()
    for key, value in getattr(base, "text", {}).items():
        info.add_text(key, value)
    result = base.convert("RGBA")
    result.putalpha(over.getchannel("A").resize(result.size))
    held = io.BytesIO()
    result.save(held, "PNG", compress_level=4, pnginfo=info)
    return held.getvalue()


def _opened(data: bytes) -> Image.Image:
    if size_of(data) is None:
        raise _wrong("The object is not an image that can be processed.", "0040-00000001")
    image: Image.Image = Image.open(io.BytesIO(data))
    try:
        image.load()
    except (OSError, ValueError, SyntaxError):
        raise _wrong("The image is damaged.", "0040-00000001") from None
    return image


def _format(arguments: list[str]) -> str:
    if not arguments:
        raise _wrong("The format has no value.", NO_FORMAT)
    if len(arguments) > 1:
        raise _wrong("The format takes one value.", TOO_MANY)
    if arguments[0] not in FORMATS:
        raise _wrong(f"The value: {arguments[0]} of parameter: format is invalid.", BAD_FORMAT)
    return arguments[0]


def _quality(arguments: list[str]) -> tuple[int | None, int | None]:
    found: dict[str, int] = {}
    for argument in arguments:
        name, _, amount = argument.partition("_")
        share = _share(amount)
        if name not in ("q", "Q") or share is None:
            raise _wrong(f"The value: {argument} of parameter: quality is invalid.", BAD_FORMAT)
        found[name] = share
    return found.get("q"), found.get("Q")


def _share(text: str) -> int | None:
    """Read a whole number from 1 to 100; None if *text* is none."""
    return int(text) if re.fullmatch(r"[1-9][0-9]?|100", text) else None


def _jpeg_quality(image: Image.Image) -> int:
    """Return the quality that gives the quantization of *image*, by the IJG rule that most encoders follow."""
    tables: Mapping[int, list[int]] = getattr(image, "quantization", {})
    total = sum(tables.get(0, ()))
    if not total:
        return 100

    def weight(quality: int) -> int:
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        return sum(min(255, max(1, (step * scale + 50) // 100)) for step in _IJG_LUMINANCE)

    return min(range(1, 101), key=lambda quality: abs(weight(quality) - total))


def _wrong(problem: str, code: str) -> Refused:
    return Refused("process-refused", {"process.problem": problem, "process.code": code})


def _media(name: str) -> str:
    return next((media for known, media in FORMATS.values() if known == name), "application/octet-stream")


def _flattened(image: Image.Image) -> Image.Image:
    """Lay a picture with alpha on white, since JPEG has none."""
    if not image.has_transparency_data:
        return image
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white


def _frame(picture: Picture, number: int) -> Image.Image:
    width, height = max(1, picture.width), max(1, picture.height)
    # More pixels than we would read back are not drawn: the result is smaller than asked, in the same shape.
    fit = min(1.0, (MAX_PIXELS / (width * height)) ** 0.5)
    width, height = max(1, int(width * fit)), max(1, int(height * fit))
    scale = min(1.0, DRAWN_SIDE / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shift = (picture.index * 37 + number * 23) % 360
    # The prompt too decides the colours: pictures too small for words would else be all alike.
    text = zlib.crc32(picture.text.encode("utf-8", "surrogatepass"))
    image = _field(size, picture.seed ^ text, shift)
    _paste_inputs(image, picture.inputs)
    if min(size) >= 48:
        _label(image, picture, number)
    return image if size == (width, height) else image.resize((width, height), Image.Resampling.BILINEAR)


def _field(size: tuple[int, int], seed: int, shift: int) -> Image.Image:
    """A soft field of colour with a few discs, all decided by the seed."""
    state = (seed * 6364136223846793005 + 1442695040888963407 + shift * 2654435761) & (2**64 - 1)

    def chance() -> float:
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        return (state >> 33) / 2**31

    hue = chance()
    corners = Image.new("RGB", (3, 3))
    for x in range(3):
        for y in range(3):
            corners.putpixel(
                (x, y),
                _colour(hue + 0.18 * (chance() - 0.5) + 0.08 * (x + y), 0.45 + 0.3 * chance(), 0.55 + 0.35 * chance()),
            )
    image = corners.resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image, "RGBA")
    width, height = size
    for _ in range(7):
        radius = (0.06 + 0.2 * chance()) * min(size)
        left, top = chance() * width, chance() * height
        fill = (*_colour(hue + 0.5 * chance(), 0.5, 0.95), 70)
        pen.ellipse((left - radius, top - radius, left + radius, top + radius), fill=fill)
    return image


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _paste_inputs(image: Image.Image, inputs: tuple[bytes, ...]) -> None:
    shown = inputs[:4]
    for place, data in enumerate(shown):
        try:
            small = _flattened(_opened(data)).convert("RGB")
        except Refused:
            continue  # what cannot be read is not shown
        room = image.width * 6 // 10 // len(shown), image.height * 5 // 10
        small.thumbnail((max(1, room[0]), max(1, room[1])), Image.Resampling.BILINEAR)
        left = image.width // 20 + place * image.width * 9 // 10 // len(shown)
        image.paste(small, (left, image.height // 20))


def _label(image: Image.Image, picture: Picture, number: int) -> None:
    """Write prompt, seed and size on a panel at the bottom."""
    width, height = image.size
    size = max(9, min(28, width // 22))
    small = max(8, size * 3 // 4)
    margin = size // 2
    lines = _wrapped(picture.text or "(no prompt)", size, width - 4 * margin)[: max(1, height // (size * 3))]
    foot = f"seed {picture.seed}   {picture.width}×{picture.height}"
    if picture.index or number:
        foot += f"   #{picture.index + 1}" + (f" frame {number + 1}" if number else "")
    line_height = size * 5 // 4
    panel = line_height * len(lines) + size * 3 // 2 + 2 * margin
    pen = ImageDraw.Draw(image, "RGBA")
    top = max(0, height - panel - margin)
    pen.rounded_rectangle((margin, top, width - margin, height - margin), radius=margin, fill=(12, 14, 22, 190))
    y = top + margin
    for line in lines:
        _write(pen, (2 * margin, y), line, size, (255, 255, 255))
        y += line_height
    _write(pen, (2 * margin, y), foot, small, (190, 200, 220))


def _write(pen: ImageDraw.ImageDraw, at: tuple[float, float], line: str, size: int, fill: tuple[int, int, int]) -> None:
    """Write a line, each run of letters in the face of its script."""
    x, y = at
    for face, run in _runs(line):
        font = _font(face, size)
        # Faces differ in height; they share the baseline.
        pen.text((x, y + size), run, font=font, fill=fill, anchor="ls")
        x += font.getlength(run)


def _runs(line: str) -> list[tuple[str, str]]:
    return [(face, "".join(letters)) for face, letters in itertools.groupby(line, _face)]


def _face(letter: str) -> str:
    return next((face for letters, face in _SCRIPTS if letters.match(letter)), "")


def _length(text: str, size: int) -> float:
    return sum(_font(face, size).getlength(run) for face, run in _runs(text))


def _wrapped(text: str, size: int, width: float) -> list[str]:
    """Break *text* into lines; between words where there are any, anywhere in scripts without spaces."""
    lines: list[str] = []
    line = ""
    # Longer than this no panel shows, whatever its size.
    for word in _pieces(" ".join(text.split())[:2000]):
        if line and _length(line + word, size) > width:
            lines.append(line.strip())
            line = word.lstrip()
        else:
            line += word
        if len(lines) > 40:
            break
    return [*lines, line.strip()] if line.strip() else lines


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for letter in text:
        if (
            pieces and letter != " " and ord(letter) < 0x2E80 and not pieces[-1].endswith(" ") and len(pieces[-1]) < 40
        ) or (pieces and letter == " "):
            pieces[-1] += letter
        else:
            pieces.append(letter)
    return pieces


@functools.lru_cache(maxsize=64)
def _font(face: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(io.BytesIO(_font_file(face)), size)


@functools.cache
def _font_file(face: str) -> bytes:
    return resources.files(FONTS).joinpath(FACES.format(face)).read_bytes()
