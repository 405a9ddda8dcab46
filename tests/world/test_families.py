"""Plans of whole graphs that come again with other literals: the same as if each were planned alone."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver import data
from mockserver.world import catalogue
from mockserver.world.families import Families
from mockserver.world.plan import make_plan

CATALOGUE = catalogue.load()
GRAPHS: list[dict[str, Any]] = [
    json.loads((data.fixtures() / name).read_bytes())["prompt"]
    for name in ("esd/create_execute.request.json", "gpugeek/text-to-image.request.json")
]

Graph = dict[str, Any]
Change = Callable[[Graph], None]

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 4096), st.floats(0, 100), st.sampled_from(["", "a fox", "x_%width%"])
)
ODD: st.SearchStrategy[Any] = st.one_of(
    SCALARS, st.just(["3", 0]), st.just({"__value__": [1]}), st.just(10**30), st.just([])
)


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """Draw something that a client may change in a graph, sensible or not."""
    kind = draw(st.sampled_from(["literal", "literal", "literal", "anything", "node", "class", "title", "order"]))
    pick, value = draw(st.integers(0, 1000)), draw(ODD if kind == "anything" else SCALARS)

    def change(graph: Graph) -> None:
        each = list(graph)[pick % len(graph)]
        node = graph[each]
        if kind in ("literal", "anything"):
            inputs = node.get("inputs") or {"new": 1}
            names = [name for name in inputs if kind == "anything" or not isinstance(inputs[name], list)] or ["new"]
            inputs[names[pick % len(names)]] = value
        elif kind == "node":
            graph[each] = value
        elif kind == "class":
            node["class_type"] = value
        elif kind == "title":
            node["_meta"] = {"title": value}
        else:
            graph[each] = graph.pop(each)
            node["inputs"] = dict(reversed(node["inputs"].items()))

    return change


@given(st.data(), st.sampled_from(GRAPHS))
def test_a_graph_has_the_plan_it_would_have_alone_whatever_came_before_it(data: st.DataObject, graph: Graph) -> None:
    families = Families(CATALOGUE)
    for made in data.draw(st.lists(st.lists(changes(), max_size=3), min_size=2, max_size=5)):
        mine = copy.deepcopy(graph)
        for change in made:
            if all(isinstance(node, dict) and isinstance(node.get("inputs"), dict) for node in mine.values()):
                change(mine)
        targets = data.draw(st.sampled_from([None, [], list(mine)[-1:], ["nowhere"]]))
        for sizes in (None, {"a fox": (10, 20)}):
            assert families.plan(mine, targets, sizes) == make_plan(mine, CATALOGUE, targets=targets, sizes=sizes)


@pytest.mark.parametrize(("before", "after"), [*permutations([0, False, 0.0, 1, True, 1.0, "1"], 2)])
@pytest.mark.parametrize("graph", GRAPHS, ids=["esd", "gpugeek"])
def test_true_is_no_1_and_false_no_0_wherever_they_stand(graph: Graph, before: Any, after: Any) -> None:
    for each, node in graph.items():
        for name, value in node["inputs"].items():
            families = Families(CATALOGUE)
            for literal in (before, after):
                mine = copy.deepcopy(graph)
                mine[each]["inputs"][name] = [value[0], literal] if isinstance(value, list) else literal
                assert families.plan(mine, None) == make_plan(mine, CATALOGUE), f"{each}.{name}: {literal!r}"


def test_another_seed_and_prompt_need_no_other_plan() -> None:
    families = Families(CATALOGUE)
    first, second = copy.deepcopy(GRAPHS[0]), copy.deepcopy(GRAPHS[0])
    for node in second.values():
        node["inputs"].update({name: "another" for name in node["inputs"] if name == "text"})
        node["inputs"].update({name: 12345 for name in node["inputs"] if "seed" in name})
    assert families.plan(first, None) is families.plan(second, None)


def test_more_steps_do() -> None:
    families = Families(CATALOGUE)
    first, second = copy.deepcopy(GRAPHS[1]), copy.deepcopy(GRAPHS[1])
    (sampler, *_) = [node for node in second.values() if "steps" in node["inputs"]]
    sampler["inputs"]["steps"] += 1
    assert families.plan(second, None).total_steps == families.plan(first, None).total_steps + 1


def test_what_is_no_graph_has_a_plan_all_the_same() -> None:
    for odd in ({}, {"1": 3}, {"1": {"inputs": None}}, {"1": {"class_type": "SaveImage", "inputs": {"a": 10**30}}}):
        assert Families(CATALOGUE).plan(odd, None) == make_plan(odd, CATALOGUE)


def test_no_more_families_are_kept_than_are_of_use() -> None:
    families = Families(CATALOGUE)
    for number in range(200):
        node = {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}}
        families.plan({str(number): node}, None)
    big = {"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x" * 100_000}}}
    families.plan(big, None)
    assert len(families) <= 32
