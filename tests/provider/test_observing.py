"""Observing: recorded answers and messages say again what they were drawn from."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver import data
from mockserver.provider import Provider, check
from mockserver.provider.documents import Documents
from mockserver.provider.model import NOTHING
from mockserver.provider.observing import Observation, Observer
from mockserver.provider.sample import sample_scopes
from tests.provider.language import JSON_VALUES

ALL = check(data.schemas() / "genstudio")
OBSERVERS = [Observer(provider) for provider in ALL]
STATES = list(ALL[0].machine.kinds["task"].states)


def told(seen: Observation, *names: str) -> list[Any]:
    """Task, possible states, and the values asked for."""
    return [seen.task, set(seen.states), *(seen.values.get(name) for name in names)]


def info(**more: Any) -> dict[str, Any]:
    entry = {
        "comfy_task_id": "cft-1", "status": 2, "queue_size": 0, "current_position": 0, "errMsg": "", "files": {},
        "final_files": [], "progress_num": 40,
    }  # fmt: skip
    return {**entry, **more}


def answer(*entries: Any) -> dict[str, Any]:
    return {"code": 0, "msg": "Success", "data": {"comfy_task_info": list(entries)}}


def polled(body: Any) -> list[Observation]:
    observe = OBSERVERS[0].answer("get_task_info", 200)
    assert observe is not None
    return observe(body)


def test_each_entry_of_a_list_is_one_observation() -> None:
    first, second = polled(answer(info(), info(comfy_task_id="cft-2", status=1, current_position=3, progress_num=0)))

    assert told(first, "task.progress") == ["cft-1", {"running"}, 0.4]
    assert told(second, "task.position") == ["cft-2", {"queued"}, 3]


def test_a_status_that_several_states_share_leaves_all_of_them_possible() -> None:
    (seen,) = polled(answer(info(status=4, errMsg="out of memory")))

    assert seen.states == {"failed", "cancelled"}
    assert seen.values["failure.message"] == "out of memory"


def test_a_default_says_nothing() -> None:
    (seen,) = polled(answer(info()))

    assert "failure.message" not in seen.values


def test_links_are_collected_in_order() -> None:
    (seen,) = polled(answer(info(status=3, files={"9": ["http://a", "http://b"], "12": []}, final_files=["http://c"])))

    assert set(seen.links) == {"http://a", "http://b", "http://c"}
    assert seen.values["node.id"] == ["9", "12"]


def test_a_status_beyond_the_map_leaves_no_state_possible() -> None:
    (seen,) = polled(answer(info(status=7)))

    assert seen.states == frozenset()


def test_a_token_inside_an_answer_is_opened() -> None:
    token = jwt.encode({"task_id": "cft-1", "tenant_id": "te-1", "iss": "infini", "exp": 1_800_000_000}, "k" * 32)
    observe = OBSERVERS[0].answer("prompt", 200)

    assert observe is not None
    (seen,) = observe({"code": 0, "msg": "Success", "data": {"prompt_id": "cft-1", "prompt_token": token}})
    assert seen.task == "cft-1"
    assert seen.values["after.token"] == 1_800_000_000
    assert seen.values["account.id"] == "te-1"


def test_a_refusal_says_nothing_of_tasks() -> None:
    assert polled({"code": 10001, "msg": "Invalid Field", "data": None}) == []


def test_a_push_message_says_what_a_poll_says() -> None:
    observe = OBSERVERS[0].message("progress", "snapshot")

    assert observe is not None
    assert observe({"comfy_task_info": info()}) == polled(answer(info()))


def test_what_is_not_documented_is_not_read() -> None:
    assert OBSERVERS[0].answer("get_task_info", 204) is None
    assert OBSERVERS[0].answer("nobody", 200) is None
    assert OBSERVERS[0].message("progress", "nothing") is None


def test_where_several_branches_fit_only_what_all_say_is_certain() -> None:
    schema = {
        "anyOf": [
            {"x-when": ["running"], "properties": {"id": {"type": "string", "x-value": "task.id"}, "n": {"const": 1}}},
            {"x-when": ["queued"], "properties": {"id": {"type": "string", "x-value": "task.id"},
                                                  "n": {"type": "integer", "x-value": "task.position"}}},
        ]
    }  # fmt: skip
    documents = Documents(
        {**ALL[0].documents, "openapi.json": {"components": {"schemas": {"Either": schema}}}},
    )
    observe = Observer(ALL[0], documents).schema(documents["openapi.json"]["components"]["schemas"]["Either"])

    (both,) = observe({"id": "a", "n": 1})
    (one,) = observe({"id": "a", "n": 2})

    assert told(both, "task.position") == ["a", {"running", "queued"}, None]
    assert told(one, "task.position") == ["a", {"queued"}, 2]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("index", range(len(ALL)), ids=lambda index: ",".join(differing(ALL[index])) or "default")
def test_what_is_drawn_of_a_task_is_read_back_with_every_reading(index: int, state: str) -> None:
    provider = ALL[index]
    operation = next(one for one in provider.operations if one.id == "get_task_info")
    scope = next(iter(sample_scopes(provider, operation.verb, state)))
    response, observe = operation.responses[0], OBSERVERS[index].answer("get_task_info", 200)
    assert response.draw is not None
    assert observe is not None
    drawn = response.draw(scope)

    (seen,) = observe(json.loads(response.encode(drawn)))

    assert drawn is not NOTHING
    assert seen.task == scope.task.id
    assert state in seen.states


def differing(provider: Provider) -> list[str]:
    return [f"{n}={r}" for n, r in provider.readings.items() if r != provider.variants[n].default]


@settings(max_examples=100)
@given(
    body=JSON_VALUES | st.builds(answer, JSON_VALUES) | st.builds(lambda value: answer(info(files=value)), JSON_VALUES)
)
def test_no_body_is_too_strange_to_be_read(body: Any) -> None:
    assert isinstance(polled(body), list)


def test_the_answers_the_page_prints_are_read() -> None:
    documents = json.loads((data.schemas() / "genstudio" / "openapi.json").read_text("utf-8"))
    examples = documents["paths"]["/api/maas/comfy_task_api/get_task_info"]["post"]["responses"]["200"]["content"]
    body = examples["application/json"]["examples"]["text-to-image"]["value"]

    (seen,) = polled(body)

    assert told(seen, "task.progress") == ["cft-c73egpxvlvg76yjd", {"succeeded"}, 1]
    assert len(seen.links) == 2
