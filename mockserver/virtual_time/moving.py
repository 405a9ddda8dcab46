"""The context of virtual time: tells the world's moment, and moves the world when all of this process wait.

Whoever wakes first moves it: to that moment, or, while somebody follows the world (a feed, an answer that is held), to
the next event on the way. One who waits for the emulator alone moves it from event to event.
"""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

from mockserver.errors import UserError
from mockserver.virtual_time import stand_ins
from mockserver.virtual_time.waits import Wait, all_rest, mine_is_next, readable, waiting

if TYPE_CHECKING:
    import socket

    from mockserver.line import World
    from mockserver.web.emulator import Stage

Found = TypeVar("Found")

FRESH = 0.005
"""Real seconds that what was heard of the clock of a server elsewhere is believed."""
SLICE = 0.001
"""Real seconds between two looks of those who wait while others work."""
LOOK_AGAIN = 0.05
"""Real seconds between two looks of those who wait for no moment while somebody else looks, or nothing is due."""
STEP = 1e-6
"""Virtual seconds that time moves at least; less is lost in a float of Unix seconds."""

_real_monotonic = time.monotonic


class VirtualTime:
    """The context. One at a time in a process."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._loops: weakref.WeakSet[Any] = weakref.WeakSet()
        self._now = self._heard = self._rate = 0.0
        self._end: float | None = None
        """The moment at which the context was left."""

    def __enter__(self) -> Self:
        if stand_ins.active is not None:
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
        stand_ins.install(self)
        return self

    def __exit__(self, *details: object) -> None:
        skew = self.monotonic() - _real_monotonic()
        self._end = self.now()
        stand_ins.remove()
        # What is still to come in event loops was planned by the virtual clock.
        for loop in self._loops:
            for handle in getattr(loop, "_scheduled", ()):
                handle._when -= skew
        self._world.listeners.remove(self._hear)
        self._world.call("POST", "virtual", {"on": False})

    # --- telling the time ---

    def now(self) -> float:
        """Return the world's moment."""
        if self._end is not None:
            return self._end
        stage = self._stage()
        real = _real_monotonic()
        if stage is not None:
            return stage.world.clock.virtual(real)
        if real - self._heard > FRESH:
            self._ask("GET", "clock")
        return self._now + (real - self._heard) * self._rate if self._rate else self._now

    def monotonic(self) -> float:
        """Return what `time.monotonic` tells."""
        return self._start_monotonic + self.now() - self._start_now

    def _stage(self) -> Stage | None:
        """Return the world itself where its server runs in this process: its clock is then looked at without a call."""
        running = self._world.running
        if running is None or running.server is None:
            return None
        return running.server.app.emulator.stages.get(self._world.id or "")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        with stand_ins.real_time():
            answer: dict[str, Any] = self._world.call(method, path, body)
        self._hear(answer)
        return answer

    def _hear(self, clock: dict[str, Any]) -> None:
        self._now, self._rate, self._heard = clock["now"], clock["rate"], _real_monotonic()

    # --- passing it ---

    def moment_in(self, seconds: float | None) -> float:
        """Return the moment that is so far away, `inf` for None."""
        return math.inf if seconds is None else self.now() + max(seconds, STEP)

    def wait(
        self,
        moment: float,
        look: Callable[[float], Found | None],
        come: Callable[[], object],
        *,
        limit: float | None = None,
        answer: bool = False,
    ) -> Found | None:
        """Wait for something or for a moment, and be the one who moves the world if nobody works or wakes earlier.

        Args:
            moment: `inf` for none.
            look: waits for it, for a few real seconds; what it returns, if it is true, ends the waiting.
            come: tells another thread whether it has come.
            limit: real seconds after which the waiting ends, too.
            answer: it may be something that the emulator sends.

        Returns:
            What *look* returned, None once the moment has come or the limit is reached.
        """
        ends = math.inf if limit is None else _real_monotonic() + limit
        mine = Wait(moment, come, answer)
        with waiting(mine):
            while math.isinf(mine.moment) or self.now() < mine.moment:
                mover, pause = stand_ins.active, SLICE
                if mover is not self and not math.isinf(mine.moment):
                    # The context was left meanwhile: what remains passes in real time.
                    ends, mine.moment = min(ends, _real_monotonic() + mine.moment - self.now()), math.inf
                if mover is None:
                    pause = LOOK_AGAIN
                elif not mine_is_next():
                    pause = LOOK_AGAIN if math.isinf(mine.moment) else SLICE
                elif all_rest(mover.now, mover._settle):
                    if mover._advance(mine.moment):
                        continue
                    pause = LOOK_AGAIN
                found = look(max(0, min(pause, ends - _real_monotonic())))
                if found:
                    return found
                if _real_monotonic() >= ends:
                    break
        return None

    def _settle(self) -> None:
        """Return when an emulator elsewhere has answered all calls but those that it holds; one here is looked at."""
        if self._stage() is None:
            self._ask("GET", "idle")

    def _advance(self, moment: float) -> bool:
        """Move the world towards a moment; return whether anything has moved."""
        until = None if math.isinf(moment) else moment
        stage, running = self._stage(), self._world.running
        if stage is None or running is None or running.server is None:
            return bool(self._ask("POST", "advance", {"until": until})["moved"])
        if until is None and not stage.pacer.busy:
            return False
        with stand_ins.real_time():
            return running.server.do(lambda: stage.advance(until))

    # --- what waits in this process ---

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.wait(self.moment_in(seconds), stand_ins.real_sleep, lambda: False)

    def select(
        self, real: Callable[[Any, float | None], list[Any]], selector: Any, timeout: float | None, *, loop: bool
    ) -> list[Any]:
        """Wait as a selector does; for an event *loop*, *timeout* is virtual seconds, else real ones."""
        events = real(selector, 0)
        if events:
            return events
        found = self.wait(
            self.moment_in(timeout if loop else None),
            lambda seconds: real(selector, seconds),
            lambda: real(stand_ins.to_be_asked(selector), 0),
            limit=None if loop else timeout,
            answer=True,
        )
        return found or []

    def wait_readable(self, sock: socket.socket, timeout: float | None) -> None:
        """Wait until a socket has something to read; raise `TimeoutError` after real seconds, if not None."""

        def look(seconds: float) -> bool:
            # One that is closed meanwhile says so to whoever reads from it.
            return (fd := sock.fileno()) < 0 or readable(fd, seconds)

        if not look(0) and not self.wait(math.inf, look, lambda: look(0), limit=timeout, answer=True):
            raise TimeoutError("timed out")


def wait_for_server(
    look: Callable[[float | None], Found], come: Callable[[], object], limit: float | None
) -> Found | None:
    """Wait for what the emulator sends by another way than a socket; arguments as those of `VirtualTime.wait`."""
    virtual = stand_ins.current()
    if virtual is None:
        return look(limit)
    return look(0) or virtual.wait(math.inf, look, come, limit=limit, answer=True)
