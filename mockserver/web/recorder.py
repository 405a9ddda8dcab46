"""What crossed the wire, kept within bounds: the exchanges, and the problems worth a look.

Credentials are redacted when traffic is shown or exported. One list decides both what authenticates and what is
redacted: the security schemes and token schemas of the provider.
"""

from __future__ import annotations

import base64
import functools
import logging
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, urlencode

from mockserver.exchange import Exchange, Frame
from mockserver.storage.signing import SCHEMES
from mockserver.web.credentials import scheme_of
from mockserver.world.budget import Account, Budget

log = logging.getLogger("mockserver")

KEPT_BYTES = 64 * 1024 * 1024
"""How much traffic one world keeps; the oldest goes first."""
KEPT_BODY = 256 * 1024
"""Bodies are kept up to this many bytes."""
KEPT_FRAMES = 4 * 1024 * 1024
"""Frames of one connection are kept up to this many bytes, the newest."""
KEPT_PROBLEMS = 1024 * 1024
"""Bytes of problems, the newest."""
REDACTED = "***"
USUAL_HEADERS = ("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key")
USUAL_QUERIES = ("api_key", "apikey", "access_token")
"""Where clients put keys, whether the provider takes them there or not."""
OVERHEAD = 1000
FRAME_OVERHEAD = 150

T = TypeVar("T")


class Newest(Generic[T]):
    """The newest of what is added, up to so many bytes; `gone` counts what went."""

    def __init__(self, most: int, size: Callable[[T], int], budget: Budget | None = None) -> None:
        self._kept: deque[T] = deque()
        self._sizes: deque[int] = deque()
        self._size, self._room = size, Account(most, budget)
        self.gone = 0

    def add(self, one: T, size: int | None = None) -> None:
        size = self._size(one) if size is None else size
        self._kept.append(one)
        self._sizes.append(size)
        over = self._room.change(size)
        while over and len(self._kept) > 1:
            self._kept.popleft()
            over = self._room.change(-self._sizes.popleft())
            self.gone += 1

    def clear(self) -> None:
        self._kept.clear()
        self._sizes.clear()
        self._room.change(-self._room.held)
        self.gone = 0

    def close(self) -> None:
        """Give its room back: nothing is added any more."""
        self.clear()
        self._room.close()

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)


class Frames(Newest[Frame]):
    """The frames of one connection, within bounds."""

    def __init__(self) -> None:
        super().__init__(KEPT_FRAMES, lambda frame: FRAME_OVERHEAD + len(frame.data))


class Recorder:
    """The exchanges and problems of one world."""

    def __init__(self, most: int = KEPT_BYTES, budget: Budget | None = None) -> None:
        self._exchanges = Newest[Exchange](most, _size, budget)
        self.problems = Newest[dict[str, Any]](KEPT_PROBLEMS, _size_of_problem, budget)
        self.count = 0

    def next_number(self) -> int:
        self.count += 1
        return self.count

    def keep(self, exchange: Exchange, of_headers: int | None = None) -> None:
        """Keep *exchange*, cutting bodies, and let the oldest go where the bound asks for it.

        Args:
            of_headers: bytes of the request's headers where they were counted before.
        """
        if len(exchange.request_body) > KEPT_BODY or len(exchange.response_body) > KEPT_BODY:
            exchange = exchange._replace(
                request_body=exchange.request_body[:KEPT_BODY],
                response_body=exchange.response_body[:KEPT_BODY],
            )
        self._exchanges.add(exchange, _size(exchange, of_headers))

    def since(self, number: int) -> Iterator[Exchange]:
        """Yield the kept exchanges with a number above *number*, oldest first."""
        return (exchange for exchange in self._exchanges if exchange.number > number)

    def lost(self, number: int) -> int:
        """Return how many exchanges after *number* are gone; those under way count as kept."""
        return max(0, self._exchanges.gone - number)

    def newest(self, number: int, limit: int | None = None) -> list[Exchange]:
        """Return the newest exchanges with a number above *number*, at most *limit*, oldest first."""
        found: list[Exchange] = []
        for exchange in reversed(tuple(self._exchanges)):
            if exchange.number <= number or len(found) == limit:
                break
            found.append(exchange)
        return found[::-1]

    def problem(self, **facts: Any) -> None:
        """Note something a person should look at: what, where, what was found, what would be right."""
        if log.isEnabledFor(logging.INFO):
            told = " ".join(f"{name}={value!r}" for name, value in facts.items() if value is not None)
            log.info("problem: %s", told)
        self.problems.add({**facts, "after": self.count})

    def clear(self) -> None:
        self._exchanges.clear()
        self.problems.clear()
        self.count = 0

    def close(self) -> None:
        """Give its room back: its world is no more."""
        self._exchanges.close()
        self.problems.close()


