"""Verifying a server: ours keeps its contract, one that is spoiled on the way does not, with the shortest way to it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.check import promises
from contracts.cli import main
from contracts.verify import Call, Target, Verified, clock_of, likely_key, report, verify
from mockserver import data
from tests.contracts.traffic import emulator

PROVIDERS = sorted(data.providers(data.schemas()))
PROMISES = {name: promises(only=(name,))[0] for name in PROVIDERS}
KEYS = {name: likely_key(promise) for name, promise in PROMISES.items()}
# Where no key has a secret, unsigned calls are taken; one that has makes the others be asked for.
ACCOUNTS = {"aliyun": ({"key": "somebody", "secret": "hush-hush"}, {"key": KEYS["aliyun"]})}
Change = Callable[[httpx.Request, httpx.Response, Any], Any]
"""Changes the JSON of an answer in place, or returns other bytes for it, or another status."""


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
        body = answer.json() if answer.content.startswith(b"{") else None
        changed = self.change(request, answer, body)
        headers = {"content-type": answer.headers.get("content-type", "")}
        status = changed if isinstance(changed, int) else answer.status_code
        content = changed if isinstance(changed, bytes) else json.dumps(body) if body is not None else answer.content
        return httpx.Response(status, headers=headers, content=content)


def nothing(request: httpx.Request, answer: httpx.Response, body: Any) -> None:
    pass


@contextmanager
def server(name: str, change: Change = nothing, **settings: Any) -> Iterator[Target]:
    with (
        emulator(name, {}, accounts=ACCOUNTS.get(name, ()), **settings) as http,
        httpx.Client(base_url=http.base_url, transport=Spoiling(change), timeout=30) as client,
    ):
        yield Target(PROMISES[name], client, key=KEYS[name], clock=clock_of(client))


def verified(name: str, change: Change = nothing, *, walks: int = 25, **settings: Any) -> Verified:
    with server(name, change, **settings) as target:
        return verify(target, max_tasks=60, walks=walks)


@pytest.mark.parametrize("name", PROVIDERS)
def test_our_own_server_keeps_its_contract(name: str) -> None:
    result = verified(name, walks=6)

    assert [(one.rule, one.call, one.text) for one in result.verdict.findings] == []
    assert result.submitted >= 6
    touched = {label.partition(" ")[2] for label in result.verdict.counts.operations}
    of_tasks = {one.id for one in PROMISES[name].provider.operations if one.verb.name in ("submit", "read", "cancel")}
    assert len(of_tasks & touched) >= min(2, len(of_tasks))


def test_a_walk_follows_feeds_and_fetches_results_while_their_links_live_and_after() -> None:
    expired = []

    def note(request: httpx.Request, answer: httpx.Response, body: Any) -> None:
        if "Expires=" in str(request.url):
            expired.append(answer.status_code)

    counts = verified("genstudio", note).verdict.counts.operations

    assert counts["genstudio progress"] > 3
    assert counts["genstudio upload_image"] > 3
    assert {200, 403} <= set(expired)


# Wrong servers.


def entries(request: httpx.Request, body: Any) -> list[Any]:
    """Return the tasks that an answer tells of."""
    told = "get_task_info" in str(request.url) and body and body["data"]
    return list(body["data"]["comfy_task_info"]) if told else []


def leaves_a_member_out(request: httpx.Request, answer: httpx.Response, body: Any) -> None:
    if request.method == "GET" and body and isinstance(body.get("data"), dict):
        body["data"].pop("status", None)


def says_an_unknown_code(request: httpx.Request, answer: httpx.Response, body: Any) -> None:
    if body and body.get("code"):
        body["code"] = 99


def takes_everything(request: httpx.Request, answer: httpx.Response, body: Any) -> None:
    if request.url.path.endswith("/prompt") and body and body.get("code"):
        body.update(code=0, message="success", data={"prompt_id": "764595453952006"})


def gives_every_task_one_id(request: httpx.Request, answer: httpx.Response, body: Any) -> None:
    if request.url.path.endswith("/prompt") and body and not body.get("code"):
        body["data"]["prompt_id"] = "764595453952006"


def breaks_off(request: httpx.Request, answer: httpx.Response, body: Any) -> bytes | None:
    return answer.content[:-9] if "/task/" in request.url.path else None


def says_418(request: httpx.Request, answer: httpx.Response, body: Any) -> int | None:
    return 418 if request.url.path.endswith("/cancel") else None


def keeps_links_alive(request: httpx.Request, answer: httpx.Response, body: Any) -> int | None:
    return 200 if answer.status_code == 403 and "Expires=" in str(request.url) else None


def lets_links_die(request: httpx.Request, answer: httpx.Response, body: Any) -> int | None:
    return 403 if "Expires=" in str(request.url) and request.method == "GET" else None


def tells_of_another_task(request: httpx.Request, answer: httpx.Response, body: Any) -> None:
    for entry in entries(request, body):
        entry["comfy_task_id"] = "cft-aaaaaaaaaaaaaaaa"


def loses_the_scheme(request: httpx.Request, answer: httpx.Response, body: Any) -> bytes | None:
    return answer.content.replace(b'"http:', b'"') if "get_task_info" in str(request.url) else None


def forgets_the_status_of_jobs(request: httpx.Request, answer: httpx.Response, body: Any) -> None:
    if "/api/jobs/" in str(request.url) and request.method == "GET" and body:
        body.pop("status", None)


def says_a_strange_status(request: httpx.Request, answer: httpx.Response, body: Any) -> None:
    if "/executes/" in str(request.url) and body and isinstance(body.get("data"), dict) and "status" in body["data"]:
        body["data"]["status"] = "thinking"


def tells_of_a_stranger(request: httpx.Request, answer: httpx.Response, body: Any) -> None:
    if request.url.path.endswith("comfy_get_result") and body and isinstance(body.get("data"), dict):
        body["data"]["taskId"] = "01jgj2h3k4m5n6p7q8r9s0t1v2"


WRONG = [
    pytest.param("comfyui", forgets_the_status_of_jobs, "answer-schema", id="forgets the status of jobs"),
    pytest.param("esd", says_a_strange_status, "answer-schema", id="says a strange status"),
    pytest.param("aliyun", tells_of_a_stranger, "asked-is-answered", id="tells of a task nobody asked for"),
    pytest.param("gpugeek", leaves_a_member_out, "answer-schema", id="leaves a member out"),
    pytest.param("gpugeek", says_an_unknown_code, "error-in-catalogue", id="says an unknown code"),
    pytest.param("gpugeek", takes_everything, "request-schema", id="takes everything"),
    pytest.param("gpugeek", gives_every_task_one_id, "task-id-new", id="gives every task one id"),
    pytest.param("gpugeek", breaks_off, "answer-is-json", id="breaks off"),
    pytest.param("gpugeek", says_418, "status-documented", id="an undocumented status"),
    pytest.param("genstudio", keeps_links_alive, "link-dies-at-expiry", id="keeps expired links alive"),
    pytest.param("genstudio", lets_links_die, "link-lives-until-expiry", id="lets living links die"),
    pytest.param("genstudio", tells_of_another_task, "asked-is-answered", id="tells of another task"),
    pytest.param("genstudio", loses_the_scheme, "links-well-formed", id="links without scheme"),
]


@pytest.mark.parametrize(("name", "change", "rule"), WRONG)
def test_a_wrong_server_is_found_with_the_shortest_way_to_it(name: str, change: Change, rule: str) -> None:
    result = verified(name, change)

    assert result.shortest
    assert {one.rule for one in result.verdict.findings if one.rule.startswith(rule)}, result.verdict.findings
    assert len([one for one in result.shortest if not isinstance(one.what, float)]) <= 3


@pytest.mark.parametrize(
    ("scenario", "rule"),
    [
        pytest.param("progress-goes-backward", "progress-never-falls", id="progress falls"),
        pytest.param("unknown-status", "answer-schema", id="a status nobody documents"),
        pytest.param("feed-unknown-message", "message-schema", id="a message nobody documents"),
        pytest.param("task-forgotten", "task-forgotten", id="a task is forgotten"),
    ],
)
def test_a_server_that_goes_wrong_in_time_is_found(scenario: str, rule: str) -> None:
    with server("genstudio") as target:
        target.client.put(f"/_mock/scenarios/{scenario}").raise_for_status()
        result = verify(target, max_tasks=60, walks=40)

    assert any(one.rule.startswith(rule) for one in result.verdict.findings), result.verdict.findings


def test_a_breach_is_told_as_curl_lines_and_as_a_file_for_pytest(tmp_path: Path) -> None:
    def wrong(request: httpx.Request, answer: httpx.Response, body: Any) -> None:
        for entry in entries(request, body):
            entry.pop("errMsg")

    with server("genstudio", wrong) as target:
        result = verify(target, max_tasks=20)
        # The file asks the server itself, which is right: there it passes.
        told = report(result, str(target.client.base_url), PROMISES["genstudio"])
        ours = tmp_path / "test_found.py"
        ours.write_text(told[told.index('"""') :])
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ours)],
            capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "CONTRACTS_KEY": KEYS["genstudio"]},
        )  # fmt: skip

    assert told.count("curl -i -X") + told.count("\nsleep ") == len(result.shortest)
    assert "$CONTRACTS_KEY" in told
    assert KEYS["genstudio"] not in told
    assert "1 passed" in run.stdout, run.stdout
    ast.parse(ours.read_text())


