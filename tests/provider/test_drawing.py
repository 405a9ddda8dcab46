"""Drawing: a value or nothing, and what stands in for nothing."""

# ruff: noqa: E501 (a row reads best on one line)

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jwt
import pytest

from mockserver.errors import SchemaFolderError
from mockserver.provider.model import NOTHING
from tests.provider.language import NOON, draw, file, node, scope, task

TEXT = {"type": "string", "x-value": "task.client"}


@pytest.mark.parametrize(
    ("schema", "drawn"),
    [
        pytest.param({"const": 0, "x-value": "task.id"}, 0, id="const before x-value"),
        pytest.param({"x-value": "task.id", "properties": {}}, "t-1", id="x-value before properties"),
        pytest.param({"oneOf": [{"const": 1}], "x-value": "task.id"}, 1, id="branches before x-value"),
        pytest.param({"type": "null"}, None, id="null is a constant"),
        pytest.param({"type": "integer", "minimum": 3}, NOTHING, id="other keywords only judge"),
        pytest.param(TEXT, NOTHING, id="no such value"),
        pytest.param({**TEXT, "default": "-"}, "-", id="default stands in"),
        pytest.param({**TEXT, "type": ["string", "null"]}, None, id="else null"),
        pytest.param({**TEXT, "type": ["string", "null"], "default": ""}, "", id="default before null"),
        pytest.param({"x-value": "task.state", "x-map": {"running": 2}}, 2, id="mapped"),
        pytest.param({"x-value": "task.state", "x-map": {"done": 3}}, NOTHING, id="map lacks it"),
        pytest.param({"x-value": "task.state", "x-map": {"running": ["RUN", "R"]}}, "RUN", id="first of a list is written"),
        pytest.param({"x-value": "task.state", "x-map": {"running": 0}, "default": 9}, 0, id="zero is a value"),
        pytest.param({"x-value": ["task.client", "task.id"]}, "t-1", id="first of a list that has a value"),
        pytest.param({"x-value": "Cannot find {task.id}"}, "Cannot find t-1", id="text with a name"),
        pytest.param({"x-value": "by {task.client}"}, NOTHING, id="text with a name without value"),
        pytest.param({"x-value": "{account.id}"}, NOTHING, id="text about what is not there"),
        pytest.param({"x-value": "task.request#/number"}, 7, id="pointer into a document"),
        pytest.param({"x-value": "task.request#/a~1b"}, "odd", id="escaped pointer"),
        pytest.param({"x-value": "task.request#/none/at/all"}, NOTHING, id="pointer to nothing"),
        pytest.param({**TEXT, "x-value": "task.id", "minLength": 9}, NOTHING, id="text shorter than its minimum"),
        pytest.param({"x-when": ["queued"], "const": 1, "default": 2}, NOTHING, id="guard that does not hold"),
        pytest.param({"x-when": ["queued", "running"], "const": 1}, 1, id="guard that holds"),
        pytest.param({"x-when": {"task.client": {"type": "null"}}, "const": 1}, 1, id="what is missing tests as null"),
        pytest.param({"x-when": {"task.client": True}, "const": 1}, 1, id="a condition that anything fits"),
        pytest.param({"x-when": {"task.client": False}, "const": 1}, NOTHING, id="a condition that nothing fits"),
        pytest.param({"x-when": {"task.state": ["running"], "task.progress": {"minimum": 1}}, "const": 1}, NOTHING, id="all"),
        pytest.param({"x-on": ["task.running"], "const": 1}, NOTHING, id="event where there is none"),
        pytest.param({"format": "unixtime", "type": "integer", "x-value": "after.token"}, int(NOON) + 86400, id="delay"),
        pytest.param({"x-value": "server.region"}, "north", id="server variable"),
    ],
)  # fmt: skip
def test_a_schema_draws_the_first_it_has(schema: Any, drawn: Any) -> None:
    assert draw(schema) == drawn


