"""How values are written on the wire, and read back: the table of `type` and `format`.

A notation pairs a writer with its reader, so that what one side draws the other understands. Which notations fit which
kind of value is decided here and checked when a folder is loaded. Nothing here knows a provider.
"""

from __future__ import annotations

import ast
import base64
import json
import math
import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

Convert = Callable[[Any], Any]


class Unreadable(ValueError):
    """A text does not have the notation its schema announces."""


class Notation(NamedTuple):
    """`write` turns a value of the world into JSON; `read` turns it back, raising `Unreadable`."""

    write: Convert
    read: Convert


def notation(kind: str, types: tuple[str, ...], form: str | None) -> Notation | None:
    """Return how a value of *kind* is written under JSON `type`s and `format`; None if the two do not fit.

    The first type is written, all are read.
    """
    first = types[0] if types else None
    if first is not None and first not in _TYPES.get(kind, types):
        return None
    if form in _FORMS and _FORMS[form] != kind and kind != "json":
        return None
    if kind == "json" and form is not None and ("%" in form or form in ("unixtime", "unixtime-ms", "http-date")):
        # What a document or a fact holds may be a moment; only the wire form can say so.
        kind = "moment"
    if kind == "moment":
        return _moment(first, form)
    if kind == "seconds":
        if form == "float" and first != "integer":
            return Notation(single, float)
        factor = 1000 if form == "milliseconds" else 1
        if form not in (None, "milliseconds"):
            return None
        return Notation(_whole(factor) if first == "integer" else _times(factor), _divided(factor))
    if kind == "share":
        if form == "percent":
            return Notation(_percent, _divided(100))
        if form == "float":
            return Notation(single, float)
        # Bare and whole, a share would be 0 until the very end.
        return Notation(_rounded_share, float) if form is None and first != "integer" else None
    if form == "count":
        return Notation(_count, same)
    if form == "numbers-as-text":
        return Notation(numbers_as_text, same)
    if kind == "number" and form == "double":
        return Notation(same, _point)
    if kind in ("number", "count"):
        if first == "string":
            return Notation(decimal_text, _number)
        return Notation(math.floor if first == "integer" and kind == "number" else same, _number)
    if kind in ("text", "state"):
        if first == "integer":
            return Notation(_integer, as_text)
        return Notation(same, as_text if "integer" in types else same)
    # What a document or a fact holds may be a number or its digits; the type on the wire decides.
    return Notation({"integer": _integer, "string": as_text}.get(first or "", same), same)


FITTING = {
    "moment": "date-time, unixtime, unixtime-ms, http-date or a strftime pattern fits",
    "seconds": "a number without format, or with float or milliseconds, fits",
    "share": "a number without format or with float, or percent, fits",
    "number": "a number fits, or a string for decimal text",
    "count": "an integer fits, or a string for decimal text",
    "text": "a string fits, or an integer for digits",
    "state": "a string fits, or x-map",
    "boolean": "a boolean fits, or x-map",
    "bytes": "a string with format binary, or contentMediaType application/octet-stream, fits",
    "json": "any type fits",
}
"""Kind of value -> what would be right, for refusals."""
_TYPES = {
    "moment": ("string", "integer", "number"),
    "seconds": ("integer", "number"),
    "share": ("integer", "number"),
    "number": ("integer", "number", "string"),
    "count": ("integer", "number", "string"),
    "text": ("string", "integer"),
    "state": ("string",),
    "boolean": ("boolean",),
    "bytes": ("string",),
}
_FORMS = {
    "date-time": "moment",
    "unixtime": "moment",
    "unixtime-ms": "moment",
    "http-date": "moment",
    "milliseconds": "seconds",
    "percent": "share",
}
"""Notations that one kind of value has to itself."""

PYTHON_TEXT = "text/x-python"
JSON_TEXT = "application/json"
JWT = "application/jwt"


