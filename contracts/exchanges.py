"""One exchange, looked at by itself: which operation it is, whether both sides keep their schema, what it tells.

Equal requests and equal answers are understood once (`Asked`, `Answered`). What takes more than one exchange to see is
the business of `history` and `conduct`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from email.parser import BytesParser
from email.policy import HTTP
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from contracts import overrides
from contracts.history import said
from contracts.model import Answered, Asked, Breach, Heard, Look, Sight
from contracts.promise import PERHAPS, Documented, Profile, Promise, StateMachine, Step
from contracts.rules import Severity
from mockserver.errors import Refused
from mockserver.exchange import Exchange, Frame
from mockserver.provider.model import NOTHING, Channel, Marks, Operation, Part, Request
from mockserver.provider.notation import Unreadable

REMEMBERED = 4096
"""So many different requests, and as many answers, are remembered as understood."""
LARGEST = 16 * 1024
"""Bodies up to this many bytes are remembered."""
RECORDED_BODY = 256 * 1024
"""Our own recordings cut bodies to this many bytes."""
ANY_TASK = b"\0"
EXCERPT = 240
"""Bytes of each body that a finding shows."""
NO_BODY = (204, 304)
SHORTEST_KEY = 8
"""Shorter keys, and `***`, stand in an address by chance."""
CONTROL = "/_mock"
"""Below this path stands the emulator's control API, which is no provider's."""
WORLD = re.compile(r"/_mock/w/[^/]+(?=/)")
"""What stands before the addresses of an emulator's world."""
FILES = "/_files/"
"""Below a provider's address at an emulator: its store, by bucket and key."""
KEY_NAMES = re.compile(r"(api[-_]?key|access[-_]?token|authorization|secret[-_]?key)", re.IGNORECASE)
UNREAL = re.compile(r"[\s\"<>\\^`{|}\x00-\x1f]|[^\x00-\x7f]|%(?![0-9A-Fa-f]{2})")

NOT_ASKED = Asked("", "", "", (), 0, (), (), None, 0)


