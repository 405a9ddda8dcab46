"""Validation: fast and eloquent agree, and a violation says what was wanted."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import pytest
import referencing
from hypothesis import given, settings
from hypothesis import strategies as st
from referencing.jsonschema import DRAFT202012

from mockserver import data
from mockserver.provider import Provider, load
from mockserver.provider.model import Part, Request
from mockserver.provider.validation import Validators, facts_of

SUBMIT = {"workflow_id": "w", "prompt": {"3": {"inputs": {}}}}


def violations(provider: Provider, operation: str, body: Any) -> list[Any]:
    found = next(one for one in provider.operations if one.id == operation)
    return found.violations(Request("POST", {}, [], {}, body))


@pytest.mark.parametrize(
    ("body", "rule", "at"),
    [
        pytest.param({}, "request-schema-required", "/body/workflow_id", id="missing member"),
        pytest.param({**SUBMIT, "workflow_id": 3}, "request-schema-type", "/body/workflow_id", id="wrong type"),
        pytest.param({**SUBMIT, "prompt": {"3": {}}}, "request-schema-required", "/body/prompt/3/inputs", id="deep"),
        pytest.param([], "request-schema-type", "/body", id="no object"),
    ],
)
def test_a_violation_names_its_rule_and_place(genstudio: Provider, body: Any, rule: str, at: str) -> None:
    first = violations(genstudio, "prompt", body)[0]

    assert (first.rule, first.at) == (rule, at)


def test_a_request_that_keeps_the_contract_has_no_violation(genstudio: Provider) -> None:
    assert violations(genstudio, "prompt", SUBMIT) == []


def test_all_violations_are_listed_with_their_missing_names(genstudio: Provider) -> None:
    found = violations(genstudio, "prompt", {})

    assert {one.key for one in found} == {"workflow_id", "prompt"}
    assert facts_of(found[0], len(found))["violation.count"] == 2


def test_a_file_sent_as_text_is_a_violation(genstudio: Provider) -> None:
    as_text = violations(genstudio, "upload_image", {"source_file": "text"})

    assert [(one.rule, one.at) for one in as_text] == [("request-schema-file", "/body/source_file")]
    assert violations(genstudio, "upload_image", {"source_file": Part(b"png", "a.png", "image/png")}) == []


@cache
def provider() -> Provider:
    return load(data.schemas() / "genstudio")


def judged() -> Iterator[tuple[dict[str, str], Any]]:
    """Yield every schema of the folder that has an example, with the example."""
    for path, item in provider().documents["openapi.json"]["paths"].items():
        for method, operation in item.items():
            places = {
                "requestBody": operation["requestBody"],
                **{f"responses/{s}": r for s, r in operation["responses"].items()},
            }
            for place, holder in places.items():
                for media, body in holder.get("content", {}).items():
                    pointer = f"/paths/{escaped(path)}/{method}/{place}/content/{escaped(media)}/schema"
                    for example in body.get("examples", {}).values():
                        yield {"$ref": f"openapi.json#{pointer}"}, example["value"]


def escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


ODD = [None, True, 0, 1, 5, -1, 1.5, 1.0, "", "x", [], ["x"], {}, {"code": 0}, {"inputs": 1}]
ANY = st.sampled_from(ODD).map(copy.deepcopy)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[dict[str, str], Any]:
    """An example with a few members replaced, removed or added."""
    schema, example = draw(st.sampled_from(list(judged())))
    body = copy.deepcopy(example)
    for _ in range(draw(st.integers(0, 3))):
        places = list(containers(body))
        place = draw(st.sampled_from(places)) if places else None
        if isinstance(place, dict):
            key = draw(st.sampled_from([*place, "x"]))
            place.pop(key, None)
            place.update(draw(st.dictionaries(st.just(key), ANY, max_size=1)))
        elif place is not None:
            place[:] = draw(st.lists(ANY, max_size=2))
    return schema, body


def containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


@settings(max_examples=150)
@given(case=mutated())
def test_the_fast_and_the_eloquent_library_agree(case: tuple[dict[str, str], Any]) -> None:
    schema, body = case
    documents = provider().documents
    registry: Any = referencing.Registry().with_resource(
        "openapi.json", DRAFT202012.create_resource(documents["openapi.json"])
    )

    fast = Validators(documents).fits(schema)(body)
    eloquent = jsonschema.Draft202012Validator(schema, registry=registry).is_valid(body)

    assert fast == eloquent
    assert (Validators(documents).violations(schema, rule="r", root="")(body) == []) == fast
