"""Things with an id and a state: accounts, workflows, pools, endpoints, and how they and tasks are found and listed.

Knows nothing of verbs: callers say what is wanted. A thing's states change only through `lives`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from mockserver.provider.model import Json, Kind
from mockserver.provider.scope import Page
from mockserver.provider.values import point

UNKNOWN = "unknown"
"""State of a stand-in for what does not exist."""
FOREIGN = "foreign"
"""State of a stand-in for what belongs to someone else."""


class Owned(Protocol):
    """What a collection holds: tasks and things."""

    @property
    def id(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def account(self) -> Thing | None: ...


class Thing:
    """One thing of a kind. `document` is what `endpoint#/x` reads; `account` whose it is, None for everyone's."""

    __slots__ = ("_reached", "account", "created", "document", "id", "kind", "number", "state", "uses")

    def __init__(
        self,
        kind: str,
        id: str,
        number: int,
        *,
        document: Mapping[str, Json],
        created: float | None = None,
        account: Thing | None = None,
    ) -> None:
        self.kind = kind
        self.id = id
        self.number = number
        self.document: Mapping[str, Json] = document
        self.created = created
        self.account = account
        self.uses: Mapping[str, Thing] = {}
        """Kind -> the thing of that kind it was made with."""
        self.state = ""
        self._reached: tuple[tuple[str, float], ...] = ()

    @property
    def reached(self) -> dict[str, float]:
        """State -> the moment it was last entered."""
        return dict(self._reached)

    def enter(self, state: str, at: float) -> None:
        self.state = state
        self._reached = (*self._reached[-15:], (state, at))

    def copy(self) -> Thing:
        """Return it as it is now, for answers that show what was before a change."""
        copy = Thing(
            self.kind, self.id, self.number, document=self.document, created=self.created, account=self.account
        )
        copy.state, copy._reached, copy.uses = self.state, self._reached, self.uses
        return copy

    def __repr__(self) -> str:
        return f"<{self.kind} {self.id!r} {self.state}>"


def stand_in(kind: str, id: str, state: str) -> Thing:
    """Return a thing that is not there, or not the caller's: `state` is `unknown` or `foreign`."""
    thing = Thing(kind, id, 0, document={})
    thing.state = state
    return thing


T = TypeVar("T", bound=Owned)


class Collection(Generic[T]):
    """Things of one kind by id, in the order they were made."""

    __slots__ = ("_by_id", "made")

    def __init__(self) -> None:
        self._by_id: dict[str, T] = {}
        self.made = 0
        """How many were ever made; numbers count from 1."""

    def number(self) -> int:
        self.made += 1
        return self.made

    def add(self, thing: T) -> None:
        # A replaced thing gives up its place in the order too.
        self._by_id.pop(thing.id, None)
        self._by_id[thing.id] = thing

    def remove(self, thing: T) -> bool:
        """Forget *thing*; false when its id belongs to another by now."""
        if self._by_id.get(thing.id) is not thing:
            return False
        del self._by_id[thing.id]
        return True

    def get(self, id: str) -> T | None:
        return self._by_id.get(id)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[T]:
        return iter(self._by_id.values())


def reader(name: str) -> Callable[[Any], Any]:
    """Return what reads the value *name* (`task.created`, `endpoint#/name`) from a thing of that kind."""
    base, _, pointer = name.partition("#")
    _, _, attribute = base.partition(".")
    attribute = {"": "document"}.get(attribute, attribute.replace("-", "_"))
    if pointer:
        return lambda thing: point(getattr(thing, attribute, None), pointer)
    return lambda thing: getattr(thing, attribute, None)


def ordered(things: Iterable[T], names: Sequence[str]) -> list[T]:
    """Sort by value names, `-` in front for falling; what has no value comes last, ties keep their order."""
    result = list(things)
    for name in reversed(names):
        read = reader(name.removeprefix("-"))
        falling = name.startswith("-")
        having = [thing for thing in result if read(thing) is not None]
        lacking = [thing for thing in result if read(thing) is None]
        # `reverse` keeps ties in order, which of equal moments would show the older first: number them as well.
        having.sort(key=lambda thing: (read(thing), thing.number), reverse=falling)
        result = having + lacking
    return result


def cut(things: Sequence[T], page: Page, *, from_end: bool = False) -> list[T]:
    """Return the part of *things* that *page* asks for, and write into *page* what it shows of the whole."""
    page.total = len(things)
    if page.limit is None and page.offset is None and page.cursor is None:
        return list(things)
    start = page.offset or 0
    if page.cursor is not None:
        found = next((at for at, thing in enumerate(things) if thing.id == page.cursor), len(things) - 1)
        start += found + 1
    elif from_end and page.limit is not None and page.offset is None:
        start = max(0, len(things) - page.limit)
    start = max(0, start)
    stop = len(things) if page.limit is None else start + max(0, page.limit)
    taken = list(things[start:stop])
    page.more = stop < len(things)
    full = page.limit is not None and len(taken) == page.limit > 0
    page.cursor = taken[-1].id if full else None
    return taken


def ready(kind: Kind, thing: Thing) -> bool:
    return kind.ready is None or thing.state in kind.ready
