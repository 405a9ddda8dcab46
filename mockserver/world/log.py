"""What a service writes of itself, line by line, as machine.json has it: `log` of tasks.

Bounded like a terminal's memory. Connections may ask for the lines: of these things those are forgotten that nobody
listens at any more when the next line is written.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mockserver.world.events import Event

if TYPE_CHECKING:
    from mockserver.world.lives import Lives
    from mockserver.world.runs import Runs
    from mockserver.world.task import Task

# As many as ComfyUI keeps for its terminal view.
LINES_KEPT = 300


class Log:
    """The lines of one service."""

    def __init__(self, runs: Runs, lives: Lives) -> None:
        self._runs, self._lives = runs, lives
        self._lines: deque[Event] = deque(maxlen=LINES_KEPT)

    @property
    def lines(self) -> list[Event]:
        """Oldest first."""
        return list(self._lines)

    @property
    def text(self) -> str:
        """All lines, each begun by its moment (UTC)."""
        moments = (datetime.fromtimestamp(line.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") for line in self._lines)
        return "".join(f"{moment} - {line.text}" for moment, line in zip(moments, self._lines, strict=True))

    def write(self, name: str, task: Task) -> None:
        """Write what the machine says of a task's event, and tell those who watch."""
        runs = self._runs
        for line in runs.kind.log.get(name, ()):
            scope = runs.text_scope(runs.now, "log", task.number, name, task=task)
            text = line.text(scope) if line.when is None or line.when(scope) else None
            if text is None:
                continue
            event = Event("logged", runs.now, text=f"{text}\n")
            self._lines.append(event)
            if "connection" in runs.provider.machine.kinds:
                self._forget_gone()
            runs.watches.tell(event)

    def _forget_gone(self) -> None:
        for connection in list(self._lives.of("connection")):
            if not self._runs.watches.hears(connection.id):
                self._lives.remove(connection)
