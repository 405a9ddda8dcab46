"""The wheel works outside the checkout, and keeps its data inside the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120


def build(kind: str, source: Path, into: Path) -> Path:
    """Build an sdist or a wheel without the network: with the hatchling that is installed here."""
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(into), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = into.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it; its dependencies are looked up in the environment of the tests."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    # Installed by the pip of this environment: `--no-deps` needs no index, and a new pip in there costs seconds.
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run([*pip, str(wheel)], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    site = Path(
        sysconfig.get_path("purelib", "venv", vars={"base": str(folder), "platbase": str(folder)}),
    )
    # A plain path, not `addsitedir`: the .pth file of an editable install in there would bring the checkout in.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return python


@contextmanager
def serving(python: Path, *options: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run `mockserver serve` and give its process and the lines it printed up to `ready:`."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    program = python.with_name("mockserver")
    command = [str(program), "serve", "--port", "0", *options]
    with subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith("ready: "):
                    break
            else:
                pytest.fail("the server ended before it was ready; its words stand above")
            yield process, lines
        finally:
            process.terminate()
            process.wait(10)


def test_an_installed_wheel_serves_outside_the_checkout(fresh: Path, tmp_path: Path) -> None:
    with serving(fresh, cwd=tmp_path) as (_, lines):
        url = lines[-1].removeprefix("ready: ")
        answer = httpx.get(f"{url}/_mock/ready")

    assert answer.status_code == 200
    assert re.fullmatch(r"ready: http://127\.0\.0\.1:\d+", lines[-1])
    assert all(re.match(r"[\w-]+: http://127\.0\.0\.1:\d+/", line) for line in lines[:-1])


def test_it_runs_from_the_wheel_and_not_from_the_checkout(fresh: Path, tmp_path: Path) -> None:
    code = "import mockserver, contracts, mockserver.data as d; print(mockserver.__file__, d.schemas(), d.fixtures())"

    told = subprocess.run([str(fresh), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert str(ROOT) not in told
    assert "_data" in told


def test_nothing_but_the_packages_stands_at_the_top_of_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"mockserver", "contracts"}
    assert {"mockserver/py.typed", "contracts/py.typed"} <= set(names)


def test_the_wheel_holds_every_file_of_schemas_and_fixtures(wheel: Path) -> None:
    here = {
        f"mockserver/_data/{path.relative_to(ROOT).as_posix()}"
        for folder in ("schemas", "fixtures")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }

    with zipfile.ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if name.startswith("mockserver/_data/")}

    assert there == here


def test_a_wheel_built_from_the_sdist_is_the_same(wheel: Path, tmp_path: Path) -> None:
    sdist = build("sdist", ROOT, tmp_path / "sdist")
    subprocess.run(
        [sys.executable, "-m", "tarfile", "-e", str(sdist), str(tmp_path / "unpacked")], check=True, timeout=PATIENCE
    )
    (source,) = (tmp_path / "unpacked").iterdir()

    again = build("wheel", source, tmp_path / "again")

    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())
