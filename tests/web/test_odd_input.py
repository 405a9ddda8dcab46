"""Input that no client should send, and some do: the answer is the provider's, and nothing is broken afterwards."""

from __future__ import annotations

import asyncio
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.web.api import Api
from tests.web.inside import Inside, manners

ODD: dict[str, str] = {
    "half a surrogate pair": '"\\ud800"',
    "half a pair as a name": '{"\\udfff": 1}',
    "a number beyond 64 bits": "123456789012345678901234567890",
    "a number of 5000 digits": "9" * 5000,
    "no number": "NaN",
    "a number beyond all numbers": "1e999",
    "a thousand levels": "[" * 1000 + "]" * 1000,
    "five thousand levels": '{"a":' * 5000 + "1" + "}" * 5000,
    "a number with a point": "763311996779461.0",
    "a NUL": '"a\\u0000b"',
}


@pytest.mark.parametrize("provider", manners())
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_json_meets_an_answer_of_the_provider_wherever_it_stands(provider: str, odd: str) -> None:
    async def send() -> None:
        inside = Inside(provider)
        method, path, body = inside.manner.submit
        told = []
        for place in [*body, "elsewhere"]:
            text = json.dumps({**body, place: "@@"}).replace('"@@"', odd)
            told.append(await inside.ask(method, path, text))
            world = await inside.ask("GET", "/_mock/tasks")
            assert world is not None
            for task in world.json()["tasks"]:
                told += [await _poll(inside, poll, task["id"]) for poll in inside.manner.polls]
            await inside.ask("POST", "/_mock/clock", {"jump": 60})
        problems = await inside.ask("GET", "/_mock/problems")
        har = await inside.ask("GET", "/_mock/exchanges?format=har")

        assert problems is not None
        assert har is not None
        assert (problems.status_code, har.status_code) == (200, 200)
        rules = [one["rule"] for one in problems.json()["problems"]]
        assert "emulator-fault" not in rules
        assert "answer-schema" not in rules
        assert None not in told

    asyncio.run(send())


async def _poll(inside: Inside, poll: tuple[str, str, Any], id: str) -> httpx.Response | None:
    method, path, body = poll
    sent = None if body is None else json.loads(json.dumps(body).replace("{id}", id))
    return await inside.ask(method, path.replace("{id}", quote(id, safe="")), sent)


@pytest.mark.parametrize(
    ("given", "status", "size"),
    [
        pytest.param("bytes=0-3", 206, 4, id="a part"),
        pytest.param("bytes=9-1", 200, None, id="its end before its start"),
        pytest.param("bytes=" + "9" * 5000 + "-", 200, None, id="a number of 5000 digits"),
        pytest.param("bytes=999999999-", 416, 0, id="beyond the end"),
    ],
)
def test_ranges_that_are_none_are_passed_over(api: Api, given: str, status: int, size: int | None) -> None:
    task = api.submit()["prompt_id"]
    api.clock(jump=600)
    link = api.info(task)["final_files"][0]
    whole = len(httpx.get(link).content)

    answer = httpx.get(link, headers={"Range": given})

    assert (answer.status_code, len(answer.content)) == (status, whole if size is None else size)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("clock", {"until": {"task": "TASK", "state": {}}}, id="a state that is no text"),
        pytest.param("clock", {"rate": 1e300}, id="a rate beyond the calendar"),
        pytest.param("verify", {"called": {"request": {"$ref": "#/nowhere"}}}, id="a reference to nothing"),
        pytest.param("worlds", {"scenario": "x" * 5000}, id="a name longer than a file's"),
        pytest.param("worlds", {"scenario": "a\0b"}, id="a name with a NUL"),
    ],
)
def test_odd_requests_to_the_control_api_are_told_what_is_wrong(api: Api, path: str, body: Any) -> None:
    task = api.submit()["prompt_id"]

    answer = api.http.post(f"/_mock/{path}", content=json.dumps(body).replace("TASK", task))

    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_number_is_one_in_any_notation_when_calls_are_counted(api: Api) -> None:
    api.submit()

    answer = api.http.post("/_mock/verify", content='{"called": {"operation": "prompt", "status": 2e2}, "times": 1.0}')

    assert answer.json()["holds"]


def test_a_since_that_is_no_number_is_refused(api: Api) -> None:
    assert api.http.get("/_mock/journal", params={"since": "²"}).status_code == 400


def test_a_json_schema_of_a_caller_fetches_nothing(api: Api, tmp_path: Path) -> None:
    asked = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    listener = HTTPServer(("127.0.0.1", 0), Listener)
    Thread(target=listener.serve_forever, daemon=True).start()
    file = tmp_path / "schema.json"
    file.write_text('{"type": "object"}')
    for address in (f"http://127.0.0.1:{listener.server_port}/x", file.as_uri()):
        schema = {"$ref": address}
        verified = api.http.post("/_mock/verify", json={"called": {"request": schema}})
        rule = {"when": {"request": schema}, "answer": {"status": 502}}
        put = api.http.put("/_mock/scenarios/mine", json={"rules": [rule]})

        assert (verified.status_code, put.status_code) == (400, 400)
        assert "outside" in verified.json()["error"]
    listener.shutdown()
    listener.server_close()

    assert asked == []


@pytest.mark.parametrize(("overwrite", "status"), [("True", 200), ("1", 200), ("false", 409)])
def test_a_flag_of_comfyui_is_read_in_every_spelling_clients_have_for_it(overwrite: str, status: int) -> None:
    async def move() -> httpx.Response | None:
        inside = Inside("comfyui")
        for name in ("a", "b"):
            await inside.ask("POST", f"/userdata/{name}", "x")
        return await inside.ask("POST", f"/userdata/a/move/b?overwrite={overwrite}")

    answer = asyncio.run(move())

    assert answer is not None
    assert answer.status_code == status
