"""What the loader refuses: each row breaks a folder in one way; the text says where, what was found, what would be right."""

# ruff: noqa: E501 (a row reads best on one line)

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mockserver.errors import SchemaFolderError, UserError
from mockserver.provider import check, load

API, FEED, MACHINE, ERRORS, VARIANTS = "openapi.json", "asyncapi.json", "machine.json", "errors.json", "variants.json"
SCHEMAS = "/components/schemas"
INFO = f"{SCHEMAS}/Info"
STATUS = f"{SCHEMAS}/Status"
POLL = "/paths/~1api~1maas~1comfy_task_api~1get_task_info/post"
SUBMIT = "/paths/~1api~1maas~1comfy_task_api~1prompt/post"
CANCEL = "/paths/~1api~1maas~1comfy_task_api~1cancel/post"
UPLOAD = "/paths/~1api~1maas~1comfy_task_api~1upload~1image/post"
SNAPSHOT = "/channels/progress/messages/snapshot"
STATES = "/task/states"
ASSUMED = {"assumed": "for this test only"}
GONE = "<removed>"


def row(file: str, pointer: str, value: Any, says: list[str], *, id: str, at: str | None = None, told: str = "") -> Any:
    """One way to break a folder. *at* is where the refusal points if not at *pointer*; *told* its file if another."""
    return pytest.param(file, pointer, value, told or file, pointer if at is None else at, says, id=id)


def source(**more: Any) -> dict[str, Any]:
    return {"x-source": ASSUMED, **more}


