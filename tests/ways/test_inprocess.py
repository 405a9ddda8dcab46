"""Clients without sockets, under the real host names."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import httpx
import pytest
import requests
from PIL import Image

from mockserver import MockServer
from tests.ways.clients import BODY, REAL, TASKS, AsyncPainter, Painter, headers, only, submitted


def test_an_httpx_client_meets_the_emulator_at_the_real_address(studio: MockServer) -> None:
    with studio.virtual_time(), Painter(REAL, studio.api_key, transport=studio.transport()) as painter:
        picture = painter.paint()

    assert Image.open(io.BytesIO(picture)).format == "PNG"
    (fetched,) = [one for one in studio.exchanges if one["request"]["method"] == "GET"]
    assert fetched["request"]["host"].endswith(".aliyuncs.com")


def test_an_asyncio_client_does_too(studio: MockServer) -> None:
    async def work() -> bytes:
        async with AsyncPainter(REAL, studio.api_key, transport=studio.transport()) as painter:
            return await painter.paint()

    with studio.virtual_time():
        picture = asyncio.run(work())

    assert Image.open(io.BytesIO(picture)).format == "PNG"


def test_a_respx_router_answers_clients_that_are_made_anywhere(studio: MockServer) -> None:
    async def ask() -> Any:
        async with httpx.AsyncClient() as client:
            return (await client.post(f"{REAL}{TASKS}/prompt", json=BODY, headers=headers(studio.api_key))).json()

    with studio.respx():
        first = httpx.post(f"{REAL}{TASKS}/prompt", json=BODY, headers=headers(studio.api_key)).json()
        second = asyncio.run(ask())

    assert [task.id for task in studio.tasks] == [submitted(one)["prompt_id"] for one in (first, second)]


def test_requests_is_served_by_an_adapter(studio: MockServer) -> None:
    with requests.Session() as session:
        session.mount("https://", studio.requests_adapter())
        session.headers.update(headers(studio.api_key))
        task = submitted(session.post(f"{REAL}{TASKS}/prompt", json=BODY).json())["prompt_id"]
        studio.clock.until(task, "succeeded")
        info = only(session.post(f"{REAL}{TASKS}/get_task_info", json={"comfy_task_ids": [task]}).json())
        with session.get(info["final_files"][0], stream=True) as answer:
            chunks = list(answer.iter_content(1000))

    assert len(chunks) > 1
    assert Image.open(io.BytesIO(b"".join(chunks))).format == "PNG"


def test_bodies_are_streamed(studio: MockServer) -> None:
    with httpx.Client(transport=studio.transport(), headers=headers(studio.api_key)) as client:
        task = submitted(client.post(f"{REAL}{TASKS}/prompt", json=BODY).json())["prompt_id"]
        studio.clock.until(task, "succeeded")
        info = only(client.post(f"{REAL}{TASKS}/get_task_info", json={"comfy_task_ids": [task]}).json())
        with client.stream("GET", info["final_files"][0]) as answer:
            first = next(answer.iter_raw(16))

    assert first.startswith(b"\x89PNG")


def test_what_waits_for_the_clock_moves_it(studio: MockServer) -> None:
    studio.play({"rules": [{"wire": {"delay": 30}, "times": 1}]})
    before = studio.clock.now

    with httpx.Client(transport=studio.transport(), headers=headers(studio.api_key)) as client:
        answer = client.post(f"{REAL}{TASKS}/get_task_info", json={"comfy_task_ids": ["x"]})

    assert answer.status_code == 200
    assert studio.clock.now - before == 30


def test_a_connection_that_is_cut_is_cut_here_too(studio: MockServer) -> None:
    studio.play({"rules": [{"wire": {"reset": True}, "times": 3}]})
    request: dict[str, Any] = {"json": {"comfy_task_ids": ["x"]}, "headers": headers(studio.api_key)}

    async def ask() -> None:
        async with httpx.AsyncClient(transport=studio.transport()) as client:
            await client.post(f"{REAL}{TASKS}/get_task_info", **request)

    with httpx.Client(transport=studio.transport()) as client, pytest.raises(httpx.RemoteProtocolError):
        client.post(f"{REAL}{TASKS}/get_task_info", **request)
    with pytest.raises(httpx.RemoteProtocolError):
        asyncio.run(ask())
    with requests.Session() as session:
        session.mount("https://", studio.requests_adapter())
        with pytest.raises(requests.ConnectionError):
            session.post(f"{REAL}{TASKS}/get_task_info", **request)


def test_other_hosts_are_refused_by_name(studio: MockServer) -> None:
    known = re.escape("'example.com' is not emulated; without sockets these are: cloud.infini-ai.com")

    with httpx.Client(transport=studio.transport()) as client, pytest.raises(httpx.ConnectError, match=known):
        client.get("https://example.com/")
