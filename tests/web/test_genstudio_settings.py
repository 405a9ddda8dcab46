"""What a user sets at the start: workflows, accounts, start, seed, slots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mockserver import data
from tests.web.api import Serve, opened

GRAPH = json.loads((data.fixtures() / "workflows" / "wf-c73diz7kadp6ffgn.json").read_bytes())


def test_any_workflow_id_runs_the_sample_where_that_is_allowed(serve: Serve) -> None:
    api = serve(any_workflow=True)

    answer = api.post("prompt", {"workflow_id": "wf-aaaaaaaaaaaaaaaa", "prompt": {}}).json()
    api.clock(jump=300)

    assert api.info(answer["data"]["prompt_id"])["status"] == 3


def test_a_workflow_of_ones_own_is_hosted_under_its_files_name(serve: Serve, tmp_path: Path) -> None:
    graph = json.loads(json.dumps(GRAPH))
    graph["5"]["inputs"] |= {"width": 128, "height": 64, "batch_size": 2}
    (tmp_path / "wf-mine.json").write_text(json.dumps(graph))
    api = serve(workflows_dir=tmp_path)

    task = api.post("prompt", {"workflow_id": "wf-mine", "prompt": {}}).json()["data"]["prompt_id"]
    api.clock(jump=300)

    links = api.info(task)["final_files"]
    assert [opened(api.http.get(link).content).size for link in links] == [(128, 64), (128, 64)]


def test_accounts_set_keys_and_tenants_and_keys_of_one_tenant_share_its_tasks(serve: Serve) -> None:
    tenant = {"id": "te-aaaaaaaaaaaaaaaa", "user": "ac-bbbbbbbbbbbbbbbb"}
    accounts = ({"key": "sk-one", **tenant}, {"key": "sk-two", **tenant}, {"key": "sk-three"})
    api = serve(accounts=accounts, key="sk-one")
    task = api.submit()["prompt_id"]

    assert api.upload().startswith("te-aaaaaaaaaaaaaaaa/ac-bbbbbbbbbbbbbbbb/sui-")
    assert api.other("sk-two").info(task)["status"] == 2
    assert api.other("sk-three").info(task)["status"] == 5
    assert api.other("sk-four").post("get_task_info", {"comfy_task_ids": []}).status_code == 401


def test_slots_say_how_many_run_at_once(serve: Serve) -> None:
    api = serve(slots=3)

    tasks = [api.submit()["prompt_id"] for _ in range(5)]

    assert [info["status"] for info in api.infos(*tasks)] == [2, 2, 2, 1, 1]


def test_the_same_seed_and_commands_give_the_same_ids_and_journal(serve: Serve) -> None:
    def story(seed: int) -> tuple[str, bytes]:
        api = serve(seed=seed)
        task = api.submit()["prompt_id"]
        api.clock(jump=300)
        return task, api.http.get("/_mock/journal").content

    assert story(7) == story(7)
    assert story(7) != story(8)


@pytest.mark.parametrize("size", [(64, 64), (2048, 256)], ids=["small", "wide"])
def test_results_take_the_size_of_the_workflow(serve: Serve, size: tuple[int, int]) -> None:
    api = serve()
    task = api.submit(n5={"width": size[0], "height": size[1]})["prompt_id"]
    api.clock(jump=600)

    (link,) = api.info(task)["final_files"]

    assert opened(api.http.get(link).content).size == size
