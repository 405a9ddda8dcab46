"""Goal 10: the dashboard with 10,000 tasks and a thousand exchanges a second: is it smooth, and what does it cost?

The page is fed by a real emulator on one core; a process pinned to the other polls over kept connections at a steady
pace, one call in fifty a submit, and the clock runs at 20. Chromium may use both cores, and has no graphics card. In
the page every frame is timed while its list scrolls, and Chromium's own observer tells of long tasks; a page with
nothing in it is timed in the same minute, since a busy machine drops frames by itself. What watching costs is CPU: that
of the server for one answer with the page open and without, in turns.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from statistics import median
from typing import Any

from tests.benchmarks.calls import START, call, genstudio
from tests.benchmarks.load import Client, Tally, request, run
from tests.benchmarks.measuring import LOAD_CORE, ROOT, Result, freed, percentile, pin, program
from tests.benchmarks.serving import Server, emulator, end

TASKS, RATE, CLOCK = 10_000, 1_200, 20.0
SMOOTH = 0.05
"""A task of the page's thread beyond this many seconds is what a person feels; the word of browsers for it is long."""
COST = 1.1
"""What watching may make of the CPU time of an answer."""
CONNECTIONS = 16
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
TIMES = """async ([list, seconds]) => {
  const frames = [], long = [];
  const observer = new PerformanceObserver((seen) => long.push(...seen.getEntries().map((one) => one.duration)));
  observer.observe({ type: 'longtask' });
  const began = performance.now();
  let last = began, down = 8;
  while (last - began < seconds * 1000) {
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
    const place = document.querySelector(list);
    if (place) {
      if (place.scrollTop + place.clientHeight >= place.scrollHeight - 1) down = -8;
      if (place.scrollTop <= 0) down = 8;
      place.scrollTop += down;
    }
  }
  observer.disconnect();
  return { frames: frames.slice(2), long };
}"""
PAGES = {"tasks": "#tasks", "exchanges": "#exchanges"}


