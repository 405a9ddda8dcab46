"""machine.json, compiled: the kinds of things, their states, how they wait, what their ids look like.

Refuses steps, delays, kinds and states that do not exist. Whether every state can be reached is `checks.py`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mockserver.provider import conditions, values
from mockserver.provider.documents import Located
from mockserver.provider.model import Delay, Kind, LogLine, Machine, Present, QueueRule, State, Step, Test, Text
from mockserver.provider.values import Names
from mockserver.provider.vocabulary import NODE_STATES, SEEN_STATES, TRIGGERS

BESIDE_KINDS = ("delays", "call", "classes", "$schema")
"""Members of machine.json that are no kinds."""
ALWAYS = ("account", "workflow")
"""Kinds that every provider has, whether its machine.json says more of them or not."""
RELEASED = "task.released"
OWN = (
    "id",
    "states",
    "initial",
    "queue",
    "ready",
    "present",
    "keep",
    "most",
    "open",
    "log",
    "document",
    "barred",
    "checks",
    "x-source",
)


def names_of(file: Located, server: Collection[str]) -> Names:
    """Return which names a folder uses, from its machine.json and its server variables."""
    kinds = [key for key in file if key not in BESIDE_KINDS]
    states = {kind: (*file[kind].get("states", ()), *SEEN_STATES) for kind in kinds if file[kind].get("states")}
    return Names(
        kinds=[*kinds, *(kind for kind in ALWAYS if kind not in kinds)],
        delays=tuple(file.get("delays", ())),
        server=tuple(server),
        states={**states, "node": NODE_STATES},
    )


def compile_machine(file: Located, names: Names) -> Machine:
    """Compile machine.json."""
    delays = {}
    for name, seconds in file.get("delays", {}).items():
        low, high = seconds if isinstance(seconds, list) else (seconds, seconds)
        if low > high:
            raise file["delays"].error(f"goes from {low} down to {high}; the shorter comes first", name)
        delays[name] = Delay(float(low), float(high))
    kinds = {name: _kind(name, entry, names) for name, entry in file.items() if name not in BESIDE_KINDS}
    call = file.get("call")
    call_id = compile_text(call["id"], call, "id", names) if call else None
    return Machine(kinds, delays, call_id, file.get("classes", {}))


def compile_text(source: Any, where: Located, key: str, names: Names) -> Text:
    """Compile a text with `{names}` and facts that stands at *where*/*key*."""
    if not isinstance(source, str):
        raise where.error(f"is {source!r}; a text is needed", key)
    try:
        return values.text(source, names)
    except values.UnknownName as error:
        raise where.error(str(error), key) from None


def _kind(name: str, entry: Located, names: Names) -> Kind:
    states = {state: _state(state, body, entry, names) for state, body in entry.get("states", {}).items()}
    for state in entry.get("ready", ()):
        _known_state(state, states, entry, "ready")
    if isinstance(entry.get("limit"), str):
        try:
            names.value(entry["limit"])
        except values.UnknownName as error:
            raise entry.error(str(error), "limit") from None
    return Kind(
        name=name,
        states=states,
        initial=entry.get("initial"),
        id=_by_root(entry, "id", names),
        queue=_queue(entry["queue"], names) if "queue" in entry else None,
        ready=frozenset(entry["ready"]) if "ready" in entry else None,
        barred=_barred(name, entry, names) if "barred" in entry else None,
        checks={check: _check(name, check, entry["checks"], names) for check in entry.get("checks", ())},
        present=tuple(_present(one, states) for one in entry.get("present", ())),
        keep=entry.get("keep"),
        most=entry.get("most"),
        open=entry.get("open", False),
        log=_log(name, entry, states, names),
        document={
            key: compile_text(source, entry["document"], key, names)
            for key, source in entry.get("document", {}).items()
        },
        options={
            key: _by_root(entry, key, names) if key in ("name", "key") else value
            for key, value in entry.items()
            if key not in OWN
        },
    )


def _log(name: str, entry: Located, states: Collection[str], names: Names) -> Mapping[str, tuple[LogLine, ...]]:
    lines: dict[str, tuple[LogLine, ...]] = {}
    for line in entry.get("log", ()):
        when = None
        if "when" in line:
            try:
                when = conditions.test(line["when"], lambda value: values.getter(value, names), at_hand=name)
            except values.UnknownName as error:
                raise line.error(str(error), "when") from None
        written = LogLine(compile_text(line["text"], line, "text", names), when)
        for event in line["on"]:
            if event != RELEASED and event.removeprefix("task.") not in states:
                known = ", ".join([RELEASED, *(f"task.{state}" for state in states)])
                raise line.error(f"{event!r} is no event that is logged; known: {known}", "on")
            lines[event] = (*lines.get(event, ()), written)
    return lines


def _barred(name: str, entry: Located, names: Names) -> Test:
    try:
        return conditions.test(entry["barred"], lambda value: values.getter(value, names), at_hand=name)
    except values.UnknownName as error:
        raise entry.error(str(error), "barred") from None


def _check(name: str, check: str, checks: Located, names: Names) -> Test:
    try:
        return conditions.test(checks[check], lambda value: values.getter(value, names), at_hand=name)
    except values.UnknownName as error:
        raise checks.error(str(error), check) from None


def _state(name: str, body: Located, entry: Located, names: Names) -> State:
    known = entry["states"]
    steps = {}
    for trigger, step in body.get("on", {}).items():
        if trigger not in TRIGGERS:
            raise body["on"].error(f"{trigger!r} is no trigger; known: {', '.join(sorted(TRIGGERS))}", trigger)
        target = step if isinstance(step, str) else step["target"]
        if target not in known:
            raise body["on"].error(f"leads to {target!r}, which is no state; known: {', '.join(known)}", trigger)
        steps[trigger] = Step(target, "now" if isinstance(step, str) else step.get("at", "now"))
    for delay, target in body.get("after", {}).items():
        if delay not in names.delays:
            listed = ", ".join(names.delays) or "none"
            raise body["after"].error(f"{delay!r} is no delay of this file's 'delays'; known: {listed}", delay)
        if target not in known:
            raise body["after"].error(f"leads to {target!r}, which is no state; known: {', '.join(known)}", delay)
    return State(name, body.get("type") == "final", steps, dict(body.get("after", {})))


def _queue(queue: Located, names: Names) -> QueueRule:
    line, slots, order = queue.get("line"), queue.get("slots", 1), queue.get("order", ())
    if line is not None and line not in names.kinds:
        raise queue.error(f"{line!r} is no kind of machine.json; known: {', '.join(names.kinds)}", "line")
    for name, *place in [*([(slots, "slots")] if isinstance(slots, str) else ()), *((one, "order") for one in order)]:
        try:
            names.value(name)
        except values.UnknownName as error:
            raise queue.error(str(error), *place) from None
    return QueueRule(slots, line, tuple(order))


def _present(one: Located, states: Mapping[str, State]) -> Present:
    if "state" in one:
        _known_state(one["state"], states, one, "state")
    return Present(one.get("id"), one.get("state"), one.get("document", {}))


def _known_state(state: str, states: Collection[str], where: Located, key: str) -> None:
    if state not in states:
        raise where.error(f"{state!r} is no state; known: {', '.join(states)}", key)


def _by_root(entry: Located, key: str, names: Names) -> Mapping[str, Text]:
    source = entry.get(key)
    if source is None:
        return {}
    if isinstance(source, str):
        return {"*": compile_text(source, entry, key, names)}
    return {root: compile_text(one, source, root, names) for root, one in source.items()}
