"""Runs the emulator on a real socket: in the foreground for people, in a thread for tests and the demo.

What is answered is the business of `mockserver.web`; this module owns the socket, the start and the end.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from mockserver.errors import MockServerError, UserError
from mockserver.settings import Settings
from mockserver.web.app import create_app
from mockserver.web.emulator import WORLD

READY_PATH = "/_mock/ready"
PATIENCE = 10.0
"""Real seconds a start or a stop may take before it counts as broken."""
LAST_WORDS = 0.5
"""Real seconds that answers under way get when the server ends; with uvicorn's own pauses it ends within a second."""


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    """`http://HOST:PORT`, without a slash at the end."""
    settings: Settings

    def provider_urls(self) -> dict[str, str]:
        """Return where each provider is reached: at the root when it is the only one."""
        names = list(self.settings.folders())
        if len(names) == 1:
            return {names[0]: f"{self.url}/"}
        return {name: f"{self.url}/{name}/" for name in names}


def serve(settings: Settings, *, started: Callable[[Running], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; call *started* once the server really answers.

    Raises:
        UserError: the address cannot be listened on, or a setting cannot be obeyed.
        KeyboardInterrupt: it was ended by Ctrl-C, in good order.
    """
    with _listen(settings) as listener:
        running = Running(_url_of(settings.host, listener), settings)
        _Server(settings, listener, ready=lambda: started(running)).run([listener])


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
            try:
                server.run([listener])
            except BaseException as error:  # handed to the caller, who waits for it
                if ready.done():
                    raise
                ready.set_exception(error)

        thread = threading.Thread(target=run, name="mockserver", daemon=True)
        thread.start()
        try:
            ready.result(PATIENCE)
            yield Running(_url_of(settings.host, listener), settings)
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
        if thread.is_alive():
            raise TimeoutError(f"the server did not end within {PATIENCE:g} s")


class _Server(uvicorn.Server):
    """uvicorn, with a word when the application really answers, and a quiet end."""

    def __init__(self, settings: Settings, listener: socket.socket, *, ready: Callable[[], None]) -> None:
        self._app = create_app(settings)
        super().__init__(_config(self._app))
        self._settings = settings
        self._address = listener.getsockname()
        self._ready = ready
        self._app.emulator.listen = self._open_port

    async def _open_port(self, world: str, provider: str, port: int) -> _Port:
        listener = _listen(replace(self._settings, port=port))
        config = _config(_ByPort(self._app, world, provider))
        config.load()

        def connect() -> asyncio.Protocol:
            state = self.lifespan.state
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn itself does
                config=config, server_state=self.server_state, app_state=state
            )
            return made

        server = await asyncio.get_running_loop().create_server(connect, sock=listener, backlog=config.backlog)
        self.servers.append(server)
        return _Port(self, config, server, listener.getsockname()[1])

    async def main_loop(self) -> None:
        await asyncio.to_thread(_ask_ready, *self._address[:2])
        self._ready()
        await super().main_loop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Calls that are cut short now are no errors worth a traceback.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
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

    def __init__(self, app: ASGIApp, world: str, provider: str) -> None:
        self._app, self._at = app, (world, provider)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[WORLD] = self._at
        await self._app(scope, receive, send)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ws="websockets-sansio",
        log_level="warning",
        access_log=False,
        server_header=False,
        # The application writes its own: dates on the wire follow the world's clock.
        date_header=False,
        timeout_graceful_shutdown=LAST_WORDS,  # type: ignore[arg-type]  # any number of seconds works
    )


def _ask_ready(host: str, port: int) -> None:
    # A server that listens on every address is asked at the loopback one.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("GET", READY_PATH)
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != 200:
        raise MockServerError(f"the server answers {READY_PATH} with {status} instead of 200")


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