def bench(*, short: bool = False) -> Iterator[Result]:
    """Time the frames of the pages under load, and the server's answers with and without a viewer."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        yield Result("10", "frames of the dashboard", "smooth", "no chromium or no playwright here", None)
        return
    tasks, rate, seconds = (200, 100, 0.3) if short else (TASKS, RATE, 8.0)
    with emulator(providers=["genstudio"], rate=CLOCK, start=START, slots=8) as server:
        sent = _prepared(server, tasks)
        with sync_playwright() as playwright:
            with freed():
                browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
            yield from _frames(browser, server, sent, rate, seconds)
            yield from _cost(browser, server, sent, rate, seconds)
            browser.close()


def _prepared(server: Server, tasks: int) -> list[bytes]:
    """Fill the world, half of it done; return the calls of the load: 49 polls of tasks that run, and a submit."""
    _, submit = cases = list(genstudio(lambda case: call(server, case)))
    told = run(lambda: _paced(server.address, [submit.sent()], count=tasks - 1))
    assert told["failed"] == 0, told
    run(lambda: _paced(server.address, [_clock({"jump": 25 * tasks / 8 / 2})], count=1))
    return [*[cases[0].sent()] * 49, submit.sent()]


def _frames(browser: Any, server: Server, sent: Sequence[bytes], rate: int, seconds: float) -> Iterator[Result]:
    found: dict[str, Any] = {}
    with _loaded(server, sent, rate) as load:
        for name in ("blank", *PAGES):
            page = browser.new_page(viewport={"width": 1360, "height": 860})
            page.goto("about:blank" if name == "blank" else f"{server.url}/_mock/#/{name}")
            if name != "blank":
                page.wait_for_selector(f"{PAGES[name]} [role=option] >> nth=5")
            page.wait_for_timeout(seconds * 100)
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            before = _busy(session)
            found[name] = page.evaluate(TIMES, [PAGES.get(name, "none"), seconds])
            found[name]["busy"] = (_busy(session) - before) / seconds
            page.close()
    for name in PAGES:
        frames, blank = found[name]["frames"], found["blank"]["frames"]
        long = sum(one for one in found[name]["long"] if one > SMOOTH * 1e3)
        usual, most = median(frames), percentile(frames, 0.99)
        yield Result(
            "10", f"{name} with {rate} exchanges a second: p99 of a frame", "<= 2x of an empty page's",
            f"{most / percentile(blank, 0.99):.2f}x ({usual:.0f} ms, p99 {most:.0f} ms; empty {median(blank):.0f} ms, "
            f"p99 {percentile(blank, 0.99):.0f} ms; {load.told['rate']:.0f} calls/s answered)",
            most <= 2 * percentile(blank, 0.99), {"frames_ms": _spread(frames), "empty_ms": _spread(blank)},
        )  # fmt: skip
        busy = found[name]["busy"]
        yield Result(
            "10", f"{name}: CPU of the page's thread, scrolling and timing included", "<= 50% of a core",
            f"{busy:.0%} (empty page {found['blank']['busy']:.0%})", busy <= 0.5, {"busy": busy},
        )  # fmt: skip
        yield Result(
            "10", f"{name}: long tasks of the page's thread", "none",
            f"{len(found[name]['long'])}, {long:.0f} ms of {sum(frames):.0f} ms; longest "
            f"{max(found[name]['long'], default=0):.0f} ms", not found[name]["long"], {"long_ms": found[name]["long"]},
        )  # fmt: skip


def _cost(browser: Any, server: Server, sent: Sequence[bytes], rate: int, seconds: float) -> Iterator[Result]:
    page = browser.new_page()
    alone: list[dict[str, float]] = []
    watched: list[dict[str, float]] = []
    for _ in range(1 if seconds < 1 else 3):
        for address, found in (("about:blank", alone), (f"{server.url}/_mock/#/exchanges", watched)):
            page.goto(address)
            page.wait_for_timeout(min(seconds, 1) * 500)
            with _loaded(server, sent, rate) as load:
                time.sleep(seconds / 2)
            found.append(load.told)
    with_viewer, without = (median(one["cpu_us"] for one in told) for told in (watched, alone))
    yield Result(
        "10", "CPU of an answer while a page watches, of one that nobody watches", f"<= {COST:g}x",
        f"{with_viewer / without:.2f}x ({without:.0f} us, then {with_viewer:.0f} us)" if without else "not told here",
        with_viewer <= COST * without if without else None, {"alone": alone, "watched": watched},
    )  # fmt: skip


def _busy(session: Any) -> float:
    """Return the CPU seconds that the thread of a page has used so far."""
    told = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(told["TaskDuration"])


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {f"p{share * 100:g}": round(percentile(values, share), 1) for share in (0.5, 0.95, 0.99, 1)}


def _clock(turn: dict[str, Any]) -> bytes:
    return request("POST", "/_mock/clock", json.dumps(turn).encode())


# the load, a process of its own


class Load:
    """What a load brought, once it is over: `rate` (answers a second), `failed`, `cpu_us` of the server for one."""

    told: dict[str, float]


@contextmanager
def _loaded(server: Server, sent: Sequence[bytes], rate: int) -> Iterator[Load]:
    """Poll at a steady pace for the length of a `with` block."""
    command = program("watched", *map(str, server.address), str(rate))
    load = Load()
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps([one.decode() for one in sent]) + "\n")
        process.stdin.flush()
        process.stdout.readline()
        cpu = server.cpu
        yield load
        used = server.cpu - cpu
        process.stdin.close()  # its sign to stop
        load.told = json.loads(process.stdout.readline())
        load.told["cpu_us"] = used / max(1, load.told["answers"]) * 1e6
    finally:
        end(process)


def _main(host: str, port: str, rate: str) -> None:
    pin(LOAD_CORE)
    sent = [one.encode() for one in json.loads(sys.stdin.readline())]
    print("begun", flush=True)  # noqa: T201
    print(json.dumps(run(lambda: _paced((host, int(port)), sent, rate=float(rate)))), flush=True)  # noqa: T201


async def _paced(
    address: tuple[str, int], sent: Sequence[bytes], *, rate: float | None = None, count: int | None = None
) -> dict[str, float]:
    """Send calls in turn over `CONNECTIONS`, so many a second, until standard input ends; or *count* at once."""
    loop = asyncio.get_running_loop()
    tally, source = Tally(), cycle(sent)
    connections = CONNECTIONS if count is None else min(CONNECTIONS, count)
    idle: list[_Paced] = []
    clients = [
        (await loop.create_connection(lambda: _Paced(source, tally, idle), *address))[1] for _ in range(connections)
    ]
    stopped = asyncio.Event()
    if count is None:
        loop.add_reader(sys.stdin.fileno(), stopped.set)
    began, calls = time.perf_counter(), 0
    while not stopped.is_set() and (count is None or len(tally.times) < count):
        due = (time.perf_counter() - began) * rate if rate is not None else float(count or 0)
        # What it could not send in time is not made up for in a burst.
        while idle and calls < due:
            calls += 1
            idle.pop(0).go()  # in turn: the server closes a connection that is not used for five seconds
        if rate is not None and calls < due - rate / 10:
            began += (due - calls) / rate
        await asyncio.sleep(0.001)
    took = time.perf_counter() - began
    for client in clients:
        client.transport.abort()
    answers = len(tally.times)
    return {"rate": answers / took, "answers": answers, "failed": tally.failed, "p99": percentile(tally.times, 0.99)}


class _Paced(Client):
    """A connection that waits for its turn after each answer."""

    def __init__(self, source: Any, tally: Tally, idle: list[_Paced]) -> None:
        super().__init__(source, tally)
        self.idle = idle

    def go(self) -> None:
        super()._next()

    def _next(self) -> None:
        self.idle.append(self)


if __name__ == "__main__":
    _main(*sys.argv[1:])
