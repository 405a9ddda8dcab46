"""Scenarios carried out: what rules decide about calls and answers, done to them.

Which scenarios are in force in a world, by name, is kept here too. What is decided stands in `mockserver.scenario`; how
an answer is cut or held on the wire in `wire.py`.
"""

from __future__ import annotations

import functools
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from mockserver.errors import Refused, UserError
from mockserver.provider.model import Channel, Marks, Message, Operation, Provider, Request
from mockserver.scenario import CallFacts, FeedPlan, Scenario, Script, fail, library
from mockserver.scenario.model import UNSET, PatchAction
from mockserver.scenario.patching import patched
from mockserver.scenario.script import Reply, decide_task
from mockserver.web import answering
from mockserver.web.answering import Answer
from mockserver.world.past import Past
from mockserver.world.service import Outcome, Service
from mockserver.world.task import FINE, Outlook, Task

if TYPE_CHECKING:
    from mockserver.web.emulator import Stage
    from mockserver.world.kernel import Due

BY_NAME, BY_ERROR = "x-mock-scenario", "x-mock-fail"
"""Headers that put a scenario in force for one request and the task it submits."""
MAX_TASKS = 10_000
"""Tasks of which it is remembered that a header came with their submit."""


class Scripts:
    """The scenarios in force in one world."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.named: dict[str, Script] = {}
        self._turns: dict[str, list[Due]] = {}
        self._of_task: OrderedDict[str, tuple[Script, ...]] = OrderedDict()
        self._call: tuple[Sequence[Script], CallFacts] | None = None

    def put(self, scenario: Scenario) -> Script:
        """Put a scenario in force, in place of one of the same name; its counts begin at nothing.

        Raises:
            ScenarioError: it names what no provider served here has. Then the old one stays in force.
        """
        script = self._script(scenario)
        self.drop(scenario.name, missing_ok=True)
        self.named[scenario.name] = script
        for name, service in self._stage.world.services.items():
            self._arrange(name, service, script)
        return script

    def drop(self, name: str, *, missing_ok: bool = False) -> None:
        """Take a scenario out of force. Tasks that met it keep what was decided about them.

        Raises:
            UserError: none of this name is in force.
        """
        if name not in self.named:
            if missing_ok:
                return
            raise UserError(f"no scenario {name!r} is in force; in force: {', '.join(self.named) or 'none'}")
        del self.named[name]
        turns = self._turns.pop(name, [])
        for due in turns:
            due.cancel()
        if turns:
            for service in self._stage.world.services.values():
                service.runs.set_slots(None)

    def started(self, name: str, service: Service) -> None:
        """Let the lines of a service that was just made follow the scenarios in force."""
        for script in self.named.values():
            self._arrange(name, service, script)

    def again(self) -> None:
        """Count anew: the world began again."""
        scenarios = [script.scenario for script in self.named.values()]
        self.named.clear()
        self._turns.clear()
        self._of_task.clear()
        for scenario in scenarios:
            self.put(scenario)

    def whole(self, headers: Mapping[str, str]) -> tuple[Script, ...] | None:
        """Return what is in force for one request; None where that may hold its answer or cut it, or headers ask."""
        if BY_NAME in headers or BY_ERROR in headers:
            return None
        if not self.named:
            return ()
        scripts = tuple(self.named.values())
        return None if any(script.cuts for script in scripts) else scripts

    def of_request(self, headers: Mapping[str, str]) -> tuple[Script, ...]:
        """Return what is in force for one request: what its headers ask for, then what is in force anyway.

        Raises:
            UserError: a header names what there is not.
        """
        asked = []
        if BY_NAME in headers:
            asked.append(self._script(self.find(headers[BY_NAME])))
        if BY_ERROR in headers:
            asked.append(self._script(fail(headers[BY_ERROR])))
        return (*asked, *self.named.values())

    def find(self, name: str) -> Scenario:
        """Return a scenario by the name under which it is in force, or of the library; never a file of the server's.

        Raises:
            UserError: there is none.
        """
        if name in self.named:
            return self.named[name].scenario
        return library.named(name)

    def outlook(self, usual: Callable[[Task], Outlook] | None) -> Callable[[Task], Outlook]:
        """Return what decides about tasks: the usual, and the scripts of the call that submits."""

        def decide(task: Task) -> Outlook:
            outlook = FINE if usual is None else usual(task)
            if self._call is None:
                return outlook
            scripts, call = self._call
            return decide_task(scripts, task, call, outlook)

        return decide

    def perform(self, scripts: Sequence[Script], call: CallFacts, act: Callable[[], Outcome]) -> Outcome:
        """Let *act* happen with *scripts* deciding about the task it submits."""
        self._call = (scripts, call)
        try:
            outcome = act()
        finally:
            self._call = None
        own = tuple(script for script in scripts if self.named.get(script.scenario.name) is not script)
        if own and call.operation.verb.name == "submit" and outcome.task is not None:
            self._of_task[outcome.task.id] = own
            while len(self._of_task) > MAX_TASKS:
                self._of_task.popitem(last=False)
        return outcome

    def of_feed(
        self, headers: Mapping[str, str], tasks: Sequence[str], *, family: str, channel: str, request: Callable[[], Any]
    ) -> tuple[FeedPlan | None, list[PatchAction]]:
        """Return what happens to a connection: by its headers, by how its tasks were submitted, by what is in force."""
        scripts = [script for task in tasks for script in self._of_task.get(task, ())]
        patches, plan = list[PatchAction](), None
        for script in (*scripts, *self.of_request(headers)):
            at = self._stage.world.now
            found = script.for_feed(family=family, channel=channel, at=at, request=request)
            plan = plan or found
            patches += script.patches_for(family=family, channel=channel, at=at, request=request)
        return plan, patches

    def _script(self, scenario: Scenario) -> Script:
        world = self._stage.world
        return Script(scenario, self._stage.offer.families, key=self._stage.key, start=world.clock.start, at=world.now)

    def _arrange(self, name: str, service: Service, script: Script) -> None:
        turns = script.turns(name)
        if turns:
            self._turns.setdefault(script.scenario.name, []).extend(service.runs.arrange(turns))


def facts_of_call(*, family: str, provider: Provider, operation: Operation, request: Request, at: float) -> CallFacts:
    """Return a call as rules look at it."""
    return CallFacts(
        family=family,
        provider=provider,
        operation=operation,
        at=at,
        request=lambda: request_json(request),
        task=lambda: _submitted(operation, request),
        facts=lambda: _known(_marks(operation, request)),
    )


def request_json(request: Request) -> dict[str, Any]:
    """Return a request as conditions look at it; bytes are passed over, what is not there is left out."""
    shown: dict[str, Any] = {
        "path": dict(request.path),
        "query": dict(request.query),
        "headers": dict(request.headers),
    }
    if isinstance(request.body, Mapping):
        shown["body"] = {key: value for key, value in request.body.items() if _is_json(value)}
    elif _is_json(request.body):
        shown["body"] = request.body
    return shown


def replied(reply: Reply, provider: Provider, service: Service, call: Any, dress: Callable[[Any], None]) -> Answer:
    """Draw an answer that a rule wants; raise `Broken` where the catalogue's entry cannot be drawn."""
    if reply.entry is not None:
        scope = service.refusal_scope(Refused(reply.entry.conditions[0], reply.facts), call)
        dress(scope)
        answer = answering.refusal_of(provider, reply.entry, scope)
        answer.status = reply.status or answer.status
    else:
        assert reply.status is not None
        answer = gateway(reply.status)
    if reply.body is not UNSET:
        text = isinstance(reply.body, str)
        answer.body = str(reply.body).encode() if text else _json(reply.body)
        _set(answer, "content-type", "text/plain; charset=utf-8" if text else "application/json")
    for name, value in reply.headers.items():
        _set(answer, name, value)
    return answer


