"""The Extension for Stable Diffusion on AWS as a client meets it: both endpoints, every collection, refusal and reading.

Over real sockets, on a clock turned by hand.
"""

# ruff: noqa: E501 (a row reads best on one line)

from __future__ import annotations

import ast
import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from mockserver import data
from mockserver.provider import check, load
from mockserver.provider.model import Verb
from mockserver.server import running
from mockserver.settings import Settings
from mockserver.web.answering import success
from mockserver.world import catalogue
from mockserver.world.plan import make_plan
from mockserver.world.setup import Setup, Work
from mockserver.world.task import Fault, Outlook
from mockserver.world.world import World

FOLDER = data.schemas() / "esd"
PAGES = data.fixtures() / "esd"
START = 1722324787
"""30 July 2024, 07:33:07 UTC: the moment of the samples."""
KEY = "09876543210987654321"
ASYNC, REAL_TIME = "comfy-async-test", "comfy-real-time-test"
USER = {"username": "api"}
ENDPOINT = {
    "endpoint_type": "Async",
    "instance_type": "ml.g5.2xlarge",
    "initial_instance_count": 1,
    "autoscaling_enabled": True,
    "assign_to_roles": ["Designer"],
    "service_type": "comfy",
    "endpoint_name": "new",
}
WORKFLOW = {"name": "wf1", "image_uri": "image", "payload_json": "{}", "size": "1.5 GB"}
SCHEMA = {"name": "s_1", "payload": "{}", "workflow": ""}
MISSING_ALL = (
    '[object has missing required properties (["assign_to_roles","autoscaling_enabled","endpoint_type",'
    '"initial_instance_count","instance_type"])]'
)


def page(name: str) -> Any:
    return json.loads((PAGES / f"{name}.json").read_bytes())


PROMPT = page("create_execute.request")["prompt"]


class Api:
    """A stack's client, and the hand on the clock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=f"{url}/prod", headers={"x-api-key": KEY}, timeout=10)
        self.control = httpx.Client(base_url=url)
        self._threads = ThreadPoolExecutor(2)

    def close(self) -> None:
        self._threads.shutdown()
        self.http.close()
        self.control.close()

    def jump(self, seconds: float) -> None:
        self.control.post("/_mock/clock", json={"jump": seconds}).raise_for_status()

    def now(self) -> float:
        now: float = self.control.get("/_mock/clock").json()["now"]
        return now

    def execute(self, id: str = "p1", **changes: Any) -> httpx.Response:
        return self.http.post("/executes", json={"prompt_id": id, "prompt": PROMPT, "endpoint_name": ASYNC} | changes)

    def held(self, id: str = "p1", **changes: Any) -> Future[httpx.Response]:
        """Call the Real-time endpoint from another thread; return once the call has reached the server."""
        call = self._threads.submit(self.execute, id, endpoint_name=REAL_TIME, **changes)
        while self.http.get(f"/executes/{id}").status_code == 404:
            pass
        return call

    def row(self, id: str = "p1") -> Any:
        return self.http.get(f"/executes/{id}").raise_for_status().json()["data"]

    def done(self, id: str = "p1", **changes: Any) -> Any:
        self.execute(id, **changes).raise_for_status()
        self.jump(30)
        return self.row(id)

    def delete(self, path: str, **body: Any) -> httpx.Response:
        return self.http.request("DELETE", path, json=body)


@contextmanager
def serving(**readings: str) -> Iterator[Api]:
    names = {name.replace("_", "-"): value for name, value in readings.items()}
    with running(Settings(providers=("esd",), port=0, rate=0, start=START, variants={"esd": names})) as server:
        api = Api(server.url)
        try:
            yield api
        finally:
            api.close()


@pytest.fixture(scope="module")
def _served() -> Iterator[Api]:
    with serving() as api:
        yield api


@pytest.fixture
def api(_served: Api) -> Api:
    _served.control.post("/_mock/reset").raise_for_status()
    return _served


def shape(value: Any) -> Any:
    """Return what of an answer is form: names and kinds, null told from all else."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value)


# executes


def test_an_async_endpoint_answers_at_once_with_the_documented_keys(api: Api) -> None:
    answer = api.execute(need_sync=False)

    assert answer.status_code == 201
    assert shape(answer.json()) == shape(page("create_execute.answer"))
    assert list(answer.json()["data"]) == list(page("create_execute.answer")["data"])
    assert answer.json()["data"]["create_time"] == "2024-07-30T07:33:07.000000"
    assert answer.headers["x-api-version"] == "1.7.0"


def test_an_async_execute_is_created_then_started_then_over(api: Api) -> None:
    api.execute()
    stored = api.row()
    api.jump(2)
    started = api.row()
    api.jump(30)
    over = api.row()

    assert [row["status"] for row in (stored, started, over)] == ["created", "created", "success"]
    assert [row["start_time"] for row in (stored, started)] == ["", "2024-07-30T07:33:09.000000"]
    assert "complete_time" not in started
    assert over["complete_time"] > over["start_time"]


def test_a_finished_execute_looks_as_documented(api: Api) -> None:
    row = api.done(number="1", extra_data={"client_id": "c1"}, need_sync=False)

    sample = page("get_execute.success.answer")["data"]
    assert shape(row) == shape(sample)
    assert row["sagemaker_raw"] == {}
    assert row["output_path"] == "s3://esd-bucket/comfy/output/p1/0"
    assert row["prompt_params"]["extra_data"] == "{'client_id': 'c1'}"


