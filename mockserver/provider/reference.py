"""The closed lists of the language as tables for schemas/README.md.

`python -m mockserver.provider.reference` prints them; a test holds that the page shows the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from mockserver.provider.notation import FITTING
from mockserver.provider.vocabulary import (
    COLLECTIONS,
    CONDITIONS,
    EVENTS,
    FAILURES,
    FILTERS,
    FRESH,
    KIND_CONDITIONS,
    THING_VALUES,
    VALUES,
    VERBS,
    Value,
)

TRAITS = {"constant": "=", "grows": "↑", "free": ""}


def tables() -> dict[str, str]:
    """Return title -> Markdown table."""
    subjects: dict[str, list[str]] = {}
    for value in VALUES.values():
        subjects.setdefault(value.subject, []).append(_shown(value))
    values = [(f"`{subject}`", " · ".join(names)) for subject, names in subjects.items()]
    values.append(("`<kind>`", " · ".join(f"`<kind>.{name}` {kind}" for name, kind in THING_VALUES.items())))
    return {
        "Values": _table(("subject", "names, each with its kind"), values),
        "Notations": _table(("kind", "what fits it"), FITTING.items()),
        "Collections": _table(("`x-each`", "binds"), ((f"`{name}`", f"`{one}`") for name, one in COLLECTIONS.items())),
        "Texts": _table(
            ("in `{}`", "words"), [("after a name, `|`", _words(FILTERS)), ("fresh, `:` length", _words(FRESH))]
        ),
        "Verbs": _table(("verb", "options"), ((f"`{verb}`", _words(options)) for verb, options in VERBS.items())),
        "Events": _words(EVENTS) + ", and `task.<state>` for each state of a task",
        "Conditions": _table(
            ("condition", "facts"),
            [
                *(
                    (f"`{word}`" + (" †" if word in FAILURES else ""), _words(facts))
                    for word, facts in CONDITIONS.items()
                ),
                (", ".join(f"`<kind>-{suffix}`" for suffix in KIND_CONDITIONS), "`<kind>.id`, `<kind>.state`"),
            ],
        ),
    }


def _shown(value: Value) -> str:
    flags = TRAITS[value.trait] + ("#" if value.pointer else "") + ("?" if value.nullable else "")
    return f"`{value.name}` {value.kind}{' ' + flags if flags else ''}"


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in sorted(words)) or "none"


def _table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    lines += [f"| {left} | {right} |".replace("`|`", "`\\|`") for left, right in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    for title, table in tables().items():
        print(f"### {title}\n\n{table}\n")  # noqa: T201
