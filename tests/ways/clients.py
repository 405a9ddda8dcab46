"""Clients of GenStudio as a team would write them: they know the service's address and key, and nothing of tests."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from time import monotonic, sleep  # taken at import, as much code does
from typing import Any, Self

import httpx

TASKS = "/api/maas/comfy_task_api"
FEED = "/api/maas/comfy_task_ws_api/get_task_progress"
REAL = "https://cloud.infini-ai.com"
REAL_FEED = f"wss://cloud.infini-ai.com{FEED}"
BODY = json.loads(
    (Path(__file__).resolve().parents[2] / "fixtures" / "genstudio" / "text-to-image.request.json").read_bytes()
)
QUEUED, RUNNING, DONE = 1, 2, 3
EVERY = 2.0
"""Seconds between polls."""


def headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def submitted(answer: Any) -> dict[str, Any]:
    assert answer["code"] == 0, answer
    found: dict[str, Any] = answer["data"]
    return found


def only(answer: Any) -> dict[str, Any]:
    assert answer["code"] == 0, answer
    (found,) = answer["data"]["comfy_task_info"]
    result: dict[str, Any] = found
    return result


class Painter:
    """Paints a picture: submits, polls every two seconds, downloads; gives up after a deadline of its own."""

    def __init__(self, url: str, key: str, *, patience: float = 300, **options: Any) -> None:
        self.http = httpx.Client(base_url=url, headers=headers(key), **options)
        self.patience = patience
        self.polls = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.http.close()

    def paint(self) -> bytes:
        task = submitted(self.http.post(f"{TASKS}/prompt", json=BODY).json())["prompt_id"]
        deadline = monotonic() + self.patience
        while True:
            self.polls += 1
            info = only(self.http.post(f"{TASKS}/get_task_info", json={"comfy_task_ids": [task]}).json())
            if info["status"] == DONE:
                return self.http.get(info["final_files"][0]).content
            if info["status"] not in (QUEUED, RUNNING):
                raise RuntimeError(f"the task ended as {info['status']}")
            if monotonic() > deadline:
                raise TimeoutError(f"not done within {self.patience:g} s")
            sleep(EVERY)


class AsyncPainter:
    """The same with asyncio."""

    def __init__(self, url: str, key: str, **options: Any) -> None:
        self.http = httpx.AsyncClient(base_url=url, headers=headers(key), **options)
        self.polls = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.http.aclose()

    async def paint(self) -> bytes:
        task = submitted((await self.http.post(f"{TASKS}/prompt", json=BODY)).json())["prompt_id"]
        async with asyncio.timeout(300):
            while True:
                self.polls += 1
                answer = await self.http.post(f"{TASKS}/get_task_info", json={"comfy_task_ids": [task]})
                info = only(answer.json())
                if info["status"] == DONE:
                    return (await self.http.get(info["final_files"][0])).content
                await asyncio.sleep(EVERY)


LASTS_90 = {"rules": [{"id": "long", "task": {"lasts": 90}}]}
STUCK = {"rules": [{"id": "stuck", "task": {"outcome": "stuck-running"}}]}
