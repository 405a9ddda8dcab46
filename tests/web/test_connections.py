"""Requests as bytes on a connection: however they are cut, joined or framed, each is answered alike and in its turn."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from itertools import pairwise
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.api import API, KEY, Api, Serve
from tests.web.test_scenarios import wait_for

BIG = 100_000
"""Bytes of a body that no longer counts as small."""


class Connection:
    """One client's, which sends bytes and reads answers."""

    def __init__(self, api: Api) -> None:
        parts = urlsplit(api.url)
        self._api = api
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")

    def send(self, *pieces: bytes) -> None:
        """Send each piece after the server has read the one before."""
        for number, piece in enumerate(pieces):
            if number:
                assert self._api.http.get("/_mock/ready").is_success
            self._socket.sendall(piece)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        read = HTTPResponse(_Kept(self._stream), method="POST")  # type: ignore[arg-type]  # it asks but for the stream
        read.begin()
        return read.status, {name.lower(): value for name, value in read.getheaders()}, read.read()

    def read_line(self) -> bytes:
        return self._stream.readline()

    def flood(self, piece: bytes, most: int) -> int:
        """Send *piece* again and again without reading until nobody takes it; return how many bytes went."""
        self._socket.settimeout(1)
        sent = 0
        with suppress(TimeoutError):
            while sent < most:
                sent += self._socket.send(piece)
        return sent

    def is_over(self) -> bool:
        return self._stream.read(1) == b""

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


class _Kept:
    """What `HTTPResponse` takes for a socket; it closes its stream after every answer."""

    def __init__(self, stream: object) -> None:
        self._stream = stream

    def makefile(self, mode: str) -> _Kept:
        return self

    def close(self) -> None: ...

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextmanager
def connection(api: Api) -> Iterator[Connection]:
    made = Connection(api)
    try:
        yield made
    finally:
        made.close()


def request(
    api: Api, body: bytes, *headers: str, operation: str = "get_task_info", version: str = "1.1", chunked: bool = False
) -> bytes:
    length = "transfer-encoding: chunked" if chunked else f"content-length: {len(body)}"
    lines = [f"POST {API}/{operation} HTTP/{version}", f"host: {urlsplit(api.url).netloc}", length, *headers]
    lines.append(f"authorization: Bearer {KEY}")
    if chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return "\r\n".join([*lines, "", ""]).encode() + body


def asked(*ids: str) -> bytes:
    return json.dumps({"comfy_task_ids": ids}).encode()


def cut(whole: bytes, places: Sequence[int]) -> list[bytes]:
    at = [0, *sorted({place % len(whole) for place in places} - {0}), len(whole)]
    return [whole[start:end] for start, end in pairwise(at)]


@given(places=st.lists(st.integers(0, 2000), max_size=4), count=st.integers(1, 4), chunked=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_requests_are_cut_into_packets_each_gets_its_own_answer_in_turn(
    api: Api, places: list[int], count: int, chunked: bool
) -> None:
    ids = [api.submit()["prompt_id"] for _ in range(count)]
    whole = b"".join(request(api, asked(id), chunked=chunked) for id in ids)
    with connection(api) as client:
        client.send(*cut(whole, places))
        for id in ids:
            status, headers, body = client.answer()
            assert (status, headers["content-type"]) == (200, "application/json")
            assert id in body.decode(), f"{body!r} is not the answer about {id}"


@pytest.mark.parametrize(
    ("version", "headers"),
    [("1.0", ()), ("1.1", ("connection: close",)), ("1.0", ("connection: keep-alive",))],
    ids=["HTTP/1.0", "close", "HTTP/1.0 that would stay"],
)
def test_a_connection_ends_after_its_answer_where_the_client_does_not_keep_it(
    api: Api, version: str, headers: tuple[str, ...]
) -> None:
    id = api.submit()["prompt_id"]
    with connection(api) as client:
        client.send(request(api, asked(id), *headers, version=version))
        status, _, body = client.answer()
        assert (status, json.loads(body)["data"]["comfy_task_info"][0]["comfy_task_id"]) == (200, id)
        assert client.is_over()


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(api: Api) -> None:
    id = api.submit()["prompt_id"]
    whole = request(api, asked(id), "expect: 100-continue")
    head, body = whole[: -len(asked(id))], asked(id)
    with connection(api) as client:
        client.send(head)
        assert client.read_line() == b"HTTP/1.1 100 Continue\r\n"
        assert client.read_line() == b"\r\n"
        client.send(body)
        assert client.answer()[0] == 200


@pytest.mark.parametrize("size", [60_000, 65_536, BIG])
def test_a_body_may_be_too_large_to_wait_for_and_is_answered_like_any_other(api: Api, size: int) -> None:
    id = api.submit()["prompt_id"]
    padded = asked(id).replace(b"{", b"{" + b" " * size, 1)
    with connection(api) as client:
        client.send(*cut(request(api, padded), [200, 30_000, 66_000]))
        client.send(request(api, asked(id)))
        first, second = client.answer(), client.answer()
    assert first[2] == second[2]
    assert first[0] == 200


def test_a_call_that_is_held_keeps_its_place_before_those_sent_after_it(serve: Serve) -> None:
    api = serve()
    id, second_id = api.submit()["prompt_id"], api.submit()["prompt_id"]
    slow = "rules: [{id: slow, when: {operation: get_task_info, nth: 1}, wire: {delay: 5}}]"
    assert api.http.put("/_mock/scenarios/slow", content=slow).is_success
    with connection(api) as client:
        client.send(request(api, asked(id)) + request(api, asked(second_id)))
        wait_for(lambda: api.http.get("/_mock/held").json()["held"])
        api.http.post("/_mock/clock", json={"jump": 10})
        first, second = client.answer(), client.answer()
    assert id in first[2].decode()
    assert second_id in second[2].decode()


def test_what_is_no_http_is_refused_and_the_connection_closed(api: Api) -> None:
    with connection(api) as client:
        client.send(request(api, asked("cft-1")), b"NO SUCH THING\r\n\r\n")
        assert client.answer()[0] == 200
        status, _, body = client.answer()
        assert (status, body) == (400, b"Invalid HTTP request received.")
        assert client.is_over()


def test_a_client_that_never_reads_is_not_read_from_for_ever(api: Api) -> None:
    id, most = api.submit()["prompt_id"], 200_000_000
    with connection(api) as client:
        assert client.flood(request(api, asked(id)) * 200, most) < most, "the server kept all its answers"
        assert api.info(id)["comfy_task_id"] == id, "others are answered"


def test_what_was_asked_at_once_is_on_record_as_everything_else(api: Api) -> None:
    id = api.submit()["prompt_id"]
    with connection(api) as client:
        for _ in range(3):
            client.send(request(api, asked(id), "x-client: ours"))
            status, headers, body = client.answer()
    last = api.http.get("/_mock/exchanges").text.splitlines()[-1]
    kept = json.loads(last)
    assert (kept["operation"], kept["tasks"], kept["response"]["status"]) == ("get_task_info", [id], status)
    assert kept["response"]["body"].encode() == body
    assert ["x-client", "ours"] in kept["request"]["headers"]
    assert dict(kept["response"]["headers"]) == {k: v for k, v in headers.items() if k != "content-length"}