def test_the_prompt_is_told_as_python_prints_it(api: Api) -> None:
    row = api.done(front=True)

    assert ast.literal_eval(row["prompt_params"]["prompt"]) == PROMPT
    assert row["prompt_params"]["prompt"].startswith("{'4': {'inputs': {'ckpt_name': 'sdXL_v10VAEFix.safetensors'}")
    assert "'cfg': 8.0" in row["prompt_params"]["prompt"]
    assert row["prompt_params"]["extra_data"] == "None"
    assert row["prompt_params"]["front"] is True


def test_a_rejected_prompt_fails_with_the_documented_text(api: Api) -> None:
    row = api.done(prompt={"1": {"class_type": "Nonsense", "inputs": {}}}, number=1, extra_data={"client_id": "c1"})

    sample = page("get_execute.failed.answer")["data"]
    assert shape(row) == shape(sample)
    assert row["message"] == sample["message"]
    assert (row["output_path"], row["output_files"]) == ("", [])


def test_a_label_is_stored_with_the_instance_type(api: Api) -> None:
    api.execute(workflow="latency_compare_comfy")

    assert api.row()["workflow"] == "latency_compare_comfy (ml.g5.2xlarge)"


def test_a_workflow_name_chooses_the_endpoint(api: Api) -> None:
    body = {"prompt_id": "p1", "prompt": PROMPT, "workflow_name": "test"}

    answer = api.http.post("/executes", json=body)

    assert answer.status_code == 201
    assert answer.json()["data"]["endpoint_name"] == ""


def test_the_same_id_again_starts_afresh(api: Api) -> None:
    before = api.done()
    api.execute()

    assert before["status"] == "success"
    assert api.row()["status"] == "created"


def test_a_deleted_execute_is_gone_but_its_files_are_kept(api: Api) -> None:
    link = api.done()["output_files"][0]

    answer = api.delete("/executes", execute_id_list=["p1", "p1", "nobody"])

    assert (answer.status_code, answer.content) == (204, b"")
    assert api.http.get("/executes/p1").status_code == 404
    assert httpx.get(link).status_code == 200


def test_deleting_nothing_is_fine(api: Api) -> None:
    assert api.delete("/executes", execute_id_list=[]).status_code == 204


def test_executes_are_listed_page_by_page(api: Api) -> None:
    for id in ("a", "b"):
        api.execute(id)
    first = api.http.get("/executes", params={"limit": 2}).json()["data"]
    second = api.http.get("/executes", params={"limit": 2, "exclusive_start_key": first["last_evaluated_key"]})

    assert [row["prompt_id"] for row in first["executes"]] == ["a", "b"]
    assert base64.b64decode(first["last_evaluated_key"]) == b'{"prompt_id": "b"}'
    assert second.json()["data"] == {"executes": [], "last_evaluated_key": None}
    assert len(first["executes"][0]) == 12
    assert first["executes"][0]["message"] is None


def test_ten_executes_are_listed_unless_the_call_says_otherwise(api: Api) -> None:
    for number in range(11):
        api.execute(f"p{number}")

    assert len(api.http.get("/executes").json()["data"]["executes"]) == 10


# Real-time endpoints


def test_a_real_time_endpoint_answers_when_the_run_is_over(api: Api) -> None:
    call = api.held()
    before = (call.done(), api.row()["status"], api.row()["start_time"] == api.row()["create_time"])
    api.jump(3600)
    answer = call.result()

    data = answer.json()["data"]
    assert before == (False, "created", True)
    assert (answer.status_code, data["status"], len(data)) == (200, "success", 12)
    assert data["complete_time"] < "2024-07-30T07:33:36", "the answer shows its own moment, not the end of the jump"
    assert answer.headers["date"] < "Tue, 30 Jul 2024 07:33:36 GMT"


def test_the_result_of_a_real_time_run_is_kept_in_the_row(api: Api) -> None:
    call = api.held()
    api.jump(28)
    call.result().raise_for_status()

    raw = api.row()["sagemaker_raw"]
    assert raw["output_files"] == ["/ComfyUI_p1_00001_.png"]
    assert (raw["status"], raw["device_id"], raw["endpoint_name"]) == ("success", "0", REAL_TIME)
    assert "endpoint_instance_id" not in api.row()


def test_a_failed_real_time_run_is_answered_200_without_a_reason(api: Api) -> None:
    call = api.held(prompt={"1": {"class_type": "Nonsense", "inputs": {}}})
    api.jump(28)
    answer = call.result()

    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "failed")
    assert "message" not in answer.json()["data"]
    assert api.row()["message"].startswith("the environment is not ready")


def test_a_long_real_time_run_is_timed_out_by_the_gateway_and_goes_on(api: Api) -> None:
    long = json.loads(json.dumps(PROMPT))
    long["10"]["inputs"] |= {"steps": 1000, "end_at_step": 1000}
    call = api.held(prompt=long)
    api.jump(29)
    answer = call.result()
    api.jump(3600)

    assert answer.status_code == 504
    assert answer.json()["message"] == "Endpoint request timed out"
    assert set(answer.json()) == {"message", "requestId"}
    assert api.row()["status"] == "success"


