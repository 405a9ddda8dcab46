"""Correct traffic of every provider is judged without a finding: whatever is read, whatever happens, whoever asks.

A sample; `python -m tests.contracts.correct` goes through as many worlds as one likes.
"""

from __future__ import annotations

import pytest

from mockserver import MockServer
from tests.contracts.correct import PROVIDERS, behaved, settings, walked

WORLDS, WALKS = 4, 2


@pytest.mark.parametrize("name", PROVIDERS)
def test_walks_through_correct_worlds_find_nothing(name: str) -> None:
    with MockServer(name) as server:
        results = [
            walked(server, name, one, walks=WALKS, seed=place) for place, one in enumerate(settings(name, WORLDS))
        ]

    found = [(one.rule, one.call, one.text) for result in results for one in result.verdict.findings]
    assert found == []
    assert sum(result.walks for result in results) >= WORLDS * WALKS
    assert sum(result.submitted for result in results) >= WORLDS


@pytest.mark.parametrize("name", PROVIDERS)
def test_nothing_at_all_is_found_in_a_client_that_does_all_as_documented(name: str) -> None:
    with MockServer(name) as server:
        verdicts = [behaved(server, name, one, seed=place) for place, one in enumerate(settings(name, WORLDS, seed=1))]

    assert [(one.severity, one.rule, one.call, one.text) for told in verdicts for one in told.findings] == []
    assert sum(told.counts.tasks for told in verdicts) >= WORLDS // 2
