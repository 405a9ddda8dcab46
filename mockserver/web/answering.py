"""Answers: drawn through a response's schema, held against it, and encoded.

Every answer of our own is validated before it leaves. One that breaks its schema is our mistake, or the folder's: it is
answered 500, logged with file and pointer, and listed among the problems.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mockserver.errors import Refused
from mockserver.provider.encoding import Prepared
from mockserver.provider.model import NOTHING, Provider, Refusal, Response
from mockserver.provider.scope import Scope

log = logging.getLogger("mockserver")

NEUTRAL = "application/json"
BARE = {
    name: Refusal(name, (name,), None, None, status, None, None, None, (), None, None, False)
    for name, status in {"route-unknown": 404, "method-unknown": 405, "body-too-large": 413}.items()
}
"""Refusals that a catalogue need not have: condition -> an answer without a body."""


@dataclass(slots=True)
class Answer:
    """What goes out. `headers` are in the order of the wire; `name` the catalogue entry of a refusal."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    name: str | None = None


class ErrorView:
    """A refusal as drawings see it: `error.code`, `error.message`, ... of one case."""

    __slots__ = ("code", "details", "extra", "message", "name", "problems")

    def __init__(self, entry: Refusal, facts: Mapping[str, Any], scope: Scope) -> None:
        self.name = entry.name
        self.code = entry.code(scope) if callable(entry.code) else entry.code
        self.message = entry.message(scope) if entry.message is not None else None
        self.details = entry.details(scope) if entry.details is not None else None
        self.extra = {fact: facts[fact] for fact in entry.extra if fact in facts}
        self.problems: Sequence[Any] = facts.get("problems", ())


class Broken(Exception):
    """An answer of our own does not keep its schema. `pointer` is where the schema stands."""

    def __init__(self, file: str, pointer: str, problem: str) -> None:
        super().__init__(f"{file} at {pointer}: {problem}")
        self.file, self.pointer, self.problem = file, pointer, problem


def success(responses: Sequence[Response], scope: Scope) -> Answer:
    """Draw the answer of a call that went well; raise `Broken` if none of *responses* can show it."""
    call = scope.call
    assert call is not None
    for response in responses:
        call.status = response.status
        if response.when is not None and not response.when(scope):
            continue
        answer = draw(response, response.status, scope)
        if answer is not None:
            return answer
    pointer = responses[0].pointer if responses else ""
    raise Broken("openapi.json", pointer, "none of the documented answers can show this outcome")


def refusal(
    provider: Provider, table: Mapping[str, tuple[Refusal, ...]], refused: Refused, scope: Scope
) -> tuple[Answer, Refusal]:
    """Draw the answer to a refused call from the catalogue; raise `Broken` where nothing answers the condition."""
    entry = find(table, refused.condition, scope)
    if entry is None:
        raise Broken("errors.json", "/refusals", f"nothing answers the condition {refused.condition!r} here")
    return refusal_of(provider, entry, scope), entry


def find(table: Mapping[str, tuple[Refusal, ...]], condition: str, scope: Scope) -> Refusal | None:
    """Return the first entry that answers *condition* in this case.

    A thing that is not named is an unknown one where the catalogue does not tell the two apart. What any server has
    to answer is answered without a body where the catalogue says nothing of it.
    """
    for entry in table.get(condition, ()):
        if entry.test is None or entry.test(scope):
            return entry
    if condition.endswith("-unnamed"):
        return find(table, f"{condition.removesuffix('-unnamed')}-unknown", scope)
    return BARE.get(condition)


def refusal_of(provider: Provider, entry: Refusal, scope: Scope) -> Answer:
    """Draw the answer of one entry of the catalogue."""
    assert scope.call is not None
    scope.call.status = entry.status
    scope.error = ErrorView(entry, scope.facts, scope)
    if entry.answer is None:
        return Answer(entry.status, [], b"", entry.name)
    answer = draw(provider.answers[entry.answer], entry.status, scope)
    if answer is None:
        raise Broken("errors.json", f"/refusals/{entry.name}", f"its answer {entry.answer} draws nothing")
    answer.name = entry.name
    return answer


def draw(response: Response, status: int, scope: Scope) -> Answer | None:
    """Draw one answer; None where its body is nothing. Raises `Broken` where it breaks its schema."""
    body = b""
    if response.draw is not None:
        drawn = response.draw(scope)
        if drawn is NOTHING:
            return None
        violation = None if isinstance(drawn, Prepared) else response.broken(drawn)
        if violation is not None:
            raise Broken(
                "openapi.json", response.pointer, f"the answer breaks its schema at {violation.at}: {violation.text}"
            )
        body = response.encode(drawn)
    headers = []
    if response.media is not None and response.bytes_of is None:
        headers.append(("content-type", response.media))
    for name, drawn_header in response.headers:
        if isinstance(drawn_header, str):
            headers.append((name, drawn_header))
            continue
        value = drawn_header(scope)
        if value is not NOTHING and value is not None:
            headers.append((name, value if isinstance(value, str) else str(value)))
    return Answer(status, headers, body)


def our_fault(broken: Broken, note: Callable[..., None]) -> Answer:
    """Answer 500 for a mistake of our own, log it, and list it among the problems."""
    log.error("own answer is wrong: %s", broken)
    note(rule="answer-schema", file=broken.file, pointer=broken.pointer, text=broken.problem)
    return Answer(
        500, [("content-type", NEUTRAL)], b'{"error":"the emulator made an answer that breaks its own schema"}'
    )
