"""That every benchmark runs and tells its figures, and that pages show them. How fast the machine is, is not asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import benchmarks, main
from tests.benchmarks.measuring import ROOT, Result, write_json
from tests.benchmarks.publish import PAGES, publish


@pytest.mark.parametrize("goal", benchmarks())
def test_the_benchmark_of_a_goal_runs(goal: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"

    status = main(["--short", "--json", str(file), goal])

    results = json.loads(file.read_text("utf-8"))["results"]
    assert status == 0
    assert {result["goal"] for result in results} == {goal}
    assert all(result["figure"] for result in results)


def test_results_are_written_into_every_page_that_shows_them_and_replace_the_older(tmp_path: Path) -> None:
    for name in PAGES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    file = tmp_path / "results.json"

    for figure, reached in (("1.40x", True), ("1.60x", False)):
        write_json(file, [Result("5", "a start", "<= 1.5x", figure, reached)], seconds=1.0)
        publish(json.loads(file.read_text("utf-8")), tmp_path)

    for name in PAGES:
        text = (tmp_path / name).read_text("utf-8")
        assert "| 5 | a start | &lt;= 1.5x | 1.60x | **" in text
        assert "1.40x" not in text
