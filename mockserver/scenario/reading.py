"""Scenario files: text to `Scenario`, or a refusal that says where, what was found and what would be right.

JSON, or YAML read safely: only what JSON can say, no tags, no anchors, no key twice; `no` and `2025-06-01` are texts.
What only a provider can tell (names of operations, channels, errors, variants) is checked by `names`.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mockserver import data
from mockserver.errors import UserError, nearest
from mockserver.provider import conditions
from mockserver.provider.documents import escape
from mockserver.provider.model import Json
from mockserver.scenario.model import (
    UNSET,
    Action,
    AnswerAction,
    Condition,
    Delay,
    FeedAction,
    Limit,
    Moment,
    PatchAction,
    Picks,
    QueueAction,
    Rule,
    Scenario,
    Setting,
    TaskAction,
    When,
    WireAction,
)

if TYPE_CHECKING:
    from jsonschema import ValidationError

MAX_BYTES = 1024 * 1024
"""A hosted graph has some ten kilobytes; a scenario of a megabyte is a mistake."""
ACTIONS = ("task", "queue", "answer", "wire", "feed", "patch")
ENDINGS = (".yaml", ".yml", ".json")

_TOKEN = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD = re.compile("[\t -~\xa0-\xff]*")
_FIELDS = "a header holds one line of Latin-1 text"


class ScenarioError(UserError):
    """A scenario will not do. Nothing of it is in force."""

    def __init__(self, scenario: str, pointer: str, problem: str) -> None:
        super().__init__(f"scenario {scenario!r} at {pointer or '/'}: {problem}")
        self.scenario, self.pointer, self.problem = scenario, pointer, problem


def read(file: Path) -> Scenario:
    """Read a scenario file, JSON by its ending, else YAML.

    Raises:
        ScenarioError: it cannot be read, or will not do.
    """
    return read_both(file)[1]


def read_both(file: Path) -> tuple[Json, Scenario]:
    """Return what a scenario file says, and the scenario made of it; errors as those of `read`."""
    try:
        found = document(file.read_bytes(), file.stem, json_only=file.suffix == ".json")
        return found, make(found, file.stem)
    except ScenarioError as error:
        raise ScenarioError(str(file), error.pointer, error.problem) from None
    except OSError as error:
        raise ScenarioError(str(file), "", f"cannot be read: {error.strerror}") from None


def parse(text: bytes | str, name: str, *, json_only: bool = False) -> Scenario:
    """Read the text of a scenario.

    Raises:
        ScenarioError: it is not JSON or YAML, or will not do.
    """
    return make(document(text, name, json_only=json_only), name)


def document(text: bytes | str, name: str, *, json_only: bool = False) -> Json:
    """Return what the text of a scenario says; raise `ScenarioError` where it is not JSON or YAML."""
    if len(text) > MAX_BYTES:
        raise ScenarioError(name, "", f"has {len(text)} bytes; at most {MAX_BYTES} are read")
    try:
        plain = text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise ScenarioError(name, "", f"is not UTF-8: {error}") from None
    is_json = json_only or plain.lstrip()[:1] == "{"
    from mockserver.scenario import text as texts

    try:
        found: Json = texts.read_json(plain, or_yaml=not json_only) if is_json else texts.read_yaml(plain)
    except texts.Unreadable as error:
        raise ScenarioError(name, "", str(error)) from None
    return found


def make(document: Json, name: str) -> Scenario:
    """Make a scenario of its parsed document.

    Raises:
        ScenarioError: it will not do.
    """
    for pointer, problem in _odd(document):
        raise ScenarioError(name, pointer, problem)
    _judge(document, name)
    rules = []
    places: dict[str, str] = {}
    for index, entry in enumerate(document.get("rules", ())):
        rule = _rule(entry, index, name)
        if rule.id in places:
            raise ScenarioError(name, f"{rule.pointer}/id", f"{rule.id!r} is the id of {places[rule.id]} already")
        places[rule.id] = rule.pointer
        rules.append(rule)
    setting = _setting(document.get("setting", {}), name)
    return Scenario(name=name, about=document.get("about", ""), setting=setting, rules=tuple(rules))


def fail(error: str, *, times: int | None = 1) -> Scenario:
    """Make the short form: the next call it fits, or the next task, meets the error of this name or condition.

    Which of the two it is, only a provider's catalogue tells: rules for both are made, and the one it does not know
    does nothing.
    """
    return Scenario(
        name=f"fail:{error}",
        about=f"Fails with {error}.",
        rules=(
            Rule(id=error, do=AnswerAction(error=error), times=times, pointer="/fail"),
            Rule(id=f"{error}.task", do=TaskAction(outcome="fail", error=error), times=times, pointer="/fail"),
        ),
    )


# the schema


@functools.cache
def meta_schema() -> Any:
    """Return `scenario.schema.json`."""
    return json.loads((data.schemas() / "_meta" / "scenario.schema.json").read_text("utf-8"))


@functools.cache
def _quick() -> Callable[[Json], bool]:
    return conditions.fits(meta_schema())


def _judge(document: Json, name: str) -> None:
    if _quick()(document):
        return
    from jsonschema import Draft202012Validator

    errors = list(Draft202012Validator(meta_schema()).iter_errors(document))
    if not errors:
        return
    errors.sort(key=lambda error: [str(part) for part in error.absolute_path])
    pointer, problem = _told(errors[0])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    raise ScenarioError(name, pointer, problem + more)


def _told(error: ValidationError) -> tuple[str, str]:
    path = list(error.absolute_path)
    if error.validator == "oneOf" and len(path) == 2 and path[0] == "rules":
        entry: Any = error.instance
        found = [word for word in ACTIONS if word in entry]
        said = f"has {' and '.join(found)}" if found else "says not what to do"
        return _pointer(path), f"{said}; a rule needs exactly one of {', '.join(ACTIONS)}"
    error = _nearest(error)
    rule: Any = error.validator_value
    path = list(error.absolute_path)
    if error.validator == "additionalProperties":
        schema: Any = error.schema
        words = schema.get("properties", {})
        instance: Any = error.instance
        unknown = next(key for key in instance if key not in words)
        return _pointer(
            [*path, unknown]
        ), f"is no known word{nearest(unknown, words) or '; known: ' + ', '.join(words)}"
    if error.validator == "enum":
        known = [str(value) for value in rule]
        near = nearest(str(error.instance), known)
        return _pointer(path), f"is {error.instance!r}{near}; known: {', '.join(known)}"
    return _pointer(path), error.message


def _nearest(error: ValidationError) -> ValidationError:
    """Return the error a person would name: of several forms that of the one with the right type."""
    from jsonschema.exceptions import best_match

    while error.context and error.validator in ("anyOf", "oneOf"):
        fitting = [one for one in error.context if not (one.validator == "type" and len(one.path) == 0)]
        error = best_match(fitting) or best_match([error]) or error
        if not fitting:
            break
    return best_match([error]) or error


def _odd(value: Json, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Find what a reader of JSON may let through and no writer of it can send."""
    if isinstance(value, float) and not math.isfinite(value):
        yield pointer, f"{value} is no number of JSON"
    elif isinstance(value, int) and abs(value) >= 2**64:
        yield pointer, "is larger than 64 bits can hold"
    elif isinstance(value, str) and not _is_unicode(value):
        yield pointer, "holds half of a surrogate pair; write the whole character"
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield from _odd(key, f"{pointer}/{escape(ascii(key)[1:-1])}")
            yield from _odd(member, f"{pointer}/{escape(key)}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _odd(member, f"{pointer}/{index}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _pointer(path: Iterable[str | int]) -> str:
    return "".join(f"/{escape(str(part))}" for part in path)


# the values


def _rule(entry: Mapping[str, Any], index: int, name: str) -> Rule:
    pointer = f"/rules/{index}"
    kind = next(word for word in ACTIONS if word in entry)
    said = entry.get("when", {})
    when = _when(said, name, f"{pointer}/when")
    rule = Rule(
        id=entry.get("id", f"rule-{index + 1}"),
        when=when,
        skip=entry.get("skip", 0),
        times=entry.get("times"),
        do=_MAKERS[kind](entry[kind]),
        pointer=pointer,
    )
    for key, problem in _misfits(rule, kind, entry, said):
        raise ScenarioError(name, f"{pointer}/{key}", problem)
    return rule


def _misfits(rule: Rule, kind: str, entry: Mapping[str, Any], said: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Find what the schema cannot see: words that say nothing together."""
    do = rule.do
    if kind == "feed":
        for word in ("operation", "verb", "task"):
            if word in said:
                yield f"when/{word}", f"a feed rule is about connections; use 'channel' instead of {word!r}"
    elif kind != "patch" and "channel" in said:
        yield "when/channel", f"a rule with {kind!r} is about calls; use 'feed' for what happens on a channel"
    elif "channel" in said and rule.when.pointed:
        yield "when/channel", "a call or a connection, not both; make two rules"
    if isinstance(do, QueueAction) and (do.slots is not None or do.reshuffle or not do.ready):
        for word in said:
            if word not in ("provider", "window"):
                yield f"when/{word}", "slots, reshuffle and ready follow the clock alone; use 'provider' and 'window'"
        for word in ("skip", "times"):
            if word in entry:
                yield word, "slots, reshuffle and ready follow the clock alone; use 'window'"
    if isinstance(do, AnswerAction):
        if do.stale and len(entry[kind]) > 1:
            yield "answer/stale", "shows the right answer late; it goes with no other word of an answer"
        if do.facts and do.error is None:
            yield "answer/facts", "facts are for the text of an 'error', which is not given"
        if do.error is None and do.status is None and not do.stale and not do.revoked and do.limit is None:
            yield "answer", "says not what to answer; give 'error' or 'status'"
        for header, value in do.headers.items():
            if not _TOKEN.fullmatch(header):
                yield f"answer/headers/{escape(header)}", "is no name that a header can have"
            if not _FIELD.fullmatch(value):
                yield f"answer/headers/{escape(header)}", f"is {value!r}; {_FIELDS}"
    if isinstance(do, FeedAction) and do.close is not None and not _may_close(do.close[0]):
        problem = (
            f"is {do.close[0]}, which no frame may carry; 1006 cuts the connection, others are 1000 to 1003, 1007 to"
        )
        yield "feed/close/code", f"{problem} 1014 and 3000 to 4999"
    if isinstance(do, WireAction) and do.content_type is not None and not _FIELD.fullmatch(do.content_type):
        yield "wire/content-type", f"is {do.content_type!r}; {_FIELDS}"
    if isinstance(do, TaskAction):
        for word in ("error", "message", "facts", "node"):
            if word in entry[kind] and do.outcome not in ("fail", "out-of-memory"):
                yield f"task/{word}", f"a task that ends in {do.outcome!r} has no failure; use 'outcome': 'fail'"
        if do.at is not None and do.outcome not in ("fail", "out-of-memory", "cancelled"):
            yield "task/at", f"says when it goes wrong, but 'outcome' is {do.outcome!r}"
        if do.nodes and do.progress is not None:
            yield "task/progress", "how evenly it runs is said twice; keep one of nodes and progress"
        if do.lasts is not None and (do.slow is not None or do.nodes):
            yield "task/lasts", "how long it runs is said twice; keep one of lasts, slow and nodes"
    since, until = rule.when.since, rule.when.until
    if since is not None and until is not None and since.absolute == until.absolute and since.seconds >= until.seconds:
        yield "when/window", "it ends before it begins"


def _may_close(code: int) -> bool:
    """Whether a WebSocket may be closed with *code* (RFC 6455, 7.4), or cut."""
    return code in (1000, 1001, 1002, 1003, 1006) or 1007 <= code <= 1014 or code >= 3000


def _when(said: Mapping[str, Any], name: str, pointer: str) -> When:
    window = said.get("window", {})
    return When(
        providers=_names(said, "provider"),
        operations=_names(said, "operation"),
        channels=_names(said, "channel"),
        verbs=_names(said, "verb"),
        picks=_picks(said),
        request=_condition(said, "request", name, pointer),
        task=_condition(said, "task", name, pointer),
        since=_moment(window, "from", name, pointer),
        until=_moment(window, "to", name, pointer),
    )


def _names(said: Mapping[str, Any], word: str) -> frozenset[str] | None:
    given = said.get(word)
    return None if given is None else frozenset([given] if isinstance(given, str) else given)


def _picks(said: Any) -> Picks:
    if said is True:
        return Picks()
    nth = said.get("nth")
    return Picks(
        nth=None if nth is None else frozenset([nth] if isinstance(nth, int) else nth),
        after=said.get("after", 0),
        every=said.get("every", 1),
        share=said.get("share", 1.0),
    )


def _condition(said: Mapping[str, Any], word: str, name: str, pointer: str) -> Condition | None:
    if word not in said:
        return None
    try:
        return conditions.users(said[word])
    except conditions.UnfitSchema as error:
        raise ScenarioError(name, f"{pointer}/{word}{error.pointer}", error.problem) from None


def _moment(window: Mapping[str, Any], word: str, name: str, pointer: str) -> Moment | None:
    given = window.get(word)
    if given is None or isinstance(given, int | float):
        return None if given is None else Moment(float(given))
    return Moment(_unix(given, name, f"{pointer}/window/{word}"), absolute=True)


def _unix(text: str, name: str, pointer: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ScenarioError(
            name, pointer, f"is {text!r}; a moment is ISO 8601, such as '2025-06-01T12:00:00Z'"
        ) from None
    if moment.year >= 3000:
        raise ScenarioError(name, pointer, f"is {text!r}; give a moment before the year 3000")
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _judge_accounts(accounts: Json, name: str) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    schema = json.loads((data.schemas() / "_meta" / "accounts.schema.json").read_text("utf-8"))
    error = best_match(Draft202012Validator(schema).iter_errors(accounts))
    if error is not None:
        raise ScenarioError(name, f"/setting/accounts{_pointer(error.absolute_path)}", error.message)


def _setting(said: Mapping[str, Any], name: str) -> Setting:
    given = said.get("start")
    start = int(_unix(given, name, "/setting/start")) if isinstance(given, str) else given
    accounts = said.get("accounts", [])
    if accounts:
        _judge_accounts(accounts, name)
    keys = [account["key"] for account in accounts]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            raise ScenarioError(name, f"/setting/accounts/{index}/key", f"{key!r} is given already; keys are unique")
    return Setting(
        variants=said.get("variants", {}),
        seed=said.get("seed"),
        start=start,
        slots=said.get("slots"),
        workflows=said.get("workflows", {}),
        accounts=tuple(accounts),
        rate=said.get("rate"),
    )


# the actions


def _task(said: Mapping[str, Any]) -> Action:
    named = "error" in said or "message" in said or "node" in said
    return TaskAction(
        outcome=said.get("outcome", "fail" if named else "succeed"),
        node=said.get("node"),
        at=said["at"] / 100 if "at" in said else None,
        error=said.get("error"),
        message=said.get("message"),
        facts=said.get("facts", {}),
        lost=said.get("lost"),
        slow=said.get("slow"),
        lasts=said.get("lasts"),
        nodes=said.get("nodes", {}),
        results=said.get("results"),
        progress=said.get("progress"),
    )


def _queue(said: Mapping[str, Any]) -> Action:
    return QueueAction(
        ahead=said.get("ahead", 0),
        slots=said.get("slots"),
        reshuffle="reshuffle" in said,
        ready=said.get("ready", True),
    )


def _answer(said: Mapping[str, Any]) -> Action:
    return AnswerAction(
        error=said.get("error"),
        facts=said.get("facts", {}),
        status=said.get("status"),
        headers={key.lower(): value for key, value in said.get("headers", {}).items()},
        body=said.get("body", UNSET),
        limit=_limit(said["limit"]) if "limit" in said else None,
        revoked="credentials" in said,
        stale=said.get("stale", 0.0),
    )


def _limit(said: Mapping[str, Any]) -> Limit:
    ((kind, value),) = said.items()
    return Limit(kind, value) if kind == "quota" else Limit(kind, value["calls"], value["seconds"])


def _wire(said: Mapping[str, Any]) -> Action:
    dribble = said.get("dribble")
    return WireAction(
        refuse="refuse" in said,
        delay=_delay(said),
        dribble=None if dribble is None else (dribble["bytes"], dribble["every"]),
        reset="reset" in said,
        empty="empty" in said,
        truncate=said.get("truncate"),
        malformed="malformed" in said,
        content_type=said.get("content-type"),
        wrong_length=said.get("wrong-length", 0),
        duplicate_keys="duplicate-keys" in said,
        large=said.get("large", 0),
    )


def _delay(said: Mapping[str, Any]) -> Delay | None:
    given = said.get("delay")
    if given is None:
        return None
    if isinstance(given, int | float):
        return Delay(given)
    if "uniform" in given:
        low, high = sorted(given["uniform"])
        return Delay(low, high)
    return Delay(given["lognormal"]["median"], sigma=given["lognormal"]["sigma"])


def _feed(said: Mapping[str, Any]) -> Action:
    close = said.get("close")
    which = {word: _picks(said[word]) for word in ("drop", "duplicate", "swap", "garble") if word in said}
    return FeedAction(
        refuse=said.get("refuse"),
        close=None if close is None else (close["code"], close["after"]),
        delay=_delay(said),
        silence=said.get("silence"),
        unknown_type=said.get("unknown-type"),
        no_close="no-close" in said,
        end_twice="end-twice" in said,
        **which,
    )


def _patch(said: Mapping[str, Any]) -> Action:
    return PatchAction(
        merge=said.get("merge", UNSET),
        set=said.get("set", {}),
        remove=tuple(said.get("remove", ())),
        null_lists="null-lists" in said,
    )


_MAKERS = {"task": _task, "queue": _queue, "answer": _answer, "wire": _wire, "feed": _feed, "patch": _patch}
