"""Overrides of a hosted workflow: new inputs by node, held against the workflow and the node catalogue.

Only workflows that come with the package can be looked into; of others only the form is judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import orjson

from contracts.catalogue import choices, declared, options
from contracts.model import Breach
from mockserver import data
from mockserver.provider.documents import escape


def breaches(overrides: Any, workflow: Any, *, whole: bool = False) -> list[Breach]:
    """Return how *overrides* are none, or do not fit the workflow of this id; *whole* workflows may stand for them."""
    if not isinstance(overrides, Mapping):
        return []
    nodes = [node for node in overrides.values() if isinstance(node, Mapping)]
    if any(_is_range(value) for node in nodes for value in _inputs(node).values()):
        return [_ranges()]
    exported = nodes and all("class_type" in node for node in nodes) and not whole
    if exported or ("nodes" in overrides and "links" in overrides):
        text = "the exported workflow stands in their place"
        return [Breach("overrides-not-workflow", "error", text, "/body/prompt")]
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
            spec = declared(node["class_type"]).get(name)
            if name not in node["inputs"] and spec is None:
                text = f"{node['class_type']} (node {id}) has no input {name!r}"
                yield Breach("override-known", "error", text, here)
            elif spec is not None and (problem := _out_of_range(value, spec)) is not None:
                yield Breach("override-in-range", "error", f"{name} of node {id} {problem}", here)


def _out_of_range(value: Any, spec: list[Any]) -> str | None:
    kind, told = spec[0], options(spec)
    if kind in ("INT", "FLOAT"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"is {value!r}, not a number"
        if "min" in told and value < told["min"]:
            return f"is {value!r}, under the least of {told['min']}"
        if "max" in told and value > told["max"]:
            return f"is {value!r}, over the most of {told['max']}"
    if kind == "BOOLEAN" and not isinstance(value, bool):
        return f"is {value!r}, not true or false"
    # Lists of files differ from host to host; lists of words do not.
    listed = choices(spec) or []
    words = [one for one in listed if isinstance(one, str) and "." not in one]
    if words and len(words) == len(listed) and "." not in str(value) and value not in words:
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
