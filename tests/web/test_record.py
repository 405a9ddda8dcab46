"""What a world keeps of itself, and what can be asked of it: exports, verification, waiting, and their bounds."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.check import check
from mockserver import data
from mockserver.client import MockServer
from mockserver.errors import UserError
from mockserver.exchange import Exchange, Frame
from mockserver.provider import load
from mockserver.server import running
from mockserver.settings import Settings
from mockserver.storage.signing import SCHEMES
from mockserver.web.credentials import scheme_of
from mockserver.web.recorder import KEPT_BYTES, KEPT_FRAMES, Frames, Recorder, Secrets
from tests.web.api import API, KEY, Api
from tests.web.test_scenarios import wait_for

PROVIDERS = [*data.providers(data.schemas()).values(), *sorted((data.schemas() / "_stores").iterdir())]


def exchange(number: int, *, size: int = 0) -> Exchange:
    return Exchange(
        number, "genstudio", "prompt", 0.0, "POST", "here", "/prompt", "", (), b"x" * size, 200, (), b"{}"
    )  # fmt: skip


def ask(api: Api, **asked: Any) -> dict[str, Any]:
    answer = api.http.post("/_mock/verify", json=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


# --- exports ---


def test_traffic_is_exported_as_har_with_the_messages_of_its_feeds(api: Api) -> None:
    task = api.submit()
    with api.feed(task["prompt_token"]) as feed:
        feed.recv(timeout=10)
        feed.send("hello")
        api.clock(jump=500)
        for _ in feed:
            pass

    # A connection is recorded when both sides have closed it.
    api.http.post("/_mock/wait", json={"called": {"status": 101}, "limit": 60})
    har = api.http.get("/_mock/exchanges", params={"format": "har"}).json()["log"]
    submit, followed = har["entries"]

    assert (har["version"], har["creator"]["name"]) == ("1.2", "comfy-mockserver")
    assert submit["request"]["url"].endswith("/api/maas/comfy_task_api/prompt")
    assert json.loads(submit["request"]["postData"]["text"])["workflow_id"]
    assert submit["startedDateTime"] == "2026-09-21T14:13:20.000+00:00"
    assert {"status", "content", "headers", "redirectURL"} <= set(submit["response"])
    messages = followed["_webSocketMessages"]
    assert {one["type"] for one in messages} == {"send", "receive"}
    assert [one["data"] for one in messages if one["type"] == "send"] == ["hello"]
    assert {one["opcode"] for one in messages} == {1}
    assert KEY not in json.dumps(har)
    assert task["prompt_token"] not in json.dumps(har)


def test_a_har_has_the_addresses_by_which_the_client_came(tmp_path: Path) -> None:
    asked = []
    with (
        running(Settings(providers=("genstudio", "gpugeek"), port=0, rate=0)) as server,
        httpx.Client(headers={"Authorization": f"Bearer {KEY}"}) as http,
    ):
        world = http.post(f"{server.url}/_mock/worlds", json={"id": "mine"}).json()["urls"]["genstudio"].rstrip("/")
        tasks = f"{world}/api/maas/comfy_task_api"
        body = {"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": {}}
        answer = http.post(f"{tasks}/prompt", json=body)
        asked.append(str(answer.url))
        http.post(f"{server.url}/_mock/worlds/mine/clock", json={"jump": 500})
        answer = http.post(f"{tasks}/get_task_info", json={"comfy_task_ids": [answer.json()["data"]["prompt_id"]]})
        asked.append(str(answer.url))
        (link,) = answer.json()["data"]["comfy_task_info"][0]["final_files"]
        asked.append(str(httpx.get(link).url))
        har = http.get(f"{server.url}/_mock/worlds/mine/exchanges?format=har").json()

    told = [entry["request"]["url"] for entry in har["log"]["entries"]]
    assert told[:2] == asked[:2]
    assert told[2].partition("?")[0] == asked[2].partition("?")[0]
    (tmp_path / "it.har").write_text(json.dumps(har), "utf-8")
    judged = check([tmp_path / "it.har"])
    assert (judged.counts.exchanges, judged.counts.tasks) == (3, 1)
    assert not [finding for finding in judged.findings if finding.severity == "error"]


def test_an_export_tells_what_it_lacks_and_refuses_what_it_does_not_know(api: Api) -> None:
    assert api.http.get("/_mock/exchanges", params={"format": "csv"}).status_code == 400
    assert "x-mock-lost" not in api.http.get("/_mock/exchanges").headers


@pytest.mark.parametrize("folder", PROVIDERS, ids=lambda folder: folder.name)
def test_whatever_authenticates_is_redacted(folder: Path) -> None:
    provider = load(folder, name=folder.name)
    schemes = list(provider.security_schemes.values())
    places = {(one["in"], one["name"]) for one in schemes if one["type"] == "apiKey"}
    signed = [SCHEMES[scheme_of(one)] for one in schemes if "x-scheme" in one]
    headers = {"authorization", *(name.lower() for place, name in places if place == "header")}
    headers |= {name for one in signed for name in getattr(one, "required", ())}
    sent = exchange(1)._replace(
        query="&".join(f"{name}=hush" for place, name in places if place == "query"),
        request_headers=tuple((name, "hush") for name in headers),
    )

    shown = Secrets([provider.documents]).redacted(sent)

    assert "hush" not in repr(shown)


def test_links_in_answers_are_shown_without_what_opens_them(api: Api) -> None:
    task = api.submit()["prompt_id"]
    api.clock(jump=600)
    link = api.info(task)["final_files"][0]
    signature = link.partition("Signature=")[2]
    httpx.get(link)
    httpx.get(f"{api.url}{API}/prompt", params={"api_key": "sk-in-the-wrong-place"})

    told = api.http.get("/_mock/exchanges").text + api.http.get("/_mock/exchanges?format=har").text

    assert link.partition("?")[0].rpartition("/")[2] in told
    assert signature not in told
    assert "sk-in-the-wrong-place" not in told


# --- bounds ---


def test_exchanges_are_kept_up_to_so_many_bytes_and_what_is_gone_is_counted() -> None:
    recorder = Recorder(10_000)
    for _ in range(50):
        recorder.keep(exchange(recorder.next_number(), size=1000))

    kept = list(recorder.since(0))

    assert kept[-1].number == 50
    assert len(kept) == 4
    assert (recorder.lost(0), recorder.lost(40), recorder.lost(46)) == (46, 6, 0)


def test_frames_and_problems_are_bounded_by_bytes() -> None:
    frames, recorder = Frames(), Recorder()
    for _ in range(100):
        frames.add(Frame(0.0, True, b"x" * 100_000))
        recorder.problem(rule="x", text="y" * 100_000)

    assert sum(len(frame.data) for frame in frames) <= KEPT_FRAMES
    assert sum(len(problem["text"]) for problem in recorder.problems) <= 1024 * 1024
    assert recorder.problems.gone > 80


# --- verification ---


def test_calls_are_counted_by_operation_request_and_status(api: Api) -> None:
    api.submit()
    for id in ("a", "b"):
        api.infos(id)
    asks_for_a = {"properties": {"body": {"properties": {"comfy_task_ids": {"contains": {"const": "a"}}}}}}

    assert ask(api, called={"operation": "get_task_info"}, times=2) == {
        "holds": True,
        "text": '2 calls fit {"operation": "get_task_info"}; wanted 2',
        "found": [2, 3],
    }
    assert ask(api, called={"operation": "get_task_info", "request": asks_for_a}, times=1)["found"] == [2]
    assert ask(api, called={"status": 200}, times={"max": 2})["holds"] is False
    assert ask(api, called={"operation": ["prompt", "get_task_info"]}, since=1, times={"min": 2, "max": 2})["holds"]
    assert ask(api, called={"operation": "cancel"}, times=0)["holds"] is True


def test_calls_are_looked_for_in_order(api: Api) -> None:
    id = api.submit()["prompt_id"]
    api.infos(id)
    there, back = [{"operation": "prompt"}, {"operation": "get_task_info", "task": id}], [{"status": 404}]

    assert ask(api, order=there) == {"holds": True, "text": "the calls came in this order", "found": [1, 2]}
    assert ask(api, order=there[::-1])["text"] == 'no call fits {"operation": "prompt"} after exchange 2'
    assert ask(api, order=back)["holds"] is False


def test_near_misses_are_unexpected_and_refusals_in_good_form_are_not(api: Api) -> None:
    api.post("prompt", {"workflow_id": "wf-nowhere", "prompt": {}})
    refused = ask(api, unexpected=False)
    api.post("prompt", {"workflow_id": 5})
    missed = ask(api, unexpected=False)

    assert refused["holds"] is True
    assert missed["holds"] is False
    assert {one["rule"] for one in missed["found"]} == {"request-schema-required", "request-schema-type"}
    assert ask(api, unexpected=False, since=2)["holds"] is True


def test_a_task_reached_a_state(api: Api) -> None:
    id = api.submit()["prompt_id"]
    api.clock(jump=500)

    assert ask(api, task=id, state="succeeded")["holds"] is True
    assert ask(api, task=id, state="failed")["text"] == f"task {id} went through queued, running, succeeded"
    assert ask(api, task="nope", state="failed")["holds"] is False


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        pytest.param({}, "ask one of", id="nothing"),
        pytest.param({"called": {"operation": "get_task_inf"}}, "near: get_task_info", id="operation"),
        pytest.param({"called": {"provider": "x"}}, "/called/provider", id="provider"),
        pytest.param({"called": {"request": {"type": "x"}}}, "no JSON Schema", id="schema"),
        pytest.param({"called": {}, "times": -1}, "/times", id="times"),
        pytest.param({"order": [{"colour": 1}]}, "/order/0", id="word"),
        pytest.param({"task": "x", "state": "don"}, "known: ", id="state"),
        pytest.param({"task": "x"}, "state", id="no state"),
        pytest.param({"called": {}, "unexpected": False}, "ask one of", id="two things"),
    ],
)
def test_a_question_that_is_not_understood_is_refused(api: Api, asked: Any, told: str) -> None:
    refused = api.http.post("/_mock/verify", json=asked)

    assert refused.status_code == 400
    assert told in refused.json()["error"]


def test_a_question_about_what_is_gone_fails_loudly(api: Api) -> None:
    # Bodies are kept up to 256 KB each: so many fill the record.
    for _ in range(KEPT_BYTES // (256 * 1024) + 2):
        api.post("prompt", content=b"x" * 256 * 1024)

    refused = api.http.post("/_mock/verify", json={"called": {}, "times": 1})

    assert refused.status_code == 410
    assert "no longer holds" in refused.json()["error"]
    lost = int(api.http.get("/_mock/exchanges", params={"since": 0}).headers["x-mock-lost"])
    assert api.http.post("/_mock/verify", json={"called": {}, "since": lost}).status_code == 200


# --- waiting ---


def test_a_wait_ends_when_the_call_has_come(api: Api) -> None:
    with ThreadPoolExecutor(1) as threads:
        question = {"called": {"operation": "prompt"}, "limit": 60}
        waiting = threads.submit(lambda: api.other(KEY).http.post("/_mock/wait", json=question).json())
        wait_for(lambda: api.mock("held")["held"])
        assert not waiting.done()
        api.submit()

        assert waiting.result(5)["holds"] is True


def test_a_wait_for_a_state_ends_with_the_clock_or_at_its_limit(api: Api) -> None:
    id = api.submit()["prompt_id"]

    def wait(state: str) -> Any:
        question = {"task": id, "state": state, "limit": 100}
        return api.other(KEY).http.post("/_mock/wait", json=question).json()["holds"]

    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(wait, state) for state in ("succeeded", "failed")]
        wait_for(lambda: len(api.mock("held")["held"]) == 2)
        api.clock(jump=100)

        assert [one.result(5) for one in waiting] == [True, False]


def test_the_journal_is_asked_for_a_task_or_a_name(api: Api) -> None:
    first, second = (api.submit()["prompt_id"] for _ in range(2))
    api.clock(jump=500)

    of_first = api.http.get("/_mock/journal", params={"task": first}).text.splitlines()
    ends = api.http.get("/_mock/journal", params={"name": "task.succeeded"}).text.splitlines()

    assert {json.loads(line)["task"] for line in of_first} == {first}
    assert [json.loads(line)["task"] for line in ends] == [first, second]


# --- by the handle ---


def test_the_handle_asks_and_waits() -> None:
    with MockServer("genstudio") as server, ThreadPoolExecutor(1) as threads:
        api = Api(server.url)
        waiting = threads.submit(server.wait, called={"operation": "prompt"}, limit=60)
        wait_for(lambda: api.mock("held")["held"])
        api.submit()

        assert waiting.result(5) == [1]
        assert server.verify(called={"operation": "prompt"}, times=1) == [1]
        with pytest.raises(AssertionError, match=r"1 calls fit .*; wanted 2"):
            server.verify(called={"operation": "prompt"}, times=2)
        with pytest.raises(UserError, match="near: prompt"):
            server.verify(called={"operation": "promt"})
        api.close()
