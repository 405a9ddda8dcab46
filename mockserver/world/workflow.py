"""A hosted workflow: its graph, how it is published, and what becomes of it when a call changes some inputs.

Leaves to others what a graph is worth (`graphcheck.py`), what its run does (`plan.py`) and which inputs it has to
show (`parameters.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from mockserver.errors import UserError
from mockserver.world.catalogue import Catalogue, Input
from mockserver.world.classes import Place
from mockserver.world.families import Family
from mockserver.world.graphcheck import Finding, check_literal, unwrapped
from mockserver.world.plan import Plan, Size

Graph = Mapping[str, Any]
Overrides = Mapping[str, Any]
"""Node id -> `{"inputs": {name: value}}`."""

_PUBLISH = ".publish.json"


@dataclass(frozen=True)
class Publication:
    """How a workflow is published, where the provider lets one choose. See `schemas/_meta/publish.schema.json`."""

    inputs: Mapping[str, Place] = field(default_factory=dict)
    """Name -> the node input it sets."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Name -> the output node whose files it holds."""
    versions: tuple[str, ...] = ("v1",)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def knows(self, version: str) -> bool:
        """Return whether *version* is a version or alias; of a workflow published without settings, any is."""
        return self == Publication() or version in self.versions or version in self.aliases


@dataclass(frozen=True, eq=False)
class Workflow:
    """A workflow by its id. Shared by all worlds; never changes."""

    id: str
    graph: Graph
    catalogue: Catalogue
    publication: Publication = Publication()

    def apply(self, overrides: Any) -> tuple[Graph, tuple[Finding, ...]]:
        """Return the graph with *overrides* in it, and what is wrong with them. See `apply`."""
        return apply(self.graph, overrides, self.catalogue)

    def plan(self, graph: Graph | None = None, *, sizes: Mapping[str, Size] | None = None) -> Plan:
        """Return the plan of *graph*, one that `apply` made of this workflow; None for the workflow as it stands.

        Graphs that differ only in literals no plan depends on share one plan.

        Args:
            sizes: pixels of input files, as for `make_plan`.
        """
        return self._family.plan(self.graph if graph is None else graph, sizes)

    def named(self, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Finding, ...]]:
        """Return overrides that set published *inputs* by name; a name that is not published is a finding.

        Findings: `name-unknown` with the fact `input_name`.
        """
        overrides: dict[str, Any] = {}
        findings = []
        for name, value in inputs.items():
            place = self.publication.inputs.get(name)
            if place is None:
                findings.append(Finding("name-unknown", None, {"input_name": name}))
            else:
                overrides.setdefault(place[0], {"inputs": {}})["inputs"][place[1]] = value
        return overrides, tuple(findings)

    def labels(self, node: str) -> tuple[str, ...]:
        """Return the names under which the files of an output node are published."""
        return tuple(name for name, output in self.publication.outputs.items() if output == node)

    @functools.cached_property
    def _family(self) -> Family:
        return Family(self.graph, self.catalogue)


