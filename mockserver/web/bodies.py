"""Request bodies: received within a limit, and parsed as the operation's media type says.

What cannot be parsed is refused in the provider's own form (`not-json`, `not-multipart`, `body-too-large`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import FormParser, parse_options_header
from starlette.types import Receive

from mockserver.errors import Refused
from mockserver.provider.model import NOTHING, Operation, Part

# Ten 1024-pixel PNGs as base64 fit in here; a runaway upload does not.
JSON_LIMIT = 16 * 1024 * 1024
# The original ComfyUI server takes uploads of 100 MB.
UPLOAD_LIMIT = 100 * 1024 * 1024
MAX_FIELDS = 1000
# Real workflows nest a dozen levels; Python, which has to draw and to quote a value, gives up at a thousand.
DEEPEST = 500

BYTES = "application/octet-stream"


class Disconnected(Exception):
    """The client went away before its request was whole."""


async def receive_body(receive: Receive, headers: Mapping[str, str], *, limit: int) -> bytes:
    """Receive a whole body; raise `Refused("body-too-large")` beyond *limit* bytes, without keeping them."""
    announced = headers.get("content-length", "")
    too_large = announced.isdigit() and int(announced) > limit
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False) and not too_large and len(body) <= limit:
        return body
    chunks, size = [body], len(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        too_large = too_large or size > limit
        if too_large:
            chunks.clear()  # read on, so that the client hears the refusal, but keep nothing
        else:
            chunks.append(chunk)
        if size > 4 * limit:
            break
    if too_large or size > limit:
        raise Refused("body-too-large", {"limit.bytes": limit})
    return b"".join(chunks)


def parse_body(operation: Operation, body: bytes, headers: Mapping[str, str]) -> Any:
    """Parse *body* as *operation* expects it; `NOTHING` when there is none."""
    if not operation.media:
        return NOTHING
    media = operation.media[0]
    if media == "multipart/form-data":
        return _multipart(body, headers.get("content-type", ""))
    if media in (BYTES, "*/*") or media.startswith("image/"):
        return Part(body, "", headers.get("content-type", ""))
    if not body:
        if operation.body_required:
            raise Refused("body-missing", {"violation.text": "the body is missing"})
        return NOTHING
    try:
        value = orjson.loads(body)
    except ValueError:
        value = _second_opinion(body)
    if body.count(b"[") + body.count(b"{") > DEEPEST:
        _check_depth(value)
    return value


def _second_opinion(body: bytes) -> Any:
    """Take what Python's own parser takes (integers beyond 64 bits), and word the refusal as it does.

    Half a surrogate pair, which is no text, becomes U+FFFD, as Go reads it. `NaN` and infinity are not JSON.
    """
    try:
        value = json.loads(body, parse_constant=_no_number)
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError) as error:
        text = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Refused("not-json", {"violation.text": text}) from None


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise Refused("not-json", {"violation.text": f"nested more than {DEEPEST} levels deep"})


def _multipart(body: bytes, content_type: str) -> dict[str, Any]:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise Refused("not-multipart", {"violation.text": f"Content-Type {content_type!r} is not multipart/form-data"})
    boundary = options.get(b"boundary")
    if not boundary:
        raise Refused("not-multipart", {"violation.text": "no boundary in Content-Type"})
    fields: dict[str, Any] = {}

    def on_field(field: Any) -> None:
        if len(fields) < MAX_FIELDS:
            fields.setdefault(_text(field.field_name), _text(field.value))

    def on_file(file: Any) -> None:
        file.file_object.seek(0)
        if len(fields) < MAX_FIELDS:
            part = Part(file.file_object.read(), _text(file.file_name), file.content_type or "")
            fields.setdefault(_text(file.field_name), part)
        file.close()

    parser = FormParser(
        "multipart/form-data",
        on_field,
        on_file,
        boundary=boundary,
        config={"MAX_MEMORY_FILE_SIZE": UPLOAD_LIMIT, "MAX_BODY_SIZE": UPLOAD_LIMIT},
    )
    try:
        parser.write(body)
        parser.finalize()
    except (FormParserError, MultipartParseError, ValueError) as error:
        raise Refused("not-multipart", {"violation.text": str(error)}) from None
    finally:
        parser.close()
    if not body.rstrip().endswith(b"--" + boundary + b"--"):
        raise Refused("not-multipart", {"violation.text": "the body ends before its last boundary"})
    return fields


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")
