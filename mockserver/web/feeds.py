"""One WebSocket connection to a provider's push channel.

Connect -> credentials -> follow: each event that a message's `x-on` names is drawn at the event's own moment, while
the world runs it, and sent in order; then the end, as the channel's options say. Nobody is waited for here except the
client: what is due when is the pacer's business.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import orjson
from starlette.types import Receive, Send

from mockserver.errors import Refused, UserError
from mockserver.exchange import Exchange, Frame
from mockserver.provider.model import NOTHING, Channel, Message, Request
from mockserver.provider.notation import Unreadable
from mockserver.provider.scope import Scope
from mockserver.provider.validation import facts_of
from mockserver.scenario.feed import DROPPED, FeedPlan, Sent
from mockserver.scenario.model import PatchAction
from mockserver.web import answering
from mockserver.web.calls import dress
from mockserver.web.credentials import check_origin, check_token
from mockserver.web.downloads import Preview
from mockserver.web.emulator import Place, keep
from mockserver.web.faults import gateway, patched_message, request_json
from mockserver.web.head import Head
from mockserver.web.recorder import Frames
from mockserver.web.wire import drop, transport_of
from mockserver.world.events import Event
from mockserver.world.service import Service

log = logging.getLogger("mockserver")

MAX_UNSENT = 16 * 1024 * 1024
"""Bytes that may wait for a slow client; beyond, the connection is closed."""
TOO_SLOW = 1013
NUMBERS = itertools.count(1)
"""Of open connections."""
GOING_AWAY = 1001


async def follow(place: Place, channel: Channel, head: Head, receive: Receive, send: Send) -> None:
    """Serve one connection until either side closes it."""
    await receive()  # websocket.connect
    at = place.stage.now()
    service = place.stage.service(place.served)
    provider = place.served.provider
    call = service.call(channel.name)
    try:
        check_origin(provider.wire, head.headers)
        request = Request("GET", {}, head.query, head.headers, NOTHING)
        violations = channel.violations(request)
        if violations:
            raise Refused(
                "credentials-missing" if "credentials-missing" in channel.refusals else "request-invalid",
                facts_of(violations[0]),
            )
        marks = channel.read(request)
        for token in marks.pop("token", ()):
            check_token(token, service.setup.secrets["token"], now=at)
        outcome = service.perform(channel.verb, marks, call, None)
        plan, patches = place.stage.scripts.of_feed(
            head.headers,
            [task.id for task in outcome.tasks],
            family=provider.name,
            channel=channel.name,
            request=lambda: request_json(request),
        )
    except UserError as error:
        await _turn_away(send, 400, orjson.dumps({"error": str(error)}))
        return
    except (Refused, Unreadable) as problem:
        refused = (
            problem if isinstance(problem, Refused) else Refused("request-invalid", {"violation.text": str(problem)})
        )
        scope = service.refusal_scope(refused, call)
        dress(scope, place, head)
        await _refuse(place, channel, head, refused, scope, send)
        return
    if plan is not None and plan.refuse is not None:
        page = gateway(plan.refuse)
        await _turn_away(send, plan.refuse, page.body, page.headers)
        _keep_refusal(place, channel, head, page, at, plan.rules)
        return
    connection = Connection(place, channel, head, service, outcome, send, plan, patches)
    feeds, number = place.stage.feeds, next(NUMBERS)
    feeds[number] = lambda: connection.so_far(at)
    try:
        await connection.run(receive)
    finally:
        del feeds[number]
    keep(place.stage, connection.so_far(at)._replace(number=place.stage.recorder.next_number()))


class Connection:
    """What one client follows, what waits to be sent to it, and when it ends."""

    def __init__(
        self,
        place: Place,
        channel: Channel,
        head: Head,
        service: Service,
        outcome: Any,
        send: Send,
        plan: FeedPlan | None = None,
        patches: Sequence[PatchAction] = (),
    ) -> None:
        self.place, self.channel, self.head, self.service = place, channel, head, service
        self.plan, self.patches = plan, patches
        self._latest = 0.0
        self._later = 0
        """Messages and closings whose time is still to come."""
        self._sending = False
        self.outcome = outcome
        self.frames = Frames()
        self.tasks = [task.id for task in outcome.tasks]
        self.said: Any = None
        self.silent = False
        """Another connection has taken its place, or the one it had taken the place of has gone."""
        self._send = send
        self._unsent: deque[str | bytes | int] = deque()
        self._unsent_bytes = 0
        self._filled = asyncio.Event()
        self._call = service.call(channel.name)
        self._id = outcome.client or self._call.id

    def so_far(self, at: float) -> Exchange:
        """Return what crossed it since *at*, when it began; its number comes when it is over."""
        head, rules = self.head, () if self.plan is None else self.plan.rules
        return Exchange(
            0, self.place.served.provider.name, self.channel.name, at, "GET", head.host,
            self.place.path, head.query_string, tuple(head.pairs), b"", 101, (), b"",
            frames=tuple(self.frames), tasks=tuple(self.tasks), rules=rules, mount=self.place.mount,
        )  # fmt: skip

    async def run(self, receive: Receive) -> None:
        """Follow until the end."""
        await self._send({"type": "websocket.accept"})
        world = self.place.stage.world
        place = self._register()
        watch = self.service.watch(
            self._hear, task=frozenset(self.tasks), client=self.outcome.client, all=self.outcome.follows_all
        )
        listening = asyncio.create_task(self._listen(receive))
        sending = asyncio.create_task(self._write())
        try:
            with self.place.stage.pacer.waiting(self._wants):
                task = self.outcome.task
                for sent in () if self.plan is None else self.plan.opened():
                    self._put_later(sent)
                self._show("connected", Event("connected", world.now, task or self.outcome.resumed))
                if task is not None and task.finished is not None:
                    self._ends()
                await asyncio.wait({listening, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            if place is not None and (known := self.place.stage.clients.pop(place, None)) is not None:
                # As on the real server: whoever goes takes the registration along, even if it is another's by now.
                known.silent = True
            for one in (listening, sending):
                one.cancel()
            await asyncio.gather(listening, sending, return_exceptions=True)

    def _register(self) -> tuple[str, str] | None:
        """Take the place of the client's connection, where the channel lets each have but one that is told."""
        client = self.outcome.client
        if self.channel.verb.options.get("one-per") != "task.client" or client is None:
            return None
        place = (f"{self.place.served.provider.name}/{self.channel.name}", client)
        before = self.place.stage.clients.get(place)
        if before is not None:
            before.silent = True
        self.place.stage.clients[place] = self
        return place

    def _wants(self) -> bool:
        """Whether time must pass for this client: it has all there is, and more is to come."""
        if self._unsent or self._sending:
            return False
        if self._later > 0:
            return True
        if self.outcome.tasks:
            return any(task.finished is None for task in self.outcome.tasks)
        return any(task.finished is None for task in self.service.runs.tasks)

    def _hear(self, event: Event) -> None:
        """Draw what an event shows; called by the world, at the event's own moment."""
        if self.silent:
            return
        self._show(event.name, event)
        task = event.task
        if task is not None and task.finished is not None and event.name == f"task.{task.state}":
            self._ends()

    def _show(self, name: str, event: Event, messages: tuple[Message, ...] | None = None) -> None:
        family = name.partition(".")[0] + ".*"
        scope: Scope | None = None
        for message in self.channel.messages if messages is None else messages:
            if name not in message.on and family not in message.on:
                continue
            if scope is None:
                scope = self._scope(event)
            if message.when is not None and not message.when(scope):
                continue
            drawn = message.draw(scope)
            if drawn is NOTHING:
                continue
            violation = message.broken(drawn)
            if violation is not None:
                problem = answering.Broken("asyncapi.json", message.name, f"{violation.at}: {violation.text}")
                answering.our_fault(problem, self.place.stage.recorder.problem)
                continue
            if self.patches and not message.binary:
                drawn = patched_message(drawn, self.patches, self.place.served.provider, self.channel, message)
            encoded = message.encode(drawn)
            frame = encoded if message.binary else encoded.decode()
            if self.plan is None:
                self._put(frame)
                continue
            task = event.task or self.outcome.task
            end = task is not None and task.finished is not None and name in ("connected", f"task.{task.state}")
            for sent in self.plan.passed(frame, end=end):
                self._put_later(sent)

    def _scope(self, event: Event) -> Scope:
        scope = self.service.scope(self.outcome, self._call)
        dress(scope, self.place, self.head)
        scope.at, scope.event = event.at, event
        scope.task = event.task or self.outcome.task
        scope.node = event.node
        scope.connection = SimpleNamespace(id=self._id, said=self.said, document=self.service.connection(self._id))
        if event.task is not None and event.node is not None and event.name in ("node.step", "node.preview"):
            scope.preview = Preview(event.task, event.node)
        if event.name == "queue.changed":
            scope.queue = event.queue
        return scope

    def _ends(self) -> None:
        """Close as the channel's options say, after the end of all that is followed."""
        close = self.channel.verb.options.get("close")
        if close is None or any(task.finished is None for task in self.outcome.tasks) or not self.outcome.tasks:
            return
        if self.plan is not None:
            if self.plan.stays_open:
                return
            for sent in self.plan.closed():
                self._put_later(sent)
        delay = close.get("delay", 0)
        seconds = delay if isinstance(delay, int | float) else self.service.runs.delay(delay)
        world = self.place.stage.world
        at = max(world.now + seconds, self._latest)
        self._put_at(at, int(close.get("code", 1000)))

    def _put_later(self, sent: Sent) -> None:
        """Send what a scenario made of a message, in order, when its time has come."""
        world = self.place.stage.world
        self._latest = max(world.now + sent.later, self._latest)
        if self._latest <= world.now:
            self._put(sent.data)
            return
        self._put_at(self._latest, sent.data)

    def _put_at(self, at: float, frame: str | bytes | int) -> None:
        def put(_: object) -> None:
            self._later -= 1
            self._put(frame)

        self._later += 1
        self.place.stage.world.kernel.schedule(at, put)
        self.place.stage.pacer.stir()

    def _put(self, frame: str | bytes | int) -> None:
        self._unsent_bytes += len(frame) if isinstance(frame, str | bytes) else 0
        if self._unsent_bytes > MAX_UNSENT:
            self._unsent.clear()
            self._unsent_bytes = 0
            frame = TOO_SLOW
        self._unsent.append(frame)
        self._filled.set()

    async def _write(self) -> None:
        world = self.place.stage.world
        while True:
            while self._unsent:
                frame = self._unsent.popleft()
                if frame == DROPPED:
                    connection = transport_of(self._send)
                    if connection is not None:
                        drop(connection)
                        return
                    frame = GOING_AWAY
                if isinstance(frame, int):
                    await self._send({"type": "websocket.close", "code": frame})
                    return
                self._unsent_bytes -= len(frame)
                self.frames.add(Frame(world.now, True, frame))
                self._sending = True
                await self._send({"type": "websocket.send", "text" if isinstance(frame, str) else "bytes": frame})
                self._sending = False
                if self.place.stage.pacer.leaping:
                    self.place.stage.pacer.stir()
            self._filled.clear()
            await self._filled.wait()

    async def _listen(self, receive: Receive) -> None:
        first = True
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            data: str | bytes = message.get("text") or message.get("bytes") or ""
            self.frames.add(Frame(self.place.stage.world.now, False, data))
            if self._heard(data, first):
                first = False

    def _heard(self, data: str | bytes, first: bool) -> bool:
        """Take a message; return whether it could be read, as only such a one counts as the first."""
        remember = self.channel.remember
        if remember is None or (remember.options.get("only") == "first" and not first):
            return True
        try:
            said = orjson.loads(data)
        except ValueError:
            return False
        if any(fits(said) for fits in self.channel.heard):
            self.said = said
            self._show("said", Event("said", self.place.stage.now(), self.outcome.task), self.channel.replies)
        return isinstance(said, dict)


