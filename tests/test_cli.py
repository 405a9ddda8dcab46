"""The command line: every mistake is one line, every option is told, `serve` starts and ends in good order."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
import pytest
from jsonschema import Draft202012Validator
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from mockserver import cli, data

ROOT = Path(__file__).resolve().parent.parent
PROMPT_PATH = "/api/maas/comfy_task_api/prompt"
FEED_PATH = "/api/maas/comfy_task_ws_api/get_task_progress"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        cli.main(list(arguments))
    said = capsys.readouterr()
    return int(str(end.value.code)), said.out, said.err


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run `mockserver serve` as a process of its own; give it and the lines it printed up to `ready:`."""
    command = [sys.executable, "-m", "mockserver", "serve", "--port", "0", *options]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith("ready: "):
                    break
            else:
                pytest.fail(f"the server ended before it was ready: {process.communicate()[1]}")
            yield process, lines
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["serve", "nobody"], "no provider 'nobody'; known: .*genstudio", id="unknown provider"),
        pytest.param(["serve", "genstdio"], "no provider 'genstdio'; near: genstudio.*", id="misspelt provider"),
        pytest.param(["providers", "show", "genstdio"], "near: genstudio.*", id="misspelt provider shown"),
        pytest.param(["serve", "--api-key", " "], "API key ' ' .* not empty", id="no key"),
        pytest.param(["serve", "--port", "70000"], "port 70000 .* 0 .* to 65535", id="port too high"),
        pytest.param(["serve", "--clock", "-1"], "clock rate -1.0 .* 0 .by hand.", id="clock backwards"),
        pytest.param(["serve", "--start", "soon"], "start 'soon' .* 2025-06-01T12:00:00Z", id="no moment"),
        pytest.param(["serve", "--slots", "0"], "slots 0 .* at least 1", id="no slots"),
        pytest.param(
            ["serve", "--variant", "x=y"], "variant 'x=y' .* PROVIDER.NAME=VALUE", id="variant without provider"
        ),
        pytest.param(["serve", "--variant", "nobody.x=y"], "no provider 'nobody'; known: .*", id="variant of nobody"),
        pytest.param(["serve", "--public-url", "example.org"], "public URL 'example.org' .* http://HOST", id="no URL"),
        pytest.param(
            ["serve", "--host", "no.such.host.invalid"], "host 'no.such.host.invalid' .* 127.0.0.1", id="host"
        ),
        pytest.param(["demo", "nobody"], "no demo of 'nobody'", id="demo of nobody"),
        pytest.param(["demo", "genstudo"], "no demo of 'genstudo'; near: genstudio", id="misspelt demo"),
        pytest.param(["demo", "--clock", "0"], "clock rate 0.0 .* above 0", id="demo by hand"),
        pytest.param(["demo", "--out", f"{__file__}/x"], "folder .* cannot be made.*--out", id="no folder for a demo"),
        pytest.param(["doctor", "nobody"], "no provider 'nobody'", id="doctor of nobody"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_remedy(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, *arguments)

    assert (status, out) == (1, "")
    assert re.fullmatch(f"error: .*{told}.*\n", err)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["serv"], "No such command 'serv'", id="no such command"),
        pytest.param(["serve", "--prot", "1"], "No such option.*--prot", id="no such option"),
        pytest.param(["serve", "--port", "many"], "'many' is not a valid integer", id="no number"),
        pytest.param(["serve", "--schemas", "/nowhere/at/all"], "'/nowhere/at/all' does not exist", id="no folder"),
        pytest.param(["workflow", "/nowhere.json"], "'/nowhere.json' does not exist", id="no workflow"),
    ],
)
def test_a_command_that_is_not_understood_points_to_its_help(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, *arguments)

    assert (status, out) == (2, "")
    assert re.fullmatch(f"error: .*{told}.*; see mockserver.* --help\n", err)


def test_a_wrong_value_of_the_settings_table_is_told_to_stand_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.mockserver]\nclock = "fast"\n')
    monkeypatch.chdir(tmp_path)

    status, out, err = run(capsys, "serve")

    assert (status, out) == (2, "")
    assert re.fullmatch(r"error: .*'--clock': 'fast' .*; it stands in \[tool\.mockserver\] of pyproject\.toml\n", err)


