"""A task, and its run as seen at a moment: progress, nodes, files, events are computed when looked at.

A task changes only through `runs`. Moments are Unix seconds on the world's clock; lengths are virtual seconds.
A `None` is a value the world does not have. Kept small: a hundred thousand finished tasks must fit into memory, so what
can be computed again is not kept.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from mockserver.provider.model import Json, Refusal
from mockserver.world.events import Event
from mockserver.world.pace import EVEN, Pace
from mockserver.world.plan import literal
from mockserver.world.things import Thing

if TYPE_CHECKING:
    from mockserver.provider.scope import Scope
    from mockserver.world.classes import OutputSpec
    from mockserver.world.files import File
    from mockserver.world.kernel import Due
    from mockserver.world.plan import PlannedNode
    from mockserver.world.runs import Runs

# Moments near 2e9 s have a resolution of 0.24 us; a look at the very moment of a step must see the step done.
_RESOLUTION = 5e-7
# Stands for what came over a link, which only a real run has.
_OPAQUE = "..."
# A run that has not ended is never whole: 100 percent means the end.
_NEVER_WHOLE = 1 - 1e-9


class Plan(Protocol):
    """What a run does, as shares 0..1 of its time; `mockserver.world.plan.Plan` is one. Shared by many tasks."""

    @property
    def nodes(self) -> tuple[PlannedNode, ...]: ...
    @property
    def total_steps(self) -> int: ...
    @property
    def writers(self) -> Sequence[int]: ...
    @property
    def wrong(self) -> Sequence[int]: ...
    def share(self, index: int, step: int) -> float: ...
    def position(self, share: float) -> tuple[int, int]: ...
    def progress(self, share: float) -> float: ...
    def done(self, ended: int, step: int) -> float: ...


class Fault(NamedTuple):
    """A run's end by failure: at a node when it is *done* to some share, or at a share of the run."""

    condition: str
    """A condition of the vocabulary's FAILURES, or the name of an entry of errors.json."""
    facts: Mapping[str, Any] | None = None
    node: str | None = None
    """Id of the node that fails; one that the plan lacks counts as the first."""
    done: float = 0.0
    """Share of the node's own time when it fails, 0..1."""
    share: float | None = None
    """Share of the whole run, if no node is named."""
    text: str | None = None
    """Its message, instead of the one errors.json has."""
    cause: str | None = None
    """For the journal: the rule that wants it."""


class Outlook(NamedTuple):
    """What is decided about a task when it is submitted. The default is a task that goes well."""

    fault: Fault | None = None
    factor: float = 1.0
    """Times the drawn duration."""
    duration: float | None = None
    """Instead of the drawn duration, virtual seconds."""
    starts: bool = True
    """False: it waits for ever, keeping its place."""
    ends: bool = True
    """False: it runs for ever; its progress stops just before the end."""
    cancelled: float | None = None
    """Share of the run at which the service itself cancels it, where the machine lets it; None for never."""
    pace: Pace | None = None
    """How unevenly it runs; None for evenly."""
    results: Literal["none", "corrupt", "wrong-size", "missing", "expired"] | None = None
    """What is wrong with its files: not written, bytes broken, half the size, gone behind good links, links dead."""
    ahead: int = 0
    """So many tasks of others wait before it when it is submitted."""
    lost_after: float | None = None
    """So long after its submit the service no longer knows it; None for never."""
    cause: str | None = None
    """For the journal: the rule that decided so."""


FINE = Outlook()

Given = tuple[Json, Json, Json, Json, Json]
"""What a submit gave: request, overrides, inputs, extra and graph."""


class Standing(NamedTuple):
    """Where a run stands: the first `started` nodes have begun, `ended` have ended, `made` have written their files."""

    share: float
    started: int
    ended: int
    made: int
    step: int
    """Finished steps of the node that runs."""


_NOT_BEGUN = Standing(0.0, 0, 0, 0, 0)


