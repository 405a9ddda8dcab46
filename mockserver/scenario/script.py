"""A scenario in force in one world: rules matched against calls, tasks and connections, and counted.

Decides, and does nothing: what is decided, the web and the world carry out. Knows no time: moments come in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mockserver.provider.model import Json, Operation, Provider, Refusal
from mockserver.scenario import errors, names
from mockserver.scenario.counting import Counter, Gauge, Hits
from mockserver.scenario.feed import FeedPlan
from mockserver.scenario.model import (
    UNSET,
    Action,
    AnswerAction,
    FeedAction,
    PatchAction,
    QueueAction,
    Rule,
    Scenario,
    TaskAction,
    When,
    WireAction,
)
from mockserver.scenario.wire import Wire
from mockserver.world.chance import Stream
from mockserver.world.pace import Pace
from mockserver.world.setup import Turn
from mockserver.world.task import FINE, Fault, Outlook, Task

STALL = ((0.0, 0.0), (0.3, 0.45), (0.8, 0.45), (1.0, 1.0))
JUMP = ((0.0, 0.0), (0.6, 0.33), (0.6, 0.97), (1.0, 1.0))
BACKWARD = ((0.0, 0.0), (0.5, 0.6), (0.5, 0.3), (1.0, 1.0))
PACES = {"stall": Pace(STALL), "jump": Pace(JUMP), "backward": Pace(BACKWARD)}
HALFWAY = 0.5
"""When a task goes wrong of which nothing else is said."""


@dataclass(slots=True, kw_only=True)
class CallFacts:
    """One call, as rules look at it. What costs something to know is a function."""

    family: str
    """The provider served, also for a call to its store."""
    provider: Provider
    operation: Operation
    at: float
    """Unix seconds on the world's clock."""
    request: Callable[[], Json] = dict
    """`{"body", "query", "headers", "path"}`."""
    task: Callable[[], Json] = lambda: None
    """`{"inputs", "overrides", "graph"}` of a submit."""
    facts: Callable[[], Mapping[str, Any]] = dict
    """What is known for the texts of an error: `task.id`, `workflow.id`."""


@dataclass(slots=True, kw_only=True)
class Reply:
    """An answer in place of the right one: an entry of the catalogue, or a bare status; then headers and body."""

    entry: Refusal | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = UNSET


@dataclass(slots=True)
class Decision:
    """What is to happen to one call."""

    rules: list[str] = field(default_factory=list)
    answer: Reply | None = None
    stale: float = 0.0
    """Show tasks as they stood so many seconds ago."""
    wire: Wire | None = None
    patches: list[PatchAction] = field(default_factory=list)


class _Active:
    """A rule in force: with its counts."""

    __slots__ = ("chance", "counter", "gauge", "rule")

    def __init__(self, rule: Rule, key: bytes, scenario: str, at: float) -> None:
        self.rule = rule
        self.counter = Counter(
            rule.when.picks, rule.skip, rule.times, Stream(key, "scenario", scenario, rule.id, "share")
        )
        self.chance = Stream(key, "scenario", scenario, rule.id, "draw")
        limit = rule.do.limit if isinstance(rule.do, AnswerAction) else None
        self.gauge = None if limit is None else Gauge(limit, at)