@pytest.mark.parametrize(
    ("schema", "drawn"),
    [
        pytest.param({"properties": {"a": TEXT, "b": {"const": 1}}}, {"b": 1}, id="optional member is left out"),
        pytest.param({"required": ["a"], "properties": {"a": TEXT}}, NOTHING, id="required part makes its parent nothing"),
        pytest.param({"required": ["a"], "properties": {"a": TEXT}, "default": {}}, {}, id="parent has a default"),
        pytest.param({"minProperties": 1, "properties": {"a": TEXT}}, NOTHING, id="map below its minimum"),
        pytest.param({"oneOf": [{"required": ["a"], "properties": {"a": TEXT}}, {"const": "b"}]}, "b", id="next branch"),
        pytest.param({"oneOf": [TEXT]}, NOTHING, id="no branch"),
        pytest.param({"required": ["a", "b"], "properties": {"a": {"const": 1}},
                      "oneOf": [{"properties": {"b": TEXT}}, {"properties": {"b": {"const": 2}}}]},
                     {"a": 1, "b": 2}, id="what stands beside the branches"),
        pytest.param({"prefixItems": [{"const": 1}, {"x-value": "task.id"}]}, [1, "t-1"], id="tuple"),
        pytest.param({"prefixItems": [{"const": 1}, TEXT]}, NOTHING, id="tuple with a gap"),
        pytest.param({"minItems": 1, "prefixItems": [{"const": 1}, TEXT]}, [1], id="tuple that may be shorter"),
    ],
)  # fmt: skip
def test_a_part_that_is_nothing(schema: Any, drawn: Any) -> None:
    assert draw(schema) == drawn


def test_a_reference_is_laid_under_what_stands_beside_it() -> None:
    envelope = {
        "type": "object",
        "required": ["code", "data"],
        "properties": {"code": {"const": 0}, "data": {"type": "object", "properties": {"a": {"const": 1}}}},
    }
    schema = {
        "$ref": "#/components/schemas/Ok",
        "required": ["more"],
        "properties": {"data": {"properties": {"b": {"const": 2}}}, "more": {"x-value": "task.id"}},
    }

    assert draw(schema, Ok=envelope) == {"code": 0, "data": {"a": 1, "b": 2}, "more": "t-1"}


def test_what_stands_beside_a_reference_replaces_what_its_target_draws() -> None:
    schema = {"$ref": "#/components/schemas/State", "const": 3}

    assert draw(schema, State={"x-value": "task.state", "x-map": {"running": 2}}) == 3


def test_a_reference_to_itself_is_refused() -> None:
    with pytest.raises((SchemaFolderError, RecursionError)):
        draw({"$ref": "#/components/schemas/root"})


def test_a_schema_that_holds_itself_draws_as_deep_as_there_are_values() -> None:
    schema = {
        "properties": {"id": {"x-value": "task.id"}, "inner": {"$ref": "#/components/schemas/root", "x-when": ["done"]}}
    }

    assert draw(schema) == {"id": "t-1"}


def test_a_loop_draws_one_item_each_and_passes_over_what_is_nothing() -> None:
    schema = {"type": "array", "x-each": "tasks", "items": {"x-when": ["done", "failed"], "x-value": "task.id"}}
    tasks = [task(id="1", state="done"), task(id="2"), task(id="3", state="failed")]

    assert draw(schema, scope(tasks=tasks)) == ["1", "3"]
    assert draw(schema, scope(tasks=[])) == []


def test_a_loop_leaves_what_was_bound_before_it() -> None:
    schema = {
        "properties": {
            "all": {"x-each": "tasks", "items": {"x-value": "task.id"}},
            "nodes": {"x-each": "task.nodes", "items": {"x-each": "node.files", "items": {"x-value": "file.name"}}},
            "own": {"x-value": "task.id"},
            "result": {"x-value": "file.name"},
        }
    }
    world = scope(tasks=[task(id="1"), task(id="2")])

    drawn = [draw(schema, world), draw(schema, world)]

    expected = {"all": ["1", "2"], "nodes": [["a.png", "b.png"]], "own": "t-1", "result": "a.png"}
    assert drawn == [expected, expected]


