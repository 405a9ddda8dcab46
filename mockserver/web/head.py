"""The head of a request: all but its body. Nothing of it is worked out before somebody asks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Scope


class Headers(dict[str, str]):
    """The headers of a request by lower-case name; of several of one name the last. Not to be changed.

    A client sends the same headers again and again, and every exchange that is kept holds them: they are decoded once,
    and everybody shares them, which is half the memory of a poll.
    """

    __slots__ = ("pairs", "understood")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self.pairs = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw])
        """All of them, in order."""
        super().__init__(self.pairs)
        self.understood: dict[Any, Any] = {}
        """What came with them before: the rest of a request -> what it means. Whoever adds to it bounds it."""


# A server takes heads of up to 64 KB, so this is 16 MB at the very worst.
_headers = lru_cache(maxsize=256)(Headers)


class Head:
    """Method, headers and query of a request, and by what address the caller reached us."""

    __slots__ = ("_scope", "headers", "method", "query_string")

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope.get("method", "GET")
        self.headers: Headers = _headers(tuple(scope["headers"]))
        self.query_string: str = scope["query_string"].decode("latin-1")
        self._scope = scope

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All headers, in order."""
        return self.headers.pairs

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query_string, keep_blank_values=True) if self.query_string else []

    @property
    def host(self) -> str:
        return self.headers.get("host", "")

    @property
    def base(self) -> str:
        """By what the caller reached us: `http://127.0.0.1:8787`."""
        scheme = self._scope.get("scheme", "http")
        scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
        if self.host:
            return f"{scheme}://{self.host}"
        server: Any = self._scope.get("server") or ("127.0.0.1", 80)
        return f"{scheme}://{server[0]}:{server[1]}"