_KEPT_TEXTS, _KEPT_TEXT = 64, 16 * 1024
"""So many texts inside texts are remembered, each of so many letters at most."""


def write_inside(media: str, encoding: str | None, value: Any) -> str:
    """Write *value* as the text a string with `contentMediaType` holds (JWT is written by the drawing, which signs)."""
    text = repr(value) if media == PYTHON_TEXT else json.dumps(value, ensure_ascii=False)
    return base64.b64encode(text.encode()).decode() if encoding == "base64" else text


def writer_inside(media: str, encoding: str | None) -> Convert:
    """Return what writes values as `write_inside` does, and remembers the latest: polls show the same prompt each time.

    They are known again by being the same object, so nobody may change them.
    """
    known: dict[int, tuple[Any, str]] = {}

    def write(value: Any) -> str:
        found = known.get(id(value))
        if found is not None and found[0] is value:
            return found[1]
        text = write_inside(media, encoding, value)
        if isinstance(value, dict | list) and len(text) <= _KEPT_TEXT:
            if len(known) >= _KEPT_TEXTS:
                known.clear()
            known[id(value)] = value, text
        return text

    return write


def read_inside(media: str, encoding: str | None, text: Any) -> Any:
    """Read the value out of such a text; raise `Unreadable` with the decoder's own words."""
    if not isinstance(text, str):
        raise Unreadable(f"expected text, got {type(text).__name__}")
    try:
        raw = base64.b64decode(text, validate=True) if encoding == "base64" else text.encode()
        return ast.literal_eval(raw.decode()) if media == PYTHON_TEXT else orjson.loads(raw)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise Unreadable(str(error)) from None


def open_token(text: Any) -> list[Any]:
    """Return header and claims of a JSON Web Token, whoever signed it; raise `Unreadable` if it is none.

    RFC 7519, section 7.2, without its checks of who signed; `jwt.decode_complete` takes ten times as long.
    """
    try:
        header, claims, _ = text.split(".")
        opened = [orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (header, claims)]
    except (ValueError, AttributeError):
        raise Unreadable("is no token") from None
    if not all(isinstance(part, dict) for part in opened):
        raise Unreadable("is no token")
    return opened


def starred(table: Mapping[str, Any]) -> Notation | None:
    """Return the notation of an `x-map` whose one entry has a `*` on both sides, which stands for the same text there.

    `{"pool-*": "*"}` writes the value `pool-a` as `a`, and reads it back. None for any other table.
    """
    if len(table) != 1:
        return None
    ((value, wire),) = table.items()
    if not isinstance(wire, str) or value.count("*") != 1 or wire.count("*") != 1:
        return None
    return Notation(_moved(value, wire), _moved(wire, value))


def _moved(source: str, target: str) -> Convert:
    """Return what takes the text at the star of *source* to that of *target*; a text that does not fit stays."""
    before, _, after = source.partition("*")
    fits = re.compile(re.escape(before) + "(.*)" + re.escape(after), re.DOTALL).fullmatch

    def move(text: Any) -> Any:
        match = fits(str(text))
        return text if match is None else target.replace("*", match[1])

    return move


