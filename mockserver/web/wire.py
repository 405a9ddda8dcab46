"""Answers that come late, in pieces, cut off or not at all.

Cutting needs the connection itself, which uvicorn keeps behind `send`; where there is none, as in a test client that
calls the application directly, the same comes as a `ConnectionResetError`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Send

from mockserver.scenario.wire import Wire
from mockserver.web.bodies import Disconnected

if TYPE_CHECKING:
    from mockserver.web.emulator import Stage

log = logging.getLogger("mockserver")

PATIENCE = 1.0
"""Real seconds after which the log says that an answer is held, and until when."""
GOODBYE = 5.0
"""Real seconds that bytes under way get before a connection is closed."""

BODILESS = (204, 304)
"""Answers that never have a body, nor say how long it is."""
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


async def come(stage: Stage, due: asyncio.Future[Any], *, what: str, until: float | None, receive: Receive) -> None:
    """Wait for *due*, which the world will settle; meanwhile it is listed as held, and after a while told in the log.

    Args:
        until: the moment at which it is settled at the latest, if that is known.

    Raises:
        Disconnected: the client did not wait for it.
    """
    gone: asyncio.Future[Any] = asyncio.ensure_future(receive())
    waiting: set[asyncio.Future[Any]] = {due, gone}
    stage.held[due] = {"what": what, "since": stage.world.now, "until": until}
    try:
        with stage.pacer.waiting(lambda: not due.done()):
            done, _ = await asyncio.wait(waiting, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                moment = "the world moves" if until is None else _told(until)
                log.warning("%s is held until %s at the latest on the world's clock (GET /_mock/held)", what, moment)
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not due.done():
            raise Disconnected
    finally:
        stage.held.pop(due, None)
        for one in (due, gone):
            one.cancel()


def _told(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat()
    except (OverflowError, ValueError, OSError):  # beyond what calendars know
        return f"{moment:g} s"


async def hold(stage: Stage, until: float, *, what: str, receive: Receive) -> None:
    """Wait for a moment of the world's clock, or until the world begins again.

    Raises:
        Disconnected: the client did not wait for it.
    """
    await waited_for(stage, lambda: False, limit=until - stage.world.now, what=what, receive=receive)


async def waited_for(stage: Stage, holds: Callable[[], bool], *, limit: float, what: str, receive: Receive) -> None:
    """Wait until *holds*, or so many seconds of the world's clock have passed, or the world begins again.

    Raises:
        Disconnected: the client did not wait for it.
        Exception: what *holds* raises.
    """
    due: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(_: object = None) -> None:
        if not due.done():
            due.set_result(None)

    def look() -> None:
        try:
            if holds():
                end()
        except Exception as error:  # handed to whoever waits
            if not due.done():
                due.set_exception(error)

    until = stage.world.now + limit
    event = stage.world.kernel.schedule(until, end)
    try:
        with stage.pacer.watching(look):
            await come(stage, due, what=what, until=until, receive=receive)
        if not due.cancelled():
            due.result()
    finally:
        event.cancel()


def encoded(header: tuple[str, str]) -> tuple[bytes, bytes]:
    """Return a header as it goes out: in UTF-8, as most servers write file names, and without what breaks a line."""
    name, value = header
    plain = value.isascii() and value.isprintable()
    return name.encode("latin-1"), (value if plain else _UNSENDABLE.sub("?", value)).encode("utf-8", "replace")


def whole(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    """Return an answer as it goes over the wire of HTTP/1.1, on a connection that stays open."""
    head = b"".join([_status_line(status), *map(_line, headers)])
    if status in BODILESS:
        return head + b"\r\n"
    return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)


@lru_cache(maxsize=2048)
def _line(header: tuple[str, str]) -> bytes:
    return b"%b: %b\r\n" % encoded(header)


@lru_cache
def _status_line(status: int) -> bytes:
    reason = HTTPStatus(status).phrase if status in list(HTTPStatus) else ""
    return f"HTTP/1.1 {status} {reason}\r\n".encode()


async def respond(
    stage: Stage, send: Send, receive: Receive, wire: Wire, *, status: int, headers: list[tuple[str, str]], body: bytes,
    length: int, what: str,
) -> None:  # fmt: skip
    """Send an answer as *wire* wants.

    Args:
        length: of the body, also where none is sent (HEAD).

    Raises:
        Disconnected: the client did not wait for it.
    """
    if wire.delay:
        await hold(stage, stage.world.now + wire.delay, what=what, receive=receive)
    if wire.reset or wire.empty or wire.refuse:
        await cut(send, receive, reset=wire.reset)
        return
    if wire.content_type is not None:
        headers = [pair for pair in headers if pair[0] != "content-type"] + [("content-type", wire.content_type)]
    raw = list(map(encoded, headers))
    promised = max(0, length + wire.wrong_length)
    if status not in BODILESS:
        raw.append((b"content-length", str(promised).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    sent = wire.sent(body)
    within, beyond = sent[:promised], sent[promised:]
    broken = len(body) > 0 and (len(sent) < len(body) or wire.wrong_length != 0)
    if wire.dribble is not None:
        size, every = wire.dribble
        for start in range(0, len(within) - size, size):
            await send({"type": "http.response.body", "body": within[start : start + size], "more_body": True})
            await hold(stage, stage.world.now + every, what=what, receive=receive)
        within = within[max(0, (len(within) - 1) // size * size) :]
    await send({"type": "http.response.body", "body": within, "more_body": broken})
    if broken:
        transport = transport_of(send)
        if transport is not None and beyond:
            transport.write(beyond)
        await cut(send, receive)


async def cut(send: Send, receive: Receive, *, reset: bool = False) -> None:
    """End the connection: after what was sent, or with a reset."""
    transport = transport_of(send)
    if transport is None:
        raise ConnectionResetError("the scenario cuts the connection here")
    drop(transport, reset=reset)
    # The server takes an answer for unfinished unless it has seen the connection end.
    with suppress(TimeoutError):
        while (await asyncio.wait_for(receive(), GOODBYE))["type"] != "http.disconnect":
            pass


def drop(transport: Any, *, reset: bool = False) -> None:
    """Close a connection; with a reset (RST), nothing more of what was sent arrives."""
    if not reset:
        transport.close()
        return
    held = transport.get_extra_info("socket")
    if held is not None:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def transport_of(send: Send) -> Any:
    """Return the connection behind `send`, None where there is none."""
    return getattr(getattr(send, "__self__", None), "transport", None)
