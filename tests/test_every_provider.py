"""What holds for every provider alike: its folder is whole, it is served, and whatever it may refuse can be had."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from mockserver import data
from mockserver.portrait import portrait
from mockserver.provider import check, load
from mockserver.provider.model import Operation, Provider, Refusal
from mockserver.server import Running, running
from mockserver.settings import Settings

PROVIDERS: dict[str, Provider] = {name: load(folder) for name, folder in data.providers(data.schemas()).items()}
STORIES = {name: json.loads((data.fixtures() / name / "demo.json").read_bytes()) for name in PROVIDERS}
START = 1_790_000_000

each_provider = pytest.mark.parametrize("name", PROVIDERS)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(Settings(port=0, rate=0, start=START)) as started:
        yield started


def section(name: str, kind: str) -> list[Any]:
    entries = PROVIDERS[name].documents["errors.json"].get(kind, {})
    return [pytest.param(name, PROVIDERS[name].errors[entry], id=f"{name}-{entry}") for entry in entries]


def every(kind: str) -> list[Any]:
    return [entry for name in PROVIDERS for entry in section(name, kind)]


def call_for(provider: Provider, entry: Refusal) -> Operation | None:
    """An operation that may be refused so; None where only a push channel may."""
    fitting = [one for one in provider.operations if entry.on is None or one.id in entry.on]
    return fitting[0] if fitting else None


def path_of(template: str) -> str:
    return re.sub(r"\{[^}]+\}", "x", template)


def submission(name: str) -> dict[str, Any]:
    """The first submit of the provider's own story that needs nothing from an earlier step."""
    submits = {one.path for one in PROVIDERS[name].operations if one.verb.name == "submit"}
    for step in STORIES[name]["steps"]:
        if step["do"] != "send" or "change" in step or not any(step["path"].endswith(path) for path in submits):
            continue
        body = step.get("body") or json.loads((data.fixtures() / name / step["json"]).read_bytes())
        if not re.search(r'"\{[\w.-]+\}"', json.dumps(body)):  # a place that an earlier step fills
            return {"method": step.get("method", "POST"), "path": step["path"], "json": body}
    raise AssertionError(f"the story of {name} has no such step")


def broken_answers(server: Running) -> list[Any]:
    problems = httpx.get(f"{server.url}/_mock/problems").json()["problems"]
    return [problem for problem in problems if problem["rule"] in ("answer-schema", "emulator-fault")]


@each_provider
def test_the_folder_holds_with_every_reading_of_every_variant(name: str) -> None:
    loaded = check(data.schemas() / name)

    assert len(loaded) == 1 + sum(len(variant.readings) - 1 for variant in PROVIDERS[name].variants.values())


@each_provider
def test_its_openapi_document_passes_a_validator(name: str) -> None:
    OpenAPIV31SpecValidator(PROVIDERS[name].documents["openapi.json"]).validate()


@pytest.mark.parametrize("name", [name for name, one in PROVIDERS.items() if not one.hosts[0].startswith("127.")])
def test_it_is_served_at_its_name_and_by_its_real_host(server: Running, name: str) -> None:
    provider = PROVIDERS[name]
    operation = provider.operations[0]
    path = provider.mounts[-1] + path_of(operation.path)

    by_name = httpx.request(operation.method, f"{server.url}/{name}{path}")
    by_host = httpx.request(operation.method, f"{server.url}{path}", headers={"Host": provider.hosts[0]})

    assert by_name.status_code == by_host.status_code
    assert by_name.headers.get("content-type") == by_host.headers.get("content-type")
    assert broken_answers(server) == []


@each_provider
def test_every_operation_answers_an_empty_call_in_a_form_it_documents(server: Running, name: str) -> None:
    provider = PROVIDERS[name]
    known = {entry.status for entry in provider.errors.values()}

    for operation in provider.operations:
        item = provider.documents["openapi.json"]["paths"][operation.path][operation.method.lower()]
        answer = httpx.request(operation.method, f"{server.url}/{name}{provider.mounts[-1]}{path_of(operation.path)}")
        assert str(answer.status_code) in item["responses"] or answer.status_code in known, operation.id

    assert broken_answers(server) == []


@pytest.mark.parametrize(("name", "entry"), every("refusals"))
def test_every_refusal_can_be_asked_for_by_its_name(server: Running, name: str, entry: Refusal) -> None:
    provider = PROVIDERS[name]
    operation = call_for(provider, entry)
    headers = {"X-Mock-Fail": entry.name}

    if operation is not None:
        url = f"{server.url}/{name}{provider.mounts[-1]}{path_of(operation.path)}"
        told = httpx.request(operation.method, url, headers=headers).status_code
    else:
        told = handshake(server, name, headers)

    assert told == (entry.close or entry.status)
    assert broken_answers(server) == []


