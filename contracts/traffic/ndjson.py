"""Our own recordings: one exchange a line, as `/_mock/exchanges` gives them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from mockserver.errors import UserError
from mockserver.exchange import Exchange, Frame


def read(path: Path) -> Iterator[Exchange]:
    """Yield the exchanges of a file, holding one line at a time."""
    with path.open("rb") as file:
        yield from exchanges(file, name=str(path))


def exchanges(lines: Iterable[bytes], *, name: str, first: int = 1) -> Iterator[Exchange]:
    """Yield the exchanges of *lines*; *name* and the number of the *first* are for errors."""
    for number, line in enumerate(lines, first):
        if line == b"\n":
            continue
        try:
            yield exchange(orjson.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            problem = f"{error!r} is missing" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{name}, line {number}, is no exchange: {problem}") from None


def exchange(line: Mapping[str, Any]) -> Exchange:
    """Return an exchange from its JSON form."""
    request, answer = line["request"], line["response"]
    frames = line.get("frames")
    # Lists of pairs as JSON has them: nobody changes them, and copies would be a tenth of the reading.
    return Exchange(
        line["number"],
        line["provider"],
        line["operation"],
        line["at"],
        request["method"],
        request["host"],
        request["path"],
        request["query"],
        request["headers"],
        request["body"].encode() if "body" in request else base64.b64decode(request["base64"]),
        answer["status"],
        answer["headers"],
        answer["body"].encode() if "body" in answer else base64.b64decode(answer["base64"]),
        tuple([_frame(one) for one in frames]) if frames else (),
    )


def _frame(line: dict[str, Any]) -> Frame:
    data = line["body"] if "body" in line else base64.b64decode(line["base64"])
    return Frame(line["at"], line["sent"], data)
