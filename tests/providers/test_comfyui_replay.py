"""The emulator against what a real ComfyUI server was recorded to do, case by case."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import httpx
import pytest

from mockserver import data
from mockserver.server import running
from mockserver.settings import Settings
from tests.providers.comfyui_replay import Player, Record, case_of, differences, load, mutated, normalised

RECORDING = load(data.fixtures() / "comfyui" / "recording.jsonl")
PLAYED = [record for record in RECORDING if record["kind"] in ("http", "ws")]
CASES = list(dict.fromkeys(case_of(record) for record in PLAYED))

EXPECTED = {
    "1:invalid:two_outputs_both_bad": "which of two outputs is validated first is the order of a set of that process",
}
"""Case that cannot match -> why."""


@pytest.fixture(scope="module")
def played() -> Iterator[list[Record]]:
    settings = Settings(providers=("comfyui",), port=0, rate=0.0, start=1_795_217_520)
    with running(settings) as server:
        yield sorted((actual for _, actual in Player(server.url).play(RECORDING)), key=lambda record: record["n"])


@pytest.fixture(scope="module")
def found(played: list[Record]) -> dict[str, list[str]]:
    return differences(normalised(PLAYED), normalised(played))


@pytest.mark.parametrize("case", [case for case in CASES if case not in EXPECTED])
def test_a_recorded_case_is_answered_as_the_real_server_did(found: dict[str, list[str]], case: str) -> None:
    assert found[case] == []


def test_the_case_that_cannot_match_does_once_its_outputs_come_in_the_order_of_that_process() -> None:
    (record,) = (record for record in PLAYED if case_of(record) in EXPECTED)
    graph = record["request"]["json"]["prompt"]
    swapped = {"prompt": {id: graph[id] for id in ("1", "3", "2")}}
    with running(Settings(providers=("comfyui",), port=0, rate=0.0)) as server:
        answer = httpx.post(f"{server.url}/prompt", json=swapped)

    assert (answer.status_code, answer.json()) == (record["response"]["status"], record["response"]["json"])


def test_the_comparison_bites(played: list[Record]) -> None:
    actual = normalised(played)
    before = differences(normalised(PLAYED), actual)
    told = []
    for seed in range(200):
        changed, what = mutated(PLAYED, Random(seed))
        told.append((differences(normalised(changed), actual) != before, what))

    missed = [what for noticed, what in told if not noticed]
    assert len(missed) <= 10, missed
