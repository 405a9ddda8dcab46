"""Every word of a scenario, shown from outside by its documented example: over real sockets, the clock by hand."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import pytest
import yaml
from websockets.exceptions import InvalidStatus

from mockserver.server import running
from mockserver.settings import Settings
from tests.scenario.examples import EXAMPLES, document
from tests.web.api import KEY, Api, opened
from tests.web.test_scenarios import frames, links, poll, wait_for

START = 1_790_000_000
SAMPLE = {"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": {}}


@pytest.fixture(scope="module")
def server() -> Iterator[Api]:
    settings = Settings(providers=("genstudio", "gpugeek"), port=0, rate=0, start=START)
    with running(settings) as started:
        api = Api(started.url)
        yield api
        api.close()


class Stage:
    """Worlds in which one example is played."""

    def __init__(self, server: Api) -> None:
        self._server = server
        self._opened: list[Api] = []
        self.urls: dict[str, str] = {}

    def play(self, scenario: Any = None, **said: Any) -> Api:
        wanted = {"port": 0, **said} if scenario is None else {"port": 0, "scenario": scenario, **said}
        answer = self._server.http.post("/_mock/worlds", json=wanted)
        assert answer.status_code == 201, answer.text
        self.urls = answer.json()["urls"]
        self._opened.append(Api(self.urls["genstudio"]))
        return self._opened[-1]

    def close(self) -> None:
        for api in self._opened:
            api.close()


Check = Callable[[Api, Stage], None]
CHECKS: dict[str, Check] = {}


def shows(*words: str) -> Callable[[Check], Check]:
    def keep(check: Check) -> Check:
        CHECKS.update(dict.fromkeys(words, check))
        return check

    return keep


@pytest.fixture
def stage(server: Api) -> Iterator[Stage]:
    stage = Stage(server)
    yield stage
    stage.close()


def scenario(word: str) -> Any:
    return yaml.safe_load(document(word))


def statuses(api: Api, calls: int) -> list[int]:
    return [poll(api, "x").status_code for _ in range(calls)]


def ended(api: Api, seconds: float = 500) -> dict[str, Any]:
    """Submit a task, let time pass, and return how it stands."""
    id = api.submit()["prompt_id"]
    api.clock(jump=seconds)
    return api.info(id)


def world_task(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.mock("tasks")["tasks"][-1]
    return found


@pytest.mark.parametrize("word", EXAMPLES)
def test_a_word_does_what_it_says(word: str, stage: Stage) -> None:
    CHECKS[word](stage.play(scenario(word)), stage)


def test_no_word_is_without_a_test() -> None:
    assert set(CHECKS) == set(EXAMPLES)


# --- setting ---


@shows("setting.variants")
def _(api: Api, stage: Stage) -> None:
    assert [one["status"] for one in api.infos("nope")] == [5]


@shows("setting.seed")
def _(api: Api, stage: Stage) -> None:
    again, other = stage.play(scenario("setting.seed")), stage.play()
    assert api.submit()["prompt_id"] == again.submit()["prompt_id"] != other.submit()["prompt_id"]


@shows("setting.start")
def _(api: Api, stage: Stage) -> None:
    assert api.mock("clock")["now"] == 1_748_779_200
    assert poll(api, "x").headers["date"] == "Sun, 01 Jun 2025 12:00:00 GMT"


@shows("setting.slots")
def _(api: Api, stage: Stage) -> None:
    ids = [api.submit()["prompt_id"] for _ in range(2)]
    assert [api.info(id)["status"] for id in ids] == [2, 1]


@shows("setting.workflows")
def _(api: Api, stage: Stage) -> None:
    id = api.post("prompt", {"workflow_id": "wf-mine", "prompt": {}}).json()["data"]["prompt_id"]
    api.clock(jump=500)
    assert opened(api.http.get(links(api, id)[0]).content).size == (64, 64)


@shows("setting.accounts")
def _(api: Api, stage: Stage) -> None:
    assert (poll(api, "x").status_code, poll(api.other("sk-mine"), "x").status_code) == (401, 200)


@shows("setting.rate")
def _(api: Api, stage: Stage) -> None:
    assert api.mock("clock")["rate"] == 60


# --- rules, and when they hold ---


@shows("rule.id")
def _(api: Api, stage: Stage) -> None:
    poll(api, "x")
    (rules,) = api.mock("scenarios")["in_force"].values()
    assert rules == {"broken": {"matched": 1, "acted": 1}}


@shows("rule.skip")
def _(api: Api, stage: Stage) -> None:
    assert statuses(api, 3) == [200, 502, 502]


@shows("rule.times")
def _(api: Api, stage: Stage) -> None:
    assert statuses(api, 3) == [502, 200, 200]


@shows("when.provider")
def _(api: Api, stage: Stage) -> None:
    assert poll(api, "x").status_code == 200
    assert httpx.get(f"{stage.urls['gpugeek']}/api/v1/file/upload/pre-signed-url").status_code == 502


@shows("when.operation")
def _(api: Api, stage: Stage) -> None:
    assert (api.post("prompt", SAMPLE).status_code, poll(api, "x").status_code) == (502, 200)


@shows("when.channel", "feed.refuse")
def _(api: Api, stage: Stage) -> None:
    with pytest.raises(InvalidStatus) as refused:
        api.feed(api.submit()["prompt_token"])
    assert refused.value.response.status_code == 503


@shows("when.verb")
def _(api: Api, stage: Stage) -> None:
    assert (api.post("prompt", SAMPLE).status_code, poll(api, "x").status_code) == (200, 502)


@shows("when.nth")
def _(api: Api, stage: Stage) -> None:
    assert statuses(api, 4) == [200, 502, 200, 200]


@shows("when.after")
def _(api: Api, stage: Stage) -> None:
    assert statuses(api, 4) == [200, 200, 502, 502]


@shows("when.every")
def _(api: Api, stage: Stage) -> None:
    assert statuses(api, 4) == [200, 502, 200, 502]


@shows("when.share")
def _(api: Api, stage: Stage) -> None:
    assert 8 <= statuses(api, 40).count(502) <= 32


@shows("when.request")
def _(api: Api, stage: Stage) -> None:
    assert [poll(api, "x").status_code, poll(api, "x", **{"X-Trace": "1"}).status_code] == [200, 502]


@shows("when.task")
def _(api: Api, stage: Stage) -> None:
    plain = api.post("prompt", SAMPLE).json()["data"]["prompt_id"]
    assert (ended(api)["status"], api.info(plain)["status"]) == (4, 3)


def each_ten_seconds(api: Api) -> list[int]:
    found = []
    for _ in range(3):
        found.append(poll(api, "x").status_code)
        api.clock(jump=10)
    return found


@shows("when.window")
def _(api: Api, stage: Stage) -> None:
    assert each_ten_seconds(api) == [200, 502, 200]


@shows("when.window.from")
def _(api: Api, stage: Stage) -> None:
    assert each_ten_seconds(api) == [200, 502, 502]


@shows("when.window.to")
def _(api: Api, stage: Stage) -> None:
    assert each_ten_seconds(api) == [502, 200, 200]


# --- tasks ---


@shows("task.outcome", "task.outcome=fail")
def _(api: Api, stage: Stage) -> None:
    assert ended(api)["status"] == 4


@shows("task.outcome=succeed")
def _(api: Api, stage: Stage) -> None:
    assert ended(api)["status"] == 3


@shows("task.outcome=out-of-memory")
def _(api: Api, stage: Stage) -> None:
    assert "torch.OutOfMemoryError" in json.dumps(ended(api))


@shows("task.outcome=stuck-queued")
def _(api: Api, stage: Stage) -> None:
    assert ended(api, 100_000)["status"] == 1


@shows("task.outcome=stuck-running")
def _(api: Api, stage: Stage) -> None:
    assert ended(api, 100_000)["status"] == 2


@shows("task.outcome=cancelled")
def _(api: Api, stage: Stage) -> None:
    assert ended(api)["status"] == 4
    assert world_task(api)["state"] == "cancelled"


@shows("task.node")
def _(api: Api, stage: Stage) -> None:
    assert "nodeType: KSampler" in ended(api)["errMsg"]


@shows("task.at")
def _(api: Api, stage: Stage) -> None:
    ended(api)
    plain = stage.play()
    ended(plain)
    halved, whole = ((task["finished"] - task["started"]) for task in (world_task(api), world_task(plain)))
    assert halved == pytest.approx(whole / 2)


@shows("task.error")
def _(api: Api, stage: Stage) -> None:
    ended(api)
    assert world_task(api)["failure"]["name"] == "timed-out"


@shows("task.message")
def _(api: Api, stage: Stage) -> None:
    assert ended(api)["errMsg"] == "worker lost"


@shows("task.facts")
def _(api: Api, stage: Stage) -> None:
    assert "disk full" in ended(api)["errMsg"]


@shows("task.lost")
def _(api: Api, stage: Stage) -> None:
    id = api.submit()["prompt_id"]
    api.clock(jump=59)
    assert len(api.infos(id)) == 1
    api.clock(jump=1)
    assert api.infos(id) == []


@shows("task.slow")
def _(api: Api, stage: Stage) -> None:
    ended(api, 100_000)
    plain = stage.play()
    ended(plain)
    slow, usual = ((task["finished"] - task["started"]) for task in (world_task(api), world_task(plain)))
    assert slow == pytest.approx(100 * usual)


@shows("task.lasts")
def _(api: Api, stage: Stage) -> None:
    id = api.submit()["prompt_id"]
    api.clock(jump=89.9)
    assert api.info(id)["status"] == 2
    api.clock(jump=0.1)
    assert api.info(id)["status"] == 3


@shows("task.nodes")
def _(api: Api, stage: Stage) -> None:
    assert (ended(api, 1000)["status"], world_task(api)["progress"] > 0) == (2, True)
    assert [node["class"] for node in world_task(api)["nodes"] if node["state"] == "running"] == ["KSampler"]


@shows("task.results", "task.results=none")
def _(api: Api, stage: Stage) -> None:
    info = ended(api)
    assert (info["status"], [link for group in info["files"].values() for link in group]) == (3, [])


@shows("task.results=corrupt")
def _(api: Api, stage: Stage) -> None:
    ended(api)
    content = api.http.get(links(api, world_task(api)["id"])[0]).content
    with pytest.raises((OSError, SyntaxError)):
        opened(content).load()


@shows("task.results=wrong-size")
def _(api: Api, stage: Stage) -> None:
    ended(api)
    assert opened(api.http.get(links(api, world_task(api)["id"])[0]).content).size == (256, 256)


@shows("task.results=missing")
def _(api: Api, stage: Stage) -> None:
    ended(api)
    assert api.http.get(links(api, world_task(api)["id"])[0]).status_code == 404


@shows("task.results=expired")
def _(api: Api, stage: Stage) -> None:
    ended(api)
    assert api.http.get(links(api, world_task(api)["id"])[0]).status_code == 403


def steps(api: Api) -> list[int]:
    """Return the progress of a task's run, looked at in equal steps of time."""
    ended(api)
    task = world_task(api)
    length = task["finished"] - task["started"]
    api.http.post("/_mock/reset")
    api.submit()
    found = []
    for _ in range(50):
        found.append(round(world_task(api)["progress"] * 100))
        api.clock(jump=length / 50)
    return found


