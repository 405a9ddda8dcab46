"""The life of tasks: waiting in line, running, ending, and telling of it to those who watch.

One `Runs` belongs to one service. It moves tasks along the machine's steps, keeps lines and slots, and makes the files
of a run when somebody looks. Verbs and what clients may do stand in `service`. An unwatched task costs one event of the
kernel.
"""

from __future__ import annotations

import marshal
import posixpath
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from mockserver.errors import UserError
from mockserver.provider.model import Kind, Provider, QueueRule, Refusal, Step
from mockserver.provider.scope import Call, Scope
from mockserver.provider.vocabulary import FAILURES
from mockserver.world.budget import Account
from mockserver.world.chance import Stream
from mockserver.world.events import Callback, Event, QueueLength, Watch, Watches
from mockserver.world.files import File, normal
from mockserver.world.journal import NO_FACTS, Journal
from mockserver.world.kernel import Due, Kernel
from mockserver.world.line import Line
from mockserver.world.results import RunResults
from mockserver.world.setup import Setup, Turn
from mockserver.world.task import FINE, Failure, Fault, Given, Node, Standing, Task, Tick, next_boundary, ticks
from mockserver.world.things import Collection, Thing, reader

if TYPE_CHECKING:
    from mockserver.world.classes import OutputSpec
    from mockserver.world.plan import PlannedNode
    from mockserver.world.task import Plan


CYCLE = {"cause.type": "graph.DependencyCycleError", "cause.text": "Dependency cycle detected"}
"""How ComfyUI ends a run whose nodes wait for each other. Source: `comfy_execution/graph.py`."""


_GIVEN_KEPT, _LARGE = 64, 64 * 1024
"""What was given for so many tasks is kept at hand, and for none beside one that has more bytes."""


class _Leads(NamedTuple):
    """A step that cuts a run short."""

    target: str
    cause: str | None = None


class Neighbour:
    """A task of somebody else: nobody sees it, but it has its place in line and holds a slot for its *duration*."""

    __slots__ = ("duration", "key")

    def __init__(self, key: tuple[Any, ...], duration: float) -> None:
        self.key = key
        self.duration = duration


Waiting = Task | Neighbour