def decimal_text(value: Any) -> str:
    """Write a number as decimal text without trailing zeros: `8.0` as `"8"` (as stores of decimals do)."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def as_text(value: Any) -> Any:
    """Write a number as its digits; whatever else as it is. `5.0` is an integer in JSON Schema, too."""
    return decimal_text(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def numbers_as_text(value: Any) -> Any:
    """Turn every number in a JSON value into decimal text; booleans stay."""
    if isinstance(value, dict):
        return {name: numbers_as_text(member) for name, member in value.items()}
    if isinstance(value, list):
        return [numbers_as_text(member) for member in value]
    return as_text(value)


def single(value: float) -> float:
    """Round to single precision, as the shortest decimal that says so: 7/15 becomes `0.46666667`."""
    packed = struct.pack("f", value)
    for digits in range(6, 10):
        text = f"{value:.{digits}g}"
        if struct.pack("f", float(text)) == packed:
            return float(text)
    return float(f"{value:.9g}")


def lay_end_to_end(parts: list[Any], forms: list[str]) -> bytes:
    """Lay a tuple out as bytes: `uint32` big-endian, `sized` text or bytes with its length first, `binary` as it is."""
    laid = []
    for part, form in zip(parts, forms, strict=True):
        if form == "uint32":
            laid.append(struct.pack(">I", part))
            continue
        raw = part.encode() if isinstance(part, str) else part
        laid.append(struct.pack(">I", len(raw)) + raw if form == "sized" else raw)
    return b"".join(laid)


def _moment(first: str | None, form: str | None) -> Notation | None:
    if first is not None and (first == "string") != (form not in ("unixtime", "unixtime-ms")):
        return None
    if form == "unixtime":
        return Notation(math.floor, float)
    if form == "unixtime-ms":
        return Notation(lambda moment: math.floor(moment * 1000 + 1e-6), _divided(1000))
    if form == "date-time":
        return _strftime("%Y-%m-%dT%H:%M:%SZ", UTC)
    if form == "http-date":
        return Notation(http_date, lambda text: _parsed(text, "%a, %d %b %Y %H:%M:%S GMT", UTC))
    if form is None or "%" not in form:
        return None
    offset = re.search(r" ([+-])(\d\d):(\d\d)$", form)
    if offset is None:
        return _strftime(form, UTC)
    sign = 1 if offset[1] == "+" else -1
    zone = timezone(sign * timedelta(hours=int(offset[2]), minutes=int(offset[3])))
    return _strftime(form[: offset.start()], zone)


def http_date(moment: float) -> str:
    """Write Unix seconds as `Date` headers do, in English whatever the locale."""
    return _http_date(int(moment))


@lru_cache(maxsize=64)
def _http_date(moment: int) -> str:
    at = datetime.fromtimestamp(moment, UTC)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[at.weekday()]
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[at.month - 1]
    return f"{day}, {at.day:02} {month} {at.year} {at.hour:02}:{at.minute:02}:{at.second:02} GMT"


def _strftime(pattern: str, zone: timezone) -> Notation:
    # Who polls a task is shown the same few moments.
    @lru_cache(maxsize=256)
    def write(moment: float) -> str:
        return datetime.fromtimestamp(moment, zone).strftime(pattern)

    return Notation(write, lambda text: _parsed(text, pattern, zone))


def _parsed(text: Any, pattern: str, zone: timezone) -> float:
    try:
        return datetime.strptime(text, pattern).replace(tzinfo=zone).timestamp()
    except (ValueError, TypeError) as error:
        raise Unreadable(str(error)) from None


def same(value: Any) -> Any:
    return value


def _integer(value: Any) -> Any:
    return int(value) if isinstance(value, str) and re.fullmatch("-?[0-9]{1,4300}", value) else value


def _count(value: Any) -> int:
    return len(value)


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return float(value) if any(sign in value for sign in ".eE") else int(value)
    except ValueError:
        raise Unreadable(f"{value!r} is no number") from None


def _point(value: Any) -> Any:
    """Read a number, or a text of one, as one with a point: `"7"` as 7.0."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Unreadable(f"{value!r} is no number") from None


def _percent(share: float) -> int:
    # A share of 0.29 times 100 is 28.999... in binary; the small push keeps 29 while never reaching 100 early.
    return math.floor(share * 100 + 1e-9)


def _rounded_share(share: float) -> float:
    return round(share, 6)


def _times(factor: int) -> Convert:
    return lambda seconds: seconds * factor


def _whole(factor: int) -> Convert:
    return lambda seconds: math.floor(seconds * factor + 1e-6)


def _divided(factor: int) -> Convert:
    def read(number: Any) -> float:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise Unreadable(f"{number!r} is no number")
        return number / factor

    return read
