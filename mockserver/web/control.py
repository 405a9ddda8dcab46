"""The control API at `/_mock/`: the clock, the tasks, what happened, what crossed the wire, what looks wrong.

For tests and people on this machine; `guard.py` is its door.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mockserver.errors import UserError
from mockserver.scenario import Script, library, parse
from mockserver.scenario import fail as make_fail
from mockserver.web import har, verifying
from mockserver.web.dashboard.routes import dashboard
from mockserver.web.emulator import MAIN, Emulator, Stage
from mockserver.web.guard import READY, json_answer, ready
from mockserver.web.head import WORLD
from mockserver.web.recorder import as_json
from mockserver.web.ways import ways
from mockserver.web.wire import waited_for
from mockserver.world.parameters import ranges
from mockserver.world.task import Task

MAX_BODY = 1024 * 1024
LATEST = 32_503_680_000
"""Unix seconds up to which dates can be written in every form: the year 3000."""


def control(emulator: Emulator) -> ASGIApp:
    """Return the application that serves `/_mock`."""
    api = _Control(emulator)
    routes = [
        Route(READY, api.ready),
        Route("/_mock/clock", api.show_clock, methods=["GET"]),
        Route("/_mock/clock", api.turn_clock, methods=["POST"]),
        Route("/_mock/reset", api.reset, methods=["POST"]),
        Route("/_mock/tasks", api.tasks),
        Route("/_mock/journal", api.journal),
        Route("/_mock/exchanges", api.exchanges),
        Route("/_mock/problems", api.problems),
        Route("/_mock/verify", api.verify, methods=["POST"]),
        Route("/_mock/wait", api.wait, methods=["POST"]),
        Route("/_mock/workflows", api.workflows),
        Route("/_mock/workflows/{id}", api.workflow),
        Route("/_mock/held", api.held),
        Route("/_mock/scenarios", api.scenarios, methods=["GET"]),
        Route("/_mock/scenarios/{name}", api.put_scenario, methods=["PUT"]),
        Route("/_mock/scenarios/{name}", api.drop_scenario, methods=["DELETE"]),
        Route("/_mock/fail", api.fail, methods=["POST"]),
        Route("/_mock/openapi.json", api.openapi),
        *ways(emulator, api.stage),
    ]
    # Every route about a world stands below each world too.
    shared = (READY, "/_mock/openapi.json")
    routes += [
        Route(
            route.path.replace("/_mock", "/_mock/worlds/{world}", 1), route.endpoint, methods=list(route.methods or ())
        )
        for route in routes
        if route.path not in shared
    ]
    routes += [
        Route("/_mock/worlds", api.worlds, methods=["GET"]),
        Route("/_mock/worlds", api.open_world, methods=["POST"]),
        Route("/_mock/worlds/{world}", api.close_world, methods=["DELETE"]),
    ]
    return Starlette(
        routes=[*routes, *dashboard(emulator, MAIN, WORLD)],
        exception_handlers={404: _missing, 405: _missing, UserError: _refuse_user},
    )


class _Control:
    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def stage(self, request: Request) -> Stage:
        id = request.path_params.get("world", request.scope.get(WORLD, (MAIN,))[0])
        stage = self.emulator.find(id)
        if stage is None:
            raise UserError(f"there is no world {id!r}: never made, closed, or dropped since nobody used it")
        stage.now()
        return stage

    async def ready(self, request: Request) -> Response:
        """Whether the emulator answers, and what it serves."""
        return ready(self.emulator)

    async def show_clock(self, request: Request) -> Response:
        """The world's moment, its rate, and the moment of the next event."""
        return json_answer(_clock(self.stage(request)))

    async def turn_clock(self, request: Request) -> Response:
        """Turn the clock: `{"rate": 0}`, `{"jump": 30}` (seconds), `{"next": true}` (event), `{"pause": true}`.

        Or `{"until": {"task": ID, "state": "running", "percent": 45}, "limit": 600}`: to the moment that this holds,
        at most so many seconds; the answer says under `reached` whether it does.
        """
        stage = self.stage(request)
        wanted = await _body(request)
        if "until" in wanted:
            reached = _until(stage, wanted)
            stage.pacer.stir()
            return json_answer({**_clock(stage), "reached": reached})
        turns: dict[str, Callable[[Any], object]] = {
            "rate": lambda rate: stage.world.set_rate(_number(rate, "rate"), time.monotonic()),
            "jump": lambda seconds: stage.world.jump(_seconds(stage, seconds, "jump"), time.monotonic()),
            "pause": lambda yes: stage.world.set_rate(0, time.monotonic()) if yes is True else None,
            "next": lambda yes: stage.world.jump_to_next(time.monotonic()) if yes is True else None,
        }
        if len(wanted) != 1 or not set(wanted) <= set(turns):
            known = '{"rate": 0}, {"jump": 30}, {"next": true}, {"pause": true}, {"until": {"task": ID}, "limit": 600}'
            raise UserError(f"clock takes one of {known}; got {wanted!r}")
        for name, value in wanted.items():
            turns[name](value)
        stage.pacer.stir()
        return json_answer(_clock(stage))

    async def reset(self, request: Request) -> Response:
        """Begin the world again: clock at its start, no tasks, nothing recorded."""
        self.stage(request).reset()
        return json_answer(_clock(self.stage(request)))

    async def tasks(self, request: Request) -> Response:
        """Every task the world remembers, oldest first."""
        stage = self.stage(request)
        found = [
            _task(name, task, stage.world.now)
            for name, service in stage.world.services.items()
            for task in service.runs.tasks
        ]
        return json_answer({"tasks": found})

    async def journal(self, request: Request) -> Response:
        """What happened after `since`, in order, as NDJSON; with `task` and `name` only what is of these."""
        extract = self.stage(request).world.journal.since(_since(request))
        headers = {"x-mock-lost": str(extract.lost)} if extract.lost else {}
        task, name = request.query_params.get("task"), request.query_params.get("name")
        lines = [
            entry.line()
            for entry in extract.entries
            if (task is None or entry.task == task) and (name is None or entry.name == name)
        ]
        return Response(b"".join(lines), media_type="application/x-ndjson", headers=headers)

    async def exchanges(self, request: Request) -> Response:
        """What crossed the wire after `since`, credentials redacted: as NDJSON, with `format=har` as HAR 1.2."""
        stage, since = self.stage(request), _since(request)
        form = request.query_params.get("format", "ndjson")
        if form not in ("ndjson", "har"):
            raise UserError(f"format is {form!r}; known: ndjson, har")
        lost = stage.recorder.lost(since)
        headers = {"x-mock-lost": str(lost)} if lost else {}
        shown = (stage.offer.secrets.redacted(one) for one in stage.recorder.since(since))
        if form == "har":
            return Response(orjson.dumps(har.log(shown)), media_type="application/json", headers=headers)
        lines = [orjson.dumps(as_json(one)) + b"\n" for one in shown]
        return Response(b"".join(lines), media_type="application/x-ndjson", headers=headers)

    async def verify(self, request: Request) -> Response:
        """Ask the record one thing: `{"holds", "text", "found"}`; 410 where it reaches into what is gone.

        `{"called": {"operation", "provider", "status", "request": SCHEMA, "task"}, "times": 2 or {"min", "max"}}`;
        `{"order": [{"operation": ID}, ...]}`; `{"unexpected": false}`; `{"task": ID, "state": STATE}`. With `since`
        only what came after that exchange counts.
        """
        stage = self.stage(request)
        return json_answer(verifying.shown(verifying.question(stage, await _body(request))()))

    async def wait(self, request: Request) -> Response:
        """Wait until what `verify` takes holds, at most `limit` seconds of the world's clock, which is not turned."""
        stage, asked = self.stage(request), await _body(request)
        limit = _seconds(stage, asked.pop("limit", 3600), "limit")
        answer = verifying.question(stage, asked)
        verdict = answer()
        if not verdict.holds:
            await waited_for(stage, lambda: answer().holds, limit=limit, what="/_mock/wait", receive=request.receive)
            verdict = answer()
        return json_answer({**verifying.shown(verdict), "now": stage.world.now})

    async def problems(self, request: Request) -> Response:
        """What a person should look at: near misses, refusals, answers of our own that break their schema."""
        return json_answer({"problems": list(self.stage(request).recorder.problems)})

    async def held(self, request: Request) -> Response:
        """Answers that wait for the clock: what, since when, and until which moment, if that is known."""
        return json_answer({"held": list(self.stage(request).held.values())})

    async def scenarios(self, request: Request) -> Response:
        """The scenarios in force, with how often each rule matched and acted; and those of the library."""
        return json_answer(
            {
                "in_force": {name: _hits(script) for name, script in self.stage(request).scripts.named.items()},
                "library": {name: library.line(one) for name, one in library.scenarios().items()},
            }
        )

    async def put_scenario(self, request: Request) -> Response:
        """Put a scenario in force: the one in the body (JSON or YAML), without a body that of the library.

        Its counts begin at nothing. Its setting is for worlds made with it; a world that runs keeps its own.
        """
        stage, name = self.stage(request), request.path_params["name"]
        raw = await _raw(request)
        scenario = parse(raw, name) if raw.strip() else stage.scripts.find(name)
        return json_answer({name: _hits(stage.scripts.put(scenario))})

    async def drop_scenario(self, request: Request) -> Response:
        """Take a scenario out of force; its last counts are answered."""
        stage, name = self.stage(request), request.path_params["name"]
        hits = _hits(stage.scripts.named[name]) if name in stage.scripts.named else {}
        stage.scripts.drop(name)
        return json_answer({name: hits})

    async def fail(self, request: Request) -> Response:
        """Let the next call or task that it fits meet an error of the catalogue: `{"error": NAME, "times": 1}`."""
        stage, wanted = self.stage(request), await _body(request)
        error, times = wanted.get("error"), wanted.get("times", 1)
        if not isinstance(error, str) or not (times is None or (type(times) is int and times > 0)):
            raise UserError(f'fail takes {{"error": NAME, "times": 1}}, times null for ever; got {wanted!r}')
        scenario = make_fail(error, times=times)
        return json_answer({scenario.name: _hits(stage.scripts.put(scenario))})

    async def worlds(self, request: Request) -> Response:
        """The worlds there are, by id, each with the addresses of its providers."""
        self.emulator.drop_idle()
        return json_answer({"worlds": [self._world(request, stage) for stage in self.emulator.stages.values()]})

    async def open_world(self, request: Request) -> Response:
        """Make a world of its own: `{"id", "scenario", "port"}` and all words of a scenario's setting, all optional.

        `scenario` is the name of one or one itself. With `"port": 0` each provider gets a port of its own, where it
        stands at the root, and `/_mock` there is this world's.
        """
        raw = await _raw(request)
        wanted = _object(raw) if raw.strip() else {}
        stage = self.emulator.open_new(wanted)
        if "port" in wanted:
            try:
                await self.emulator.open_ports(stage, wanted["port"])
            except UserError:
                self.emulator.close(stage.world.id)
                raise
        return json_answer(self._world(request, stage), 201)

    async def close_world(self, request: Request) -> Response:
        """Drop a world with all that is in it."""
        id = request.path_params["world"]
        self.stage(request)
        if id == MAIN:
            raise UserError(f"the world {MAIN!r} is always there; begin it again with POST /_mock/reset")
        self.emulator.close(id)
        return json_answer({"closed": id})

    def _world(self, request: Request, stage: Stage) -> dict[str, Any]:
        id, host = stage.world.id, request.headers.get("host", "")
        base = f"{request.url.scheme}://{host}"
        within = "" if id == MAIN else f"/_mock/w/{id}"
        urls = {name: f"{base}{within}/{name}" for name in stage.offer.served}
        name = urlsplit(f"//{host}").hostname or ""
        name = f"[{name}]" if ":" in name else name
        urls |= {one: f"{request.url.scheme}://{name}:{listener.port}" for one, listener in stage.ports.items()}
        return {"id": id, "urls": urls}

    async def workflows(self, request: Request) -> Response:
        """The ids of the hosted workflows."""
        hosting = self.stage(request).offer.hosting
        return json_answer({"workflows": sorted({*hosting.samples, *hosting.own})})

    async def workflow(self, request: Request) -> Response:
        """What a call may set in a hosted workflow: by node and input its type, default, range and choices."""
        hosting, id = self.stage(request).offer.hosting, request.path_params["id"]
        found = hosting.own.get(id) or hosting.samples.get(id)
        if found is None:
            raise UserError(f"no hosted workflow {id!r}; known: {', '.join(sorted({*hosting.samples, *hosting.own}))}")
        return json_answer(ranges(found))

    async def openapi(self, request: Request) -> Response:
        """This API, described by itself."""
        from mockserver.web.description import describe

        return json_answer(describe(request.app.routes))


