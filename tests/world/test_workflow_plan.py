"""A plan covers what runs, in ComfyUI's order, from share 0 to share 1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver import data
from mockserver.world import catalogue, workflow
from mockserver.world.order import signature, signatures
from mockserver.world.plan import Plan, duration, fresh_seeds, image_inputs, make_plan, prompt_texts

CATALOGUE = catalogue.load()
SAMPLES = workflow.load(data.fixtures() / "workflows", CATALOGUE)
TEXT_TO_IMAGE = SAMPLES["wf-c73diz7kadp6ffgn"]
IMAGE_TO_IMAGE = SAMPLES["wf-c73epllu4i3bxvzr"]
RECORDED = [
    case
    for line in (data.fixtures() / "comfyui" / "validation.jsonl").read_text("utf-8").splitlines()
    if "order" in (case := json.loads(line))
]


class Dice:
    """A stream of chance."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def uniform(self, low: float, high: float) -> float:
        return self.random.uniform(low, high)

    def below(self, limit: int) -> int:
        return self.random.randrange(limit)

    def text(self, alphabet: str, length: int) -> str:
        return "".join(self.random.choices(alphabet, k=length))


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def order(plan: Plan) -> list[str]:
    return [each.id for each in plan.nodes]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["case"])
def test_nodes_run_in_the_order_the_real_server_ran_them(case: Mapping[str, Any]) -> None:
    plan = make_plan(case["request"]["prompt"], CATALOGUE, targets=case.get("targets"))

    ran = [each for each in order(plan) if each not in case["answer"]["node_errors"]]
    assert ran == case["order"]


def test_only_nodes_that_a_target_needs_are_planned() -> None:
    graph = {
        "1": node("EmptyImage", width=64, height=64, batch_size=1, color=0),
        "2": node("SaveImage", images=["1", 0], filename_prefix="a"),
        "3": node("ImageInvert", image=["1", 0]),
        "4": node("PreviewImage", images=["3", 0]),
    }

    assert order(make_plan(graph, CATALOGUE, targets=["2"])) == ["1", "2"]
    assert order(make_plan(graph, CATALOGUE)) == ["1", "2", "3", "4"]


def test_cached_nodes_come_first_and_take_no_time() -> None:
    plan = make_plan(TEXT_TO_IMAGE.graph, CATALOGUE, cached={"4", "5", "6", "7"})

    assert set(order(plan)[:4]) == {"4", "5", "6", "7"}
    assert order(plan)[4:] == ["3", "8", "9"]
    assert [(each.start, each.end) for each in plan.nodes[:4]] == [(0, 0)] * 4
    assert plan.position(0) == (4, 0)


def test_what_only_cached_nodes_need_is_left_out() -> None:
    assert order(make_plan(TEXT_TO_IMAGE.graph, CATALOGUE, cached={"3", "4"})) == ["4", "3", "8", "9"]


def test_a_run_of_cached_nodes_alone_takes_milliseconds_and_ends_like_any() -> None:
    plan = make_plan(TEXT_TO_IMAGE.graph, CATALOGUE, cached=set(TEXT_TO_IMAGE.graph))

    assert 0 < duration(plan, Dice(1)) < 0.1
    assert plan.progress(0.99) < plan.progress(1) == 1


