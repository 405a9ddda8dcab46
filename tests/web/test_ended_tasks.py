"""An ended task keeps what the client gave, as bytes; what was made of it is made again when somebody looks."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mockserver.provider.model import Marks
from mockserver.settings import Settings
from mockserver.web.emulator import MAIN, Emulator
from mockserver.world.task import Task
from mockserver.world.workflow import Workflow

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
EMULATOR = Emulator(Settings(providers=("aliyun",), rate=0, start=1_790_000_000))
SERVED = EMULATOR.offer.served["aliyun"]


def submit(workflow: Workflow, overrides: dict[str, Any], *, new_seeds: bool) -> Task:
    stage = EMULATOR.stages[MAIN]
    service = stage.service(SERVED)
    operation = next(one for one in SERVED.provider.operations if one.verb.name == "submit")
    marks: Marks = {
        "pool.id": ["default"],
        "workflow.id": [workflow.id],
        "task.overrides": [overrides],
        "task.new_seeds": [new_seeds],
    }
    outcome = service.perform(operation.verb, marks, service.call(operation.id), stage.account(SERVED, "key"))
    assert isinstance(outcome.task, Task)
    return outcome.task


@given(texts=st.lists(TEXTS, max_size=3), seed=st.integers(0, 2**53), new_seeds=st.booleans())
def test_the_graph_of_an_ended_task_is_the_one_that_ran(texts: list[str], seed: int, new_seeds: bool) -> None:
    workflow = next(iter(EMULATOR.offer.hosting.samples.values()))
    overrides: dict[str, Any] = {}
    for id, node in workflow.graph.items():
        for name, value in node["inputs"].items():
            if name == "seed":
                overrides[id] = {"inputs": {name: seed}}
            elif name == "text" and isinstance(value, str) and texts:
                overrides[id] = {"inputs": {name: texts.pop()}}
    task = submit(workflow, overrides, new_seeds=new_seeds)
    ran = task.graph

    EMULATOR.stages[MAIN].world.jump(3600)

    assert task.finished is not None
    assert repr(task.graph) == repr(ran)
