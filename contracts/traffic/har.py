"""HAR: what browsers, proxies and DevTools export, with `_webSocketMessages`; also as mitmproxy writes it.

The array of entries is read one entry at a time, so that a large file takes no more memory than a small one.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from mockserver.errors import UserError
from mockserver.exchange import Exchange, Frame

CHUNK = 1024 * 1024
ENTRIES = re.compile(r'"entries"\s*:\s*\[')
BETWEEN = re.compile(r"[\s,]*")


def read(path: Path) -> Iterator[Exchange]:
    """Yield the exchanges of a file, holding one entry at a time."""
    for number, entry in enumerate(entries(path), 1):
        try:
            yield exchange(entry, number)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{path}, entry {number}, is none of HAR: {problem}") from None


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the members of `log.entries`."""
    decoder = json.JSONDecoder()
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        held = ""
        while (start := ENTRIES.search(held)) is None:
            chunk = file.read(CHUNK)
            if not chunk:
                raise UserError(f"{path} is HAR without entries")
            held += chunk
        at, more, ended = start.end(), CHUNK, False
        while True:
            at = BETWEEN.match(held, at).end()  # type: ignore[union-attr]  # it matches the empty text too
            if held[at : at + 1] == "]":
                return
            try:
                entry, at = decoder.raw_decode(held, at)
            except ValueError:
                if ended:
                    raise UserError(f"{path} ends, or breaks off, within an entry") from None
                chunk = file.read(more)
                ended = not chunk
                held, at = held[at:] + chunk, 0
                more *= 2  # an entry longer than what is held is tried again only a few times
                continue
            yield entry
            more = CHUNK
            if at > CHUNK:
                held, at = held[at:], 0


def exchange(entry: dict[str, Any], number: int) -> Exchange:
    """Return an exchange from an entry of HAR."""
    request, answer = entry["request"], entry["response"]
    url = urlsplit(request["url"])
    body = _request_body(request.get("postData") or {})
    content = answer.get("content") or {}
    got = _content(content)
    headers = _headers(answer.get("headers"))
    if any(name == "content-encoding" for name, _ in headers):
        # The text is what was unpacked; the length is that of the packed.
        headers = [pair for pair in headers if pair[0] not in ("content-encoding", "content-length")]
    if not got and (content.get("size") or 0) > 0:
        headers = [*(pair for pair in headers if pair[0] != "content-length"), ("content-length", str(content["size"]))]
    if content.get("mimeType") and not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", content["mimeType"]))
    frames = tuple(_frame(one) for one in entry.get("_webSocketMessages") or ())
    socket = url.scheme in ("ws", "wss") or bool(frames)
    return Exchange(
        number=number,
        provider="",
        operation=None,
        at=_moment(entry.get("startedDateTime")),
        method=request["method"].upper(),
        host=url.netloc,
        path=url.path or "/",
        query=url.query,
        request_headers=tuple(_headers(request.get("headers"))),
        request_body=body,
        status=101 if socket and answer.get("status") in (0, 200, 101) else int(answer.get("status") or 0),
        response_headers=tuple(headers),
        response_body=got,
        frames=frames,
    )


def _headers(listed: Any) -> list[tuple[str, str]]:
    return [(one["name"].lower(), str(one["value"])) for one in listed or () if not one["name"].startswith(":")]


def _request_body(posted: dict[str, Any]) -> bytes:
    text = posted.get("text")
    if text:
        return base64.b64decode(text) if posted.get("encoding") == "base64" else str(text).encode()
    params = posted.get("params")
    return urlencode([(one["name"], one.get("value") or "") for one in params]).encode() if params else b""


def _content(content: dict[str, Any]) -> bytes:
    text = content.get("text") or ""
    if content.get("encoding") != "base64":
        return str(text).encode()
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""


def _frame(message: dict[str, Any]) -> Frame:
    text = str(message.get("data") or "")
    data: str | bytes = text
    if message.get("opcode") == 2:
        try:
            data = base64.b64decode(text)
        except binascii.Error:
            data = text.encode()
    return Frame(float(message.get("time") or math.nan), message.get("type") == "receive", data)


def _moment(text: Any) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return math.nan
