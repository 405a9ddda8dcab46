"""The handle, without pytest: starting, worlds, clock, what is to happen, and verification."""

from __future__ import annotations

import asyncio
import unittest
from pathlib import Path
from typing import Any

import httpx
import pytest

from mockserver import MockServer
from mockserver.errors import UserError
from tests.ways.clients import BODY, LASTS_90, TASKS, headers, only, submitted


def submit(server: MockServer) -> str:
    answer = httpx.post(f"{server.url}{TASKS}/prompt", json=BODY, headers=headers(server.api_key))
    return str(submitted(answer.json())["prompt_id"])


def poll(server: MockServer, task: str) -> Any:
    asked = {"comfy_task_ids": [task]}
    return httpx.post(f"{server.url}{TASKS}/get_task_info", json=asked, headers=headers(server.api_key))


def test_a_server_of_ones_own_is_one_line() -> None:
    with MockServer("genstudio", seed=4, clock=20) as server:
        task = submit(server)

        assert server.url == f"http://{server.host}:{server.port}"
        assert server.ws_url == server.url.replace("http", "ws")
        assert (server.tasks[0].id, server.clock.rate) == (task, 20)


def test_the_same_goes_for_asyncio() -> None:
    async def work() -> int:
        async with (
            MockServer("genstudio") as server,
            httpx.AsyncClient(base_url=server.url, headers=headers(server.api_key)) as client,
        ):
            await client.post(f"{TASKS}/prompt", json=BODY)
            return len(server.tasks)

    assert asyncio.run(work()) == 1


def test_unittest_needs_no_plugin() -> None:
    class Case(unittest.TestCase):
        def setUp(self) -> None:
            self.server = self.enterContext(MockServer("genstudio"))

        def test_it(self) -> None:
            submit(self.server)
            self.server.called("prompt", times=1)

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)

    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def test_before_it_is_started_it_says_how_to() -> None:
    with pytest.raises(UserError, match="with MockServer"):
        _ = MockServer("genstudio").url


def test_worlds_do_not_meet(emulator: MockServer) -> None:
    with emulator.world("genstudio") as one, emulator.world("genstudio", seed=9) as other:
        submit(one)
        one.clock.jump(1000)

        assert (len(one.tasks), other.tasks) == (1, [])
        assert one.clock.now - other.clock.now == 1000


def test_a_client_that_takes_host_and_port_only_has_a_port_of_its_own(studio: MockServer) -> None:
    url = f"http://{studio.host}:{studio.port}{TASKS}/prompt"

    answer = httpx.post(url, json=BODY, headers=headers(studio.api_key))

    assert [task.id for task in studio.tasks] == [submitted(answer.json())["prompt_id"]]


def test_the_clock_is_turned_by_hand(studio: MockServer) -> None:
    studio.play(LASTS_90)
    clock, task = studio.clock, submit(studio)
    start = clock.now

    assert clock.jump(10) == start + 10
    assert start + 10 < clock.until(task, "running", percent=50) < start + 90
    assert clock.until(task, "succeeded") == start + 90
    clock.rate = 60
    assert clock.rate == 60
    clock.pause()
    assert clock.rate == 0
    with pytest.raises(AssertionError, match="did not come true within 5 virtual seconds"):
        clock.until(submit(studio), "succeeded", limit=5)
    assert clock.next() > clock.now - 1


def test_an_error_of_the_catalogue_is_met_as_often_as_said(studio: MockServer) -> None:
    studio.fail("balance-empty", times=1)

    first = httpx.post(f"{studio.url}{TASKS}/prompt", json=BODY, headers=headers(studio.api_key))

    assert first.status_code == 402
    assert submit(studio)
    with pytest.raises(UserError, match="no-such-error"):
        studio.fail("no-such-error")


def test_scenarios_come_by_name_file_or_as_they_are(studio: MockServer, tmp_path: Path) -> None:
    file = tmp_path / "gone.yaml"
    file.write_text("rules: [{id: gone, answer: {status: 410}, times: 1}]")

    assert studio.play("queue-never-moves") == "queue-never-moves"
    assert studio.play(file) == "gone"
    assert studio.play({"rules": []}) == "mine"
    assert poll(studio, "x").status_code == 410
    assert studio.hits["gone"]["gone"] == {"matched": 1, "acted": 1}
    studio.stop("gone")
    assert set(studio.hits) == {"queue-never-moves", "mine"}