def gateway(status: int) -> Answer:
    """Answer as nginx does for a service that it cannot reach: in HTML, whatever the service speaks."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    page = (
        f"<html>\r\n<head><title>{status} {phrase}</title></head>\r\n<body>\r\n<center><h1>{status} {phrase}</h1>"
        "</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    body = b"" if status in (204, 304) else page.encode()
    return Answer(status, [("content-type", "text/html")] if body else [], body)


def backdate(outcome: Outcome, seconds: float) -> None:
    """Let an outcome show its tasks as they stood so many *seconds* ago."""
    at = outcome.at - seconds
    outcome.tasks = [Past(task, at) if isinstance(task, Task) else task for task in outcome.tasks]  # type: ignore[misc]
    if isinstance(outcome.task, Task):
        outcome.task = Past(outcome.task, at)  # type: ignore[assignment]  # it has the same values


def patch(answer: Answer, patches: Sequence[PatchAction], provider: Provider, operation: Operation) -> None:
    """Change a JSON answer off its contract; leave any other as it is."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return
    schema = _answers(provider, operation)
    for one in patches:
        body = patched(body, one, schema=schema, follow=functools.partial(follow, provider))
    answer.body = _json(body)


def patched_message(
    drawn: Any, patches: Sequence[PatchAction], provider: Provider, channel: Channel, message: Message
) -> Any:
    """Return a push message changed off its contract."""
    messages = provider.documents["asyncapi.json"]["channels"][channel.name]["messages"]
    described = messages.get(message.name, {})
    if "$ref" in described:
        described = follow(provider, described["$ref"])
    for one in patches:
        drawn = patched(drawn, one, schema=described.get("payload", True), follow=functools.partial(follow, provider))
    return drawn


def follow(provider: Provider, reference: str) -> Any:
    """Return what a `$ref` of a provider's folder leads to."""
    file, _, pointer = reference.partition("#")
    found: Any = provider.documents[file or "openapi.json"]
    for part in pointer.split("/")[1:]:
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def _answers(provider: Provider, operation: Operation) -> Any:
    """Return a schema with all answers of *operation* as branches."""
    described = follow(provider, f"openapi.json#{operation.pointer}")
    branches = []
    for response in described.get("responses", {}).values():
        response = follow(provider, response["$ref"]) if "$ref" in response else response
        branches += [content["schema"] for content in response.get("content", {}).values() if "schema" in content]
    return {"anyOf": branches}


def _marks(operation: Operation, request: Request) -> Marks:
    try:
        return operation.read(request)
    except Exception:  # a request that cannot be read says nothing; it is refused later, where it is judged
        return {}


def _submitted(operation: Operation, request: Request) -> dict[str, Any] | None:
    if operation.verb.name != "submit":
        return None
    marks = _marks(operation, request)
    return {
        name: next((value for value in marks.get(f"task.{name}", ()) if value is not None), None)
        for name in ("inputs", "overrides", "graph")
    }


def _known(marks: Marks) -> dict[str, Any]:
    return {
        name: values[0]
        for name, values in marks.items()
        if name.endswith(".id") and values and isinstance(values[0], str | int)
    }


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool | list | dict)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _set(answer: Answer, name: str, value: str) -> None:
    answer.headers = [pair for pair in answer.headers if pair[0] != name]
    answer.headers.append((name, value))
