"""What a call costs does not depend on how many tasks there are: counted in steps of the interpreter, not in time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from mockserver.settings import Settings
from mockserver.web.app import Application, create_app
from tests.web.inside import START, Manner, manners

FEW, MANY = 20, 320
MORE = 1.15
"""So many times the steps may be: heaps and sorted lists take a few more."""
LISTS = {("comfyui", "/queue")}
"""Calls whose answer itself grows."""


class Caller:
    """Calls the application without anything in between; no answer may have to wait."""

    def __init__(self, app: Application, manner: Manner) -> None:
        self._app, self._headers = app, {**manner.headers, "host": "testserver", "content-type": "application/json"}

    def __call__(self, method: str, path: str, body: Any) -> Any:
        raw = b"" if body is None else json.dumps(body).encode()
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in self._headers.items()],
        }  # fmt: skip
        with pytest.raises(StopIteration):
            self._app(scope, receive, send).__await__().send(None)
        assert sent[0]["status"] < 300, sent
        return json.loads(sent[1]["body"])


def steps(act: Callable[[], object]) -> int:
    """Return how many instructions of the interpreter *act* takes."""
    count = 0

    def trace(frame: Any, event: str, argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("provider", manners())
def test_a_submit_and_a_poll_take_as_many_steps_with_many_tasks_as_with_few(provider: str) -> None:
    manner = manners()[provider]
    app = create_app(Settings(providers=(provider,), rate=0, start=START, any_workflow=True))
    call, number = Caller(app, manner), 0

    def submit() -> None:
        nonlocal number
        number += 1
        method, path, body = manner.submit
        call(method, path, json.loads(json.dumps(body).replace("{number}", str(number))))

    def poll(path: str, how: str, body: Any) -> None:
        latest = [*app.emulator.stages["main"].world.services[provider].runs.tasks][-1].id
        call(how, path.replace("{id}", latest), json.loads(json.dumps(body).replace("{id}", latest)))

    def measured(tasks: int) -> dict[str, int]:
        while number < tasks:
            submit()
        polls = [(path, method, body) for method, path, body in manner.polls if (provider, path) not in LISTS]
        return {"submit": steps(submit), **{told[0]: steps(lambda told=told: poll(*told)) for told in polls}}  # type: ignore[misc]  # mypy sees no callable in the lambda

    measured(FEW)  # what is done but once is done
    few, many = measured(FEW), measured(MANY)
    grown = {name: (few[name], many[name]) for name in few if many[name] > few[name] * MORE}
    assert not grown, f"steps with {FEW} and with {MANY} tasks: {grown}"
