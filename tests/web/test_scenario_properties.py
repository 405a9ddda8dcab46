"""Whatever goes wrong on purpose, the emulator itself does not: the library with each provider, and drawn scenarios."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mockserver.scenario import library
from tests.web.inside import Inside, manners


@functools.cache
def inside(provider: str) -> Inside:
    return Inside(provider)


@pytest.mark.parametrize("provider", manners())
@pytest.mark.parametrize("name", library.files())
def test_the_library_plays_with_every_provider(name: str, provider: str) -> None:
    async def play() -> None:
        world = await inside(provider).open(scenario=name)
        for _ in range(3):
            await world.submit()
            await world.poll()
            await world.follow()
            await world.jump(20)
        await world.jump(600)
        await world.fetch()
        faults = await world.faults()
        hits = (await world.control("GET", "scenarios")).json()["in_force"][name]
        inside(provider).app.emulator.close(world.id)

        assert faults == []
        assert set(hits) == {rule.id for rule in library.find(name).rules}

    asyncio.run(play())


@pytest.mark.parametrize("provider", manners())
def test_a_healthy_provider_gives_its_results(provider: str) -> None:
    async def play() -> None:
        world = await inside(provider).open(scenario="healthy")
        submitted = await world.submit()
        await world.jump(600)

        assert submitted is not None
        assert submitted.status_code < 300
        assert next(task["state"] for task in await world.tasks()) in ("succeeded", "success", "completed")
        assert await world.faults() == []

    asyncio.run(play())


# --- drawn scenarios ---

seconds = st.sampled_from([0, 0.5, 3, 40])
count = st.integers(0, 4)
shares = st.fixed_dictionaries({}, optional={"every": st.integers(1, 3), "share": st.sampled_from([0, 0.5, 1])})
which = st.one_of(st.just(True), shares.filter(bool))
delay = st.one_of(
    seconds,
    st.just({"uniform": [1, 5]}),
    st.just({"lognormal": {"median": 2, "sigma": 1}}),
)
places = st.sampled_from(["/code", "/data", "/data/*", "task.state", "/nowhere/0", "task.id"])
values: st.SearchStrategy[Any] = st.sampled_from([None, 1, "x", [], {}, True, 2**60, 1.5])
percent = st.sampled_from([0, 33, 100])


def some(**words: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Draw an object with some of its words, at least one."""
    return st.fixed_dictionaries({}, optional=words).filter(bool)


