"""The handle that tests hold: one provider in one world of a server, on a clock that they turn.

Everything it does goes through the control API, so it is the same for a server in a thread of this process, one started
elsewhere (`MockServer.at(url)`) and one without sockets. Starting servers is the business of `mockserver.server`.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import select
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote, urlsplit

from mockserver import conduct
from mockserver.errors import MockServerError, UserError

if TYPE_CHECKING:
    import aiohttp
    import requests.adapters
    import respx

    from mockserver.inprocess import Caller, Transport
    from mockserver.interception import Interception
    from mockserver.server import Running
    from mockserver.settings import Settings
    from mockserver.virtual_time import VirtualTime

Json = dict[str, Any]

PATIENCE = 30.0
"""Real seconds that an answer of the control API may take."""
MAIN = "main"


class Line(Protocol):
    """A way to a server."""

    base: str
    """`http://HOST:PORT`, without a slash at the end."""

    def send(self, method: str, path: str, body: bytes | None) -> tuple[int, Mapping[str, str], bytes]:
        """Send one call to the control API; return status, headers with lower-case names, and body."""

    def close(self) -> None: ...


class MockServer:
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

    @property
    def providers(self) -> list[str]:
        """The names of the providers served."""
        return list(self._world.open().providers)

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

    # --- what happened ---

    @property
    def tasks(self) -> list[Task]:
        """Every task that the world remembers, oldest first."""
        return [Task(**one) for one in self._get("tasks")["tasks"] if self._mine(one)]

    @property
    def journal(self) -> list[Json]:
        """What happened, in order; `name` is a verb (`submit`) or an event (`task.running`)."""
        return [one for one in self._lines("journal") if self._mine(one)]

    @property
    def exchanges(self) -> list[Json]:
        """What crossed the wire, in order, calls to the provider's store included; credentials redacted."""
        return [one for one in self._lines("exchanges") if self._concerns(one)]

    @property
    def problems(self) -> list[Json]:
        """What a person should look at: near misses, refusals, answers of our own that are wrong."""
        found: list[Json] = self._get("problems")["problems"]
        return found

    @property
    def violations(self) -> list[Json]:
        """What broke the contract, by the client or by us, less what is expected; see `mockserver.conduct`."""
        return conduct.violations(self)

    def judged(self, judge: Callable[[MockServer, Sequence[Json]], Iterable[Json]]) -> list[Json]:
        """Return what *judge* finds in all that crossed the wire; asked again only if more has."""
        known, found = self._world.judged
        fresh = self._lines(f"exchanges?since={known}")
        if fresh:
            found = list(judge(self, self._lines("exchanges") if known else fresh))
            self._world.judged = fresh[-1]["number"], found
        return found

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

    @property
    def schemas(self) -> Path | None:
        """Where the folders of its providers are; None for a server elsewhere, where those of the package are meant."""
        running = self._world.open().running
        return None if running is None else running.settings.schemas_dir

    @property
    def expected(self) -> Sequence[str]:
        """The rules that are broken on purpose, see `expect`."""
        return tuple(self._world.expected)

    @property
    def hits(self) -> dict[str, dict[str, dict[str, int]]]:
        """Scenario in force -> rule -> how often it `matched` and `acted`."""
        found: dict[str, dict[str, dict[str, int]]] = self._get("scenarios")["in_force"]
        return found

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

    # --- verification ---

    def expect(self, *rules: str) -> Self:
        """Say that violations of these rules (`request-schema-required`, `request-schema-*`) are meant."""
        self._world.expected.extend(rules)
        return self

    def called(self, operation: str, times: int | None = None) -> list[Json]:
        """Return the calls of an operation (by its id, such as `get_task_info`).

        Args:
            times: exactly so many there must have been; None for at least one.

        Raises:
            AssertionError: there were more or fewer, or some of the record is gone.
            UserError: there is no such operation.
        """
        self._known(operation)
        found = [one for one in self._whole("exchanges") if one["operation"] == operation and self._concerns(one)]
        if len(found) != times if times is not None else not found:
            wanted = "at least once" if times is None else f"{times} times"
            raise AssertionError(f"{operation} was called {len(found)} times instead of {wanted}\n{self.story()}")
        return found

    def in_order(self, *operations: str) -> None:
        """Check that there were calls of these operations in this order; others may stand between them.

        Raises:
            AssertionError: there were not, or some of the record is gone.
            UserError: there is no such operation.
        """
        for operation in operations:
            self._known(operation)
        calls = iter([one["operation"] for one in self._whole("exchanges") if self._concerns(one)])
        for index, operation in enumerate(operations):
            if operation not in calls:
                before = " after " + ", ".join(operations[:index]) if index else ""
                raise AssertionError(f"{operation} was not called{before}\n{self.story()}")

    def nothing_unexpected(self) -> None:
        """Check that client and emulator kept the contract; raise `AssertionError` with the story if not."""
        violations = self.violations
        if violations:
            raise AssertionError(self.story(violations))

    def reached(self, task: str, state: str) -> Json:
        """Return the entry of the journal that tells of the task's reaching *state*.

        Raises:
            AssertionError: it did not, or some of the record is gone.
        """
        told = [one for one in self._whole("journal") if one.get("task") == task]
        for one in told:
            if one["name"] == f"task.{state}":
                return one
        names = ", ".join(one["name"] for one in told) or "nothing; there is no such task"
        raise AssertionError(f"{task} did not reach {state!r}; of it is known: {names}")

    def verify(self, **asked: Any) -> list[Any]:
        """Ask the record one thing, as `POST /_mock/verify` takes it; return by what it holds.

            server.verify(called={"operation": "get_task_info", "request": SCHEMA}, times={"max": 20})
            server.verify(order=[{"operation": "prompt"}, {"operation": "get_task_info", "status": 200}])

        Raises:
            AssertionError: it does not hold.
            UserError: it is not understood, or reaches into a part of the record that is gone.
        """
        return _held(self, self._world.call("POST", "verify", asked))

    def wait(self, *, limit: float = 3600, **asked: Any) -> list[Any]:
        """Wait until what `verify` takes holds, without turning the clock; return by what it holds.

        Args:
            limit: virtual seconds to wait at most.

        Raises:
            AssertionError: it did not hold in time.
            UserError: as `verify`.
        """
        world = self._world.open()
        # A line of its own: on the shared one nobody could turn the clock meanwhile.
        line = HttpLine(world.base)
        body = json.dumps({**asked, "limit": limit}).encode()
        try:
            return _held(self, _answered(line.send("POST", f"/_mock/worlds/{world.id}/wait", body)))
        finally:
            line.close()

    def story(self, violations: Sequence[Mapping[str, Any]] = ()) -> str:
        """Tell what happened, for a person who reads a failed test: violations, calls, seed, scenarios in force."""
        return conduct.story(self, violations)

    # --- helpers ---

    def known_of(self, provider: str) -> Json:
        """Return what the server says of a provider in this world: addresses, operations, readings."""
        return self._world.about(provider)

    def _about(self) -> Json:
        if self._provider is None:
            names = ", ".join(self._world.open().providers)
            raise UserError(f'several providers are served; choose one: server["NAME"], of {names}')
        return self._world.about(self._provider)

    def _names(self) -> list[str]:
        return list(self._world.open().providers) if self._provider is None else [self._provider]

    def _hosts(self) -> list[str]:
        about = self._world.about
        return [host for name in self._names() for host in (*about(name)["hosts"], *about(name)["store_hosts"])]

    def _mine(self, one: Mapping[str, Any]) -> bool:
        return self._provider is None or one["provider"] == self._provider

    def _concerns(self, exchange: Mapping[str, Any]) -> bool:
        # A store belongs to nobody's name: whatever is no other provider's may be ours.
        others = set(self._world.providers) - {self._provider}
        return self._provider is None or exchange["provider"] not in others

    def _known(self, operation: str) -> None:
        known = [one for name in self._names() for one in self._world.about(name)["operations"]]
        if operation not in known:
            raise UserError(f"there is no operation {operation!r}; known: {', '.join(known)}")

    def _wish_variants(self, variants: Mapping[str, Any]) -> None:
        if self._world.id is not None:
            raise UserError("the world is in use, and its variants are settled; choose them first")
        known = self._world.wishes.setdefault("variants", {})
        for provider, readings in _by_provider(variants, self._provider).items():
            known.setdefault(provider, {}).update(readings)

    def _get(self, path: str) -> Json:
        found: Json = self._world.call("GET", path)
        return found

    def _lines(self, path: str) -> list[Json]:
        return self._world.lines(path)[0]

    def _whole(self, path: str) -> list[Json]:
        found, lost = self._world.lines(path)
        if lost:
            raise AssertionError(f"the first {lost} entries of {path} are gone: the record is bounded; look earlier")
        return found


