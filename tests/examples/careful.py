"""A careful client of GenStudio: httpx for calls, a WebSocket to hear sooner, a deadline, and no blind repetition.

Each step is a method of its own, so that a reader (and a test) can replace it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

API = "/api/maas/comfy_task_api"
FEED = "/api/maas/comfy_task_ws_api/get_task_progress"
PROMPT = {"5": {"inputs": {"width": 64, "height": 64}}, "6": {"inputs": {"text": "a red fox"}}}
QUEUED, RUNNING, SUCCEEDED, FAILED, FOREIGN = 1, 2, 3, 4, 5
PNG_END = b"IEND\xaeB`\x82"


class GenerationFailed(Exception):
    """No picture; the text holds what the provider said."""


class Stage(Protocol):
    """Where the service is, and how to wait."""

    @property
    def url(self) -> str: ...
    @property
    def ws_url(self) -> str: ...
    @property
    def api_key(self) -> str: ...
    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class Careful:
    """Runs one workflow after the other and returns the pictures of each."""

    deadline = 900.0
    """Seconds after which a task is given up."""
    pause = 5.0
    jobs = 1
    tries = 10

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.http = httpx.Client(base_url=stage.url, headers={"Authorization": f"Bearer {stage.api_key}"}, timeout=5)
        self.files = httpx.Client(timeout=5)

    def run(self) -> Sequence[bytes]:
        with self.http, self.files:
            tasks = [self.submit() for _ in range(self.jobs)]
            return [picture for task in tasks for picture in self.fetch(task, self.wait(task))]

    # submitting

    def submit(self) -> dict[str, Any]:
        """Submit once; only a refusal that asks to wait is followed by another try."""
        for _ in range(self.tries):
            try:
                answer = self.http.post(f"{API}/prompt", json={"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": PROMPT})
            except httpx.TransportError as error:
                return self.lost(error)
            if answer.status_code != 429:
                data = self.opened(answer)
                if not isinstance(data, dict) or "prompt_id" not in data:
                    raise GenerationFailed(f"submit answered {answer.text[:200]}")
                return data
            self.obey(answer)
        raise GenerationFailed(f"refused {self.tries} times: {self.told(answer)}")

    def lost(self, error: Exception) -> dict[str, Any]:
        raise GenerationFailed(f"nobody knows whether the task was submitted: {error!r}")

    def obey(self, answer: httpx.Response) -> None:
        self.stage.sleep(float(answer.headers.get("retry-after", 10)) + 0.1)

    def opened(self, answer: httpx.Response) -> Any:
        """Return the data of an answer; raise what the envelope tells otherwise."""
        if answer.status_code >= 400:
            raise GenerationFailed(f"HTTP {answer.status_code}: {self.told(answer)}")
        try:
            envelope = answer.json()
        except ValueError:
            raise GenerationFailed(f"no JSON: {answer.text[:100]!r}") from None
        if not isinstance(envelope, dict) or envelope.get("code") != 0:
            raise GenerationFailed(self.told(answer))
        return envelope.get("data")

    def told(self, answer: httpx.Response) -> str:
        with suppress(ValueError, AttributeError):
            envelope = answer.json()
            return f"{envelope['code']} {envelope['msg']}" if "msg" in envelope else str(envelope)
        return answer.text[:200]

    # waiting

    def wait(self, task: dict[str, Any]) -> dict[str, Any]:
        """Return the entry of a task that succeeded."""
        end = self.stage.now() + self.deadline
        self.listen(task, end)
        missing = 0
        while self.stage.now() < end:
            entry = self.poll(task["prompt_id"])
            if entry is not None:
                if self.is_over(entry):
                    return entry
            else:
                missing += 1
                if missing > self.tries:
                    raise GenerationFailed(f"task {task['prompt_id']} is not known any more")
            self.stage.sleep(self.pause)
        return self.late(task)

    def late(self, task: dict[str, Any]) -> dict[str, Any]:
        raise GenerationFailed(f"task {task['prompt_id']} took longer than {self.deadline:.0f} s")

    def is_over(self, entry: dict[str, Any]) -> bool:
        """Whether a task has succeeded; raise if it has failed. What is unknown is not the end."""
        status = entry.get("status")
        if status in (FAILED, FOREIGN):
            raise GenerationFailed(f"task failed: {entry.get('errMsg') or 'no reason given'}")
        return status == SUCCEEDED

    def poll(self, id: str, **wishes: Any) -> dict[str, Any] | None:
        """Return the entry of one task; None where it could not be read this time."""
        try:
            answer = self.http.post(f"{API}/get_task_info", json={"comfy_task_ids": [id], **wishes})
        except httpx.TransportError:
            return None
        if answer.status_code == 429:
            self.obey(answer)
            return None
        if answer.status_code >= 500 or "json" not in answer.headers.get("content-type", ""):
            return None
        try:
            answer.json()
        except ValueError:
            return None
        data = self.opened(answer)
        entries = (data.get("comfy_task_info") if isinstance(data, dict) else None) or []
        return next((one for one in entries if one.get("comfy_task_id") == id), None)

    def listen(self, task: dict[str, Any], end: float) -> None:
        """Follow the feed for as long as it talks; polling has the last word in any case."""
        url = f"{self.stage.ws_url}{FEED}?authorization={task['prompt_token']}"
        with suppress(OSError, WebSocketException), connect(url, open_timeout=5) as feed:
            silent = 0
            while silent < 3 and self.stage.now() < end:
                try:
                    if self.heard(feed.recv(timeout=0.02)):
                        return
                    silent = 0
                except TimeoutError:
                    silent += 1
                    self.stage.sleep(self.pause)

    def heard(self, message: str | bytes) -> bool:
        """Whether a message tells the end."""
        try:
            entry = json.loads(message)["comfy_task_info"]
            return entry["status"] in (SUCCEEDED, FAILED)
        except (ValueError, KeyError, TypeError):
            return False

    # fetching

    def fetch(self, task: dict[str, Any], entry: dict[str, Any]) -> list[bytes]:
        count = len(self.links(entry))
        if not count:
            raise GenerationFailed("the task succeeded without a file")
        return [self.download(task, entry, place) for place in range(count)]

    def links(self, entry: dict[str, Any]) -> list[str]:
        return entry.get("final_files") or [
            link for links in (entry.get("files") or {}).values() for link in links or ()
        ]

    def download(self, task: dict[str, Any], entry: dict[str, Any], place: int) -> bytes:
        """Fetch one file, with fresh links where the old ones do not work; raise unless it is whole."""
        problem = ""
        for turn in range(self.tries):
            try:
                answer = self.get(self.links(entry)[place])
                problem = f"HTTP {answer.status_code}"
                if answer.status_code == 200 and self.is_whole(answer):
                    return answer.content
            except (httpx.TransportError, httpx.InvalidURL) as error:
                problem = repr(error)
            self.stage.sleep(self.pause)
            fresh = self.poll(task["prompt_id"], url_expire_period=900 + turn)
            if fresh is not None and place < len(self.links(fresh)):
                entry = fresh
        raise GenerationFailed(f"the picture cannot be fetched: {problem}")

    def get(self, link: str) -> httpx.Response:
        return self.files.get(link)

    def is_whole(self, answer: httpx.Response) -> bool:
        length = answer.headers.get("content-length")
        return (length is None or int(length) == len(answer.content)) and answer.content.endswith(PNG_END)


def careful(stage: Stage) -> Sequence[bytes]:
    """Run one workflow with care."""
    return Careful(stage).run()


def client(kind: type[Careful]) -> Callable[[Stage], Sequence[bytes]]:
    """Return a kind of client as a function."""
    return lambda stage: kind(stage).run()
