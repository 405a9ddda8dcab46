"""GPUGeek as a client meets it: the whole story, every contradiction of its page, every refusal, every reading.

Over real sockets, on a clock turned by hand.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from mockserver import data
from mockserver.provider import check, load
from mockserver.server import running
from mockserver.settings import Settings

FOLDER = data.schemas() / "gpugeek"
PAGES = data.fixtures() / "gpugeek"
HOSTED = 763311996779461
START = 1768805214
"""19 January 2026, 14:46:54 in China: the moment of the page's sample."""
LINK, COMMIT, PROMPT, CANCEL = (
    f"/api/v1/{path}" for path in ("file/upload/pre-signed-url", "file/upload/commit", "prompt", "task/cancel")
)


class Api:
    """One account's client, and the hand on the clock."""

    def __init__(self, url: str, *, key: str = "gg-1") -> None:
        self.url = url
        # A connection that idled through other tests may be closed just when it is used again.
        fresh = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, limits=fresh)
        self.others: list[Api] = []

    def other(self, key: str) -> Api:
        """Return another account's client."""
        self.others.append(Api(self.url, key=key))
        return self.others[-1]

    def close(self) -> None:
        for one in (self, *self.others):
            one.http.close()

    def jump(self, seconds: float) -> None:
        self.http.post("/_mock/clock", json={"jump": seconds}).raise_for_status()

    def link(self, name: str = "cat.png") -> str:
        link: str = self.http.get(LINK, params={"file_name": name}).json()["data"]["signed_url"]
        return link

    def upload(self, content: bytes, name: str = "cat.png") -> str:
        link = self.link(name)
        httpx.put(link, content=content, headers={"Content-Type": "application/octet-stream"}).raise_for_status()
        return link

    def submit(self, graph: Any, **changes: Any) -> Any:
        return self.http.post(PROMPT, json={"workflow_id": HOSTED, "task_type": 1, "prompt": graph} | changes).json()

    def run(self, graph: Any) -> str:
        id: str = self.submit(graph)["data"]["prompt_id"]
        return id

    def detail(self, id: Any) -> Any:
        return self.http.get(f"/api/v1/task/{id}").json()["data"]

    def refusal(self, method: str, path: str, **request: Any) -> tuple[int, int, str]:
        answer = self.http.request(method, path, **request)
        body = answer.json()
        assert set(body) == {"code", "message", "traceid", "data"}
        assert body["data"] is None
        return answer.status_code, body["code"], body["message"]


@contextmanager
def serving(**settings: Any) -> Iterator[Api]:
    with running(Settings(providers=("gpugeek",), port=0, rate=0, start=START, **settings)) as server:
        api = Api(server.url)
        try:
            yield api
        finally:
            api.close()


@contextmanager
def reading(variant: str, name: str) -> Iterator[Api]:
    with serving(variants={"gpugeek": {variant: name}}, slots=1) as api:
        yield api


@pytest.fixture(scope="module")
def shared() -> Iterator[Api]:
    with serving(slots=1) as api:
        yield api


@pytest.fixture
def api(shared: Api) -> Api:
    shared.http.post("/_mock/reset").raise_for_status()
    return shared


def page(name: str) -> Any:
    return json.loads((PAGES / f"{name}.json").read_text("utf-8"))


def preview(image: str) -> dict[str, Any]:
    graph: dict[str, Any] = page("prompt.request")["prompt"]
    graph["1"]["inputs"]["image"] = image
    return graph


@pytest.fixture
def picture(tmp_path: Path) -> bytes:
    file = tmp_path / "cat.png"
    Image.new("RGB", (64, 48), "orange").save(file)
    return file.read_bytes()


PAINT: dict[str, Any] = page("text-to-image.request")["prompt"]
"""A run of some 20 seconds that saves two pictures."""
OUTSIDE = preview("https://files.example.com/cat.png")
"""A run of less than a second."""


# The folder.


def test_the_folder_holds_with_every_reading_of_every_variant() -> None:
    assert len(check(FOLDER)) > 30


def test_every_error_number_is_marked_as_ours() -> None:
    errors = json.loads((FOLDER / "errors.json").read_text("utf-8"))

    documented = [name for name, entry in errors["refusals"].items() if "documented" in entry["x-source"]]

    assert documented == []


# The story.


