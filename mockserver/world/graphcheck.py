"""Whether ComfyUI would accept a graph, and what it would say if not.

Walks in ComfyUI's order and coerces as it does, so that each finding has the facts its answer is written from. The
texts themselves stand in the providers' `errors.json`. Exceptions that the real server lets happen (a link to a node
that does not exist is a KeyError) happen here too and become findings, with Python's own words.

Source: ComfyUI 0.27.0, `execution.py`, `validate_prompt` and `validate_inputs`; recorded answers in the tests.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeGuard

from mockserver.world.catalogue import Catalogue, Input, NodeClass

Json = Any
Graph = Mapping[str, Any]

# More choices than these are counted instead of printed, as the real server does.
_MOST_CHOICES_SHOWN = 20


class Finding(NamedTuple):
    """One thing wrong with a graph.

    Names: of the whole graph `class-missing`, `class-unknown`, `no-outputs`, `outputs-failed`, `graph-malformed`; of a
    node `required-input-missing`, `bad-linked-input`, `return-type-mismatch`, `invalid-input-type`,
    `value-smaller-than-min`, `value-bigger-than-max`, `value-not-in-list`, `custom-validation-failed`,
    `dependency-cycle`, `exception-during-inner-validation`, `exception-during-validation`; of an override, see
    `workflow.py`.
    """

    name: str
    node: str | None
    facts: Mapping[str, Any] = MappingProxyType({})
    """Under ComfyUI's own names where it has them (`input_name`, `received_value`). Beside those: `received_text` is
    the value as Python prints it, `limit` the bound, `choices` the list as the answer shows it, `custom_text` and
    `cycle` the rest of the details."""


class CheckedNode(NamedTuple):
    """A node with findings of its own."""

    id: str
    class_type: str
    title: str
    findings: tuple[Finding, ...]
    dependents: tuple[str, ...]
    """Output nodes reported with it: every one that failed once this node was known to be wrong."""


class GraphCheck(NamedTuple):
    """What came of a check."""

    graph: Graph
    """With the literals of the checked nodes coerced; the graph given is left as it was."""
    outputs: tuple[str, ...]
    """Output nodes that may run."""
    problem: Finding | None
    """Why nothing may run; None if something may."""
    nodes: tuple[CheckedNode, ...]
    """Nodes with findings, also when others may run."""
    at_outputs: tuple[Finding, ...] = ()
    """Findings on the failed output nodes themselves, in order."""


def check(
    graph: Json,
    catalogue: Catalogue,
    *,
    targets: Sequence[str] | None = None,
    files: Container[str] | None = None,
    lenient: Container[str] = (),
) -> GraphCheck:
    """Check *graph* as ComfyUI does when it is submitted. Never raises, whatever JSON it is given.

    Args:
        graph: a graph in API format.
        targets: run only these output nodes; None for all.
        files: names the loaders of files find, as a graph writes them; None if every name is found.
        lenient: `dependency-cycle`: graphs with a cycle pass, as before ComfyUI 0.24; their runs fail.

    Source: order of nodes and inputs is not defined on the real server; here it is that of the graph and the class.
    """
    if not isinstance(graph, dict):
        return _refused({}, _malformed(None, TypeError(f"{type(graph).__name__!r} object is not a graph")))
    coerced = {each: _copied(node) for each, node in graph.items()}
    outputs = []
    for each, node in coerced.items():
        try:
            if "class_type" not in node:
                return _refused(coerced, _unclassed("class-missing", each, node))
            if node["class_type"] not in catalogue:
                return _refused(coerced, _unclassed("class-unknown", each, node))
            if catalogue[node["class_type"]].output_node and (targets is None or each in targets):
                outputs.append(each)
        except Exception as problem:  # the real server answers 500: the provider's folder says how
            return _refused(coerced, _malformed(each, problem))
    if not outputs:
        return _refused(coerced, Finding("no-outputs", None))
    return _Check(coerced, catalogue, files, "dependency-cycle" in lenient).run(outputs)


def check_literal(declared: Input, value: Json) -> tuple[Json, Finding | None]:
    """Return *value* as ComfyUI would store it, and what is wrong with it. `Finding.node` stays None.

    Source: the second half of `validate_inputs`.
    """
    value, wrong = _coerce(declared, value)
    return value, wrong or _out_of_range(declared, value)


def unwrapped(value: Json) -> Json:
    """Return a literal without the wrapping that keeps a list from looking like a link."""
    return value["__value__"] if isinstance(value, dict) and "__value__" in value else value


def is_link(value: Json) -> TypeGuard[list[Any]]:
    """Whether *value* is a link that can lead somewhere: source node and output slot."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], (int, float))
        and not isinstance(value[1], bool)
    )


