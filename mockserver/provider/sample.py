"""Sample worlds: stand-ins with a value for every name, to try drawings on when a folder is checked.

They imitate a task of a small text-to-image graph at one moment of its life; nothing happens in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from mockserver.provider.model import Provider, Verb
from mockserver.provider.scope import Call, Page, Scope

MOMENT = 1_790_000_000.0
ID = "2" * 15
"""An id that is text and number alike, for kinds whose ids the service itself does not make."""


class SampleChance:
    """A stream that always draws the first letter."""

    def text(self, alphabet: str, length: int) -> str:
        return alphabet[-1] * length

    def uniform(self, low: float, high: float) -> float:
        return low

    def below(self, limit: int) -> int:
        return 0


class SampleLinks:
    """Addresses of a store that does not exist."""

    def plain(self, file: Any) -> str:
        return "http://127.0.0.1/sample.png"

    def signed(self, file: Any, *, lifetime: float, process: str | None, at: float) -> str:
        return "http://127.0.0.1/sample.png?Expires=1790000600&Signature=c2FtcGxl"

    def upload(self, file: Any, *, lifetime: float, at: float) -> str:
        return self.signed(file, lifetime=lifetime, process=None, at=at)


def sample_scopes(provider: Provider, verb: Verb, state: str) -> Iterator[Scope]:
    """Yield scopes in which a task is in *state*: one for each way its surroundings can be."""
    kind = provider.machine.kinds.get("task")
    line = kind.queue.line if kind is not None and kind.queue is not None else None
    choices: list[dict[str, Any]] = [{}]
    if line is not None and line in provider.machine.kinds:
        choices = [dict(one.document) for one in provider.machine.kinds[line].present] or [{}]
    for document in choices:
        yield _scope(provider, state, line, document)


def _scope(provider: Provider, state: str, line: str | None, document: dict[str, Any]) -> Scope:
    call = Call(at=MOMENT, operation="sample", chance=SampleChance(), id="sample-call")
    call.status = 200
    scope = Scope(at=MOMENT, call=call)
    if provider.machine.call_id is not None:
        call.id = provider.machine.call_id(scope) or call.id
    scope.things = {
        kind: _thing(provider, scope, kind, {"user": "sample"})
        for kind in (*provider.machine.kinds, "account", "workflow")
        if kind != "task"
    }
    if line is not None:
        scope.things[line] = _thing(provider, scope, line, document)
    if "task" in provider.machine.kinds:
        scope.task = _task(provider, state, scope.things)
        scope.task.id = _id(provider, scope, "task")
        scope.tasks = [scope.task]
    scope.lists = {kind: [thing] for kind, thing in scope.things.items()}
    scope.links = SampleLinks()
    scope.queue = SimpleNamespace(waiting=1, total=2)
    scope.page = Page()
    scope.server = provider.server
    scope.delays = {name: delay.shortest for name, delay in provider.machine.delays.items()}
    scope.secrets = {"token": "sample-secret-of-sufficient-length"}
    scope.connection = SimpleNamespace(id="sample", said=None, document={})
    scope.log = SimpleNamespace(lines=[], text="")
    scope.changed = True
    scope.catalogue = SimpleNamespace(classes={})
    scope.member = SimpleNamespace(value="sample")
    scope.preview = SimpleNamespace(media="image/jpeg", bytes=b"")
    return scope


def _thing(provider: Provider, scope: Scope, kind: str, document: dict[str, Any]) -> SimpleNamespace:
    thing = SimpleNamespace(id=ID, state="InService", created=MOMENT, reached={}, document=document, kind=kind)
    thing.id = _id(provider, scope.bind(things={kind: thing}), kind)
    return thing


def _id(provider: Provider, scope: Scope, kind: str) -> str:
    texts = provider.machine.kinds[kind].id if kind in provider.machine.kinds else {}
    return (texts["*"](scope) if "*" in texts else None) or ID


def _task(provider: Provider, state: str, things: dict[str, Any]) -> SimpleNamespace:
    kind = provider.machine.kinds["task"]
    entry = kind.states.get(state)
    waits = entry is not None and "slot" in entry.on
    final = entry is not None and entry.final
    succeeded = state in {
        step.target for one in kind.states.values() for name, step in one.on.items() if name == "done"
    }
    failed = state in {step.target for one in kind.states.values() for name, step in one.on.items() if name == "fail"}
    files = [_file()] if succeeded else []
    nodes = [
        SimpleNamespace(
            id="9", class_type="SaveImage", title="Save Image", state="finished" if final else "waiting", step=1,
            steps=1, files=files, dependents=[], problems=[], label="sample",
            sampler=False, sends=False, shows=succeeded, text=None, text_key=None, inputs={},
        )
    ]  # fmt: skip
    failure = SimpleNamespace(name="sample", code="sample", message="sample failure", details="", extra={})
    return SimpleNamespace(
        id=ID, number=1, client=None, priority=1, extra={}, state=state, created=MOMENT - 60,
        started=None if waits else MOMENT - 50, finished=MOMENT if final else None, reached={state: MOMENT},
        waited=10.0, ran=None if waits else 50.0, estimate=34.0, eta=None if waits else 10.0,
        progress=0.0 if waits else 1.0 if succeeded else 0.5, price=0.1, position=1 if waits else 0, ahead=0,
        line=1 if waits else 0, graph={}, targets=["9"], request={"prompt": {}}, files=files, shown=files,
        cached=[], executed=[], node_ids=["9"],
        nodes_at=lambda at: nodes, writers_at=lambda at: nodes if files else [],
        node=None if waits else nodes[0], events=[], things=things,
        failure=failure if failed and not succeeded else None,
    )  # fmt: skip


def _file() -> SimpleNamespace:
    return SimpleNamespace(
        id="sample.png", name="sample.png", folder="", root="output", key="sample/sample.png", bucket="sample",
        prefix="sample", label=None, node="9", media="image/png", extension="png", width=512, height=512, size=1000,
        lifetime=600.0, state="kept", created=MOMENT, given=None, given_folder=None, path="sample.png", ui="images",
        directory=False, digest="0" * 64,
    )  # fmt: skip
