"""Random walks through a server, by Hypothesis: what an answer names is asked for, followed, fetched, cancelled.

The model is what was observed: the things that answers have named, each by the values that its marks tell. A walk is
judged when it ends; what breaks the contract is cut down to the calls that it takes, without sending anything again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Flaky, FlakyFailure
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from contracts import prompts
from contracts.exchanges import Examiner
from contracts.judging import Verdict
from contracts.links import expiry
from contracts.verify.drafts import PICTURE, TOKEN, Call, Drafts, allowed_of
from contracts.verify.target import Sent, Target
from mockserver.errors import Refused
from mockserver.provider.model import Operation, Request
from mockserver.provider.notation import Unreadable, open_token

Json = Any
Thing = dict[str, Json]
"""Something that an answer named, a task or a file: value name -> what was told of it."""
STEPS = 16
LONGEST = 4000.0
"""Seconds that a walk waits for a link to expire, at most."""
RUN = 120.0
"""Seconds in which a small task usually ends."""
GRAPH = "task.graph"


@dataclass
class Verified:
    """What came out: the verdict on all traffic, and for the first breach the shortest way to it."""

    verdict: Verdict
    sent: int = 0
    submitted: int = 0
    walks: int = 0
    shortest: list[Sent] = field(default_factory=list)


def verify(
    target: Target,
    *,
    max_tasks: int = 5,
    walks: int = 20,
    real: bool = False,
    submits: Sequence[Json] = (),
    seed: int = 0,
) -> Verified:
    """Verify the server that *target* leads to; stop at the first breach, with the shortest way to it.

    Args:
        max_tasks: submits that may be accepted, in all.
        walks: random walks to try.
        real: the server is not on this machine; only tasks and files are touched.
        submits: bodies of submits that this server takes, instead of the documented ones.
        seed: other walks for another number.
    """
    drafts = Drafts(target.promise, submits=submits)
    starting = {call.operation for call in drafts.submits()}
    result = Verified(Verdict())
    for call in [*drafts.examples(real=real), *drafts.spoiled(real=real)]:
        if call.operation in starting and result.submitted >= max_tasks:
            continue
        target.begin()
        target.send(call)
        if _concluded(result, target):
            return result
    return walk(target, result, max_tasks=max_tasks, walks=walks, real=real, submits=submits, seed=seed)


def walk(
    target: Target,
    result: Verified | None = None,
    *,
    max_tasks: int = 5,
    walks: int = 20,
    real: bool = False,
    submits: Sequence[Json] = (),
    seed: int = 0,
) -> Verified:
    """Take the walks of `verify` alone; add to *result*, and return it. Arguments are those of `verify`."""
    drafts = Drafts(target.promise, submits=submits)
    result = result or Verified(Verdict())
    _walk(target, drafts, result, max_tasks=max_tasks, walks=walks, real=real, seed=seed)
    return result


def _walk(
    target: Target, drafts: Drafts, result: Verified, *, max_tasks: int, walks: int, real: bool, seed: int
) -> None:
    promise, clock = target.promise, target.clock
    submits = drafts.submits()
    examiner = Examiner([promise, *target.stores], chosen=promise.name)
    known = [one for one in promise.provider.operations if allowed_of(one, real=real)]
    submitting = {one.id: one for one in known if one.verb.name == "submit"}
    naming = [one for one in known if one.id not in submitting and drafts.marks[one.id] & {"task.id", "file.name"}]
    reading = [one for one in naming if one.verb.name in ("read", "list") and "task.id" in drafts.marks[one.id]]
    asking = [one for one in known if one.verb.name in ("list", "show") and one not in naming]
    giving = [one for one in known if one.verb.name in ("upload", "presign", "adopt")]
    graphs = st.one_of(st.none(), prompts.workflows(), prompts.slips().map(lambda slip: slip.graph))

    share = max(1, max_tasks // max(1, walks))
    """Tasks that one walk may submit: all walks have theirs, as far as they go round."""
    earlier: list[Thing] = []
    """Tasks of all walks, for those that may submit none any more."""

    class Walk(RuleBasedStateMachine):
        """Steps have no preconditions: what is not possible yet does nothing, so that the same draws mean the same."""

        def __init__(self) -> None:
            super().__init__()
            target.begin()
            self.tasks: list[Thing] = []
            self.files: list[Thing] = []
            self.links: dict[str, None] = {}
            self.uploads: dict[str, None] = {}
            self.accepted = 0

        def send(self, call: Call) -> None:
            """Send a call and learn what its answer names."""
            target.send(call)
            exchange = target.steps[-1].exchange
            assert exchange is not None
            look = examiner.look(exchange)
            if look.answered.refused:
                return
            if look.asked.verb == "submit":
                self.accepted += 1
                named = next((sight.task for sight in look.sights if sight.task), None)
                if named is not None:
                    self.tasks.append({"task.id": named, **_client(target), **_token(target)})
                    earlier.append(self.tasks[-1])
            for sight in look.sights:
                self.files.extend(_files(sight.said.values))
                self.links.update(dict.fromkeys(sight.said.links))
            if look.asked.verb == "presign":
                self.uploads.update(dict.fromkeys(_addresses(target.steps[-1].answer)))

        @initialize(place=st.integers(0, 7), graph=graphs)
        def begin(self, place: int, graph: Json) -> None:
            self._submit(place, graph)
            self.tasks = self.tasks or earlier[-3:]

        @rule(place=st.integers(0, 7), graph=graphs)
        def submit(self, place: int, graph: Json) -> None:
            self._submit(place, graph)

        def _submit(self, place: int, graph: Json) -> None:
            if not submits or result.submitted + self.accepted >= max_tasks or self.accepted >= share:
                return
            call = submits[place % len(submits)]
            given = {"task.id": str(uuid4()), "task.client": uuid4().hex, GRAPH: graph}
            marks = drafts.marks[call.operation]
            own = {name: value for name, value in given.items() if name in marks and value is not None}
            self.send(_saying(drafts, submitting[call.operation], call, own))

        @rule(place=st.integers(0, 31), which=st.integers(0, 3))
        def use(self, place: int, which: int) -> None:
            """Ask for a task, cancel it, read its results: whatever takes its id."""
            if self.tasks:
                self._use(place, self.tasks[which % len(self.tasks)])

        @rule(place=st.integers(0, 31), which=st.integers(0, 3))
        def finish(self, place: int, which: int) -> None:
            """Ask for a task while it runs and when it has ended, and fetch a result."""
            if self.tasks:
                marks = self.tasks[which % len(self.tasks)]
                for seconds in (1.0, 5.0, 5.0, RUN):
                    target.wait(seconds)
                    self._use(place, marks, reading)
                self.fetch(which)

        @rule(place=st.integers(0, 31), which=st.integers(0, 3))
        def fetch_by_name(self, place: int, which: int) -> None:
            if self.files:
                self._use(place, self.files[which % len(self.files)])

        @rule(place=st.integers(0, 31), seed=st.integers(0, 999))
        def use_unknown(self, place: int, seed: int) -> None:
            """The same of a task that does not exist."""
            id = str(self.tasks[0]["task.id"]) if self.tasks else "7c5f0000-0000-4000-8000-000000000000"
            self._use(place, {"task.id": f"{id[: max(1, len(id) - 3)]}{seed:03}", "file.name": f"none-{seed}.png"})

        def _use(self, place: int, marks: dict[str, Json], among: Sequence[Operation] = naming) -> None:
            fitting = [one for one in among if drafts.marks[one.id] & marks.keys()]
            if fitting:
                call = drafts.draft(fitting[place % len(fitting)], marks)
                if call is not None:
                    self.send(call)

        @rule(place=st.integers(0, 31))
        def ask(self, place: int) -> None:
            call = drafts.draft(asking[place % len(asking)], {}) if asking else None
            if call is not None:
                self.send(call)

        @rule(place=st.integers(0, 7))
        def upload(self, place: int) -> None:
            known = {"file.name": "verify.png", "file.link": next(iter(self.links or self.uploads), None)}
            marks = {name: one for name, one in known.items() if one}
            call = drafts.draft(giving[place % len(giving)], marks) if giving else None
            if call is not None:
                self.send(call)

        @rule(which=st.integers(0, 3))
        def put(self, which: int) -> None:
            """Use a link that was given for an upload."""
            for link in list(self.uploads)[which : which + 1]:
                self.send(Call("", "PUT", link, raw=PICTURE, headers={"content-type": "image/png"}))

        @rule(which=st.integers(0, 7))
        def fetch(self, which: int) -> None:
            if self.links:
                self.send(Call("", "GET", list(self.links)[which % len(self.links)]))

        @rule(place=st.integers(0, 31), which=st.integers(0, 7))
        def fetch_after_expiry(self, place: int, which: int) -> None:
            if not clock.by_hand:
                return
            if not self.links:
                self.finish(place, which)
            if not self.links:
                return
            link = list(self.links)[which % len(self.links)]
            ends = expiry(link.partition("?")[2])
            if ends is not None and ends - clock.now() < LONGEST:
                target.wait(max(0.0, ends - clock.now()) + 5)
                self.send(Call("", "GET", link))

        @rule(place=st.integers(0, 3), which=st.integers(0, 3))
        def follow(self, place: int, which: int) -> None:
            """Read a task's feed to its end."""
            channels = promise.provider.channels
            if not self.tasks or not channels:
                return
            channel = channels[place % len(channels)]
            path = drafts.feed(channel, self.tasks[which % len(self.tasks)])
            if path is not None:
                target.follow(path)

        @rule(seconds=st.sampled_from([1.0, 10.0, 60.0]))
        def wait(self, seconds: float) -> None:
            target.wait(seconds)

        def teardown(self) -> None:
            result.walks += 1
            if not result.shortest:
                assert not _concluded(result, target)

    chosen = settings(
        max_examples=max(walks, 1),
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    try:
        if walks:
            run_state_machine_as_test(seeded(seed)(Walk), settings=chosen)
    except (AssertionError, Flaky, FlakyFailure):
        if not result.shortest:
            raise


def _concluded(result: Verified, target: Target) -> bool:
    """Add a walk to the result; say whether it broke the contract."""
    verdict = target.judged()
    result.sent = target.sent
    result.submitted += _accepted(target)
    result.verdict.counts.add(verdict.counts)
    if not verdict.findings:
        return False
    result.shortest = shortened(target, verdict.findings[0].rule)
    kept = target.judged(result.shortest)
    result.verdict.findings[:] = kept.findings
    result.verdict.totals.clear()
    result.verdict.totals.update((one.rule, one.severity) for one in kept.findings)
    return True


def shortened(target: Target, rule: str) -> list[Sent]:
    """Return the fewest steps of a walk in which *rule* is broken all the same: each is left out that can be.

    A step that says what an earlier answer told needs the step that was so answered. Waits stay between what stays.
    """
    steps = list(target.steps)

    def broken(some: Sequence[Sent]) -> bool:
        return any(one.rule == rule for one in target.judged(some).findings)

    for step in reversed(list(steps)):
        if isinstance(step.what, float):
            continue
        left = [one for one in steps if one is not step]
        if not any(_needs(one, step, steps) for one in left) and broken(left):
            steps = left
    while steps and isinstance(steps[0].what, float):
        del steps[0]
    while steps and isinstance(steps[-1].what, float):
        del steps[-1]
    return steps


def _needs(one: Sent, other: Sent, steps: Sequence[Sent]) -> bool:
    """Whether *one* says something that only the answer to *other* could have told."""
    if steps.index(one) <= steps.index(other):
        return False
    said = repr(one.what)
    earlier = [step for step in steps[: steps.index(one)] if step is not other]
    return any(text in said and not any(text in repr(step.answer) for step in earlier) for text in _texts(other.answer))


def _texts(answer: Json) -> Iterator[str]:
    """Yield the texts of an answer that look like names of something."""
    if isinstance(answer, dict | list):
        for one in answer.values() if isinstance(answer, dict) else answer:
            yield from _texts(one)
    elif isinstance(answer, str | int) and not isinstance(answer, bool) and len(str(answer)) >= 8:
        yield str(answer)


def _accepted(target: Target) -> int:
    examiner = Examiner([target.promise], chosen=target.promise.name)
    looks = [examiner.look(one.exchange) for one in target.steps if one.exchange is not None]
    return sum(look.asked.verb == "submit" and not look.answered.refused for look in looks)


def _token(target: Target) -> dict[str, str]:
    """Return a token that the last answer holds."""
    for text in _texts(target.steps[-1].answer):
        try:
            open_token(text)
        except Unreadable:
            continue
        return {TOKEN: text}
    return {}


def _client(target: Target) -> dict[str, str]:
    """Return the id that the client gave itself in the last call."""
    exchange = target.steps[-1].exchange
    assert exchange is not None
    operation = next(one for one in target.promise.provider.operations if one.id == exchange.operation)
    try:
        marks = operation.read(Request(exchange.method, {}, [], {}, json.loads(exchange.request_body)))
    except (Refused, Unreadable, ValueError):
        return {}
    return {"task.client": str(marks["task.client"][0])} if marks.get("task.client") else {}


def _files(values: dict[str, Any]) -> Iterator[Thing]:
    names = values.get("file.name")
    for place, name in enumerate(names if isinstance(names, list) else []):
        marks: Thing = {"file.name": name}
        for mark in ("file.folder", "file.root"):
            listed = values.get(mark)
            if isinstance(listed, list) and len(listed) == len(names or ()):
                marks[mark] = listed[place]
        yield marks


def _addresses(answer: Json) -> Iterator[str]:
    return (text for text in _texts(answer) if text.startswith(("http://", "https://")) and "?" in text)


def _saying(drafts: Drafts, operation: Operation, call: Call, own: dict[str, Json]) -> Call:
    """Return a submit that says these values, by their marks, in place of its own."""
    held = drafts.draft(operation, own)
    if held is None or not isinstance(call.body, dict) or not isinstance(held.body, dict):
        return call
    members = {name: value for name, value in held.body.items() if value in own.values()}
    return replace(call, body={**call.body, **members})
