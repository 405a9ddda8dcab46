"""Goal 8: what happens when one process is not enough, and what two of them bring."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.calls import START, call, genstudio
from tests.benchmarks.load import measure
from tests.benchmarks.measuring import Result
from tests.benchmarks.serving import emulator


def bench(*, short: bool = False) -> Iterator[Result]:
    """Show how one process behaves beyond what it can do: answers a second stay, waiting grows."""
    seconds = 0.1 if short else 1.0
    with emulator(providers=["genstudio"], rate=0, start=START) as server:
        poll, *_ = genstudio(lambda case: call(server, case))
        told = []
        for connections in (1, 16, 256):
            found = measure(server, [poll.sent()], connections=connections, seconds=seconds)
            told.append(f"{connections}: {found.rate:.0f}/s, p99 {found.p99 * 1e3:.1f} ms")
        yield Result("8", "one process by connections", "told", "; ".join(told), None)
