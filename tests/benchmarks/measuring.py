"""What the benchmarks share: results and their table, cores, CPU seconds and memory of a process, medians.

Every figure that has a goal is a ratio against a baseline of the same run, or a number the machine hardly sways. The
machine may be busy: measured things and baselines take turns, and medians are told.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any


@dataclass
class Result:
    """One figure. `reached` is None where there is no goal, or nothing could be measured."""

    goal: str
    """Number of the goal: `1`, `2`, ..."""
    name: str
    wanted: str
    figure: str
    reached: bool | None
    facts: dict[str, Any] = field(default_factory=dict)
    """What the figure was made of, for the JSON."""


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return least, median and most."""
    return min(values), median(values), max(values)


# programs

ROOT = Path(__file__).resolve().parent.parent.parent


def program(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of the benchmarks' modules in a process of its own."""
    return [sys.executable, str(Path(__file__).with_name("__main__.py")), "--run", module, *arguments]


# cores

SERVER_CORE, LOAD_CORE = 0, 1


def pin(core: int) -> None:
    """Run this process on one core, where the system lets it and there is more than one."""
    # Not of the cores it has now: a child begins on its parent's only one.
    count = os.cpu_count() or 1
    if hasattr(os, "sched_setaffinity") and count > 1:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {core % count})


def free() -> None:
    """Let this process, and those it starts, run on every core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


@contextlib.contextmanager
def freed() -> Iterator[None]:
    """Within it this process and those it starts run on every core; after it, on those of before."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    free()
    try:
        yield
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds a process has used; 0 where the system does not tell."""
    try:
        # The first number is nanoseconds on a core, of the main thread: where an event loop lives.
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def resident_bytes(pid: int | None = None) -> int:
    """Return the memory a process holds; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid or os.getpid()}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


def cpu_time_of(work: Callable[[], Any]) -> float:
    """Return the CPU seconds that *work* takes in this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


# telling


def machine() -> dict[str, Any]:
    model = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "python": sys.version.split()[0],
        "system": platform.system(),
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def table(results: Sequence[Result]) -> str:
    """Return the results as lines of a Markdown table."""
    rows = [("goal", "what", "wanted", "figure", "verdict")]
    verdicts = {True: "reached", False: "NOT REACHED", None: "-"}
    rows += [(one.goal, one.name, one.wanted, one.figure, verdicts[one.reached]) for one in results]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(_lines(rows, widths))


def _lines(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    for index, row in enumerate(rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        if index == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"


def write_json(file: Path, results: Sequence[Result], *, seconds: float) -> None:
    told = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 1),
        "machine": machine(),
        "results": [asdict(one) for one in results],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(told, indent=1, default=str) + "\n", "utf-8")
