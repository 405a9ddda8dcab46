"""Ids that tell their moment: the fresh word `snowflake`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mockserver.provider.values import text
from tests.provider.language import NAMES, scope

SNOWFLAKE = text("{snowflake}", NAMES)


def test_a_snowflake_is_milliseconds_shifted_by_twelve_bits_and_a_count() -> None:
    # One of two ids of a provider's page: made late on 15 January 2026 in China, by this reading.
    page = 763311996779461
    moment = 1_582_136_402 + (page >> 12) / 1000

    assert int(str(SNOWFLAKE(scope(at=moment)))) >> 12 == page >> 12


@given(steps=st.lists(st.floats(0, 86400), min_size=2, max_size=20))
def test_snowflakes_rise_however_little_time_passes(steps: list[float]) -> None:
    at, ids = 1_790_000_000.0, []
    for number, step in enumerate(steps, 1):
        at += step
        ids.append(int(str(SNOWFLAKE(scope(at=at, counter=number)))))

    assert ids == sorted(set(ids))