def test_from_upload_to_result(api: Api, picture: bytes) -> None:
    link = api.upload(picture)
    address = api.http.post(COMMIT, json={"oss_url": link}).json()["data"]["oss_url"]
    id = api.run(preview(address))
    running_still = api.detail(id)
    api.jump(60)
    done = api.detail(id)
    [result] = done["result_url"]["2"]
    content = httpx.get(result).raise_for_status().content

    assert address == link.partition("?")[0].replace("%2F", "/")
    assert running_still["status"] == 2
    assert done["status"] == 3
    assert list(done["result_url"]) == ["2"]
    assert content.startswith(b"\x89PNG")


def test_the_sample_of_the_page_runs_unchanged_but_for_address_key_and_file(
    api: Api, picture: bytes, tmp_path: Path
) -> None:
    pytest.importorskip("requests")
    (tmp_path / "mine.png").write_bytes(picture)
    sample = (PAGES / "upload.sample.txt").read_text("utf-8")
    for theirs, ours in (
        ("https://comfyapi.gpugeek.com", api.url),
        ("your_api_key", "gg-1"),
        ("./ebAEgmhJGHN1Un7H.png", "mine.png"),
    ):
        assert sample.count(theirs) == 1
        sample = sample.replace(theirs, ours)

    ran = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", sample], cwd=tmp_path, capture_output=True, encoding="utf-8", check=True
    )
    id = api.run(preview(f"{api.url}/_files/gpugeek/comfy/input/test_upload.png"))
    api.jump(60)

    assert ran.stdout == "上传成功\n"
    assert api.detail(id)["status"] == 3


def test_a_task_waits_runs_and_ends_with_times_and_price(api: Api) -> None:
    first, second = api.run(PAINT), api.run(PAINT)
    third = api.run(OUTSIDE)
    api.jump(2.5)
    waiting = [api.detail(id) for id in (second, third)]
    busy = api.detail(first)
    api.jump(300)
    done = [api.detail(id) for id in (first, second, third)]

    assert [(one["status"], one["queue_size"], one["current_position"]) for one in waiting] == [(1, 2, 1), (1, 2, 2)]
    assert [(one["queue_duration"], one["run_duration"], one["origin_price"]) for one in waiting] == [(2500, 0, 0)] * 2
    assert (busy["status"], busy["queue_size"], busy["current_position"]) == (2, 0, 0)
    assert (busy["queue_duration"], busy["run_duration"], busy["origin_price"]) == (0, 2500, 0.11)
    assert [one["status"] for one in done] == [3, 3, 3]
    assert abs(done[1]["queue_duration"] - done[0]["run_duration"]) <= 1
    assert [len(one["result_url"].get("9", [])) for one in done] == [2, 2, 0]
    assert {one["origin_price"] for one in done} == {0.11}


def test_cancelling_ends_waiting_and_running_tasks_and_leaves_finished_ones(api: Api) -> None:
    done = api.run(OUTSIDE)
    api.jump(5)
    busy, waiting = api.run(PAINT), api.run(PAINT)
    api.jump(2)

    answers = [api.http.post(CANCEL, json={"task_id": int(id)}).json() for id in (waiting, busy, done)]
    api.jump(60)

    assert [one | {"traceid": page("cancel.answer")["traceid"]} for one in answers] == [page("cancel.answer")] * 3
    assert [api.detail(id)["status"] for id in (waiting, busy, done)] == [5, 5, 3]
    assert [api.detail(id)["run_duration"] for id in (waiting, busy)] == [0, 2000]
    assert api.detail(waiting)["error_msg"] == ""


@pytest.mark.parametrize(
    "image",
    [
        pytest.param("cat.png", id="a name"),
        pytest.param("{url}/_files/gpugeek/comfy/input/never.png", id="our store, no such file"),
        pytest.param("https://gpugeek.oss-cn-beijing.aliyuncs.com/comfy/input/never.png", id="the store's real name"),
        pytest.param("http://[", id="no address"),
    ],
)
def test_a_task_fails_whose_input_is_not_there(api: Api, image: str) -> None:
    image = image.format(url=api.url)

    id = api.run(preview(image))
    api.jump(60)

    assert api.detail(id)["status"] == 4
    assert api.detail(id)["error_msg"] == f"node 1 (LoadImage): download {image} failed"
    assert (api.detail(id)["result_url"], api.detail(id)["origin_price"]) == ({}, 0)


