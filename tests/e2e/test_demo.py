"""The demo does the main job, and says so when something is not as documented."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from mockserver import demo
from mockserver.errors import UserError

EVERY_STORY = pytest.mark.parametrize("story", [pytest.param(file, id=name) for name, file in demo.stories().items()])


@EVERY_STORY
def test_the_demo_ends_well_and_leaves_real_pictures(story: Path, tmp_path: Path) -> None:
    shown = io.StringIO()

    files = demo.run(story, into=tmp_path, rate=500, console=Console(file=shown, width=200))

    assert files
    for file in files:
        with Image.open(file) as picture:
            picture.load()
    assert str(tmp_path.resolve()) in shown.getvalue()


def test_all_stories_are_told_side_by_side(tmp_path: Path) -> None:
    shown = io.StringIO()

    demo.run_together(demo.stories(), into=tmp_path, rate=500, console=Console(file=shown, width=200))

    assert {folder.name for folder in tmp_path.iterdir()} == set(demo.stories())
    assert all(f"{name}: " in shown.getvalue() for name in demo.stories())


def test_one_story_is_told_in_full_where_none_is_asked_for() -> None:
    assert demo.main_story() in demo.stories().values()


@EVERY_STORY
def test_the_demo_fails_when_an_answer_is_not_as_documented(story: Path, tmp_path: Path) -> None:
    wrong = json.loads(story.read_bytes())
    wrong["steps"][0]["expect"] = {"required": ["what nobody documented"]}
    (tmp_path / story.parent.name).mkdir()
    wrong_story = tmp_path / story.parent.name / story.name
    wrong_story.write_text(json.dumps(wrong))

    with pytest.raises(demo.StoryBroken, match=r"step 1 .* not as documented at /: 'what nobody documented'"):
        demo.run(wrong_story, into=tmp_path, rate=500, console=Console(file=io.StringIO()))


def test_a_provider_without_a_story_is_named() -> None:
    with pytest.raises(UserError, match="no demo of 'nobody'; there are: "):
        demo.story("nobody")


def test_texts_of_a_story_are_filled_wherever_they_stand() -> None:
    template = {"ids": ["{red.id}", "{blue-2}"], "n": 3, "why": "ask {red.id} now"}

    assert demo.filled(template, {"red.id": "a", "blue-2": "b"}) == {"ids": ["a", "b"], "n": 3, "why": "ask a now"}


@pytest.mark.parametrize(
    "pointer",
    [
        pytest.param("/a/1", id="past the end"),
        pytest.param("/b", id="no such member"),
        pytest.param("/a/x", id="no index"),
    ],
)
def test_a_pointer_to_nothing_says_what_the_answer_was(pointer: str) -> None:
    with pytest.raises(demo.StoryBroken, match=r"nothing at .*: \{\"a\": \[1\]\}"):
        demo.at({"a": [1]}, pointer)
