"""What a call asks of a verb: its marks, whose call it is, and how a verb reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from mockserver.provider.model import Json, Marks, Verb
from mockserver.provider.scope import Call
from mockserver.world.things import Thing


class Asked(NamedTuple):
    """One call of a verb."""

    verb: Verb
    marks: Marks
    call: Call
    account: Thing | None
    document: Json

    @property
    def lenient(self) -> Sequence[str]:
        lenient: Sequence[str] = self.verb.options.get("lenient", ())
        return lenient

    @property
    def states(self) -> Sequence[str] | None:
        states: Sequence[str] | None = self.verb.options.get("in")
        return states


def first_of(marks: Marks, name: str) -> Any:
    """Return the first value of a mark that is not null; None if there is none."""
    values = marks.get(name)
    if values is not None:
        for value in values:
            if value is not None:
                return value
    return None


def text_of(value: Any) -> str:
    return "" if value is None else str(value)


def ids_of(marks: Marks, kind: str, *, each: bool = False) -> list[str]:
    """Return the ids a request gives, each once or *each* as often; null and the empty text are no id."""
    given = [str(id) for id in marks.get(f"{kind}.id", ()) if id is not None and id != ""]
    return given if each or len(given) < 2 else list(dict.fromkeys(given))


def given_list(marks: Marks, name: str) -> Sequence[str] | None:
    """Return a list a request gives, whether marked as a whole or item by item."""
    values = marks.get(name)
    if values is None:
        return None
    if len(values) == 1 and isinstance(values[0], list):
        return values[0]
    return [str(value) for value in values if value is not None] or None


class OfSomebody(Protocol):
    """What has an owner, or belongs to everybody."""

    @property
    def account(self) -> Thing | None: ...


def may_see(thing: OfSomebody, account: Thing | None) -> bool:
    """Return whether a thing is everyone's or the caller's own."""
    return thing.account is None or account is None or thing.account.id == account.id