@pytest.mark.parametrize(
    ("sampler", "steps"),
    [
        pytest.param(node("KSampler", steps=7, latent_image=["1", 0]), 7, id="KSampler"),
        pytest.param(
            node("KSamplerAdvanced", steps=20, start_at_step=5, end_at_step=10000, latent_image=["1", 0]),
            15,
            id="KSamplerAdvanced to the end",
        ),
        pytest.param(
            node("KSamplerAdvanced", steps=20, start_at_step=0, end_at_step=12, latent_image=["1", 0]),
            12,
            id="KSamplerAdvanced from the start",
        ),
        pytest.param(node("SamplerCustom", sigmas=["2", 0], latent_image=["1", 0]), 9, id="steps of its scheduler"),
        pytest.param(node("KSampler", steps=["3", 0], latent_image=["1", 0]), 11, id="steps of a primitive"),
        pytest.param(node("VAEDecode", samples=["1", 0]), 1, id="anything else"),
    ],
)
def test_steps_come_from_the_nodes_own_inputs(sampler: dict[str, Any], steps: int) -> None:
    graph = {
        "1": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "2": node("BasicScheduler", steps=9, scheduler="normal", denoise=1),
        "3": node("PrimitiveInt", value=11),
        "5": sampler,
        "9": node("PreviewAny", source=["5", 0]),
    }

    planned = {each.id: each.steps for each in make_plan(graph, CATALOGUE).nodes}

    assert planned["5"] == steps


SOURCES: dict[str, Any] = {
    "1": node("EmptyLatentImage", width=640, height=384, batch_size=2),
    "2": node("LatentUpscaleBy", samples=["1", 0], scale_by=1.5),
    "3": node("RepeatLatentBatch", samples=["1", 0], amount=3),
    "4": node("LoadImage", image="mine.png"),
    "5": node("ImageScale", image=["4", 0], width=200, height=0),
    "6": node("ImageUpscaleWithModel", image=["4", 0], upscale_model=["9", 0]),
    "7": node("ImageBatch", image1=["4", 0], image2=["5", 0]),
    "8": node("Nowhere", a=1),
    "9": node("UpscaleModelLoader", model_name="x"),
}


@pytest.mark.parametrize(
    ("source", "shape"),
    [
        pytest.param("1", (640, 384, 2), id="its own"),
        pytest.param("2", (960, 576, 2), id="scaled"),
        pytest.param("3", (640, 384, 6), id="repeated"),
        pytest.param("4", (100, 50, 1), id="a file's"),
        pytest.param("5", (200, 100, 1), id="one side given"),
        pytest.param("6", (400, 200, 1), id="upscale model"),
        pytest.param("7", (100, 50, 2), id="joined"),
        pytest.param("8", (512, 512, 1), id="unknown"),
    ],
)
def test_size_and_batch_of_images_are_found_along_the_links(source: str, shape: tuple[int, int, int]) -> None:
    graph = {**SOURCES, "end": node("SaveImage", images=[source, 0], filename_prefix="sub/pre")}

    (output,) = make_plan(graph, CATALOGUE, targets=["end"], sizes={"mine.png": (100, 50)}).nodes[-1].outputs

    assert (output.width, output.height, output.count) == shape
    assert (output.media, output.extension, output.prefix, output.root) == ("image/png", "png", "sub/pre", "output")


@pytest.mark.parametrize(
    ("saver", "shown"),
    [
        pytest.param(node("PreviewImage"), [("image", "png", "temp", "ComfyUI_temp")], id="preview"),
        pytest.param(node("SaveAnimatedWEBP", filename_prefix="a"), [("animation", "webp", "output", "a")], id="webp"),
        pytest.param(node("SaveAudioMP3"), [("audio", "mp3", "output", "audio/ComfyUI")], id="mp3"),
        pytest.param(
            node("SaveAudioAdvanced", format="opus"), [("audio", "opus", "output", "audio/ComfyUI")], id="opus"
        ),
        pytest.param(node("SaveVideo"), [("video", "mp4", "output", "video/ComfyUI")], id="video"),
        pytest.param(node("SaveGLB"), [("3d", "glb", "output", "3d/ComfyUI")], id="3d"),
        pytest.param(node("SaveLatent"), [("latent", "latent", "output", "latents/ComfyUI")], id="latent"),
        pytest.param(node("SaveSVGNode"), [("svg", "svg", "output", "svg/ComfyUI")], id="svg"),
        pytest.param(node("PreviewAny"), [("text", "", "output", "ComfyUI")], id="text"),
        pytest.param(node("SaveImageWebsocket"), [], id="no files"),
        pytest.param(node("Save Mine (custom)"), [("image", "png", "output", "ComfyUI")], id="class nobody knows"),
    ],
)
def test_each_output_class_writes_its_kind_of_file(saver: dict[str, Any], shown: list[Any]) -> None:
    plan = make_plan({"1": saver}, CATALOGUE)

    outputs = plan.nodes[0].outputs
    assert [(one.kind, one.extension, one.root, one.prefix) for one in outputs] == shown


