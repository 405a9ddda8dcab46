"""A world: clock, events, journal and the services in it. All of it is a function of its seed and its commands.

Nothing runs by itself: callers hand in real seconds and the world catches up, each event at its own moment.
"""

from __future__ import annotations

from collections.abc import Callable

from mockserver.provider.model import Provider
from mockserver.world.budget import Budget
from mockserver.world.chance import world_key
from mockserver.world.clock import Clock
from mockserver.world.journal import DEFAULT_BYTES, Journal
from mockserver.world.kernel import Kernel
from mockserver.world.service import Service
from mockserver.world.setup import Setup


class World:
    """One world.

    Args:
        start: its first moment, Unix seconds.
        rate: virtual seconds per real second; 0 is turned by hand.
        real: real seconds (of any clock that does not go back) at its start.
        setup: makes the settings of a provider's service when it is first used.
        journals: what the journals of all worlds may take together; None for no bound.
    """

    def __init__(
        self,
        id: str,
        *,
        seed: int | str = 0,
        start: float = 0.0,
        rate: float = 0.0,
        real: float = 0.0,
        setup: Callable[[Provider], Setup] = lambda provider: Setup(),
        journal_bytes: int = DEFAULT_BYTES,
        journals: Budget | None = None,
    ) -> None:
        self.id = id
        self.seed = seed
        self.setup = setup
        self._journal_bytes, self._journals = journal_bytes, journals
        self._real = real
        self._begin(start, rate)

    def _begin(self, start: float, rate: float) -> None:
        self.clock = Clock(start, rate, self._real)
        self.kernel = Kernel(start)
        self.journal = Journal(self._journal_bytes, self._journals)
        self.services: dict[str, Service] = {}

    @property
    def now(self) -> float:
        """The moment it has caught up to; while an event is told, that event's."""
        return self.kernel.now

    def service(self, provider: Provider) -> Service:
        """Return the provider's service, made at its first use."""
        service = self.services.get(provider.name)
        if service is None:
            key = world_key(f"{self.seed}/{provider.name}")
            service = self.services[provider.name] = Service(
                provider, self.setup(provider), self.kernel, self.journal, key=key, start=self.clock.start
            )
        return service

    def catch_up(self, real: float | None = None) -> float:
        """Let everything happen that is due at *real*; return the moment it is then."""
        self._real = self._real if real is None else max(self._real, real)
        self.kernel.run_until(self.clock.virtual(self._real))
        return self.now

    def jump(self, seconds: float, real: float | None = None) -> float:
        """Move forward by virtual *seconds*, letting everything happen on the way."""
        self.catch_up(real)
        self.kernel.run_until(self.clock.jump(seconds, self._real))
        return self.now

    def move_to(self, moment: float, real: float | None = None) -> float:
        """Move forward to *moment*, if it has not passed, letting everything happen on the way."""
        self.catch_up(real)
        self.kernel.run_until(self.clock.move_to(moment, self._real))
        return self.now

    def jump_to_next(self, real: float | None = None) -> bool:
        """Move to the next moment anything happens; false when nothing is due."""
        self.catch_up(real)
        due = self.due()
        if due is not None:
            self.kernel.run_until(self.clock.move_to(due, self._real))
        return due is not None

    def run_until(self, predicate: Callable[[], bool], *, limit: float, real: float | None = None) -> bool:
        """Move forward, event by event, until *predicate* holds; return whether it does.

        Args:
            limit: virtual seconds to try at most. If it never holds, the world stands there then.
        """
        self.catch_up(real)
        end = self.now + limit
        while not predicate():
            due = self.due()
            if due is None or due > end:
                self.kernel.run_until(self.clock.move_to(end, self._real))
                return predicate()
            self.clock.move_to(due, self._real)
            self.kernel.run_next()
        return True

    def set_rate(self, rate: float, real: float | None = None) -> None:
        self.catch_up(real)
        self.clock.set_rate(rate, self._real)

    def due(self) -> float | None:
        """Return the next moment anything happens by itself, or None."""
        return self.kernel.next()

    def wait(self) -> float | None:
        """Return the real seconds from the latest catch-up to the next event: None if none is due, `inf` by hand."""
        due = self.due()
        return None if due is None else self.clock.real_until(due, self._real)

    def reset(self, real: float | None = None) -> None:
        """Begin again at the start, with the same seed and rate: no tasks, files, journal; watches end."""
        self._real = self._real if real is None else max(self._real, real)
        self.end()
        self._begin(self.clock.start, self.clock.rate)

    def end(self) -> None:
        """Let go of who watches, and give the room back that others may need."""
        for service in self.services.values():
            service.runs.close()
            service.files.shelf.close()
        self.journal.close()
