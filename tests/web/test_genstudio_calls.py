"""GenStudio's calls, as its page tells them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jwt
import pytest

from tests.web.api import Api, Serve, opened, picture

QUEUED, RUNNING, SUCCEEDED, FAILED, FOREIGN = 1, 2, 3, 4, 5


def test_a_submit_answers_at_once_with_an_id_and_a_token_of_24_hours(api: Api) -> None:
    submitted = api.submit()

    claims = jwt.decode(submitted["prompt_token"], options={"verify_signature": False})
    assert claims == {
        "tenant_id": claims["tenant_id"],
        "task_id": submitted["prompt_id"],
        "iss": "infini",
        "exp": 1_790_000_000 + 86400,
    }
    assert jwt.get_unverified_header(submitted["prompt_token"]) == {"alg": "HS256", "typ": "JWT"}


def test_a_task_runs_and_its_result_is_a_picture_of_the_size_asked(api: Api) -> None:
    task = api.submit(n5={"width": 320, "height": 192})["prompt_id"]
    assert api.info(task)["status"] == RUNNING

    api.clock(jump=300)

    done = api.info(task)
    assert (done["status"], done["progress_num"], done["errMsg"]) == (SUCCEEDED, 100, "")
    (link,) = done["final_files"]
    assert list(done["files"]) == ["9"]
    answer = api.http.get(link)
    assert answer.headers["content-type"] == "image/png"
    result = opened(answer.content)
    assert (result.format, result.size) == ("PNG", (320, 192))
    assert '"ckpt_name"' in result.info["prompt"]  # a PNG text chunk


def test_a_batch_gives_as_many_pictures_and_they_differ(api: Api) -> None:
    task = api.submit(n5={"width": 64, "height": 64, "batch_size": 3})["prompt_id"]
    api.clock(jump=600)

    links = api.info(task)["final_files"]

    assert len({api.http.get(link).content for link in links}) == len(links) == 3


def test_progress_never_falls_and_reaches_100_only_at_the_end(api: Api) -> None:
    task = api.submit()["prompt_id"]

    seen = [api.info(task)]
    while seen[-1]["status"] == RUNNING:
        api.clock(jump=1)
        seen.append(api.info(task))

    progress = [info["progress_num"] for info in seen]
    assert all(earlier <= later for earlier, later in pairwise(progress))
    assert [info["status"] == SUCCEEDED for info in seen] == [number == 100 for number in progress]
    assert len(set(progress)) > 10


def test_a_hundred_tasks_finish_by_jumps_with_exact_positions(api: Api) -> None:
    tasks = [api.submit(n5={"width": 64, "height": 64})["prompt_id"] for _ in range(100)]
    waiting = tasks[2:]  # two slots

    while waiting:
        infos = api.infos(*waiting)
        assert [info["current_position"] for info in infos] == list(range(1, len(waiting) + 1))
        assert {info["queue_size"] for info in infos} == {len(waiting)}
        api.clock(next=True)
        waiting = [info["comfy_task_id"] for info in api.infos(*tasks) if info["status"] == QUEUED]
    api.clock(jump=1000)

    assert {info["status"] for info in api.infos(*tasks)} == {SUCCEEDED}


def test_cancelling_a_waiting_task_lets_the_others_move_up(serve: Serve) -> None:
    api = serve(slots=1)
    running, first, second = (api.submit()["prompt_id"] for _ in range(3))

    answer = api.post("cancel", {"prompt_id": first})

    assert answer.json() == {"code": 0, "msg": "Success", "data": None}
    states = [(info["status"], info["current_position"]) for info in api.infos(running, first, second)]
    assert states == [(RUNNING, 0), (FAILED, 0), (QUEUED, 1)]


@pytest.mark.parametrize("field", ["prompt_id", "comfy_task_id", "task_id"])
def test_cancel_takes_the_id_under_every_name_it_has(api: Api, field: str) -> None:
    task = api.submit()["prompt_id"]

    api.post("cancel", {field: task})

    assert api.info(task)["status"] == FAILED


def test_an_image_to_image_run_shows_the_uploaded_picture(api: Api) -> None:
    image = api.upload(picture((64, 64), "#ff00ff"))
    task = api.submit("image-to-image", n10={"image": image})["prompt_id"]
    api.clock(jump=300)

    (link,) = api.info(task)["final_files"]

    red, green, blue = opened(api.http.get(link).content).convert("RGB").split()
    pixels = zip(red.tobytes(), green.tobytes(), blue.tobytes(), strict=True)
    assert sum(r > 230 and g < 30 and b > 230 for r, g, b in pixels) > 200, "no magenta of the input is to be seen"


def test_an_unknown_input_image_fails_the_task_in_the_recorded_words(api: Api) -> None:
    missing = "te-aaaaaaaaaaaaaaaa/ac-aaaaaaaaaaaaaaaa/sui-aaaaaaaaaaaaaaaa.png"
    task = api.submit("image-to-image", n10={"image": missing})["prompt_id"]
    api.clock(jump=300)

    info = api.info(task)

    assert (info["status"], info["final_files"]) == (FAILED, [])
    assert info["errMsg"].startswith(
        "node 10: download inputs failed:downloadImageFromOss failed: [20000] Unknown error [[OssService]"
    )
    assert info["errMsg"].endswith(f"nodeType: LoadImage, inputUrlStr: {missing}, taskID: {task}")


def test_a_public_address_of_a_store_is_taken_as_input_without_being_fetched(api: Api) -> None:
    task = api.submit("image-to-image", n10={"image": "https://b.oss-cn-beijing.aliyuncs.com/a.png"})["prompt_id"]
    other = api.submit("image-to-image", n10={"image": "https://example.com/a.png"})["prompt_id"]
    api.clock(jump=300)

    assert [info["status"] for info in api.infos(task, other)] == [SUCCEEDED, FAILED]


def test_each_key_is_its_own_tenant(api: Api) -> None:
    task = api.submit()["prompt_id"]
    stranger = api.other("sk-somebodyElse")

    info = stranger.info(task)

    assert (info["comfy_task_id"], info["status"], info["files"], info["final_files"]) == (task, FOREIGN, {}, [])


def test_a_key_keeps_its_tasks_however_many_others_come_by(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockserver.world.lives.MOST_OWNERS", 3)
    task = api.submit()["prompt_id"]

    for number in range(5):
        assert api.other(f"sk-passer-by-{number}").info(task)["status"] == 5

    assert api.info(task)["status"] == 2


def test_unknown_ids_are_left_out_and_the_rest_keep_their_order(api: Api) -> None:
    one, two = api.submit()["prompt_id"], api.submit()["prompt_id"]

    infos = api.infos(two, "cft-aaaaaaaaaaaaaaaa", one)

    assert [info["comfy_task_id"] for info in infos] == [two, one]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            {"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": {"3": {}}},
            "Invalid Field [[handler][ApiMaaSComfyTaskPrompt] node has no inputs 3]",
            id="node without inputs",
        ),
        pytest.param(
            {"workflow_id": "wf-aaaaaaaaaaaaaaaa", "prompt": {}},
            "DB error [[handler][ApiMaaSComfyTaskPrompt] not find workflow  [wf-aaaaaaaaaaaaaaaa]]",
            id="unknown workflow",
        ),
    ],
)
def test_documented_rejections_come_in_the_documented_words(api: Api, body: dict[str, Any], message: str) -> None:
    answer = api.post("prompt", body)

    assert (answer.status_code, answer.json()["msg"], answer.json()["data"]) == (200, message, None)
    assert answer.json()["code"] != 0


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        pytest.param("prompt", {"content": b"{not json"}, id="not JSON"),
        pytest.param("prompt", {"content": b""}, id="no body"),
        pytest.param("prompt", {"json": []}, id="a list"),
        pytest.param("prompt", {"json": {"workflow_id": 7, "prompt": {}}}, id="wrong type"),
        pytest.param("prompt", {"json": {"prompt": {}}}, id="workflow missing"),
        pytest.param("prompt", {"json": {"workflow_id": "", "prompt": {}}}, id="workflow empty"),
        pytest.param("get_task_info", {"json": {"comfy_task_ids": "cft-x"}}, id="id list is text"),
        pytest.param(
            "upload/image",
            {"content": b"--x", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            id="broken multipart",
        ),
        pytest.param("upload/image", {"json": {}}, id="JSON where multipart belongs"),
        pytest.param("upload/image", {"files": {"source_file": ("a.png", b"no picture")}}, id="not an image"),
        pytest.param(
            "upload/image", {"data": {"source_file": "text"}, "files": {"x": b""}}, id="text where a file belongs"
        ),
    ],
)
def test_bad_input_is_refused_in_the_providers_form_and_changes_nothing(
    api: Api, operation: str, request_: dict[str, Any]
) -> None:
    answer = api.post(operation, **request_)

    refused = answer.json()
    assert answer.status_code == 200
    assert refused["code"] != 0
    assert refused["msg"]
    assert refused["data"] is None
    assert api.mock("tasks") == {"tasks": []}


@pytest.mark.parametrize(
    "header",
    [pytest.param(None, id="missing"), "sk-axbx5xcx9xAxbZyx", "Basic sk-axbx5xcx9xAxbZyx", "Bearer", "Bearer nokey"],
)
def test_a_missing_or_malformed_key_is_always_refused(api: Api, header: str | None) -> None:
    del api.http.headers["Authorization"]

    answer = api.post("get_task_info", {"comfy_task_ids": []}, headers={"Authorization": header} if header else {})

    assert (answer.status_code, answer.json()["data"]) == (401, None)


def test_only_configured_keys_are_accepted_once_there_are_any(serve: Serve) -> None:
    api = serve(api_keys=("sk-mine",), key="sk-mine")

    assert api.post("get_task_info", {"comfy_task_ids": []}).status_code == 200
    assert api.other("sk-other").post("get_task_info", {"comfy_task_ids": []}).status_code == 401


def test_unknown_paths_and_methods_are_answered_in_the_providers_form(api: Api) -> None:
    assert api.http.get("/api/maas/comfy_task_api/prompt").status_code == 405
    assert api.http.post("/api/maas/comfy_task_api/nowhere").status_code == 404


def test_a_trailing_slash_and_a_bearer_in_any_case_are_tolerated(api: Api) -> None:
    headers = {"Authorization": "bearer sk-axbx5xcx9xAxbZyx"}

    answer = api.http.post("/api/maas/comfy_task_api/get_task_info/", json={"comfy_task_ids": []}, headers=headers)

    assert answer.json()["code"] == 0


def test_a_body_over_the_limit_is_refused(api: Api) -> None:
    answer = api.post("prompt", content=b" " * (2 * 1024 * 1024))

    assert (answer.status_code, answer.json()["data"]) == (413, None)


def test_pages_of_other_origins_may_call(api: Api) -> None:
    headers = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}

    preflight = api.http.options("/api/maas/comfy_task_api/prompt", headers=headers)
    call = api.post("get_task_info", {"comfy_task_ids": []}, headers=headers)

    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert call.headers["access-control-allow-origin"] == "*"


def test_dates_on_the_wire_follow_the_worlds_clock(api: Api) -> None:
    api.clock(jump=3600)

    answer = api.post("get_task_info", {"comfy_task_ids": []})

    assert answer.headers["date"] == "Mon, 21 Sep 2026 15:13:20 GMT"


def test_the_provider_is_reached_by_its_real_host_name(api: Api) -> None:
    answer = api.post("get_task_info", {"comfy_task_ids": []}, headers={"Host": "cloud.infini-ai.com"})

    assert answer.json()["code"] == 0
