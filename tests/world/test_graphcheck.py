"""The check of graphs says what a real ComfyUI said, and survives whatever it is given."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver import data
from mockserver.world import catalogue
from mockserver.world.graphcheck import Finding, GraphCheck, check
from mockserver.world.order import signatures
from mockserver.world.plan import make_plan

CATALOGUE = catalogue.load()
RECORDED = [
    json.loads(line) for line in (data.fixtures() / "comfyui" / "validation.jsonl").read_text("utf-8").splitlines()
]
REFUSED = [case for case in RECORDED if case["answer"].get("node_errors")]
OF_THE_WHOLE = [case for case in RECORDED if case["status"] == 400 and not case["answer"]["node_errors"]]
RUN = [case for case in RECORDED if case["status"] == 200]

# Type, message and details of a finding, as the fact sheet's tables write them.
TEXTS: Mapping[str, tuple[str, str, str]] = {
    "required-input-missing": ("required_input_missing", "Required input is missing", "{input_name}"),
    "bad-linked-input": (
        "bad_linked_input",
        "Bad linked input, must be a length-2 list of [node_id, slot_index]",
        "{input_name}",
    ),
    "return-type-mismatch": (
        "return_type_mismatch",
        "Return type mismatch between linked nodes",
        "{input_name}, received_type({received_type}) mismatch input_type({input_type})",
    ),
    "invalid-input-type": (
        "invalid_input_type",
        "Failed to convert an input value to a {input_type} value",
        "{input_name}, {received_text}, {exception_message}",
    ),
    "value-smaller-than-min": (
        "value_smaller_than_min",
        "Value {received_text} smaller than min of {limit}",
        "{input_name}",
    ),
    "value-bigger-than-max": (
        "value_bigger_than_max",
        "Value {received_text} bigger than max of {limit}",
        "{input_name}",
    ),
    "value-not-in-list": ("value_not_in_list", "Value not in list", "{input_name}: {received_text} not in {choices}"),
    "custom-validation-failed": (
        "custom_validation_failed",
        "Custom validation failed for node",
        "{input_name} - {custom_text}",
    ),
    "dependency-cycle": ("dependency_cycle", "Dependency cycle detected", "{cycle}"),
    "exception-during-inner-validation": (
        "exception_during_inner_validation",
        "Exception when validating inner node",
        "{exception_message}",
    ),
    "exception-during-validation": (
        "exception_during_validation",
        "Exception when validating node",
        "{exception_message}",
    ),
    "class-missing": (
        "missing_node_type",
        "Node '{shown}' has no class_type. The workflow may be corrupted or a custom node is missing.",
        "Node ID '#{node_id}'",
    ),
    "class-unknown": (
        "missing_node_type",
        "Node '{shown}' not found. The custom node may not be installed.",
        "Node ID '#{node_id}'",
    ),
    "no-outputs": ("prompt_no_outputs", "Prompt has no outputs", ""),
}


def rendered(finding: Finding) -> dict[str, str]:
    code, message, details = TEXTS[finding.name]
    return {"type": code, "message": message.format(**finding.facts), "details": details.format(**finding.facts)}


def without_prose(value: Any) -> Any:
    """Recorded declarations with their tooltips and source lines taken out, which the shipped catalogue lacks."""
    text = json.dumps(value, sort_keys=True).replace('"tooltip": "<text>"', "").replace("{, ", "{")
    return json.loads(text.replace(", }", "}"))


def comparable(error: Mapping[str, Any]) -> tuple[str, str, str]:
    return error["type"], error["message"], error["details"]


def checked(case: Mapping[str, Any]) -> GraphCheck:
    graph = case["request"]["prompt"]
    # The real server visits outputs in the order of a set; the recorded answer tells which.
    first = dict.fromkeys([*case["answer"]["node_errors"], *graph])
    return check(
        {each: graph[each] for each in first}, CATALOGUE, targets=case["request"].get("partial_execution_targets")
    )


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["case"])
def test_findings_of_nodes_read_as_the_real_server_wrote_them(case: Mapping[str, Any]) -> None:
    result = checked(case)

    assert {node.id: sorted(comparable(rendered(one)) for one in node.findings) for node in result.nodes} == {
        each: sorted(comparable(one) for one in shown["errors"])
        for each, shown in case["answer"]["node_errors"].items()
    }
    assert {node.id: (node.class_type, list(node.dependents)) for node in result.nodes} == {
        each: (shown["class_type"], shown["dependent_outputs"]) for each, shown in case["answer"]["node_errors"].items()
    }


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["case"])
def test_facts_hold_what_the_real_server_told_beside_the_texts(case: Mapping[str, Any]) -> None:
    result = checked(case)

    facts = {(node.id, TEXTS[one.name][0]): one.facts for node in result.nodes for one in node.findings}
    for each, shown in case["answer"]["node_errors"].items():
        for error in shown["errors"]:
            known = facts[each, error["type"]]
            told = {**error["extra_info"], "traceback": len(error["extra_info"].get("traceback", ()))}
            ours = {**known, "traceback": len(known.get("traceback", ()))}
            assert without_prose({name: ours[name] for name in told}) == without_prose(told)


def test_a_traceback_names_the_places_the_real_one_named() -> None:
    case = next(case for case in REFUSED if case["case"] == "missing_node_upstream")

    (node,) = checked(case).nodes

    recorded = case["answer"]["node_errors"]["8"]["errors"][0]["extra_info"]["traceback"]
    assert [line.split("\n")[0] for line in node.findings[0].facts["traceback"]] == [
        line.split("\n")[0] for line in recorded
    ]


@pytest.mark.parametrize("case", OF_THE_WHOLE, ids=lambda case: case["case"])
def test_findings_of_the_whole_graph_read_as_the_real_server_wrote_them(case: Mapping[str, Any]) -> None:
    problem = checked(case).problem

    assert problem is not None
    error = case["answer"]["error"]
    assert rendered(problem) == {key: error[key] for key in ("type", "message", "details")}
    assert {key: problem.facts[key] for key in error["extra_info"]} == error["extra_info"]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["case"])
def test_the_summary_of_a_refusal_can_be_written_from_the_findings_at_outputs(case: Mapping[str, Any]) -> None:
    result = checked(case)

    lines = "\n".join("{message}: {details}".format(**rendered(one)) for one in result.at_outputs)
    recorded = case["answer"].get("error", {"details": lines})
    assert lines == recorded["details"]
    assert (result.problem is None) == (case["status"] == 200)


@pytest.mark.parametrize("case", RUN, ids=lambda case: case["case"])
def test_a_graph_that_runs_is_coerced_as_the_real_history_shows_it(case: Mapping[str, Any]) -> None:
    result = checked(case)

    assert json.dumps(result.graph, sort_keys=True) == json.dumps(case["stored"], sort_keys=True)


def image(**inputs: Any) -> dict[str, Any]:
    values = {"width": 64, "height": 64, "batch_size": 1, "color": 0, **inputs}
    return {
        "1": {"class_type": "EmptyImage", "inputs": values},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        pytest.param("64", 64, id="text of digits"),
        pytest.param(3.7, 3, id="a fraction is cut"),
        pytest.param(True, 1, id="boolean"),
        pytest.param({"__value__": 8}, 8, id="wrapped"),
    ],
)
def test_literals_are_coerced_as_python_does(value: Any, stored: int) -> None:
    assert check(image(width=value), CATALOGUE).graph["1"]["inputs"]["width"] == stored


@pytest.mark.parametrize(
    ("graph", "name", "details"),
    [
        pytest.param(image(width="3.7"), "invalid-input-type", "invalid literal for int()", id="fraction as text"),
        pytest.param(image(width=0), "value-smaller-than-min", "0", id="below"),
        pytest.param(
            {**image(), "2": {"class_type": "SaveImage", "inputs": {"images": ["77", 0], "filename_prefix": "x"}}},
            "exception-during-validation",
            "'77'",
            id="link to nowhere",
        ),
        pytest.param(
            {**image(), "2": {"class_type": "SaveImage", "inputs": {"images": [1, 0], "filename_prefix": "x"}}},
            "exception-during-validation",
            "1",
            id="number as node id",
        ),
    ],
)
def test_what_is_wrong_is_told_in_pythons_words(graph: Any, name: str, details: str) -> None:
    (node,) = check(graph, CATALOGUE).nodes

    assert [one.name for one in node.findings] == [name]
    facts = node.findings[0].facts
    assert facts.get("exception_message", str(facts.get("received_text"))).startswith(details)


def load_image(**inputs: Any) -> dict[str, Any]:
    return {
        "1": {"class_type": "LoadImage", "inputs": inputs},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


def test_a_loader_looks_its_file_up_among_the_files_not_the_choices() -> None:
    known = check(load_image(image="mine.png [input]"), CATALOGUE, files={"mine.png"})
    missing = check(load_image(image="missing.png"), CATALOGUE, files={"mine.png"})

    assert known.outputs == ("2",)
    assert missing.nodes[0].findings[0].facts["custom_text"] == "Invalid image file: missing.png"


def test_a_loader_without_its_file_raises_as_the_real_one_does() -> None:
    (node,) = check(load_image(), CATALOGUE).nodes

    assert [one.name for one in node.findings] == ["exception-during-inner-validation"]
    assert "missing 1 required positional argument: 'image'" in node.findings[0].facts["exception_message"]


def test_a_long_list_of_choices_is_counted_instead_of_printed() -> None:
    graph = {"1": {"class_type": "KSampler", "inputs": {"sampler_name": "bogus"}}}
    graph["2"] = {"class_type": "VAEDecode", "inputs": {"samples": ["1", 0]}}
    graph["3"] = {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}}

    findings = [one for node in check(graph, CATALOGUE).nodes for one in node.findings]

    (wrong,) = [one for one in findings if one.name == "value-not-in-list"]
    assert wrong.facts["choices"] == "(list of length 44)"
    assert wrong.facts["input_config"] is None


@pytest.mark.parametrize(
    ("inputs", "missing"),
    [
        pytest.param({"images.image0": ["1", 0]}, [], id="first of the growing inputs"),
        pytest.param({}, ["images.image0"], id="none"),
    ],
)
def test_inputs_that_grow_are_checked_by_their_own_names(inputs: Any, missing: list[str]) -> None:
    graph = {
        **image(),
        "3": {"class_type": "BatchImagesNode", "inputs": inputs},
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
    }

    findings = [one for node in check(graph, CATALOGUE, targets=["4"]).nodes for one in node.findings]

    assert [one.facts["input_name"] for one in findings] == missing


def test_the_graph_given_is_left_as_it_was() -> None:
    graph = image(width="64", height={"__value__": 8})
    before = json.dumps(graph)

    check(graph, CATALOGUE)

    assert json.dumps(graph) == before


def test_a_row_of_nodes_may_be_longer_than_the_stack_of_python() -> None:
    graph: dict[str, Any] = {"0": image()["1"]}
    graph.update((str(n), {"class_type": "ImageInvert", "inputs": {"image": [str(n - 1), 0]}}) for n in range(1, 2000))
    graph["end"] = {"class_type": "SaveImage", "inputs": {"images": ["1999", 0], "filename_prefix": "x"}}

    assert check(graph, CATALOGUE).outputs == ("end",)


ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["1", "2", "3"])
JSON_VALUES = st.recursive(ATOMS, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each))
LINKS = st.tuples(st.sampled_from(["1", "2", "3", "4"]), st.integers(-2, 3)).map(list)
CLASSES = ["SaveImage", "PreviewImage", "EmptyImage", "ImageInvert", "LoadImage", "KSampler", "BatchImagesNode"]
CLASSES += ["SaveAudioAdvanced", "ComfySwitchNode", "PreviewAny", "Nowhere"]
NAMES = ["images", "image", "width", "filename_prefix", "steps", "format", "images.image0", "source", "on_true"]
NODES = st.fixed_dictionaries(
    {},
    optional={
        "class_type": st.sampled_from(CLASSES) | JSON_VALUES,
        "inputs": st.dictionaries(st.sampled_from(NAMES), LINKS | JSON_VALUES) | JSON_VALUES,
        "_meta": JSON_VALUES,
    },
)
GRAPHS = st.dictionaries(st.sampled_from(["1", "2", "3", "4"]), NODES | JSON_VALUES)


@given(GRAPHS | JSON_VALUES)
def test_no_json_makes_the_check_fail(graph: Any) -> None:
    before = repr(graph)

    result = check(graph, CATALOGUE)

    assert (result.problem is None) == bool(result.outputs)
    assert repr(graph) == before


class Id(str):
    """A node id whose comparisons count as calls, so that searching a list of ids shows."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def empty() -> Any:
    return {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 0}}


def inverted(source: str) -> Any:
    return {"class_type": "ImageInvert", "inputs": {"image": [source, 0]}}


def saved(source: str, **more: Any) -> Any:
    return {"class_type": "SaveImage", "inputs": {"images": [source, 0], "filename_prefix": "x"} | more}


def in_a_row(count: int) -> Any:
    ids = [Id(number) for number in range(count)]
    row = {id: inverted(before) for before, id in pairwise(ids)}
    return {ids[0]: empty(), **row, Id("save"): saved(ids[-1])}


def in_a_row_backwards(count: int) -> Any:
    return dict(reversed(in_a_row(count).items()))


def side_by_side(count: int) -> Any:
    graph = {Id("first"): empty()}
    for number in range(count // 2):
        graph |= {Id(f"i{number}"): inverted(Id("first")), Id(f"s{number}"): saved(Id(f"i{number}"))}
    return graph


def all_wrong(count: int) -> Any:
    return {Id(number): saved(Id("nowhere")) for number in range(count)}


def in_a_circle(count: int) -> Any:
    return in_a_row(count) | {Id(0): inverted(Id(count - 1))}


@pytest.mark.parametrize("shape", [in_a_row, in_a_row_backwards, side_by_side, all_wrong, in_a_circle])
@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda graph: check(graph, CATALOGUE), id="check"),
        pytest.param(lambda graph: make_plan(graph, CATALOGUE), id="plan"),
        pytest.param(signatures, id="signatures"),
    ],
)
def test_ten_times_the_nodes_are_ten_times_the_work(work: Callable[[Any], Any], shape: Callable[[int], Any]) -> None:
    few, many = (calls_of(work, shape(count)) for count in (100, 1000))

    assert many < 12 * few


def calls_of(work: Callable[[Any], Any], graph: Any) -> int:
    """Count the functions that *work* calls, in Python and in C."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work(graph)
    finally:
        sys.setprofile(None)
    return count
