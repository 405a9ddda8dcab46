"""The rules: their ids, how grave a breach is, an example of one, and what to do about it.

The ids are stable: baselines, reports and people refer to them. Where a rule is applied is the business of others; a
finding can be milder than its rule (a bad request that was refused as documented is only a note).

`request-schema`, `answer-schema` and `message-schema` are families: a finding adds the JSON Schema keyword that failed,
as in `answer-schema-required`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mockserver.errors import UserError

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("note", "warning", "error")
"""From mild to grave."""
FAMILIES = ("request-schema", "answer-schema", "message-schema")


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that traffic has to keep."""

    id: str
    severity: Severity
    group: Literal["exchange", "history", "conduct", "outcome"]
    says: str
    example: str
    """A breach, in one line."""
    advice: str


def _rules(*rules: Rule) -> dict[str, Rule]:
    return {rule.id: rule for rule in rules}


RULES = _rules(
    # one exchange
    Rule(
        "operation-known",
        "error",
        "exchange",
        "Each call goes to a path that the provider documents.",
        "GET /v9/tasks -> 200, where no such path is documented",
        "Compare the path with the provider's operations; a note says that it was refused as documented.",
    ),
    Rule(
        "method-known",
        "error",
        "exchange",
        "Each path is called with a method that it documents.",
        "GET /tasks/cancel -> 200, where only POST is documented",
        "Use the documented method.",
    ),
    Rule(
        "credentials-given",
        "error",
        "exchange",
        "A call that needs credentials brings them where they are declared.",
        "POST /prompt without an Authorization header -> 200",
        "Send the key where the security scheme says.",
    ),
    Rule(
        "key-in-url",
        "error",
        "exchange",
        "A key never stands in an address, where logs and proxies keep it.",
        "GET /queue?api_key=sk-...",
        "Send the key in the header that the provider declares.",
    ),
    Rule(
        "request-media",
        "error",
        "exchange",
        "A body is sent as a media type that the operation takes.",
        "POST /prompt with Content-Type: text/plain -> 200",
        "Set Content-Type to one of the documented types.",
    ),
    Rule(
        "request-schema",
        "error",
        "exchange",
        "Parameters, headers and body of a request fit their schema.",
        'POST /prompt {"prompt": []} -> 200, where prompt is an object',
        "Correct the request; a note says that it was refused as documented.",
    ),
    Rule(
        "status-documented",
        "error",
        "exchange",
        "An answer has a status that its operation documents.",
        "POST /prompt -> 418",
        "Treat it as a failure; add it to the folder if the service means it.",
    ),
    Rule(
        "answer-media",
        "error",
        "exchange",
        "An answer has a media type that is documented for its status.",
        "POST /prompt -> 200 text/html",
        "A proxy may have answered: check the type before parsing.",
    ),
    Rule(
        "answer-is-json",
        "error",
        "exchange",
        "An answer that says it is JSON can be parsed.",
        'POST /prompt -> 200 application/json {"code": 0, "da',
        "The answer was cut or garbled: read it again.",
    ),
    Rule(
        "answer-schema",
        "error",
        "exchange",
        "The body of an answer fits its schema.",
        'POST /prompt -> 200 {"code": 0}, where data is required',
        "Compare with the documented answer.",
    ),
    Rule(
        "error-in-catalogue",
        "error",
        "exchange",
        "A refusal bears a code that the catalogue knows at its status.",
        'POST /prompt -> 200 {"code": 77, "msg": "?", "data": null}',
        "Add the code to errors.json if it is real.",
    ),
    Rule(
        "links-well-formed",
        "error",
        "exchange",
        "A link can be sent as it is: percent-encoded, with its scheme.",
        '"final_files": ["//bucket/a b.png"]',
        "Make links absolute and encode their paths.",
    ),
    Rule(
        "message-schema",
        "error",
        "exchange",
        "A message of a feed fits one of the channel's messages.",
        'a frame {"status": "?"}',
        "Compare with the messages in asyncapi.json.",
    ),
    Rule(
        "asked-is-answered",
        "error",
        "exchange",
        "An answer tells of the tasks that were asked for, and of no other.",
        "asked for task A, told of task B",
        "Take the task's id from the answer, not from its place in it.",
    ),
    Rule(
        "answer-agrees-with-itself",
        "warning",
        "exchange",
        "An answer does not contradict itself.",
        "prompt_id names task A, the token beside it task B",
        "Take the id; a printed example may have mixed two runs.",
    ),
    # a task's history
    Rule(
        "state-final-stays-final",
        "error",
        "history",
        "A task that has ended stays as it ended.",
        "task A succeeded, then is running",
        "Stop at the first final state; tell the provider.",
    ),
    Rule(
        "state-step-legal",
        "error",
        "history",
        "A task takes only steps that its machine has.",
        "task A is running, then queued",
        "Check the machine; a queue may take tasks back only if it says so.",
    ),
    Rule(
        "feed-skips-no-state",
        "error",
        "history",
        "A feed that tells every state tells each on the way.",
        "the feed says queued, then succeeded, never running",
        "Do not wait for a state: a message may have been lost.",
    ),
    Rule(
        "progress-never-falls",
        "error",
        "history",
        "The progress of a task never falls.",
        "task A is at 60 %, then at 40 %",
        "Show the highest progress seen.",
    ),
    Rule(
        "value-never-falls",
        "error",
        "history",
        "What only grows (time waited, time run) never falls.",
        "task A ran 12 s, then 9 s",
        "Take the highest value seen.",
    ),
    Rule(
        "value-stays",
        "error",
        "history",
        "What is fixed once it is shown (times, ids, the request) never changes.",
        "task A was created at 10:00, then at 10:05",
        "Keep the first value; tell the provider.",
    ),
    Rule(
        "position-never-grows",
        "error",
        "history",
        "Where tasks wait first-come first-served, no one moves back.",
        "task A is at place 2, then at 5",
        "Show the lowest place seen.",
    ),
    Rule(
        "times-ordered",
        "error",
        "history",
        "A task is created, started and finished in this order.",
        "task A finished at 10:00, started at 10:05",
        "Tell the provider; do not compute durations from these.",
    ),
    Rule(
        "results-only-where-allowed",
        "error",
        "history",
        "Results are shown only in states that have any.",
        "task A waits, and its answer holds a link",
        "Use results only after the task succeeded.",
    ),
    Rule(
        "feed-agrees-with-polling",
        "error",
        "history",
        "What polling tells is never behind what the feed told before.",
        "the feed says succeeded, a later poll says running",
        "Take whichever is further; poll once more.",
    ),
    Rule(
        "task-forgotten",
        "error",
        "history",
        "A task is known for as long as the provider keeps it.",
        "task A is running, then there is no such task",
        "Treat it as lost after a few tries; do not pay twice unasked.",
    ),
    Rule(
        "task-id-new",
        "error",
        "history",
        "Each submit makes a task with an id of its own.",
        "two submits, both answered with task A",
        "Tell the provider.",
    ),
    Rule(
        "link-dies-at-expiry",
        "error",
        "history",
        "A link that has expired is refused.",
        "GET of a link an hour after its expiry -> 200",
        "Tell the provider; never rely on it.",
    ),
    Rule(
        "link-lives-until-expiry",
        "error",
        "history",
        "A link works until it expires.",
        "GET of a link that has 500 s left -> 403",
        "Ask for a fresh link; check that the link was sent as given.",
    ),
    # a client's conduct
    Rule(
        "polls-after-end",
        "warning",
        "conduct",
        "Who has seen the end of a task stops asking the same again.",
        "task A succeeded; the same poll is sent again while its links are alive",
        "Stop at a final state; ask again only for fresh or other links.",
    ),
    Rule(
        "polls-too-fast",
        "warning",
        "conduct",
        "Polls of one task leave the service time to change.",
        "six polls within half a second, nothing changed",
        "Poll every second or slower, or use the feed.",
    ),
    Rule(
        "ignores-retry-after",
        "error",
        "conduct",
        "Who is told to wait waits.",
        "429 with Retry-After: 30, the same call 2 s later",
        "Wait for as long as Retry-After says.",
    ),
    Rule(
        "resubmits-without-looking",
        "error",
        "conduct",
        "A submit whose answer was lost is not sent again unseen.",
        "submit -> no answer; the same submit again",
        "List or ask first: the task may run, and is paid for.",
    ),
    Rule(
        "result-never-read",
        "warning",
        "conduct",
        "What was submitted is asked for.",
        "a task is submitted and never asked for",
        "Follow each task to its end. More traffic may have settled it.",
    ),
    Rule(
        "feed-left-early",
        "warning",
        "conduct",
        "A feed is read until the task has ended.",
        "the connection ends while the task runs, and nobody asks again",
        "Connect again, or poll, until the end.",
    ),
    Rule(
        "link-sent-as-given",
        "error",
        "conduct",
        "A link is used exactly as it was given.",
        "given .../a%2Fb.png?Signature=x%3D, sent .../a/b.png?Signature=x%3D",
        "Hand the text to the HTTP client untouched; decoding breaks the signature.",
    ),
    Rule(
        "link-used-after-expiry",
        "warning",
        "conduct",
        "A link is used while it is alive.",
        "GET of a link 20 min after it was given for 10",
        "Ask for the task again: that gives fresh links.",
    ),
    Rule(
        "field-undocumented",
        "warning",
        "conduct",
        "A request holds only what somebody documents.",
        'POST /prompt {"workflow_id": ..., "promt": {}}',
        "Check the spelling; services pass over what they do not know.",
    ),
    Rule(
        "overrides-not-workflow",
        "error",
        "conduct",
        "Overrides are new inputs by node, not the exported workflow.",
        'prompt: {"3": {"class_type": "KSampler", "inputs": {...}}}',
        "Send only the inputs that change.",
    ),
    Rule(
        "overrides-not-ranges",
        "error",
        "conduct",
        "Overrides are values, not the table of parameters and ranges.",
        'prompt: {"3": {"inputs": {"steps": {"type": "INT", "spec": {}}}}}',
        "Send values that lie in the ranges.",
    ),
    Rule(
        "override-known",
        "error",
        "conduct",
        "Overrides name nodes and inputs that the workflow has.",
        "inputs of node 99, which the workflow lacks",
        "Look the ids up in the workflow's parameters.",
    ),
    Rule(
        "override-in-range",
        "error",
        "conduct",
        "Overrides lie in the range of their input.",
        "steps: 20000, where 10000 is the most",
        "Keep to the ranges of the workflow's parameters.",
    ),
    # what a client makes of it, seen in exploration only
    Rule(
        "client-ends",
        "error",
        "outcome",
        "A client ends in bounded time, whatever happens.",
        "the task never ends, and the client polls for ever",
        "Set a deadline of your own.",
    ),
    Rule(
        "client-crashes",
        "error",
        "outcome",
        "A client fails with an error of its own, not by a blunder.",
        "TypeError: 'NoneType' object is not iterable",
        "Check what an answer holds before using it.",
    ),
    Rule(
        "success-is-told",
        "error",
        "outcome",
        "A client gets the result of a task that succeeds, if faults pass.",
        "one poll is answered 502, and the client gives up",
        "Repeat what may be repeated, a few times.",
    ),
    Rule(
        "failure-is-told",
        "error",
        "outcome",
        "Every failure surfaces as an exception.",
        "the task fails, and the client returns an empty list",
        "Raise when there is no result.",
    ),
    Rule(
        "error-is-told",
        "error",
        "outcome",
        "An exception tells what the provider said.",
        "out of memory, and the client says: generation failed",
        "Put the provider's code and text into the error.",
    ),
    Rule(
        "results-are-right",
        "error",
        "outcome",
        "What a client returns is the whole result, of the right task.",
        "the download breaks off, and the client returns half a picture",
        "Compare lengths, and decode before storing.",
    ),
)


