"""Pictures: what is drawn, and what the store makes of it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mockserver.errors import Refused
from mockserver.storage import images, recipe
from mockserver.storage.images import draw
from mockserver.storage.objects import Results
from mockserver.storage.recipe import Picture


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def small(extension: str = "png", **more: Any) -> bytes:
    return draw(Picture(64, 64, 1, "a fox", extension, **more))


@pytest.mark.parametrize(
    ("extension", "form"),
    [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP"), ("gif", "GIF"), ("bmp", "BMP"), ("tiff", "TIFF")],
)
def test_a_picture_has_the_size_and_format_of_its_recipe(extension: str, form: str) -> None:
    picture = opened(draw(Picture(320, 200, 7, "a fox", extension)))

    assert (picture.format, picture.size) == (form, (320, 200))


@given(width=st.integers(1, 300), height=st.integers(1, 300), seed=st.integers(-(2**70), 2**70), text=st.text())
@settings(max_examples=60)
def test_any_recipe_can_be_drawn_and_gives_the_same_bytes_again(width: int, height: int, seed: int, text: str) -> None:
    recipe = Picture(width, height, seed, text)

    first = draw(recipe)

    assert first == draw(recipe)
    assert opened(first).size == (width, height)


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"text": "a whale"}, {"index": 1}, {"width": 96}],
    ids=["seed", "prompt", "place in batch", "size"],
)
def test_another_recipe_gives_another_picture(change: dict[str, Any]) -> None:
    base: dict[str, Any] = {"width": 64, "height": 64, "seed": 1, "text": "a fox"}

    assert draw(Picture(**base)) != draw(Picture(**{**base, **change}))


@pytest.mark.parametrize(
    "pair", ["ab", "狐狸", "きつ", "여우", "лс", "αλ"], ids=["Latin", "Han", "Kana", "Hangul", "Cyrillic", "Greek"]
)
def test_a_prompt_is_legible_in_any_of_these_scripts(pair: str) -> None:
    # Letters that no font has are all drawn as the same empty box.
    one, other = (opened(draw(Picture(96, 96, 1, letter * 3))).tobytes() for letter in pair)
    boxed = opened(draw(Picture(96, 96, 1, "\ue000" * 3))).tobytes()

    assert len({one, other, boxed}) == 3


def test_text_chunks_are_written_as_comfyui_does() -> None:
    assert opened(small(chunks={"prompt": "{}", "workflow": '{"id": 1}'})).text == {  # type: ignore[attr-defined]
        "prompt": "{}",
        "workflow": '{"id": 1}',
    }


def test_the_inputs_of_a_picture_are_seen_in_it() -> None:
    held = io.BytesIO()
    Image.new("RGB", (32, 32), (255, 0, 255)).save(held, "PNG")

    colours = opened(draw(Picture(128, 128, 1, "x", inputs=(held.getvalue(),)))).convert("RGB").getcolors(1 << 20)

    assert colours is not None
    assert sum(count for count, colour in colours if colour == (255, 0, 255)) > 500


def test_an_animated_picture_has_its_frames() -> None:
    assert getattr(opened(small("webp", frames=3)), "n_frames", 1) == 3


@pytest.mark.parametrize(
    ("command", "form"),
    [
        ("image/format,jpg", "JPEG"),
        ("format,webp", "WEBP"),
        ("image/quality,q_50", "PNG"),
        ("image/format,gif", "PNG"),
        ("image/quality,Q_30/format,jpg", "JPEG"),
    ],
)
def test_format_and_quality_are_done_for_real(command: str, form: str) -> None:
    data, media = images.process(small(), command)

    assert opened(data).format == form
    assert media == f"image/{form.lower()}"


def test_lower_quality_gives_fewer_bytes_and_absolute_wins_over_relative() -> None:
    good, _ = images.process(small(), "image/format,jpg/quality,q_95")
    bad, _ = images.process(small(), "image/format,jpg/quality,q_10")
    absolute, _ = images.process(small(), "image/format,jpg/quality,q_95,Q_10")

    assert len(bad) < len(good)
    assert absolute == bad


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("image/format,dng", "0040-00000206"),
        ("image/format", "0040-00000207"),
        ("image/slim,1", "0040-00000213"),
        ("image/format,jpg,png", "0040-00000203"),
        ("image/quality,q_0", "0040-00000206"),
    ],
)
def test_a_command_the_store_does_not_know_is_refused_with_its_code(command: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        images.process(small(), command)

    assert (refused.value.condition, refused.value.facts["process.code"]) == ("process-refused", code)


@pytest.mark.parametrize(
    ("value", "command"),
    [
        ({"format": "jpg", "quality": {"q": 80}}, "image/format,jpg/quality,q_80"),
        ({"quality": {"Q": 90}}, "image/quality,Q_90"),
        ("format,jpg/quality,Q_100", "image/format,jpg/quality,Q_100"),
        ("image/format,jpg", "image/format,jpg"),
        ({}, ""),
        (None, ""),
        (7, ""),
    ],
)
def test_both_forms_of_a_command_are_understood(value: Any, command: str) -> None:
    assert recipe.command(value) == command


@given(st.binary(max_size=200))
def test_bytes_that_are_no_picture_are_told_apart(data: bytes) -> None:
    assert not images.is_image(data)


def test_a_small_file_that_unfolds_to_gigabytes_is_not_decoded() -> None:
    held = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(held, "PNG")

    assert not images.is_image(held.getvalue())


def test_previews_and_channels_are_those_of_comfyuis_view() -> None:
    assert images.preview(small(), "jpeg;50")[1] == "image/jpeg"
    assert images.preview(small(), "anything")[1] == "image/webp"
    assert opened(images.channel(small(), "rgb")[0]).mode == "RGB"
    assert opened(images.channel(small(), "a")[0]).getchannel("A").getextrema() == (255, 255)


def test_a_mask_replaces_the_alpha_and_keeps_the_text_chunks() -> None:
    held = io.BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 10)).save(held, "PNG")

    masked = opened(images.mask(small(chunks={"prompt": "{}"}), held.getvalue()))

    assert (masked.mode, masked.getchannel("A").getextrema(), masked.text) == ("RGBA", (10, 10), {"prompt": "{}"})  # type: ignore[attr-defined]


def test_drawn_results_are_kept_within_their_bound() -> None:
    results = Results(max_bytes=1)
    first, second = Picture(64, 64, 1, "x"), Picture(64, 64, 2, "x")

    assert results.drawn(first) == results.drawn(first) == draw(first)
    assert results.drawn(second) == draw(second)