@shows("task.progress", "task.progress=stall")
def _(api: Api, stage: Stage) -> None:
    found = steps(api)
    assert found.count(statistics.mode(found)) >= len(found) * 0.4


@shows("task.progress=jump")
def _(api: Api, stage: Stage) -> None:
    found = steps(api)
    assert max(after - before for before, after in pairwise(found)) > 40


@shows("task.progress=backward")
def _(api: Api, stage: Stage) -> None:
    found = steps(api)
    assert min(after - before for before, after in pairwise(found)) < -10


# --- the waiting line ---


@shows("queue.ahead")
def _(api: Api, stage: Stage) -> None:
    api.submit()
    assert world_task(api)["position"] > 3


@shows("queue.slots")
def _(api: Api, stage: Stage) -> None:
    id = api.submit()["prompt_id"]
    api.clock(jump=299)
    assert api.info(id)["status"] == 1
    api.clock(jump=1)
    assert api.info(id)["status"] == 2


@shows("queue.reshuffle")
def _(api: Api, stage: Stage) -> None:
    ids = [api.submit()["prompt_id"] for _ in range(20)]
    waiting = {task["id"]: task["position"] for task in api.mock("tasks")["tasks"] if task["state"] == "queued"}
    api.clock(jump=5)
    after = {task["id"]: task["position"] for task in api.mock("tasks")["tasks"] if task["id"] in waiting}
    assert list(waiting) == sorted(ids, key=ids.index)[2:]
    assert sorted(after, key=lambda id: after[id]) != list(waiting)


