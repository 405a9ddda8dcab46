"""Goal 3: two thousand followers of two hundred tasks: everyone hears everything, on time, at a bearable cost."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.benchmarks.calls import START, fixture
from tests.benchmarks.load import run
from tests.benchmarks.measuring import Result, percentile
from tests.benchmarks.serving import Server, emulator, server

LAG_SECONDS, TIMES = 0.1, 3.0
FEED = "/genstudio/api/maas/comfy_task_ws_api/get_task_progress"
SUBMIT = "/genstudio/api/maas/comfy_task_api/prompt"
KEY = {"authorization": "Bearer sk-axbx5xcx9xAxbZyx"}


class Heard:
    """What one follower heard: moments of arrival, and texts."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.at: list[float] = []
        self.texts: list[str] = []
        self.code: int | None = None

    async def listen(self, connection: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                text = await connection.recv()
                self.at.append(time.monotonic())
                self.texts.append(str(text))
        self.code = connection.close_code


def bench(*, short: bool = False) -> Iterator[Result]:
    """Measure goal 3."""
    tasks, followers = (2, 4) if short else (200, 2000)
    rate = 50.0 if short else 1.0
    with emulator(providers=["genstudio"], rate=0, start=START, slots=tasks) as ours:
        shares = _rehearsed(ours)
        heard, cpu, ends, begun = run(lambda: _followed(ours, tasks, followers, rate))
    lags, lost = _judged(heard, ends, begun, shares, rate)
    messages = sum(len(one.at) for one in heard)
    pushes = messages - followers  # the first was sent before the clock ran
    size = sum(len(text) for one in heard for text in one.texts) // max(1, messages)
    worst = percentile(lags, 0.99)
    yield Result("3", f"{followers} followers on {tasks} tasks: p99 of the lag", f"< {LAG_SECONDS * 1e3:g} ms",
                 f"{worst * 1e3:.0f} ms ({messages} messages, median {percentile(lags, 0.5) * 1e3:.0f} ms)",
                 worst < LAG_SECONDS)  # fmt: skip
    yield Result("3", f"{followers} followers on {tasks} tasks: messages lost", "0", str(lost), lost == 0)
    seconds = max(ends.values()) - START
    fixed = _fixed(followers, count=max(1, pushes // followers), seconds=seconds / rate, size=size)
    cost = cpu / max(1, pushes) * 1e6
    yield Result("3", "CPU of a push, of sending fixed bytes", f"<= {TIMES:g}x",
                 f"{cost / fixed:.2f}x ({cost:.0f} us, bytes {fixed:.0f} us)" if fixed else "not told here",
                 cost <= TIMES * fixed if fixed else None)  # fmt: skip


def _rehearsed(server: Server) -> list[float]:
    """Return at which shares of a run a follower is told something, from a world whose clock stands."""
    with httpx.Client(base_url=server.url, headers=KEY, timeout=30) as client:
        asyncio.run(_step_through(server, client))
        (line,) = [
            line
            for line in client.get("/_mock/exchanges").text.splitlines()
            if json.loads(line)["operation"] == "progress"
        ]
        moments = [frame["at"] - START for frame in json.loads(line)["frames"] if frame["sent"]]
        client.post("/_mock/reset").raise_for_status()
    return [moment / moments[-1] for moment in moments]


async def _step_through(server: Server, client: httpx.Client) -> None:
    token = client.post(SUBMIT, json=fixture("genstudio", "text-to-image")).json()["data"]["prompt_token"]
    heard = Heard("")
    connection = await _connected(server, token)
    listening = asyncio.create_task(heard.listen(connection))
    while not listening.done():
        # The loop of ours must get round to hearing before the world moves on.
        await asyncio.to_thread(client.post, "/_mock/clock", json={"next": True})
    await asyncio.sleep(0.1)


async def _connected(server: Server, token: str) -> ClientConnection:
    host, port = server.address
    query = urlencode({"authorization": token})
    return await connect(
        f"ws://{host}:{port}{FEED}?{query}", compression=None, ping_interval=None, open_timeout=60, proxy=None
    )


async def _followed(
    server: Server, tasks: int, followers: int, rate: float
) -> tuple[list[Heard], float, dict[str, float], float]:
    """Return what all heard, the server's CPU seconds, when each task ended, and the real moment the clock began."""
    async with httpx.AsyncClient(base_url=server.url, headers=KEY, timeout=60) as client:
        body = fixture("genstudio", "text-to-image")
        made = [(await client.post(SUBMIT, json=body)).json()["data"] for _ in range(tasks)]
        heard = [Heard(made[number % tasks]["prompt_id"]) for number in range(followers)]
        listening = []
        for number, one in enumerate(heard):
            connection = await _connected(server, made[number % tasks]["prompt_token"])
            listening.append(asyncio.create_task(one.listen(connection)))
        while not all(one.texts for one in heard):
            await asyncio.sleep(0.05)
        cpu, before = server.cpu, time.monotonic()
        (await client.post("/_mock/clock", json={"rate": rate})).raise_for_status()
        begun = (before + time.monotonic()) / 2
        await asyncio.gather(*listening)
        cpu = server.cpu - cpu
        entries = [json.loads(line) for line in (await client.get("/_mock/journal")).text.splitlines()]
        ends = {entry["task"]: entry["at"] for entry in entries if entry["name"] == "task.succeeded"}
        return heard, cpu, ends, begun


def _judged(
    heard: list[Heard], ends: dict[str, float], begun: float, shares: list[float], rate: float
) -> tuple[list[float], int]:
    """Return how late each message came, and how many did not come, or not as to the others."""
    lags, lost = [], 0
    told: dict[str, Counter[tuple[str, ...]]] = {}
    for one in heard:
        told.setdefault(one.task, Counter())[tuple(one.texts)] += 1
        lost += abs(len(shares) - len(one.at)) + (one.code != 1000)
        length = ends[one.task] - START
        for share, at in list(zip(shares, one.at, strict=False))[1:]:
            lags.append(at - (begun + share * length / rate))
    lost += sum(sum(counts.values()) - max(counts.values()) for counts in told.values())
    return lags, lost


def _fixed(followers: int, *, count: int, seconds: float, size: int) -> float:
    """Return CPU microseconds of a message of fixed bytes, sent as often to as many."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.json"
        file.write_text("{}")
        with server("baselines", str(file)) as baselines:
            return run(lambda: _sent_bytes(baselines, followers, count, seconds, size))


async def _sent_bytes(server: Server, followers: int, count: int, seconds: float, size: int) -> float:
    host, port = server.address
    every = seconds / count
    # Long enough that all are there before the first frame is sent.
    url = f"ws://{host}:{port}/?size={size}&count={count}&every={every}"
    heard = [Heard("") for _ in range(followers)]
    listening: list[asyncio.Task[Any]] = []
    for one in heard:
        connection = await connect(url, compression=None, ping_interval=None, open_timeout=60, proxy=None)
        listening.append(asyncio.create_task(one.listen(connection)))
    cpu, before = server.cpu, sum(len(one.at) for one in heard)
    await asyncio.gather(*listening)
    return (server.cpu - cpu) / max(1, sum(len(one.at) for one in heard) - before) * 1e6
