"""The application called without a socket, and its worlds filled without a call: for what a network would hide."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from mockserver.settings import Settings
from mockserver.web.app import Application
from mockserver.web.emulator import Emulator
from mockserver.web.offer import Served
from mockserver.world.service import Service
from tests.benchmarks.calls import START, fixture

PATH = "/genstudio/api/maas/comfy_task_api"
Sent = tuple[dict[str, Any], bytes]


class Direct:
    """One emulator with a hand on everything; its clock stands."""

    def __init__(self, *, slots: int) -> None:
        self.emulator = Emulator(Settings(providers=("genstudio",), rate=0, start=START, slots=slots))
        self.app = Application(self.emulator)
        self.served: Served = self.emulator.offer.served["genstudio"]
        self.request = fixture("genstudio", "text-to-image")
        self.request_bytes = json.dumps(self.request).encode()
        self._submit = next(one for one in self.served.provider.operations if one.verb.name == "submit")

    def open(self, world: str) -> None:
        self.emulator.open(world)

    def service(self, world: str) -> Service:
        return self.emulator.stages[world].service(self.served)

    def submit(self, world: str, *, own: bool = False) -> str:
        """Submit below the web; with *own*, each task holds a request of its own."""
        from mockserver.provider.model import Request

        service = self.service(world)
        body = json.loads(self.request_bytes) if own else self.request
        marks = self._submit.read(Request("POST", {}, [], {}, body))
        account = self.emulator.stages[world].account(self.served, "sk-axbx5xcx9xAxbZyx")
        call = service.call(self._submit.id)
        outcome = service.perform(self._submit.verb, marks, call, account, document=body)
        assert outcome.task is not None
        return outcome.task.id

    def submission(self, world: str) -> Sent:
        return self._sent(world, "prompt", self.request_bytes)

    def poll(self, id: str, world: str) -> Sent:
        return self._sent(world, "get_task_info", json.dumps({"comfy_task_ids": [id]}).encode())

    def repeat(self, sent: Sent, times: int) -> Callable[[], Awaitable[None]]:
        """Return what makes the call so many times; each must succeed."""
        scope, body = sent
        message = {"type": "http.request", "body": body, "more_body": False}

        async def receive() -> dict[str, Any]:
            return message

        async def send(answer: Any) -> None:
            assert answer.get("status", 200) == 200, answer

        async def calls() -> None:
            for _ in range(times):
                await self.app(dict(scope), receive, send)

        return calls

    def _sent(self, world: str, operation: str, body: bytes) -> Sent:
        path = f"/_mock/w/{world}{PATH}/{operation}"
        headers = {
            "host": "127.0.0.1:8787",
            "authorization": "Bearer sk-axbx5xcx9xAxbZyx",
            "content-type": "application/json",
            "content-length": str(len(body)),
        }
        scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
            "scheme": "http", "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        return scope, body
