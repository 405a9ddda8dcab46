"""What becomes of tasks and of their line, in a world without a wire."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.scenario import fail
from mockserver.world.pace import Pace
from mockserver.world.past import Past
from tests.scenario.facts import Scripted, script
from tests.world.hosted import START, provider


def client(*rules: str, **more: Any) -> Scripted:
    return Scripted(script("rules: [" + ", ".join(f"{{{rule}}}" for rule in rules) + "]"), **more)


def after(client: Scripted, seconds: float) -> Any:
    """Submit a task and let so many seconds pass."""
    task = client.submit()
    client.world.jump(seconds)
    return task


# --- how it ends; an even run takes 40 s ---


def test_a_task_fails_at_a_share_of_its_run_with_the_text_asked_for() -> None:
    task = after(client("id: broken, task: {outcome: fail, at: 45, message: 'out of paper'}"), 100)

    assert (task.state, task.ran, task.failure.name, task.failure.message) == (
        "failed",
        18,
        "node-failed",
        "out of paper",
    )
    assert task.node.id == "6"


@pytest.mark.parametrize("node", ["3", "KSampler"])
def test_a_task_fails_at_a_node_named_by_id_or_class(node: str) -> None:
    task = after(client(f"task: {{node: '{node}', at: 50}}"), 100)

    assert (task.state, task.ran, task.node.id, task.node.step) == ("failed", 25, "3", 5)
    assert task.failure.message == "node 3 (KSampler) failed"


def test_out_of_memory_is_a_failed_node_where_the_catalogue_knows_no_better() -> None:
    task = after(client("task: {outcome: out-of-memory}"), 100)

    assert (task.failure.name, task.failure.facts["cause.type"]) == ("node-failed", "torch.OutOfMemoryError")


def test_a_failure_is_asked_for_by_name() -> None:
    scripted = Scripted(script(fail("input-missing")))

    first, second = scripted.submit(), scripted.submit()
    scripted.world.jump(100)

    assert (first.failure.name, second.state) == ("input-missing", "succeeded")


def test_the_journal_names_the_rule_behind_a_failure() -> None:
    failing = client("id: broken, task: {outcome: fail}")

    after(failing, 100)

    causes = {entry.name: entry.cause for entry in failing.world.journal}
    assert (causes["submit"], causes["task.failed"]) == ("broken", "broken")


def test_a_stuck_task_keeps_its_place_for_ever() -> None:
    stuck = client("times: 1, task: {outcome: stuck-queued}", of=provider(slots=1))

    first, second = stuck.submit(), stuck.submit()
    stuck.world.jump(10**6)

    assert (first.state, first.position, second.state) == ("queued", 1, "succeeded")


def test_a_run_without_end_stands_just_before_it() -> None:
    task = after(client("task: {outcome: stuck-running}"), 10**6)

    assert (task.state, 0.9 < task.progress < 1) == ("running", True)


def test_the_provider_cancels_a_run() -> None:
    drained = client("id: drained, task: {outcome: cancelled, at: 40}")
    task = after(drained, 100)

    assert (task.state, task.ran) == ("cancelled", 16)
    assert [entry.cause for entry in drained.world.journal if entry.name == "task.cancelled"] == ["drained"]


def test_where_a_run_cannot_be_cancelled_it_fails() -> None:
    states = dict(provider().machine.kinds["task"].states)
    running = states["running"]
    uncancelled = provider()
    uncancelled.machine.kinds["task"].states["running"] = type(running)(  # type: ignore[index]  # a plain dict in tests
        running.name, running.final, {word: step for word, step in running.on.items() if word != "cancel"}, {}
    )

    assert after(client("task: {outcome: cancelled}", of=uncancelled), 100).state == "failed"


def test_a_lost_task_is_unknown_after_a_while() -> None:
    losing = client("task: {lost: 30}")
    task = losing.submit()
    losing.world.jump(29)
    assert losing.read(task.id) is task

    losing.world.jump(1)

    assert losing.read(task.id, lenient=["unknown"]).state == "unknown"


# --- how long it takes ---


@pytest.mark.parametrize(
    ("task", "seconds"),
    [
        pytest.param("{slow: 3}", 120, id="slow"),
        pytest.param("{lasts: 90}", 90, id="lasts"),
        pytest.param("{nodes: {'3': 30}}", 60, id="a node by id"),
        pytest.param("{nodes: {KSampler: 5, SaveImage: 0}}", 25, id="nodes by class"),
        pytest.param("{nodes: {KSampler: 30}, slow: 2}", 120, id="a node, and slow"),
    ],
)
def test_runs_take_as_long_as_asked(task: str, seconds: float) -> None:
    assert after(client(f"task: {task}"), 1000).ran == pytest.approx(seconds)


def test_a_long_node_holds_up_progress_at_its_place() -> None:
    slow = client("task: {nodes: {CLIPTextEncode: 70}}")

    task = after(slow, 45)

    assert (task.node.id, task.duration) == ("6", 100)
    slow.world.jump(40)
    assert (task.node.id, task.node.step) == ("3", 5)


def test_rules_of_several_words_add_up() -> None:
    both = client("task: {slow: 2}", "task: {results: none, slow: 9}")

    task = after(both, 100)

    assert (task.ran, task.files, task.outlook.cause) == (80, (), "rule-1,rule-2")


# --- how its progress goes ---


def polled(progress: str) -> list[float]:
    odd = client(f"task: {{progress: {progress}}}")
    task = odd.submit()
    shown = []
    for _ in range(40):
        odd.world.jump(1)
        shown.append(task.progress)
    assert task.state == "succeeded"
    return shown


def test_stalled_progress_stands_still_and_goes_on() -> None:
    shown = polled("stall")

    assert max(shown.count(value) for value in set(shown)) >= 20
    assert shown == sorted(shown)


def test_progress_leaps() -> None:
    shown = polled("jump")

    assert max(later - before for before, later in pairwise(shown)) > 0.5
    assert shown == sorted(shown)


def test_progress_falls_back_once() -> None:
    shown = polled("backward")

    assert sum(later < before for before, later in pairwise(shown)) == 1


def test_a_feed_tells_what_is_done_twice_twice() -> None:
    backward = client("task: {progress: backward}")
    heard = backward.hear(all=True)

    after(backward, 100)

    steps = [shown[1] for name, at, shown in heard if name == "node.step"]
    assert steps == [1, 2, 3, 4, *range(1, 11)]
    assert [name for name, _, _ in heard].count("task.succeeded") == 1
    moments = [at for _, at, _ in heard]
    assert moments == sorted(moments)


KNOTS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=5).map(
    lambda inner: [(0.0, 0.0), *sorted(inner, key=lambda knot: knot[0]), (1.0, 1.0)]
)


@given(KNOTS, st.floats(0, 1))
def test_a_pace_reaches_every_share_and_is_there_then(knots: list[tuple[float, float]], share: float) -> None:
    pace = Pace(knots)

    time = pace.time(share)

    assert 0 <= time <= 1
    # At a leap the run is past the share at once.
    near = [pace.share(max(0.0, time - 1e-9)), pace.share(time), pace.share(min(1.0, time + 1e-9))]
    assert min(near) - 1e-3 <= share <= max(near) + 1e-3 or any(a == b for (a, _), (b, _) in pairwise(knots))


# --- its files ---


def test_a_success_without_files() -> None:
    assert after(client("task: {results: none}"), 100).files == ()


def test_a_missing_result_is_listed_and_cannot_be_had() -> None:
    missing = client("task: {results: missing}")
    task = after(missing, 100)

    assert len(task.files) == 2
    assert missing.service.files.find(key=task.files[0].key) is None


# --- the line ---


def test_others_wait_ahead_and_go_first() -> None:
    crowded = client("times: 1, queue: {ahead: 3}", of=provider(slots=1))

    task, behind = crowded.submit(), crowded.submit()
    assert (task.state, task.ahead, task.position, task.line, behind.ahead) == ("queued", 3, 4, 5, 4)

    crowded.world.jump(40)
    assert (task.ahead, crowded.service.queue().waiting) == (2, 4)
    crowded.world.jump(120)
    assert (task.state, task.waited) == ("running", 160)
    assert len(crowded.do("list").tasks) == 2


def test_others_fill_the_free_slots_first() -> None:
    crowded = client("queue: {ahead: 1}", of=provider(slots=2))

    assert crowded.submit().ahead == 1


def test_slots_are_lost_and_regained_by_the_clock() -> None:
    losing = client("id: gone, when: {window: {from: 30, to: 300}}, queue: {slots: 0}")
    first = losing.submit()
    losing.world.jump(50)

    second = losing.submit()
    losing.world.jump(200)
    assert (first.state, second.state, second.position) == ("succeeded", "queued", 1)

    losing.world.jump(50)
    assert (second.state, second.started) == ("running", START + 300)
    told = [
        (entry.at - START, entry.facts["slots"], entry.cause)
        for entry in losing.world.journal
        if entry.name == "queue.slots"
    ]
    assert told == [(30, 0, "gone"), (300, None, "gone")]


def test_where_windows_overlap_the_first_rule_has_the_say() -> None:
    overlapping = script(
        "rules: [{when: {window: {from: 50, to: 60}}, queue: {slots: 0}},"
        " {when: {window: {to: 100}}, queue: {slots: 1}}]"
    )

    turns = [(turn.at - START, turn.slots) for turn in overlapping.turns("genstudio")]

    assert turns == [(0, 1), (50, 0), (60, 1), (100, None)]


def test_an_unready_pool_starts_nothing() -> None:
    unready = client("when: {window: {to: 120}}, queue: {ready: false}")
    unready.world.jump(0)
    task = unready.submit()

    unready.world.jump(119)
    assert task.state == "queued"
    unready.world.jump(1)
    assert task.state == "running"


def test_those_who_wait_change_places() -> None:
    shuffled = client("when: {window: {from: 20}}, queue: {reshuffle: true}", of=provider(slots=1))
    tasks = [shuffled.submit() for _ in range(12)]
    before = [task.position for task in tasks]

    shuffled.world.jump(20)
    afterwards = [task.position for task in tasks]
    assert afterwards != before
    assert sorted(afterwards) == sorted(before)

    shuffled.world.jump(1000)
    started = [task.started for task in sorted(tasks[1:], key=lambda task: afterwards[tasks.index(task)])]
    assert started == sorted(started)


# --- the past ---


def test_a_task_can_be_seen_as_it_stood() -> None:
    looking = client("task: {outcome: fail, at: 75}", of=provider(slots=1))
    first, second = looking.submit(), looking.submit()
    looking.world.jump(35)

    seen, waiting = Past(first, START + 25), Past(second, START + 25)

    assert (first.state, second.state) == ("failed", "running")
    assert (seen.state, seen.ran, seen.finished, seen.failure) == ("running", 25, None, None)
    assert seen.node is not None
    assert seen.node.id == "3"
    assert (seen.progress, seen.files, seen.id) == (7 / 13, (), first.id)
    assert (waiting.state, waiting.position, waiting.waited, waiting.ran) == ("queued", 1, 25, None)
    assert Past(first, START + 35).state == "failed"
    assert Past(first, START - 9).state == "running"


# --- always ---

RULES = st.sampled_from(
    [
        "task: {outcome: fail, at: 30}",
        "when: {share: 0.5}, task: {outcome: cancelled}",
        "task: {progress: backward}",
        "task: {nodes: {KSampler: 50}}",
        "when: {every: 2}, task: {slow: 0.2}",
        "when: {nth: 2}, queue: {ahead: 2}",
        "times: 1, task: {outcome: stuck-running, results: missing}",
        "when: {window: {from: 20, to: 60}}, queue: {slots: 0}",
        "when: {window: {from: 40}}, queue: {reshuffle: true}",
        "task: {lost: 45}",
    ]
)
COMMANDS = st.lists(st.sampled_from(["submit", "poll", "wait"]), max_size=20)


@given(st.lists(RULES, max_size=4), COMMANDS, st.integers(0, 3))
def test_whatever_is_asked_for_the_same_seed_gives_the_same_journal(
    rules: list[str], commands: list[str], seed: int
) -> None:
    def play(polls: int, watched: bool) -> bytes:
        playing = Scripted(script("rules: [" + ", ".join(f"{{{rule}}}" for rule in rules) + "]", seed=seed), seed=seed)
        if watched:
            playing.hear(all=True)
        for command in commands:
            if command == "submit":
                playing.submit()
            for _ in range(polls):
                assert all(task.progress <= 1 and len(task.events) for task in playing.do("list").tasks)
            playing.world.jump(7.3)
        playing.world.jump(500)
        return playing.journal()

    assert play(0, False) == play(0, False) == play(2, False) == play(1, True)


@given(st.lists(RULES, max_size=4), COMMANDS)
def test_no_more_run_than_there_are_slots(rules: list[str], commands: list[str]) -> None:
    playing = client(*rules, of=provider(slots=2))
    for _ in commands:
        playing.submit()
        playing.world.jump(3)

        assert len(playing.service.runs.running) <= 2
