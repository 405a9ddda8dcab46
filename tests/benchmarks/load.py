"""Load: so many connections, each sending the next request as soon as its answer is whole.

Raw sockets on one event loop: a client library would cost more than the server it measures.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, TypeVar

from tests.benchmarks.measuring import percentile
from tests.benchmarks.serving import Server

T = TypeVar("T")


@dataclass(frozen=True)
class Load:
    """What a load brought."""

    rate: float
    """Answers a second."""
    cpu: float
    """CPU microseconds of the server for one answer; 0 where the system does not tell."""
    p50: float
    p99: float
    """Seconds from a request to its answer."""
    failed: int
    """Answers that are no success."""


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run *work* on a fast event loop, the garbage collector at rest."""
    try:
        import uvloop
    except ImportError:  # not on Windows
        loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
    else:
        loop = uvloop.new_event_loop()
    gc.collect()
    gc.disable()
    try:
        return loop.run_until_complete(work())
    finally:
        gc.enable()
        loop.close()


def request(method: str, path: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1:8787", *(f"{name}: {value}" for name, value in headers)]
    if body or method in ("POST", "PUT"):
        lines.append(f"content-length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def measure(server: Server, requests: Sequence[bytes], *, connections: int, seconds: float, awake: bool = True) -> Load:
    """Load *server* with *requests* in turn.

    Args:
        awake: whether the load keeps its core from going idle; not where it shares that with other clients.
    """
    return run(lambda: load(server, requests, connections, seconds, awake=awake))


def once(server: Server, sent: bytes) -> tuple[int, bytes]:
    """Return status and body of the answer to one request."""

    async def ask() -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_length(head))
        writer.close()
        return int(head[9:12]), body

    return asyncio.run(ask())


async def load(
    server: Server, requests: Sequence[bytes], connections: int, seconds: float, *, awake: bool = True
) -> Load:
    """Load *server* as `measure` does, on the loop that runs already."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    sources = [cycle([*requests[at % len(requests) :], *requests[: at % len(requests)]]) for at in range(connections)]
    clients = [
        (await loop.create_connection(lambda source=source: Client(source, tally), *server.address))[1]  # type: ignore[misc]  # mypy sees no protocol in the lambda
        for source in sources
    ]
    turning = _Awake(loop) if awake else None
    await asyncio.sleep(seconds / 5)
    tally.times.clear()
    cpu, start = server.cpu, time.perf_counter()
    await asyncio.sleep(seconds)
    took, used, done = time.perf_counter() - start, server.cpu - cpu, list(tally.times)
    if turning is not None:
        turning.end()
    for client in clients:
        client.transport.abort()
    count = max(1, len(done))
    return Load(len(done) / took, used / count * 1e6, percentile(done, 0.5), percentile(done, 0.99), tally.failed)


class _Awake:
    """Keeps the load's core from going idle: waking it costs whoever sends to it more than an answer of the fastest.

    A load that a fast server keeps busy never sleeps; without this, only the slower ones would pay.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._next = loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._next = self._loop.call_soon(self._turn)

    def end(self) -> None:
        self._next.cancel()


class Tally:
    """Seconds that each answer took, and how many were no success."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.failed = 0


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, source: Any, tally: Tally) -> None:
        self.source, self.tally = source, tally
        self.transport: Any = None
        self.held = b""
        self.sent = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        held = self.held = self.held + data if self.held else data
        head = held.find(b"\r\n\r\n")
        if head < 0 or len(held) < head + 4 + _length(held):
            return
        self.held = b""
        self.tally.times.append(time.perf_counter() - self.sent)
        if held[9:10] != b"2":
            self.tally.failed += 1
        self._next()

    def _next(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(next(self.source))


def _length(head: bytes) -> int:
    at = head.find(b"content-length: ")
    return 0 if at < 0 else int(head[at + 16 : head.find(b"\r\n", at)])