def test_a_loop_below_its_minimum_is_nothing() -> None:
    schema = {"type": ["array", "null"], "minItems": 1, "x-each": "tasks", "items": {"x-value": "task.id"}}

    assert draw(schema, scope(tasks=[])) is None


def test_a_map_of_lists_has_a_member_for_each_node_with_files() -> None:
    schema = {
        "type": "object",
        "x-each": "task.nodes",
        "propertyNames": {"x-value": "node.id"},
        "additionalProperties": {
            "type": "array",
            "minItems": 1,
            "x-each": "node.files",
            "items": {"x-when": {"file.root": ["output"]}, "x-value": "file.name"},
        },
    }
    nodes = [node("9", file("a"), file("b", root="temp")), node("4"), node("7", file("c", root="temp"))]

    assert draw(schema, scope(task=task(nodes=nodes))) == {"9": ["a"]}


def test_a_bare_condition_in_a_loop_speaks_of_the_thing_at_hand() -> None:
    schema = {"type": "array", "x-each": "task.nodes", "items": {"x-when": ["waiting"], "x-value": "node.id"}}
    nodes = [node("1"), node("2", state="waiting")]

    assert draw(schema, scope(task=task(nodes=nodes))) == ["2"]


def test_events_are_drawn_as_of_their_own_moment() -> None:
    started = {"x-on": ["task.*"], "prefixItems": [{"const": "start"}, {"format": "unixtime", "x-value": "event.at"}]}
    cached = {"x-on": ["task.cached"], "prefixItems": [{"const": "cached"}]}
    schema = {"type": "array", "x-each": "task.events", "items": {"oneOf": [cached, started]}}
    names = ["task.running", "task.cached", "node.step"]
    events = [SimpleNamespace(name=name, at=NOON + at, node=None) for at, name in enumerate(names)]

    assert draw(schema, scope(task=task(events=events))) == [["start", int(NOON)], ["cached"]]


def test_things_of_other_kinds_are_drawn_in_a_loop_and_through_the_task_that_uses_them() -> None:
    one, two = SimpleNamespace(id="e-1", document={"name": "n"}), SimpleNamespace(id="e-2", document={})
    loop = {"type": "array", "x-each": "endpoints", "items": {"x-value": ["endpoint#/name", "endpoint.id"]}}

    assert draw(loop, scope(lists={"endpoint": [one, two]}, task=None)) == ["n", "e-2"]
    assert draw({"x-value": "endpoint.id"}, scope(task=task(things={"endpoint": two}))) == "e-2"


def test_texts_inside_texts() -> None:
    inner = {"type": "object", "required": ["id"], "properties": {"id": {"x-value": "task.id"}}}

    assert draw({"contentMediaType": "application/json", "contentSchema": inner}) == '{"id": "t-1"}'
    assert draw({"contentMediaType": "text/x-python", "contentSchema": inner}) == "{'id': 't-1'}"
    encoded = {"contentEncoding": "base64", "contentMediaType": "application/json", "contentSchema": inner}
    assert draw(encoded) == "eyJpZCI6ICJ0LTEifQ=="
    assert draw({"contentMediaType": "application/json", "contentSchema": TEXT, "type": ["string", "null"]}) is None


def test_a_token_is_signed_with_the_secret_of_the_world() -> None:
    claims = {"type": "object", "properties": {"sub": {"x-value": "task.id"}}}
    header = {"const": {"alg": "HS256", "typ": "JWT"}}

    token = draw({"contentMediaType": "application/jwt", "contentSchema": {"prefixItems": [header, claims]}})

    assert jwt.decode(token, "a-secret-of-sufficient-length-for-HS256", algorithms=["HS256"]) == {"sub": "t-1"}
