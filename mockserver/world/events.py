"""Events and who hears them: what a push channel tells, at the very moment it tells of.

Events are told to watches while the kernel runs them, so that whatever a callback draws shows the values of the event's
own moment. Watching changes nothing: a callback must only look.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mockserver.world.task import Node, Task


class QueueLength(NamedTuple):
    """How many wait in a line, and how many wait or run."""

    waiting: int
    total: int


class Event(NamedTuple):
    """One event of section 6 of the schema language. What cannot be computed again later is carried along."""

    name: str
    at: float
    """Unix seconds on the world's clock."""
    task: Task | None = None
    node: Node | None = None
    """As of the event, also when read later."""
    queue: QueueLength = QueueLength(0, 0)
    text: str | None = None
    """The line that was `logged`."""


Callback = Callable[[Event], None]


class Watch:
    """One listener. It hears the events of the tasks it follows, and all queue events, until `cancel`."""

    __slots__ = ("_watches", "active", "all", "callback", "client", "number", "tasks")

    def __init__(
        self, watches: Watches, number: int, callback: Callback, tasks: frozenset[str], client: str | None, all: bool
    ) -> None:
        self._watches = watches
        self.number = number
        self.callback = callback
        self.tasks = tasks
        self.client = client
        self.all = all
        self.active = True
        """False once cancelled, or when its world was reset."""

    def cancel(self) -> None:
        self.active = False
        self._watches.remove(self)


class Watches:
    """All watches of one service, found by the task or client they follow."""

    __slots__ = ("_all", "_by_client", "_by_task", "_number", "_watches")

    def __init__(self) -> None:
        self._watches: dict[int, Watch] = {}
        self._by_task: dict[str, dict[int, Watch]] = {}
        self._by_client: dict[str, dict[int, Watch]] = {}
        self._all: dict[int, Watch] = {}
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._watches)

    def add(self, callback: Callback, *, tasks: Collection[str] = (), client: str | None, all: bool) -> Watch:
        self._number += 1
        watch = Watch(self, self._number, callback, frozenset(tasks), client, all)
        for group in self._groups(watch):
            group[watch.number] = watch
        return watch

    def remove(self, watch: Watch) -> None:
        for group in self._groups(watch):
            group.pop(watch.number, None)
        for task in watch.tasks:
            if not self._by_task.get(task):
                self._by_task.pop(task, None)
        if watch.client is not None and not self._by_client.get(watch.client):
            self._by_client.pop(watch.client, None)

    def close(self) -> None:
        """Cancel all."""
        for watch in list(self._watches.values()):
            watch.cancel()

    def hears(self, client: str) -> bool:
        """Return whether anyone follows the tasks of *client*."""
        return client in self._by_client

    def follows(self, task: Task) -> bool:
        """Return whether anyone hears of *task*."""
        if not self._watches:
            return False
        if self._all or task.id in self._by_task:
            return True
        return bool(self._by_client) if task.client is None else task.client in self._by_client

    def tell(self, event: Event) -> None:
        """Call whoever follows the event, in the order they came."""
        found = self._watches if event.task is None else self._followers(event.task)
        for number in sorted(found):
            watch = found[number]
            if watch.active:
                watch.callback(event)

    def _followers(self, task: Task) -> dict[int, Watch]:
        found = dict(self._all)
        found.update(self._by_task.get(task.id, {}))
        if task.client is not None:
            found.update(self._by_client.get(task.client, {}))
        else:
            # A run that names no client is told to every client.
            for group in self._by_client.values():
                found.update(group)
        return found

    def _groups(self, watch: Watch) -> Iterator[dict[int, Watch]]:
        yield self._watches
        if watch.all:
            yield self._all
        for task in watch.tasks:
            yield self._by_task.setdefault(task, {})
        if watch.client is not None:
            yield self._by_client.setdefault(watch.client, {})