class Secrets:
    """The names that carry credentials, by the files of the providers served; looked for at the first use."""

    def __init__(self, documents: Sequence[Mapping[str, Any]]) -> None:
        self._documents = documents

    @functools.cached_property
    def _names(self) -> tuple[frozenset[str], frozenset[str], tuple[re.Pattern[bytes], ...], tuple[bytes, ...]]:
        """Headers, query parameters, and patterns of what bodies hold: members, and parameters of addresses.

        Last what bodies hold one of where a pattern fits, in lower case: to look for these is a tenth of the work.
        """
        headers, queries, members = {*USUAL_HEADERS}, {*USUAL_QUERIES}, set[str]()
        for files in self._documents:
            for scheme in files["openapi.json"].get("components", {}).get("securitySchemes", {}).values():
                if scheme.get("type") == "apiKey":
                    (headers if scheme.get("in") == "header" else queries).add(scheme["name"].lower())
                if "x-scheme" in scheme:
                    # What a procedure cannot do without authenticates too.
                    headers.update(getattr(SCHEMES[scheme_of(scheme)], "required", ()))
            _token_names(files, members)
            for channel in files.get("asyncapi.json", {}).get("channels", {}).values():
                query = channel.get("bindings", {}).get("ws", {}).get("query", {})
                queries |= {name.lower() for name in query.get("properties", {}) if name.lower() != "clientid"}
        named = "|".join(map(re.escape, sorted(queries))).encode()
        patterns = [re.compile(rb"((?:[?&;]|\\u0026)(?:" + named + rb')=)[^&"\\<>\s]+', re.IGNORECASE)]
        if members:
            named = "|".join(map(re.escape, sorted(members))).encode()
            patterns.append(re.compile(rb'("(?:' + named + rb')"\s*:\s*")[^"]*'))
        signs = (
            *(f"{name}=".encode() for name in sorted(queries)),
            *(name.lower().encode() for name in sorted(members)),
        )
        return frozenset(headers), frozenset(queries), tuple(patterns), signs

    @property
    def headers(self) -> frozenset[str]:
        return self._names[0]

    @property
    def queries(self) -> frozenset[str]:
        return self._names[1]

    def redacted(self, exchange: Exchange) -> Exchange:
        """Return *exchange* with every credential replaced by `***`."""
        return exchange._replace(
            query=self._query(exchange.query),
            request_headers=self._headers(exchange.request_headers),
            response_headers=self._headers(exchange.response_headers),
            request_body=self._body(exchange.request_body),
            response_body=self._body(exchange.response_body),
            frames=tuple(self._frame(frame) for frame in exchange.frames),
        )

    def _frame(self, frame: Frame) -> Frame:
        if isinstance(frame.data, bytes):
            return frame
        return frame._replace(data=self._body(frame.data.encode()).decode())

    def _headers(self, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        hidden = self.headers
        return tuple([(header[0], REDACTED) if header[0] in hidden else header for header in headers])

    def _query(self, query: str) -> str:
        if not query:
            return query
        pairs = parse_qsl(query, keep_blank_values=True)
        if not any(name.lower() in self.queries for name, _ in pairs):
            return query
        return urlencode(
            [(name, REDACTED if name.lower() in self.queries else value) for name, value in pairs], safe="*"
        )

    def _body(self, body: bytes) -> bytes:
        *_, patterns, signs = self._names
        lower = body.lower()
        if not any(sign in lower for sign in signs):
            return body
        for pattern in patterns:
            body = pattern.sub(rb"\g<1>" + REDACTED.encode(), body)
        return body


def as_json(exchange: Exchange) -> dict[str, Any]:
    """Render an exchange as a line of NDJSON; bodies as text, or base64 where they are no text."""
    return {
        "number": exchange.number,
        "provider": exchange.provider,
        "operation": exchange.operation,
        "at": exchange.at,
        "tasks": list(exchange.tasks),
        "rules": list(exchange.rules),
        "request": {
            "method": exchange.method,
            "host": exchange.host,
            "path": exchange.path,
            "query": exchange.query,
            "headers": [list(pair) for pair in exchange.request_headers],
            **_body(exchange.request_body),
        },
        "response": {
            "status": exchange.status,
            "headers": [list(pair) for pair in exchange.response_headers],
            **_body(exchange.response_body),
        },
        "frames": [
            {
                "at": frame.at,
                "sent": frame.sent,
                **_body(frame.data.encode() if isinstance(frame.data, str) else frame.data),
            }
            for frame in exchange.frames
        ],
    }


def _body(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def _size(exchange: Exchange, of_headers: int | None = None) -> int:
    if of_headers is None:
        of_headers = sum([len(value) for _, value in exchange.request_headers])
    size = OVERHEAD + of_headers + len(exchange.request_body) + len(exchange.response_body) + len(exchange.query)
    for frame in exchange.frames:
        size += FRAME_OVERHEAD + len(frame.data)
    return size


def _size_of_problem(problem: Mapping[str, Any]) -> int:
    return OVERHEAD // 2 + sum(len(value) for value in problem.values() if isinstance(value, str))


def _token_names(value: Any, found: set[str]) -> None:
    """Collect the names of properties that hold tokens, references followed one step by name."""
    if not isinstance(value, Mapping):
        return
    schemas = value.get("openapi.json", {}).get("components", {}).get("schemas", {})
    tokens = {name for name, schema in schemas.items() if schema.get("contentMediaType") == "application/jwt"}

    def look(node: Any) -> None:
        if isinstance(node, Mapping):
            for name, member in (
                node.get("properties", {}).items() if isinstance(node.get("properties"), Mapping) else ()
            ):
                if isinstance(member, Mapping) and (
                    member.get("contentMediaType") == "application/jwt"
                    or str(member.get("$ref", "")).rsplit("/", 1)[-1] in tokens
                ):
                    found.add(name)
            for member in node.values():
                look(member)
        elif isinstance(node, list):
            for member in node:
                look(member)

    look(value.get("openapi.json"))
