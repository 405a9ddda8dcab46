"""The journal: what happened in a world, in order. Polls are not in it, so polling cannot change it.

Entries are frozen; the oldest go when the journal outgrows its bytes, and a reader who asks for them is told.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from mockserver.world.budget import Account, Budget

DEFAULT_BYTES = 64 * 1024 * 1024
NO_FACTS: Mapping[str, Any] = MappingProxyType({})
# A slim entry measured with its place in the deque; facts add what they hold.
_ENTRY_BYTES = 160
_FACT_BYTES = 80


class Entry(NamedTuple):
    """One thing that happened. `name` is a verb (`submit`) or an event (`task.running`)."""

    number: int
    """Counts from 1 in each world."""
    at: float
    """Unix seconds on the world's clock."""
    provider: str
    name: str
    task: str | None
    """Id of the task it happened to."""
    facts: Mapping[str, Any]
    cause: str | None
    """Why: the condition of a failure, or the scenario rule behind it."""

    def line(self) -> bytes:
        """Return the entry as one line of NDJSON, the same bytes for the same entry."""
        shown = {"n": self.number, "at": round(self.at, 6), "provider": self.provider, "name": self.name}
        extra = {"task": self.task, "facts": dict(self.facts) or None, "cause": self.cause}
        shown.update((name, value) for name, value in extra.items() if value is not None)
        return (
            json.dumps(shown, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str).encode() + b"\n"
        )


class Extract(NamedTuple):
    """Part of a journal. `lost` counts entries that were asked for but are gone."""

    entries: tuple[Entry, ...]
    lost: int

    def ndjson(self) -> bytes:
        return b"".join(entry.line() for entry in self.entries)


class Journal:
    """Entries in order, the newest up to *max_bytes* (by estimate), and what *budget* leaves."""

    __slots__ = ("_entries", "_room", "last")

    def __init__(self, max_bytes: int = DEFAULT_BYTES, budget: Budget | None = None) -> None:
        self.last = 0
        """Number of the newest entry; 0 before the first."""
        self._entries: deque[Entry] = deque()
        self._room = Account(max_bytes, budget)

    def add(
        self,
        at: float,
        provider: str,
        name: str,
        task: str | None = None,
        facts: Mapping[str, Any] = NO_FACTS,
        cause: str | None = None,
    ) -> None:
        self.last += 1
        self._entries.append(Entry(self.last, at, provider, name, task, facts, cause))
        over = self._room.change(_ENTRY_BYTES if facts is NO_FACTS else _size(facts))
        while over and len(self._entries) > 1:
            oldest = self._entries.popleft()
            over = self._room.change(-(_ENTRY_BYTES if oldest.facts is NO_FACTS else _size(oldest.facts)))

    def close(self) -> None:
        """Give its room back: its world is no more."""
        self._entries.clear()
        self._room.close()

    def since(self, number: int = 0, limit: int | None = None) -> Extract:
        """Return at most *limit* entries after entry *number*, and how many of those asked for are gone."""
        gone = self.last - len(self._entries)
        skip = max(0, number - gone)
        stop = None if limit is None else skip + limit
        return Extract(tuple(islice(self._entries, skip, stop)), max(0, gone - max(0, number)))

    def ndjson(self) -> bytes:
        """Return everything kept as NDJSON."""
        return self.since().ndjson()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)


def _size(facts: Mapping[str, Any]) -> int:
    texts = sum(len(value) for value in facts.values() if isinstance(value, str))
    return _ENTRY_BYTES + _FACT_BYTES * len(facts) + texts
