"""Trying a client out in one scenario, and searching for the scenario in which it does wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Any

import hypothesis
import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky

from contracts.check import promises
from contracts.exchanges import Examiner
from contracts.explore.scenarios import Scenario, recoverable, scenarios
from contracts.explore.stage import OutOfTime, Stage
from contracts.judging import Judge
from contracts.model import Breach, Look
from contracts.promise import Promise
from contracts.rules import find
from contracts.traffic import ndjson
from mockserver import MockServer

Client = Callable[[Stage], Sequence[bytes]]
PATIENCE = 10.0
"""Real seconds that one try may take: a client that asks on and on without waiting never ends by the clock."""
LIMIT = 4 * 3600.0
"""Virtual seconds after which a client should have given up."""
BLUNDERS = (AttributeError, IndexError, KeyError, NameError, TypeError, UnboundLocalError, json.JSONDecodeError)
"""Exceptions that no client raises on purpose."""
UNREAD = {"empty", "reset", "refuse", "truncate", "malformed"}
"""Faults of the wire after which a client has no answer that it can read."""
ENDS = (b"IEND\xaeB`\x82", b"\xff\xd9")
"""How whole pictures end: PNG, JPEG."""


@dataclass(frozen=True)
class Found:
    """What a client did wrong, and the smallest scenario in which it does."""

    breaches: tuple[Breach, ...]
    scenario: Scenario
    examples: int
    """How many scenarios it took to find it first."""

    @property
    def file(self) -> str:
        """The scenario as `mockserver serve --scenario` plays it."""
        plain = json.loads(json.dumps(self.scenario))  # without parts shared by two rules, which YAML would name
        return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=None))

    def __str__(self) -> str:
        told = "\n".join(f"{one.severity}: {one.rule}: {one.text}" for one in self.breaches)
        return f"{told}\n\nin this scenario, found after {self.examples} examples:\n\n{self.file}"


@dataclass(frozen=True)
class _End:
    """How a try ended."""

    results: Sequence[bytes] | None
    error: BaseException | None


def explore(
    client: Client,
    provider: str,
    *,
    max_examples: int = 300,
    variants: bool = True,
    database: bool = True,
    limit: float = LIMIT,
) -> Found | None:
    """Search for a scenario in which *client* does wrong; return the smallest one, or None.

    Args:
        variants: also try readings of the provider's open questions.
        limit: virtual seconds after which the client should have given up.
        database: remember what was found in Hypothesis's example database, and begin with it next time.
    """
    known = promises(only=(provider,))
    seen, first = 0, 0
    found: tuple[tuple[Breach, ...], Scenario] | None = None
    options: dict[str, Any] = {} if database else {"database": None, "derandomize": True}

    with MockServer(provider) as server:

        @settings(
            max_examples=max_examples,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.reuse, Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            **options,
        )
        @hypothesis.given(scenario=scenarios(provider, variants=variants))
        def search(scenario: Scenario) -> None:
            nonlocal seen, first, found
            seen += 1
            breaches = try_out(client, scenario, server=server, promises=known, limit=limit)
            if breaches:
                first = first or seen
                found = (breaches, scenario)
                raise AssertionError

        try:
            search()
        except (AssertionError, Flaky):
            # What depends on real time, as reading a socket does, need not come again: it did happen.
            assert found is not None
            return Found(found[0], found[1], first)
    return None


def try_out(
    client: Client,
    scenario: Mapping[str, Any],
    *,
    server: MockServer,
    promises: Iterable[Promise],
    limit: float = LIMIT,
) -> tuple[Breach, ...]:
    """Run *client* once in a world of *server* with *scenario*; return what it did wrong, gravest first."""
    with server.world(scenario=scenario, start="2026-01-01T00:00:00Z", seed=0) as world:
        stage = Stage(world, limit=limit)
        end = _run(client, stage)
        exchanges, tasks = world.exchanges, world.tasks
    if end is None:
        return (Breach("client-ends", "error", "asks on and on without waiting"),)
    if isinstance(end.error, OutOfTime):
        return (Breach("client-ends", "error", f"still waits after {limit:.0f} virtual seconds"),)
    known = list(promises)
    examiner = Examiner(known)
    looks = [examiner.look(ndjson.exchange(_as_seen(one, scenario))) for one in exchanges]
    breaches = [*_outcome(end, scenario, exchanges, looks, tasks), *_conduct(looks, known)]
    return tuple(dict.fromkeys(breaches))


def _run(client: Client, stage: Stage) -> _End | None:
    ended: list[_End] = []

    def run() -> None:
        try:
            ended.append(_End(list(client(stage)), None))
        except BaseException as error:  # whatever it is, it is the client's answer
            ended.append(_End(None, error))

    thread = threading.Thread(target=run, name="client", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    stage.over = True
    return ended[0] if ended else None


def _outcome(
    end: _End, scenario: Mapping[str, Any], exchanges: Sequence[Any], looks: Sequence[Look], tasks: Sequence[Any]
) -> list[Breach]:
    """Judge how it ended against what really became of its tasks."""
    succeeded = [task for task in tasks if task.files and task.failure is None and task.finished is not None]
    failed = [task for task in tasks if task.failure is not None]
    found: list[Breach] = []
    if end.error is not None:
        told = f"{type(end.error).__name__}: {end.error}"
        if isinstance(end.error, BLUNDERS):
            found.append(Breach("client-crashes", "error", told[:200]))
        elif recoverable(scenario) and not failed:
            found.append(Breach("success-is-told", "error", f"gave up on a task that succeeds: {told[:160]}"))
        told_all = str(end.error)
        messages = [str(task.failure["message"]) for task in failed if task.failure and task.failure.get("message")]
        refusals = [one.answered.said for one in looks if one.asked.verb == "submit" and one.answered.said]
        if not found and messages and not any(message in told_all for message in messages):
            found.append(Breach("error-is-told", "error", f"drops {messages[0][:120]!r}: {told[:120]}"))
        elif not found and not tasks and refusals and not any(text in told_all for text in refusals):
            found.append(Breach("error-is-told", "error", f"drops {refusals[-1][:120]!r}: {told[:120]}"))
        return found
    results = end.results or ()
    marks = {_mark(one) for one in exchanges} - {""}
    if not results:
        found.append(Breach("failure-is-told", "error", "returns nothing, and raises nothing"))
    for one in results:
        if md5(one, usedforsecurity=False).hexdigest() not in marks or not one.rstrip().endswith(ENDS):
            found.append(Breach("results-are-right", "error", f"returns {len(one)} bytes that are no whole result"))
            break
    if len({md5(one, usedforsecurity=False).hexdigest() for one in results}) < len(results):
        found.append(Breach("results-are-right", "error", "returns one result twice"))
    if failed and not succeeded and results:
        found.append(Breach("failure-is-told", "error", "returns results of a task that failed"))
    return found


def _as_seen(exchange: Any, scenario: Mapping[str, Any]) -> Any:
    """Return an exchange as the client saw it: an answer that never arrived is none."""
    lost = {one["id"] for one in scenario.get("rules", ()) if UNREAD & set(one.get("wire", ()))}
    if not any(rule.rpartition("/")[2] in lost for rule in exchange["rules"]):
        return exchange
    return {**exchange, "response": {"status": 0, "headers": [], "body": ""}}


def _mark(exchange: Any) -> str:
    """Return the MD5 of what an object store holds, by the tag it gives."""
    tags = [value for name, value in exchange["response"]["headers"] if name == "etag"]
    return tags[0].strip('"').lower() if tags else ""


def _conduct(looks: Iterable[Look], promises: Iterable[Promise]) -> list[Breach]:
    """Judge the client's side of the traffic; what the server did wrong was the scenario's doing."""
    judge = Judge(promises)
    for look in looks:
        judge.take(look)
    grave = [one for one in judge.close().findings if one.severity != "note"]
    return [
        Breach(one.rule, one.severity, one.text, one.at)
        for one in grave
        if find(one.rule).group == "conduct" or one.rule.startswith(("request-", "operation-", "method-", "key-"))
    ]
