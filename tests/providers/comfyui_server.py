"""A ComfyUI server as a script meets it: urllib and websocket-client alone, over real sockets."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import websocket

from mockserver import data

START = 1_795_217_520
GRAPH = json.loads((data.fixtures() / "comfyui" / "text-to-image.request.json").read_bytes())["prompt"]


class Server:
    """A ComfyUI server as a script sees it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = str(uuid.uuid4())

    def call(
        self, path: str, body: Any = None, *, raw: bytes | None = None, method: str | None = None, **headers: str
    ) -> tuple[int, Any, bytes]:
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, content, named, method=method)
        try:
            answer = urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, dict(answer.headers), answer.read()

    def json(self, path: str, body: Any = None) -> Any:
        status, _, content = self.call(path, body)
        assert status == 200, content
        return json.loads(content) if content else None

    def submit(self, graph: Any, **more: Any) -> str:
        id: str = self.json("/prompt", {"prompt": graph, "client_id": self.client, **more})["prompt_id"]
        return id

    def done(self, graph: Any, **more: Any) -> Any:
        """Run a graph to its end and return its history."""
        id = self.submit(graph, **more)
        self.turn(3600)
        return self.json(f"/history/{id}")[id]

    def upload(self, name: str, content: bytes, path: str = "/upload/image", **fields: str) -> Any:
        parts = [
            f'--XX\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in fields.items()
        ]
        head = f'--XX\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
        body = b"".join([*parts, head, content, b"\r\n--XX--\r\n"])
        status, _, answer = self.call(path, raw=body, Content_Type="multipart/form-data; boundary=XX")
        assert status == 200, (status, answer)
        return json.loads(answer)

    def turn(self, seconds: float) -> None:
        self.json("/_mock/clock", {"jump": seconds})

    def view(self, file: Any) -> bytes:
        query = urlencode({"filename": file["filename"], "subfolder": file["subfolder"], "type": file["type"]})
        status, _, content = self.call(f"/view?{query}")
        assert status == 200
        return content

    @contextmanager
    def socket(self, client: str | None = None) -> Iterator[Any]:
        feed = websocket.WebSocket()
        feed.connect(f"{self.url.replace('http', 'ws', 1)}/ws?clientId={client or self.client}", timeout=10)  # type: ignore[no-untyped-call]  # the package has no types
        yield feed
        feed.close()


Serve = Callable[..., Server]


def heard(feed: Any, prompt_id: str) -> list[Any]:
    """Return the frames up to the end of a run; binary ones as bytes."""
    frames: list[Any] = []
    while True:
        frame = feed.recv()
        frames.append(frame if isinstance(frame, bytes) else json.loads(frame))
        if not isinstance(frame, bytes) and frames[-1]["data"] == {"node": None, "prompt_id": prompt_id}:
            return frames


def kinds(frames: list[Any]) -> list[str]:
    return [frame["type"] for frame in frames if not isinstance(frame, bytes)]


def saving(color: int = 0, **changes: Any) -> Any:
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": color}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "ComfyUI", **changes}},
    }