def test_a_port_in_use_is_told_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        status, _, err = run(capsys, "serve", "--port", str(port))

    assert status == 1
    assert re.fullmatch(rf"error: cannot listen on 127\.0\.0\.1:{port}: address already in use; .*--port 0.*\n", err)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param("[", "is not JSON", id="not JSON"),
        pytest.param('{"key": "sk-1"}', "at /: .* is not of type 'array'", id="no list"),
        pytest.param('[{"key": 5}]', "at /0/key: 5 is not", id="a key that is no text"),
        pytest.param(
            '[{"key": "sk-aaaaaaaaaaaaaaaa"}, {"key": "sk-aaaaaaaaaaaaaaaa"}]', "at /1/key: .* unique", id="twice"
        ),
    ],
)
def test_a_wrong_accounts_file_names_file_and_place(
    content: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "accounts.json"
    file.write_text(content)

    status, _, err = run(capsys, "serve", "--accounts", str(file))

    assert status == 1
    assert re.fullmatch(f"error: accounts file '{re.escape(str(file))}'.*{told}.*\n", err)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        pytest.param("mine.yaml", "rules: [", "line 1, column 9: .*", id="no YAML"),
        pytest.param("mine.yaml", "rule: []", "at /rule: .*; near: rules", id="unknown word"),
        pytest.param(
            "mine.yaml",
            "rules: [{when: {verb: submt}, answer: {status: 502}}]",
            "at /rules/0/when/verb: is 'submt'; near: submit; known: .*",
            id="unknown verb",
        ),
        pytest.param("mine.json", "{", "is not JSON: .*", id="no JSON"),
        pytest.param("mine.yaml", b"\xff\xfe", "is not UTF-8: .*", id="no text"),
    ],
)
def test_a_wrong_scenario_file_is_told_by_its_path(
    name: str, content: str | bytes, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())

    for arguments in (["scenarios", str(file)], ["serve", "--scenario", str(file), "--port", "0"]):
        status, out, err = run(capsys, *arguments)

        assert (status, out) == (1, "")
        assert re.fullmatch(f"error: scenario '{re.escape(str(file))}'.*{told}\n", err), err


@pytest.mark.parametrize("option", ["--workflows", "--nodes", "--models"])
def test_files_of_ones_own_are_read_before_anybody_needs_them(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.json"
    file.write_text("{{")

    status, out, err = run(capsys, "serve", option, str(tmp_path if option == "--workflows" else file), "--port", "0")

    assert (status, out) == (1, "")
    assert re.fullmatch(f"error: {re.escape(str(file))} is not JSON: .*\n", err)


@pytest.mark.parametrize(
    "path", [[], *([name] for name in cli.commands.commands), ["providers", "show"], ["providers", "check"]], ids=str
)
def test_every_help_is_whole_sentences_and_shows_examples(path: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, *path, "--help")

    assert (status, err) == (0, "")
    assert "..." not in out.partition("Commands:")[2], "no description is cut short"
    assert len(path) > 1 or re.search(r"^ +(mockserver \w+|bash: )", out, re.M)


def test_what_is_piped_has_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["scenarios"], ["providers"], ["doctor", "--port", "0"]):
        assert "\x1b" not in run(capsys, *arguments)[1]


def test_providers_are_listed_with_their_real_hosts(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "providers")

    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(data.providers(data.schemas()))
    assert re.search(r"^genstudio .*\(cloud\.infini-ai\.com\)$", out, re.MULTILINE)


@pytest.mark.parametrize("name", list(data.providers(data.schemas())))
def test_the_folders_that_come_with_the_package_pass_their_own_check(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "providers", "check", str(data.schemas() / name))

    assert (status, err) == (0, ""), out


def test_checking_a_broken_folder_names_file_pointer_and_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(data.schemas() / "genstudio", tmp_path / "broken")
    openapi = (folder / "openapi.json").read_text("utf-8")
    (folder / "openapi.json").write_text(openapi.replace('"x-does": "submit"', '"x-does": "sumbit"'), "utf-8")

    status, out, err = run(capsys, "providers", "check", str(folder))

    assert (status, out) == (1, "")
    assert re.fullmatch(r"error: .*/broken/openapi\.json at /paths/.*/post/x-does: .*'sumbit'.*submit.*\n", err)


