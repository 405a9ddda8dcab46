"""One provider's state in one world, and its verbs: what each operation does to tasks, things and files.

`perform` answers with an `Outcome`, from which `scope` makes what a drawing looks at; what the client did wrong is
raised as `Refused` before anything has changed. Which tasks run when stands in `runs`, what becomes of other things in
`lives`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from math import inf
from typing import Any, NamedTuple

from mockserver.errors import Refused
from mockserver.provider.documents import merge_patch
from mockserver.provider.model import NOTHING, Json, Kind, Marks, Provider, Verb
from mockserver.provider.scope import NO_LINK, NO_PAGE, NONE, Call, Link, Page, Scope
from mockserver.provider.vocabulary import NOT_USED
from mockserver.world.asking import Asked, first_of, given_list, ids_of, may_see, text_of
from mockserver.world.events import Callback, Event, QueueLength, Watch
from mockserver.world.files import File, Shelf
from mockserver.world.filing import Filing
from mockserver.world.journal import Journal
from mockserver.world.kernel import Kernel
from mockserver.world.lives import Lives
from mockserver.world.log import Log
from mockserver.world.runs import Runs
from mockserver.world.setup import Order, Setup
from mockserver.world.task import Stranger, Task
from mockserver.world.things import FOREIGN, UNKNOWN, Owned, Thing, cut, ordered, reader, ready, stand_in

_OF_LINKS = frozenset({"link.lifetime", "link.process", "link.expires"})
_OF_PAGES = frozenset({"page.limit", "page.offset", "page.cursor", "page.sort", "page.by"})

Seen = Task | Stranger


class Outcome:
    """What a verb selected or changed. Each has but what its verb found; all else is as it stands here."""

    verb: Verb
    at: float
    task: Seen | None = None
    """Its one task; None where the verb is about none or about many."""
    tasks: Sequence[Seen] = ()
    """In the order asked. `unknown` and `foreign` ones are among them: a drawing passes over those it does not show."""
    things: dict[str, Thing]
    """Kind -> its one thing."""
    lists: Mapping[str, Sequence[Thing]] = NONE
    file: File | None = None
    files: Sequence[File] = ()
    page: Page = NO_PAGE
    link: Link = NO_LINK
    changed: bool = False
    client: str | None = None
    """`follow`: the client whose tasks are followed."""
    follows_all: bool = False
    """`follow`: neither a task nor a client was named."""
    resumed: Task | None = None
    """`follow`: the client's task that runs already."""
    check: Any = None
    """`submit`: what the check of the graph found, though some of it may run."""
    classes: str | None = None
    """The node class that the call names."""
    member: Member | None = None
    shown: tuple[str | None, str | None] = (None, None)
    """`download`: the preview and the channel asked for."""

    def __init__(self, verb: Verb, at: float) -> None:
        self.verb, self.at = verb, at
        self.things = {}


class Member(NamedTuple):
    """The member of a thing's document that a call names."""

    value: Json


class _Queue:
    """The lengths of a task's line, or of all lines together, counted when drawn."""

    __slots__ = ("_runs", "_task")

    def __init__(self, runs: Runs, task: Seen | None) -> None:
        self._runs, self._task = runs, task

    @property
    def waiting(self) -> int:
        return self._length.waiting

    @property
    def total(self) -> int:
        return self._length.total

    @property
    def _length(self) -> QueueLength:
        return self._runs.queue(self._task if isinstance(self._task, Task) else None)


class _Classes:
    """The node classes a call asks for, looked up when drawn."""

    def __init__(self, find: Callable[[str | None], Any], name: str | None) -> None:
        self._find, self._name = find, name

    @property
    def classes(self) -> Any:
        return self._find(self._name)


