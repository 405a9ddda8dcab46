"""What a submit uses: ready, allowed, with room; the least busy of several; what earlier runs have left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mockserver.errors import Refused
from mockserver.provider.conditions import test as condition
from mockserver.provider.model import Kind, Present, Provider
from mockserver.provider.values import getter
from mockserver.world.setup import Work
from tests.world.hosted import EVEN, NAMES, Client, EvenPlan, provider, refusal, states

POOL_NAMES = replace(NAMES, kinds=(*NAMES.kinds, "pool"))
SHARED = {"pool.id": ["shared"], "account#/pay_as_you_go": {"const": False}}
WORDS = ("pool-unknown", "pool-not-ready", "pool-barred", "pool-full", "task-barred")


def pooled(*, barred: Any = SHARED, task_barred: Any = None) -> Provider:
    """A service whose tasks run in pools of one slot, with one pool for all."""

    def test(schema: Any, kind: str) -> Any:
        return condition(schema, lambda name: getter(name, POOL_NAMES), at_hand=kind) if schema else None

    base = provider(line="pool", slots="pool#/slots", barred=test(task_barred, "task"))
    pool = Kind(
        "pool",
        states(ready={"change": "unready"}, unready={"change": "ready"}),
        "ready",
        {},
        ready=frozenset({"ready"}),
        present=(Present("shared", None, {"slots": 1}),),
        barred=test(barred, "pool"),
        options={"limit": "pool#/limit"},
    )
    kinds = {**base.machine.kinds, "pool": pool}
    errors = {**base.errors, **{word: refusal(word, word) for word in WORDS}}
    return replace(base, machine=replace(base.machine, kinds=kinds), errors=errors)


def using(client: Client, *pools: str, account: Any = None) -> Any:
    return client.do("submit", account=account, marks={"pool.id": list(pools)}).task


def refused(client: Client, *pools: str, account: Any = None) -> str:
    with pytest.raises(Refused) as raised:
        using(client, *pools, account=account)
    return raised.value.condition


def owner(client: Client, name: str = "owner", **document: Any) -> Any:
    return client.service.lives.owner(name, document)


def test_things_an_account_lists_are_found_by_it_alone() -> None:
    client = Client(of=pooled())
    account = owner(client, pools={"a": {}, "idle": {"ready": False}})

    assert using(client, "a", account=account).things["pool"].id == "a"
    assert refused(client, "idle", account=account) == "pool-not-ready"
    assert refused(client, "a") == "pool-unknown"
    assert refused(client, "a", account=owner(client, "other")) == "pool-unknown"


def test_of_several_the_least_busy_is_used_and_what_belongs_to_all_comes_last() -> None:
    client = Client(of=pooled())
    account = owner(client, pools={"a": {"slots": 1}, "b": {"slots": 2}, "c": {"ready": False}})

    used = [using(client, "shared", "a", "b", "c", account=account).things["pool"].id for _ in range(6)]

    # Two slots carry twice as much.
    assert used == ["a", "b", "b", "a", "b", "b"]


def test_a_thing_at_its_limit_takes_no_more() -> None:
    client = Client(of=pooled())
    account = owner(client, pools={"small": {"limit": 2}})
    for _ in range(2):
        using(client, "small", account=account)

    assert refused(client, "small", account=account) == "pool-full"
    assert using(client, "small", "shared", account=account).things["pool"].id == "shared"
    client.world.jump(100)
    assert using(client, "small", account=account).things["pool"].id == "small"


def test_a_thing_is_closed_to_those_it_bars() -> None:
    client = Client(of=pooled())

    assert refused(client, "shared", account=owner(client, pay_as_you_go=False)) == "pool-barred"
    assert using(client, "shared", account=owner(client, "payer", pay_as_you_go=True)).state == "running"
    assert using(client, "shared").state == "queued"


def test_tasks_may_be_barred_whatever_they_use() -> None:
    broke = {"account#/balance": {"type": "number", "maximum": 0}}
    client = Client(of=pooled(barred=None, task_barred=broke))

    assert refused(client, "shared", account=owner(client, balance=0)) == "task-barred"
    assert using(client, "shared", account=owner(client, "rich", balance=3)).state == "running"
    assert using(client, "shared", account=owner(client, "free")).state == "queued"


def test_a_run_is_planned_around_what_earlier_runs_left_when_it_begins_not_when_it_is_submitted() -> None:
    ended: list[str] = []
    setup = replace(
        EVEN,
        duration=lambda plan, chance: 40.0 if plan.total_steps == 13 else 1.0,
        recall=lambda task: Work(EvenPlan(total_steps=14), cached=frozenset({"4"})) if ended else None,
        remember=lambda task: ended.append(task.id),
    )
    client = Client(setup, of=provider(slots=1))
    first, second = client.submit(), client.submit()
    client.world.jump(41.5)

    assert ended == [first.id, second.id]
    assert (first.ran, second.ran, second.estimate) == (40.0, 1.0, 40.0)
    assert [node.state for node in second.nodes] == ["cached", "finished", "finished", "finished"]


def test_files_have_the_name_under_which_their_node_is_published() -> None:
    client = Client(replace(EVEN, label=lambda task, node: "poster" if node == "9" else ""))
    task = client.submit()
    client.world.jump(60)

    assert [file.label for file in task.files] == ["poster", "poster"]
    assert [node.label for node in task.nodes] == [None, None, None, "poster"]
