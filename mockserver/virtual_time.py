"""Virtual time for clients: this process sleeps, waits and tells the time by the clock of a world.

Inside the context `time.sleep` and the time-outs of `threading` (`Event`, `Condition`, `Queue`, futures) move the world
instead of waiting; `time.time`, `time.monotonic`, `datetime.now` and asyncio's event loops tell its moment. Sockets are
real, and so are time-outs in C: of sockets, locks, `SimpleQueue`, processes, uvloop; `time.perf_counter` is left to
those who measure. The world stands while a thread works or a call is under way, and moves when all wait.

References that modules took before (`from time import sleep`) count too. Threads of the server keep real time.
"""

from __future__ import annotations

import asyncio
import datetime as _datetime
import gc
import math
import selectors
import sys
import threading
import time as _time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from mockserver.errors import UserError

if TYPE_CHECKING:
    from mockserver.client import World

FRESH = 0.005
"""Real seconds that what was heard of the world's clock is believed: pushed messages move it, too."""
SLICE = 0.001
"""Real seconds between two looks of those who wait while others work."""
GRACE = 0.5
"""Real seconds after which a thread that stands still at one place is taken to wait for something."""
EAGER = 0.002
"""Real seconds an event loop waits for an answer before it asks whether any is on its way."""
LOOK_AGAIN = 0.1
"""Real seconds an event loop waits for a world in which nothing is due."""
STEP = 1e-6
"""Virtual seconds that time moves at least; less is lost in a float of Unix seconds."""
SPARED = ("_pytest", "pytest", "xdist", "execnet", "pluggy", "mockserver", "contracts")
"""Packages whose references to the time functions stay as they are."""
NEAR = 4
"""How many callers up a thread is seen to start another."""
LOOKS = 10
"""How often it is looked at then, the server having nothing to do, until that is believed."""
BUSY, STANDING, RESTING = "busy", "standing", "resting"
RESTS = {
    ("threading.py", "wait"),
    ("threading.py", "join"),
    ("threading.py", "_wait_for_tstate_lock"),
    ("queue.py", "get"),
    ("thread.py", "_worker"),
    ("gateway_base.py", "read"),
    ("gateway_base.py", "integrate_as_primary_thread"),
}
"""File and function in which a thread rests."""

_real_sleep, _real_time, _real_monotonic = _time.sleep, _time.time, _time.monotonic
_real_gmtime, _real_localtime = _time.gmtime, _time.localtime
_real_wait = threading.Condition.wait

_active: VirtualTime | None = None
_here = threading.local()
_real_threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
_without: dict[str, tuple[int, int]] = {}
"""Module -> its identity and size when none of the functions was found in it."""
_seen: dict[int, _Seen] = {}
"""Thread -> where it was seen."""


def keep_real() -> None:
    """Let the calling thread live in real time for ever, as a server's must."""
    _here.real = True
    _real_threads.add(threading.current_thread())


@contextmanager
def real_time() -> Iterator[None]:
    """Let the calling thread live in real time for a while: what it waits for then is the server's doing."""
    before = getattr(_here, "real", False)
    _here.real = True
    try:
        yield
    finally:
        _here.real = before


