"""What is new in a world since one looked last: sampled, bounded, and only what changed.

A browser shows some fifty rows and four pictures a second; a world may make thousands of tasks and exchanges in that
time. So a look gives each task that changed once, the newest exchanges, and how many were passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from mockserver.exchange import Exchange
from mockserver.web.dashboard.judged import is_wrong
from mockserver.world.task import Task

if TYPE_CHECKING:
    from mockserver.web.emulator import Stage

MAX_TASKS = 10_000
"""Tasks a first look tells of; the newest of each provider."""
MAX_CHANGED = 2000
"""Tasks a later look tells of; the rest comes with the next."""
MAX_MOVING = 400
"""Running tasks whose progress a look tells of."""
MAX_EXCHANGES = 30
MAX_OPEN = 40
"""Open push connections that are listed, the newest."""
FIRST_EXCHANGES = 300
FIRST_PROBLEMS = 200


class Watcher:
    """One viewer of one world: remembers what was shown."""

    def __init__(self) -> None:
        self._journal: object = None
        self._entry = 0
        self._exchange = 0
        self._problem: object = None
        self._moving: dict[tuple[str, int], list[Any]] = {}
        self._plans: dict[int, int] = {}
        self._kept_plans: list[Any] = []
        self._small: dict[str, Any] = {}

    def look(self, stage: Stage, worlds: Iterable[str]) -> dict[str, Any]:
        """Return what is new; `begin` says that all that was shown before is void."""
        world = stage.world
        shown: dict[str, Any] = {"clock": clock_of(stage)}
        if self._journal is not world.journal:
            self.__init__()  # type: ignore[misc]  # the world began again, and so does its viewer
            self._journal = world.journal
            shown["begin"] = world.id
            tasks = self._first(stage)
        else:
            tasks = self._changed(stage, shown)
        rows = {(provider, task.number): self._row(provider, task) for provider, task in tasks}
        rows |= self._progress(stage)
        if rows:
            shown["tasks"] = list(rows.values())
        if len(self._kept_plans) > self._small.get("plans", 0):
            shown["plans"] = self._kept_plans[self._small.get("plans", 0) :]
            self._small["plans"] = len(self._kept_plans)
        self._crossed(stage, shown)
        self._problems(stage, shown)
        for name, value in (
            ("queues", list(_queues(stage))),
            ("rules", {name: _hits(script) for name, script in stage.scripts.named.items()}),
            ("worlds", list(worlds)),
            ("held", list(stage.held.values())),
            ("open", [_open(number, so_far()) for number, so_far in list(stage.feeds.items())[-MAX_OPEN:]]),
        ):
            if self._small.get(name) != value:
                self._small[name] = shown[name] = value
        return shown

    def _first(self, stage: Stage) -> list[tuple[str, Task]]:
        self._entry = stage.world.journal.last
        found = []
        for name, service in stage.world.services.items():
            tasks = list(service.runs.tasks)
            found += [(name, task) for task in tasks[-MAX_TASKS:]]
        return found

    def _changed(self, stage: Stage, shown: dict[str, Any]) -> list[tuple[str, Task]]:
        journal, services = stage.world.journal, stage.world.services
        extract = journal.since(self._entry, limit=MAX_CHANGED)
        if extract.lost:
            return self._first(stage)
        changed = dict.fromkeys((one.provider, one.task) for one in extract.entries if one.task is not None)
        self._entry = extract.entries[-1].number if extract.entries else self._entry
        found = []
        for provider, id in changed:
            service = services.get(provider)
            task = None if service is None else service.runs.tasks.get(id)
            if task is None:
                shown.setdefault("gone", []).append([provider, id])
            else:
                found.append((provider, task))
        return found

    def _progress(self, stage: Stage) -> dict[tuple[str, int], list[Any]]:
        """Return the rows of running tasks that have moved."""
        moving = {
            (name, task.number): self._row(name, task)
            for name, service in stage.world.services.items()
            for task in islice(service.runs.running.values(), MAX_MOVING)
        }
        moved = {key: row for key, row in moving.items() if self._moving.get(key) != row}
        self._moving = moving
        return moved

    def _row(self, provider: str, task: Task) -> list[Any]:
        return [
            provider,
            task.id,
            task.number,
            task.state,
            phase(task),
            task.created,
            task.started,
            task.finished,
            round(task.progress, 4),
            task.position,
            task.duration,
            self._plan(task),
            None if task.failure is None else task.failure.name,
        ]

    def _plan(self, task: Task) -> int:
        """Return the number of the plan under which the viewer knows it."""
        plan = task.plan
        known = self._plans.get(id(plan))
        if known is None:
            known = self._plans[id(plan)] = len(self._kept_plans)
            self._kept_plans.append(_Plan(plan))
        return known

    def _crossed(self, stage: Stage, shown: dict[str, Any]) -> None:
        recorder = stage.recorder
        limit = MAX_EXCHANGES if self._exchange else FIRST_EXCHANGES
        newest = recorder.newest(self._exchange, limit)
        if newest:
            shown["exchanges"] = [summary(stage, one) for one in newest]
        if recorder.count != self._exchange:
            shown["crossed"] = recorder.count
            self._exchange = newest[-1].number if newest else self._exchange

    def _problems(self, stage: Stage, shown: dict[str, Any]) -> None:
        found: list[dict[str, Any]] = []
        for problem in reversed(tuple(stage.recorder.problems)):
            if problem is self._problem or len(found) == FIRST_PROBLEMS:
                break
            found.append(problem)
        if found:
            self._problem = found[0]
            shown["problems"] = found[::-1]


class _Plan(list[Any]):
    """A plan as the viewer gets it; keeps the plan alive, so that its identity stays its own."""

    def __init__(self, plan: Any) -> None:
        super().__init__([node.id, node.class_type, round(node.start, 5), round(node.end, 5)] for node in plan.nodes)
        self.plan = plan


def clock_of(stage: Stage) -> dict[str, Any]:
    """Return a world's moment, its rate, its start, and the moment of the next event."""
    world = stage.world
    return {"now": world.now, "rate": world.clock.rate, "next": world.due(), "start": world.clock.start}


