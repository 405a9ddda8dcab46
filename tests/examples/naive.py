"""A naive client of GenStudio, as first drafts are: it works whenever nothing goes wrong."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from tests.examples.careful import API, PROMPT, Stage


def naive(stage: Stage) -> Sequence[bytes]:
    """Run one workflow and hope."""
    with httpx.Client(base_url=stage.url, headers={"Authorization": f"Bearer {stage.api_key}"}) as http:
        submitted = http.post(f"{API}/prompt", json={"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": PROMPT}).json()
        id = submitted["data"]["prompt_id"]
        while True:
            answer = http.post(f"{API}/get_task_info", json={"comfy_task_ids": [id]}).json()
            task = answer["data"]["comfy_task_info"][0]
            if task["status"] >= 3:
                break
            stage.sleep(1)
    return [httpx.get(link).content for link in task["final_files"]]
