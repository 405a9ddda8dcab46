"""The way to a world of a server: the control API by one connection that is kept, and what it tells of clock and tasks.

The handle, virtual time and interception share it; what tests may ask is the business of `mockserver.client`.
"""

from __future__ import annotations

import http.client
import json
import select
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import orjson

from mockserver.errors import MockServerError, UserError

if TYPE_CHECKING:
    from mockserver.server import Running

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
                self.id = answered(self.line.send("POST", "/_mock/worlds", json.dumps(self.wishes).encode()))["id"]
        return self

    def close(self) -> None:
        """Drop the world, if it was ever made."""
        id, self.id = self.id, None
        if id is not None and self.line is not None:
            with suppress(MockServerError):
                answered(self.line.send("DELETE", f"/_mock/worlds/{id}", None))

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
        return answered(self.line.send(method, path, raw))

    def lines(self, path: str) -> tuple[list[Json], int]:
        """Return the lines of an NDJSON answer, and how many earlier ones are gone."""
        self.open()
        assert self.line is not None
        answer = self.line.send("GET", f"/_mock/worlds/{self.id}/{path}", None)
        status, headers, raw = answer
        if status != 200:
            answered(answer)
        return [_line_of(line) for line in raw.splitlines()], int(headers.get("x-mock-lost", 0))

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


def _line_of(line: bytes) -> Json:
    try:
        found: Json = orjson.loads(line)
    except ValueError:  # integers beyond 64 bits
        found = json.loads(line)
    return found


def answered(answer: tuple[int, Mapping[str, str], bytes]) -> Any:
    status, _, raw = answer
    try:
        found = json.loads(raw)
    except ValueError:
        found = {"error": raw[:300].decode("utf-8", "replace")}
    if status >= 400:
        text = found.get("error", raw.decode("utf-8", "replace")) if isinstance(found, dict) else str(found)
        raise UserError(text)
    return found
