"""The things of a service besides tasks: those present at the start, those clients make, how they change with time.

A thing moves along its kind's steps by triggers and by `after` delays, each an event of the kernel. A kind's things are
made when one of the kind is first asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from mockserver.errors import UserError
from mockserver.provider.model import Json, Kind, Present
from mockserver.world.kernel import Due
from mockserver.world.runs import Runs
from mockserver.world.things import Collection, Thing, reader

MOST_OWNERS = 10_000
"""Accounts that are remembered of those that nobody has declared: one for each key that comes by."""


class Lives:
    """All things of one service, by kind."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._kinds: Mapping[str, Kind] = runs.provider.machine.kinds
        self._things: dict[str, Collection[Thing]] = {}
        self._due: dict[tuple[str, str], Due] = {}
        self._owners: dict[str, Thing] = {}
        self._brought: dict[tuple[str, str, str], Thing] = {}

    def of(self, kind: str) -> Collection[Thing]:
        """Return the things of a kind; those present at the start are made on first use."""
        things = self._things.get(kind)
        if things is None:
            things = self._things[kind] = Collection()
            declared = self._kinds[kind].present if kind in self._kinds else ()
            for present in chain(declared, self._runs.setup.present.get(kind, ())):
                self._make_present(kind, present)
        return things

    def find(self, kind: str, id: str, account: Thing | None = None) -> Thing | None:
        """Return the thing with this id, one that *account* brings before all others.

        Of an open kind any id names one.
        """
        if account is not None and (own := self._own(kind, id, account)) is not None:
            return own
        things = self.of(kind)
        thing = things.get(id)
        known_kind = self._kinds.get(kind)
        if thing is None and (kind in self._runs.setup.open or (known_kind is not None and known_kind.open)):
            thing = Thing(kind, id, 0, document={})
            self._settle(thing, None)
        return thing

    def _own(self, kind: str, id: str, account: Thing) -> Thing | None:
        """Return what the accounts file lists under the plural of a kind: `"pools": {"a": {"ready": false}}`."""
        listed = account.document.get(f"{kind}s")
        if listed is None:
            return None
        declared = self._kinds.get(kind)
        if not isinstance(listed, Mapping) or id not in listed or declared is None:
            return None
        thing = self._brought.get((account.id, kind, id))
        if thing is None:
            thing = Thing(kind, id, 0, document=listed[id], created=self._runs.start, account=account)
            unready = [name for name in declared.states if declared.ready is not None and name not in declared.ready]
            self._settle(thing, next(iter(unready), None) if listed[id].get("ready") is False else None)
            self._brought[account.id, kind, id] = thing
        return thing

    def select(self, kind: str, marks: Mapping[str, Json]) -> Iterator[Thing]:
        """Yield the things of a kind that have all these values (`endpoint#/name` -> what it must be)."""
        for thing in self.of(kind):
            if all(_same(name, thing, value) for name, value in marks.items()):
                yield thing

    def make(
        self, kind: str, document: Mapping[str, Json], *, id: str | None = None, account: Thing | None = None
    ) -> Thing:
        """Make a new thing in its kind's initial state; its id is drawn from the machine's text unless given."""
        return self.add(self.prepare(kind, document, id=id, account=account))

    def prepare(
        self,
        kind: str,
        document: Mapping[str, Json],
        *,
        id: str | None,
        account: Thing | None,
        uses: Mapping[str, Thing] | None = None,
    ) -> Thing:
        """Return a thing as `make` would make it, which does not exist yet."""
        number = self.of(kind).made + 1
        thing = Thing(kind, id or "", number, document=document, created=self._runs.now, account=account)
        thing.uses = uses or {}
        self._complete(thing, id)
        return thing

    def add(self, thing: Thing) -> Thing:
        """Let a prepared thing exist."""
        things = self.of(thing.kind)
        things.number()
        things.add(thing)
        if thing.kind in self._kinds and (initial := self._kinds[thing.kind].initial) is not None:
            self._enter(thing, initial, None)
        return thing

    def owner(self, name: str, document: Mapping[str, Json] | None = None) -> Thing:
        """Return the account known by *name* (a key, a user), made when first seen; its id depends on it alone.

        Of too many the first seen is forgotten; it comes back as the same when it is seen again.
        """
        owner = self._owners.get(name)
        if owner is None:
            accounts = self.of("account")
            declared = accounts.get(name)
            if declared is not None:
                return declared
            if len(self._owners) >= MOST_OWNERS:
                accounts.remove(self._owners.pop(next(iter(self._owners))))
            owner = Thing("account", "", 0, document=document or {}, created=self._runs.now)
            self._complete(owner, None, name)
            accounts.add(owner)
            self._owners[name] = owner
        return owner

    def change(self, thing: Thing, document: Mapping[str, Json]) -> None:
        """Give a thing a new document, and its machine the trigger `change` where its state has that step."""
        thing.document = document
        self.trigger(thing, "change")
        self._runs.refresh_slots(thing)

    def trigger(self, thing: Thing, trigger: str, *, cause: str | None = None) -> bool:
        """Take the step of *trigger*; false where the thing's state has none."""
        kind = self._kinds.get(thing.kind)
        step = kind.states[thing.state].on.get(trigger) if kind is not None and thing.state in kind.states else None
        if step is None:
            return False
        self._enter(thing, step.target, cause)
        return True

    def used(self, thing: Thing) -> bool:
        """Return whether another thing was made with this one."""
        return any(other.uses.get(thing.kind) is thing for things in list(self._things.values()) for other in things)

    def remove(self, thing: Thing) -> bool:
        due = self._due.pop((thing.kind, thing.id), None)
        if due is not None:
            due.cancel()
        return self.of(thing.kind).remove(thing)

    def _make_present(self, kind: str, present: Present) -> None:
        things = self._things[kind]
        thing = Thing(kind, present.id or "", things.number(), document=present.document, created=self._runs.start)
        self._complete(thing, present.id)
        things.add(thing)
        self._settle(thing, present.state)

    def _complete(self, thing: Thing, id: str | None, *name: str) -> None:
        """Draw what the machine's texts say of a new thing: its id, and members of its document."""
        kind = self._kinds.get(thing.kind)
        parts: tuple[str | int, ...] = ("thing", thing.kind, *(name or (thing.number,)))
        at = self._runs.start if thing.created is None else thing.created
        scope = self._runs.text_scope(at, *parts, account=thing.account)
        scope.things = {**scope.things, **thing.uses, thing.kind: thing}
        if kind is not None and kind.document:
            # A stream of their own: one more member moves no id. Each sees those before it, and the id sees all.
            members = self._runs.text_scope(at, *parts, "document", account=thing.account)
            members.things = scope.things
            for member, draw in kind.document.items():
                if member not in thing.document:
                    thing.document = {**thing.document, member: draw(members)}
        text = None if kind is None else kind.id.get("*")
        thing.id = (
            id if id is not None else (text(scope) if text is not None else None) or "-".join(map(str, parts[1:]))
        )

    def _settle(self, thing: Thing, state: str | None) -> None:
        """Put a thing that was there before into its state: it does not first have to become what it is."""
        kind = self._kinds.get(thing.kind)
        if kind is None or kind.initial is None:
            return
        if state is not None and state not in kind.states:
            raise UserError(f"{thing.kind} {thing.id!r} in state {state!r}; known: {', '.join(kind.states)}")
        usual = next((name for name in kind.states if kind.ready is not None and name in kind.ready), kind.initial)
        thing.enter(state or usual, self._runs.start)

    def _enter(self, thing: Thing, state: str, cause: str | None) -> None:
        runs, kind = self._runs, self._kinds[thing.kind]
        thing.enter(state, runs.now)
        facts = {f"{thing.kind}.id": thing.id}
        runs.journal.add(runs.now, runs.provider.name, f"{thing.kind}.{state}", None, facts, cause)
        due = self._due.pop((thing.kind, thing.id), None)
        if due is not None:
            due.cancel()
        for delay, target in kind.states[state].after.items():
            at = runs.now + runs.delay(delay, thing.kind, thing.number, len(thing.reached))
            self._due[thing.kind, thing.id] = runs.kernel.schedule(at, self._aged, (thing, target))
        if kind.keep is not None and kind.states[state].final:
            self._due[thing.kind, thing.id] = runs.kernel.schedule(runs.now + kind.keep, self.remove, thing)

    def _aged(self, subject: tuple[Thing, str]) -> None:
        thing, target = subject
        self._enter(thing, target, None)


def _same(name: str, thing: Thing, value: Json) -> bool:
    return bool(reader(name)(thing) == value)
