"""One HTTP call to a provider, from its bytes to its answer.

Route -> credentials -> body parsed -> request validated -> world caught up -> verb -> answer drawn and validated. What
the client did wrong is raised as `Refused` anywhere on the way, and answered in one place from errors.json.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive

from mockserver.errors import Refused
from mockserver.provider.model import NOTHING, Json, Marks, Operation, Part, Provider, Refusal, Request, Violation
from mockserver.provider.notation import Unreadable
from mockserver.provider.scope import Scope
from mockserver.provider.validation import facts_of
from mockserver.scenario import CallFacts, Decision, Script
from mockserver.storage.signing import SignedRequest
from mockserver.web import answering, faults
from mockserver.web.answering import Answer, Broken
from mockserver.web.bodies import parse_body, receive_body
from mockserver.web.credentials import check_origin, check_token
from mockserver.web.downloads import bytes_of, ranged
from mockserver.web.emulator import Place
from mockserver.web.handling import Handling
from mockserver.web.head import Head
from mockserver.web.links import FILES, Store, StoreLinks
from mockserver.web.routing import Route
from mockserver.web.wire import come
from mockserver.world.files import File
from mockserver.world.service import Outcome, Service
from mockserver.world.task import Task
from mockserver.world.things import Thing

log = logging.getLogger("mockserver")

SHORT = 1024
"""Bytes of a body up to which it is remembered what a poll means."""
UNDERSTOOD = 16
"""So many polls that come with the same head are remembered."""


@dataclass(slots=True)
class Done:
    """A call that was answered, and what the record wants to know of it."""

    answer: Answer
    operation: str | None
    at: float
    body: bytes = b""
    tasks: tuple[str, ...] = ()
    file: File | None = None
    fate: Decision | None = None
    """What scenarios want of it; None where none is in force."""


def at_once(place: Place, head: Head, body: bytes) -> Done | None:
    """Answer one call whose body is here already; None where it may have to wait for something, or be cut short."""
    handling = None if place.route is None else handled(place.route, head.method)
    if handling is None or not handling.at_once or len(body) > handling.limit or head.method == "HEAD":
        return None
    scripts = place.stage.scripts.whole(head.headers)
    if scripts is None:
        return None
    fate = Decision() if scripts else None
    answering = _answer(place, handling, head, body, None, None, scripts, fate)
    try:
        answering.send(None)
    except StopIteration as ended:
        done: Done = ended.value
        return done if fate is None else _bent(place, done, fate)
    raise AssertionError(f"{handling.operation.id} waits, though its handling says that it never does")


async def answer(place: Place, head: Head, receive: Receive) -> Done:
    """Answer one call. It never raises for what a client or a folder did wrong.

    Raises:
        UserError: a header asks for a scenario that there is not.
        Disconnected: the client did not wait for it.
    """
    scripts = place.stage.scripts.of_request(head.headers)
    handling = None if place.route is None else handled(place.route, head.method)
    body, too_large = b"", None
    if handling is not None:
        try:
            body = await receive_body(receive, head.headers, limit=handling.limit)
        except Refused as refused:
            too_large = refused
    if not scripts:
        return await _answer(place, handling, head, body, too_large, receive)
    fate = Decision()
    return _bent(place, await _answer(place, handling, head, body, too_large, receive, scripts, fate), fate)


def _bent(place: Place, done: Done, fate: Decision) -> Done:
    """Change an answer as scenarios want it."""
    done.fate = fate
    if fate.patches:
        provider = place.provider
        operation = next((one for one in provider.operations if one.id == done.operation), None)
        if operation is not None:
            faults.patch(done.answer, fate.patches, provider, operation)
    return done


async def _answer(
    place: Place,
    handling: Handling | None,
    head: Head,
    body: bytes,
    too_large: Refused | None,
    receive: Receive | None,
    scripts: Sequence[Script] = (),
    fate: Decision | None = None,
) -> Done:
    """Answer a call as scenarios want it; *receive* is not needed where the handling says that it never waits."""
    stage, provider = place.stage, place.provider
    now = stage.now()
    service = stage.service(place.served)
    call = service.call("unknown" if handling is None else handling.operation.id)
    if place.in_store and provider.machine.call_id is not None:
        call.id = provider.machine.call_id(service.scope(None, call)) or ""
    if head.query_string:
        call.query = dict(reversed(head.query))
    account: Thing | None = None
    request: Request | None = None
    marks: Marks | None = None
    try:
        if "origin" in provider.wire:
            check_origin(provider.wire, head.headers)
            if head.method == "OPTIONS":
                return Done(Answer(200, [], b""), None, now)
        if handling is None:
            facts_of_route = {"request.path": place.path, "request.method": head.method}
            raise Refused("route-unknown" if place.route is None else "method-unknown", facts_of_route)
        operation, parameters = handling.operation, place.parameters
        facts: CallFacts | None = None
        if fate is not None:
            if too_large is not None:
                raise too_large
            facts = faults.facts_of_call(
                family=place.served.provider.name,
                provider=provider,
                operation=operation,
                request=_lenient(operation, parameters, head, body),
                at=now,
            )
            for script in scripts:
                script.for_call(facts, fate)
            if fate.wire is not None and fate.wire.refuse:
                return Done(Answer(503, [], b""), operation.id, now, body)
            if fate.answer is not None:
                drawn = faults.replied(fate.answer, provider, service, call, lambda scope: dress(scope, place, head))
                return Done(drawn, operation.id, now, body)
        account = _account(place, handling, head, parameters)
        if too_large is not None:
            raise too_large
        if handling.procedure is not None and not place.in_store:
            handling.procedure.check_digest(head.headers, body)
        known = head.understood.get(body) if handling.polled else None
        if known is None:
            request = _request(operation, parameters, head, body)
            violations = operation.violations(request)
            if violations:
                raise _judged(place, operation, violations)
            marks = operation.read(request)
            document = request.body if isinstance(request.body, dict | list) else None
            if handling.polled and "token" not in marks:
                _remember(head, body, document, marks)
        else:
            document, marks = known
        if "token" in marks:
            for token in marks.pop("token"):
                check_token(token, service.setup.secrets["token"], now=now)
        if handling.images_only:
            _check_files(marks)
        if "onto.name" in marks:
            await _compose(place, service, marks)
            stage.now()
        call.size = len(body)
        if facts is None:
            outcome = service.perform(operation.verb, marks, call, account, document=document)
        else:
            act = functools.partial(service.perform, operation.verb, marks, call, account, document=document)
            outcome = stage.scripts.perform(scripts, facts, act)
            if fate is not None and fate.stale:
                faults.backdate(outcome, fate.stale)
        if handling.strangers:
            _check_strangers(handling, outcome)
        if outcome.changed:
            _measure(operation, outcome)
            stage.pacer.stir()
        scope = service.scope(outcome, call)
        dress(scope, place, head)
        held = None
        if handling.hold is not None:
            assert receive is not None
            held = await _held(place, handling, outcome, scope, receive)
        done = held or await _shown(place, handling, outcome, scope, head)
        done.body = body
        return done
    except Refused as refused:
        problem = refused
        if handling is not None and request is not None and marks is None:
            given = _given(handling.operation, request)
            if given is not None:
                service.skip_number(handling.operation.verb, given)
    except Unreadable as unreadable:
        problem = Refused("request-invalid", {"violation.text": str(unreadable), "violation.keyword": "format"})
    except Broken as broken:
        named = None if handling is None else handling.operation.id
        return Done(answering.our_fault(broken, stage.recorder.problem), named, now, body)
    scope = service.refusal_scope(problem, call, account)
    dress(scope, place, head)
    return _refused(place, provider, None if handling is None else handling.operation, problem, scope, body)


def _remember(head: Head, body: bytes, document: Json, marks: Marks) -> None:
    """Note what a poll means: clients poll with the same bytes, and to read and judge them is a fifth of an answer."""
    if len(body) > SHORT:
        return
    if len(head.understood) >= UNDERSTOOD:
        head.understood.clear()
    head.understood[body] = document, marks


def dress(scope: Scope, place: Place, head: Head) -> None:
    """Give a scope what only the web knows: how links reach the caller, and who is asked."""
    store = place.stage.store(place.served)
    if place.in_store and place.served.store is not None:
        scope.server = {**place.served.store.server, "bucket": place.served.bucket}
    if store is not None:
        scope.links = StoreLinks(store, functools.partial(_address, store, place, head))


def _address(store: Store, place: Place, head: Head) -> str:
    """Return the address by which a caller reaches the store."""
    if place.by_name:
        return f"{head.base.partition('://')[0]}://{store.host}/"
    public = place.stage.emulator.settings.public_url
    return f"{(public or head.base).rstrip('/')}{place.prefix}{FILES}/{store.bucket}/"


def handled(route: Route, method: str) -> Handling | None:
    """Return what a method does at a route; None where it does nothing there."""
    found = route.operations.get(method)
    return route.operations.get("GET") if found is None and method == "HEAD" else found


def _account(place: Place, handling: Handling, head: Head, parameters: Mapping[str, str]) -> Thing | None:
    """Return whose call it is; raise `Refused` for credentials that will not do."""
    if place.in_store:
        store = place.stage.store(place.served)
        assert store is not None
        key = parameters.get("key", "")
        signed = SignedRequest(head.method, place.path, tuple(head.query), head.headers, b"", store.bucket, key)
        store.check(signed, now=place.stage.world.now)
        return None
    procedure = handling.procedure
    if procedure is None:
        given = handling.key(head)
        return None if given is None else place.stage.account(place.served, given)
    signed = SignedRequest(head.method, place.path, tuple(head.query), head.headers, b"", "", "")
    now = place.stage.world.now if place.stage.virtual else time.time()
    id = procedure.key(signed, place.stage.offer.signing_secrets, place.stage.nonces, now=now)
    return None if id is None else place.stage.account(place.served, id, header=procedure.header)


def _request(operation: Operation, parameters: Mapping[str, str], head: Head, body: bytes) -> Request:
    try:
        parsed = parse_body(operation, body, head.headers) if operation.media else NOTHING
    except Refused as refused:
        if refused.condition not in operation.verb.options.get("lenient", ()):
            raise
        parsed = NOTHING
    return Request(head.method, parameters, head.query, head.headers, parsed)


def _lenient(operation: Operation, parameters: Mapping[str, str], head: Head, body: bytes) -> Request:
    """Return a request as rules look at it before it is judged: without a body where that cannot be read."""
    try:
        return _request(operation, parameters, head, body)
    except (Refused, Unreadable):
        return Request(head.method, parameters, head.query, head.headers, NOTHING)


def _judged(place: Place, operation: Operation, violations: Sequence[Violation]) -> Refused:
    """Return the refusal of a request that breaks its schema, and note every violation of it at once."""
    for violation in violations:
        place.stage.recorder.problem(
            rule=violation.rule,
            operation=operation.id,
            at=violation.at,
            expected=violation.expected,
            got=_kept(violation.got),
            text=violation.text,
        )
    in_place = sorted(violations, key=lambda one: [(len(part), part) for part in one.at.split("/")])
    told = [
        facts_of(one, len(violations), [other.got for other in in_place if other.rule == one.rule])
        for one in violations
    ]
    everything = list(dict.fromkeys(_told(place.served.provider, facts) for facts in told))
    facts = _first_told(operation, told) | {"problems": violations, "violation.all": everything}
    return Refused("request-invalid", facts)


def _first_told(operation: Operation, told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the violation that a refusal tells of: the first of those that the first entry to fit any of them fits."""
    scope = Scope(at=0)
    for entry in operation.refusals.get("request-invalid", ()):
        for facts in told if entry.test is not None else ():
            scope.facts = facts
            if entry.test is not None and entry.test(scope):
                return facts
        if entry.test is None:
            break
    return told[0]


