"""`barred`, `limit` and `log` of machine.json, and the filter and notation that came with them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest

from mockserver import data
from mockserver.errors import SchemaFolderError
from mockserver.provider import load
from mockserver.provider.notation import notation
from mockserver.provider.scope import Scope
from mockserver.provider.values import Names, text

SOURCE = {"x-source": {"assumed": "only a test says so"}}


def folder_with(tmp_path: Path, **words: Any) -> Path:
    folder = tmp_path / "changed"
    shutil.copytree(data.schemas() / "aliyun", folder)
    machine = orjson.loads((folder / "machine.json").read_bytes())
    machine["task" if "log" in words else "pool"].update(words)
    (folder / "machine.json").write_bytes(orjson.dumps(machine))
    return folder


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"barred": {"acount#/x": [1]}}, "/pool/barred.*near: account"),
        ({"limit": "pol#/limit"}, "/pool/limit.*no value name"),
        (
            {"log": [{"on": ["task.ended"], "text": "x", **SOURCE}]},
            "/task/log/0/on: 'task.ended' is no event.*task.wai",
        ),
        ({"log": [{"on": ["task.waiting"], "text": "{tusk.id}", **SOURCE}]}, "/task/log/0/text.*near: task.id"),
        ({"log": [{"on": ["task.waiting"], "when": {"tusk.id": ["1"]}, "text": "x", **SOURCE}]}, "/task/log/0/when"),
    ],
    ids=["barred", "limit", "event of a line", "text of a line", "condition of a line"],
)
def test_names_in_these_words_must_exist(tmp_path: Path, words: dict[str, Any], says: str) -> None:
    with pytest.raises(SchemaFolderError, match=says):
        load(folder_with(tmp_path, **words))


def test_a_text_can_be_put_in_one_line() -> None:
    scope = Scope(at=0)
    scope.facts = {"signature.text": "POST\r\na\n\nb"}

    assert text("{signature.text|flat}", Names())(scope) == "POSTab"


def test_a_number_can_be_written_with_so_many_decimals_and_a_length_of_time_like_a_clock() -> None:
    scope = Scope(at=0)
    scope.facts = {"retry.after": 3661.5}

    assert text("{retry.after|%.2f} {retry.after|%H:%M:%S}", Names())(scope) == "3661.50 01:01:01"


def test_seconds_can_be_written_in_single_precision() -> None:
    written = notation("seconds", ("number",), "float")

    assert written is not None
    assert written.write(19.0872673034668) == 19.087267
    assert written.read(19.087267) == 19.087267
