"""The functions that stand in for those of the library while virtual time is on, and how they are put in place.

References that modules took before (`from time import sleep`) count too. Threads that serve keep real time.
"""

from __future__ import annotations

import asyncio
import datetime as _datetime
import gc
import queue
import selectors
import socket
import ssl
import sys
import threading
import time as _time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mockserver.virtual_time.moving import VirtualTime

SPARED = ("_pytest", "pytest", "xdist", "execnet", "pluggy", "mockserver", "contracts")
"""Packages whose references to the time functions stay as they are."""

active: VirtualTime | None = None
_here = threading.local()
_without: dict[str, tuple[int, int]] = {}
"""Module -> its identity and size when none of the functions was found in it."""

real_sleep = _time.sleep
_real_time, _real_monotonic = _time.time, _time.monotonic
_real_gmtime, _real_localtime = _time.gmtime, _time.localtime
_real_wait, _real_join = threading.Condition.wait, threading.Thread.join
_real_accept, _real_read = socket.socket.accept, ssl.SSLSocket.read


@contextmanager
def real_time() -> Iterator[None]:
    """Let the calling thread live in real time for a while: what it waits for then is the server's doing."""
    before = getattr(_here, "real", False)
    _here.real = True
    try:
        yield
    finally:
        _here.real = before


def current() -> VirtualTime | None:
    """Return the virtual time in which the calling thread lives."""
    return None if active is None or getattr(_here, "real", False) else active


def install(virtual: VirtualTime) -> None:
    """Put the functions in place, for *virtual*."""
    global active
    active = virtual
    _install()


def remove() -> None:
    """Put the library's back."""
    global active
    active = None
    _uninstall()


# --- what stands in for the functions of the library ---


def _sleep(seconds: float, /) -> None:
    virtual = current()
    if virtual is None or not seconds > 0:
        real_sleep(seconds)
    else:
        virtual.sleep(seconds)


def _now_time() -> float:
    virtual = current()
    return _real_time() if virtual is None else virtual.now()


def _now_time_ns() -> int:
    return int(_now_time() * 1e9)


def _now_monotonic() -> float:
    virtual = current()
    return _real_monotonic() if virtual is None else virtual.monotonic()


def _now_monotonic_ns() -> int:
    return int(_now_monotonic() * 1e9)


def _gmtime(seconds: float | None = None, /) -> _time.struct_time:
    return _real_gmtime(_now_time() if seconds is None else seconds)


def _localtime(seconds: float | None = None, /) -> _time.struct_time:
    return _real_localtime(_now_time() if seconds is None else seconds)


def _wait(self: threading.Condition, timeout: float | None = None) -> bool:
    virtual = current()
    if virtual is None or (timeout is not None and timeout <= 0):
        return _real_wait(self, timeout)
    # As the real one does it, but in slices; the lock of the condition is free all the while.
    own: Any = self
    if not own._is_owned():
        raise RuntimeError("cannot wait on un-acquired lock")
    moment = virtual.moment_in(timeout)
    waiter = threading.Lock()
    waiter.acquire()
    own._waiters.append(waiter)
    state = own._release_save()
    notified = False
    try:
        notified = bool(
            virtual.wait(moment, lambda seconds: waiter.acquire(True, seconds), lambda: waiter not in own._waiters)
        )
        return notified
    finally:
        own._acquire_restore(state)
        if not notified and waiter in own._waiters:
            own._waiters.remove(waiter)


def _join(self: threading.Thread, timeout: float | None = None) -> None:
    virtual = current()
    _real_join(self, 0)  # complains where there is nothing to wait for
    if virtual is None or (timeout is not None and timeout <= 0):
        _real_join(self, timeout)
        return

    def look(seconds: float) -> bool:
        _real_join(self, seconds)
        return not self.is_alive()

    active = threading._active  # type: ignore[attr-defined]
    virtual.wait(virtual.moment_in(timeout), look, lambda: active.get(self.ident) is not self)


class _SimpleQueue(queue._PySimpleQueue):  # type: ignore[name-defined,misc]
    """The one of Python's own library that waits in `Condition.wait`; as the one in C it may be used by a finalizer."""

    def __init__(self) -> None:
        super().__init__()
        self._count._cond = threading.Condition(threading.RLock())


def _reading(name: str, flags_at: int) -> Callable[..., Any]:
    """Return what stands in for a method of sockets that reads; *flags_at* is the place of its flags."""
    real = getattr(socket.SocketType, name)

    def read(self: socket.socket, *args: Any) -> Any:
        virtual = current()
        if virtual is not None and (timeout := self.gettimeout()) != 0:
            flags = args[flags_at] if len(args) > flags_at else 0
            if not flags & getattr(socket, "MSG_DONTWAIT", 0):
                virtual.wait_readable(self, timeout)
        return real(self, *args)

    return read


def _accept(self: socket.socket) -> tuple[socket.socket, Any]:
    virtual = current()
    if virtual is not None and (timeout := self.gettimeout()) != 0:
        virtual.wait_readable(self, timeout)
    return _real_accept(self)