class VirtualTime:
    """The context. One at a time in a process."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._wakes: dict[int, float] = {}
        """Thread -> the moment it sleeps until."""
        self._loops: weakref.WeakSet[Any] = weakref.WeakSet()
        self._now = self._heard = self._rate = 0.0
        self._moved = self._asks = self._heard_any = False
        """In an event loop: time has just moved; something was heard between its last two moves; since the last."""

    def __enter__(self) -> Self:
        global _active
        if _active is not None:
            raise UserError("virtual time is on already; leave its context before another begins")
        loop = asyncio._get_running_loop()
        if loop is not None and not hasattr(loop, "_selector"):
            raise UserError(
                f"virtual time needs asyncio's own event loop, not {type(loop).__name__}: that keeps real time"
            )
        if loop is not None:
            self._loops.add(loop)
        self._world.listeners.append(self._hear)
        self._hear(self._world.call("POST", "virtual", {"on": True}))
        self._start_now, self._start_monotonic = self.now(), _real_monotonic()
        _active = self
        _install()
        return self

    def __exit__(self, *details: object) -> None:
        global _active
        skew = self.monotonic() - _real_monotonic()
        _active = None
        _uninstall()
        # What is still to come in event loops was planned by the virtual clock.
        for loop in self._loops:
            for handle in getattr(loop, "_scheduled", ()):
                handle._when -= skew
        self._world.listeners.remove(self._hear)
        with real_time():
            self._world.call("POST", "virtual", {"on": False})

    # --- telling the time ---

    def now(self) -> float:
        """Return the world's moment."""
        real = _real_monotonic()
        if real - self._heard > FRESH:
            self._ask("GET", "clock")
        return self._now + (real - self._heard) * self._rate if self._rate else self._now

    def monotonic(self) -> float:
        """Return what `time.monotonic` tells."""
        return self._start_monotonic + self.now() - self._start_now

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        with real_time():
            answer: dict[str, Any] = self._world.call(method, path, body)
        self._hear(answer)
        return answer

    def _hear(self, clock: dict[str, Any]) -> None:
        self._now, self._rate, self._heard = clock["now"], clock["rate"], _real_monotonic()

    # --- passing it ---

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.pass_until(self.now() + max(seconds, STEP))

    def pass_until(self, moment: float, look: Callable[[float], Any] = _real_sleep) -> Any:
        """Wait for a moment, and be the one who moves the world there if nobody works and nobody wakes earlier.

        Args:
            look: waits for a few real seconds; what it returns, if it is true, ends the waiting.

        Returns:
            What *look* returned, None once the moment has come.
        """
        me = threading.get_ident()
        self._wakes[me] = moment
        try:
            while (now := self.now()) < moment:
                others = _others(me, self._wakes) if self._earliest() == me else BUSY
                if others == RESTING:
                    self._ask("POST", "clock", {"jump": max(moment - now, STEP)})
                    return None
                if others == STANDING:
                    # They may wait for an answer of ours, which on a busy machine takes its time.
                    self._ask("GET", "idle")
                found = look(SLICE)
                if found:
                    return found
            return None
        finally:
            del self._wakes[me]

    def _earliest(self) -> int:
        return min(self._wakes.copy().items(), key=lambda entry: (entry[1], entry[0]))[0]

    def select(self, real: Callable[[Any, float | None], list[Any]], selector: Any, timeout: float | None) -> list[Any]:
        """Wait as an event loop does: for its sockets in real time while a call is under way, else for its next timer.

        Whatever the world does on the way to that timer is waited for, one by one, if somebody here may hear of it.
        """
        wake = math.inf if timeout is None else self.now() + max(timeout, STEP)
        # Who asked something after time had moved will do so again: an answer is likely on its way, and to wait for it
        # is cheaper than to ask whether one is.
        patience, self._moved = (EAGER if self._moved and self._asks else 0), False
        while True:
            events = real(selector, patience)
            if events:
                self._heard_any = True
                return events
            patience = 0
            # Answered once no call is under way: what was sent to us is there then.
            idle = self._ask("GET", "idle")
            events = real(selector, 0)
            if events or self._now >= wake:
                self._heard_any = self._heard_any or bool(events)
                return events
            due = idle["next"] if idle["waiting"] else None
            until = wake if due is None else min(wake, due)
            if math.isinf(until):
                # Nobody knows when this ends; it may be a thread's doing, or a message of which nothing is due yet.
                return real(selector, None if not idle["waiting"] else LOOK_AGAIN)
            events = self.pass_until(until, lambda seconds: real(selector, seconds))
            if events:
                return list(events)
            self._moved, self._asks, self._heard_any = True, self._heard_any, False


@dataclass
class _Seen:
    """Where a thread stood when it was last looked at."""

    place: tuple[object, ...]
    since: float
    """Real seconds."""
    looks: int = 0
    """How often it stood there still, after `GRACE`."""