def _clock(stage: Stage) -> dict[str, Any]:
    world = stage.world
    clock = world.clock
    return {"now": world.now, "rate": clock.rate, "next": world.due(), "start": clock.start, "seed": world.seed}


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
        # The id of an account may be its key.
        "uses": {kind: thing.id for kind, thing in task.things.items() if kind != "account"},
        "failure": None if failure is None else {"name": failure.name, "message": failure.message},
        "nodes": [
            {"id": node.id, "class": node.class_type, "state": node.state, "step": node.step, "steps": node.steps}
            for node in task.nodes_at(stage_now)
        ],
        "files": [file.key for file in task.files],
    }


def _hits(script: Script) -> dict[str, dict[str, int]]:
    return {id: {"matched": hits.matched, "acted": hits.acted} for id, hits in script.hits.items()}


def _until(stage: Stage, wanted: dict[str, Any]) -> bool:
    """Move a world's clock to where a task is as wanted; return whether it is."""
    until, limit = wanted["until"], wanted.get("limit", 3600)
    known = {"task", "state", "percent"}
    if (
        not isinstance(until, dict)
        or "task" not in until
        or not set(until) <= known
        or not {*wanted} <= {"until", "limit"}
    ):
        raise UserError(f'until takes {{"task": ID, "state": STATE, "percent": 45}} beside a "limit"; got {wanted!r}')
    share = _number(until.get("percent", 0), "percent") / 100
    found = [service.runs for service in stage.world.services.values() if service.runs.find(str(until["task"]))]
    if not found:
        raise UserError(f"there is no task {until['task']!r}")
    runs, state = found[0], until.get("state")
    states = runs.kind.states
    if state is not None and (not isinstance(state, str) or state not in states):
        raise UserError(f"state is {state!r}, which no task has; known: {', '.join(states)}")

    def holds() -> bool:
        task = runs.find(str(until["task"]))
        return task is not None and (state is None or task.state == state) and task.progress >= share

    # Progress makes no event of its own unless somebody follows the task.
    watch = runs.watch(lambda event: None, task=str(until["task"]))
    try:
        return stage.world.run_until(holds, limit=_seconds(stage, limit, "limit"), real=time.monotonic())
    finally:
        watch.cancel()


async def _raw(request: Request) -> bytes:
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise UserError(f"the body is over {MAX_BODY} bytes")
    return raw


async def _body(request: Request) -> dict[str, Any]:
    return _object(await _raw(request))


def _object(raw: bytes) -> dict[str, Any]:
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


def _seconds(stage: Stage, value: Any, name: str) -> float:
    seconds = _number(value, name)
    if stage.world.now + seconds > LATEST:
        raise UserError(f"{name} is {value!r}, which leads beyond the year 3000; give fewer seconds")
    return seconds


def _since(request: Request) -> int:
    given = request.query_params.get("since", "0")
    if re.fullmatch("[0-9]{1,18}", given) is None:
        raise UserError(f"since is {given!r}; a number of an entry is needed")
    return int(given)


async def _missing(request: Request, error: Exception) -> Response:
    known = sorted({route.path for route in request.app.routes})
    status = getattr(error, "status_code", 404)
    return json_answer({"error": f"no {request.method} {request.url.path} here; known: {', '.join(known)}"}, status)


async def _refuse_user(request: Request, error: Exception) -> Response:
    return json_answer({"error": str(error)}, 410 if isinstance(error, verifying.Evicted) else 400)
