"""The judge: takes looks at exchanges in their order, follows tasks, links and clients through them, reports findings.

Bounded: so many tasks are followed at once, so many findings of one rule are kept, so many timelines. What goes beyond
is counted, not kept. A task that nobody speaks of for long is closed as if the recording ended there.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from contracts.conduct import Conduct
from contracts.history import POLLS, History, Point
from contracts.links import Links, as_given
from contracts.model import ASKS, Breach, Counts, Finding, Look, Sight
from contracts.promise import Promise
from contracts.rules import Severity, find

FOLLOWED = 4096
"""Tasks followed at once."""
KEPT_FINDINGS = 200
"""Findings of one rule that are kept; further ones are counted."""
KEPT_TIMELINES = 100
FETCHES = frozenset({"GET", "HEAD"})
LIVELY = 2.0
"""Seconds that clocks may differ."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """How one task went, as far as the traffic says."""

    provider: str
    task: str
    points: tuple[Point, ...]
    findings: int


@dataclass
class Verdict:
    """What came out: the findings, gravest first, and what was judged."""

    findings: list[Finding] = field(default_factory=list)
    totals: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(Rule, severity) -> how many, kept or not."""
    counts: Counts = field(default_factory=Counts)
    timelines: list[Timeline] = field(default_factory=list)

    def count(self, severity: Severity) -> int:
        """Return how many findings are of this severity."""
        return sum(count for (_, grave), count in self.totals.items() if grave == severity)


