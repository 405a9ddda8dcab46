"""Runs the emulator on a real socket: in the foreground for people, in a thread for tests and the demo.

What is answered is the business of `mockserver.web`; this module owns the socket, the start and the end.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from mockserver.errors import MockServerError, UserError
from mockserver.exchange import Exchange
from mockserver.protocol import protocol
from mockserver.settings import Settings
from mockserver.virtual_time import ServerSelector, real_time
from mockserver.web.app import Application, create_app
from mockserver.web.emulator import Stage
from mockserver.web.head import WORLD, Head
from mockserver.web.watching import Watcher

if TYPE_CHECKING:
    from mockserver.tls import Gate

Heard = Callable[[Stage, Exchange], None]
T = TypeVar("T")

READY_PATH = "/_mock/ready"
PATIENCE = 10.0
"""Real seconds a start or a stop may take before it counts as broken."""
LOOK_EVERY = 0.5
"""Real seconds between looks for changed files."""
LAST_WORDS = 0.5
"""Real seconds that answers under way get when the server ends; with uvicorn's own pauses it ends within a second."""


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    """`http://HOST:PORT`, without a slash at the end."""
    settings: Settings
    server: _Server | None = field(default=None, repr=False)
    """The server itself where it runs in this process."""

    def provider_urls(self) -> dict[str, str]:
        """Return where each provider is reached: at the root when it is the only one."""
        names = list(self.settings.folders())
        if len(names) == 1:
            return {names[0]: f"{self.url}/"}
        return {name: f"{self.url}/{name}/" for name in names}


def serve(settings: Settings, *, started: Callable[[Running], None], heard: Heard | None = None) -> None:
    """Serve until Ctrl-C or SIGTERM; call *started* once the server really answers.

    Args:
        heard: told of every exchange when it is over.

    Raises:
        UserError: the address cannot be listened on, or a setting cannot be obeyed.
        KeyboardInterrupt: it was ended by Ctrl-C, in good order.
    """
    with _listen(settings) as listener:
        server = _Server(settings, listener, ready=lambda: started(up), heard=heard)
        up = Running(_url_of(settings.host, listener), settings, server)
        calm_collector()
        server.run([listener])


def calm_collector() -> None:
    """Have the garbage collector look seldom, and never at what was loaded: what a world keeps is no garbage.

    By its own thresholds it costs a fifth of a poll, and pauses of 40 ms with 100,000 tasks. Only for a process that is
    the server's alone.
    """
    gc.freeze()
    gc.set_threshold(10_000, 10, 20)


@contextmanager
def running(settings: Settings) -> Iterator[Running]:
    """Run a server in a thread of its own for the length of a `with` block.

    Raises:
        UserError: as `serve`.
        TimeoutError: it did not start or end within `PATIENCE`.
    """
    ready: Future[None] = Future()
    with _listen(settings) as listener:
        server = _Server(settings, listener, ready=lambda: ready.set_result(None))

        def run() -> None:
            selector = ServerSelector()
            try:
                with (
                    real_time(),
                    selector.of_this_thread(),
                    asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner,
                ):
                    runner.run(server.serve([listener]))
            except BaseException as error:  # handed to the caller, who waits for it
                if ready.done():
                    raise
                ready.set_exception(error)

        thread = threading.Thread(target=run, name="mockserver", daemon=True)
        thread.start()
        try:
            with real_time():
                ready.result(PATIENCE)
            yield Running(_url_of(settings.host, listener), settings, server)
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
        if thread.is_alive():
            raise TimeoutError(f"the server did not end within {PATIENCE:g} s")


