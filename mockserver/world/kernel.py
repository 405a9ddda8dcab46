"""The event heap: what is due when, and running it at its own moment.

Nothing runs in the background: the owner says up to which moment to run. Actions at one moment run in the order they
were scheduled; those scheduled with `first=True` run before the others of their moment. First comes what only *tells*
of something (the steps of a run that somebody watches), so that telling cannot move what happens.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

Action = Callable[[Any], object]


class Due:
    """One scheduled action and its subject; `at` is its moment."""

    __slots__ = ("_action", "_kernel", "_subject", "at")

    def __init__(self, kernel: Kernel, at: float, action: Action, subject: Any) -> None:
        self.at = at
        self._kernel = kernel
        self._action: Action | None = action
        self._subject = subject

    @property
    def pending(self) -> bool:
        return self._action is not None

    def cancel(self) -> None:
        """Take it back; without effect when it ran or was cancelled before."""
        if self._action is not None:
            self._action = self._subject = None
            self._kernel.forget()

    def run(self) -> None:
        action, subject = self._action, self._subject
        assert action is not None, "ran twice"
        self._action = self._subject = None
        action(subject)


class Kernel:
    """Holds the present moment (`now`, Unix seconds) and everything due after it."""

    __slots__ = ("_cancelled", "_heap", "_number", "now")

    def __init__(self, now: float) -> None:
        self.now = now
        self._heap: list[tuple[float, int, int, Due]] = []
        self._number = 0
        self._cancelled = 0

    def schedule(self, at: float, action: Action, subject: Any = None, *, first: bool = False) -> Due:
        """Have *action* called with *subject* at the moment *at*, or at once when that has passed."""
        due = Due(self, max(at, self.now), action, subject)
        self._number += 1
        heappush(self._heap, (due.at, 0 if first else 1, self._number, due))
        return due

    def next(self) -> float | None:
        """Return the moment of the next event, or None."""
        heap = self._heap
        while heap:
            at, _, _, due = heap[0]
            if due.pending:
                return at
            heappop(heap)
            self._cancelled -= 1
        return None

    def run_next(self) -> None:
        """Run the next event at its own moment; there must be one."""
        at = self.next()
        assert at is not None
        self.now = at
        heappop(self._heap)[3].run()

    def run_until(self, moment: float) -> None:
        """Run everything due up to and at *moment*, each at its own; then it is *moment*."""
        while self._heap and self._heap[0][0] <= moment and (at := self.next()) is not None and at <= moment:
            self.now = at
            heappop(self._heap)[3].run()
        self.now = max(self.now, moment)

    def forget(self) -> None:
        """Count one cancelled entry; drop them all once they are the larger part, so that the heap stays bounded."""
        self._cancelled += 1
        if self._cancelled > 64 and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[3].pending]
            heapify(self._heap)
            self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled
