"""What becomes of an answer's bytes, and of its members."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.scenario.model import UNSET, PatchAction
from mockserver.scenario.patching import patched
from mockserver.scenario.wire import Wire
from tests.scenario.facts import genstudio

JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSONS)
def test_a_malformed_body_is_never_json(document: Any) -> None:
    body = json.dumps(document, ensure_ascii=False).encode()

    with pytest.raises(ValueError, match=r"Expecting|Extra|Invalid|Unterminated"):
        json.loads(Wire(malformed=True).body(body))


@given(st.dictionaries(st.text(), JSONS, min_size=1, max_size=3))
def test_a_doubled_key_is_null_to_most_readers_and_visible_to_careful_ones(document: dict[str, Any]) -> None:
    body = Wire(duplicate_keys=True).body(json.dumps(document).encode())

    pairs = json.loads(body, object_pairs_hook=lambda pairs: pairs)
    assert [key for key, _ in pairs] == [*document, next(iter(document))]
    assert json.loads(body)[next(iter(document))] is None


def test_a_large_body_stays_the_same_json() -> None:
    body = Wire(large=100_000).body(b'{"a":1}')

    assert (len(body), json.loads(body)) == (100_000, {"a": 1})


def test_a_truncated_body_sends_its_share() -> None:
    assert Wire(truncate=0.6).sent(b"0123456789") == b"012345"
    assert Wire().sent(b"0123456789") == b"0123456789"


def test_what_is_no_object_is_left_alone() -> None:
    assert Wire(duplicate_keys=True).body(b"\x89PNG") == b"\x89PNG"


BODY = {"code": 0, "data": {"info": [{"id": "a", "status": 1, "files": {}}, {"id": "b", "status": 2, "files": {}}]}}


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        pytest.param(PatchAction(merge={"data": None, "code": "0"}), {"code": "0"}, id="merge"),
        pytest.param(PatchAction(merge=[1]), [1], id="merge with no object"),
        pytest.param(PatchAction(set={"/code": "zero"}), {**BODY, "code": "zero"}, id="set"),
        pytest.param(PatchAction(set={"/new": 1}), {**BODY, "new": 1}, id="set what is not there"),
        pytest.param(PatchAction(set={"/no/such/place": 1}), BODY, id="set nowhere"),
        pytest.param(PatchAction(remove=("/data",)), {"code": 0}, id="remove"),
        pytest.param(PatchAction(remove=("/data/info/*",)), {"code": 0, "data": {"info": []}}, id="remove all"),
        pytest.param(
            PatchAction(set={"/data/info/*/status": 9}, remove=("/data/info/*/files",)),
            {"code": 0, "data": {"info": [{"id": "a", "status": 9}, {"id": "b", "status": 9}]}},
            id="in each",
        ),
        pytest.param(PatchAction(set={"": None}), None, id="the whole"),
    ],
)
def test_patches_change_members_by_place(patch: PatchAction, expected: Any) -> None:
    before = json.dumps(BODY)

    assert patched(BODY, patch) == expected
    assert json.dumps(BODY) == before


def test_empty_lists_and_maps_become_null() -> None:
    assert patched({"a": [], "b": {"c": {}}, "d": [1, []]}, PatchAction(null_lists=True)) == {
        "a": None,
        "b": {"c": None},
        "d": [1, None],
    }


def test_a_patch_by_value_finds_the_members_that_show_it() -> None:
    schema = genstudio().documents["openapi.json"]
    operation = next(one for one in genstudio().operations if one.id == "get_task_info")
    responses = schema["paths"][operation.path][operation.method.lower()]["responses"]
    body = {"code": 0, "msg": "Success", "data": {"comfy_task_info": [{"task_id": "a", "status": 1}, {"status": 2}]}}

    changed = patched(
        body,
        PatchAction(set={"task.state": "reviewing"}, remove=("task.id",)),
        schema=responses["200"]["content"]["application/json"]["schema"],
        follow=follow,
    )

    assert [one["status"] for one in changed["data"]["comfy_task_info"]] == ["reviewing"] * 2


def follow(reference: str) -> Any:
    file, _, pointer = reference.partition("#")
    found: Any = genstudio().documents[file or "openapi.json"]
    for part in pointer.split("/")[1:]:
        found = found[part]
    return found


@given(JSONS, JSONS)
def test_nothing_that_is_set_crashes(body: Any, value: Any) -> None:
    for name in ("/a", "/*/b", "/0/*", "task.id", ""):
        patched(body, PatchAction(set={name: value}))
        patched(body, PatchAction(remove=(name,)))
    assert patched(body, PatchAction(merge=UNSET)) == body
