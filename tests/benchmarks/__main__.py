"""All benchmarks: `python tests/benchmarks/__main__.py [--short] [--json FILE] [GOAL]...`; `make bench` runs it."""

from __future__ import annotations

import argparse
import runpy
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if __name__ == "__main__":
    # Some installed packages bring a `tests` of their own, which would go before the folder of this checkout.
    sys.path[0] = str(ROOT)
    sys.modules["tests"] = types.ModuleType("tests")
    sys.modules["tests"].__path__ = [str(ROOT / "tests")]

from tests.benchmarks.measuring import LOAD_CORE, Result, machine, pin, table, write_json  # noqa: E402


def benchmarks() -> dict[str, Callable[..., Iterator[Result]]]:
    from tests.benchmarks import (
        calls,
        cores,
        feeds,
        graphs,
        judging,
        moments,
        scale,
        starting,
        streams,
        waiting,
        watched,
    )

    return {
        "1": calls.bench, "2": scale.bench, "3": feeds.bench, "4": moments.bench,
        "5": starting.bench, "6": judging.bench, "7": streams.bench, "8": cores.bench,
        "9": graphs.bench, "10": watched.bench, "11": waiting.bench,
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.benchmarks", description=__doc__)
    parser.add_argument("goals", nargs="*", help="which goals to measure (1 to 11); all if none is named")
    parser.add_argument("--short", action="store_true", help="only see that the benchmarks run; figures mean nothing")
    parser.add_argument("--json", type=Path, default=Path("bench-results.json"), help="where the results go")
    wanted = parser.parse_args(arguments)
    start = time.monotonic()
    results: list[Result] = []
    broken = 0
    for goal, bench in benchmarks().items():
        if wanted.goals and goal not in wanted.goals:
            continue
        try:
            for result in bench(short=wanted.short):
                results.append(result)
                print(f"goal {goal}: {result.name}: {result.figure}", file=sys.stderr, flush=True)  # noqa: T201
        except Exception as error:
            # One broken benchmark must not hide the figures of the others.
            traceback.print_exc()
            broken += 1
            results.append(Result(goal, "the benchmark broke", "", repr(error), False))
    seconds = time.monotonic() - start
    write_json(wanted.json, results, seconds=seconds)
    told = machine()
    print(table(results))  # noqa: T201
    print(f"\n{told['processor']}, {told['cores']} cores, Python {told['python']}; {seconds:.0f} s; {wanted.json}")  # noqa: T201
    return 1 if broken else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        del sys.argv[1]
        runpy.run_module(f"tests.benchmarks.{sys.argv.pop(1)}", run_name="__main__", alter_sys=False)
    else:
        pin(LOAD_CORE)
        sys.exit(main())