def test_a_scenario_file_is_read_as_strictly_as_the_server_reads_it(studio: MockServer, tmp_path: Path) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text("rules: []\nrules: [{id: gone, answer: {status: 410}}]")

    with pytest.raises(UserError, match=r"twice\.yaml.*rules"):
        studio.play(file)


def test_a_scenario_for_a_fresh_world_sets_it_up(studio: MockServer) -> None:
    studio.play({"setting": {"start": "2025-06-01T12:00:00Z"}, "rules": []})

    assert studio.clock.now == 1748779200


def test_variants_are_chosen_before_the_world_is_used(studio: MockServer) -> None:
    studio.variant(position_base="zero")
    submit(studio)

    with pytest.raises(UserError, match="the world is in use"):
        studio.variant(position_base="zero")


def test_what_was_called_can_be_asked(studio: MockServer) -> None:
    task = submit(studio)
    poll(studio, task)
    studio.clock.until(task, "succeeded")
    poll(studio, task)

    (call,) = studio.called("prompt", times=1)
    assert call["tasks"] == [task]
    assert len(studio.called("get_task_info")) == 2
    studio.in_order("prompt", "get_task_info", "get_task_info")
    assert studio.reached(task, "running")["at"] <= studio.reached(task, "succeeded")["at"]
    studio.nothing_unexpected()


@pytest.mark.parametrize(
    ("verify", "told"),
    [
        pytest.param(lambda s: s.called("prompt", times=2), "prompt was called 1 times instead of 2 times", id="times"),
        pytest.param(lambda s: s.called("cancel"), "was called 0 times instead of at least once", id="never"),
        pytest.param(lambda s: s.in_order("get_task_info", "prompt"), "prompt was not called after", id="order"),
        pytest.param(lambda s: s.reached(s.tasks[0].id, "failed"), "did not reach 'failed'; of it", id="state"),
        pytest.param(lambda s: s.reached("nobody", "failed"), "there is no such task", id="task"),
    ],
)
def test_a_verification_that_does_not_hold_tells_what_happened(studio: MockServer, verify: Any, told: str) -> None:
    poll(studio, submit(studio))

    with pytest.raises(AssertionError, match=told):
        verify(studio)


def test_an_operation_that_there_is_not_is_a_mistake_of_the_test(studio: MockServer) -> None:
    with pytest.raises(UserError, match=r"no operation 'promt'; known: .*prompt"):
        studio.called("promt")


def test_conduct_is_told_unless_expected(studio: MockServer) -> None:
    httpx.post(f"{studio.url}{TASKS}/get_task_info", json={}, headers=headers(studio.api_key))

    with pytest.raises(AssertionError, match="the contract is broken: request-schema-required"):
        studio.nothing_unexpected()
    studio.expect("request-schema-*").nothing_unexpected()


def test_the_judge_finds_what_was_let_pass(studio: MockServer) -> None:
    key = studio.api_key
    httpx.post(f"{studio.url}{TASKS}/get_task_info?api_key={key}", json={"comfy_task_ids": []}, headers=headers(key))

    with pytest.raises(AssertionError, match="the contract is broken: key-in-url") as broken:
        studio.nothing_unexpected()
    assert "POST /api/maas/comfy_task_api/get_task_info" in str(broken.value)
    studio.expect("key-in-url").nothing_unexpected()


@pytest.mark.parametrize("scenario", ["malformed-json", "progress-goes-backward", "polling-behind-socket"])
def test_what_a_scenario_bends_is_not_held_against_the_emulator(emulator: MockServer, scenario: str) -> None:
    with emulator.world("genstudio", scenario=scenario) as studio:
        task = submit(studio)
        for _ in range(20):
            poll(studio, task)
            studio.clock.jump(3)

        assert any(hits["acted"] for rules in studio.hits.values() for hits in rules.values())
        studio.nothing_unexpected()


def test_a_server_elsewhere_is_used_by_its_address(emulator: MockServer) -> None:
    with MockServer.at(emulator.url) as elsewhere, elsewhere.world("genstudio") as world:
        task = submit(world)
        world.clock.until(task, "succeeded")

        assert only(poll(world, task).json())["status"] == 3
        assert world.tasks[0].id == task


def test_the_world_begins_again(studio: MockServer) -> None:
    submit(studio)
    start = studio.clock.now
    studio.clock.jump(50)

    studio.reset()

    assert (studio.tasks, studio.clock.now) == ([], start)