def _told(provider: Provider, facts: Mapping[str, Any]) -> str:
    """Return a violation in the words that errors.json has under `problems` for its keyword, else in our own."""
    scope = Scope(at=0)
    scope.facts = facts
    for entry in provider.problems.get(facts["violation.keyword"], ()):
        if entry.message is not None and (entry.test is None or entry.test(scope)):
            return entry.message(scope) or facts["violation.text"]
    return str(facts["violation.text"])


def _check_files(marks: Marks) -> None:
    from mockserver.storage import images

    for part in marks.get("file.bytes", ()):
        if isinstance(part, Part) and not images.is_image(part.content):
            raise Refused("not-an-image", {"file.name": part.filename})


def _given(operation: Operation, request: Request) -> Marks | None:
    """Return what a refused request gives; None where it cannot be read."""
    try:
        return operation.read(request)
    except (Refused, Unreadable):
        return None


async def _compose(place: Place, service: Service, marks: Marks) -> None:
    """Lay an upload over the file it is for, which gives the picture, and the upload what is transparent in it.

    Where there is no such file, nothing is written, and the client is not told. Source: ComfyUI's `/upload/mask`.
    """
    name, folder, root = (next(iter(marks.get(f"onto.{part}", ())), "") for part in ("name", "folder", "root"))
    file = service.files.find(place=(root or "output", folder.strip("/"), name))
    uploads = [part for part in marks.get("file.bytes", ()) if isinstance(part, Part)]
    if file is None:
        marks["file.unwritten"] = [True]
        return
    original, _ = await bytes_of(place.stage, file, None)
    from mockserver.storage import images

    try:
        marks["file.bytes"] = [
            Part(images.mask(original, upload.content), upload.filename, "image/png") for upload in uploads
        ]
    except (OSError, ValueError):
        raise Refused("not-an-image", {"file.name": name}) from None