class Examiner:
    """Looks at exchanges of some providers, in any order."""

    def __init__(self, promises: Sequence[Promise], *, chosen: str | None = None, lenient: bool = False) -> None:
        """`chosen` names the provider that all traffic is of; `lenient` recordings may leave credentials out."""
        self.promises = {promise.name: promise for promise in promises}
        self.chosen, self.lenient = chosen, lenient
        self._asked: dict[Any, Asked] = {}
        self._answered: dict[Any, tuple[Answered, Any, bool]] = {}
        """Understood answers: for which tasks, and whether the same could be said of any one task."""
        self._heard: dict[Any, Answered] = {}
        self._steps: dict[tuple[str, str, str], Step] = {}

    def look(self, exchange: Exchange) -> Look:
        """Return all that one exchange says by itself."""
        method, path, status = exchange.method, exchange.path, exchange.status
        promise = self.promises.get(exchange.provider)
        if promise is None:
            promise, path = self._promise(exchange)
        breaches: tuple[Breach, ...] = ()
        sights: tuple[Sight, ...]
        feed = None
        step = self._step(promise, method, path) if promise is not None else None
        if promise is None or step is None or (step.operation is None and step.channel is None):
            breaches = self._unknown(exchange, promise, path, step)
            asked = NOT_ASKED
            answered, sights = Answered(status, status >= 400, (), (), 1), ()
        elif step.operation is not None:
            asked = self._ask(promise, step.operation, step, exchange)
            answered, sights = self._answer(promise, step.operation.id, exchange, asked)
        else:
            assert step.channel is not None
            asked = self._asked_channel(promise, step.channel, exchange)
            if status in (101, 200):
                answered, sights = Answered(status, False, (), (), 1), ()
                feed, breaches = self._feed(promise, step.channel, asked, exchange.frames)
            else:
                answered, sights = self._answer(promise, "", exchange, asked)
        return Look(
            promise.name if promise is not None else "",
            exchange.number,
            exchange.at,
            asked,
            answered,
            sights,
            method,
            exchange.path,
            exchange.query,
            (exchange.request_body[:EXCERPT], exchange.response_body[:EXCERPT]),
            breaches,
            _retry_after(exchange) if status in (429, 503) else None,
            feed,
            promise is not None and promise.store,
        )

    def _step(self, promise: Promise, method: str, path: str) -> Step | None:
        key = (promise.name, method, path)
        step = self._steps.get(key)
        if step is None:
            step = promise.step(method, path)
            if step is not None:
                _remember(self._steps, key, step)
        return step

    def _promise(self, exchange: Exchange) -> tuple[Promise | None, str]:
        """Return whose promise an exchange is to keep, and its path below that provider's address."""
        promise, path = self._addressed(exchange)
        if promise is not None and path.startswith(FILES) and (store := self._store_of(promise)) is not None:
            return store, f"/{path[len(FILES) :].partition('/')[2]}"
        return promise, path

    def _store_of(self, promise: Promise) -> Promise | None:
        kind = promise.provider.machine.kinds.get("file")
        return None if kind is None else self.promises.get(kind.options.get("store", ""))

    def _files_of(self, promise: Promise) -> str:
        kind = promise.provider.machine.kinds.get("file")
        return f"{FILES}{'' if kind is None else kind.options.get('bucket', promise.name)}/"

    def _addressed(self, exchange: Exchange) -> tuple[Promise | None, str]:
        world = WORLD.match(exchange.path)
        path = exchange.path if world is None else exchange.path[world.end() :]
        if self.chosen is not None and not self._elsewhere(exchange.host):
            chosen = self.promises[self.chosen]
            prefix = f"/{self.chosen}"
            below = path[len(prefix) :] if path.startswith(f"{prefix}/") else path
            return chosen, below
        for promise in self.promises.values():
            if promise.owns(exchange.host):
                return promise, path
        first, _, rest = path[1:].partition("/")
        if first in self.promises:
            return self.promises[first], f"/{rest}"
        if path.startswith(CONTROL) or not _is_local(exchange.host):
            return None, path
        fitting = [
            one
            for one in self.promises.values()
            if not one.store and (path.startswith(self._files_of(one)) or one.step(exchange.method, path))
        ]
        return (fitting[0] if len(fitting) == 1 else None), path

    def _elsewhere(self, host: str) -> bool:
        """Whether a host is another one's than the chosen provider's: its store's, or a stranger's."""
        chosen = self.promises[self.chosen or ""]
        if chosen.owns(host) or _is_local(host):
            return False
        return (
            bool(chosen.hosts)
            and bool(host)
            and not any(one.pattern.startswith(("localhost", "127")) for one in chosen.hosts)
        )

    def _unknown(self, exchange: Exchange, promise: Promise | None, path: str, step: Step | None) -> tuple[Breach, ...]:
        if exchange.method == "OPTIONS" and "access-control-request-method" in dict(exchange.request_headers):
            return ()  # a browser asks whether it may ask
        if promise is None:
            ours = path.startswith(CONTROL)
            what = "the control API of the emulator" if ours else f"host {exchange.host!r}"
            grave: Severity = "note" if ours or not _is_local(exchange.host) else "error"
            return (Breach("operation-known", grave, f"{what} is no provider's; name it with --provider"),)
        if step is not None:
            rule, text = "method-known", f"{exchange.method} is not among {', '.join(step.allowed)} at {path}"
            condition = "method-unknown"
        else:
            rule, text, condition = "operation-known", f"no operation stands at {path}", "route-unknown"
        entries = promise.provider.refusals.get(condition, ()) + promise.provider.refusals.get("route-unknown", ())
        documented = promise.documented("", exchange.status)
        refused = any(entry.status == exchange.status for entry in entries) and documented is not None
        if refused and documented is not None:
            refused = not self._body_breaches(promise, documented, exchange, _parsed(exchange.response_body))[0]
        refused = refused or exchange.method == "OPTIONS"  # browsers and proxies ask so on their own
        return (Breach(rule, "note" if refused else "error", text + (", and refused so" if refused else "")),)

    # the request

    def _ask(self, promise: Promise, operation: Operation, step: Step, exchange: Exchange) -> Asked:
        profile = step.profile
        if profile is None:  # signed by whoever gave the link; what is sent is anything
            return Asked(operation.id, operation.verb.name, "file", (), 0, (), (), None, 0)
        headers = dict(exchange.request_headers)
        media = headers.get("content-type", "")
        body, query = exchange.request_body, exchange.query
        bare = False
        if profile.credentials and not all(map(headers.__contains__, profile.credentials[0])):
            bare = not _given(profile, headers, query)
        leaks = _leak(profile, headers, query) if query else None
        given = tuple(map(headers.get, profile.headers)) if profile.headers else ()
        key = (operation.id, promise.name, exchange.path if step.parameters else "", query, body, media, bare, given)
        if len(body) <= LARGEST and leaks is None:
            known = self._asked.get(key)
            if known is not None:
                return known
        asked = self._understand(promise, operation, profile, step, headers, media, exchange, bare, leaks, _digest(key))
        if len(body) <= LARGEST and leaks is None:
            _remember(self._asked, key, asked)
        return asked

    def _understand(
        self,
        promise: Promise,
        operation: Operation,
        profile: Profile,
        step: Step,
        headers: dict[str, str],
        media: str,
        exchange: Exchange,
        bare: bool,
        leaks: str | None,
        key: int,
    ) -> Asked:
        wrong: list[Breach] = []
        conduct: list[Breach] = []
        body = _body_of(profile, media, exchange.request_body)
        pairs = parse_qsl(exchange.query, keep_blank_values=True)
        assertions = 2
        if bare:
            grave: Severity = "note" if self.lenient else "error"
            names = " or ".join("+".join(one) for one in operation.security)
            wrong.append(Breach("credentials-given", grave, f"{names} is missing"))
        if leaks is not None:
            conduct.append(Breach("key-in-url", "error", f"{leaks} stands in the query", f"/query/{leaks}"))
        cut = len(exchange.request_body) >= RECORDED_BODY
        if isinstance(body, _Broken):
            if not cut:
                wrong.append(Breach("request-schema-json", "error", f"the body is not {body.what}", "/body"))
            body = NOTHING
        elif body is NOTHING and operation.body_required:
            wrong.append(Breach("request-schema-required", "error", "a body is missing", "/body"))
        kind = media.partition(";")[0].strip().lower()
        if operation.media and exchange.request_body and "*/*" not in operation.media and kind not in operation.media:
            text = f"{kind or 'no media type'} is not among {', '.join(operation.media)}"
            wrong.append(Breach("request-media", "error", text))
        request = Request(exchange.method, step.parameters, pairs, headers, body)
        if not cut:
            for violation in operation.violations(request):
                wrong.append(Breach(violation.rule, "error", violation.text, violation.at))
            assertions += 1
        marks = _marks(operation, request)
        if profile.strays is not None and isinstance(body, dict) and kind != "multipart/form-data":
            strays: list[str] = []
            profile.strays(body, "/body", strays)
            for at in strays:
                text = f"{at.rpartition('/')[2]} is not documented"
                conduct.append(Breach("field-undocumented", "warning", text, at))
            assertions += 1
        if pairs:
            known = profile.query
            for name, _ in pairs:
                if name not in known and not KEY_NAMES.fullmatch(name):
                    conduct.append(
                        Breach("field-undocumented", "warning", f"{name} is not documented", f"/query/{name}")
                    )
        if "task.overrides" in marks:
            workflow = next(iter(marks.get("workflow.id", ())), None)
            conduct.extend(overrides.breaches(marks["task.overrides"][0], workflow, whole=profile.classes))
            assertions += 1
        lifetime: Any = next(iter(marks.get("link.lifetime", ())), None)
        return Asked(
            operation=operation.id,
            verb=operation.verb.name,
            of=operation.verb.of,
            tasks=tuple(str(one) for one in marks.get("task.id", ())),
            key=key,
            wrong=tuple(wrong),
            conduct=tuple(conduct),
            lifetime=float(lifetime) if isinstance(lifetime, int | float) else None,
            assertions=assertions,
            again=operation.verb.options.get("again") == "replace",
        )

    def _asked_channel(self, promise: Promise, channel: Channel, exchange: Exchange) -> Asked:
        pairs = parse_qsl(exchange.query, keep_blank_values=True)
        request = Request(exchange.method, {}, pairs, dict(exchange.request_headers), NOTHING)
        wrong = tuple(Breach(one.rule, "error", one.text, one.at) for one in channel.violations(request))
        marks = _marks(channel, request)
        tasks = tuple(str(one) for one in marks.get("task.id", ()))
        return Asked(
            channel.name, channel.verb.name, "task", tasks, _digest((channel.name, exchange.query)), wrong, (), None, 1
        )

    # the answer

    def _answer(
        self, promise: Promise, operation: str, exchange: Exchange, asked: Asked
    ) -> tuple[Answered, tuple[Sight, ...]]:
        """Return an answer, understood, and what it says of which task."""
        media = ""
        for name, value in exchange.response_headers:
            if name == "content-type":
                media = value
        body, tasks, status = exchange.response_body, asked.tasks, exchange.status
        documented = promise.documented(operation, status)
        if len(body) > LARGEST:
            answered = self._weigh(promise, documented, exchange, asked, media)
            return answered, answered.sights
        # Answers about one task each that differ in its id alone are the same answer.
        count = len(tasks)
        sole = tasks[0] if count == 1 else ""
        unnamed = body.replace(sole.encode(), ANY_TASK) if sole else body
        shown: Any = count
        if documented is not None and documented.headers:
            headers = dict(exchange.response_headers)
            shown = (count, *(headers.get(name) for name, _ in documented.headers))
        key = (operation, promise.name, status, media, unnamed, exchange.method, shown)
        known = self._answered.get(key)
        if known is not None:
            answered, of, of_any = known
            if of_any:
                return answered, (Sight(sole, answered.sights[0].said),)
            if of == (sole or tasks):
                return answered, answered.sights
        answered = self._weigh(promise, documented, exchange, asked, media)
        _remember(self._answered, key, (answered, sole or tasks, answered.is_of(sole)))
        return answered, answered.sights

    def _weigh(
        self, promise: Promise, documented: Documented | None, exchange: Exchange, asked: Asked, media: str
    ) -> Answered:
        status = exchange.status
        if status == 0:
            return Answered(0, True, (), (), 0)
        if documented is None:
            text = f"{status} is not documented for {asked.operation or 'this call'}"
            return Answered(status, status >= 400, (Breach("status-documented", "error", text),), (), 1)
        value = _parsed(exchange.response_body)
        if promise.store or exchange.method == "HEAD" or status in NO_BODY:
            return Answered(status, status >= 400, (), (), 1)
        breaches, body, assertions = self._body_breaches(promise, documented, exchange, value)
        errors: dict[str, Any] = {}
        headers = dict(exchange.response_headers) if documented.headers else {}
        for name, what in documented.headers:
            if name in headers:
                errors[what] = headers[name]
        if body is not None and body.errors is not None:
            errors |= body.errors(value)
        if errors.pop(PERHAPS, False) and str(errors.get("error.code")) in promise.failures:
            errors = {}
        refused = status >= 400 or bool(errors)
        if errors.get("error.code") is not None:
            assertions += 1
            entries = promise.refusals(status)
            code = errors["error.code"]
            if not any(callable(one.code) or str(one.code) == str(code) for one in entries):
                known = ", ".join(sorted({str(one.code) for one in entries}))
                text = f"code {code!r} is unknown at {status}; known: {known or 'none'}"
                breaches.append(Breach("error-in-catalogue", "error", text, "/body"))
        sights: tuple[Sight, ...] = ()
        if body is not None and body.observe is not None and not refused:
            sights = _sights(body.observe(value), asked.tasks, promise.machine)
            breaches.extend(_of_sights(sights, asked))
            if body.guarded is not None:
                assertions += 1
                done = all(sight.said.states and sight.said.states <= body.showing for sight in sights)
                for where, states in body.guarded(value) if not done else ():
                    text = f"{where} is shown, which only {' or '.join(sorted(states))} has"
                    breaches.append(Breach("results-only-where-allowed", "error", text, f"/body/{where}"))
            named = list(dict.fromkeys(body.named(value))) if body.named and asked.verb == "submit" else []
            if len(named) > 1:
                text = f"one answer names the tasks {' and '.join(named)}"
                breaches.append(Breach("answer-agrees-with-itself", "warning", text))
        said = errors.get("error.message")
        return Answered(status, refused, tuple(breaches), sights, assertions, said if isinstance(said, str) else None)

    def _body_breaches(
        self, promise: Promise, documented: Documented, exchange: Exchange, value: Any
    ) -> tuple[list[Breach], Any, int]:
        """Return how a body breaks what is documented, which documented body it is, and how much was asserted."""
        headers = dict(exchange.response_headers)
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        raw = exchange.response_body
        if not raw:
            if (
                documented.bodiless
                or not any(_is_json(one.media) for one in documented.bodies)
                or headers.get("content-length", "0") != "0"
            ):
                return [], None, 1
            return [Breach("answer-is-json", "error", "the answer has no body", "/body")], None, 1
        bodies = [one for one in documented.bodies if one.media.partition(";")[0] in (media, "*/*")]
        if documented.bodies and not bodies:
            known = ", ".join(dict.fromkeys(one.media for one in documented.bodies))
            return [Breach("answer-media", "error", f"{media or 'no media type'} is not among {known}")], None, 1
        bodies = [one for one in bodies if _is_json(one.media)]
        if not bodies or not _is_json(media):
            return [], None, 1
        if isinstance(value, _Broken):
            cut = len(raw) >= RECORDED_BODY or int(headers.get("content-length") or 0) > len(raw)
            whole = headers.get("content-length", "").isdigit() and int(headers["content-length"]) == len(raw)
            if cut and not whole:
                return [], None, 1
            return [Breach("answer-is-json", "error", "the body cannot be parsed as JSON", "/body")], None, 1
        for body in bodies:
            if body.fits(value):
                return [], body, 2
        body = bodies[0]
        found = body.violations(value)
        return [Breach(one.rule, "error", one.text, one.at) for one in found[:3]], body, 2

    # the messages of a feed

    def _feed(
        self, promise: Promise, channel: Channel, asked: Asked, frames: Iterable[Frame]
    ) -> tuple[tuple[Heard, ...], tuple[Breach, ...]]:
        heard: list[Heard] = []
        breaches: list[Breach] = []
        binary = any(message.binary for message in channel.messages)
        messages = promise.messages(channel.name)
        for index, frame in enumerate(frames):
            if not frame.sent:
                continue
            if isinstance(frame.data, bytes):
                if not binary:
                    breaches.append(Breach("message-schema-media", "error", "a binary message", f"/frames/{index}"))
                heard.append(Heard(frame.at, ()))
                continue
            key = (promise.name, channel.name, frame.data)
            known = self._heard.get(key)
            if known is None:
                known = _message(messages, frame.data, asked, promise.machine)
                if len(frame.data) <= LARGEST:
                    _remember(self._heard, key, known)
            heard.append(Heard(frame.at, known.sights))
            breaches.extend(one._replace(at=f"/frames/{index}") for one in known.breaches)
        return tuple(heard), tuple(breaches)