ROWS = [
    # keys and words of the language
    row(API, f"{STATUS}/x-valeu", "task.state", ["'x-valeu'", "near: x-value"], id="unknown key"),
    row(API, f"{STATUS}/x-12345678", 1, ["'x-12345678'", "known: x-does, x-each"], id="unknown key unlike any other"),
    row(FEED, f"{SNAPSHOT}/x-onn", ["said"], ["'x-onn'", "near: x-on"], id="unknown key in the feed"),
    row(API, f"{STATUS}/x-map", {}, ["{}", "wanted: Value -> how it is written"], id="key with a value it cannot hold"),
    row(API, "/x-wire/json", "pretty", ["'pretty'", "compact", "python", "go"], id="unknown habit of JSON"),
    row(API, "/x-wire/gzip", True, ["'gzip'", "known: json, headers"], id="unknown habit of the wire"),
    row(API, f"{SCHEMAS}/Progress/x-value", "task.progres", ["'task.progres'", "near: task.progress"], id="value name"),
    row(API, f"{SCHEMAS}/Progress/x-value", "xyz.abc", ["'xyz.abc'", "names begin with: account"], id="unlike any name"),
    row(API, f"{SCHEMAS}/Progress/x-value", 7, ["7"], id="value name that is no text"),
    row(API, f"{SCHEMAS}/Progress/x-value", "task.id#/x", ["'task.id'", "takes no pointer"], id="pointer into a text"),
    row(API, f"{SCHEMAS}/ErrMsg/x-value", "{task.idd}", ["'task.idd'", "near: task.id"], id="name inside a text"),
    row(API, f"{SCHEMAS}/ErrMsg/x-value", "{task.id|upper}", ["'upper'", "known: and, comma"], id="unknown filter"),
    row(API, f"{SCHEMAS}/ErrMsg/x-value", "{hex:many}", ["'many'", "{hex:24}"], id="length that is no number"),
    row(API, f"{SCHEMAS}/TaskIds/items/x-value", "task.idd", ["near: task.id"], id="value name of a request"),
    row(API, f"{SCHEMAS}/TaskIds/items/x-value", ["task.id"], ["one value name"], id="list of names in a request"),
    row(API, f"{SCHEMAS}/FinalFiles/x-each", "task.filez", ["'task.filez'", "known:", "task.files"], id="collection"),
    row(API, f"{SCHEMAS}/FinalFiles/x-each", "endpoints", ["'endpoints'", "accounts"], id="collection of no kind"),
    row(API, f"{SCHEMAS}/TaskInfos/properties/data/properties/comfy_task_info/items", GONE, ["neither 'items'"],
        at=f"{SCHEMAS}/TaskInfos/properties/data/properties/comfy_task_info/x-each", id="bare loop"),
    row(API, f"{SCHEMAS}/NodeFiles/items/x-when", {"file.rot": ["temp"]}, ["near: file.root"], id="name in a condition"),
    row(API, f"{SCHEMAS}/FinalFiles/items/x-when", {"task.state": ["done"]}, ["'done'", "known: queued"], id="its state"),
    row(API, f"{SUBMIT}/x-does", "submti", ["'submti'", "near: submit"], id="unknown verb"),
    row(API, f"{SUBMIT}/x-does", {"submit": {}, "read": {}}, ["one verb is needed"], id="two verbs"),
    row(API, f"{SUBMIT}/x-does", GONE, ["no x-does", "submit, read"], at=SUBMIT, id="operation without verb"),
    row(API, f"{SUBMIT}/x-does", {"submit": {"order": "task.id"}}, ["'order'", "allowed: again, check"],
        at=f"{SUBMIT}/x-does/submit/order", id="option of another verb"),
    row(API, f"{SUBMIT}/x-does", {"submit": {"wait": {"in": ["done"]}}}, ["'done'", "known: queued"],
        at=f"{SUBMIT}/x-does/submit/wait/in", id="unknown state in an option"),
    row(API, f"{SUBMIT}/x-does", {"submit": {"wait": {"in": ["failed"], "limit": "soon"}}}, ["'soon'", "linger"],
        at=f"{SUBMIT}/x-does/submit/wait/limit", id="unknown delay in an option"),
    row(API, f"{POLL}/x-does", {"list": {"order": "-task.age"}}, ["'task.age'", "near: task."],
        at=f"{POLL}/x-does/list/order", id="unknown value name in an option"),
    row(API, f"{POLL}/x-does", {"list": {"of": "endpoint"}}, ["'endpoint'", "known: task"],
        at=f"{POLL}/x-does/list/of", id="verb of an unknown kind"),
    row(FEED, "/channels/progress/x-does", {"follow": {"close": {"delay": "later", "code": 1000}}}, ["'later'", "linger"],
        at="/channels/progress/x-does/follow/close/delay", id="unknown delay of the feed"),
    row(FEED, f"{SNAPSHOT}/x-on", ["task.done"], ["'task.done'", "known: connected"], id="unknown event"),
    row(FEED, f"{SNAPSHOT}/x-on", ["node.outptu"], ["near: node.output"], id="misspelt event"),
    row(API, f"{SCHEMAS}/Feed/x-on", ["task.runing"], ["'task.runing'", "near: task.running"], id="event of a branch"),
    row(API, f"{SUBMIT}/security", [{"token": []}], ["'token'", "components do not define"], id="unknown credentials"),
    row(API, f"{SUBMIT}/operationId", GONE, ["no operationId"], at=SUBMIT, id="operation without id"),
    # notations
    row(API, f"{SCHEMAS}/Progress/x-value", "task.created", ["does not fit 'task.created'", "date-time, unixtime"],
        at=f"{SCHEMAS}/Progress/format", id="moment as percent"),
    row(API, f"{SCHEMAS}/QueueSize/x-value", "task.created", ["integer with no format", "unixtime"],
        at=f"{SCHEMAS}/QueueSize/type", id="bare moment"),
    row(API, f"{SCHEMAS}/ErrMsg/x-value", "task.finished", ["string with no format"],
        at=f"{SCHEMAS}/ErrMsg/type", id="bare moment as text"),
    row(API, f"{SCHEMAS}/ErrMsg/format", "unixtime", ["'unixtime'", "'failure.message'", "kind text"], id="text as moment"),
    row(API, f"{SCHEMAS}/Progress/format", GONE, ["kind share", "percent"], at=f"{SCHEMAS}/Progress/type", id="whole share"),
    row(API, f"{SCHEMAS}/ErrMsg/type", "boolean", ["boolean", "a string fits"], id="text as boolean"),
    row(API, f"{SCHEMAS}/ExpirePeriod/type", "boolean", ["'link.lifetime'", "kind seconds"], id="notation of a request"),
    row(API, f"{SCHEMAS}/Token/contentMediaType", "text/csv", ["'text/csv'", "application/jwt"], id="unknown inner text"),
    # references, bindings, branches, examples
    row(API, f"{STATUS}/$ref", "#/components/schemas/Statsu", ["where nothing stands", "near: Status"], id="$ref to nothing"),
    row(API, f"{STATUS}/$ref", "schemas.json#/x", ["no file 'schemas.json'", "openapi.json"], id="$ref to no file"),
    row(FEED, f"{SNAPSHOT}/payload/$ref", "openapi.json#/components/schemas/Fed", ["near: Feed"], id="$ref of the feed"),
    row(ERRORS, "/answer", "#/components/responses/Refuse", ["where nothing stands", "near: Refused"], at="/$ref",
        id="answer that is not there"),
    row(API, f"{INFO}/required/8", "owner", ["requires 'owner'", "says what to draw"], at=f"{INFO}/required",
        id="required property that is nowhere"),
    row(API, f"{INFO}/properties/progress_num", {"type": "integer"}, ["nothing says what to draw", "x-value"],
        id="required property that nothing binds"),
    row(API, f"{STATUS}/x-map/running", GONE, ["leaves out a task that is 'running'", "add one"],
        at=f"{POLL}/responses/200", id="state that a list does not show"),
    row(API, f"{STATUS}/x-map/running", 9, ["9", "does not hold: 1, 2"], at=f"{STATUS}/x-map", id="map beyond its enum"),
    row(API, f"{STATUS}/x-map/runing", 2, ["'runing'", "no state of a task"], at=f"{STATUS}/x-map", id="map of no state"),
    row(API, f"{SCHEMAS}/CurrentPosition", source(oneOf=[
            {"x-when": ["queued", "running"], "const": 1}, {"x-when": ["running"], "const": 0}, {"const": 2}]),
        ["two branches claim the state 'running'", "oneOf/0", "oneOf/1"], at=f"{SCHEMAS}/CurrentPosition/oneOf",
        id="state that two branches show"),
    row(API, f"{SCHEMAS}/ErrMsg/default", GONE, ["leaves out a task that is 'queued'"], at=f"{POLL}/responses/200",
        id="required value that may be nothing"),
    row(API, f"{SCHEMAS}/Progress/maximum", 99, ["'succeeded'", "progress_num", "maximum of 99"],
        at=f"{POLL}/responses/200", id="drawn value beyond its own schema"),
    row(API, f"{POLL}/responses/200/content/application~1json/examples/text-to-image/value/code", "zero", ["'zero'"],
        at=f"{POLL}/responses/200/content/application~1json/examples/text-to-image/value", id="example that does not fit"),
    # machine.json
    row(MACHINE, f"{STATES}/paused", source(on={"cancel": "cancelled"}), ["cannot be reached"], id="unreachable state"),
    row(MACHINE, f"{STATES}/failed/on", {"done": "succeeded"}, ["is final, yet"], at=f"{STATES}/failed", id="final, left"),
    row(MACHINE, f"{STATES}/failed/type", GONE, ["never left", '"type": "final"'], at=f"{STATES}/failed", id="dead end"),
    row(MACHINE, f"{STATES}/queued/on/slot", "runing", ["'runing'", "known: queued"], id="step to no state"),
    row(MACHINE, f"{STATES}/queued/on/start", "running", ["'start'", "slot"], at=f"{STATES}/queued/on", id="trigger"),
    row(MACHINE, "/file/states/kept/after", {"retnetion": "gone"}, ["'retnetion'", "known: linger"],
        at="/file/states/kept/after/retnetion", id="unknown delay"),
    row(MACHINE, "/file/states/kept/after/retention", "lost", ["'lost'", "known: kept, gone"], id="delay to no state"),
    row(MACHINE, "/task/initial", "new", ["'new'", "known: queued"], id="initial state that is none"),
    row(MACHINE, "/workflow/ready", ["publishd"], ["'publishd'", "known: published"], id="ready in no state"),
    row(MACHINE, "/workflow/present/0/state", "draft", ["'draft'", "known: published"], id="present in no state"),
    row(MACHINE, "/task/queue/line", "endpoint", ["'endpoint'", "known: task"], id="line of no kind"),
    row(MACHINE, "/task/queue/slots", "workflw#/slots", ["'workflw#/slots'", "near: workflow.id"], id="slots of no value"),
    row(MACHINE, "/task/queue/order", ["task.rank"], ["'task.rank'"], id="order by no value"),
    row(MACHINE, "/task/colour", "red", ["'colour' is no key here", "known: id, name"], id="unknown key of a kind"),
    row(MACHINE, "/task/id", "{nothing.here}", ["'nothing.here'"], id="unknown name in an id"),
    row(MACHINE, "/delays/linger", [5, 1], ["5", "1", "shorter comes first"], id="range that goes down"),
    row(MACHINE, "/delays/linger", -1, ["-1"], id="negative delay"),
    # errors.json
    row(ERRORS, "/refusals/bad-submit/when", GONE, ["'when' is missing", "planned"], at="/refusals/bad-submit",
        id="refusal without condition"),
    row(ERRORS, "/refusals/bad-submit/when", "request-invald", ["'request-invald'", "near: request-invalid", "planned"],
        id="unknown condition"),
    row(ERRORS, "/failures/timed-out/when", "not-json", ["'not-json'", "no condition of failures", "timed-out"],
        id="condition that ends no task"),
    row(ERRORS, "/refusals/bad-submit/when", {"not-json": {"violation.keyword": ["type"]}}, ["'violation.keyword'", "it has"],
        at="/refusals/bad-submit/when/not-json/violation.keyword", id="fact of another condition"),
    row(ERRORS, "/refusals/bad-submit/on", ["promt"], ["'promt'", "near: prompt"], id="refusal on no operation"),
    row(ERRORS, "/refusals/bad-submit/colour", 1, ["'colour' is no key here", "known: when, on"], id="key of a refusal"),
    row(ERRORS, "/refusals/bad-submit/message", "{violation.txt}", ["'violation.txt'"], id="unknown fact"),
    row(ERRORS, "/refusals/bad-submit/message", "{retry.after}", ["draws nothing when 'request-invalid'", "violation.text"],
        at="/refusals/bad-submit", id="fact that its condition does not bring"),
    row(ERRORS, "/refusals/bad-submit/status", 418, ["'prompt'", "418", "they list: 200, 401"], at="/refusals/bad-submit",
        id="status that its operation does not admit"),
    row(ERRORS, "/refusals/bad-submit/code", 0, ["breaks its schema at /body/code"], at="/refusals/bad-submit",
        id="refusal that does not fit its answer"),
    row(ERRORS, "/refusals/unknown-task/when", "task-foreign", ["'task-unknown'", "no refusal of errors.json answers"], at=CANCEL,
        told=API, id="condition that nothing answers"),
    row(ERRORS, "/refusals/bad-upload/when", ["not-multipart"], ["'request-invalid'", "no refusal"], at=UPLOAD, told=API,
        id="violation that nothing answers"),
    row(ERRORS, "/refusals/bad-submit/when", "request-invalid", ["'not-json', 'body-missing'", "no refusal"], at=SUBMIT,
        told=API, id="unreadable body that nothing answers"),
    row(ERRORS, "/refusals/bad-upload/when", ["request-invalid", "body-missing"], ["'not-multipart'"], at=UPLOAD, told=API,
        id="unreadable form that nothing answers"),
    row(ERRORS, "/refusals/unauthorized/when", "credentials-missing", ["'credentials-wrong'", "no refusal"], at=SUBMIT, told=API,
        id="wrong key that nothing answers"),
    row(ERRORS, "/refusals/unknown-workflow/when", "workflow-foreign", ["'workflow-unknown'", "no refusal"], at=SUBMIT, told=API,
        id="unknown workflow that nothing answers"),
    row(ERRORS, "/refusals/bad-token/when", "credentials-missing", ["'token-wrong', 'token-expired'"], told=FEED,
        at="/channels/progress", id="bad token that nothing answers"),
    row(API, f"{CANCEL}/x-does", {"cancel": {}}, ["'task-not-ready'", "no refusal"], at=CANCEL, id="late cancel that nothing answers"),
    row(ERRORS, "/failures", {}, ["is missing, though a task can fail", "node-failed"], id="failure that is none"),
    row(MACHINE, "/workflow", GONE, ["chooses a workflow", 'add {"workflow": {}}'], told=API,
        at=f"{SCHEMAS}/Submit/properties/workflow_id/x-value", id="use of a kind that is none"),
    row(MACHINE, "/file/store", GONE, ["'file.link'", 'add "store": "oss"'], told=API,
        at=f"{SCHEMAS}/NodeFiles/items/x-value", id="links without a store"),
    # the shape of the standard
    row(API, f"{STATUS}/type", "integr", ["'integr' is not"], at=f"{STATUS}/type", id="type that is none"),
    row(API, f"{SUBMIT}/requestBody", "text", ["'text' is not of type 'object'"], id="body that is no object"),
    row(API, f"{SUBMIT}/responses/200", [], ["[] is not of type 'object'"], id="answer that is no object"),
    row(API, f"{SUBMIT}/operationId", {"x": 1}, ["is not of type 'string'"], id="name of an operation that is no text"),
    row(API, f"{SCHEMAS}/Token/contentSchema/prefixItems/0/const", ["HS256"], ["[header, claims]", "alg"],
        at=f"{SCHEMAS}/Token/contentSchema", id="token without an algorithm"),
    row(FEED, "/channels/progress/x-does", {"follow": {"close": 0}}, ["0 is not of type 'object'"],
        at="/channels/progress/x-does/follow/close", id="option of another type"),
    # sources
    row(API, f"{SUBMIT}/x-source", GONE, ["no x-source", "documented", "assumed"], at=SUBMIT, id="unsourced operation"),
    row(API, f"{STATUS}/x-source", GONE, ["no x-source"], at=STATUS, id="unsourced component"),
    row(API, "/components/securitySchemes/key/x-source", GONE, ["no x-source"], at="/components/securitySchemes/key",
        id="unsourced credentials"),
    row(FEED, "/channels/progress/x-source", GONE, ["'x-source' is missing"], at="/channels/progress", id="unsourced channel"),
    row(MACHINE, f"{STATES}/failed/x-source", GONE, ["'x-source' is missing", "assumed"], at=f"{STATES}/failed",
        id="unsourced state"),
    row(ERRORS, "/refusals/no-route/x-source", GONE, ["'x-source' is missing"], at="/refusals/no-route", id="unsourced error"),
    row(VARIANTS, "/cors/readings/allowed/x-source", GONE, ["'x-source' is missing"], at="/cors/readings/allowed",
        id="unsourced reading"),
    row(API, f"{STATUS}/x-source", {"documented": "S1", "assumed": "because"}, ["documented", "wanted: Where a fact"],
        id="both documented and assumed"),
    # variants.json
    row(VARIANTS, "/cors/default", "perhaps", ["'perhaps'", "known: allowed, not-allowed"], id="default that is no reading"),
    row(VARIANTS, "/cors/readings/allowed/patch", {"machine.json": {"delays": {"linger": 2}}}, ["has no patch"],
        id="default with a patch"),
    row(VARIANTS, "/cors/colour", 1, ["'colour' is no key here", "asks"], id="unknown key of a variant"),
    row(VARIANTS, "/cors/readings/not-allowed/patch", {"opnapi.json": {"x": 1}}, ["'opnapi.json'", "asyncapi.json"],
        id="patch of an unknown file"),
    row(VARIANTS, "/cors/readings/not-allowed/patch", {"openapi.json": {"components": {"schemas": {"Statsu": {"minimum": 1}}}}},
        ["/components/schemas/Statsu of openapi.json", "near: Status"],
        at="/cors/readings/not-allowed/patch/openapi.json", id="patch of a place that is not there"),
    row(VARIANTS, "/cors/readings/not-allowed/patch", {"machine.json": {"task": {"queue": {"line": "workflow"}}}},
        ["/task/queue/line of machine.json", "as does /cors/readings/not-allowed"], at="/waiting-line/readings/account",
        id="place that another variant touches"),
    row(VARIANTS, "/cors/readings/not-allowed/patch", {"machine.json": {"task": {"queue": None}}},
        ["/task/queue/line of machine.json", "as does /cors"], at="/waiting-line/readings/account",
        id="place within which another variant touches"),
    row(VARIANTS, "/cors/readings/not-allowed/patch", {"machine.json": {"task": {"states": {"failed": {"type": None}}}}},
        ["never left", "(with the reading cors=not-allowed)"], at=f"{STATES}/failed", told=MACHINE,
        id="reading that does not load"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "pointer", "value", "told", "at", "says"), ROWS)
