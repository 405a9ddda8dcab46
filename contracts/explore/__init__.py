"""Exploring a client: the smallest situation in which it does wrong, searched by Hypothesis.

A client is a function that is given a `Stage`, submits what it likes, and returns the bytes of all results, or raises.
Each example runs it in a world of its own; then its conduct and its outcome are judged. Only this
package of `contracts` uses the emulator, and only by its public handle.
"""

from __future__ import annotations

from contracts.explore.exploring import Client, Found, explore, try_out
from contracts.explore.scenarios import Scenario, recoverable, scenarios
from contracts.explore.stage import OutOfTime, Stage

__all__ = ["Client", "Found", "OutOfTime", "Scenario", "Stage", "explore", "recoverable", "scenarios", "try_out"]
