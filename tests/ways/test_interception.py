"""Real host names over TLS: every client meets the emulator, its store and its feeds; nothing else goes out."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import websocket
import websockets.sync.client
from PIL import Image
from websockets.asyncio.client import connect

import mockserver
from mockserver import MockServer
from mockserver.errors import UserError
from tests.ways.clients import BODY, REAL, REAL_FEED, TASKS, Painter, headers, only, submitted


@pytest.fixture
def real(studio: MockServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[MockServer]:
    """GenStudio under its real names, in a world of its own."""
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.1:3128")
    with studio.intercept():
        yield studio


def ask_with_httpx(url: str, body: Any, key: str) -> Any:
    return httpx.post(url, json=body, headers=headers(key)).json()


def ask_with_requests(url: str, body: Any, key: str) -> Any:
    return requests.post(url, json=body, headers=headers(key), timeout=10).json()


def ask_with_urllib(url: str, body: Any, key: str) -> Any:
    given = {**headers(key), "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), given)) as answer:
        return json.loads(answer.read())


def ask_with_httpx_async(url: str, body: Any, key: str) -> Any:
    async def ask() -> Any:
        async with httpx.AsyncClient() as client:
            return (await client.post(url, json=body, headers=headers(key))).json()

    return asyncio.run(ask())


def ask_with_aiohttp(url: str, body: Any, key: str) -> Any:
    async def ask() -> Any:
        async with aiohttp.ClientSession(headers=headers(key)) as session, session.post(url, json=body) as answer:
            return await answer.json()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "ask", [ask_with_httpx, ask_with_requests, ask_with_urllib, ask_with_httpx_async, ask_with_aiohttp]
)
def test_every_http_client_meets_the_emulator(real: MockServer, ask: Callable[..., Any]) -> None:
    task = submitted(ask(f"{REAL}{TASKS}/prompt", BODY, real.api_key))["prompt_id"]

    info = only(ask(f"{REAL}{TASKS}/get_task_info", {"comfy_task_ids": [task]}, real.api_key))

    assert (info["comfy_task_id"], [one.id for one in real.tasks]) == (task, [task])


def first_with_websockets(url: str) -> Any:
    with websockets.sync.client.connect(url) as feed:
        return feed.recv()


def first_with_websockets_async(url: str) -> Any:
    async def first() -> Any:
        async with connect(url) as feed:
            return await feed.recv()

    return asyncio.run(first())


def first_with_websocket_client(url: str) -> Any:
    feed = websocket.create_connection(url)
    found = feed.recv()
    feed.shutdown()  # type: ignore[no-untyped-call]
    return found


def first_with_aiohttp(url: str) -> Any:
    async def first() -> Any:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as feed:
            line = feed.get_extra_info("socket")
            found = (await feed.receive()).data
        # aiohttp itself does not wait for the end of TLS.
        while line.fileno() != -1:
            await asyncio.sleep(0.001)
        return found

    return asyncio.run(first())


@pytest.mark.parametrize(
    "first", [first_with_websockets, first_with_websockets_async, first_with_websocket_client, first_with_aiohttp]
)
def test_every_websocket_client_follows_the_feed(real: MockServer, first: Callable[[str], Any]) -> None:
    token = submitted(ask_with_httpx(f"{REAL}{TASKS}/prompt", BODY, real.api_key))["prompt_token"]

    frame = json.loads(first(f"{REAL_FEED}?authorization={token}"))

    assert frame["comfy_task_info"]["comfy_task_id"] == real.tasks[0].id


def test_links_lead_to_the_real_store_over_tls(real: MockServer) -> None:
    with real.virtual_time(), Painter(REAL, real.api_key) as painter:
        picture = painter.paint()

    assert Image.open(io.BytesIO(picture)).format == "PNG"
    (fetched,) = [one for one in real.exchanges if one["request"]["method"] == "GET"]
    assert fetched["request"]["host"].endswith(".aliyuncs.com")


def test_a_certificate_is_really_checked(real: MockServer) -> None:
    context = ssl.create_default_context()

    with socket.create_connection(("cloud.infini-ai.com", 443)) as raw, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(raw, server_hostname="somebody-else.example")


@pytest.mark.parametrize("url", ["https://example.com/", "http://198.51.100.7/"])
def test_other_connections_are_refused_and_told_why(real: MockServer, url: str) -> None:
    why = "only emulated hosts are reached"

    with pytest.raises(httpx.ConnectError, match=why):
        httpx.get(url)
    with pytest.raises(requests.ConnectionError, match=why):
        requests.get(url, timeout=5)
    with pytest.raises(urllib.error.URLError, match=why):
        urllib.request.urlopen(url)


def test_loopback_stays_open(real: MockServer) -> None:
    assert httpx.get(f"{real.url.partition('/_mock')[0]}/_mock/ready").status_code == 200


def test_nothing_is_left_behind(studio: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.1:3128")
    before = (socket.getaddrinfo, socket.socket.connect, ssl.SSLContext.wrap_socket, dict(os.environ))

    with studio.intercept():
        assert "HTTPS_PROXY" not in os.environ

    assert (socket.getaddrinfo, socket.socket.connect, ssl.SSLContext.wrap_socket, dict(os.environ)) == before


def test_one_line_starts_a_server_and_intercepts() -> None:
    with mockserver.intercept("genstudio") as server:
        answer = httpx.post(f"{REAL}{TASKS}/prompt", json=BODY, headers=headers(server.api_key))

    assert answer.json()["code"] == 0


def test_one_interception_at_a_time(real: MockServer) -> None:
    with pytest.raises(UserError, match="on already"), real.intercept():
        pytest.fail("a second context was entered")


def test_a_server_elsewhere_cannot_be_intercepted(emulator: MockServer) -> None:
    with MockServer.at(emulator.url) as elsewhere, pytest.raises(UserError, match="runs in another process"):
        elsewhere["genstudio"].intercept()
