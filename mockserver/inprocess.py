"""Clients without sockets: httpx, respx, requests and aiohttp meet the application under the real host names.

The first three call it in its thread; aiohttp speaks HTTP itself, and does so through a pipe of this process.

A call that the world holds (an answer that comes when a task has ended) makes the world jump there: the caller's thread
waits, so nobody else would turn the clock.
"""

from __future__ import annotations

import asyncio
import errno
import io
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, MutableMapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import httpx
from starlette.types import Receive, Scope, Send

from mockserver.virtual_time import real_time, wait_for_server
from mockserver.web.head import WORLD
from mockserver.web.push import LEAPS

if TYPE_CHECKING:
    import aiohttp
    import requests
    import requests.adapters
    import respx

    from mockserver.server import Running

CUT = "the connection was closed before the answer was whole"

Message = dict[str, Any]
Headers = Sequence[tuple[bytes, bytes]]


class Caller:
    """Calls the application of a server in this process, in one of its worlds.

    Args:
        provider: whose root it is where a host name is nobody's.
        hosts: the host names answered for.
    """

    def __init__(self, running: Running, world: str, provider: str, hosts: Iterable[str]) -> None:
        assert running.server is not None
        self.hosts = frozenset(hosts)
        self._at = (world, provider)
        self._server, self._loop = running.server, running.server.loop

    def check(self, host: str | None) -> None:
        """Raise `ConnectionRefusedError` for a host name that nobody answers for."""
        if host not in self.hosts:
            raise ConnectionRefusedError(
                f"{host!r} is not emulated; without sockets these are: {', '.join(sorted(self.hosts))}"
            )

    def connect(self, *, secure: bool) -> socket.socket:
        """Return the client's end of a pipe to the server; *secure*: that the client takes it for TLS."""
        ours, theirs = socket.socketpair()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scheme = {"http": "https", "websocket": "wss"}[scope["type"]] if secure else scope["scheme"]
            await self._serve({**scope, "scheme": scheme, WORLD: self._at}, receive, send)

        self._server.take(theirs, app)
        return ours

    def start(self, method: str, url: str, headers: Headers, body: bytes, heard: Callable[[Any], None]) -> Call:
        """Begin a call; *heard* is called in the server's thread with each ASGI message, then None or an exception.

        Raises:
            ConnectionRefusedError: nobody of that name is here.
        """
        parts = urlsplit(url)
        self.check(parts.hostname)
        lower = [(name.lower(), value) for name, value in headers]
        if not any(name == b"host" for name, _ in lower):
            lower.append((b"host", parts.netloc.rpartition("@")[2].encode()))
        path = parts.path or "/"
        scope: Message = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": parts.scheme,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": lower,
            "client": ("127.0.0.1", 1),
            "server": (parts.hostname, parts.port or 443),
            WORLD: self._at,
        }
        call = Call(scope, body, heard)
        asyncio.run_coroutine_threadsafe(self._run(call), self._loop)
        call.stop = lambda: self._loop.call_soon_threadsafe(call.gone.set)
        return call

    async def _run(self, call: Call) -> None:
        try:
            await self._serve(call.scope, call.receive, call.send)
            call.heard(None if call.whole else ConnectionResetError(CUT))
        except Exception as error:
            call.heard(error)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; time leaps to what it holds back, unless clients live by this clock."""
        app = self._server.app
        stage = app.emulator.find(self._at[0])
        LEAPS.set(scope["type"] == "http" and stage is not None and not stage.virtual)
        await app(scope, receive, send)


class Call:
    """One call under way."""

    def __init__(self, scope: Message, body: bytes, heard: Callable[[Any], None]) -> None:
        self.scope = scope
        self.heard = heard
        self.whole = False
        self.gone = asyncio.Event()
        self.stop: Callable[[], object] = self.gone.set
        """Tells the application that the client has gone."""
        self._body: bytes | None = body

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.heard(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.whole = True
            self.gone.set()


class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """For `httpx.Client(transport=...)` and `httpx.AsyncClient(transport=...)`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        limit = request.extensions.get("timeout", {}).get("read")
        with _AsHttpx(request):
            answer = Answer(self._caller, request.method, str(request.url), request.headers.raw, request.read())
            head = answer.head(limit)
        return httpx.Response(head["status"], headers=head["headers"], stream=_Stream(answer, request, limit))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        heard: asyncio.Queue[Any] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def hear(message: Any) -> None:
            with suppress(RuntimeError):  # the client's loop has ended meanwhile
                loop.call_soon_threadsafe(heard.put_nowait, message)

        limit = request.extensions.get("timeout", {}).get("read")
        body = await request.aread()
        with _AsHttpx(request):
            call = self._caller.start(request.method, str(request.url), request.headers.raw, body, hear)
            try:
                head = _checked(await asyncio.wait_for(heard.get(), limit))
            except BaseException:
                call.stop()
                raise
        stream = _AsyncStream(heard, call, request, limit)
        return httpx.Response(head["status"], headers=head["headers"], stream=stream)


def respx_router(caller: Caller, **options: Any) -> respx.MockRouter:
    """Return a router for `with router:` that answers for every emulated host."""
    import respx

    router = respx.MockRouter(**{"assert_all_called": False, **options})
    transport = Transport(caller)

    def answered(request: httpx.Request) -> httpx.Response:
        answer = transport.handle_request(request)
        # Whole, since the same answer must do for clients of both kinds.
        return httpx.Response(answer.status_code, headers=_undecoded(answer), content=answer.read())

    for host in sorted(caller.hosts):
        router.route(host=host).mock(side_effect=answered)
    return router


