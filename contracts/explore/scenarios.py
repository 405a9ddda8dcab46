"""Strategies of scenarios: what may go wrong, as the files that `mockserver serve --scenario` plays.

Drawn are rules by the verbs of operations, so that they fit every provider, errors of the provider's own catalogue, and
readings of its open questions. All shrink towards the world in which nothing goes wrong. Faults that hold an
answer back by the clock are left out: a client that waits for one answer cannot turn the clock meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from mockserver import data
from mockserver.provider import Provider, load

Scenario = dict[str, Any]
READS = ["read", "list"]
MOST_RULES = 2


def scenarios(provider: str, *, variants: bool = True) -> st.SearchStrategy[Scenario]:
    """Return a strategy of scenarios for a provider of the package.

    Args:
        variants: draw readings of the provider's open questions too.

    Raises:
        UserError: there is no such provider.
    """
    loaded = load(data.schemas() / provider, name=provider)
    rules = st.lists(_rules(loaded), max_size=MOST_RULES)
    readings = _readings(loaded) if variants else st.just({})
    return st.builds(_scenario, st.just(provider), rules, readings)


def recoverable(scenario: Mapping[str, Any]) -> bool:
    """Whether a good client gets its result all the same: every fault passes, or is one it can do without."""
    return not scenario.get("setting") and all(_passes(rule) for rule in scenario.get("rules", ()))


def _scenario(provider: str, rules: list[dict[str, Any]], readings: dict[str, str]) -> Scenario:
    named = [{"id": f"fault-{place}", **rule} for place, rule in enumerate(rules, 1)]
    return {**({"setting": {"variants": {provider: readings}}} if readings else {}), "rules": named}


def _readings(provider: Provider) -> st.SearchStrategy[dict[str, str]]:
    others = [
        (name, reading)
        for name, variant in provider.variants.items()
        for reading in variant.readings
        if reading != variant.default
    ]
    if not others:
        return st.just({})
    # Mostly the default: a reading is one fault more to tell apart from the rest.
    return st.one_of(st.just({}), st.just({}), st.lists(st.sampled_from(others), max_size=1).map(dict))


def _rules(provider: Provider) -> st.SearchStrategy[dict[str, Any]]:
    times = st.integers(1, 3)
    bad = st.sampled_from([502, 500, 503, 504])
    waits = st.integers(5, 60).map(lambda seconds: {"status": 429, "headers": {"Retry-After": str(seconds)}})
    broken: list[dict[str, Any]] = [{"empty": True}, {"reset": True}, {"malformed": True}, {"truncate": 0.5}]
    kinds = [
        st.builds(_rule, st.just(READS), times, st.fixed_dictionaries({"answer": _answers(bad, waits)})),
        st.builds(_rule, st.just(READS), times, st.sampled_from(broken).map(lambda one: {"wire": one})),
        st.builds(_rule, st.just("submit"), st.just(1), waits.map(lambda one: {"answer": one})),
        st.builds(_rule, st.just("submit"), st.just(1), st.sampled_from(broken[:2]).map(lambda one: {"wire": one})),
        st.builds(
            _rule, st.just("download"), times, st.sampled_from(broken[1:2] + broken[3:]).map(lambda one: {"wire": one})
        ),
        st.sampled_from([{"task": task} for task in _TASKS]),
        st.integers(1, 8).map(lambda ahead: {"when": {"verb": "submit"}, "queue": {"ahead": ahead}}),
        st.just({"when": {"verb": READS}, "patch": {"null-lists": True}}),
        st.builds(_rule, st.just(READS), times, st.just({"patch": {"set": {"task.state": "under_review"}}})),
        st.integers(1, 6).map(lambda calls: {"when": {"after": calls}, "answer": {"credentials": "revoked"}}),
    ]
    errors = sorted(
        name for words in provider.operations if words.verb.name == "submit" for name in _errors(provider, words)
    )
    if errors:
        named = st.sampled_from(errors).map(lambda name: {"answer": {"error": name}})
        kinds.append(st.builds(_rule, st.just("submit"), st.just(1), named))
    if provider.channels:
        kinds.append(st.sampled_from(_FEEDS).map(lambda feed: {"feed": feed}))
    return st.one_of(kinds)


def _answers(bad: st.SearchStrategy[int], waits: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(bad.map(lambda status: {"status": status}), waits)


def _rule(verb: Any, times: int, what: dict[str, Any]) -> dict[str, Any]:
    return {"when": {"verb": verb}, "times": times, **what}


def _errors(provider: Provider, operation: Any) -> list[str]:
    """Return the names of errors that a submit may meet whatever was sent."""
    there = {entry.name for entries in operation.refusals.values() for entry in entries}
    mine = [entry for entry in provider.errors.values() if entry.on is None or operation.id in entry.on]
    return [one.name for one in mine if one.status and (one.planned or one.name in there) and one.message is not None]


_TASKS: list[dict[str, Any]] = [
    {"outcome": "fail", "at": 50},
    {"outcome": "stuck-running"},
    {"outcome": "stuck-queued"},
    {"outcome": "out-of-memory"},
    {"outcome": "cancelled", "at": 30},
    {"results": "none"},
    {"results": "corrupt"},
    {"results": "missing"},
    {"results": "expired"},
    {"progress": "backward"},
    {"progress": "stall"},
    {"slow": 5},
    {"lost": 3},
]
_FEEDS: list[dict[str, Any]] = [
    {"refuse": 503},
    {"close": {"code": 1006, "after": 2}},
    {"close": {"code": 1000, "after": 1}},
    {"silence": 1},
    {"unknown-type": 1},
    {"garble": {"nth": 2}},
    {"end-twice": True},
]


def _passes(rule: Mapping[str, Any]) -> bool:
    if "feed" in rule or "queue" in rule or "null-lists" in rule.get("patch", {}):
        return True
    if "task" in rule:
        return bool({"progress", "slow"} & set(rule["task"]))
    if rule.get("when", {}).get("verb") == "submit":
        return bool(rule.get("answer", {}).get("status") == 429)
    return "times" in rule and "credentials" not in rule.get("answer", {})