def apply(graph: Graph, overrides: Any, catalogue: Catalogue) -> tuple[Graph, tuple[Finding, ...]]:
    """Return *graph* with the literals of *overrides* in it, coerced as ComfyUI does, and what is wrong with them.

    A literal out of range or choice is set all the same: whether it matters, the caller decides. Whatever else has a
    finding is not applied. `class_type`, `_meta` and links that are in the graph already are passed over, so
    a full export may be given too. *graph* is left as it was; the parts that stay the same are shared.

    Findings: `overrides-malformed` (no object), `node-unknown`, `inputs-missing` (a listed node has no `inputs`
    object), `input-unknown`, `input-linked` (the graph has a link there, or a link was given); and those of a literal:
    `invalid-input-type`, `value-smaller-than-min`, `value-bigger-than-max`, `value-not-in-list`. A value the graph has
    already is never wrong.
    """
    if not isinstance(overrides, dict):
        return graph, (Finding("overrides-malformed", None, {"received_value": overrides}),)
    findings: list[Finding] = []
    changed: dict[str, Any] | None = None
    for each, override in overrides.items():
        node = graph.get(each)
        if node is None:
            findings.append(Finding("node-unknown", each))
            continue
        given = override.get("inputs") if isinstance(override, dict) else None
        if not isinstance(given, dict):
            findings.append(Finding("inputs-missing", each))
            continue
        stored = node["inputs"]
        if given == stored:
            continue
        news = {}
        for name, value in given.items():
            before = stored.get(name, given)
            if before != value or type(before) is not type(value):
                news[name] = value
        if not news:
            continue
        values = dict(stored)
        declared = _inputs_of(node["class_type"], catalogue, values)
        for name, value in news.items():
            finding = _set(values, stored, declared, name, value)
            if finding is not None:
                findings.append(Finding(finding.name, each, {"input_name": name, **finding.facts}))
        changed = dict(graph) if changed is None else changed
        changed[each] = {**node, "inputs": values}
    return graph if changed is None else changed, tuple(findings)


def told(finding: Finding) -> str:
    """Return a finding about an override as a phrase, for answers whose real text is not known."""
    facts = {"received_value": None, **finding.facts, "node": finding.node}
    return _PHRASES[finding.name].format(**facts)


def load(folder: Path, catalogue: Catalogue) -> dict[str, Workflow]:
    """Read every `<workflow id>.json` of *folder*, with its `<workflow id>.publish.json` if there is one.

    Raises:
        UserError: a file is no graph in API format, or a publication names what is not there.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: name one that holds workflows in ComfyUI's API format")
    return {
        path.name.removesuffix(".json"): _read(path, catalogue)
        for path in sorted(folder.glob("*.json"))
        if not path.name.endswith(_PUBLISH)
    }


def make_workflow(id: str, graph: Any, catalogue: Catalogue, publication: Any = None) -> Workflow:
    """Make a workflow of JSON documents.

    Raises:
        UserError: *graph* is no graph in API format, or *publication* names what is not there.
    """
    for problem in _graph_problems(graph):
        raise UserError(problem)
    workflow = Workflow(id, graph, catalogue)
    return workflow if publication is None else Workflow(id, graph, catalogue, _publication(publication, graph))


def _read(path: Path, catalogue: Catalogue) -> Workflow:
    beside = path.with_name(path.name.removesuffix(".json") + _PUBLISH)
    graph = _read_json(path)
    publication = _read_json(beside) if beside.is_file() else None
    try:
        workflow = make_workflow(path.name.removesuffix(".json"), graph, catalogue)
    except UserError as problem:
        raise UserError(f"{path}: {problem}") from None
    try:
        return make_workflow(workflow.id, graph, catalogue, publication)
    except UserError as problem:
        raise UserError(f"{beside}: {problem}") from None


def _read_json(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror}") from None
    except orjson.JSONDecodeError as problem:
        raise UserError(f"{path} is not JSON: {problem}; export the workflow from ComfyUI with Export (API)") from None


_PHRASES: Mapping[str, str] = {
    "overrides-malformed": "overrides are no object",
    "node-unknown": "node {node} is not in the workflow",
    "inputs-missing": "node {node} has no inputs",
    "input-unknown": "input {input_name} is not in node {node}",
    "input-linked": "input {input_name} of node {node} is linked",
    "name-unknown": "input {input_name} is not published",
    "invalid-input-type": "input {input_name} of node {node} is {received_text}, which is no {input_type}",
    "value-smaller-than-min": "input {input_name} of node {node} is {received_text}, smaller than min of {limit}",
    "value-bigger-than-max": "input {input_name} of node {node} is {received_text}, bigger than max of {limit}",
    "value-not-in-list": "input {input_name} of node {node} is {received_text}, which is not in the list",
}

_EXPORT = "export it from ComfyUI with Export (API)"


def _graph_problems(graph: Any) -> Iterator[str]:
    """Yield what keeps *graph* from being planned and changed; whether ComfyUI accepts it is `graphcheck`'s."""
    if not isinstance(graph, dict):
        yield f"a workflow is an object of nodes, this is {type(graph).__name__!r}; {_EXPORT}"
        return
    if isinstance(graph.get("nodes"), list):
        yield f"this is the editor's format, with a list of 'nodes'; {_EXPORT}"
        return
    if not graph:
        yield f"has no nodes; {_EXPORT}"
    for each, node in graph.items():
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            yield f"node {each!r} has no 'class_type'; {_EXPORT}"
        elif not isinstance(node.get("inputs"), dict):
            yield f"node {each!r} has no 'inputs' object; {_EXPORT}"
        else:
            for name, value in node["inputs"].items():
                if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and value[0] not in graph:
                    yield f"input {name!r} of node {each!r} is linked to missing node {value[0]!r}; {_EXPORT}"


