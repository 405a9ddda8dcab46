"""What a ComfyUI server makes of odd requests, as its own Python would: what counts as true, nothing, or too much."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image

from tests.providers.comfyui_server import GRAPH, Server, saving

TROUBLE = b"500 Internal Server Error\n\nServer got itself in trouble"


def picture(colour: str = "red") -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(held, "PNG")
    return held.getvalue()


@pytest.mark.parametrize(
    ("more", "number"),
    [
        pytest.param({"front": 1}, -1, id="a number that is true"),
        pytest.param({"front": 0}, 1, id="a number that is false"),
        pytest.param({"front": "no"}, -1, id="a text"),
        pytest.param({"front": None}, 1, id="null"),
        pytest.param({"client_id": None}, 1, id="no client"),
        pytest.param({"client_id": 5}, 1, id="a client that is a number"),
    ],
)
def test_a_submit_takes_what_python_takes(server: Server, more: Any, number: int) -> None:
    server.submit(saving(1))

    answer = server.json("/prompt", {"prompt": saving(2), **more})

    assert answer["number"] == number


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b"null", 500, id="null"),
        pytest.param(b"5", 500, id="a number"),
        pytest.param(b"[1, 2]", 400, id="a list"),
        pytest.param(b"{}", 400, id="nothing in it"),
    ],
)
def test_a_submit_without_a_prompt_is_refused_as_python_would(server: Server, raw: bytes, status: int) -> None:
    assert server.call("/prompt", raw=raw)[0] == status


@pytest.mark.parametrize(
    ("body", "left"),
    [
        pytest.param({"clear": 1}, 0, id="clear by a number"),
        pytest.param({"clear": 0}, 1, id="clear by 0"),
        pytest.param({"delete": "abc"}, 1, id="delete by a text"),
        pytest.param({"delete": [5, None]}, 1, id="delete by no ids"),
    ],
)
def test_the_queue_is_cleared_by_whatever_is_true(server: Server, body: Any, left: int) -> None:
    server.submit(GRAPH)
    server.submit(saving())

    assert server.call("/queue", body)[0] == 200
    assert len(server.json("/queue")["queue_pending"]) == left


@pytest.mark.parametrize(
    ("raw", "status", "stops"),
    [
        pytest.param(b'{"prompt_id": null}', 200, True, id="null"),
        pytest.param(b'{"prompt_id": ""}', 200, True, id="empty"),
        pytest.param(b'{"prompt_id": 5}', 200, False, id="a number"),
        pytest.param(b"[]", 500, False, id="a list"),
    ],
)
def test_an_interrupt_without_an_id_stops_what_runs(server: Server, raw: bytes, status: int, stops: bool) -> None:
    id = server.submit(GRAPH)
    server.turn(0.5)

    assert server.call("/interrupt", raw=raw)[0] == status
    server.turn(3600)
    assert server.json(f"/history/{id}")[id]["status"]["status_str"] == ("error" if stops else "success")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        pytest.param("max_items=2", [3, 4], id="the newest"),
        pytest.param("max_items=2&offset=-1", [3, 4], id="an offset below 0 is none"),
        pytest.param("max_items=2&offset=1", [1, 2], id="from the oldest"),
        pytest.param("offset=3", [3, 4], id="all after"),
        pytest.param("max_items=0", [], id="none"),
    ],
)
def test_a_part_of_the_history(server: Server, query: str, shown: list[int]) -> None:
    ids = [server.submit(saving(color)) for color in range(5)]
    server.turn(3600)

    assert list(server.json(f"/history?{query}")) == [ids[at] for at in shown]


def test_jobs_are_filtered_and_counted_from_0(server: Server) -> None:
    for color in range(3):
        server.done(saving(color))

    whole, below = server.json("/api/jobs?status="), server.json("/api/jobs?offset=-3&limit=2")
    _, _, refused = server.call("/api/jobs?status=bogus,completed,nope")

    assert whole["pagination"]["total"] == 3
    assert below["pagination"] == {"offset": 0, "limit": 2, "total": 3, "has_more": True}
    assert json.loads(refused)["error"].startswith("Invalid status value(s): bogus, nope. Valid values: pending,")


def test_an_upload_into_a_folder_by_its_name_says_name_and_folder_as_sent(server: Server) -> None:
    server.upload("x.png", picture(), subfolder="my")

    assert server.upload("my/in.png", picture()) == {"name": "my/in.png", "subfolder": "", "type": "input"}
    assert server.upload("y.png", picture(), subfolder="my/")["subfolder"] == "my/"


def test_what_is_no_picture_has_no_preview_and_takes_no_mask(server: Server) -> None:
    server.upload("notes.txt", b"not a picture")
    server.upload("red.png", picture())
    ref = json.dumps({"filename": "red.png", "type": "input"})
    head = '--XX\r\nContent-Disposition: form-data; name="original_ref"\r\n\r\n'
    part = '\r\n--XX\r\nContent-Disposition: form-data; name="image"; filename="m.png"\r\n\r\nx\r\n--XX--\r\n'

    shown = server.call("/view?filename=notes.txt&type=input&preview=webp")
    masked = server.call(
        "/upload/mask", raw=(head + ref + part).encode(), Content_Type="multipart/form-data; boundary=XX"
    )

    assert [(status, body) for status, _, body in (shown, masked)] == [(500, TROUBLE)] * 2


def test_a_picture_that_has_not_changed_is_not_sent_again(server: Server) -> None:
    server.upload("red.png", picture())
    place = "/view?filename=red.png&type=input"
    _, headers, _ = server.call(place)

    assert server.call(place, If_None_Match=headers["etag"])[0] == 304
    assert server.call(place, If_Modified_Since=headers["last-modified"])[0] == 304
    assert server.call(place, If_Modified_Since="Sat, 01 Jan 2000 00:00:00 GMT")[0] == 200
    assert server.call(place, If_Modified_Since="yesterday")[0] == 200


@pytest.mark.parametrize("folder", ["/etc", "../..", "a/../../b"])
def test_no_folder_leads_out_of_the_root(server: Server, folder: str) -> None:
    assert server.call(f"/view?filename=x.png&subfolder={folder}")[0] == 403


def test_settings_are_replaced_whole_and_may_be_null(server: Server) -> None:
    server.call("/settings", {"a": {"b": 1}, "c": 2})
    server.call("/settings", {"a": {"d": None}, "c": None})
    server.call("/settings/e", raw=b"null")

    assert server.json("/settings") == {"a": {"d": None}, "c": None, "e": None}


def test_results_are_among_the_files_of_the_output_folder(server: Server) -> None:
    server.done(saving(1))
    server.done(saving(2, filename_prefix="sub/x"))
    server.turn(60)
    server.upload("late.png", picture(), type="output")

    assert server.json("/internal/files/output") == ["late.png [output]", "ComfyUI_00001_.png [output]"]


def test_pages_of_the_interface_stand_at_their_own_place_alone(server: Server) -> None:
    assert [server.call(path)[0] for path in ("/internal/logs", "/api/internal/logs")] == [200, 404]


def test_models_are_listed_with_size_and_times(server: Server) -> None:
    (file,) = server.json("/experiment/models/checkpoints")

    assert file["name"] == "v1-5-pruned-emaonly.safetensors"
    assert set(file) == {"name", "pathIndex", "modified", "created", "size"}
    assert server.call("/experiment/models/nowhere")[0] == 404
    assert "configs" not in [folder["name"] for folder in server.json("/experiment/models")]


def test_a_class_shows_its_inputs_in_the_order_that_editors_count_on(server: Server) -> None:
    shown = server.json("/object_info/KSampler")["KSampler"]

    assert list(shown["input"]["required"]) == shown["input_order"]["required"]
    assert list(shown)[:3] == ["input", "input_order", "is_input_list"]
    assert (shown["description"], shown["search_aliases"][0]) == ("", "sampler")


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(['{"type": "feature_flags", "data": {}}'], id="none"),
        pytest.param(['{"type": "feature_flags"}'], id="nothing said of them"),
        pytest.param(["not JSON", "[1]", '{"type": "feature_flags", "data": {}}'], id="after what cannot be read"),
    ],
)
def test_flags_are_answered_if_nothing_readable_came_before(server: Server, messages: list[str]) -> None:
    with server.socket() as feed:
        feed.recv()
        for message in messages:
            feed.send(message)

        assert json.loads(feed.recv())["type"] == "feature_flags"


def test_flags_after_another_message_are_ignored(server: Server) -> None:
    with server.socket() as feed:
        feed.recv()
        feed.send('{"type": "hello"}')
        feed.send('{"type": "feature_flags", "data": {}}')
        feed.ping()
        server.submit(saving())

        assert json.loads(feed.recv())["type"] == "status"


def test_a_name_that_is_not_latin_is_sent_as_it_is(server: Server) -> None:
    server.upload("猫.png", picture())

    _, headers, _ = server.call("/view?type=input&filename=%E7%8C%AB.png")

    assert headers["content-disposition"].encode("latin-1").decode() == 'filename="猫.png"'
