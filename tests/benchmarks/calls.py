"""Goal 1: calls a second, and their tail, against the raw ASGI callable and the plain Starlette route."""

from __future__ import annotations

import base64
import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from mockserver import data
from mockserver.provider import load as load_provider
from tests.benchmarks.load import Load, measure, once, request
from tests.benchmarks.measuring import Result
from tests.benchmarks.serving import Server, emulator, server

RAW_SHARE, PLAIN_SHARE, TAIL = 0.55, 2.0, 2.0
ANY_POLL_SHARE = 0.35
JSON = ("content-type", "application/json")
START = 1_790_000_000


@dataclass
class Case:
    """One call, as it is measured: of the emulator, and of both baselines answering as many bytes."""

    provider: str
    operation: str
    method: str
    path: str
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    answer: bytes = b""
    changes: bool = False
    """The world grows by it, so each round begins with a new one."""
    graph: str = ""
    """The member of its body that is a whole graph: the plain route checks and plans it too, as the work lies there."""

    @property
    def name(self) -> str:
        return f"{self.provider}.{self.operation}"

    def sent(self, path: str | None = None) -> bytes:
        body = b"" if self.body is None else json.dumps(self.body).encode()
        headers = self.headers if self.body is None else (JSON, *self.headers)
        return request(self.method, path or self.path, body, headers)

    def schema(self) -> Any:
        """Return the schema of its body, with all that it refers to."""
        if self.body is None:
            return True
        provider = load_provider(data.providers(data.schemas())[self.provider], name=self.provider)
        operation = next(one for one in provider.operations if one.id == self.operation)
        document = provider.documents["openapi.json"]
        parts = ["paths", operation.path, self.method.lower(), "requestBody", "content", "application/json", "schema"]
        pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
        return {**document, "$ref": f"#{pointer}"}


# what is called, of each provider


def fixture(provider: str, name: str) -> Any:
    return json.loads((data.fixtures() / provider / f"{name}.request.json").read_bytes())


def call(server: Server, case: Case, *, prefix: str = "") -> Any:
    status, body = once(server, case.sent(prefix + case.path))
    if not 200 <= status < 300:
        raise RuntimeError(f"{case.name} was answered {status}: {body[:300]!r}")
    return json.loads(body)


def genstudio(made: Callable[[Case], Any]) -> Iterator[Case]:
    headers = (("authorization", "Bearer sk-axbx5xcx9xAxbZyx"),)
    path = "/genstudio/api/maas/comfy_task_api"
    body = fixture("genstudio", "text-to-image")
    submit = Case("genstudio", "prompt", "POST", f"{path}/prompt", body, headers, changes=True)
    id = made(submit)["data"]["prompt_id"]
    yield Case("genstudio", "get_task_info", "POST", f"{path}/get_task_info", {"comfy_task_ids": [id]}, headers)
    yield submit


def aliyun(made: Callable[[Case], Any]) -> Iterator[Case]:
    headers = (("x-ca-key", "app"),)
    inputs = {"workflow_id": "01jvp41b358md06w46fz1yz78a", "alias_id": "main", "inputs": {}}
    submit = Case("aliyun", "comfy_prompt", "POST", "/aliyun/scc/comfy_prompt", inputs, headers, changes=True)
    id = made(submit)["data"]["taskId"]
    for name in ("comfy_get_progress", "comfy_get_result"):
        yield Case("aliyun", name, "POST", f"/aliyun/scc/{name}", {"taskId": id}, headers)
    yield submit


def esd(made: Callable[[Case], Any]) -> Iterator[Case]:
    headers = (("x-api-key", "09876543210987654321"),)
    body = fixture("esd", "create_execute")
    submit = Case("esd", "CreateExecute", "POST", "/esd/prod/executes", body, headers, changes=True, graph="prompt")
    made(submit)
    yield Case("esd", "GetExecute", "GET", f"/esd/prod/executes/{body['prompt_id']}", None, headers)
    yield Case("esd", "GetSyncMessage", "GET", f"/esd/prod/sync/{body['prompt_id']}", None, headers)
    yield submit


def gpugeek(made: Callable[[Case], Any]) -> Iterator[Case]:
    headers = (("authorization", "Bearer gg-1"),)
    body = fixture("gpugeek", "text-to-image")
    submit = Case("gpugeek", "prompt", "POST", "/gpugeek/api/v1/prompt", body, headers, changes=True, graph="prompt")
    id = made(submit)["data"]["prompt_id"]
    yield Case("gpugeek", "detail", "GET", f"/gpugeek/api/v1/task/{id}", None, headers)
    yield submit


CASES: dict[str, Callable[[Callable[[Case], Any]], Iterator[Case]]] = {
    one.__name__: one for one in (genstudio, aliyun, esd, gpugeek)
}


# measuring