class Clock:
    """The clock of a world. Moments are Unix seconds, as a float; durations are virtual seconds."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def told(self) -> Json:
        """What the server says of it: `now`, `start`, `rate`, `next`, and the world's `seed`."""
        found: Json = self._world.call("GET", "clock")
        return found

    @property
    def now(self) -> float:
        """The world's moment."""
        return float(self.told["now"])

    @property
    def rate(self) -> float:
        """Virtual seconds per real second; 0 is by hand. May be set."""
        return float(self.told["rate"])

    @rate.setter
    def rate(self, rate: float) -> None:
        self._turn(rate=rate)

    def jump(self, seconds: float) -> float:
        """Let *seconds* pass at once, with all that happens in them; return the moment then."""
        return self._turn(jump=seconds)

    def next(self) -> float:
        """Go to the next moment anything happens; return it. Nothing moves where nothing is due."""
        return self._turn(next=True)

    def pause(self) -> None:
        """Turn by hand from now on."""
        self._turn(pause=True)

    def until(self, task: str, state: str | None = None, *, percent: float | None = None, limit: float = 3600) -> float:
        """Go to the moment that a task is in *state* (any for None), and at least *percent* of it done; return it.

        Args:
            limit: virtual seconds to try.

        Raises:
            AssertionError: it did not come to that within *limit*.
            UserError: there is no such task or state.
        """
        wish = {"task": task, "state": state, "percent": percent}
        until = {name: value for name, value in wish.items() if value is not None}
        answer = self._world.call("POST", "clock", {"until": until, "limit": limit})
        self._world.noticed(answer)
        if not answer["reached"]:
            raise AssertionError(f"{until} did not come true within {limit:g} virtual seconds")
        return float(answer["now"])

    def _turn(self, **turn: Any) -> float:
        answer = self._world.call("POST", "clock", turn)
        self._world.noticed(answer)
        return float(answer["now"])


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task as the world knows it. Moments are Unix seconds on its clock."""

    provider: str
    id: str
    state: str
    created: float
    started: float | None
    finished: float | None
    progress: float
    """0 to 1."""
    position: int
    """In the waiting line, from 1; 0 when not in it."""
    uses: Mapping[str, str]
    failure: Mapping[str, Any] | None
    nodes: Sequence[Mapping[str, Any]]
    files: Sequence[str]


class HttpLine:
    """A way to a server by its address: one connection, kept."""

    def __init__(self, base: str) -> None:
        url = urlsplit(base)
        if url.scheme != "http" or not url.hostname:
            raise UserError(f"server {base!r} will not do; it must be of the form http://HOST:PORT")
        self.base = base
        self._connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=PATIENCE)
        self._lock = threading.Lock()

    def send(self, method: str, path: str, body: bytes | None) -> tuple[int, Mapping[str, str], bytes]:
        with self._lock:
            connection = self._connection
            # The server closes what was idle; that shows as something to read where nothing was asked.
            if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
                connection.close()
            try:
                connection.request(method, path, body)
                answer = connection.getresponse()
                return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise MockServerError(
                    f"no server answers at {self.base}: {str(error) or type(error).__name__}"
                ) from None

    def close(self) -> None:
        self._connection.close()


@dataclass
class World:
    """A world as its handles share it: the way to it, and what is known of it. Made when it is first used."""

    line: Line | None
    id: str | None
    wishes: Json = field(default_factory=dict)
    expected: list[str] = field(default_factory=list)
    running: Running | None = None
    listeners: list[Any] = field(default_factory=list)
    """Called with each answer about the clock."""
    judged: tuple[int, list[Json]] = (0, [])
    """Up to which exchange they were judged, and what was found."""
    _providers: dict[str, Json] | None = None
    _ports: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> World:
        if self.line is None:
            raise UserError("the server is not running; use it inside `with MockServer(...) as server:`")
        with self._lock:
            if self.id is None:
                self.id = _answered(self.line.send("POST", "/_mock/worlds", json.dumps(self.wishes).encode()))["id"]
        return self

    def close(self) -> None:
        """Drop the world, if it was ever made."""
        id, self.id = self.id, None
        if id is not None and self.line is not None:
            with suppress(MockServerError):
                _answered(self.line.send("DELETE", f"/_mock/worlds/{id}", None))

    @property
    def base(self) -> str:
        assert self.line is not None
        return self.line.base

    def call(self, method: str, path: str, body: Json | bytes | None = None) -> Any:
        """Send a call about this world."""
        return self.ask(method, f"/_mock/worlds/{self.open().id}/{path}", body)

    def ask(self, method: str, path: str, body: Json | bytes | None = None) -> Any:
        """Send a call about the server."""
        self.open()
        assert self.line is not None
        raw = json.dumps(body).encode() if isinstance(body, dict) else body
        return _answered(self.line.send(method, path, raw))

    def lines(self, path: str) -> tuple[list[Json], int]:
        """Return the lines of an NDJSON answer, and how many earlier ones are gone."""
        self.open()
        assert self.line is not None
        answer = self.line.send("GET", f"/_mock/worlds/{self.id}/{path}", None)
        status, headers, raw = answer
        if status != 200:
            _answered(answer)
        return [json.loads(line) for line in raw.splitlines()], int(headers.get("x-mock-lost", 0))

    @property
    def providers(self) -> dict[str, Json]:
        if self._providers is None:
            found: list[Json] = self.call("GET", "providers")["providers"]
            self._providers = {one["name"]: one for one in found}
        return self._providers

    def about(self, provider: str) -> Json:
        known = self.open().providers
        if provider not in known:
            raise UserError(f"provider {provider!r} is not served here; known: {', '.join(known)}")
        return known[provider]

    @property
    def environment(self) -> dict[str, str]:
        found = {"MOCKSERVER_URL": self.base}
        for name, about in self.providers.items():
            prefix = "".join(letter if letter.isalnum() else "_" for letter in name).upper()
            found[f"{prefix}_BASE_URL"] = about["url"]
            found[f"{prefix}_WS_URL"] = about["url"].replace("http", "ws", 1)
            found[f"{prefix}_API_KEY"] = about["api_key"]
        return found

    def port(self, provider: str | None) -> int:
        if provider is None or (self.id == MAIN and len(self.providers) == 1):
            return urlsplit(self.base).port or 80
        if provider not in self._ports:
            self._ports |= self.call("POST", "ports", {provider: 0})["ports"]
        return self._ports[provider]

    def noticed(self, clock: Json) -> None:
        """Tell whoever lives on this world's clock where it stands."""
        for listener in tuple(self.listeners):
            listener(clock)


def _settings(given: Json | Settings) -> Settings:
    from mockserver.settings import Settings, parse_start

    if isinstance(given, Settings):
        return given
    start = given["start"]
    return Settings(**{**given, "start": parse_start(start) if isinstance(start, str) else start})


def _only(providers: Sequence[str]) -> str | None:
    return providers[0] if len(providers) == 1 else None


def _answered(answer: tuple[int, Mapping[str, str], bytes]) -> Any:
    status, _, raw = answer
    try:
        found = json.loads(raw)
    except ValueError:
        found = {"error": raw[:300].decode("utf-8", "replace")}
    if status >= 400:
        text = found.get("error", raw.decode("utf-8", "replace")) if isinstance(found, dict) else str(found)
        raise UserError(text)
    return found


def _held(server: MockServer, verdict: Json) -> list[Any]:
    if not verdict["holds"]:
        raise AssertionError(f"{verdict['text']}\n{server.story()}")
    found: list[Any] = verdict["found"]
    return found


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
