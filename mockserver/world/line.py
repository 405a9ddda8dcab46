"""The waiting line: who goes next, who holds a slot, and how many wait ahead of each.

Knows nothing of time or of tasks: callers pass a key for each (its urgency, then its number, which makes it unique),
and the smallest key goes first. Rank and length are exact at every moment and cost O(log n).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from sortedcontainers import SortedList

from mockserver.provider.scope import Chance

T = TypeVar("T")
Key = tuple[Any, ...]


class Line(Generic[T]):
    """One line and its slots. After anything that frees a slot or lets one wait, call `take` until it gives None.

    Fewer slots than are held stop nobody: no one is taken until enough have left.
    """

    __slots__ = ("_held_back", "_keys", "_subjects", "running", "slots")

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.running: set[Key] = set()
        """Keys of those that hold a slot."""
        self._keys: SortedList[Key] = SortedList()
        self._subjects: dict[Key, T] = {}
        self._held_back: set[Key] = set()

    @property
    def waiting(self) -> int:
        return len(self._keys)

    @property
    def total(self) -> int:
        """How many wait or run."""
        return len(self._keys) + len(self.running)

    def enter(self, key: Key, subject: T, *, held_back: bool = False) -> None:
        """Let *subject* wait; one that is *held_back* keeps its place but is never taken."""
        self._keys.add(key)
        self._subjects[key] = subject
        if held_back:
            self._held_back.add(key)

    def leave(self, key: Key) -> None:
        """Stop waiting or give the slot back; without effect for one that does neither."""
        if self._subjects.pop(key, None) is not None:
            self._keys.remove(key)
            self._held_back.discard(key)
        else:
            self.running.discard(key)

    def rank(self, key: Key) -> int:
        """Return how many wait ahead of *key*, which must be waiting."""
        return int(self._keys.bisect_left(key))

    def take(self) -> T | None:
        """Give a free slot to the first that may go; None when no slot is free or no one may."""
        if len(self.running) >= self.slots or not self._keys:
            return None
        if not self._held_back:
            key = self._keys.pop(0)
        else:
            free = next((key for key in self._keys if key not in self._held_back), None)
            if free is None:
                return None
            key = free
            self._keys.remove(key)
        self.running.add(key)
        return self._subjects.pop(key)

    def reshuffle(self, chance: Chance) -> Iterator[tuple[Key, T]]:
        """Deal the waiting new places; give each with its new key."""
        keys = list(self._keys)
        dealt = list(keys)
        for index in range(len(dealt) - 1, 0, -1):
            other = chance.below(index + 1)
            dealt[index], dealt[other] = dealt[other], dealt[index]
        before, held_back = self._subjects, self._held_back
        self._subjects = {new: before[old] for new, old in zip(keys, dealt, strict=True)}
        self._held_back = {new for new, old in zip(keys, dealt, strict=True) if old in held_back}
        yield from self._subjects.items()

    def __contains__(self, key: Key) -> bool:
        return key in self._subjects