def test_a_folder_broken_in_one_way_is_refused(
    folder: Path, put: Any, take: Any, file: str, pointer: str, value: Any, told: str, at: str, says: list[str]
) -> None:
    {True: take, False: put}[value == GONE](file, pointer, value)

    with pytest.raises(SchemaFolderError) as refusal:
        check(folder)

    assert (refusal.value.file, refusal.value.pointer) == (told, at), str(refusal.value)
    assert [part for part in says if part not in refusal.value.problem] == [], str(refusal.value)


def test_an_unbroken_folder_loads_with_every_reading(folder: Path) -> None:
    providers = check(folder)

    readings = sum(len(variant.readings) - 1 for variant in providers[0].variants.values())
    assert len(providers) == 1 + readings


@pytest.mark.parametrize("file", [API, FEED, MACHINE, ERRORS, VARIANTS])
def test_broken_json_is_refused_with_its_line(folder: Path, file: str) -> None:
    (folder / file).write_text('{\n  "a": 1,\n  b\n}', "utf-8")

    with pytest.raises(SchemaFolderError, match=rf"{file} at /: is not JSON: .*line 3 column 3"):
        load(folder)


def test_a_file_that_holds_no_object_is_refused(folder: Path) -> None:
    (folder / MACHINE).write_text("[]", "utf-8")

    with pytest.raises(SchemaFolderError, match=r"machine.json at /: is list; an object is needed"):
        load(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / ERRORS).unlink()

    with pytest.raises(SchemaFolderError, match=r"errors.json at /: cannot be read: No such file"):
        load(folder)


def test_a_patch_of_a_file_the_folder_lacks_is_refused(folder: Path) -> None:
    (folder / FEED).unlink()

    with pytest.raises(SchemaFolderError, match=r"there is no file 'asyncapi.json' to patch; the folder has: openapi"):
        check(folder)


def test_no_folder_at_all_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder .*nowhere'; a provider is a folder with openapi.json"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("readings", "says"),
    [
        pytest.param({"corss": "allowed"}, "no variant 'corss'; near: cors", id="unknown variant"),
        pytest.param({"cors": "maybe"}, "no reading 'maybe'; known: allowed, not-allowed", id="unknown reading"),
    ],
)
def test_a_choice_that_the_folder_does_not_have_is_the_users_error(
    folder: Path, readings: dict[str, str], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        load(folder, readings=readings)
