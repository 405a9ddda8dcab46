"""Graphs that differ from one another in literals alone, as a client's do from run to run: a new seed, another prompt.

Most literals have no part in the plan of a run, so that one plan does for many graphs of a family.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from mockserver.world.catalogue import Catalogue
from mockserver.world.plan import Plan, Size, make_plan

Graph = Mapping[str, Any]

# One entry for each combination of sizes, steps and such that calls ask for; more than a test uses, and bounded.
_PLANS_KEPT = 256
_FAMILIES_KEPT, _LARGEST = 32, 64 * 1024
"""So many families of whole graphs are known, of graphs of so many bytes at most."""

_NUMBERS = (int, float)


class Family:
    """The graphs that are *graph* but for their literals, and their plans."""

    def __init__(self, graph: Graph, catalogue: Catalogue, targets: Sequence[str] | None = None) -> None:
        self._graph, self._catalogue, self._targets = graph, catalogue, targets
        self._plans: dict[str, Plan] = {}

    @functools.cached_property
    def base(self) -> Plan:
        """The plan of the graph it began with."""
        return make_plan(self._graph, self._catalogue, targets=self._targets)

    @functools.cached_property
    def _read(self) -> Mapping[str, list[tuple[str, Any]]]:
        """The literals the base plan was made from, by node: name and value."""
        read: dict[str, list[tuple[str, Any]]] = {}
        for each, name in sorted(self.base.reads):
            read.setdefault(each, []).append((name, self._graph[each]["inputs"].get(name)))
        return read

    def plan(self, graph: Graph, sizes: Mapping[str, Size] | None = None) -> Plan:
        """Return the plan of *graph*, which must be of this family.

        Graphs that differ only in literals no plan depends on share one plan.

        Args:
            sizes: pixels of input files, as for `make_plan`.
        """
        changed = []
        for each, known in self._read.items():
            if graph[each] is self._graph[each] and not sizes:
                continue
            inputs = graph[each]["inputs"]
            for name, before in known:
                value = inputs.get(name)
                size = sizes.get(value) if sizes and isinstance(value, str) else None
                if value != before or type(value) is not type(before) or size is not None:
                    changed.append((each, name, value, size))
        if not changed:
            return self.base
        key = repr(changed)
        plan = self._plans.get(key)
        if plan is None:
            plan = make_plan(graph, self._catalogue, targets=self._targets, sizes=sizes)
            # A plan that had to look further than the first one did depends on more than the key says.
            if plan.reads <= self.base.reads:
                if len(self._plans) >= _PLANS_KEPT:
                    self._plans.clear()
                self._plans[key] = plan
        return plan

    def holds(self, graph: Any) -> bool:
        """Return whether *graph* is of this family: the same nodes and links, all in the same order."""
        base = self._graph
        if not isinstance(graph, dict) or list(graph) != list(base):
            return False
        for before, node in zip(base.values(), graph.values(), strict=True):
            if not isinstance(node, dict) or node.keys() != before.keys():
                return False
            inputs, known = node.get("inputs"), before["inputs"]
            if not isinstance(inputs, dict) or list(inputs) != list(known):
                return False
            if any(not _is_same(value, before[name]) for name, value in node.items() if name != "inputs"):
                return False
            if any(not _alike(value, known[name]) for name, value in inputs.items() if value is not known[name]):
                return False
        return True


class Families:
    """The families of the whole graphs that came latest."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: OrderedDict[tuple[Any, ...], Family] = OrderedDict()

    def plan(self, graph: Any, targets: Sequence[str] | None, sizes: Mapping[str, Size] | None = None) -> Plan:
        """Return the plan of *graph*, whatever JSON it is; as `make_plan`, in a tenth of the time where it can be."""
        key = (tuple(graph) if isinstance(graph, dict) else (), None if targets is None else tuple(targets))
        family = self._known.get(key)
        if family is None or not family.holds(graph):
            if not _is_small(graph):
                return make_plan(graph, self._catalogue, targets=targets, sizes=sizes)
            family = self._known[key] = Family(graph, self._catalogue, targets)
            if len(self._known) > _FAMILIES_KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return family.plan(graph, sizes)

    def __len__(self) -> int:
        return len(self._known)


def _alike(one: Any, other: Any) -> bool:
    """Whether two inputs are equal links, or literals of one kind."""
    if isinstance(one, list | dict) or isinstance(other, list | dict):
        return _is_same(one, other)
    return type(one) is type(other) or (type(one) in _NUMBERS and type(other) in _NUMBERS)


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON, in which true is no 1."""
    return bool(one == other) and (isinstance(one, str) or repr(one) == repr(other))


def _is_small(graph: Any) -> bool:
    """Whether a graph is one whose family is worth keeping: well formed, and not too large."""
    if not isinstance(graph, dict) or not all(
        isinstance(node, dict) and isinstance(node.get("inputs"), dict) for node in graph.values()
    ):
        return False
    try:
        return len(orjson.dumps(graph)) <= _LARGEST
    except TypeError:  # integers beyond 64 bits
        return False
