"""Exploration finds what is wrong with a client, as a small scenario, and nothing in a careful one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import yaml
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from contracts.explore import Client, Found, Scenario, explore, scenarios
from mockserver import data
from tests.examples.careful import API, SUCCEEDED, Careful, GenerationFailed, careful, client
from tests.examples.naive import naive

LIMIT = 1500.0
"""Virtual seconds; the careful client gives up after 900."""


class Polling(Careful):
    """Careful too, without the feed."""

    def listen(self, task: dict[str, Any], end: float) -> None:
        pass


class PollsForEver(Polling):
    deadline = 1e9


class SwallowsThe429(Polling):
    def obey(self, answer: httpx.Response) -> None:
        pass


class SubmitsAgainAfterALostAnswer(Polling):
    def lost(self, error: Exception) -> dict[str, Any]:
        return self.submit()


class EncodesLinksAgain(Polling):
    def get(self, link: str) -> httpx.Response:
        return super().get(quote(link, safe=":/?&="))


class UsesExpiredLinks(Polling):
    def get(self, link: str) -> httpx.Response:
        self.stage.sleep(700)
        return super().get(link)


class CrashesOnNullLists(Polling):
    def is_over(self, entry: dict[str, Any]) -> bool:
        return (super().is_over(entry) and len(entry["final_files"]) > 0) or len(entry["files"]) > 99


class TakesATruncatedFile(Polling):
    def get(self, link: str) -> httpx.Response:
        content = b""
        with self.files.stream("GET", link) as answer:
            try:
                for chunk in answer.iter_raw():
                    content += chunk
            except httpx.TransportError:
                pass
        return httpx.Response(answer.status_code, content=content)

    def is_whole(self, answer: httpx.Response) -> bool:
        return True


class TakesAClosedSocketForTheEnd(Careful):
    def wait(self, task: dict[str, Any]) -> dict[str, Any]:
        self.listen(task, self.stage.now() + self.deadline)
        return self.poll(task["prompt_id"]) or super().wait(task)


class MixesTwoTasksUp(Polling):
    jobs = 2

    def poll(self, id: str, **wishes: Any) -> dict[str, Any] | None:
        self.first = getattr(self, "first", id)
        return super().poll(self.first, **wishes)


class TakesAnUnknownStatusForTheEnd(Polling):
    def is_over(self, entry: dict[str, Any]) -> bool:
        return super().is_over(entry) or entry["status"] not in (1, 2, SUCCEEDED)


class IgnoresTheEnvelope(Polling):
    def opened(self, answer: httpx.Response) -> Any:
        return (
            {"prompt_id": answer.json()["data"]["prompt_id"], **answer.json()["data"]}
            if "prompt" in str(answer.url)
            else answer.json()["data"]
        )


class DropsTheProvidersError(Polling):
    def is_over(self, entry: dict[str, Any]) -> bool:
        try:
            return super().is_over(entry)
        except GenerationFailed:
            raise GenerationFailed("generation failed") from None


class GivesUpAtTheFirst502(Polling):
    def poll(self, id: str, **wishes: Any) -> dict[str, Any] | None:
        answer = self.http.post(f"{API}/get_task_info", json={"comfy_task_ids": [id], **wishes})
        if answer.status_code in (500, 502):
            raise GenerationFailed("the service is broken")
        return super().poll(id, **wishes) if answer.status_code != 200 else self.entry(answer)

    def entry(self, answer: httpx.Response) -> dict[str, Any] | None:
        try:
            entries = (answer.json().get("data") or {}).get("comfy_task_info") or []
        except ValueError:
            return None
        return entries[0] if entries else None


FAULTS = [
    pytest.param(PollsForEver, {"client-ends"}, id="polls for ever when stuck"),
    pytest.param(SwallowsThe429, {"ignores-retry-after"}, id="swallows a 429"),
    pytest.param(SubmitsAgainAfterALostAnswer, {"resubmits-without-looking"}, id="submits again after a lost answer"),
    pytest.param(EncodesLinksAgain, {"success-is-told"}, id="encodes links again"),
    pytest.param(UsesExpiredLinks, {"link-used-after-expiry"}, id="uses an expired link"),
    pytest.param(CrashesOnNullLists, {"client-crashes"}, id="crashes on null lists"),
    pytest.param(TakesATruncatedFile, {"results-are-right"}, id="takes a truncated file"),
    pytest.param(
        TakesAClosedSocketForTheEnd, {"success-is-told", "error-is-told"}, id="takes a closed socket for the end"
    ),
    pytest.param(MixesTwoTasksUp, {"results-are-right"}, id="mixes two tasks up"),
    pytest.param(
        TakesAnUnknownStatusForTheEnd, {"success-is-told", "error-is-told"}, id="takes an unknown status for the end"
    ),
    pytest.param(IgnoresTheEnvelope, {"client-crashes"}, id="ignores an error envelope at HTTP 200"),
    pytest.param(DropsTheProvidersError, {"error-is-told"}, id="drops the provider's error"),
    pytest.param(GivesUpAtTheFirst502, {"success-is-told"}, id="gives up at the first 502"),
]


def search(kind: type[Careful]) -> Found | None:
    return explore(client(kind), "genstudio", variants=False, database=False, limit=LIMIT)


@pytest.mark.parametrize(("kind", "rules"), FAULTS)
def test_a_single_fault_is_found_and_shrunk(kind: type[Careful], rules: set[str]) -> None:
    found = search(kind)

    assert found is not None
    assert rules & {one.rule for one in found.breaches}, str(found)
    assert len(found.scenario["rules"]) <= 1


@pytest.mark.parametrize(
    "client_", [pytest.param(careful, id="with feed"), pytest.param(client(Polling), id="polling")]
)
def test_nothing_is_found_in_a_careful_client(client_: Client) -> None:
    found = explore(client_, "genstudio", max_examples=60, database=False, limit=LIMIT)

    assert found is None, str(found)


def test_what_is_found_in_a_naive_client_is_a_scenario_to_play(tmp_path: Path) -> None:
    found = explore(naive, "genstudio", max_examples=60, variants=False, database=False, limit=LIMIT)

    assert found is not None
    assert yaml.safe_load(found.file) == json.loads(json.dumps(found.scenario))


SHAPE = Draft202012Validator(json.loads((data.schemas() / "_meta" / "scenario.schema.json").read_bytes()))


@given(scenario=scenarios("genstudio"))
@settings(max_examples=200)
def test_every_scenario_drawn_is_a_scenario_file(scenario: Scenario) -> None:
    SHAPE.validate(scenario)
