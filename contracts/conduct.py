"""A client's conduct: what it does again, too early, or too often.

Takes looks in their order and remembers, for so many different requests, how the last of each went.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from contracts.links import expiry
from contracts.model import Breach, Look, Sight
from contracts.promise import StateMachine

REMEMBERED = 4096
HASTE = (6, 0.5)
"""So many polls within so many seconds are too many: no service changes that fast."""
LOST = (0, 408, 499, 502, 504)
"""Statuses after which nobody knows whether a call was obeyed; 0 is none at all."""


@dataclass(slots=True)
class Poll:
    """How one and the same request for tasks went so far."""

    over_until: float | None = None
    """The tasks had ended, and links given then live until this moment; None where they had not."""
    told: bool = False
    times: deque[float] = field(default_factory=lambda: deque(maxlen=HASTE[0]))
    hasty: bool = False


class Conduct:
    """The client, or clients, of one recording."""

    def __init__(self) -> None:
        self._polls: OrderedDict[tuple[str, int], Poll] = OrderedDict()
        self._limited: dict[tuple[str, str], tuple[float, int]] = {}
        self._lost: dict[str, tuple[int, int]] = {}

    def take(self, look: Look, machine: StateMachine) -> Iterator[Breach]:
        """Yield what the client did wrong with this exchange."""
        asked, status = look.asked, look.answered.status
        limit = self._limited.pop((look.provider, asked.operation), None) if self._limited else None
        if limit is not None and look.at < limit[0]:
            text = f"came {limit[0] - look.at:.1f} s before the time that #{limit[1]} said to wait for"
            yield Breach("ignores-retry-after", "error", text)
        if look.retry_after is not None:
            self._limited[look.provider, asked.operation] = (look.at + look.retry_after, look.number)
        if asked.verb == "submit":
            lost = self._lost.pop(look.provider, None)
            if lost is not None and lost[0] == asked.key:
                text = f"the answer to #{lost[1]} was lost; the same is submitted again without a look"
                yield Breach("resubmits-without-looking", "error", text)
            if status in LOST:
                self._lost[look.provider] = (asked.key, look.number)
        elif self._lost and status == 200:
            self._lost.pop(look.provider, None)
        if asked.verb in ("read", "list") and asked.of == "task" and asked.tasks:
            yield from self._polled(look, machine)

    def _polled(self, look: Look, machine: StateMachine) -> Iterator[Breach]:
        key = (look.provider, look.asked.key)
        poll = self._polls.get(key)
        if poll is None:
            poll = self._polls[key] = Poll()
            if len(self._polls) > REMEMBERED:
                self._polls.popitem(last=False)
        else:
            self._polls.move_to_end(key)
        if poll.over_until is not None and look.at <= poll.over_until and not poll.told:
            poll.told = True
            yield Breach("polls-after-end", "warning", "the same was asked before, and the answer told the end")
        times = poll.times
        times.append(look.at)
        if len(times) == HASTE[0] and 0 < times[-1] - times[0] < HASTE[1] and not poll.hasty:
            # A clock that stands still, as in tests, says nothing of haste.
            poll.hasty = True
            yield Breach("polls-too-fast", "warning", f"{HASTE[0]} polls within {times[-1] - times[0]:.2f} s")
        if not look.answered.refused:
            poll.over_until = _over_until(look, machine)


def _over_until(look: Look, machine: StateMachine) -> float | None:
    """Return until when the links of an answer live that tells the end of all it was asked for; None if it does not."""
    told: dict[str | None, Sight] = {sight.task: sight for sight in look.answered.sights}
    for task in look.asked.tasks:
        sight = told.get(task)
        if sight is None or not sight.states or not sight.states <= machine.final:
            return None
    ends = [
        expires if (expires := expiry(link.partition("?")[2])) is not None else look.at + (look.asked.lifetime or 0)
        for sight in told.values()
        for link in sight.links
    ]
    return min(ends, default=math.inf)
