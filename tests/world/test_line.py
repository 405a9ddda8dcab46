from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mockserver.world.line import Key, Line


def taken(line: Line[Any]) -> list[Any]:
    return list(iter(line.take, None))


def test_the_line_goes_first_come_first_served() -> None:
    line: Line[Any] = Line(2)
    for number in range(4):
        line.enter((number,), number)

    assert taken(line) == [0, 1]
    assert (line.waiting, line.total) == (2, 4)
    assert [line.rank((2,)), line.rank((3,))] == [0, 1]


def test_the_more_urgent_goes_first() -> None:
    line: Line[Any] = Line(1)
    line.enter((5, 1), "usual")
    line.enter((-5, 2), "urgent")

    assert line.rank((5, 1)) == 1
    assert taken(line) == ["urgent"]


def test_one_held_back_keeps_its_place_and_lets_others_pass() -> None:
    line: Line[Any] = Line(2)
    line.enter((1,), "stuck", held_back=True)
    line.enter((2,), "next")

    assert taken(line) == ["next"]
    assert line.rank((1,)) == 0


def test_losing_slots_stops_nobody_but_lets_no_one_in() -> None:
    line: Line[Any] = Line(2)
    for number in range(3):
        line.enter((number,), number)
    taken(line)

    line.slots = 1
    line.leave((0,))

    assert taken(line) == []
    line.leave((1,))
    assert taken(line) == [2]


@given(
    st.integers(0, 3), st.lists(st.tuples(st.sampled_from("elt"), st.integers(-3, 3), st.integers(0, 30)), max_size=60)
)
def test_a_line_is_a_sorted_list_with_slots(slots: int, commands: list[Any]) -> None:
    line: Line[Key] = Line(slots)
    waiting: list[Key] = []
    running: list[Key] = []

    def enter(key: Key) -> None:
        line.enter(key, key)
        waiting.append(key)

    def leave(key: Key) -> None:
        line.leave(key)
        for keys in (waiting, running):
            keys[:] = [each for each in keys if each != key]

    def take(key: Key) -> None:
        running.extend(taken(line))

    for command, urgency, number in commands:
        key = (urgency, number)
        {"e": leave if key in waiting + running else enter, "l": leave, "t": take}[command](key)
        waiting = sorted(set(waiting) - set(running))

        assert [line.rank(each) for each in waiting] == list(range(len(waiting)))
        assert (line.waiting, line.total) == (len(waiting), len(waiting) + len(running))
        assert len(running) <= slots
    take((0, 0))
    assert len(running) == slots or line.waiting == 0
