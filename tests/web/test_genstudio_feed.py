"""GenStudio's progress feed over a real WebSocket."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.web.api import Api, Serve


def heard(feed: ClientConnection) -> list[dict[str, Any]]:
    """Everything the feed tells until the server closes it."""
    messages = []
    try:
        while True:
            messages.append(json.loads(feed.recv(timeout=10))["comfy_task_info"])
    except ConnectionClosed:
        return messages


def test_the_feed_tells_the_whole_run_and_closes_after_the_end(api: Api) -> None:
    submitted = api.submit()
    with api.feed(submitted["prompt_token"]) as feed:
        first = json.loads(feed.recv(timeout=10))["comfy_task_info"]
        api.clock(jump=300)
        messages = [first, *heard(feed)]

    assert (first["status"], first["progress_num"]) == (2, 0)
    assert (messages[-1]["status"], messages[-1]["progress_num"]) == (3, 100)
    assert messages[-1]["final_files"]
    assert all(a["progress_num"] <= b["progress_num"] for a, b in pairwise(messages))
    assert len({message["progress_num"] for message in messages}) > 20
    assert feed.close_code == 1000


def test_a_waiting_task_hears_its_exact_positions_each_as_of_its_own_moment(serve: Serve) -> None:
    api = serve(slots=1)
    _, _, last = (api.submit() for _ in range(3))
    with api.feed(last["prompt_token"]) as feed:
        feed.recv(timeout=10)
        api.clock(jump=1000)
        messages = heard(feed)

    waiting = [(message["current_position"], message["queue_size"]) for message in messages if message["status"] == 1]
    assert list(dict.fromkeys(waiting)) == [(2, 2), (1, 1)]
    assert [message["status"] for message in messages][-1] == 3


def test_several_sockets_may_follow_one_task(api: Api) -> None:
    token = api.submit()["prompt_token"]
    with api.feed(token) as one, api.feed(token) as two:
        one.recv(timeout=10)
        two.recv(timeout=10)
        api.clock(jump=300)

        assert heard(one) == heard(two)


def test_who_connects_after_the_end_gets_the_last_snapshot_and_the_close(api: Api) -> None:
    token = api.submit()["prompt_token"]
    api.clock(jump=300)
    with api.feed(token) as feed:
        snapshot = json.loads(feed.recv(timeout=10))["comfy_task_info"]
        api.clock(jump=2)
        rest = heard(feed)

    assert (snapshot["status"], rest, feed.close_code) == (3, [], 1000)


def test_the_token_may_carry_a_bearer(api: Api) -> None:
    token = api.submit()["prompt_token"]

    with api.feed(f"Bearer%20{token}") as feed:
        assert json.loads(feed.recv(timeout=10))["comfy_task_info"]["status"] == 2


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
def test_a_bad_token_is_refused_during_the_handshake(api: Api, token: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        api.feed(token)

    assert refused.value.response.status_code == 401


def test_a_token_of_another_world_is_refused(serve: Serve) -> None:
    token = serve(seed=1).submit()["prompt_token"]

    with pytest.raises(InvalidStatus) as refused:
        serve(seed=2).feed(token)

    assert refused.value.response.status_code == 401


def test_a_token_expires_after_24_hours_on_the_worlds_clock(api: Api) -> None:
    token = api.submit()["prompt_token"]
    api.clock(jump=86401)

    with pytest.raises(InvalidStatus) as refused:
        api.feed(token)

    assert refused.value.response.status_code == 401


def test_watching_changes_nothing_that_happens(serve: Serve) -> None:
    watched, alone = serve(seed=5), serve(seed=5)
    token = watched.submit()["prompt_token"]
    alone.submit()
    with watched.feed(token) as feed:
        feed.recv(timeout=10)
        for _ in range(20):
            watched.clock(jump=10)
    alone.clock(jump=200)

    assert watched.http.get("/_mock/journal").content == alone.http.get("/_mock/journal").content