def find(id: str) -> Rule:
    """Return the rule with this id, or the family it belongs to.

    Raises:
        UserError: there is none.
    """
    if id in RULES:
        return RULES[id]
    for family in FAMILIES:
        if id.startswith(f"{family}-"):
            return RULES[family]
    near = difflib.get_close_matches(id, RULES, 3)
    raise UserError(f"no rule {id!r}; {'near: ' if near else 'known: '}{', '.join(near or RULES)}")


def explain(id: str) -> str:
    """Return what a person should know of a rule."""
    rule = find(id)
    return (
        f"{id} ({rule.severity}, {rule.group})\n\n{rule.says}\n\nExample of a breach: {rule.example}\n\n{rule.advice}\n"
    )


def catalogue() -> Iterator[str]:
    """Yield the lines of the catalogue as Markdown; the README holds them."""
    titles = {
        "exchange": "One exchange",
        "history": "A task's history",
        "conduct": "A client's conduct",
        "outcome": "What a client makes of it (exploration only)",
    }
    for group, title in titles.items():
        yield from ("", f"### {title}", "", "| rule | severity | says | a breach |", "|---|---|---|---|")
        for rule in RULES.values():
            if rule.group == group:
                cells = (f"`{rule.id}`", rule.severity, rule.says, rule.example)
                yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