class Runs:
    """All tasks of one service."""

    def __init__(
        self, provider: Provider, setup: Setup, kernel: Kernel, journal: Journal, *, key: bytes, start: float
    ) -> None:
        self.provider = provider
        self.setup = setup
        self.kernel = kernel
        self.start = start
        self.journal = journal
        self.tasks: Collection[Task] = Collection()
        self.active: dict[int, Task] = {}
        """Tasks that have not ended, by number, also those a client has deleted meanwhile."""
        self.finished: OrderedDict[int, Task] = OrderedDict()
        """In the order they ended."""
        self._requests = Account(setup.max_request_bytes, setup.requests)
        self.running: dict[int, Task] = {}
        self.lines: dict[str, Line[Waiting]] = {}
        """Id of the line's thing, `""` for the one line -> it."""
        self.watches = Watches()
        self.log: Callable[[str, Task], None] | None = None
        """Writes lines of the events of tasks; None where nothing is written."""
        self._uncached: set[str] = set()
        """Lines whose kept results are forgotten as soon as the task that runs in them has ended."""
        self._key = key
        self._kind = provider.machine.kinds["task"]
        self._queue = self._kind.queue or QueueRule()
        self._order = tuple(reader(name) for name in self._queue.order)
        self._plan_seen: Plan | None = None
        self._plan_faults: list[Fault] = []
        """What fails whenever the plan that was seen last runs."""
        self._planned: dict[int, tuple[Standing, Fault | _Leads]] = {}
        """What cuts a run short: a fault, or a step to another state."""
        self._slots_given: int | None = None
        self._line_things: dict[str, Thing | None] = {}
        self._ticking: dict[int, tuple[Due, Iterator[Tick]]] = {}
        self._pin: tuple[Task, float, Standing] | None = None
        self.stood: tuple[Task, float, Standing] | None = None
        """What `Task.standing` found last; forgotten when anything changes."""
        self._given: dict[int, Given] = {}
        """What was given for the tasks that were looked at latest, by number."""
        self.results = RunResults(self)
        self.running_state = next((name for name, state in self._kind.states.items() if "done" in state.on), None)

    @property
    def now(self) -> float:
        return self.kernel.now

    @property
    def kind(self) -> Kind:
        return self._kind

    @property
    def price(self) -> float | None:
        price = self._kind.options.get("price")
        return price if isinstance(price, int | float) else None

    # streams and texts

    def stream(self, *parts: str | int) -> Stream:
        return Stream(self._key, *parts)

    def prepared(self, number: int) -> Stream:
        """Return the stream of whatever preparing a task draws, such as new seeds."""
        return self.stream("prepare", number)

    def text_scope(
        self,
        at: float,
        *parts: str | int,
        task: Task | None = None,
        file: File | None = None,
        account: Thing | None = None,
        counter: int = 0,
    ) -> Scope:
        """Return what a text of the machine looks at; its fresh parts come from the stream that *parts* name."""
        scope = Scope(at=at, call=Call(at=at, operation="", chance=self.stream(*parts)))
        scope.task, scope.file, scope.counter = task, file, counter
        owner = account or (file.account if file is not None else None) or (task.account if task is not None else None)
        if owner is not None:
            scope.things = {"account": owner}
        scope.server = self.provider.server
        return scope

    def delay(self, name: str, *parts: str | int) -> float:
        """Draw a delay of the machine, virtual seconds."""
        delay = self.provider.machine.delays[name]
        if delay.shortest == delay.longest:
            return delay.shortest
        return self.stream("delay", name, *parts).uniform(delay.shortest, delay.longest)

    # submitting, finding, forgetting

    def submit(self, task: Task, facts: Mapping[str, Any]) -> None:
        """Take a new task with its id: it waits, or runs at once."""
        setup, number = self.setup, task.number
        drawn = setup.duration(task.plan, self.stream("run", number))
        task.estimate = task.duration = drawn
        outlook = task.outlook = FINE if setup.outlook is None else setup.outlook(task)
        task.duration = drawn * outlook.factor if outlook.duration is None else outlook.duration
        if self._queue.line is not None and self._queue.line in task.things:
            task.line_id = task.things[self._queue.line].id
        task.key = (*[read(task) for read in self._order], number)
        self.tasks.add(task)
        self.active[number] = task
        self.journal.add(self.now, self.provider.name, "submit", task.id, facts, outlook.cause)
        if outlook.ahead:
            self._crowd(task, outlook.ahead)
        assert self._kind.initial is not None
        self._enter(task, self._kind.initial)

    def find(self, id: str) -> Task | None:
        """Return the task a client may still ask for by *id*."""
        self._expire()
        task = self.tasks.get(id)
        return None if task is None or self.lost(task) else task

    def lost(self, task: Task) -> bool:
        return task.outlook.lost_after is not None and task.created + task.outlook.lost_after <= self.now

    def given(self, number: int, packed: bytes) -> Given:
        """Return what was given for a task, as `Task.pack` has *packed* it; looks at the same task give the same."""
        given = self._given.get(number)
        if given is None:
            if len(self._given) >= _GIVEN_KEPT or len(packed) > _LARGE:
                self._given.clear()
            given = self._given[number] = marshal.loads(packed)
        return given

    def forget(self, task: Task, *, keep_files: bool = False, tell: bool = True) -> None:
        """Remove a task from what clients see; one that waits leaves its line, one that runs runs on.

        Args:
            keep_files: whether its results can still be had, as far as memory allows.
            tell: whether those who watch hear that a line is shorter; of several at once only the last need be told.
        """
        if keep_files and task.started is not None:
            self.results.keep(task)
        self.tasks.remove(task)
        if self.finished.pop(task.number, None) is not None:
            self._requests.change(-task.size)
        if not keep_files or task.started is None:
            self.results.drop(task)
        line = self.lines.get(task.line_id)
        if line is not None and task.key in line:
            line.leave(task.key)
            self._stop(task)
            if tell:
                self._tell("queue.changed", line=line)

    def close(self) -> None:
        """Let go of who watches, and give the room of the requests back: its world is no more."""
        self.watches.close()
        self._requests.close()

    def _expire(self) -> None:
        finished = self.finished
        while finished:
            oldest = next(iter(finished.values()))
            kept = self._kind.keep is None or oldest.finished is None or oldest.finished + self._kind.keep > self.now
            over = len(finished) > self.setup.max_finished or (self._requests.change(0) and len(finished) > 1)
            listed = self._kind.most is None or len(finished) <= self._kind.most
            if kept and not over and listed:
                return
            del finished[oldest.number]
            self._requests.change(-oldest.size)
            if kept and not over and oldest.started is not None:
                self.results.keep(oldest)
            else:
                self.results.drop(oldest)
            self.tasks.remove(oldest)

    # what others do to a task

    def cancel(self, task: Task) -> bool:
        """Give the machine its trigger `cancel`; false where the task's state has no such step."""
        step = self._kind.states[task.state].on.get("cancel")
        if step is None:
            return False
        if step.at == "next-step" and task.number in self.running:
            self._interrupt(task, step)
        else:
            self._cut(task)
            self._enter(task, step.target)
        return True

    def fail(
        self,
        task: Task,
        condition: str,
        facts: Mapping[str, Any] | None = None,
        *,
        text: str | None = None,
        cause: str | None = None,
    ) -> None:
        """End a task by a failure of errors.json: a condition, or an entry's name.

        Raises:
            UserError: the provider has no such failure, or the task is in a state that cannot fail.
        """
        step = self._kind.states[task.state].on.get("fail")
        if step is None:
            raise UserError(f"task {task.id!r} is {task.state!r}, which cannot fail")
        standing = self._cut(task)
        node = None
        if standing is not None and standing.started > standing.ended:
            node = (standing.ended, standing)
        facts = facts or {}
        entry = self._failure(condition, facts, task, node)
        if condition not in (*entry.conditions, entry.name):
            facts = {"cause.type": condition, "cause.text": condition.replace("-", " "), **facts}
        task.failure = Failure(task, entry, facts, node=node, at=self.now, text=text)
        self._enter(task, step.target, cause or condition)

    def _failure(
        self, condition: str, facts: Mapping[str, Any], task: Task, node: tuple[int, Standing] | None
    ) -> Refusal:
        failures = self.provider.failures
        scope = self.text_scope(self.now, "failure", task.number, task=task)
        scope.facts = facts
        scope.node = None if node is None else Node(task, *node)
        for entry in failures.get(condition, ()):
            if entry.test is None or entry.test(scope):
                return entry
        named = [entry for entries in failures.values() for entry in entries if entry.name == condition]
        if not named and condition in self.provider.errors:
            named = [self.provider.errors[condition]]
        if not named and condition in FAILURES:
            # What happens by itself must end the task, also where the folder has no words of its own for it.
            named = [entry for word in ("node-failed", *failures) for entry in failures.get(word, ())]
        if not named:
            known = sorted({*failures, *(entry.name for entries in failures.values() for entry in entries)})
            raise UserError(f"{self.provider.name} has no failure {condition!r}; it has: {', '.join(known) or 'none'}")
        return named[0]

    def set_slots(self, slots: int | None, line_id: str | None = None) -> None:
        """Give every line, or one, so many slots from now on; who runs runs on, also beyond them.

        None gives all lines the slots they have by themselves.
        """
        if slots is not None and slots < 0:
            raise UserError(f"slots {slots!r}: give 0 or more")
        if line_id is None:
            self._slots_given = slots
        for name, line in self.lines.items():
            if line_id is None or name == line_id:
                things = self._line_things.get(name)
                line.slots = self._slots(things) if slots is None else slots
                self._admit(line)

    def uncache(self) -> None:
        """Forget what runs have left for later ones: at once, in a line in which a task runs when it has ended."""
        busy = {task.line_id for task in self.running.values()}
        self._uncached |= busy
        for line in {"", *self.lines} - busy:
            self._forget_results(line)

    def _forget_results(self, line: str) -> None:
        if self.setup.forget is not None:
            self.setup.forget(line)

    def reshuffle(self, cause: str | None = None) -> None:
        """Let those who wait change places within each line."""
        self.journal.add(self.now, self.provider.name, "queue.reshuffled", None, NO_FACTS, cause)
        for name, line in self.lines.items():
            for key, waiting in line.reshuffle(self.stream("reshuffle", name, self.journal.last)):
                waiting.key = key
            self._tell("queue.changed", line=line)

    def arrange(self, turns: Iterable[Turn]) -> list[Due]:
        """Have lines change at given moments; return what can be taken back."""
        return [self.kernel.schedule(turn.at, self._turn, turn) for turn in turns]

    def _turn(self, turn: Turn) -> None:
        if turn.reshuffle:
            self.reshuffle(turn.cause)
        else:
            facts = {"slots": turn.slots}
            self.journal.add(self.now, self.provider.name, "queue.slots", None, facts, turn.cause)
            self.set_slots(turn.slots)

    def refresh_slots(self, thing: Thing) -> None:
        """Read the slots of a thing's line again, after its document changed."""
        line = self.lines.get(thing.id) if thing.kind == self._queue.line else None
        if line is not None:
            line.slots = self._slots(thing)
            self._admit(line)

    # lines

    def line_of(self, task: Task) -> Line[Waiting]:
        line = self.lines.get(task.line_id)
        if line is None:
            thing = None if self._queue.line is None else task.things.get(self._queue.line)
            self._line_things[task.line_id] = thing
            line = self.lines[task.line_id] = Line(self._slots(thing))
        return line

    def rank(self, task: Task) -> int | None:
        """Return how many wait ahead of *task*; None unless it waits."""
        if task.started is not None or task.finished is not None:
            return None
        line = self.lines.get(task.line_id)
        return line.rank(task.key) if line is not None and task.key in line else None

    def queue(self, task: Task | None = None) -> QueueLength:
        """Return the length of a task's line, or of all lines together."""
        if task is not None:
            line = self.lines.get(task.line_id)
            return QueueLength(0, 0) if line is None else QueueLength(line.waiting, line.total)
        lines = self.lines.values()
        return QueueLength(sum(line.waiting for line in lines), sum(line.total for line in lines))

    def _slots(self, thing: Thing | None) -> int:
        if self._slots_given is not None:
            return self._slots_given
        if self.setup.slots is not None:
            return self.setup.slots
        slots: Any = self._queue.slots
        if isinstance(slots, str):
            slots = None if thing is None else reader(slots)(thing)
        # A line whose thing does not say how many has one slot, as a deployment has at least one instance.
        return slots if isinstance(slots, int) and slots >= 0 else 1

    def _admit(self, line: Line[Waiting]) -> None:
        while (task := line.take()) is not None:
            if isinstance(task, Neighbour):
                self.kernel.schedule(self.now + task.duration, self._leave, (line, task))
                self._tell("queue.changed", line=line)
                continue
            if task.due is not None:
                task.due.cancel()
            self._enter(task, self._kind.states[task.state].on["slot"].target)

    def _crowd(self, task: Task, ahead: int) -> None:
        """Let others fill the free slots, and *ahead* more of them wait before *task*, which is not in line yet."""
        line = self.line_of(task)
        count = ahead + max(0, line.slots - len(line.running))
        self.journal.add(self.now, self.provider.name, "queue.ahead", task.id, {"ahead": ahead}, task.outlook.cause)
        for index in range(count):
            # Between the task before and this one, whatever else sorts the line.
            key = (*task.key[:-1], task.number - 1 + (index + 1) / (count + 1))
            seconds = self.setup.duration(task.plan, self.stream("neighbour", task.number, index))
            line.enter(key, Neighbour(key, seconds))
        self._admit(line)

    def _leave(self, subject: tuple[Line[Waiting], Neighbour]) -> None:
        line, neighbour = subject
        line.leave(neighbour.key)
        self._tell("queue.changed", line=line)
        self._admit(line)

    # states

    def _enter(self, task: Task, name: str, cause: str | None = None) -> None:
        state = self._kind.states[name]
        now = self.kernel.now
        task.enter(name, now)
        self.journal.add(now, self.provider.name, f"task.{name}", task.id, NO_FACTS, cause)
        if self.log is not None:
            self.log(f"task.{name}", task)
        if state.final:
            self._end(task, name)
        elif "done" in state.on:
            self._start(task, name)
        elif "slot" in state.on:
            line = self.line_of(task)
            line.enter(task.key, task, held_back=not task.outlook.starts)
            self._schedule_after(task, name)
            if self.watches:
                self._tell(f"task.{name}", task, line=line)
                self._tell("queue.changed", line=line)
            self._admit(line)
        else:
            self._schedule_after(task, name)
            self._tell(f"task.{name}", task, line=self.line_of(task))

    def _schedule_after(self, task: Task, name: str) -> None:
        for delay, target in self._kind.states[name].after.items():
            at = self.now + self.delay(delay, "task", task.number)
            task.due = self.kernel.schedule(at, self._aged, (task, target))

    def _aged(self, subject: tuple[Task, str]) -> None:
        task, target = subject
        line = self.line_of(task)
        if task.key in line:
            line.leave(task.key)
        self._enter(task, target)

    def _start(self, task: Task, name: str) -> None:
        now = self.kernel.now
        self._recall(task)
        cut = self._faults(task)
        if task.plan.nodes:
            self.results.number(task, None if cut is None else cut[0])
        # Only now: whoever looks for a file meanwhile must not find results of it that have no numbers yet.
        task.started, self.stood = now, None
        self.running[task.number] = task
        if cut is not None:
            self._planned[task.number] = cut
            task.due = self.kernel.schedule(task.moment(cut[0].share), self._run_out, task)
        elif task.outlook.ends:
            task.due = self.kernel.schedule(now + task.duration, self._run_out, task)
        if self.watches:
            line = self.line_of(task)
            self._tell("queue.changed", line=line)
            self._tell(f"task.{name}", task, line=line)
            self._tell("task.cached", task, line=line)
            if self.watches.follows(task):
                self._tick_on(task, ticks(task))

    def _recall(self, task: Task) -> None:
        """Skip what earlier runs have done: only when a run begins is it known what they left."""
        work = None if self.setup.recall is None else self.setup.recall(task)
        if work is None:
            return
        task.plan, task.cached_nodes, task.kept = work.plan, work.cached, work.kept
        if task.outlook.duration is None:
            task.duration = self.setup.duration(task.plan, self.stream("run", task.number)) * task.outlook.factor

    def _run_out(self, task: Task) -> None:
        cut = self._planned.get(task.number)
        if cut is None:
            self._enter(task, self._kind.states[task.state].on["done"].target)
            return
        fault = cut[1]
        if isinstance(fault, _Leads):
            self._cut(task)
            self._enter(task, fault.target, fault.cause)
        else:
            self.fail(task, fault.condition, fault.facts, text=fault.text, cause=fault.cause)

    def _end(self, task: Task, name: str) -> None:
        task.finished, self.stood = self.kernel.now, None
        self._stop(task)
        if task.started is not None and self.setup.remember is not None:
            self.setup.remember(task)
        if task.line_id in self._uncached:
            self._uncached.discard(task.line_id)
            self._forget_results(task.line_id)
        line = self.lines.get(task.line_id)
        held = False
        if line is not None:
            held = task.key in line.running
            line.leave(task.key)
        task.key = ()
        if self.tasks.get(task.id) is task:
            self.finished[task.number] = task
            self._requests.change(task.size)
        if self.watches:
            self._tell(f"task.{name}", task, line=line)
            self._tell("queue.changed", line=line)
            if held:
                self._tell("task.released", task, line=line)
        if held and self.log is not None:
            self.log("task.released", task)
        if line is not None:
            self._admit(line)
        self._expire()

    def _stop(self, task: Task) -> None:
        """Drop what would still have happened to it by itself."""
        number = task.number
        self.active.pop(number, None)
        self.running.pop(number, None)
        self._planned.pop(number, None)
        task.images = ()
        if task.due is not None:
            task.due.cancel()
            task.due = None
        ticking = self._ticking.pop(number, None)
        if ticking is not None:
            ticking[0].cancel()

    # cutting a run short

    def _cut(self, task: Task) -> Standing | None:
        """Write down where a run stands that does not go on; None for one that has not begun."""
        if task.started is None:
            return None
        planned = self._planned.get(task.number)
        on_time = planned is not None and task.due is not None and not task.due.pending
        task.stop = planned[0] if planned is not None and on_time else task.standing(self.now)
        self.stood = None
        return task.stop

    def _interrupt(self, task: Task, step: Step) -> None:
        planned = self._planned.get(task.number)
        boundary = next_boundary(task, task.standing(self.now).share)
        if boundary is None or (planned is not None and planned[0].share <= boundary):
            return
        assert task.started is not None
        if task.due is not None:
            task.due.cancel()
        self._planned[task.number] = (task.standing_at_share(boundary), _Leads(step.target))
        task.due = self.kernel.schedule(task.moment(boundary, after=self.now), self._run_out, task)

    def fault_of(self, task: Task) -> Standing | None:
        """Return where a running task is going to be cut short."""
        planned = self._planned.get(task.number)
        return None if planned is None else planned[0]

    def _faults(self, task: Task) -> tuple[Standing, Fault | _Leads] | None:
        """Return what will cut short the run that starts now: the first of what is decided and the missing inputs."""
        setup, outlook = self.setup, task.outlook
        faults = [] if outlook.fault is None else [outlook.fault]
        if task.images and setup.resolve_input is not None:
            faults += [
                Fault("input-missing", {"input.value": value}, node)
                for node, value in task.images
                if setup.resolve_input(task, value) is None
            ]
        if task.images and setup.readable is not None:
            faults += [
                Fault("input-unreadable", {"input.value": value}, node)
                for node, value in task.images
                if not setup.readable(task, value)
            ]
        faults += [_not_a_link(task.plan.nodes[index], task.graph) for index in task.plan.wrong]
        if task.plan is not self._plan_seen:
            # Most tasks of a service share their plan.
            self._plan_seen, self._plan_faults = task.plan, [*self._faults_of(task.plan)]
        faults += self._plan_faults
        task.images = ()
        found: list[tuple[Standing, Fault | _Leads]] = [(_place_of(fault, task), fault) for fault in faults]
        step = self._kind.states[task.state].on.get("cancel")
        if outlook.cancelled is not None and step is not None:
            standing = task.standing_at_share(min(max(outlook.cancelled, 0.0), 1 - 1e-9))
            found.append((standing, _Leads(step.target, outlook.cause)))
        return min(found, key=lambda each: each[0].share) if found else None

    def _faults_of(self, plan: Plan) -> Iterator[Fault]:
        """Yield what fails whenever *plan* runs."""
        lacking = self.setup.lacking
        for node in plan.nodes:
            for output in node.outputs:
                if lacking is not None and output.extension and (text := lacking(output.extension)) is not None:
                    yield Fault("node-failed", {"cause.type": "RuntimeError", "cause.text": text}, node.id)
            if any(_leaves(output) for output in node.outputs):
                yield _outside(node)
            if node.stuck:
                yield Fault("node-failed", CYCLE, node.id)

    # telling

    def watch(
        self,
        callback: Callback,
        *,
        task: str | frozenset[str] | None = None,
        client: str | None = None,
        all: bool = False,
    ) -> Watch:
        """Have *callback* called at the events of a task, of a client's tasks or of all, and at all queue events.

        It is called while the world moves, `now` being the event's moment; it may look and draw, but change nothing.
        """
        tasks = frozenset[str]() if task is None else frozenset([task]) if isinstance(task, str) else task
        watch = self.watches.add(callback, tasks=tasks, client=client, all=all)
        for run in self.running.values():
            if run.number not in self._ticking and self.watches.follows(run):
                self._tick_on(run, ticks(run, after=self.now))
        return watch

    def _tell(self, name: str, task: Task | None = None, *, line: Line[Waiting] | None) -> None:
        if self.watches:
            length = QueueLength(0, 0) if line is None else QueueLength(line.waiting, line.total)
            self.watches.tell(Event(name, self.kernel.now, task, None if task is None else task.node, length))

    def _tick_on(self, task: Task, coming: Iterator[Tick]) -> None:
        tick = next(coming, None)
        if tick is None:
            self._ticking.pop(task.number, None)
            return
        # Not after the run's own end, which rounding could put a hair before its last node's.
        at = tick.at if task.due is None else min(tick.at, task.due.at)
        due = self.kernel.schedule(at, self._tick, (task, tick), first=True)
        self._ticking[task.number] = (due, coming)

    def _tick(self, subject: tuple[Task, Tick]) -> None:
        task, tick = subject
        _, coming = self._ticking.pop(task.number)
        if not self.watches.follows(task):
            return
        cut = self.fault_of(task)
        if (
            cut is not None
            and tick.name != "node.started"
            and tick.node >= cut.ended
            and tick.standing.share >= cut.share
        ):
            return  # it was cut short meanwhile: the step at which it stops is not told
        now = self.kernel.now
        self._pin = (task, now, tick.standing)
        try:
            self.watches.tell(Event(tick.name, now, task, Node(task, tick.node, tick.standing), self.queue(task)))
        finally:
            self._pin = None
        self._tick_on(task, coming)

    def pinned(self, task: Task, at: float) -> Standing | None:
        """Return where a run stands while an event of it is told, between two events of one moment."""
        pin = self._pin
        return pin[2] if pin is not None and pin[0] is task and pin[1] == at else None

    def label(self, task: Task, node: str) -> str | None:
        """Return the name under which an output node is published; see `Setup.label`."""
        return None if self.setup.label is None else self.setup.label(task, node)


