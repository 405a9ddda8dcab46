"""Whether client and emulator kept the contract, and the story of a test that did not.

Two look at it: the emulator notes requests that nearly fit and answers of its own that do not fit; the judge of
`contracts` reads what crossed the wire, each exchange and each task through all of them. Errors count, warnings do not.
What a scenario bends is bent on purpose: the emulator's answers are judged where none had a hand in them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contracts import Finding
    from mockserver.record import Record

Json = dict[str, Any]

NOTED = (
    "request-schema-*",
    "route-unknown",
    "method-unknown",
    "answer-schema*",
    "emulator-fault",
)
"""Rules of problems noted by the emulator that break a contract: the client's requests, or our own answers."""
ASKED = (
    "operation-known",
    "method-known",
    "credentials-given",
    "key-in-url",
    "request-*",
    "override*",
)
"""Rules of the judge about what a client asks, beside those of the group `conduct`."""
TOLD = 20
"""How many calls a story tells of, the latest."""


def violations(server: Record) -> list[Json]:
    """Return what broke the contract in a world, less what is expected; each with `rule` and `text` at least."""
    found = [one for one in server.problems if _fits(one["rule"], NOTED)]
    known = {one["rule"] for one in found}
    found += [one for one in server.judged(_judged) if one["rule"] not in known]
    return [one for one in found if not _fits(one["rule"], server.expected)]


def _judged(server: Record, exchanges: Sequence[Json]) -> Iterator[Json]:
    from contracts import judge

    bent = {one["number"] for one in exchanges if one["rules"]}

    @functools.cache
    def acted() -> bool:
        return bool(bent) or any(hit["acted"] for rules in server.hits.values() for hit in rules.values())

    providers = set(server.providers)
    for name in sorted(providers & {one["provider"] for one in exchanges}):
        mine = [one for one in exchanges if one["provider"] not in providers - {name}]
        verdict = judge(mine, name, variants=server.known_of(name)["readings"], schemas=server.schemas)
        for finding in verdict.findings:
            if finding.severity != "error":
                continue
            if _is_of_client(finding) or not _may_be_bent(finding, bent, acted):
                yield _as_json(finding)


def _is_of_client(finding: Finding) -> bool:
    from contracts import rules

    return rules.find(finding.rule).group == "conduct" or _fits(finding.rule, ASKED)


def _may_be_bent(finding: Finding, bent: set[int], acted: Callable[[], bool]) -> bool:
    from contracts import rules

    # How a task goes shows in many answers; whichever rule changed it, all of them tell so.
    return acted() if rules.find(finding.rule).group == "history" else finding.number in bent


def _as_json(finding: Finding) -> Json:
    return {
        "rule": finding.rule,
        "provider": finding.provider,
        "operation": finding.operation,
        "at": finding.at,
        "text": finding.text,
        "number": finding.number,
        "task": finding.task,
    }


def _fits(rule: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(rule, pattern) for pattern in patterns)


def story(server: Record, violations: Sequence[Mapping[str, Any]] = ()) -> str:
    """Tell what happened in a world, for a person who reads a failed test."""
    lines: list[str] = []
    exchanges = server.exchanges
    for one in violations:
        lines.append(f"the contract is broken: {one['rule']}")
        if "operation" in one or "path" in one:
            lines.append(f"  request:  {_request_of(one, exchanges)}")
        if one.get("at"):
            lines.append(f"  at:       {one['at']}")
        for name in ("expected", "got", "near", "file", "pointer", "task"):
            if one.get(name) is not None or (name == "got" and "got" in one):
                lines.append(f"  {name + ':':<9} {one[name]!r}")
        lines.append(f"  told:     {one.get('text')}")
    lines.append("what was called:")
    lines.extend(f"  {_told(one)}" for one in exchanges[-TOLD:])
    if not exchanges:
        lines.append("  nothing")
    clock = server.clock.told
    stands = "" if clock["rate"] else ", where it stands until the test turns it or waits in virtual time"
    lines.append(f"seed: {clock['seed']!r}; clock: {clock['now'] - clock['start']:g} s after its start{stands}")
    rules = [
        f"{name}/{rule} acted {hits['acted']} times"
        for name, rules in server.hits.items()
        for rule, hits in rules.items()
    ]
    lines.append(f"rules in force: {'; '.join(rules) or 'none'}")
    return "\n".join(lines)


def _told(exchange: Json) -> str:
    request = exchange["request"]
    rules = f" by {', '.join(exchange['rules'])}" if exchange["rules"] else ""
    return f"{request['method']} {request['path']} -> {exchange['response']['status']}{rules}"


def _request_of(problem: Mapping[str, Any], exchanges: list[Json]) -> str:
    for exchange in reversed(exchanges):
        if _is_about(problem, exchange):
            body = exchange["request"].get("body", "")
            return f"{exchange['request']['method']} {exchange['request']['path']} {body[:500]}".rstrip()
    return str(problem.get("operation") or problem.get("path"))


def _is_about(problem: Mapping[str, Any], exchange: Json) -> bool:
    if problem.get("number"):
        return bool(exchange["number"] == problem["number"])
    same = (
        exchange["operation"] == problem["operation"]
        if problem.get("operation")
        else exchange["request"]["path"] == problem.get("path")
    )
    return bool(same) and (exchange["response"]["status"] >= 400 or problem["rule"].startswith("request"))