class Task:
    """One submitted run. Attributes are the values `task.*` of the schema language.

    `plan` is shared; `request` the body of the submit. Only `runs` sets them.
    """

    __slots__ = (
        "_again",
        "_given",
        "_reached",
        "account",
        "cached_nodes",
        "client",
        "counters",
        "created",
        "due",
        "duration",
        "estimate",
        "failure",
        "finished",
        "front",
        "id",
        "images",
        "kept",
        "key",
        "line_id",
        "new_seeds",
        "number",
        "outlook",
        "plan",
        "priority",
        "runs",
        "size",
        "started",
        "state",
        "stop",
        "targets",
        "things",
    )

    def __init__(
        self,
        runs: Runs,
        number: int,
        *,
        plan: Plan,
        created: float,
        account: Thing | None = None,
        things: Mapping[str, Thing],
        request: Json = None,
        priority: float = 0,
        client: str | None = None,
        extra: Json = None,
        overrides: Json = None,
        inputs: Json = None,
        graph: Json = None,
        again: Callable[[Task], Json] | None = None,
        targets: Sequence[str] | None = None,
        images: Sequence[tuple[str, str]] = (),
        cached: frozenset[str] = frozenset(),
        kept: Mapping[str, Sequence[File]] | None = None,
    ) -> None:
        self.runs = runs
        self.number = number
        self.id = ""
        self.account = account
        self.things = things
        """Kind -> the thing of that kind it uses."""
        self.plan = plan
        self.priority = priority
        self.client = client
        self._given: Given | bytes = (request, overrides, inputs, extra, graph)
        self.front = False
        self.new_seeds = False
        self.targets = targets
        self.images = images
        """Input files its graph names, as node id and value; emptied once they were looked for."""
        self.cached_nodes = cached
        self.kept: Mapping[str, Sequence[File]] = kept or {}
        """Id of a cached node -> the files it wrote when it ran."""
        self._again = again
        self.created = created
        self.started: float | None = None
        self.finished: float | None = None
        self.state = ""
        self.size = 0
        """Bytes of the request that brought it, which it holds as long as it is known."""
        self._reached: tuple[Any, ...] = ()
        """States and moments in turn: pairs would double what a hundred thousand tasks keep of it."""
        self.duration = 0.0
        """How long its run takes if nothing stops it; known from the submit on."""
        self.estimate: float | None = None
        self.failure: Failure | None = None
        self.stop: Standing | None = None
        """Where its run was cut short; None for one that was not."""
        self.outlook = FINE
        self.counters: tuple[int, ...] = ()
        """First number of the files of each output, in run order; drawn when the run starts."""
        self.line_id = ""
        self.key: tuple[Any, ...] = ()
        """Its key in its line."""
        self.due: Due | None = None
        """What happens to it next by itself."""

    # what the client gave

    @property
    def request(self) -> Json:
        return self._unpacked[0]

    @property
    def overrides(self) -> Json:
        return self._unpacked[1]

    @property
    def inputs(self) -> Json:
        return self._unpacked[2]

    @property
    def extra(self) -> Json:
        return self._unpacked[3]

    @property
    def graph(self) -> Json:
        """The coerced graph; it is made again where that can be done."""
        graph = self._unpacked[4]
        return self._again(self) if graph is None and self._again is not None else graph

    def pack(self) -> None:
        """Keep what the client gave as bytes: a fifth of its size, and nothing for the garbage collector to look at."""
        with suppress(ValueError):  # bytes of a file part stay as they are
            self._given = marshal.dumps(self._given)

    @property
    def _unpacked(self) -> Given:
        given = self._given
        return self.runs.given(self.number, given) if isinstance(given, bytes) else given

    # states and moments

    @property
    def reached(self) -> dict[str, float]:
        """State -> the moment it was entered."""
        return dict(self._moments())

    def _moments(self) -> Iterator[tuple[str, float]]:
        reached = iter(self._reached)
        return zip(reached, reached, strict=True)

    def enter(self, state: str, at: float) -> None:
        self.state = state
        self._reached = (*self._reached, state, at)

    @property
    def waited(self) -> float:
        until = self.started if self.started is not None else self.finished
        return (self.runs.now if until is None else until) - self.created

    @property
    def ran(self) -> float | None:
        if self.started is None:
            return None
        return (self.runs.now if self.finished is None else self.finished) - self.started

    @property
    def eta(self) -> float | None:
        ran, progress = self.ran, self.progress
        return None if ran is None or progress <= 0 else ran * (1 - progress) / progress

    @property
    def progress(self) -> float:
        standing = self.standing(self.runs.now)
        if standing.share >= 1:
            return 1.0
        if self.stop is not None:
            return self.plan.progress(standing.share)
        return self.plan.done(standing.ended, standing.step)

    @property
    def price(self) -> float | None:
        return self.runs.price

    # the line

    @property
    def position(self) -> int:
        rank = self.runs.rank(self)
        return 0 if rank is None else rank + 1

    @property
    def ahead(self) -> int:
        return self.runs.rank(self) or 0

    @property
    def line(self) -> int:
        return 0 if self.runs.rank(self) is None else self.runs.line_of(self).waiting

    # the run

    @property
    def nodes(self) -> list[Node]:
        """The nodes as of now, in run order."""
        return self.nodes_at(self.runs.now)

    def nodes_at(self, at: float) -> list[Node]:
        standing = self.standing(at)
        return [Node(self, index, standing) for index in range(len(self.plan.nodes))]

    def writers_at(self, at: float) -> Sequence[Node]:
        """Return those of `nodes_at` that have written files: few of a large graph do."""
        standing = self.standing(at)
        if not standing.made:
            return ()
        return [Node(self, index, standing) for index in self.plan.writers if index < standing.made]

    @property
    def node(self) -> Node | None:
        """The node being run, or at which the run was cut short; None between two nodes."""
        standing = self.standing(self.runs.now)
        return Node(self, standing.ended, standing) if standing.started > standing.ended else None

    @property
    def files(self) -> tuple[File, ...]:
        """The files that exist by now, in run order."""
        return self.runs.results.files_of(self, self.standing(self.runs.now).made)

    @property
    def shown(self) -> tuple[File, ...]:
        """Those of its files that its nodes list; some are only written."""
        return tuple([file for file in self.files if file.ui is not None])

    @property
    def node_ids(self) -> list[str]:
        """The ids of its graph's nodes, as the graph has them."""
        graph = self.graph
        return list(graph) if isinstance(graph, Mapping) else [node.id for node in self.plan.nodes]

    @property
    def cached(self) -> list[str]:
        """The nodes whose results were kept from before, as the graph has them."""
        return [id for id in self.node_ids if id in self.cached_nodes] if self.cached_nodes else []

    @property
    def executed(self) -> list[str]:
        """The nodes that have run to their end by now."""
        ended = self.standing(self.runs.now).ended
        return [node.id for node in self.plan.nodes[:ended] if node.id not in self.cached_nodes]

    @property
    def events(self) -> list[Event]:
        """What was told of its run so far: its states, and between them its nodes."""
        now = self.runs.now
        events = []
        for state, at in self._moments():
            events.append(Event(f"task.{state}", at, self))
            if at == self.started and state == self.runs.running_state:
                events.append(Event("task.cached", at, self))
                # A run cut short tells of no node past its cut; its last state comes after.
                events.extend(tick.event(self) for tick in takewhile(lambda tick: tick.at <= now, ticks(self)))
        return events

    def standing(self, at: float) -> Standing:
        """Return where its run stands at the moment *at*, which has come."""
        runs = self.runs
        pinned = runs.pinned(self, at)
        if pinned is not None:
            return pinned
        # One answer looks several times.
        stood = runs.stood
        if stood is not None and stood[0] is self and stood[1] == at:
            return stood[2]
        standing = self._standing(at)
        runs.stood = (self, at, standing)
        return standing

    def _standing(self, at: float) -> Standing:
        if self.started is None or at < self.started:
            return _NOT_BEGUN if self.stop is None else self.stop
        count = len(self.plan.nodes)
        if self.finished is not None and at >= self.finished:
            return Standing(1.0, count, count, count, 0) if self.stop is None else self.stop
        ran = at - self.started + _RESOLUTION
        share = ran / self.duration if self.duration > 0 else 0.0
        if self.outlook.pace is not None:
            share = self.outlook.pace.share(min(share, 1.0))
        return self.standing_at_share(min(share, _NEVER_WHOLE))

    def moment(self, share: float, *, after: float = 0.0) -> float:
        """Return when its run reaches *share*, not before the moment *after*; it must have started."""
        assert self.started is not None
        if self.outlook.pace is None:
            return self.started + share * self.duration
        passed = max(0.0, (after - self.started) / self.duration) if self.duration > 0 else 0.0
        return self.started + self.outlook.pace.time(share, after=min(passed, 1.0)) * self.duration

    def standing_at_share(self, share: float) -> Standing:
        nodes = self.plan.nodes
        if not nodes:
            return Standing(share, 0, 0, 0, 0)
        index, step = self.plan.position(share)
        node = nodes[index]
        if share < node.start:
            return Standing(share, index, index, index, 0)
        if share >= node.end and node.end > node.start:
            return Standing(share, index + 1, index + 1, index + 1, 0)
        return Standing(share, index + 1, index, index, step)

    def __repr__(self) -> str:
        return f"<task {self.id!r} {self.state}>"