@shows("queue.ready")
def _(api: Api, stage: Stage) -> None:
    assert api.post("prompt", SAMPLE).json()["code"] == 10007
    api.clock(jump=120)
    assert api.post("prompt", SAMPLE).json()["code"] == 0


# --- answers ---


@shows("answer.error")
def _(api: Api, stage: Stage) -> None:
    answer = poll(api, "x")
    assert (answer.status_code, answer.json()["code"]) == (429, 10005)


@shows("answer.facts")
def _(api: Api, stage: Stage) -> None:
    assert "wf-else" in api.post("prompt", SAMPLE).text


@shows("answer.status")
def _(api: Api, stage: Stage) -> None:
    answer = poll(api, "x")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")


@shows("answer.headers")
def _(api: Api, stage: Stage) -> None:
    assert poll(api, "x").headers["retry-after"] == "30"


@shows("answer.body")
def _(api: Api, stage: Stage) -> None:
    assert api.post("prompt", SAMPLE).json() == {"code": 0}
    assert api.mock("tasks")["tasks"] == []


@shows("answer.limit")
def _(api: Api, stage: Stage) -> None:
    assert statuses(api, 3) == [200, 200, 429]


@shows("answer.limit.window")
def _(api: Api, stage: Stage) -> None:
    assert (statuses(api, 3), poll(api, "x").headers["retry-after"]) == ([200, 200, 429], "30")
    api.clock(jump=30)
    assert statuses(api, 3) == [200, 200, 429]


