"""The troubleshooting table: each mistake is made, what is seen is what the page says, and its remedy helps.

No traceback shows anywhere on the way: not in what a command prints, not in an answer, not in the server's log.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mockserver import cli, data
from mockserver.server import running
from mockserver.settings import Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "faq.md"
KEY = {"Authorization": "Bearer sk-axbx5xcx9xAxbZyx"}
API = "/api/maas/comfy_task_api"
TASK = {"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": {}}

Command = Callable[..., str]
Story = Callable[[Command, pytest.MonkeyPatch, Path], str]


def rows() -> list[str]:
    """Return the first cell of each row of the table."""
    table = re.findall(r"^\| ([^|]+?) \|[^\n]*$", PAGE.read_text("utf-8"), re.M)
    return [cell for cell in table if cell != "what you see" and not cell.startswith("-")]


@contextmanager
def served(**options: Any) -> Iterator[httpx.Client]:
    settings = Settings(**{"providers": ("genstudio",), "port": 0, "rate": 0, **options})
    with running(settings) as server, httpx.Client(base_url=server.url, headers=KEY, timeout=10) as client:
        yield client


def a_port_that_is_taken(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return command("serve", "--port", str(taken.getsockname()[1]), status=1)


def a_proxy_that_takes_local_calls(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with running(Settings(providers=("genstudio",), port=0)) as server, pytest.raises(httpx.ConnectError) as refused:
        httpx.get(f"{server.url}/_mock/ready")
    assert re.search(r"wrong +proxy", command("doctor", "--port", "0", status=1))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    assert re.search(r"well +proxy", command("doctor", "--port", "0"))
    return str(refused.value)


def a_key_of_the_wrong_form(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    with served() as client:
        refused = client.post(f"{API}/prompt", json=TASK, headers={"Authorization": "Bearer abc"})
        (shown,) = {one["headers"]["Authorization"] for one in first_requests(client)}
        accepted = client.post(f"{API}/prompt", json=TASK, headers={"Authorization": shown})
    told = command("doctor", "genstudio", "--port", "0", "--api-key", "abc", status=1)
    assert (refused.status_code, accepted.json()["code"]) == (401, 0)
    assert re.search(r"wrong +keys .*pattern \^sk-", told)
    return refused.text


def a_base_address_without_the_provider(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    with served(providers=("genstudio", "aliyun")) as client:
        lost = client.post(f"{API}/prompt", json=TASK)
        found = client.post(f"/genstudio{API}/prompt", json=TASK)
    assert (lost.status_code, found.status_code) == (404, 200)
    return lost.text


def a_workflow_that_is_not_hosted(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    body = {**TASK, "workflow_id": "wf-mine"}
    with served() as client:
        refused = client.post(f"{API}/prompt", json=body)
    with served(any_workflow=True) as client:
        accepted = client.post(f"{API}/prompt", json=body)
    assert refused.json()["code"] != 0
    assert accepted.json()["code"] == 0
    return refused.text


def a_clock_that_stands(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    with served() as client:
        task = client.post(f"{API}/prompt", json=TASK).json()["data"]["prompt_id"]
        states = [info(client, task)["status"] for _ in range(3)]
        client.post("/_mock/clock", json={"jump": 60})
        assert len(set(states)) == 1
        assert info(client, task)["status"] not in states
    return "nothing happens"


def a_link_that_has_expired(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    with served() as client:
        task = client.post(f"{API}/prompt", json=TASK).json()["data"]["prompt_id"]
        client.post("/_mock/clock", json={"jump": 60})
        (old,) = info(client, task)["final_files"]
        client.post("/_mock/clock", json={"jump": 2 * 86400})
        refused = httpx.get(old)
        (fresh,) = info(client, task)["final_files"]
        assert (refused.status_code, httpx.get(fresh).status_code) == (403, 200)
    return refused.text


def a_host_name_that_is_not_admitted(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    there = {"Host": "mock.example"}
    with served() as client:
        refused = client.get("/_mock/", headers=there)
    with served(allow_hosts=("mock.example",)) as client:
        admitted = client.get("/_mock/", headers=there)
    assert (refused.status_code, admitted.status_code) == (403, 200)
    return refused.text


def a_misspelt_scenario(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    told = command("serve", "genstudio", "--scenario", "nod-fails-once", "--port", "0", status=1)
    with served() as client:
        refused = client.put("/_mock/scenarios/nod-fails-once")
    assert "node-fails-once" in told
    assert "node-fails-once" in refused.json()["error"]
    assert "node-fails-once" in command("scenarios")
    return told


def a_folder_that_contradicts_itself(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    folder = shutil.copytree(data.schemas() / "genstudio", tmp_path / "schemas" / "mine")
    machine = json.loads((folder / "machine.json").read_bytes())
    machine["task"]["states"]["queued"]["on"]["slot"] = "runing"
    (folder / "machine.json").write_text(json.dumps(machine))
    told = command("serve", "--schemas", str(folder.parent), "--port", "0", status=1)
    assert command("providers", "check", str(folder), status=1) == told
    assert "machine.json at /" in told
    assert "running" in told, "it says what would be right"
    return told


STORIES: dict[str, Story] = {
    "cannot listen on": a_port_that_is_taken,
    "connection refused": a_proxy_that_takes_local_calls,
    "wrong key": a_key_of_the_wrong_form,
    "nothing is served at": a_base_address_without_the_provider,
    "a workflow id is refused": a_workflow_that_is_not_hosted,
    "a task never moves": a_clock_that_stands,
    "a link answers 403": a_link_that_has_expired,
    "the control API is not for the host name": a_host_name_that_is_not_admitted,
    "there is no scenario": a_misspelt_scenario,
    "a folder is refused": a_folder_that_contradicts_itself,
}


@pytest.mark.parametrize("row", rows())
def test_a_mistake_shows_what_the_page_says_and_no_traceback(
    row: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    printed: list[str] = []

    def command(*arguments: str, status: int = 0) -> str:
        with pytest.raises(SystemExit) as end:
            cli.main(list(arguments))
        said = capfd.readouterr()
        printed.append(said.out + said.err)
        assert int(str(end.value.code)) == status, printed[-1]
        assert status == 0 or arguments[0] == "doctor" or len(said.err.splitlines()) == 1
        return said.out + said.err

    (story,) = [told for words, told in STORIES.items() if words in row]
    seen = story(command, monkeypatch, tmp_path)
    log = capfd.readouterr()

    for quoted in re.findall(r"`([^`]+)`", row):
        words = re.split(r"\.\.\.|127\.0\.0\.1:8787", quoted)
        assert all(part.strip() in seen for part in words), f"{quoted!r} is not what is seen: {seen}"
    assert "Traceback" not in "".join([*printed, seen, log.out, log.err])


def test_every_story_is_told_on_the_page() -> None:
    table = "\n".join(rows())

    assert [words for words in STORIES if words not in table] == []


def first_requests(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/_mock/overview").json()["providers"][0]["requests"]
    return found


def info(client: httpx.Client, task: str) -> dict[str, Any]:
    answer = client.post(f"{API}/get_task_info", json={"comfy_task_ids": [task]})
    found: dict[str, Any] = answer.json()["data"]["comfy_task_info"][0]
    return found