def test_a_held_answer_comes_by_itself_where_the_clock_runs() -> None:
    with running(Settings(providers=("esd",), port=0, rate=100, start=START)) as server:
        body = {"prompt_id": "p1", "prompt": PROMPT, "endpoint_name": REAL_TIME}
        answer = httpx.post(f"{server.url}/prod/executes", json=body, headers={"x-api-key": KEY})

    assert answer.json()["data"]["status"] == "success"


def test_a_reset_ends_what_is_held(api: Api) -> None:
    call = api.held()

    api.control.post("/_mock/reset").raise_for_status()

    assert call.result().status_code == 504


# the page of March 2024


def test_the_page_is_obeyed_to_the_letter(api: Api) -> None:
    api.execute("11111111-1111-1112")

    answer = api.http.get("/executes/prompt_id", params={"prompt_id": "11111111-1111-1112"})

    assert answer.json()["data"] == api.row("11111111-1111-1112")


def test_without_the_query_the_path_is_the_id(api: Api) -> None:
    answer = api.http.get("/executes/prompt_id")

    assert (answer.status_code, answer.json()["data"]) == (404, "execute not found for prompt_id: prompt_id")


def test_generation_a_answers_as_the_page_prints() -> None:
    sample = page("get_execute.seed.answer")
    with serving(generation="march-2024") as api:
        created = api.http.post("/executes", json=page("create_execute.request")).json()["data"]
        answer = api.http.get("/executes/prompt_id", params={"prompt_id": sample["data"]["prompt_id"]}).json()
        api.jump(60)
        over = api.row(sample["data"]["prompt_id"])

    assert shape(answer) == shape(sample)
    assert answer["data"]["prompt_params"] == sample["data"]["prompt_params"]
    assert answer["data"]["start_time"] == answer["data"]["create_time"]
    assert created["prompt_params"] == sample["data"]["prompt_params"]
    assert created["complete_time"] is None
    assert len(over["output_files"]) == 1
    assert over["sagemaker_raw"]["status"] == "success"


# what comes besides


def test_messages_tell_the_run_and_end_with_finish(api: Api) -> None:
    api.execute(client_id="c1")
    none_yet = api.http.get("/sync/p1").json()
    api.jump(30)
    messages = api.http.get("/sync/p1").json()["data"]

    told = [message["event"] for (message,) in messages]
    assert "data" not in none_yet
    assert told[:3] == ["execution_start", "execution_cached", "executing"]
    assert told[-2:] == ["executed", "finish"]
    assert messages[-1][0] == {
        "prompt_id": "p1", "event": "finish", "data": {"node": None, "prompt_id": "p1"}, "sid": "c1",
    }  # fmt: skip
    assert all(message["data"] != messages[-1][0]["data"] for (message,) in messages[:-1])
    assert [m["data"]["value"] for (m,) in messages if m["event"] == "progress"][:3] == [1, 2, 3]
    assert messages == api.http.get("/sync/p1").json()["data"], "reading does not consume"


def test_messages_of_a_rejected_prompt_finish_too(api: Api) -> None:
    api.done(prompt={"1": {"class_type": "Nonsense", "inputs": {}}})

    assert api.http.get("/sync/p1").json()["data"][-1][0]["event"] == "finish"


@pytest.mark.parametrize("path", ["/sync/nobody", "/sync/quiet"])
def test_there_is_no_data_where_there_are_no_messages(api: Api, path: str) -> None:
    api.done("quiet", need_sync=False)

    assert set(api.http.get(path).json()) == {"statusCode", "debug", "message"}


def test_logs_tell_of_the_execute_once_it_has_started(api: Api) -> None:
    api.execute()
    early = api.http.get("/executes/p1/logs")
    api.jump(30)
    lines = api.http.get("/executes/p1/logs").json()["data"]["results"]

    assert early.json()["message"] == "time data '' does not match format '%Y-%m-%dT%H:%M:%S.%f'"
    assert lines
    assert all(set(line) == {"timestamp", "message", "logStream"} and "p1" in line["message"] for line in lines)
    assert [line["timestamp"] for line in lines] == sorted(line["timestamp"] for line in lines)


def test_a_prepare_is_done_after_a_while(api: Api) -> None:
    answer = api.http.post("/prepare", json={"endpoint_name": ASYNC, "prepare_id": None, "need_reboot": False})
    soon = api.http.get(f"/prepare/{ASYNC}").json()["data"]
    api.jump(11)
    later = api.http.get(f"/prepare/{ASYNC}").json()["data"]

    assert (answer.status_code, answer.json()["data"]) == (200, ASYNC)
    assert (soon, later) == ({"prepareSuccess": False}, {"prepareSuccess": True})
    assert api.http.get("/prepare/nobody").json()["data"] == {"prepareSuccess": False}


def test_the_service_answers_for_itself(api: Api) -> None:
    assert [api.http.get(path).json()["message"] for path in ("/", "/ping")] == ["OK", "pong"]
    assert api.http.get("/api").json()["info"]["version"] == "v1.7.0"


