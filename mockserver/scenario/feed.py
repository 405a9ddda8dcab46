"""Faults of a push channel: what becomes of each message of one connection, in order.

Mutable, one for each connection; it is told every message the channel would send, and says what is sent instead and how
much later. Waiting and sending are the web's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mockserver.provider.scope import Chance
from mockserver.scenario.model import FeedAction, Picks
from mockserver.scenario.wire import broken

Data = str | bytes
UNKNOWN_TEXT = '{"type":"mock.unknown","data":{}}'
UNKNOWN_BYTES = b"\x00\x00\x00\x63mock"
"""As ComfyUI lays out binary messages: a type of four bytes, here 99, then whatever it holds."""
DROPPED = 1006
"""The code of a connection that ended without a closing frame (RFC 6455, 7.1.5); never sent."""


class Sent(NamedTuple):
    """One message that goes out so many seconds later, or the code to close with."""

    data: Data | int
    later: float = 0.0


class FeedPlan:
    """What happens to one connection."""

    __slots__ = ("_action", "_chance", "_count", "_held", "_silent", "rules")

    def __init__(self, action: FeedAction, chance: Chance, rules: tuple[str, ...] = ()) -> None:
        self._action = action
        self._chance = chance
        self._count = 0
        self._held: list[Sent] = []
        self._silent = False
        self.rules = rules
        """Ids of the rules behind it."""

    @property
    def refuse(self) -> int | None:
        """HTTP status that refuses the handshake."""
        return self._action.refuse

    @property
    def stays_open(self) -> bool:
        """Whether the end closes nothing."""
        return self._action.no_close or self._silent

    def opened(self) -> list[Sent]:
        """Return what comes before the first message."""
        return list(self._between(0, ""))

    def passed(self, data: Data, *, end: bool = False) -> list[Sent]:
        """Return what is sent for one message.

        Args:
            end: it tells of the end of what is followed.
        """
        if self._silent:
            return []
        self._count += 1
        return [*self._one(self._count, data, end), *self._between(self._count, data)]

    def closed(self) -> list[Sent]:
        """Return what is still sent before the channel closes: a message that waits for one to follow."""
        held, self._held = self._held, []
        return [] if self._silent else held

    def _one(self, number: int, data: Data, end: bool) -> Iterator[Sent]:
        action = self._action
        if self._picked(action.drop, number):
            return
        later = 0.0 if action.delay is None else action.delay.draw(self._chance)
        if self._picked(action.garble, number):
            data = garbled(data)
        found = [Sent(data, later)] * (1 + self._picked(action.duplicate, number) + (end and action.end_twice))
        if self._picked(action.swap, number) and not self._held:
            self._held = found
            return
        yield from found
        held, self._held = self._held, []
        yield from held

    def _between(self, number: int, data: Data) -> Iterator[Sent]:
        action = self._action
        if action.unknown_type == number:
            yield Sent(UNKNOWN_BYTES if isinstance(data, bytes) else UNKNOWN_TEXT)
        if action.close is not None and action.close[1] == number:
            yield Sent(action.close[0])
            self._silent = True
        if action.silence == number:
            self._silent = True

    def _picked(self, picks: Picks | None, number: int) -> bool:
        return picks is not None and picks.take(number, self._chance)


def garbled(data: Data) -> Data:
    """Break a message: text is cut so that it is no JSON, bytes are turned over."""
    return broken(data.encode()).decode("utf-8", "ignore") if isinstance(data, str) else data[::-1]
