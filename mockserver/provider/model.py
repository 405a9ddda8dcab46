"""What a loaded provider is made of: frozen values, compiled once, shared by every world.

`compile.py` makes these from the files of a folder; `world` and `web` only use them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from mockserver.provider.scope import Scope

Json = Any
Draw = Callable[[Scope], Any]
"""Draws a value from a scope, or gives `NOTHING`."""
Text = Callable[[Scope], str | None]
"""Renders a text with `{names}`, or gives None when a name in it has no value."""
Test = Callable[[Scope], bool]
"""Says whether a condition (`x-when`, an error's `when`) holds."""
Marks = dict[str, list[Any]]
"""What a request gives, by value name (`task.id`), in order of precedence; absent when it gives nothing."""


class Nothing:
    """The type of `NOTHING`: a drawing that gave no value. Not `None`, which is JSON null."""

    def __repr__(self) -> str:
        return "NOTHING"

    def __bool__(self) -> bool:
        return False


NOTHING = Nothing()


class Delay(NamedTuple):
    """A named delay in virtual seconds; drawn uniformly where the two differ."""

    shortest: float
    longest: float


class Step(NamedTuple):
    """Where a trigger leads. `at` is `now`, or `next-step`: at the running graph's next boundary."""

    target: str
    at: str = "now"


class State(NamedTuple):
    """One state of a kind's machine."""

    name: str
    final: bool
    on: Mapping[str, Step]
    """Trigger (`slot`, `done`, `fail`, `cancel`, `change`) -> step."""
    after: Mapping[str, str]
    """Delay name -> the state it ends in."""


class QueueRule(NamedTuple):
    """How things of a kind wait. `slots` is a number or a value name of the line's thing (`endpoint#/count`)."""

    slots: int | str = 1
    line: str | None = None
    """The kind whose things each have a line of their own; None for one line in all."""
    order: tuple[str, ...] = ()
    """Value names that sort the line before first-come first-served."""


class Present(NamedTuple):
    """A thing that exists when a world starts."""

    id: str | None
    state: str | None
    document: Mapping[str, Any]


class LogLine(NamedTuple):
    """One line that a service writes of itself, where its condition holds."""

    text: Text
    when: Test | None = None


@dataclass(frozen=True)
class Kind:
    """One kind of thing: task, file, account, workflow, pool, endpoint, ..."""

    name: str
    states: Mapping[str, State]
    initial: str | None
    id: Mapping[str, Text]
    """File root (`input`, `output`, `temp`) or `*` -> the text that makes an id."""
    queue: QueueRule | None = None
    ready: frozenset[str] | None = None
    """States in which a call may use it; None means all."""
    checks: Mapping[str, Test] = field(default_factory=dict)
    """Name -> what may not be said of a new thing; the first that holds refuses it as `<kind>-invalid`."""
    barred: Test | None = None
    """Who may not use it (or, of tasks, may not submit), however ready it is."""
    present: tuple[Present, ...] = ()
    keep: float | None = None
    """How long a finished thing is remembered, virtual seconds; None for as long as memory allows."""
    most: int | None = None
    """How many finished tasks are remembered, their files beyond that; None for as many as memory allows."""
    log: Mapping[str, tuple[LogLine, ...]] = field(default_factory=dict)
    """Event of a task (`task.released`, `task.<state>`) -> what the service writes of itself then."""
    open: bool = False
    """An id never seen counts as existing."""
    document: Mapping[str, Text] = field(default_factory=dict)
    """Members of a new thing's document that the world draws (`user` of an account)."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What only some kinds have: `store`, `bucket`, `lifetime`, `name`, `key` (texts by root), `price`."""


class Refusal(NamedTuple):
    """One entry of errors.json, section `refusals`, `failures` or `problems`, compiled."""

    name: str
    conditions: tuple[str, ...]
    test: Test | None
    """Over the facts of the case; None holds always."""
    on: frozenset[str] | None
    status: int
    code: Any
    """A constant, or a `Text` where the code is a template."""
    message: Text | None
    details: Text | None
    extra: tuple[str, ...]
    answer: str | None
    close: int | None
    planned: bool
    """Raised only when asked for by name."""


class Violation(NamedTuple):
    """One way a request, answer or message breaks its schema.

    `rule` is a stable id (`request-schema-required`), `at` a pointer such as `/body/prompt` or `/query/limit`.
    """

    rule: str
    at: str
    keyword: str
    expected: Any
    got: Any
    text: str
    key: str | None = None
    keys: tuple[str, ...] = ()


class Request(NamedTuple):
    """A request as the provider room sees it: already split, not yet understood."""

    method: str
    path: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    """Lower-case names; the last of several."""
    body: Json
    """Parsed body, `NOTHING` if there was none. Multipart: an object whose files are `Part`s."""


@dataclass(frozen=True)
class Part:
    """One file of a multipart request, or a raw body kept as bytes."""

    content: bytes
    filename: str
    media: str


class Response(NamedTuple):
    """One documented answer of an operation."""

    status: int
    when: Test | None
    headers: tuple[tuple[str, str | Draw], ...]
    """Names in lower case; of each its text, or what draws it."""
    media: str | None
    """None for an answer without body."""
    draw: Draw | None
    encode: Callable[[Any], bytes]
    broken: Callable[[Any], Violation | None]
    """The first violation of its own schema by a drawn body, or None."""
    bytes_of: str | None = None
    """`file.bytes` where the body is a file's bytes, streamed by the web layer."""
    pointer: str = ""


class Verb(NamedTuple):
    """What an operation or channel does: a word of the vocabulary and its options."""

    name: str
    of: str
    options: Mapping[str, Any]


class Operation(NamedTuple):
    """One operation of openapi.json, compiled."""

    id: str
    method: str
    path: str
    """Path template below the mount: `/executes/{id}`."""
    verb: Verb
    security: tuple[tuple[str, ...], ...]
    """Alternatives, each a set of scheme names; empty for none."""
    media: tuple[str, ...]
    """Request media types, `*/*` when any is taken; empty when there is no body."""
    body_required: bool
    read: Callable[[Request], Marks]
    violations: Callable[[Request], list[Violation]]
    """Every violation of a request, most telling first; empty when it keeps the contract."""
    responses: tuple[Response, ...]
    refusals: Mapping[str, tuple[Refusal, ...]]
    """Condition word -> the entries that answer it here, in order."""
    pointer: str
    source: Mapping[str, str]
    examples: tuple[Mapping[str, Any], ...] = ()


class Message(NamedTuple):
    """One push message: the events it shows, and how."""

    name: str
    on: frozenset[str]
    """Event names; may hold `task.*` and `node.*`."""
    when: Test | None
    draw: Draw
    encode: Callable[[Any], bytes]
    broken: Callable[[Any], Violation | None]
    binary: bool


class Channel(NamedTuple):
    """A push channel of asyncapi.json."""

    name: str
    path: str
    verb: Verb
    read: Callable[[Request], Marks]
    violations: Callable[[Request], list[Violation]]
    messages: tuple[Message, ...]
    security: tuple[tuple[str, ...], ...]
    refusals: Mapping[str, tuple[Refusal, ...]]
    remember: Verb | None
    heard: tuple[Callable[[Any], bool], ...]
    """For each message the client may send: does this one fit it?"""
    replies: tuple[Message, ...]
    """Messages drawn on the event `said`."""


@dataclass(frozen=True)
class Machine:
    """machine.json, compiled: the kinds of things and how long what takes."""

    kinds: Mapping[str, Kind]
    delays: Mapping[str, Delay]
    call_id: Text | None
    classes: Mapping[str, Json] = field(default_factory=dict)
    """JSON Merge Patch for the node catalogue that the provider has."""


class Reading(NamedTuple):
    """One reading of a variant: why one may read the documentation so, and what it changes."""

    name: str
    why: str
    source: Mapping[str, str]
    patch: Mapping[str, Any]


class Variant(NamedTuple):
    """An open question of the documentation."""

    name: str
    asks: str
    default: str
    readings: Mapping[str, Reading]


@dataclass(frozen=True)
class Provider:
    """A folder, loaded with one choice of readings."""

    name: str
    title: str
    version: str
    hosts: tuple[str, ...]
    """Real host names, server variables filled with their defaults."""
    mounts: tuple[str, ...]
    """Path prefixes below which the operations stand, longest first; `""` for none."""
    server: Mapping[str, str]
    """Server variables, as constants."""
    operations: tuple[Operation, ...]
    channels: tuple[Channel, ...]
    machine: Machine
    refusals: Mapping[str, tuple[Refusal, ...]]
    """Condition -> entries, for calls that match no operation."""
    failures: Mapping[str, tuple[Refusal, ...]]
    """Condition -> entries that may end a task."""
    problems: Mapping[str, tuple[Refusal, ...]]
    errors: Mapping[str, Refusal]
    """Every entry of errors.json by its name."""
    variants: Mapping[str, Variant]
    readings: Mapping[str, str]
    """Variant -> the reading this provider was loaded with."""
    wire: Mapping[str, Any]
    documents: Mapping[str, Json]
    """File name -> its content after the readings were applied."""
    getter: Callable[[str], Callable[[Scope], Any]]
    """Compiles a value name, or a text with `{names}`, to its reader from a scope."""
    security_schemes: Mapping[str, Mapping[str, Any]]
    answers: Mapping[str, Response]
    """Pointer of a named answer (`#/components/responses/Refused`) -> it, compiled."""

    @cached_property
    def usual_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that every answer carries, beside `date`; names in lower case."""
        headers = [(name.lower(), value) for name, value in self.wire.get("headers", {}).items()]
        if self.wire.get("cors"):
            headers.append(("access-control-allow-origin", "*"))
        return tuple(headers)
