"""Encoding: a drawn body as the bytes that cross the wire."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given

from mockserver.provider.documents import Documents
from mockserver.provider.encoding import encoder
from tests.provider.language import JSON_VALUES


def encode(value: Any, media: str, schema: Any = None, style: str = "compact") -> bytes:
    documents = Documents({"openapi.json": {"root": schema or {}}})
    return encoder(media, style, documents["openapi.json"]["root"], documents)(value)


@pytest.mark.parametrize(
    ("style", "wire"),
    [
        pytest.param("compact", '{"a":"<&>é"}', id="compact"),
        pytest.param("go", '{"a":"\\u003c\\u0026\\u003eé"}', id="as Go escapes for HTML"),
        pytest.param("python", '{"a": "<&>\\u00e9"}', id="as Python spaces and escapes"),
    ],
)
def test_json_has_the_habits_of_its_wire(style: str, wire: str) -> None:
    assert encode({"a": "<&>é"}, "application/json", style=style) == wire.encode()


@pytest.mark.parametrize("style", ["compact", "go", "python"])
@given(value=JSON_VALUES)
def test_every_habit_of_json_says_the_same(style: str, value: Any) -> None:
    assert json.loads(encode(value, "application/json", style=style)) == value


def test_xml_names_its_elements_and_escapes_its_texts() -> None:
    schema = {"xml": {"name": "Error"}, "properties": {"code": {"xml": {"name": "Code"}}, "note": {}}}

    root = ElementTree.fromstring(encode({"code": "A<B", "note": None}, "application/xml", schema))

    assert (root.tag, root.findtext("Code"), root.findtext("note")) == ("Error", "A<B", "")


def test_text_and_bytes_go_as_they_are() -> None:
    assert encode("märz", "text/plain; charset=utf-8") == "märz".encode()
    assert encode(b"\x00\x01", "application/octet-stream") == b"\x00\x01"


def test_a_tuple_sent_as_bytes_is_laid_end_to_end() -> None:
    schema = {"prefixItems": [{"format": "uint32"}, {"format": "uint32"}, {"format": "binary"}]}

    assert encode([1, 2, b"jpeg"], "application/octet-stream", schema) == b"\0\0\0\x01\0\0\0\x02jpeg"
