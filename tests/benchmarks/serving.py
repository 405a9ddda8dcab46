"""The servers under load, each a process of its own on one core: the emulator, and the baselines it is held against.

Run as a program (`program("serving", "baselines", CASES)`, or `"emulator", SETTINGS`), this module is such a server. It
prints `ready: URL` once it answers.

Baselines, both on uvicorn with the emulator's own settings (uvloop, httptools, no access log):
- `/raw/CASE`: an ASGI callable that reads the body and answers fixed bytes, as many as the emulator answers;
- `/plain/CASE`: a Starlette route that parses JSON, validates with `jsonschema`, and answers with `JSONResponse`; where
  the work lies in a whole graph, it checks and plans that too, by the functions that the emulator has for it.
WebSockets at any path get fixed frames: as many, of such a size and pace, as the query says.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.benchmarks.measuring import ROOT, SERVER_CORE, cpu_seconds, pin, program, resident_bytes


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    pid: int

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 80

    @property
    def cpu(self) -> float:
        """CPU seconds it has used so far."""
        return cpu_seconds(self.pid)

    @property
    def memory(self) -> int:
        return resident_bytes(self.pid)


def end(process: subprocess.Popen[str]) -> None:
    """End a server in good order, or by force where it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextlib.contextmanager
def server(kind: str, argument: str) -> Iterator[Server]:
    """Run one for the length of a `with` block."""
    command = program("serving", kind, argument)
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready: "):
                break
        else:
            raise RuntimeError(f"the {kind} did not start")
        yield Server(line.split()[1], process.pid)
    finally:
        end(process)


@contextlib.contextmanager
def emulator(**settings: Any) -> Iterator[Server]:
    with server("emulator", json.dumps(settings)) as started:
        yield started


# being one


def _run_emulator(argument: str) -> None:
    from mockserver.server import serve
    from mockserver.settings import Settings

    wanted = json.loads(argument)
    wanted["providers"] = tuple(wanted.get("providers", ()))
    with contextlib.suppress(KeyboardInterrupt):
        serve(Settings(port=0, **wanted), started=lambda running: print(f"ready: {running.url}", flush=True))  # noqa: T201


def _run_baselines(argument: str) -> None:
    import uvicorn

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            print(f"ready: http://{host}:{port}", flush=True)  # noqa: T201

    app = _baselines(json.loads(Path(argument).read_text("utf-8")))
    config = uvicorn.Config(
        app, port=0, ws="websockets-sansio", log_level="warning", access_log=False,
        server_header=False, date_header=False, lifespan="off",
    )  # fmt: skip
    with contextlib.suppress(KeyboardInterrupt):
        Announcing(config).run()


def _baselines(cases: Mapping[str, Any]) -> Any:
    """Return the application; each case has `answer` (base64), `media` and, for the plain route, `schema`."""
    answers = {f"/raw/{name}": base64.b64decode(case["answer"]) for name, case in cases.items()}
    media = {f"/raw/{name}": case["media"].encode() for name, case in cases.items()}
    plain = _plain(cases)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await _frames(scope, receive, send)
            return
        path = scope["path"]
        answer = answers.get(path)
        if answer is None:
            await plain(scope, receive, send)
            return
        while (await receive()).get("more_body", False):
            pass
        headers = [(b"content-type", media[path]), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


def _plain(cases: Mapping[str, Any]) -> Any:
    from jsonschema import Draft202012Validator
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    from mockserver.world import catalogue, graphcheck, plan

    def route(name: str, case: Mapping[str, Any]) -> Route:
        validator = Draft202012Validator(case.get("schema", True))
        raw = base64.b64decode(case["answer"])
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = raw.decode("latin-1")

        member = case.get("graph")
        known = catalogue.load() if member else None

        async def endpoint(request: Request) -> Response:
            body = await request.body()
            if body:
                asked = json.loads(body)
                error = next(validator.iter_errors(asked), None)
                if error is not None:
                    return JSONResponse({"error": error.message}, status_code=422)
                if known is not None:
                    graphcheck.check(asked[member], known)  # what it finds depends on the provider
                    plan.make_plan(asked[member], known)
            return JSONResponse(answer)

        return Route(f"/plain/{name}", endpoint, methods=["GET", "POST", "PUT"])

    return Starlette(routes=[route(name, case) for name, case in cases.items()])


async def _frames(scope: Any, receive: Any, send: Any) -> None:
    wanted = dict(parse_qsl(scope["query_string"].decode()))
    frame = "x" * int(wanted["size"])
    await receive()
    await send({"type": "websocket.accept"})
    for _ in range(int(wanted["count"])):
        await asyncio.sleep(float(wanted["every"]))
        await send({"type": "websocket.send", "text": frame})
    await send({"type": "websocket.close", "code": 1000})


if __name__ == "__main__":
    os.chdir(ROOT)
    pin(SERVER_CORE)
    {"emulator": _run_emulator, "baselines": _run_baselines}[sys.argv[1]](sys.argv[2])
