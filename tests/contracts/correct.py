"""Correct traffic of every provider, as much as one likes: what the judge finds in it is a fault of it, or of ours.

    python -m tests.contracts.correct [--worlds 200] [--seed 0] [PROVIDER ...]

Each world reads one open question in one of its ways, and lets happen one of the things that providers document: tasks
that fail, wait, are slow, submits that are refused by an error of the catalogue. Random walks go through it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import httpx

from contracts import Verdict, judge
from contracts.check import promises
from contracts.exchanges import Examiner
from contracts.model import Look
from contracts.verify import Call, Clock, Target, Verified, walk
from contracts.verify.drafts import Drafts
from mockserver import MockServer, data

PROVIDERS = sorted(data.providers(data.schemas()))
POLLS = 60
HAPPENS: list[dict[str, Any]] = [
    {"task": {"outcome": "fail", "at": 50}},
    {"task": {"outcome": "out-of-memory"}},
    {"task": {"outcome": "cancelled", "at": 30}},
    {"task": {"outcome": "stuck-queued"}},
    {"task": {"outcome": "stuck-running"}},
    {"task": {"progress": "stall"}},
    {"task": {"results": "corrupt"}},
    {"task": {"slow": 5}},
    {"when": {"verb": "submit"}, "queue": {"ahead": 3}},
]


class Setting(NamedTuple):
    """One world's: the reading that is not the default, and what happens."""

    readings: dict[str, str]
    rules: list[dict[str, Any]]


def settings(name: str, worlds: int, *, seed: int = 0) -> Iterator[Setting]:
    """Draw settings of a provider; every reading comes once before any comes again."""
    chance = Random(f"{name}/{seed}")
    provider = promises(only=(name,))[0].provider
    readings = [{one: reading} for one, variant in provider.variants.items() for reading in variant.readings] or [{}]
    named = [
        {"when": {"verb": "submit"}, "times": 1, "answer": {"error": entry.name}}
        for operation in provider.operations
        if operation.verb.name == "submit"
        for entries in operation.refusals.values()
        for entry in entries
        if entry.status and entry.message is not None
    ]
    chance.shuffle(readings)
    for place in range(worlds):
        rule = chance.choice([None, *HAPPENS, *([chance.choice(named)] if named else [])])
        yield Setting(readings[place % len(readings)], [] if rule is None else [{"id": "happens", **rule}])


def walked(server: MockServer, name: str, setting: Setting, *, walks: int, seed: int) -> Verified:
    """Walk through a world of *server*, and have it judged by the same readings."""
    promise = promises(only=(name,), variants={name: setting.readings})[0]
    scenario = {"setting": {"variants": {name: setting.readings}}, "rules": setting.rules}
    with (
        server.world(scenario=scenario, start="2026-01-01T00:00:00Z", seed=seed) as world,
        httpx.Client(base_url=world.url, timeout=30) as client,
    ):
        clock = Clock(lambda: world.clock.now, world.clock.jump, by_hand=True)
        target = Target(promise, client, key=world.api_key, clock=clock)
        return walk(target, max_tasks=100, walks=walks, seed=seed)


def behaved(server: MockServer, name: str, setting: Setting, *, seed: int) -> Verdict:
    """Run a client that does all as documented in a world of *server*; return what is found in the world's record.

    It submits, asks every five seconds until the task has ended, looks at it by each operation once, and fetches what
    it is given links for.
    """
    promise = promises(only=(name,), variants={name: setting.readings})[0]
    drafts, examiner = Drafts(promise), Examiner([promise], chosen=name)
    of_task = [
        one for one in promise.provider.operations if "task.id" in drafts.marks[one.id] and one.verb.of == "task"
    ]
    asking = sorted(
        (one for one in of_task if one.verb.name in ("read", "list")), key=lambda one: one.verb.name != "read"
    )
    scenario = {"setting": {"variants": {name: setting.readings}}, "rules": setting.rules}
    with (
        server.world(scenario=scenario, start="2026-01-01T00:00:00Z", seed=seed) as world,
        httpx.Client(base_url=world.url, timeout=30) as client,
    ):
        clock = Clock(lambda: world.clock.now, world.clock.jump, by_hand=True)
        target = Target(promise, client, key=world.api_key, clock=clock)

        def sent(call: Call | None) -> Look:
            assert call is not None
            target.send(call)
            exchange = target.steps[-1].exchange
            assert exchange is not None
            return examiner.look(exchange)

        submits = drafts.submits()
        id = next((one.task for one in sent(submits[seed % len(submits)]).sights if one.task), None)
        for _ in range(POLLS if id is not None else 0):
            target.wait(5)
            told = [one.said for one in sent(drafts.draft(asking[0], {"task.id": id})).sights if one.task == id]
            if any(said.states and said.states <= promise.machine.final for said in told):
                break
        looks = [sent(drafts.draft(one, {"task.id": id})) for one in (asking[1:] if id is not None else ())]
        links = dict.fromkeys(link for said in told for link in said.links) if id is not None else {}
        links |= dict.fromkeys(link for look in looks for one in look.sights for link in one.said.links)
        for link in links:
            sent(Call("", "GET", link))
        return judge(world.exchanges, name, variants=setting.readings)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.contracts.correct", description=__doc__)
    parser.add_argument("providers", nargs="*", default=PROVIDERS)
    parser.add_argument("--worlds", type=int, default=200, help="worlds of each provider")
    parser.add_argument("--walks", type=int, default=5, help="walks through each")
    parser.add_argument("--seed", type=int, default=0, help="other worlds and walks for another number")
    chosen = parser.parse_args()
    for name in chosen.providers:
        start, counts = time.process_time(), Counter[str]()
        with MockServer(name) as server:
            for place, setting in enumerate(settings(name, chosen.worlds, seed=chosen.seed), 1000 * chosen.seed):
                result = walked(server, name, setting, walks=chosen.walks, seed=place)
                counts.update(walks=result.walks, tasks=result.submitted)
                counts.update(calls=result.sent, assertions=result.verdict.counts.assertions)
                told = behaved(server, name, setting, seed=place)
                counts.update(clients=1, exchanges=told.counts.exchanges)
                for one in (*result.verdict.findings, *told.findings):
                    print(f"{name} {setting} seed {place}: {one.rule}: {one.call} {one.at}: {one.text}")  # noqa: T201
                    counts["findings"] += 1
        print(name, dict(counts), f"{time.process_time() - start:.0f} s of CPU")  # noqa: T201


if __name__ == "__main__":
    main()
