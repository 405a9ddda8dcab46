"""The closed lists of the schema language: value names, verbs, events, conditions and text filters.

A word enters with the first folder that uses it, its test, and its row here. Nothing in this module knows a provider.
A name's *kind* decides which notations fit it; its *trait* is what the judge holds all traffic to.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

ValueKind = Literal["text", "number", "count", "boolean", "state", "moment", "seconds", "share", "json", "bytes"]
Trait = Literal["constant", "grows", "free"]


class Value(NamedTuple):
    """One value name: where it lives in a `Scope` and what it is."""

    name: str
    kind: ValueKind
    subject: str
    """Attribute of `Scope` that must be bound."""
    attribute: str
    trait: Trait = "free"
    pointer: bool = False
    """A JSON Pointer may follow: `task.request#/number`."""
    nullable: bool = True
    """May be without a value in some state of the subject."""


def _table(*rows: str) -> dict[str, Value]:
    """Read rows `name kind [= | ^] [#] [!]`: constant, never falls, takes a pointer, always has a value."""
    table: dict[str, Value] = {}
    for row in rows:
        name, kind, *flags = row.split()
        subject, _, attribute = name.partition(".")
        table[name] = Value(
            name,
            kind,  # type: ignore[arg-type]  # the rows below are the only callers
            subject,
            {"class": "class_type"}.get(attribute, attribute.replace("-", "_")),
            "constant" if "=" in flags else "grows" if "^" in flags else "free",
            "#" in flags,
            "!" not in flags,
        )
    return table


VALUES = _table(
    "call.id text !",
    "call.at moment !",
    "call.operation text !",
    "call.status count",
    "call.query json #",
    "task.id text = !",
    "task.client text =",
    "task.priority number = !",
    "task.extra json =",
    "task.state state !",
    "task.created moment =",
    "task.started moment =",
    "task.finished moment =",
    "task.reached moment = #",
    "task.waited seconds ^ !",
    "task.ran seconds ^",
    "task.estimate seconds =",
    "task.eta seconds",
    "task.progress share ^ !",
    "task.price number",
    "task.position count !",
    "task.ahead count !",
    "task.line count !",
    "queue.waiting count !",
    "queue.total count !",
    "task.graph json = #",
    "task.targets json =",
    "task.request json = #",
    "task.cached json",
    "task.executed json",
    "task.node_ids json =",
    "node.id text !",
    "node.class text !",
    "node.title text !",
    "node.label text",
    "node.state state !",
    "node.step count !",
    "node.steps count !",
    "node.dependents json",
    "node.sampler boolean !",
    "node.sends boolean !",
    "node.shows boolean !",
    "node.text text",
    "node.text_key text",
    "node.inputs json",
    "file.id text",
    "file.name text !",
    "file.folder text !",
    "file.root text !",
    "file.key text !",
    "file.bucket text",
    "file.prefix text",
    "file.label text",
    "file.node text",
    "file.media text !",
    "file.extension text !",
    "file.width count",
    "file.height count",
    "file.size count",
    "file.digest text",
    "file.bytes bytes",
    "file.created moment !",
    "file.given text",
    "file.given_folder text",
    "file.path text !",
    "file.below text",
    "file.parts json",
    "file.directory boolean !",
    "file.ui text",
    "file.url text !",
    "file.link text !",
    "file.upload_link text !",
    "link.lifetime seconds",
    "link.expires moment",
    "link.process json",
    "error.name text !",
    "error.code json !",
    "error.message text",
    "error.details text",
    "error.extra json #",
    "failure.name text !",
    "failure.code json",
    "failure.message text",
    "failure.details text",
    "failure.extra json #",
    "problem.name text !",
    "problem.code json",
    "problem.message text",
    "problem.details text",
    "problem.extra json #",
    "page.limit count",
    "page.offset count",
    "page.cursor text",
    "page.sort text",
    "page.by text",
    "page.total count !",
    "page.more boolean !",
    "changed.any boolean !",
    "catalogue.classes json",
    "member.value json",
    "event.at moment !",
    "event.name text !",
    "event.text text",
    "log.text text !",
    "connection.id text !",
    "connection.said json #",
    "preview.media text !",
    "preview.bytes bytes !",
    # on requests only
    "task.overrides json",
    "task.inputs json",
    "task.front boolean",
    "task.new_seeds boolean",
    "workflow.version text",
    "file.overwrite boolean",
    "file.preview text",
    "file.channel text",
    "selection.all boolean",
    "selection.deep boolean",
    "catalogue.class text",
    "member.key text",
    "file.to text",
    "onto.name text",
    "onto.folder text",
    "onto.root text",
)

THING_VALUES = {"id": "text", "state": "state", "created": "moment", "reached": "moment"}
"""Values of every kind of machine.json: `endpoint.id`, `endpoint.state`, ...; `endpoint#/x` is its document."""

COLLECTIONS = {
    "tasks": "task",
    "task.nodes": "node",
    "task.files": "file",
    "task.shown": "file",
    "node.files": "file",
    "files": "file",
    "task.events": "event",
    "check.nodes": "node",
    "node.problems": "problem",
    "problems": "problem",
    "log.lines": "event",
}
"""Collection -> the subject a loop over it binds. `<kind>s` of machine.json are collections too."""

VERBS = {
    "submit": {"check", "again", "wait", "lenient", "numbers"},
    "read": {"of", "in", "lenient", "id"},
    "list": {"of", "in", "order", "from", "lenient", "root", "folders", "results", "named"},
    "cancel": {"of", "in", "unnamed", "lenient"},
    "delete": {"of", "in", "unnamed", "lenient", "files", "root"},
    "create": {"of", "again"},
    "update": {"of", "answer", "merge"},
    "upload": {"root", "again", "accepts", "folders"},
    "move": {"root", "again"},
    "presign": {"root"},
    "adopt": {"root", "from"},
    "show": set[str](),
    "download": {"root"},
    "follow": {"close", "one-per"},
    "remember": {"only"},
    "uncache": set[str](),
}
"""Verb -> the options it takes."""

EVENTS = {
    "connected",
    "said",
    "logged",
    "queue.changed",
    "task.cached",
    "task.released",
    "task.*",
    "node.started",
    "node.step",
    "node.preview",
    "node.output",
    "node.finished",
    "node.*",
}
"""Event names; besides these, `task.<state>` for each state of the task's machine."""

