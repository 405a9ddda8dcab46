"""A client's conduct: what it does again, too early, or too often.

Takes looks in their order and remembers, for so many different requests, how the last of each went.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

from contracts.links import expiry
from contracts.model import ASKS, Breach, Look

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
    last: float = -math.inf
    quick: list[float] = field(default_factory=list)
    """When it was asked lately, as long as one followed the other in haste."""
    hasty: bool = False


class Conduct:
    """The client, or clients, of one recording."""

    def __init__(self) -> None:
        self._polls: OrderedDict[int, Poll] = OrderedDict()
        """Polls by the key of what is asked."""
        self._limited: dict[tuple[str, str], tuple[float, int]] = {}
        self._lost: dict[str, tuple[int, int]] = {}

    def take(self, look: Look) -> list[Breach]:
        """Return what the client did wrong with this exchange."""
        found: list[Breach] = []
        asked, status = look.asked, look.answered.status
        limit = self._limited.pop((look.provider, asked.operation), None) if self._limited else None
        if limit is not None and look.at < limit[0]:
            text = f"came {limit[0] - look.at:.1f} s before the time that #{limit[1]} said to wait for"
            found.append(Breach("ignores-retry-after", "error", text))
        if look.retry_after is not None:
            self._limited[look.provider, asked.operation] = (look.at + look.retry_after, look.number)
        if asked.verb == "submit":
            lost = self._lost.pop(look.provider, None)
            if lost is not None and lost[0] == asked.key:
                text = f"the answer to #{lost[1]} was lost; the same is submitted again without a look"
                found.append(Breach("resubmits-without-looking", "error", text))
            if status in LOST:
                self._lost[look.provider] = (asked.key, look.number)
        elif self._lost and status == 200:
            self._lost.pop(look.provider, None)
        if asked.tasks and asked.verb in ASKS and asked.of == "task":
            self._polled(look, found)
        return found

    def _polled(self, look: Look, found: list[Breach]) -> None:
        key = look.asked.key
        poll = self._polls.get(key)
        if poll is None:
            poll = self._polls[key] = Poll()
            if len(self._polls) > REMEMBERED:
                self._polls.popitem(last=False)
        else:
            self._polls.move_to_end(key)
        if poll.over_until is not None and look.at <= poll.over_until and not poll.told:
            poll.told = True
            text = "the same was asked before, and the answer told the end"
            found.append(Breach("polls-after-end", "warning", text))
        if look.at - poll.last < HASTE[1]:
            hasty = _hasty(poll, look.at)
            if hasty is not None:
                found.append(hasty)
        elif poll.quick:
            poll.quick.clear()
        poll.last = look.at
        if not look.answered.refused:
            poll.over_until = _over_until(look)


def _hasty(poll: Poll, at: float) -> Breach | None:
    quick = poll.quick
    quick[:] = [*quick[1 - HASTE[0] :], at] if quick else [poll.last, at]
    # A clock that stands still, as in tests, says nothing of haste.
    if poll.hasty or len(quick) < HASTE[0] or not 0 < at - quick[0] < HASTE[1]:
        return None
    poll.hasty = True
    return Breach("polls-too-fast", "warning", f"{HASTE[0]} polls within {at - quick[0]:.2f} s")


def _over_until(look: Look) -> float | None:
    """Return until when the links of an answer live that tells the end of all it was asked for; None if it does not."""
    sights = look.sights
    for sight in sights:
        if sight.said.ended:
            break
    else:
        return None
    if not {sight.task for sight in sights if sight.said.ended}.issuperset(look.asked.tasks):
        return None
    ends = [
        expires if (expires := expiry(link.partition("?")[2])) is not None else look.at + (look.asked.lifetime or 0)
        for sight in sights
        for link in sight.said.links
    ]
    return min(ends, default=math.inf)