def title_of(node: Mapping[str, Any]) -> str | None:
    """Return the title the author gave *node*, None without one."""
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return title if isinstance(title, str) else None


def types_fit(received: Json, wanted: Json) -> bool:
    """Whether an output of type *received* may feed an input of type *wanted*.

    Source: ComfyUI's `validate_node_input`: equal, `*`, or comma lists that overlap.
    """
    if received == wanted or received == "*" or wanted == "*":
        return True
    if not isinstance(received, str) or not isinstance(wanted, str):
        return False
    if _MATCHING in (received, wanted):
        return True
    offered, taken = ({part.strip() for part in each.split(",")} for each in (received, wanted))
    return "*" in offered or "*" in taken or not offered.isdisjoint(taken)


# A class that takes and gives "the same type" is checked by the editor, not by the server.
_MATCHING = "COMFY_MATCHTYPE_V3"

# Input that a class looks up among files, the word its answer uses, and the name of its own check.
_FILE_INPUTS = {
    "LoadImage": ("image", "image", "LoadImage.VALIDATE_INPUTS"),
    "LoadImageMask": ("image", "image", "LoadImageMask.VALIDATE_INPUTS"),
    "LoadImageOutput": ("image", "image", "LoadImage.VALIDATE_INPUTS"),
    "LoadLatent": ("latent", "latent", "LoadLatent.VALIDATE_INPUTS"),
    "LoadAudio": ("audio", "audio", "LoadAudio.validate_inputs"),
    "LoadVideo": ("file", "video", "LoadVideo.validate_inputs"),
}

_SOURCE = "/ComfyUI/execution.py"
# Lines of release 0.27.0 at which the recorded exceptions passed.
_LINES = {
    "prompt": (1172, "validate_prompt", "m = await validate_inputs(prompt_id, prompt, o, validated)"),
    "inner": (943, "validate_inputs", "r = await validate_inputs(prompt_id, prompt, o_id, validated, visiting)"),
    "inputs": (858, "validate_inputs", "inputs = prompt[unique_id]['inputs']"),
    "source": (921, "validate_inputs", "o_class_type = prompt[o_id]['class_type']"),
    "slot": (923, "validate_inputs", "received_type = r[val[1]]"),
    "custom": (1063, "validate_inputs", "ret = await _async_map_node_over_list(prompt_id, unique_id, obj_class)"),
    "range": (990, "validate_inputs", 'if "min" in extra_info and val < extra_info["min"]:'),
}


class _Result:
    """What is known of a validated node: whether it and all above it are well, and its own findings."""

    __slots__ = ("findings", "valid")

    def __init__(self, valid: bool, findings: list[Finding]) -> None:
        self.valid, self.findings = valid, findings


_Walk = Generator[str, _Result, _Result]


