from math import inf

import pytest

from mockserver.errors import UserError
from mockserver.world.chance import Stream, world_key
from mockserver.world.clock import Clock


def test_a_fast_clock_shows_a_minute_for_each_real_second() -> None:
    clock = Clock(1000.0, rate=60, real_origin=5.0)

    assert clock.virtual(7.0) == 1120.0


def test_a_clock_turned_by_hand_moves_only_by_jumps() -> None:
    clock = Clock(1000.0, rate=0)

    clock.jump(30, 99.0)

    assert clock.virtual(99.0) == clock.virtual(10_000.0) == 1030.0


def test_a_clock_never_goes_back_when_real_time_does() -> None:
    clock = Clock(1000.0, rate=1, real_origin=50.0)
    clock.set_rate(2, 60.0)

    assert clock.virtual(55.0) == 1010.0


def test_changing_the_rate_keeps_the_moment_shown() -> None:
    clock = Clock(1000.0, rate=10)

    clock.set_rate(1, 5.0)

    assert clock.virtual(5.0) == 1050.0
    assert clock.virtual(7.0) == 1052.0


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [
        pytest.param(2.0, 5.0, id="fast"),
        pytest.param(0.0, inf, id="by hand"),
    ],
)
def test_the_real_wait_for_a_moment_depends_on_the_rate(rate: float, seconds: float) -> None:
    assert Clock(1000.0, rate=rate).real_until(1010.0, 0.0) == seconds


def test_there_is_no_wait_for_what_has_come() -> None:
    assert Clock(1000.0, rate=0).real_until(999.0, 0.0) == 0.0


@pytest.mark.parametrize("seconds", [-1, inf, float("nan")])
def test_a_jump_back_is_refused(seconds: float) -> None:
    with pytest.raises(UserError, match="only goes forward"):
        Clock(0.0).jump(seconds, 0.0)


def test_a_stream_draws_the_same_everywhere() -> None:
    stream = Stream(world_key(7), "task", 1, "id")

    assert stream.text("0123456789abcdef", 8) == "44a9c8e4"
    assert stream.text("0123456789", 6) == "232480"
    assert stream.below(1000) == 649


def test_streams_of_different_names_differ() -> None:
    key = world_key(7)

    assert Stream(key, "task", 1).uuid() != Stream(key, "task", 2).uuid()
    assert Stream(key, "task", 1).uuid() != Stream(world_key(8), "task", 1).uuid()


def test_draws_stay_in_their_range() -> None:
    stream = Stream(world_key(7), "range")

    assert {stream.below(3) for _ in range(100)} == {0, 1, 2}
    assert all(5 <= stream.uniform(5, 6) < 6 for _ in range(100))
    assert set(stream.text("xyz", 300)) == set("xyz")
