"""An emulator of this process, called without a socket; its clock is turned by hand and leaps for what is held."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from mockserver import data
from mockserver.settings import Settings
from mockserver.web.app import Application, create_app

START = 1_790_000_000
TURNS = 400
"""Turns of the event loop without a message after which a client of a feed goes away."""


@dataclass(frozen=True)
class Manner:
    """How a provider's main calls are made: method, path and body; `{id}` is the task's."""

    submit: tuple[str, str, Any]
    polls: tuple[tuple[str, str, Any], ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    feed: str | None = None
    """Path and query of the feed; `{token}` is what the submit answered."""


def fixture(name: str) -> Any:
    return json.loads((data.fixtures() / name).read_bytes())


def graph(number: int) -> Any:
    """Return a small graph, another one for each number."""
    inputs = {"width": 64, "height": 64, "batch_size": 1, "color": number}
    image = {"class_type": "EmptyImage", "inputs": inputs}
    return {"1": image, "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}}}


def manners() -> dict[str, Manner]:
    """Return how to call those providers that are there."""
    known = {
        "genstudio": Manner(
            ("POST", "/api/maas/comfy_task_api/prompt", {"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": {}}),
            (("POST", "/api/maas/comfy_task_api/get_task_info", {"comfy_task_ids": ["{id}"]}),),
            {"authorization": "Bearer sk-1"},
            "/api/maas/comfy_task_ws_api/get_task_progress?authorization={token}",
        ),
        "aliyun": Manner(
            (
                "POST",
                "/scc/comfy_prompt",
                {"workflow_id": "01jvp41b358md06w46fz1yz78a", "alias_id": "main", "inputs": {}},
            ),
            (
                ("POST", "/scc/comfy_get_progress", {"taskId": "{id}"}),
                ("POST", "/scc/comfy_get_result", {"taskId": "{id}"}),
            ),
        ),
        "esd": Manner(
            ("POST", "/prod/executes", {**fixture("esd/create_execute.request.json"), "prompt_id": "p-{number}"}),
            (("GET", "/prod/executes/{id}", None),),
            {"x-api-key": "09876543210987654321", "username": "api"},
        ),
        "gpugeek": Manner(
            ("POST", "/api/v1/prompt", fixture("gpugeek/text-to-image.request.json")),
            (("GET", "/api/v1/task/{id}", None),),
            {"authorization": "Bearer gg-1"},
        ),
        "comfyui": Manner(
            ("POST", "/prompt", {"prompt": graph(1), "client_id": "c"}),
            (("GET", "/history/{id}", None), ("GET", "/queue", None)),
        ),
    }
    return {name: manner for name, manner in known.items() if name in data.providers(data.schemas())}


class Inside:
    """One provider in one application, and its worlds."""

    def __init__(self, provider: str) -> None:
        self.provider, self.manner = provider, manners()[provider]
        self.app: Application = create_app(
            Settings(providers=(provider,), rate=0, start=START, any_workflow=True), leaps=True
        )
        self._number = 0

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response | None:
        """Make a call; None where the connection ended before its answer did."""
        transport = httpx.ASGITransport(app=self.app)
        sent: dict[str, Any] = {} if body is None else {"json": body}
        if isinstance(body, str):
            sent = {"content": body}
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            try:
                return await client.request(method, path, headers=dict(self.manner.headers), **sent)
            except ConnectionResetError:
                return None

    async def open(self, **wanted: Any) -> World:
        answer = await self.ask("POST", "/_mock/worlds", wanted)
        assert answer is not None
        assert answer.status_code == 201, answer.text
        return World(self, answer.json()["id"])


class World:
    """A client of one world."""

    def __init__(self, inside: Inside, id: str) -> None:
        self.inside, self.id = inside, id
        self.token = "none"
        self._number = 0

    async def call(self, method: str, path: str, body: Any = None) -> httpx.Response | None:
        return await self.inside.ask(method, f"/_mock/w/{self.id}/{self.inside.provider}{path}", body)

    async def submit(self) -> httpx.Response | None:
        method, path, body = self.inside.manner.submit
        self._number += 1
        answer = await self.call(method, path, _filled(body, number=str(self._number)))
        found = re.search(r'"prompt_token": ?"([^"]+)"', "" if answer is None else answer.text)
        self.token = found[1] if found else self.token
        return answer

    async def poll(self) -> list[httpx.Response | None]:
        id = next(iter(reversed(await self.tasks())), {"id": "unknown"})["id"]
        return [
            await self.call(method, path.replace("{id}", id), _filled(body, id=id))
            for method, path, body in self.inside.manner.polls
        ]

    async def fetch(self) -> int:
        """Fetch all files that polls link to; return how many came."""
        came = 0
        for answer in await self.poll():
            text = "" if answer is None else html.unescape(answer.text.replace("\\u0026", "&").replace("\\/", "/"))
            for link in sorted(set(re.findall(r"http://testserver[^\"'\\\s,\]]+", text))):
                got = await self.inside.ask("GET", link.removeprefix("http://testserver"))
                came += got is not None and got.status_code == 200
        return came

    async def follow(self) -> list[Any]:
        """Follow the feed of the latest task until it is closed, or nothing has come for a while."""
        if self.inside.manner.feed is None:
            return []
        path, _, query = self.inside.manner.feed.replace("{token}", self.token).partition("?")
        path = f"/_mock/w/{self.id}/{self.inside.provider}{path}"
        scope = {
            "type": "websocket", "scheme": "ws", "path": path, "raw_path": path.encode(),
            "query_string": query.encode(), "headers": [(b"host", b"testserver")],
        }  # fmt: skip
        told: list[Any] = []
        connects = [{"type": "websocket.connect"}]

        async def receive() -> Any:
            if connects:
                return connects.pop()
            heard, turns = len(told), 0
            while turns < TURNS:
                await asyncio.sleep(0)
                heard, turns = (len(told), 0) if len(told) > heard else (heard, turns + 1)
            return {"type": "websocket.disconnect", "code": 1000}

        async def send(message: Any) -> None:
            told.append(message)

        await self.inside.app(scope, receive, send)
        return told

    async def control(self, method: str, path: str, body: Any = None) -> httpx.Response:
        answer = await self.inside.ask(method, f"/_mock/worlds/{self.id}/{path}", body)
        assert answer is not None
        return answer

    async def jump(self, seconds: float) -> None:
        assert (await self.control("POST", "clock", {"jump": seconds})).status_code == 200

    async def tasks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.control("GET", "tasks")).json()["tasks"]
        return found

    async def faults(self) -> list[dict[str, Any]]:
        """Return what is wrong with the emulator itself."""
        problems = (await self.control("GET", "problems")).json()["problems"]
        return [one for one in problems if one["rule"] in ("emulator-fault", "answer-schema")]


def _filled(body: Any, **values: str) -> Any:
    text = json.dumps(body)
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return json.loads(text)
