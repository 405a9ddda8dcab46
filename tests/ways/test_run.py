"""`mockserver run` and `serve --tls`: commands of any language beside an emulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MOCKSERVER = (sys.executable, "-m", "mockserver")
PATIENCE = 60
FETCH = """
const base = process.env.GENSTUDIO_BASE_URL, key = process.env.GENSTUDIO_API_KEY;
const answer = await fetch(base + "/api/maas/comfy_task_api/get_task_info", {
  method: "POST",
  headers: {Authorization: `Bearer ${key}`, "Content-Type": "application/json"},
  body: process.argv[2],
});
console.log(JSON.stringify(await answer.json()));
"""
TELL = (
    "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith(('GEN', 'ALI', 'MOCK'))}))"
)
REAL = "import httpx; print(httpx.get('https://cloud.infini-ai.com/nowhere').status_code)"


def run(
    *arguments: str, cwd: Path | None = None, options: tuple[str, ...] = ("--provider", "genstudio")
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "MOCKSERVER_URL"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    return subprocess.run(
        [*MOCKSERVER, "run", *options, "--", *arguments],
        capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=cwd, env=environment,
    )  # fmt: skip


def test_nodes_fetch_finds_the_emulator(require_tool: Callable[[str], str], tmp_path: Path) -> None:
    program = tmp_path / "client.mjs"
    program.write_text(FETCH)

    done = run(require_tool("node"), str(program), '{"comfy_task_ids": ["x"]}')

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["code"] == 0


def test_broken_conduct_ends_with_1_and_the_story(require_tool: Callable[[str], str], tmp_path: Path) -> None:
    program = tmp_path / "client.mjs"
    program.write_text(FETCH)

    done = run(require_tool("node"), str(program), "{}")

    assert done.returncode == 1
    assert "the contract is broken: request-schema-required" in done.stderr
    expected = run(
        require_tool("node"), str(program), "{}", options=("--provider", "genstudio", "--expect", "request-schema-*")
    )
    assert expected.returncode == 0


def test_the_environment_names_every_provider(tmp_path: Path) -> None:
    done = run(sys.executable, "-c", TELL, options=("--provider", "genstudio", "--provider", "aliyun"))

    found = json.loads(done.stdout)
    assert found["GENSTUDIO_BASE_URL"] == f"{found['MOCKSERVER_URL']}/genstudio"
    assert found["ALIYUN_WS_URL"] == found["ALIYUN_BASE_URL"].replace("http", "ws")
    assert found["GENSTUDIO_API_KEY"].startswith("sk-")


@pytest.mark.parametrize(
    ("code", "ends_with"),
    [("raise SystemExit(7)", 7), ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137)],
)
def test_the_exit_code_is_passed_on(code: str, ends_with: int) -> None:
    assert run(sys.executable, "-c", code).returncode == ends_with


def test_a_command_that_there_is_not_is_told_in_one_line() -> None:
    done = run("no-such-command")

    assert (done.returncode, done.stderr) == (1, "error: there is no command 'no-such-command'\n")


def test_options_come_from_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.mockserver]\nproviders = ["genstudio"]\napi-key = ["sk-mine"]\n')

    done = run(sys.executable, "-c", TELL, cwd=tmp_path, options=())

    assert json.loads(done.stdout)["GENSTUDIO_API_KEY"] == "sk-mine"
    assert "ALIYUN_BASE_URL" not in json.loads(done.stdout)


def test_a_word_that_is_no_option_is_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.mockserver]\nspeed = 3\n")

    done = run(sys.executable, "-c", TELL, cwd=tmp_path, options=())

    assert done.returncode == 1
    assert done.stderr.startswith("error: [tool.mockserver] has 'speed', which is no option; near: seed; known: ")


def test_real_host_names_are_answered_through_the_proxy() -> None:
    options = ("--provider", "genstudio", "--tls", "--expect", "route-unknown")

    done = run(sys.executable, "-c", REAL, options=options)

    assert (done.stdout, done.returncode) == ("404\n", 0), done.stderr


def test_the_proxy_answers_for_no_other_host() -> None:
    code = REAL.replace("cloud.infini-ai.com", "example.com")

    done = run(sys.executable, "-c", code, options=("--provider", "genstudio", "--tls"))

    assert done.returncode == 1
    assert "403 Forbidden" in done.stderr


def test_serve_prints_what_leads_other_processes_to_it() -> None:
    command = [*MOCKSERVER, "serve", "genstudio", "--port", "0", "--tls"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        lines = [server.stdout.readline()]
        while not lines[-1].startswith("ready: "):
            lines.append(server.stdout.readline())
        exported = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines if line[:6] == "export")
        environment = {**os.environ, **exported}
        done = subprocess.run(
            [sys.executable, "-c", REAL], env=environment, capture_output=True, text=True, check=False
        )
        server.terminate()

    trusted = {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}
    assert {"HTTPS_PROXY", *trusted} <= set(exported)
    assert done.stdout == "404\n", done.stderr
