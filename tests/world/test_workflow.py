"""Hosted workflows take partial overrides and share what does not change."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver import data
from mockserver.errors import UserError
from mockserver.world import catalogue, workflow
from mockserver.world.graphcheck import check
from mockserver.world.plan import make_plan
from mockserver.world.workflow import make_workflow

CATALOGUE = catalogue.load()
SAMPLES = workflow.load(data.fixtures() / "workflows", CATALOGUE)
TEXT_TO_IMAGE = SAMPLES["wf-c73diz7kadp6ffgn"]
IMAGE_TO_IMAGE = SAMPLES["wf-c73epllu4i3bxvzr"]

# As the provider's page prints it.
REQUEST: dict[str, Any] = {
    "3": {
        "inputs": {
            "seed": 423710630168223,
            "steps": 20,
            "cfg": 7,
            "sampler_name": "ddim",
            "scheduler": "karras",
            "denoise": 1,
        }
    },
    "4": {"inputs": {"ckpt_name": "majicMIX realistic 麦橘写实_v7.safetensors"}},
    "5": {"inputs": {"width": 512, "height": 512, "batch_size": 1}},
    "6": {"inputs": {"text": "Rabbit in a red suit"}},
    "7": {"inputs": {"text": "ugly, deformed"}},
}


def test_the_documented_request_is_applied_without_a_finding() -> None:
    graph, findings = TEXT_TO_IMAGE.apply(REQUEST)

    assert findings == ()
    assert graph["3"]["inputs"]["seed"] == 423710630168223
    assert graph["6"]["inputs"] == {"text": "Rabbit in a red suit", "clip": ["4", 1]}
    assert graph["8"] is TEXT_TO_IMAGE.graph["8"]


@pytest.mark.parametrize("sample", [TEXT_TO_IMAGE, IMAGE_TO_IMAGE], ids=lambda sample: sample.id)
def test_the_samples_would_run_where_their_model_is(sample: workflow.Workflow) -> None:
    model = sample.graph["4"]["inputs"]["ckpt_name"]
    environment = CATALOGUE.extended(models={"checkpoints": [model]})

    assert check(dict(sample.graph), environment).outputs == ("9",)


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        pytest.param([], [(None, "overrides-malformed")], id="no object"),
        pytest.param({"99": {"inputs": {}}}, [("99", "node-unknown")], id="node"),
        pytest.param({"3": {}}, [("3", "inputs-missing")], id="inputs missing"),
        pytest.param({"3": {"inputs": None}}, [("3", "inputs-missing")], id="inputs null"),
        pytest.param({"3": {"inputs": {"nope": 1}}}, [("3", "input-unknown")], id="input"),
        pytest.param({"3": {"inputs": {"model": "x"}}}, [("3", "input-linked")], id="linked"),
        pytest.param({"3": {"inputs": {"seed": ["4", 0]}}}, [("3", "input-linked")], id="link given"),
        pytest.param({"3": {"inputs": {"steps": 0}}}, [("3", "value-smaller-than-min")], id="below"),
        pytest.param({"3": {"inputs": {"steps": 10001}}}, [("3", "value-bigger-than-max")], id="above"),
        pytest.param({"3": {"inputs": {"steps": "many"}}}, [("3", "invalid-input-type")], id="type"),
        pytest.param({"3": {"inputs": {"scheduler": "x"}}}, [("3", "value-not-in-list")], id="choice"),
    ],
)
def test_a_wrong_override_is_a_finding_at_its_node(overrides: Any, found: list[tuple[str | None, str]]) -> None:
    _, findings = TEXT_TO_IMAGE.apply(overrides)

    assert [(one.node, one.name) for one in findings] == found
    assert all(workflow.told(one) for one in findings)


def test_a_finding_can_be_told_in_a_phrase() -> None:
    _, (finding,) = TEXT_TO_IMAGE.apply({"3": {"inputs": {"steps": 0}}})

    assert workflow.told(finding) == "input steps of node 3 is 0, smaller than min of 1"


def test_a_value_out_of_range_is_set_all_the_same() -> None:
    graph, _ = TEXT_TO_IMAGE.apply({"3": {"inputs": {"seed": -1030042843054652}}})

    assert graph["3"]["inputs"]["seed"] == -1030042843054652


def test_what_cannot_be_set_leaves_the_stored_value() -> None:
    graph, _ = TEXT_TO_IMAGE.apply({"3": {"inputs": {"model": "x", "steps": "many"}}})

    assert graph == TEXT_TO_IMAGE.graph


def test_the_full_export_may_be_given_as_overrides() -> None:
    graph, findings = TEXT_TO_IMAGE.apply(copy.deepcopy(dict(TEXT_TO_IMAGE.graph)))

    assert findings == ()
    assert graph == TEXT_TO_IMAGE.graph


def test_lists_are_unwrapped_and_numbers_coerced() -> None:
    mine = make_workflow("mine", {"1": {"class_type": "Custom", "inputs": {"flags": {"__value__": [True]}}}}, CATALOGUE)

    graph, findings = mine.apply({"1": {"inputs": {"flags": {"__value__": [False, True]}}}})
    other, _ = TEXT_TO_IMAGE.apply({"3": {"inputs": {"steps": "25", "cfg": 8}}})

    assert findings == ()
    assert graph["1"]["inputs"]["flags"] == [False, True]
    assert repr((other["3"]["inputs"]["steps"], other["3"]["inputs"]["cfg"])) == "(25, 8.0)"


def test_an_uploaded_image_is_no_choice_but_may_be_given() -> None:
    graph, findings = IMAGE_TO_IMAGE.apply({"10": {"inputs": {"image": "te-a/ac-b/sui-c73eqoorz56qaq7q.png"}}})

    assert findings == ()
    assert graph["10"]["inputs"]["image"] == "te-a/ac-b/sui-c73eqoorz56qaq7q.png"


def test_seeds_and_prompts_share_the_plan_but_sizes_and_steps_do_not() -> None:
    same, _ = TEXT_TO_IMAGE.apply(REQUEST)
    larger, _ = TEXT_TO_IMAGE.apply({"5": {"inputs": {"width": 1024}}})
    again, _ = TEXT_TO_IMAGE.apply({"5": {"inputs": {"width": 1024}}, "6": {"inputs": {"text": "other"}}})

    assert TEXT_TO_IMAGE.plan(same) is TEXT_TO_IMAGE.plan()
    assert TEXT_TO_IMAGE.plan(larger) is TEXT_TO_IMAGE.plan(again)
    assert TEXT_TO_IMAGE.plan(larger).nodes[-1].outputs[0].width == 1024


def test_a_task_of_a_hosted_workflow_costs_microseconds() -> None:
    TEXT_TO_IMAGE.plan()

    started = process_time()
    for seed in range(1000):
        graph, _ = TEXT_TO_IMAGE.apply({**REQUEST, "3": {"inputs": {**REQUEST["3"]["inputs"], "seed": seed}}})
        TEXT_TO_IMAGE.plan(graph)

    assert (process_time() - started) / 1000 < 500e-6  # 14 microseconds on a slow core


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)
VALUES |= st.sampled_from([8, 64, 2048, ["4", 0], {"__value__": [1]}, "euler"])
INPUT_NAMES = ["seed", "steps", "cfg", "width", "height", "batch_size", "text", "model", "filename_prefix", "nope"]
OVERRIDES = st.dictionaries(
    st.sampled_from(["3", "4", "5", "6", "9", "99"]),
    st.fixed_dictionaries({"inputs": st.dictionaries(st.sampled_from(INPUT_NAMES), VALUES)}) | VALUES,
)


@given(OVERRIDES | VALUES)
def test_applying_changes_neither_the_workflow_nor_the_overrides(overrides: Any) -> None:
    before = repr((TEXT_TO_IMAGE.graph, overrides))

    TEXT_TO_IMAGE.apply(overrides)

    assert repr((TEXT_TO_IMAGE.graph, overrides)) == before


@given(OVERRIDES)
def test_a_shared_plan_is_the_plan_of_the_graph_itself(overrides: Any) -> None:
    graph, _ = TEXT_TO_IMAGE.apply(overrides)

    assert TEXT_TO_IMAGE.plan(graph) == make_plan(graph, CATALOGUE)


def folder_with(tmp_path: Path, **documents: Any) -> Path:
    for name, document in documents.items():
        (tmp_path / f"{name.replace('__', '.')}.json").write_text(json.dumps(document))
    return tmp_path


def test_a_folder_of_workflows_is_read_with_its_publications(tmp_path: Path) -> None:
    publication = {
        "inputs": {"prompt": {"node": "6", "input": "text"}},
        "outputs": {"result": "9"},
        "versions": ["v1", "v2"],
        "aliases": {"main": "v2"},
    }
    folder = folder_with(tmp_path, mine=TEXT_TO_IMAGE.graph, mine__publish=publication)

    found = workflow.load(folder, CATALOGUE)

    assert list(found) == ["mine"]
    assert found["mine"].publication.aliases == {"main": "v2"}
    assert found["mine"].labels("9") == ("result",)
    overrides, findings = found["mine"].named({"prompt": "a fox", "other": 1})
    assert overrides == {"6": {"inputs": {"text": "a fox"}}}
    assert [one.name for one in findings] == ["name-unknown"]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        pytest.param([], "an object of nodes", id="list"),
        pytest.param({}, "has no nodes", id="empty"),
        pytest.param({"nodes": [], "links": []}, "the editor's format", id="editor's format"),
        pytest.param({"3": {"inputs": {}}}, "node '3' has no 'class_type'", id="class"),
        pytest.param({"3": {"class_type": "X"}}, "node '3' has no 'inputs'", id="inputs"),
        pytest.param({"3": {"class_type": "X", "inputs": {"a": ["7", 0]}}}, "missing node '7'", id="link"),
    ],
)
def test_a_file_that_is_no_workflow_is_refused_with_its_name_and_a_remedy(
    tmp_path: Path, document: Any, told: str
) -> None:
    with pytest.raises(UserError, match=told) as refused:
        workflow.load(folder_with(tmp_path, mine=document), CATALOGUE)

    assert "mine.json" in str(refused.value)
    assert "Export (API)" in str(refused.value)


@pytest.mark.parametrize(
    ("publication", "told"),
    [
        pytest.param([], "a publication is an object", id="list"),
        pytest.param({"input": {}}, "unknown key 'input'", id="key"),
        pytest.param({"inputs": {"a": {"node": "77", "input": "x"}}}, "node '77'", id="node"),
        pytest.param({"inputs": {"a": {"node": "6", "input": "x"}}}, "sets 'x' of node '6'", id="input"),
        pytest.param({"inputs": {"a": "6"}}, "inputs is", id="place"),
        pytest.param({"outputs": {"a": "77"}}, "output 'a' is node '77'", id="output"),
        pytest.param({"versions": []}, "versions is", id="versions"),
        pytest.param({"aliases": {"main": "v9"}}, "points to version 'v9'", id="alias"),
    ],
)
def test_a_publication_that_names_what_is_not_there_is_refused(tmp_path: Path, publication: Any, told: str) -> None:
    folder = folder_with(tmp_path, mine=TEXT_TO_IMAGE.graph, mine__publish=publication)

    with pytest.raises(UserError, match=told) as refused:
        workflow.load(folder, CATALOGUE)

    assert "mine.publish.json" in str(refused.value)


def test_the_example_of_the_publication_schema_is_a_publication() -> None:
    schema = json.loads((data.schemas() / "_meta" / "publish.schema.json").read_text("utf-8"))

    made = make_workflow("mine", TEXT_TO_IMAGE.graph, CATALOGUE, schema["examples"][0])

    assert made.publication.inputs == {"prompt": ("6", "text"), "steps": ("3", "steps")}