@shows("answer.limit.bucket")
def _(api: Api, stage: Stage) -> None:
    assert (statuses(api, 3), poll(api, "x").headers["retry-after"]) == ([200, 200, 429], "6")
    api.clock(jump=6)
    assert statuses(api, 2) == [200, 429]


@shows("answer.limit.quota")
def _(api: Api, stage: Stage) -> None:
    assert [api.post("prompt", SAMPLE).status_code for _ in range(3)] == [200, 200, 402]
    api.clock(jump=100_000)
    assert api.post("prompt", SAMPLE).status_code == 402


@shows("answer.credentials")
def _(api: Api, stage: Stage) -> None:
    assert statuses(api, 3) == [200, 401, 401]


@shows("answer.stale")
def _(api: Api, stage: Stage) -> None:
    assert (ended(api)["status"], world_task(api)["state"]) == (2, "succeeded")


# --- the wire ---


@shows("wire.refuse", "wire.reset", "wire.empty", "wire.truncate", "wire.wrong-length")
def _(api: Api, stage: Stage) -> None:
    with pytest.raises(httpx.TransportError):
        api.post("prompt", SAMPLE)
    (rules,) = api.mock("scenarios")["in_force"].values()
    assert rules["rule-1"]["acted"] == 1


@shows("wire.delay")
def _(api: Api, stage: Stage) -> None:
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(poll, api.other(KEY), "x")
        (held,) = wait_for(lambda: api.mock("held")["held"])
        assert 20 <= held["until"] - START <= 30
        api.clock(jump=30)
        assert answer.result(5).status_code == 200


