"""Goal 7: polling goes on while 90 MB come up and a hundred pictures go down.

Run as a program it is who uploads and downloads: a process of its own, so that only the server is shared with polling.
"""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import httpx

from tests.benchmarks.calls import JSON, START, Case, call, genstudio
from tests.benchmarks.load import Load, measure, once, request
from tests.benchmarks.measuring import LOAD_CORE, ROOT, Result, pin, program
from tests.benchmarks.serving import Server, emulator

TIMES = 5.0
UPLOAD = "/genstudio/api/maas/comfy_task_api/upload/image"
HEADERS = {"authorization": "Bearer sk-axbx5xcx9xAxbZyx"}
MEGABYTE = 1024 * 1024


def bench(*, short: bool = False) -> Iterator[Result]:
    """Measure goal 7."""
    seconds, rounds, size, pictures = (0.3, 1, MEGABYTE, 3) if short else (2.0, 3, 90 * MEGABYTE, 100)
    with emulator(providers=["genstudio"], rate=0, start=START) as server:
        poll, *_ = genstudio(lambda case: call(server, case))
        once(server, request("POST", "/_mock/clock", b'{"jump": 600}', [JSON]))
        # The links begin with the address that the polls of all benchmarks name.
        links = [link.replace("http://127.0.0.1:8787", server.url) for link in _links(call(server, poll))]
        kinds: dict[str, tuple[str, list[str]]] = {
            f"while {size // MEGABYTE} MB come up": ("upload", [str(size)]),
            f"while {pictures} pictures go down at once": ("download", [str(pictures), *links]),
        }
        quiet = _times(lambda: measure(server, [poll.sent()], connections=4, seconds=seconds, awake=False), rounds)
        for name, (kind, arguments) in kinds.items():
            busy = _times(lambda: _while(server, poll, kind, arguments, seconds), rounds)  # noqa: B023
            ratio = median(busy) / median(quiet)
            figure = f"{ratio:.1f}x ({median(quiet) * 1e3:.1f} ms, then {median(busy) * 1e3:.1f} ms)"
            yield Result("7", f"p99 of polling {name}, of a quiet one", f"<= {TIMES:g}x", figure, ratio <= TIMES,
                         {"busy": busy, "quiet": quiet})  # fmt: skip


def _times(work: Callable[[], Load], rounds: int) -> list[float]:
    return [work().p99 for _ in range(rounds)]


def _while(server: Server, poll: Case, kind: str, arguments: list[str], seconds: float) -> Load:
    """Measure polling while another process uploads or downloads again and again."""
    command = program("streams", server.url, kind, *arguments)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        try:
            return measure(server, [poll.sent()], connections=4, seconds=seconds, awake=False)
        finally:
            process.kill()


def _links(answer: Any) -> list[str]:
    found = json.loads(json.dumps(answer))
    stack, links = [found], []
    while stack:
        one = stack.pop()
        if isinstance(one, str) and one.startswith("http"):
            links.append(one)
        stack.extend(one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
    return links


async def _upload(url: str, size: int) -> None:
    from PIL import Image

    held = io.BytesIO()
    Image.new("RGB", (640, 480), "orange").save(held, "PNG")
    # What follows the picture's end is no part of it, but of the upload.
    content = held.getvalue() + bytes(size)
    async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=120) as client:
        print("begun", flush=True)  # noqa: T201
        while True:
            await client.post(UPLOAD, files={"source_file": ("in.png", content)})


async def _download(url: str, count: int, links: list[str]) -> None:
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(headers=HEADERS, timeout=120, limits=limits) as client:
        print("begun", flush=True)  # noqa: T201

        async def again(link: str) -> None:
            while True:
                await client.get(link)

        await asyncio.gather(*(again(links[number % len(links)]) for number in range(count)))


if __name__ == "__main__":
    pin(LOAD_CORE)
    address, what, number, *rest = sys.argv[1:]
    started = time.monotonic()
    asyncio.run(_upload(address, int(number)) if what == "upload" else _download(address, int(number), rest))
