"""The server under verification: sends calls, follows feeds, waits, and keeps what crossed the wire in this walk."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import connect

from contracts.check import promises
from contracts.exchanges import Examiner
from contracts.judging import Judge, Verdict
from contracts.model import Finding
from contracts.promise import Promise
from contracts.rules import find
from contracts.verify.drafts import Call
from mockserver.errors import UserError
from mockserver.exchange import Exchange, Frame
from mockserver.provider.model import Operation

Json = Any
KEY = "CONTRACTS_KEY"
"""Environment variable that holds the key, also in what is printed."""
TURNS = 4
PAUSE = 30.0
"""A feed is read for so many turns, with so many seconds between."""
LONGEST = 10.0
"""Real seconds that one wait takes at most, and that a feed may be silent."""
QUIET = 0.05
"""Real seconds after which nothing more is on its way from this machine; from others it takes longer."""
UNSEEN = ("content-encoding", "content-length")


@dataclass(frozen=True)
class Clock:
    """The time of the server: its moment, Unix seconds, and how to let seconds pass."""

    now: Callable[[], float]
    wait: Callable[[float], object]
    by_hand: bool = False
    """Waiting costs nothing."""


@dataclass(frozen=True)
class Sent:
    """What was done: a call, a wait, or a feed that was followed."""

    what: Call | float | str
    """A float waits for so many seconds; a text is path and query of a channel."""
    answer: Json = None
    exchange: Exchange | None = None


class Target:
    """The server of one provider. `wait` and `now` are those of its clock."""

    def __init__(self, promise: Promise, client: httpx.Client, *, key: str, clock: Clock) -> None:
        self.promise, self.client, self.clock = promise, client, clock
        self.stores = [one for one in promises(only=()) if one.store]
        self.headers = credentials(promise, key)
        self.sent = 0
        self.steps: list[Sent] = []

    def begin(self) -> None:
        """Forget what was sent: another walk begins."""
        self.steps = []

    def wait(self, seconds: float) -> None:
        """Let seconds of the server's time pass."""
        self.clock.wait(seconds)
        self.steps.append(Sent(seconds))

    def send(self, call: Call) -> Json:
        """Send a call, keep the exchange, and return the JSON of its answer; None where there is none."""
        link = "://" in call.path
        headers = {} if call.bare or link else dict(self.headers.get(call.operation, self.headers[""]))
        parts: dict[str, Any] = {}
        if call.form is not None:
            parts["files"] = {
                name: ("verify.png", one, "image/png") if isinstance(one, bytes) else (None, one)
                for name, one in call.form.items()
            }
        elif call.raw is not None:
            parts["content"] = call.raw
        elif call.body is not None:
            parts["content"] = json.dumps(call.body, ensure_ascii=False).encode()
            headers["content-type"] = "application/json"
        at = self.clock.now()
        answer = self.client.request(call.method, call.path, headers={**headers, **call.headers}, **parts)
        try:
            told = answer.json()
        except ValueError:
            told = None
        self.sent += 1
        request = answer.request
        path = request.url.raw_path.decode().partition("?")[0]
        exchange = Exchange(
            number=len(self.steps) + 1,
            provider=self._store() if link else self.promise.name,
            operation=call.operation or None,
            at=at,
            method=call.method,
            host=request.url.netloc.decode(),
            path=path if link else path.removeprefix(self._base()),
            query=request.url.query.decode(),
            request_headers=tuple((name.lower(), value) for name, value in request.headers.items()),
            request_body=request.read(),
            status=answer.status_code,
            response_headers=tuple(
                (name.lower(), value) for name, value in answer.headers.items() if name.lower() not in UNSEEN
            ),
            response_body=answer.content,
        )
        self.steps.append(Sent(call, told, exchange))
        return told

    def follow(self, path: str) -> Sequence[Frame]:
        """Open a channel, read until it is closed or nothing comes for long, and keep the exchange."""
        at = self.clock.now()
        status, body, frames = 101, b"", list[Frame]()
        base = self.client.base_url.copy_with(scheme="wss" if self.client.base_url.scheme == "https" else "ws")
        try:
            with connect(
                f"{str(base).rstrip('/')}{path}", additional_headers=self.headers[""], open_timeout=10
            ) as feed:
                for _ in range(TURNS):
                    self._drain(feed, frames)
                    if self.clock.by_hand:
                        self.clock.wait(PAUSE)
                self._drain(feed, frames)
        except InvalidStatus as refused:
            status, body = refused.response.status_code, bytes(refused.response.body or b"")
        except ConnectionClosed:
            pass
        except (OSError, WebSocketException) as error:
            raise UserError(f"the feed at {path.partition('?')[0]} cannot be opened: {error}") from None
        self.sent += 1
        asked, _, query = path.partition("?")
        exchange = Exchange(
            len(self.steps) + 1, self.promise.name, None, at, "GET", "", asked, query,
            tuple((name.lower(), value) for name, value in self.headers[""].items()), b"", status,
            (("content-type", "application/json"),), body, tuple(frames),
        )  # fmt: skip
        self.steps.append(Sent(path, None, exchange))
        return frames

    def _drain(self, feed: Any, frames: list[Frame]) -> None:
        while True:
            try:
                data = feed.recv(timeout=QUIET if self.clock.by_hand else LONGEST)
            except TimeoutError:
                return
            frames.append(Frame(self.clock.now(), True, data))

    def judged(self, steps: Sequence[Sent] | None = None) -> Verdict:
        """Judge this walk, or only some of its steps; a walk is no client, so its conduct is nobody's business."""
        known = [self.promise, *self.stores]
        examiner, judge = Examiner(known, chosen=self.promise.name), Judge(known, file="walk")
        for one in self.steps if steps is None else steps:
            if one.exchange is not None:
                judge.take(examiner.look(one.exchange))
        verdict = judge.close()
        verdict.findings[:] = [one for one in verdict.findings if _of_server(one)]
        return verdict

    def _base(self) -> str:
        return urlsplit(str(self.client.base_url)).path.rstrip("/")

    def _store(self) -> str:
        kind = self.promise.provider.machine.kinds.get("file")
        return str(kind.options.get("store", "")) if kind is not None else ""


