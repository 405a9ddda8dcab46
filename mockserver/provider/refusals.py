"""errors.json, compiled: which entry answers which condition, and in which words."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mockserver.errors import nearest
from mockserver.provider import conditions, values
from mockserver.provider.documents import Located
from mockserver.provider.machines import compile_text
from mockserver.provider.model import Refusal, Test
from mockserver.provider.values import Names
from mockserver.provider.vocabulary import CONDITIONS, FAILURES, KIND_CONDITIONS

SECTIONS = ("refusals", "failures", "problems")
PLANNED = "planned"
"""Stands for a condition: only a scenario brings such an entry, by name."""

Entries = tuple[Refusal, ...]


def compile_errors(file: Located, names: Names, places: Collection[str]) -> dict[str, Entries]:
    """Compile errors.json to section -> entries.

    Args:
        places: ids of operations and names of channels, which `on` may name.
    """
    return {
        section: tuple(
            _entry(name, entry, section, file.get("answer"), names, places)
            for name, entry in file.get(section, {}).items()
        )
        for section in SECTIONS
    }


def by_condition(entries: Entries, place: str | None) -> Mapping[str, Entries]:
    """Return condition -> entries that answer it at *place*, an operation or channel; None for nowhere."""
    table: dict[str, list[Refusal]] = {}
    for entry in entries:
        if entry.planned or (entry.on is not None and place not in entry.on):
            continue
        for word in entry.conditions:
            table.setdefault(word, []).append(entry)
    return {word: tuple(found) for word, found in table.items()}


def facts_of_condition(word: str) -> frozenset[str]:
    """Return the facts a condition comes with."""
    if word in CONDITIONS:
        return CONDITIONS[word]
    for suffix in KIND_CONDITIONS:
        if word.endswith(f"-{suffix}"):
            kind = word.removesuffix(f"-{suffix}")
            facts = {f"{kind}.id", f"{kind}.state"}
            return frozenset(facts | {"check.name"} if suffix == "invalid" else facts)
    return frozenset()


def _entry(
    name: str, entry: Located, section: str, answer: str | None, names: Names, places: Collection[str]
) -> Refusal:
    when = entry["when"]
    test: Test | None = None
    if isinstance(when, Mapping):
        words = tuple(when)
        tests = [conditions.facts_test(test_of) for test_of in when.values()]
        # Facts belong to one word each, so of several words one that holds is enough.
        test = tests[0] if len(tests) == 1 else lambda scope: any(one(scope) for one in tests)
    else:
        words = tuple(when) if isinstance(when, list) else (when,)
    planned = words == (PLANNED,)
    # Problems are named by what finds them: a JSON Schema keyword, or a finding of the graph check.
    for word in () if planned or section == "problems" else words:
        _known_condition(word, entry, section, names)
        if isinstance(when, Mapping):
            _known_facts(when[word], word)
    for place in entry.get("on", ()):
        if place not in places:
            raise entry.error(
                f"{place!r} is no operation or channel{nearest(place, places) or '; known: ' + ', '.join(places)}", "on"
            )
    code = entry.get("code")
    return Refusal(
        name=name,
        conditions=words,
        test=test,
        on=frozenset(entry["on"]) if "on" in entry else None,
        status=entry.get("status", 200),
        code=compile_text(code, entry, "code", names) if isinstance(code, str) and values.is_template(code) else code,
        message=compile_text(entry["message"], entry, "message", names) if "message" in entry else None,
        details=compile_text(entry["details"], entry, "details", names) if "details" in entry else None,
        extra=tuple(entry.get("extra", ())),
        answer=entry.get("answer", answer) if section == "refusals" else None,
        close=entry.get("close"),
        planned=planned,
    )


def _known_condition(word: str, entry: Located, section: str, names: Names) -> None:
    allowed = set(FAILURES if section == "failures" else CONDITIONS)
    if section == "refusals":
        allowed |= {f"{kind}-{suffix}" for kind in ("file", *names.kinds) for suffix in KIND_CONDITIONS}
    if word not in allowed:
        raise entry.error(
            f"{word!r} is no condition of {section}{nearest(word, allowed)}; known: {', '.join(sorted(allowed))}, "
            f"or {PLANNED!r} for by name only",
            "when",
        )


def _known_facts(test: Located, word: str) -> None:
    known = facts_of_condition(word)
    for fact in test:
        if fact not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise test.error(f"{word!r} comes without the fact {fact!r}; it has: {listed}", fact)
