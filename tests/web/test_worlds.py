"""Worlds of one server: made, found by address or port, bounded, dropped."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from mockserver import data
from mockserver.errors import UserError
from mockserver.settings import Settings
from mockserver.web.emulator import Emulator
from tests.web.api import KEY, Api, Serve

SAMPLE = "wf-c73diz7kadp6ffgn"
START = 1_790_000_000


def open_world(api: Api, *, key: str = KEY, **settings: Any) -> tuple[str, Api]:
    answer = api.http.post("/_mock/worlds", json=settings)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], Api(answer.json()["urls"]["genstudio"], key)


def emulator(**settings: Any) -> Emulator:
    return Emulator(Settings(providers=("genstudio",), rate=0, start=START, **settings))


# --- what is said of a world ---


def test_a_world_takes_all_of_a_setting(api: Api) -> None:
    graph = json.loads((data.fixtures() / "workflows" / f"{SAMPLE}.json").read_bytes())
    id, world = open_world(
        api,
        key="sk-mine",
        id="night",
        seed=9,
        start="2025-06-01T12:00:00Z",
        slots=1,
        rate=0,
        accounts=[{"key": "sk-mine"}],
        workflows={"wf-night": graph},
        variants={"genstudio": {"unknown-ids": "status-5"}},
    )
    body = {"workflow_id": "wf-night", "prompt": {}}

    assert id == "night"
    assert api.mock("worlds/night/clock")["now"] == 1_748_779_200
    assert "wf-night" in api.mock("worlds/night/workflows")["workflows"]
    assert "wf-night" not in api.mock("workflows")["workflows"]
    assert world.post("prompt", body).json()["code"] == 0
    assert world.other("sk-else").post("prompt", body).status_code == 401
    assert [one["status"] for one in world.infos("nope")] == [5]
    assert api.infos("nope") == []
    world.close()


def test_what_a_world_says_itself_wins_over_its_scenario(api: Api) -> None:
    scenario = {"setting": {"seed": 3, "start": 1_750_000_000}, "rules": [{"id": "down", "answer": {"status": 503}}]}
    id, world = open_world(api, scenario=scenario, start=1_760_000_000)

    assert api.mock(f"worlds/{id}/clock")["now"] == 1_760_000_000
    assert world.post("get_task_info", {"comfy_task_ids": []}).status_code == 503
    world.close()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        pytest.param({"seed": "x"}, "/setting/seed", id="no seed"),
        pytest.param({"colour": 1}, "colour", id="no word"),
        pytest.param({"sed": 1}, "near: seed", id="a word nearly"),
        pytest.param({"slots": True}, "/setting/slots", id="no number"),
        pytest.param({"start": "noon"}, "/setting/start", id="no moment"),
        pytest.param(
            {"variants": {"genstudio": {"unknown-ids": "x"}}}, "/setting/variants/genstudio/unknown-ids", id="variant"
        ),
        pytest.param({"scenario": "feed-silnt"}, "near: feed-silent", id="no scenario"),
        pytest.param({"scenario": {"rules": [{}]}}, "/rules/0", id="a bad scenario"),
        pytest.param({"scenario": {"rules": [{"task": {"error": "nope"}}]}}, "/rules/0/task/error", id="a bad name"),
        pytest.param({"workflows": {"x": {"1": {}}}}, "x", id="no workflow"),
        pytest.param({"id": "../main"}, "../main", id="a path for an id"),
        pytest.param({"id": 7}, "id is 7", id="a number for an id"),
        pytest.param({"id": "main"}, "main", id="an id twice"),
        pytest.param({"port": -1}, "port is -1", id="no port"),
        pytest.param({"port": {"nope": 0}}, "genstudio", id="a port for nobody"),
        pytest.param([], "an object is needed", id="no object"),
    ],
)
def test_a_world_that_cannot_be_is_refused_with_the_reason_and_none_is_made(api: Api, wanted: Any, told: str) -> None:
    refused = api.http.post("/_mock/worlds", json=wanted)

    assert refused.status_code == 400
    assert told in refused.json()["error"]
    assert [world["id"] for world in api.mock("worlds")["worlds"]] == ["main"]


# --- how long worlds live ---


def test_a_world_is_dropped_when_nobody_used_it_for_long() -> None:
    real = [0.0]
    settings = Settings(providers=("genstudio",), rate=0, world_idle=60)
    served = Emulator(settings, real=lambda: real[0])
    used, idle = served.open_new({}), served.open_new({})

    real[0] = 50
    assert served.find(used.world.id) is used
    real[0] = 100

    assert served.find(idle.world.id) is None
    assert served.find(used.world.id) is used
    real[0] = 1000
    assert served.find("main") is not None
    served.drop_idle()
    assert list(served.stages) == ["main"]


def test_too_many_worlds_are_refused_with_what_to_do() -> None:
    real = [0.0]
    settings = Settings(providers=("genstudio",), rate=0, max_worlds=2, world_idle=60)
    served = Emulator(settings, real=lambda: real[0])
    served.open_new({})
    served.open_new({})

    with pytest.raises(UserError, match=r"2 worlds already; DELETE one.*--max-worlds"):
        served.open_new({})
    served.close("w1")
    served.open_new({})
    real[0] = 61

    assert served.open_new({}).world.id == "w4"


def test_a_world_is_dropped_on_request(api: Api) -> None:
    id, other = open_world(api, id="night")

    assert api.http.delete(f"/_mock/worlds/{id}").status_code == 200

    assert other.post("get_task_info", {"comfy_task_ids": []}).status_code == 404
    assert "there is no world 'night'" in api.http.get(f"/_mock/worlds/{id}/clock").json()["error"]
    assert api.http.delete("/_mock/worlds/main").status_code == 400
    other.close()


def test_making_a_world_takes_far_less_than_a_millisecond() -> None:
    served = emulator(max_worlds=10_000)
    best = float("inf")
    for _ in range(20):
        before = time.perf_counter()
        for _ in range(20):
            served.open_new({"seed": 1, "slots": 2})
        best = min(best, (time.perf_counter() - before) / 20)

    assert best < 0.0005


# --- ports ---


def test_a_world_has_a_port_of_its_own_where_the_provider_stands_at_the_root(serve: Serve) -> None:
    api = serve(providers=("genstudio", "gpugeek"))
    made = api.http.post("/_mock/worlds", json={"port": 0}).json()
    world = Api(made["urls"]["genstudio"])

    task = world.submit()
    with world.feed(task["prompt_token"]) as feed:
        feed.recv(timeout=10)
        world.clock(jump=500)

    assert made["urls"]["genstudio"] != made["urls"]["gpugeek"] != api.url
    assert world.info(task["prompt_id"])["status"] == 3
    link = next(link for links in world.info(task["prompt_id"])["files"].values() for link in links)
    assert link.startswith(made["urls"]["genstudio"])
    assert world.http.get(link).content[:4] == b"\x89PNG"
    assert api.mock("tasks")["tasks"] == []
    assert world.mock("clock")["now"] == START + 500

    api.http.delete(f"/_mock/worlds/{made['id']}")
    with pytest.raises(httpx.TransportError):
        world.mock("clock")
    with pytest.raises(httpx.ConnectError):
        httpx.get(made["urls"]["gpugeek"])
    world.close()


def test_a_world_gets_a_port_later_and_keeps_it(api: Api) -> None:
    id, world = open_world(api)

    ports = [api.http.post(f"/_mock/worlds/{id}/ports", json={"genstudio": 0}).json()["ports"] for _ in range(2)]

    assert ports[0] == ports[1]
    by_port = Api(f"http://127.0.0.1:{ports[0]['genstudio']}")
    task = by_port.submit()["prompt_id"]
    assert world.info(task)["status"] == 2
    for one in (world, by_port):
        one.close()


def test_a_port_that_is_taken_is_refused_and_the_world_is_not_made(api: Api) -> None:
    taken = int(api.url.rstrip("/").rpartition(":")[2])

    refused = api.http.post("/_mock/worlds", json={"port": taken})

    assert refused.status_code == 400
    assert f"cannot listen on 127.0.0.1:{taken}" in refused.json()["error"]
    assert len(api.mock("worlds")["worlds"]) == 1


# --- many at once ---


def test_200_worlds_are_used_from_8_threads_each_with_its_own_clock(api: Api) -> None:
    control = api.url.rstrip("/") + "/_mock/worlds"

    def use(number: int) -> tuple[int, float, int]:
        id, world = open_world(api, seed=number, start=START + number)
        task = world.submit()["prompt_id"]
        clock = world.http.post(f"{control}/{id}/clock", json={"jump": 500 + number}).json()
        found = world.info(task)["status"], clock["now"] - START, len(world.http.get(f"{control}/{id}/tasks").json())
        world.close()
        return found

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(200))) == [(3, 500 + 2 * number, 1) for number in range(200)]


def test_all_worlds_together_keep_no_more_traffic_than_one_server_may(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mockserver.web.emulator.TRAFFIC", 200_000)
    api = serve()
    kept = 0
    for _ in range(10):
        world = api.http.post("/_mock/worlds", json={}).json()
        for _ in range(10):
            api.http.get(world["urls"]["genstudio"] + "/nowhere", headers={"x-long": "y" * 20_000})
    for world in api.http.get("/_mock/worlds").json()["worlds"]:
        lines = api.http.get(f"/_mock/worlds/{world['id']}/exchanges").text.splitlines()
        kept += sum(map(len, lines))

    assert kept < 2 * 200_000
