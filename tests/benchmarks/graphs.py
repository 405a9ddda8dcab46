"""Goal 9: what whole graphs cost: checked, planned and compared with earlier runs; the node catalogue as an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

from mockserver.settings import Settings
from mockserver.web.app import Application
from mockserver.web.emulator import Emulator
from mockserver.world import catalogue, graphcheck, order, plan
from tests.benchmarks.measuring import Result, cpu_time_of

FEW, MANY = 100, 1000
GROWTH = 15.0
"""Ten times the nodes: ten times the work, and half as much again for caches that are too small."""
AGAIN = 0.1


def bench(*, short: bool = False) -> Iterator[Result]:
    """Measure goal 9."""
    known = catalogue.load()
    steps: dict[str, Callable[[Any], Any]] = {
        "checked": lambda graph: graphcheck.check(graph, known),
        "planned": lambda graph: plan.make_plan(graph, known),
        "compared with earlier runs": order.signatures,
    }
    few, many = chain(FEW), chain(MANY)
    for name, step in steps.items():
        # They take turns, so that what else the machine does meets both.
        turns = [(cpu_time_of(partial(step, few)), cpu_time_of(partial(step, many))) for _ in range(2 if short else 30)]
        small, large = (median(column) for column in zip(*turns, strict=True))
        yield Result("9", f"a graph of {MANY} nodes {name}, of {FEW} nodes", f"<= {GROWTH:g}x",
                     f"{large / small:.1f}x ({large * 1e3:.2f} ms)", large / small <= GROWTH)  # fmt: skip
    first, again = _catalogue(2 if short else 30)
    figure = f"{again / first:.1%} ({again * 1e3:.2f} ms, first {first * 1e3:.0f} ms)"
    yield Result(
        "9", "the whole node catalogue again, of the first time", f"<= {AGAIN:.0%}", figure, again / first <= AGAIN
    )


def chain(nodes: int) -> dict[str, Any]:
    """Return a graph in which each node takes the picture of the one before, the last saves it."""
    graph: dict[str, Any] = {
        "0": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 0}}
    }
    for number in range(1, nodes - 1):
        graph[str(number)] = {"class_type": "ImageInvert", "inputs": {"image": [str(number - 1), 0]}}
    save = {"images": [str(nodes - 2), 0], "filename_prefix": "x"}
    return graph | {str(nodes - 1): {"class_type": "SaveImage", "inputs": save}}


def _catalogue(times: int) -> tuple[float, float]:
    """Return CPU seconds of the first answer that lists all node classes, and of a later one."""
    app = Application(Emulator(Settings(providers=("comfyui",), rate=0)))
    path = "/object_info"
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "scheme": "http", "headers": [(b"host", b"127.0.0.1:8188")],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(answer: Any) -> None:
        assert answer.get("status", 200) == 200, answer

    def call() -> None:
        asyncio.run(app(dict(scope), receive, send))

    first = cpu_time_of(call)
    return first, median(cpu_time_of(call) for _ in range(times))