def _given(profile: Profile, headers: Mapping[str, str], query: str) -> bool:
    """Whether the credentials of one alternative are there; their value is nobody's business."""
    there = {*headers, *(f"?{name}" for name, _ in parse_qsl(query, keep_blank_values=True))}
    return any(there.issuperset(alternative) for alternative in profile.credentials)


def _leak(profile: Profile, headers: Mapping[str, str], query: str) -> str | None:
    """Return the name of a query parameter that holds a key and is not declared to."""
    key = headers.get("authorization", "").removeprefix("Bearer ").strip()
    for name, value in parse_qsl(query, keep_blank_values=True):
        held = len(key) >= SHORTEST_KEY and key in value
        if (KEY_NAMES.fullmatch(name) or held) and name not in profile.keys:
            return name
    return None


class _Broken:
    def __init__(self, what: str) -> None:
        self.what = what


def _message(messages: Sequence[tuple[Any, Any]], text: str, asked: Asked, machine: StateMachine) -> Answered:
    try:
        value = orjson.loads(text)
    except ValueError:
        return Answered(101, False, (Breach("message-schema-json", "error", "a message that is not JSON"),), (), 1)
    for fits, observe in messages:
        if fits(value):
            sights = _sights(observe(value), asked.tasks, machine) if observe is not None else ()
            return Answered(101, False, tuple(_of_sights(sights, asked)), sights, 1)
    breach = Breach("message-schema-other", "error", f"fits no message of the channel: {text[:160]}")
    return Answered(101, False, (breach,), (), 1)


