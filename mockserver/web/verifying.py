"""Verification: what a test may ask of a world's record, and what it is told.

Calls are looked for in the exchanges, tasks in the world or its journal, what was unexpected in the problems. A
question that reaches into a part that has gone for room is refused with `Evicted`: no answer could be trusted.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from mockserver.errors import UserError, nearest
from mockserver.exchange import Exchange
from mockserver.provider import conditions

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

    from mockserver.web.emulator import Stage

NAMES = {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]}
NUMBER = {"type": "integer", "minimum": 0}
CALL = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "provider": NAMES,
        "operation": NAMES,
        "status": {"oneOf": [{"type": "integer"}, {"type": "array", "minItems": 1, "items": {"type": "integer"}}]},
        "request": {"type": ["object", "boolean"]},
        "task": {"type": "string"},
    },
}
ASKED = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "called": CALL,
        "times": {
            "oneOf": [
                NUMBER,
                {
                    "type": "object",
                    "additionalProperties": False,
                    "minProperties": 1,
                    "properties": {"min": NUMBER, "max": NUMBER},
                },
            ]
        },
        "order": {"type": "array", "minItems": 1, "items": CALL},
        "unexpected": {"const": False},
        "task": {"type": "string"},
        "state": {"type": "string"},
        "since": NUMBER,
    },
    "oneOf": [
        {"required": ["called"]},
        {"required": ["order"]},
        {"required": ["unexpected"]},
        {"required": ["task", "state"]},
    ],
    "dependentRequired": {"times": ["called"], "task": ["state"], "state": ["task"]},
}
EXAMPLES = (
    '{"called": {"operation": ID, "request": SCHEMA}, "times": 2}',
    '{"order": [{"operation": ID}, {"operation": ID}]}',
    '{"unexpected": false}',
    '{"task": ID, "state": STATE}',
)


class Evicted(UserError):
    """What is asked about has gone from the record for room."""


class Verdict(NamedTuple):
    """An answer: whether it holds, in words why, and what it was seen by."""

    holds: bool
    text: str
    found: Sequence[Any] = ()
    """Numbers of exchanges; or problems; or moments."""


def question(stage: Stage, asked: Any) -> Callable[[], Verdict]:
    """Read a question; the function that comes back answers it, as often as it is called.

    Raises:
        UserError: it is not understood, or names what there is not.
    """
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(asked))
    if error is not None:
        pointer = "".join(f"/{part}" for part in error.absolute_path) or "/"
        raise UserError(f"at {pointer}: {error.message[:300]}; ask one of {', '.join(EXAMPLES)}, and since: NUMBER")
    since = asked.get("since", 0)
    if "called" in asked:
        fits, times = _call(stage, asked["called"], "/called"), asked.get("times", {"min": 1})
        least, most = (times.get("min", 0), times.get("max")) if isinstance(times, dict) else (times, times)
        return lambda: _count(list(_exchanges(stage, since, fits)), asked["called"], least, most)
    if "order" in asked:
        steps = [_call(stage, one, f"/order/{index}") for index, one in enumerate(asked["order"])]
        return lambda: _order(list(_exchanges(stage, since)), steps, asked["order"])
    if "task" in asked:
        return lambda: _reached(stage, asked["task"], asked["state"])
    return lambda: _unexpected(stage, since)


def shown(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as the control API tells it."""
    return {"holds": verdict.holds, "text": verdict.text, "found": list(verdict.found)}


@functools.cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(ASKED)


# calls


def _call(stage: Stage, said: Mapping[str, Any], pointer: str) -> Callable[[Exchange], bool]:
    providers, operations = _names(said, "provider"), _names(said, "operation")
    known = {
        one.name: {operation.id for operation in one.operations} | {channel.name for channel in one.channels}
        for family in stage.offer.families.values()
        for one in family
    }
    _known(providers, known, f"{pointer}/provider", "provider served here")
    meant = [known[name] for name in known if providers is None or name in providers]
    _known(operations, {name for names in meant for name in names}, f"{pointer}/operation", "operation or channel")
    statuses = said.get("status")
    statuses = statuses if statuses is None or isinstance(statuses, list) else [statuses]
    schema = said.get("request", True)
    try:
        request = conditions.users(schema)
    except conditions.UnfitSchema as error:
        raise UserError(f"at {pointer}/request{error.pointer}: {error.problem}") from None
    task = said.get("task")

    def fits(one: Exchange) -> bool:
        return (
            (providers is None or one.provider in providers)
            and (operations is None or one.operation in operations)
            and (statuses is None or one.status in statuses)
            and (task is None or task in one.tasks)
            and (schema is True or request(request_of(one)))
        )

    return fits


