"""A provider as the judge needs it: routes, and for each operation and channel what fits and what it tells.

Everything is compiled once from the provider's folder. Nothing here looks at traffic, times or files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from mockserver.provider.documents import Documents, Located, escape
from mockserver.provider.model import Channel, Operation, Provider, Refusal, Violation
from mockserver.provider.notation import JWT, Unreadable, open_token
from mockserver.provider.observing import Observer
from mockserver.provider.validation import Validators
from mockserver.provider.vocabulary import COLLECTIONS, SEEN_STATES

PERHAPS = "perhaps"
"""Stands beside what is read of a refusal where the body may be none: a failed task can look the same."""

Fits = Callable[[Any], bool]
Reads = Callable[[Any], dict[str, Any]]
Strays = Callable[[Any, str, list[str]], None]
"""Adds the pointers of members that nobody documents to a list."""


@dataclass(frozen=True, slots=True)
class Body:
    """One documented body of an answer."""

    media: str
    fits: Fits
    violations: Callable[[Any], list[Violation]]
    errors: Reads | None
    """What it says of a refusal; None where it has no words for one."""
    observe: Callable[[Any], list[Any]] | None
    named: Callable[[Any], list[str]] | None
    """The ids of tasks it names outside lists, every time that it does, those in tokens too."""
    guarded: Callable[[Any], list[tuple[str, frozenset[str]]]] | None
    """Results shown in a state in which its schema shows none: what, and the states that would show it."""
    showing: frozenset[str]
    """States that show all results, so that nothing need be looked for."""


@dataclass(frozen=True)
class Documented:
    """All documented answers with one status."""

    bodies: tuple[Body, ...]
    headers: tuple[tuple[str, str], ...]
    """Header (lower case) -> the `error.*` value it shows."""
    bodiless: bool
    """One of them has no body."""


@dataclass(frozen=True)
class Step:
    """What a path and method lead to: an operation or a channel; neither where only the method is unknown."""

    operation: Operation | None
    channel: Channel | None
    parameters: Mapping[str, str] = field(default_factory=dict)
    allowed: tuple[str, ...] = ()
    profile: Profile | None = None
    """Of the operation; None at an object store."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What an operation takes beside its body, by name."""

    query: frozenset[str]
    headers: tuple[str, ...]
    """Lower case."""
    keys: frozenset[str]
    """Query parameters that are credentials."""
    credentials: tuple[tuple[str, ...], ...]
    """Alternatives: headers (lower case) and query parameters (`?name`) that carry them; empty for none."""
    json_body: bool
    """Its body is JSON, rather than bytes or a form."""
    strays: Strays | None
    """Finds members of a body that nobody documents; None where none could be told."""
    classes: bool
    """Overrides may name the classes of their nodes: a whole workflow is documented use."""