class _Check:
    """One run over a graph. Each node is a generator that yields the source it wants validated first.

    The generators are driven by `_validated`, with a stack of our own: a chain of nodes may be longer than Python's.
    """

    def __init__(self, graph: dict[str, Any], catalogue: Catalogue, files: Container[str] | None, cycles: bool) -> None:
        self.graph, self.catalogue, self.files, self.cycles = graph, catalogue, files, cycles
        self.results: dict[str, _Result] = {}
        self.where = "inputs"
        """Line of the original that stands where we are, for tracebacks."""

    def run(self, outputs: list[str]) -> GraphCheck:
        good: list[str] = []
        at_outputs: list[Finding] = []
        failed: list[str] = []
        since: dict[str, int] = {}  # wrong node -> how many outputs had failed before it was known
        looked = 0
        for output in outputs:
            try:
                result = self._validated(output)
            except Exception as problem:  # as the original does: whatever a node's check raises is its finding
                facts = _exception(problem, "prompt", self.where)
                result = _Result(False, [Finding("exception-during-validation", output, facts)])
                self.results[output] = result
            if result.valid:
                good.append(output)
                continue
            at_outputs += result.findings
            for each, known in itertools.islice(self.results.items(), looked, None):
                if not known.valid and known.findings:
                    since[each] = len(failed)
            failed.append(output)
            looked = len(self.results)
        nodes = tuple(self._node(each, failed[first:]) for each, first in since.items())
        problem_of_all = None if good else Finding("outputs-failed", None)
        return GraphCheck(self.graph, tuple(good), problem_of_all, nodes, tuple(at_outputs))

    def _node(self, each: str, dependents: list[str]) -> CheckedNode:
        node = self.graph[each]
        class_type = node["class_type"]
        title = title_of(node) or class_type
        return CheckedNode(each, class_type, title, tuple(self.results[each].findings), tuple(dependents))

    def _validated(self, output: str) -> _Result:
        if output in self.results:
            return self.results[output]
        path = {output: self._node_inputs(output)}  # the nodes being visited
        order = [output]  # the same, outermost first
        result: _Result | None = None
        problem: Exception | None = None
        while order:
            each = order[-1]
            walk = path[each]
            try:
                if problem is not None:
                    raised, problem = problem, None
                    wanted = walk.throw(raised)
                else:
                    wanted = walk.send(result)  # type: ignore[arg-type]  # None starts a generator
                result = None
            except StopIteration as end:
                del path[order.pop()]
                # A cycle found below has already judged this node.
                result = self.results.setdefault(each, end.value)
            except Exception as raised:
                del path[order.pop()]
                problem = raised
            else:
                result = self.results.get(wanted)
                if result is None and wanted in path:
                    result = _Result(True, []) if self.cycles else self._cycle(wanted, order)
                elif result is None:
                    order.append(wanted)
                    path[wanted] = self._node_inputs(wanted)
        if problem is not None:
            raise problem
        assert result is not None
        return result

    def _cycle(self, start: str, path: list[str]) -> _Result:
        nodes = path[path.index(start) :]
        shown = " -> ".join(f"{each} ({self.graph[each]['class_type']})" for each in [*nodes, start])
        for each in nodes:
            facts = {"node_id": each, "cycle_nodes": nodes, "cycle": shown}
            self.results[each] = _Result(False, [Finding("dependency-cycle", each, facts)])
        return self.results[start]

    def _node_inputs(self, each: str) -> _Walk:
        self.where = "inputs"
        node = self.graph[each]
        values = node["inputs"]
        node_class = self.catalogue[node["class_type"]]
        findings: list[Finding] = []
        valid = True
        checked_by_class, word, check_name = _FILE_INPUTS.get(node_class.name, (None, "", ""))
        for name, declared in node_class.inputs_for(values).items():
            if name not in values:
                if declared.required:
                    findings.append(Finding("required-input-missing", each, {"input_name": name}))
                continue
            value = values[name]
            if not isinstance(value, list):
                values[name], wrong = _coerce(declared, value)
                if wrong is None and name != checked_by_class:
                    self.where = "range"
                    wrong = _out_of_range(declared, values[name])
                if wrong is not None:
                    findings.append(Finding(wrong.name, each, wrong.facts))
            elif (wrong := self._broken_link(each, declared, value)) is not None:
                findings.append(wrong)
            else:
                source = value[0]
                try:
                    valid = (yield source).valid and valid
                except Exception as problem:  # as the original: filed under the node that was to be validated
                    valid = False
                    self.results[source] = _Result(False, [_inner_exception(declared, value, problem, self.where)])
        if checked_by_class is not None:
            self.where = "custom"
            findings += self._missing_file(each, node_class, checked_by_class, word, check_name)
        return _Result(valid and not findings, findings)

    def _broken_link(self, each: str, declared: Input, link: list[Json]) -> Finding | None:
        facts = {"input_name": declared.name, "input_config": declared.declared}
        if len(link) != 2:
            return Finding("bad-linked-input", each, {**facts, "received_value": link})
        self.where = "source"
        source = self.graph[link[0]]["class_type"]
        self.where = "slot"
        received = self.catalogue[source].outputs[link[1]]
        wanted = declared.declared[0]
        if types_fit(received, wanted):
            return None
        facts.update(received_type=received, linked_node=link, input_type=wanted)
        return Finding("return-type-mismatch", each, facts)

    def _missing_file(self, each: str, node_class: NodeClass, name: str, word: str, check_name: str) -> list[Finding]:
        """Ask the class's own check, which looks the file up instead of searching the list of choices."""
        values = self.graph[each]["inputs"]
        if name not in values:
            raise TypeError(f"{check_name}() missing 1 required positional argument: {name!r}")
        file = values[name]
        if isinstance(file, list):
            return []  # a link: known only when it runs
        plain = file[: -len(" [input]")] if file.endswith(" [input]") else file
        if self.files is None or file in self.files or plain in self.files:
            return []
        facts = {"input_name": name, "custom_text": f"Invalid {word} file: {file}", "received_value": file}
        return [Finding("custom-validation-failed", each, facts)]


