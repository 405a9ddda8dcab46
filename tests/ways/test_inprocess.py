"""Clients without sockets, under the real host names."""

from __future__ import annotations

import asyncio
import io
import re
import time
from typing import Any

import aiohttp
import httpx
import pytest
import requests
from PIL import Image

from mockserver import MockServer
from tests.ways.clients import BODY, DONE, REAL, REAL_FEED, TASKS, AsyncPainter, Painter, headers, only, submitted


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


def test_aiohttp_is_served_by_a_connector(studio: MockServer) -> None:
    async def paint() -> tuple[list[bytes], int]:
        connector = studio.aiohttp_connector()
        async with aiohttp.ClientSession(connector=connector, headers=headers(studio.api_key)) as session:
            async with session.post(f"{REAL}{TASKS}/prompt", json=BODY) as answer:
                task = submitted(await answer.json())
            async with session.ws_connect(f"{REAL_FEED}?authorization={task['prompt_token']}") as feed:
                told = [message.json()["comfy_task_info"]["status"] async for message in feed]
            asked = {"comfy_task_ids": [task["prompt_id"]]}
            async with session.post(f"{REAL}{TASKS}/get_task_info", json=asked) as answer:
                link = only(await answer.json())["final_files"][0]
            async with session.get(link) as answer:
                return [chunk async for chunk in answer.content.iter_chunked(1000)], told[-1]

    with studio.virtual_time():
        chunks, last = asyncio.run(paint())

    assert len(chunks) > 1
    assert Image.open(io.BytesIO(b"".join(chunks))).format == "PNG"
    assert last == DONE
    (fetched,) = [one for one in studio.exchanges if one["request"]["path"].endswith(".png")]
    assert fetched["request"]["host"].endswith(".aliyuncs.com")


def test_aiohttp_moves_the_clock_too_and_meets_cut_connections_and_other_hosts(studio: MockServer) -> None:
    studio.play({"rules": [{"wire": {"delay": 30}, "times": 1}, {"wire": {"reset": True}, "skip": 1}]})
    before = studio.clock.now

    async def ask() -> int:
        url, body = f"{REAL}{TASKS}/get_task_info", {"comfy_task_ids": ["x"]}
        connector = studio.aiohttp_connector()
        async with aiohttp.ClientSession(connector=connector, headers=headers(studio.api_key)) as session:
            async with session.post(url, json=body) as answer:
                status = answer.status
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.post(url, json=body)
            with pytest.raises(aiohttp.ClientConnectorError, match=r"'example\.com' is not emulated"):
                await session.get("https://example.com/")
        return status

    assert asyncio.run(ask()) == 200
    assert studio.clock.now - before == 30


def test_what_waits_for_the_clock_moves_it(studio: MockServer) -> None:
    studio.play({"rules": [{"wire": {"delay": 30}, "times": 1}]})
    before = studio.clock.now

    with httpx.Client(transport=studio.transport(), headers=headers(studio.api_key)) as client:
        answer = client.post(f"{REAL}{TASKS}/get_task_info", json={"comfy_task_ids": ["x"]})

    assert answer.status_code == 200
    assert studio.clock.now - before == 30


def test_in_virtual_time_what_waits_for_the_clock_is_waited_for_by_its_client(studio: MockServer) -> None:
    studio.play({"rules": [{"wire": {"delay": 30}}]})
    before = studio.clock.now

    async def sleep() -> float:
        await asyncio.sleep(10)
        return time.time()

    async def ask() -> float:
        key = headers(studio.api_key)
        async with httpx.AsyncClient(transport=studio.transport(), headers=key, timeout=60) as client:
            asked = [client.post(f"{REAL}{TASKS}/get_task_info", json={"comfy_task_ids": ["x"]}) for _ in range(5)]
            woken, _ = await asyncio.gather(sleep(), asyncio.gather(*asked))
        return woken

    with studio.virtual_time():
        woken = asyncio.run(ask())

    assert woken - before == pytest.approx(10)
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
