"""Files that change while the server runs, and time that leaps for callers in the same process."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from mockserver import data
from mockserver.settings import Settings
from mockserver.web.app import create_app
from mockserver.web.emulator import Emulator
from mockserver.web.watching import Watcher
from tests.web.api import API, KEY, Serve
from tests.web.test_scenarios import poll, wait_for

SAMPLE = "wf-c73diz7kadp6ffgn"
START = 1_790_000_000


def write(file: Path, text: str) -> None:
    """Write a file so that its time is another one, however coarse the file system's are."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(text)
    os.utime(file, ns=(before + 2_000_000_000, before + 2_000_000_000))


def watched(**settings: Any) -> tuple[Emulator, Watcher]:
    emulator = Emulator(Settings(providers=("genstudio",), rate=0, start=START, **settings))
    return emulator, Watcher(emulator)


# --- files that change ---


def test_a_changed_scenario_goes_on_in_the_same_world(tmp_path: Path) -> None:
    file = tmp_path / "night.yaml"
    write(file, "rules: [{id: one, answer: {status: 502}}]")
    emulator, watcher = watched(scenarios=(str(file),))
    world = emulator.stages["main"]

    assert watcher.look() is False
    write(file, "rules: [{id: two, answer: {status: 503}}]")

    assert watcher.look() is True
    assert emulator.stages["main"] is world
    assert list(world.scripts.named["night"].hits) == ["two"]


@pytest.mark.parametrize(
    "text", ["rules: [{answer: {status: 99}}]", "rules: [{answer: {error: nope}}]", "rules: ["], ids=str
)
def test_a_scenario_that_does_not_load_leaves_the_old_one_in_force(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "night.yaml"
    write(file, "rules: [{id: one, answer: {status: 502}}]")
    emulator, watcher = watched(scenarios=(str(file),))
    write(file, text)

    with caplog.at_level(logging.WARNING):
        assert watcher.look() is False

    assert list(emulator.stages["main"].scripts.named["night"].hits) == ["one"]
    assert re.search("the old stays in force: scenario '.*night.*' at /", caplog.text)
    (problem,) = emulator.stages["main"].recorder.problems
    assert (problem["rule"], problem["path"]) == ("not-loaded", "night.yaml")
    assert watcher.look() is False


def test_another_setting_of_a_scenario_makes_another_main_world(tmp_path: Path) -> None:
    file = tmp_path / "night.yaml"
    write(file, "setting: {seed: 1}")
    emulator, watcher = watched(scenarios=(str(file),))
    other = emulator.open_new({})
    write(file, "setting: {seed: 2}")

    assert watcher.look() is True
    assert emulator.stages["main"].world.seed == 2
    assert emulator.stages["w1"] is other
    assert list(emulator.stages) == ["main", "w1"]


def test_a_new_workflow_is_hosted_and_a_bad_one_is_refused(tmp_path: Path) -> None:
    graph = (data.fixtures() / "workflows" / f"{SAMPLE}.json").read_text("utf-8")
    emulator, watcher = watched(workflows_dir=tmp_path)
    write(tmp_path / "wf-new.json", graph)

    assert watcher.look() is True
    assert list(emulator.offer.hosting.own) == ["wf-new"]
    write(tmp_path / "wf-worse.json", "{")
    assert watcher.look() is False
    assert list(emulator.offer.hosting.own) == ["wf-new"]


def test_changed_schemas_are_loaded_and_bad_ones_are_refused(tmp_path: Path) -> None:
    for name in ("genstudio", "_stores", "_meta"):
        shutil.copytree(data.schemas() / name, tmp_path / name)
    emulator, watcher = watched(schemas_dir=tmp_path)
    file = tmp_path / "genstudio" / "errors.json"
    text = file.read_text("utf-8")
    old = emulator.stages["main"].offer

    write(file, text.replace('"refusals"', '"refusal"', 1))
    assert watcher.look() is False
    assert emulator.stages["main"].offer is emulator.offer is old
    write(file, text)

    assert watcher.look() is True
    assert emulator.stages["main"].offer is emulator.offer is not old


def test_a_server_watches_when_told_to(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "night.yaml"
    write(file, "rules: [{answer: {status: 502}}]")
    api = serve(scenarios=(str(file),), watch=True)
    assert poll(api, "x").status_code == 502

    write(file, "rules: []")

    wait_for(lambda: poll(api, "x").status_code == 200)


# --- time that leaps ---


def inside(act: Callable[[httpx.AsyncClient, Any], Awaitable[Any]]) -> Any:
    """Let *act* call an application of this process whose time leaps, its clock turned by hand."""
    app = create_app(Settings(providers=("genstudio",), rate=0, start=START), leaps=True)

    async def run() -> Any:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://testserver", headers={"Authorization": f"Bearer {KEY}"}
        ) as client:
            return await asyncio.wait_for(act(client, app), 10)

    return asyncio.run(run())


async def submitted(client: httpx.AsyncClient) -> Mapping[str, Any]:
    body = json.loads((data.fixtures() / "genstudio" / "text-to-image.request.json").read_bytes())
    found: Mapping[str, Any] = (await client.post(f"{API}/prompt", json=body)).json()["data"]
    return found


def test_a_held_answer_makes_time_leap_to_its_moment() -> None:
    async def act(client: httpx.AsyncClient, app: Any) -> Any:
        await client.put("/_mock/scenarios/late", content="rules: [{wire: {delay: 3600}}]")
        answer = await client.post(f"{API}/get_task_info", json={"comfy_task_ids": []})
        return answer.json()["code"], (await client.get("/_mock/clock")).json()["now"]

    assert inside(act) == (0, START + 3600)


def test_a_wait_makes_time_leap_until_it_holds() -> None:
    async def act(client: httpx.AsyncClient, app: Any) -> Any:
        id = (await submitted(client))["prompt_id"]
        waited = await client.post("/_mock/wait", json={"task": id, "state": "succeeded", "limit": 600})
        return waited.json()["holds"]

    assert inside(act) is True


def test_a_feed_makes_time_leap_message_by_message_as_its_client_takes_them() -> None:
    async def act(client: httpx.AsyncClient, app: Any) -> Any:
        task = await submitted(client)
        taken: list[tuple[float, Any]] = []
        scope = {
            "type": "websocket",
            "scheme": "ws",
            "path": "/api/maas/comfy_task_ws_api/get_task_progress",
            "query_string": f"authorization={task['prompt_token']}".encode(),
            "headers": [(b"host", b"testserver")],
        }
        world = app.emulator.stages["main"].world
        waiting = asyncio.Event()
        first = True

        async def receive() -> Any:
            nonlocal first
            if first:
                first = False
                return {"type": "websocket.connect"}
            await waiting.wait()
            return {"type": "websocket.disconnect"}

        async def send(message: Any) -> None:
            # A client that takes its time: the world must not run away from it.
            before = world.now
            for _ in range(20):
                await asyncio.sleep(0)
            taken.append((world.now - before, message))

        await app(scope, receive, send)
        return taken

    taken = inside(act)

    assert {seconds for seconds, _ in taken} == {0.0}
    assert [message["type"] for _, message in taken][-1] == "websocket.close"
    assert json.loads(taken[-2][1]["text"])
    assert len(taken) > 5
