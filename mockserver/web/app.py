"""The ASGI application: one door for every request, whichever provider, world or page it is for.

Starlette serves the control API; provider calls are answered below its Request and Response: they are the hot path.
"""

from __future__ import annotations

import logging
from contextlib import suppress

import orjson
from starlette.types import Receive, Scope, Send

from mockserver.errors import UserError
from mockserver.exchange import Exchange
from mockserver.provider.notation import http_date
from mockserver.settings import Settings
from mockserver.web import calls, feeds
from mockserver.web.bodies import Disconnected
from mockserver.web.calls import Done
from mockserver.web.emulator import Emulator, Place, keep
from mockserver.web.guard import Guard
from mockserver.web.head import Head
from mockserver.web.wire import BODILESS, encoded, respond, whole

log = logging.getLogger("mockserver")

PREFLIGHT = (
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS"),
    ("access-control-max-age", "600"),
)
FAILED = [("content-type", "application/json")]
FORWARDED = "x-forwarded-proto"
"""Says that a proxy stands before us, whose word for the address uvicorn then takes."""


def create_app(settings: Settings, *, leaps: bool = False) -> Application:
    """Return the application.

    Args:
        leaps: time jumps to what a caller waits for, so that an answer or feed that is held never blocks its caller.

    Raises:
        UserError, SchemaFolderError: *settings* or a folder will not do.
    """
    return Application(Emulator(settings, leaps=leaps))


class Application:
    """Routes a connection to control API, provider call, push channel or nowhere."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self._control = Guard(emulator)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        path: str = scope["path"]
        if _is_control(path):
            await self._control(scope, receive, send)
            return
        head = Head(scope)
        place = self.emulator.place(head)
        if scope["type"] == "websocket":
            await self._feed(place, head, receive, send)
        elif place is None:
            await _nowhere(self.emulator, path, send)
        else:
            place.stage.busy += 1
            try:
                await self._call(place, head, receive, send)
            finally:
                place.stage.busy -= 1

    def head(self, scope: Scope) -> Head:
        """Return the head of a request, for `at_once`; requests with the same head may share it."""
        return Head(scope)

    def at_once(self, head: Head, body: bytes) -> bytes | None:
        """Return the whole answer to a request, as it goes over the wire; None where it has to go the usual way.

        The request is whole, and its connection stays open.
        """
        if _is_control(head.path) or FORWARDED in head.headers:
            return None
        place = self.emulator.place(head)
        if place is None or head.method == "OPTIONS":
            return None
        place.stage.busy += 1
        try:
            done = calls.at_once(place, head, body)
            if done is None:
                return None
            answer = done.answer
            headers = _headers(place, done)
            self._keep(place, head, done, headers)
            return whole(answer.status, headers, answer.body)
        except Exception:
            return whole(500, FAILED, _failed(place, head))
        finally:
            place.stage.busy -= 1

    async def _call(self, place: Place, head: Head, receive: Receive, send: Send) -> None:
        if head.method == "OPTIONS" and place.provider.wire.get("cors"):
            wanted = head.headers.get("access-control-request-headers", "*")
            await _respond(send, 204, [*PREFLIGHT, ("access-control-allow-headers", wanted)], b"")
            return
        try:
            done = await calls.answer(place, head, receive)
        except Disconnected:
            return
        except UserError as error:
            # Only a header of ours can be the cause: nobody who speaks to the real service meets this.
            text = orjson.dumps({"error": str(error)})
            await _respond(send, 400, [("content-type", "application/json")], text)
            return
        except Exception:
            await _respond(send, 500, FAILED, _failed(place, head))
            return
        answer, wire = done.answer, None if done.fate is None else done.fate.wire
        headers = _headers(place, done)
        if wire is not None:
            answer.body = wire.body(answer.body)
        body = b"" if head.method == "HEAD" else answer.body
        if wire is None:
            await _respond(send, answer.status, headers, body, length=len(answer.body))
        else:
            with suppress(Disconnected):
                await respond(
                    place.stage,
                    send,
                    receive,
                    wire,
                    status=answer.status,
                    headers=headers,
                    body=body,
                    length=len(answer.body),
                    what=f"{head.method} {place.path}",
                )
        self._keep(place, head, done, headers)

    def _keep(self, place: Place, head: Head, done: Done, headers: list[tuple[str, str]]) -> None:
        record = Exchange(
            place.stage.recorder.next_number(), place.provider.name, done.operation, done.at, head.method, head.host,
            place.raw, head.query_string, head.headers.pairs, done.body, done.answer.status, tuple(headers),
            done.answer.body, (), done.tasks, () if done.fate is None else tuple(done.fate.rules),
            place.mount,
        )  # fmt: skip
        keep(place.stage, record, head.headers.size)

    async def _feed(self, place: Place | None, head: Head, receive: Receive, send: Send) -> None:
        if place is None or place.route is None or place.route.channel is None:
            await receive()
            await send(
                {"type": "websocket.http.response.start", "status": 404, "headers": [(b"content-type", b"text/plain")]}
            )
            await send({"type": "websocket.http.response.body", "body": b"no push channel stands here"})
            return
        await feeds.follow(place, place.route.channel, head, receive, send)


def _is_control(path: str) -> bool:
    return path.startswith("/_mock") and not path.startswith("/_mock/w/")


def _headers(place: Place, done: Done) -> list[tuple[str, str]]:
    return [("date", http_date(done.at)), *place.provider.usual_headers, *done.answer.headers]


def _failed(place: Place, head: Head) -> bytes:
    """Tell of a fault of ours, the last resort: it must neither kill the connection nor show its insides."""
    log.exception("an unforeseen fault while answering %s %s", head.method, place.path)
    place.stage.recorder.problem(rule="emulator-fault", path=place.path, text="see the log")
    return b'{"error":"the emulator failed; see its log"}'


async def _respond(
    send: Send, status: int, headers: list[tuple[str, str]], body: bytes, *, length: int | None = None
) -> None:
    raw = list(map(encoded, headers))
    if status not in BODILESS:
        raw.append((b"content-length", str(len(body) if length is None else length).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _nowhere(emulator: Emulator, path: str, send: Send) -> None:
    known = ", ".join(f"/{name}/" for name in emulator.offer.served)
    text = (
        f"nothing is served at {path}; the providers stand at {known}, the dashboard and the control API at /_mock/\n"
    )
    await _respond(send, 404, [("content-type", "text/plain; charset=utf-8")], text.encode())


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
