"""Real host names: connections of this process to the providers and their stores lead to the emulator, over TLS.

Inside the context names of emulated hosts resolve to addresses that do not exist, connections there go to the gate of
`mockserver.tls`, and TLS towards these names trusts our authority instead of what the client's context trusts. Loopback
stays open; any other outgoing connection is refused. Clients with a resolver or sockets of their own (uvloop, aiodns,
curl) are not reached.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mockserver import tls
from mockserver.errors import MockServerError, UserError

if TYPE_CHECKING:
    from mockserver.server import Running

# Addresses set aside for measuring devices: nothing can be there. See RFC 2544.
NOWHERE = int(ipaddress.ip_address("198.18.0.1"))
PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class NotEmulated(MockServerError, ConnectionRefusedError):
    """A connection to somewhere else, refused while real host names are intercepted."""


class UnknownHost(MockServerError, socket.gaierror):
    """The name of a host that is not emulated, asked for while real host names are intercepted."""


_real_getaddrinfo = socket.getaddrinfo
_real_gethostbyname = socket.gethostbyname
_real_connect, _real_connect_ex = socket.socket.connect, socket.socket.connect_ex
_real_wrap_socket, _real_wrap_bio = ssl.SSLContext.wrap_socket, ssl.SSLContext.wrap_bio

_active: Interception | None = None


class Interception:
    """The context. One at a time in a process.

    Args:
        world: id of the world that is met.
        provider: whose root it is where a host name is nobody's.
        hosts: the names intercepted.
    """

    def __init__(self, running: Running, world: str, provider: str, hosts: Iterable[str]) -> None:
        self._running, self._at = running, (world, provider)
        self.addresses = {host.lower(): str(ipaddress.ip_address(NOWHERE + n)) for n, host in enumerate(hosts)}
        self.port = 0
        self._proxies: dict[str, str] = {}

    def __enter__(self) -> None:
        global _active
        if _active is not None:
            raise UserError("interception is on already; leave its context before another begins")
        loop = asyncio._get_running_loop()
        if loop is not None and not hasattr(loop, "_selector"):
            raise UserError(f"interception needs asyncio's own event loop; {type(loop).__name__} has its own sockets")
        assert self._running.server is not None
        self._gate = self._running.server.open_gate(self._at, self.addresses)
        self.port = self._gate.port
        # A proxy would be asked for the real hosts.
        for name in [name for name in os.environ if name.upper() in PROXIES]:
            self._proxies[name] = os.environ.pop(name)
        _active = self
        socket.getaddrinfo = _getaddrinfo
        socket.gethostbyname = _gethostbyname
        socket.socket.connect = _connect  # type: ignore[assignment,method-assign]
        socket.socket.connect_ex = _connect_ex  # type: ignore[assignment,method-assign]
        ssl.SSLContext.wrap_socket = _wrap_socket  # type: ignore[method-assign]
        ssl.SSLContext.wrap_bio = _wrap_bio  # type: ignore[method-assign]

    def __exit__(self, *details: object) -> None:
        global _active
        _active = None
        socket.getaddrinfo = _real_getaddrinfo
        socket.gethostbyname = _real_gethostbyname
        del socket.socket.connect, socket.socket.connect_ex
        ssl.SSLContext.wrap_socket = _real_wrap_socket  # type: ignore[method-assign]
        ssl.SSLContext.wrap_bio = _real_wrap_bio  # type: ignore[method-assign]
        os.environ.update(self._proxies)
        assert self._running.server is not None
        self._running.server.close_gate(self._gate)

    def redirected(self, family: int, address: Any) -> Any:
        """Return where a connection to *address* goes.

        Raises:
            NotEmulated: nowhere.
        """
        if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return address
        host, port = str(address[0]), address[1]
        place = self.addresses.get(host.lower(), host)
        if place in self.addresses.values():
            if port not in PORTS.values():
                raise NotEmulated(f"{self._name_of(place)} is emulated at ports 80 and 443 only, not at {port}")
            return ("127.0.0.1", self.port)
        if _is_local(host):
            return address
        raise NotEmulated(f"a connection to {host}:{port} was refused: inside intercept() {self._known()}")

    def check_name(self, host: str) -> None:
        """Raise `UnknownHost` for a name that is neither emulated nor of this machine."""
        if not _is_local(host):
            raise UnknownHost(socket.EAI_NONAME, f"{host!r} is not looked up: inside intercept() {self._known()}")

    def _known(self) -> str:
        return f"only emulated hosts are reached ({', '.join(sorted(self.addresses))}), and this machine"

    def _name_of(self, place: str) -> str:
        return next(name for name, one in self.addresses.items() if one == place)


def _is_local(host: str) -> bool:
    name = host.lower().rstrip(".")
    if name in ("", "localhost", socket.gethostname().lower()) or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _text(host: Any) -> str:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
    return name.lower().rstrip(".")


def _getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
    name = _text(host)
    if _active is None:
        return _real_getaddrinfo(host, port, family, type, proto, flags)
    place = _active.addresses.get(name)
    if place is None:
        if not _is_address(name):
            _active.check_name(name)
        return _real_getaddrinfo(host, port, family, type, proto, flags)
    number = PORTS.get(str(port), port)
    # Numbers in texts, families and kinds are told apart by the real one.
    return _real_getaddrinfo(place, number, family, type, proto, flags)


def _gethostbyname(host: str) -> str:
    found: str = _getaddrinfo(host, 0, socket.AF_INET)[0][4][0]
    return found


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _connect(self: socket.socket, address: Any) -> None:
    _real_connect(self, address if _active is None else _active.redirected(self.family, address))


def _connect_ex(self: socket.socket, address: Any) -> int:
    return _real_connect_ex(self, address if _active is None else _active.redirected(self.family, address))


def _wrap_socket(
    self: ssl.SSLContext,
    sock: socket.socket,
    server_side: bool = False,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    server_hostname: str | bytes | None = None,
    session: ssl.SSLSession | None = None,
) -> ssl.SSLSocket:
    context = _context_for(self, server_side, server_hostname)
    return _real_wrap_socket(
        context,
        sock,
        server_side,
        do_handshake_on_connect,
        suppress_ragged_eofs,
        server_hostname,
        session if context is self else None,
    )


def _wrap_bio(
    self: ssl.SSLContext,
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
    server_side: bool = False,
    server_hostname: str | bytes | None = None,
    session: ssl.SSLSession | None = None,
) -> ssl.SSLObject:
    context = _context_for(self, server_side, server_hostname)
    return _real_wrap_bio(
        context, incoming, outgoing, server_side, server_hostname, session if context is self else None
    )


def _context_for(context: ssl.SSLContext, server_side: bool, name: Any) -> ssl.SSLContext:
    """Return what a client trusts: our authority for emulated hosts. Its own context stays as it is."""
    if server_side or _active is None or _text(name) not in _active.addresses:
        return context
    ours = tls.client_context()
    if context.verify_mode == ssl.CERT_NONE:
        ours.check_hostname, ours.verify_mode = False, ssl.CERT_NONE
    return ours