def test_the_parameters_of_a_workflow_are_printed_with_their_ranges(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "workflow", str(data.fixtures() / "workflows" / "wf-c73diz7kadp6ffgn.json"))

    assert status == 0
    steps = json.loads(out)["3"]["inputs"]["steps"]
    assert steps["spec"].items() >= {"default": 20, "min": 1, "max": 10000}.items()


def test_the_trial_run_is_a_curl_command_with_every_parameter_as_stored(capsys: pytest.CaptureFixture[str]) -> None:
    file = data.fixtures() / "workflows" / "wf-c73diz7kadp6ffgn.json"

    _, out, _ = run(capsys, "workflow", str(file), "--curl")  # of the first provider that hosts workflows

    words = shlex.split(out)
    graph = json.loads(file.read_bytes())
    given = json.loads(words[words.index("--data") + 1])
    assert words[:5] == ["curl", "--request", "POST", "--url", f"https://cloud.infini-ai.com{PROMPT_PATH}"]
    assert given["workflow_id"] == "wf-c73diz7kadp6ffgn"
    assert given["prompt"]["3"]["inputs"].items() <= graph["3"]["inputs"].items()
    assert set(given["prompt"]) == set(graph) - {"8"}, "node 8 has linked inputs only"


@pytest.mark.parametrize("name", ["text-to-image", "image-to-image"])
def test_the_documented_request_fits_the_schema_of_its_workflows_body(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    body = json.loads((data.fixtures() / "genstudio" / f"{name}.request.json").read_bytes())
    file = data.fixtures() / "workflows" / f"{body['workflow_id']}.json"

    _, out, _ = run(capsys, "workflow", str(file), "--json-schema", "--provider", "genstudio")

    Draft202012Validator(json.loads(out)).validate(body)


def test_a_file_that_is_no_workflow_is_told_with_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"nodes": []}')

    status, out, err = run(capsys, "workflow", str(file))

    assert (status, out) == (1, "")
    assert re.fullmatch(r"error: workflow '.*mine\.json': .*Export \(API\)\n", err)


def test_every_option_is_explained() -> None:
    unexplained = [
        f"{command.name} {option.opts[0]}"
        for command in [*cli.commands.commands.values(), *cli.providers.commands.values()]
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]

    assert unexplained == []


def test_serve_prints_an_address_per_provider_and_is_ready_when_it_says_so() -> None:
    with serving("genstudio") as (_, lines):
        url = lines[-1].removeprefix("ready: ")
        answer = httpx.get(f"{url}/_mock/ready")

    assert answer.status_code == 200
    assert lines == [f"genstudio: {url}/", f"ready: {url}"]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("ending", "status"),
    [pytest.param(signal.SIGINT, 130, id="Ctrl-C"), pytest.param(signal.SIGTERM, -signal.SIGTERM, id="SIGTERM")],
)
def test_a_signal_ends_it_within_a_second_open_sockets_included(ending: signal.Signals, status: int) -> None:
    with serving("genstudio", "--clock", "0") as (process, lines):
        url = lines[-1].removeprefix("ready: ")
        body = (data.fixtures() / "genstudio" / "text-to-image.request.json").read_bytes()
        headers = {"Authorization": "Bearer sk-axbx5xcx9xAxbZyx", "Content-Type": "application/json"}
        answer = httpx.post(url + PROMPT_PATH, content=body, headers=headers).json()
        token = answer["data"]["prompt_token"]
        feed = f"{url.replace('http', 'ws')}{FEED_PATH}?authorization={token}"
        with connect(feed) as websocket:
            websocket.recv(5)

            begun = time.monotonic()
            process.send_signal(ending)
            _, err = process.communicate(timeout=10)
            took = time.monotonic() - begun

            with pytest.raises(ConnectionClosed):
                websocket.recv(5)

    assert process.returncode == status
    assert err.strip() == ""
    assert took < 1


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--version")

    assert status == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", out)
