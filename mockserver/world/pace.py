"""How evenly a run goes: time against progress. Usually one is the other; a troubled run stalls, leaps or falls back.

Shares 0..1 only: of the run's time, and of the run itself as its plan counts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple


class Rise(NamedTuple):
    """A stretch in which the run goes forward: from a share of the run, reached at a share of the time, to another."""

    since: float
    at: float
    until: float
    to: float

    def time(self, share: float) -> float:
        """Return the share of the time when *share* of the run, which lies within, is reached."""
        return self.at + (share - self.since) / (self.until - self.since) * (self.to - self.at)


EVEN = (Rise(0.0, 0.0, 1.0, 1.0),)


class Pace:
    """A line through *knots*: (share of the time, share of the run), from (0, 0) to (1, 1); time never falls.

    Where two knots share a time the run leaps, or falls back: from there on it does its work, and tells of it, again.
    """

    __slots__ = ("knots", "rises")

    def __init__(self, knots: Sequence[tuple[float, float]]) -> None:
        self.knots = tuple(knots)
        self.rises = tuple(
            Rise(share, time, to_share, to_time)
            for (time, share), (to_time, to_share) in pairwise(self.knots)
            if to_share > share
        )

    @classmethod
    def of_lengths(cls, lengths: Sequence[tuple[float, float]]) -> tuple[Pace, float]:
        """Return the pace of stretches of given *lengths*, and their sum.

        Args:
            lengths: for each stretch the share of the run at its end, and its length in any unit.
        """
        total = sum(length for _, length in lengths)
        return cls(list(_knots(lengths, total))) if total > 0 else cls([(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)]), total

    def share(self, time: float) -> float:
        """Return the share of the run at a share of the time; at a leap, after it."""
        for (at, share), (to, to_share) in reversed(list(pairwise(self.knots))):
            if time >= at:
                return to_share if to <= at else share + (min(time, to) - at) / (to - at) * (to_share - share)
        return 0.0

    def time(self, share: float, *, after: float = 0.0) -> float:
        """Return the first share of the time, from *after* on, at which the run reaches *share*."""
        for rise in self.rises:
            if rise.since <= share <= rise.until and (time := rise.time(share)) >= after:
                return time
        return max(after, 0.0 if share <= 0 else 1.0)

    def __repr__(self) -> str:
        return f"Pace({list(self.knots)!r})"


def _knots(lengths: Sequence[tuple[float, float]], total: float) -> Iterator[tuple[float, float]]:
    yield 0.0, 0.0
    spent = 0.0
    for share, length in lengths:
        spent += length
        # Rounding must not leave the end open.
        yield min(spent / total, 1.0), share
    yield 1.0, 1.0
