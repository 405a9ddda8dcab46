"""Scenarios as values: frozen, read once, shared by every world they are in force in.

One class for each kind of action; the words are those of `schemas/_meta/scenario.schema.json`, which explains them.
Lengths are virtual seconds, shares 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mockserver.provider.model import Json
from mockserver.provider.scope import Chance

Names = frozenset[str]
Condition = Callable[[Any], bool]


class Unset:
    """The type of `UNSET`: nothing was said. Not None, which is JSON null."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()


class Moment(NamedTuple):
    """A moment as a scenario says it: seconds since the world's start, or Unix seconds."""

    seconds: float
    absolute: bool = False

    def of(self, start: float) -> float:
        """Return it as Unix seconds, in a world that started at *start*."""
        return self.seconds if self.absolute else start + self.seconds


class Picks(NamedTuple):
    """Which of a sequence, counted from 1. All that is said must hold."""

    nth: frozenset[int] | None = None
    after: int = 0
    every: int = 1
    share: float = 1.0

    def take(self, number: int, chance: Chance) -> bool:
        """Return whether the one of this number is picked; a share draws from *chance*, once for each number."""
        drawn = self.share >= 1 or chance.uniform(0, 1) < self.share
        return (
            drawn
            and number > self.after
            and (self.nth is None or number in self.nth)
            and (number - self.after) % self.every == 0
        )


LONGEST = 1e9
"""Seconds beyond which a delay only breaks calendars."""


class Delay(NamedTuple):
    """A length to draw: fixed where `high` and `sigma` are None."""

    low: float
    high: float | None = None
    sigma: float | None = None
    """Lognormal around the median `low`."""

    def draw(self, chance: Chance) -> float:
        if self.high is not None:
            return chance.uniform(self.low, self.high)
        if self.sigma is not None:
            # Box and Muller; the first draw must not be zero.
            radius = math.sqrt(-2 * math.log(1 - chance.uniform(0, 1)))
            drawn = self.low * math.exp(self.sigma * radius * math.cos(2 * math.pi * chance.uniform(0, 1)))
            return min(drawn, LONGEST)
        return self.low


class When(NamedTuple):
    """What must hold for a rule to act. None is always."""

    providers: Names | None = None
    operations: Names | None = None
    channels: Names | None = None
    verbs: Names | None = None
    picks: Picks = Picks()
    request: Condition | None = None
    task: Condition | None = None
    since: Moment | None = None
    until: Moment | None = None

    @property
    def pointed(self) -> bool:
        """Whether it says which calls are meant."""
        return self.operations is not None or self.verbs is not None


class TaskAction(NamedTuple):
    outcome: str = "succeed"
    node: str | None = None
    at: float | None = None
    """Share of the node or run when it ends badly."""
    error: str | None = None
    message: str | None = None
    facts: Mapping[str, Any] = {}
    lost: float | None = None
    slow: float | None = None
    lasts: float | None = None
    nodes: Mapping[str, float] = {}
    results: str | None = None
    progress: str | None = None


class QueueAction(NamedTuple):
    ahead: int = 0
    slots: int | None = None
    reshuffle: bool = False
    ready: bool = True


class Limit(NamedTuple):
    """How many calls pass: in each window of `seconds`, one coming back each `seconds` (bucket), or ever (quota)."""

    kind: str
    calls: int
    seconds: float = math.inf


class AnswerAction(NamedTuple):
    error: str | int | None = None
    facts: Mapping[str, Any] = {}
    status: int | None = None
    headers: Mapping[str, str] = {}
    body: Json = UNSET
    limit: Limit | None = None
    revoked: bool = False
    stale: float = 0.0


class WireAction(NamedTuple):
    """None or false is: as it should be."""

    refuse: bool = False
    delay: Delay | None = None
    dribble: tuple[int, float] | None = None
    """Bytes at a time, seconds between."""
    reset: bool = False
    empty: bool = False
    truncate: float | None = None
    malformed: bool = False
    content_type: str | None = None
    wrong_length: int = 0
    duplicate_keys: bool = False
    large: int = 0


class FeedAction(NamedTuple):
    refuse: int | None = None
    close: tuple[int, int] | None = None
    """Code, and after how many messages."""
    drop: Picks | None = None
    duplicate: Picks | None = None
    swap: Picks | None = None
    garble: Picks | None = None
    delay: Delay | None = None
    silence: int | None = None
    unknown_type: int | None = None
    no_close: bool = False
    end_twice: bool = False


class PatchAction(NamedTuple):
    merge: Json = UNSET
    set: Mapping[str, Json] = {}
    remove: tuple[str, ...] = ()
    null_lists: bool = False


Action = TaskAction | QueueAction | AnswerAction | WireAction | FeedAction | PatchAction


class Rule(NamedTuple):
    """One planned misbehaviour."""

    id: str
    do: Action
    when: When = When()
    skip: int = 0
    times: int | None = None
    pointer: str = ""
    """Where it stands in its file."""


class Setting(NamedTuple):
    """How the world starts; None and empty is: as the server is set."""

    variants: Mapping[str, Mapping[str, str]] = {}
    seed: int | None = None
    start: int | None = None
    """Unix seconds."""
    slots: int | None = None
    workflows: Mapping[str, Json] = {}
    accounts: tuple[Mapping[str, Any], ...] = ()
    rate: float | None = None


class Scenario(NamedTuple):
    """One scenario. `name` is its file's, without the ending."""

    name: str
    about: str = ""
    setting: Setting = Setting()
    rules: tuple[Rule, ...] = ()