class Promise:
    """One provider, compiled for judging."""

    def __init__(self, provider: Provider, *, store: bool = False) -> None:
        self.provider, self.name, self.store = provider, provider.name, store
        self.documents = Documents(provider.documents)
        self.observer = Observer(provider, self.documents)
        self.validators = Validators(provider.documents)
        self.machine = StateMachine(provider)
        self.hosts = tuple(_host_pattern(one["url"]) for one in provider.documents["openapi.json"].get("servers", ()))
        self._static: dict[str, dict[str, Operation]] = {}
        self._templated: dict[str, tuple[re.Pattern[str], dict[str, Operation]]] = {}
        self._channels = {channel.path: channel for channel in provider.channels}
        for operation in provider.operations:
            if "{" in operation.path:
                pattern = _path_pattern(operation.path, self.documents)
                self._templated.setdefault(operation.path, (pattern, {}))[1][operation.method] = operation
            else:
                self._static.setdefault(operation.path, {})[operation.method] = operation
        self.failures = frozenset(str(one.code) for entries in provider.failures.values() for one in entries)
        """Codes of failed tasks."""
        slashes = provider.wire.get("slashes", "strict")
        self._merge, self._tail = slashes == "merge", slashes == "tail-optional"
        self._bodies = {
            body["operationId"]: body
            for item in self.documents["openapi.json"].get("paths", {}).values()
            for body in item.values()
            if isinstance(body, Located) and "operationId" in body
        }
        submits = [one for one in provider.operations if one.verb.name == "submit"]
        self.machine.ids_return = any(self._names_tasks(one) for one in submits)
        self._documented: dict[tuple[str, int], Documented | None] = {}
        self._messages: dict[str, tuple[tuple[Fits, Callable[[Any], list[Any]] | None], ...]] = {}
        self._profiles: dict[str, Profile] = {}

    def owns(self, host: str) -> bool:
        """Whether *host* is one of the provider's real names."""
        return any(pattern.fullmatch(host) for pattern in self.hosts)

    def step(self, method: str, path: str) -> Step | None:
        """Return what stands at a percent-encoded path; None where the provider documents nothing."""
        if self._merge and "//" in path:
            path = re.sub("//+", "/", path)
        for mount in dict.fromkeys((*self.provider.mounts, "")):
            if mount and not path.startswith(mount):
                continue
            found = self._below(method, path[len(mount) :])
            if found is not None:
                return found
        return None

    def _below(self, method: str, raw: str) -> Step | None:
        if self._tail and raw.endswith("/") and raw != "/":
            raw = raw[:-1]
        path = unquote(raw) or "/"
        methods, parameters = self._static.get(path), {}
        if methods is None and path not in self._channels:
            for pattern, candidates in self._templated.values():
                match = pattern.fullmatch(raw)
                if match is not None:
                    methods = candidates
                    parameters = {name: unquote(value) for name, value in match.groupdict().items()}
                    break
        channel = self._channels.get(path)
        if methods is None and channel is None:
            return None
        operation = (methods or {}).get(method) or ((methods or {}).get("GET") if method == "HEAD" else None)
        if operation is None and channel is not None and method == "GET":
            return Step(None, channel)
        profile = self.profile(operation.id) if operation is not None and not self.store else None
        return Step(operation, None, parameters, tuple(sorted(methods or ())), profile)

    def documented(self, operation: str, status: int) -> Documented | None:
        """Return what is documented of answers of an operation with a status; None where nothing is."""
        key = (operation, status)
        if key not in self._documented:
            self._documented[key] = self._answers(operation, status)
        return self._documented[key]

    def refusals(self, status: int) -> tuple[Refusal, ...]:
        """Return the entries of the catalogue that answer with this status."""
        return tuple(one for one in self.provider.errors.values() if one.status == status)

    def messages(self, channel: str) -> tuple[tuple[Fits, Callable[[Any], list[Any]] | None], ...]:
        """Return for each JSON message of a channel whether a value fits it, and what it tells."""
        if channel not in self._messages:
            found = []
            for name, message in self.documents["asyncapi.json"]["channels"][channel].get("messages", {}).items():
                if message.get("contentType", "application/json") == "application/json":
                    fits = self.validators.fits(message["payload"].here())
                    found.append((fits, self.observer.message(channel, name)))
            self._messages[channel] = tuple(found)
        return self._messages[channel]

    def profile(self, operation: str) -> Profile:
        """Return what an operation takes beside its body."""
        if operation not in self._profiles:
            body = self._bodies[operation]
            item = next(one for one in self.documents["openapi.json"]["paths"].values() if body in one.values())
            listed = [self.documents.deref(one) for one in (*item.get("parameters", ()), *body.get("parameters", ()))]
            request = self.documents.deref(body.get("requestBody")) or {}
            schemes = self.provider.security_schemes.values()
            keys = frozenset(str(one["name"]) for one in schemes if one.get("in") == "query")
            self._profiles[operation] = Profile(
                keys | {one["name"] for one in listed if one["in"] == "query"},
                tuple(one["name"].lower() for one in listed if one["in"] == "header"),
                keys,
                tuple(
                    tuple(_carrier(self.provider.security_schemes[name]) for name in alternative)
                    for alternative in self._operation(operation).security
                ),
                self._takes_json(body),
                _strays(self.documents, [one.get("schema") for one in request.get("content", {}).values()]),
                any(self._names_classes(one.get("schema"), 0) for one in request.get("content", {}).values()),
            )
        return self._profiles[operation]

    def _names_classes(self, schema: Any, depth: int) -> bool:
        if not isinstance(schema, Located) or depth > 6:
            return False
        flat = self.documents.flat(schema)
        if flat.get("x-value") == "task.overrides":
            node = flat.get("additionalProperties")
            return isinstance(node, Located) and "class_type" in self.documents.flat(node).get("properties", {})
        return any(self._names_classes(one, depth + 1) for one in flat.get("properties", {}).values())

    def _takes_json(self, body: Located) -> bool:
        for media, content in (self.documents.deref(body.get("requestBody")) or {}).get("content", {}).items():
            kinds = self.documents.flat(content["schema"]).get("type", ()) if "schema" in content else ()
            if media == "application/json" or (media == "*/*" and "object" in kinds):
                return True
        return False

    def _names_tasks(self, operation: Operation) -> bool:
        """Whether the client may choose the id of the task it submits."""
        request = self.documents.deref(self._bodies[operation.id].get("requestBody")) or {}
        return any(self._named(one.get("schema"), 0) is not None for one in request.get("content", {}).values())

    def _answers(self, operation: str, status: int) -> Documented | None:
        listed = []
        if operation:
            responses = self._bodies[operation].get("responses", {})
            listed = [self.documents.deref(responses[key]) for key in (str(status), "default") if key in responses][:1]
        errors = self.documents["errors.json"]
        refusals = self.provider.refusals if not operation else self._operation(operation).refusals
        for entry in (one for entries in refusals.values() for one in entries if one.status == status):
            pointer = entry.answer or errors.get("answer")
            if pointer:
                response = self.documents.follow(f"openapi.json{pointer}", errors)
                if response not in listed:
                    listed.append(response)
        if not listed:
            return None
        bodies = [
            self._body(media, content["schema"])
            for response in listed
            for media, content in response.get("content", {}).items()
        ]
        headers = tuple(
            (name.lower(), schema["x-value"])
            for response in listed
            for name, header in response.get("headers", {}).items()
            for schema in (self.documents.deref(header).get("schema", {}),)
            if str(schema.get("x-value", "")).startswith("error.")
        )
        return Documented(tuple(bodies), headers, any(not one.get("content") for one in listed))

    def _operation(self, id: str) -> Operation:
        return next(one for one in self.provider.operations if one.id == id)

    def _body(self, media: str, schema: Located) -> Body:
        here = schema.here()
        return Body(
            media,
            self.validators.fits(here),
            self.validators.violations(here, rule="answer-schema", root="/body"),
            self._errors(schema, 0),
            self.observer.schema(schema),
            self._named(schema, 0),
            *self._guards(schema),
        )

    def _errors(self, schema: Any, depth: int) -> Reads | None:
        """Compile what reads `error.*` out of a body; of branches only those that fit tell."""
        if not isinstance(schema, Located) or depth > 6:
            return None
        flat = self.documents.flat(schema)
        name = flat.get("x-value")
        if isinstance(name, str) and name.startswith("error."):
            return lambda value: {name: value}
        branches = [
            (self.validators.fits(one.here()), self._errors(one, depth + 1))
            for word in ("oneOf", "anyOf")
            for one in flat.get(word, ())
        ]
        members = {
            key: inner for key, one in flat.get("properties", {}).items() if (inner := self._errors(one, depth + 1))
        }
        if not members and not any(reads for _, reads in branches):
            return None

        def read(value: Any) -> dict[str, Any]:
            found: dict[str, Any] = {}
            if isinstance(value, dict):
                for key, reads in members.items():
                    if key in value and value[key] is not None:
                        found |= reads(value[key])
            fitting = [branch for fits, branch in branches if fits(value)]
            for branch in fitting:
                if branch is not None:
                    found |= branch(value)
            if found and None in fitting:
                found[PERHAPS] = True
            return found

        return read

    def _named(self, schema: Any, depth: int) -> Callable[[Any], list[str]] | None:
        """Compile what collects the ids of tasks out of a body."""
        if not isinstance(schema, Located) or depth > 6:
            return None
        flat = self.documents.flat(schema)
        if flat.get("x-value") == "task.id":
            return lambda value: [str(value)] if isinstance(value, str | int) else []
        if flat.get("contentMediaType") == JWT:
            claims = self._named(flat["contentSchema"]["prefixItems"][1], depth + 1)
            return None if claims is None else lambda value: claims(_claims(value))
        members = {
            key: inner for key, one in flat.get("properties", {}).items() if (inner := self._named(one, depth + 1))
        }
        branches = [
            (self.validators.fits(one.here()), inner)
            for word in ("oneOf", "anyOf")
            for one in flat.get(word, ())
            if (inner := self._named(one, depth + 1))
        ]
        if not members and not branches:
            return None

        def named(value: Any) -> list[str]:
            given = value if isinstance(value, dict) else {}
            found = [id for key, inner in members.items() if key in given for id in inner(given[key])]
            fitting = next((inner for fits, inner in branches if fits(value)), None)
            return found + (fitting(value) if fitting is not None else [])

        return named

    # results that only some states show

    def _guards(
        self, schema: Located
    ) -> tuple[Callable[[Any], list[tuple[str, frozenset[str]]]] | None, frozenset[str]]:
        entries: list[tuple[tuple[str, ...], Located]] = []
        _task_loops(self.documents, schema, (), entries)
        compiled = []
        for path, entry in entries or [((), schema)]:
            results = list(_results(self.documents, entry, (), None))
            if results:
                compiled.append((path, bool(entries), self.observer.schema(entry), results))
        if not compiled:
            return None, frozenset()

        def guarded(body: Any) -> list[tuple[str, frozenset[str]]]:
            found = []
            for path, listed, observe, results in compiled:
                value = _follow(body, path)
                for one in value if listed and isinstance(value, list) else [value]:
                    shown = [(where, states) for where, states in results if _follow(one, where)]
                    told = observe(one) if shown else []
                    for where, states in shown:
                        if told and told[0].states and not (told[0].states & states):
                            found.append(("/".join(where), states))
            return found

        return guarded, frozenset.intersection(*(states for *_, results in compiled for _, states in results))


