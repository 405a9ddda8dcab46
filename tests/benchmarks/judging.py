"""Goal 6: what judging recorded traffic costs: small NDJSON exchanges on one core, all rules and grouping on.

Counted are CPU seconds: the machine may be busy with other things.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from contracts.check import check
from tests.benchmarks.measuring import Result
from tests.contracts.test_recordings import kept
from tests.contracts.traffic import studio

WANTED = 50_000
"""NDJSON exchanges a second."""
TURNS = 3
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
