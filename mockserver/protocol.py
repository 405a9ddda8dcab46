"""HTTP/1.1 on one connection: uvicorn's, but what has to wait for nothing is answered at once.

uvicorn starts a task for each request before its body has come, and writes an answer in two pieces; for a poll that is
half of all it costs. Here a request that is small and whole is offered to the application as it is. If that has the
answer, it goes out in one piece; if not, or where anything is unusual (an upgrade, HTTP/1.0, an answer still under
way), the request goes uvicorn's usual way, from its beginning.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast
from urllib.parse import unquote

from starlette.types import Scope

from mockserver.web.head import Head

if TYPE_CHECKING:
    import asyncio

    import uvicorn

SMALL = 64 * 1024
"""Bytes of the largest body that is waited for before the request is offered."""


class Prompting(Protocol):
    """An application that may have an answer at once: `web.app.Application`, or what stands before it."""

    def head(self, scope: Scope) -> Head: ...
    def at_once(self, head: Head, body: bytes) -> bytes | None: ...


@functools.cache
def protocol() -> type[asyncio.Protocol] | Literal["auto"]:
    """Return what uvicorn is to speak HTTP with; its own choice where httptools is not installed."""
    try:
        import httptools
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:  # PyPy, Windows
        return "auto"

    class Prompt(HttpToolsProtocol):
        """A connection."""

        def __init__(self, config: uvicorn.Config, *arguments: Any, **named: Any) -> None:
            super().__init__(config, *arguments, **named)
            app: Any = config.app
            self._prompting: Prompting | None = app if hasattr(app, "at_once") else None
            self._known: tuple[bytes, bytes, list[tuple[bytes, bytes]], Head] | None = None
            """Method, address and headers of the latest request of its kind: a client that polls sends them again."""
            self._body: bytes | None = None
            """So much of the body of a request that may be answered at once; None while there is no such request."""

        def on_headers_complete(self) -> None:
            if self._prompting is not None and self._is_usual():
                self._body = b""
            else:
                super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if self._body is None:
                super().on_body(body)
                return
            self._body = self._body + body if self._body else body
            if len(self._body) > SMALL:
                self._go_on()

        def on_message_complete(self) -> None:
            if self._body is not None:
                answer = self._answer(self._body)
                if answer is not None:
                    self._body = None
                    self.transport.write(answer)
                    self.on_response_complete()
                    return
                self._go_on()
            super().on_message_complete()

        def _is_usual(self) -> bool:
            """Tell whether nothing is under way, and the connection stays open."""
            parser, cycle = self.parser, cast("Any", self.cycle)  # None before the first that went uvicorn's way
            return (
                (cycle is None or cycle.response_complete)
                and not self.flow.write_paused
                and not self.expect_100_continue
                and not self.transport.is_closing()
                and parser.should_keep_alive()
                and not parser.should_upgrade()
                and bool(parser.get_http_version() == "1.1")
            )

        def _answer(self, body: bytes) -> bytes | None:
            assert self._prompting is not None
            method, known = self.parser.get_method(), self._known
            if known is None or (method, self.url, self.headers) != known[:3]:
                head = self._prompting.head(self._scope(method))
                known = self._known = method, self.url, self.headers, head
            return self._prompting.at_once(known[3], body)

        def _scope(self, method: bytes) -> Scope:
            url = httptools.parse_url(self.url)
            raw: bytes = url.path
            path = raw.decode("ascii")
            return {
                **self.scope,
                "method": method.decode("ascii"),
                "path": unquote(path) if "%" in path else path,
                "raw_path": raw,
                "query_string": url.query or b"",
            }

        def _go_on(self) -> None:
            """Have uvicorn do what it does of a request whose head and first bytes are here."""
            body, self._body = self._body, None
            super().on_headers_complete()
            if body:
                super().on_body(body)

    return Prompt
