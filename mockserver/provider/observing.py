"""Observing: a recorded answer or push message, read back as what it says of tasks.

The marks by which an answer is drawn are followed the other way: `x-map` backwards (a wire value may stand for several
states), branches chosen by what fits them and by their `x-when`, texts with `contentSchema` opened, links collected.
Nothing here judges: what does not fit its schema is passed over, and is the business of the schema rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mockserver.provider import notation
from mockserver.provider.documents import Documents, Located
from mockserver.provider.drawing import Drawer
from mockserver.provider.machines import names_of
from mockserver.provider.model import Provider
from mockserver.provider.validation import Validators
from mockserver.provider.values import is_template
from mockserver.provider.vocabulary import COLLECTIONS

LINKS = ("file.link", "file.url", "file.upload_link")


class Several(list[Any]):
    """A value that stands inside a loop over nodes or files: one for each turn, in the order of the body."""


@dataclass(frozen=True)
class Observation:
    """What one body says of one task.

    What shows a schema's `default` or null says nothing and is left out.
    """

    task: str | None
    """Its id; None where the body does not say."""
    states: frozenset[str]
    """The states it may be in; all of them where the body does not say."""
    values: Mapping[str, Any]
    """Value name -> what the body says, in the units of the vocabulary; `Several` where a loop says it."""

    @property
    def links(self) -> tuple[str, ...]:
        """Return all links of files it names, in order."""
        return tuple(link for name in LINKS for link in _listed(self.values.get(name)) if isinstance(link, str))


Observe = Callable[[Any], list[Observation]]


@dataclass
class _Book:
    """What is being noted of one task; `others` are the tasks that a loop found."""

    states: frozenset[str]
    values: dict[str, Any] = field(default_factory=dict)
    others: list[_Book] = field(default_factory=list)

    def fork(self) -> _Book:
        copied = {name: Several(value) if isinstance(value, Several) else value for name, value in self.values.items()}
        return _Book(self.states, copied, list(self.others))

    def tells_more(self, before: _Book) -> bool:
        """Whether it tells more of tasks than *before*."""
        told = {name for name in self.values if name.startswith("task.")}
        return len(self.others) > len(before.others) or self.states != before.states or bool(told - set(before.values))


Note = Callable[[Any, _Book, bool], None]
"""Notes what a value of the wire says; the last argument is true inside a loop over something other than tasks."""


class Observer:
    """Reads bodies of one provider; compiles each schema once, when it is first asked for."""

    def __init__(self, provider: Provider, documents: Documents | None = None) -> None:
        self.documents = documents or Documents(provider.documents)
        task = provider.machine.kinds.get("task")
        self.states = frozenset(task.states if task is not None else ()) | {"unknown", "foreign"}
        self._drawer = Drawer(self.documents, names_of(self.documents["machine.json"], provider.server))
        self._validators = Validators(self.documents.plain)
        self._compiled: dict[tuple[str, str], Observe] = {}
        self._open: set[tuple[str, str]] = set()

    def answer(self, operation: str, status: int) -> Observe | None:
        """Return how answers of *operation* with *status* are read; None where no JSON body is documented."""
        for item in self.documents["openapi.json"].get("paths", {}).values():
            for body in item.values():
                if isinstance(body, Located) and body.get("operationId") == operation:
                    responses = body.get("responses", {})
                    response = self.documents.deref(responses.get(str(status), responses.get("default")))
                    content = (response or {}).get("content", {})
                    schema = content.get("application/json", {}).get("schema")
                    return None if schema is None else self.schema(schema)
        return None

    def message(self, channel: str, name: str) -> Observe | None:
        """Return how messages *name* of *channel* are read; None for binary ones."""
        feed = self.documents.get("asyncapi.json") or {}
        message = feed.get("channels", {}).get(channel, {}).get("messages", {}).get(name)
        if message is None or message.get("contentType", "application/json") != "application/json":
            return None
        return self.schema(message["payload"])

    def schema(self, schema: Located) -> Observe:
        """Return how bodies of *schema* are read."""
        key = (schema.file, schema.pointer)
        if key not in self._compiled:
            note = self._note(schema)
            self._compiled[key] = lambda body: self._read(body, note)
        return self._compiled[key]

    def _read(self, body: Any, note: Note | None) -> list[Observation]:
        book = _Book(self.states)
        if note is not None:
            note(body, book, False)
        own = _Book(book.states, book.values)
        books = [*([own] if own.tells_more(_Book(self.states)) else ()), *book.others]
        return [Observation(one.values.pop("task.id", None), one.states, one.values) for one in books]

    def _note(self, schema: Any) -> Note | None:
        """Compile *schema*; None when nothing beneath it is marked."""
        if not isinstance(schema, Located):
            return None
        key = (schema.file, schema.pointer)
        if key in self._open:
            return None  # a schema that holds itself: deeper levels say nothing of the task that the first does not
        self._open.add(key)
        try:
            return self._compile(self.documents.flat(schema))
        finally:
            self._open.discard(key)

    def _compile(self, schema: Located) -> Note | None:
        notes: list[Note] = []
        if "x-value" in schema and isinstance(schema["x-value"], str) and not is_template(schema["x-value"]):
            notes.append(self._value(schema))
        elif "contentSchema" in schema:
            notes.extend(self._inside(schema))
        parts = [self._note(part) for part in schema.get("prefixItems", ())]
        if any(parts):
            notes.append(_tuple(parts))
        members = {name: note for name, part in schema.get("properties", {}).items() if (note := self._note(part))}
        if members:
            # What depends on the state comes after what tells it.
            late = [name for name in members if any(word in self._flat(schema, name) for word in ("oneOf", "anyOf"))]
            notes.append(_members({name: members[name] for name in (*(set(members) - set(late)), *late)}))
        item, key, member = (
            self._note(schema.get(word)) for word in ("items", "propertyNames", "additionalProperties")
        )
        over_tasks = COLLECTIONS.get(schema.get("x-each", "")) == "task"
        if item or key or member:
            notes.append(_loop(item, key, member, self.states if over_tasks else None))
        for word in ("oneOf", "anyOf"):
            branches = [(self._validators.fits(one.here()), self._note(one)) for one in schema.get(word, ())]
            if any(note for _, note in branches):
                notes.append(_branches(branches))
        allowed = _states_of(schema.get("x-when"))
        if allowed is not None:
            notes.append(_only(allowed))
        return _all(notes) if notes else None

    def _flat(self, schema: Located, name: str) -> Located:
        return self.documents.flat(schema["properties"][name])

    def _value(self, schema: Located) -> Note:
        name = schema["x-value"]
        silent = [None, *([schema["default"]] if "default" in schema else ())]
        if "x-map" in schema:
            return _mapped(name, schema["x-map"], silent)
        read: notation.Convert = str if name.endswith(".id") else self._drawer.notation(schema, name).read

        def note(value: Any, book: _Book, looped: bool) -> None:
            if value in silent or (isinstance(value, bool) and name.endswith(".id")):
                return
            try:
                told = read(value)
            except (notation.Unreadable, TypeError, ValueError):
                return
            if name == "task.state":
                book.states &= {told}
            _tell(book, name, told, looped)

        return note

    def _inside(self, schema: Located) -> Iterable[Note]:
        inner = self._note(schema["contentSchema"])
        if inner is None:
            return
        media, encoding = schema.get("contentMediaType", ""), schema.get("contentEncoding")

        def note(value: Any, book: _Book, looped: bool) -> None:
            try:
                token = media == notation.JWT
                content = notation.open_token(value) if token else notation.read_inside(media, encoding, value)
            except notation.Unreadable:
                return
            inner(content, book, looped)

        yield note


def _tell(book: _Book, name: str, told: Any, looped: bool) -> None:
    held = book.values.setdefault(name, Several() if looped else told)
    # What stands beside a loop and again inside it was told by the one beside.
    if looped and isinstance(held, Several):
        held.append(told)


def _mapped(name: str, table: Mapping[str, Any], silent: list[Any]) -> Note:
    def note(value: Any, book: _Book, looped: bool) -> None:
        meant = [key for key, wires in table.items() if any(_same(value, wire) for wire in _listed(wires))]
        if name == "task.state":
            # A default stands for every state that the map lacks.
            book.states &= frozenset(meant) if value not in silent else (book.states - set(table)) | set(meant)
        elif len(meant) == 1:
            _tell(book, name, {"true": True, "false": False}.get(meant[0], meant[0]), looped)

    return note


def _tuple(parts: list[Note | None]) -> Note:
    def note(value: Any, book: _Book, looped: bool) -> None:
        for part, one in zip(parts, value if isinstance(value, list) else (), strict=False):
            if part is not None:
                part(one, book, looped)

    return note


def _members(members: Mapping[str, Note]) -> Note:
    def note(value: Any, book: _Book, looped: bool) -> None:
        if isinstance(value, dict):
            for name, part in members.items():
                if name in value:
                    part(value[name], book, looped)

    return note


def _loop(item: Note | None, key: Note | None, member: Note | None, task_states: frozenset[str] | None) -> Note:
    def note(value: Any, book: _Book, looped: bool) -> None:
        for name, one in value.items() if isinstance(value, dict) else ((None, one) for one in _listed(value)):
            inside = book
            if task_states is not None:
                inside = _Book(task_states)
                book.others.append(inside)
            for part, told in ((key, name), (member, one)) if isinstance(value, dict) else ((item, one),):
                if part is not None:
                    part(told, inside, task_states is None)

    return note


def _branches(branches: list[tuple[Callable[[Any], bool], Note | None]]) -> Note:
    def fork(part: Note | None, value: Any, book: _Book, looped: bool) -> _Book:
        forked = book.fork()
        if part is not None:
            part(value, forked, looped)
        return forked

    def note(value: Any, book: _Book, looped: bool) -> None:
        forks = [fork(part, value, book, looped) for fits, part in branches if fits(value)]
        if not forks:
            # A body with a fault somewhere still tells what it tells, if only one branch finds a task in it.
            guesses = [fork(part, value, book, looped) for _, part in branches if part is not None]
            forks = [guess for guess in guesses if guess.tells_more(book)]
            if len(forks) != 1:
                return
        forks = [one for one in forks if one.states] or forks
        # Where several branches fit, only what all of them say is certain.
        first, *more = forks
        book.states = first.states.union(*(fork.states for fork in more))
        book.values = {name: told for name, told in first.values.items() if all(_says(one, name, told) for one in more)}
        book.others = first.others

    return note


def _says(book: _Book, name: str, told: Any) -> bool:
    return name in book.values and book.values[name] == told


def _only(allowed: frozenset[str]) -> Note:
    def note(value: Any, book: _Book, looped: bool) -> None:
        if not looped:
            book.states &= allowed

    return note


def _states_of(condition: Any) -> frozenset[str] | None:
    """Return the states of a task that a condition admits; None where it does not speak of them."""
    listed = condition.get("task.state") if isinstance(condition, Mapping) else condition
    return frozenset(listed) if isinstance(listed, list) else None


def _all(notes: list[Note]) -> Note:
    if len(notes) == 1:
        return notes[0]

    def note(value: Any, book: _Book, looped: bool) -> None:
        for one in notes:
            one(value, book, looped)

    return note


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
