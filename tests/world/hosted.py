"""A hosted service made by hand, for the tests of the world: queued -> running -> succeeded, failed or cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mockserver.provider.model import (
    Delay,
    Kind,
    Machine,
    Marks,
    Present,
    Provider,
    QueueRule,
    Refusal,
    State,
    Step,
    Verb,
)
from mockserver.provider.values import Names, getter, text
from mockserver.world.classes import OutputSpec
from mockserver.world.plan import PlannedNode
from mockserver.world.service import Service
from mockserver.world.setup import Order, Setup, Work
from mockserver.world.things import Thing
from mockserver.world.world import World

START = 1_750_000_000.0
IMAGE = OutputSpec("image", "images", 2, "image/png", "png", 512, 768, "sub/ComfyUI", "output")
KINDS = ("task", "file", "account", "workflow", "endpoint")
NAMES = Names(kinds=KINDS, delays=("deploy", "retention"))


@dataclass(frozen=True)
class EvenPlan:
    """Four nodes of a quarter of the run each; the third is a sampler of ten steps, the last saves two images."""

    nodes: tuple[PlannedNode, ...] = (
        PlannedNode("4", "CheckpointLoaderSimple", "Load", 1, 0.0, 0.25),
        PlannedNode("6", "CLIPTextEncode", "Prompt", 1, 0.25, 0.5),
        PlannedNode("3", "KSampler", "Sampler", 10, 0.5, 0.75),
        PlannedNode("9", "SaveImage", "Save", 1, 0.75, 1.0, (IMAGE,)),
    )
    total_steps: int = 13
    writers: tuple[int, ...] = (3,)
    wrong: tuple[int, ...] = ()
    _before: tuple[int, ...] = field(default=(0, 1, 2, 12))

    def share(self, index: int, step: int) -> float:
        return self.nodes[index].start + 0.25 * step / self.nodes[index].steps

    def position(self, share: float) -> tuple[int, int]:
        if share >= 1:
            return 3, 1
        index = int(share * 4)
        steps = self.nodes[index].steps
        return index, max(step for step in range(steps) if self.share(index, step) <= share)

    def progress(self, share: float) -> float:
        return 1.0 if share >= 1 else self.done(*self.position(share))

    def done(self, ended: int, step: int) -> float:
        return 1.0 if ended > 3 else (self._before[ended] + step) / self.total_steps


def refusal(name: str, *conditions: str, message: str | None = None) -> Refusal:
    words = None if message is None else text(message, NAMES)
    return Refusal(name, conditions, None, None, 400, name, words, None, (), None, None, False)


def states(**steps: Mapping[str, str | Step]) -> dict[str, State]:
    """Make states; one without steps is final. `deploy` and `retention` are delays, all else triggers."""
    made = {}
    for name, on in steps.items():
        after = {word: str(to) for word, to in on.items() if word in NAMES.delays}
        triggers = {word: to if isinstance(to, Step) else Step(to) for word, to in on.items() if word not in after}
        made[name] = State(name, not on, triggers, after)
    return made


FAILURES = [
    refusal("input-missing", "input-missing", message="node {node.id}: {input.value} is missing, task {task.id}"),
    refusal("node-failed", "node-failed", message="node {node.id} ({node.class}) failed"),
]
REFUSALS = [
    refusal(word, word)
    for word in (
        "task-unknown",
        "workflow-unknown",
        "task-not-ready",
        "task-unnamed",
        "endpoint-exists",
        "file-unknown",
    )
]


def provider(
    *,
    slots: int | str = 2,
    order: tuple[str, ...] = (),
    line: str | None = None,
    cancel: Step | str = "cancelled",
    **kind: Any,
) -> Provider:
    task = Kind(
        "task",
        states(
            queued={"slot": "running", "fail": "failed", "cancel": "cancelled"},
            running={"done": "succeeded", "fail": "failed", "cancel": cancel},
            succeeded={},
            failed={},
            cancelled={},
        ),
        "queued",
        {"*": text("cft-{base32:16}", NAMES)},
        QueueRule(slots, line, order),
        **kind,
    )
    file = Kind(
        "file",
        states(kept={"retention": "gone"}, gone={}),
        "kept",
        {"input": text("sui-{base32:16}.{file.extension}", NAMES)},
        options={
            "bucket": "images",
            "lifetime": 600,
            "name": {"output": text("{file.prefix}_{counter:5}_.{file.extension}", NAMES)},
            "key": text("{file.root}/{uuid}/{file.name}", NAMES),
        },
    )
    endpoint = Kind(
        "endpoint",
        states(Creating={"deploy": "InService"}, InService={"change": "Updating"}, Updating={"deploy": "InService"}),
        "Creating",
        {"*": text("ep-{endpoint#/name|lower}", NAMES)},
        ready=frozenset({"InService", "Updating"}),
        present=(Present(None, "InService", {"name": "Demo", "count": 1}),),
    )
    kinds = {
        "task": task,
        "file": file,
        "account": Kind("account", {}, None, {"*": text("te-{base32:16}", NAMES)}),
        "workflow": Kind(
            "workflow", {}, None, {"*": text("wf-{base32:16}", NAMES)}, present=(Present("wf-1", None, {}),)
        ),
        "endpoint": endpoint,
    }
    delays = {"deploy": Delay(120, 300), "retention": Delay(259200, 259200)}
    return Provider(
        name="hosted",
        title="Hosted",
        version="1",
        hosts=(),
        mounts=("",),
        server={},
        operations=(),
        channels=(),
        machine=Machine(kinds, delays, text("i_{hex:16}", NAMES)),
        refusals={},
        failures={entry.name: (entry,) for entry in FAILURES},
        problems={},
        errors={entry.name: entry for entry in [*FAILURES, *REFUSALS]},
        variants={},
        readings={},
        wire={},
        documents={},
        getter=lambda name: getter(name, NAMES),
        security_schemes={},
        answers={},
    )


PLAN = EvenPlan()


def plan(order: Order) -> Work:
    return Work(PLAN, images=[("4", str(order.inputs))] if order.inputs else ())


SETUP = Setup(plan=plan, duration=lambda _, chance: 40.0 + 20 * chance.uniform(0, 1))
EVEN = replace(SETUP, duration=lambda _, chance: 40.0)
"""Every run takes 40 s: a node takes 10 s, a step of the sampler 1 s."""


class Client:
    """Speaks to one service of one world in verbs, as the web layer does. Options that are Python words end in `_`."""

    def __init__(self, setup: Setup = EVEN, *, seed: int = 0, of: Provider | None = None) -> None:
        self.world = World("test", seed=seed, start=START, setup=lambda provider: setup)
        self.provider = of or provider()
        self.size = 0
        """Bytes of its bodies."""

    @property
    def service(self) -> Service:
        return self.world.service(self.provider)

    def do(
        self,
        verb: str,
        *,
        account: Thing | None = None,
        of: str = "task",
        body: Any = None,
        marks: Marks | None = None,
        **options: Any,
    ) -> Any:
        named = {name.rstrip("_").replace("_", "-"): value for name, value in options.items()}
        call = self.service.call(f"{verb}-{of}")
        call.size = self.size
        return self.service.perform(Verb(verb, of, named), marks or {}, call, account, document=body)

    def submit(self, *, account: Thing | None = None, **marks: Any) -> Any:
        given = {f"task.{name}": [value] for name, value in marks.items()}
        return self.do("submit", account=account, marks=given, body=dict(marks)).task

    def read(self, id: str, **rest: Any) -> Any:
        return self.do("read", marks={"task.id": [id]}, **rest).task

    def hear(self, **watched: Any) -> list[Any]:
        """Watch, and keep of each event what a drawing would show at its moment."""
        heard: list[Any] = []
        self.service.watch(lambda event: heard.append((event.name, event.at - START, _shown(event))), **watched)
        return heard

    def journal(self) -> bytes:
        return self.world.journal.ndjson()


def _shown(event: Any) -> Any:
    if event.node is not None and event.name.startswith("node."):
        return event.node.id, event.node.step, round(event.task.progress, 3)
    return tuple(event.queue)
