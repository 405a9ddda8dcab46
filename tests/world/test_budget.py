from hypothesis import given
from hypothesis import strategies as st

from mockserver.world.budget import Budget
from mockserver.world.journal import Journal

ENTRY = 160
"""Bytes that a slim entry counts for."""


def add(journal: Journal, times: int = 1) -> None:
    for _ in range(times):
        journal.add(1.0, "hosted", "submit", "t-1")


def test_one_journal_may_take_all_there_is() -> None:
    budget = Budget(100 * ENTRY)
    _, full = Journal(budget=budget), Journal(budget=budget)

    add(full, 90)

    assert len(full) == 90


def test_one_who_adds_makes_room_of_his_own_and_a_small_one_loses_nothing() -> None:
    budget = Budget(100 * ENTRY)
    small, large = Journal(budget=budget), Journal(budget=budget)
    add(small, 20)

    add(large, 500)

    assert len(small) == 20
    assert len(large) == 80
    assert large.since(0).lost == 420


def test_what_is_closed_gives_its_room_back_for_good() -> None:
    budget = Budget(100 * ENTRY)
    first, second = Journal(budget=budget), Journal(budget=budget)
    add(first, 100)
    first.close()
    add(first, 100)

    add(second, 100)

    assert len(second) == 100


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 60)), max_size=30))
def test_together_they_never_hold_more_than_twice_the_budget(turns: list[tuple[int, int]]) -> None:
    budget = Budget(50 * ENTRY)
    journals = [Journal(budget=budget) for _ in range(5)]
    for one, times in turns:
        add(journals[one], times)

        assert sum(map(len, journals)) <= 100
        assert all(len(journal) >= 1 for journal in journals if journal.last)
