"""The JavaScript of the provider's page runs under Node and gets what it expects."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mockserver import data
from mockserver.server import Running

FOLDER = Path(__file__).resolve().parent.parent / "node"
PATIENCE = 120


@pytest.fixture(scope="module")
def node(require_tool: Callable[[str], str]) -> str:
    """The program, with the packages of the lock file installed beside the tests."""
    node, npm = require_tool("node"), require_tool("npm")
    wanted = json.loads((FOLDER / "package-lock.json").read_bytes())["packages"]["node_modules/ws"]["version"]
    installed = FOLDER / "node_modules" / "ws" / "package.json"
    if not installed.exists() or json.loads(installed.read_bytes())["version"] != wanted:
        command = [npm, "ci", "--no-audit", "--no-fund", "--silent"]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode != 0 and os.environ.get("REQUIRE_ALL") != "1":
            pytest.skip(f"npm ci could not install from the lock file: {done.stderr[-500:]}")
        assert done.returncode == 0, done.stdout + done.stderr
    return node


def test_the_sample_of_the_page_follows_a_task_and_its_links_download(node: str, server: Running) -> None:
    environment = os.environ | {
        "MOCKSERVER_URL": server.provider_urls()["genstudio"],
        "MOCKSERVER_FIXTURES": str(data.fixtures() / "genstudio"),
    }

    done = subprocess.run(
        [node, "--test", "page.test.js"],
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