@dataclass
class Rounds:
    """Loads of one case, a round each: the emulator's, and those of the baselines right beside it."""

    ours: list[Load] = field(default_factory=list)
    raw: list[Load] = field(default_factory=list)
    plain: list[Load] = field(default_factory=list)

    def share(self, of: Sequence[Load]) -> float:
        """Return the emulator's answers a second as a share of a baseline's: the median of the rounds."""
        return median(ours.rate / other.rate for ours, other in zip(self.ours, of, strict=True))

    def cpu_share(self, of: Sequence[Load]) -> float:
        """Return the same by CPU time, which other work on the machine sways less; 0 where it is not told."""
        return median(other.cpu / ours.cpu if ours.cpu else 0.0 for ours, other in zip(self.ours, of, strict=True))

    def facts(self) -> dict[str, Any]:
        told = {"ours": self.ours, "raw": self.raw, "plain": self.plain}
        return {
            name: {
                "rate": round(median(one.rate for one in loads)),
                "cpu_us": round(median(one.cpu for one in loads), 1),
                "p50_ms": round(median(one.p50 for one in loads) * 1e3, 2),
                "p99_ms": round(median(one.p99 for one in loads) * 1e3, 2),
                "failed": sum(one.failed for one in loads),
            }
            for name, loads in told.items()
            if loads
        }


def compare(ours: Server, baselines: Server, case: Case, *, connections: int, rounds: int, seconds: float) -> Rounds:
    """Load the emulator and both baselines in turn."""
    found = Rounds()
    for _ in range(rounds):
        found.raw.append(measure(baselines, [case.sent(f"/raw/{case.name}")], connections=connections, seconds=seconds))
        if case.changes:
            once(ours, request("POST", "/_mock/reset"))
        found.ours.append(measure(ours, [case.sent()], connections=connections, seconds=seconds))
        found.plain.append(
            measure(baselines, [case.sent(f"/plain/{case.name}")], connections=connections, seconds=seconds)
        )
    return found


@contextlib.contextmanager
def prepared(providers: Sequence[str]) -> Iterator[tuple[Server, Server, list[Case]]]:
    """Run emulator and baselines; give them and the cases, each with the answer it gets."""
    with emulator(providers=providers, rate=0, start=START) as ours, tempfile.TemporaryDirectory() as folder:
        cases: list[Case] = []
        for name in providers:
            cases.extend(CASES[name](lambda case: call(ours, case)))
        # Half way through a run there is most to tell.
        once(ours, request("POST", "/_mock/clock", b'{"jump": 3}', [JSON]))
        for case in cases:
            case.answer = once(ours, case.sent())[1]
        file = Path(folder) / "cases.json"
        file.write_text(json.dumps({case.name: _baseline(case) for case in cases}), "utf-8")
        with server("baselines", str(file)) as baselines:
            yield ours, baselines, cases


def _baseline(case: Case) -> dict[str, Any]:
    answer = base64.b64encode(case.answer).decode()
    return {"answer": answer, "media": "application/json", "schema": case.schema(), "graph": case.graph}


def bench(*, short: bool = False) -> Iterator[Result]:
    """Measure goal 1."""
    known = data.providers(data.schemas())
    providers = ["genstudio"] if short else [name for name in CASES if name in known]
    rounds, seconds = (1, 0.1) if short else (5, 0.8)
    with prepared(providers) as (ours, baselines, cases):
        # Polls first: a submit empties the world they look at.
        for case in sorted(cases, key=lambda case: case.changes):
            leading = case.provider == "genstudio"
            for connections in (16,) if short or not leading else (16, 64):
                found = compare(
                    ours, baselines, case, connections=connections, rounds=rounds if leading else 3, seconds=seconds
                )
                yield from _leading(case, connections, found) if leading else _other(case, found)


def _leading(case: Case, connections: int, found: Rounds) -> Iterator[Result]:
    raw, plain = found.share(found.raw), found.share(found.plain)
    tail = median(ours.p99 / other.p99 for ours, other in zip(found.ours, found.raw, strict=True))
    where = f"{case.name}, {connections} connections"
    facts = found.facts()
    rate = facts["ours"]["rate"]
    cpu = found.cpu_share(found.raw)
    yield Result("1", f"{where}: of raw ASGI", f">= {RAW_SHARE:.0%}", f"{raw:.0%} ({rate}/s; by CPU {cpu:.0%})",
                 raw >= RAW_SHARE and not facts["ours"]["failed"], facts)  # fmt: skip
    yield Result("1", f"{where}: of plain Starlette", f">= {PLAIN_SHARE:g}x", f"{plain:.2f}x", plain >= PLAIN_SHARE)
    yield Result("1", f"{where}: p99 of raw's", f"<= {TAIL:g}x", f"{tail:.2f}x", tail <= TAIL)


def _other(case: Case, found: Rounds) -> Iterator[Result]:
    facts = found.facts()
    rate, fine = facts["ours"]["rate"], not facts["ours"]["failed"]
    if case.changes:
        share = found.share(found.plain)
        yield Result("1", f"{case.name}, 16 connections: of plain Starlette", ">= 1x", f"{share:.2f}x ({rate}/s)",
                     share >= 1 and fine, facts)  # fmt: skip
        return
    share, cpu = found.share(found.raw), found.cpu_share(found.raw)
    yield Result("1", f"{case.name}, 16 connections: of raw ASGI", f">= {ANY_POLL_SHARE:.0%}",
                 f"{share:.0%} ({rate}/s; by CPU {cpu:.0%})", share >= ANY_POLL_SHARE and fine, facts)  # fmt: skip
