"""Goal 4: what simulated time costs: a day of tasks by jumps, and a world made, used and dropped."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Iterator
from dataclasses import replace
from statistics import median

from mockserver.provider.model import Provider
from mockserver.server import calm_collector
from mockserver.world.setup import Setup
from tests.benchmarks.direct import Direct
from tests.benchmarks.measuring import Result, cpu_time_of

DAY_SECONDS, WORLD_MS = 5.0, 2.0
DAY = 86_400.0


def bench(*, short: bool = False) -> Iterator[Result]:
    """Measure goal 4."""
    tasks = 100 if short else 100_000
    with _calm():
        submits, jumps, ended = _day(tasks)
        times = sorted(_worlds(5 if short else 200))
    took = submits + jumps
    yield Result("4", f"a day of {tasks} tasks through 8 slots, CPU", f"< {DAY_SECONDS:g} s",
                 f"{took:.2f} s (submits {submits:.2f} s, jumps {jumps:.2f} s)",
                 took < DAY_SECONDS and ended > tasks * 0.99, {"ended": ended})  # fmt: skip
    middle = median(times) * 1e3
    yield Result("4", "a world made, used for one task, dropped", f"< {WORLD_MS:g} ms", f"{middle:.2f} ms",
                 middle < WORLD_MS, {"most_ms": times[-1] * 1e3})  # fmt: skip


@contextlib.contextmanager
def _calm() -> Iterator[None]:
    """Within it garbage is collected as in the process of a server."""
    thresholds = gc.get_threshold()
    calm_collector()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def _day(tasks: int) -> tuple[float, float, int]:
    """Return CPU seconds for submitting and for jumping, and how many tasks ended."""
    direct = Direct(slots=8)
    direct.open("day")
    stage = direct.emulator.stages["day"]
    before = stage.world.setup

    def setup(provider: Provider) -> Setup:
        # 8 slots do 100,000 tasks in a day at 6.9 s each.
        return replace(before(provider), duration=lambda plan, chance: chance.uniform(5.5, 7.5))

    stage.world.setup = setup
    minutes = 1440
    submits = jumps = 0.0
    sent = 0
    for minute in range(minutes):
        due = tasks * (minute + 1) // minutes
        start = time.process_time()
        for _ in range(due - sent):
            direct.submit("day")
        middle = time.process_time()
        stage.world.jump(DAY / minutes)
        submits, jumps, sent = submits + middle - start, jumps + time.process_time() - middle, due
    start = time.process_time()
    stage.world.jump(3600)
    ended = sum(1 for entry in stage.world.journal if entry.name == "task.succeeded")
    runs = direct.service("day").runs
    return submits, jumps + time.process_time() - start, max(ended, len(runs.finished))


def _worlds(count: int) -> Iterator[float]:
    direct = Direct(slots=8)
    for number in range(count):

        def use(name: str = f"w{number}") -> None:
            direct.open(name)
            id = direct.submit(name)
            direct.emulator.stages[name].world.jump(60)
            asyncio.run(direct.repeat(direct.poll(id, name), 1)())  # type: ignore[arg-type]  # a coroutine it is
            direct.emulator.close(name)

        yield cpu_time_of(use)
