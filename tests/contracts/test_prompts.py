"""Workflows drawn from the node catalogue: what is valid is taken, what has a slip is refused by its name."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given, settings

from contracts.prompts import Slip, least, slips, workflows
from tests.contracts.traffic import emulator

EXAMPLES = 60


@pytest.fixture(scope="module")
def comfyui() -> Iterator[httpx.Client]:
    with emulator("comfyui", {}) as http:
        yield http


def test_a_valid_workflow_is_taken_whole(comfyui: httpx.Client) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(graph=workflows())
    def taken(graph: dict[str, object]) -> None:
        answer = comfyui.post("/prompt", json={"prompt": graph})

        assert (answer.status_code, answer.json().get("node_errors")) == (200, {}), answer.text

    taken()


def test_a_slip_is_refused_by_its_name_at_its_node(comfyui: httpx.Client) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(slip=slips())
    def refused(slip: Slip) -> None:
        answer = comfyui.post("/prompt", json={"prompt": slip.graph})

        told = answer.json()
        assert answer.status_code == 400, answer.text
        problems = {told["error"]["type"]}
        if slip.node is not None:
            problems = {one["type"] for one in told["node_errors"][slip.node]["errors"]}
        assert slip.problem in problems

    refused()


def test_whatever_is_drawn_is_kept() -> None:
    drawn = []

    @settings(max_examples=200, database=None, deadline=None)  # its health checks refuse what filters much, too
    @given(slip=slips())
    def draw(slip: Slip) -> None:
        drawn.append(slip.problem)

    draw()

    assert len(drawn) == 200
    assert len(set(drawn)) >= 7


def test_the_least_workflow_is_the_smallest(comfyui: httpx.Client) -> None:
    assert comfyui.post("/prompt", json={"prompt": least()}).status_code == 200
