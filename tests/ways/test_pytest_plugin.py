"""The pytest plugin, from outside: projects with tests of their own, run by pytest."""

from __future__ import annotations

from pathlib import Path

import pytest

from mockserver import MockServer, options

pytest_plugins = ["pytester"]

HERE = Path(__file__).resolve()
CLIENT = f"""
import sys
sys.path.insert(0, {str(HERE.parents[2])!r})
import httpx, pytest, threading
from tests.ways.clients import BODY, LASTS_90, TASKS, Painter, headers
"""
QUICK = ("-p", "no:cacheprovider", "--mockserver", "providers=genstudio")


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch, emulator: MockServer) -> None:
    # A run inside this process forgets the modules it was first to import; those of a server must stay the same.
    assert emulator.providers
    assert options.TABLE
    monkeypatch.delenv("MOCKSERVER_URL", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


def test_a_fixture_per_provider_needs_no_import(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        CLIENT
        + """
def test_it(genstudio):
    genstudio.play(LASTS_90)
    with genstudio.virtual_time(), Painter(genstudio.url, genstudio.api_key) as painter:
        assert painter.paint()
    genstudio.called("prompt", times=1)
    genstudio.in_order("prompt", "get_task_info")
    (task,) = genstudio.tasks
    genstudio.reached(task.id, "succeeded")
"""
    )

    pytester.runpytest_inprocess(*QUICK).assert_outcomes(passed=1)


def test_worlds_of_tests_do_not_meet_in_any_order_and_in_parallel(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        CLIENT
        + """
@pytest.mark.parametrize("number", range(12))
def test_it(genstudio, number):
    assert (genstudio.tasks, genstudio.clock.rate) == ([], 0)
    for _ in range(number % 3 + 1):
        httpx.post(genstudio.url + TASKS + "/prompt", json=BODY, headers=headers(genstudio.api_key))
    genstudio.clock.jump(number)
    assert len(genstudio.tasks) == number % 3 + 1
    assert genstudio.clock.now == genstudio.tasks[0].created + number
"""
    )

    pytester.runpytest_subprocess(*QUICK, "-n", "2").assert_outcomes(passed=12)


def test_breaking_the_contract_fails_the_test_with_the_story(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        CLIENT
        + """
@pytest.mark.mockserver(seed=7)
def test_it(genstudio):
    genstudio.play("queue-never-moves")
    httpx.post(genstudio.url + TASKS + "/prompt", json={"prompt": {}}, headers=headers(genstudio.api_key))
    httpx.post(genstudio.url + TASKS + "/promt", json={}, headers=headers(genstudio.api_key))
    httpx.post(genstudio.url + TASKS + "/get_task_info", json={}, headers=headers(genstudio.api_key))
"""
    )

    result = pytester.runpytest_inprocess(*QUICK)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines_random(
        [
            "the contract is broken: route-unknown",
            "  near: *api/maas/comfy_task_api/prompt*",
            "the contract is broken: request-schema-required",
            "  request:  POST /api/maas/comfy_task_api/get_task_info {}",
            "  expected: *comfy_task_ids*",
            "seed: 7; *",
            "rules in force: queue-never-moves/*",
        ]
    )


def test_what_the_emulator_lets_pass_and_the_judge_does_not_fails_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        CLIENT
        + """
def test_it(genstudio):
    key = genstudio.api_key
    httpx.post(f"{genstudio.url}{TASKS}/get_task_info?api_key={key}", json={"comfy_task_ids": []}, headers=headers(key))
"""
    )

    result = pytester.runpytest_inprocess(*QUICK)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the contract is broken: key-in-url", "  request:  POST */get_task_info *", "seed: *"])


def test_what_is_broken_on_purpose_is_expected(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        CLIENT
        + """
@pytest.mark.mockserver(expect=["route-unknown", "request-schema-*"])
def test_by_marker(genstudio):
    httpx.post(genstudio.url + TASKS + "/promt", json={}, headers=headers(genstudio.api_key))
    httpx.post(genstudio.url + TASKS + "/prompt", json={}, headers=headers(genstudio.api_key))

def test_by_word(genstudio):
    genstudio.expect("route-unknown")
    httpx.post(genstudio.url + TASKS + "/promt", json={}, headers=headers(genstudio.api_key))
"""
    )

    pytester.runpytest_inprocess(*QUICK).assert_outcomes(passed=2)