async def _turn_away(send: Send, status: int, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> None:
    """Answer a handshake with a status instead of the connection."""
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "websocket.http.response.start", "status": status, "headers": raw})
    await send({"type": "websocket.http.response.body", "body": body})


def _keep_refusal(
    place: Place, channel: Channel, head: Head, answer: answering.Answer, at: float, rules: tuple[str, ...] = ()
) -> None:
    record = Exchange(
        place.stage.recorder.next_number(), place.served.name, channel.name, at, "GET", head.host,
        place.path, head.query_string, head.pairs, b"", answer.status, tuple(answer.headers), answer.body, rules=rules,
        mount=place.mount,
    )  # fmt: skip
    keep(place.stage, record)


async def _refuse(place: Place, channel: Channel, head: Head, refused: Refused, scope: Scope, send: Send) -> None:
    provider = place.served.provider
    try:
        answer, entry = answering.refusal(provider, channel.refusals, refused, scope)
    except answering.Broken as broken:
        answer, entry = answering.our_fault(broken, place.stage.recorder.problem), None
    place.stage.recorder.problem(rule=f"refused-{refused.condition}", operation=channel.name, text=refused.condition)
    if entry is not None and entry.close is not None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": entry.close})
    else:
        await _turn_away(send, answer.status, answer.body, answer.headers)
    _keep_refusal(place, channel, head, answer, scope.at)
