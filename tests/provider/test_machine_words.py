"""`barred` and `limit` of machine.json, and the filter and notation that came with them."""

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


def folder_with(tmp_path: Path, **words: Any) -> Path:
    folder = tmp_path / "changed"
    shutil.copytree(data.schemas() / "aliyun", folder)
    machine = orjson.loads((folder / "machine.json").read_bytes())
    machine["pool"].update(words)
    (folder / "machine.json").write_bytes(orjson.dumps(machine))
    return folder


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"barred": {"acount#/x": [1]}}, "/pool/barred.*near: account"),
        ({"limit": "pol#/limit"}, "/pool/limit.*no value name"),
    ],
    ids=["barred", "limit"],
)
def test_names_in_these_words_must_exist(tmp_path: Path, words: dict[str, Any], says: str) -> None:
    with pytest.raises(SchemaFolderError, match=says):
        load(folder_with(tmp_path, **words))


def test_a_text_can_be_put_in_one_line() -> None:
    scope = Scope(at=0)
    scope.facts = {"signature.text": "POST\r\na\n\nb"}

    assert text("{signature.text|flat}", Names())(scope) == "POSTab"


def test_seconds_can_be_written_in_single_precision() -> None:
    written = notation("seconds", ("number",), "float")

    assert written is not None
    assert written.write(19.0872673034668) == 19.087267
    assert written.read(19.087267) == 19.087267