def test_a_crash_of_the_client_stays_the_failure_and_the_story_is_told_beside_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        CLIENT
        + """
def test_it(genstudio):
    httpx.post(genstudio.url + TASKS + "/promt", json={}, headers=headers(genstudio.api_key))
    raise RuntimeError("the client crashed")
"""
    )

    result = pytester.runpytest_inprocess(*QUICK)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*RuntimeError: the client crashed", "*mockserver*", "*broken: route-unknown"])


def test_what_breaks_after_the_test_is_an_error_of_its_teardown(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        CLIENT
        + """
@pytest.fixture
def client(genstudio):
    yield
    httpx.post(genstudio.url + TASKS + "/promt", json={}, headers=headers(genstudio.api_key))

def test_it(client):
    pass
"""
    )

    pytester.runpytest_inprocess(*QUICK).assert_outcomes(passed=1, errors=1)


def test_a_marker_says_how_the_world_is(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        CLIENT
        + """
pytestmark = pytest.mark.mockserver(seed=3, start="2025-06-01T12:00:00Z")

@pytest.mark.mockserver(clock=1000, scenario="queue-never-moves", variant={"position-base": "zero"})
def test_all_of_it(genstudio):
    clock = genstudio.clock
    assert (clock.rate, genstudio.hits.keys()) == (1000, {"queue-never-moves"})

@pytest.mark.mockserver(virtual_time=True)
def test_virtual_time(genstudio):
    import time
    before = time.time()
    time.sleep(3600)
    assert (before, time.time()) == (1748779200, 1748782800)

@pytest.mark.mockserver(speed=3)
def test_a_wrong_word(genstudio):
    pass

@pytest.mark.mockserver(variant={"no-such": "thing"})
def test_a_wrong_variant(genstudio):
    pass
"""
    )
    result = pytester.runpytest_inprocess(*QUICK, "--strict-markers")

    result.assert_outcomes(passed=2, errors=2)
    result.stdout.re_match_lines_random(
        [".*marker mockserver takes clock, scenario.*got.*speed", ".*no-such.*known: .*"]
    )


def test_a_server_that_cannot_start_says_why_once_and_plainly(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(genstudio):\n    pass\n\ndef test_without():\n    pass\n")

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--mockserver", "providers=nobody")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["the emulator cannot be used: there is no provider 'nobody'; *"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_settings_come_from_pyproject_ini_and_option(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml(
        """
[tool.mockserver]
providers = ["genstudio"]
seed = 1
clock = 50
api-key = ["sk-table"]
[tool.pytest.ini_options]
mockserver = ["start = 2025-06-01T12:00:00Z", "seed = 2"]
"""
    )
    pytester.makepyfile(
        """
def test_it(genstudio, mockserver):
    assert genstudio.api_key == "sk-table"
    assert genstudio.clock.now == 1748779200
    assert genstudio.clock.rate == 0
    assert mockserver.providers == ["genstudio"]
    assert "seed: 5;" in genstudio.story()
"""
    )

    pytester.runpytest_inprocess("-p", "no:cacheprovider", "--mockserver", "seed=5").assert_outcomes(passed=1)


def test_the_same_tests_run_against_a_server_that_runs_already(
    pytester: pytest.Pytester, emulator: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCKSERVER_URL", emulator.url)
    pytester.makepyfile(
        CLIENT
        + """
def test_it(genstudio, mockserver):
    genstudio.play(LASTS_90)
    with genstudio.virtual_time(), Painter(genstudio.url, genstudio.api_key) as painter:
        assert painter.paint()
    assert mockserver.url in genstudio.url
"""
    )
    before = len(emulator.worlds())

    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)

    assert len(emulator.worlds()) == before
    assert emulator["genstudio"].tasks == []


def test_a_server_that_is_not_there_is_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(genstudio):\n    pass\n")

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--mockserver-url", "http://127.0.0.1:9")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["the emulator cannot be used: no server answers at http://127.0.0.1:9: *"])


def test_nothing_of_the_emulator_is_imported_while_no_test_asks_for_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import sys

def test_it():
    ours = {name for name in sys.modules if name.startswith("mockserver.")}
    assert ours == {"mockserver.pytest_plugin", "mockserver.data", "mockserver.errors"}
"""
    )

    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
