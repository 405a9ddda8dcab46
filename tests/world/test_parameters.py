"""What a workflow lets its callers set is shown with types, ranges and defaults."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mockserver import data
from mockserver.world import catalogue, workflow
from mockserver.world.parameters import json_schema, ranges, trial_run
from mockserver.world.workflow import make_workflow

CATALOGUE = catalogue.load()
SAMPLES = workflow.load(data.fixtures() / "workflows", CATALOGUE)
TEXT_TO_IMAGE = SAMPLES["wf-c73diz7kadp6ffgn"]
IMAGE_TO_IMAGE = SAMPLES["wf-c73epllu4i3bxvzr"]


def test_steps_have_the_documented_range() -> None:
    table = ranges(TEXT_TO_IMAGE)

    assert table["3"]["inputs"]["steps"] == {"type": "INT", "spec": {"default": 20, "min": 1, "max": 10000}}
    assert table["3"]["class_type"] == "KSampler"


def test_linked_inputs_are_no_parameters() -> None:
    table = ranges(TEXT_TO_IMAGE)

    assert set(table["3"]["inputs"]) == {"seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"}
    assert "8" not in table


def test_choices_hold_the_stored_model_although_the_catalogue_does_not_know_it() -> None:
    spec = ranges(TEXT_TO_IMAGE)["4"]["inputs"]["ckpt_name"]["spec"]

    assert spec["default"] == "majicMIX realistic 麦橘写实_v7.safetensors"
    assert spec["default"] in spec["options"]


def test_a_trial_run_lists_every_settable_input_and_changes_nothing() -> None:
    overrides = trial_run(TEXT_TO_IMAGE)

    graph, findings = TEXT_TO_IMAGE.apply(overrides)
    assert findings == ()
    assert graph == TEXT_TO_IMAGE.graph
    assert set(overrides) == {"3", "4", "5", "6", "7", "9"}


def test_a_trial_run_keeps_large_seeds_exact_and_wraps_lists() -> None:
    inputs = {"seed": 18446744073709551615, "flags": {"__value__": [False, True]}}
    mine = make_workflow("mine", {"1": {"class_type": "Custom", "inputs": inputs}}, CATALOGUE)

    assert trial_run(mine) == {"1": {"inputs": inputs}}


@pytest.mark.parametrize("sample", [TEXT_TO_IMAGE, IMAGE_TO_IMAGE], ids=lambda sample: sample.id)
def test_the_schema_takes_the_trial_run(sample: workflow.Workflow) -> None:
    schema = json_schema(sample)

    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(trial_run(sample))


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param({"3": {"inputs": {"steps": 0}}}, id="below"),
        pytest.param({"3": {"inputs": {"steps": "x"}}}, id="type"),
        pytest.param({"3": {"inputs": {"scheduler": "x"}}}, id="choice"),
        pytest.param({"3": {"inputs": {"model": "x"}}}, id="linked"),
        pytest.param({"3": {}}, id="inputs missing"),
        pytest.param({"99": {"inputs": {}}}, id="node"),
    ],
)
def test_the_schema_refuses_what_applying_finds_wrong(overrides: Any) -> None:
    assert not Draft202012Validator(json_schema(TEXT_TO_IMAGE)).is_valid(overrides)
    assert TEXT_TO_IMAGE.apply(overrides)[1]