@contextmanager
def opened(provider: str, url: str, *, key: str) -> Iterator[Target]:
    """Open the server of a provider of the package, as the file that `report` writes does."""
    promise = promises(only=(provider,))[0]
    with httpx.Client(base_url=url.rstrip("/"), timeout=30) as client:
        yield Target(promise, client, key=key, clock=clock_of(client))


def credentials(promise: Promise, key: str) -> dict[str, dict[str, str]]:
    """Return for each operation the headers that carry its credentials; under `""` those of the first scheme alone."""
    schemes = promise.provider.security_schemes
    # The key is the first scheme's; of others (a user's name) the folder says what is taken.
    values = {name: key if place == 0 else _example(scheme) for place, (name, scheme) in enumerate(schemes.items())}
    found = {"": dict(_header(schemes[name], values[name]) for name in list(schemes)[:1])}
    for operation in promise.provider.operations:
        found[operation.id] = _headers_of(operation, schemes, values)
    return found


def _headers_of(operation: Operation, schemes: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, str]:
    return dict(_header(schemes[name], values[name]) for name in (operation.security or ((),))[0])


def _header(scheme: Mapping[str, Any], value: str) -> tuple[str, str]:
    if scheme.get("type") == "apiKey" and scheme.get("in") == "header":
        return str(scheme["name"]), value
    return "Authorization", f"Bearer {value}"


def _example(scheme: Mapping[str, Any]) -> str:
    key = scheme.get("x-key", {})
    return str(next(iter((*key.get("examples", ()), *key.get("enum", ()))), "key-of-contracts-verify"))


def likely_key(promise: Promise) -> str:
    """Return a key that a server on this machine may take."""
    return _example(next(iter(promise.provider.security_schemes.values()), {}))


def clock_of(client: httpx.Client) -> Clock:
    """Return the clock of the control API, which is turned, or the real one, on which waits are short."""
    root = str(client.base_url.copy_with(path="/")).rstrip("/")
    try:
        answer = client.get(f"{root}/_mock/clock")
        told = answer.json() if answer.status_code == 200 else {}
    except (httpx.HTTPError, ValueError):
        told = {}
    if not isinstance(told, dict) or "now" not in told:
        return Clock(time.time, lambda seconds: time.sleep(min(seconds, LONGEST)))
    moment = float(told["now"])

    def now() -> float:
        return float(client.get(f"{root}/_mock/clock").json()["now"]) if told["rate"] else moment

    def jump(seconds: float) -> None:
        nonlocal moment
        answer = client.post(f"{root}/_mock/clock", json={"jump": seconds}).raise_for_status()
        moment = float(answer.json()["now"])

    return Clock(now, jump, by_hand=True)


def allowed(url: str, *, real: bool) -> None:
    """Refuse a target off this machine unless *real* says that it is meant.

    Raises:
        UserError: it is not.
    """
    host = urlsplit(url).hostname or ""
    if not real and host not in ("localhost", "127.0.0.1", "::1"):
        raise UserError(f"{url!r} is not on this machine: tasks there may cost money; say --real if it is meant")


def _of_server(finding: Finding) -> bool:
    return finding.severity == "error" and find(finding.rule).group != "conduct"