def test_a_place_that_was_promised_is_no_file_until_the_bytes_came(api: Api, picture: bytes) -> None:
    link = api.link()
    before = api.refusal("POST", COMMIT, json={"oss_url": link})
    httpx.put(link, content=picture).raise_for_status()
    again = api.link()

    assert before == (200, 10007, "file not found")
    assert api.http.post(COMMIT, json={"oss_url": link}).json()["code"] == 0
    assert api.http.post(COMMIT, json={"oss_url": again}).json()["code"] == 0, (
        "what is there stays until new bytes come"
    )


def test_an_upload_link_is_for_one_place_and_one_hour(api: Api, picture: bytes) -> None:
    link = api.link()
    elsewhere = httpx.put(link.replace("cat.png", "dog.png"), content=picture)
    by_get = httpx.get(link)
    api.jump(3601)
    late = httpx.put(link, content=picture)

    assert (elsewhere.status_code, by_get.status_code, late.status_code) == (403, 403, 403)
    assert "<Code>SignatureDoesNotMatch</Code>" in elsewhere.text
    assert "<Code>AccessDenied</Code>" in late.text
    assert late.headers["content-type"] == "application/xml"


def test_result_links_expire_and_files_are_deleted(api: Api) -> None:
    id = api.run(OUTSIDE)
    api.jump(10)
    link = api.detail(id)["result_url"]["2"][0]
    api.jump(3601)
    expired, fresh = httpx.get(link), httpx.get(api.detail(id)["result_url"]["2"][0])
    api.jump(3 * 86400)
    gone = httpx.get(api.detail(id)["result_url"]["2"][0])

    assert (expired.status_code, fresh.status_code, gone.status_code) == (403, 200, 404)


# What the page prints.


@pytest.mark.parametrize(
    ("printed", "schema"),
    [
        ("pre-signed-url.answer", "UploadPlace"),
        ("commit.answer", "Committed"),
        ("prompt.request", "Submit"),
        ("prompt.answer", "Submitted"),
        ("cancel.answer", "Cancelled"),
        ("detail.answer", "Detail"),
        ("text-to-image.request", "Submit"),
    ],
)
def test_what_the_page_prints_fits_the_schema(printed: str, schema: str) -> None:
    document = json.loads((FOLDER / "openapi.json").read_text("utf-8"))

    assert Draft202012Validator(document | {"$ref": f"#/components/schemas/{schema}"}).is_valid(page(printed))


def test_our_answers_have_the_members_and_types_of_the_page(api: Api, picture: bytes) -> None:
    link = api.http.get(LINK, params={"file_name": "xxx.png"}).json()
    httpx.put(link["data"]["signed_url"], content=picture).raise_for_status()
    commit = api.http.post(COMMIT, json={"oss_url": link["data"]["signed_url"]}).json()
    prompt = api.submit(PAINT)
    detail = api.http.get(f"/api/v1/task/{prompt['data']['prompt_id']}").json()
    # In both the link comes by a second name, and results come later.
    link["data"].pop("signedUrl")
    detail["data"]["result_url"] = page("detail.answer")["data"]["result_url"]

    assert form(link) == form(page("pre-signed-url.answer"))
    assert form(commit) == form(page("commit.answer"))
    assert form(prompt) == form(page("prompt.answer"))
    assert form(detail) == form(page("detail.answer"))
    assert detail["data"] | page("detail.answer")["data"] == page("detail.answer")["data"]
    assert detail["data"]["created_at"] == "2026-01-19 14:46:54"
    assert detail["data"]["workflow_id"] == detail["data"]["env_id"] == HOSTED
    assert re.fullmatch("[0-9a-f]{32}", detail["traceid"])
    assert link["data"]["expired_at"] == "2026-01-19T07:46:54Z"


def form(value: Any) -> Any:
    """Return a value's members in order, and types."""
    return [(name, form(member)) for name, member in value.items()] if isinstance(value, dict) else type(value)


# Contradictions of the page.


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", ["file_name", "fileName"])
def test_an_upload_link_is_given_by_either_method_and_spelling(api: Api, method: str, name: str) -> None:
    answer = api.http.request(method, LINK, params={name: "cat.png"}, headers={"Content-Type": "application/json"})

    links = answer.json()["data"]

    assert links["signed_url"] == links["signedUrl"]
    assert "/comfy%2Finput%2Fcat.png?" in links["signed_url"]