def _coerce(declared: Input, value: Json) -> tuple[Json, Finding | None]:
    value = unwrapped(value)
    convert = _CONVERT.get(declared.type)
    if convert is None:
        return value, None
    try:
        return convert(value), None
    except (TypeError, ValueError, OverflowError) as problem:
        facts = {
            "input_name": declared.name,
            "input_config": declared.declared,
            "input_type": declared.type,
            "received_value": value,
            "received_text": str(value),
            "exception_message": str(problem),
        }
        return value, Finding("invalid-input-type", None, facts)


_CONVERT: Mapping[str, Any] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


def _out_of_range(declared: Input, value: Json) -> Finding | None:
    options = declared.options
    if "min" in options and value < options["min"]:
        return _range_finding("value-smaller-than-min", declared, value, options["min"])
    if "max" in options and value > options["max"]:
        return _range_finding("value-bigger-than-max", declared, value, options["max"])
    if declared.choices is None:
        return None
    several = declared.multiselect and isinstance(value, list)
    refused = [one for one in (value if several else [value]) if one not in declared.choices]
    if not refused:
        return None
    many = len(declared.choices) > _MOST_CHOICES_SHOWN
    facts = {
        "input_name": declared.name,
        "input_config": None if many else declared.declared,
        "received_value": value,
        "received_text": ", ".join(repr(one) for one in refused),
        "choices": f"(list of length {len(declared.choices)})" if many else str(list(declared.choices)),
        "folder": declared.folder,
    }
    return Finding("value-not-in-list", None, facts)


def _range_finding(name: str, declared: Input, value: Json, limit: Json) -> Finding:
    facts = {
        "input_name": declared.name,
        "input_config": declared.declared,
        "received_value": value,
        "received_text": str(value),
        "limit": limit,
    }
    return Finding(name, None, facts)


def _inner_exception(declared: Input, link: list[Json], problem: Exception, where: str) -> Finding:
    facts = _exception(problem, "inner", where)
    facts.update(input_name=declared.name, input_config=declared.declared, linked_node=link)
    return Finding("exception-during-inner-validation", link[0], facts)


def _exception(problem: Exception, *where: str) -> dict[str, Any]:
    lines = (_LINES[each] for each in where)
    return {
        "exception_message": str(problem),
        "exception_type": type(problem).__name__,
        "traceback": [f'  File "{_SOURCE}", line {line}, in {place}\n    {text}\n' for line, place, text in lines],
    }


def _unclassed(name: str, each: str, node: Mapping[str, Any]) -> Finding:
    """Return the finding that a node's class is missing or unknown."""
    class_type = node.get("class_type")
    title = title_of(node)
    shown = title or (f"ID #{each}" if name == "class-missing" else class_type)
    facts = {"node_id": each, "class_type": class_type, "node_title": title or class_type, "shown": shown}
    return Finding(name, each, facts)


def _malformed(each: str | None, problem: Exception) -> Finding:
    facts = {"exception_message": str(problem), "exception_type": type(problem).__name__}
    return Finding("graph-malformed", each, facts)


def _refused(graph: Graph, problem: Finding) -> GraphCheck:
    return GraphCheck(graph, (), problem, ())


def _copied(node: Json) -> Json:
    if isinstance(node, dict):
        inputs = node.get("inputs")
        return {**node, "inputs": dict(inputs)} if isinstance(inputs, dict) else dict(node)
    return node
