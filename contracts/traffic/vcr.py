"""Cassettes of VCR.py, YAML or JSON, read by the safe loader only.

Their moments are those of `Date` headers, if any.
"""

from __future__ import annotations

import base64
import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from mockserver.errors import UserError
from mockserver.exchange import Exchange

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path) -> Iterator[Exchange]:
    """Yield the interactions of a cassette."""
    try:
        cassette = yaml.load(path.read_bytes(), Loader=LOADER)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {str(error).splitlines()[0]}") from None
    interactions = cassette.get("interactions") if isinstance(cassette, dict) else None
    if not isinstance(interactions, list):
        raise UserError(f"{path} is no cassette: it has no list 'interactions'")
    for number, one in enumerate(interactions, 1):
        try:
            yield exchange(one, number)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{path}, interaction {number}, is none of VCR.py: {problem}") from None


def exchange(one: dict[str, Any], number: int) -> Exchange:
    """Return an exchange from an interaction."""
    request, answer = one["request"], one["response"]
    url = urlsplit(request.get("uri") or request["url"])
    headers = _headers(answer.get("headers"))
    body, headers = _unpacked(_bytes(answer.get("body")), headers)
    status = answer["status"]
    return Exchange(
        number=number,
        provider="",
        operation=None,
        at=_moment(dict(headers).get("date")),
        method=str(request["method"]).upper(),
        host=url.netloc,
        path=url.path or "/",
        query=url.query,
        request_headers=tuple(_headers(request.get("headers"))),
        request_body=_bytes(request.get("body")),
        status=int(status["code"] if isinstance(status, dict) else status),
        response_headers=tuple(headers),
        response_body=body,
    )


def _headers(given: Any) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, values in (given or {}).items():
        pairs.extend((str(name).lower(), str(value)) for value in (values if isinstance(values, list) else [values]))
    return pairs


def _bytes(body: Any) -> bytes:
    if isinstance(body, dict):
        if body.get("base64_string") is not None:
            return base64.b64decode(body["base64_string"])
        body = body.get("string")
    if body is None:
        return b""
    return body if isinstance(body, bytes) else str(body).encode()


def _unpacked(body: bytes, headers: list[tuple[str, str]]) -> tuple[bytes, list[tuple[str, str]]]:
    packing = dict(headers).get("content-encoding")
    if packing not in ("gzip", "deflate"):
        return body, headers
    with suppress(OSError, EOFError, zlib.error):  # some are recorded unpacked, header and all
        body = gzip.decompress(body) if packing == "gzip" else zlib.decompress(body)
    return body, [pair for pair in headers if pair[0] not in ("content-encoding", "content-length")]


def _moment(date: str | None) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() if date else math.nan
    except ValueError:
        return math.nan