def _others(me: int, asleep: dict[int, float]) -> str:
    """Tell whether any other thread works (`BUSY`), or all wait: for a moment, another thread, or at one place.

    Where that place is one at which threads may also work, such as a call in C, they are `STANDING` for a while first.
    """
    real = {thread.ident for thread in _real_threads if thread.is_alive()}
    threads = {thread.ident: thread for thread in threading.enumerate()}
    frames = sys._current_frames()
    for ident in set(_seen) - set(frames):
        _seen.pop(ident, None)
    found = RESTING
    for ident, frame in frames.items():
        if ident == me or ident in asleep or ident in real or (_place_of(frame) in RESTS and not _is_starting(frame)):
            continue
        # Numbers of threads and frames are used again; the thread itself is not.
        place, now = (threads.get(ident), id(frame), frame.f_lasti), _real_monotonic()
        seen = _seen.get(ident)
        if seen is None or seen.place != place:
            _seen[ident] = _Seen(place, now)
            found = BUSY
        elif now - seen.since < GRACE:
            found = BUSY
        elif seen.looks < LOOKS:
            seen.looks += 1
            found = STANDING if found == RESTING else found
    return found


def _virtual() -> VirtualTime | None:
    return None if _active is None or getattr(_here, "real", False) else _active


def _place_of(frame: FrameType) -> tuple[str, str]:
    return frame.f_code.co_filename.replace("\\", "/").rsplit("/", 1)[-1], frame.f_code.co_name


def _is_starting(frame: FrameType) -> bool:
    """Tell whether a thread waits for one that it is starting: it goes on at once."""
    caller = frame.f_back
    for _ in range(NEAR):
        if caller is None:
            return False
        if _place_of(caller) == ("threading.py", "start"):
            return True
        caller = caller.f_back
    return False


# --- what stands in for the functions of the library ---


def _sleep(seconds: float, /) -> None:
    virtual = _virtual()
    if virtual is None or not seconds > 0:
        _real_sleep(seconds)
    else:
        virtual.sleep(seconds)


def _now_time() -> float:
    virtual = _virtual()
    return _real_time() if virtual is None else virtual.now()


def _now_time_ns() -> int:
    return int(_now_time() * 1e9)


def _now_monotonic() -> float:
    virtual = _virtual()
    return _real_monotonic() if virtual is None else virtual.monotonic()


def _now_monotonic_ns() -> int:
    return int(_now_monotonic() * 1e9)


def _gmtime(seconds: float | None = None, /) -> _time.struct_time:
    return _real_gmtime(_now_time() if seconds is None else seconds)


def _localtime(seconds: float | None = None, /) -> _time.struct_time:
    return _real_localtime(_now_time() if seconds is None else seconds)


def _wait(self: threading.Condition, timeout: float | None = None) -> bool:
    virtual = _virtual()
    if virtual is None or timeout is None or timeout <= 0:
        return _real_wait(self, timeout)
    return bool(virtual.pass_until(virtual.now() + max(timeout, STEP), lambda seconds: _real_wait(self, seconds)))


def _now_datetime(cls: type[_datetime.datetime], tz: _datetime.tzinfo | None = None) -> _datetime.datetime:
    virtual = _virtual()
    if virtual is None:
        found: _datetime.datetime = _MOMENTS["now"].__get__(None, cls)(tz)
        return found
    return cls.fromtimestamp(virtual.now(), tz)


def _utcnow(cls: type[_datetime.datetime]) -> _datetime.datetime:
    return cls.fromtimestamp(_now_time(), _datetime.UTC).replace(tzinfo=None)


def _select_of(real: Callable[[Any, float | None], list[Any]]) -> Callable[..., list[Any]]:
    def select(self: Any, timeout: float | None = None) -> list[Any]:
        virtual = _virtual()
        loop = asyncio._get_running_loop()
        if virtual is None or (timeout is not None and timeout <= 0) or getattr(loop, "_selector", None) is not self:
            return real(self, timeout)
        virtual._loops.add(loop)
        return virtual.select(real, self, timeout)

    return select


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
_SWAPS = [(getattr(_time, name), stand_in) for name, stand_in in _FUNCTIONS.items()]
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
    for kind, real in _SELECTORS:
        kind.select = _select_of(real)  # type: ignore[method-assign]
    _set_moments(_STAND_INS)


def _uninstall() -> None:
    _set_moments(_MOMENTS)
    for kind, real in _SELECTORS:
        kind.select = real  # type: ignore[method-assign]
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