@pytest.mark.parametrize("name", ["file_name", "fileName"])
def test_the_files_name_may_stand_in_a_body(api: Api, name: str) -> None:
    assert "cat.png?" in api.http.post(LINK, json={name: "cat.png"}).json()["data"]["signedUrl"]


@pytest.mark.parametrize("name", ["task_id", "prompt_id"])
@pytest.mark.parametrize("form", [int, str])
def test_ids_are_taken_by_either_name_and_form(api: Api, name: str, form: Callable[[str], Any]) -> None:
    id = api.submit(PAINT, workflow_id=form(str(HOSTED)))["data"]["prompt_id"]

    api.http.post(CANCEL, json={name: form(id)}).raise_for_status()

    assert api.detail(id)["status"] == 5
    assert (id, api.detail(id)["prompt_id"]) == (str(int(id)), int(id))


def test_a_body_of_the_detail_call_is_ignored(api: Api) -> None:
    id = api.run(PAINT)

    answer = api.http.request("GET", f"/api/v1/task/{id}", json={"prompt_id": 1})

    assert answer.json()["data"]["prompt_id"] == int(id)


def test_ids_rise_and_keep_fifteen_digits(api: Api) -> None:
    ids = [int(api.run(OUTSIDE)) for _ in range(3)]
    api.jump(86400)
    ids.append(int(api.run(OUTSIDE)))

    assert ids == sorted(set(ids))
    assert {len(str(id)) for id in ids} == {15}


def test_nodes_may_lack_what_only_the_editor_needs_and_task_type_may_be_left_out(api: Api) -> None:
    bare = {id: {"class_type": node["class_type"], "inputs": node["inputs"]} for id, node in PAINT.items()}

    answer = api.http.post(PROMPT, json={"workflow_id": HOSTED, "prompt": bare})

    assert answer.json()["code"] == 0


@pytest.mark.parametrize("address", ["{link}", "{plain}"])
def test_commit_takes_own_links_with_or_without_their_query(api: Api, picture: bytes, address: str) -> None:
    link = api.upload(picture)
    plain = link.partition("?")[0]

    kept = api.http.post(COMMIT, json={"oss_url": address.format(link=link, plain=plain)}).json()["data"]["oss_url"]

    assert kept == plain.replace("%2F", "/")


def test_commit_gives_an_address_elsewhere_a_new_one_that_a_task_may_use(api: Api) -> None:
    answer = api.http.post(COMMIT, json={"oss_url": "https://files.example.com/a/dog.png?x=1"}).json()["data"]
    id = api.run(preview(answer["oss_url"]))
    api.jump(60)

    assert answer["oss_url"] == f"{api.url}/_files/gpugeek/comfy/input/dog.png"
    assert api.detail(id)["status"] == 3


# Refusals.