def _read(self: ssl.SSLSocket, len: int = 1024, buffer: Any = None) -> Any:
    virtual = current()
    if virtual is not None and (timeout := self.gettimeout()) != 0 and not self.pending():
        virtual.wait_readable(self, timeout)
    return _real_read(self, len, buffer)


def _now_datetime(cls: type[_datetime.datetime], tz: _datetime.tzinfo | None = None) -> _datetime.datetime:
    virtual = current()
    if virtual is None:
        found: _datetime.datetime = _MOMENTS["now"].__get__(None, cls)(tz)
        return found
    return cls.fromtimestamp(virtual.now(), tz)


def _utcnow(cls: type[_datetime.datetime]) -> _datetime.datetime:
    return cls.fromtimestamp(_now_time(), _datetime.UTC).replace(tzinfo=None)


def _select_of(real: Callable[[Any, float | None], list[Any]]) -> Callable[..., list[Any]]:
    def select(self: Any, timeout: float | None = None) -> list[Any]:
        virtual = current()
        if virtual is None or (timeout is not None and timeout <= 0):
            return real(self, timeout)
        loop = asyncio._get_running_loop()
        if getattr(loop, "_selector", None) is self:
            virtual._loops.add(loop)
            return virtual.select(real, self, timeout, loop=True)
        # Of what comes by a pipe, from another process, nothing is known.
        if all(isinstance(key.fileobj, socket.socket) for key in self.get_map().values()):
            return virtual.select(real, self, timeout, loop=False)
        return real(self, timeout)

    return select


def to_be_asked(selector: Any) -> Any:
    """Return a selector for the same files that may be asked while another thread waits in *selector*."""
    if type(selector) is not selectors.__dict__.get("PollSelector"):
        return selector
    found = type(selector)()
    for key in selector.get_map().values():
        found.register(key.fd, key.events)
    return found


# --- putting them in place ---

_FUNCTIONS: dict[str, Any] = {
    "sleep": _sleep,
    "time": _now_time,
    "time_ns": _now_time_ns,
    "monotonic": _now_monotonic,
    "monotonic_ns": _now_monotonic_ns,
    "gmtime": _gmtime,
    "localtime": _localtime,
}
_SWAPS = [
    *((getattr(_time, name), stand_in) for name, stand_in in _FUNCTIONS.items()),
    (queue.SimpleQueue, _SimpleQueue),
]
_FLAGS_AT = {"recv": 1, "recv_into": 2, "recvfrom": 1, "recvfrom_into": 2, "recvmsg": 2, "recvmsg_into": 2}
_READING = {name: _reading(name, at) for name, at in _FLAGS_AT.items() if hasattr(socket.SocketType, name)}
_SELECTORS = [
    (kind, kind.__dict__["select"])
    for kind in vars(selectors).values()
    if isinstance(kind, type) and issubclass(kind, selectors.BaseSelector) and "select" in kind.__dict__
]
_MOMENTS = {name: _datetime.datetime.__dict__[name] for name in ("now", "utcnow")}
_STAND_INS = {"now": classmethod(_now_datetime), "utcnow": classmethod(_utcnow)}


def _install() -> None:
    _swap({id(real): stand_in for real, stand_in in _SWAPS})
    threading.Condition.wait = _wait  # type: ignore[method-assign]
    threading.Thread.join = _join  # type: ignore[method-assign]
    for name, stand_in in _READING.items():
        setattr(socket.socket, name, stand_in)
    socket.socket.accept = _accept  # type: ignore[method-assign]
    ssl.SSLSocket.read = _read  # type: ignore[method-assign]
    for kind, real in _SELECTORS:
        kind.select = _select_of(real)  # type: ignore[method-assign]
    _set_moments(_STAND_INS)


def _uninstall() -> None:
    _set_moments(_MOMENTS)
    for kind, real in _SELECTORS:
        kind.select = real  # type: ignore[method-assign]
    ssl.SSLSocket.read = _real_read  # type: ignore[method-assign]
    socket.socket.accept = _real_accept  # type: ignore[method-assign]
    for name in _READING:
        delattr(socket.socket, name)
    threading.Thread.join = _real_join  # type: ignore[method-assign]
    threading.Condition.wait = _real_wait  # type: ignore[method-assign]
    _swap({id(stand_in): real for real, stand_in in _SWAPS})


def _swap(by: dict[int, Any]) -> None:
    """Replace what modules know under whatever name."""
    ids = frozenset(by)
    for name, module in list(sys.modules.items()):
        names = getattr(module, "__dict__", None)
        # Looking at every name of a thousand modules takes 10 ms; those without any of ours are known by their size.
        known = (id(module), len(names)) if type(names) is dict else None
        if names is None or known is None or _without.get(name) == known:
            continue
        if name.partition(".")[0] in SPARED or ids.isdisjoint(map(id, names.values())):
            _without[name] = known
            continue
        for key, value in list(names.items()):
            if id(value) in by:
                names[key] = by[id(value)]


def _set_moments(methods: dict[str, Any]) -> None:
    # The class is written in C and closed to assignment; a class in its place would be another for `isinstance` and in
    # every module that took it before.
    (names,) = gc.get_referents(_datetime.datetime.__dict__)
    names.update(methods)
    import ctypes

    ctypes.pythonapi.PyType_Modified(ctypes.py_object(_datetime.datetime))