def requests_adapter(caller: Caller) -> requests.adapters.BaseAdapter:
    """Return an adapter for `session.mount("https://", ...)`."""
    import requests
    import requests.adapters
    import urllib3

    class Adapter(requests.adapters.HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
            timeout = options.get("timeout")
            limit = timeout[1] if isinstance(timeout, tuple) else timeout
            body = request.body or b""
            if not isinstance(body, bytes):
                body = body.encode() if isinstance(body, str) else b"".join(_chunks(body))
            headers = [(name.encode("latin-1"), _raw(value)) for name, value in request.headers.items()]
            try:
                answer = Answer(caller, request.method or "GET", request.url or "", headers, body)
                head = answer.head(limit)
            except TimeoutError as error:
                raise requests.ReadTimeout(str(error), request=request) from None
            except OSError as error:
                raise requests.ConnectionError(str(error), request=request) from None
            made = urllib3.HTTPResponse(
                body=io.BufferedReader(_Reader(answer, limit)),
                headers=urllib3.HTTPHeaderDict(
                    (name.decode("latin-1"), value.decode("latin-1")) for name, value in head["headers"]
                ),
                status=head["status"],
                reason=httpx.codes.get_reason_phrase(head["status"]),
                preload_content=False,
            )
            found = self.build_response(request, made)
            if not options.get("stream"):
                assert found.content is not None
            return found

    return Adapter()


def aiohttp_connector(caller: Caller, **options: Any) -> aiohttp.BaseConnector:
    """Return a connector for `aiohttp.ClientSession(connector=...)`; made inside the loop, as aiohttp's own are."""
    import aiohttp
    from aiohttp.client_proto import ResponseHandler

    class Connector(aiohttp.BaseConnector):
        async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
            try:
                caller.check(req.url.host)
            except ConnectionRefusedError as error:
                # aiohttp tells the second part.
                told = ConnectionRefusedError(errno.ECONNREFUSED, str(error))
                raise aiohttp.ClientConnectorError(req.connection_key, told) from None
            pipe = caller.connect(secure=req.is_ssl())
            _, protocol = await self._loop.create_connection(self._factory, sock=pipe)
            return protocol

    return Connector(**options)


class Answer:
    """The answer to a call as it arrives, for callers who may block."""

    def __init__(self, caller: Caller, method: str, url: str, headers: Headers, body: bytes) -> None:
        self._heard: deque[Any] = deque()
        self._any = threading.Event()
        self.call = caller.start(method, url, headers, body, self._hear)

    def _hear(self, message: Any) -> None:
        self._heard.append(message)
        self._any.set()

    def head(self, limit: float | None) -> Message:
        """Return status and headers.

        Raises:
            TimeoutError: nothing came for *limit* real seconds.
            OSError: the connection was cut.
        """
        return _checked(self._next(limit))

    def body(self, limit: float | None) -> Iterator[bytes]:
        """Yield the body; raise as `head`."""
        while (message := self._next(limit)) is not None:
            yield _checked(message)["body"]

    def _next(self, limit: float | None) -> Any:
        def look(seconds: float | None) -> bool:
            with real_time():
                return self._any.wait(seconds)

        if not wait_for_server(look, self._any.is_set, limit):
            self.call.stop()
            raise TimeoutError(f"nothing came for {limit:g} s")
        found = self._heard.popleft()
        self._any.clear()
        if self._heard:
            self._any.set()
        return found


class _Reader(io.RawIOBase):
    """The body of an answer as a file."""

    def __init__(self, answer: Answer, limit: float | None) -> None:
        self._chunks, self._rest = answer.body(limit), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


class _Stream(httpx.SyncByteStream):
    def __init__(self, answer: Answer, request: httpx.Request, limit: float | None) -> None:
        self._answer, self._request, self._limit = answer, request, limit

    def __iter__(self) -> Iterator[bytes]:
        with _AsHttpx(self._request):
            yield from self._answer.body(self._limit)

    def close(self) -> None:
        self._answer.call.stop()


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, heard: asyncio.Queue[Any], call: Call, request: httpx.Request, limit: float | None) -> None:
        self._heard, self._call, self._request, self._limit = heard, call, request, limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _AsHttpx(self._request):
            while (message := await asyncio.wait_for(self._heard.get(), self._limit)) is not None:
                yield _checked(message)["body"]

    async def aclose(self) -> None:
        self._call.stop()


class _AsHttpx:
    """Turn what goes wrong into the exceptions of httpx."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ConnectionRefusedError):
            raise httpx.ConnectError(str(error), request=self._request) from None
        if isinstance(error, TimeoutError):
            raise httpx.ReadTimeout(str(error), request=self._request) from None
        if isinstance(error, OSError):
            raise httpx.RemoteProtocolError(str(error), request=self._request) from None


def _checked(message: Any) -> Message:
    if isinstance(message, OSError):
        raise message
    if isinstance(message, BaseException):
        raise ConnectionResetError(f"the emulator failed: {message!r}") from message
    if message is None:
        raise ConnectionResetError(CUT)
    found: Message = message
    return found


def _undecoded(answer: httpx.Response) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in answer.headers.raw if name.lower() != b"content-length"]


def _raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


def _chunks(body: Any) -> Iterator[bytes]:
    content = body.read() if hasattr(body, "read") else b"".join(body)
    yield content.encode() if isinstance(content, str) else content
