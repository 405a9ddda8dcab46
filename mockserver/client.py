"""The handle that tests hold: one provider in one world of a server, on a clock that they turn.

Everything it does goes through the control API, so it is the same for a server in a thread of this process, one started
elsewhere (`MockServer.at(url)`) and one without sockets. Starting servers is the business of `mockserver.server`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from mockserver.errors import UserError
from mockserver.line import MAIN, Clock, HttpLine, Json, World
from mockserver.record import Record

if TYPE_CHECKING:
    import aiohttp
    import requests.adapters
    import respx

    from mockserver.inprocess import Caller, Transport
    from mockserver.interception import Interception
    from mockserver.server import Running
    from mockserver.settings import Settings
    from mockserver.virtual_time import VirtualTime


class MockServer(Record):
    """A server of one's own, and the handle of its main world.

        with MockServer("genstudio") as server:
            client = Client(server.url, server.api_key)

    Args:
        providers: the names of those served; none for all. With several, `server["NAME"]` is the handle of one.
        clock: virtual seconds per real second; 0 is a clock turned by hand.
        start: the clock's first moment: ISO 8601 or Unix seconds; None for now.
        scenario: a name of the library or a path.
        variants: provider -> question -> reading; of a single provider, question -> reading will do.
        settings: further words of `mockserver.settings.Settings`.
    """

    def __init__(
        self,
        *providers: str,
        clock: float = 0.0,
        seed: int = 0,
        start: str | int | None = None,
        scenario: str | Path | None = None,
        variants: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        given: Json = {"providers": providers, "rate": clock, "seed": seed, "start": start, "port": 0, **settings}
        if scenario is not None:
            given["scenarios"] = (*settings.get("scenarios", ()), str(scenario))
        if variants:
            given["variants"] = _by_provider(variants, _only(providers))
        self._begin(World(None, MAIN), _only(providers), given)

    def _begin(self, world: World, provider: str | None, given: Json | Settings | None = None) -> None:
        self._world = world
        self._provider = provider
        self._given = given
        self._running: ExitStack | None = None
        self.clock = Clock(world)

    @classmethod
    def at(cls, url: str) -> Self:
        """Return the handle of the main world of a server that runs already; *url* is its root."""
        return cls._of(World(HttpLine(url.rstrip("/")), MAIN), None)

    @classmethod
    def with_settings(cls, settings: Settings) -> Self:
        """Return a server of one's own with *settings*, to be used like `MockServer(...)`."""
        handle = cls.__new__(cls)
        handle._begin(World(None, MAIN), _only(settings.providers), settings)
        return handle

    @classmethod
    def _of(cls, world: World, provider: str | None) -> Self:
        handle = cls.__new__(cls)
        handle._begin(world, provider)
        return handle

    # --- start and end ---

    def __enter__(self) -> Self:
        """Start the server, if it is ours to start.

        Raises:
            UserError: it cannot start as told.
            TimeoutError: it did not start in time.
        """
        if self._given is None:
            return self  # a world is made when it is first used
        from mockserver.server import running

        with ExitStack() as stack:
            server = stack.enter_context(running(_settings(self._given)))
            self._world.line, self._world.running = HttpLine(server.url), server
            stack.callback(self._world.line.close)
            self._running = stack.pop_all()
        return self

    def __exit__(self, *details: object) -> None:
        if self._running is not None:
            self._running.close()
            self._running, self._world.line = None, None
        elif self._world.id != MAIN:
            self._world.close()
        elif self._world.line is not None:
            self._world.line.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *details: object) -> None:
        await asyncio.to_thread(self.__exit__, *details)

    # --- worlds and providers ---

    def world(
        self,
        provider: str | None = None,
        *,
        clock: float = 0.0,
        seed: int | None = None,
        start: str | int | None = None,
        slots: int | None = None,
        scenario: str | Path | Mapping[str, Any] | None = None,
        variants: Mapping[str, Any] | None = None,
    ) -> MockServer:
        """Return the handle of a world of its own on this server, made when it is first used.

        Arguments are as those of `MockServer`; what is None is as the server has it. Leaving a `with` block on it drops
        the world.
        """
        provider = provider or self._provider
        world = World(self._world.line, None, running=self._world.running)
        wishes: Json = {"rate": clock, "seed": seed, "start": start, "slots": slots}
        world.wishes = {name: value for name, value in wishes.items() if value is not None}
        handle = MockServer._of(world, provider)
        if variants:
            handle._wish_variants(variants)
        if scenario is not None:
            world.wishes["scenario"] = _scenario(scenario)[1]
        return handle

    def worlds(self) -> list[MockServer]:
        """Return the handles of all worlds of the server, those made by others included."""
        line, running = self._world.open().line, self._world.running
        found = self._world.ask("GET", "/_mock/worlds")["worlds"]
        return [MockServer._of(World(line, one["id"], running=running), self._provider) for one in found]

    def __getitem__(self, provider: str) -> MockServer:
        """Return the handle of one provider in the same world."""
        return MockServer._of(self._world, provider)

    @property
    def used(self) -> bool:
        """Whether the world has been made, or something was asked of it."""
        return self._world.line is not None and self._world.id is not None

    # --- addresses ---

    @property
    def url(self) -> str:
        """What stands for the provider's base address; of several providers, what each one's name is appended to."""
        world = self._world.open()
        if self._provider is not None:
            return str(world.about(self._provider)["url"])
        return world.base if world.id == MAIN else f"{world.base}/_mock/w/{world.id}"

    @property
    def ws_url(self) -> str:
        """The same for WebSockets."""
        return self.url.replace("http", "ws", 1)

    @property
    def host(self) -> str:
        """For clients that can only be given host and port, see `port`."""
        return urlsplit(self._world.open().base).hostname or ""

    @property
    def port(self) -> int:
        """A port at whose root this provider stands in this world; opened when it is first asked for."""
        return self._world.open().port(self._provider)

    @property
    def api_key(self) -> str:
        """A key that is accepted."""
        return str(self._about()["api_key"])

    @property
    def environment(self) -> dict[str, str]:
        """What `mockserver run` exports: `NAME_BASE_URL`, `NAME_WS_URL`, `NAME_API_KEY` of each provider."""
        world = self._world.open()
        server = None if world.running is None else world.running.server
        return {**world.environment, **(server.tls_environment if server is not None else {})}

    # --- what is to happen ---

    def play(self, scenario: str | Path | Mapping[str, Any]) -> str:
        """Put a scenario in force: a name of the library, a file, or the scenario itself; return its name.

        Its setting (clock, seed, slots, variants, ...) counts only if the world has not been used before.

        Raises:
            UserError: there is no such scenario, or it will not do.
        """
        name, found = _scenario(scenario)
        if self._world.id is None and "scenario" not in self._world.wishes:
            self._world.wishes["scenario"] = found
            self._world.open()
            return name
        body = None if isinstance(found, str) else json.dumps(found).encode()
        self._world.call("PUT", f"scenarios/{quote(name, safe='')}", body)
        return name

    def stop(self, scenario: str) -> None:
        """Take a scenario out of force."""
        self._world.call("DELETE", f"scenarios/{quote(scenario, safe='')}")

    def fail(self, error: str, *, times: int | None = 1) -> None:
        """Let the next calls or tasks that it fits meet an error of the provider's catalogue.

        Args:
            times: how many; None for all that follow.

        Raises:
            UserError: the catalogue has no such error.
        """
        self._world.call("POST", "fail", {"error": error, "times": times})

    def variant(self, **readings: str) -> Self:
        """Choose readings of the provider's open questions; `-` in a name is written `_`. Before the world's first use.

        Raises:
            UserError: the world has been used already, or a name is unknown (told when it is used).
        """
        self._wish_variants({name.replace("_", "-"): reading for name, reading in readings.items()})
        return self

    def reset(self) -> None:
        """Begin the world again: clock at its start, no tasks, nothing recorded."""
        self._world.call("POST", "reset")
        self._world.judged = (0, [])

    def virtual_time(self) -> VirtualTime:
        """Return a context in which this process sleeps, waits and tells the time by the world's clock."""
        from mockserver.virtual_time import VirtualTime

        return VirtualTime(self._world.open())

    # --- ways in without sockets ---

    def transport(self) -> Transport:
        """Return an httpx transport, sync and async, that answers for the real host names without a socket.

        Raises:
            UserError: the server runs in another process.
        """
        from mockserver import inprocess

        return inprocess.Transport(self._caller())

    def respx(self, **options: Any) -> respx.MockRouter:
        """Return a respx router that answers for the real host names; *options* are those of `respx.MockRouter`."""
        from mockserver import inprocess

        return inprocess.respx_router(self._caller(), **options)

    def requests_adapter(self) -> requests.adapters.BaseAdapter:
        """Return an adapter to mount in a `requests.Session`, which then answers for the real host names."""
        from mockserver import inprocess

        return inprocess.requests_adapter(self._caller())

    def aiohttp_connector(self, **options: Any) -> aiohttp.BaseConnector:
        """Return a connector for an `aiohttp.ClientSession`, which then answers for the real host names.

        Args:
            options: those of `aiohttp.BaseConnector`. As with that, an event loop must run.
        """
        from mockserver import inprocess

        return inprocess.aiohttp_connector(self._caller(), **options)

    def intercept(self) -> Interception:
        """Return a context in which connections of this process to the real host names lead to this world, over TLS."""
        from mockserver.interception import Interception

        return Interception(self._local(), self._world.id or MAIN, self._names()[0], self._hosts())

    def _caller(self) -> Caller:
        from mockserver.inprocess import Caller

        return Caller(self._local(), self._world.id or MAIN, self._names()[0], self._hosts())

    def _local(self) -> Running:
        world = self._world.open()
        if world.running is None:
            raise UserError(f"the server at {world.base} runs in another process: only its address leads there")
        return world.running

    # --- helpers ---

    def _wish_variants(self, variants: Mapping[str, Any]) -> None:
        if self._world.id is not None:
            raise UserError("the world is in use, and its variants are settled; choose them first")
        known = self._world.wishes.setdefault("variants", {})
        for provider, readings in _by_provider(variants, self._provider).items():
            known.setdefault(provider, {}).update(readings)


