"""Values that count once: nonces of signed calls."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mockserver.web.credentials import Nonces


def test_a_nonce_counts_once_within_the_window_and_again_after_it() -> None:
    used = Nonces()

    counted = [used.use("n", now=moment, window=900) for moment in (0, 1, 900, 901, 902)]

    assert counted == [True, False, False, True, False]


@given(st.lists(st.integers(0, 5)), st.integers(1, 3))
def test_the_newest_value_is_always_known(values: list[int], most: int) -> None:
    used = Nonces(most)

    for moment, value in enumerate(values):
        used.use(str(value), now=moment, window=900)
        assert not used.use(str(value), now=moment, window=900)