def _measure(operation: Operation, outcome: Outcome) -> None:
    """Note how large an uploaded picture is: what is made of it takes its size."""
    if operation.verb.name != "upload":
        return
    from mockserver.storage import images

    for file in outcome.files:
        size = images.size_of(file.content) if file.content is not None else None
        if size is not None:
            file.width, file.height = size


def _check_strangers(handling: Handling, outcome: Outcome) -> None:
    """Refuse a list that names a stranger, where an entry of errors.json says so for this very operation."""
    for task in outcome.tasks:
        if task.state in handling.strangers:
            raise Refused(f"task-{task.state}", {"task.id": task.id, "task.state": task.state})


async def _held(place: Place, handling: Handling, outcome: Outcome, scope: Scope, receive: Receive) -> Done | None:
    """Hold an answer as the verb's option `wait` says, and return it as of the moment it was due; None for at once.

    Raises:
        Refused: `too-slow`.
        Disconnected: the client did not wait for it.
    """
    wait, operation, task = handling.hold, handling.operation, outcome.task
    if wait is None or not isinstance(task, Task) or (wait.when is not None and not wait.when(scope)):
        return None
    service = place.stage.service(place.served)
    due: asyncio.Future[Done] = asyncio.get_running_loop().create_future()

    def end(reached: bool) -> None:
        # Drawn while the world moves: an hour's jump must not show in an answer that was due at its first minute.
        if due.done():
            return
        scope.at = service.now
        try:
            if not reached:
                raise Refused("too-slow")
            due.set_result(
                Done(answering.success(operation.responses, scope), operation.id, scope.at, tasks=(task.id,))
            )
        except (Refused, Broken) as problem:
            due.set_exception(problem)

    limit = None if wait.limit is None else scope.delays[wait.limit]
    stop = service.hold(task, wait.states, limit=limit, then=end)
    until = None if limit is None else service.now + limit
    try:
        await come(place.stage, due, what=f"{operation.id} for {task.id}", until=until, receive=receive)
        if due.cancelled():  # the world began again, and knows nothing of this call
            raise Refused("too-slow")
        return due.result()
    finally:
        stop()