def _leaves(output: OutputSpec) -> bool:
    """Whether a prefix leads out of the folder of outputs."""
    return output.root == "output" and normal(output.prefix) is None


def _outside(node: PlannedNode) -> Fault:
    """Return how a run ends at a node that would write outside. Source: ComfyUI's `get_save_image_path`."""
    prefix = next(output.prefix for output in node.outputs if _leaves(output))
    root = "/ComfyUI/output"
    folder = posixpath.normpath(posixpath.join(root, posixpath.dirname(prefix)))
    text = (
        "**** ERROR: Saving image outside the output folder is not allowed."
        f"\n full_output_folder: {folder}"
        f"\n         output_dir: {root}"
        f"\n         commonpath: {posixpath.commonpath([root, folder])}"
    )
    return Fault("node-failed", {"cause.type": "Exception", "cause.text": text}, node.id)


def _not_a_link(node: PlannedNode, graph: Any) -> Fault:
    """Return how a run ends at a node that was given a value where only another node's result will do.

    Source: recorded for a picture; what other nodes miss first is not.
    """
    value = graph[node.id]["inputs"][node.wrong] if isinstance(graph, Mapping) else None
    text = f"{type(value).__name__!r} object has no attribute 'shape'"
    return Fault("node-failed", {"cause.type": "AttributeError", "cause.text": text}, node.id)


def _place_of(fault: Fault, task: Task) -> Standing:
    """Return where a run stands when *fault* cuts it short."""
    nodes = task.plan.nodes
    if not nodes:
        return Standing(fault.share or 0.0, 0, 0, 0, 0)
    if fault.node is None and fault.share is not None:
        return task.standing_at_share(min(max(fault.share, 0.0), 1 - 1e-9))
    index = next((at for at, node in enumerate(nodes) if node.id == fault.node), 0)
    node = nodes[index]
    done = min(max(fault.done, 0.0), 1.0)
    step = int(done * node.steps) if done < 1 else max(0, node.steps - 1)
    return Standing(node.start + (node.end - node.start) * done, index + 1, index, index, step)
