"""A task's history: what all bodies say of one task, in order, held against its machine.

Polls are one account of the task, each connection to a feed another. Each account is judged by itself; then what
polling says must not be behind what a feed said before. A feed may be late: it tells of the moments it tells of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from contracts.model import Look, Sight
from contracts.promise import StateMachine
from mockserver.provider.observing import Several
from mockserver.provider.vocabulary import SEEN_STATES, VALUES

POLLS = 0
"""The account that polls give; those of feeds bear the number of the connection."""
KEPT_POINTS = 64
"""So many changes of a task are kept for comparing accounts and for the timeline."""
CLOSE = 0.011
"""Shares that differ by no more are the same: providers round down to whole percents."""
SECOND = 1.0

Emit = Callable[[str, str], None]
"""Reports a breach: rule and text."""

FIXED = frozenset(name for name, value in VALUES.items() if value.trait == "constant" and name != "task.id")
GROWS = frozenset(name for name, value in VALUES.items() if value.trait == "grows" and name != "task.progress")
LASTING = FIXED | GROWS
MOMENTS = ("task.created", "task.started", "task.finished")


@dataclass(slots=True)
class Point:
    """A change of what is known of a task."""

    at: float
    number: int
    states: frozenset[str]
    progress: float | None
    fed: bool
    position: float | None = None


@dataclass(slots=True)
class Account:
    """What one source has said so far."""

    states: frozenset[str] | None = None
    progress: float | None = None
    positions: dict[str, float] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Any] | None = None
    """The values of the last body: equal answers share them."""


@dataclass(slots=True)
class History:
    """One task."""

    provider: str
    id: str
    machine: StateMachine
    first: Look | None = None
    """Where it was first spoken of."""
    submitted: Look | None = None
    left: Look | None = None
    """A feed that ended before the task did."""
    asked: int = 0
    """The number of the last exchange that asked for it, whatever was answered."""
    sights: int = 0
    seen: bool = False
    """Told in a state of the machine."""
    ended: bool = False
    deleted: bool = False
    told_by: set[str] = field(default_factory=set)
    """Operations that told its state."""
    last: float = 0.0
    findings: int = 0
    accounts: dict[int, Account] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    fixed: dict[str, Any] = field(default_factory=dict)

    def tell(self, sight: Sight, *, at: float, number: int, source: int, emit: Emit) -> int:
        """Take in what one body says; return how many assertions were made."""
        machine = self.machine
        self.sights += 1
        if sight.states and sight.states <= {"unknown"}:
            self.forgotten(at, emit)
            return 1
        account = self.accounts.get(source)
        if account is not None and account.said is sight.values and len(self.accounts) == 1:
            self.last = at
            return 3  # the same as before
        # A body that leaves every state possible says nothing of it.
        states = frozenset() if len(sight.states) == len(machine.all) else sight.states.difference(SEEN_STATES)
        values = sight.values
        if not states and len(values) < 2:
            return 0
        if machine.ids_return and self._again(values):
            self.accounts.clear()
            self.points.clear()
            self.fixed.clear()
            account = None
        if account is None:
            account = self.accounts[source] = Account()
        account.said = values
        progress = values.get("task.progress")
        if isinstance(progress, bool) or not isinstance(progress, int | float):
            progress = None
        changed = False
        if states:
            changed = self._states(states, account, source, emit)
        if progress is not None:
            if account.progress is not None and progress < account.progress - CLOSE:
                emit("progress-never-falls", f"progress was {account.progress:.0%}, then {progress:.0%}")
            changed = changed or progress != account.progress
            account.progress = progress
        if machine.first_come and states and states <= machine.waiting:
            self._positions(values, account, emit)
        told = [name for name in values if name in LASTING or "#" in name]
        if told:
            self._values(values, told, account, emit)
        if states and (account.states or states) <= machine.final:
            self.ended = True
        self.last = max(self.last, at)
        if changed or len(self.accounts) > 1:
            point = Point(at, number, account.states or states, progress, source != POLLS)
            self._compare(point, emit)
            if changed:
                self._keep(point)
        return 3

    def _again(self, values: dict[str, Any]) -> bool:
        """Whether this is a later task with the same id, whose submit was not recorded."""
        created, before = values.get("task.created"), self.fixed.get("task.created")
        return isinstance(created, int | float) and isinstance(before, int | float) and created > before

    def forgotten(self, at: float, emit: Emit) -> None:
        """Take in that there is no such task now."""
        kept = self.machine.keep
        if self.seen and not self.deleted and (kept is None or at - self.last < kept):
            emit("task-forgotten", "was known, then there is no such task")
            self.deleted = True

    def _states(self, states: frozenset[str], account: Account, source: int, emit: Emit) -> bool:
        before = account.states
        self.seen = True
        if before is None:
            account.states = states
            return True
        if states == before:
            return False
        machine = self.machine
        possible = machine.reach(before) & states
        if not possible:
            was, now = _named(before), _named(states)
            if before <= machine.final:
                emit("state-final-stays-final", f"was {was}, then {now}")
            else:
                emit("state-step-legal", f"was {was}, then {now}, to which no steps lead")
            possible = states
        elif source != POLLS and not (machine.one_step(before) & states):
            emit("feed-skips-no-state", f"was {_named(before)}, then {_named(states)}, with nothing between")
        account.states = possible
        return possible != before

    def _positions(self, values: dict[str, Any], account: Account, emit: Emit) -> None:
        for name in ("task.position", "task.ahead"):
            place = values.get(name)
            if isinstance(place, int | float) and not isinstance(place, bool):
                before = account.positions.get(name)
                if before is not None and place > before:
                    emit("position-never-grows", f"was at place {before:g}, then at {place:g}")
                account.positions[name] = place

    def _values(self, values: dict[str, Any], names: list[str], account: Account, emit: Emit) -> None:
        moments = [moment for name in MOMENTS if isinstance(moment := values.get(name), int | float)]
        if len(moments) > 1 and any(one > other + SECOND for one, other in pairwise(moments)):
            emit("times-ordered", f"{', '.join(name for name in MOMENTS if name in values)} are {moments}")
        for name in names:
            value, base = values[name], name.partition("#")[0]
            if base in GROWS and isinstance(value, int | float):
                before = account.values.get(name)
                if before is not None and value < before - SECOND:
                    emit("value-never-falls", f"{name} was {before:g}, then {value:g}")
                account.values[name] = value
            elif base in FIXED and not isinstance(value, Several):
                before = self.fixed.setdefault(name, value)
                if not _same(before, value):
                    emit("value-stays", f"{name} was {before!r}, then {value!r}"[:300])
                    self.fixed[name] = value

    def _compare(self, point: Point, emit: Emit) -> None:
        """Hold a change against what the other accounts said before and after it."""
        if len(self.accounts) > 1:
            for other in self.points:
                if other.fed != point.fed:
                    fed, polled = (other, point) if other.fed else (point, other)
                    if self._behind(fed, polled):
                        was, now = _told(fed), _told(polled)
                        emit("feed-agrees-with-polling", f"the feed said {was}, a later poll {now}")
                        break

    def _keep(self, point: Point) -> None:
        if len(self.points) >= KEPT_POINTS:
            del self.points[KEPT_POINTS // 2]
        self.points.append(point)

    def _behind(self, fed: Point, polled: Point) -> bool:
        final = self.machine.final
        if fed.states <= final and polled.states <= final:
            return not fed.states & polled.states
        if polled.at <= fed.at:
            return False
        if not self.machine.reach(fed.states) & polled.states:
            return True
        return fed.progress is not None and polled.progress is not None and polled.progress < fed.progress - CLOSE


def _named(states: frozenset[str]) -> str:
    return " or ".join(sorted(states))


def _told(point: Point) -> str:
    return _named(point.states) + (f" at {point.progress:.0%}" if point.progress is not None else "")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float) and not isinstance(one, bool):
        return abs(one - other) <= SECOND if one > 1e8 else one == other
    return bool(one == other)