def test_a_token_that_opens_a_feed_is_not_shown() -> None:
    with server("genstudio") as target:
        target.client.put("/_mock/scenarios/feed-unknown-message").raise_for_status()
        result = verify(target, max_tasks=60, walks=40)
        token = next(one.answer["data"]["prompt_token"] for one in result.shortest if one.answer)

    told = report(result, "http://127.0.0.1:1", PROMISES["genstudio"])

    assert "websocat" in told
    assert token not in told


def test_no_more_tasks_are_submitted_than_allowed() -> None:
    accepted = []

    def count(request: httpx.Request, answer: httpx.Response, body: Any) -> None:
        accepted.extend([1] if request.url.path.endswith("/prompt") and body and body.get("code") == 0 else [])

    with server("genstudio", count) as target:
        result = verify(target, max_tasks=3, walks=5)

    assert result.submitted == len(accepted) == 3


def test_a_submit_of_ones_own_is_used_instead_of_the_documented_ones(tmp_path: Path) -> None:
    sent = []

    def note(request: httpx.Request, answer: httpx.Response, body: Any) -> None:
        if request.url.path.endswith("/prompt"):
            sent.append(request.read())

    with server("genstudio", note) as target:
        mine = {"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": {"3": {"inputs": {"steps": 9}}}}
        verify(target, walks=3, submits=[mine])

    assert json.dumps(mine).encode() in sent
    assert b"wf-c73epllu4i3bxvzr" not in b"".join(sent)


def test_a_target_off_this_machine_must_be_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", "gpugeek", "--url", "https://api.example.com"])

    assert ended.value.code == 2
    assert "--real" in capsys.readouterr().err


def test_off_this_machine_only_tasks_and_files_are_touched() -> None:
    from contracts.verify.drafts import Drafts

    drafts = Drafts(PROMISES["esd"])
    touched = {call.operation for call in [*drafts.examples(real=True), *drafts.spoiled(real=True)]}

    assert "CreateExecute" in touched
    assert not {"CreateEndpoint", "DeleteEndpoints", "CreateWorkflow", "DeleteExecutes"} & touched
    assert isinstance(next(drafts.examples(real=False)), Call)