async def _shown(place: Place, handling: Handling, outcome: Outcome, scope: Scope, head: Head) -> Done:
    seen = outcome.tasks or (() if outcome.task is None else (outcome.task,))
    tasks, operation = tuple([task.id for task in seen]), handling.operation
    shown = next((one for one in handling.files if one.when is None or one.when(scope)), None)
    if shown is None:
        drawn = answering.success(operation.responses, scope)
        return Done(drawn, operation.id, scope.at, tasks=tasks)
    file = outcome.file
    assert file is not None, "a download selects one file"
    content, media = await bytes_of(place.stage, file, outcome.link.process)
    preview, channel = outcome.shown
    if preview is not None or channel in ("rgb", "a"):
        from mockserver.storage import images
    if shown.media is not None and "*" not in shown.media:
        media = shown.media
    if preview is not None:
        content, media = images.preview(content, preview)
    elif channel in ("rgb", "a"):
        content, media = images.channel(content, channel)
    drawn = Answer(shown.status, [("content-type", media)], content)
    drawn_headers = answering.draw(shown, shown.status, scope)
    if drawn_headers is not None:
        drawn.headers.extend(drawn_headers.headers)
    if preview is not None or channel in ("rgb", "a"):
        return Done(drawn, operation.id, scope.at, tasks=tasks, file=file)
    return Done(ranged(drawn, head.headers, file), operation.id, scope.at, tasks=tasks, file=file)


def _refused(
    place: Place, provider: Provider, operation: Operation | None, refused: Refused, scope: Scope, body: bytes
) -> Done:
    named = None if operation is None else operation.id
    table: Mapping[str, tuple[Refusal, ...]] = provider.refusals if operation is None else operation.refusals
    try:
        drawn, entry = answering.refusal(provider, table, refused, scope)
    except Broken as broken:
        drawn = answering.our_fault(broken, place.stage.recorder.problem)
    else:
        if refused.condition in ("route-unknown", "method-unknown"):
            place.stage.recorder.problem(
                rule=refused.condition, path=place.path, near=_nearest(provider, place.path), text=entry.name
            )
        elif refused.condition not in ("request-invalid",):
            place.stage.recorder.problem(
                rule=f"refused-{refused.condition}",
                operation=named,
                error=entry.name,
                text=str(refused.facts.get("violation.text", refused.condition)),
            )
    return Done(drawn, named, scope.at, body)


def _nearest(provider: Provider, path: str) -> str | None:
    import difflib

    known = [operation.path for operation in provider.operations]
    near = difflib.get_close_matches(path, known, 1, 0.4)
    return near[0] if near else None


def _kept(value: Any) -> Any:
    if isinstance(value, Part):
        return f"{len(value.content)} bytes"
    shown = repr(value)
    return value if len(shown) <= 500 else shown[:500] + "..."
