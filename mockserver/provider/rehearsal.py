"""The dress rehearsal of a folder: every answer, message and refusal drawn for sample worlds, judged and read back.

What only a look at every state can tell: a state that nothing shows, a required part without a value, a text that names
facts its condition does not bring, a condition that nothing answers, an example that does not fit.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from mockserver.errors import SchemaFolderError
from mockserver.provider.documents import Documents, Located, escape, walk
from mockserver.provider.model import NOTHING, Channel, Operation, Provider, Refusal, Response, Verb
from mockserver.provider.notation import JWT
from mockserver.provider.observing import Observation, Observer
from mockserver.provider.refusals import facts_of_condition
from mockserver.provider.sample import sample_scopes
from mockserver.provider.scope import Scope
from mockserver.provider.validation import Validators
from mockserver.provider.vocabulary import NOT_USED

ELSEWHERE = ("route-unknown", "method-unknown", "origin-refused")
"""Conditions of calls that match no operation, or are refused before one is looked for."""
CERTAIN = {"read": ("unknown",), "cancel": ("unknown",), "update": ("unknown",)}
"""Verb -> conditions of its kind that it raises for certain, when what is asked for is not there."""


def rehearse(provider: Provider, documents: Documents) -> None:
    """Draw whatever can be drawn; raise `SchemaFolderError` where it is not what the folder promises."""
    observer = Observer(provider, documents)
    _check_failures(provider, documents)
    _check_links(provider, documents)
    for operation in provider.operations:
        if operation.verb.of == "task" and operation.verb.name in ("read", "list", "submit"):
            _rehearse_operation(provider, operation, observer)
        _check_answered(provider, operation, documents)
        _check_statuses(provider, operation, documents)
    for channel in provider.channels:
        _rehearse_channel(provider, channel, observer)
        _check_channel_answered(channel, documents)
    for entry in provider.errors.values():
        _rehearse_refusal(provider, entry)
    if all(provider.variants[name].default == reading for name, reading in provider.readings.items()):
        _check_examples(provider, documents)  # the documented examples are those of the default readings


def _rehearse_operation(provider: Provider, operation: Operation, observer: Observer) -> None:
    for state in _states(provider, operation.verb):
        for scope in sample_scopes(provider, operation.verb, state):
            response, drawn = _first_drawn(operation.responses, scope)
            pointer = f"{operation.pointer}/responses"
            if response is None:
                raise SchemaFolderError(
                    "openapi.json",
                    pointer,
                    f"draws nothing for a task that is {state!r}: no branch shows that state, or a required part has "
                    "no value then; add a branch, a default or null",
                )
            pointer += f"/{response.status}"
            violation = response.broken(drawn)
            if violation is not None:
                raise SchemaFolderError(
                    "openapi.json",
                    pointer,
                    f"drawn for a task that is {state!r}, it breaks its own schema at {violation.at}: {violation.text}",
                )
            observe = observer.answer(operation.id, response.status)
            if observe is not None:
                _read_back(observe(drawn), scope.task, "openapi.json", pointer, listed=operation.verb.name == "list")


def _rehearse_channel(provider: Provider, channel: Channel, observer: Observer) -> None:
    pointer = f"/channels/{escape(channel.name)}/messages"
    for message in channel.messages:
        observe = observer.message(channel.name, message.name)
        for state in provider.machine.kinds["task"].states:
            for scope in sample_scopes(provider, channel.verb, state):
                if message.binary or not _concerns(message.on, state) or (message.when and not message.when(scope)):
                    continue
                scope.event = SimpleNamespace(name=f"task.{state}", at=scope.at)
                drawn = message.draw(scope)
                if drawn is NOTHING:
                    raise SchemaFolderError(
                        "asyncapi.json",
                        f"{pointer}/{escape(message.name)}",
                        f"draws nothing for a task that is {state!r}; guard it by x-when, or give what lacks a default",
                    )
                violation = message.broken(drawn)
                if violation is not None:
                    raise SchemaFolderError(
                        "asyncapi.json",
                        f"{pointer}/{escape(message.name)}",
                        f"drawn for a task that is {state!r}, it breaks its schema at {violation.at}: {violation.text}",
                    )
                if observe is not None:
                    _read_back(observe(drawn), scope.task, "asyncapi.json", f"{pointer}/{escape(message.name)}")


def _concerns(events: frozenset[str], state: str) -> bool:
    """Whether a message tells of the moment a task enters *state*, so that it must be drawn then."""
    return f"task.{state}" in events or "task.*" in events


def _rehearse_refusal(provider: Provider, entry: Refusal) -> None:
    """Draw a refusal with the facts of each of its conditions alone."""
    if entry.answer is None:
        return
    response = provider.answers[entry.answer]
    for word in entry.conditions:
        for scope in _refused_scopes(provider, entry, word):
            drawn = NOTHING if response.draw is None else response.draw(scope)
            pointer = f"/refusals/{escape(entry.name)}"
            if response.draw is not None and drawn is NOTHING:
                known = ", ".join(sorted(facts_of_condition(word))) or "none"
                raise SchemaFolderError(
                    "errors.json",
                    pointer,
                    f"its answer {entry.answer} draws nothing when {word!r} is raised: a required part has no value, "
                    f"or a text names what is not known then; facts of {word!r}: {known}",
                )
            violation = response.broken(drawn) if response.draw is not None else None
            if violation is not None:
                raise SchemaFolderError(
                    "errors.json",
                    pointer,
                    f"its answer {entry.answer} breaks its schema at {violation.at}: {violation.text}",
                )


def _refused_scopes(provider: Provider, entry: Refusal, word: str) -> Iterator[Scope]:
    scope = next(sample_scopes(provider, Verb("show", "task", {}), ""))
    scope.facts = {fact: _sample_fact(fact) for fact in facts_of_condition(word)}
    if "task.id" not in scope.facts:
        scope.task = None
    assert scope.call is not None
    scope.call.status = entry.status
    scope.error = SimpleNamespace(
        name=entry.name,
        code=entry.code(scope) if callable(entry.code) else entry.code,
        message=entry.message(scope) if entry.message is not None else None,
        details=entry.details(scope) if entry.details is not None else None,
        extra={fact: scope.facts[fact] for fact in entry.extra if fact in scope.facts},
        problems=(),
    )
    yield scope


def _sample_fact(fact: str) -> Any:
    if fact.endswith((".keys", ".values", ".outputs")):
        return ["sample"]
    numbers = (".after", ".count", ".size", ".bytes", ".expired", ".now")
    return 1 if fact.endswith(numbers) else "sample"


def _first_drawn(responses: tuple[Response, ...], scope: Scope) -> tuple[Response | None, Any]:
    for response in responses:
        if response.draw is None or (response.when is not None and not response.when(scope)):
            continue
        drawn = response.draw(scope)
        if drawn is not NOTHING:
            return response, drawn
    return None, NOTHING


def _read_back(found: list[Observation], task: Any, file: str, pointer: str, *, listed: bool = False) -> None:
    """Refuse an answer from which the judge could not tell task and state."""
    if not found and not listed:
        return  # an answer may say nothing of the task
    about = [one for one in found if one.task in (None, task.id)]
    if not about:
        raise SchemaFolderError(
            file, pointer, f"leaves out a task that is {task.state!r}: no branch or x-map shows that state; add one"
        )
    if not any(task.state in one.states for one in about):
        shown = ", ".join(sorted(about[0].states)) or "none"
        raise SchemaFolderError(
            file, pointer, f"shows a task that is {task.state!r} as if it were in another state; read back: {shown}"
        )


def _states(provider: Provider, verb: Verb) -> list[str]:
    kind = provider.machine.kinds["task"]
    if verb.name == "submit":
        return list(verb.options.get("wait", {}).get("in", [kind.initial or ""]))
    return list(verb.options.get("in") or kind.states)


def _check_answered(provider: Provider, operation: Operation, documents: Documents) -> None:
    """Refuse a condition that a client of an operation can bring about whenever it likes, and that nothing answers."""
    verb = operation.verb
    lenient = verb.options.get("lenient", ())
    raised = [f"{verb.of}-{word}" for word in CERTAIN.get(verb.name, ()) if word not in lenient]
    media = operation.media[0] if operation.media else ""
    if media or _judges_parameters(operation, documents):
        raised.append("request-invalid")
    if media == "multipart/form-data":
        raised.append("not-multipart")
    if media.endswith("json"):
        raised += ["not-json", "body-missing"] if operation.body_required else ["not-json"]
    if operation.security:
        raised += ["credentials-missing", "credentials-wrong"]
    if verb.name in ("cancel", "delete") and not {"final", "other-state"} & {*lenient}:
        # What has ended takes no cancel, and an option `in` leaves states out.
        raised += [f"{verb.of}-not-ready"] if "in" in verb.options or (verb.name, verb.of) == ("cancel", "task") else []
    if verb.name == "submit":
        raised += [f"{kind}-unknown" for kind in _used(provider, operation, documents)]
    _answered([one for one in raised if one not in lenient], operation.refusals, "openapi.json", operation.pointer)


def _check_channel_answered(channel: Channel, documents: Documents) -> None:
    """Refuse a push channel that wants a token, and has no answer to a wrong one."""
    place = documents["asyncapi.json"]["channels"][channel.name]
    query = documents.deref(place.get("bindings", {}).get("ws", {}).get("query", {}))
    if any(documents.deref(part).get("contentMediaType") == JWT for part in walk(query)):
        raised = ("credentials-missing", "token-wrong", "token-expired")
        _answered(raised, channel.refusals, "asyncapi.json", place.pointer)


def _answered(raised: Iterable[str], refusals: Container[str], file: str, pointer: str) -> None:
    unanswered = [one for one in raised if one not in refusals]
    if unanswered:
        told = ", ".join(map(repr, unanswered))
        problem = f"can raise {told}, which no refusal of errors.json answers here; add one with it in 'when'"
        raise SchemaFolderError(file, pointer, problem)


def _used(provider: Provider, operation: Operation, documents: Documents) -> Iterator[str]:
    """Yield the kinds of which a submit names one by its id; refuse one that the machine does not have."""
    seen = set[tuple[str, str]]()
    places: list[Any] = [_place(operation.pointer, documents).get("requestBody", {})]
    while places:
        place = places.pop()
        for part in walk(documents.deref(place)):
            if (part.file, part.pointer) in seen:
                continue
            seen.add((part.file, part.pointer))
            places += [part] if "$ref" in part else []
            kind, _, attribute = str(part.get("x-value", "")).partition(".")
            if attribute != "id" or kind in NOT_USED:
                continue
            if kind not in provider.machine.kinds:
                problem = f"chooses a {kind}, but machine.json has no such kind; add {json.dumps({kind: {}})} to it"
                raise part.error(problem, "x-value")
            if not provider.machine.kinds[kind].open:
                yield kind


def _check_failures(provider: Provider, documents: Documents) -> None:
    """Refuse tasks that can fail, and of whose failure nothing could be told."""
    task = provider.machine.kinds.get("task")
    if task is not None and any("fail" in state.on for state in task.states.values()) and not provider.failures:
        problem = "is missing, though a task can fail; add an entry, with 'node-failed' in its 'when'"
        raise documents["errors.json"].error(problem, "failures")


def _check_links(provider: Provider, documents: Documents) -> None:
    """Refuse addresses of files where no store would answer there."""
    file = provider.machine.kinds.get("file")
    if file is not None and file.options.get("store"):
        return
    for place in walk(documents["openapi.json"]):
        if place.get("x-value") in ("file.url", "file.link", "file.upload_link"):
            problem = (
                f'is {place["x-value"]!r}, but machine.json names no store of files; add "store": "oss" to its "file"'
            )
            raise place.error(problem, "x-value")


def _judges_parameters(operation: Operation, documents: Documents) -> bool:
    """Whether a client can give *operation* a parameter that breaks its schema, or leave out one that it needs."""
    item, method = _place(operation.pointer.rpartition("/")[0], documents), operation.pointer.rpartition("/")[2]
    for one in [*item.get("parameters", ()), *item[method].get("parameters", ())]:
        parameter = documents.deref(one)
        schema = documents.flat(parameter["schema"])
        if schema.get("type") != "string" or any(word in schema for word in ("enum", "pattern", "minLength")):
            return True
        if parameter.get("required") and parameter["in"] != "path":
            return True
    return False


def _place(pointer: str, documents: Documents) -> Any:
    place: Any = documents["openapi.json"]
    for key in pointer.split("/")[1:]:
        place = place[key.replace("~1", "/").replace("~0", "~")]
    return place


def _check_statuses(provider: Provider, operation: Operation, documents: Documents) -> None:
    """Refuse a refusal whose status its operation does not admit."""
    admitted = set(_place(operation.pointer, documents).get("responses", {}))
    for entry in provider.errors.values():
        elsewhere = all(word in ELSEWHERE for word in entry.conditions)
        here = entry.answer is not None and not elsewhere and (entry.on is None or operation.id in entry.on)
        if here and not admitted & {str(entry.status), f"{entry.status // 100}XX", "default"}:
            raise SchemaFolderError(
                "errors.json",
                f"/refusals/{escape(entry.name)}",
                f"answers {operation.id!r} with status {entry.status}, which its responses do not list; they list: "
                f"{', '.join(sorted(admitted))}",
            )


def _check_examples(provider: Provider, documents: Documents) -> None:
    validators = Validators(provider.documents)
    for place in walk(documents["openapi.json"]):
        examples = place.get("examples")
        if not isinstance(place.get("schema"), Located) or not isinstance(examples, Located):
            continue
        broken = validators.broken(place["schema"].here(), rule="example", root="")
        for name, example in examples.items():
            example = documents.deref(example)
            violation = broken(example["value"]) if "value" in example else None
            if violation is not None:
                at = examples.at(name, "value") + violation.at
                raise SchemaFolderError(examples.file, at, f"does not fit the schema beside it: {violation.text}")