class Tick(NamedTuple):
    """One thing a run tells of between its states."""

    at: float
    name: str
    node: int
    """Index of the node."""
    standing: Standing

    def event(self, task: Task) -> Event:
        return Event(self.name, self.at, task, Node(task, self.node, self.standing))


def ticks(task: Task, *, after: float = -1.0) -> Iterator[Tick]:
    """Tell a started run's nodes in order, after the moment *after*, up to where it ends or is cut short."""
    assert task.started is not None
    plan, stop = task.plan, task.stop
    if stop is None and task.runs.fault_of(task) is not None:
        stop = task.runs.fault_of(task)
    for rise in EVEN if task.outlook.pace is None else task.outlook.pace.rises:
        for index, node in enumerate(plan.nodes):
            if node.start > rise.until:
                break
            if stop is not None and index >= stop.started:
                return
            cut_here = stop is not None and index >= stop.ended
            for name, share, standing in _told(task, index, node):
                if not (rise.since < share <= rise.until or share == rise.since == 0):
                    continue
                if stop is not None and cut_here and name != "node.started" and share >= stop.share:
                    return
                at = task.started + (share if rise is EVEN[0] else rise.time(share)) * task.duration
                if at > after:
                    yield Tick(at, name, index, standing)


def _told(task: Task, index: int, node: PlannedNode) -> Iterator[tuple[str, float, Standing]]:
    shows = any(output.ui or output.extension for output in node.outputs)
    after_it = Standing(node.end, index + 1, index + 1, index + 1, 0)
    if node.id not in task.cached_nodes:
        yield "node.started", node.start, Standing(node.start, index + 1, index, index, 0)
        for step in range(node.pushes):
            share = task.plan.share(index, step)
            standing = Standing(share, index + 1, index, index, step)
            yield "node.step", share, standing
            yield "node.preview", share, standing
        if node.sampler or (node.steps > 1 and not node.pushes):
            for step in range(1, node.steps + 1):
                share = task.plan.share(index, step)
                standing = Standing(share, index + 1, index, index, step)
                yield "node.step", share, standing
                yield "node.preview", share, standing
    if shows:
        yield "node.output", node.end, Standing(node.end, index + 1, index, index + 1, node.steps)
    if node.id not in task.cached_nodes or shows:
        yield "node.finished", node.end, after_it


