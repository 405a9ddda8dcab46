"""What a workflow lets its callers set: a table for people, a JSON Schema for tools, a request body to start from.

Each literal input of the graph is one parameter; what is linked is part of the workflow. Layouts are ours: the provider
that shows such a table documents only the key `spec` of an entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mockserver.world.catalogue import Input
from mockserver.world.graphcheck import unwrapped
from mockserver.world.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Parameter:
    """One literal input of a workflow's graph."""

    node: str
    class_type: str
    name: str
    value: Any
    """As the workflow stores it."""
    declared: Input | None
    """None if the catalogue does not know the class or the input."""

    @property
    def type(self) -> str:
        """`INT`, `FLOAT`, `STRING`, `BOOLEAN` or `COMBO`; judged by the value where nothing is declared."""
        if self.declared is not None and self.declared.literal:
            return self.declared.type
        return next((name for kind, name in _TYPES if isinstance(self.value, kind)), "STRING")

    @property
    def options(self) -> tuple[Any, ...] | None:
        """The choices, with the stored value among them: its host may know choices the catalogue does not."""
        if self.declared is None or self.declared.choices is None:
            return None
        choices = self.declared.choices
        stored = self.value if isinstance(self.value, list) else [self.value]
        return (*choices, *(one for one in stored if one not in choices))

    @property
    def spec(self) -> dict[str, Any]:
        """Default and range: `{"default": 20, "min": 1, "max": 10000}`, or `options` for a list.

        The default is the declared one, since the printed example shows 20, 1, 10000 as `KSampler.steps` declares them;
        where none is declared, the stored value.
        """
        declared: Mapping[str, Any] = {} if self.declared is None else self.declared.options
        spec: dict[str, Any] = {"default": declared.get("default", self.value)}
        spec.update((key, declared[key]) for key in ("min", "max", "step") if key in declared)
        if self.options is not None:
            spec["options"] = list(self.options)
            if spec["default"] not in self.options and not isinstance(self.value, list):
                spec["default"] = self.value
        return spec


def parameters(workflow: Workflow) -> Iterator[Parameter]:
    """Yield the parameters of *workflow*, in the order of its graph."""
    for each, node in workflow.graph.items():
        known = workflow.catalogue.get(node["class_type"])
        inputs = {} if known is None else known.inputs_for(node["inputs"])
        for name, value in node["inputs"].items():
            if not isinstance(value, list):
                yield Parameter(each, node["class_type"], name, unwrapped(value), inputs.get(name))


def ranges(workflow: Workflow) -> dict[str, Any]:
    """Return the table of parameters: node id -> class and inputs, each with its type and its `spec`."""
    table: dict[str, Any] = {}
    for one in parameters(workflow):
        entry = table.setdefault(one.node, {"class_type": one.class_type, "inputs": {}})
        entry["inputs"][one.name] = {"type": one.type, "spec": one.spec}
    return table


def trial_run(workflow: Workflow) -> dict[str, Any]:
    """Return overrides that list every parameter with its stored value, as a console's trial run offers them.

    Integers are Python's, so seeds of 64 bits stay exact; lists are wrapped as requests must give them.
    """
    overrides: dict[str, Any] = {}
    for one in parameters(workflow):
        value = {"__value__": one.value} if isinstance(one.value, list) else one.value
        overrides.setdefault(one.node, {"inputs": {}})["inputs"][one.name] = value
    return overrides


def json_schema(workflow: Workflow) -> dict[str, Any]:
    """Return a JSON Schema (2020-12) of the overrides *workflow* takes without a finding.

    What a call may give beside them (`class_type`, `_meta`) is allowed; nodes and inputs that are not there are not.
    """
    nodes: dict[str, Any] = {}
    for one in parameters(workflow):
        entry = nodes.setdefault(
            one.node,
            {
                "title": one.class_type,
                "type": "object",
                "required": ["inputs"],
                "properties": {"inputs": {"type": "object", "additionalProperties": False, "properties": {}}},
            },
        )
        entry["properties"]["inputs"]["properties"][one.name] = _schema(one)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Overrides of workflow {workflow.id}",
        "type": "object",
        "additionalProperties": False,
        "properties": nodes,
    }


# A boolean is an int to Python: it comes first.
_TYPES: tuple[tuple[type, str], ...] = ((bool, "BOOLEAN"), (int, "INT"), (float, "FLOAT"), (list, "COMBO"))

_JSON_TYPES = {"INT": "integer", "FLOAT": "number", "STRING": "string", "BOOLEAN": "boolean"}


def _schema(one: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"default": one.value}
    if one.declared is not None and one.declared.multiselect:
        items = {"enum": list(one.options or ())}
        wrapped = {"type": "array", "items": items}
        schema.update(type="object", required=["__value__"], properties={"__value__": wrapped})
        schema["default"] = {"__value__": one.value}
    elif one.options is not None:
        # Input files come and go: any name may be one.
        schema.update({"type": "string"} if one.declared and one.declared.upload else {"enum": list(one.options)})
    elif one.type in _JSON_TYPES:
        schema["type"] = _JSON_TYPES[one.type]
        bounds = {} if one.declared is None else one.declared.options
        schema.update((key, bounds[name]) for name, key in (("min", "minimum"), ("max", "maximum")) if name in bounds)
    return schema
