"""What scenarios do, as clients meet it: over real sockets, on a clock turned by hand."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mockserver import data
from tests.web.api import API, KEY, Api, Serve, opened


def put(api: Api, *rules: str, name: str = "mine") -> dict[str, Any]:
    text = "rules: [" + ", ".join(f"{{{rule}}}" for rule in rules) + "]"
    answer = api.http.put(f"/_mock/scenarios/{name}", content=text)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def poll(api: Api, *ids: str, **headers: str) -> httpx.Response:
    return api.post("get_task_info", {"comfy_task_ids": list(ids)}, headers=headers)


def frames(api: Api, token: str, *, seconds: float = 200, more: float = 0.3) -> tuple[list[Any], int | None]:
    """Follow a task while so much time passes; return its frames and the code it was closed with."""
    heard: list[Any] = []
    with api.feed(token) as feed:
        heard.append(feed.recv(timeout=10))
        api.clock(jump=seconds)
        try:
            while True:
                try:
                    heard.append(feed.recv(timeout=more))
                except TimeoutError:
                    # A server that had not come to it yet, on a busy machine, has by the time it answers this.
                    with suppress(ConnectionClosed):
                        feed.ping().wait(10)
                    heard.append(feed.recv(timeout=more))
        except TimeoutError:
            return heard, None
        except ConnectionClosed as closed:
            return heard, closed.rcvd.code if closed.rcvd is not None else 1006


# --- answers ---


def test_an_error_of_the_catalogue_comes_in_the_providers_form(api: Api) -> None:
    put(api, "id: poor, when: {operation: prompt}, times: 1, answer: {error: balance-empty}")
    body = {"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": {}}

    first, second = api.post("prompt", body), api.post("prompt", body)

    assert (first.status_code, first.json()["code"], second.json()["code"]) == (402, 10006, 0)
    assert api.mock("scenarios")["in_force"]["mine"] == {"poor": {"matched": 2, "acted": 1}}


def test_a_window_that_was_over_before_the_world_began_changes_nothing(api: Api) -> None:
    put(api, 'when: {window: {to: "2020-01-01T00:00:00Z"}}, queue: {ready: false}')

    task = api.submit()["prompt_id"]
    api.clock(jump=600)

    assert api.info(task)["status"] == 3


def test_a_gateway_answers_in_html(api: Api) -> None:
    put(api, "when: {verb: list}, answer: {status: 502}")

    answer = poll(api, "x")

    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")
    assert "502 Bad Gateway" in answer.text


def test_a_limit_tells_how_long_to_wait_by_the_worlds_clock(api: Api) -> None:
    put(api, "answer: {limit: {window: {calls: 2, seconds: 30}}}")

    answers = [poll(api, "x") for _ in range(3)]
    api.clock(jump=float(answers[2].headers["retry-after"]))

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "30"
    assert poll(api, "x").status_code == 200


def test_a_revoked_key_is_refused(api: Api) -> None:
    put(api, "when: {after: 1}, answer: {credentials: revoked}")

    assert [poll(api, "x").status_code for _ in range(3)] == [200, 401, 401]


def test_an_answer_is_patched_by_what_it_shows(api: Api) -> None:
    id = api.submit()["prompt_id"]
    put(api, "patch: {set: {task.state: 99, /extra: 1}, null-lists: true}")

    answer = poll(api, id).json()

    assert (answer["data"]["comfy_task_info"][0]["status"], answer["extra"]) == (99, 1)
    assert not [problem for problem in api.mock("problems")["problems"] if problem["rule"] == "answer-schema"]


def test_a_poll_lags_behind(api: Api) -> None:
    id = api.submit()["prompt_id"]
    put(api, "when: {verb: list}, answer: {stale: 100000}")
    api.clock(jump=500)

    lagging = api.info(id)["status"]
    api.http.delete("/_mock/scenarios/mine")

    assert (lagging, api.info(id)["status"]) == (2, 3)


def test_the_record_names_the_rules_behind_an_answer(api: Api) -> None:
    put(api, "id: broken, answer: {status: 502}")
    poll(api, "x")

    (line,) = api.http.get("/_mock/exchanges").text.splitlines()
    assert json.loads(line)["rules"] == ["broken"]


# --- tasks and files ---


def test_a_task_runs_out_of_memory_and_the_journal_says_why(api: Api) -> None:
    put(api, "id: full, task: {outcome: out-of-memory, at: 50}")
    id = api.submit()["prompt_id"]
    api.clock(jump=500)

    info = api.info(id)

    assert info["status"] == 4
    assert "torch.OutOfMemoryError" in json.dumps(info)
    journal = [json.loads(line) for line in api.http.get("/_mock/journal").text.splitlines()]
    assert [entry["cause"] for entry in journal if entry["name"] == "task.failed"] == ["full"]


def links(api: Api, id: str) -> list[str]:
    files: dict[str, list[str]] = api.info(id)["files"]
    return [link for group in files.values() for link in group]


@pytest.mark.parametrize(
    ("results", "status"),
    [pytest.param("missing", 404, id="missing"), pytest.param("expired", 403, id="expired")],
)
def test_results_cannot_be_had(api: Api, results: str, status: int) -> None:
    put(api, f"task: {{results: {results}}}")
    id = api.submit()["prompt_id"]
    api.clock(jump=500)

    assert api.http.get(links(api, id)[0]).status_code == status


def test_results_do_not_decode(api: Api) -> None:
    put(api, "task: {results: corrupt}")
    id = api.submit()["prompt_id"]
    api.clock(jump=500)

    content = api.http.get(links(api, id)[0]).content

    with pytest.raises((OSError, SyntaxError)):
        opened(content).load()


def test_results_have_half_the_size(api: Api) -> None:
    put(api, "times: 1, task: {results: wrong-size}")
    ids = [api.submit()["prompt_id"] for _ in range(2)]
    api.clock(jump=500)

    half, whole = (opened(api.http.get(links(api, id)[0]).content).size for id in ids)

    assert (half[0] * 2, half[1] * 2) == whole


def test_success_without_files(api: Api) -> None:
    put(api, "task: {results: none}")
    id = api.submit()["prompt_id"]
    api.clock(jump=500)

    assert (api.info(id)["status"], links(api, id)) == (3, [])


# --- the wire ---


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        pytest.param("empty: true", httpx.RemoteProtocolError, id="empty"),
        pytest.param("refuse: true", httpx.RemoteProtocolError, id="refuse"),
        pytest.param("reset: true", httpx.ReadError, id="reset"),
        pytest.param("truncate: 0.5", httpx.RemoteProtocolError, id="truncate"),
        pytest.param("wrong-length: 7", httpx.RemoteProtocolError, id="more promised"),
    ],
)
def test_connections_break(api: Api, wire: str, error: type[Exception]) -> None:
    put(api, f"times: 1, wire: {{{wire}}}")

    with pytest.raises(error):
        poll(api, "x")
    assert poll(api, "x").status_code == 200


def test_an_answer_is_lost_but_not_its_effect_and_a_refused_call_has_none(api: Api) -> None:
    body = {"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": {}}
    for wire, tasks in (("refuse", 0), ("empty", 1)):
        put(api, f"wire: {{{wire}: true}}")
        with pytest.raises(httpx.TransportError):
            api.post("prompt", body)

        assert len(api.mock("tasks")["tasks"]) == tasks


def test_less_is_promised_than_sent(api: Api) -> None:
    put(api, "times: 1, wire: {wrong-length: -3}")

    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        poll(api, "x").json()


def test_bodies_are_spoilt(api: Api) -> None:
    put(api, "wire: {duplicate-keys: true, large: 50000, content-type: text/plain}")
    spoilt = poll(api, "x")
    put(api, "wire: {malformed: true}")
    malformed = poll(api, "x")

    assert (len(spoilt.content), spoilt.headers["content-type"], spoilt.json()["code"]) == (50000, "text/plain", None)
    with pytest.raises(ValueError, match="Expecting"):
        malformed.json()


def test_a_held_answer_waits_for_the_clock_and_is_listed(api: Api) -> None:
    put(api, "when: {verb: list}, wire: {delay: 30}")

    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(poll, api.other(KEY), "x")
        held = wait_for(lambda: api.mock("held")["held"])
        assert held[0]["until"] == api.mock("clock")["now"] + 30
        assert not answer.done()
        api.clock(jump=30)

        assert answer.result(5).status_code == 200
    assert api.mock("held")["held"] == []


def test_a_body_comes_in_drops(api: Api) -> None:
    put(api, "wire: {dribble: {bytes: 10, every: 1}}")

    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(poll, api.other(KEY), "x")
        while not answer.done():
            wait_for(lambda: api.mock("held")["held"] or answer.done())
            api.clock(jump=1)

        assert answer.result(5).json()["code"] == 0


def wait_for(look: Any) -> Any:
    """Look again and again, for a real second or two, until there is something."""
    end = time.monotonic() + 5
    while not (found := look()):
        assert time.monotonic() < end, "nothing came"
        threading.Event().wait(0.005)
    return found


# --- feeds ---


def test_a_feed_is_refused(api: Api) -> None:
    put(api, "feed: {refuse: 503}")
    token = api.submit()["prompt_token"]

    with pytest.raises(InvalidStatus) as refused:
        api.feed(token)
    assert refused.value.response.status_code == 503


def test_a_feed_is_closed_after_some_messages(api: Api) -> None:
    put(api, "feed: {close: {code: 1012, after: 3}}")

    heard, code = frames(api, api.submit()["prompt_token"])

    assert (len(heard), code) == (3, 1012)


def test_a_feed_drops_without_a_word(api: Api) -> None:
    put(api, "feed: {close: {code: 1006, after: 3}}")

    heard, code = frames(api, api.submit()["prompt_token"])

    assert (len(heard), code) == (3, 1006)


def test_a_feed_tells_the_end_twice_and_stays_open(api: Api) -> None:
    put(api, "feed: {end-twice: true, no-close: true}")

    heard, code = frames(api, api.submit()["prompt_token"])

    assert (heard[-1] == heard[-2], heard[-2] != heard[-3], code) == (True, True, None)


def test_a_feed_sends_strange_things(api: Api) -> None:
    put(api, "feed: {unknown-type: 1, garble: {nth: 3}}", "when: {channel: progress}, patch: {set: {/new: 1}}")

    heard, code = frames(api, api.submit()["prompt_token"])

    assert json.loads(heard[1])["type"] == "mock.unknown"
    assert json.loads(heard[2])["new"] == 1
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(heard[3])
    assert code == 1000


def test_a_feed_comes_late(api: Api) -> None:
    put(api, "feed: {delay: 1000}")
    token = api.submit()["prompt_token"]

    with api.feed(token) as feed:
        api.clock(jump=999)
        with pytest.raises(TimeoutError):
            feed.recv(timeout=0.2)
        api.clock(jump=1)
        assert json.loads(feed.recv(timeout=10))


# --- how scenarios come into force ---


def test_a_header_holds_for_its_request_and_the_task_it_submits(api: Api) -> None:
    body = {"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": {}}
    failing = api.post("prompt", body, headers={"X-Mock-Fail": "out-of-memory"}).json()["data"]
    silent = api.post("prompt", body, headers={"X-Mock-Scenario": "feed-silent"}).json()["data"]
    well = api.post("prompt", body).json()["data"]
    refused = api.post("prompt", body, headers={"X-Mock-Fail": "balance-empty"})
    assert refused.status_code == 402

    with api.feed(silent["prompt_token"]) as feed:
        api.clock(jump=500)
        with pytest.raises(TimeoutError):
            feed.recv(timeout=0.2)

    states = [api.info(task["prompt_id"])["status"] for task in (failing, silent, well)]
    assert states == [4, 3, 3]


def test_a_header_that_names_nothing_is_told_so(api: Api) -> None:
    answer = poll(api, "x", **{"X-Mock-Scenario": "feed-silnt"})

    assert answer.status_code == 400
    assert "near: feed-silent" in answer.json()["error"]
    assert poll(api, "x", **{"X-Mock-Scenario": "../../../../etc/passwd.yaml"}).status_code == 400


def test_the_short_form_fails_the_next_call_only(api: Api) -> None:
    api.http.post("/_mock/fail", json={"error": "too-many-calls"})

    assert [poll(api, "x").status_code for _ in range(2)] == [429, 200]


def test_a_bad_scenario_is_refused_and_the_old_one_stays_in_force(api: Api) -> None:
    put(api, "answer: {status: 502}")

    refused = api.http.put("/_mock/scenarios/mine", content="rules: [{answer: {error: balance-emty}}]")

    assert refused.status_code == 400
    assert refused.json()["error"].startswith("scenario 'mine' at /rules/0/answer/error: 'balance-emty' is no refusal")
    assert poll(api, "x").status_code == 502


def test_a_scenario_of_the_library_is_put_by_its_name_and_dropped_again(api: Api) -> None:
    assert api.http.put("/_mock/scenarios/gateway-502-then-ok").status_code == 200
    assert [poll(api, "x").status_code for _ in range(3)] == [502, 502, 200]

    dropped = api.http.delete("/_mock/scenarios/gateway-502-then-ok").json()

    assert dropped["gateway-502-then-ok"]["bad-gateway"]["acted"] == 2
    assert api.http.delete("/_mock/scenarios/gateway-502-then-ok").status_code == 400
    assert len(api.mock("scenarios")["library"]) >= 20


def test_a_server_starts_with_scenarios_and_their_setting(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "night.yaml"
    file.write_text("setting: {seed: 9, slots: 1}\nrules: [{task: {lasts: 7}}]")
    api = serve(scenarios=(str(file),), fails=("unknown-workflow",))

    refused = api.post("prompt", {"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": {}})

    assert refused.json()["code"] == 10002
    assert list(api.mock("scenarios")["in_force"]) == ["night", "fail:unknown-workflow"]
    api.http.delete("/_mock/scenarios/fail:unknown-workflow")
    tasks = [api.submit()["prompt_id"] for _ in range(2)]
    api.clock(jump=7)
    assert [api.info(id)["status"] for id in tasks] == [3, 2]


def test_a_scenario_brings_its_workflows_and_accounts(serve: Serve, tmp_path: Path) -> None:
    graph = json.loads((data.fixtures() / "workflows" / "wf-c73diz7kadp6ffgn.json").read_bytes())
    file = tmp_path / "mine.json"
    setting = {"workflows": {"wf-mine": graph}, "accounts": [{"key": "sk-mine"}], "rate": 0}
    file.write_text(json.dumps({"setting": setting}))
    api = serve(scenarios=(str(file),), key="sk-mine")

    assert api.post("prompt", {"workflow_id": "wf-mine", "prompt": {}}).json()["code"] == 0
    assert api.other("sk-other").post("prompt", {}).status_code == 401


def test_resetting_a_world_counts_its_scenarios_anew(api: Api) -> None:
    put(api, "times: 1, answer: {status: 502}")
    first = [poll(api, "x").status_code for _ in range(2)]

    api.http.post("/_mock/reset")

    assert first == [poll(api, "x").status_code for _ in range(2)] == [502, 200]


# --- the clock, and worlds ---


def test_the_clock_goes_on_until_a_task_is_as_wanted(api: Api) -> None:
    id = api.submit()["prompt_id"]

    clock = api.clock(until={"task": id, "state": "running", "percent": 45}, limit=600)

    assert clock["reached"] is True
    assert 45 <= api.info(id)["progress_num"] < 70
    assert api.clock(until={"task": id, "state": "failed"}, limit=600)["reached"] is False
    assert api.http.post("/_mock/clock", json={"until": {"task": "nope"}}).status_code == 400


def open_world(api: Api, **settings: Any) -> tuple[str, Api]:
    answer = api.http.post("/_mock/worlds", json=settings)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], Api(answer.json()["urls"]["genstudio"])


def test_worlds_do_not_meet(api: Api) -> None:
    id, other = open_world(api, seed=5, slots=1, scenario="queue-never-moves")
    stuck, well = other.submit()["prompt_id"], api.submit()["prompt_id"]

    api.clock(jump=500)
    api.http.post(f"/_mock/worlds/{id}/clock", json={"jump": 500})

    assert (other.info(stuck)["status"], api.info(well)["status"]) == (1, 3)
    assert api.infos(stuck) == []
    assert api.mock(f"worlds/{id}/scenarios")["in_force"]["queue-never-moves"]["stuck-in-queue"]["acted"] == 1
    other.close()


def test_files_of_a_world_are_had_by_its_own_links(api: Api) -> None:
    id, other = open_world(api)
    task = other.submit()["prompt_id"]
    api.http.post(f"/_mock/worlds/{id}/clock", json={"jump": 500})

    link = links(other, task)[0]

    assert f"/_mock/w/{id}/" in link
    assert isinstance(opened(other.http.get(link).content), Image.Image)
    other.close()


def test_the_same_seed_and_calls_repeat_a_run_byte_for_byte(api: Api) -> None:
    def play() -> str:
        id, world = open_world(api, seed=3, scenario="worker-crash-rate")
        for _ in range(12):
            world.submit()
            api.http.post(f"/_mock/worlds/{id}/clock", json={"jump": 20})
        world.close()
        return api.http.get(f"/_mock/worlds/{id}/journal").text

    assert play() == play()


def test_the_path_of_calls_is_unchanged_by_scenarios_that_say_nothing(api: Api) -> None:
    put(api)

    assert api.http.post(f"{API}/get_task_info", content=b"{").json()["code"] == 10001
