"""Exchanges as HAR 1.2, with WebSocket messages as browsers write them (`_webSocketMessages`).

Moments are those of the world's clock; durations are not measured and are 0, and what HAR wants to know and the record
does not is -1, as the format says. Source: http://www.softwareishard.com/blog/har-12-spec/; the WebSocket convention is
Chrome's: `send` is what the client sent, opcode 1 text, 2 bytes in base64.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from mockserver.exchange import Exchange, Frame

PACKAGE = "comfy-mockserver"


def log(exchanges: Iterable[Exchange]) -> dict[str, Any]:
    """Return a HAR document of *exchanges*, redacted or not as they are given."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        made_by = version(PACKAGE)
    except PackageNotFoundError:  # run from a folder that was never installed
        made_by = "0"
    entries = [_entry(one) for one in exchanges]
    return {"log": {"version": "1.2", "creator": {"name": PACKAGE, "version": made_by}, "entries": entries}}


def _entry(one: Exchange) -> dict[str, Any]:
    headers = dict(one.request_headers)
    scheme = "ws" if one.status == 101 else "http"
    query = f"?{one.query}" if one.query else ""
    entry: dict[str, Any] = {
        "startedDateTime": datetime.fromtimestamp(one.at, UTC).isoformat(timespec="milliseconds"),
        "time": 0,
        "request": {
            "method": one.method,
            "url": f"{scheme}://{one.host}{one.mount}{one.path}{query}",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _pairs(one.request_headers),
            "queryString": _pairs(parse_qsl(one.query, keep_blank_values=True)),
            "headersSize": -1,
            "bodySize": len(one.request_body),
        },
        "response": {
            "status": one.status,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _pairs(one.response_headers),
            "content": _content(one),
            "redirectURL": dict(one.response_headers).get("location", ""),
            "headersSize": -1,
            "bodySize": len(one.response_body),
        },
        "cache": {},
        "timings": {"send": 0, "wait": 0, "receive": 0},
        "_provider": one.provider,
        "_operation": one.operation,
        "_tasks": list(one.tasks),
        "_rules": list(one.rules),
    }
    if one.request_body:
        body = _text(one.request_body)
        media = headers.get("content-type", "application/octet-stream")
        entry["request"]["postData"] = {"mimeType": media, "params": [], **body}
    if one.status == 101:
        entry["_resourceType"] = "websocket"
        entry["_webSocketMessages"] = [_message(frame) for frame in one.frames]
    return entry


def _content(one: Exchange) -> dict[str, Any]:
    media = dict(one.response_headers).get("content-type", "x-unknown")
    return {"size": len(one.response_body), "mimeType": media, **_text(one.response_body)}


def _text(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body).decode(), "encoding": "base64"}


def _message(frame: Frame) -> dict[str, Any]:
    text = isinstance(frame.data, str)
    data = frame.data if isinstance(frame.data, str) else base64.b64encode(frame.data).decode()
    return {"type": "receive" if frame.sent else "send", "time": frame.at, "opcode": 1 if text else 2, "data": data}


def _pairs(pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]