@pytest.mark.parametrize("path", ["/merge", "/sync"])
@pytest.mark.parametrize("body", [{}, {"json": {"any": "thing"}}], ids=["no body", "a body"])
def test_what_is_meant_for_queues_does_nothing(api: Api, path: str, body: dict[str, Any]) -> None:
    answer = api.http.post(path, **body)

    assert (answer.status_code, set(answer.json())) == (200, {"statusCode", "debug", "message"})


@pytest.mark.parametrize("path", ["/ping", "//ping", "/prod/ping", "/prod//ping", "//prod/ping"])
def test_the_stage_may_be_left_out_and_slashes_doubled(api: Api, path: str) -> None:
    assert httpx.get(api.url + path, headers={"x-api-key": KEY}).json()["message"] == "pong"


# workflows and schemas


def test_a_workflow_lives_is_used_and_is_removed_later(api: Api) -> None:
    made = api.http.post("/workflows", json=WORKFLOW)
    endpoint = api.http.post("/endpoints", json=ENDPOINT | {"workflow_name": "wf1"}, headers=USER).json()["data"]
    used = api.delete("/workflows", workflow_name_list=["wf1"])
    api.delete("/endpoints", endpoint_name_list=["comfy-async-wf1"])
    freed = api.delete("/workflows", workflow_name_list=["wf1", "nobody"])
    meanwhile = api.http.get("/workflows/wf1").json()["data"]["status"]
    unusable = api.http.post("/endpoints", json=ENDPOINT | {"workflow_name": "wf1"}, headers=USER)
    api.jump(21)

    assert (made.status_code, made.json()["message"]) == (200, "wf1 created")
    assert made.json()["data"]["s3_location"] == "comfy/workflows/wf1/"
    assert endpoint["endpoint_name"] == "comfy-async-wf1"
    assert (used.status_code, used.json()["message"]) == (400, "Endpoint comfy-async-wf1 is still in use")
    assert (freed.status_code, freed.json()["message"]) == (202, "Workflows Delete Request Accepted")
    assert meanwhile == "Deleting"
    assert (unusable.status_code, unusable.json()["message"]) == (400, "wf1 is Deleting")
    assert api.http.get("/workflows/wf1").status_code == 404
    assert api.http.get("/workflows").json()["data"]["workflows"] == []


def test_a_schema_is_saved_changed_and_removed(api: Api) -> None:
    made = api.http.post("/schemas", json=SCHEMA)
    changed = api.http.put("/schemas/s_1", json={"payload": "new", "workflow": "wf"})
    read = api.http.get("/schemas/s_1").json()["data"]
    listed = api.http.get("/schemas").json()["data"]
    gone = api.delete("/schemas", schema_name_list=["s_1", "nobody"])

    assert (made.status_code, made.json()["message"]) == (200, "s_1 created")
    assert changed.json()["data"] == made.json()["data"], "the answer shows what was before"
    assert (read["payload"], read["workflow"]) == ("new", "wf")
    assert listed == {"schemas": [read], "last_evaluated_key": None}
    assert gone.status_code == 204
    assert api.http.get("/schemas/s_1").json()["message"] == "schema with name s_1 not found"


# endpoints


def test_one_endpoint_of_each_type_is_in_service_at_the_start(api: Api) -> None:
    listed = api.http.get("/endpoints", headers=USER).json()["data"]["endpoints"]

    assert sorted((one["endpoint_name"], one["endpoint_status"]) for one in listed) == [
        (ASYNC, "InService"), (REAL_TIME, "InService"),
    ]  # fmt: skip


def test_a_new_endpoint_comes_into_service_on_the_clock(api: Api) -> None:
    answer = api.http.post("/endpoints", json=ENDPOINT | {"max_instance_number": 3}, headers=USER)
    early = api.execute(endpoint_name="comfy-async-new")
    api.jump(300)
    listed = api.http.get("/endpoints", params={"limit": 1}, headers=USER).json()["data"]

    made, (now,) = answer.json()["data"], listed["endpoints"]
    assert (answer.status_code, answer.json()["message"]) == (202, "Endpoint deployment started: comfy-async-new")
    assert (made["endpoint_status"], made["current_instance_count"], made["endTime"]) == ("Creating", "0", None)
    assert (made["min_instance_number"], made["max_instance_number"]) == ("0", 3)
    assert early.json()["message"] == "Endpoint comfy-async-new is Creating status, not InService or Updating."
    assert (now["endpoint_status"], now["current_instance_count"], now["max_instance_number"]) == (
        "InService",
        "1",
        "3",
    )
    assert now["EndpointDeploymentJobId"] == made["EndpointDeploymentJobId"]
    assert api.execute(endpoint_name="comfy-async-new").status_code == 201


def test_an_endpoint_without_a_name_is_called_by_its_job(api: Api) -> None:
    body = {name: value for name, value in ENDPOINT.items() if name not in ("endpoint_name", "service_type")}

    made = api.http.post("/endpoints", json=body, headers=USER).json()["data"]

    assert made["endpoint_name"] == f"sd-async-{made['EndpointDeploymentJobId'][:7]}"


