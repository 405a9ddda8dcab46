"""Goal 6: what judging recorded traffic costs: small NDJSON exchanges on one core, all rules and grouping on.

On one core CPU seconds are counted, since the machine may be busy with other things; on all cores only the clock tells.
Peaks of memory are those of a process of its own, which follows the tasks; others only look at chunks for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from contracts.check import check
from tests.benchmarks.measuring import ROOT, Result, freed
from tests.contracts.test_recordings import PEAK, kept
from tests.contracts.traffic import studio

WANTED = 50_000
"""NDJSON exchanges a second."""
TURNS = 3
SIZES = (30, 300)
"""Megabytes whose peaks of memory are compared."""
FOLLOWED = "polls of a task, the first and the last of each unlike all others"


def bench(*, short: bool = False) -> Iterator[Result]:
    """Check recordings of many tasks, each submitted, polled to its end and left."""
    tasks, polls = (40, 30) if short else (1500, 30)
    with TemporaryDirectory() as folder:
        lines = list(_traffic(tasks, polls))
        for form, wanted in (("ndjson", WANTED), ("har", None)):
            path = kept(form, lines, Path(folder))
            rates = [_rate(path, len(lines)) for _ in range(1 if short else TURNS)]
            yield Result(
                "6",
                f"contracts check, {form}, one core",
                f">= {wanted} exchanges/s" if wanted else "no goal",
                f"{median(rates):.0f} exchanges/s",
                median(rates) >= wanted if wanted else None,
                {"exchanges": len(lines), "bytes": path.stat().st_size, "rates": rates, "what": FOLLOWED},
            )
        yield _on_all_cores(Path(folder) / "traffic.ndjson", len(lines), copies=1 if short else 8)
        for jobs in (1, os.cpu_count() or 1):
            yield _memory(lines, Path(folder), (1, 2) if short else SIZES, jobs)


def _on_all_cores(path: Path, exchanges: int, *, copies: int) -> Result:
    """Check a file long enough that starting the processes does not tell."""
    long = path.with_name("long.ndjson")
    with long.open("wb") as file:
        for _ in range(copies):
            file.write(path.read_bytes())
    cores = os.cpu_count() or 1
    seconds = {}
    for jobs in (1, cores):
        with freed():
            start = time.perf_counter()
            check([long], provider="genstudio", jobs=jobs)
            seconds[jobs] = time.perf_counter() - start
    rate, gain = copies * exchanges / seconds[cores], seconds[1] / seconds[cores]
    return Result(
        "6",
        f"contracts check, ndjson, {cores} cores",
        "no goal",
        f"{rate:.0f} exchanges/s by the clock, {gain:.2f}x of one core",
        None,
        {"exchanges": copies * exchanges, "bytes": long.stat().st_size, "seconds": seconds},
    )


def _memory(lines: list[dict[str, Any]], folder: Path, sizes: tuple[int, int], jobs: int) -> Result:
    """Compare the peaks of two files, megabytes each; the larger is the smaller one over again."""
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    program = folder / "peak.py"  # started afresh by the processes it starts
    program.write_text(PEAK)
    peaks = []
    for size in sizes:
        path = folder / f"{size}.ndjson"
        with path.open("wb") as file:
            while file.tell() < size * 1024 * 1024:
                file.write(text)
        run = subprocess.run(
            [sys.executable, str(program), str(path), str(jobs)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        peaks.append(int(run.stdout) / 1024)
        path.unlink()
    ratio = peaks[1] / peaks[0]
    return Result(
        "6",
        f"contracts check, memory of {sizes[1]} MB against {sizes[0]} MB, jobs {jobs}",
        "<= 1.15x",
        f"{ratio:.2f}x ({peaks[0]:.0f} and {peaks[1]:.0f} MB)",
        ratio <= 1.15,
        {"peaks": peaks},
    )


def _rate(path: Path, exchanges: int) -> float:
    start = time.process_time()
    verdict = check([path], provider="genstudio", jobs=1)
    seconds = time.process_time() - start
    assert verdict.counts.exchanges == exchanges
    assert not verdict.findings, verdict.findings[0]
    return exchanges / seconds


def _traffic(tasks: int, polls: int) -> Iterator[dict[str, Any]]:
    """Yield the exchanges of *tasks* tasks of one recorded story, under new ids, each with so many polls."""
    story = studio()
    submit = next(line for line in story if line["operation"] == "prompt")
    id = submit["tasks"][0]
    asked = [line for line in story if line["tasks"] == [id] and line["operation"] == "get_task_info"]
    running, ended = asked[0], asked[-1]
    number = 0
    for task in range(tasks):
        named = f"cft-{task:016d}"
        for turn in range(polls + 2):
            line = submit if turn == 0 else ended if turn == polls + 1 else running
            number += 1
            text = json.dumps(line, ensure_ascii=False).replace(id, named)
            if line is running:
                text = text.replace(r"\"progress_num\":0", rf"\"progress_num\":{turn * 99 // polls}")
            yield {**json.loads(text), "number": number, "at": line["at"] + turn * 2}
