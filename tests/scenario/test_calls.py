"""What rules decide about calls."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.scenario import Decision, fail
from mockserver.scenario.script import decide_call
from tests.scenario.facts import acted, call, decide, script, store

EMPTY = "wire: {empty: true}"


def rules(*rules: str) -> str:
    return "rules: [" + ", ".join(f"{{{rule}}}" for rule in rules) + "]"


# --- which calls ---


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        pytest.param("when: {nth: 3}", [3], id="nth"),
        pytest.param("when: {nth: [1, 4]}", [1, 4], id="several"),
        pytest.param("when: {after: 3}", [4, 5, 6, 7], id="after"),
        pytest.param("when: {every: 3}", [3, 6], id="every"),
        pytest.param("when: {after: 1, every: 3}", [4, 7], id="every after"),
        pytest.param("times: 2", [1, 2], id="times"),
        pytest.param("skip: 4, times: 1", [5], id="skip"),
        pytest.param("when: {every: 2}, skip: 1, times: 1", [4], id="skip counts what is picked"),
        pytest.param("when: {operation: prompt}", [], id="another operation"),
        pytest.param("when: {verb: [read, list], nth: 1}", [1], id="a verb"),
        pytest.param("when: {provider: genstudio, nth: 1}", [1], id="a provider"),
    ],
)
def test_a_rule_acts_on_the_calls_it_names(when: str, expected: list[int]) -> None:
    assert acted(script(rules(f"{when}, {EMPTY}")), 7) == expected


def test_a_share_is_drawn_from_the_seed_and_each_rule_has_its_own_stream() -> None:
    one, two = f"id: one, when: {{share: 0.3}}, {EMPTY}", "id: two, when: {share: 0.9}, wire: {delay: 1}"

    alone = acted(script(rules(one)), 200)

    assert 30 < len(alone) < 90
    assert alone == acted(script(rules(one)), 200)
    both = script(rules(two, one))
    assert [number for number in range(1, 201) if "one" in decide(both).rules] == alone
    assert alone != acted(script(rules(one), seed=1), 200)


def test_a_condition_looks_at_the_request() -> None:
    schema = "{properties: {body: {required: [ids], properties: {ids: {minItems: 2}}}}, required: [body]}"
    asked = script(rules(f"when: {{request: {schema}}}, {EMPTY}"))

    assert decide(asked, request={"body": {"ids": ["a", "b"]}}).rules == ["rule-1"]
    assert decide(asked, request={"body": {"ids": ["a"]}}).rules == []
    assert decide(asked, request={}).rules == []


def test_a_condition_on_what_is_submitted_fits_submits_only() -> None:
    asked = script(rules(f"when: {{task: {{required: [overrides]}}}}, {EMPTY}"))
    submit = call("prompt")
    submit.task = lambda: {"overrides": {"3": {}}}

    assert decide_call([asked], submit).rules == ["rule-1"]
    assert decide(asked).rules == []


@pytest.mark.parametrize("window", ["{from: 10, to: 20}", "{from: '2025-06-15T15:06:50Z', to: '2025-06-15T15:07:00Z'}"])
def test_a_window_holds_from_its_begin_to_before_its_end(window: str) -> None:
    timed = script(rules(f"when: {{window: {window}}}, {EMPTY}"))

    assert [at for at in (0, 9.9, 10, 19.9, 20, 99) if decide(timed, at=at).rules] == [10, 19.9]


def test_calls_to_the_store_belong_to_the_provider() -> None:
    downloads = script(rules(f"when: {{provider: genstudio, verb: download}}, {EMPTY}"))
    operation = next(one.id for one in store().operations if one.verb.name == "download")

    assert decide(downloads, operation, provider=store()).rules == ["rule-1"]


def test_hits_are_counted_by_rule() -> None:
    counted = script(rules(f"id: a, when: {{every: 2}}, {EMPTY}", "id: b, when: {operation: prompt}, wire: {delay: 1}"))

    acted(counted, 5)

    assert {id: (hits.matched, hits.acted) for id, hits in counted.hits.items()} == {"a": (5, 2), "b": (0, 0)}


# --- answers ---


def test_an_error_of_the_catalogue_is_asked_for_by_name() -> None:
    decision = decide(script(rules("answer: {error: balance-empty}")), "prompt")

    assert decision.answer is not None
    assert decision.answer.entry is not None
    assert (decision.answer.entry.name, decision.answer.entry.status) == ("balance-empty", 402)


def test_an_error_strikes_only_where_the_provider_gives_it_unless_the_rule_says_where() -> None:
    assert decide(script(rules("answer: {error: balance-empty}")), "get_task_info").answer is None
    pointed = decide(script(rules("when: {operation: get_task_info}, answer: {error: balance-empty}")), "get_task_info")

    assert pointed.answer is not None
    assert pointed.answer.entry is not None


def test_facts_of_an_error_are_those_known_those_given_and_else_such_as_may_stand_there() -> None:
    unknown = script(rules("answer: {error: unknown-workflow, facts: {workflow.id: wf-x}}"))
    known = script(rules("answer: {error: unknown-workflow}"))

    given = decide(unknown, "prompt", facts={"workflow.id": "wf-y"}).answer
    asked = decide(known, "prompt", facts={"workflow.id": "wf-y"}).answer
    neither = decide(known, "prompt").answer

    assert given is not None
    assert asked is not None
    assert neither is not None
    assert [one.facts["workflow.id"] for one in (given, asked, neither)] == ["wf-x", "wf-y", "asked for by a scenario"]


@pytest.mark.parametrize(
    ("answer", "entry", "status"),
    [
        pytest.param("{error: 503}", "overloaded", None, id="by status"),
        pytest.param("{error: 418}", None, 418, id="by a status it does not have"),
        pytest.param("{error: too-many-calls}", "too-many-calls", None, id="by condition"),
        pytest.param("{error: clock-skewed, status: 403}", None, 403, id="a condition it does not have"),
        pytest.param("{status: 502}", None, 502, id="as a gateway"),
        pytest.param("{error: 402, status: 400}", "balance-empty", 400, id="another status"),
    ],
)
def test_an_error_is_the_providers_own_where_it_has_one(answer: str, entry: str | None, status: int | None) -> None:
    decision = decide(script(rules(f"answer: {answer}")), "prompt")

    assert decision.answer is not None
    assert (decision.answer.entry and decision.answer.entry.name, decision.answer.status) == (entry, status)


def test_a_condition_the_provider_never_raises_is_passed_over() -> None:
    passed = script(rules("answer: {error: clock-skewed}"))

    assert decide(passed, "prompt") == Decision()
    assert passed.hits["rule-1"].acted == 0


def test_revoked_credentials_hit_calls_that_need_them() -> None:
    revoked = script(rules("answer: {credentials: revoked}"))
    download = next(one.id for one in store().operations if one.verb.name == "download")

    refused = decide(revoked, "prompt").answer

    assert refused is not None
    assert refused.entry is not None
    assert refused.entry.status == 401
    assert decide(revoked, download, provider=store()).answer is None


def test_the_short_form_fails_the_next_call_it_fits() -> None:
    once = script(fail("balance-empty"))

    assert acted(once, 3, "get_task_info") == []
    assert acted(once, 3, "prompt") == [1]


def test_of_two_answers_the_first_wins_and_the_second_keeps_its_count() -> None:
    both = script(rules("id: a, when: {nth: 1}, answer: {status: 502}", "id: b, when: {nth: 2}, answer: {status: 504}"))

    decisions = [decide(both) for _ in range(3)]

    assert [one.answer.status if one.answer else None for one in decisions] == [502, 504, None]


def test_several_scripts_are_asked_in_order() -> None:
    first, second = script(rules("answer: {status: 502}")), script(rules("answer: {status: 504}", EMPTY))

    decision = decide_call([first, second], call())

    assert decision.answer is not None
    assert (decision.answer.status, decision.wire is not None) == (502, True)


def test_an_unready_pool_refuses_submits_as_the_provider_does() -> None:
    unready = script(rules("when: {window: {to: 60}}, queue: {ready: false}"))

    refused = decide(unready, "prompt").answer

    assert refused is not None
    assert refused.entry is not None
    assert refused.entry.status == 503
    assert decide(unready, "get_task_info").answer is None
    assert decide(unready, "prompt", at=60).answer is None


# --- limits ---


def calls_at(limit: str, *moments: float) -> list[str | None]:
    limited = script(rules(f"answer: {{limit: {limit}}}"))
    answers = [decide(limited, at=at).answer for at in moments]
    return [answer.headers.get("retry-after", "never") if answer is not None else None for answer in answers]


def test_a_window_lets_so_many_pass_and_tells_when_the_next_begins() -> None:
    waits = calls_at("{window: {calls: 2, seconds: 10}}", 0, 1, 2, 9.5, 10, 11, 12, 35, 36, 37)

    assert waits == [None, None, "8", "1", None, None, "8", None, None, "3"]


def test_a_bucket_fills_again_one_by_one() -> None:
    waits = calls_at("{bucket: {calls: 2, seconds: 6}}", 0, 0, 0, 3, 6, 6, 100, 100, 100)

    assert waits == [None, None, "6", "3", None, "6", None, None, "6"]


def test_a_quota_never_comes_back() -> None:
    assert calls_at("{quota: 2}", 0, 1, 2, 10**6) == [None, None, "never", "never"]


def test_a_limit_answers_with_the_providers_error_and_the_wait_as_its_fact() -> None:
    limited = script(rules("answer: {limit: {window: {calls: 0, seconds: 30}}}"))

    answer = decide(limited).answer

    assert answer is not None
    assert answer.entry is not None
    assert (answer.entry.name, answer.entry.status) == ("too-many-calls", 429)


@given(st.lists(st.floats(0, 20), min_size=1, max_size=40), st.integers(1, 4), st.floats(0.5, 20))
def test_who_waits_as_told_is_let_in(gaps: list[float], calls: int, seconds: float) -> None:
    for kind in ("window", "bucket"):
        limited = script(rules(f"answer: {{limit: {{{kind}: {{calls: {calls}, seconds: {seconds!r}}}}}}}"))
        at = 0.0
        for gap in gaps:
            at += gap
            answer = decide(limited, at=at).answer
            wait = 0.0 if answer is None else float(answer.headers["retry-after"])
            at += wait

            assert wait == 0 or decide(limited, at=at).answer is None


# --- the wire, and patches ---


def test_faults_of_the_wire_add_up_and_the_first_says_how_it_is_cut() -> None:
    wire = decide(
        script(rules("wire: {delay: 2, truncate: 0.5}", "wire: {delay: 9, empty: true, malformed: true}"))
    ).wire

    assert wire is not None
    assert (wire.delay, wire.truncate, wire.empty, wire.malformed) == (2, 0.5, False, True)


@pytest.mark.parametrize(
    ("delay", "low", "high"),
    [
        pytest.param("3", 3, 3, id="fixed"),
        pytest.param("{uniform: [1, 4]}", 1, 4, id="uniform"),
        pytest.param("{lognormal: {median: 2, sigma: 0.5}}", 0.1, 40, id="lognormal"),
    ],
)
def test_delays_are_drawn(delay: str, low: float, high: float) -> None:
    delayed = script(rules(f"wire: {{delay: {delay}}}"))

    drawn = sorted(wire.delay for _ in range(301) if (wire := decide(delayed).wire) is not None)

    assert low <= drawn[0] <= drawn[150] <= drawn[-1] <= high
    assert drawn[150] == pytest.approx({3: 3, 1: 2.5, 0.1: 2}[low], rel=0.2)


def test_answers_may_show_the_past() -> None:
    assert decide(script(rules("when: {verb: list}, answer: {stale: 5}"))).stale == 5


def test_patches_are_all_applied() -> None:
    patches = decide(script(rules("patch: {null-lists: true}", "patch: {merge: {a: 1}}"))).patches

    assert [patch.null_lists for patch in patches] == [True, False]


RULES = st.sampled_from(
    [
        EMPTY,
        "when: {share: 0.5}, answer: {status: 502}",
        "when: {every: 2}, answer: {error: too-many-calls}",
        "answer: {limit: {bucket: {calls: 2, seconds: 4}}}",
        "when: {after: 3}, wire: {delay: {uniform: [0, 9]}}",
        "when: {window: {from: 5}}, patch: {null-lists: true}",
        "answer: {credentials: revoked}, times: 2",
    ]
)
CALLS = st.lists(st.tuples(st.sampled_from(["prompt", "get_task_info", "cancel"]), st.floats(0, 5)), max_size=30)


@given(st.lists(RULES, max_size=5), CALLS, st.integers(0, 3))
def test_the_same_seed_and_calls_give_the_same_decisions(texts: list[str], calls: list[Any], seed: int) -> None:
    def play() -> list[Any]:
        playing, at, decisions = script(rules(*texts), seed=seed), 0.0, []
        for operation, gap in calls:
            at += gap
            decisions.append(decide(playing, operation, at=at))
        return decisions

    assert play() == play()