def test_every_output_class_of_the_catalogue_can_be_planned() -> None:
    for name in [name for name in CATALOGUE if CATALOGUE[name].output_node]:
        assert len(make_plan({"1": node(name)}, CATALOGUE).nodes) == 1


def test_prompts_seeds_and_images_are_read_from_the_graph_at_hand() -> None:
    graph, _ = IMAGE_TO_IMAGE.apply({"6": {"inputs": {"text": "a fox"}}, "10": {"inputs": {"image": "mine.png"}}})
    plan = IMAGE_TO_IMAGE.plan(graph)

    assert prompt_texts(plan, graph) == ("a fox", "")
    assert image_inputs(plan, graph) == (("10", "mine.png"),)
    assert plan.seeds == (("3", "seed"),)
    assert list(fresh_seeds(plan, Dice(1))) == ["3"]


def test_prompts_are_found_through_guiders_and_control_nets() -> None:
    graph = {
        "1": node("CLIPTextEncode", text=["2", 0]),
        "2": node("PrimitiveStringMultiline", value="a fox"),
        "3": node("CLIPTextEncode", text="blurry"),
        "4": node("ControlNetApplyAdvanced", positive=["1", 0], negative=["3", 0]),
        "5": node("CFGGuider", positive=["4", 0], negative=["4", 1]),
        "6": node("SamplerCustomAdvanced", guider=["5", 0], latent_image=["7", 0]),
        "7": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "8": node("PreviewAny", source=["6", 0]),
    }

    assert prompt_texts(make_plan(graph, CATALOGUE), graph) == ("a fox", "blurry")


@pytest.mark.parametrize("steps", [10, 20, 30])
@pytest.mark.parametrize("pixels", [512, 1024])
def test_usual_work_takes_as_long_as_real_runs_did(steps: int, pixels: int) -> None:
    graph, _ = TEXT_TO_IMAGE.apply(
        {"3": {"inputs": {"steps": steps}}, "5": {"inputs": {"width": pixels, "height": pixels}}}
    )

    drawn = [duration(TEXT_TO_IMAGE.plan(graph), Dice(seed)) for seed in range(100)]

    assert min(drawn) >= 13
    assert max(drawn) <= 93


def test_more_steps_and_more_pixels_take_longer() -> None:
    plain = TEXT_TO_IMAGE.plan()
    slower = TEXT_TO_IMAGE.plan(TEXT_TO_IMAGE.apply({"3": {"inputs": {"steps": 40}}})[0])
    larger = TEXT_TO_IMAGE.plan(TEXT_TO_IMAGE.apply({"5": {"inputs": {"width": 1024}}})[0])

    assert duration(plain, Dice(1)) < duration(larger, Dice(1)) < duration(slower, Dice(1))


def test_equal_work_under_other_ids_has_equal_signatures() -> None:
    first = {"1": node("EmptyImage", width=64), "2": node("SaveImage", images=["1", 0])}
    other = {"a": node("EmptyImage", width=64), "b": node("SaveImage", images=["a", 0])}

    assert signature(first, "2") == signature(other, "b")


def test_a_changed_literal_changes_its_node_and_all_below() -> None:
    before = signatures(TEXT_TO_IMAGE.graph)
    after = signatures(TEXT_TO_IMAGE.apply({"6": {"inputs": {"text": "a fox"}}})[0])

    assert {each for each in before if before[each] != after[each]} == {"6", "3", "8", "9"}
    assert TEXT_TO_IMAGE.plan().cached(after, set(before.values())) == {"4", "5", "7"}


