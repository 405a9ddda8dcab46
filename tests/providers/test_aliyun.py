"""The AI Creation Workshop over real sockets: its whole story as clients would tell it, the clock turned by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from mockserver import data
from mockserver.provider import check
from mockserver.server import running
from mockserver.settings import Settings
from mockserver.storage.signing import SCHEMES, Secret, SignedRequest

PAGES = data.fixtures() / "aliyun"
SAMPLE = "01jvp41b358md06w46fz1yz78a"
WITHOUT_OUTPUTS = "01jvq8m2n4p6r0s5t7v9w1x3y5"
START = 1_790_000_000
NO_ERROR = {"subErrCode": None, "subErrMessage": None, "errCode": None, "errMessage": None}
POSTPAID = "B_COMPUTING_PostPaidDisabled"
NO_GROUP = "B_COMPUTING_CanNotFindComputingGroup"
JSON_TEXT = "application/json; charset=utf-8"

OWNER = {
    "key": "owner-key",
    "id": "owner",
    "pools": {"a": {"slots": 1}, "b": {"slots": 1}, "small": {"limit": 1}, "idle": {"ready": False}},
}
BOUND = {"key": "bound-key", "id": "bound", "pay_as_you_go": False, "pools": {"a": {"slots": 1}}}
SIGNER = {"key": "test-app-key", "secret": "test-app-secret"}


class Workshop:
    """One application's calls, and the clock of its world."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=10, headers=headers or {})

    def call(self, operation: str, body: Any, **headers: str) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(f"/scc/{operation}", json=body, headers=sent)

    def submit(self, inputs: Mapping[str, Any] | None = None, *, pools: str | None = None, **members: Any) -> Any:
        body = {"workflow_id": SAMPLE, "alias_id": "main", "inputs": inputs or {}, **members}
        headers = {} if pools is None else {"X-SP-RESOURCE-CONFIG-ID": pools}
        return self.http.post("/scc/comfy_prompt", json=body, headers=headers).json()

    def task(self, inputs: Mapping[str, Any] | None = None, **members: Any) -> str:
        answer = self.submit(inputs, **members)
        assert answer["status"] == 10, answer
        id: str = answer["data"]["taskId"]
        return id

    def progress(self, task: str) -> Any:
        return self.call("comfy_get_progress", {"taskId": task}).json()

    def result(self, task: str) -> Any:
        return self.call("comfy_get_result", {"taskId": task}).json()

    def done(self, inputs: Mapping[str, Any] | None = None, **members: Any) -> Any:
        """Run a task to its end and return its result."""
        task = self.task(inputs, **members)
        self.clock(jump=600)
        return self.result(task)

    def place(self, media: str = "image/png", name: str = "cat.png", **members: Any) -> Any:
        body = {"contentType": media, "originalFilename": name, **members}
        answer = self.call("sp_create_temp_file_upload_sign", body).json()
        assert answer["status"] == 10, answer
        return answer["data"]

    def clock(self, **turn: Any) -> None:
        assert self.http.post("/_mock/clock", json=turn).status_code == 200


Serve = Callable[..., Workshop]


