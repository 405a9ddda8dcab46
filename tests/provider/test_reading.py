"""Reading requests: the marks of drawing, followed the other way."""

# ruff: noqa: E501 (a row reads best on one line)

from __future__ import annotations

from typing import Any

import jwt
import pytest

from mockserver.errors import Refused
from mockserver.provider.model import NOTHING, Provider, Request
from tests.provider.language import read

ID = {"type": "string", "x-value": "task.id"}
LIFETIME = {"type": "integer", "default": 600, "x-value": "link.lifetime"}


@pytest.mark.parametrize(
    ("schema", "value", "marks"),
    [
        pytest.param(ID, "a", {"task.id": ["a"]}, id="given"),
        pytest.param(ID, NOTHING, {}, id="missing"),
        pytest.param(ID, None, {}, id="null is no id"),
        pytest.param(ID, "", {}, id="an empty text is no id"),
        pytest.param({"type": ["integer", "string"], "x-value": "task.id"}, 42, {"task.id": ["42"]}, id="digits as id"),
        pytest.param(LIFETIME, NOTHING, {"link.lifetime": [600]}, id="missing takes the default"),
        pytest.param(LIFETIME, None, {"link.lifetime": [600]}, id="null takes the default"),
        pytest.param(LIFETIME, 5, {"link.lifetime": [5]}, id="given before default"),
        pytest.param({**LIFETIME, "format": "milliseconds"}, 1500, {"link.lifetime": [1.5]}, id="notation"),
        pytest.param({"x-value": "task.front", "x-map": {"true": "yes", "false": ["no", "n"]}}, "n",
                     {"task.front": [False]}, id="map backwards"),
        pytest.param({"x-value": "task.front", "x-map": {"true": 1}}, True, {}, id="true is not 1"),
        pytest.param({"type": "array", "items": ID}, ["a", "", "b"], {"task.id": ["a", "b"]}, id="each of a list"),
        pytest.param({"type": "array", "items": ID}, [], {"task.id": []}, id="an empty list names nothing, yet asks"),
        pytest.param({"type": "array", "items": ID}, NOTHING, {}, id="no list does not ask"),
        pytest.param({"properties": {"a": ID, "b": ID}}, {"b": "2", "a": "1"}, {"task.id": ["1", "2"]}, id="precedence"),
        pytest.param({"properties": {"a": ID}}, [1], {}, id="another type gives nothing"),
        pytest.param({"oneOf": [{"properties": {"a": ID}}, {"properties": {"b": ID}}]}, {"b": "x"}, {"task.id": ["x"]},
                     id="through branches"),
        pytest.param({"contentEncoding": "base64", "contentMediaType": "application/json",
                      "contentSchema": {"properties": {"prompt_id": {"type": "string", "x-value": "page.cursor"}}}},
                     "eyJwcm9tcHRfaWQiOiAieCJ9", {"page.cursor": ["x"]}, id="text inside a text"),
    ],
)  # fmt: skip
def test_what_a_client_gives(schema: Any, value: Any, marks: Any) -> None:
    assert read(schema, value) == marks


TOKEN = {
    "type": "string",
    "contentMediaType": "application/jwt",
    "contentSchema": {"prefixItems": [{"const": {"alg": "HS256"}}, {"properties": {"sub": ID}}]},
}


def test_a_token_gives_its_claims_and_itself() -> None:
    token = jwt.encode({"sub": "t-9"}, "whatever-secret-signs-it-is-not-checked-here", algorithm="HS256")

    assert read(TOKEN, f"Bearer {token}") == {"task.id": ["t-9"], "token": [token]}


def test_what_is_no_token_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        read(TOKEN, "not-a-token")

    assert refused.value.condition == "token-wrong"


def test_a_request_gives_its_marks_and_breaks_no_rule(genstudio: Provider) -> None:
    operation = next(one for one in genstudio.operations if one.id == "get_task_info")
    body = {"comfy_task_ids": ["a", "b"], "image_post_process_cmd": {"format": "jpg"}}
    request = Request("POST", {}, [], {}, body)

    assert operation.violations(request) == []
    assert operation.read(request) == {
        "task.id": ["a", "b"],
        "link.lifetime": [600],
        "link.process": [{"format": "jpg"}],
    }