def next_boundary(task: Task, share: float) -> float | None:
    """Return the share at which a run that is asked to stop at *share* does: before the next node or step.

    None when no boundary is left before its end. Source: ComfyUI looks for an interrupt before each node and each step.
    """
    for index, node in enumerate(task.plan.nodes):
        if node.end <= share:
            continue
        for step in range(node.steps):
            boundary = task.plan.share(index, step)
            if boundary > share:
                return boundary
    return None


class Node:
    """One node of a task's graph as it stood at a moment. Attributes are the values `node.*`."""

    __slots__ = ("_standing", "index", "planned", "task")

    problems: Sequence[Any] = ()
    dependents: Sequence[str] | None = None

    def __init__(self, task: Task, index: int, standing: Standing) -> None:
        self.task = task
        self.index = index
        self.planned = task.plan.nodes[index]
        self._standing = standing

    @property
    def id(self) -> str:
        return self.planned.id

    @property
    def class_type(self) -> str:
        return self.planned.class_type

    @property
    def title(self) -> str:
        return self.planned.title

    @property
    def label(self) -> str | None:
        """The name under which its files are published; None if it has none."""
        return self.task.runs.label(self.task, self.planned.id) or None

    @property
    def state(self) -> str:
        if self.planned.id in self.task.cached_nodes and self.task.started is not None:
            return "cached"
        if self.index < self._standing.ended:
            return "finished"
        return "running" if self.index < self._standing.started else "waiting"

    @property
    def steps(self) -> int:
        return self.planned.steps

    @property
    def step(self) -> int:
        """Finished steps."""
        if self.index < self._standing.ended:
            return self.planned.steps
        return self._standing.step if self.index < self._standing.started else 0

    @property
    def sampler(self) -> bool:
        """Whether it reports each of its steps."""
        return self.planned.sampler or self.planned.pushes > 0

    @property
    def sends(self) -> bool:
        """Whether it sends pictures to the client instead of writing them."""
        return self.planned.pushes > 0

    @property
    def shows(self) -> bool:
        """Whether it has shown what it made: files or text, once its end was reached."""
        return self.index < self._standing.made and any(one.ui for one in self.planned.outputs)

    @property
    def files(self) -> list[File]:
        """What it wrote, once its end was reached."""
        if self.index >= self._standing.made:
            return []
        return self.task.runs.results.files_at(self.task, self.index)

    @property
    def text(self) -> str | None:
        """The text it shows, once its end was reached; None for a node that shows none."""
        shown = self._shown_text
        if shown is None or self.index >= self._standing.made:
            return None
        value = _OPAQUE if shown.text is None else literal(self.task.graph, shown.text)
        return json.dumps(value) if isinstance(value, dict | list) else str(value)

    @property
    def text_key(self) -> str | None:
        """Key of the node's output under which ComfyUI lists its text; None for a node that shows none."""
        return None if self._shown_text is None else self._shown_text.ui

    @property
    def _shown_text(self) -> OutputSpec | None:
        return next((output for output in self.planned.outputs if output.kind == "text"), None)

    @property
    def inputs(self) -> dict[str, Any]:
        """What it was given, each value in a list, as ComfyUI reports it of a node that failed."""
        graph = self.task.graph
        node = graph.get(self.id) if isinstance(graph, Mapping) else None
        given = node.get("inputs") if isinstance(node, Mapping) else None
        if not isinstance(given, Mapping):
            return {}
        shown = {name: [_OPAQUE if isinstance(value, list) else value] for name, value in given.items()}
        extra = self.task.extra if isinstance(self.task.extra, Mapping) else {}
        hidden = {"PROMPT": str(graph), "EXTRA_PNGINFO": extra.get("extra_pnginfo"), "UNIQUE_ID": self.id}
        return shown | {name: [hidden[kind]] for name, kind in self.planned.hidden if kind in hidden}

    def __repr__(self) -> str:
        return f"<node {self.id!r} {self.state}>"


