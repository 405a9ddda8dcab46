"""The scenarios that come with the package, by name: `fixtures/scenarios/<name>.yaml`."""

from __future__ import annotations

import functools
from pathlib import Path

from mockserver import data
from mockserver.errors import UserError, nearest
from mockserver.scenario.model import Scenario
from mockserver.scenario.reading import ENDINGS, read


def files() -> dict[str, Path]:
    """Return the files of the library by name, sorted."""
    folder = data.fixtures() / "scenarios"
    return {file.stem: file for file in sorted(folder.iterdir()) if file.suffix in ENDINGS}


def scenarios() -> dict[str, Scenario]:
    """Return the scenarios of the library by name, sorted; raise `ScenarioError` if a file will not do."""
    return {name: _shipped(file, file.stat().st_mtime_ns) for name, file in files().items()}


def find(name: str) -> Scenario:
    """Return the scenario of the library with this name, or that of a file, if *name* is the path of one.

    Raises:
        UserError: there is neither.
        ScenarioError: the file will not do.
    """
    if Path(name).suffix in ENDINGS:
        return read(Path(name))
    try:
        return named(name)
    except UserError as error:
        raise UserError(f"{error}; or give the path of a .yaml or .json file") from None


def named(name: str) -> Scenario:
    """Return the scenario of the library with this name; raise `UserError` where there is none."""
    known = files()
    if name not in known:
        hint = nearest(name, known) or f"; known: {', '.join(known)}"
        raise UserError(f"there is no scenario {name!r}{hint}")
    return _shipped(known[name], known[name].stat().st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _shipped(file: Path, changed: int) -> Scenario:
    """Read a file of the library, again only after it has changed."""
    return read(file)


def line(scenario: Scenario) -> str:
    """Return what a scenario is about in one line: the first sentence."""
    text = " ".join(scenario.about.split())
    return text.partition(". ")[0].rstrip(".") + "."
