"""A task's history: what all bodies say of one task, in order, held against its machine.

Polls are one account of the task, each connection to a feed another. Each account is judged by itself; then what
polling says must not be behind what a feed said before. A feed may be late: it tells of the moments it tells of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from contracts.model import Look, Said, Sight
from contracts.promise import StateMachine
from mockserver.provider.observing import Observation, Several
from mockserver.provider.vocabulary import SEEN_STATES, VALUES

POLLS = 0
"""The account that polls give; those of feeds bear the number of the connection."""
KEPT_POINTS = 64
"""So many changes of a task are kept for comparing accounts and for the timeline."""
CLOSE = 0.011
"""Shares that differ by no more are the same: providers round down to whole percents."""
SECOND = 1.0

Broken = list[tuple[str, str]]
"""Breaches: rule and text."""

FIXED = frozenset(name for name, value in VALUES.items() if value.trait == "constant" and name != "task.id")
GROWS = frozenset(name for name, value in VALUES.items() if value.trait == "grows" and name != "task.progress")
LASTING = FIXED | GROWS
MOMENTS = ("task.created", "task.started", "task.finished")


def said(one: Observation, machine: StateMachine) -> Said:
    """Return what *one* says, and all of it that is the same each time it is said."""
    # A body that leaves every state possible says nothing of it.
    states = frozenset() if len(one.states) == len(machine.all) else one.states.difference(SEEN_STATES)
    progress = one.values.get("task.progress")
    return Said(
        states,
        bool(one.states) and one.states <= {"unknown"},
        bool(states) and states <= machine.final,
        dict(one.values),
        None if isinstance(progress, bool) or not isinstance(progress, int | float) else progress,
        tuple(name for name in one.values if name in LASTING or "#" in name),
        tuple(dict.fromkeys(one.links)),
    )


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
    said: Said | None = None
    """What the last body said: equal answers share it."""


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

    def tell(self, sight: Sight, at: float, number: int, source: int, broken: Broken) -> int:
        """Take in what one body says, adding what it breaks; return how many assertions were made."""
        machine, said = self.machine, sight.said
        if said.unknown:
            self.forgotten(at, broken)
            return 1
        account = self.accounts.get(source)
        if account is not None and account.said is said and len(self.accounts) == 1:
            self.last = at
            return 3  # the same as before
        states, values, progress = said.states, said.values, said.progress
        if not states and len(values) < 2:
            return 0
        if machine.ids_return and self._again(values):
            self.accounts.clear()
            self.points.clear()
            self.fixed.clear()
            account = None
        if account is None:
            account = self.accounts[source] = Account()
        account.said = said
        changed = False
        if states:
            changed = states != account.states and self._states(states, account, source, broken)
            if machine.first_come and states <= machine.waiting:
                self._positions(values, account, broken)
            if (account.states or states) <= machine.final:
                self.ended = True
        if progress is not None:
            before = account.progress
            if before is not None and progress < before - CLOSE:
                broken.append(("progress-never-falls", f"progress was {before:.0%}, then {progress:.0%}"))
            changed = changed or progress != before
            account.progress = progress
        if said.lasting:
            self._values(values, said.lasting, account, broken)
        if at > self.last:
            self.last = at
        if changed or len(self.accounts) > 1:
            point = Point(at, number, account.states or states, progress, source != POLLS)
            if len(self.accounts) > 1:
                self._compare(point, broken)
            if changed:
                self._keep(point)
        return 3

    def _again(self, values: dict[str, Any]) -> bool:
        """Whether this is a later task with the same id, whose submit was not recorded."""
        created, before = values.get("task.created"), self.fixed.get("task.created")
        return isinstance(created, int | float) and isinstance(before, int | float) and created > before

    def forgotten(self, at: float, broken: Broken) -> None:
        """Take in that there is no such task now."""
        kept = self.machine.keep
        if self.seen and not self.deleted and (kept is None or at - self.last < kept):
            broken.append(("task-forgotten", "was known, then there is no such task"))
            self.deleted = True

    def _states(self, states: frozenset[str], account: Account, source: int, broken: Broken) -> bool:
        before = account.states
        if before is None:
            self.seen = True
            account.states = states
            return True
        machine = self.machine
        possible = machine.reach(before) & states
        if not possible:
            was, now = _named(before), _named(states)
            if before <= machine.final:
                broken.append(("state-final-stays-final", f"was {was}, then {now}"))
            else:
                broken.append(("state-step-legal", f"was {was}, then {now}, to which no steps lead"))
            possible = states
        elif source != POLLS and not (machine.one_step(before) & states):
            broken.append(("feed-skips-no-state", f"was {_named(before)}, then {_named(states)}, with nothing between"))
        account.states = possible
        return possible != before

    def _positions(self, values: dict[str, Any], account: Account, broken: Broken) -> None:
        for name in ("task.position", "task.ahead"):
            place = values.get(name)
            if isinstance(place, int | float) and not isinstance(place, bool):
                before = account.positions.get(name)
                if before is not None and place > before:
                    broken.append(("position-never-grows", f"was at place {before:g}, then at {place:g}"))
                account.positions[name] = place

    def _values(self, values: dict[str, Any], names: tuple[str, ...], account: Account, broken: Broken) -> None:
        moments = [moment for name in MOMENTS if isinstance(moment := values.get(name), int | float)]
        if len(moments) > 1 and any(one > other + SECOND for one, other in pairwise(moments)):
            broken.append(("times-ordered", f"{', '.join(name for name in MOMENTS if name in values)} are {moments}"))
        for name in names:
            value, base = values[name], name.partition("#")[0]
            if base in GROWS and isinstance(value, int | float):
                before = account.values.get(name)
                if before is not None and value < before - SECOND:
                    broken.append(("value-never-falls", f"{name} was {before:g}, then {value:g}"))
                account.values[name] = value
            elif base in FIXED and not isinstance(value, Several):
                before = self.fixed.setdefault(name, value)
                if not _same(before, value):
                    broken.append(("value-stays", f"{name} was {before!r}, then {value!r}"[:300]))
                    self.fixed[name] = value

    def _compare(self, point: Point, broken: Broken) -> None:
        """Hold a change against what the other accounts said before and after it."""
        for other in self.points:
            if other.fed != point.fed:
                fed, polled = (other, point) if other.fed else (point, other)
                if self._behind(fed, polled):
                    was, now = _told(fed), _told(polled)
                    broken.append(("feed-agrees-with-polling", f"the feed said {was}, a later poll {now}"))
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