def test_endpoints_are_found_by_their_job_and_removed_by_name(api: Api) -> None:
    job = api.http.post("/endpoints", json=ENDPOINT, headers=USER).json()["data"]["EndpointDeploymentJobId"]
    wanted = {"endpointDeploymentJobId": job, "username": "admin"}
    found = api.http.get("/endpoints", params=wanted, headers=USER).json()["data"]["endpoints"]
    gone = api.delete("/endpoints", endpoint_name_list=["comfy-async-new", "nobody"], username="api")

    assert [one["endpoint_name"] for one in found] == ["comfy-async-new"]
    assert gone.status_code == 204
    assert api.http.get("/endpoints", params=wanted, headers=USER).json()["data"]["endpoints"] == []


def test_prompts_wait_for_an_instance_of_their_own_endpoint(api: Api) -> None:
    api.execute("a")
    api.execute("b")
    api.jump(3)

    assert (api.row("a")["start_time"] != "", api.row("b")["start_time"]) == (True, "")


# credentials and refusals


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-api-key": "short"}, {"x-api-key": "-" * 20}],
    ids=["missing", "short", "wrong letters"],
)
def test_the_gateway_checks_the_key(api: Api, headers: dict[str, str]) -> None:
    answer = httpx.post(f"{api.url}/prod/endpoints", headers=headers)

    assert answer.status_code == 403
    assert shape(answer.json()) == shape(page("forbidden.answer"))
    assert answer.json()["message"] == "Forbidden"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 401, id="nobody"),
        pytest.param({"username": "stranger"}, 401, id="a stranger"),
        pytest.param({"username": "api"}, 200, id="by name"),
        pytest.param({"Authorization": "Bearer 61646D696E"}, 200, id="by name in base 16"),
        pytest.param({"Authorization": "Bearer 00"}, 401, id="by nothing in base 16"),
    ],
)
def test_endpoints_are_for_users(api: Api, headers: dict[str, str], status: int) -> None:
    answer = api.http.get("/endpoints", headers=headers)

    assert answer.status_code == status
    assert answer.json()["message"] == {200: "OK", 401: "Unauthorized"}[status]


