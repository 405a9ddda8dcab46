"""The gate that answers for real host names: TLS by a throw-away authority, and CONNECT as a proxy does.

Behind it stands the same application. Who is led here is the business of `mockserver.interception` (this process) or
of the environment that `environment` gives (other processes).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mockserver.errors import UserError

if TYPE_CHECKING:
    import trustme

PATIENCE = 10.0
"""Real seconds a client gets to say what it wants."""
MAX_HEAD = 64 * 1024
TRUSTED = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Environment variables that name whom to trust; one that is set already would win over the others in its client."""
TLS_HANDSHAKE = 0x16
"""First byte of every TLS connection."""


@cache
def authority() -> trustme.CA:
    """Return the authority of this process; its key never leaves it.

    Raises:
        UserError: the package it needs is not installed.
    """
    try:
        import trustme
    except ImportError:
        raise UserError("TLS needs the package trustme; install comfy-mockserver[ways]") from None
    return trustme.CA(organization_name="mockserver: for tests only")


def server_context(hosts: Iterable[str]) -> ssl.SSLContext:
    """Return a server's context with a certificate for *hosts* and this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    authority().issue_cert(*sorted({*hosts, "localhost", "127.0.0.1"})).configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    """Return a client's context that trusts our authority, and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return context


def environment(proxy: str, folder: Path) -> dict[str, str]:
    """Return what leads another process through a gate; the authority's certificate is written into *folder*.

    Args:
        proxy: `http://HOST:PORT` of the gate.
    """
    file = folder / "mockserver-ca.pem"
    authority().cert_pem.write_to_path(file)
    trusted = {name: str(file) for name in TRUSTED}
    # Node's fetch asks for a proxy when told to, from 22.21 and 24 on.
    led = {"HTTPS_PROXY": proxy, "https_proxy": proxy, "NODE_USE_ENV_PROXY": "1"}
    return {**led, "NO_PROXY": "localhost,127.0.0.1,::1", **trusted}


class Gate:
    """A port that takes TLS, CONNECT and plain HTTP. Belongs to the event loop in which it is opened.

    Args:
        listener: bound and listening.
        hosts: the names answered for.
        connect: makes the protocol that serves one connection.
    """

    def __init__(self, listener: socket.socket, hosts: Iterable[str], connect: Callable[[], asyncio.Protocol]) -> None:
        self.port: int = listener.getsockname()[1]
        self.listener = listener
        self._hosts = frozenset(hosts)
        self._connect = connect
        self._context = server_context(self._hosts)
        listener.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Listen no longer."""
        self._loop.remove_reader(self.listener)
        for task in self._tasks:
            task.cancel()
        self.listener.close()

    def _accept(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return  # it has gone already

        def greeted(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if task.cancelled():  # before it began
                connection.close()

        task = self._loop.create_task(self._greet(connection))
        self._tasks.add(task)
        task.add_done_callback(greeted)

    async def _greet(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            async with asyncio.timeout(PATIENCE):
                secure = await self._is_secure(connection)
                await self._loop.connect_accepted_socket(
                    self._connect, connection, ssl=self._context if secure else None
                )
        except (OSError, TimeoutError, asyncio.CancelledError):
            connection.close()

    async def _is_secure(self, connection: socket.socket) -> bool:
        """Look at what comes first, and answer it where it is CONNECT; raise `OSError` for a host that is not ours."""
        first = await self._peek(connection)
        if first.startswith(b"CONNECT ") or b"CONNECT ".startswith(first):
            head = b""
            while b"\r\n\r\n" not in head:
                read = await self._loop.sock_recv(connection, 4096)
                head += read
                if not read or len(head) > MAX_HEAD:
                    raise OSError("no whole request")
            target = head.split(b" ", 2)[1].decode("latin-1")
            host = target.rpartition(":")[0].strip("[]").lower()
            if host not in self._hosts:
                known = ", ".join(sorted(self._hosts))
                text = f"{host} is not emulated; these are: {known}\n".encode()
                lines = f"HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\ncontent-length: {len(text)}\r\n\r\n"
                with suppress(OSError):
                    await self._loop.sock_sendall(connection, lines.encode() + text)
                raise OSError(f"{host} is not ours")
            await self._loop.sock_sendall(connection, b"HTTP/1.1 200 Connection established\r\n\r\n")
            first = await self._peek(connection)
        return first[0] == TLS_HANDSHAKE

    async def _peek(self, connection: socket.socket) -> bytes:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(connection, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            self._loop.remove_reader(connection)
        first = connection.recv(8, socket.MSG_PEEK)
        if not first:
            raise OSError("the client went away")
        return first