class StateMachine:
    """Which states of a task may follow which."""

    def __init__(self, provider: Provider) -> None:
        kind = provider.machine.kinds.get("task")
        self.kind = kind
        states = kind.states if kind is not None else {}
        self.all = frozenset(states) | set(SEEN_STATES)
        self.final = frozenset(name for name, state in states.items() if state.final)
        self.waiting = frozenset(name for name, state in states.items() if "slot" in state.on)
        self.next = {
            name: frozenset({step.target for step in state.on.values()} | set(state.after.values()))
            for name, state in states.items()
        }
        self.first_come = kind is None or kind.queue is None or not kind.queue.order
        self.keep = kind.keep if kind is not None else None
        self.ids_return = False
        """Clients may choose ids, and so use one again."""
        self._reach: dict[frozenset[str], frozenset[str]] = {}

    def reach(self, states: frozenset[str]) -> frozenset[str]:
        """Return *states* and all that may come after them."""
        if states not in self._reach:
            found, todo = set(states), list(states)
            while todo:
                for state in self.next.get(todo.pop(), ()):
                    if state not in found:
                        found.add(state)
                        todo.append(state)
            self._reach[states] = frozenset(found)
        return self._reach[states]

    def one_step(self, states: frozenset[str]) -> frozenset[str]:
        """Return *states* and what comes right after them."""
        return states.union(*(self.next.get(state, frozenset()) for state in states))


