"""Goal 5: from the command to the first answer, against a bare Starlette application; imports itemised; memory."""

from __future__ import annotations

import collections
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from statistics import median

from tests.benchmarks.load import once, request
from tests.benchmarks.measuring import ROOT, Result
from tests.benchmarks.serving import Server, end

TIMES, MEMORY = 1.5, 1.8
OURS = (sys.executable, "-m", "mockserver", "serve", "--port", "0")
# As bare as `serve` is full: the same server, one route. `import uvicorn` comes first there too.
BARE = (
    sys.executable,
    "-c",
    """
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print("ready: http://127.0.0.1:%d" % self.servers[0].sockets[0].getsockname()[1], flush=True)
async def ready(request):
    return JSONResponse({"ready": True})
app = Starlette(routes=[Route("/_mock/ready", ready)])
Server(uvicorn.Config(app, port=0, log_level="warning", access_log=False)).run()
""",
)


def bench(*, short: bool = False) -> Iterator[Result]:
    """Measure goal 5."""
    ours, bare = [], []
    for _ in range(1 if short else 7):
        ours.append(_start(OURS))
        bare.append(_start(BARE))
    took = median(one[0] / other[0] for one, other in zip(ours, bare, strict=True))
    memory = median(one[1] / other[1] for one, other in zip(ours, bare, strict=True)) if bare[0][1] else 0.0
    seconds, bare_seconds = median(one[0] for one in ours), median(one[0] for one in bare)
    megabytes, bare_megabytes = (median(one[1] for one in each) / 1e6 for each in (ours, bare))
    facts = {"imports_ms": _imports()}
    yield Result("5", "start to first answer, of bare Starlette's", f"<= {TIMES:g}x",
                 f"{took:.2f}x ({seconds:.2f} s, bare {bare_seconds:.2f} s)", took <= TIMES, facts)  # fmt: skip
    yield Result("5", "memory after the start, of bare Starlette's", f"<= {MEMORY:g}x",
                 f"{memory:.2f}x ({megabytes:.0f} MB, bare {bare_megabytes:.0f} MB)", memory <= MEMORY)  # fmt: skip
    dearest = ", ".join(f"{name} {took:.0f}" for name, took in list(facts["imports_ms"].items())[:6])
    yield Result("5", "imports, ms of their own", "itemised", dearest, None)


def _start(command: Sequence[str]) -> tuple[float, int]:
    """Return the seconds from the start of *command* to its first answer, and its memory then."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("ready: "))
        server = Server(line.split()[1], process.pid)
        status, _ = once(server, request("GET", "/_mock/ready"))
        assert status == 200
        return time.perf_counter() - start, server.memory
    finally:
        end(process)


def _imports() -> dict[str, float]:
    """Return milliseconds by top-level package, the dearest first."""
    command = [sys.executable, "-X", "importtime", "-c", "import mockserver.cli, mockserver.server"]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stderr
    spent: collections.Counter[str] = collections.Counter()
    for own, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", told):
        spent[name.split(".")[0]] += int(own)
    return {name: micros / 1000 for name, micros in spent.most_common(25)}