@contextmanager
def intercept(*providers: str, **settings: Any) -> Iterator[MockServer]:
    """Start a server and intercept connections to the real host names; arguments as those of `MockServer`.

    Raises:
        UserError: it cannot start as told, or interception is on already.
    """
    with MockServer(*providers, **settings) as server, server.intercept():
        yield server


def _settings(given: Json | Settings) -> Settings:
    from mockserver.settings import Settings, parse_start

    if isinstance(given, Settings):
        return given
    start = given["start"]
    return Settings(**{**given, "start": parse_start(start) if isinstance(start, str) else start})


def _only(providers: Sequence[str]) -> str | None:
    return providers[0] if len(providers) == 1 else None


def _scenario(scenario: str | Path | Mapping[str, Any]) -> tuple[str, Any]:
    """Return name and what the control API takes: the name of one in the library, else the scenario itself."""
    if isinstance(scenario, Mapping):
        return "mine", dict(scenario)
    text = str(scenario)
    if isinstance(scenario, Path) or text.endswith((".yaml", ".yml", ".json")):
        from mockserver.scenario.reading import read_both

        file = Path(text)
        return file.stem, read_both(file)[0]
    return text, text


def _by_provider(variants: Mapping[str, Any], provider: str | None) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, value in variants.items():
        if isinstance(value, Mapping):
            found.setdefault(name, {}).update(value)
        elif provider is None:
            raise UserError(f"variant {name!r} needs the name of its provider: {{'PROVIDER': {{{name!r}: {value!r}}}}}")
        else:
            found.setdefault(provider, {})[name] = value
    return found