@pytest.mark.parametrize(
    ("method", "path", "request_", "expected"),
    [
        pytest.param("GET", LINK, {}, (200, 10002, "file_name is missing"), id="link without a name"),
        pytest.param("POST", LINK, {}, (200, 10002, "file_name is missing"), id="link by POST without a name"),
        pytest.param("GET", LINK, {"params": {"file_name": ""}}, (200, 10002, ""), id="link with an empty name"),
        pytest.param("POST", COMMIT, {"json": {}}, (200, 10002, "oss_url is missing"), id="commit without address"),
        pytest.param("POST", COMMIT, {}, (200, 10002, "body is missing"), id="commit without body"),
        pytest.param("POST", COMMIT, {"json": {"oss_url": "cat.png"}}, (200, 10007, "file not found"), id="no address"),
        pytest.param("POST", PROMPT, {"content": b"{"}, (200, 10002, "invalid"), id="submit of what is no JSON"),
        pytest.param("POST", PROMPT, {"json": {"prompt": OUTSIDE}}, (200, 10002, "workflow_id"), id="no workflow"),
        pytest.param("POST", PROMPT, {"json": {"workflow_id": HOSTED}}, (200, 10002, "prompt"), id="no prompt"),
        pytest.param("POST", PROMPT, {"json": {"workflow_id": HOSTED, "prompt": {}}}, (200, 10002, ""), id="empty"),
        pytest.param(
            "POST", PROMPT, {"json": {"workflow_id": HOSTED, "prompt": {"1": {"inputs": {}}}}},
            (200, 10002, "class_type"), id="a node without class",
        ),
        pytest.param(
            "POST", PROMPT, {"json": {"workflow_id": HOSTED, "prompt": OUTSIDE, "task_type": 2}},
            (200, 10003, "unsupported task type"), id="another task type",
        ),
        pytest.param(
            "POST", PROMPT, {"json": {"workflow_id": 1, "prompt": OUTSIDE}}, (200, 10005, "workflow not found"),
            id="unknown workflow",
        ),
        pytest.param("POST", PROMPT, {"content": b" " * 4194305}, (413, 10010, "too large"), id="too large"),
        pytest.param("GET", "/api/v1/task/1", {}, (200, 10008, "task not found"), id="unknown task"),
        pytest.param("GET", "/api/v1/task/x", {}, (200, 10002, "invalid"), id="an id that is none"),
        pytest.param("POST", CANCEL, {"json": {"task_id": 1}}, (200, 10008, "task not found"), id="cancel unknown"),
        pytest.param("POST", CANCEL, {"json": {}}, (200, 10002, "invalid"), id="cancel nothing"),
        pytest.param("GET", "/api/v1/tasks", {}, (404, 10012, "not found"), id="unknown path"),
        pytest.param("DELETE", PROMPT, {}, (405, 10013, "method not allowed"), id="unknown method"),
    ],
)  # fmt: skip
def test_refusals_have_our_numbers_in_the_documented_envelope(
    api: Api, method: str, path: str, request_: dict[str, Any], expected: tuple[int, int, str]
) -> None:
    status, code, text = api.refusal(method, path, **request_)

    assert (status, code) == expected[:2]
    assert expected[2] in text


