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

from mockserver.world.world import World


class Pacer:
    """Keeps one world in step with real time while somebody waits for it."""

    def __init__(self, world: World, real: Callable[[], float] = time.monotonic) -> None:
        self._world = world
        self._real = real
        self._waiting = 0
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Keep the world going while the block lasts."""
        self._waiting += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        else:
            self._stirred.set()
        try:
            yield
        finally:
            self._waiting -= 1
            self._stirred.set()

    def stir(self) -> None:
        """Look again: the clock was turned, or something new is due."""
        self._stirred.set()

    async def _run(self) -> None:
        while self._waiting:
            self._stirred.clear()
            real = self._real()
            self._world.catch_up(real)
            due = self._world.due()
            wait = math.inf if due is None else self._world.clock.real_until(due, real)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stirred.wait(), None if math.isinf(wait) else wait)
