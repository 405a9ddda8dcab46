"""Errors asked for by name: which entry of a provider's catalogue a scenario means, and with which facts.

A name, a condition or an HTTP status; where the provider has no such error, the scenario's own status stands in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mockserver.provider.model import Operation, Provider, Refusal
from mockserver.provider.refusals import facts_of_condition
from mockserver.provider.vocabulary import CONDITIONS, FAILURES, KIND_CONDITIONS

USUAL_FAILURE = "node-failed"
TEXT = "asked for by a scenario"
_FACTS: Mapping[str, Any] = {
    "violation.at": "/body",
    "violation.in": "body",
    "violation.key": "body",
    "violation.keys": ("body",),
    "violation.keyword": "required",
    "violation.value": None,
    "violation.limit": 1,
    "violation.size": 0,
    "violation.count": 1,
    "violation.type": "null",
    "violation.all": (TEXT,),
    "violation.values": [TEXT],
    "problems.outputs": [TEXT],
    "limit.bytes": 0,
    "retry.after": 1,
    "link.expired": 0.0,
    "link.now": 0.0,
    "cause.type": "RuntimeError",
}
"""What stands in a text that nothing has happened for; all else says that a scenario wants it so."""


def refusals(provider: Provider) -> Iterable[Refusal]:
    """Return the entries that answer calls."""
    names = provider.documents["errors.json"].get("refusals", {})
    return (entry for name, entry in provider.errors.items() if name in names)


def failure_names(provider: Provider) -> list[str]:
    """Return the names of the entries that end tasks."""
    return list(provider.documents["errors.json"].get("failures", {}))


def is_condition(word: str, provider: Provider) -> bool:
    """Return whether *word* is a condition of the vocabulary that may answer a call at this provider."""
    kinds = ("file", *provider.machine.kinds)
    return (word in CONDITIONS and word not in FAILURES - {"workflow-invalid", "override-invalid"}) or any(
        word == f"{kind}-{suffix}" for kind in kinds for suffix in KIND_CONDITIONS
    )


def refusal_for(provider: Provider, operation: Operation, error: str | int, *, anywhere: bool) -> Refusal | None:
    """Return the entry that *error* means at *operation*; None where the provider has none.

    Args:
        anywhere: also one that this operation never raises by itself.
    """
    here = [entry for entries in operation.refusals.values() for entry in entries]
    # What only a scenario brings stands in no operation's table.
    here += [entry for entry in refusals(provider) if entry.planned and _stands_at(entry, operation)]
    if isinstance(error, int):
        fitting = [entry for entry in here if entry.status == error]
        # Of several that of the planned, then that of no special case: a status alone asks for nothing special.
        return min(fitting, key=lambda entry: (not entry.planned, entry.test is not None), default=None)
    named = [entry for entry in here if entry.name == error]
    named += [entry for entry in operation.refusals.get(error, ()) if entry.test is None]
    named += list(operation.refusals.get(error, ()))
    if not named and anywhere:
        named = [entry for entry in refusals(provider) if entry.name == error]
    return named[0] if named else None


def failure_for(provider: Provider, error: str | None, *usual: str) -> str | None:
    """Return the name or condition of the failure that *error* means, else the first of *usual* the provider has."""
    names = failure_names(provider)
    if error is not None:
        return error if error in names or error in provider.failures else None
    return next((name for name in usual if name in provider.failures), names[0] if names else None)


def facts_for(entry: Refusal, known: Mapping[str, Any], kinds: Iterable[str] = ()) -> dict[str, Any]:
    """Return facts for every text of *entry*, as far as they are *known*, else such as may stand there.

    Args:
        kinds: kinds of things that a text of a planned entry may speak of by id.
    """
    facts: dict[str, Any] = {f"{kind}.id": TEXT for kind in kinds} if entry.planned else {}
    for word in entry.conditions:
        for fact in facts_of_condition(word):
            facts[fact] = known.get(fact, _FACTS.get(fact, TEXT))
    for fact in entry.extra:
        facts.setdefault(fact, known.get(fact, _FACTS.get(fact, TEXT)))
    return {**facts, **known}


def _stands_at(entry: Refusal, operation: Operation) -> bool:
    return entry.on is None or operation.id in entry.on
