"""The command line: what it prints, what it exits with, which reports it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from contracts.cli import main
from contracts.reports import REPORTS
from contracts.rules import RULES
from tests.contracts.test_recordings import kept
from tests.contracts.traffic import Lines, again, polls, show, spoiled, studio, write


@pytest.fixture(scope="module")
def story() -> Lines:
    return studio()


@pytest.fixture
def right(story: Lines, tmp_path: Path) -> Path:
    return write(story, tmp_path / "right.ndjson")


@pytest.fixture
def wrong(story: Lines, tmp_path: Path) -> Path:
    """Progress falls, and the client polls after the end: an error and a warning."""

    def spoil(lines: Lines) -> None:
        show(polls(lines, 0)[2], progress_num=99)
        again(lines, polls(lines, 0)[-1])

    return write(spoiled(story, spoil), tmp_path / "wrong.ndjson")


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["check", "--provider", "genstudio", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_correct_traffic_exits_with_0_and_says_what_was_judged(right: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(right) == 0

    told = capsys.readouterr().out
    assert "judged 22 exchanges, 3 tasks" in told
    assert "genstudio get_task_info: 15" in told


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
@pytest.mark.parametrize("name", ["ndjson", "har"])
def test_at_a_terminal_a_bar_shows_how_far_it_is(name: str, story: Lines, tmp_path: Path) -> None:
    path = kept(name, story, tmp_path)
    ours, theirs = os.openpty()

    program = "from contracts.cli import main; main()"
    command = [sys.executable, "-c", program, "check", "--provider", "genstudio", str(path)]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=60)
    os.close(theirs)

    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert run.returncode == 0, shown
    assert "judging" in shown
    assert "exchanges" in shown
    assert "judged 22 exchanges" in run.stdout


def test_an_error_exits_with_1_and_shows_the_exchange(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(wrong) == 1

    told = capsys.readouterr().out
    assert "error: progress-never-falls: task cft-" in told
    assert "POST /api/maas/comfy_task_api/get_task_info -> 200" in told
    assert '"progress_num": 99' in told or "progress_num" in told


@pytest.mark.parametrize(
    ("severity", "expected"), [pytest.param("error", 0, id="error"), pytest.param("warning", 1, id="warning")]
)
def test_fail_on_says_from_which_severity_it_fails(severity: str, expected: int, story: Lines, tmp_path: Path) -> None:
    def poll_again(lines: Lines) -> None:
        again(lines, polls(lines, 0)[-1])

    path = write(spoiled(story, poll_again), tmp_path / "warned.ndjson")

    assert run(path, "--fail-on", severity) == expected


def test_a_mistake_of_the_user_exits_with_2_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.txt"
    path.write_text("hello")

    assert run(path) == 2

    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1


def test_a_baseline_accepts_what_is_known_and_nothing_new(wrong: Path, right: Path, tmp_path: Path) -> None:
    accepted = tmp_path / "baseline.json"

    assert run(wrong, "--write-baseline", accepted) == 0
    assert run(wrong, "--baseline", accepted, "--fail-on", "note") == 0
    assert run(right, "--write-baseline", accepted) == 0
    assert run(wrong, "--baseline", accepted) == 1


@pytest.mark.parametrize("form", REPORTS)
def test_every_report_names_the_rule_that_was_broken(form: str, wrong: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"

    run(wrong, "--format", form, "--output", report)

    assert "progress-never-falls" in report.read_text("utf-8")


def test_junit_has_a_case_for_each_rule_and_fails_the_broken_one(wrong: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"

    run(wrong, "--format", "junit", "--output", report)

    suite = ElementTree.parse(report).getroot()
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["progress-never-falls"]
    assert int(suite.get("tests", 0)) == len(suite)


def test_sarif_points_at_the_line_of_the_recording(wrong: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.sarif"

    run(wrong, "--format", "sarif", "--output", report)

    (run_,) = json.loads(report.read_text("utf-8"))["runs"]
    result = next(one for one in run_["results"] if one["ruleId"] == "progress-never-falls")
    line = result["locations"][0]["physicalLocation"]["region"]["startLine"]
    assert "get_task_info" in wrong.read_text("utf-8").splitlines()[line - 1]


def test_the_page_loads_nothing_and_shows_a_timeline_for_each_task(wrong: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"

    run(wrong, "--format", "html", "--output", report)

    page = report.read_text("utf-8")
    assert page.count("<table><tr><th>at</th>") == 3
    assert not any(word in page for word in ("<script", "src=", "@import", "<link"))


@pytest.mark.parametrize("rule", [*RULES, "answer-schema-required"])
def test_explain_tells_example_and_advice(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", rule])

    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert told.startswith(f"{rule} (")
    assert "Example of a breach: " in told


def test_explain_of_an_unknown_rule_names_near_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", "progress-never-fall"])

    assert ended.value.code == 2
    assert "progress-never-falls" in capsys.readouterr().err