def _sights(observations: Iterable[Any], asked: tuple[str, ...], machine: StateMachine) -> tuple[Sight, ...]:
    sole = asked[0] if len(asked) == 1 else None
    return tuple(
        Sight(one.task if one.task is not None else sole, said(one, machine))
        for one in observations
        if one.task is None or isinstance(one.task, str)  # a list of ids tells of none of them
    )


def _of_sights(sights: tuple[Sight, ...], asked: Asked) -> list[Breach]:
    found: list[Breach] = []
    for sight in sights:
        if sight.task is not None and asked.tasks and sight.task not in asked.tasks:
            text = f"tells of task {sight.task}, where {', '.join(asked.tasks[:3])} was asked for"
            found.append(Breach("asked-is-answered", "error", text))
        links = sight.said.links
        for link in links:
            if _misshapen(link):
                found.append(Breach("links-well-formed", "error", f"the link {link[:120]!r} is no address"))
                break
        own = [link for link in links if sight.task and sight.task in link]
        if own and len(own) < len(links):
            other = next(link for link in links if link not in own)
            text = f"of the links of task {sight.task} some do not name it: {urlsplit(other).path[-90:]}"
            found.append(Breach("answer-agrees-with-itself", "warning", text))
    return found


def _misshapen(link: str) -> bool:
    if UNREAL.search(link) is not None or link.startswith("//"):
        return True
    at = link.find("://", 0, 12)
    return at >= 0 and link[at + 3 : at + 4] in ("", "/", "?", "#")


