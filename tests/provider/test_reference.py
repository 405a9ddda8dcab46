"""schemas/README.md says what the code does: its tables are those of the vocabulary, its example loads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mockserver import data
from mockserver.provider import check
from mockserver.provider.observing import Observer
from mockserver.provider.reference import tables
from mockserver.provider.sample import sample_scopes

README = (data.schemas() / "README.md").read_text("utf-8")


@pytest.mark.parametrize("title", tables())
def test_the_tables_are_those_of_the_vocabulary(title: str) -> None:
    section = README.partition(f"### {title}\n\n")[2]

    assert section.startswith(tables()[title] + "\n"), "python -m mockserver.provider.reference prints the right one"


def test_every_key_is_described() -> None:
    keys = json.loads((data.schemas() / "_meta" / "keys.schema.json").read_text("utf-8"))["properties"]
    described = set(re.findall(r"^\| `(x-[a-z]+)` \|", README, re.MULTILINE))

    assert described == set(keys)


def test_the_example_of_the_walk_through_loads_and_shows_every_state(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    files = re.findall(r"`tiny/(\w+\.json)`:\n\n```json\n(.*?)```", README, re.DOTALL)
    for name, content in files:
        (folder / name).write_text(content, "utf-8")

    (provider,) = check(folder)
    read = next(one for one in provider.operations if one.id == "read")
    draw, observe = read.responses[0].draw, Observer(provider).answer("read", 200)
    assert draw is not None
    assert observe is not None

    shown = {}
    for state in provider.machine.kinds["task"].states:
        drawn = draw(next(iter(sample_scopes(provider, read.verb, state))))
        shown[drawn["status"]] = set(observe(drawn)[0].states)

    assert [name for name, _ in files] == ["openapi.json", "machine.json", "errors.json"]
    assert provider.mounts == ("/v1",)
    assert shown == {"WAITING": {"queued"}, "BUSY": {"running"}, "READY": {"done"}, "BROKEN": {"failed"}}