def handshake(server: Running, name: str, headers: dict[str, str]) -> int:
    """The HTTP status or close code by which a push channel turns a client away."""
    channel = PROVIDERS[name].channels[0]
    try:
        with connect(f"{server.url.replace('http', 'ws', 1)}/{name}{channel.path}", additional_headers=headers) as feed:
            feed.recv(timeout=10)
    except InvalidStatus as refused:
        return refused.response.status_code
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 1006
    raise AssertionError("the channel was opened")


@pytest.mark.parametrize(("name", "entry"), every("failures"))
def test_every_failure_can_be_asked_for_by_its_name(server: Running, name: str, entry: Refusal) -> None:
    before = {task["id"] for task in tasks(server)}
    wanted = submission(name)
    if "prompt_id" in wanted["json"]:
        wanted["json"]["prompt_id"] = f"00000000-0000-4000-8000-{abs(hash(entry.name)) % 10**12:012}"
    headers = {**STORIES[name].get("headers", {}), "X-Mock-Fail": entry.name}

    answer = httpx.request(
        wanted["method"], f"{server.url}/{name}{wanted['path']}", json=wanted["json"], headers=headers
    )
    httpx.post(f"{server.url}/_mock/clock", json={"jump": 3600})

    assert answer.status_code < 300, answer.text
    (failed,) = [task for task in tasks(server) if task["id"] not in before]
    assert failed["failure"]["name"] == entry.name
    assert broken_answers(server) == []


def tasks(server: Running) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{server.url}/_mock/tasks").json()["tasks"]
    return found


@each_provider
def test_every_fact_says_whether_it_is_documented_or_assumed(name: str) -> None:
    provider = PROVIDERS[name]
    sources = [operation.source for operation in provider.operations]
    sources += [reading.source for variant in provider.variants.values() for reading in variant.readings.values()]

    assert all(set(source) and set(source) <= {"documented", "assumed"} for source in sources)
    assert all(reading.why for variant in provider.variants.values() for reading in variant.readings.values())


@each_provider
def test_its_portrait_tells_operations_states_errors_and_variants(name: str) -> None:
    provider = PROVIDERS[name]

    told = portrait(provider)

    for operation in provider.operations:
        assert f"`{operation.method} {operation.path}`" in told
    for state in provider.machine.kinds["task"].states:
        assert re.search(rf"[* ] {state} (--|\|)", told), state
    for known in (*provider.errors, *(reading for one in provider.variants.values() for reading in one.readings)):
        assert f"`{known}`" in told or known in provider.documents["errors.json"].get("problems", {}), known


def test_a_new_folder_in_another_place_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "sixth"
    shutil.copytree(data.schemas() / "gpugeek", folder)
    shutil.copytree(data.schemas() / "_stores", tmp_path / "_stores")

    with running(Settings(schemas_dir=tmp_path, port=0, rate=0)) as server:
        answer = httpx.get(f"{server.url}/api/v1/task/1", headers={"Authorization": "Bearer any"})

    assert answer.json()["message"] == "task not found"


def test_the_folder_of_the_walk_through_is_served_and_runs_a_task(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    readme = (data.schemas() / "README.md").read_text("utf-8")
    for file, content in re.findall(r"`tiny/(\w+\.json)`:\n\n```json\n(.*?)```", readme, re.DOTALL):
        (folder / file).write_text(content, "utf-8")

    with running(Settings(schemas_dir=tmp_path, port=0, rate=0, any_workflow=True)) as server:
        submitted = httpx.post(f"{server.url}/v1/renders", json={"workflow": "mine"}).json()
        httpx.post(f"{server.url}/_mock/clock", json={"jump": 3600})
        done = httpx.get(f"{server.url}/v1/renders/{submitted['id']}").json()
        unknown = httpx.get(f"{server.url}/v1/renders/nobody")
        unnamed = httpx.post(f"{server.url}/v1/renders", json={"workflow": ""})
        elsewhere = httpx.get(f"{server.url}/v1/nowhere")
        otherwise = httpx.put(f"{server.url}/v1/renders")
        huge = httpx.post(f"{server.url}/v1/renders", content=b" " * 17_000_000)

    assert (unnamed.status_code, unnamed.json()["code"]) == (404, "not_found")
    assert [one.status_code for one in (elsewhere, otherwise, huge)] == [404, 405, 413]
    assert submitted["status"] == "BUSY"
    assert (done["status"], done["progress"]) == ("READY", 100)
    assert unknown.status_code == 404