EXECUTE = {"prompt_id": "p", "prompt": {"1": {}}}
REFUSED: list[tuple[str, str, Any, str]] = [
    ("POST", "/executes", None, "the JSON object must be str, bytes or bytearray, not NoneType"),
    ("POST", "/executes", "{a", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ("POST", "/executes", [], "execute.ExecuteEvent() argument after ** must be a mapping, not list"),
    ("POST", "/executes", EXECUTE | {"foo": 1}, "ExecuteEvent.__init__() got an unexpected keyword argument 'foo'"),
    ("POST", "/executes", {"foo": 1}, "ExecuteEvent.__init__() got an unexpected keyword argument 'foo'"),
    ("POST", "/executes", {"prompt_id": "p"}, "ExecuteEvent.__init__() missing 1 required positional argument: 'prompt'"),
    ("POST", "/executes", {}, "ExecuteEvent.__init__() missing 2 required positional arguments: 'prompt_id' and 'prompt'"),
    ("POST", "/executes", EXECUTE | {"prompt": {}}, "Prompt is required"),
    ("POST", "/executes", EXECUTE, "Cannot match an available environment，please check your EndpointName or your WorkflowVersion."),
    ("POST", "/executes", EXECUTE | {"endpoint_name": "x"}, "Please create an endpoint first, then try again."),
    ("DELETE", "/executes", {}, "DeleteEvent.__init__() missing 1 required positional argument: 'execute_id_list'"),
    ("DELETE", "/executes", None, "the JSON object must be str, bytes or bytearray, not NoneType"),
    ("GET", "/executes?limit=abc", None, "invalid literal for int() with base 10: 'abc'"),
    ("GET", "/executes?limit=0", None, "Parameter validation failed:\nInvalid value for parameter Limit, value: 0, valid min value: 1"),
    ("GET", "/executes?exclusive_start_key=abc", None, "Incorrect padding"),
    ("POST", "/prepare", {"endpoint_name": ASYNC}, "PrepareEnvEvent.__init__() missing 1 required positional argument: 'prepare_id'"),
    ("POST", "/prepare", {"endpoint_name": None, "prepare_id": None}, "endpoint name should not be null"),
    ("POST", "/prepare", {"endpoint_name": "x", "prepare_id": None}, "sagemaker endpoint with name x is not found"),
    ("POST", "/prepare", {"endpoint_name": "comfy-async-new", "prepare_id": "1"}, "sagemaker endpoint is not ready with status: Creating"),
    ("POST", "/workflows", WORKFLOW | {"name": "taken"}, "taken already exists"),
    ("POST", "/schemas", SCHEMA | {"name": "taken"}, "taken already exists"),
    ("GET", "/endpoints?username=bob", None, 'user: "bob" not exist'),
    ("POST", "/endpoints", ENDPOINT | {"endpoint_type": "Real-time"}, "min_instance_number should be at least 1 for real-time endpoint: comfy-real-time-new"),
    ("POST", "/endpoints", ENDPOINT | {"endpoint_type": "Real-time", "workflow_name": "taken"}, "Your can't create Async endpoint only for workflow currently"),
    ("POST", "/endpoints", ENDPOINT | {"foo": 1}, "CreateEndpointEvent.__init__() got an unexpected keyword argument 'foo'"),
    ("POST", "/endpoints", ENDPOINT, 'An error occurred (ValidationException) when calling the CreateModel operation: Cannot create already existing model "arn:aws:sagemaker:ap-northeast-1:123456789012:model/comfy-async-new".'),
]  # fmt: skip


@pytest.fixture(scope="module")
def furnished() -> Iterator[Api]:
    with serving() as api:
        api.http.post("/workflows", json=WORKFLOW | {"name": "taken"}).raise_for_status()
        api.http.post("/schemas", json=SCHEMA | {"name": "taken"}).raise_for_status()
        api.http.post("/endpoints", json=ENDPOINT, headers=USER).raise_for_status()
        yield api


@pytest.mark.parametrize(("method", "path", "body", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_handler_refuses_in_its_own_words(furnished: Api, method: str, path: str, body: Any, message: str) -> None:
    sent = {} if body is None else {"content": body if isinstance(body, str) else json.dumps(body)}

    answer = furnished.http.request(method, path, headers=USER, **sent)  # type: ignore[arg-type]

    assert (answer.status_code, answer.json()["message"]) == (400, message)
    assert set(answer.json()) == {"statusCode", "debug", "message"}


@pytest.mark.parametrize(("id", "told"), [("", "''"), (None, "None"), (1, "1")])
def test_an_unusable_id_is_refused_in_the_words_of_the_table(api: Api, id: Any, told: str) -> None:
    message = api.execute(prompt_id=id).json()["message"]

    assert message.startswith(
        f"table ComfyExecuteTable put item failed -> {told}: An error occurred (ValidationException)"
    )


def test_non_ascii_texts_are_escaped_on_the_wire(api: Api) -> None:
    assert b"environment\\uff0cplease" in api.http.post("/executes", json=EXECUTE).content


@pytest.mark.parametrize("path", ["/executes/x", "/executes/x/logs", "/executes/prompt_id?prompt_id=x"])
def test_an_unknown_execute_is_explained_in_data(api: Api, path: str) -> None:
    answer = api.http.get(path)

    assert answer.status_code == 404
    assert (answer.json()["data"], answer.json()["message"]) == ("execute not found for prompt_id: x", "Not Found")


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("GET", "/workflows/x", None, "workflow with name x not found"),
        ("GET", "/schemas/x", None, "schema with name x not found"),
        ("PUT", "/schemas/x", {"payload": "p", "workflow": ""}, "schema with name x not found"),
        ("POST", "/endpoints", ENDPOINT | {"workflow_name": "x"}, "workflow x not found"),
    ],
)
def test_other_unknown_things_are_explained_in_message(
    api: Api, method: str, path: str, body: Any, message: str
) -> None:
    answer = api.http.request(method, path, json=body, headers=USER)

    assert (answer.status_code, answer.json()["message"]) == (404, message)
    assert "data" not in answer.json()


INVALID = [
    pytest.param("/endpoints", {}, MISSING_ALL, id="required"),
    pytest.param("/endpoints", None, MISSING_ALL, id="no body"),
    pytest.param("/workflows", WORKFLOW | {"name": "wf-1"}, '[ECMA 262 regex "^[A-Za-z][A-Za-z0-9]*$" does not match input string "wf-1"]', id="pattern"),
    pytest.param("/workflows", WORKFLOW | {"size": 1}, '[instance type (integer) does not match any allowed primitive type (allowed: ["string"])]', id="type"),
    pytest.param("/endpoints", ENDPOINT | {"endpoint_type": "Foo"}, '[instance value ("Foo") not found in enum (possible values: ["Real-time","Async"])]', id="enum"),
    pytest.param("/workflows", WORKFLOW | {"image_uri": ""}, '[string "" is too short (length: 0, required minimum: 1)]', id="minLength"),
    pytest.param("/workflows", WORKFLOW | {"name": "a" * 21}, f'[string "{"a" * 21}" is too long (length: 21, maximum allowed: 20)]', id="maxLength"),
    pytest.param("/endpoints", ENDPOINT | {"assign_to_roles": []}, "[array is too short: must have at least 1 elements but instance has 0 elements]", id="minItems"),
    pytest.param("/endpoints", ENDPOINT | {"assign_to_roles": ["r"] * 11}, "[array is too long: must have at most 10 elements but instance has 11 elements]", id="maxItems"),
    pytest.param("/endpoints", ENDPOINT | {"initial_instance_count": 0}, "[numeric instance is lower than the required minimum (minimum: 1, found: 0)]", id="minimum"),
    pytest.param("/schemas", SCHEMA | {"name": "", "payload": 1}, None, id="several"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "message"), INVALID)
def test_the_gateway_validates_bodies_in_its_own_words(api: Api, path: str, body: Any, message: str | None) -> None:
    answer = api.http.post(path, headers=USER, **({} if body is None else {"json": body}))

    assert answer.status_code == 400
    assert set(answer.json()) == {"statusCode", "message", "requestId"}
    assert answer.json()["message"] == (message or answer.json()["message"])


def test_the_gateway_lists_all_that_is_wrong(api: Api) -> None:
    message = api.http.post("/schemas", json=SCHEMA | {"name": "", "payload": 1}).json()["message"]

    assert message.count("is too short") == 1
    assert message.count("does not match any allowed primitive type") == 1


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("PATCH", "/executes")])
def test_what_is_not_defined_is_forbidden(api: Api, method: str, path: str) -> None:
    answer = api.http.request(method, path)

    assert (answer.status_code, answer.json()["message"]) == (403, "Missing Authentication Token")


