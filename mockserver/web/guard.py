"""The door of the control API: who may come in, and whether the emulator answers.

The API itself is imported and built for the first who asks more than that: a start need not wait for it.
"""

from __future__ import annotations

import functools
import ipaddress
import json
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mockserver.web.emulator import Emulator

READY = "/_mock/ready"
LOCAL = ("localhost", "testserver")


class Guard:
    """Lets in only callers who came by a local name, and no page of another site."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._allowed = {*LOCAL, *(name.lower() for name in emulator.settings.allow_hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        problem = self._problem(headers)
        if problem is not None:
            await json_answer({"error": problem}, 403)(scope, receive, send)
        elif scope["path"] == READY and scope.get("method") == "GET":
            await ready(self._emulator)(scope, receive, send)
        else:
            await self._control(scope, receive, send)

    @functools.cached_property
    def _control(self) -> ASGIApp:
        from mockserver.web.control import control

        return control(self._emulator)

    def _problem(self, headers: dict[str, str]) -> str | None:
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if name not in self._allowed and not _is_loopback(name):
            return f"the control API is not for the host name {name!r}; allow it with --allow-host {name}"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "the control API refuses pages of other sites"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return f"the control API refuses pages of other sites; this one comes from {origin!r}"
        return None


def ready(emulator: Emulator) -> Response:
    """Return the answer to who asks whether the emulator answers: what it serves."""
    return json_answer({"ready": True, "providers": list(emulator.offer.served)})


def json_answer(content: Any, status: int = 200) -> Response:
    """Return an answer of the control API."""
    try:
        body = orjson.dumps(content, default=repr)
    except TypeError:  # what a client sent may hold integers beyond 64 bits
        body = json.dumps(content, default=repr).encode()
    # A line of its own where a person asks with curl.
    return Response(body + b"\n", status, media_type="application/json")


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
