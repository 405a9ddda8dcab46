"""What a drawing may look at: the subjects in scope while an answer, a push message or a text is drawn.

The world fills a `Scope` (which tasks were selected, which thing a call concerns); drawing only reads it. Names of
`vocabulary.py` map to these attributes: `task.started` is `scope.task.started`. `None` always means "the world has no
such value".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol


class Chance(Protocol):
    """A stream of chance that belongs to one call or thing; drawing from it moves no other stream."""

    def text(self, alphabet: str, length: int) -> str: ...
    def uniform(self, low: float, high: float) -> float: ...
    def below(self, limit: int) -> int: ...


class Links(Protocol):
    """Makes addresses of files as the caller can reach them; supplied by the web layer."""

    def plain(self, file: Any) -> str: ...
    def signed(self, file: Any, *, lifetime: float, process: str | None, at: float) -> str: ...
    def upload(self, file: Any, *, lifetime: float, at: float) -> str: ...


class Call:
    """One call or connection: `id` is drawn from machine.json's `call.id`, `at` is Unix seconds of its arrival."""

    __slots__ = ("at", "chance", "folder", "id", "operation", "query", "size", "status")

    def __init__(self, *, at: float, operation: str, chance: Chance, id: str = "") -> None:
        self.at, self.operation, self.chance, self.id = at, operation, chance, id
        self.size = 0
        """Bytes of its body."""
        self.status: int | None = None
        self.query: Mapping[str, str] = {}
        """As the client wrote it; the first of several."""
        self.folder = ""
        """The folder of files it asks about."""


class Link:
    """How links of this call are to be made: `lifetime` in seconds, `process` an image command or None."""

    __slots__ = ("expires", "lifetime", "process")

    def __init__(self, lifetime: float | None = None, process: Any = None, expires: float | None = None) -> None:
        self.lifetime, self.process, self.expires = lifetime, process, expires


NO_LINK = Link()
NONE: Mapping[str, Any] = MappingProxyType({})


class Page:
    """How a list is cut, as asked and as shown; `total` counts before cutting."""

    __slots__ = ("by", "cursor", "limit", "more", "offset", "sort", "total")

    def __init__(self) -> None:
        self.limit: int | None = None
        self.offset: int | None = None
        self.cursor: Any = None
        self.sort: str | None = None
        self.by: str | None = None
        """The value name it is sorted by."""
        self.total = 0
        self.more = False


NO_PAGE = Page()


class Scope:
    """The subjects of one drawing. Each has but those it needs; all others are as they stand here."""

    at: float
    """The moment drawn as of, Unix seconds on the world's clock."""
    call: Call | None = None
    task: Any = None
    tasks: Sequence[Any] = ()
    node: Any = None
    file: Any = None
    files: Sequence[Any] = ()
    """Files the verb selected, where that is its subject (uploads, downloads)."""
    things: Mapping[str, Any] = NONE
    """Kind -> the thing of that kind in scope (`account`, `endpoint`, `workflow`, ...)."""
    lists: Mapping[str, Sequence[Any]] = NONE
    """Kind -> the things of that kind the verb selected, in the order asked."""
    error: Any = None
    problem: Any = None
    check: Any = None
    """Result of a graph check: an object whose `nodes` are node views with `problems`."""
    page: Page | None = None
    link: Link = NO_LINK
    links: Links | None = None
    event: Any = None
    connection: Any = None
    preview: Any = None
    catalogue: Any = None
    """Looks up node classes: `classes` of those that the call names, or of all."""
    member: Any = None
    """The member of a thing's document that the call names: its `value`."""
    log: Any = None
    """What the service has written of itself: `lines`, oldest first, and all as one `text`."""
    queue: Any = None
    """The provider's waiting lines: `waiting` and `total` counts."""
    changed: Any = None
    server: Mapping[str, str] = NONE
    delays: Mapping[str, float] = NONE
    """Delay name -> seconds, for `after.<delay>`."""
    secrets: Mapping[str, str] = NONE
    """Purpose -> secret (`token`), for signing what is drawn."""
    facts: Mapping[str, Any] = NONE
    """Facts of a refusal, failure or problem, by full name (`violation.key`)."""
    counter: int = 0
    """The number a `{counter:5}` writes."""

    def __init__(self, *, at: float, call: Call | None = None) -> None:
        self.at = at
        self.call = call

    def bind(self, **subjects: Any) -> Scope:
        """Return a copy with *subjects* replaced."""
        child = Scope(at=self.at)
        child.__dict__.update(self.__dict__, **subjects)
        return child