class _Server(uvicorn.Server):
    """uvicorn, with a word when the application really answers, and a quiet end."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        *,
        ready: Callable[[], None],
        heard: Heard | None = None,
    ) -> None:
        self.app = create_app(settings)
        self.app.emulator.offer.check()  # what will not do is told now, not to the first client that needs it
        super().__init__(_config(self.app))
        self.tls_environment: dict[str, str] = {}
        self._folder = ExitStack()
        self._gates: set[Gate] = set()
        self._settings = settings
        self._address = listener.getsockname()
        self._ready = ready
        self.app.emulator.listen = self._open_port
        self.app.emulator.heard = heard

    async def _open_port(self, world: str, provider: str, port: int) -> _Port:
        listener = _listen(replace(self._settings, port=port))
        config = _config(_ByPort(self.app, world, provider))
        config.load()

        server = await asyncio.get_running_loop().create_server(
            lambda: self._protocol(config), sock=listener, backlog=config.backlog
        )
        self.servers.append(server)
        return _Port(self, config, server, listener.getsockname()[1])

    def do(self, act: Callable[[], T]) -> T:
        """Return what *act* returns in the server's own thread; called from other threads."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(act())
            except Exception as error:  # handed to the caller, who waits for it
                done.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return done.result(PATIENCE)

    def open_gate(self, at: tuple[str, str], hosts: Iterable[str]) -> Gate:
        """Open a port for real host names, of one world; called from other threads.

        Args:
            at: the world, and whose root it is where a host name is nobody's.

        Raises:
            UserError: TLS needs a package that is not installed.
        """

        with real_time():
            return self.do(lambda: self.gate(_ByPort(self.app, *at), hosts, port=0))

    def close_gate(self, gate: Gate) -> None:
        """Close what `open_gate` has opened; called from other threads."""
        self.loop.call_soon_threadsafe(self._close_gate, gate)

    def _close_gate(self, gate: Gate) -> None:
        self._gates.discard(gate)
        gate.close()

    def gate(self, app: ASGIApp, hosts: Iterable[str], *, port: int) -> Gate:
        """Open a port for real host names; called in the server's own thread."""
        from mockserver.tls import Gate

        config = _config(app)
        config.load()
        gate = Gate(_listen(replace(self._settings, port=port)), hosts, lambda: self._protocol(config))
        self._gates.add(gate)
        return gate

    def take(self, connection: socket.socket, app: ASGIApp) -> None:
        """Serve a connection that is there already with *app*; called from other threads."""
        config = _config(app)
        config.load()
        asyncio.run_coroutine_threadsafe(
            self.loop.connect_accepted_socket(lambda: self._protocol(config), connection), self.loop
        )

    def _protocol(self, config: uvicorn.Config) -> asyncio.Protocol:
        made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn itself does
            config=config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    def _open_tls(self) -> None:
        """Answer for the real host names; `tls_environment` then leads other processes here."""
        from tempfile import TemporaryDirectory

        from mockserver import tls

        gate = self.gate(self.app, self.app.emulator.offer.by_host, port=self._settings.tls_port)
        proxy = _url_of(self._settings.host, gate.listener)
        self.tls_environment = tls.environment(proxy, Path(self._folder.enter_context(TemporaryDirectory())))

    async def main_loop(self) -> None:
        self.loop = asyncio.get_running_loop()
        if self._settings.tls:
            self._open_tls()
        await _ask_ready(*self._address[:2])
        self._ready()
        watching = asyncio.create_task(self._watch()) if self._settings.watch else None
        await super().main_loop()
        if watching is not None:
            watching.cancel()

    async def _watch(self) -> None:
        watcher = Watcher(self.app.emulator)
        while True:
            await asyncio.sleep(LOOK_EVERY)
            watcher.look()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Calls that are cut short now are no errors worth a traceback.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        for gate in tuple(self._gates):
            self._close_gate(gate)
        self._folder.close()
        await super().shutdown(sockets)


class _Port:
    """A port of its own for one provider in one world; its connections belong to the server as all others do."""

    def __init__(self, owner: _Server, config: uvicorn.Config, server: asyncio.Server, port: int) -> None:
        self.port = port
        self._owner, self._config, self._server = owner, config, server

    def close(self) -> None:
        """Listen no longer, and close its connections."""
        self._server.close()
        self._owner.servers.remove(self._server)
        for connection in list(self._owner.server_state.connections):
            if connection.config is self._config:
                connection.shutdown()


class _ByPort:
    """The application, told by whose port its connections come."""

    def __init__(self, app: Application, world: str, provider: str) -> None:
        self._app, self._at = app, (world, provider)

    def head(self, scope: Scope) -> Head:
        scope[WORLD] = self._at
        return self._app.head(scope)

    def at_once(self, head: Head, body: bytes) -> bytes | None:
        return self._app.at_once(head, body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[WORLD] = self._at
        await self._app(scope, receive, send)


def _is_news(record: logging.LogRecord) -> bool:
    # A handshake that the provider refuses is answered in full; uvicorn takes every such answer for a slip.
    return record.msg != "ASGI callable returned without completing handshake."


def _config(app: ASGIApp) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    return uvicorn.Config(
        app,
        http=protocol(),
        ws="websockets-sansio",
        log_level="warning",
        access_log=False,
        server_header=False,
        # The application writes its own: dates on the wire follow the world's clock.
        date_header=False,
        timeout_graceful_shutdown=LAST_WORDS,  # type: ignore[arg-type]  # any number of seconds works
    )


async def _ask_ready(host: str, port: int) -> None:
    # A server that listens on every address is asked at the loopback one.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(host, port)
        named = f"[{host}]" if ":" in host else host
        writer.write(f"GET {READY_PATH} HTTP/1.1\r\nHost: {named}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.readline()
        writer.close()
    status = answer.split()[1:2]
    if status != [b"200"]:
        raise MockServerError(
            f"the server answers {READY_PATH} with {answer.decode('latin-1').strip()!r} instead of 200"
        )


def _listen(settings: Settings) -> socket.socket:
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UserError(f"host {settings.host!r} is not known here ({error.strerror}); try 127.0.0.1") from None
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # on Windows the option would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        place = f"{settings.host}:{settings.port}"
        remedy = "choose another with --port, or --port 0 for a free one"
        raise UserError(f"cannot listen on {place}: {(error.strerror or str(error)).lower()}; {remedy}") from None
    listener.set_inheritable(False)
    return listener


def _url_of(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"