def phase(task: Task) -> str:
    """Return in one word what any provider's states come down to: queued, running, done, failed or ended."""
    if task.finished is None:
        return "queued" if task.started is None else "running"
    if task.failure is not None:
        return "failed"
    # What was cut short and did not fail was cancelled, whatever the provider calls it.
    return "ended" if task.started is None or task.stop is not None else "done"


def summary(stage: Stage, exchange: Exchange) -> dict[str, Any]:
    """Return an exchange in one line, without credentials."""
    bare = exchange._replace(request_body=b"", response_body=b"", frames=())
    query = stage.offer.secrets.redacted(bare).query
    return {
        "n": exchange.number,
        "provider": exchange.provider,
        "operation": exchange.operation,
        "at": exchange.at,
        "method": exchange.method,
        "path": exchange.path + (f"?{query}" if query else ""),
        "status": exchange.status,
        "tasks": list(exchange.tasks[:3]),
        "rules": list(exchange.rules),
        "frames": len(exchange.frames),
        "wrong": is_wrong(stage.offer, exchange),
    }


def _open(number: int, exchange: Exchange) -> list[Any]:
    return [number, exchange.provider, exchange.operation, list(exchange.tasks[:3]), len(exchange.frames)]


def _queues(stage: Stage) -> Iterator[list[Any]]:
    for name, service in stage.world.services.items():
        for id, line in service.runs.lines.items():
            yield [name, id, line.waiting, len(line.running), line.slots]


def _hits(script: Any) -> dict[str, list[int]]:
    return {id: [hits.matched, hits.acted] for id, hits in script.hits.items()}
