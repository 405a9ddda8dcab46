"""What every test may use. Tests talk to the emulator as clients do."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is; timings are watched in tests/benchmarks.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

if TYPE_CHECKING:
    from mockserver.server import Running

# How long an example takes says more of the machine than of the code: timings live in the benchmarks.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where all tests, and the programs they start, remember checked folders: nothing is left in the user's own."""
    place = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            patch.setenv(name, str(place))
        yield place


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], str]:
    """Gives the path of a program; skips the test where it is absent, fails it under REQUIRE_ALL=1."""

    def require(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            missing = f"this test needs {name!r}, which is not installed"
            if os.environ.get("REQUIRE_ALL") == "1":
                pytest.fail(f"{missing}; REQUIRE_ALL=1 allows no skip")
            pytest.skip(missing)
        return path

    return require


@pytest.fixture(scope="session")
def require_package() -> Callable[..., Any]:
    """Gives a package of an extra; skips the test where it is absent, fails it under REQUIRE_ALL=1."""

    def require(name: str, *, extra: str = "clients") -> Any:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            package = name.partition(".")[0]
            missing = f"this test needs the package {package!r} ({error}); install comfy-mockserver[{extra}]"
        if os.environ.get("REQUIRE_ALL") == "1":
            pytest.fail(f"{missing}; REQUIRE_ALL=1 allows no skip")
        pytest.skip(missing)

    return require


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """A real socket for those who need one: GenStudio at the root, 200 times as fast as real."""
    from mockserver.server import running
    from mockserver.settings import Settings

    with running(Settings(providers=("genstudio",), port=0, rate=200)) as started:
        yield started