@pytest.mark.parametrize("header", [None, "Bearer", "Basic abc", "gg-1"])
def test_a_call_without_a_bearer_key_is_unauthorized(api: Api, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = httpx.post(f"{api.url}{CANCEL}", json={"task_id": 1}, headers=headers)

    assert (answer.status_code, answer.json()["code"], answer.json()["data"]) == (401, 10001, None)


def test_only_configured_keys_are_taken_where_there_are_any() -> None:
    with serving(api_keys=("mine",)) as stranger:
        mine = stranger.other("mine")

        assert stranger.refusal("POST", CANCEL, json={"task_id": 1})[:2] == (401, 10001)
        assert mine.refusal("POST", CANCEL, json={"task_id": 1})[:2] == (200, 10008)


def test_a_task_of_another_account_is_as_good_as_none(api: Api) -> None:
    id = api.run(PAINT)
    other = api.other("gg-2")

    assert other.refusal("GET", f"/api/v1/task/{id}") == (200, 10008, "task not found")
    assert other.refusal("POST", CANCEL, json={"task_id": id}) == (200, 10008, "task not found")


# Readings. Those that are the default are what all tests above see.


def test_reading_submitted_id_number() -> None:
    with reading("submitted-id", "number") as api:
        assert isinstance(api.submit(OUTSIDE)["data"]["prompt_id"], int)


def test_reading_result_url_one() -> None:
    with reading("result-url", "one") as api:
        id = api.run(PAINT)
        api.jump(100)
        results = api.detail(id)["result_url"]

        assert list(results) == ["9"]
        assert httpx.get(results["9"]).status_code == 200


def test_reading_store_s3(picture: bytes) -> None:
    with reading("store", "s3") as api:
        link = api.upload(picture)
        address = api.http.post(COMMIT, json={"oss_url": link}).json()["data"]["oss_url"]
        id = api.run(preview(address))
        api.jump(60)
        [result] = api.detail(id)["result_url"]["2"]

        assert "X-Amz-Signature=" in link or "AWSAccessKeyId=" in link
        assert httpx.get(result).status_code == 200
        assert "<Code>AccessDenied</Code>" in httpx.get(result.partition("?")[0]).text


def test_reading_result_link_plain() -> None:
    with reading("result-link", "plain") as api:
        id = api.run(OUTSIDE)
        api.jump(100)
        [address] = api.detail(id)["result_url"]["2"]
        link = api.link()

        assert "?" not in address
        assert httpx.get(address).status_code == 200
        assert httpx.put(link.partition("?")[0], content=b"1").status_code == 403, "to write, one still needs a link"


@pytest.mark.parametrize(("name", "expires"), [("ten-minutes", "06:56:54"), ("day", "20T06:46:54")])
def test_reading_link_lifetime(name: str, expires: str) -> None:
    with reading("link-lifetime", name) as api:
        assert expires in api.http.get(LINK, params={"file_name": "a"}).json()["data"]["expired_at"]


def test_reading_retention_for_ever() -> None:
    with reading("retention", "for-ever") as api:
        id = api.run(OUTSIDE)
        api.jump(365 * 86400)

        assert httpx.get(api.detail(id)["result_url"]["2"][0]).status_code == 200


@pytest.mark.parametrize(("name", "other"), [("get", "POST"), ("post", "GET")])
def test_reading_upload_link_method(name: str, other: str) -> None:
    with reading("upload-link-method", name) as api:
        assert api.http.request(name, LINK, params={"file_name": "a"}).json()["code"] == 0
        assert api.refusal(other, LINK, params={"file_name": "a"})[:2] == (405, 10013)


@pytest.mark.parametrize(
    ("name", "spelling", "other"), [("snake", "file_name", "fileName"), ("camel", "fileName", "file_name")]
)
def test_reading_file_name_spelling(name: str, spelling: str, other: str) -> None:
    with reading("file-name-spelling", name) as api:
        assert api.http.get(LINK, params={spelling: "a"}).json()["code"] == 0
        assert api.refusal("GET", LINK, params={other: "a"})[:2] == (200, 10002)


@pytest.mark.parametrize(
    ("name", "members"), [("snake", ["signed_url", "expired_at"]), ("camel", ["signedUrl", "expiredAt"])]
)
def test_reading_upload_link_members(name: str, members: list[str]) -> None:
    with reading("upload-link-members", name) as api:
        assert list(api.http.get(LINK, params={"file_name": "a"}).json()["data"]) == members


def test_reading_upload_media_octet_stream() -> None:
    with reading("upload-media", "octet-stream") as api:
        link = api.link()
        other = httpx.put(link, content=b"1", headers={"Content-Type": "image/png"})
        right = httpx.put(link, content=b"1", headers={"Content-Type": "application/octet-stream"})

        assert (other.status_code, right.status_code) == (403, 200)
        assert "SignatureDoesNotMatch" in other.text


def test_reading_upload_key_unique() -> None:
    with reading("upload-key", "unique") as api:
        one, other = api.link(), api.link()

        assert one.partition("?")[0] != other.partition("?")[0]
        assert re.search(r"/comfy%2Finput%2F[0-9a-f-]{36}[.]png[?]", one)


def test_reading_upload_traceid_empty() -> None:
    with reading("upload-traceid", "empty") as api:
        assert api.http.get(LINK, params={"file_name": "a"}).json()["traceid"] == ""
        assert api.http.post(CANCEL, json={}).json()["traceid"] != ""


def test_reading_commit_meaning_confirms() -> None:
    with reading("commit-meaning", "confirms") as api:
        link = api.upload(b"1")

        assert api.http.post(COMMIT, json={"oss_url": link}).json()["code"] == 0
        assert api.refusal("POST", COMMIT, json={"oss_url": "https://files.example.com/a.png"})[:2] == (200, 10007)


def test_reading_commit_meaning_copies(picture: bytes) -> None:
    variants = {"gpugeek": {"commit-meaning": "copies", "upload-key": "unique"}}
    with serving(variants=variants) as api:
        link = api.upload(picture)
        own, other = (
            api.http.post(COMMIT, json={"oss_url": address}).json()["data"]["oss_url"]
            for address in (link, "https://files.example.com/a.png")
        )

        assert own != link.partition("?")[0].replace("%2F", "/")
        assert own != other
        assert api.refusal("POST", COMMIT, json={"oss_url": api.link("never.png")})[:2] == (200, 10007)


def test_reading_prompt_form_changes() -> None:
    with reading("prompt-form", "changes") as api:
        id = api.run({"1": {"inputs": {"image": "https://files.example.com/b.png"}}})
        api.jump(60)

        assert list(api.detail(id)["result_url"]) == ["2"]


BROKEN = {"1": {"class_type": "NoSuchNode", "inputs": {}}}


def test_a_prompt_is_not_checked_before_it_runs(api: Api) -> None:
    assert api.submit(BROKEN)["code"] == 0


def test_reading_prompt_check_at_submit() -> None:
    with reading("prompt-check", "at-submit") as api:
        status, code, text = api.refusal("POST", PROMPT, json={"workflow_id": HOSTED, "prompt": BROKEN})

        assert (status, code, text) == (200, 10004, "invalid prompt: class unknown: node 1")
        assert api.submit(OUTSIDE)["code"] == 0


def test_reading_prompt_check_in_run() -> None:
    with reading("prompt-check", "in-run") as api:
        broken, right = api.run(BROKEN), api.run(OUTSIDE)
        api.jump(60)

        assert (api.detail(broken)["status"], api.detail(right)["status"]) == (4, 3)
        assert api.detail(broken)["error_msg"] == "invalid prompt: class unknown: node 1"


def test_reading_task_type_missing_refused() -> None:
    with reading("task-type-missing", "refused") as api:
        assert api.submit(OUTSIDE)["code"] == 0
        assert api.refusal("POST", PROMPT, json={"workflow_id": HOSTED, "prompt": OUTSIDE})[1] in (10002, 10003)


def test_reading_unknown_workflow_runs() -> None:
    with reading("unknown-workflow", "runs") as api:
        detail = api.detail(api.submit(OUTSIDE, workflow_id=42)["data"]["prompt_id"])

        assert (detail["workflow_id"], detail["env_id"]) == (42, 42)


@pytest.mark.parametrize(("scope", "statuses"), [("all", [2, 1, 1]), ("workflow", [2, 1, 2]), ("account", [2, 2, 1])])
def test_reading_queue_scope(scope: str, statuses: list[int]) -> None:
    variants = {"gpugeek": {"queue-scope": scope, "unknown-workflow": "runs"}}
    with serving(variants=variants, slots=1) as api:
        other = api.other("gg-2")
        mine = api.run(PAINT)
        theirs = other.run(PAINT)
        elsewhere = api.submit(PAINT, workflow_id=42)["data"]["prompt_id"]
        found = [who.detail(id)["status"] for who, id in ((api, mine), (other, theirs), (api, elsewhere))]

        assert found == statuses


def test_reading_queue_size_with_running() -> None:
    with reading("queue-size", "with-running") as api:
        ids = [api.run(PAINT) for _ in range(3)]

        assert [api.detail(id)["queue_size"] for id in ids] == [3, 3, 3]


def test_reading_position_base_zero() -> None:
    with reading("position-base", "zero") as api:
        ids = [api.run(PAINT) for _ in range(3)]

        assert [api.detail(id)["current_position"] for id in ids] == [0, 0, 1]


TWO_OUTPUTS = PAINT | {"1": OUTSIDE["1"], "2": OUTSIDE["2"]}
"""The preview comes early, the saved pictures at the end."""


def test_results_come_as_they_are_made_and_stay_after_a_cancellation(api: Api) -> None:
    id = api.run(TWO_OUTPUTS)
    api.jump(10)
    busy = api.detail(id)
    api.http.post(CANCEL, json={"task_id": id}).raise_for_status()

    assert (busy["status"], list(busy["result_url"])) == (2, ["2"])
    assert list(api.detail(id)["result_url"]) == ["2"]


def test_reading_running_results_at_the_end() -> None:
    with reading("running-results", "at-the-end") as api:
        id = api.run(TWO_OUTPUTS)
        api.jump(10)
        busy = api.detail(id)
        api.jump(100)

        assert (busy["status"], busy["result_url"]) == (2, {})
        assert sorted(api.detail(id)["result_url"]) == ["2", "9"]


def test_reading_unfinished_results_nothing() -> None:
    with reading("unfinished-results", "nothing") as api:
        id = api.run(TWO_OUTPUTS)
        api.jump(10)
        api.http.post(CANCEL, json={"task_id": id}).raise_for_status()

        assert api.detail(id)["result_url"] == {}


def test_reading_running_price_nothing() -> None:
    with reading("running-price", "nothing") as api:
        id = api.run(PAINT)
        busy = api.detail(id)
        api.jump(100)

        assert (busy["origin_price"], api.detail(id)["origin_price"]) == (0, 0.11)


def test_reading_unfinished_price_full() -> None:
    with reading("unfinished-price", "full") as api:
        id = api.run(PAINT)
        api.http.post(CANCEL, json={"task_id": id}).raise_for_status()

        assert api.detail(id)["origin_price"] == 0.11


def test_reading_cancel_text_told() -> None:
    with reading("cancel-text", "told") as api:
        id = api.run(PAINT)
        before = api.detail(id)["error_msg"]
        api.http.post(CANCEL, json={"task_id": id}).raise_for_status()

        assert (before, api.detail(id)["error_msg"]) == ("", "task canceled by user")


def test_reading_created_zone_utc() -> None:
    with reading("created-zone", "utc") as api:
        assert api.detail(api.run(PAINT))["created_at"] == "2026-01-19 06:46:54"


def test_reading_cancel_running_next_step() -> None:
    with reading("cancel-running", "next-step") as api:
        id = api.run(PAINT)
        api.jump(10)
        api.http.post(CANCEL, json={"task_id": id}).raise_for_status()
        at_once = api.detail(id)["status"]
        api.jump(5)

        assert (at_once, api.detail(id)["status"]) == (2, 5)


def test_reading_cancel_running_refused() -> None:
    with reading("cancel-running", "refused") as api:
        busy, waiting = api.run(PAINT), api.run(PAINT)

        assert api.refusal("POST", CANCEL, json={"task_id": busy}) == (200, 10009, "task cannot be canceled")
        assert api.http.post(CANCEL, json={"task_id": waiting}).json()["code"] == 0


def test_reading_cancel_finished_refused() -> None:
    with reading("cancel-finished", "refused") as api:
        id = api.run(OUTSIDE)
        api.jump(60)

        assert api.refusal("POST", CANCEL, json={"task_id": id}) == (200, 10009, "task cannot be canceled")


def test_reading_foreign_tasks_forbidden() -> None:
    with reading("foreign-tasks", "forbidden") as api:
        id = api.run(PAINT)

        assert api.other("gg-2").refusal("GET", f"/api/v1/task/{id}") == (200, 10015, "permission denied")
        assert api.refusal("GET", "/api/v1/task/1")[1] == 10008


def test_reading_error_status_telling() -> None:
    with reading("error-status", "telling") as api:
        assert api.refusal("POST", CANCEL, json={})[:2] == (400, 10002)
        assert api.refusal("POST", CANCEL, json={"task_id": 1})[:2] == (404, 10008)
        assert api.refusal("GET", LINK)[:2] == (400, 10002)
        assert api.refusal("POST", PROMPT, json={"workflow_id": 1, "prompt": OUTSIDE})[:2] == (404, 10005)


def test_reading_auth_failure_http_200() -> None:
    with reading("auth-failure", "http-200") as api:
        answer = httpx.post(f"{api.url}{CANCEL}", json={"task_id": 1})

        assert (answer.status_code, answer.json()["code"]) == (200, 10001)


def test_reading_rate_limit_http_200() -> None:
    statuses = {
        name: load(FOLDER, readings={"rate-limit": name}).errors["too-many-calls"].status
        for name in ("http-429", "http-200")
    }

    assert statuses == {"http-429": 429, "http-200": 200}


# Everything by its name.

CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "commit": ("POST", COMMIT, {"json": {"oss_url": "https://files.example.com/a.png"}}),
    "prompt": ("POST", PROMPT, {"json": {"workflow_id": HOSTED, "prompt": OUTSIDE}}),
    "cancel": ("POST", CANCEL, {"json": {"task_id": 1}}),
    "get_upload_link": ("GET", LINK, {"params": {"file_name": "a"}}),
}
ERRORS = json.loads((FOLDER / "errors.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("name", "entry"), [pytest.param(name, entry, id=name) for name, entry in ERRORS["refusals"].items()]
)
def test_every_refusal_can_be_asked_for_by_its_name(api: Api, name: str, entry: dict[str, Any]) -> None:
    method, path, request = CALLS[entry.get("on", ["get_upload_link"])[0]]

    status, code, _ = api.refusal(method, path, headers={"X-Mock-Fail": name}, **request)

    assert (status, code) == (entry["status"], entry["code"])


@pytest.mark.parametrize("name", ERRORS["failures"])
def test_every_failure_can_be_asked_for_by_its_name(api: Api, name: str) -> None:
    method, path, request = CALLS["prompt"]

    id = api.http.request(method, path, headers={"X-Mock-Fail": name}, **request).json()["data"]["prompt_id"]
    api.jump(60)

    assert api.detail(id)["status"] == 4
    assert api.detail(id)["error_msg"] != ""
