"""A soak: many requests under a mix of scenarios, in worlds that come and go; memory must stay as it was.

    python -m tests.benchmarks.soak [--requests 100000] [--json FILE]

Each world plays one scenario of the library for some hundred requests (submits, polls, near misses),
then is dropped. The clock runs fast, so that delays and queues pass. Prints memory as it goes, and whether it is flat:
the last quarter may hold at most a tenth more than the second.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from mockserver.scenario import library
from tests.benchmarks.load import request
from tests.benchmarks.measuring import LOAD_CORE, pin
from tests.benchmarks.serving import Server, emulator

PROVIDER = "genstudio"
API = "/api/maas/comfy_task_api"
KEY = ("authorization", "Bearer sk-soak")
JSON = ("content-type", "application/json")
PER_WORLD = 500
WORKERS = 4
RATE = 1000.0
GROWTH = 1.1


class Line:
    """One connection, made again when a scenario has broken it."""

    def __init__(self, server: Server) -> None:
        self._address = server.address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, raw: bytes) -> tuple[int, bytes]:
        """Return status and body; status 0 for an answer that broke off."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(*self._address, limit=2**22)
            reader, writer = self._streams
            writer.write(raw)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
            body = await reader.readexactly(length)
            return int(head.split(" ", 2)[1]), body
        except (OSError, asyncio.IncompleteReadError, ValueError):
            self.close()
            return 0, b""

    async def ask(self, raw: bytes) -> tuple[int, bytes]:
        """As `send`, again where the connection had idled too long."""
        status, body = await self.send(raw)
        return (status, body) if status else await self.send(raw)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


def calls(base: str) -> Iterator[bytes]:
    """Yield requests to a world without end: mostly polls, as clients do."""
    submit = request("POST", f"{base}{API}/prompt", b'{"workflow_id":"wf-c73diz7kadp6ffgn","prompt":{}}', (KEY, JSON))
    poll = request("POST", f"{base}{API}/get_task_info", b'{"comfy_task_ids":["a","b"]}', (KEY, JSON))
    nonsense = request("POST", f"{base}{API}/prompt", b'{"workflow_id":7}', (KEY, JSON))
    nowhere = request("GET", f"{base}/nowhere", headers=(KEY,))
    return itertools.cycle([submit, *[poll] * 7, nonsense, nowhere])


async def work(server: Server, names: Iterator[str], left: list[int], seen: dict[int, int]) -> None:
    line, control = Line(server), Line(server)
    while left[0] > 0:
        wanted = json.dumps({"scenario": next(names), "rate": RATE}).encode()
        status, made = await control.ask(request("POST", "/_mock/worlds", wanted, (JSON,)))
        assert status == 201, made
        id = json.loads(made)["id"]
        for raw in itertools.islice(calls(f"/_mock/w/{id}/{PROVIDER}"), PER_WORLD):
            status, _ = await line.send(raw)
            seen[status] = seen.get(status, 0) + 1
            left[0] -= 1
        _, problems = await control.ask(request("GET", f"/_mock/worlds/{id}/problems"))
        faults = [one for one in json.loads(problems)["problems"] if one["rule"] in ("emulator-fault", "answer-schema")]
        assert not faults, faults[:3]
        status, _ = await control.ask(request("DELETE", f"/_mock/worlds/{id}"))
        assert status == 200
    line.close()
    control.close()


async def soak(server: Server, requests: int) -> dict[str, Any]:
    """Send so many requests; return memory as it went, in bytes, and what was answered."""
    names = itertools.cycle(library.files())
    left, seen, memory = [requests], dict[int, int](), [server.memory]
    begun = time.perf_counter()
    workers = [asyncio.create_task(work(server, names, left, seen)) for _ in range(WORKERS)]
    step = max(1, requests // 20)
    mark = requests - step
    while not all(worker.done() for worker in workers):
        await asyncio.sleep(0.05)
        if left[0] <= mark:
            memory.append(server.memory)
            print(f"{requests - max(0, left[0]):>8} requests  {memory[-1] / 2**20:7.1f} MB", flush=True)  # noqa: T201
            mark -= step
    await asyncio.gather(*workers)
    memory.append(server.memory)
    return {"seconds": time.perf_counter() - begun, "memory": memory, "answers": seen}


def is_flat(memory: list[int]) -> bool:
    """Whether the last quarter holds at most `GROWTH` times what the second did."""
    quarter = max(1, len(memory) // 4)
    return median(memory[-quarter:]) <= GROWTH * median(memory[quarter : 2 * quarter])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    pin(LOAD_CORE)
    with emulator(providers=[PROVIDER], rate=0) as server:
        found = asyncio.run(soak(server, options.requests))
    sent = sum(found["answers"].values())
    found["flat"] = is_flat(found["memory"])
    answers = ", ".join(f"{count} of {status or 'broken'}" for status, count in sorted(found["answers"].items()))
    print(f"{sent} requests in {found['seconds']:.0f} s: {answers}")  # noqa: T201
    first, last = found["memory"][0] / 2**20, found["memory"][-1] / 2**20
    print(f"memory {first:.1f} MB at the start, {last:.1f} MB at the end: {'flat' if found['flat'] else 'NOT flat'}")  # noqa: T201
    if options.json is not None:
        options.json.write_text(json.dumps(found), "utf-8")
    raise SystemExit(0 if found["flat"] else 1)


if __name__ == "__main__":
    main()