class Script:
    """One scenario in force.

    Args:
        families: the providers served, each with its store.
        key: the world's, see `world.chance.world_key`.
        start: the world's first moment, Unix seconds.
        at: the moment it comes into force; limits count from then.

    Raises:
        ScenarioError: it names what none of the providers has.
    """

    def __init__(
        self, scenario: Scenario, families: names.Families, *, key: bytes, start: float, at: float | None = None
    ) -> None:
        names.check(scenario, families)
        self.scenario = scenario
        self._key = key
        self._start = start
        self._connections = 0
        self._rules = [_Active(rule, key, scenario.name, start if at is None else at) for rule in scenario.rules]
        self._calls = [one for one in self._rules if _about_calls(one.rule)]
        self._tasks = [one for one in self._rules if _about_tasks(one.rule.do)]
        self._feeds = [one for one in self._rules if isinstance(one.rule.do, FeedAction)]

    @property
    def cuts(self) -> bool:
        """Whether it may hold the answer to a call, or cut it short."""
        return any(isinstance(one.rule.do, WireAction) for one in self._calls)

    @property
    def hits(self) -> dict[str, Hits]:
        """Rule id -> how often something fitted it, and how often it acted."""
        return {one.rule.id: one.counter.hits for one in self._rules}

    def for_call(self, call: CallFacts, decision: Decision) -> None:
        """Add to *decision* what the rules want of *call*; what stands there already stays."""
        for active in self._calls:
            do = active.rule.do
            if isinstance(do, QueueAction) and call.operation.verb.name != "submit":
                continue
            fits = self._matches(active.rule.when, call) and active.counter.take()
            if fits and self._act(active, do, call, decision):
                active.counter.acted()
                decision.rules.append(active.rule.id)

    def for_task(self, task: Task, call: CallFacts, outlook: Outlook = FINE) -> Outlook:
        """Return *outlook* with what the rules want of a task that *call* submits; what is said there already stays."""
        acted = []
        for active in self._tasks:
            if self._matches(active.rule.when, call, task) and active.counter.take():
                changed = _changed(outlook, active.rule, task, call.provider)
                if changed != outlook:
                    outlook = changed
                    active.counter.acted()
                    acted.append(active.rule.id)
        if not acted:
            return outlook
        return outlook._replace(cause=",".join([outlook.cause, *acted] if outlook.cause else acted))

    def for_feed(self, *, family: str, channel: str, at: float, request: Callable[[], Json]) -> FeedPlan | None:
        """Return what happens to a connection that is made now; None for nothing."""
        if not self._feeds:
            return None
        self._connections += 1
        action, acted = FeedAction(), list[str]()
        for active in self._feeds:
            if self._follows(active.rule.when, family, channel, at, request) and active.counter.take():
                changed = _filled(action, active.rule.do)
                if changed != action:
                    action = changed
                    active.counter.acted()
                    acted.append(active.rule.id)
        if not acted:
            return None
        chance = Stream(self._key, "scenario", self.scenario.name, "feed", self._connections)
        return FeedPlan(action, chance, tuple(acted))

    def patches_for(self, *, family: str, channel: str, at: float, request: Callable[[], Json]) -> list[PatchAction]:
        """Return how the messages of a connection that is made now are patched."""
        found = []
        for active in self._rules:
            rule = active.rule
            if not isinstance(rule.do, PatchAction) or rule.when.channels is None:
                continue
            if self._follows(rule.when, family, channel, at, request) and active.counter.take():
                active.counter.acted()
                found.append(rule.do)
        return found

    def turns(self, family: str) -> list[Turn]:
        """Return how the lines of a provider change, in order."""
        rules = [
            (active.rule, active.rule.do)
            for active in self._rules
            if isinstance(active.rule.do, QueueAction)
            and (active.rule.when.providers is None or family in active.rule.when.providers)
            # A window that was over before the world began changes nothing.
            and self._since(active.rule) < self._until(active.rule)
        ]
        turns = [Turn(self._since(rule), reshuffle=True, cause=rule.id) for rule, do in rules if do.reshuffle]
        slotted = [
            (rule, 0 if not do.ready else do.slots) for rule, do in rules if do.slots is not None or not do.ready
        ]
        moments = {at for rule, _ in slotted for at in (self._since(rule), self._until(rule)) if at < math.inf}
        for at in sorted(moments):
            # Where windows overlap the first rule has the say, also after another has ended.
            in_force = [(rule, slots) for rule, slots in slotted if self._since(rule) <= at < self._until(rule)]
            rule, slots = in_force[0] if in_force else (None, None)
            ended = [one.id for one, _ in slotted if self._until(one) == at]
            turns.append(Turn(at, slots, cause=rule.id if rule is not None else ended[0]))
        return sorted(turns, key=lambda turn: turn.at)

    # matching

    def _matches(self, when: When, call: CallFacts, task: Task | None = None) -> bool:
        if when.providers is not None and call.family not in when.providers:
            return False
        if when.operations is not None and call.operation.id not in when.operations:
            return False
        if when.verbs is not None and call.operation.verb.name not in when.verbs:
            return False
        if not self._in_window(when, call.at):
            return False
        if when.request is not None and not when.request(call.request()):
            return False
        if when.task is None:
            return True
        submitted = call.task() if task is None else _shown(task)
        return submitted is not None and when.task(submitted)

    def _follows(self, when: When, family: str, channel: str, at: float, request: Callable[[], Json]) -> bool:
        return (
            (when.providers is None or family in when.providers)
            and (when.channels is None or channel in when.channels)
            and self._in_window(when, at)
            and (when.request is None or when.request(request()))
        )

    def _in_window(self, when: When, at: float) -> bool:
        return (when.since is None or when.since.of(self._start) <= at) and (
            when.until is None or at < when.until.of(self._start)
        )

    def _since(self, rule: Rule) -> float:
        return self._start if rule.when.since is None else rule.when.since.of(self._start)

    def _until(self, rule: Rule) -> float:
        return math.inf if rule.when.until is None else rule.when.until.of(self._start)

    # acting

    def _act(self, active: _Active, do: Action, call: CallFacts, decision: Decision) -> bool:
        if isinstance(do, WireAction):
            decision.wire = decision.wire or Wire()
            return decision.wire.add(do, active.chance)
        if isinstance(do, PatchAction):
            decision.patches.append(do)
            return True
        if isinstance(do, AnswerAction) and do.stale:
            stale, decision.stale = decision.stale, decision.stale or do.stale
            return not stale
        if decision.answer is not None:
            return False
        if isinstance(do, AnswerAction):
            decision.answer = _reply(active, do, call)
        else:
            decision.answer = _unready(call)
        return decision.answer is not None


