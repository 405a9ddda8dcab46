"""The head of a request: all but its body. Nothing of it is worked out before somebody asks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.types import Scope

from mockserver.provider.model import Json, Marks

if TYPE_CHECKING:
    from mockserver.web.emulator import Place

WORLD = "mockserver.world"
"""Key of an ASGI scope: id of the world, and name of the provider, whose own port the connection came by."""


class Headers(dict[str, str]):
    """The headers of a request by lower-case name; of several of one name the last. Not to be changed.

    A client sends the same headers again and again, and every exchange that is kept holds them: they are decoded once,
    and everybody shares them, which is half the memory of a poll.
    """

    __slots__ = ("pairs", "size")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self.pairs = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw])
        """All of them, in order."""
        super().__init__(self.pairs)
        self.size = sum([len(value) for _, value in self.pairs])
        """Bytes of all values."""


# A server takes heads of up to 64 KB, so this is 16 MB at the very worst.
_headers = lru_cache(maxsize=256)(Headers)


class Head:
    """Method, address, headers and query of a request, and by what address the caller reached us.

    The head of a request that comes again on its connection is the same: whoever answers may keep here what it found
    out about it.
    """

    __slots__ = ("_scope", "at", "headers", "host", "method", "path", "place", "query_string", "raw", "understood")

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope.get("method", "GET")
        self.path: str = scope["path"]
        self.raw: str = scope.get("raw_path", self.path.encode()).decode("latin-1").partition("?")[0]
        """The path as it was sent, percent-encoded."""
        self.headers: Headers = _headers(tuple(scope["headers"]))
        self.host: str = self.headers.get("host", "")
        self.query_string: str = scope["query_string"].decode("latin-1")
        self.at: tuple[str, str] | None = scope.get(WORLD)
        """World and provider by whose own port it came."""
        self.place: Place | None = None
        """Where it led when it was last looked for."""
        self.understood: dict[bytes, tuple[Json, Marks]] = {}
        """A body that came with it -> what it means. Whoever adds to it bounds it."""
        self._scope = scope

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All headers, in order."""
        return self.headers.pairs

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query_string, keep_blank_values=True) if self.query_string else []

    @property
    def base(self) -> str:
        """By what the caller reached us: `http://127.0.0.1:8787`."""
        scheme = self._scope.get("scheme", "http")
        scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
        if self.host:
            return f"{scheme}://{self.host}"
        server: Any = self._scope.get("server") or ("127.0.0.1", 80)
        return f"{scheme}://{server[0]}:{server[1]}"