def _host_pattern(url: str) -> re.Pattern[str]:
    netloc = urlsplit(re.sub(r"\{[^}]*\}", "VARIABLE", url)).netloc
    return re.compile(re.escape(netloc).replace("VARIABLE", r"[^.:/]+") + r"(:\d+)?", re.IGNORECASE)


def _path_pattern(template: str, documents: Documents) -> re.Pattern[str]:
    """Compile a path template; a parameter of `format: path` may hold slashes."""
    item = documents["openapi.json"]["paths"][template]
    bodies = [body for body in item.values() if isinstance(body, Located)]
    listed = [*item.get("parameters", ()), *(one for body in bodies for one in body.get("parameters", ()))]
    long = {
        one["name"]
        for one in map(documents.deref, listed)
        if one.get("in") == "path" and one.get("schema", {}).get("format") == "path"
    }
    pattern = ""
    for literal, name in re.findall(r"([^{]*)(?:\{([^}]+)\})?", template):
        pattern += re.escape(literal)
        if name:
            pattern += f"(?P<{re.sub(r'[^0-9a-zA-Z_]', '_', name)}>{'.+' if name in long else '[^/]+'})"
    return re.compile(pattern)


WORKFLOWS = ("task.graph", "task.overrides", "task.inputs", "task.extra")
DEEPEST = 12