def request_of(one: Exchange) -> dict[str, Any]:
    """Return a recorded request as conditions look at it; a body that is no JSON is left out."""
    seen: dict[str, Any] = {
        "method": one.method,
        "path": one.path,
        "query": dict(parse_qsl(one.query, keep_blank_values=True)),
        "headers": dict(one.request_headers),
    }
    with suppress(ValueError):
        seen["body"] = json.loads(one.request_body)
    return seen


def _names(said: Mapping[str, Any], word: str) -> frozenset[str] | None:
    given = said.get(word)
    return None if given is None else frozenset([given] if isinstance(given, str) else given)


def _known(given: frozenset[str] | None, known: Any, pointer: str, what: str) -> None:
    for name in sorted(given or ()):
        if name not in known:
            hint = nearest(name, known) or f"; known: {', '.join(sorted(known))}"
            raise UserError(f"at {pointer}: {name!r} is no {what}{hint}")


def _exchanges(stage: Stage, since: int, fits: Callable[[Exchange], bool] = lambda one: True) -> Iterator[Exchange]:
    lost = stage.recorder.lost(since)
    if lost:
        raise Evicted(
            f"the record no longer holds {lost} of the exchanges after number {since}; "
            f"ask with since {since + lost} or more, or ask earlier"
        )
    return (one for one in stage.recorder.since(since) if fits(one))


def _count(found: Sequence[Exchange], said: Mapping[str, Any], least: int, most: int | None) -> Verdict:
    holds = len(found) >= least and (most is None or len(found) <= most)
    bounds = f"at least {least}" if most is None else f"{least}" if least == most else f"{least} to {most}"
    text = f"{len(found)} calls fit {json.dumps(said)}; wanted {bounds}"
    return Verdict(holds, text, [one.number for one in found])


def _order(
    found: Sequence[Exchange], steps: Sequence[Callable[[Exchange], bool]], said: Sequence[Mapping[str, Any]]
) -> Verdict:
    """Look for the calls one after another; others may stand between."""
    numbers: list[int] = []
    rest = iter(found)
    for fits, wanted in zip(steps, said, strict=True):
        one = next((one for one in rest if fits(one)), None)
        if one is None:
            after = f"after exchange {numbers[-1]}" if numbers else "at all"
            return Verdict(False, f"no call fits {json.dumps(wanted)} {after}", numbers)
        numbers.append(one.number)
    return Verdict(True, "the calls came in this order", numbers)


# what else is asked


def _unexpected(stage: Stage, since: int) -> Verdict:
    """Near misses, and faults of our own. A refusal in good form is an answer like others, so it is none."""
    problems = stage.recorder.problems
    if problems.gone and next(iter(problems))["after"] >= since:
        raise Evicted(f"the list of problems no longer goes back to exchange {since}; ask with a later since")
    found = [one for one in problems if one["after"] >= since and not str(one.get("rule", "")).startswith("refused-")]
    told = "; ".join(f"{one.get('rule')}: {one.get('text')}" for one in found[:5])
    return Verdict(not found, f"{len(found)} unexpected: {told}" if found else "nothing unexpected", found)


def _reached(stage: Stage, id: str, state: str) -> Verdict:
    for service in stage.world.services.values():
        if state not in service.runs.kind.states:
            continue
        task = service.runs.find(id)
        if task is not None:
            at = task.reached.get(state)
            told = ", ".join(task.reached)
            return Verdict(at is not None, f"task {id} went through {told}", [] if at is None else [at])
    states = {name for one in stage.offer.families.values() for name in _states(one[0])}
    _known(frozenset([state]), states, "/state", "state of a task")
    journal = stage.world.journal.since()
    moments = [entry.at for entry in journal.entries if entry.task == id and entry.name == f"task.{state}"]
    if not moments and journal.lost:
        raise Evicted(f"task {id!r} is not known any more, and the journal has lost {journal.lost} entries")
    text = f"task {id} was {state}" if moments else f"no task {id} was {state}; is it one of this world?"
    return Verdict(bool(moments), text, moments)


def _states(provider: Any) -> Sequence[str]:
    return list(provider.machine.kinds["task"].states)
