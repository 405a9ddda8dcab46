"""A start: folders that passed their checks before are not looked at again, all others are, and wholly."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mockserver import data
from mockserver.errors import SchemaFolderError, UserError
from mockserver.server import running
from mockserver.settings import Settings
from mockserver.web.app import create_app

HEAVY = {"PIL", "jsonschema", "jwt", "cryptography", "yaml", "jsonschema_rs", "mockserver.provider.rehearsal"}


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing has been checked yet: where it will be remembered."""
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    return tmp_path / "cache" / "comfy-mockserver" / "checked"


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    """A folder of one's own providers: a copy of one."""
    shutil.copytree(data.schemas() / "genstudio", tmp_path / "schemas" / "genstudio")
    return tmp_path / "schemas"


def unreachable_state(schemas: Path) -> None:
    """Break a folder in a way that only its checks find."""
    file = schemas / "genstudio" / "machine.json"
    machine = json.loads(file.read_text("utf-8"))
    machine["task"]["states"]["nowhere"] = {"type": "final", "x-source": {"assumed": "a test needs one"}}
    file.write_text(json.dumps(machine), "utf-8")


def imported_by(schemas: Path) -> set[str]:
    """Return which of the heavy modules a process has imported once its application stands."""
    code = (
        "import sys, pathlib\n"
        "import mockserver.cli, mockserver.server\n"
        "from mockserver.settings import Settings\n"
        "from mockserver.web.app import create_app\n"
        f"create_app(Settings(schemas_dir=pathlib.Path({str(schemas)!r})))\n"
        "print(*sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return HEAVY & set(told.split())


def test_a_folder_is_checked_at_its_first_start_and_not_again(fresh: Path, schemas: Path) -> None:
    assert "mockserver.provider.rehearsal" in imported_by(schemas)

    assert imported_by(schemas) == set()


def test_a_changed_folder_is_checked_again_and_refused(fresh: Path, schemas: Path) -> None:
    create_app(Settings(schemas_dir=schemas))
    unreachable_state(schemas)

    for _ in range(2):  # what was refused is not remembered
        with pytest.raises(SchemaFolderError, match=r"machine\.json at /task/states/nowhere: cannot be reached"):
            create_app(Settings(schemas_dir=schemas))


def test_where_nothing_can_be_kept_every_start_checks(
    tmp_path: Path, schemas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(blocked))  # a file, so that no folder can stand below it

    for _ in range(2):
        assert "mockserver.provider.rehearsal" in imported_by(schemas)


def test_readings_are_checked_for_themselves(fresh: Path, schemas: Path) -> None:
    create_app(Settings(schemas_dir=schemas))

    with pytest.raises(UserError, match="has no variant 'colour'"):
        create_app(Settings(schemas_dir=schemas, variants={"genstudio": {"colour": "red"}}))


def test_a_folder_checked_before_serves_as_one_checked_now(fresh: Path) -> None:
    def answers() -> Iterator[tuple[int, str]]:
        with running(Settings(port=0, start=0, rate=0)) as server, httpx.Client() as client:
            for url in server.provider_urls().values():
                answer = client.get(url)
                yield answer.status_code, answer.text

    assert list(answers()) == list(answers())


def test_where_nothing_can_be_remembered_a_start_checks_each_time(fresh: Path, schemas: Path) -> None:
    fresh.parent.parent.mkdir()
    fresh.parent.write_text("in the way", "utf-8")

    create_app(Settings(schemas_dir=schemas))

    assert "mockserver.provider.rehearsal" in imported_by(schemas)


def test_what_is_remembered_is_bounded(fresh: Path, schemas: Path) -> None:
    fresh.mkdir(parents=True)
    for number in range(1000):
        (fresh / f"{number:064x}").touch()

    create_app(Settings(schemas_dir=schemas))

    assert len(list(fresh.iterdir())) <= 1000
    assert "mockserver.provider.rehearsal" not in imported_by(schemas)
