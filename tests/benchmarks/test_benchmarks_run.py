"""That every benchmark runs and tells its figures. How fast the machine is, is not asked here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import benchmarks, main


@pytest.mark.parametrize("goal", benchmarks())
def test_the_benchmark_of_a_goal_runs(goal: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"

    status = main(["--short", "--json", str(file), goal])

    results = json.loads(file.read_text("utf-8"))["results"]
    assert status == 0
    assert {result["goal"] for result in results} == {goal}
    assert all(result["figure"] for result in results)