@shows("wire.dribble")
def _(api: Api, stage: Stage) -> None:
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(poll, api.other(KEY), "x")
        while not answer.done():
            wait_for(lambda: api.mock("held")["held"] or answer.done())
            api.clock(jump=1)
        assert answer.result(5).json()["code"] == 0
    assert api.mock("clock")["now"] >= START + 3


@shows("wire.malformed")
def _(api: Api, stage: Stage) -> None:
    with pytest.raises(ValueError, match="Expecting"):
        poll(api, "x").json()


@shows("wire.content-type")
def _(api: Api, stage: Stage) -> None:
    assert poll(api, "x").headers["content-type"] == "text/plain"


@shows("wire.duplicate-keys")
def _(api: Api, stage: Stage) -> None:
    assert poll(api, "x").text.count('"code"') == 2


@shows("wire.large")
def _(api: Api, stage: Stage) -> None:
    assert len(poll(api, "x").content) == 100_000


# --- feeds ---


def heard(api: Api) -> tuple[list[Any], int | None]:
    return frames(api, api.submit()["prompt_token"])


@shows("feed.close")
def _(api: Api, stage: Stage) -> None:
    told, code = heard(api)
    assert (len(told), code) == (3, 1012)


@shows("feed.drop")
def _(api: Api, stage: Stage) -> None:
    told, code = heard(api)
    assert (len(told), code) == (1, 1000)


@shows("feed.duplicate")
def _(api: Api, stage: Stage) -> None:
    told, _ = heard(api)
    assert told[::2] == told[1::2]


@shows("feed.swap")
def _(api: Api, stage: Stage) -> None:
    told, _ = heard(api)
    plain, _ = heard(stage.play())
    assert told[:4] == [plain[0], plain[2], plain[1], plain[3]]


@shows("feed.garble")
def _(api: Api, stage: Stage) -> None:
    told, _ = heard(api)
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(told[1])


@shows("feed.delay")
def _(api: Api, stage: Stage) -> None:
    with api.feed(api.submit()["prompt_token"]) as feed:
        api.clock(jump=999)
        with pytest.raises(TimeoutError):
            feed.recv(timeout=0.2)
        api.clock(jump=1)
        assert json.loads(feed.recv(timeout=10))


@shows("feed.silence")
def _(api: Api, stage: Stage) -> None:
    told, code = heard(api)
    assert (len(told), code) == (1, None)


@shows("feed.unknown-type")
def _(api: Api, stage: Stage) -> None:
    told, _ = heard(api)
    assert json.loads(told[1])["type"] == "mock.unknown"


@shows("feed.no-close")
def _(api: Api, stage: Stage) -> None:
    _, code = heard(api)
    assert code is None


@shows("feed.end-twice")
def _(api: Api, stage: Stage) -> None:
    told, code = heard(api)
    assert (told[-1] == told[-2] != told[-3], code) == (True, 1000)


# --- off the contract ---


@shows("patch.merge")
def _(api: Api, stage: Stage) -> None:
    answer = poll(api, "x").json()
    assert ("msg" in answer, answer["extra"]) == (False, 1)


@shows("patch.set")
def _(api: Api, stage: Stage) -> None:
    api.post("prompt", SAMPLE)
    answer = poll(api, world_task(api)["id"]).json()
    assert (answer["code"], answer["data"]["comfy_task_info"][0]["status"]) == (7, 99)
    assert api.http.post("/_mock/verify", json={"unexpected": False}).json()["holds"] is True


@shows("patch.remove")
def _(api: Api, stage: Stage) -> None:
    assert set(poll(api, "x").json()) == {"code", "msg"}


@shows("patch.null-lists")
def _(api: Api, stage: Stage) -> None:
    assert poll(api, "x").json()["data"]["comfy_task_info"] is None