def test_a_body_beyond_ten_megabytes_is_too_long(api: Api) -> None:
    answer = api.http.post("/executes", content=b" " * (10 * 1024 * 1024 + 1))

    assert (answer.status_code, answer.json()["message"]) == (413, "Request Too Long")


# files


def xml_of(answer: httpx.Response) -> dict[str, str | None]:
    return {element.tag: element.text for element in ElementTree.fromstring(answer.content)}


def test_a_link_gives_the_picture_without_a_key(api: Api) -> None:
    answer = httpx.get(api.done()["output_files"][0])

    with Image.open(BytesIO(answer.content)) as picture:
        assert (picture.format, picture.size) == ("PNG", (1024, 1024))
    assert answer.headers["server"] == "AmazonS3"
    assert answer.url.path.endswith("/comfy/output/p1/0/ComfyUI_p1_00001_.png")


def test_a_link_lives_an_hour_and_each_answer_makes_new_ones(api: Api) -> None:
    old = api.done()["output_files"][0]
    api.jump(3600)
    last = httpx.get(old).status_code
    api.jump(1)
    new = api.row()["output_files"][0]
    answer = httpx.get(old)

    assert last == 200
    assert answer.status_code == 403
    assert (xml_of(answer)["Code"], xml_of(answer)["Message"]) == ("AccessDenied", "Request has expired")
    assert old != new
    assert httpx.get(new).status_code == 200


def altered(link: str, **changes: str | None) -> str:
    url = httpx.URL(link)
    query = {name: value for name, value in (dict(url.params) | changes).items() if value is not None}
    return str(url.copy_with(params=query))


@pytest.mark.parametrize(
    ("form", "change", "status", "code"),
    [
        pytest.param("v2", {"Signature": "c2FtcGxl"}, 403, "SignatureDoesNotMatch", id="v2, other signature"),
        pytest.param("v2", {"Expires": "1999999999"}, 403, "SignatureDoesNotMatch", id="v2, longer life"),
        pytest.param("v2", {"AWSAccessKeyId": "AKIA"}, 403, "InvalidAccessKeyId", id="v2, other key"),
        pytest.param("v2", {"Expires": None}, 403, "AccessDenied", id="v2, no end"),
        pytest.param("v2", {"Expires": "soon"}, 403, "AccessDenied", id="v2, no number"),
        pytest.param("v4", {"X-Amz-Signature": "00"}, 403, "SignatureDoesNotMatch", id="v4, other signature"),
        pytest.param("v4", {"X-Amz-Expires": "7200"}, 403, "SignatureDoesNotMatch", id="v4, longer life"),
        pytest.param("v4", {"X-Amz-Date": None}, 400, "AuthorizationQueryParametersError", id="v4, no date"),
        pytest.param("v4", {"X-Amz-Date": "now"}, 400, "AuthorizationQueryParametersError", id="v4, no moment"),
    ],
)
def test_a_changed_link_is_refused_in_xml(
    signed: Callable[[str], str], form: str, change: dict[str, str | None], status: int, code: str
) -> None:
    answer = httpx.get(altered(signed(form), **change))

    assert (answer.status_code, xml_of(answer)["Code"]) == (status, code)
    assert answer.headers["content-type"] == "application/xml"
    assert xml_of(answer)["RequestId"] == answer.headers["x-amz-request-id"]


@pytest.fixture(scope="module")
def signed() -> Iterator[Callable[[str], str]]:
    """Gives a link in one of the two forms."""
    with serving() as old, serving(link_signature="v4") as new:
        links = {"v2": old.done()["output_files"][0], "v4": new.done()["output_files"][0]}
        yield links.__getitem__


def test_links_come_in_both_forms_and_both_are_served(signed: Callable[[str], str]) -> None:
    names = {form: list(httpx.URL(signed(form)).params) for form in ("v2", "v4")}

    assert names["v2"] == ["AWSAccessKeyId", "Signature", "x-amz-security-token", "Expires"]
    assert names["v4"] == [
        "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders",
        "X-Amz-Security-Token", "X-Amz-Signature",
    ]  # fmt: skip
    assert httpx.URL(signed("v4")).params["X-Amz-Expires"] == "3600"
    assert [httpx.get(signed(form)).status_code for form in ("v2", "v4")] == [200, 200]


def test_a_v4_link_dies_after_an_hour_too() -> None:
    with serving(link_signature="v4") as api:
        link = api.done()["output_files"][0]
        api.jump(3601)
        answer = httpx.get(link)

    assert (answer.status_code, xml_of(answer)["Message"]) == (403, "Request has expired")


# other readings


def test_a_deployed_stack_does_not_know_the_path_of_the_page() -> None:
    with serving(seed_path="not-found") as api:
        api.execute()
        answer = api.http.get("/executes/prompt_id", params={"prompt_id": "p1"})

    assert (answer.status_code, answer.json()["data"]) == (404, "execute not found for prompt_id: prompt_id")


def test_any_user_may_be_let_in() -> None:
    with serving(users="any") as api:
        status = api.http.get("/endpoints", headers={"username": "bob"}, params={"username": "eve"}).status_code

    assert status == 200


