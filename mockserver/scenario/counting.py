"""Counting: which of the calls that fit a rule it acts on, and how much a limit still lets pass.

Mutable, one for each rule in force in a world. Moments are Unix seconds on the world's clock and come from outside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mockserver.provider.scope import Chance
from mockserver.scenario.model import Limit, Picks


@dataclass(slots=True)
class Hits:
    """How often something fitted a rule, and how often the rule acted."""

    matched: int = 0
    acted: int = 0


class Counter:
    """Picks, then skips, then acts at most so often."""

    __slots__ = ("_chance", "_picks", "_skip", "_times", "hits")

    def __init__(self, picks: Picks, skip: int, times: int | None, chance: Chance) -> None:
        self._picks, self._skip, self._times, self._chance = picks, skip, times, chance
        self.hits = Hits()

    def take(self) -> bool:
        """Count one that fits; return whether the rule may act on it."""
        self.hits.matched += 1
        if not self._picks.take(self.hits.matched, self._chance):
            return False
        if self._skip:
            self._skip -= 1
            return False
        return self._times is None or self.hits.acted < self._times

    def acted(self) -> None:
        self.hits.acted += 1


class Gauge:
    """What is left of a limit."""

    __slots__ = ("_left", "_limit", "_since")

    def __init__(self, limit: Limit, at: float) -> None:
        self._limit = limit
        self._left = float(limit.calls)
        self._since = at

    def wait(self, at: float) -> float:
        """Take one call; return 0, or how many seconds until one may pass, `inf` for never."""
        limit = self._limit
        if limit.kind == "window":
            # Windows follow one another without a gap, from the moment the rule came into force.
            passed = (at - self._since) // limit.seconds
            if passed > 0:
                self._since += passed * limit.seconds
                self._left = float(limit.calls)
        elif limit.kind == "bucket":
            self._left = min(float(limit.calls), self._left + (at - self._since) / limit.seconds)
            self._since = at
        # A hair below one is one: seconds are added up in floats.
        if self._left >= 1 - 1e-9:
            self._left -= 1
            return 0.0
        if limit.kind == "window":
            return math.inf if limit.calls == 0 else self._since + limit.seconds - at
        return math.inf if limit.kind == "quota" else (1 - self._left) * limit.seconds