class Failure:
    """Why a task failed. Attributes are the values `failure.*`; texts are rendered as of the failure when read."""

    __slots__ = ("at", "entry", "facts", "node", "task", "text")

    def __init__(
        self,
        task: Task,
        entry: Refusal,
        facts: Mapping[str, Any],
        *,
        node: tuple[int, Standing] | None,
        at: float,
        text: str | None = None,
    ) -> None:
        self.task = task
        self.entry = entry
        self.facts = facts
        self.node = node
        """Index of the node it happened at, and where the run stood."""
        self.at = at
        self.text = text
        """Its message, where that is not the entry's."""

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def code(self) -> Any:
        return self.entry.code(self._scope()) if callable(self.entry.code) else self.entry.code

    @property
    def message(self) -> str | None:
        if self.text is not None:
            return self.text
        return None if self.entry.message is None else self.entry.message(self._scope())

    @property
    def details(self) -> str | None:
        return None if self.entry.details is None else self.entry.details(self._scope())

    @property
    def extra(self) -> dict[str, Any] | None:
        """The facts that the entry names, under their own names."""
        return {name: self.facts.get(name) for name in self.entry.extra} if self.entry.extra else None

    def _scope(self) -> Scope:
        scope = self.task.runs.text_scope(self.at, "failure", self.task.number, task=self.task)
        scope.facts = self.facts
        if self.node is not None:
            scope.node = Node(self.task, *self.node)
        return scope


class Stranger:
    """Stands for a task that is `unknown` or someone else's (`foreign`): the id asked, zeros, empty lists."""

    __slots__ = ("id", "state")

    number = 0
    account = client = extra = created = started = finished = ran = estimate = eta = price = None
    graph = targets = request = overrides = inputs = failure = node = None
    front = new_seeds = False
    priority = 0
    waited = progress = 0.0
    position = ahead = line = 0
    reached: Mapping[str, float] = {}
    things: Mapping[str, Thing] = {}
    nodes: Sequence[Node] = ()
    files: Sequence[File] = ()
    shown: Sequence[File] = ()
    events: Sequence[Event] = ()

    def __init__(self, id: str, state: str) -> None:
        self.id = id
        self.state = state

    def nodes_at(self, at: float) -> Sequence[Node]:
        return ()

    def writers_at(self, at: float) -> Sequence[Node]:
        return ()

    def __repr__(self) -> str:
        return f"<task {self.id!r} {self.state}>"
