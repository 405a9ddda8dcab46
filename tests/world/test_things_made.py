"""Things that clients make: what they are made with, what may not be said of them, and how long they are remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mockserver.errors import Refused
from mockserver.provider import conditions
from mockserver.provider.model import Delay, Kind, Provider, Refusal
from mockserver.provider.values import getter, text
from tests.world.hosted import NAMES, START, Client, provider, states


def furnished(**endpoint: Any) -> Provider:
    """Return the hosted service, its endpoints made from workflows that are retired before they go."""
    hosted = provider()
    kinds = dict(hosted.machine.kinds)
    kinds["workflow"] = Kind(
        "workflow",
        states(live={"cancel": "retired"}, retired={"deploy": "gone"}, gone={}),
        "live",
        {},
        ready=frozenset({"live"}),
        keep=0,
    )
    kinds["endpoint"] = replace(kinds["endpoint"], **endpoint)
    in_use = Refusal("in-use", ("workflow-in-use",), None, None, 400, 1, None, None, (), None, None, False)
    machine = replace(hosted.machine, kinds=kinds, delays={"deploy": Delay(100, 100), "retention": Delay(1, 1)})
    return replace(hosted, machine=machine, errors={**hosted.errors, "in-use": in_use})


def made(client: Client, **document: Any) -> Any:
    marks = {"workflow.id": [document["workflow"]]} if "workflow" in document else {}
    return client.do("create", of="endpoint", body=document, marks=marks)


def test_a_new_thing_remembers_what_it_was_made_with_until_it_goes() -> None:
    client = Client(of=furnished())
    client.do("create", of="workflow", marks={"workflow.id": ["w"]}, body={})
    made(client, name="a", workflow="w")

    with pytest.raises(Refused) as refused:
        client.do("cancel", of="workflow", marks={"workflow.id": ["w"]})
    client.do("delete", of="endpoint", marks={"endpoint.id": ["ep-a"]})
    after = client.do("cancel", of="workflow", marks={"workflow.id": ["w"]})

    assert refused.value.condition == "workflow-in-use"
    assert after.changed


@pytest.mark.parametrize(("id", "condition"), [("nobody", "workflow-unknown"), ("old", "workflow-not-ready")])
def test_a_new_thing_needs_what_it_names(id: str, condition: str) -> None:
    client = Client(of=furnished())
    client.do("create", of="workflow", marks={"workflow.id": ["old"]}, body={})
    client.do("cancel", of="workflow", marks={"workflow.id": ["old"]})

    with pytest.raises(Refused) as refused:
        made(client, name="a", workflow=id)

    assert refused.value.condition == condition
    assert len(client.do("list", of="endpoint").lists["endpoint"]) == 1


def test_a_thing_that_is_over_is_forgotten_when_its_time_is_up() -> None:
    client = Client(of=furnished())
    client.do("create", of="workflow", marks={"workflow.id": ["w"]}, body={})
    client.do("cancel", of="workflow", marks={"workflow.id": ["w"]})
    meanwhile = [thing.state for thing in client.do("list", of="workflow").lists["workflow"]]
    client.world.jump(100)

    assert meanwhile == ["retired"]
    assert client.do("list", of="workflow").lists["workflow"] == []


def test_a_check_refuses_a_new_thing_by_its_name() -> None:
    small = conditions.test({"endpoint#/count": {"maximum": 0}}, lambda name: getter(name, NAMES), at_hand="endpoint")
    client = Client(of=furnished(checks={"too-small": small}))

    with pytest.raises(Refused) as refused:
        made(client, name="A", count=0)

    assert refused.value.condition == "endpoint-invalid"
    assert refused.value.facts == {"endpoint.id": "ep-a", "endpoint.state": "", "check.name": "too-small"}
    assert made(client, name="A", count=1).changed


def test_members_of_a_document_are_drawn_in_order_and_before_the_id() -> None:
    document = {"short": text("{hex:7}", NAMES), "name": text("n-{endpoint#/short}", NAMES)}
    client = Client(of=furnished(document=document))

    drawn, given = made(client).things["endpoint"], made(client, name="Mine").things["endpoint"]

    assert drawn.id == f"ep-n-{drawn.document['short']}"
    assert (given.id, given.document["name"]) == ("ep-mine", "Mine")


def test_results_of_a_deleted_task_can_be_kept() -> None:
    client = Client()
    for id in ("kept", "dropped"):
        client.submit(id=id)
    client.world.jump(3600)
    keys = {id: client.read(id).files[0].key for id in ("kept", "dropped")}
    client.do("delete", marks={"task.id": ["kept"]}, files="keep")
    client.do("delete", marks={"task.id": ["dropped"]})

    assert client.service.files.find(key=keys["kept"]) is not None
    assert client.service.files.find(key=keys["dropped"]) is None


def held(client: Client, *, limit: float | None) -> list[tuple[bool, float]]:
    ends: list[tuple[bool, float]] = []

    def then(reached: bool) -> None:
        ends.append((reached, client.world.now - START))

    client.service.hold(client.submit(id="t"), ["succeeded", "failed"], limit=limit, then=then)
    return ends


@pytest.mark.parametrize(
    ("limit", "end"),
    [(None, (True, 40.0)), (60, (True, 40.0)), (29, (False, 29.0))],
    ids=["no limit", "in time", "too late"],
)
def test_what_is_held_ends_once_at_its_own_moment(limit: float | None, end: tuple[bool, float]) -> None:
    client = Client()
    ends = held(client, limit=limit)
    before = list(ends)
    client.world.jump(3600)

    assert (before, ends) == ([], [end])


def test_what_is_over_is_not_held() -> None:
    client = Client()
    task = client.submit()
    client.world.jump(3600)
    ends: list[bool] = []

    client.service.hold(task, ["succeeded"], limit=1, then=ends.append)

    assert ends == [True]


def test_what_is_taken_back_never_ends() -> None:
    client = Client()
    ends: list[bool] = []
    back = client.service.hold(client.submit(), ["succeeded"], limit=1, then=ends.append)

    back()
    client.world.jump(3600)

    assert ends == []