class Service:
    """One provider in one world. Made at its first use and cheap: things appear when asked for."""

    def __init__(
        self, provider: Provider, setup: Setup, kernel: Kernel, journal: Journal, *, key: bytes, start: float
    ) -> None:
        self.provider = provider
        self.setup = setup
        self.runs = Runs(provider, setup, kernel, journal, key=key, start=start)
        self.lives = Lives(self.runs)
        self.log = Log(self.runs, self.lives)
        if self.runs.kind.log:
            self.runs.log = self.log.write
        shelf = Shelf(setup.max_upload_bytes, setup.max_uploads, setup.uploads)
        self.files = Filing(self.runs, shelf, answers=self._condition, note=self._journal_verb)
        self._kernel = kernel
        self._journal = journal
        self._submitted = 0
        self._calls = 0
        self._conditions: set[str] | None = None
        self._delays = {name: self.runs.delay(name) for name in provider.machine.delays}
        self._facts: dict[str, Mapping[str, Any]] = {}
        self._last_used: dict[str, Thing] = {}
        """What the latest submit used, by kind; never changed, since tasks share it."""
        self._usable: dict[str, str] = {}
        """Value name -> the kind of thing that a submit uses by it; empty for none."""

    @property
    def now(self) -> float:
        return self._kernel.now

    # calls and scopes

    def call(self, operation: str) -> Call:
        """Return a new call with its own stream and, where the machine makes one, its id."""
        self._calls += 1
        call = Call(at=self.now, operation=operation, chance=self.runs.stream("call", self._calls))
        if self.provider.machine.call_id is not None:
            scope = Scope(at=self.now, call=call)
            scope.server = self.provider.server
            call.id = self.provider.machine.call_id(scope) or ""
        return call

    def scope(self, outcome: Outcome | None, call: Call) -> Scope:
        """Return what an answer is drawn from. Of a refused call, *outcome* is None."""
        scope = self._bare_scope(call)
        if outcome is not None:
            scope.task, scope.tasks = outcome.task, outcome.tasks
            scope.things, scope.lists = outcome.things, outcome.lists
            scope.file, scope.files = outcome.file, outcome.files
            scope.page, scope.link, scope.changed = outcome.page, outcome.link, outcome.changed
            scope.check, scope.member = outcome.check, outcome.member
            if self.setup.catalogue is not None:
                scope.catalogue = _Classes(self.setup.catalogue, outcome.classes)
            scope.log = self.log
        scope.queue = _Queue(self.runs, scope.task)
        return scope

    def refusal_scope(self, refused: Refused, call: Call, account: Thing | None = None) -> Scope:
        """Return what the texts of a refusal are drawn from: the facts, and what they speak of by id."""
        scope = self._bare_scope(call)
        scope.queue = _Queue(self.runs, None)
        scope.facts = refused.facts
        scope.check = refused.facts.get("check")
        scope.things = {} if account is None else {"account": account}
        for name, value in refused.facts.items():
            kind, _, attribute = name.partition(".")
            if attribute != "id":
                continue
            state = str(refused.facts.get(f"{kind}.state") or UNKNOWN)
            if kind == "task":
                scope.task = Stranger(str(value), state)
            elif kind in self.provider.machine.kinds:
                scope.things[kind] = self.lives.of(kind).get(str(value)) or stand_in(kind, str(value), state)
        return scope

    def _bare_scope(self, call: Call) -> Scope:
        scope = Scope(at=self.now, call=call)
        scope.server = self.provider.server
        scope.secrets = self.setup.secrets
        scope.delays = self._delays
        return scope

    def watch(
        self,
        callback: Callback,
        *,
        task: str | frozenset[str] | None = None,
        client: str | None = None,
        all: bool = False,
    ) -> Watch:
        """See `Runs.watch`."""
        return self.runs.watch(callback, task=task, client=client, all=all)

    def hold(
        self, task: Task, states: Collection[str], *, limit: float | None, then: Callable[[bool], None]
    ) -> Callable[[], None]:
        """Have *then* called once: with True when *task* is in one of *states*, with False when *limit* has passed.

        It is called while the world moves, `now` being that moment (at once where it has come), and must only look.

        Args:
            limit: virtual seconds from now; None for none.

        Returns:
            what takes it back.
        """
        if task.state in states:
            then(True)
            return lambda: None
        wanted = {f"task.{state}" for state in states}

        def end(reached: bool) -> None:
            stop()
            then(reached)

        def hear(event: Event) -> None:
            if event.name in wanted and event.task is task:
                end(True)

        watch = self.watch(hear, task=task.id)
        due = None if limit is None else self._kernel.schedule(self.now + limit, end, False)

        def stop() -> None:
            watch.cancel()
            if due is not None:
                due.cancel()

        return stop

    def queue(self) -> QueueLength:
        return self.runs.queue()

    def connection(self, id: str) -> Mapping[str, Json]:
        """Return what operations have said of the connection of the client *id*."""
        known = self.lives.of("connection").get(id)
        return {} if known is None else known.document

    # verbs

    def perform(
        self, verb: Verb, marks: Marks, call: Call, account: Thing | None = None, *, document: Json = NOTHING
    ) -> Outcome:
        """Do what *verb* says.

        Args:
            marks: what the request gives, by value name.
            account: whose call it is; None where the provider tells nobody apart.
            document: the body, defaults filled.

        Raises:
            Refused: with the condition word; nothing was changed.
        """
        # Whatever is due at this very moment happens first, however often was looked before.
        self._kernel.run_until(self.now)
        outcome = Outcome(verb, self._kernel.now)
        if account is not None:
            outcome.things["account"] = account
        if not _OF_LINKS.isdisjoint(marks):
            lifetime, process = first_of(marks, "link.lifetime"), first_of(marks, "link.process")
            outcome.link = Link(lifetime, process, first_of(marks, "link.expires"))
        _VERBS[verb.name](self, Asked(verb, marks, call, account, None if document is NOTHING else document), outcome)
        return outcome

    def _submit(self, asked: Asked, outcome: Outcome) -> None:
        marks = asked.marks
        things = self._used(marks, asked.account)
        if things == self._last_used:
            things = self._last_used  # one for all tasks that follow each other and use the same
        else:
            self._last_used = things
        if self._barred(self.runs.kind, things):
            raise self._refused("task", "barred", "", UNKNOWN)
        outcome.things.update(things)
        id = text_of(first_of(marks, "task.id"))
        before = self.runs.tasks.get(id) if id else None
        if before is not None and asked.verb.options.get("again") == "refuse":
            raise self._refused("task", "exists", before.id, before.state)
        number = self.runs.tasks.made + 1
        # Where refused calls count too, this one has its number whatever becomes of it.
        priority = self._priority(marks) if asked.verb.options.get("numbers") == "all" else None
        order = Order(
            graph=first_of(marks, "task.graph"),
            targets=given_list(marks, "task.targets"),
            overrides=first_of(marks, "task.overrides"),
            inputs=first_of(marks, "task.inputs"),
            version=text_of(first_of(marks, "workflow.version")) or None,
            new_seeds=bool(first_of(marks, "task.new_seeds")),
            things=things,
            document=asked.document,
            check=asked.verb.options.get("check"),
            lenient=asked.lenient,
            chance=self.runs.prepared(number),
        )
        work = self.setup.plan(order)
        # Nothing can be refused any more: from here on the task exists.
        if before is not None:
            self.runs.forget(before)
        client = first_of(marks, "task.client")
        task = Task(
            self.runs,
            self.runs.tasks.number(),
            plan=work.plan,
            created=self.now,
            account=asked.account,
            things=things,
            request=asked.document,
            priority=self._priority(marks) if priority is None else priority,
            client=None if client is None else str(client),
            extra=first_of(marks, "task.extra"),
            overrides=order.overrides,
            inputs=order.inputs,
            # What can be made again need not be kept: half of what a task would weigh until it ends.
            graph=None if work.again is not None else order.graph if work.graph is None else work.graph,
            again=work.again,
            targets=work.targets if work.targets is not None else order.targets,
            images=work.images,
            cached=work.cached,
        )
        outcome.check = work.check
        task.front, task.new_seeds = bool(first_of(marks, "task.front")), order.new_seeds
        task.id, task.size = id or self._new_id(task), asked.call.size
        self.runs.submit(task, self._operation_facts(asked.call))
        task.pack()
        outcome.task, outcome.tasks, outcome.changed = task, (task,), True

    def skip_number(self, verb: Verb, marks: Marks) -> None:
        """Count a submit that was refused before it was performed, where the verb counts these too."""
        if verb.options.get("numbers") == "all" and first_of(marks, "task.priority") is None:
            self._submitted += 1

    def _read(self, asked: Asked, outcome: Outcome) -> None:
        kind = asked.verb.of
        if kind == "file":
            self._download(asked, outcome)
            return
        id = text_of(first_of(asked.marks, f"{kind}.id")) or asked.verb.options.get("id", "")
        if kind == "account" and not id and asked.account is not None:
            outcome.lists = {kind: (asked.account,)}
            return
        if kind == "task":
            outcome.task = self._one_task(asked, id)
            outcome.tasks = (outcome.task,)
        else:
            outcome.things[kind] = self._one_thing(asked, id)
            outcome.lists = {kind: (outcome.things[kind],)}
            key = first_of(asked.marks, "member.key")
            if key is not None:
                outcome.member = Member(outcome.things[kind].document.get(key))

    def _list(self, asked: Asked, outcome: Outcome) -> None:
        kind, page, marks = asked.verb.of, Page(), asked.marks
        outcome.page = page
        if not _OF_PAGES.isdisjoint(marks):
            page.limit, page.offset = first_of(marks, "page.limit"), first_of(marks, "page.offset")
            page.cursor = text_of(first_of(marks, "page.cursor")) or None
            page.sort, page.by = first_of(marks, "page.sort"), first_of(marks, "page.by")
        from_end = asked.verb.options.get("from") == "end"
        if page.offset is not None and page.offset < 0:
            page.offset = None if from_end else 0
        if kind == "file":
            mine = self.files.listed(asked)
            outcome.files = mine
            page.total = len(mine)
        elif kind == "task":
            outcome.tasks = cut(self._listed_tasks(asked, page), page, from_end=from_end)
            if len(outcome.tasks) == 1 and isinstance(outcome.tasks[0], Task):
                outcome.task = outcome.tasks[0]
        else:
            outcome.lists = {kind: cut(self._listed_things(asked, page), page, from_end=from_end)}

    def _cancel(self, asked: Asked, outcome: Outcome) -> None:
        if asked.verb.of != "task":
            things = [thing for thing in self._named_things(asked) if self._in_states(thing, asked)]
            self._check_unused(things)
            self._journal_verb(asked, [thing.id for thing in things])
            for thing in things:
                outcome.changed |= self.lives.trigger(thing, "cancel")
            return
        tasks = [task for task in self._named_tasks(asked) if self._may_cancel(task, asked)]
        for task in tasks:
            self._journal_verb(asked, (), task.id)
            outcome.changed |= self.runs.cancel(task)
        _show_tasks(outcome, tasks)

    def _delete(self, asked: Asked, outcome: Outcome) -> None:
        if asked.verb.of == "file":
            self.files.remove(asked)
            outcome.changed = True
            return
        if asked.verb.of == "task":
            tasks = [task for task in self._named_tasks(asked) if self._in_states(task, asked)]
            for task in tasks:
                self._journal_verb(asked, (), task.id)
                self.runs.forget(task, keep_files=asked.verb.options.get("files") == "keep", tell=task is tasks[-1])
            outcome.changed = bool(tasks)
            _show_tasks(outcome, tasks)
            return
        things = [thing for thing in self._named_things(asked) if self._in_states(thing, asked)]
        self._check_unused(things)
        for thing in things:
            self._journal_verb(asked, [thing.id])
            self.lives.remove(thing)
        outcome.changed = bool(things)
        outcome.lists = {asked.verb.of: things}
        if len(things) == 1:
            outcome.things[asked.verb.of] = things[0]

    def _create(self, asked: Asked, outcome: Outcome) -> None:
        kind = asked.verb.of
        document = dict(asked.document) if isinstance(asked.document, Mapping) else {}
        id = text_of(first_of(asked.marks, f"{kind}.id")) or None
        again = asked.verb.options.get("again", "refuse")
        uses = self._used(asked.marks, asked.account, made=kind)
        made = self.lives.prepare(kind, document, id=id, account=asked.account, uses=uses)
        outcome.things.update(uses)
        self._check_new(made, uses)
        before = self.lives.of(kind).get(made.id)
        if before is not None:
            if again == "refuse":
                raise self._refused(kind, "exists", before.id, before.state)
            self.lives.remove(before)
        self._journal_verb(asked, [made.id])
        self.lives.add(made)
        outcome.things[kind], outcome.lists, outcome.changed = made, {kind: (made,)}, True

    def _update(self, asked: Asked, outcome: Outcome) -> None:
        kind = asked.verb.of
        thing = self._one_thing(asked, text_of(first_of(asked.marks, f"{kind}.id")))
        before = thing.copy()
        self._journal_verb(asked, [thing.id])
        key = first_of(asked.marks, "member.key")
        change = asked.document if key is None else {str(key): first_of(asked.marks, "member.value")}
        if asked.verb.options.get("merge") == "members":
            self.lives.change(thing, {**thing.document, **(change if isinstance(change, Mapping) else {})})
        else:
            self.lives.change(thing, merge_patch(thing.document, change if isinstance(change, Mapping) else {}))
        shown = before if asked.verb.options.get("answer") == "before" else thing
        outcome.things[kind], outcome.lists = shown, {kind: (shown,)}
        outcome.changed = before.document != thing.document

    def _follow(self, asked: Asked, outcome: Outcome) -> None:
        outcome.client = text_of(first_of(asked.marks, "task.client")) or None
        ids = ids_of(asked.marks, "task")
        tasks = [self._one_task(asked, id) for id in ids]
        outcome.tasks = tasks
        outcome.task = tasks[0] if len(tasks) == 1 else None
        connection = self.provider.machine.kinds.get("connection")
        if outcome.client is None and not ids and connection is not None and "*" in connection.id:
            # It names no client, so it is one of its own.
            outcome.client = connection.id["*"](Scope(at=self.now, call=asked.call))
        outcome.follows_all = not ids and outcome.client is None
        if outcome.client is not None:
            outcome.resumed = next((task for task in self.runs.running.values() if task.client == outcome.client), None)

    def _upload(self, asked: Asked, outcome: Outcome) -> None:
        outcome.files = self.files.upload(asked)
        outcome.file, outcome.changed = next(iter(outcome.files), None), bool(outcome.files)

    def _presign(self, asked: Asked, outcome: Outcome) -> None:
        _show_file(outcome, self.files.presign(asked), changed=True)

    def _adopt(self, asked: Asked, outcome: Outcome) -> None:
        _show_file(outcome, self.files.adopt(asked), changed=True)

    def _download(self, asked: Asked, outcome: Outcome) -> None:
        outcome.shown = (first_of(asked.marks, "file.preview"), first_of(asked.marks, "file.channel"))
        _show_file(outcome, self.files.named(asked), changed=False)
        outcome.task = None if outcome.file is None else outcome.file.task

    def _move(self, asked: Asked, outcome: Outcome) -> None:
        _show_file(outcome, self.files.move(asked), changed=True)

    def _uncache(self, asked: Asked, outcome: Outcome) -> None:
        if first_of(asked.marks, "selection.all"):
            self._journal_verb(asked, ())
            self.runs.uncache()
            outcome.changed = True

    def _nothing(self, asked: Asked, outcome: Outcome) -> None:
        """`show` selects no thing; `remember` is the connection's own."""
        outcome.classes = first_of(asked.marks, "catalogue.class")

    # tasks by their marks

    def _one_task(self, asked: Asked, id: str) -> Seen:
        if not id:
            raise self._refused("task", "unnamed", "", UNKNOWN)
        seen = self._see(id, asked.account)
        lenient = asked.lenient
        if isinstance(seen, Stranger):
            if seen.state in lenient or UNKNOWN in lenient:
                return seen
            raise self._refused("task", seen.state, id, seen.state)
        if not self._in_states(seen, asked):
            return Stranger(id, UNKNOWN)
        return seen

    def _see(self, id: str, account: Thing | None) -> Seen:
        task = self.runs.find(id)
        if task is None:
            return Stranger(id, UNKNOWN)
        return task if may_see(task, account) else Stranger(id, FOREIGN)

    def _listed_tasks(self, asked: Asked, page: Page) -> list[Seen]:
        states, marked = asked.states, set(asked.marks.get("task.state", ()))
        filters = _filters(asked.marks, "task")
        if "task.id" in asked.marks:
            named = asked.verb.options.get("named")
            ids = ids_of(asked.marks, "task", each=named == "each")
            seen: list[Seen] = [self._see(id, asked.account) for id in ids]
            if named == "oldest-first":
                seen.sort(key=lambda one: one.number if isinstance(one, Task) else inf)
            if states is None and not marked and not filters:
                return seen
        else:
            seen = [
                task for task in self._candidates(states) if may_see(task, asked.account) and not self.runs.lost(task)
            ]
        found = [
            task
            for task in seen
            if isinstance(task, Stranger)
            or (
                (states is None or task.state in states)
                and (not marked or task.state in marked)
                and all(_fits(task, read, values) for read, values in filters)
            )
        ]
        order = _order(asked.verb.options.get("order"), page.sort, page.by)
        return ordered(found, order) if order and "task.id" not in asked.marks else found

    def _candidates(self, states: Sequence[str] | None) -> Iterable[Task]:
        """Return at least the tasks in these states, without looking at a long history for a few that run."""
        kinds = self.runs.kind.states
        if states is not None and not any(kinds[state].final for state in states if state in kinds):
            return [task for task in self.runs.active.values() if self.runs.tasks.get(task.id) is task]
        self.runs.find("")
        return self.runs.tasks

    def _named_tasks(self, asked: Asked) -> list[Task]:
        """Return the tasks a changing verb names, or all it may touch where it may name none."""
        ids = ids_of(asked.marks, "task")
        found = []
        for id in ids:
            seen = self._see(id, asked.account)
            if isinstance(seen, Task):
                found.append(seen)
            elif seen.state not in asked.lenient and UNKNOWN not in asked.lenient:
                raise self._refused("task", seen.state, id, seen.state)
        everything = bool(first_of(asked.marks, "selection.all"))
        if everything or (not ids and asked.verb.options.get("unnamed") == "all"):
            mine = [task for task in self._candidates(asked.states) if may_see(task, asked.account)]
            found += [task for task in mine if asked.states is None or task.state in asked.states]
        elif not ids and "task.id" not in asked.marks and self._condition("task", "unnamed"):
            raise self._refused("task", "unnamed", "", UNKNOWN)
        return list(dict.fromkeys(found))

    def _may_cancel(self, task: Task, asked: Asked) -> bool:
        if not self._in_states(task, asked):
            return False
        state = self.runs.kind.states[task.state]
        if "cancel" in state.on:
            return True
        if _passed_over(asked.lenient, final=state.final) or first_of(asked.marks, "selection.all"):
            return False
        raise self._refused("task", "not-ready", task.id, task.state)

    def _in_states(self, thing: Owned, asked: Asked) -> bool:
        """Return whether it is in a state the verb takes; otherwise it is passed over or refused."""
        if asked.states is None or thing.state in asked.states:
            return True
        kind = self.provider.machine.kinds[asked.verb.of]
        final = thing.state in kind.states and kind.states[thing.state].final
        if _passed_over(asked.lenient, final=final):
            return False
        raise self._refused(asked.verb.of, "not-ready", thing.id, thing.state)

    def _priority(self, marks: Marks) -> float:
        given = first_of(marks, "task.priority")
        if isinstance(given, int | float):
            return given
        number = self._submitted
        self._submitted += 1
        return -number if first_of(marks, "task.front") else number

    def _new_id(self, task: Task) -> str:
        text = self.runs.kind.id.get("*")
        for attempt in range(100):
            scope = self.runs.text_scope(self.now, "task", task.number, "id", attempt, task=task, counter=task.number)
            scope.things = task.things
            id = (text(scope) if text is not None else None) or str(task.number)
            if self.runs.tasks.get(id) is None:
                return id
        return f"{id}-{task.number}"

    # things by their marks

    def _used(self, marks: Marks, account: Thing | None, *, made: str = "task") -> dict[str, Thing]:
        """Return what a new task, or a new thing of the kind *made*, uses, by kind."""
        wanted: dict[str, dict[str, Json]] = {}
        for name, values in marks.items():
            kind = self._usable.get(name)
            if kind is None:
                # Names of values are the folder's, so there are few.
                base = name.partition("#")[0].partition(".")[0]
                usable = base in self.provider.machine.kinds and base not in NOT_USED and name != "workflow.version"
                kind = self._usable[name] = base if usable else ""
            if kind and kind != made:
                for value in values:
                    if value is not None and value != "":
                        wanted.setdefault(kind, {})[name] = value
                        break
        used = {} if account is None else {"account": account}
        for kind, values_by_name in wanted.items():
            used[kind] = self._chosen(kind, values_by_name, ids_of(marks, kind), account)
        queue = self.runs.kind.queue if made == "task" else None
        if queue is not None and queue.line is not None and queue.line not in used:
            raise self._refused(queue.line, "unnamed", "", UNKNOWN)
        return used

    def _chosen(self, kind: str, wanted: Mapping[str, Json], ids: Sequence[str], account: Thing | None) -> Thing:
        """Return the thing a submit uses: of several named by id, the least busy of the caller's own, else of all.

        Where a call names it in two ways, the mark that stands first in the request's schema decides.
        """
        by_id = f"{kind}.id"
        if ids and next(iter(wanted)) != by_id:
            ids, wanted = (), {name: value for name, value in wanted.items() if name != by_id}
        if ids:
            found = [thing for id in ids if (thing := self.lives.find(kind, id, account)) is not None]
        else:
            found = list(self.lives.select(kind, wanted))
        mine = [thing for thing in found if may_see(thing, account)]
        if not mine:
            state = FOREIGN if found else UNKNOWN
            raise self._refused(kind, state, ids[0] if ids else text_of(next(iter(wanted.values()))), state)
        declared = self.provider.machine.kinds[kind]
        fit = mine
        for problem, fits in _FIT.items():
            last, fit = fit, [thing for thing in fit if fits(self, declared, thing, account)]
            if not fit:
                raise self._refused(kind, problem, last[0].id, last[0].state)
        if len(ids) < 2:
            return fit[0]
        return min([thing for thing in fit if thing.account is not None] or fit, key=self._busy)

    def _is_ready(self, kind: Kind, thing: Thing, account: Thing | None) -> bool:
        return ready(kind, thing)

    def _is_allowed(self, kind: Kind, thing: Thing, account: Thing | None) -> bool:
        own = {} if account is None else {"account": account}
        return kind.barred is None or not self._barred(kind, {**own, kind.name: thing})

    def _barred(self, kind: Kind, things: Mapping[str, Thing]) -> bool:
        if kind.barred is None:
            return False
        scope = Scope(at=self.now)
        scope.things = dict(things)
        return kind.barred(scope)

    def _has_room(self, kind: Kind, thing: Thing, account: Thing | None) -> bool:
        """Return whether a thing takes one more task, where its document limits them."""
        name = kind.options.get("limit")
        if name is None:
            return True
        limit = reader(name)(thing) if isinstance(name, str) else name
        line = self.runs.lines.get(thing.id)
        return not isinstance(limit, int) or (0 if line is None else line.total) < limit

    def _busy(self, thing: Thing) -> float:
        """Return how many tasks a thing has, running or waiting, for each of its slots."""
        line = self.runs.lines.get(thing.id)
        return 0.0 if line is None else line.total / max(1, line.slots)

    def _one_thing(self, asked: Asked, id: str) -> Thing:
        kind = asked.verb.of
        if id:
            thing = self.lives.find(kind, id)
        else:
            wanted = {name: values[0] for name, values in asked.marks.items() if name.startswith(f"{kind}#") and values}
            if not wanted:
                raise self._refused(kind, "unnamed", "", UNKNOWN)
            thing = next(self.lives.select(kind, wanted), None)
        state = UNKNOWN if thing is None else FOREIGN
        if thing is not None and may_see(thing, asked.account):
            return thing
        if UNKNOWN in asked.lenient:
            return stand_in(kind, id, state)
        raise self._refused(kind, state, id, state)

    def _listed_things(self, asked: Asked, page: Page) -> list[Thing]:
        kind = asked.verb.of
        states, marked = asked.states, set(asked.marks.get(f"{kind}.state", ()))
        filters = _filters(asked.marks, kind)
        named = f"{kind}.id" in asked.marks
        if named:
            seen = [self.lives.find(kind, id) or stand_in(kind, id, UNKNOWN) for id in ids_of(asked.marks, kind)]
        else:
            seen = list(self.lives.of(kind))
        found = [
            thing if may_see(thing, asked.account) else stand_in(kind, thing.id, FOREIGN)
            for thing in seen
            if (states is None or thing.state in states)
            and (not marked or thing.state in marked)
            and all(_fits(thing, read, values) for read, values in filters)
        ]
        if not named:
            found = [thing for thing in found if thing.state != FOREIGN]
        order = _order(asked.verb.options.get("order"), page.sort)
        return ordered(found, order) if order and not named else found

    def _named_things(self, asked: Asked) -> list[Thing]:
        kind = asked.verb.of
        ids = ids_of(asked.marks, kind)
        if not ids and (asked.verb.options.get("unnamed") == "all" or first_of(asked.marks, "selection.all")):
            return [thing for thing in self.lives.of(kind) if may_see(thing, asked.account)]
        seen = [self._one_thing(asked, id) for id in ids] if ids else [self._one_thing(asked, "")]
        return [thing for thing in seen if thing.state not in (UNKNOWN, FOREIGN)]

    def _check_unused(self, things: Sequence[Thing]) -> None:
        for thing in things:
            if self._condition(thing.kind, "in-use") and self._in_use(thing):
                raise self._refused(thing.kind, "in-use", thing.id, thing.state)

    def _in_use(self, thing: Thing) -> bool:
        return self.lives.used(thing) or any(task.things.get(thing.kind) is thing for task in self.runs.active.values())

    def _check_new(self, made: Thing, uses: Mapping[str, Thing]) -> None:
        """Refuse a new thing of which one of its kind's checks holds."""
        kind = self.provider.machine.kinds.get(made.kind)
        scope = Scope(at=self.now)
        scope.things = {**uses, made.kind: made}
        for name, holds in {} if kind is None else kind.checks.items():
            if holds(scope):
                facts = {f"{made.kind}.id": made.id, f"{made.kind}.state": made.state, "check.name": name}
                raise Refused(f"{made.kind}-invalid", facts)

    # refusing and telling

    def _condition(self, kind: str, word: str) -> bool:
        """Return whether the provider has an answer to this condition."""
        if self._conditions is None:
            self._conditions = {word for entry in self.provider.errors.values() for word in entry.conditions}
        return f"{kind}-{word}" in self._conditions

    def _refused(self, kind: str, word: str, id: str, state: str) -> Refused:
        # Most providers answer what is someone else's as if it were not there.
        if word == FOREIGN and not self._condition(kind, FOREIGN):
            word, state = UNKNOWN, UNKNOWN
        return Refused(f"{kind}-{word}", {f"{kind}.id": id, f"{kind}.state": state})

    def _operation_facts(self, call: Call) -> Mapping[str, Any]:
        facts = self._facts.get(call.operation)
        if facts is None:
            facts = self._facts[call.operation] = {"operation": call.operation}
        return facts

    def _journal_verb(self, asked: Asked, ids: Sequence[str], task: str | None = None, **facts: Any) -> None:
        told: dict[str, Any] = {"operation": asked.call.operation, **facts}
        if ids:
            told["ids"] = ",".join(ids)
        self._journal.add(self.now, self.provider.name, asked.verb.name, task, told)


