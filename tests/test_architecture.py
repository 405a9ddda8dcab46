"""What words cannot hold: imports point one way, and no Python knows a provider."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(path for package in ("mockserver", "contracts") for path in (ROOT / package).rglob("*.py"))

BASE = {"errors", "exchange", "data"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "exchange": set(),
    "data": {"errors"},
    "settings": {"errors", "data"},
    "checked": set(),
    "provider": {*BASE},
    "world": {*BASE, "provider"},
    "storage": {*BASE, "provider", "world"},
    "scenario": {*BASE, "provider", "world"},
    "web": {*BASE, "settings", "checked", "provider", "world", "storage", "scenario", "console", "first_requests"},
    "console": {*BASE, "provider", "world"},
    "first_requests": {*BASE, "provider"},
    "portrait": {*BASE, "provider", "first_requests"},
    "command_line": {"errors"},
    "log": {"exchange", "web"},
    "doctor": {*BASE, "options", "settings", "provider"},
    "protocol": {"web"},
    "server": {*BASE, "settings", "web", "protocol", "virtual_time", "tls"},
    "demo": {*BASE, "settings", "server"},
    "line": {*BASE, "server"},
    "conduct": {*BASE, "record"},
    "record": {*BASE, "conduct", "line"},
    "client": {*BASE, "line", "record", "settings", "scenario", "server", "virtual_time", "inprocess", "interception"},
    "virtual_time": {*BASE, "line", "web"},
    "inprocess": {*BASE, "server", "virtual_time", "web"},
    "tls": {*BASE},
    "interception": {*BASE, "server", "tls"},
    "completing": {"data"},
    "options": {*BASE, "settings", "completing"},
    "pytest_plugin": {*BASE, "options", "client"},
    "run": {*BASE, "settings", "client"},
    "cli": {
        *BASE,
        "command_line",
        "completing",
        "options",
        "run",
        "doctor",
        "log",
        "console",
        "portrait",
        "settings",
        "provider",
        "world",
        "storage",
        "scenario",
        "web",
        "server",
        "demo",
    },
    "__main__": {"cli"},
    "__init__": {"*"},
}
"""Room of `mockserver` -> the rooms it may import; itself always."""
CONTRACTS_MAY_IMPORT = {"provider", "exchange", "errors", "data", "command_line"}
PURE = ("provider", "world", "scenario")
IMPURE = {"time", "random", "asyncio", "socket", "threading", "httpx", "starlette", "uvicorn", "websockets"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "mockserver").parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names a module imports, wherever it does so; `from a import b` gives `a.b`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_rooms(path: Path) -> Iterator[str]:
    for name in imported(path):
        package, _, rest = name.partition(".")
        if package == "mockserver":
            yield rest.split(".")[0] or "__init__"


def words(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every identifier and text of a module with its line; docstrings apart, and comments."""
    tree = ast.parse(path.read_text("utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield line, node.value
        for attribute in ("id", "name", "attr", "arg", "module"):
            value = getattr(node, attribute, None)
            if isinstance(value, str):
                yield line, value


@pytest.mark.parametrize("path", [path for path in MODULES if relative(path).startswith("mockserver/")], ids=relative)
def test_imports_of_the_emulator_point_one_way(path: Path) -> None:
    room = room_of(path)
    allowed = MAY_IMPORT[room] | {room}

    wrong = {other for other in own_rooms(path) if other not in allowed and "*" not in allowed}

    assert not wrong, f"{relative(path)} imports {sorted(wrong)}; {room!r} may import {sorted(allowed)}"
    assert not any(name.split(".")[0] == "contracts" for name in imported(path) if room not in ("cli", "conduct"))


@pytest.mark.parametrize("path", [path for path in MODULES if relative(path).startswith("contracts/")], ids=relative)
def test_the_judge_does_not_know_the_accused(path: Path) -> None:
    # Exploring clients needs an emulator; the public handle `mockserver.MockServer` is the only way to it.
    explores = relative(path).startswith("contracts/explore")
    allowed = CONTRACTS_MAY_IMPORT | ({"MockServer"} if explores else set())

    assert set(own_rooms(path)) <= allowed


@pytest.mark.parametrize("path", [path for path in MODULES if relative(path).startswith("mockserver/")], ids=relative)
def test_the_core_knows_neither_real_time_nor_shared_chance_nor_the_network(path: Path) -> None:
    pure = room_of(path) in PURE
    # A stream of chance of one's own is pure; the module's global one is not.
    used = {name.split(".")[0] for name in imported(path) if name != "random.Random"}

    assert not (pure and used & IMPURE), f"{relative(path)} imports {sorted(used & IMPURE)}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_python_knows_a_provider_by_name(path: Path) -> None:
    names = sorted(folder.parent.name for folder in (ROOT / "schemas").glob("[!_]*/openapi.json"))
    # ComfyUI is also the name of the format of workflows, which every provider runs.
    known = re.compile("|".join(name for name in names if name != "comfyui") or "(?!)", re.IGNORECASE)

    found = [f"{relative(path)}:{line}: {text!r}" for line, text in words(path) if known.search(text)]

    assert not found, "what a provider does belongs into its folder:\n" + "\n".join(found)


def test_every_package_says_what_it_owns() -> None:
    silent = [relative(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]

    assert not silent, f"without a module docstring: {silent}"


def test_data_of_providers_says_nothing_of_python() -> None:
    fields = {file.suffix for file in (ROOT / "schemas").rglob("*") if file.is_file()}

    assert fields <= {".json", ".md", ".gz"}
