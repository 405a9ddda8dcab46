"""A GenStudio account as a client sees it, over real sockets."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import httpx
from PIL import Image
from websockets.sync.client import ClientConnection, connect

from mockserver import data

API = "/api/maas/comfy_task_api"
FEED = "/api/maas/comfy_task_ws_api/get_task_progress"
KEY = "sk-axbx5xcx9xAxbZyx"


class Api:
    """The documented calls of one account, and the clock of its world."""

    def __init__(self, url: str, key: str = KEY) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=10)
        self._others: list[Api] = []

    def other(self, key: str) -> Api:
        """Return the same service as the owner of another key sees it."""
        self._others.append(Api(self.url, key))
        return self._others[-1]

    def close(self) -> None:
        for api in (self, *self._others):
            api.http.close()

    def post(self, operation: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.http.post(f"{API}/{operation}", **({"json": body} if body is not None else {}), **more)

    def submit(self, name: str = "text-to-image", **changes: dict[str, Any]) -> dict[str, Any]:
        """Submit a documented request; *changes* are inputs by node id (`n5={"width": 64}`)."""
        body = json.loads((data.fixtures() / "genstudio" / f"{name}.request.json").read_bytes())
        for node, inputs in changes.items():
            body["prompt"].setdefault(node[1:], {"inputs": {}})["inputs"].update(inputs)
        answer = self.post("prompt", body).json()
        assert answer["code"] == 0, answer
        submitted: dict[str, Any] = answer["data"]
        return submitted

    def infos(self, *ids: str, **more: Any) -> list[dict[str, Any]]:
        answer = self.post("get_task_info", {"comfy_task_ids": list(ids), **more}).json()
        assert answer["code"] == 0, answer
        found: list[dict[str, Any]] = answer["data"]["comfy_task_info"]
        return found

    def info(self, id: str, **more: Any) -> dict[str, Any]:
        (found,) = self.infos(id, **more)
        return found

    def upload(self, content: bytes | None = None) -> str:
        answer = self.http.post(f"{API}/upload/image", files={"source_file": ("in.png", content or picture())}).json()
        assert answer["code"] == 0, answer
        image_id: str = answer["data"]["image_id"]
        return image_id

    def clock(self, **turn: Any) -> dict[str, Any]:
        answer = self.http.post("/_mock/clock", json=turn)
        assert answer.status_code == 200, answer.text
        clock: dict[str, Any] = answer.json()
        return clock

    def mock(self, path: str) -> Any:
        return self.http.get(f"/_mock/{path}").json()

    def feed(self, token: str) -> ClientConnection:
        return connect(f"{self.url.replace('http', 'ws', 1)}{FEED}?authorization={token}")


def picture(size: tuple[int, int] = (64, 48), colour: str = "orange") -> bytes:
    held = io.BytesIO()
    Image.new("RGB", size, colour).save(held, "PNG")
    return held.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


Serve = Callable[..., Api]
