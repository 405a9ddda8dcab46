"""Verifying a server: ours keeps its contract, one that is spoiled on the way does not, with the shortest way to it."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from contracts.check import promises
from contracts.cli import main
from contracts.promise import Promise
from contracts.verify import Verified, clock_of, report, verify
from tests.contracts.traffic import emulator

KEY = "gg-1"
Change = Callable[[httpx.Request, dict[str, Any]], None]


@pytest.fixture(scope="module")
def promise() -> Promise:
    return promises(only=("gpugeek",))[0]


@pytest.fixture(scope="module")
def server() -> Iterator[httpx.Client]:
    with emulator("gpugeek", {}) as http:
        yield http


class Spoiling(httpx.BaseTransport):
    """A server that is right but for one thing."""

    def __init__(self, change: Change) -> None:
        self.change, self.inner = change, httpx.HTTPTransport()

    def close(self) -> None:
        self.inner.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.inner.handle_request(request)
        answer.read()
        if "/_mock/" in str(request.url):
            return answer
        body = answer.json() if answer.content.startswith(b"{") else {}
        self.change(request, body)
        headers = {"content-type": answer.headers.get("content-type", "")}
        return httpx.Response(answer.status_code, headers=headers, content=json.dumps(body) if body else answer.content)


def verified(server: httpx.Client, promise: Promise, change: Change) -> Verified:
    with httpx.Client(base_url=server.base_url, transport=Spoiling(change)) as client:
        return verify(promise, client, key=KEY, wait=clock_of(client), max_tasks=40)


def nothing(request: httpx.Request, body: dict[str, Any]) -> None:
    pass


def leaves_a_member_out(request: httpx.Request, body: dict[str, Any]) -> None:
    if request.method == "GET" and isinstance(body.get("data"), dict):
        body["data"].pop("status", None)


def says_an_unknown_code(request: httpx.Request, body: dict[str, Any]) -> None:
    if body.get("code"):
        body["code"] = 99


def takes_everything(request: httpx.Request, body: dict[str, Any]) -> None:
    if request.url.path.endswith("/prompt") and body.get("code"):
        body.update(code=0, message="success", data={"prompt_id": "764595453952006"})


def test_our_own_server_keeps_its_contract(server: httpx.Client, promise: Promise) -> None:
    result = verified(server, promise, nothing)

    assert result.verdict.findings == []
    assert result.sent > 20


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        pytest.param(leaves_a_member_out, "answer-schema", id="leaves a member out"),
        pytest.param(says_an_unknown_code, "error-in-catalogue", id="says an unknown code"),
        pytest.param(takes_everything, "request-schema-required", id="takes everything"),
    ],
)
def test_a_wrong_server_is_found(change: Change, rule: str, server: httpx.Client, promise: Promise) -> None:
    result = verified(server, promise, change)

    assert any(one.rule.startswith(rule) for one in result.verdict.findings)
    assert 1 <= len(result.shortest) <= 2


def test_a_breach_is_told_as_curl_lines_and_as_a_test(server: httpx.Client, promise: Promise) -> None:
    result = verified(server, promise, leaves_a_member_out)

    told = report(result, "http://127.0.0.1:1", promise)

    assert told.count("curl -i -X") == len(result.shortest)
    assert "$CONTRACTS_KEY" in told
    assert KEY not in told
    ast.parse(told[told.index('"""') :])


def test_no_more_tasks_are_submitted_than_allowed(server: httpx.Client, promise: Promise) -> None:
    with httpx.Client(base_url=server.base_url) as client:
        result = verify(promise, client, key=KEY, wait=clock_of(client), max_tasks=2)

    assert result.submitted <= 2


def test_a_target_off_this_machine_must_be_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", "gpugeek", "--url", "https://api.example.com"])

    assert ended.value.code == 2
    assert "--real" in capsys.readouterr().err
