"""The control API at /_mock/."""

from __future__ import annotations

import json

import pytest

from tests.web.api import Api, Serve


def test_the_clock_jumps_changes_its_rate_and_goes_to_the_next_event(api: Api) -> None:
    task = api.submit()["prompt_id"]

    assert api.clock(jump=1.5)["now"] == 1_790_000_001.5
    assert api.clock(rate=0)["rate"] == 0
    clock = api.clock(next=True)

    assert clock["next"] is None
    assert api.info(task)["status"] == 3


@pytest.mark.parametrize(
    "body", [{}, {"jump": -1}, {"jump": "x"}, {"rate": -2}, {"bogus": 1}, {"jump": 1, "rate": 0}, []]
)
def test_a_wrong_turn_of_the_clock_is_refused_with_what_would_be_right(api: Api, body: object) -> None:
    answer = api.http.post("/_mock/clock", json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]


def test_reset_begins_again(api: Api) -> None:
    first = api.submit()["prompt_id"]
    api.clock(jump=50)

    api.http.post("/_mock/reset")

    assert api.mock("tasks") == {"tasks": []}
    assert api.mock("clock")["now"] == 1_790_000_000
    assert api.submit()["prompt_id"] == first


def test_the_journal_tells_what_happened_in_order_since_a_number(api: Api) -> None:
    task = api.submit()["prompt_id"]
    api.clock(jump=300)

    lines = [json.loads(line) for line in api.http.get("/_mock/journal").text.splitlines()]
    rest = api.http.get("/_mock/journal", params={"since": lines[1]["n"]}).text.splitlines()

    assert [line["name"] for line in lines] == ["submit", "task.queued", "task.running", "task.succeeded"]
    assert {line["task"] for line in lines} == {task}
    assert [json.loads(line) for line in rest] == lines[2:]


def test_exchanges_are_kept_without_credentials(api: Api) -> None:
    token = api.submit()["prompt_token"]
    with api.feed(token) as feed:
        feed.recv(timeout=10)

    text = api.http.get("/_mock/exchanges").text

    assert "sk-axbx5xcx9xAxbZyx" not in text
    assert token not in text
    assert json.loads(text.splitlines()[0])["operation"] == "prompt"


def test_near_misses_are_listed_with_every_violation_at_once(api: Api) -> None:
    api.post("prompt", {"workflow_id": 5})

    problems = api.mock("problems")["problems"]

    assert {(problem["rule"], problem["at"]) for problem in problems} == {
        ("request-schema-required", "/body/prompt"),
        ("request-schema-type", "/body/workflow_id"),
    }


def test_an_override_of_what_is_not_there_is_listed(api: Api) -> None:
    api.submit(n99={"x": 1}, n3={"steps": 0})

    rules = {problem["rule"] for problem in api.mock("problems")["problems"]}

    assert {"workflow-value-smaller-than-min"} <= rules
    assert any("unknown" in rule for rule in rules)


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
    ids=["foreign host", "foreign origin", "cross-site"],
)
def test_pages_of_other_sites_and_foreign_names_are_kept_out(api: Api, headers: dict[str, str]) -> None:
    assert api.http.get("/_mock/tasks", headers=headers).status_code == 403


def test_a_name_can_be_allowed(serve: Serve) -> None:
    api = serve(allow_hosts=("mock.internal",))

    assert api.http.get("/_mock/ready", headers={"Host": "mock.internal"}).json()["ready"] is True


def test_the_control_api_describes_itself(api: Api) -> None:
    described = api.mock("openapi.json")

    assert described["openapi"] == "3.1.0"
    assert set(described["paths"]["/_mock/clock"]) == {"get", "post"}


def test_the_range_of_a_workflows_parameters_is_told(api: Api) -> None:
    steps = api.mock("workflows/wf-c73diz7kadp6ffgn")["3"]["inputs"]["steps"]

    assert {name: steps["spec"][name] for name in ("default", "min", "max")} == {"default": 20, "min": 1, "max": 10000}


def test_an_unknown_control_path_says_which_there_are(api: Api) -> None:
    answer = api.http.get("/_mock/nonsense")

    assert answer.status_code == 404
    assert "/_mock/clock" in answer.json()["error"]
