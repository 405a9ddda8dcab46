"""The dashboard's addresses below `/_mock/`: its files, the push feed, and what the pages ask for.

Everything comes from this server: the content security policy allows nothing else, no inline script or style, no frame.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from mockserver.errors import Refused, UserError
from mockserver.web.dashboard import show
from mockserver.web.dashboard.feed import Watcher
from mockserver.web.downloads import bytes_of
from mockserver.world.files import File

if TYPE_CHECKING:
    from mockserver.web.emulator import Emulator, Stage

STATIC = Path(__file__).resolve().parent / "static"
MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
GUARDED = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}
# Pictures are what a client uploaded: no script in one (SVG) may ever run as ours.
OF_CLIENTS = GUARDED | {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
PERIOD = 0.25
"""Real seconds between two looks for a viewer."""
GONE = 4404
"""Close code: there is no such world any more."""


def dashboard(emulator: Emulator, main: str, world: str) -> list[BaseRoute]:
    """Return the routes of the dashboard.

    Args:
        main: id of the world that is meant where none is named.
        world: key of an ASGI scope that holds the world of a port, and its provider.
    """
    pages = _Pages(emulator, main, world)
    below = [
        Route("/overview", pages.overview),
        Route("/exchanges/{number:int}", pages.exchange),
        Route("/feeds/{number:int}", pages.connection),
        Route("/tasks/{provider}/{id:path}", pages.task),
        Route("/files/{provider}/{index:int}/{id:path}", pages.result),
        Route("/given/{provider}/{index:int}/{id:path}", pages.given),
        Route("/{provider}/{name}.json", pages.document),
    ]
    routes: list[BaseRoute] = [
        Route("/_mock", pages.to_page),
        Route("/_mock/", pages.page),
        Route("/_mock/ui/{name}", pages.file),
        WebSocketRoute("/_mock/feed", pages.feed),
        WebSocketRoute("/_mock/worlds/{world}/feed", pages.feed),
    ]
    for prefix in ("/_mock/worlds/{world}", "/_mock"):
        routes += [Route(prefix + route.path, route.endpoint) for route in below]
    return routes


class _Pages:
    def __init__(self, emulator: Emulator, main: str, world: str) -> None:
        self._emulator, self._main, self._world = emulator, main, world

    def _stage(self, connection: HTTPConnection) -> Stage:
        id = connection.path_params.get("world", connection.scope.get(self._world, (self._main,))[0])
        stage = self._emulator.find(id)
        if stage is None:
            raise UserError(f"there is no world {id!r}")
        stage.now()
        return stage

    def _base(self, request: Request) -> str:
        base = f"{request.url.scheme}://{request.headers.get('host', '')}"
        id = request.path_params.get("world", self._main)
        return base if id == self._main else f"{base}/_mock/w/{id}"

    async def to_page(self, request: Request) -> Response:
        """To the dashboard."""
        return RedirectResponse("/_mock/")

    async def page(self, request: Request) -> Response:
        """The dashboard, for browsers."""
        return _static("index.html")

    async def file(self, request: Request) -> Response:
        """A file of the dashboard."""
        name = request.path_params["name"]
        if name not in _names():
            raise UserError(f"the dashboard has no file {name!r}")
        return _static(name)

    async def overview(self, request: Request) -> Response:
        """What is served: providers, their addresses, first requests, variants, errors that can be asked for."""
        return _json(show.overview(self._stage(request), self._base(request)))

    async def task(self, request: Request) -> Response:
        """One task wholly: nodes, events, files, inputs, the cause of its failure."""
        provider, id = request.path_params["provider"], request.path_params["id"]
        found = show.task(self._stage(request), provider, id)
        if found is None:
            raise UserError(f"{provider} has no task {id!r}")
        return _json(found)

    async def exchange(self, request: Request) -> Response:
        """One exchange without credentials, with what it breaks of the contract."""
        stage, number = self._stage(request), request.path_params["number"]
        found = next(iter(stage.recorder.newest(number - 1, None)), None)
        if found is None or found.number != number:
            raise UserError(f"exchange {number} is not kept; the newest is {stage.recorder.count}")
        return _json(show.exchange(stage, found))

    async def connection(self, request: Request) -> Response:
        """A push connection that is open: what crossed it so far, without credentials."""
        stage, number = self._stage(request), request.path_params["number"]
        if number not in stage.feeds:
            raise UserError(f"connection {number} is not open any more; when it is over it stands among the exchanges")
        return _json(show.exchange(stage, stage.feeds[number]()))

    async def document(self, request: Request) -> Response:
        """A provider's openapi.json or asyncapi.json, with this server's address."""
        stage, provider, name = self._stage(request), request.path_params["provider"], request.path_params["name"]
        served = stage.offer.served.get(provider)
        if served is None or name not in ("openapi", "asyncapi"):
            raise UserError(f"no document {provider}/{name}.json; providers: {', '.join(stage.offer.served)}")
        found = show.document(served.provider, f"{name}.json", f"{self._base(request)}/{provider}")
        if found is None:
            raise UserError(f"{provider} has no push channels, so no {name}.json")
        return _json(found)

    async def result(self, request: Request) -> Response:
        """A file that a task has written, whatever became of its links."""
        stage, task = self._task(request)
        files, index = task.files, request.path_params["index"]
        return await _content(stage, files[index] if index < len(files) else None)

    async def given(self, request: Request) -> Response:
        """An input file of a task."""
        stage, task = self._task(request)
        files, index = [file for _, _, file in show.given(task)], request.path_params["index"]
        return await _content(stage, files[index] if index < len(files) else None)

    def _task(self, request: Request) -> tuple[Stage, Any]:
        stage, provider = self._stage(request), request.path_params["provider"]
        service = stage.world.services.get(provider)
        task = None if service is None else service.runs.tasks.get(request.path_params["id"])
        if task is None:
            raise UserError(f"{provider} has no task {request.path_params['id']!r}")
        return stage, task

    async def feed(self, socket: WebSocket) -> None:
        """What happens, four times a second; see `Watcher.look`."""
        await socket.accept()
        listening = asyncio.create_task(_until_closed(socket))
        watcher = Watcher()
        try:
            while not listening.done():
                try:
                    stage = self._stage(socket)
                except UserError:
                    await socket.close(GONE)
                    return
                shown = watcher.look(stage, self._emulator.stages)
                await socket.send_text(orjson.dumps(shown, default=_plain).decode())
                await asyncio.wait({listening}, timeout=PERIOD)
        except (WebSocketDisconnect, RuntimeError):
            return  # the viewer has gone while we wrote to it
        finally:
            listening.cancel()


async def _until_closed(socket: WebSocket) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.receive_text()


async def _content(stage: Stage, file: Any) -> Response:
    if not isinstance(file, File):
        raise UserError("there is no such file")
    try:
        content, media = await bytes_of(stage, file, None)
    except Refused as refused:
        raise UserError(f"the file cannot be shown: {refused.condition}") from None
    return Response(content, media_type=media, headers=OF_CLIENTS)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(file.name for file in STATIC.iterdir() if file.suffix in MEDIA)


def _static(name: str) -> Response:
    file = STATIC / name
    return Response(file.read_bytes(), headers=GUARDED | {"content-type": MEDIA[file.suffix]})


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content, default=_plain), media_type="application/json", headers=GUARDED)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple | set | frozenset) else repr(value)
