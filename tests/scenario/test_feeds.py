"""What becomes of a connection's messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.scenario import FeedPlan
from tests.scenario.facts import script
from tests.world.hosted import START


def connect(feed: str, *, more: str = "", connections: int = 1) -> FeedPlan | None:
    playing = script(f"rules: [{{{more} feed: {feed}}}]")
    plans = [
        playing.for_feed(family="genstudio", channel="progress", at=START, request=lambda: {"query": {}})
        for _ in range(connections)
    ]
    return plans[-1]


def sent(feed: str, *, messages: int = 4) -> list[Any]:
    """Send a, b, c, ... the last of them the end; return what goes out."""
    plan = connect(feed)
    assert plan is not None
    out = plan.opened()
    for number in range(messages):
        out += plan.passed("abcdefgh"[number], end=number == messages - 1)
    return [one.data for one in [*out, *plan.closed()]]


@pytest.mark.parametrize(
    ("feed", "expected"),
    [
        pytest.param("{drop: true}", [], id="drop all"),
        pytest.param("{drop: {nth: 2}}", ["a", "c", "d"], id="drop one"),
        pytest.param("{duplicate: {every: 2}}", ["a", "b", "b", "c", "d", "d"], id="duplicate"),
        pytest.param("{swap: {nth: 1}}", ["b", "a", "c", "d"], id="swap"),
        pytest.param("{swap: true}", ["b", "a", "d", "c"], id="swap all"),
        pytest.param("{swap: {nth: 4}}", ["a", "b", "c", "d"], id="the last waits for the end"),
        pytest.param("{silence: 2}", ["a", "b"], id="silence"),
        pytest.param("{close: {code: 4001, after: 1}}", ["a", 4001], id="close"),
        pytest.param("{close: {code: 1011, after: 0}}", [1011], id="close at once"),
        pytest.param("{end-twice: true}", ["a", "b", "c", "d", "d"], id="the end twice"),
        pytest.param("{drop: {nth: 1}, duplicate: {nth: 2}}", ["b", "b", "c", "d"], id="two faults"),
    ],
)
def test_messages_are_lost_doubled_and_moved(feed: str, expected: list[Any]) -> None:
    assert sent(feed) == expected


def test_a_message_of_no_known_kind_comes_between() -> None:
    strange = sent("{unknown-type: 1}", messages=2)[1]

    assert json.loads(strange)["type"] == "mock.unknown"


def test_garbled_messages_are_no_json_and_bytes_are_turned_over() -> None:
    plan = connect("{garble: true}")
    assert plan is not None

    text, binary = plan.passed('{"a": [1]}')[0].data, plan.passed(b"abc")[0].data

    assert binary == b"cba"
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(str(text))


def test_delays_are_drawn_for_each_message() -> None:
    plan = connect("{delay: {uniform: [1, 2]}}")
    assert plan is not None

    later = [plan.passed("a")[0].later for _ in range(50)]

    assert 1 <= min(later) < max(later) <= 2


def test_handshakes_are_refused_and_feeds_stay_open() -> None:
    refusing, silent = connect("{refuse: 503}"), connect("{silence: 0}")
    assert refusing is not None
    assert silent is not None
    silent.opened()

    assert (refusing.refuse, silent.stays_open, silent.passed("a"), silent.closed()) == (503, True, [], [])


def test_connections_are_counted_not_calls() -> None:
    assert connect("{refuse: 503}", more="times: 1,", connections=2) is None
    assert connect("{refuse: 503}", more="when: {nth: 2},", connections=2) is not None


def test_several_rules_make_one_plan() -> None:
    playing = script("rules: [{feed: {silence: 3}}, {feed: {silence: 9, no-close: true}}]")

    plan = playing.for_feed(family="genstudio", channel="progress", at=START, request=dict)

    assert plan is not None
    assert (plan.rules, plan.stays_open) == (("rule-1", "rule-2"), True)
    assert [len(plan.passed("x")) for _ in range(5)] == [1, 1, 1, 0, 0]


@given(
    st.lists(st.sampled_from("abcdef"), max_size=30),
    st.fixed_dictionaries({}, optional={word: st.floats(0, 1) for word in ("swap", "duplicate")}),
)
def test_swapping_and_doubling_loses_nothing(messages: list[str], shares: dict[str, float]) -> None:
    which = {word: {"share": round(share, 3)} for word, share in shares.items()} or {"duplicate": {"nth": 99}}
    plan = connect(json.dumps(which))
    assert plan is not None

    out = [one.data for message in messages for one in plan.passed(message)]
    out += [one.data for one in plan.closed()]

    assert all(out.count(message) >= messages.count(message) for message in set(messages))
    assert set(out) == set(messages)
