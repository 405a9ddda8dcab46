"""Goal 5: from the command to the first answer, against a bare Starlette application; imports itemised; memory.

Both start as an installed program does: their bytecode is there, and the folders have been started with before. What
the very first start takes, and a provider's first answer, is told besides.
"""

from __future__ import annotations

import collections
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from tempfile import TemporaryDirectory

from mockserver import data
from tests.benchmarks.load import once, request
from tests.benchmarks.measuring import ROOT, Result
from tests.benchmarks.serving import Server, end

TIMES, MEMORY = 1.5, 1.8
OURS = (sys.executable, "-m", "mockserver", "serve", "--port", "0")
CALLS = tuple(f"/{name}/" for name in data.providers(data.schemas()))
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
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder, "XDG_CACHE_HOME": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        _start(BARE, environment)
        _start(OURS, environment)
        pairs = [(_start(OURS, environment), _start(BARE, environment)) for _ in range(1 if short else 9)]
        calls = [_start(OURS, environment, *CALLS) for _ in range(1 if short else 3)]
        firsts = []
        for number in range(1 if short else 3):
            unknown = {**environment, "XDG_CACHE_HOME": f"{folder}/{number}"}
            firsts.append(_start(OURS, unknown).seconds)
        imports = _imports(environment)
        facts = {"imports_ms": imports, "starts": [[asdict(one) for one in pair] for pair in pairs]}
    ours, bare = ([pair[at] for pair in pairs] for at in (0, 1))
    took, cpu, memory = (
        median(getattr(one, what) / (getattr(other, what) or 1) for one, other in pairs)
        for what in ("seconds", "cpu", "memory")
    )
    yield Result("5", "start to first answer, of bare Starlette's", f"<= {TIMES:g}x",
                 f"{took:.2f}x ({median(one.seconds for one in ours):.2f} s, bare "
                 f"{median(one.seconds for one in bare):.2f} s; by CPU {cpu:.2f}x)", took <= TIMES, facts)  # fmt: skip
    yield Result("5", "memory after the start, of bare Starlette's", f"<= {MEMORY:g}x",
                 f"{memory:.2f}x ({median(one.memory for one in ours) / 1e6:.0f} MB, bare "
                 f"{median(one.memory for one in bare) / 1e6:.0f} MB)", memory <= MEMORY)  # fmt: skip
    yield Result("5", "start to the first answer of every provider", "told",
                 f"{median(one.seconds for one in calls):.2f} s", None)  # fmt: skip
    yield Result("5", "the very first start, which checks every folder", "told", f"{median(firsts):.2f} s", None)
    dearest = ", ".join(f"{name} {took:.0f}" for name, took in list(imports.items())[:6])
    yield Result("5", "imports, ms of their own", "itemised", dearest, None)


@dataclass(frozen=True)
class Start:
    """A start: seconds to the first answer, CPU seconds and bytes of memory by then."""

    seconds: float
    cpu: float
    memory: int


def _start(command: Sequence[str], environment: Mapping[str, str], *paths: str) -> Start:
    """Start *command* and ask it whether it is ready, or for *paths*."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("ready: "))
        server = Server(line.split()[1], process.pid)
        for path in paths or ("/_mock/ready",):
            status, _ = once(server, request("GET", path))
            assert paths or status == 200
        return Start(time.perf_counter() - start, server.cpu, server.memory)
    finally:
        end(process)


def _imports(environment: Mapping[str, str]) -> dict[str, float]:
    """Return milliseconds by top-level package, the dearest first."""
    command = [sys.executable, "-X", "importtime", "-c", "import mockserver.cli, mockserver.server"]
    told = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stderr
    spent: collections.Counter[str] = collections.Counter()
    for own, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", told):
        spent[name.split(".")[0]] += int(own)
    return {name: micros / 1000 for name, micros in spent.most_common(25)}