def _strays(documents: Documents, schemas: list[Any], depth: int = 0) -> Strays | None:
    """Compile what finds members that none of *schemas* names, where at least one of them names members."""
    flats = [flat for schema in schemas if isinstance(schema, Located) for flat in _branches(documents, schema, 0)]
    if depth > DEEPEST or not flats or any(flat.get("x-value") in WORKFLOWS for flat in flats):
        return None
    inside = _strays(documents, [flat["items"] for flat in flats if "items" in flat], depth + 1)
    named: dict[str, list[Any]] = {}
    for flat in flats:
        for name, part in flat.get("properties", {}).items():
            named.setdefault(name, []).append(part)
    members = {name: _strays(documents, parts, depth + 1) for name, parts in named.items()}
    others = _strays(documents, [flat.get("additionalProperties") for flat in flats], depth + 1)
    closed = bool(named) and not any("additionalProperties" in flat or "patternProperties" in flat for flat in flats)
    if inside is None and others is None and not closed and not any(members.values()):
        return None

    def strays(value: Any, at: str, found: list[str]) -> None:
        if isinstance(value, dict):
            for name, member in value.items():
                part = members.get(name, others)
                if part is not None:
                    part(member, f"{at}/{escape(name)}", found)
                elif closed and name not in members:
                    found.append(f"{at}/{escape(name)}")
        elif inside is not None and isinstance(value, list):
            for index, one in enumerate(value):
                inside(one, f"{at}/{index}", found)

    return strays


def _branches(documents: Documents, schema: Located, depth: int) -> Iterator[Located]:
    flat = documents.flat(schema)
    yield flat
    for word in ("oneOf", "anyOf", "allOf"):
        for branch in flat.get(word, ()) if depth < 6 else ():
            yield from _branches(documents, branch, depth + 1)


def _carrier(scheme: Mapping[str, Any]) -> str:
    """Return where a security scheme puts its credential."""
    if scheme.get("type") != "apiKey":
        return "authorization"
    name = str(scheme["name"])
    return {"query": f"?{name}", "cookie": "cookie"}.get(str(scheme.get("in")), name.lower())


def _claims(token: Any) -> Any:
    """Return the claims of a token, unchecked; None where it is none, or hidden by the recording."""
    try:
        return open_token(token)[1]
    except Unreadable:
        return None


def _task_loops(
    documents: Documents, schema: Any, path: tuple[str, ...], found: list[tuple[tuple[str, ...], Located]]
) -> None:
    """Collect where a body lists tasks, and the schema of one of them."""
    if not isinstance(schema, Located) or len(path) > 5:
        return
    for flat in _branches(documents, schema, 0):
        if COLLECTIONS.get(flat.get("x-each", "")) == "task" and isinstance(flat.get("items"), Located):
            if all(known != path for known, _ in found):
                found.append((path, flat["items"]))
        else:
            for name, member in flat.get("properties", {}).items():
                _task_loops(documents, member, (*path, name), found)


def _results(
    documents: Documents, schema: Any, path: tuple[str, ...], within: frozenset[str] | None
) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    """Yield where a body shows files that only some states have, and these states."""
    if not isinstance(schema, Located) or len(path) > 5:
        return
    flat = documents.flat(schema)
    states = _states_of(flat.get("x-when")) or within
    if COLLECTIONS.get(flat.get("x-each", "")) == "file" and isinstance(flat.get("items"), Located):
        states = _states_of(documents.flat(flat["items"]).get("x-when")) or states
        if states is not None:
            yield path, states
        return
    for name, member in flat.get("properties", {}).items():
        yield from _results(documents, member, (*path, name), states)


def _states_of(condition: Any) -> frozenset[str] | None:
    listed = condition.get("task.state") if isinstance(condition, Mapping) else condition
    return frozenset(listed) if isinstance(listed, list) else None


def _follow(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
