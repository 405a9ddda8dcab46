"""Value names and texts with names in them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mockserver.provider.values import UnknownName, getter, point, text
from tests.provider.language import NAMES, NOON, file, node, scope, task


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        pytest.param("plain", "plain", id="no names"),
        pytest.param("{task.id}/{task.id}", "t-1/t-1", id="names"),
        pytest.param("{task.request#/a~1b|json}", '"odd"', id="json"),
        pytest.param("{task.extra|json}", '{"x":1}', id="compact json"),
        pytest.param("{task.extra|python}", "{'x': 1}", id="python"),
        pytest.param("{task.state|lower}", "running", id="lower"),
        pytest.param("{violation.keys|comma}", "a, b, c", id="comma"),
        pytest.param("{violation.keys|and}", "'a', 'b', and 'c'", id="and"),
        pytest.param("{violation.keys|lines}", "a\nb\nc", id="lines"),
        pytest.param("{task.position|hex}", "00000000", id="hex of a number"),
        pytest.param("{violation.text}", "a fact", id="fact"),
        pytest.param("{task.client}", None, id="name without value"),
        pytest.param("{retry.after}", None, id="fact of another case"),
        pytest.param("{hex:4}-{HEX:4}-{digits:3}-{letters:2}", "0123-0123-012-ab", id="fresh"),
        pytest.param("{base32:3}{base64:3}", "abcABC", id="fresh in other alphabets"),
        pytest.param("{uuid}", "01234567-89ab-4def-8123-456789abcdef", id="uuid is of version 4"),
        pytest.param("{counter:5}", "00012", id="counter"),
    ],
)
def test_a_text_is_rendered(source: str, rendered: str | None) -> None:
    facts = {"violation.keys": ["a", "b", "c"], "violation.text": "a fact"}

    assert text(source, NAMES)(scope(facts=facts, counter=12)) == rendered


def test_a_ulid_begins_with_its_moment_and_sorts_by_it() -> None:
    ulid = text("{ulid}", NAMES)
    early, late = ulid(scope()), ulid(scope(at=NOON + 1))

    assert len(early) == len(late) == 26
    assert early < late


def test_what_a_case_tells_goes_before_what_the_world_has() -> None:
    assert text("{task.id}", NAMES)(scope(facts={"task.id": "t-unknown"})) == "t-unknown"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("call.id", "call-1", id="call"),
        pytest.param("after.token", NOON + 86400, id="delay counts from the call"),
        pytest.param("server.region", "north", id="server variable"),
        pytest.param("task.request#/number", 7, id="document"),
        pytest.param("task.reached#/done", NOON, id="moment of a state"),
        pytest.param("account.id", "a-1", id="thing"),
        pytest.param("account#/user", "u", id="document of a thing"),
        pytest.param("file.name", "a.png", id="outside a loop, the first result"),
        pytest.param("node.id", "4", id="outside a loop, the node being run"),
        pytest.param("failure.message", None, id="nothing failed"),
        pytest.param("problem.name", None, id="no problem at hand"),
        pytest.param("changed.any", True, id="what the verb changed"),
    ],
)
def test_a_name_reads_the_world(name: str, value: Any) -> None:
    world = scope(
        task=task(nodes=[node("9", file("a.png"))], node=node("4")),
        things={"account": SimpleNamespace(id="a-1", document={"user": "u"})},
        changed=True,
    )

    assert getter(name, NAMES)(world) == value


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("task.stat", "near: task.state"),
        ("acount.id", "near: account.id"),
        ("workflow.id", "'workflow.id' is no value name"),
        ("after.tokn", "near: after.token"),
        ("server.zone", "'server.zone' is no value name"),
        ("task.id#/a", "'task.id' takes no pointer"),
        ("task.request#a", "a pointer starts with '/'"),
        ("", "names begin with: account"),
    ],
)
def test_an_unknown_name_is_told_with_what_is_near(name: str, says: str) -> None:
    with pytest.raises(UnknownName, match=says):
        getter(name, NAMES)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("", {"a": [{"b": 1}]}), ("/a/0/b", 1), ("/a/1", None), ("/a/x", None), ("/a/0/b/c", None)],
)
def test_a_pointer_leads_to_a_value_or_to_none(pointer: str, value: Any) -> None:
    assert point({"a": [{"b": 1}]}, pointer) == value
