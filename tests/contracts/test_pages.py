"""What the providers' pages print is judged like any traffic; nothing is found but where a page contradicts itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from contracts import judge
from mockserver import data


class Call(NamedTuple):
    """A call as a page prints it; bodies are names of fixtures, or what is sent where a page prints no body."""

    provider: str
    method: str
    path: str
    asked: str | None
    answered: str | None
    status: int = 200
    variants: dict[str, str] = {}  # noqa: RUF012  # never changed
    slips: tuple[tuple[str, str], ...] = ()
    """Rule and a part of the finding's text, where the page contradicts itself."""


MAAS = "/api/maas/comfy_task_api"
OTHER_TASK = ("answer-agrees-with-itself", "cft-c76ujyezgep5pcal")
FORM = '--x\r\nContent-Disposition: form-data; name="source_file"; filename="a.png"\r\n\r\nPNG\r\n--x--\r\n'
EXECUTE = '{"prompt_id": "784bf4ce-b930-4e9d-a6e8-fade9990ccfa", "prompt": {"1": {"class_type": "A", "inputs": {}}}}'
CALLS = [
    Call("genstudio", "POST", f"{MAAS}/prompt", "text-to-image.request", "text-to-image.answer", slips=(OTHER_TASK,)),
    Call("genstudio", "POST", f"{MAAS}/prompt", "image-to-image.request", "image-to-image.answer"),
    Call("genstudio", "POST", f"{MAAS}/upload/image", FORM, "upload_image.answer"),
    Call("genstudio", "POST", f"{MAAS}/get_task_info", "get_task_info.url_expire_period.request",
         "get_task_info.text-to-image.answer", slips=(OTHER_TASK,)),
    Call("genstudio", "POST", f"{MAAS}/get_task_info", "get_task_info.image_post_process_cmd.request",
         "get_task_info.image-to-image.answer", slips=(OTHER_TASK,)),
    Call("genstudio", "GET", "/api/maas/comfy_task_ws_api/get_task_progress", None, "get_task_progress.message", 101),
    Call("aliyun", "POST", "/scc/comfy_prompt", "comfy_prompt.request", "comfy_prompt.answer"),
    Call("aliyun", "POST", "/scc/comfy_prompt", "comfy_prompt.request", "comfy_prompt.no-group.answer"),
    Call("aliyun", "POST", "/scc/comfy_get_progress", "comfy_get_progress.request",
         "comfy_get_progress.waiting.answer"),
    Call("aliyun", "POST", "/scc/comfy_get_progress", "comfy_get_progress.request",
         "comfy_get_progress.running.answer"),
    Call("aliyun", "POST", "/scc/comfy_get_progress", "comfy_get_progress.request",
         "comfy_get_progress.unknown.answer"),
    Call("aliyun", "POST", "/scc/comfy_get_result", "comfy_get_result.request", "comfy_get_result.answer"),
    Call("esd", "POST", "/executes", EXECUTE,
         "create_execute.answer", 201),
    Call("esd", "GET", "/executes/prompt_id?prompt_id=11111111-1111-1112", None, "get_execute.seed.answer",
         variants={"generation": "march-2024"}),
    Call("esd", "GET", "/executes/784bf4ce-b930-4e9d-a6e8-fade9990ccfa", None, "get_execute.success.answer"),
    Call("esd", "GET", "/executes/784bf4ce-b930-4e9d-a6e8-fade9990ccfa", None, "get_execute.failed.answer"),
    Call("esd", "GET", "/executes", None, "forbidden.answer", 403),
    Call("gpugeek", "GET", "/api/v1/file/upload/pre-signed-url?file_name=a.png", None, "pre-signed-url.answer"),
    Call("gpugeek", "POST", "/api/v1/prompt", "prompt.request", "prompt.answer"),
    Call("gpugeek", "GET", "/api/v1/task/763289064770885", None, "detail.answer"),
    Call("gpugeek", "POST", "/api/v1/task/cancel", '{"prompt_id": 763289064770885}', "cancel.answer"),
    Call("gpugeek", "POST", "/api/v1/file/upload/commit", '{"oss_url": "https://xxxxxxxxx/comfy/input/xxx.png"}',
         "commit.answer"),
]  # fmt: skip


def page(provider: str, name: str | None) -> str:
    if name is None or name.startswith(("{", "--")):
        return name or ""
    return (data.fixtures() / provider / f"{name}.json").read_text("utf-8")


def exchange(call: Call) -> dict[str, Any]:
    path, _, query = call.path.partition("?")
    frames = [{"at": 1.0, "sent": True, "body": page(call.provider, call.answered)}] if call.status == 101 else []
    media = "multipart/form-data; boundary=x" if call.asked == FORM else "application/json"
    credentials = [["authorization", "***"], ["x-ca-key", "***"], ["x-api-key", "***"]]
    return {
        "number": 1,
        "provider": call.provider,
        "operation": None,
        "at": 1.0,
        "request": {
            "method": call.method,
            "host": "",
            "path": path,
            "query": "authorization=***" if call.status == 101 else query,
            "headers": [*credentials, ["content-type", media]],
            "body": page(call.provider, call.asked),
        },
        "response": {
            "status": call.status,
            "headers": [["content-type", "application/json"]],
            "body": "" if frames else page(call.provider, call.answered),
        },
        "frames": frames,
    }


@pytest.mark.parametrize("call", [pytest.param(one, id=f"{one.provider}-{one.answered or one.asked}") for one in CALLS])
def test_nothing_is_found_in_what_a_page_prints_but_its_own_slips(call: Call) -> None:
    # A page shows single calls: what only later traffic could tell is not asked here.
    verdict = judge([exchange(call)], call.provider, variants=call.variants)

    found = [one for one in verdict.findings if one.rule not in ("result-never-read", "feed-left-early")]
    assert [one.rule for one in found] == [rule for rule, _ in call.slips], [one.text for one in found]
    assert all(text in one.text for (_, text), one in zip(call.slips, found, strict=True))


def test_every_answer_that_a_page_prints_is_among_them() -> None:
    printed = {(path.parent.name, path.stem) for path in Path(data.fixtures()).glob("*/*.answer.json")}

    assert printed - {(one.provider, one.answered) for one in CALLS} == set()
