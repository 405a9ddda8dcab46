"""What travels inside the judge: a call as it was asked and answered, what that says of tasks, and findings.

Values only. `Asked` and `Answered` say nothing of when and where, so that equal bodies share one of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from contracts.rules import Severity

ASKS = frozenset({"list", "read"})
"""Verbs that ask how tasks stand."""


class Breach(NamedTuple):
    """A rule that is broken, before it is known which call did so."""

    rule: str
    severity: Severity
    text: str
    at: str = ""
    """Where in the exchange: `/body/prompt`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A breach with its place in the traffic."""

    rule: str
    severity: Severity
    text: str
    provider: str
    operation: str
    at: str
    """Where in the exchange: `/body/prompt`; empty where it is about the whole."""
    number: int
    """Of the exchange within its file, from 1; 0 where no single one is meant."""
    call: str
    """`POST /prompt -> 200`."""
    task: str | None = None
    excerpt: str = ""
    """Beginning of the request's and the answer's body."""
    file: str = ""


class Said(NamedTuple):
    """What one body says of a task, whichever it is; equal bodies share one, so all that follows from it is here."""

    states: frozenset[str]
    """The states it may be in; none where the body does not tell."""
    unknown: bool
    """It says that there is no such task."""
    ended: bool
    """It says that the task has ended."""
    values: dict[str, Any]
    progress: float | None
    lasting: tuple[str, ...]
    """Those of `values` that keep a promise over time: fixed, or only growing."""
    links: tuple[str, ...]


class Sight(NamedTuple):
    """What one body says of one task."""

    task: str | None
    said: Said


class Asked(NamedTuple):
    """A request, understood."""

    operation: str
    """Empty where it fits none."""
    verb: str
    of: str
    tasks: tuple[str, ...]
    """The tasks it names."""
    key: int
    """Equal for equal requests."""
    wrong: tuple[Breach, ...]
    """How it breaks its schema; grave only if it is accepted."""
    conduct: tuple[Breach, ...]
    """What it should not hold, whatever becomes of it."""
    lifetime: float | None
    """Seconds that it wants links to live."""
    assertions: int
    again: bool = False
    """A submit with the id of a known task replaces that."""


class Answered(NamedTuple):
    """An answer, understood."""

    status: int
    refused: bool
    breaches: tuple[Breach, ...]
    sights: tuple[Sight, ...]
    """As the answer was first understood; it may say the same of another task (`Look.sights`)."""
    assertions: int
    said: str | None = None
    """The text of a refusal."""

    def is_of(self, task: str) -> bool:
        """Whether it tells of *task* alone, flawlessly, and names it nowhere else: then it could tell so of any."""
        if not task or self.breaches or len(self.sights) != 1:
            return False
        sight = self.sights[0]
        return sight.task == task and not sight.said.links and task not in repr(sight.said.values)


class Heard(NamedTuple):
    """One message of a feed; `sights` is empty where it tells of no task."""

    at: float
    sights: tuple[Sight, ...]


class Look(NamedTuple):
    """One exchange, looked at by itself."""

    provider: str
    number: int
    at: float
    asked: Asked
    answered: Answered
    sights: tuple[Sight, ...]
    """What the answer says of which task."""
    method: str
    path: str
    query: str
    excerpt: tuple[bytes, bytes]
    """Beginning of the request's and of the answer's body."""
    breaches: tuple[Breach, ...] = ()
    retry_after: float | None = None
    feed: tuple[Heard, ...] | None = None
    """The messages, where it is a connection to a channel."""
    store: bool = False
    """It fetched from an object store."""

    @property
    def call(self) -> str:
        return f"{self.method} {self.path} -> {self.answered.status or 'no answer'}"


@dataclass(slots=True)
class Counts:
    """What was judged."""

    exchanges: int = 0
    tasks: int = 0
    assertions: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    """`provider operation` -> how many exchanges."""

    def add(self, other: Counts) -> None:
        self.exchanges += other.exchanges
        self.tasks += other.tasks
        self.assertions += other.assertions
        for name, count in other.operations.items():
            self.operations[name] = self.operations.get(name, 0) + count
