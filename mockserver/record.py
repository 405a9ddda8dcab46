"""What happened in a world, and the questions a test may ask about it.

The part of the handle that only looks; what it may do to a world is in `mockserver.client`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from mockserver import conduct
from mockserver.errors import UserError
from mockserver.line import Clock, HttpLine, Json, Task, World, answered


class Record:
    """Of one world, seen from one provider; of all of them where none is chosen."""

    _world: World
    _provider: str | None
    clock: Clock

    # --- what happened ---

    @property
    def providers(self) -> list[str]:
        """The names of the providers served."""
        return list(self._world.open().providers)

    @property
    def tasks(self) -> list[Task]:
        """Every task that the world remembers, oldest first."""
        return [Task(**one) for one in self._get("tasks")["tasks"] if self._mine(one)]

    @property
    def journal(self) -> list[Json]:
        """What happened, in order; `name` is a verb (`submit`) or an event (`task.running`)."""
        return [one for one in self._lines("journal") if self._mine(one)]

    @property
    def exchanges(self) -> list[Json]:
        """What crossed the wire, in order, calls to the provider's store included; credentials redacted."""
        return [one for one in self._lines("exchanges") if self._concerns(one)]

    @property
    def problems(self) -> list[Json]:
        """What a person should look at: near misses, refusals, answers of our own that are wrong."""
        found: list[Json] = self._get("problems")["problems"]
        return found

    @property
    def violations(self) -> list[Json]:
        """What broke the contract, by the client or by us, less what is expected; see `mockserver.conduct`."""
        return conduct.violations(self)

    def judged(self, judge: Callable[[Record, Sequence[Json]], Iterable[Json]]) -> list[Json]:
        """Return what *judge* finds in all that crossed the wire; asked again only if more has."""
        known, found = self._world.judged
        fresh = self._lines(f"exchanges?since={known}")
        if fresh:
            found = list(judge(self, self._lines("exchanges") if known else fresh))
            self._world.judged = fresh[-1]["number"], found
        return found

    @property
    def schemas(self) -> Path | None:
        """Where the folders of its providers are; None for a server elsewhere, where those of the package are meant."""
        running = self._world.open().running
        return None if running is None else running.settings.schemas_dir

    @property
    def expected(self) -> Sequence[str]:
        """The rules that are broken on purpose, see `expect`."""
        return tuple(self._world.expected)

    @property
    def hits(self) -> dict[str, dict[str, dict[str, int]]]:
        """Scenario in force -> rule -> how often it `matched` and `acted`."""
        found: dict[str, dict[str, dict[str, int]]] = self._get("scenarios")["in_force"]
        return found

    # --- verification ---

    def expect(self, *rules: str) -> Self:
        """Say that violations of these rules (`request-schema-required`, `request-schema-*`) are meant."""
        self._world.expected.extend(rules)
        return self

    def called(self, operation: str, times: int | None = None) -> list[Json]:
        """Return the calls of an operation (by its id, such as `get_task_info`).

        Args:
            times: exactly so many there must have been; None for at least one.

        Raises:
            AssertionError: there were more or fewer, or some of the record is gone.
            UserError: there is no such operation.
        """
        self._known(operation)
        found = [one for one in self._whole("exchanges") if one["operation"] == operation and self._concerns(one)]
        if len(found) != times if times is not None else not found:
            wanted = "at least once" if times is None else f"{times} times"
            raise AssertionError(f"{operation} was called {len(found)} times instead of {wanted}\n{self.story()}")
        return found

    def in_order(self, *operations: str) -> None:
        """Check that there were calls of these operations in this order; others may stand between them.

        Raises:
            AssertionError: there were not, or some of the record is gone.
            UserError: there is no such operation.
        """
        for operation in operations:
            self._known(operation)
        calls = iter([one["operation"] for one in self._whole("exchanges") if self._concerns(one)])
        for index, operation in enumerate(operations):
            if operation not in calls:
                before = " after " + ", ".join(operations[:index]) if index else ""
                raise AssertionError(f"{operation} was not called{before}\n{self.story()}")

    def nothing_unexpected(self) -> None:
        """Check that client and emulator kept the contract; raise `AssertionError` with the story if not."""
        violations = self.violations
        if violations:
            raise AssertionError(self.story(violations))

    def reached(self, task: str, state: str) -> Json:
        """Return the entry of the journal that tells of the task's reaching *state*.

        Raises:
            AssertionError: it did not, or some of the record is gone.
        """
        told = [one for one in self._whole("journal") if one.get("task") == task]
        for one in told:
            if one["name"] == f"task.{state}":
                return one
        names = ", ".join(one["name"] for one in told) or "nothing; there is no such task"
        raise AssertionError(f"{task} did not reach {state!r}; of it is known: {names}")

    def verify(self, **asked: Any) -> list[Any]:
        """Ask the record one thing, as `POST /_mock/verify` takes it; return by what it holds.

            server.verify(called={"operation": "get_task_info", "request": SCHEMA}, times={"max": 20})
            server.verify(order=[{"operation": "prompt"}, {"operation": "get_task_info", "status": 200}])

        Raises:
            AssertionError: it does not hold.
            UserError: it is not understood, or reaches into a part of the record that is gone.
        """
        return _held(self, self._world.call("POST", "verify", asked))

    def wait(self, *, limit: float = 3600, **asked: Any) -> list[Any]:
        """Wait until what `verify` takes holds, without turning the clock; return by what it holds.

        Args:
            limit: virtual seconds to wait at most.

        Raises:
            AssertionError: it did not hold in time.
            UserError: as `verify`.
        """
        world = self._world.open()
        # A line of its own: on the shared one nobody could turn the clock meanwhile.
        line = HttpLine(world.base)
        body = json.dumps({**asked, "limit": limit}).encode()
        try:
            return _held(self, answered(line.send("POST", f"/_mock/worlds/{world.id}/wait", body)))
        finally:
            line.close()

    def story(self, violations: Sequence[Mapping[str, Any]] = ()) -> str:
        """Tell what happened, for a person who reads a failed test: violations, calls, seed, scenarios in force."""
        return conduct.story(self, violations)

    # --- helpers ---

    def known_of(self, provider: str) -> Json:
        """Return what the server says of a provider in this world: addresses, operations, readings."""
        return self._world.about(provider)

    def _about(self) -> Json:
        if self._provider is None:
            names = ", ".join(self._world.open().providers)
            raise UserError(f'several providers are served; choose one: server["NAME"], of {names}')
        return self._world.about(self._provider)

    def _names(self) -> list[str]:
        return list(self._world.open().providers) if self._provider is None else [self._provider]

    def _hosts(self) -> list[str]:
        about = self._world.about
        return [host for name in self._names() for host in (*about(name)["hosts"], *about(name)["store_hosts"])]

    def _mine(self, one: Mapping[str, Any]) -> bool:
        return self._provider is None or one["provider"] == self._provider

    def _concerns(self, exchange: Mapping[str, Any]) -> bool:
        # A store belongs to nobody's name: whatever is no other provider's may be ours.
        others = set(self._world.providers) - {self._provider}
        return self._provider is None or exchange["provider"] not in others

    def _known(self, operation: str) -> None:
        known = [one for name in self._names() for one in self._world.about(name)["operations"]]
        if operation not in known:
            raise UserError(f"there is no operation {operation!r}; known: {', '.join(known)}")

    def _get(self, path: str) -> Json:
        found: Json = self._world.call("GET", path)
        return found

    def _lines(self, path: str) -> list[Json]:
        return self._world.lines(path)[0]

    def _whole(self, path: str) -> list[Json]:
        found, lost = self._world.lines(path)
        if lost:
            raise AssertionError(f"the first {lost} entries of {path} are gone: the record is bounded; look earlier")
        return found


def _held(server: Record, verdict: Json) -> list[Any]:
    if not verdict["holds"]:
        raise AssertionError(f"{verdict['text']}\n{server.story()}")
    found: list[Any] = verdict["found"]
    return found
