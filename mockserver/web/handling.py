"""What answering the calls of an operation takes, worked out once: when its provider is first served."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from mockserver.provider import conditions
from mockserver.provider.model import Operation, Provider, Response, Test
from mockserver.web.bodies import JSON_LIMIT, UPLOAD_LIMIT
from mockserver.web.credentials import Procedure, key_reader, procedure_of
from mockserver.web.head import Head
from mockserver.world.things import FOREIGN, UNKNOWN


class Hold(NamedTuple):
    """When an answer waits, and for what (the verb's option `wait`)."""

    when: Test | None
    states: Collection[str]
    limit: str | None
    """The delay after which it is too slow."""


@dataclass(frozen=True, eq=False)
class Handling:
    """An operation, and how its calls are answered. One is made for each operation, and is equal to itself alone."""

    operation: Operation
    limit: int
    """Bytes of the largest body."""
    key: Callable[[Head], str | None]
    """Takes the key out of a call; see `credentials.key_reader`."""
    procedure: Procedure | None
    polled: bool
    """It only looks, so that clients ask it the same again and again."""
    images_only: bool
    strangers: frozenset[str]
    """Kinds of strangers (`unknown`, `foreign`) that a list of this very operation is refused for."""
    hold: Hold | None
    files: Sequence[Response]
    """The answers whose body is a file's bytes."""

    @cached_property
    def at_once(self) -> bool:
        """Whether the answer never waits: neither for a moment nor for the bytes of a file."""
        return self.hold is None and not self.files and self.operation.verb.name != "upload"


def handling(provider: Provider, operation: Operation) -> Handling:
    """Work out how the calls of *operation* are answered."""
    verb, wire = operation.verb, provider.wire
    strangers = [
        state
        for state in (UNKNOWN, FOREIGN)
        if any(entry.on is not None for entry in operation.refusals.get(f"task-{state}", ()))
    ]
    wait = verb.options.get("wait")
    return Handling(
        operation=operation,
        limit=int(
            wire.get("upload-limit", UPLOAD_LIMIT) if verb.name == "upload" else wire.get("body-limit", JSON_LIMIT)
        ),
        key=key_reader(provider, operation.security),
        procedure=procedure_of(provider, operation.security),
        polled=verb.name in ("read", "list"),
        images_only=verb.options.get("accepts") == "image",
        strangers=frozenset(strangers if verb.name == "list" else ()),
        hold=None if wait is None else _hold(provider, wait),
        files=tuple(one for one in operation.responses if one.bytes_of is not None),
    )


def _hold(provider: Provider, wait: dict[str, object]) -> Hold:
    when = conditions.test(wait["when"], provider.getter, at_hand="task") if "when" in wait else None
    states, limit = wait["in"], wait.get("limit")
    assert isinstance(states, list)
    return Hold(when, states, None if limit is None else str(limit))