SEEN_STATES = ("unknown", "foreign")
"""How a thing shows that does not exist, or is someone else's; beside the states of its machine."""

NODE_STATES = ("waiting", "running", "finished", "cached")

TRIGGERS = {"slot", "done", "fail", "cancel", "change"}

CONDITIONS: dict[str, frozenset[str]] = {
    "body-missing": frozenset({"violation.text"}),
    "not-json": frozenset({"violation.text"}),
    "not-multipart": frozenset({"violation.text"}),
    "not-an-image": frozenset({"file.name"}),
    "body-too-large": frozenset({"limit.bytes"}),
    "request-invalid": frozenset(
        {
            "violation.at",
            "violation.in",
            "violation.key",
            "violation.keys",
            "violation.keyword",
            "violation.value",
            "violation.limit",
            "violation.size",
            "violation.count",
            "violation.type",
            "violation.all",
            "violation.text",
            "violation.values",
        }
    ),
    "route-unknown": frozenset({"request.path", "request.method"}),
    "method-unknown": frozenset({"request.path", "request.method"}),
    "too-many-calls": frozenset({"retry.after"}),
    "too-slow": frozenset(),
    "credentials-missing": frozenset({"header.name"}),
    "credentials-wrong": frozenset({"header.name"}),
    "signature-wrong": frozenset({"signature.text", "signature.given", "signature.key"}),
    "clock-skewed": frozenset({"header.name"}),
    "nonce-reused": frozenset({"header.name"}),
    "digest-wrong": frozenset({"header.name"}),
    "token-wrong": frozenset(),
    "token-expired": frozenset(),
    "origin-refused": frozenset(),
    "file-unknown": frozenset({"file.key", "file.name"}),
    "file-outside": frozenset({"file.name"}),
    "file-exists": frozenset({"file.name"}),
    "folder-unknown": frozenset({"file.folder"}),
    "link-expired": frozenset({"link.expired", "link.now"}),
    "process-refused": frozenset({"process.problem", "process.code"}),
    "workflow-invalid": frozenset(
        {"violation.text", "problem.name", "node_id", "class_type", "node_title", "shown", "problems.outputs"}
    ),
    "override-invalid": frozenset({"override.node", "override.input", "override.text"}),
    "version-unknown": frozenset({"workflow.id", "workflow.version"}),
    "node-failed": frozenset({"cause.type", "cause.text"}),
    "input-missing": frozenset({"input.value"}),
    "input-unreadable": frozenset({"input.value"}),
    "out-of-memory": frozenset({"cause.type", "cause.text"}),
    "timed-out": frozenset(),
}
"""Condition -> the facts it comes with. Any kind adds `<kind>-unknown`, `-unnamed`, `-foreign`, `-exists`,
`-not-ready`, `-in-use`, `-barred`, `-full`, `-invalid` with the facts
`<kind>.id` and `<kind>.state`, the last also with `check.name`: which of the kind's `checks` holds."""

NOT_USED = frozenset({"task", "file", "call", "connection", "account"})
"""Kinds that a submit never chooses: they are what it makes, or how it came."""
KIND_CONDITIONS = ("unknown", "unnamed", "foreign", "exists", "not-ready", "in-use", "barred", "full", "invalid")

FAILURES = {
    "node-failed",
    "input-missing",
    "input-unreadable",
    "out-of-memory",
    "timed-out",
    "override-invalid",
    "workflow-invalid",
}
"""Conditions that may end a task rather than answer a call."""

FINDINGS = frozenset(
    {
        "input_name",
        "input_config",
        "input_type",
        "received_value",
        "received_text",
        "received_type",
        "linked_node",
        "limit",
        "choices",
        "custom_text",
        "cycle",
        "cycle_nodes",
        "exception_message",
        "exception_type",
        "traceback",
    }
)
"""Facts of what the graph check finds, beside those of `workflow-invalid`; under the names that ComfyUI gives them."""

FILTERS = {"stem", "lower", "json", "python", "python-type", "hex", "comma", "lines", "flat", "and"}
FRESH = {"hex", "HEX", "base32", "base64", "digits", "letters", "uuid", "ulid", "snowflake", "counter"}