_VERBS: dict[str, Callable[[Service, Asked, Outcome], None]] = {
    "submit": Service._submit,
    "read": Service._read,
    "list": Service._list,
    "cancel": Service._cancel,
    "delete": Service._delete,
    "create": Service._create,
    "update": Service._update,
    "upload": Service._upload,
    "presign": Service._presign,
    "adopt": Service._adopt,
    "download": Service._download,
    "move": Service._move,
    "follow": Service._follow,
    "show": Service._nothing,
    "remember": Service._nothing,
    "uncache": Service._uncache,
}

_FIT: Mapping[str, Callable[[Service, Kind, Thing, Thing | None], bool]] = {
    "not-ready": Service._is_ready,
    "barred": Service._is_allowed,
    "full": Service._has_room,
}
"""Condition -> what a thing is refused with it for, where a submit of an account would use it."""


def _filters(marks: Marks, kind: str) -> list[tuple[Callable[[Any], Any], set[str]]]:
    readers = _filter_readers(tuple(marks), kind)
    if not readers:
        return []
    wanted = [(read, {str(value) for value in marks[name] if value is not None}) for name, read in readers]
    return [(read, values) for read, values in wanted if values]


# An operation gives the same few marks each time.
@lru_cache(maxsize=1024)
def _filter_readers(names: tuple[str, ...], kind: str) -> list[tuple[str, Callable[[Any], Any]]]:
    """Return which of a request's marks choose among the things of a kind, and how a thing is read for each."""
    skipped = {f"{kind}.id", f"{kind}.state", "workflow.version"}
    chosen = [name for name in names if name not in skipped and name.partition("#")[0].partition(".")[0] == kind]
    return [(name, reader(name)) for name in chosen]


def _fits(thing: Any, read: Callable[[Any], Any], values: set[str]) -> bool:
    return str(read(thing)) in values


def _order(option: Any, sort: str | None, by: str | None = None) -> list[str]:
    if option is None and by is None:
        return []
    names = [option] if isinstance(option, str) else list(option or ())
    if by is not None:
        names = [f"-{by}" if names and names[0].startswith("-") else by]
    if sort == "asc":
        return [name.removeprefix("-") for name in names]
    if sort == "desc":
        return [f"-{name.removeprefix('-')}" for name in names]
    return names


def _passed_over(lenient: Sequence[str], *, final: bool) -> bool:
    return "other-state" in lenient or (final and "final" in lenient)


def _show_tasks(outcome: Outcome, tasks: Sequence[Task]) -> None:
    outcome.tasks = tasks
    outcome.task = tasks[0] if len(tasks) == 1 else None


def _show_file(outcome: Outcome, file: File, *, changed: bool) -> None:
    outcome.file, outcome.files, outcome.changed = file, (file,), changed
