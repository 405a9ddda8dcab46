"""Faults of the wire: what becomes of an answer's bytes. Pure; sending and waiting is the web's.

A body is spoilt in a fixed order, so that several words may stand together: blown up, keys doubled, end broken.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from mockserver.provider.scope import Chance
from mockserver.scenario.model import WireAction


@dataclass(slots=True)
class Wire:
    """What is to happen to one answer; lengths drawn. Defaults are: nothing."""

    refuse: bool = False
    delay: float = 0.0
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

    @property
    def cuts(self) -> bool:
        """Whether nothing, or not all, of the answer is sent."""
        return self.reset or self.empty or self.truncate is not None or self.wrong_length != 0

    def add(self, action: WireAction, chance: Chance) -> bool:
        """Take from *action* what is not said yet; return whether that was anything."""
        before = (*(getattr(self, name) for name in self.__slots__),)
        self.refuse = self.refuse or action.refuse
        if not self.delay and action.delay is not None:
            self.delay = action.delay.draw(chance)
        self.dribble = self.dribble or action.dribble
        if not self.cuts:
            self.reset, self.empty = action.reset, action.empty
            self.truncate, self.wrong_length = action.truncate, action.wrong_length
        self.malformed = self.malformed or action.malformed
        self.content_type = self.content_type or action.content_type
        self.duplicate_keys = self.duplicate_keys or action.duplicate_keys
        self.large = self.large or action.large
        return before != (*(getattr(self, name) for name in self.__slots__),)

    def body(self, body: bytes) -> bytes:
        """Return the spoilt body; headers and length are not its business."""
        if self.duplicate_keys:
            body = doubled(body)
        if self.large > len(body):
            # Blanks: a JSON body stays the same to whoever reads all of it.
            body += b" " * (self.large - len(body))
        if self.malformed:
            body = broken(body)
        return body

    def sent(self, body: bytes) -> bytes:
        """Return what goes out of a body that is promised wholly."""
        return body if self.truncate is None else body[: int(len(body) * self.truncate)]


def doubled(body: bytes) -> bytes:
    """Repeat the first member of a JSON object at its end, as null; leave anything else as it is."""
    try:
        document = json.loads(body)
    except ValueError:
        return body
    if not isinstance(document, dict) or not document:
        return body
    end = body.rindex(b"}")
    return body[:end] + b"," + json.dumps(next(iter(document)), ensure_ascii=False).encode() + b":null" + body[end:]


def broken(body: bytes) -> bytes:
    """Make a body that no JSON reader accepts."""
    return body.rstrip()[:-1] + b",,"