actions = st.one_of(
    some(
        outcome=st.sampled_from(["succeed", "fail", "out-of-memory", "stuck-queued", "stuck-running", "cancelled"]),
        node=st.sampled_from(["KSampler", "9", "nope"]),
        at=percent,
        message=st.text(max_size=5),
        lost=seconds,
        slow=st.sampled_from([0.01, 3]),
        lasts=seconds,
        nodes=st.just({"KSampler": 7}),
        results=st.sampled_from(["none", "corrupt", "wrong-size", "missing", "expired"]),
        progress=st.sampled_from(["stall", "jump", "backward"]),
    ).map(lambda do: {"task": do}),
    some(ahead=st.integers(1, 5), slots=count, reshuffle=st.just(True), ready=st.just(False)).map(
        lambda do: {"queue": do}
    ),
    some(
        error=st.sampled_from(["too-many-calls", "balance-empty", "unknown-task", 402, 418]),
        status=st.sampled_from([200, 204, 304, 404, 502, 599]),
        headers=st.just({"X-Odd": "1", "Content-Type": "text/odd"}),
        body=st.one_of(values, st.text(max_size=5)),
        limit=st.sampled_from(
            [{"quota": 1}, {"window": {"calls": 1, "seconds": 9}}, {"bucket": {"calls": 2, "seconds": 3}}]
        ),
        credentials=st.just("revoked"),
    ).map(lambda do: {"answer": do}),
    st.sampled_from([1, 30, 9999]).map(lambda back: {"answer": {"stale": back}}),
    some(
        refuse=st.just(True),
        delay=delay,
        dribble=st.just({"bytes": 50, "every": 1}),
        reset=st.just(True),
        empty=st.just(True),
        truncate=st.sampled_from([0, 0.5, 1]),
        malformed=st.just(True),
        large=st.just(5000),
        **{
            "content-type": st.just("text/odd"),
            "wrong-length": st.sampled_from([-9999, -3, 4]),
            "duplicate-keys": st.just(True),
        },
    ).map(lambda do: {"wire": do}),
    some(
        refuse=st.sampled_from([401, 503]),
        close=st.fixed_dictionaries({"code": st.sampled_from([1000, 1006, 4999]), "after": count}),
        drop=which,
        duplicate=which,
        swap=which,
        garble=which,
        delay=delay,
        silence=count,
        **{"unknown-type": count, "no-close": st.just(True), "end-twice": st.just(True)},
    ).map(lambda do: {"feed": do}),
    some(
        merge=values,
        set=st.dictionaries(places, values, min_size=1, max_size=2),
        remove=st.lists(places, min_size=1, max_size=2),
        **{"null-lists": st.just(True)},
    ).map(lambda do: {"patch": do}),
)
whens = st.one_of(
    st.just({}),
    some(
        nth=st.integers(1, 3),
        after=count,
        every=st.integers(1, 3),
        share=st.sampled_from([0, 0.5, 1]),
        verb=st.sampled_from(["submit", "list", "download"]),
        window=st.sampled_from([{"from": 5}, {"to": 30}, {"from": 5, "to": 30}]),
        request=st.sampled_from([True, {"required": ["body"]}]),
    ),
)
rules = st.builds(
    lambda when, do, more: {**more, **({"when": when} if when else {}), **do},
    whens,
    actions,
    st.fixed_dictionaries({}, optional={"times": st.integers(1, 3), "skip": count}),
)
scenarios = st.fixed_dictionaries(
    {"rules": st.lists(rules, max_size=4)},
    optional={"setting": st.fixed_dictionaries({"seed": st.integers(0, 3)}, optional={"slots": st.integers(1, 3)})},
)
steps = st.lists(
    st.sampled_from(["submit", "poll", "jump", "far", "follow", "fetch", "nonsense"]), min_size=2, max_size=8
)


async def run(scenario: Any, acts: list[str]) -> tuple[str, str, list[Any], list[Any], str]:
    """Play a scenario in one of two worlds of a fresh emulator; return what is left of it."""
    emulator = Inside("genstudio")
    other = await emulator.open(id="other")
    made = await emulator.ask("POST", "/_mock/worlds", {"id": "played", "scenario": scenario})
    assert made is not None
    if made.status_code != 201:
        # Words that say nothing together are refused, with a place; nothing is left of it.
        assert made.status_code == 400
        assert " at /" in made.json()["error"]
        assert list(emulator.app.emulator.stages) == ["main", "other"]
        return "", "", [], [], ""
    world = type(other)(emulator, "played")
    for act in acts:
        if act == "submit":
            await world.submit()
        elif act == "poll":
            await world.poll()
        elif act == "follow":
            await world.follow()
        elif act == "fetch":
            await world.fetch()
        elif act == "nonsense":
            await world.call("POST", "/api/maas/comfy_task_api/prompt", {"workflow_id": 1})
        else:
            await world.jump(7 if act == "jump" else 900)
    journal = (await world.control("GET", "journal")).text
    exchanges = (await world.control("GET", "exchanges")).text
    leaked = [*await other.tasks(), *(await other.control("GET", "exchanges")).text.splitlines()]
    return journal, exchanges, await world.faults(), leaked, (await other.control("GET", "journal")).text


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(scenarios, steps)
def test_whatever_scenario_is_drawn_the_emulator_keeps_its_word(scenario: Any, acts: list[str]) -> None:
    journal, exchanges, faults, leaked, others_journal = asyncio.run(run(scenario, acts))

    assert faults == []
    assert (leaked, others_journal) == ([], "")
    for line in exchanges.splitlines():
        one = json.loads(line)
        # An answer that no rule had a hand in is the provider's own, in its form.
        if not one["rules"] and one["response"]["status"] != 101 and one["operation"] in ("prompt", "get_task_info"):
            assert one["response"]["status"] == 200
            assert isinstance(json.loads(one["response"]["body"])["code"], int)
    assert asyncio.run(run(scenario, acts))[:2] == (journal, exchanges)
