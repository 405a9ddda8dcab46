"""Folders for the tests of the loader: a copy of a real one, to be broken in one way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mockserver import data
from mockserver.provider import Provider, load

Break = Callable[[str, str, Any], None]


@pytest.fixture(scope="session")
def genstudio() -> Provider:
    """The one provider of the package whose folder uses most of the language, as it loads by default."""
    return load(data.schemas() / "genstudio")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a folder that loads."""
    return Path(shutil.copytree(data.schemas() / "genstudio", tmp_path / "provider"))


@pytest.fixture
def put(folder: Path) -> Break:
    """Sets what stands at a pointer of a file of the copy."""

    def put(file: str, pointer: str, value: Any) -> None:
        with edited(folder / file) as document:
            place, last = parent(document, pointer)
            if isinstance(place, list):
                place[int(last) :] = [value]
            else:
                place[last] = value

    return put


@pytest.fixture
def take(folder: Path) -> Break:
    """Takes away what stands at a pointer of a file of the copy."""

    def take(file: str, pointer: str, value: Any) -> None:
        with edited(folder / file) as document:
            place, last = parent(document, pointer)
            del place[last]

    return take


@contextmanager
def edited(path: Path) -> Iterator[Any]:
    document = json.loads(path.read_text("utf-8"))
    yield document
    path.write_text(json.dumps(document), "utf-8")


def parent(document: Any, pointer: str) -> tuple[Any, str]:
    *parents, last = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
    for key in parents:
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document, last
