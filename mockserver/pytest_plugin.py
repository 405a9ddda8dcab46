"""The pytest plugin: one fixture per provider, each test in a fresh world of one server for the session.

Imports nothing of the emulator until a test asks for a fixture. Settings come from `[tool.mockserver]` in
pyproject.toml, then the ini value `mockserver`, then `--mockserver`; the server's address, port and clock are the
plugin's own: a free port, worlds whose clock stands. Under xdist each worker has a server of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mockserver.client import MockServer

URL = "MOCKSERVER_URL"
"""Environment variable: the root of a server that runs already."""
MARKER = "mockserver"
WORDS = ("clock", "scenario", "variant", "seed", "start", "slots", "expect", "virtual_time")
"""What the marker takes."""
OWN = ("host", "port", "clock")
"""Words of the settings that are the plugin's own business."""

_world: pytest.StashKey[MockServer] = pytest.StashKey()
_told: pytest.StashKey[int] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mockserver", "emulated ComfyUI services")
    group.addoption("--mockserver-url", metavar="URL", help=f"Use the server that runs at URL.  [default: ${URL}]")
    group.addoption(
        "--mockserver",
        dest="mockserver_words",
        action="append",
        default=[],
        metavar="WORD=VALUE",
        help="An option of `mockserver serve`, such as seed=7 or api-key=sk-1 (repeatable).",
    )
    parser.addini("mockserver", "Options of `mockserver serve`, WORD=VALUE each.", type="linelist", default=[])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}({', '.join(f'{word}=...' for word in WORDS)}): how the world of this test is, for the fixtures of "
        "providers. `expect` lists rules of the contract that are broken on purpose.",
    )
    config.pluginmanager.register(_fixtures(_providers(config)), "mockserver-fixtures")


@pytest.fixture(scope="session", name="mockserver")
def mockserver_fixture(request: pytest.FixtureRequest) -> Iterator[MockServer]:
    """The session's server, and the handle of its main world. Tests should not meet there: take `.world()` of it."""
    from mockserver.client import MockServer
    from mockserver.errors import MockServerError

    config = request.config
    url = config.getoption("--mockserver-url") or os.environ.get(URL)
    problem = None
    with ExitStack() as stack:
        try:
            server = MockServer.at(url) if url else MockServer.with_settings(_settings(config))
            stack.enter_context(server)
            assert server.providers
        except (MockServerError, TimeoutError) as error:
            problem = error
        if problem is not None:
            pytest.fail(f"the emulator cannot be used: {problem}", pytrace=False)
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test, on virtual time if marked so, and let it fail if it broke the contract."""
    world = item.stash.get(_world, None)
    if world is None:
        return (yield)
    try:
        if _wishes(item).get("virtual_time"):
            with world.virtual_time():
                result = yield
        else:
            result = yield
    except (Exception, pytest.fail.Exception):
        story = _story_of(item, world)
        item.add_report_section("call", "mockserver", story)
        raise
    _judge(item, world)
    return result


def _fixtures(names: list[str]) -> object:
    """Return a plugin with one fixture per provider; the names come from the folders."""
    found = {}
    for name in names:
        found[name.replace("-", "_")] = _fixture(name)
    return type("ProviderFixtures", (), found)()


def _fixture(provider: str) -> Callable[..., Any]:
    def served(self: object, request: pytest.FixtureRequest) -> Iterator[MockServer]:
        world = _world_of(request, provider)
        yield world[provider]
        _judge(request.node, world)

    served.__doc__ = f"The provider {provider!r} in a world of its own for this test, its clock standing."
    return pytest.fixture(name=provider.replace("-", "_"))(served)


def _world_of(request: pytest.FixtureRequest, provider: str) -> MockServer:
    """Return the world of a test, made for its first fixture; those of several providers share it, and its clock."""
    from mockserver.errors import MockServerError

    server: MockServer = request.getfixturevalue("mockserver")
    node = request.node
    if _world not in node.stash:
        wishes = _wishes(node)
        problem = None
        try:
            world = server.world(
                clock=wishes.get("clock", 0.0),
                variants=_variants(wishes.get("variant", {}), provider),
                **{word: wishes[word] for word in ("scenario", "seed", "start", "slots") if word in wishes},
            )
            if wishes:
                assert world.url
        except MockServerError as error:
            problem = error
        if problem is not None:
            pytest.fail(f"the marker {MARKER} cannot be obeyed: {problem}", pytrace=False)
        world.expect(*wishes.get("expect", ()))
        node.stash[_world] = world

        def drop() -> None:
            del node.stash[_world]
            world.__exit__()

        request.addfinalizer(drop)
    found: MockServer = node.stash[_world]
    return found


def _variants(said: Any, provider: str) -> dict[str, Any]:
    """Return what a marker says of variants: `{"NAME": "READING"}` of *provider*, or `{"PROVIDER": {...}}`."""
    if not isinstance(said, dict):
        pytest.fail(f"variant is {said!r}; it must be a dict of readings by name", pytrace=False)
    return said if all(isinstance(one, dict) for one in said.values()) else {provider: said}


def _wishes(node: pytest.Item) -> dict[str, Any]:
    """Return what the markers of a test say, the nearest first."""
    found: dict[str, Any] = {}
    for marker in node.iter_markers(MARKER):
        unknown = sorted(set(marker.kwargs) - set(WORDS))
        if marker.args or unknown:
            wrong = unknown or list(marker.args)
            pytest.fail(f"the marker {MARKER} takes {', '.join(WORDS)} by name; got {wrong}", pytrace=False)
        found = {**marker.kwargs, **found}
    if isinstance(found.get("expect"), str):
        found["expect"] = [found["expect"]]
    return found


def _judge(node: pytest.Item, world: MockServer) -> None:
    """Fail if the contract was broken and nobody has told so."""
    if not world.used:
        return
    violations = world.violations
    told = node.stash.get(_told, 0)
    node.stash[_told] = len(violations)
    if len(violations) > told:
        pytest.fail(world.story(violations[told:]), pytrace=False)


def _story_of(node: pytest.Item, world: MockServer) -> str:
    from mockserver.errors import MockServerError

    if not world.used:
        return "the emulator was not used"
    try:
        violations = world.violations
        node.stash[_told] = len(violations)
        return world.story(violations)
    except MockServerError as error:
        return f"nothing is known: {error}"


def _settings(config: pytest.Config) -> Any:
    from dataclasses import replace

    from mockserver import options

    table, folder = options.table_above(config.rootpath)
    table = {**table, **options.words(_words(config))}
    read = options.read({word: value for word, value in table.items() if word not in OWN}, folder)
    return replace(read, port=0, rate=0.0)


def _providers(config: pytest.Config) -> list[str]:
    """Return the names of the providers that there may be fixtures for."""
    from mockserver import data
    from mockserver.errors import MockServerError

    words = [word for word in _words(config) if word.startswith("schemas=")]
    try:
        folder = config.rootpath / words[-1].partition("=")[2] if words else _table_schemas(config)
        return list(data.providers(folder or data.schemas()))
    except MockServerError:
        return []  # why is told by the server, to whoever asks for one


def _words(config: pytest.Config) -> list[str]:
    return ["".join(word.split()) for word in (*config.getini("mockserver"), *config.getoption("mockserver_words"))]


def _table_schemas(config: pytest.Config) -> Path | None:
    file = config.rootpath / "pyproject.toml"
    # Most projects have no such table, and need not pay for reading it again.
    if not file.is_file() or b"mockserver]" not in file.read_bytes():
        return None
    import tomllib

    table = tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("mockserver", {})
    return config.rootpath / table["schemas"] if "schemas" in table else None
