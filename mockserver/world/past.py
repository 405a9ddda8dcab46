"""A task as it stood a while ago: what a lagging replica or cache would still show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mockserver.world.events import Event
    from mockserver.world.files import File
    from mockserver.world.task import Node, Task


class Past:
    """*task* at the moment *at*, which has passed; from before its submit, as it was then.

    What does not depend on the moment is the task's own. Places in line are not kept: of a task that waited then and
    does not now, it is the first.
    """

    __slots__ = ("_at", "_task")

    def __init__(self, task: Task, at: float) -> None:
        self._task = task
        self._at = max(at, task.created)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    @property
    def state(self) -> str:
        return list(self.reached)[-1]

    @property
    def reached(self) -> dict[str, float]:
        return {state: at for state, at in self._task.reached.items() if at <= self._at}

    @property
    def started(self) -> float | None:
        return self._passed(self._task.started)

    @property
    def finished(self) -> float | None:
        return self._passed(self._task.finished)

    @property
    def failure(self) -> Any:
        return None if self.finished is None else self._task.failure

    @property
    def waited(self) -> float:
        until = self.started if self.started is not None else self.finished
        return (self._at if until is None else until) - self._task.created

    @property
    def ran(self) -> float | None:
        if self.started is None:
            return None
        return (self._at if self.finished is None else self.finished) - self.started

    @property
    def progress(self) -> float:
        share = self._task.standing(self._at).share
        return 1.0 if share >= 1 else self._task.plan.progress(share)

    @property
    def eta(self) -> float | None:
        ran, progress = self.ran, self.progress
        return None if ran is None or progress <= 0 else ran * (1 - progress) / progress

    @property
    def position(self) -> int:
        return self._task.position or int(self._waited_then)

    @property
    def ahead(self) -> int:
        return self._task.ahead

    @property
    def line(self) -> int:
        return self._task.line or int(self._waited_then)

    @property
    def nodes(self) -> list[Node]:
        return self._task.nodes_at(self._at)

    def nodes_at(self, at: float) -> list[Node]:
        return self._task.nodes_at(min(at, self._at))

    def writers_at(self, at: float) -> Sequence[Node]:
        return self._task.writers_at(min(at, self._at))

    @property
    def node(self) -> Node | None:
        return next((node for node in self.nodes if node.state == "running"), None)

    @property
    def files(self) -> tuple[File, ...]:
        return self._task.runs.results.files_of(self._task, self._task.standing(self._at).made)

    @property
    def events(self) -> Sequence[Event]:
        return [event for event in self._task.events if event.at <= self._at]

    @property
    def _waited_then(self) -> bool:
        return self.started is None and self.finished is None

    def _passed(self, moment: float | None) -> float | None:
        return moment if moment is not None and moment <= self._at else None

    def __repr__(self) -> str:
        return f"<task {self.id!r} {self.state} as of {self._at}>"
