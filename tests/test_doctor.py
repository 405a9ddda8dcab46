"""`mockserver doctor`, `completion` and `serve --log`: what is wrong is said, with what to do about it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from mockserver import cli
from mockserver.doctor import examine
from mockserver.server import running
from mockserver.settings import Settings

ROOT = Path(__file__).resolve().parent.parent


def verdicts(**options: object) -> dict[str, str]:
    return {finding.what: finding.verdict for finding in examine(**{"environ": {}, "port": 0, **options})}  # type: ignore[arg-type]


def test_a_sound_set_up_has_nothing_wrong() -> None:
    assert "wrong" not in verdicts().values()


def test_a_taken_port_is_told_with_a_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = {one.what: one for one in examine(port=taken.getsockname()[1], environ={})}["port"]

    assert found.verdict == "wrong"
    assert "--port 0" in found.remedy


def test_an_emulator_that_runs_already_is_recognised() -> None:
    with running(Settings(providers=("genstudio",), port=0, rate=0, start=1_790_000_000)) as served:
        found = verdicts(port=int(served.url.rpartition(":")[2]))

    assert (found["port"], found["world"]) == ("note", "note")


@pytest.mark.parametrize(
    ("environ", "verdict"),
    [
        pytest.param({"HTTP_PROXY": "http://proxy:3128"}, "wrong", id="all goes to the proxy"),
        pytest.param({"http_proxy": "http://proxy:3128", "no_proxy": "localhost"}, "well", id="this machine spared"),
        pytest.param({}, "well", id="no proxy"),
    ],
)
def test_a_proxy_that_would_take_local_calls_is_told(environ: dict[str, str], verdict: str) -> None:
    assert verdicts(environ=environ)["proxy"] == verdict


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param({"environ": {"GENSTUDIO_API_KEY": "abc-123"}}, "wrong", id="of another form"),
        pytest.param({"environ": {"GENSTUDIO_API_KEY": "sk-abc-123"}}, "well", id="of the right form"),
        pytest.param({"environ": {"GENSTUDIO_API_KEY": "sk-abc-123\n"}}, "wrong", id="with a line end"),
        pytest.param({"keys": ["abc-123"], "providers": ["genstudio"]}, "wrong", id="named, of another form"),
        pytest.param({"keys": ["abc-123"], "providers": ["gpugeek"]}, "well", id="named, any will do"),
        pytest.param({}, "well", id="none"),
    ],
)
def test_the_form_of_a_key_is_looked_at_and_the_key_not_shown(options: dict[str, Any], told: str) -> None:
    found = [one for one in examine(**{"environ": {}, "port": 0, **options}) if one.what == "keys"]

    assert [one.verdict for one in found] == [told]
    assert "abc-123" not in json.dumps([one.as_json() for one in found])


def test_a_key_that_the_settings_do_not_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.mockserver]\napi-key = ["sk-mine"]\n')

    found = {
        key: [one.verdict for one in examine(environ={"GENSTUDIO_API_KEY": key}, port=0, folder=tmp_path)
              if one.what in ("settings", "keys")]
        for key in ("sk-mine", "sk-other")
    }  # fmt: skip

    assert found == {"sk-mine": ["well", "well"], "sk-other": ["well", "wrong"]}


def test_settings_that_will_not_do_are_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.mockserver]\nclok = 0\n")

    (found,) = [one for one in examine(environ={}, port=0, folder=tmp_path) if one.what == "settings"]

    assert (found.verdict, "clok" in found.says) == ("wrong", True)


def test_doctor_prints_json_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["doctor", "--json", "--port", "0"])

    assert {finding["what"] for finding in json.loads(capsys.readouterr().out)} >= {"python", "port", "proxy", "clock"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["completion", shell])

    assert end.value.code == 0
    assert "_MOCKSERVER_COMPLETE" in capsys.readouterr().out


def test_the_shell_is_told_the_commands() -> None:
    asked = os.environ | {"_MOCKSERVER_COMPLETE": "bash_complete", "COMP_WORDS": "mockserver ser", "COMP_CWORD": "1"}
    told = subprocess.run(
        [sys.executable, "-m", "mockserver"], cwd=ROOT, env=asked, capture_output=True, text=True, timeout=30
    )

    assert "serve" in told.stdout


@pytest.mark.parametrize(
    ("begun", "completed"),
    [
        pytest.param("serve gen", "genstudio", id="provider"),
        pytest.param("providers show al", "aliyun", id="provider to show"),
        pytest.param("serve --scenario node-f", "node-fails-once", id="scenario"),
        pytest.param("serve --fail out-of", "out-of-memory", id="error"),
        pytest.param("serve --variant genstudio.key-format", "genstudio.key-format=any", id="reading"),
    ],
)
def test_the_shell_is_told_the_names(begun: str, completed: str) -> None:
    words = ["mockserver", *begun.split()]
    asked = {"_MOCKSERVER_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}

    told = subprocess.run(
        [sys.executable, "-m", "mockserver"],
        cwd=ROOT, env=os.environ | asked, capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert f"plain,{completed}" in told.stdout.splitlines()


def test_serve_writes_a_line_of_json_for_each_exchange() -> None:
    command = [sys.executable, "-m", "mockserver", "serve", "genstudio", "--port", "0", "--log", "json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = next(line for line in process.stdout if line.startswith("ready: "))
        httpx.post(
            f"{ready.split()[1]}/api/maas/comfy_task_api/prompt", headers={"Authorization": "Bearer sk-0"}, json={}
        )
        told = json.loads(process.stdout.readline())
        process.terminate()

    assert (told["operation"], told["status"], told["world"]) == ("prompt", 200, "main")
    assert "sk-0" not in json.dumps(told)