def test_another_content_of_an_input_file_changes_the_signature() -> None:
    graph = IMAGE_TO_IMAGE.graph

    assert signature(graph, "10", {"example.png": "aa"}) != signature(graph, "10", {"example.png": "bb"})


IDS = [str(number) for number in range(8)]
CLASSES = ["EmptyLatentImage", "KSampler", "VAEDecode", "SaveImage", "PreviewImage", "Custom", "PrimitiveInt"]


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """Graphs without circles: each node links to earlier ones, then their order is shuffled."""
    made: dict[str, Any] = {}
    for each in IDS[: draw(st.integers(1, len(IDS)))]:
        links = draw(st.lists(st.sampled_from(list(made)), max_size=3)) if made else []
        values = {"steps": draw(st.integers(1, 40)), "width": draw(st.integers(1, 3000))}
        inputs = {f"in{number}": [source, 0] for number, source in enumerate(links)}
        made[each] = node(draw(st.sampled_from(CLASSES)), **values, **inputs)
    return {each: made[each] for each in draw(st.permutations(list(made)))}


def reachable(graph: Mapping[str, Any], starts: list[str]) -> set[str]:
    found: set[str] = set()
    while starts:
        each = starts.pop()
        found.add(each)
        starts += [value[0] for value in graph[each]["inputs"].values() if isinstance(value, list)]
    return found


@given(graphs())
def test_a_plan_covers_every_node_an_output_needs_once_with_sources_first(graph: dict[str, Any]) -> None:
    planned = order(make_plan(graph, CATALOGUE))

    outputs = [each for each in graph if graph[each]["class_type"] in ("SaveImage", "PreviewImage")]
    assert sorted(planned) == sorted(reachable(graph, outputs))
    for each in planned:
        for value in graph[each]["inputs"].values():
            assert not isinstance(value, list) or planned.index(value[0]) < planned.index(each)


@given(graphs(), st.lists(st.floats(0, 1), min_size=1))
def test_shares_and_progress_grow_from_nothing_to_all(graph: dict[str, Any], shares: list[float]) -> None:
    plan = make_plan(graph, CATALOGUE)

    bounds = [0.0, *(bound for each in plan.nodes for bound in (each.start, each.end)), 1.0]
    progress = [plan.progress(share) for share in sorted([0.0, *shares, 1.0])]
    assert bounds == sorted(bounds)
    assert progress == sorted(progress)
    assert (plan.progress(0.0), plan.progress(1.0)) == (0.0, 1.0)
    assert all(plan.progress(share) < 1 for share in shares if share < 1)


@given(graphs())
def test_at_the_share_of_a_step_that_step_is_the_last_finished(graph: dict[str, Any]) -> None:
    plan = make_plan(graph, CATALOGUE)

    for index, each in enumerate(plan.nodes):
        for step in range(each.steps):
            assert plan.position(plan.share(index, step)) == (index, step)


def test_an_empty_plan_has_no_progress_until_its_end() -> None:
    plan = make_plan({"1": node("EmptyImage")}, CATALOGUE)

    assert plan.nodes == ()
    assert (plan.position(0.5), plan.progress(0.5), plan.progress(1)) == ((0, 0), 0.0, 1.0)


@given(st.dictionaries(st.sampled_from(IDS), st.dictionaries(st.sampled_from(IDS), st.sampled_from(IDS))))
def test_circles_and_links_to_nowhere_do_not_stop_a_plan(links: dict[str, dict[str, str]]) -> None:
    graph = {
        each: node("PreviewAny", **{name: [source, 0] for name, source in sources.items()})
        for each, sources in links.items()
    }

    make_plan(graph, CATALOGUE)
    signatures(graph)
