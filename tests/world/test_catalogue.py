"""The node catalogue is what `/object_info` showed, extended by what a user has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mockserver.errors import UserError
from mockserver.world import catalogue
from mockserver.world.catalogue import Catalogue

SHIPPED = catalogue.load()


def test_the_shipped_catalogue_has_every_class_of_the_recorded_server() -> None:
    assert len(SHIPPED) == 566
    assert all(SHIPPED[name].name == name for name in SHIPPED)


def test_a_class_tells_its_inputs_in_declared_order_with_ranges_and_choices() -> None:
    sampler = SHIPPED["KSampler"]

    assert list(sampler.inputs)[:4] == ["model", "seed", "steps", "cfg"]
    assert sampler.inputs["steps"].options == {"default": 20, "min": 1, "max": 10000}
    assert sampler.inputs["scheduler"].choices is not None
    assert "karras" in sampler.inputs["scheduler"].choices
    assert sampler.outputs == ("LATENT",)
    assert not sampler.output_node


def test_both_ways_of_writing_choices_read_alike() -> None:
    old, new = SHIPPED["KSampler"].inputs["scheduler"], SHIPPED["SaveVideo"].inputs["format"]

    assert (old.type, new.type) == ("COMBO", "COMBO")
    assert new.choices == ("auto", "mp4")


def test_a_chosen_option_brings_its_own_inputs() -> None:
    save = SHIPPED["SaveAudioAdvanced"]

    assert "format.quality" not in save.inputs_for({"format": "flac"})
    assert save.inputs_for({"format": "mp3"})["format.quality"].choices == ("V0", "128k", "320k")


def test_models_become_the_choices_wherever_their_folder_is_listed() -> None:
    extended = SHIPPED.extended(models={"checkpoints": ["a.safetensors"], "vae": ["v.safetensors"]})

    assert extended["CheckpointLoaderSimple"].inputs["ckpt_name"].choices == ("a.safetensors",)
    assert extended["unCLIPCheckpointLoader"].inputs["ckpt_name"].choices == ("a.safetensors",)
    assert extended["VAELoader"].inputs["vae_name"].choices == ("pixel_space", "v.safetensors")
    assert extended["LoraLoader"].inputs["lora_name"].choices == ()
    assert extended["KSampler"].inputs["scheduler"].choices == SHIPPED["KSampler"].inputs["scheduler"].choices
    assert extended.document["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] == ["a.safetensors"]


def test_extending_leaves_the_first_catalogue_as_it_was() -> None:
    SHIPPED.extended(models={"checkpoints": ["a.safetensors"]})

    assert SHIPPED["CheckpointLoaderSimple"].inputs["ckpt_name"].choices == ("v1-5-pruned-emaonly.safetensors",)


def test_classes_of_custom_nodes_are_added_from_a_saved_object_info(tmp_path: Path) -> None:
    file = tmp_path / "object_info.json"
    file.write_text(json.dumps({"Mine": {"input": {"required": {"n": ["INT", {"max": 3}]}}, "output": ["INT"]}}))

    extended = catalogue.load(nodes=[file])

    assert extended["Mine"].inputs["n"].options["max"] == 3
    assert len(extended) == len(SHIPPED) + 1


def test_models_are_read_from_lists_and_from_folders(tmp_path: Path) -> None:
    listed = tmp_path / "models.json"
    listed.write_text('{"checkpoints": ["a.safetensors"]}')
    (tmp_path / "models" / "loras" / "style").mkdir(parents=True)
    (tmp_path / "models" / "loras" / "style" / "b.safetensors").touch()

    extended = catalogue.load(models=[listed, tmp_path / "models"])

    assert extended["CheckpointLoaderSimple"].inputs["ckpt_name"].choices == ("a.safetensors",)
    assert extended["LoraLoader"].inputs["lora_name"].choices == ("style/b.safetensors",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param("{", "is not JSON", id="no JSON"),
        pytest.param("[]", "is no node catalogue", id="a list"),
        pytest.param('{"Mine": {"input": {}}}', "has no 'input' and 'output'", id="no outputs"),
        pytest.param(
            '{"Mine": {"input": {"required": {"n": []}}, "output": []}}', "not declared", id="empty declaration"
        ),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused_with_its_name_and_a_remedy(
    tmp_path: Path, content: str, told: str
) -> None:
    file = tmp_path / "nodes.json"
    file.write_text(content)

    with pytest.raises(UserError, match=told) as refused:
        catalogue.load(nodes=[file])

    assert str(file) in str(refused.value)


@pytest.mark.parametrize("content", ['["a"]', '{"checkpoints": "a"}', '{"checkpoints": [1]}'])
def test_a_file_that_is_no_list_of_models_is_refused_with_an_example(tmp_path: Path, content: str) -> None:
    file = tmp_path / "models.json"
    file.write_text(content)

    with pytest.raises(UserError, match="is no list of models: write"):
        catalogue.load(models=[file])


def test_a_class_nobody_knows_is_a_key_error() -> None:
    assert "Nowhere" not in SHIPPED
    assert SHIPPED.get("Nowhere") is None
    assert Catalogue({}).get("KSampler") is None
