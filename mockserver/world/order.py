"""In which order ComfyUI runs the nodes of a graph, and what a node's result depends on.

Graphs are given as the API has them; links that lead nowhere count as none. Work grows with the graph, not with its
square: a graph of a thousand nodes is nothing unusual.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from mockserver.world.graphcheck import Graph, is_link


def signature(graph: Graph, node: str, fingerprints: Mapping[str, str] | None = None) -> str:
    """Return what a node's result depends on, as text: equal signatures, equal results.

    See `signatures`.
    """
    return signatures(graph, [node], fingerprints)[node]


def signatures(
    graph: Graph, nodes: Iterable[str] | None = None, fingerprints: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the signatures of *nodes* (None for all) and of everything they depend on.

    A signature covers class, literals and the signatures of the sources; node ids do not matter.

    Args:
        fingerprints: content of the input files by the name the graph gives; a name without one stands for itself.

    Source: ComfyUI's `CacheKeySetInputSignature`.
    """
    known: dict[str, str] = {}
    prints = fingerprints or {}
    for start in graph if nodes is None else nodes:
        path = {start: None}  # the way from there, in order
        stack = [start]
        while stack:
            each = stack[-1]
            sources = sources_of(graph, each)
            missing = [source for source in sources if source not in known and source not in path]
            if missing:
                path[missing[-1]] = None
                stack.append(missing[-1])
                continue
            stack.pop()
            del path[each]
            if each not in known:
                known[each] = _signature(graph, each, known, prints)
    return known


def run_order(
    graph: Graph,
    outputs: Iterable[str],
    is_output: Container[str],
    cached: Container[str] = (),
    sources: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """Return the nodes that *outputs* need, in the order ComfyUI runs them.

    Args:
        cached: nodes whose results are kept; what only they need is left out.
        sources: where the links of each node come from, if that is known already.

    Source: `TopologicalSort.add_node` and `ExecutionList.ux_friendly_pick_node` of ComfyUI.
    """
    pending: dict[str, None] = {}
    feeds: dict[str, dict[str, None]] = {}
    blocks: dict[str, int] = {}
    for output in outputs:
        stack = [output]
        while stack:
            each = stack.pop()
            if each in pending:
                continue
            pending[each] = None
            feeds.setdefault(each, {})
            found = sources_of(graph, each) if sources is None else sources[each]
            needed = [source for source in found if source not in cached]
            stack.extend(needed)
            distinct = dict.fromkeys(needed)
            for source in distinct:
                feeds.setdefault(source, {})[each] = None
            blocks[each] = len(distinct)
    return _picked(pending, feeds, blocks, is_output)


def _picked(
    pending: dict[str, None], feeds: Mapping[str, dict[str, None]], blocks: dict[str, int], outputs: Container[str]
) -> list[str]:
    # The rule picks, of the nodes that are ready, an output first, then the nearest to an output. How near a node is
    # cannot change while it waits: what it feeds waits for it.
    place = {each: number for number, each in enumerate(pending)}
    near = {each: _nearness(each, feeds, outputs) for each in pending}
    ready = [(near[each], place[each], each) for each in pending if not blocks[each]]
    heapq.heapify(ready)
    order = []
    while ready:
        _, _, each = heapq.heappop(ready)
        order.append(each)
        for user in feeds[each]:
            blocks[user] -= 1
            if not blocks[user]:
                heapq.heappush(ready, (near[user], place[user], user))
    return order


def _nearness(each: str, feeds: Mapping[str, Mapping[str, None]], outputs: Container[str]) -> int:
    if each in outputs:
        return 0
    if any(user in outputs for user in feeds[each]):
        return 1
    if any(further in outputs for user in feeds[each] for further in feeds[user]):
        return 2
    return 3


def inputs_of(graph: Graph, each: str) -> Mapping[str, Any]:
    """Return the inputs of a node; none of what is no node."""
    inputs = graph[each].get("inputs") if isinstance(graph.get(each), dict) else None
    return inputs if isinstance(inputs, dict) else {}


def sources_of(graph: Graph, each: str) -> list[str]:
    """Return the nodes that the links of a node come from, in the order of its inputs."""
    return [value[0] for value in inputs_of(graph, each).values() if is_link(value) and value[0] in graph]


def _signature(graph: Graph, each: str, known: Mapping[str, str], prints: Mapping[str, str]) -> str:
    node = graph[each]
    parts: list[Any] = [node.get("class_type")]
    for name, value in sorted(inputs_of(graph, each).items()):
        if is_link(value):
            parts.append((name, known.get(value[0]), value[1]))
        else:
            content = prints.get(value) if isinstance(value, str) else None
            parts.append((name, value, content))
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