class Judge:
    """Judges the traffic of one recording; feed it looks in order, then `close` it."""

    def __init__(self, promises: Iterable[Promise], *, file: str = "") -> None:
        self._promises: Mapping[str, Promise] = {promise.name: promise for promise in promises}
        self._file = file
        self._histories: OrderedDict[tuple[str, str], History] = OrderedDict()
        self._links = Links()
        self._conduct = Conduct()
        self._seen: Counter[tuple[str, str]] = Counter()
        self._broken: list[tuple[str, str]] = []
        """Rules that a task's history just broke, and how."""
        self.verdict = Verdict()

    def take(self, look: Look) -> None:
        """Judge one exchange and what it means for those before it."""
        asked, answered, counts = look.asked, look.answered, self.verdict.counts
        counts.exchanges += 1
        counts.assertions += asked.assertions + answered.assertions
        self._seen[look.provider, asked.operation] += 1
        used = self._links.used(look.path, look.query) if look.method in FETCHES else None
        for breach in look.breaches:
            if used is None or breach.rule != "operation-known":
                self._found(look, breach)
        if used is not None:
            for breach in _of_link(look, used.link, used.expires):
                self._found(look, breach, used.task)
        elif answered.breaches:
            for breach in answered.breaches:
                self._found(look, breach)
        for breach in asked.wrong:
            # What was refused did no harm; what was never answered is not known to have been accepted.
            self._found(look, breach._replace(severity="note") if answered.refused else breach)
        for breach in asked.conduct:
            self._found(look, breach)
        promise = self._promises.get(look.provider)
        if promise is None or promise.store:
            return
        for breach in self._conduct.take(look):
            self._found(look, breach)
        if asked.verb == "submit" and not answered.refused:
            self._submitted(look, promise)
        elif asked.verb == "delete" and asked.of == "task" and not answered.refused:
            for history in self._named(look, asked.tasks):
                history.deleted = True
        for sight in look.sights:
            self._tell(look, sight, look.at, POLLS, promise)
        if asked.tasks and asked.verb in ASKS:
            self._asked_for(look)
        if look.feed is not None:
            counts.assertions += len(look.feed)
            self._fed(look, promise)

    def close(self) -> Verdict:
        """End the recording and return the verdict."""
        while self._histories:
            self._end(self._histories.popitem(last=False)[1])
        self.verdict.counts.operations = {f"{provider} {name}": count for (provider, name), count in self._seen.items()}
        order: dict[str, int] = {"error": 0, "warning": 1, "note": 2}
        self.verdict.findings.sort(key=lambda one: (order[one.severity], one.number))
        return self.verdict

    def _submitted(self, look: Look, promise: Promise) -> None:
        ids = {sight.task for sight in look.sights if sight.task is not None} or set(look.asked.tasks)
        for id in ids:
            known = self._histories.get((promise.name, id))
            if known is not None and known.submitted is not None:
                if not look.asked.again:
                    text = f"task {id} was submitted before, by #{known.submitted.number}"
                    self._found(look, Breach("task-id-new", "error", text), id)
                known.submitted = known.left = None  # what became of it can no longer be told
                self._end(self._histories.pop((promise.name, id)))
                known = None
            history = known or self._history(look, id, promise)
            history.submitted = look

    def _tell(self, look: Look, sight: Sight, at: float, source: int, promise: Promise) -> None:
        said = sight.said
        for link in said.links:
            self._links.give(promise.name, sight.task, link)
        if sight.task is None:
            return
        history = self._history(look, sight.task, promise)
        self.verdict.counts.assertions += history.tell(sight, at, look.number, source, self._broken)
        if said.links and look.asked.verb != "submit" and said.states and said.states <= promise.machine.waiting:
            self._broken.append(("results-only-where-allowed", "waits, and has results already"))
        if self._broken:
            self._report(look, history)

    def _asked_for(self, look: Look) -> None:
        """Note that somebody asks for these tasks. A list that names no longer what it once named tells it is gone."""
        asked, answered = look.asked, look.answered
        tells = asked.verb == "list" and not answered.refused and not answered.breaches
        named = [sight.task for sight in look.sights] if tells else ()
        for id in asked.tasks:
            history = self._histories.get((look.provider, id))
            if history is None:
                continue
            history.asked = look.number
            if tells and id in named:
                history.told_by.add(asked.operation)
            elif tells and asked.operation in history.told_by:
                history.forgotten(look.at, self._broken)
                self._report(look, history)

    def _report(self, look: Look, history: History) -> None:
        history.findings += len(self._broken)
        for rule, text in self._broken:
            self._found(look, Breach(rule, find(rule).severity, f"task {history.id} {text}"), history.id)
        self._broken.clear()

    def _fed(self, look: Look, promise: Promise) -> None:
        told: dict[str, History] = {}
        for heard in look.feed or ():
            for sight in heard.sights:
                self._tell(look, sight, heard.at, look.number, promise)
                if sight.task is not None:
                    told[sight.task] = self._history(look, sight.task, promise)
        for id in look.asked.tasks:
            told.setdefault(id, self._history(look, id, promise))
        for history in told.values() if len(told) == 1 else ():  # a feed of many tasks ends when the client ends
            states = history.accounts[look.number].states if look.number in history.accounts else None
            if states is None or not states <= promise.machine.final:
                history.left = look

    def _history(self, look: Look, id: str, promise: Promise) -> History:
        key = (promise.name, id)
        history = self._histories.get(key)
        if history is None:
            history = self._histories[key] = History(promise.name, id, promise.machine, first=look)
            self.verdict.counts.tasks += 1
            if len(self._histories) > FOLLOWED:
                self._end(self._histories.popitem(last=False)[1])
        else:
            self._histories.move_to_end(key)
        return history

    def _named(self, look: Look, tasks: tuple[str, ...]) -> list[History]:
        if not tasks:
            return [one for (provider, _), one in self._histories.items() if provider == look.provider]
        return [one for id in tasks if (one := self._histories.get((look.provider, id))) is not None]

    def _end(self, history: History) -> None:
        if history.submitted is not None and not history.asked and not history.accounts and history.left is None:
            history.findings += 1
            text = f"task {history.id} was submitted and never asked for"
            self._found(history.submitted, Breach("result-never-read", "warning", text), history.id)
        if history.left is not None and not history.ended and history.asked <= history.left.number:
            history.findings += 1
            text = f"the feed of task {history.id} ended before the task did"
            self._found(history.left, Breach("feed-left-early", "warning", text), history.id)
        timelines = self.verdict.timelines
        room = KEPT_TIMELINES if history.findings else KEPT_TIMELINES // 2
        if history.points and len(timelines) < room:
            points = tuple(sorted(history.points, key=lambda point: point.at))
            timelines.append(Timeline(history.provider, history.id, points, history.findings))

    def _found(self, look: Look, breach: Breach, task: str | None = None) -> None:
        totals = self.verdict.totals
        totals[breach.rule, breach.severity] += 1
        if totals[breach.rule, breach.severity] > KEPT_FINDINGS:
            return
        self.verdict.findings.append(
            Finding(
                rule=breach.rule,
                severity=breach.severity,
                text=breach.text,
                provider=look.provider,
                operation=look.asked.operation,
                at=breach.at,
                number=look.number,
                call=look.call,
                task=task or (look.asked.tasks[0] if len(look.asked.tasks) == 1 else None),
                excerpt="\n".join(
                    f"{sign} {part.decode('utf-8', 'replace')}" for sign, part in zip("><", look.excerpt, strict=True)
                ),
                file=self._file,
            )
        )


def _of_link(look: Look, link: str, expires: float | None) -> list[Breach]:
    """Return what is wrong with a fetch of a file by a link that was given."""
    status = look.answered.status
    if not as_given(link, look.path, look.query):
        text = f"given as {link[-160:]}, sent as {look.path}?{look.query}"[:400]
        # Some providers tell clients to decode links, and take them so.
        return [Breach("link-sent-as-given", "error", text)] if status >= 400 else []
    if expires is None or status == 0:
        return []
    if look.at > expires + LIVELY:
        if status < 400:
            return [Breach("link-dies-at-expiry", "error", f"works {look.at - expires:.0f} s after it expired")]
        return [Breach("link-used-after-expiry", "warning", f"is used {look.at - expires:.0f} s after it expired")]
    if look.at < expires - LIVELY and status in (401, 403):
        return [Breach("link-lives-until-expiry", "error", f"is refused {expires - look.at:.0f} s before it expires")]
    return []
