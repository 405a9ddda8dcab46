"""Time passing for those who wait: push channels, and answers that are held.

The only place that waits. A `Pacer` wakes when the next event of a world is due in real time, and lets the world catch
up; whoever follows the world hears each event at its own moment. With nobody waiting it does nothing.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from mockserver.world.world import World

LET_GO = 5
"""Turns of the event loop that a woken task needs at most to be done with what it was woken for."""
LOOK_AGAIN = 0.002
"""Real seconds between two looks whether those at work are done."""
LEAPS: ContextVar[bool] = ContextVar("leaps", default=False)
"""Whether time leaps to what the call waits for that is answered in this context."""


class Pacer:
    """Keeps one world in step with real time while somebody waits for it.

    Args:
        leaps: time jumps from event to event while somebody waits, instead of passing. For ways in where the caller's
            own thread would have to turn the clock, and waits. A single call says so by `LEAPS`.
        settled: tells whether nobody is at work for whom time has to stand; before that it does not leap.
    """

    def __init__(
        self,
        world: World,
        real: Callable[[], float] = time.monotonic,
        *,
        leaps: bool = False,
        settled: Callable[[], bool] = lambda: True,
    ) -> None:
        self._leaps, self._settled = leaps, settled
        self._world = world
        self._real = real
        self._waiting: dict[object, tuple[Callable[[], bool], bool]] = {}
        """Who waits: whether it wants more, and whether time leaps for its sake."""
        self._leapers = 0
        """For how many of them."""
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._looks: dict[object, Callable[[], None]] = {}

    @property
    def leaping(self) -> bool:
        """Whether time leaps for the sake of anybody who waits."""
        return self._leapers > 0

    @property
    def busy(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    @contextmanager
    def waiting(self, wants: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """Keep the world going while the block lasts.

        Args:
            wants: whether something is still to come, for the sake of which time may leap.
        """
        key, leaps = object(), self._leaps or LEAPS.get()
        self._waiting[key] = wants, leaps
        self._leapers += leaps
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        else:
            self._stirred.set()
        try:
            yield
        finally:
            del self._waiting[key]
            self._leapers -= leaps
            self._stirred.set()

    @contextmanager
    def watching(self, look: Callable[[], None]) -> Iterator[None]:
        """Have *look* called whenever something may have happened, while the block lasts."""
        key = object()
        self._looks[key] = look
        try:
            yield
        finally:
            del self._looks[key]

    def stir(self) -> None:
        """Look again: the clock was turned, or something new is due."""
        self._stirred.set()
        self.told()

    def told(self) -> None:
        """Let those look who watch: something may have happened."""
        for look in tuple(self._looks.values()):
            look()

    async def _run(self) -> None:
        while self._waiting:
            self._stirred.clear()
            real = self._real()
            self._world.catch_up(real)
            self.told()
            if self.leaping:
                # Whoever heard of the latest event goes first: it may be all that was waited for.
                for _ in range(LET_GO):
                    await asyncio.sleep(0)
                if not self._settled():
                    await asyncio.sleep(LOOK_AGAIN)
                    continue
                wanted = any(leaps and wants() for wants, leaps in tuple(self._waiting.values()))
                if wanted and self._world.jump_to_next(self._real()):
                    continue
            due = self._world.due()
            wait = math.inf if due is None else self._world.clock.real_until(due, self._real())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stirred.wait(), None if math.isinf(wait) else wait)