def decide_call(scripts: Sequence[Script], call: CallFacts) -> Decision:
    """Ask several scripts; of those that want the same thing, the first has the say."""
    decision = Decision()
    for script in scripts:
        script.for_call(call, decision)
    return decision


def decide_task(scripts: Sequence[Script], task: Task, call: CallFacts, outlook: Outlook = FINE) -> Outlook:
    """As `decide_call`, for the task that *call* submits."""
    for script in scripts:
        outlook = script.for_task(task, call, outlook)
    return outlook


def _about_calls(rule: Rule) -> bool:
    if isinstance(rule.do, QueueAction):
        return not rule.do.ready
    return isinstance(rule.do, AnswerAction | WireAction) or (
        isinstance(rule.do, PatchAction) and rule.when.channels is None
    )


def _about_tasks(do: Action) -> bool:
    return isinstance(do, TaskAction) or (isinstance(do, QueueAction) and do.ahead > 0)


# answers


def _reply(active: _Active, do: AnswerAction, call: CallFacts) -> Reply | None:
    error, status, headers = do.error, do.status, dict(do.headers)
    known = {**call.facts(), **do.facts}
    if do.revoked:
        # Links of a store are signed with another key than the caller's.
        if not call.operation.security or call.provider.name != call.family:
            return None
        if error is None:
            error, status = "credentials-wrong", status or 401
    if active.gauge is not None:
        wait = active.gauge.wait(call.at)
        if wait <= 0:
            return None
        if error is None and status is None:
            error, status = "too-many-calls", 429
        if wait < math.inf:
            seconds = math.ceil(wait - 1e-6)
            headers.setdefault("retry-after", str(seconds))
            known.setdefault("retry.after", seconds)
    if error is None:
        return Reply(status=status, headers=headers, body=do.body)
    entry = errors.refusal_for(call.provider, call.operation, error, anywhere=active.rule.when.pointed)
    if entry is not None:
        given = do.status if do.error is not None else None
        facts = errors.facts_for(entry, known, call.provider.machine.kinds)
        return Reply(entry=entry, facts=facts, status=given, headers=headers, body=do.body)
    if isinstance(error, int):
        status = status or error
    return None if status is None else Reply(status=status, headers=headers, body=do.body)


def _unready(call: CallFacts) -> Reply:
    """Refuse a submit as the provider does while what its tasks wait for, such as a pool, is not ready."""
    queue = call.provider.machine.kinds["task"].queue
    for error in (503,) if queue is None or queue.line is None else (f"{queue.line}-not-ready", 503):
        entry = errors.refusal_for(call.provider, call.operation, error, anywhere=False)
        if entry is not None:
            return Reply(entry=entry, facts=errors.facts_for(entry, call.facts()))
    return Reply(status=503)


# tasks


