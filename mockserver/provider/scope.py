"""What a drawing may look at: the subjects in scope while an answer, a push message or a text is drawn.

The world fills a `Scope` (which tasks were selected, which thing a call concerns); drawing only reads it. Names of
`vocabulary.py` map to these attributes: `task.started` is `scope.task.started`. `None` always means "the world has no
such value".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    __slots__ = ("at", "chance", "folder", "id", "operation", "query", "status")

    def __init__(self, *, at: float, operation: str, chance: Chance, id: str = "") -> None:
        self.at, self.operation, self.chance, self.id = at, operation, chance, id
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
    """The subjects of one drawing. A loop binds its singular in a child made by `bind`."""

    __slots__ = (
        "at",
        "call",
        "catalogue",
        "changed",
        "check",
        "connection",
        "counter",
        "delays",
        "error",
        "event",
        "facts",
        "file",
        "files",
        "link",
        "links",
        "lists",
        "log",
        "member",
        "node",
        "page",
        "preview",
        "problem",
        "queue",
        "secrets",
        "server",
        "task",
        "tasks",
        "things",
    )

    def __init__(self, *, at: float, call: Call | None = None) -> None:
        self.at = at
        """The moment drawn as of, Unix seconds on the world's clock."""
        self.call = call
        self.task: Any = None
        self.tasks: Sequence[Any] = ()
        self.node: Any = None
        self.file: Any = None
        self.files: Sequence[Any] = ()
        """Files the verb selected, where that is its subject (uploads, downloads)."""
        self.things: dict[str, Any] = {}
        """Kind -> the thing of that kind in scope (`account`, `endpoint`, `workflow`, ...)."""
        self.lists: dict[str, Sequence[Any]] = {}
        """Kind -> the things of that kind the verb selected, in the order asked."""
        self.error: Any = None
        self.problem: Any = None
        self.check: Any = None
        """Result of a graph check: an object whose `nodes` are node views with `problems`."""
        self.page: Page | None = None
        self.link = NO_LINK
        self.links: Links | None = None
        self.event: Any = None
        self.connection: Any = None
        self.preview: Any = None
        self.catalogue: Any = None
        """Looks up node classes: `classes` of those that the call names, or of all."""
        self.member: Any = None
        """The member of a thing's document that the call names: its `value`."""
        self.log: Any = None
        """What the service has written of itself: `lines`, oldest first, and all as one `text`."""
        self.queue: Any = None
        """The provider's waiting lines: `waiting` and `total` counts."""
        self.changed: Any = None
        self.server: Mapping[str, str] = {}
        self.delays: Mapping[str, float] = {}
        """Delay name -> seconds, for `after.<delay>`."""
        self.secrets: Mapping[str, str] = {}
        """Purpose -> secret (`token`), for signing what is drawn."""
        self.facts: Mapping[str, Any] = {}
        """Facts of a refusal, failure or problem, by full name (`violation.key`)."""
        self.counter = 0
        """The number a `{counter:5}` writes."""

    def bind(self, **subjects: Any) -> Scope:
        """Return a copy with *subjects* replaced."""
        child = object.__new__(Scope)
        for slot in Scope.__slots__:
            setattr(child, slot, getattr(self, slot))
        for name, value in subjects.items():
            setattr(child, name, value)
        return child
