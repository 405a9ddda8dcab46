"""Workflows drawn from the node catalogue: valid ones, and ones with a single slip.

Graphs are grown backwards from an output node: each input that takes a link gets a node that makes its type, the rest
values of their range. Nothing that was drawn is thrown away again: only classes that can be completed are drawn, and
where a graph is deep enough only the shortest way is left. All shrinks towards `least()`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from hypothesis import strategies as st

from contracts.catalogue import catalogue, choices, options

Graph = dict[str, Any]
PLAIN = ("INT", "FLOAT", "BOOLEAN", "STRING")
DEEPEST = 3
"""Links in a row that are chosen freely."""
SHORT = 4
"""Nodes of a class's shortest graph, at most: longer ones tell no more."""
OURS = ("image_upload", "file_upload", "audio_upload", "video_upload", "remote", "image_folder")
"""Options of inputs whose choices are files of one host."""


class Slip(NamedTuple):
    """A workflow that is wrong in one place."""

    graph: Graph
    problem: str
    """What ComfyUI calls the mistake: `value_bigger_than_max`."""
    node: str | None
    """The node that is wrong; None where it is the whole."""


def least() -> Graph:
    """Return the smallest workflow that makes a picture without a model."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "ComfyUI"}},
    }


@st.composite
def workflows(draw: st.DrawFn) -> Graph:
    """Draw a workflow that ComfyUI takes, in its API format."""
    graph: Graph = {}
    _grow(draw, graph, draw(st.sampled_from(_outputs())), 0)
    return graph


@st.composite
def slips(draw: st.DrawFn) -> Slip:
    """Draw a workflow with one mistake that ComfyUI refuses by name."""
    graph = draw(workflows())
    possible = _slips(graph)
    problem = draw(st.sampled_from(sorted({name for name, _, _ in possible})))
    _, node, spoil = draw(st.sampled_from([one for one in possible if one[0] == problem]))
    spoiled = copy.deepcopy(graph)
    spoil(spoiled)
    return Slip(spoiled, problem, node)


def values(spec: list[Any]) -> st.SearchStrategy[Any] | None:
    """Return a strategy of values in the range of an input; None where it takes no plain value.

    Numbers are drawn up to the default, so that pictures stay small.
    """
    told, listed = options(spec), choices(spec)
    if listed is not None:
        return st.sampled_from(listed) if listed and not any(word in told for word in OURS) else None
    if told.get("forceInput") or spec[0] not in PLAIN:
        return None
    low, usual = told.get("min", 0), told.get("default", 0)
    high = max(low, usual) if isinstance(usual, int | float) else low
    if spec[0] == "INT":
        return st.integers(int(low), int(high))
    if spec[0] == "FLOAT":
        return st.floats(float(low), float(high), allow_nan=False)
    if spec[0] == "BOOLEAN":
        return st.booleans()
    return st.sampled_from(["a red fox", "", "ComfyUI"])


def _grow(draw: st.DrawFn, graph: Graph, class_type: str, depth: int) -> str:
    """Add a node and all that it needs; return its id."""
    inputs: dict[str, Any] = {}
    for name, spec in catalogue()[class_type]["input"].get("required", {}).items():
        drawn = values(spec)
        if drawn is not None:
            inputs[name] = draw(drawn)
            continue
        makers = _makers()[spec[0]]
        places = [(other, _place(node["class_type"], spec[0])) for other, node in graph.items()]
        there: list[Any] = [[other, place] for other, place in places if place is not None]
        again = st.sampled_from(there or [None])
        link = draw(st.one_of(st.none(), again))
        if link is not None:
            inputs[name] = link
            continue
        maker = draw(st.sampled_from(makers)) if depth < DEEPEST else makers[0]
        place = _place(maker, spec[0])
        inputs[name] = [_grow(draw, graph, maker, depth + 1), place]
    id = str(len(graph) + 1)
    graph[id] = {"class_type": class_type, "inputs": inputs}
    return id


def _place(class_type: str, kind: str) -> int | None:
    made = catalogue()[class_type]["output"]
    return made.index(kind) if kind in made else None


@cache
def _makers() -> Mapping[str, list[str]]:
    """Return type -> classes that put it out and can be completed, the shortest way first."""
    costs = _costs()
    found: dict[str, list[str]] = {}
    for class_type in sorted(costs, key=lambda one: (costs[one], one != "EmptyImage", one)):
        for kind in _made(class_type):
            found.setdefault(kind, []).append(class_type)
    return found


@cache
def _outputs() -> list[str]:
    costs = _costs()
    found = [one for one in costs if catalogue()[one]["output_node"]]
    return sorted(found, key=lambda one: (one != "SaveImage", costs[one], one))


@cache
def _costs() -> Mapping[str, int]:
    """Return class -> how many nodes its shortest graph has, of those classes that can be completed in few."""
    costs: dict[str, int] = {}
    made: dict[str, int] = {}
    for nodes in range(1, SHORT + 1):
        for class_type, told in catalogue().items():
            if class_type in costs or told.get("deprecated") or told.get("api_node"):
                continue
            needed = [_cost(spec, made) for spec in told["input"].get("required", {}).values()]
            if all(one is not None for one in needed) and 1 + sum(one or 0 for one in needed) <= nodes:
                costs[class_type] = nodes
        for class_type, cost in costs.items():
            for kind in _made(class_type):
                made.setdefault(kind, cost)
    return costs


def _made(class_type: str) -> list[str]:
    """Return the types that a class puts out for others; a graph has one output node, so that one slip stops it all."""
    told = catalogue()[class_type]
    return [] if told["output_node"] else list(dict.fromkeys(kind for kind in told["output"] if isinstance(kind, str)))


def _cost(spec: list[Any], made: Mapping[str, int]) -> int | None:
    if values(spec) is not None:
        return 0
    kind = spec[0]
    # Types that depend on what else is linked, and lists of files, are left out.
    plain = not isinstance(kind, str) or kind in (*PLAIN, "COMBO", "*") or kind.startswith("COMFY_")
    return None if plain else made.get(kind)


Spoil = Callable[[Graph], None]


def _slips(graph: Graph) -> list[tuple[str, str | None, Spoil]]:
    """Return every slip that the graph has room for: what it is called, where, and how to make it."""
    found: list[tuple[str, str | None, Spoil]] = []
    for id, node in graph.items():
        found.append(("missing_node_type", None, _setting(id, "class_type", "NoSuchNode")))
        for name, spec in catalogue()[node["class_type"]]["input"].get("required", {}).items():
            if values(spec) is None:
                found.append(("return_type_mismatch", id, _giving(id, name, "LATENT_" + str(spec[0]))))
            told = options(spec)
            found.append(("required_input_missing", id, _dropping(id, name)))
            if spec[0] in ("INT", "FLOAT") and values(spec) is not None:
                if "max" in told:
                    found.append(("value_bigger_than_max", id, _putting(id, name, told["max"] * 2 + 1)))
                if "min" in told:
                    found.append(("value_smaller_than_min", id, _putting(id, name, told["min"] - 1)))
                found.append(("invalid_input_type", id, _putting(id, name, "verify")))
            if choices(spec) is not None and isinstance(spec[0], list):
                found.append(("value_not_in_list", id, _putting(id, name, "no such choice")))
    ends = [id for id, node in graph.items() if catalogue()[node["class_type"]]["output_node"]]
    if len(ends) < len(graph):
        found.append(("prompt_no_outputs", None, _leaving_out(ends)))
    return found


def _setting(id: str, member: str, value: Any) -> Spoil:
    return lambda graph: graph[id].update({member: value})


def _putting(id: str, name: str, value: Any) -> Spoil:
    return lambda graph: graph[id]["inputs"].update({name: value})


def _dropping(id: str, name: str) -> Spoil:
    def drop(graph: Graph) -> None:
        del graph[id]["inputs"][name]

    return drop


def _leaving_out(ids: list[str]) -> Spoil:
    def leave_out(graph: Graph) -> None:
        for id in ids:
            del graph[id]

    return leave_out


def _giving(id: str, name: str, kind: str) -> Spoil:
    """Link an input to a node that puts out something else."""

    def give(graph: Graph) -> None:
        other = str(len(graph) + 1)
        strange = "EmptyImage" if "IMAGE" not in kind else "EmptyLatentImage"
        inputs = {
            spec: options(told).get("default", 1) for spec, told in catalogue()[strange]["input"]["required"].items()
        }
        graph[other] = {"class_type": strange, "inputs": inputs}
        graph[id]["inputs"][name] = [other, 0]

    return give
