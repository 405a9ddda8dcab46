"""Cases at the edge: what clients may send is answered, never a crash."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from mockserver.errors import Refused
from mockserver.storage import images
from mockserver.storage.images import draw
from mockserver.storage.objects import Results
from mockserver.storage.recipe import Picture
from mockserver.storage.signing import SCHEMES, Secret, SignedRequest


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    held = io.BytesIO()
    image.save(held, name, **options)
    return held.getvalue()


def steps(jpeg: bytes) -> list[int]:
    with Image.open(io.BytesIO(jpeg)) as image:
        return list(image.quantization[0])  # type: ignore[attr-defined]  # a JPEG has it


@pytest.mark.parametrize("source", [40, 50, 80, 95])
def test_relative_quality_is_a_share_of_the_sources(source: Any) -> None:
    jpeg = encoded(Image.new("RGB", (64, 64), "red"), "JPEG", quality=source)
    right = encoded(Image.new("RGB", (64, 64), "red"), "JPEG", quality=round(source * 0.9))

    assert steps(images.process(jpeg, "image/quality,q_90")[0]) == steps(right)


def test_absolute_quality_leaves_a_source_at_or_below_it_untouched() -> None:
    jpeg = encoded(Image.new("RGB", (64, 64), "red"), "JPEG", quality=40)

    assert images.process(jpeg, "image/quality,Q_90")[0] == jpeg
    assert images.process(jpeg, "image/quality,Q_40")[0] == jpeg
    assert images.process(jpeg, "image/quality,Q_20")[0] != jpeg


@pytest.mark.parametrize("target", ["jpg", "png", "webp", "bmp", "tiff"])
@pytest.mark.parametrize(
    "source",
    [
        pytest.param(encoded(Image.new("CMYK", (8, 8)), "JPEG"), id="CMYK"),
        pytest.param(encoded(Image.new("I;16", (8, 8), 40000), "PNG"), id="16 bits"),
        pytest.param(encoded(Image.new("LA", (8, 8)), "PNG"), id="grey with alpha"),
    ],
)
def test_any_source_converts_to_any_format(source: Any, target: str) -> None:
    assert images.is_image(images.process(source, f"image/format,{target}")[0])


def test_transparent_places_of_a_palette_become_white_in_a_jpeg() -> None:
    source = encoded(Image.new("P", (8, 8)), "PNG", transparency=0)

    with Image.open(io.BytesIO(images.process(source, "image/format,jpg")[0])) as image:
        assert image.getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize("wanted", ["webp;999", "webp;0", "jpeg;²", "webp;" + "9" * 5000])
def test_a_preview_of_an_odd_quality_has_the_usual_one(wanted: str) -> None:
    assert images.is_image(images.preview(draw(Picture(64, 64, 1, "x")), wanted)[0])


def test_an_input_that_cannot_be_read_is_left_out() -> None:
    damaged = draw(Picture(256, 256, 1, "x"))[:300]

    assert images.is_image(draw(Picture(64, 64, 1, "x", inputs=(damaged, b"no picture"))))


def test_prompts_differ_even_where_no_word_fits() -> None:
    assert draw(Picture(16, 16, 1, "a fox")) != draw(Picture(16, 16, 1, "a hare"))


def test_a_picture_beyond_the_bound_is_drawn_smaller_in_the_same_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 10_000)

    assert images.size_of(draw(Picture(400, 100, 1, "x"))) == (200, 50)


@pytest.mark.parametrize("expires", ["²", "٣", "-5", "1e9", " 9", "9" * 5000])
@pytest.mark.parametrize(("scheme", "key"), [("oss-v1", "OSSAccessKeyId"), ("s3-v2", "AWSAccessKeyId")])
def test_an_expiry_that_is_no_moment_is_refused(scheme: str, key: str, expires: str) -> None:
    query = (("Expires", expires), (key, "id"), ("Signature", "x"))
    request = SignedRequest("GET", "/k", query, {}, b"", "b", "k")

    with pytest.raises(Refused) as refused:
        SCHEMES[scheme].check(request, now=0, secret=Secret("id", "secret"))

    assert refused.value.condition == "credentials-wrong"


def test_results_of_other_kinds_are_of_their_kind() -> None:
    assert Results().drawn(Picture(64, 64, 1, "x", extension="glb")).startswith(b"glTF")
