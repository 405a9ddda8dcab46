"""Correct traffic to judge, recorded from the emulator with its clock turned by hand, and ways to spoil it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect

from contracts.check import promises
from contracts.exchanges import Examiner
from contracts.judging import Judge, Verdict
from contracts.traffic import ndjson
from mockserver import data
from mockserver.server import running
from mockserver.settings import Settings

Line = dict[str, Any]
Lines = list[Line]
START = 1_790_000_000
API = "/api/maas/comfy_task_api"
FEED = "/api/maas/comfy_task_ws_api/get_task_progress"
PROMISES = promises(only=("genstudio", "gpugeek", "aliyun"))


def judged(lines: Iterable[Line], *, lenient: bool = False, provider: str | None = None) -> Verdict:
    """Judge exchanges in their JSON form."""
    examiner, judge = Examiner(PROMISES, lenient=lenient, chosen=provider), Judge(PROMISES)
    for line in lines:
        judge.take(examiner.look(ndjson.exchange(line)))
    return judge.close()


def rules(verdict: Verdict) -> set[str]:
    return {one.rule for one in verdict.findings}


def write(lines: Iterable[Line], path: Path) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return path


@contextmanager
def emulator(provider: str, headers: dict[str, str], **settings: Any) -> Iterator[httpx.Client]:
    """Serve one provider; the client's `base_url` is its address."""
    chosen = {"providers": (provider,), "port": 0, "rate": 0.0, "start": START, "slots": 1, **settings}
    with running(Settings(**chosen)) as server, httpx.Client(base_url=server.url, headers=headers, timeout=10) as http:
        yield http


def recorded(http: httpx.Client) -> Lines:
    return [json.loads(line) for line in http.get("/_mock/exchanges").text.splitlines()]


def jump(http: httpx.Client, seconds: float) -> None:
    http.post("/_mock/clock", json={"jump": seconds}).raise_for_status()


def page(provider: str, name: str) -> Any:
    return json.loads((data.fixtures() / provider / f"{name}.json").read_bytes())


def studio() -> Lines:
    """Three tasks in one line: the first polled and followed, the second followed from its place in the queue."""
    with emulator("genstudio", {"Authorization": "Bearer sk-axbx5xcx9xAxbZyx"}) as http:

        def post(operation: str, body: Any) -> Any:
            return http.post(f"{API}/{operation}", json=body).json()["data"]

        def info(id: str, **more: Any) -> Any:
            return post("get_task_info", {"comfy_task_ids": [id], **more})["comfy_task_info"][0]

        def feed(task: Any) -> Any:
            return connect(
                f"{str(http.base_url).rstrip('/').replace('http', 'ws', 1)}{FEED}?authorization={task['prompt_token']}"
            )

        body = page("genstudio", "text-to-image.request")
        tasks = [post("prompt", body) for _ in range(3)]
        ids = [task["prompt_id"] for task in tasks]
        for id in ids:
            info(id)
        with feed(tasks[1]) as second:
            second.recv(timeout=5)
            for _ in range(3):
                jump(http, 3)
                for id in ids:
                    info(id)
            jump(http, 120)
            for _ in second:
                pass
        for id in ids:
            shown = info(id)
            httpx.get(shown["final_files"][0]).raise_for_status()
        return recorded(http)


def geek() -> Lines:
    """One task that waits behind another, polled to its end."""
    with emulator("gpugeek", {"Authorization": "Bearer gg-1"}) as http:
        graph = page("gpugeek", "text-to-image.request")["prompt"]
        body = {"workflow_id": 763311996779461, "task_type": 1, "prompt": graph}
        ids = [http.post("/api/v1/prompt", json=body).json()["data"]["prompt_id"] for _ in range(2)]
        for seconds in (1, 5, 5, 60):
            jump(http, seconds)
            for id in ids:
                http.get(f"/api/v1/task/{id}").raise_for_status()
        return recorded(http)


def workshop() -> Lines:
    """One task, polled to its end, its result read."""
    with emulator("aliyun", {"X-Ca-Key": "key"}) as http:
        body = {"workflow_id": "01jvp41b358md06w46fz1yz78a", "alias_id": "main", "inputs": {}}
        id = http.post("/scc/comfy_prompt", json=body).json()["data"]["taskId"]
        for seconds in (0, 3, 3, 60):
            jump(http, seconds)
            http.post("/scc/comfy_get_progress", json={"taskId": id}).raise_for_status()
        http.post("/scc/comfy_get_result", json={"taskId": id}).raise_for_status()
        return recorded(http)


# Ways to spoil a recording. `Edit`s change a copy in place.

Edit = Callable[[Lines], None]


def spoiled(lines: Lines, edit: Edit) -> Lines:
    copied = copy.deepcopy(lines)
    edit(copied)
    return copied


def of(lines: Lines, operation: str) -> Lines:
    return [line for line in lines if line["operation"] == operation]


def polls(lines: Lines, place: int) -> Lines:
    """Return the polls of the task that was submitted at a place, counted from 0."""
    id = of(lines, "prompt")[place]["tasks"][0]
    return [line for line in of(lines, "get_task_info") if line["tasks"] == [id]]


def body(line: Line, side: str = "response") -> Any:
    return json.loads(line[side]["body"])


def put(line: Line, content: Any, side: str = "response") -> None:
    line[side]["body"] = content if isinstance(content, str) else json.dumps(content)


def show(line: Line, **members: Any) -> None:
    """Change what a poll of one task shows."""
    content = body(line)
    content["data"]["comfy_task_info"][0].update(members)
    put(line, content)


def again(lines: Lines, line: Line, *, later: float = 1.0, after: bool = False) -> Line:
    """Add a copy of a line: at the end, or right after it."""
    copied = copy.deepcopy(line)
    copied["at"] += later
    copied["number"] = len(lines) + 1
    lines.insert(lines.index(line) + 1 if after else len(lines), copied)
    return copied
