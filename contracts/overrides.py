"""Overrides of a hosted workflow: new inputs by node, held against the workflow and the node catalogue.

Only workflows that come with the package can be looked into; of others only the form is judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import orjson

from contracts.model import Breach
from mockserver import data
from mockserver.provider.documents import escape


def breaches(overrides: Any, workflow: Any) -> list[Breach]:
    """Return how *overrides* are none, or do not fit the workflow of this id."""
    if not isinstance(overrides, Mapping):
        return []
    nodes = [node for node in overrides.values() if isinstance(node, Mapping)]
    if ("nodes" in overrides and "links" in overrides) or (nodes and all("class_type" in node for node in nodes)):
        if any(_is_range(value) for node in nodes for value in _inputs(node).values()):
            return [_ranges()]
        return [
            Breach("overrides-not-workflow", "error", "the exported workflow stands in their place", "/body/prompt")
        ]
    if any(_is_range(value) for node in nodes for value in _inputs(node).values()):
        return [_ranges()]
    graph = _graph(workflow) if isinstance(workflow, str) else None
    return list(_misfits(overrides, graph)) if graph is not None else []


def _ranges() -> Breach:
    return Breach("overrides-not-ranges", "error", "the table of parameters stands in their place", "/body/prompt")


def _misfits(overrides: Mapping[str, Any], graph: Mapping[str, Any]) -> Iterator[Breach]:
    for id, override in overrides.items():
        at = f"/body/prompt/{escape(id)}"
        node = graph.get(id)
        if node is None:
            yield Breach("override-known", "error", f"the workflow has no node {id!r}", at)
            continue
        for name, value in _inputs(override).items():
            here = f"{at}/inputs/{escape(name)}"
            declared = _declared(node["class_type"]).get(name)
            if name not in node["inputs"] and declared is None:
                text = f"{node['class_type']} (node {id}) has no input {name!r}"
                yield Breach("override-known", "error", text, here)
            elif declared is not None and (problem := _out_of_range(value, declared)) is not None:
                yield Breach("override-in-range", "error", f"{name} of node {id} {problem}", here)


def _out_of_range(value: Any, declared: list[Any]) -> str | None:
    kind, options = declared[0], declared[1] if len(declared) > 1 and isinstance(declared[1], dict) else {}
    if kind in ("INT", "FLOAT"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"is {value!r}, not a number"
        if "min" in options and value < options["min"]:
            return f"is {value!r}, under the least of {options['min']}"
        if "max" in options and value > options["max"]:
            return f"is {value!r}, over the most of {options['max']}"
    if kind == "BOOLEAN" and not isinstance(value, bool):
        return f"is {value!r}, not true or false"
    # Lists of files differ from host to host; lists of words do not.
    choices = kind if isinstance(kind, list) else options.get("options") if kind == "COMBO" else None
    words = [one for one in choices or () if isinstance(one, str) and "." not in one]
    if words and len(words) == len(choices or ()) and "." not in str(value) and value not in words:
        return f"is {value!r}, none of its {len(words)} choices"
    return None


def _inputs(node: Any) -> Mapping[str, Any]:
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    return inputs if isinstance(inputs, Mapping) else {}


def _is_range(value: Any) -> bool:
    return isinstance(value, Mapping) and "spec" in value


@cache
def _graph(workflow: str) -> Mapping[str, Any] | None:
    # The id is a client's: it is looked up among our own files, never made a path.
    for file in (data.fixtures() / "workflows").glob("*.json"):
        if file.stem == workflow:
            graph = orjson.loads(file.read_bytes())
            known = isinstance(graph, dict) and all("class_type" in node for node in graph.values())
            return graph if known else None
    return None


@cache
def _declared(class_type: str) -> Mapping[str, Any]:
    inputs = _catalogue().get(class_type, {}).get("input", {})
    return {**inputs.get("optional", {}), **inputs.get("required", {})}


@cache
def _catalogue() -> Mapping[str, Any]:
    found: Mapping[str, Any] = orjson.loads((data.schemas() / "_nodes" / "object_info.json").read_bytes())
    return found