def test_the_published_model_may_be_enforced() -> None:
    with serving(execute_checks="published") as api:
        answer = api.http.post("/executes", json=EXECUTE)

    message = '[object has missing required properties (["endpoint_name","need_sync"])]'
    assert (answer.status_code, answer.json()["message"]) == (400, message)
    assert "debug" not in answer.json()


def test_double_slashes_may_be_refused() -> None:
    with serving(double_slashes="refused") as api:
        answer = httpx.get(f"{api.url}/prod//ping", headers={"x-api-key": KEY})

    assert (answer.status_code, answer.json()["message"]) == (403, "Missing Authentication Token")


@pytest.mark.parametrize(
    ("reading", "message", "last"),
    [
        pytest.param("exception", "exception occurred ", "execution_error", id="exception"),
        pytest.param("rejected", "the environment is not ready valid[0] is false", "finish", id="rejected"),
    ],
)
def test_a_node_that_raises_ends_the_run_in_either_way(reading: str, message: str, last: str) -> None:
    provider = load(FOLDER, readings={"failed-node": reading})
    fault = Fault("node-failed", {"cause.type": "ValueError", "cause.text": "no such size"}, share=0.5)
    plan = make_plan(PROMPT, catalogue.load())
    setup = Setup(plan=lambda order: Work(plan, order.graph), outlook=lambda task: Outlook(fault=fault))
    service = (world := World("w", start=START, setup=lambda provider: setup)).service(provider)
    service.perform(
        Verb("submit", "task", {}), {"task.id": ["p1"], "task.graph": [PROMPT], "endpoint.id": [ASYNC]}, service.call("submit"),
    )  # fmt: skip
    world.jump(3600)
    call = service.call("read")
    scope = service.scope(service.perform(Verb("read", "task", {}), {"task.id": ["p1"]}, call), call)
    drawn = {
        operation.id: json.loads(success(operation.responses, scope).body)
        for operation in provider.operations
        if operation.id in ("GetExecute", "GetSyncMessage")
    }

    assert drawn["GetExecute"]["data"]["status"] == "failed"
    assert drawn["GetExecute"]["data"]["message"].startswith(message)
    assert drawn["GetSyncMessage"]["data"][-1][0]["event"] == last


CATALOGUE = json.loads((FOLDER / "errors.json").read_bytes())
PATHS = json.loads((FOLDER / "openapi.json").read_bytes())["paths"]
OPERATIONS = {one["operationId"]: (method, path) for path, item in PATHS.items() for method, one in item.items()}
BODIES = {
    "CreateExecute": {"prompt_id": "x", "prompt": PROMPT, "endpoint_name": ASYNC},
    "DeleteExecutes": {"execute_id_list": ["x"]},
    "CreatePrepare": {"endpoint_name": ASYNC, "prepare_id": None},
    "CreateWorkflow": WORKFLOW,
    "DeleteWorkflows": {"workflow_name_list": ["x"]},
    "CreateSchema": SCHEMA,
    "UpdateSchema": {"payload": "p", "workflow": ""},
    "DeleteSchemas": {"schema_name_list": ["x"]},
    "CreateEndpoint": ENDPOINT | {"workflow_name": "x"},
    "DeleteEndpoints": {"endpoint_name_list": ["x"]},
}


@pytest.mark.parametrize("name", CATALOGUE["refusals"])
def test_every_refusal_can_be_asked_for_by_name(api: Api, name: str) -> None:
    entry = CATALOGUE["refusals"][name]
    operation = entry.get("on", ["GetExecute"])[0]
    method, path = OPERATIONS[operation]
    (scenario,) = api.control.post("/_mock/fail", json={"error": name}).raise_for_status().json()

    path = path.replace("{id}", "x").replace("{name}", "x")
    answer = api.http.request(method, path, headers=USER, json=BODIES.get(operation))
    api.control.delete(f"/_mock/scenarios/{scenario}").raise_for_status()

    assert answer.status_code == entry["status"]
    assert answer.json()["message"]


@pytest.mark.parametrize("name", CATALOGUE["failures"])
def test_every_failure_can_be_asked_for_by_name(api: Api, name: str) -> None:
    (scenario,) = api.control.post("/_mock/fail", json={"error": name}).raise_for_status().json()

    row = api.done()
    api.control.delete(f"/_mock/scenarios/{scenario}").raise_for_status()

    assert row["status"] == "failed"
    assert row["message"].startswith(CATALOGUE["failures"][name]["message"].partition("{")[0])


# the folder


def test_every_reading_loads_and_draws_every_state() -> None:
    variants = json.loads((FOLDER / "variants.json").read_bytes())

    loaded = check(FOLDER)

    assert len(loaded) == 1 + sum(len(variant["readings"]) - 1 for variant in variants.values())


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("create_execute.request", "CreateExecute"),
        ("create_execute.answer", "CreatedOfRelease"),
        ("get_execute.success.answer", "RowOfRelease"),
        ("get_execute.failed.answer", "RowOfRelease"),
        ("get_execute.seed.answer", "RowOfMarch"),
        ("forbidden.answer", "GatewayError"),
    ],
)
def test_samples_fit_their_schemas(name: str, schema: str) -> None:
    sample = page(name)
    document = json.loads((FOLDER / "openapi.json").read_bytes())

    judged = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    errors = [error.message for error in Draft202012Validator(judged).iter_errors(sample.get("data", sample))]

    assert errors == []
