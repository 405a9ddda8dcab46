"""Room that many keepers of bytes share: the journals, records and uploads of all worlds of a server.

Each keeper has a bound of its own. A budget bounds their sum: once together they hold more, whoever adds something lets
go of its own oldest, as long as it holds more than an equal part. So together they hold at most twice the budget, a
world that is small beside the others loses nothing, and nobody looks into another's things.
"""

from __future__ import annotations

from math import inf


class Budget:
    """Bytes that keepers hold together; *most* is what they should not exceed."""

    __slots__ = ("keepers", "most", "used")

    def __init__(self, most: float = inf) -> None:
        self.most = most
        self.used = 0
        self.keepers = 0


class Account:
    """What one keeper holds of a budget."""

    __slots__ = ("_budget", "_most", "held")

    def __init__(self, most: int, budget: Budget | None = None) -> None:
        self.held = 0
        self._most = most
        self._budget = budget or Budget()
        self._budget.keepers += 1

    def change(self, by: int) -> bool:
        """Note that *by* bytes more are held; return whether something is to go."""
        budget = self._budget
        self.held += by
        budget.used += by
        return self.held > self._most or (budget.used > budget.most and self.held * budget.keepers > budget.most)

    def close(self) -> None:
        """Give everything back: its keeper is no more. What is still noted afterwards is nobody's."""
        self.change(-self.held)
        self._budget.keepers -= 1
        self._budget = Budget()
