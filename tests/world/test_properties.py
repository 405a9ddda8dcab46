"""What must hold of every world, whatever clients do."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mockserver.errors import Refused
from tests.world.hosted import SETUP, START, Client, provider

MOMENTS = st.floats(0, 30, allow_nan=False).map(lambda seconds: round(seconds, 3))
COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("jump"), MOMENTS),
        st.tuples(st.just("slots"), st.integers(0, 3)),
        st.tuples(st.just("next"), st.none()),
    ),
    max_size=25,
)
SEEDS = st.integers(0, 5)


def client_of(seed: int) -> Client:
    return Client(SETUP, seed=seed, of=provider(order=("task.priority",)))


def obey(client: Client, command: str, value: Any) -> None:
    obeyed: dict[str, Callable[[], object]] = {
        "submit": lambda: client.submit(front=value),
        "cancel": lambda: cancel(client, value),
        "jump": lambda: client.world.jump(value),
        "slots": lambda: client.service.runs.set_slots(value),
        "next": client.world.jump_to_next,
    }
    obeyed[command]()


def cancel(client: Client, number: int) -> None:
    ids = [task.id for task in client.do("list").tasks][number : number + 1] or ["nope"]
    client.do("cancel", marks={"task.id": ids}, lenient=["unknown", "final"])


def poll(client: Client) -> None:
    for task in client.do("list").tasks:
        client.read(task.id)
        assert len([task.progress, task.position, task.files, task.events, task.nodes, task.eta]) == 6
    client.world.catch_up()


def play(commands: list[Any], seed: int, *, polls: Sequence[int] = (), watched: Any = False) -> bytes:
    client = client_of(seed)
    if watched:
        client.hear(all=True)
    for at, (command, value) in enumerate(commands):
        for _ in range(polls[at % len(polls)] if polls else 0):
            poll(client)
        obey(client, command, value)
    client.world.jump(500)
    return client.journal()


@given(COMMANDS, SEEDS)
def test_the_same_seed_and_commands_give_the_same_journal(commands: list[Any], seed: int) -> None:
    assert play(commands, seed) == play(commands, seed)


@given(COMMANDS, SEEDS, st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_polling_changes_nothing_that_happens(commands: list[Any], seed: int, polls: list[int]) -> None:
    assert play(commands, seed, polls=polls) == play(commands, seed)


@given(COMMANDS, SEEDS)
def test_being_watched_changes_nothing_that_happens(commands: list[Any], seed: int) -> None:
    assert play([one for one in commands if one[0] != "next"], seed, watched=True) == play(
        [one for one in commands if one[0] != "next"], seed
    )


@given(st.lists(MOMENTS, min_size=1, max_size=8), SEEDS)
def test_many_small_looks_see_what_one_jump_sees(gaps: list[float], seed: int) -> None:
    stepwise, at_once = client_of(seed), client_of(seed)
    for client in (stepwise, at_once):
        for _ in range(4):
            client.submit()
        client.world.set_rate(1, 0)

    moments = [sum(gaps[: count + 1]) for count in range(len(gaps))]
    for moment in moments:
        stepwise.world.catch_up(moment)
    at_once.world.catch_up(moments[-1])

    assert stepwise.journal() == at_once.journal()


@given(COMMANDS, SEEDS)
def test_never_more_run_than_there_are_slots_and_none_waits_beside_a_free_one(commands: list[Any], seed: int) -> None:
    client = client_of(seed)
    client.submit()
    line = client.service.runs.line_of(next(iter(client.do("list").tasks)))

    for command, value in commands:
        before = len(line.running)
        obey(client, command, value)
        assert len(line.running) <= max(line.slots, before)
        assert line.waiting == 0 or len(line.running) >= line.slots
        assert len(line.running) == len(client.service.runs.running)


@given(COMMANDS, SEEDS)
def test_a_place_in_line_grows_only_by_a_more_urgent_task(commands: list[Any], seed: int) -> None:
    client = client_of(seed)
    usual = [one for one in commands if one != ("submit", True)]
    tasks = [client.submit() for _ in range(5)]
    seen = [[task.position for task in tasks]]

    for command, value in usual:
        obey(client, command, value)
        seen.append([task.position for task in tasks])

    assert all(now <= then for earlier, later in pairwise(seen) for then, now in zip(earlier, later, strict=True))


@given(COMMANDS, SEEDS)
def test_final_states_stay_and_what_may_only_grow_grows(commands: list[Any], seed: int) -> None:
    client = client_of(seed)
    task = client.submit()
    seen = []

    for command, value in [*commands, ("jump", 200)]:
        obey(client, command, value)
        seen.append((task.state, task.progress, task.waited, task.ran or 0, len(task.files)))

    finals = {"succeeded", "failed", "cancelled"}
    assert all(later[0] == earlier[0] for earlier, later in pairwise(seen) if earlier[0] in finals)
    assert all(then <= now for one, two in pairwise(seen) for then, now in zip(one[1:], two[1:], strict=True))


@given(SEEDS, st.lists(MOMENTS, max_size=10))
def test_a_look_at_the_moment_of_a_push_never_shows_less(seed: int, gaps: list[float]) -> None:
    client = client_of(seed)
    pushed, polled = [], []
    task = client.submit()
    client.service.watch(lambda event: pushed.append(task.progress), all=True)

    for _ in range(40):
        moved = client.world.jump_to_next()
        polled.append((pushed[-1] if moved and pushed else 0, task.progress))

    assert all(told <= shown for told, shown in polled)
    assert pushed == sorted(pushed)


@given(SEEDS)
def test_a_refused_call_leaves_no_trace(seed: int) -> None:
    client = client_of(seed)
    client.submit()
    before = client.journal()

    for verb in ("cancel", "delete", "read"):
        try:
            client.do(verb, marks={"task.id": ["nope"]})
        except Refused:
            continue

    assert client.journal() == before
    assert client.world.now == START
