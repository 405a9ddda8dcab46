"""Every reading of every open question of GenStudio, seen from outside: what changes on the wire, and from what."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mockserver import data
from mockserver.provider import load
from tests.web.api import Api, Serve

UNKNOWN = "cft-aaaaaaaaaaaaaaaa"
SMALL = {"width": 64, "height": 64}
Look = Callable[[Api], Any]


def ask(api: Api, ids: list[Any], **more: Any) -> Any:
    return api.post("get_task_info", {"comfy_task_ids": ids, **more}).json()


def finished(api: Api) -> dict[str, Any]:
    task = api.submit(n5=SMALL)["prompt_id"]
    api.clock(jump=120)
    return api.info(task)


def absent_lists(api: Api) -> Any:
    info = api.info(api.submit()["prompt_id"])
    return info["files"], info["final_files"]


def unknown_id(api: Api) -> Any:
    answer = ask(api, [UNKNOWN])
    return answer["code"] or [info["status"] for info in answer["data"]["comfy_task_info"]]


def foreign_task(api: Api) -> Any:
    answer = ask(api.other("sk-somebodyElse"), [api.submit()["prompt_id"]])
    return answer["code"] or [info["status"] for info in answer["data"]["comfy_task_info"]]


def empty_ids(api: Api) -> Any:
    return ask(api, [])["code"]


def many_ids(api: Api) -> Any:
    return ask(api, [UNKNOWN] * 101)["code"]


def asked_twice(api: Api) -> Any:
    names = {api.submit()["prompt_id"]: name for name in ("first", "second")}
    first, second = names
    found = ask(api, [second, UNKNOWN, first, second])["data"]["comfy_task_info"]
    return [names[info["comfy_task_id"]] for info in found]


def rejected(api: Api) -> Any:
    bad: dict[str, Any] = {"prompt": {"workflow_id": "wf-none", "prompt": {}}, "get_task_info": {}, "cancel": {}}
    answers = [api.post(name, body) for name, body in bad.items()]
    answers.append(api.post("upload/image", {}))
    assert all(answer.json()["code"] for answer in answers)
    return [answer.status_code for answer in answers]


def old_upload(api: Api) -> Any:
    image = api.upload()
    api.clock(jump=3 * 86400 + 1)
    task = api.submit("image-to-image", n10={"image": image})["prompt_id"]
    api.clock(jump=300)
    return api.info(task)["status"]


def periods(api: Api) -> Any:
    task = finished(api)["comfy_task_id"]
    return [ask(api, [task], url_expire_period=period)["code"] for period in (0, 600, 10**6)]


def bad_command(api: Api) -> Any:
    return ask(api, [], image_post_process_cmd={"format": "dng"})["code"]


def key_without_prefix(api: Api) -> Any:
    return api.other("123").post("get_task_info", {"comfy_task_ids": []}).status_code


def no_key(api: Api) -> Any:
    del api.http.headers["Authorization"]
    answer = api.post("get_task_info", {"comfy_task_ids": []})
    return answer.status_code, answer.json()["code"] == 0


def too_often(api: Api) -> Any:
    answer = api.post("get_task_info", {"comfy_task_ids": []}, headers={"X-Mock-Fail": "too-many-calls"})
    return answer.status_code, "retry-after" in answer.headers


def get_of_post(api: Api) -> Any:
    return api.http.get("/api/maas/comfy_task_api/prompt").status_code


def slash(api: Api) -> Any:
    return api.post("get_task_info/", {"comfy_task_ids": []}).status_code


def ampersand(api: Api) -> Any:
    task = finished(api)["comfy_task_id"]
    return b"\\u0026" in api.post("get_task_info", {"comfy_task_ids": [task]}).content


def other_origin(api: Api) -> Any:
    answer = api.post("get_task_info", {"comfy_task_ids": []}, headers={"Origin": "https://shop.example"})
    return answer.headers.get("access-control-allow-origin")


def whole_workflow(api: Api) -> Any:
    graph = json.loads((data.fixtures() / "workflows" / "wf-c73diz7kadp6ffgn.json").read_bytes())
    return api.post("prompt", {"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": graph}).json()["code"]


def steps_below_the_least(api: Api) -> Any:
    body = {"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": {"3": {"inputs": {"steps": 0}}}}
    answer = api.post("prompt", body).json()
    api.clock(jump=300)
    return answer["code"] or api.info(answer["data"]["prompt_id"])["status"]


def no_image(api: Api) -> Any:
    answer = api.http.post("/api/maas/comfy_task_api/upload/image", files={"source_file": ("a.txt", b"no image")})
    return answer.json()["code"]


def two_lines(api: Api) -> Any:
    """Places of the second of two submits: of one workflow and account, of two workflows, of two accounts."""

    def place(who: str, name: str) -> int:
        api.http.post("/_mock/reset")
        api.submit()
        task = (api if who == "me" else api.other(who)).submit(name)["prompt_id"]
        (found,) = [one["position"] for one in api.mock("tasks")["tasks"] if one["id"] == task]
        return int(found)

    return [place("me", "text-to-image"), place("me", "image-to-image"), place("sk-other", "text-to-image")]


def first_in_line(api: Api) -> Any:
    api.submit()
    return api.info(api.submit()["prompt_id"])["current_position"]


def fields_while_running(api: Api) -> Any:
    task = api.submit()["prompt_id"]
    api.submit()
    info = api.info(task)
    return info["queue_size"], info["current_position"]


def partial_files(api: Api) -> Any:
    task = api.submit()
    with api.feed(task["prompt_token"]) as feed:
        feed.recv(timeout=10)
        api.clock(jump=300)
        messages = []
        try:
            while True:
                messages.append(json.loads(feed.recv(timeout=10))["comfy_task_info"])
        except ConnectionClosed:
            pass
    return any(message["files"] for message in messages if message["status"] == 2)


def final_files(api: Api) -> Any:
    info = finished(api)
    return len(info["final_files"]), list(info["files"])


def deleted_files(api: Api) -> Any:
    task = finished(api)["comfy_task_id"]
    api.clock(jump=3 * 86400)
    return len(api.info(task)["final_files"])


def cancelled(api: Api) -> dict[str, Any]:
    task = api.submit()["prompt_id"]
    api.clock(jump=20)
    api.post("cancel", {"prompt_id": task})
    return api.info(task)


def progress_of_the_cancelled(api: Api) -> Any:
    return cancelled(api)["progress_num"] > 0


def text_of_the_cancelled(api: Api) -> Any:
    return cancelled(api)["errMsg"]


def answer_of_cancel(api: Api) -> Any:
    return api.post("cancel", {"prompt_id": api.submit()["prompt_id"]}).json()["data"]


def cancel_of_the_finished(api: Api) -> Any:
    return api.post("cancel", {"prompt_id": finished(api)["comfy_task_id"]}).json()["code"]


def state_just_after_cancel(api: Api) -> Any:
    return cancelled(api)["status"]


def first_message(api: Api) -> Any:
    token = api.submit()["prompt_token"]
    with api.feed(token) as feed:
        api.clock(next=True)
        return json.loads(feed.recv(timeout=10))["comfy_task_info"]["progress_num"] == 0


def feed_after_the_end(api: Api) -> Any:
    token = api.submit()["prompt_token"]
    api.clock(jump=300)
    with api.feed(token) as feed:
        feed.recv(timeout=10)
        api.clock(jump=60)
        try:
            feed.recv(timeout=0.3)
        except TimeoutError:
            return "open"
        except ConnectionClosed:
            return "closed"
    return "told more"


def bad_token(api: Api) -> Any:
    try:
        with api.feed("nonsense") as feed:
            feed.recv(timeout=10)
    except InvalidStatus as refused:
        return refused.response.status_code
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code
    return "opened"


SEEN: dict[str, tuple[Look, dict[str, Any], dict[str, Any]]] = {
    "absent-lists": (absent_lists, {}, {"empty": ({}, []), "null": (None, None)}),
    "unknown-ids": (unknown_id, {}, {"left-out": [], "status-5": [5], "refused": 10002}),
    "foreign-tasks": (foreign_task, {}, {"status-5": [5], "left-out": [], "refused": 10003}),
    "empty-id-list": (empty_ids, {}, {"empty-answer": 0, "refused": 10001}),
    "long-id-list": (many_ids, {}, {"any-number": 0, "hundred": 10001}),
    "named-tasks": (
        asked_twice,
        {},
        {"once": ["second", "first"], "each": ["second", "first", "second"], "oldest-first": ["first", "second"]},
    ),
    "expire-period": (
        periods,
        {},
        {"any": [0, 0, 0], "positive": [10001, 0, 0], "three-days": [10001, 0, 10001]},
    ),
    "post-process": (bad_command, {}, {"passed-through": 0, "checked": 10001}),
    "key-format": (key_without_prefix, {}, {"sk-prefix": 401, "any": 200}),
    "auth-failure": (no_key, {}, {"http-401": (401, False), "http-200": (200, False)}),
    "refusal-status": (rejected, {}, {"http-200": [200] * 4, "http-400": [400] * 4}),
    "rate-limit": (too_often, {}, {"http-429": (429, True), "http-200": (200, False)}),
    "wrong-method": (get_of_post, {}, {"http-405": 405, "http-404": 404}),
    "trailing-slash": (slash, {}, {"same": 200, "unknown": 404}),
    "link-ampersand": (ampersand, {}, {"escaped": True, "plain": False}),
    "cors": (other_origin, {}, {"allowed": "*", "not-allowed": None}),
    "full-workflow": (whole_workflow, {}, {"accepted": 0, "refused": 10001}),
    "override-values": (steps_below_the_least, {}, {"ignored": 3, "refused": 10001, "task-fails": 4}),
    "upload-kinds": (no_image, {}, {"images-only": 10001, "anything": 0}),
    "uploads-kept": (old_upload, {}, {"three-days": 4, "for-ever": 3}),
    "waiting-line": (
        two_lines,
        {"slots": 1},
        {"all": [1, 1, 1], "workflow": [1, 0, 1], "account": [1, 1, 0]},
    ),
    "position-base": (first_in_line, {"slots": 1}, {"one": 1, "zero": 0}),
    "running-queue-fields": (fields_while_running, {"slots": 1}, {"zero": (0, 0), "kept": (2, 1)}),
    "partial-files": (partial_files, {}, {"as-they-come": True, "at-the-end": False}),
    "final-files": (final_files, {}, {"filled": (1, ["9"]), "empty": (0, ["9"])}),
    "deleted-files": (deleted_files, {}, {"dead-links": 1, "left-out": 0}),
    "failed-progress": (progress_of_the_cancelled, {}, {"last": True, "zero": False}),
    "cancel-text": (text_of_the_cancelled, {}, {"empty": "", "told": "task canceled by user"}),
    "cancel-answer": (answer_of_cancel, {}, {"null": None, "empty-object": {}}),
    "cancel-finished": (cancel_of_the_finished, {}, {"accepted": 0, "refused": 10001}),
    "cancel-running": (state_just_after_cancel, {}, {"at-once": 4, "next-step": 2}),
    "first-snapshot": (first_message, {}, {"sent": True, "not-sent": False}),
    "feed-end": (feed_after_the_end, {}, {"closes": "closed", "stays": "open"}),
    "bad-token": (bad_token, {}, {"http-401": 401, "close-1008": 1008}),
}
"""Variant -> how to look, settings, and what is seen by reading."""


def test_every_reading_of_every_variant_is_seen() -> None:
    variants = load(data.schemas() / "genstudio").variants

    assert {name: set(seen) for name, (_, _, seen) in SEEN.items()} == {
        name: set(variant.readings) for name, variant in variants.items()
    }


@pytest.mark.parametrize(
    ("variant", "reading"),
    [pytest.param(name, reading, id=f"{name}={reading}") for name, (_, _, seen) in SEEN.items() for reading in seen],
)
def test_a_reading_changes_the_wire_as_its_text_says(serve: Serve, variant: str, reading: str) -> None:
    look, settings, seen = SEEN[variant]
    api = serve(variants={"genstudio": {variant: reading}}, **settings)

    assert look(api) == seen[reading]
    assert not [one for one in api.mock("problems")["problems"] if one["rule"] in ("answer-schema", "emulator-fault")]
