"""Notations: how values are written, and that reading undoes writing."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.provider.notation import (
    Unreadable,
    lay_end_to_end,
    notation,
    numbers_as_text,
    read_inside,
    write_inside,
)
from tests.provider.language import JSON_VALUES

NOON = 1_790_000_000.25


@pytest.mark.parametrize(
    ("kind", "types", "form", "value", "wire"),
    [
        pytest.param("moment", "string", "date-time", NOON, "2026-09-21T14:13:20Z", id="date-time"),
        pytest.param("moment", "integer", "unixtime", NOON, 1_790_000_000, id="unixtime"),
        pytest.param("moment", "integer", "unixtime-ms", NOON, 1_790_000_000_250, id="unixtime-ms"),
        pytest.param("moment", "string", "http-date", NOON, "Mon, 21 Sep 2026 14:13:20 GMT", id="http-date"),
        pytest.param("moment", "string", "%Y-%m-%dT%H:%M:%S.%f", NOON, "2026-09-21T14:13:20.250000", id="strftime"),
        pytest.param(
            "moment", "string", "%Y-%m-%d %H:%M:%S +08:00", NOON, "2026-09-21 22:13:20", id="eight hours east"
        ),
        pytest.param("moment", "string", "%H:%M -03:30", NOON, "10:43", id="three and a half hours west"),
        pytest.param("seconds", "number", None, 7.75, 7.75, id="seconds"),
        pytest.param("seconds", "integer", None, 7.75, 7, id="whole seconds round down"),
        pytest.param("seconds", "integer", "milliseconds", 7.75, 7750, id="milliseconds"),
        pytest.param("share", "integer", "percent", 0.29, 29, id="percent of what binary cannot say"),
        pytest.param("share", "integer", "percent", 0.9999, 99, id="100 means the end"),
        pytest.param("share", "integer", "percent", 1.0, 100, id="the end is 100"),
        pytest.param("share", "number", "float", 7 / 15, 0.46666667, id="single precision"),
        pytest.param("share", "number", None, 1 / 3, 0.333333, id="share"),
        pytest.param("number", "string", None, 8.0, "8", id="decimal text"),
        pytest.param("number", "integer", None, 8.5, 8, id="number as integer"),
        pytest.param("count", "string", None, 3, "3", id="count as text"),
        pytest.param("text", "integer", None, "042", 42, id="digits as integer"),
        pytest.param("json", "integer", None, "042", 42, id="digits of a document as integer"),
        pytest.param("json", "string", None, 42, "42", id="number of a document as text"),
        pytest.param("json", "object", None, {"a": 1}, {"a": 1}, id="document as it is"),
        pytest.param("json", "integer", "count", ["a", "b"], 2, id="length of a collection"),
        pytest.param(
            "json", "object", "numbers-as-text", {"a": [1, 2.5, True]}, {"a": ["1", "2.5", True]}, id="in texts"
        ),
    ],
)
def test_a_value_is_written(kind: str, types: str, form: str | None, value: Any, wire: Any) -> None:
    found = notation(kind, (types,), form)

    assert found is not None
    assert found.write(value) == wire


moments = st.integers(min_value=0, max_value=4_000_000_000)
shares = st.integers(min_value=0, max_value=100).map(lambda percent: percent / 100)


@pytest.mark.parametrize(
    ("form", "types"),
    [
        ("date-time", "string"),
        ("unixtime", "integer"),
        ("unixtime-ms", "integer"),
        ("http-date", "string"),
        ("%Y-%m-%d %H:%M:%S", "string"),
        ("%Y-%m-%d %H:%M:%S +08:00", "string"),
        ("%d.%m.%Y %H:%M:%S -03:30", "string"),
    ],
)
@given(moment=moments)
def test_reading_a_moment_undoes_writing_it(form: str, types: str, moment: int) -> None:
    found = notation("moment", (types,), form)

    assert found is not None
    assert found.read(found.write(float(moment))) == moment


@given(share=shares)
def test_reading_percent_undoes_writing_it(share: float) -> None:
    found = notation("share", ("integer",), "percent")

    assert found is not None
    assert math.isclose(found.read(found.write(share)), share)


@given(share=st.floats(0, 1, width=32, allow_subnormal=False))
def test_single_precision_loses_nothing_that_has_single_precision(share: float) -> None:
    import struct

    found = notation("share", ("number",), "float")

    assert found is not None
    assert struct.pack("f", found.read(found.write(share))) == struct.pack("f", share)


@given(seconds=st.integers(0, 10**7))
def test_reading_seconds_undoes_writing_them(seconds: int) -> None:
    for types, form in (("integer", None), ("number", None), ("integer", "milliseconds")):
        found = notation("seconds", (types,), form)
        assert found is not None
        assert found.read(found.write(float(seconds))) == seconds


@given(number=st.one_of(st.integers(-(10**9), 10**9), st.floats(-1e6, 1e6, allow_nan=False).filter(lambda n: n == n)))
def test_reading_decimal_text_undoes_writing_it(number: float) -> None:
    found = notation("number", ("string",), None)

    assert found is not None
    assert found.read(found.write(number)) == number


@pytest.mark.parametrize("media", ["application/json", "text/x-python"])
@pytest.mark.parametrize("encoding", [None, "base64"])
@given(value=JSON_VALUES)
def test_reading_a_text_inside_a_text_undoes_writing_it(media: str, encoding: str | None, value: Any) -> None:
    assert read_inside(media, encoding, write_inside(media, encoding, value)) == value


@given(value=JSON_VALUES)
def test_numbers_as_text_leaves_no_number(value: Any) -> None:
    kinds = {type(one) for one in leaves(numbers_as_text(value))}

    assert not kinds & {int, float}


def leaves(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return [value] if inner is None else [leaf for one in inner for leaf in leaves(one)]


@pytest.mark.parametrize(
    ("media", "encoding", "text"),
    [
        pytest.param("application/json", None, "{", id="no JSON"),
        pytest.param("application/json", "base64", "%%%", id="no base64"),
        pytest.param("application/json", None, 7, id="no text"),
        pytest.param("text/x-python", None, "__import__('os')", id="no literal"),
    ],
)
def test_what_cannot_be_read_is_told(media: str, encoding: str | None, text: Any) -> None:
    with pytest.raises(Unreadable):
        read_inside(media, encoding, text)


def test_a_wrong_moment_is_told() -> None:
    found = notation("moment", ("string",), "date-time")

    assert found is not None
    with pytest.raises(Unreadable, match="does not match format"):
        found.read("yesterday")


@pytest.mark.parametrize(
    ("kind", "types", "form"),
    [
        pytest.param("moment", ("string",), None, id="bare moment"),
        pytest.param("moment", ("string",), "unixtime", id="seconds in a text"),
        pytest.param("moment", ("integer",), "date-time", id="date in a number"),
        pytest.param("moment", ("integer",), "percent", id="moment as percent"),
        pytest.param("seconds", ("string",), None, id="seconds as text"),
        pytest.param("seconds", ("integer",), "percent", id="seconds as percent"),
        pytest.param("share", ("integer",), None, id="share that is always 0"),
        pytest.param("text", ("boolean",), None, id="text as boolean"),
        pytest.param("text", ("string",), "date-time", id="text as moment"),
        pytest.param("boolean", ("string",), None, id="boolean as text"),
    ],
)
def test_a_notation_that_does_not_fit_its_kind_is_none(kind: str, types: tuple[str, ...], form: str | None) -> None:
    assert notation(kind, types, form) is None


def test_a_tuple_is_laid_end_to_end() -> None:
    laid = lay_end_to_end([1, "ab", b"xyz"], ["uint32", "sized", "binary"])

    assert laid == b"\x00\x00\x00\x01\x00\x00\x00\x02abxyz"
