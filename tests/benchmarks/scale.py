"""Goal 2: a million tasks in one world change neither the cost of a poll nor of a submit; and what a task weighs.

Run as a program it measures and prints JSON, so that the memory goes back to the system. The application is called
directly: a socket would hide the difference.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from statistics import median
from typing import Any

from tests.benchmarks.direct import Direct
from tests.benchmarks.measuring import ROOT, SERVER_CORE, Result, cpu_time_of, pin, program, resident_bytes

FEW = 10
TIMES, TASK_BYTES = 1.2, 2048


def bench(*, short: bool = False) -> Iterator[Result]:
    """Measure goal 2."""
    many, weighed = (200, 200) if short else (1_000_000, 20_000)
    command = program("scale", str(many), str(weighed))
    told = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    for name in ("poll", "submit"):
        few, lots = told[name]["few_us"], told[name]["many_us"]
        figure = f"{lots / few:.2f}x ({few:.0f} us, then {lots:.0f} us)"
        yield Result("2", f"{name} with {many} tasks waiting, of {name} with {FEW}", f"<= {TIMES:g}x", figure,
                     lots <= TIMES * few, told[name])  # fmt: skip
    weight = told["task_bytes"]
    yield Result("2", f"a finished task kept in full, beyond the {told['request_bytes']} bytes of its request",
                 f"<= {TASK_BYTES} bytes", f"{weight:.0f} bytes", weight <= TASK_BYTES)  # fmt: skip
    yield Result("2", "finished tasks kept by default", "bounded", f"{told['most_finished']}", told["bounded"])


def measured(many: int, weighed: int) -> dict[str, Any]:
    """Fill two worlds, and call both in turn."""
    direct = Direct(slots=8)
    rounds, calls = (3, 20) if many < 1000 else (9, 1000)
    worlds = {"few": FEW, "many": many}
    polls = {}
    for world, count in worlds.items():
        direct.open(world)
        gc.disable()
        ids = [direct.submit(world) for _ in range(count)]
        gc.enable()
        polls[world] = direct.poll(ids[-1], world)
    gc.freeze()
    submits = {world: direct.submission(world) for world in worlds}
    found: dict[str, Any] = {}
    for name, sent in (("poll", polls), ("submit", submits)):
        # A submit makes the small world larger: fewer of them, and the difference shows all the same.
        times: dict[str, list[float]] = {world: [] for world in worlds}
        for _ in range(rounds):
            for world in worlds:
                work = direct.repeat(sent[world], calls)
                times[world].append(cpu_time_of(lambda work=work: asyncio.run(work())) / calls * 1e6)  # type: ignore[misc]  # mypy sees no callable in the lambda
        found[name] = {f"{world}_us": median(times[world]) for world in worlds}
    return {**found, **_weighed(weighed)}


def _weighed(count: int) -> dict[str, Any]:
    """Return what finished tasks weigh, each with the request that was its own."""
    direct = Direct(slots=100)
    direct.open("weighed")
    direct.submit("weighed", own=True)
    gc.collect()
    before = resident_bytes()
    for number in range(count):
        direct.submit("weighed", own=True)
        if number % 100 == 0:
            direct.emulator.stages["weighed"].world.jump(3600)
    direct.emulator.stages["weighed"].world.jump(3600)
    gc.collect()
    weight = (resident_bytes() - before) / count
    service = direct.service("weighed")
    return {
        "task_bytes": weight - len(direct.request_bytes),
        "request_bytes": len(direct.request_bytes),
        "most_finished": service.setup.max_finished,
        "bounded": service.setup.max_finished < 1_000_000,
        "finished": len(service.runs.finished),
    }


if __name__ == "__main__":
    pin(SERVER_CORE)
    print(json.dumps(measured(int(sys.argv[1]), int(sys.argv[2]))))  # noqa: T201
