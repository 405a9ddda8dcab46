"""What a check of a graph found, as drawings see it: `check.nodes`, and the `problem.*` of each.

The check names its findings and gives their facts; the words are the provider's, in `problems` of errors.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mockserver.provider.model import Provider
from mockserver.provider.scope import Scope
from mockserver.world.graphcheck import CheckedNode, Finding, GraphCheck


class ProblemView:
    """One finding. Attributes are the values `problem.*`."""

    __slots__ = ("code", "details", "extra", "message", "name")

    def __init__(self, provider: Provider, finding: Finding) -> None:
        scope = Scope(at=0)
        scope.facts = finding.facts
        entries = provider.problems.get(finding.name, ())
        entry = next((one for one in entries if one.test is None or one.test(scope)), None)
        self.name = finding.name if entry is None else entry.name
        self.code: Any = finding.name
        self.message: str | None = finding.name.replace("-", " ")
        self.details: str | None = None
        self.extra: Mapping[str, Any] = {}
        if entry is not None:
            self.code = entry.code(scope) if callable(entry.code) else entry.code
            self.message = None if entry.message is None else entry.message(scope)
            self.details = None if entry.details is None else entry.details(scope)
            self.extra = {fact: finding.facts[fact] for fact in entry.extra if fact in finding.facts}


class NodeView:
    """A node with findings. Attributes are the values `node.*` that a graph alone has."""

    __slots__ = ("class_type", "dependents", "id", "problems", "title")

    def __init__(self, provider: Provider, node: CheckedNode) -> None:
        self.id, self.class_type, self.title = node.id, node.class_type, node.title
        self.problems = [ProblemView(provider, finding) for finding in node.findings]
        self.dependents = list(node.dependents)


class CheckView:
    """A whole check."""

    __slots__ = ("nodes",)

    def __init__(self, provider: Provider, found: GraphCheck) -> None:
        self.nodes: Sequence[NodeView] = [NodeView(provider, node) for node in found.nodes]


def facts_of_check(provider: Provider, found: GraphCheck) -> dict[str, Any]:
    """Return why nothing of a graph may run, as facts of `workflow-invalid`."""
    assert found.problem is not None
    at_outputs = [ProblemView(provider, finding) for finding in found.at_outputs]
    return {
        **found.problem.facts,
        "problem.name": found.problem.name,
        "problems.outputs": [f"{one.message}: {one.details or ''}" for one in at_outputs],
        "check": CheckView(provider, found),
    }
