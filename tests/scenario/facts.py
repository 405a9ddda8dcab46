"""Calls, tasks and scripts made by hand, for the tests of scenarios."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mockserver import data
from mockserver.provider import load
from mockserver.provider.model import Provider
from mockserver.scenario import CallFacts, Decision, Scenario, Script, parse
from mockserver.scenario.script import decide_call, decide_task
from mockserver.world.chance import world_key
from mockserver.world.task import Outlook, Task
from tests.world.hosted import EVEN, START, Client
from tests.world.hosted import provider as hosted


@functools.cache
def genstudio() -> Provider:
    return load(data.schemas() / "genstudio", name="genstudio")


@functools.cache
def store() -> Provider:
    return load(data.schemas() / "_stores" / "oss", name="oss")


def script(text: str | Scenario, *, seed: int = 0, at: float | None = None) -> Script:
    """Put a scenario in force that began at START."""
    scenario = parse(text, "mine") if isinstance(text, str) else text
    return Script(scenario, {"genstudio": (genstudio(), store())}, key=world_key(seed), start=START, at=at)


def call(
    operation: str = "get_task_info",
    *,
    at: float = 0.0,
    request: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    provider: Provider | None = None,
) -> CallFacts:
    """Make a call to GenStudio, or to its store, so many seconds after START."""
    of = provider or genstudio()
    found = next(one for one in of.operations if one.id == operation)
    return CallFacts(
        family="genstudio",
        provider=of,
        operation=found,
        at=START + at,
        request=lambda: request or {},
        facts=lambda: facts or {},
    )


def decide(script: Script, operation: str = "get_task_info", **more: Any) -> Decision:
    return decide_call([script], call(operation, **more))


def acted(script: Script, calls: int, operation: str = "get_task_info") -> list[int]:
    """Make so many calls; return the numbers of those that a rule acted on."""
    return [number for number in range(1, calls + 1) if decide(script, operation).rules]


class Scripted(Client):
    """A client of the hosted service of the world's tests, whose tasks meet what a script wants."""

    def __init__(self, *scripts: Script, of: Provider | None = None, seed: int = 0) -> None:
        super().__init__(replace(EVEN, outlook=self._outlook), seed=seed, of=replace(of or hosted(), **ERRORS))
        self.scripts = scripts
        for one in scripts:
            self.service.runs.arrange(one.turns("genstudio"))

    def _outlook(self, task: Task) -> Outlook:
        return decide_task(
            self.scripts, task, replace_provider(call("prompt", at=self.world.now - START), self.provider)
        )


def replace_provider(facts: CallFacts, provider: Provider) -> CallFacts:
    facts.provider = provider
    return facts


ERRORS: dict[str, Any] = {
    "documents": {"errors.json": {"failures": {"input-missing": {}, "node-failed": {}}, "refusals": {}}}
}
"""What the catalogue of the hosted service says, as a file would."""
