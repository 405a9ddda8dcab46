"""Goal 8: what happens when one process is not enough, and what another beside it costs.

Two servers share nothing, so on as many cores they answer as many times more. That can only be counted here, in CPU
seconds of an answer: on two cores the load needs one, and both servers run on the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from tests.benchmarks.calls import START, Case, call, genstudio
from tests.benchmarks.load import Load, load, measure, run
from tests.benchmarks.measuring import Result
from tests.benchmarks.serving import Server, emulator


def bench(*, short: bool = False) -> Iterator[Result]:
    """Show how one process behaves beyond what it can do (answers a second stay, waiting grows), then two."""
    seconds = 0.1 if short else 1.0
    with emulator(providers=["genstudio"], rate=0, start=START) as server:
        poll = _poll(server)
        told = []
        for connections in (1, 16, 256):
            found = measure(server, [poll.sent()], connections=connections, seconds=seconds)
            told.append(f"{connections}: {found.rate:.0f}/s, p99 {found.p99 * 1e3:.1f} ms")
        yield Result("8", "one process by connections", "told", "; ".join(told), None)
        with emulator(providers=["genstudio"], rate=0, start=START) as other:
            alone: list[float] = []
            both: list[float] = []
            for _ in range(1 if short else 3):
                alone.append(measure(server, [poll.sent()], connections=16, seconds=seconds).cpu)
                both.extend(one.cpu for one in _together({server: poll, other: _poll(other)}, seconds))
        # The least of each: whatever else runs here only adds.
        figure = f"{min(both):.0f} us each, alone {min(alone):.0f} us" if min(alone) else "not told here"
        yield Result("8", "two processes, a port each: CPU of an answer", "told", figure, None)


def _poll(server: Server) -> Case:
    poll, *_ = genstudio(lambda case: call(server, case))
    return poll


def _together(polls: dict[Server, Case], seconds: float) -> list[Load]:
    """Load several servers at once."""

    async def work() -> list[Load]:
        loads = (load(server, [poll.sent()], 16, seconds) for server, poll in polls.items())
        return list(await asyncio.gather(*loads))

    return run(work)