@contextmanager
def served(headers: Mapping[str, str] | None = None, **settings: Any) -> Iterator[Workshop]:
    readings = {"aliyun": settings.pop("readings", {})}
    chosen = {"providers": ("aliyun",), "port": 0, "rate": 0.0, "start": START, "variants": readings, **settings}
    with running(Settings(**chosen)) as server:
        shop = Workshop(server.url, headers)
        yield shop
        shop.http.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server with other settings; it ends with the test."""
    with ExitStack() as stack:
        yield lambda *args, **settings: stack.enter_context(served(*args, **settings))


@pytest.fixture(scope="module")
def one_server() -> Iterator[Workshop]:
    with served() as shop:
        yield shop


@pytest.fixture
def shop(one_server: Workshop) -> Workshop:
    """The default reading, in a world that has just begun."""
    assert one_server.http.post("/_mock/reset").status_code == 200
    return one_server


# What the pages print.


def page(name: str) -> Any:
    return json.loads((PAGES / f"{name}.json").read_bytes())


def form(value: Any) -> Any:
    """Return keys, types and null-ness of a document; integers are numbers."""
    if isinstance(value, dict):
        return {name: form(member) for name, member in value.items()}
    if isinstance(value, list):
        return [form(member) for member in value]
    return "number" if type(value) in (int, float) else type(value).__name__


def test_the_documented_submit_is_answered_in_the_documented_form(shop: Workshop) -> None:
    answer = shop.call("comfy_prompt", page("comfy_prompt.request")).json()

    printed = page("comfy_prompt.answer")
    assert form(answer) == form(printed)
    assert list(answer) == list(printed)
    assert {**answer, "apiInvokeId": 0, "data": {**answer["data"], "taskId": 0}} == {
        **printed,
        "apiInvokeId": 0,
        "data": {**printed["data"], "taskId": 0},
    }


def test_a_waiting_task_is_told_in_the_documented_form(shop: Workshop) -> None:
    shop.task({"prompt": "one"})
    shop.task({"prompt": "two"})
    waiting = shop.task({"prompt": "three"})

    answer = shop.progress(waiting)

    printed = page("comfy_get_progress.waiting.answer")
    assert form(answer) == form(printed)
    assert answer["data"] == {**printed["data"], "taskId": waiting}


def test_a_running_task_is_told_in_the_documented_form_with_the_progress_of_the_whole_workflow(shop: Workshop) -> None:
    task = shop.task({"prompt": "one", "steps": 20})
    shop.clock(jump=15)

    answer = shop.progress(task)

    told = answer["data"]
    assert form(answer) == form(page("comfy_get_progress.running.answer"))
    assert told["message"] == f"Executing node {told['state']['nodeLabel']}" == "Executing node KSampler"
    assert told["state"]["maxSteps"] == 20
    assert told["progress"] != told["state"]["step"] / 20
    assert told["etaRelative"] == pytest.approx(15 * (1 - told["progress"]) / told["progress"], rel=1e-5)


def test_an_unknown_task_is_told_in_the_documented_form(shop: Workshop) -> None:
    answer = shop.progress("01j5t2qx82323pswaqykz9eq5")

    printed = page("comfy_get_progress.unknown.answer")
    assert {**answer, "apiInvokeId": 0} == {**printed, "apiInvokeId": 0}


def test_an_unready_pool_is_told_in_the_documented_form(shop: Workshop) -> None:
    answer = shop.submit(pools="01hnoneofthese")

    assert {**answer, "apiInvokeId": 0} == {**page("comfy_prompt.no-group.answer"), "apiInvokeId": 0}


def test_a_result_is_told_in_the_documented_form(shop: Workshop) -> None:
    answer = shop.done({"width": 472, "height": 704})

    printed = page("comfy_get_result.answer")
    poster = answer["data"]["result"]["poster"]
    assert form(answer) == form(printed)
    assert re.fullmatch(r"[0-9a-f]{32}_00000_\.png", poster["filename"])
    assert poster["object_key"] == f"comfy/output/{poster['filename']}"
    assert (poster["format"], poster["type"], poster["width"], poster["height"]) == ("png", "image", 472, 704)
    told = answer["data"]
    assert told["taskDuration"] == pytest.approx(told["taskEndTime"] - told["taskBeginTime"], abs=1)
    assert told["taskBeginTime"] == START * 1000


# Calls and ids.


def test_ids_of_calls_and_tasks_hold_their_moment(shop: Workshop) -> None:
    answer = shop.submit()

    invoked, task = answer["apiInvokeId"], answer["data"]["taskId"]
    letters = "0123456789abcdefghjkmnpqrstvwxyz"
    assert re.fullmatch(r"i_[0-9a-f]{24}", invoked)
    assert int(invoked[2:10], 16) == START
    assert re.fullmatch(r"[0-9a-hjkmnp-tv-z]{26}", task)
    assert sum(letters.index(letter) * 32**place for place, letter in enumerate(reversed(task[:10]))) == START * 1000


def test_null_means_left_out_and_alias_and_version_may_come_together(shop: Workshop) -> None:
    nulls = {"version_id": None, "randomise_seeds": None, "return_temp_files": None}

    assert shop.submit(**nulls)["status"] == 10
    assert shop.submit(version_id="v1", alias_id="main")["status"] == 10
    assert shop.submit(version_id="v2", alias_id=None)["status"] == 10
    assert shop.submit(version_id=None, alias_id=None)["subErrCode"] == "B_COMPUTING_IllegalParameter"


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        pytest.param("comfy_prompt", {"alias_id": "main", "inputs": {}}, id="no workflow"),
        pytest.param("comfy_prompt", {"workflow_id": "", "alias_id": "main", "inputs": {}}, id="empty workflow"),
        pytest.param("comfy_prompt", {"workflow_id": "w", "alias_id": "main"}, id="no inputs"),
        pytest.param("comfy_prompt", {"workflow_id": "w", "inputs": {}}, id="neither alias nor version"),
        pytest.param("comfy_get_progress", {}, id="progress of no task"),
        pytest.param("comfy_get_result", {"taskId": 7}, id="id is a number"),
        pytest.param("sp_create_temp_file_upload_sign", {"contentType": "image/png"}, id="upload without name"),
    ],
)
def test_a_body_that_breaks_the_contract_is_declined_by_the_service(
    shop: Workshop, operation: str, body: dict[str, Any]
) -> None:
    answer = shop.call(operation, body)

    assert answer.status_code == 200
    told = answer.json()
    assert (told["status"], told["subErrCode"], told["data"]) == (20, "B_COMPUTING_IllegalParameter", None)


def test_further_members_of_a_query_are_passed_over(shop: Workshop) -> None:
    task = shop.task()

    answer = shop.call("comfy_get_progress", {"taskId": task, "workflow_id": SAMPLE, "alias_id": "main"}).json()

    assert answer["data"]["taskId"] == task


def test_a_task_goes_through_its_states_and_its_results_can_be_fetched(shop: Workshop) -> None:
    task = shop.task({"prompt": "a fox", "width": 256, "height": 128})
    before = shop.result(task)["data"]
    shop.clock(jump=600)
    over = shop.progress(task)["data"]
    fetched = httpx.get(shop.result(task)["data"]["result"]["poster"]["url"])

    assert before == {
        "taskId": task, "status": "running", "taskDuration": None, "taskBeginTime": START * 1000, "taskEndTime": None,
        "images": [], "result": None,
    }  # fmt: skip
    assert over == {"etaRelative": 0, "progress": 1, "taskId": task, "status": "succeeded"}
    assert Image.open(io.BytesIO(fetched.content)).size == (256, 128)


def test_links_expire_and_a_new_call_gives_fresh_ones(shop: Workshop) -> None:
    task = shop.task()
    shop.clock(jump=600)
    old = shop.result(task)["data"]["result"]["poster"]["url"]
    shop.clock(jump=3601)

    expired, fresh = httpx.get(old), httpx.get(shop.result(task)["data"]["result"]["poster"]["url"])

    assert (expired.status_code, fresh.status_code) == (403, 200)
    assert b"Request has expired." in expired.content


def test_a_workflow_published_without_outputs_fills_images(shop: Workshop) -> None:
    told = shop.done({"width": 64, "height": 64, "count": 2}, workflow_id=WITHOUT_OUTPUTS)["data"]

    assert [httpx.get(link).status_code for link in told["images"]] == [200, 200]
    assert told["result"] is None


def test_temporary_files_come_only_when_asked_for(shop: Workshop) -> None:
    without = shop.done({"prompt": "a"})["data"]["images"]
    asked = shop.done({"prompt": "b"}, return_temp_files=True)["data"]["images"]

    assert without == []
    assert [re.search(r"comfy%2Ftemp%2F[0-9a-f]{32}_00000_", link) is not None for link in asked] == [True]


def test_documented_inputs_reach_their_nodes(shop: Workshop) -> None:
    inputs = {"prompt": "a cat", "negative": "dog", "steps": 7, "cfg": 2.5, "denoise": 0.5, "width": 64, "height": 32}
    task = shop.task({**inputs, "ref_image": "https://example.com/image.jpg"})
    shop.clock(jump=6.5)

    assert shop.progress(task)["data"]["state"]["maxSteps"] in (1, 7)
    assert shop.http.get("/_mock/problems").json()["problems"] == []


def test_inputs_of_unknown_names_are_ignored_and_noted(shop: Workshop) -> None:
    shop.task({"colour": "red"})

    (problem,) = shop.http.get("/_mock/problems").json()["problems"]
    assert (problem["rule"], problem["override_input"]) == ("workflow-name-unknown", "colour")


# The cache.


def duration(told: Any) -> int:
    milliseconds: int = told["data"]["taskDuration"]
    return milliseconds


def test_the_same_task_again_comes_from_the_cache_unless_its_seeds_are_new(shop: Workshop) -> None:
    first = shop.done({"prompt": "a cat"})
    again = shop.done({"prompt": "a cat"})
    anew = shop.done({"prompt": "a cat"}, randomise_seeds=True)

    assert duration(first) > 10_000
    assert duration(again) < 1_000
    assert duration(anew) > 10_000
    assert httpx.get(again["data"]["result"]["poster"]["url"]).status_code == 200


def test_a_task_whose_input_changed_runs_only_what_depends_on_it(shop: Workshop) -> None:
    first = shop.done({"prompt": "a cat"})
    changed = shop.done({"prompt": "a dog"})

    # Loading the checkpoint takes five seconds and need not be done again.
    assert 10_000 < duration(changed) < duration(first)


def test_a_task_that_still_runs_has_nothing_in_the_cache_yet(shop: Workshop) -> None:
    shop.task({"prompt": "a cat"})

    assert duration(shop.done({"prompt": "a cat"})) > 10_000


def test_the_same_place_with_other_bytes_is_another_input(shop: Workshop) -> None:
    place = shop.place()
    durations = []
    for colour in ("red", "red", "blue"):
        put(place, picture(colour))
        durations.append(duration(shop.done({"ref_image": place["accessUrl"]})))

    assert durations[1] < 1_000 < durations[2]


# Files.


def picture(colour: str = "orange") -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(held, "PNG")
    return held.getvalue()


def put(place: Any, content: bytes, media: str = "image/png") -> httpx.Response:
    return httpx.put(place["uploadUrl"], content=content, headers={"Content-Type": media})


def test_a_file_is_uploaded_by_its_link_and_named_by_its_address(shop: Workshop) -> None:
    place = shop.place(size=None)
    kept = put(place, picture())
    fetched = httpx.get(place["accessUrl"])
    told = shop.done({"ref_image": place["accessUrl"]})

    assert kept.status_code == 200
    assert fetched.content == picture()
    assert told["data"]["status"] == "succeeded"
    assert place["path"] == place["objectKey"]
    assert place["expireTime"] == START + 3600


def test_an_upload_must_have_the_media_type_announced_and_come_in_time(shop: Workshop) -> None:
    place = shop.place("image/png")
    other = put(place, picture(), "image/jpeg")
    shop.clock(jump=3601)
    late = put(place, picture())

    assert (other.status_code, late.status_code) == (403, 403)
    assert b"SignatureDoesNotMatch" in other.content
    assert b"Request has expired." in late.content


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("https://example.com/image.jpg", id="public address, never fetched"),
        pytest.param("data:image/png;base64," + base64.b64encode(picture()).decode(), id="data URI"),
    ],
)
def test_a_file_may_be_an_address_or_a_data_uri(shop: Workshop, value: str) -> None:
    assert shop.done({"ref_image": value})["data"]["status"] == "succeeded"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("http://10.0.0.7/image.jpg", id="private address"),
        pytest.param("data:image/png;base64,###", id="broken data URI"),
        pytest.param(base64.b64encode(picture()).decode(), id="base64 without prefix"),
    ],
)
def test_a_file_that_cannot_be_read_fails_the_task(shop: Workshop, value: str) -> None:
    task = shop.task({"ref_image": value})
    shop.clock(jump=600)

    told, result = shop.progress(task)["data"], shop.result(task)

    assert (told["status"], told["etaRelative"]) == ("failed", 0)
    assert 0 < told["progress"] < 1
    assert (result["status"], result["data"]) == (20, None)
    assert result["subErrCode"] == "B_COMPUTING_InputFileUnreadable"
    assert result["subErrMessage"] == f"Cannot read input file:{value}"


def test_a_place_that_was_never_filled_fails_the_task(shop: Workshop) -> None:
    assert shop.done({"ref_image": shop.place()["accessUrl"]})["status"] == 20


# Pools.


@pytest.fixture
def pools(serve: Serve) -> Workshop:
    return serve({"x-ca-key": "owner-key"}, accounts=(OWNER, BOUND))


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ("default", None),
        ("a", None),
        ("a,b", None),
        ("a, b ,default", None),
        ("idle,a", None),
        ("nobody,default", None),
        ("idle", NO_GROUP),
        ("nobody", NO_GROUP),
        ("idle,nobody", NO_GROUP),
        ("", NO_GROUP),
    ],
)
def test_a_pool_that_is_ready_is_found_among_those_named(pools: Workshop, named: str, code: str | None) -> None:
    assert pools.submit(pools=named)["subErrCode"] == code


def test_of_several_pools_the_least_busy_is_taken_and_the_shared_one_last(pools: Workshop) -> None:
    states = []
    for number in range(4):
        task = pools.task({"prompt": str(number)}, pools="a,b,default")
        states.append(pools.progress(task)["data"]["status"])

    assert states == ["running", "running", "waiting", "waiting"]
    assert pools.progress(pools.task({"prompt": "5"}, pools="default"))["data"]["status"] == "running"


def test_the_shared_pool_stands_in_for_pools_at_their_limit(pools: Workshop) -> None:
    pools.task({"prompt": "1"}, pools="small")

    assert pools.submit({"prompt": "2"}, pools="small")["subErrCode"] == NO_GROUP
    assert pools.submit({"prompt": "3"}, pools="small,default")["status"] == 10


def test_pools_of_another_account_are_not_there(serve: Serve) -> None:
    bound = serve({"x-ca-key": "bound-key"}, accounts=(OWNER, BOUND))

    assert bound.submit(pools="a")["status"] == 10
    assert bound.submit(pools="b")["subErrCode"] == NO_GROUP


def test_without_pay_as_you_go_the_shared_pool_is_closed(serve: Serve) -> None:
    bound = serve({"x-ca-key": "bound-key"}, accounts=(OWNER, BOUND))

    assert bound.submit()["subErrCode"] == POSTPAID
    assert bound.submit(pools="a,default")["status"] == 10
    assert bound.submit(pools="nobody,default")["subErrCode"] == POSTPAID


# The gateway.


def gateway(answer: httpx.Response) -> tuple[int, str | None, str]:
    assert answer.content == b""
    return answer.status_code, answer.headers.get("X-Ca-Error-Code"), answer.headers["X-Ca-Error-Message"]


def test_the_gateway_answers_for_itself_in_headers(shop: Workshop) -> None:
    http = shop.http

    assert gateway(http.get("/scc/comfy_prompt")) == (405, "I405UM", "Unsupported Method `GET`")
    assert gateway(http.post("/scc/other")) == (404, "I404NF", "API not found /scc/other")
    assert gateway(http.post("/scc/a%0d%0ab: c")) == (404, "I404NF", "API not found /scc/ab: c")
    assert gateway(http.post("/scc/comfy_prompt")) == (400, "I400BD", "Invalid Body: Empty Request Body")
    assert gateway(http.post("/scc/comfy_prompt", content=b"{"))[:2] == (400, "I400BD")
    assert gateway(http.post("/scc/comfy_prompt", content=b" " * 17_000_000))[:2] == (413, "I413RL")


def signed(
    path: str, body: bytes, *, key: str = "test-app-key", secret: str = "test-app-secret", **changes: str
) -> Any:
    """Sign a call as the official client does, with the moment it really is."""
    headers = {
        "date": "Wed, 21 Aug 2024 06:22:31 GMT+00:00",
        "x-ca-key": key,
        "x-ca-timestamp": str(int(time.time() * 1000)),
        "x-ca-nonce": str(uuid.uuid4()),
        "x-ca-signature-method": "HmacSHA256",
        "x-ca-signature-headers": "x-ca-timestamp,x-ca-key,x-ca-nonce,x-ca-signature-method",
        "content-type": JSON_TEXT,
        "accept": JSON_TEXT,
        "content-md5": base64.b64encode(hashlib.md5(body).digest()).decode(),
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    names = sorted(headers["x-ca-signature-headers"].split(","))
    lines = ["POST", headers["accept"], headers["content-md5"], headers["content-type"], headers["date"]]
    text = "\n".join([*lines, *(f"{name}:{headers[name]}" for name in names), path])
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return {**headers, "x-ca-signature": base64.b64encode(signature).decode()}


BODY = b'{"taskId":"01j5ssksqndptm3exv751bz0gj"}'
PATH = "/scc/comfy_get_progress"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Workshop]:
    with served(accounts=(SIGNER,)) as shop:
        yield shop


def ask(shop: Workshop, headers: Mapping[str, str], body: bytes = BODY) -> httpx.Response:
    return shop.http.post(PATH, content=body, headers=headers)


@pytest.mark.parametrize(
    ("digest", "signature"),
    [
        ({"content-md5": "iElNsbN7dmVISDxqHHxh6w=="}, "bc1a+aXwE5K/XDf9s2KIWx3CFWZjdcQKcKSUxh/hXEQ="),
        ({}, "Og5/+2+chDrl9ihrGZvo9zkDgOhKMeahWjmobulYCzk="),
    ],
    ids=["with digest", "without digest"],
)
def test_the_signature_of_the_test_vector_is_right(digest: dict[str, str], signature: str) -> None:
    headers = {
        "accept": JSON_TEXT, "content-type": JSON_TEXT, "date": "Wed, 21 Aug 2024 06:22:31 GMT+00:00",
        "x-ca-key": "test-app-key", "x-ca-timestamp": "1724221351669",
        "x-ca-nonce": "11111111-2222-4333-8444-555555555555", "x-ca-signature-method": "HmacSHA256",
        "x-ca-signature-headers": "x-ca-timestamp,x-ca-key,x-ca-nonce,x-ca-signature-method",
        "x-ca-signature": signature, **digest,
    }  # fmt: skip
    request = SignedRequest("POST", PATH, (), headers, BODY, "", "")

    SCHEMES["ca-digest"].check(request, now=1724221351.669, secret=Secret("test-app-key", "test-app-secret"))


def test_a_signed_call_is_taken_whatever_the_virtual_time(guarded: Workshop) -> None:
    guarded.clock(jump=86_400)

    answer = ask(guarded, signed(PATH, BODY))

    assert answer.json()["subErrCode"] == "B_COMPUTING_CanNotFindTask"


def test_the_signature_covers_the_path_below_the_mount(serve: Serve) -> None:
    shop = serve(accounts=(SIGNER,), providers=("aliyun", "genstudio"))

    answer = shop.http.post(f"/aliyun{PATH}", content=BODY, headers=signed(PATH, BODY))

    assert answer.json()["subErrCode"] == "B_COMPUTING_CanNotFindTask"


def test_without_a_secret_unsigned_calls_are_taken_and_with_one_they_are_not(shop: Workshop, guarded: Workshop) -> None:
    assert ask(shop, {}).status_code == 200
    assert gateway(ask(guarded, {})) == (400, "I400MH", "Header `x-ca-key` is Required")
    assert gateway(ask(guarded, {"x-ca-key": "test-app-key"})) == (400, "I400MH", "Header `x-ca-signature` is Required")


def test_what_is_wrong_with_a_signed_call_is_named(guarded: Workshop) -> None:
    stale = str(int((time.time() - 901) * 1000))
    once = signed(PATH, BODY)

    assert gateway(ask(guarded, signed(PATH, BODY, key="other-key"))) == (400, "A400IK", "Invalid AppKey")
    wrong = gateway(ask(guarded, signed(PATH, BODY, secret="other-secret")))
    assert wrong[:2] == (403, "A403IS")
    assert wrong[2].startswith(f"Invalid Signature, Server StringToSign:POST{JSON_TEXT}")
    assert wrong[2].endswith(PATH)
    assert gateway(ask(guarded, signed(PATH, BODY, x_ca_timestamp=stale))) == (403, "A403TE", "Timestamp Expired")
    assert gateway(ask(guarded, signed(PATH, BODY, x_ca_timestamp="soon")))[:2] == (400, "I400HD")
    assert ask(guarded, once).status_code == 200
    assert gateway(ask(guarded, once)) == (403, "A403NU", "Nonce Used")
    assert gateway(ask(guarded, signed(PATH, b"other"))) == (400, "I400MD", "Invalid Content-MD5")


# The open questions, each reading but the default.


@pytest.fixture
def reading(serve: Serve) -> Callable[..., Workshop]:
    return lambda headers=None, *, accounts=(), **readings: serve(
        headers, accounts=accounts, readings={name.replace("_", "-"): value for name, value in readings.items()}
    )


def failing(shop: Workshop) -> tuple[Any, Any]:
    task = shop.task({"ref_image": "http://10.0.0.7/image.jpg"})
    shop.clock(jump=600)
    return shop.progress(task), shop.result(task)


def test_reading_failed_result_data(reading: Callable[..., Workshop]) -> None:
    _, result = failing(reading(failed_result="data"))

    told = result["data"]
    assert (result["status"], told["status"], told["images"], told["result"]) == (10, "failed", [], None)
    assert told["taskEndTime"] >= told["taskBeginTime"]


def test_reading_error_levels_both(reading: Callable[..., Workshop]) -> None:
    shop = reading(error_levels="both")

    refused, (_, failed) = shop.progress("none"), failing(shop)

    assert refused["errCode"] == refused["subErrCode"] == "B_COMPUTING_CanNotFindTask"
    assert failed["errCode"] == failed["subErrCode"] == "B_COMPUTING_InputFileUnreadable"
    assert failed["errMessage"] == failed["subErrMessage"]


def test_reading_refused_status_bad_request(reading: Callable[..., Workshop]) -> None:
    answer = reading(refused_status="bad-request").call("comfy_get_result", {"taskId": "none"})

    assert (answer.status_code, answer.json()["status"]) == (400, 20)


@pytest.mark.parametrize(("value", "shown"), [("absent", "nothing"), ("empty", {})])
def test_reading_data_on_failure(reading: Callable[..., Workshop], value: str, shown: Any) -> None:
    assert reading(data_on_failure=value).progress("none").get("data", "nothing") == shown


def test_reading_gateway_body_envelope(reading: Callable[..., Workshop]) -> None:
    answer = reading(gateway_body="envelope").http.post("/scc/other")

    assert answer.headers["X-Ca-Error-Code"] == "I404NF"
    assert {**answer.json(), "apiInvokeId": 0} == {
        "status": 20, "apiInvokeId": 0, "data": None, "subErrCode": None, "subErrMessage": None,
        "errCode": "I404NF", "errMessage": "API not found /scc/other",
    }  # fmt: skip


def test_reading_gateway_generation_legacy(reading: Callable[..., Workshop]) -> None:
    shop = reading(accounts=(SIGNER,), gateway_generation="legacy")

    assert gateway(ask(shop, {})) == (401, None, "Empty Signature")
    assert gateway(shop.http.post("/scc/other")) == (400, None, "Invalid Url")
    stale = str(int((time.time() - 901) * 1000))
    assert gateway(ask(shop, signed(PATH, BODY, x_ca_timestamp=stale))) == (400, None, "Timestamp Expired")


def test_readings_of_the_signature(reading: Callable[..., Workshop]) -> None:
    shop = reading(accounts=(SIGNER,), timestamp_window="any", nonce_replay="taken", content_md5="ignored")
    headers = signed(PATH, b"other", x_ca_timestamp="1724221351669")

    assert [ask(shop, headers).status_code for _ in range(2)] == [200, 200]


def test_reading_submit_status_true(reading: Callable[..., Workshop]) -> None:
    assert reading(submit_status="true").submit()["data"]["status"] == "running"


def test_readings_of_the_estimated_duration(reading: Callable[..., Workshop]) -> None:
    present = reading(estimated_duration="present").submit()["data"]
    null = reading(estimated_duration="null").submit()["data"]

    assert 10 < present["estimatedDurationInSeconds"] < 100
    assert null["estimatedDurationInSeconds"] is None


def test_reading_waiting_times_absent(reading: Callable[..., Workshop]) -> None:
    shop = reading(waiting_times="absent")
    tasks = [shop.task({"prompt": str(number)}) for number in range(3)]

    assert {"startTime", "endTime"} & set(shop.progress(tasks[-1])) == set()


def test_reading_eta_at_start_zero(reading: Callable[..., Workshop], shop: Workshop) -> None:
    zero = reading(eta_at_start="zero")

    assert shop.progress(shop.task())["data"]["etaRelative"] is None
    assert zero.progress(zero.task())["data"]["etaRelative"] == 0


def test_reading_current_image_link(reading: Callable[..., Workshop]) -> None:
    shop = reading(current_image="link")
    task = shop.task(workflow_id=WITHOUT_OUTPUTS)
    shop.clock(jump=600)

    assert httpx.get(shop.progress(task)["data"]["currentImage"]).status_code == 200
    assert "currentImage" not in failing(shop)[0]["data"]


def test_reading_unfinished_times_absent(reading: Callable[..., Workshop]) -> None:
    shop = reading(unfinished_times="absent")

    assert set(shop.result(shop.task())["data"]) == {"taskId", "status", "taskBeginTime", "images", "result"}


def test_reading_no_images_null(reading: Callable[..., Workshop]) -> None:
    shop = reading(no_images="null")

    assert shop.done()["data"]["images"] is None
    assert len(shop.done(workflow_id=WITHOUT_OUTPUTS)["data"]["images"]) == 1


def test_reading_no_outputs_absent(reading: Callable[..., Workshop]) -> None:
    shop = reading(no_outputs="absent")

    assert "result" not in shop.done(workflow_id=WITHOUT_OUTPUTS)["data"]
    assert set(shop.done()["data"]["result"]) == {"poster"}


def test_reading_images_beside_outputs_filled(reading: Callable[..., Workshop]) -> None:
    told = reading(images_beside_outputs="filled").done()["data"]

    assert told["images"] == [told["result"]["poster"]["url"]]


def test_reading_several_files_list(serve: Serve, tmp_path: Path) -> None:
    graph = json.loads((data.fixtures() / "workflows" / f"{WITHOUT_OUTPUTS}.json").read_bytes())
    graph["5"]["inputs"]["batch_size"] = 2
    (tmp_path / "pair.json").write_text(json.dumps(graph))
    (tmp_path / "pair.publish.json").write_text(json.dumps({"outputs": {"pair": "9"}}))
    listed = serve(readings={"several-files": "list"}, workflows_dir=tmp_path)
    default = serve(workflows_dir=tmp_path)

    assert len(listed.done(workflow_id="pair")["data"]["result"]["pair"]) == 2
    assert isinstance(listed.done()["data"]["result"]["poster"], dict)
    assert isinstance(default.done(workflow_id="pair")["data"]["result"]["pair"], dict)


def test_an_output_that_is_no_file_is_its_plain_value(serve: Serve, tmp_path: Path) -> None:
    graph = json.loads((data.fixtures() / "workflows" / f"{WITHOUT_OUTPUTS}.json").read_bytes())
    graph["20"] = {"class_type": "PreviewAny", "inputs": {"source": "as it stands"}}
    (tmp_path / "told.json").write_text(json.dumps(graph))
    published = {"inputs": {"note": {"node": "20", "input": "source"}}, "outputs": {"poster": "9", "info": "20"}}
    (tmp_path / "told.publish.json").write_text(json.dumps(published))
    shop = serve(workflows_dir=tmp_path)

    plain = shop.done(workflow_id="told")["data"]["result"]
    changed = shop.done(workflow_id="told", inputs={"note": "as it was asked"})["data"]["result"]

    assert (plain["info"], plain["poster"]["type"]) == ("as it stands", "image")
    assert changed["info"] == "as it was asked"


def test_reading_temp_files_nowhere(reading: Callable[..., Workshop]) -> None:
    assert reading(temp_files="nowhere").done(return_temp_files=True)["data"]["images"] == []


def test_reading_unknown_workflow_refused(reading: Callable[..., Workshop], shop: Workshop) -> None:
    refused = reading(unknown_workflow="refused")

    assert refused.submit(workflow_id="01none")["subErrMessage"] == "Cannot find workflow:01none"
    assert refused.submit()["status"] == 10
    assert set(shop.done(workflow_id="01none")["data"]["result"]) == {"poster"}


def test_reading_unknown_version_refused(reading: Callable[..., Workshop]) -> None:
    shop = reading(unknown_version="refused")

    assert shop.submit(alias_id="draft")["subErrMessage"] == "Cannot find workflow version:draft"
    assert [shop.submit(alias_id=known)["status"] for known in ("main", "v1")] == [10, 10]
    assert shop.submit(alias_id="draft", version_id="v1")["status"] == 10


def test_reading_alias_and_version_alias(reading: Callable[..., Workshop]) -> None:
    shop = reading(alias_and_version="alias", unknown_version="refused")

    assert shop.submit(alias_id="main", version_id="v9")["status"] == 10
    assert shop.submit(alias_id="draft", version_id="v1")["status"] == 20


def test_readings_of_wrong_inputs(reading: Callable[..., Workshop]) -> None:
    refused = reading(wrong_inputs="refused").submit({"colour": "red"})
    failed = reading(wrong_inputs="task-fails").done({"colour": "red"})

    assert refused["subErrCode"] == failed["subErrCode"] == "B_COMPUTING_IllegalInput"


def test_reading_link_lifetime_one_day(reading: Callable[..., Workshop]) -> None:
    assert reading(link_lifetime="one-day").place()["expireTime"] == START + 86_400


def test_reading_expire_time_milliseconds(reading: Callable[..., Workshop]) -> None:
    assert reading(expire_time="milliseconds").place()["expireTime"] == (START + 3600) * 1000


def test_reading_upload_path_with_bucket(reading: Callable[..., Workshop]) -> None:
    place = reading(upload_path="with-bucket").place()

    assert place["path"] == f"/speedpix-workshop/{place['objectKey']}"


def test_every_reading_loads_and_shows_every_state() -> None:
    loaded = check(data.schemas() / "aliyun")

    assert len(loaded) == 1 + sum(len(variant.readings) - 1 for variant in loaded[0].variants.values())


# The official client, unchanged.


@pytest.fixture
def official(require_package: Callable[[str], Any], serve: Serve) -> Iterator[Any]:
    """The official Python client, signed in; a minute of the service passes in 0.1 s."""
    speedpix = require_package("speedpix")
    server = serve(rate=600.0, accounts=(SIGNER,))
    with speedpix.Client("test-app-key", "test-app-secret", endpoint=server.url) as client:
        yield client


def test_the_official_client_runs_a_workflow_with_files_in_and_out(official: Any, tmp_path: Path) -> None:
    reference = tmp_path / "reference.png"
    reference.write_bytes(picture())

    with reference.open("rb") as opened:
        output = official.run(SAMPLE, {"prompt": "a cat", "ref_image": opened}, polling_interval=0.02)

    poster = output["poster"]
    assert Image.open(io.BytesIO(httpx.get(poster["url"].url).content)).size == (poster["width"], poster["height"])


def test_the_official_client_raises_for_a_task_that_failed(official: Any) -> None:
    with pytest.raises(Exception, match=r"Cannot read input file:http://10\.0\.0\.7/image\.jpg") as raised:
        official.run(SAMPLE, {"ref_image": "http://10.0.0.7/image.jpg"}, polling_interval=0.02)

    assert type(raised.value).__name__ == "PredictionError"
    assert raised.value.prediction.error_code == "B_COMPUTING_InputFileUnreadable"  # type: ignore[attr-defined]


def test_the_official_client_is_told_of_an_unknown_task(official: Any) -> None:
    prediction = official.predictions.get("01j5t2qx82323pswaqykz9eq5")

    assert (prediction.status, prediction.error) == ("failed", "No progress data returned")


# By name.


def refusals() -> list[Any]:
    errors = json.loads((data.schemas() / "aliyun" / "errors.json").read_bytes())["refusals"]
    return [pytest.param(name, entry, id=name) for name, entry in errors.items()]


@pytest.mark.parametrize(("name", "entry"), refusals())
def test_every_refusal_can_be_asked_for_by_name(shop: Workshop, name: str, entry: dict[str, Any]) -> None:
    operation = entry.get("on", ["comfy_prompt"])[0]
    body = page("comfy_prompt.request") if operation == "comfy_prompt" else {"taskId": "01none"}

    answer = shop.call(operation, body, x_mock_fail=name)

    told = answer.headers.get("X-Ca-Error-Code") or answer.json()["subErrCode"]
    assert (answer.status_code, told) == (entry["status"], entry["code"])


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("node-failed", "B_COMPUTING_TaskFailed"),
        ("out-of-memory", "B_COMPUTING_TaskFailed"),
        ("timed-out", "B_COMPUTING_TaskTimeout"),
        ("input-unreadable", "B_COMPUTING_InputFileUnreadable"),
        ("content-rejected-late", "B_COMPUTING_ContentRejected"),
    ],
)
def test_every_failure_can_be_asked_for_by_name(shop: Workshop, name: str, code: str) -> None:
    task = shop.call("comfy_prompt", page("comfy_prompt.request"), x_mock_fail=name).json()["data"]["taskId"]
    shop.clock(jump=600)

    assert shop.progress(task)["data"]["status"] == "failed"
    assert shop.result(task)["subErrCode"] == code
