"""The table of scenario words in the README, made from the meta-schema. `python -m tests.scenario.table` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mockserver.scenario.reading import ACTIONS, meta_schema
from tests.scenario import examples

README = Path(__file__).resolve().parents[2] / "mockserver" / "scenario" / "README.md"
PARTS = [("setting", "Setting"), ("rule", "Rule"), ("when", "When"), *((one, f"Action `{one}`") for one in ACTIONS)]
BEGIN, END = "<!-- words: made from scenario.schema.json by tests/scenario/table.py -->", "<!-- end of words -->"


def table() -> str:
    """Return the tables, one for each part of a scenario."""
    definitions = meta_schema()["$defs"]
    return "\n".join(_part(name, title, definitions) for name, title in PARTS)


def in_readme() -> str:
    """Return what stands between the marks of the README."""
    return README.read_text("utf-8").partition(BEGIN)[2].partition(END)[0].strip("\n") + "\n"


def _part(name: str, title: str, definitions: Mapping[str, Any]) -> str:
    schema = definitions[name]
    intro = schema.get("description")
    lines = [
        f"### {title}",
        "",
        *([intro, ""] if intro else []),
        "| word | takes | says | example |",
        "|---|---|---|---|",
    ]
    for word, entry in _words(name, schema):
        said = entry.get("description") or _definition(entry, definitions).get("description", "")
        takes = _takes(entry, definitions).replace("|", "&#124;")
        shown = "<br>".join(f"`{example}`" for example in examples.of(f"{name}.{word}"))
        lines.append(f"| `{word}` | {takes} | {said} | {shown} |")
    return "\n".join(lines) + "\n"


def words() -> list[str]:
    """Return every word there is, with its part before it, and the values that are words themselves."""
    definitions = meta_schema()["$defs"]
    found = []
    for name, _ in PARTS:
        for word, entry in _words(name, definitions[name]):
            found.append(f"{name}.{word}")
            found += [f"{name}.{word}={value}" for value in entry.get("enum", ())]
    return found


def _words(part: str, schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for word, entry in schema["properties"].items():
        if part == "rule" and (word in ACTIONS or word == "when"):
            continue
        yield f"{prefix}{word}", entry
        if any("description" in member for member in entry.get("properties", {}).values()):
            yield from _words(part, entry, f"{prefix}{word}.")


def _takes(entry: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in entry:
        name = entry["$ref"].rsplit("/", 1)[-1]
        known = {"condition": "JSON Schema", "moment": "seconds or ISO 8601", "date": "ISO 8601 or Unix seconds"}
        known |= {"delay": "seconds, `{uniform: [a, b]}` or `{lognormal: {median, sigma}}`", "when": "see below"}
        known |= {"percent": "0 to 100", "status": "HTTP status", "names": "a name, or several"}
        known |= {"which": "`true`, or `{nth, after, every, share}`", "verb": "verb"}
        return known.get(name) or _takes(definitions[name], definitions)
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "const" in entry:
        return f"`{json.dumps(entry['const'])}`"
    if "oneOf" in entry:
        return " or ".join(dict.fromkeys(_takes(branch, definitions) for branch in entry["oneOf"]))
    kind = entry.get("type", "any JSON")
    if kind == "array":
        return f"list of {_takes(entry['items'], definitions)}" if "items" in entry else "list"
    if kind == "object" and entry.get("properties"):
        return "{" + ", ".join(entry["properties"]) + "}"
    bounds = [
        f"{sign} {entry[word]}"
        for word, sign in (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"))
        if word in entry
    ]
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return " ".join([names.get(kind, str(kind)), *bounds])


def _definition(entry: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = definitions[entry["$ref"].rsplit("/", 1)[-1]] if "$ref" in entry else {}
    return found


if __name__ == "__main__":
    before, _, rest = README.read_text("utf-8").partition(BEGIN)
    README.write_text(f"{before}{BEGIN}\n{table()}{END}{rest.partition(END)[2]}", "utf-8")