def _publication(document: Any, graph: Graph) -> Publication:
    if not isinstance(document, dict):
        raise UserError(f"a publication is an object, this is {type(document).__name__!r}; see publish.schema.json")
    known = ("inputs", "outputs", "versions", "aliases")
    for key in document:
        if key not in known:
            raise UserError(f"unknown key {key!r}; known: {', '.join(known)}")
    inputs = _texts(document, "inputs", dict)
    outputs = _texts(document, "outputs", str)
    aliases = _texts(document, "aliases", str)
    versions = document.get("versions", ["v1"])
    if not isinstance(versions, list) or not versions or not all(isinstance(each, str) for each in versions):
        raise UserError(f'versions is {versions!r}; write a list of names, oldest first: ["v1", "v2"]')
    places = {}
    for name, place in inputs.items():
        node, key = place.get("node"), place.get("input")
        if node not in graph:
            raise UserError(f"input {name!r} sets node {node!r}, which is not there; known: {', '.join(graph)}")
        if key not in graph[node]["inputs"]:
            there = ", ".join(graph[node]["inputs"])
            raise UserError(f"input {name!r} sets {key!r} of node {node!r}, which is not there; known: {there}")
        places[name] = (node, key)
    for name, node in outputs.items():
        if node not in graph:
            raise UserError(f"output {name!r} is node {node!r}, which is not there; known: {', '.join(graph)}")
    for name, version in aliases.items():
        if version not in versions:
            raise UserError(f"alias {name!r} points to version {version!r}; known: {', '.join(versions)}")
    return Publication(places, outputs, tuple(versions), aliases)


def _texts(document: Mapping[str, Any], key: str, kind: type) -> dict[str, Any]:
    value = document.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(each, kind) for each in value.values()):
        right = '{"name": {"node": "6", "input": "text"}}' if kind is dict else '{"name": "text"}'
        raise UserError(f"{key} is {value!r}; write {right}")
    return value


def _inputs_of(class_type: str, catalogue: Catalogue, values: Mapping[str, Any]) -> Mapping[str, Input] | None:
    return catalogue[class_type].inputs_for(values) if class_type in catalogue else None


def _set(
    values: dict[str, Any], stored: Mapping[str, Any], declared: Mapping[str, Input] | None, name: str, value: Any
) -> Finding | None:
    """Set one literal in *values*, or return why not."""
    if isinstance(value, list) or isinstance(stored.get(name), list):
        return Finding("input-linked", None, {"received_value": value})
    one = None if declared is None else declared.get(name)
    if one is None:
        if name not in stored:
            return Finding("input-unknown", None)
        values[name] = unwrapped(value)
        return None
    if not one.literal and name not in stored:
        return Finding("input-linked", None, {"received_value": value})
    coerced, finding = check_literal(one, value)
    if finding is not None and finding.name == "invalid-input-type":
        return finding
    values[name] = coerced
    if finding is None or (one.upload and finding.name == "value-not-in-list"):
        return None  # names of files are looked up when the task runs
    # The environment a workflow is hosted in may know choices that this catalogue does not.
    return None if coerced == unwrapped(stored.get(name)) else finding
