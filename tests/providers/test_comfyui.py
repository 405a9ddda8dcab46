"""The original ComfyUI server as its clients meet it: with urllib and websocket-client alone, over real sockets."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import websocket
from PIL import Image

from mockserver import data
from mockserver.settings import usual_port
from tests.providers.comfyui_server import GRAPH, Serve, Server, heard, kinds, saving

NODE = Path(__file__).resolve().parent.parent / "node"


def test_a_script_follows_a_graph_to_its_picture_in_real_time(serve: Serve) -> None:
    server = serve(rate=500.0)
    with server.socket() as feed:
        id = server.submit(GRAPH)
        frames = heard(feed, id)

    shown = [frame["data"]["output"] for frame in frames if frame["type"] == "executed"]
    assert [frame["data"]["value"] for frame in frames if frame["type"] == "progress"] == list(range(1, 21))
    assert server.json(f"/history/{id}")[id]["outputs"] == {"9": shown[0]}
    picture = Image.open(io.BytesIO(server.view(shown[0]["images"][0])))
    assert (picture.format, picture.size) == ("PNG", (512, 512))
    assert json.loads(picture.info["prompt"])["3"]["inputs"]["cfg"] == 8.0


def test_previews_come_as_the_client_can_take_them(server: Server) -> None:
    with server.socket() as plain, server.socket("other") as named:
        named.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
        json.loads(named.recv())
        assert json.loads(named.recv())["type"] == "feature_flags"
        one = server.submit(GRAPH, extra_data={"preview_method": "auto"})
        other = server.submit({**GRAPH, "3": sampler(seed=6)}, client_id="other", extra_data={"preview_method": "auto"})
        server.turn(3600)
        first = [frame for frame in heard(plain, one) if isinstance(frame, bytes)]
        second = [frame for frame in heard(named, other) if isinstance(frame, bytes)]

    assert {frame[:10] for frame in first} == {b"\0\0\0\1\0\0\0\1\xff\xd8"}
    assert len(first) == len(second) == 20
    length = int.from_bytes(second[0][4:8], "big")
    assert second[0][:4] == b"\0\0\0\4"
    assert json.loads(second[0][8 : 8 + length])["node_id"] == "3"
    assert Image.open(io.BytesIO(second[0][8 + length :])).size == (512, 512)


def sampler(**inputs: Any) -> Any:
    return {**GRAPH["3"], "inputs": {**GRAPH["3"]["inputs"], **inputs}}


def test_a_node_may_send_its_pictures_on_the_socket_instead_of_writing_them(server: Server) -> None:
    graph = saving()
    graph["2"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}
    with server.socket() as feed:
        id = server.submit(graph)
        server.turn(60)
        frames = heard(feed, id)

    (sent,) = (frame for frame in frames if isinstance(frame, bytes))
    assert sent[:12] == b"\0\0\0\1\0\0\0\2\x89PNG"
    assert Image.open(io.BytesIO(sent[8:])).size == (64, 48)
    assert server.json(f"/history/{id}")[id]["outputs"] == {}


def test_who_comes_back_hears_what_runs_and_a_stale_socket_takes_the_new_one_along(server: Server) -> None:
    id = server.submit(GRAPH)
    server.turn(0.5)
    with server.socket() as stale, server.socket() as feed:
        greeting, resumed = json.loads(feed.recv()), json.loads(feed.recv())
        stale.close()
        server.turn(3600)
        feed.settimeout(0.3)
        with pytest.raises(websocket.WebSocketTimeoutException):
            feed.recv()

    assert greeting["data"] == {"status": {"exec_info": {"queue_remaining": 1}}, "sid": server.client}
    assert resumed == {"type": "executing", "data": {"node": "4"}}
    assert server.json(f"/history/{id}")[id]["status"]["completed"] is True


def test_a_run_of_nobody_is_told_to_all_in_part(server: Server) -> None:
    with server.socket() as feed:
        feed.recv()
        server.json("/prompt", {"prompt": saving()})
        server.turn(60)
        frames = [json.loads(feed.recv()) for _ in range(7)]

    assert kinds(frames) == ["status", "status", *["progress_state"] * 4, "status"]


def test_the_lowest_number_goes_first_and_an_interrupt_stops_at_the_next_step(server: Server) -> None:
    running_one, late, early = server.submit(GRAPH), server.submit(saving(1)), server.submit(saving(2), front=True)
    server.turn(1)
    queue = server.json("/queue")
    server.call("/interrupt", raw=b"not JSON")
    server.turn(600)

    assert [item[1] for item in queue["queue_running"]] == [running_one]
    assert [item[1] for item in queue["queue_pending"]] == [early, late]
    history = server.json("/history")
    assert list(history) == [running_one, early, late]
    assert history[running_one]["status"]["messages"][-1][0] == "execution_interrupted"
    assert server.json(f"/api/jobs/{running_one}")["status"] == "cancelled"


def test_what_has_not_changed_is_not_run_again_whatever_the_nodes_are_called(server: Server) -> None:
    first = server.done(saving(5))
    renamed = {"a": saving(5)["1"], "b": saving(5, images=["a", 0])["2"]}
    again, other = server.done(renamed), server.done(saving(6))

    assert [dict(one["status"]["messages"])["execution_cached"]["nodes"] for one in (first, again, other)] == [
        [],
        ["a", "b"],
        [],
    ]
    assert again["outputs"]["b"] == first["outputs"]["2"]
    assert other["outputs"]["2"]["images"][0]["filename"] == "ComfyUI_00002_.png"


def test_without_a_cache_every_run_writes_anew(serve: Serve) -> None:
    server = serve(readings={"caching": "none"})

    names = [server.done(saving(5))["outputs"]["2"]["images"][0]["filename"] for _ in range(2)]

    assert names == ["ComfyUI_00001_.png", "ComfyUI_00002_.png"]


def test_a_prefix_may_name_a_folder_the_date_and_the_size(server: Server) -> None:
    graph = saving(7, filename_prefix="sub/%year%-%month%_%width%x%height%_%batch_num%")
    graph["1"]["inputs"]["batch_size"] = 2

    images = server.done(graph)["outputs"]["2"]["images"]

    assert [image["filename"] for image in images] == ["2026-11_64x48_0_00001_.png", "2026-11_64x48_1_00002_.png"]
    assert {image["subfolder"] for image in images} == {"sub"}
    assert len(server.view(images[1])) > 0


def test_a_prefix_that_leaves_the_folder_ends_the_run(server: Server) -> None:
    messages = dict(server.done(saving(8, filename_prefix="../../out"))["status"]["messages"])

    error = messages["execution_error"]
    assert (error["exception_type"], error["node_id"], error["executed"]) == ("Exception", "2", ["1"])
    assert error["exception_message"].startswith("**** ERROR: Saving image outside the output folder is not allowed.")


def test_memory_runs_out_on_demand(server: Server) -> None:
    _, _, body = server.call("/prompt", {"prompt": GRAPH}, X_Mock_Fail="out-of-memory")
    id = json.loads(body)["prompt_id"]
    server.turn(3600)

    (error,) = (
        data for kind, data in server.json(f"/history/{id}")[id]["status"]["messages"] if kind == "execution_error"
    )
    assert error["exception_type"] == "torch.OutOfMemoryError"
    assert set(error) == {
        "prompt_id", "node_id", "node_type", "executed", "exception_message", "exception_type", "traceback",
        "current_inputs", "current_outputs", "timestamp",
    }  # fmt: skip


def test_an_upload_is_at_once_among_the_choices_and_can_be_loaded(server: Server) -> None:
    held = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(held, "PNG")
    named = [server.upload("in.png", held.getvalue())["name"], server.upload("in.png", b"other")["name"]]
    (choices, _) = server.json("/object_info/LoadImage")["LoadImage"]["input"]["required"]["image"]
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": "in.png"}}, "2": saving(0)["2"]}

    outputs = server.done(graph)["outputs"]

    assert choices == sorted(named) == ["in (1).png", "in.png"]
    assert Image.open(io.BytesIO(server.view(outputs["2"]["images"][0]))).size == (40, 30)


def test_a_masks_alpha_is_laid_over_the_original(server: Server) -> None:
    pictures = []
    for mode, colour in (("RGB", (255, 0, 0)), ("RGBA", (0, 0, 0, 64))):
        held = io.BytesIO()
        Image.new(mode, (8, 8), colour).save(held, "PNG")
        pictures.append(held.getvalue())
    server.upload("red.png", pictures[0])
    ref = json.dumps({"filename": "red.png", "type": "input"})
    masked = server.upload("mask.png", pictures[1], "/upload/mask", original_ref=ref, subfolder="clipspace")

    content = server.view({"filename": masked["name"], "subfolder": "clipspace", "type": "input"})

    assert Image.open(io.BytesIO(content)).getpixel((0, 0)) == (255, 0, 0, 64)


def test_pages_of_other_sites_are_let_in_where_the_server_was_told_so(serve: Serve) -> None:
    server = serve(readings={"other-sites": "let-in"})

    status, headers, _ = server.call("/prompt", Origin="http://evil.example")

    assert (status, headers["access-control-allow-origin"]) == (200, "*")


def test_old_clients_may_choose_any_id(serve: Serve) -> None:
    assert serve(readings={"prompt-ids": "any"}).submit(saving(), prompt_id="mine") == "mine"


def test_a_plain_get_of_the_socket_says_what_is_missing(server: Server) -> None:
    status, _, body = server.call("/ws")

    assert (status, body) == (400, b'No WebSocket UPGRADE hdr: None\n Can "Upgrade" only to "WebSocket".')


def test_own_models_are_shown_wherever_files_are_listed(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.write_text(
        json.dumps(
            {"checkpoints": ["mine.safetensors"], "loras": ["style.safetensors"], "embeddings": ["bad.hands.pt"]}
        )
    )
    server = serve(models=(file,))

    shown = server.json("/object_info/CheckpointLoaderSimple")["CheckpointLoaderSimple"]
    assert server.json("/models/checkpoints") == shown["input"]["required"]["ckpt_name"][0] == ["mine.safetensors"]
    assert server.json("/models/loras") == ["style.safetensors"]
    assert server.json("/embeddings") == ["bad.hands"]
    assert [file["name"] for file in server.json("/experiment/models/loras")] == ["style.safetensors"]
    assert server.call("/prompt", {"prompt": GRAPH})[0] == 400


def test_the_whole_catalogue_is_listed(server: Server) -> None:
    assert len(server.json("/object_info")) == 566
    assert server.json("/object_info/Some%20Node%20%5Bx%5D") == {}


def test_a_thousand_nodes_run_to_their_end_and_are_found_again(server: Server) -> None:
    row = {f"n{i}": {"class_type": "ImageInvert", "inputs": {"image": [f"n{i - 1}", 0]}} for i in range(1, 1000)}
    graph = {"n0": saving()["1"], **row, "2": saving(images=["n999", 0])["2"]}

    first, again = server.done(graph), server.done(graph)

    assert first["outputs"]["2"] == again["outputs"]["2"]
    assert len(dict(again["status"]["messages"])["execution_cached"]["nodes"]) == 1001


def test_alone_it_stands_at_its_own_port() -> None:
    assert usual_port(data.schemas(), ("comfyui",)) == 8188
    assert usual_port(data.schemas(), ("comfyui", "genstudio")) == 8787


def test_a_node_script_follows_a_graph_to_its_picture(
    serve: Serve, require_tool: Callable[[str], str], tmp_path: Path
) -> None:
    node = require_tool("node")
    if not (NODE / "node_modules" / "ws").exists():
        pytest.skip("the packages of tests/node are not installed")
    saved = tmp_path / "cat.png"
    environment = os.environ | {
        "COMFYUI_URL": serve(rate=500.0).url,
        "COMFYUI_REQUEST": str(data.fixtures() / "comfyui" / "text-to-image.request.json"),
        "COMFYUI_SAVE": str(saved),
    }

    done = subprocess.run(
        [node, "comfyui.js"], cwd=NODE, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert Image.open(io.BytesIO(saved.read_bytes())).size == (512, 512)


def test_the_published_client_comfy_api_simplified_runs_unchanged(
    serve: Serve, require_package: Callable[[str], Any]
) -> None:
    package = require_package("comfy_api_simplified")
    api = package.ComfyApiWrapper(serve(rate=20.0).url)
    graph = {id: {**node, "_meta": {"title": node["class_type"]}} for id, node in GRAPH.items()}

    results = api.queue_and_wait_images(package.ComfyWorkflowWrapper(graph), "SaveImage")

    assert [Image.open(io.BytesIO(content)).size for content in results.values()] == [(512, 512)]


def test_the_published_client_comfyui_workflow_client_runs_unchanged(
    serve: Serve, require_package: Callable[[str], Any], tmp_path: Path
) -> None:
    package = require_package("comfyuiclient.client")
    workflow = tmp_path / "workflow.json"
    workflow.write_text(json.dumps(GRAPH))
    client = package.ComfyUIClientAsync(serve(rate=100.0).url.removeprefix("http://"), str(workflow))

    async def story() -> Any:
        await client.connect()
        try:
            await client.set_data(key="KSampler", seed=7)
            return await client.generate(["SaveImage"])
        finally:
            await client.close()

    assert asyncio.run(story())["SaveImage"].size == (512, 512)


def test_own_files_take_the_place_of_drawn_ones(serve: Serve, tmp_path: Path) -> None:
    held = io.BytesIO()
    Image.new("RGB", (11, 7), "red").save(held, "PNG")
    (tmp_path / "mine.png").write_bytes(held.getvalue())
    server = serve(results_dir=tmp_path)

    assert server.view(server.done(saving())["outputs"]["2"]["images"][0]) == held.getvalue()


@pytest.mark.parametrize(
    ("name", "key", "inputs"),
    [
        pytest.param(
            "SaveAnimatedWEBP",
            "animated",
            {"fps": 6.0, "lossless": True, "quality": 80, "method": "default"},
            id="webp",
        ),
        pytest.param("SaveAnimatedPNG", "animated", {"fps": 6.0, "compress_level": 4}, id="apng"),
        pytest.param("PreviewImage", "images", {}, id="preview"),
    ],
)
def test_output_nodes_list_their_files_as_the_original_does(server: Server, name: str, key: str, inputs: Any) -> None:
    graph = saving()
    graph["2"] = {"class_type": name, "inputs": {"images": ["1", 0], "filename_prefix": "ComfyUI", **inputs}}

    output = server.done(graph)["outputs"]["2"]

    assert key in output
    assert Image.open(io.BytesIO(server.view(output["images"][0]))).size == (64, 48)


def test_a_text_is_shown_and_written_nowhere(server: Server) -> None:
    graph = {"1": {"class_type": "PreviewAny", "inputs": {"source": "hello"}}}

    assert server.done(graph)["outputs"] == {"1": {"text": ["hello"]}}
