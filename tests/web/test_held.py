"""Answers that a provider itself holds back: listed, told in the log, and never a deadlock in the same process."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from mockserver.server import running
from mockserver.settings import Settings
from tests.web.inside import START, Inside, fixture
from tests.web.test_scenarios import wait_for

HEADERS = {"x-api-key": "09876543210987654321", "username": "api"}
BODY = {
    **fixture("esd/create_execute.request.json"),
    "prompt_id": "p-1",
    "endpoint_name": "comfy-real-time-test",
}


def test_an_answer_that_waits_for_its_task_is_listed_and_told_until_when(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mockserver.web.wire.PATIENCE", 0.01)
    settings = Settings(providers=("esd",), port=0, rate=0, start=START)
    with (
        caplog.at_level(logging.INFO, "mockserver"),
        running(settings) as server,
        httpx.Client(base_url=server.url) as http,
        ThreadPoolExecutor(1) as threads,
    ):
        answer = threads.submit(lambda: httpx.post(f"{server.url}/prod/executes", json=BODY, headers=HEADERS))
        (held,) = wait_for(lambda: http.get("/_mock/held").json()["held"])
        wait_for(lambda: "is held until" in caplog.text)
        http.post("/_mock/clock", json={"jump": held["until"] - START})

        assert answer.result(5).status_code in (200, 504)
        assert held["what"] == "CreateExecute for p-1"
        assert held["since"] == START < held["until"]
        assert http.get("/_mock/held").json()["held"] == []


def test_an_answer_that_waits_for_its_task_makes_time_leap_in_the_same_process() -> None:
    async def act() -> tuple[int, float]:
        inside = Inside("esd")
        world = await inside.open()
        answer = await world.call("POST", "/prod/executes", BODY)
        assert answer is not None
        return answer.status_code, (await world.control("GET", "clock")).json()["now"]

    status, now = asyncio.run(act())

    assert status in (200, 504)
    assert now > START


def test_a_near_miss_is_told_in_the_log_with_all_that_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        world = await Inside("genstudio").open()
        await world.call("POST", "/api/maas/comfy_task_api/prompt", {"workflow_id": 5})
        await world.call("POST", "/api/maas/comfy_task_api/promt", {})

    with caplog.at_level(logging.INFO, "mockserver"):
        asyncio.run(act())

    for word in (
        "request-schema-required",
        "'/body/prompt'",
        "request-schema-type",
        "got=5",
        "/comfy_task_api/prompt'",
    ):
        assert word in caplog.text
