"""The control API at `/_mock/`: the clock, the tasks, what happened, what crossed the wire, what looks wrong.

For tests and people on this machine: it refuses cross-site browser requests and foreign `Host` headers.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mockserver.errors import UserError
from mockserver.web.emulator import MAIN, Emulator, Stage
from mockserver.web.recorder import as_json
from mockserver.world.parameters import ranges
from mockserver.world.task import Task

MAX_BODY = 1024 * 1024
LOCAL = ("localhost", "testserver")


def control(emulator: Emulator) -> ASGIApp:
    """Return the application that serves `/_mock`."""
    api = _Control(emulator)
    routes = [
        Route("/_mock/ready", api.ready),
        Route("/_mock/clock", api.show_clock, methods=["GET"]),
        Route("/_mock/clock", api.turn_clock, methods=["POST"]),
        Route("/_mock/reset", api.reset, methods=["POST"]),
        Route("/_mock/tasks", api.tasks),
        Route("/_mock/journal", api.journal),
        Route("/_mock/exchanges", api.exchanges),
        Route("/_mock/problems", api.problems),
        Route("/_mock/workflows", api.workflows),
        Route("/_mock/workflows/{id}", api.workflow),
        Route("/_mock/openapi.json", api.openapi),
    ]
    app = Starlette(routes=routes, exception_handlers={404: _missing, 405: _missing, UserError: _refuse_user})
    return _Guard(app, emulator)


class _Guard:
    """Lets in only callers who came by a local name, and no page of another site."""

    def __init__(self, app: ASGIApp, emulator: Emulator) -> None:
        self._app = app
        self._allowed = {*LOCAL, *(name.lower() for name in emulator.settings.allow_hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        problem = self._problem(headers)
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await _json({"error": problem}, 403)(scope, receive, send)

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


class _Control:
    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def stage(self, request: Request) -> Stage:
        id = request.path_params.get("world", MAIN)
        if id not in self.emulator.stages:
            raise UserError(f"there is no world {id!r}")
        stage = self.emulator.stages[id]
        stage.now()
        return stage

    async def ready(self, request: Request) -> Response:
        """Whether the emulator answers, and what it serves."""
        return _json({"ready": True, "providers": list(self.emulator.served)})

    async def show_clock(self, request: Request) -> Response:
        """The world's moment, its rate, and the moment of the next event."""
        return _json(_clock(self.stage(request)))

    async def turn_clock(self, request: Request) -> Response:
        """Turn the clock: `{"rate": 0}`, `{"jump": 30}` (seconds) or `{"next": true}` (to the next event)."""
        stage = self.stage(request)
        wanted = await _body(request)
        turns: dict[str, Callable[[Any], object]] = {
            "rate": lambda rate: stage.world.set_rate(_number(rate, "rate"), time.monotonic()),
            "jump": lambda seconds: stage.world.jump(_number(seconds, "jump"), time.monotonic()),
            "next": lambda yes: stage.world.jump_to_next(time.monotonic()) if yes is True else None,
        }
        if len(wanted) != 1 or not set(wanted) <= set(turns):
            raise UserError(f'clock takes one of {{"rate": 0}}, {{"jump": 30}}, {{"next": true}}; got {wanted!r}')
        for name, value in wanted.items():
            turns[name](value)
        stage.pacer.stir()
        return _json(_clock(stage))

    async def reset(self, request: Request) -> Response:
        """Begin the world again: clock at its start, no tasks, nothing recorded."""
        self.stage(request).reset()
        return _json(_clock(self.stage(request)))

    async def tasks(self, request: Request) -> Response:
        """Every task the world remembers, oldest first."""
        stage = self.stage(request)
        found = [
            _task(name, task, stage.world.now)
            for name, service in stage.world.services.items()
            for task in service.runs.tasks
        ]
        return _json({"tasks": found})

    async def journal(self, request: Request) -> Response:
        """What happened after `since`, in order, as NDJSON."""
        extract = self.stage(request).world.journal.since(_since(request))
        headers = {"x-mock-lost": str(extract.lost)} if extract.lost else {}
        return Response(extract.ndjson(), media_type="application/x-ndjson", headers=headers)

    async def exchanges(self, request: Request) -> Response:
        """What crossed the wire after `since`, as NDJSON; credentials redacted."""
        stage = self.stage(request)
        lines = [
            orjson.dumps(as_json(self.emulator.secrets.redacted(one))) + b"\n"
            for one in stage.recorder.since(_since(request))
        ]
        return Response(b"".join(lines), media_type="application/x-ndjson")

    async def problems(self, request: Request) -> Response:
        """What a person should look at: near misses, refusals, answers of our own that break their schema."""
        return _json({"problems": list(self.stage(request).recorder.problems)})

    async def workflows(self, request: Request) -> Response:
        """The ids of the hosted workflows."""
        hosting = self.emulator.hosting
        return _json({"workflows": sorted({*hosting.samples, *hosting.own})})

    async def workflow(self, request: Request) -> Response:
        """What a call may set in a hosted workflow: by node and input its type, default, range and choices."""
        hosting, id = self.emulator.hosting, request.path_params["id"]
        found = hosting.own.get(id) or hosting.samples.get(id)
        if found is None:
            raise UserError(f"no hosted workflow {id!r}; known: {', '.join(sorted({*hosting.samples, *hosting.own}))}")
        return _json(ranges(found))

    async def openapi(self, request: Request) -> Response:
        """This API, described by itself."""
        from mockserver.web.description import describe

        return _json(describe(request.app.routes))


def _clock(stage: Stage) -> dict[str, Any]:
    world = stage.world
    return {"now": world.now, "rate": world.clock.rate, "next": world.due(), "start": world.clock.start}


def _task(provider: str, task: Task, stage_now: float) -> dict[str, Any]:
    failure = task.failure
    return {
        "provider": provider,
        "id": task.id,
        "state": task.state,
        "created": task.created,
        "started": task.started,
        "finished": task.finished,
        "progress": task.progress,
        "position": task.position,
        "uses": {kind: thing.id for kind, thing in task.things.items()},
        "failure": None if failure is None else {"name": failure.name, "message": failure.message},
        "nodes": [
            {"id": node.id, "class": node.class_type, "state": node.state, "step": node.step, "steps": node.steps}
            for node in task.nodes_at(stage_now)
        ],
        "files": [file.key for file in task.files],
    }


async def _body(request: Request) -> dict[str, Any]:
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise UserError(f"the body is over {MAX_BODY} bytes")
    try:
        wanted = orjson.loads(raw)
    except ValueError as error:
        raise UserError(f"the body is not JSON: {error}") from None
    if not isinstance(wanted, dict):
        raise UserError(f"the body is {wanted!r}; an object is needed")
    return wanted


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{name} is {value!r}; a number is needed")
    return float(value)


def _since(request: Request) -> int:
    given = request.query_params.get("since", "0")
    if not given.isdigit():
        raise UserError(f"since is {given!r}; a number of an entry is needed")
    return int(given)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content, default=repr), status, media_type="application/json")


async def _missing(request: Request, error: Exception) -> Response:
    known = sorted({route.path for route in request.app.routes})
    status = getattr(error, "status_code", 404)
    return _json({"error": f"no {request.method} {request.url.path} here; known: {', '.join(known)}"}, status)


async def _refuse_user(request: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 400)
