"""Whether all threads of this process wait: each is asked what it waits for, not how long it has stood still.

A thread in one of our stand-ins says what would wake it, so that a look tells whether that has come, also while the
thread has not run since. A thread in `Condition.wait` waits while nobody has notified it; a server's loop while none of
its sockets has anything to read. A count of those who went on makes many looks one: if it is the same before and after,
nobody ran in between.

Only of a thread in some other call in C is nothing known: it works until it has stood at one place for `GRACE` and,
where the system tells, does not run.
"""

from __future__ import annotations

import math
import select
import selectors
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

GRACE = 0.5
"""Real seconds after which a thread that stands still in a call in C is taken to wait."""
LOOKS = 10
"""How often it must be seen there after that, everybody else waiting."""
RUNS = {"R", "D"}
"""States of a thread in /proc that runs, or would if there were a processor or a disk for it."""

_real_monotonic = time.monotonic


class ServerSelector(selectors.DefaultSelector):
    """The selector of a server's event loop in this process, which can be asked whether the loop has nothing to do."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0
        """How often it has come back from waiting."""
        self._waits = False

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        self._waits = True
        try:
            return super().select(timeout)
        finally:
            self._waits = False
            self.turns += 1

    @contextmanager
    def of_this_thread(self) -> Iterator[None]:
        """Let the calling thread count as waiting whenever this selector says so."""
        _servers[threading.get_ident()] = self
        try:
            yield
        finally:
            del _servers[threading.get_ident()]

    def rests(self) -> bool:
        """Tell whether its loop waits and nothing has come that would wake it."""
        return self._waits and not super().select(0)


_servers: dict[int, ServerSelector] = {}


@dataclass
class Wait:
    """What one thread waits for."""

    moment: float
    """Of the world, `inf` for none: after it the thread goes on by itself."""
    come: Callable[[], object]
    """Tells, asked by another thread, whether it has come; stays true until the thread goes on."""
    answer: bool = False
    """It may be something that the emulator sends."""


@dataclass
class _Seen:
    """Where a thread stood in C when it was last looked at."""

    place: tuple[object, ...]
    since: float
    """Real seconds."""
    looks: int = 0


_waits: dict[int, Wait] = {}
"""Thread -> what it waits for in a stand-in. Of the process: one may wait longer than a context lasts."""
_seen: dict[int, _Seen] = {}
_left = 0
"""How often a thread has gone on after waiting in a stand-in."""


@contextmanager
def waiting(wait: Wait) -> Iterator[None]:
    """Let the calling thread count as waiting inside the block, until what it waits for has come."""
    global _left
    me = threading.get_ident()
    # One who waits inside a wait, as a signal's handler may, leaves the outer one in place.
    outer = _waits.get(me)
    _waits[me] = wait
    try:
        yield
    finally:
        _left += 1
        if outer is None:
            del _waits[me]
        else:
            _waits[me] = outer


def mine_is_next() -> bool:
    """Tell whether nobody wakes earlier than the calling thread."""
    first = min(_waits.copy().items(), key=lambda entry: (entry[1].moment, entry[0]))
    return first[0] == threading.get_ident()


def all_rest(now: Callable[[], float], settle: Callable[[], object]) -> bool:
    """Tell whether every thread waits, the calling one included, and nothing that would wake one is on its way.

    Args:
        now: the world's moment.
        settle: returns when the emulator has nothing to do; for one that is not in this process.
    """
    before = _count()
    # Threads that are being started have no frame yet.
    if threading._limbo:  # type: ignore[attr-defined]
        return False
    me, frames = threading.get_ident(), sys._current_frames()
    strangers = []
    for ident, frame in frames.items():
        if ident == me or ident in _waits or ident in _servers:
            continue
        rests = _RESTS.get(_place_of(frame))
        if rests is None or not rests(frame):
            strangers.append((ident, frame))
    for ident in set(_seen) - {ident for ident, _ in strangers}:
        del _seen[ident]
    if not all(_stand(strangers)):
        return False
    # In this order: what a server sent before it rested has arrived by the time its receivers are asked.
    if not all(server.rests() for server in tuple(_servers.values())):
        return False
    if strangers or any(wait.answer for wait in tuple(_waits.values())):
        settle()
    if any(wait.moment <= now() or _has_come(wait) for wait in tuple(_waits.values())):
        return False
    if _count() != before:
        return False
    return _are_believed([ident for ident, _ in strangers])


def _has_come(wait: Wait) -> bool:
    try:
        return bool(wait.come())
    except (OSError, ValueError):
        return True  # closed meanwhile, which the thread is about to notice, if it has not yet


def _count() -> int:
    return _left + sum(server.turns for server in tuple(_servers.values()))


def _stand(strangers: list[tuple[int, FrameType]]) -> list[bool]:
    """Tell of each thread at a place of which nothing is known whether it has stood there for long."""
    threads = {thread.ident: thread for thread in threading.enumerate()} if strangers else {}
    found = []
    for ident, frame in strangers:
        # Numbers of threads and frames are used again; the thread itself is not.
        place, now = (threads.get(ident), id(frame), frame.f_lasti), _real_monotonic()
        seen = _seen.get(ident)
        if seen is None or seen.place != place:
            _seen[ident] = seen = _Seen(place, now)
        elif seen.looks < LOOKS and now - seen.since >= GRACE and _runs(threads.get(ident)):
            seen.since, seen.looks = now, 0
        found.append(now - seen.since >= GRACE)
    return found


def _are_believed(strangers: list[int]) -> bool:
    """Tell whether they have been seen standing still often enough, and count that they have been once more."""
    for ident in strangers:
        _seen[ident].looks = min(_seen[ident].looks + 1, LOOKS)
    return all(_seen[ident].looks == LOOKS for ident in strangers)


def readable(fd: int, seconds: float) -> bool:
    """Tell whether a socket has something to read, or its end, within real *seconds*."""
    if not hasattr(select, "poll"):
        return bool(select.select([fd], [], [], seconds)[0])
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(math.ceil(seconds * 1000)))


def _runs(thread: threading.Thread | None) -> bool:
    """Tell whether the system says that a thread runs; false where it does not say."""
    with suppress(OSError, AttributeError, IndexError):
        state = Path(f"/proc/self/task/{thread.native_id}/stat").read_text("utf-8")  # type: ignore[union-attr]
        return state.rpartition(")")[2].split()[0] in RUNS
    return False


def _place_of(frame: FrameType) -> tuple[str, str]:
    return frame.f_code.co_filename.replace("\\", "/").rsplit("/", 1)[-1], frame.f_code.co_name


def _is_not_notified(frame: FrameType) -> bool:
    found = frame.f_locals
    return "waiter" in found and found["waiter"] in found["self"]._waiters


def _joins_one_that_lives(frame: FrameType) -> bool:
    joined = frame.f_locals.get("self")
    return threading._active.get(getattr(joined, "ident", None)) is joined  # type: ignore[attr-defined]


_RESTS: dict[tuple[str, str], Callable[[FrameType], bool]] = {
    ("threading.py", "wait"): _is_not_notified,
    ("threading.py", "join"): _joins_one_that_lives,
    ("threading.py", "_wait_for_tstate_lock"): _joins_one_that_lives,
    # A worker takes what is there without letting go of the interpreter.
    ("thread.py", "_worker"): lambda frame: frame.f_locals["work_queue"].empty(),
    # Those of execnet, by which pytest-xdist speaks to its workers.
    ("gateway_base.py", "read"): lambda _: True,
    ("gateway_base.py", "integrate_as_primary_thread"): lambda _: True,
}
"""File and function in which a thread may wait in C for what another does -> whether it does."""
