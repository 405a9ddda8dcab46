"""The dashboard's addresses, asked without a browser."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from mockserver.provider.vocabulary import CONDITIONS, KIND_CONDITIONS
from mockserver.server import Running, running
from mockserver.settings import Settings
from mockserver.web.dashboard.routes import STATIC

KEY = {"Authorization": "Bearer sk-axbx5xcx9xAxbZyx"}


@pytest.fixture
def http(emulator: Running) -> Any:
    with httpx.Client(base_url=emulator.url, timeout=10) as client:
        yield client


def submit(http: Any, number: int = 0) -> str:
    (first, *_) = http.get("/_mock/overview").json()["providers"][0]["requests"]
    answer = http.request(first["method"], first["url"], headers=first["headers"], json=first["body"]).json()
    id: str = answer["data"]["prompt_id"]
    return id


def feed(emulator: Running) -> Any:
    return connect(f"{emulator.url.replace('http', 'ws', 1)}/_mock/feed")


def heard(socket: Any, name: str) -> Any:
    """Return the next message that has *name*."""
    return next(message for message in (json.loads(socket.recv(timeout=10)) for _ in range(100)) if name in message)


def test_the_page_allows_nothing_from_elsewhere(http: Any) -> None:
    answer = http.get("/_mock/")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy.replace("https:", "")
    assert "http" not in answer.text.replace("http-equiv", "")


@pytest.mark.parametrize("name", ["../routes.py", "%2e%2e%2froutes.py", "nothing.js", "..%5croutes.py"])
def test_only_its_own_files_are_served(http: Any, name: str) -> None:
    assert http.get(f"/_mock/ui/{name}").status_code in (400, 404)


def test_an_error_on_demand_tells_the_same_cause_as_its_scenario(http: Any) -> None:
    http.post("/_mock/fail", json={"error": "out-of-memory"})
    task = submit(http)
    http.post("/_mock/clock", json={"jump": 600})

    told = http.get(f"/_mock/tasks/genstudio/{task}").json()

    assert "torch.OutOfMemoryError" in told["failure"]["message"]


def test_every_condition_is_said_in_words() -> None:
    words = (STATIC / "words.js").read_text("utf-8")

    said = set(re.findall(r"^  '?([\w-]+)'?: ", words, re.M))

    general = {condition for condition in CONDITIONS if any(condition.endswith(f"-{one}") for one in KIND_CONDITIONS)}
    assert set(CONDITIONS) - general - said == set()
    assert set(KIND_CONDITIONS) - said == set()


def test_the_documents_name_this_server(http: Any, emulator: Running) -> None:
    openapi = http.get("/_mock/genstudio/openapi.json").json()
    asyncapi = http.get("/_mock/genstudio/asyncapi.json").json()

    assert [server["url"] for server in openapi["servers"]] == [f"{emulator.url}/genstudio"]
    assert asyncapi["servers"]["emulator"]["host"] == emulator.url.removeprefix("http://")
    assert http.get("/_mock/nobody/openapi.json").status_code == 400


def test_the_feed_tells_a_task_from_its_submit_to_its_end(http: Any, emulator: Running) -> None:
    with feed(emulator) as socket:
        heard(socket, "begin")
        task = submit(http)
        first = heard(socket, "tasks")["tasks"][0]
        http.post("/_mock/clock", json={"jump": 600})
        last = heard(socket, "tasks")["tasks"][-1]

    assert (first[1], first[4]) == (task, "running")
    assert (last[1], last[4], last[8]) == (task, "done", 1.0)


def test_the_feed_begins_again_with_its_world(http: Any, emulator: Running) -> None:
    submit(http)
    with feed(emulator) as socket:
        before = heard(socket, "begin")
        http.post("/_mock/reset")
        after = heard(socket, "begin")

    assert len(before["tasks"]) == 1
    assert "tasks" not in after


def test_the_feed_keeps_pages_of_other_sites_out(emulator: Running) -> None:
    url = f"{emulator.url.replace('http', 'ws', 1)}/_mock/feed"

    with pytest.raises(InvalidStatus) as refused, connect(url, origin=Origin("https://evil.example")):
        pass

    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("provider", ["aliyun", "esd", "genstudio", "gpugeek"])
def test_nothing_shown_holds_a_key(provider: str) -> None:
    with (
        running(Settings(providers=(provider,), port=0, rate=0)) as served,
        httpx.Client(base_url=served.url, timeout=10) as client,
    ):
        first = client.get("/_mock/overview").json()["providers"][0]["requests"][0]
        key = next(iter(first["headers"].values())).removeprefix("Bearer ")
        client.request(first["method"], first["url"], headers=first["headers"], json=first["body"])
        with feed(served) as socket:
            told = heard(socket, "tasks")
        task = told["tasks"][0][1]
        shown = client.get(f"/_mock/tasks/{provider}/{task}").text + client.get("/_mock/exchanges/1").text

    assert key not in json.dumps(told) + shown


def test_a_task_is_told_wholly(http: Any) -> None:
    task = submit(http)
    http.post("/_mock/clock", json={"jump": 600})

    told = http.get(f"/_mock/tasks/genstudio/{task}").json()
    picture = http.get(f"/_mock/files/genstudio/0/{task}")

    assert told["phase"] == "done"
    assert [event["name"] for event in told["events"]][:2] == ["task.queued", "task.running"]
    assert told["files"][0]["media"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    assert "sandbox" in picture.headers["content-security-policy"]


def test_every_first_request_is_accepted_as_it_stands() -> None:
    with running(Settings(port=0, rate=0)) as served, httpx.Client(timeout=10) as client:
        providers = client.get(f"{served.url}/_mock/overview").json()["providers"]
        answers = {
            f"{provider['name']} {one['title']}": client.request(
                one["method"], one["url"], headers=one["headers"], json=one["body"]
            ).status_code
            for provider in providers
            for one in provider["requests"]
        }

    assert len(answers) >= len(providers)
    assert {status // 100 for status in answers.values()} == {2}, answers


def test_configured_keys_are_not_given_away() -> None:
    settings = Settings(providers=("genstudio",), port=0, rate=0, api_keys=("sk-very-secret",))
    with running(settings) as served, httpx.Client(timeout=10) as client:
        text = client.get(f"{served.url}/_mock/overview").text

    assert "sk-very-secret" not in text
    assert "$API_KEY" in text