def _shown(task: Task) -> Json:
    return {"inputs": task.inputs, "overrides": task.overrides, "graph": task.graph}


def _changed(outlook: Outlook, rule: Rule, task: Task, provider: Provider) -> Outlook:
    do = rule.do
    if isinstance(do, QueueAction):
        return outlook if outlook.ahead else outlook._replace(ahead=do.ahead)
    assert isinstance(do, TaskAction)
    changes = {name: value for name, value in _wanted(do, rule.id, task, provider) if _free(outlook, name)}
    return outlook._replace(**changes) if changes else outlook


def _free(outlook: Outlook, name: str) -> bool:
    ends = ("fault", "cancelled", "starts", "ends")
    if name in ends:
        return all(getattr(outlook, end) == getattr(FINE, end) for end in ends)
    return bool(getattr(outlook, name) == getattr(FINE, name))


def _wanted(do: TaskAction, rule: str, task: Task, provider: Provider) -> Iterator[tuple[str, Any]]:
    yield from _ending(do, rule, task, provider)
    if do.lost is not None:
        yield "lost_after", do.lost
    if do.slow is not None:
        yield "factor", do.slow
    if do.lasts is not None:
        yield "duration", do.lasts
    if do.nodes:
        pace, seconds = _node_pace(do.nodes, task)
        yield "pace", pace
        yield "duration", seconds * (do.slow or 1.0)
    if do.results is not None:
        yield "results", do.results
    if do.progress is not None:
        yield "pace", PACES[do.progress]


def _ending(do: TaskAction, rule: str, task: Task, provider: Provider) -> Iterator[tuple[str, Any]]:
    if do.outcome == "stuck-queued":
        yield "starts", False
    elif do.outcome == "stuck-running":
        yield "ends", False
    elif do.outcome == "cancelled" and _cancellable(provider):
        yield "cancelled", HALFWAY if do.at is None else do.at
    elif do.outcome in ("fail", "out-of-memory", "cancelled"):
        fault = _fault(do, rule, task, provider)
        if fault is not None:
            yield "fault", fault


def _fault(do: TaskAction, rule: str, task: Task, provider: Provider) -> Fault | None:
    usual = ("out-of-memory",) if do.outcome == "out-of-memory" else ()
    condition = errors.failure_for(provider, do.error, *usual, errors.USUAL_FAILURE)
    if condition is None:
        return None
    cause = ("RuntimeError", do.message or errors.TEXT)
    if "out-of-memory" in (do.outcome, condition):
        # Source: what PyTorch raises and ComfyUI shows when a card is full.
        cause = ("torch.OutOfMemoryError", "Allocation on device 0 would exceed allowed memory. (out of memory)")
    facts = {"cause.type": cause[0], "cause.text": cause[1], "input.value": errors.TEXT, "violation.text": errors.TEXT}
    facts |= do.facts
    node = None if do.node is None else _node_id(do.node, task)
    if node is not None:
        return Fault(condition, facts, node, done=do.at or 0.0, text=do.message, cause=rule)
    return Fault(condition, facts, share=HALFWAY if do.at is None else do.at, text=do.message, cause=rule)


def _node_id(wanted: str, task: Task) -> str:
    ids = [node.id for node in task.plan.nodes if wanted in (node.id, node.class_type)]
    return ids[0] if ids else wanted


def _cancellable(provider: Provider) -> bool:
    states = provider.machine.kinds["task"].states.values()
    return any("cancel" in state.on for state in states if "done" in state.on)


def _node_pace(seconds: Mapping[str, float], task: Task) -> tuple[Pace, float]:
    lengths = []
    before = 0.0
    for node in task.plan.nodes:
        usual = (node.end - before) * task.duration
        lengths.append((node.end, seconds.get(node.id, seconds.get(node.class_type, usual))))
        before = node.end
    if before < 1:
        lengths.append((1.0, (1 - before) * task.duration))
    return Pace.of_lengths(lengths)


# feeds


def _filled(action: FeedAction, more: Action) -> FeedAction:
    """Return *action* with what it does not say yet taken from *more*."""
    nothing = FeedAction()
    changes = {
        name: getattr(more, name)
        for name in FeedAction._fields
        if getattr(action, name) == getattr(nothing, name) != getattr(more, name)
    }
    return action._replace(**changes)
