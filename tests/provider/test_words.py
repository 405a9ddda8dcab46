"""Words that write and read a part of a text: starred maps, moments inside texts, and Python's names of types."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.provider.notation import starred
from mockserver.provider.scope import Call, Scope
from mockserver.provider.validation import json_type
from mockserver.provider.values import Names, text

NO_STAR = st.text(st.characters(exclude_characters="*"))


@given(before=NO_STAR, after=NO_STAR, part=st.text())
def test_a_starred_map_reads_back_what_it_writes(before: str, after: str, part: str) -> None:
    found = starred({f"{before}*{after}": "*"})

    assert found is not None
    assert found.read(part) == f"{before}{part}{after}"
    assert found.write(found.read(part)) == part


@pytest.mark.parametrize("table", [{"a": "b"}, {"a-*": "*", "b": "c"}, {"a-*": 1}, {"a-*": ["*"]}, {"*-*": "*"}, {}])
def test_other_maps_are_not_starred(table: dict[str, Any]) -> None:
    assert starred(table) is None


def test_a_moment_inside_a_text_is_written_by_its_pattern() -> None:
    scope = Scope(at=0, call=Call(at=1722324787.25, operation="read", chance=None))  # type: ignore[arg-type]

    assert text("log/{call.at|%Y%%2F%m%%2F%d}/x", Names())(scope) == "log/2024%2F07%2F30/x"


@pytest.mark.parametrize(
    ("value", "python", "json"),
    [
        ([], "list", "array"),
        ({}, "dict", "object"),
        ("", "str", "string"),
        (True, "bool", "boolean"),
        (1, "int", "integer"),
        (1.5, "float", "number"),
        (None, "NoneType", "null"),
    ],
)
def test_types_have_a_name_in_python_and_in_json_schema(value: Any, python: str, json: str) -> None:
    scope = Scope(at=0)
    scope.facts = {"violation.value": value}

    written = text("{violation.value|python-type}", Names())(scope)

    assert written == python
    assert json_type(value) == json