def _marks(what: Operation | Channel, request: Request) -> Marks:
    try:
        return what.read(request)
    except (Refused, Unreadable, ValueError, TypeError):
        return {}


def _body_of(profile: Profile, media: str, raw: bytes) -> Any:
    if not raw:
        return NOTHING
    kind = media.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _form(media, raw)
    if profile.json_body:  # whatever the client calls it
        return _parsed(raw)
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    return Part(raw, "", kind)


def _form(media: str, raw: bytes) -> Any:
    message = BytesParser(policy=HTTP).parsebytes(
        b"content-type: " + media.encode("latin-1", "replace") + b"\r\n\r\n" + raw
    )
    if not message.is_multipart():
        return _Broken("multipart/form-data")
    form: dict[str, Any] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
        filename = part.get_filename()
        form[str(name)] = (
            content.decode("utf-8", "replace") if filename is None else Part(content, filename, part.get_content_type())
        )
    return form


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except ValueError:
        return _Broken("JSON")


def _is_json(media: str) -> bool:
    kind = media.partition(";")[0]
    return kind == "application/json" or kind.endswith("+json")


def _is_local(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name in ("", "localhost", "testserver", "[::1]") or re.fullmatch(r"[\d.]+", name) is not None


def _digest(key: Any) -> int:
    """Return a number that is the same for the same request in every process."""
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest(), "big")


def _retry_after(exchange: Exchange) -> float | None:
    value = next((value for name, value in exchange.response_headers if name == "retry-after"), "")
    return float(value) if value.isdigit() else None


def _remember(table: dict[Any, Any], key: Any, value: Any) -> None:
    if len(table) >= REMEMBERED:
        table.clear()
    table[key] = value
