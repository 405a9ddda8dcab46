"""Value names and texts with `{names}`, compiled to readers of a `Scope`.

Used for `x-value`, for ids and file names of machine.json, and for the messages of errors.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from mockserver.errors import nearest
from mockserver.provider.scope import Scope
from mockserver.provider.vocabulary import CONDITIONS, FILTERS, FINDINGS, FRESH, THING_VALUES, VALUES, Value

Get = Callable[[Scope], Any]

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
ALPHABETS = {
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "base32": BASE32,
    "base64": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    "digits": "0123456789",
    "letters": "abcdefghijklmnopqrstuvwxyz",
}
FACTS = FINDINGS | {fact for facts in CONDITIONS.values() for fact in facts}
OF_NULL = ("json", "python", "python-type")
"""Filters that write null too."""
_PLACE = re.compile(r"\{([^{}]+)\}")
_DECIMALS = re.compile(r"%\.\d+f")


class UnknownName(ValueError):
    """A name outside the vocabulary; the text says what was found and the nearest that would be right."""


@dataclass(frozen=True)
class Names:
    """Which names are in use in one folder: its kinds, delays, server variables and states."""

    kinds: Collection[str] = ()
    delays: Collection[str] = ()
    server: Collection[str] = ()
    states: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Kind (or `node`) -> the states a condition on it may name; a kind without machine is absent."""

    def value(self, name: str) -> Value:
        """Return what *name* means; raise `UnknownName`."""
        base, hash_sign, pointer = name.partition("#")
        found = self._find(base, bool(hash_sign))
        if found is None:
            known = [*VALUES, *self._thing_names()]
            subjects = sorted({one.partition(".")[0] for one in known})
            hint = nearest(base, known) or f"; names begin with: {', '.join(subjects)}"
            raise UnknownName(f"{name!r} is no value name{hint}")
        if hash_sign and not found.pointer:
            raise UnknownName(f"{name!r}: {base!r} takes no pointer")
        if hash_sign and pointer and not pointer.startswith("/"):
            raise UnknownName(f"{name!r}: a pointer starts with '/'")
        return found

    def _find(self, base: str, pointed: bool) -> Value | None:
        if base in VALUES:
            return VALUES[base]
        subject, _, attribute = base.partition(".")
        if subject == "after" and attribute in self.delays:
            return Value(base, "moment", "after", attribute)
        if subject == "server" and attribute in self.server:
            return Value(base, "text", "server", attribute, "constant", nullable=False)
        if subject not in self.kinds:
            return None
        if not attribute and pointed:
            return Value(base, "json", subject, "document", pointer=True)
        if attribute in THING_VALUES:
            kind = THING_VALUES[attribute]
            return Value(base, kind, subject, attribute, "constant" if attribute != "state" else "free",  # type: ignore[arg-type]  # rows of THING_VALUES
                         attribute == "reached", attribute == "reached")  # fmt: skip
        return None

    def _thing_names(self) -> list[str]:
        names = [f"{kind}.{attribute}" for kind in self.kinds for attribute in THING_VALUES]
        return names + [f"after.{delay}" for delay in self.delays] + [f"server.{name}" for name in self.server]


def getter(name: str, names: Names) -> Get:
    """Compile a value name to its reader; the reader gives None where the world has no such value."""
    value = names.value(name)
    base, _, pointer = name.partition("#")
    get = _getter(value, base)
    return _pointed(get, pointer) if pointer else get


def is_plain(name: str, names: Names) -> bool:
    """Whether a value, less its pointer, is an attribute of its subject: one may write `subject.attribute`."""
    return name.partition("#")[0] not in _SPECIAL and names.value(name).subject not in _SPECIAL_SUBJECTS


def is_thing(subject: str) -> bool:
    """Whether a subject is a kind of things, so that `thing_of` finds it."""
    return subject not in _SUBJECTS and subject not in _SPECIAL_SUBJECTS


def is_template(source: str) -> bool:
    return "{" in source


def text(source: str, names: Names, *, facts: bool = True) -> Get:
    """Compile a text with `{names}`; it renders to None when a name in it has no value.

    Args:
        facts: whether names of facts (`violation.key`) may stand in it besides value names.
    """
    parts = [part if isinstance(part, str) else part.get for part in parts_of(source, names, facts=facts)]
    if all(isinstance(part, str) for part in parts):
        constant = "".join(str(part) for part in parts)
        return lambda scope: constant

    if len(parts) <= 3 and sum(isinstance(part, str) for part in parts) == len(parts) - 1:
        # Most texts hold one name.
        get = next(part for part in parts if not isinstance(part, str))
        before, after = (parts[0], parts[-1])
        return _around(before if isinstance(before, str) else "", get, after if isinstance(after, str) else "")

    def render(scope: Scope) -> str | None:
        rendered = []
        for part in parts:
            if isinstance(part, str):
                rendered.append(part)
                continue
            got = part(scope)
            if got is None:
                return None
            rendered.append(got if isinstance(got, str) else str(got))
        return "".join(rendered)

    return render


class Place(NamedTuple):
    """A `{name}` of a text, or `{name|filter}`."""

    get: Get
    """Gives what stands there, None for no value."""
    bare: str | None
    """The value name that stands there alone; None where it is filtered, drawn by chance or counted."""


def parts_of(source: str, names: Names, *, facts: bool) -> list[str | Place]:
    """Return the parts of a text in order; raise `UnknownName`."""
    parts: list[str | Place] = []
    at = 0
    for match in _PLACE.finditer(source):
        if match.start() > at:
            parts.append(source[at : match.start()])
        place = match[1]
        bare = "|" not in place and place.partition(":")[0] not in FRESH
        parts.append(Place(_place(place, names, facts), place if bare else None))
        at = match.end()
    if at < len(source):
        parts.append(source[at:])
    return parts


def _around(before: str, get: Get, after: str) -> Get:
    def render(scope: Scope) -> str | None:
        got = get(scope)
        return None if got is None else f"{before}{got}{after}"

    return render


def point(document: Any, pointer: str) -> Any:
    """Follow a JSON Pointer; None where it leads nowhere."""
    for raw in pointer.split("/")[1:]:
        key = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(document, Mapping):
            document = document.get(key)
        elif isinstance(document, list | tuple) and key.isdigit() and int(key) < len(document):
            document = document[int(key)]
        else:
            return None
    return document


def _getter(value: Value, base: str) -> Get:
    subject, attribute = value.subject, value.attribute
    special = _SPECIAL.get(base) or _SPECIAL_SUBJECTS.get(subject)
    if special is not None:
        return special(attribute)
    if subject in _SUBJECTS:
        return _attribute_of(_SUBJECTS[subject], attribute)
    return _attribute_of(_thing(subject), attribute)


def _attribute_of(find: Get, attribute: str) -> Get:
    attribute_of = attrgetter(attribute)

    def get(scope: Scope) -> Any:
        subject = find(scope)
        return None if subject is None else attribute_of(subject)

    return get


def _node(scope: Scope) -> Any:
    """Outside a loop: the node being run, or at which the run ended."""
    if scope.node is not None:
        return scope.node
    return None if scope.task is None else scope.task.node


def _file(scope: Scope) -> Any:
    """Outside a loop: the file the verb touched, else the first result of the node that a loop binds, or the task's."""
    if scope.file is not None:
        return scope.file
    if scope.node is not None:
        return next(iter(scope.node.files), None)
    if scope.task is None:
        return None
    # What was only looked at on the way is no result if there is another.
    # Nor is what a node writes without listing it.
    files = sorted(scope.task.files, key=lambda file: (file.ui is None, file.root == "temp"))
    return next(iter(files), None)


def _failure(scope: Scope) -> Any:
    return None if scope.task is None else scope.task.failure


def thing_of(scope: Scope, kind: str) -> Any:
    """Return the thing of a kind that the task uses, else the one in scope; None where there is none."""
    if scope.task is not None:
        used = scope.task.things.get(kind)
        if used is not None:
            return used
    return scope.things.get(kind)


def _thing(kind: str) -> Get:
    return lambda scope: thing_of(scope, kind)


PLAIN_SUBJECTS = (
    *("task", "call", "queue", "link", "error", "problem", "page", "event"),
    *("connection", "preview", "catalogue", "member", "log"),
)
"""Subjects that are what the scope holds under their name; for the others there is a rule where it holds nothing."""
_SUBJECTS: dict[str, Get] = {
    "node": _node,
    "file": _file,
    "failure": _failure,
    **{name: attrgetter(name) for name in PLAIN_SUBJECTS},
}


def _after(delay: str) -> Get:
    return lambda scope: None if scope.call is None else scope.call.at + scope.delays[delay]


def _server(variable: str) -> Get:
    return lambda scope: scope.server.get(variable)


def _plain(_: str) -> Get:
    return lambda scope: None if (file := _file(scope)) is None or scope.links is None else scope.links.plain(file)


def _signed(_: str) -> Get:
    def get(scope: Scope) -> Any:
        file = _file(scope)
        if file is None or scope.links is None:
            return None
        lifetime = scope.link.lifetime
        return scope.links.signed(
            file, lifetime=file.lifetime if lifetime is None else lifetime, process=scope.link.process, at=scope.at
        )

    return get


def _upload(_: str) -> Get:
    def get(scope: Scope) -> Any:
        file = _file(scope)
        if file is None or scope.links is None:
            return None
        return scope.links.upload(file, lifetime=file.lifetime, at=scope.at)

    return get


def _expires(_: str) -> Get:
    def get(scope: Scope) -> Any:
        file = _file(scope)
        lifetime = scope.link.lifetime
        if lifetime is None and file is not None:
            lifetime = file.lifetime
        return None if lifetime is None else scope.at + lifetime

    return get


def _below(_: str) -> Get:
    """The path of a file below the folder that the call asks about."""

    def get(scope: Scope) -> Any:
        file, folder = _file(scope), "" if scope.call is None else scope.call.folder
        return None if file is None else file.path.removeprefix(f"{folder}/")

    return get


def _parts(name: str) -> Get:
    below = _below(name)
    return lambda scope: None if (path := below(scope)) is None else [path, *path.split("/")]


def _changed(_: str) -> Get:
    return lambda scope: scope.changed


_SPECIAL: dict[str, Callable[[str], Get]] = {
    "file.url": _plain,
    "file.link": _signed,
    "file.upload_link": _upload,
    "link.expires": _expires,
    "changed.any": _changed,
    "file.below": _below,
    "file.parts": _parts,
}
_SPECIAL_SUBJECTS: dict[str, Callable[[str], Get]] = {"after": _after, "server": _server}


def _pointed(get: Get, pointer: str) -> Get:
    if pointer.count("/") == 1 and "~" not in pointer:
        key = pointer[1:]

        def member(scope: Scope) -> Any:
            document = get(scope)
            return document.get(key) if type(document) is dict else point(document, pointer)

        return member
    return lambda scope: point(get(scope), pointer)


def _place(source: str, names: Names, facts: bool) -> Get:
    name, _, filter_name = source.partition("|")
    if filter_name and filter_name not in FILTERS and not filter_name.startswith(("or:", "%")):
        raise UnknownName(f"{source!r}: no filter {filter_name!r}; known: {', '.join(sorted(FILTERS))}")
    fresh, _, size = name.partition(":")
    if fresh in FRESH:
        if size and not size.isdigit():
            raise UnknownName(f"{source!r}: {size!r} is no length; {{{fresh}:24}} has one")
        get = _fresh(fresh, size)
    elif facts and name in FACTS and name not in VALUES:
        if filter_name in OF_NULL:
            return _fact_written(name, _FILTERS[filter_name])
        get = _fact(name)
    else:
        get = getter(name, names)
        if facts:
            get = _fact_or(name, get)
    if filter_name.startswith("or:"):
        other = getter(filter_name[3:], names)
        return lambda scope: got if (got := get(scope)) not in (None, "") else other(scope)
    return _filtered(get, filter_name) if filter_name else get


def _fact(name: str) -> Get:
    return lambda scope: scope.facts.get(name)


def _fact_written(name: str, write: Callable[[Any], str]) -> Get:
    """A fact may be null and known, as the value that a client sent in place of a text."""
    return lambda scope: write(scope.facts[name]) if name in scope.facts else None


def _fact_or(name: str, get: Get) -> Get:
    """A refusal may tell of a thing that does not exist (`workflow.id`): what the case says goes first."""
    return lambda scope: scope.facts[name] if name in scope.facts else get(scope)


def _fresh(word: str, size: str) -> Get:
    if word == "counter":
        width = int(size or 1)
        return lambda scope: f"{scope.counter:0{width}}"
    if word == "uuid":
        return lambda scope: _uuid(_stream(scope).text(ALPHABETS["hex"], 32))
    if word == "ulid":
        return _ulid
    if word == "snowflake":
        return lambda scope: str(_snowflake(scope))
    alphabet, length = ALPHABETS[word], int(size or 1)
    return lambda scope: _stream(scope).text(alphabet, length)


def _stream(scope: Scope) -> Any:
    assert scope.call is not None, "fresh text needs a stream of chance"
    return scope.call.chance


def _uuid(digits: str) -> str:
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _ulid(scope: Scope) -> str:
    milliseconds = int(scope.at * 1000)
    stamp = "".join([CROCKFORD[(milliseconds >> shift) & 31] for shift in range(45, -1, -5)])
    return stamp + str(_stream(scope).text(CROCKFORD, 16))


# 2020-02-20 02:20:02 in China, from which the generators count that make ids of 15 digits.
_SNOWFLAKES_SINCE = 1_582_136_402


def _snowflake(scope: Scope) -> int:
    """Number things by time: milliseconds, then 12 bits that count; always rising, since the counter never starts over.

    Source: the two ids of a provider's page; read so, both were made in one evening, and both counts begin with the 5
    with which generators of this kind begin.
    """
    milliseconds = max(0, int((scope.at - _SNOWFLAKES_SINCE) * 1000))
    return (milliseconds << 12) + 5 + scope.counter


def _filtered(get: Get, name: str) -> Get:
    apply = _FILTERS.get(name) or (_number(name) if _DECIMALS.fullmatch(name) else _moment(name))
    return lambda scope: None if (got := get(scope)) is None else apply(got)


def _moment(pattern: str) -> Callable[[Any], str]:
    """Write a moment inside a text, UTC: `{call.at|%Y-%m-%d}`."""
    return lru_cache(maxsize=256)(lambda value: datetime.fromtimestamp(value, UTC).strftime(pattern))


def _number(pattern: str) -> Callable[[Any], str]:
    """Write a number inside a text with so many decimals: `{task.ran|%.2f}`."""
    return lambda value: pattern % value


def _hex(value: Any) -> str:
    return f"{int(value):08x}" if isinstance(value, int | float) else str(value).encode().hex()


def _and(values: Any) -> str:
    quoted = [f"'{value}'" for value in values]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return ", ".join(quoted[:-1]) + f", and {quoted[-1]}"


def _listed(values: Any) -> Iterable[Any]:
    return values if isinstance(values, list | tuple) else (values,)


_FILTERS: dict[str, Callable[[Any], str]] = {
    "lower": lambda value: str(value).lower(),
    "stem": lambda value: str(value).rpartition(".")[0] or str(value),
    "json": lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
    "python": repr,
    "python-type": lambda value: type(value).__name__,
    "hex": _hex,
    "comma": lambda values: ", ".join(str(value) for value in _listed(values)),
    "lines": lambda values: "\n".join(str(value) for value in _listed(values)),
    "flat": lambda value: re.sub(r"[\r\n]+", "", str(value)),
    "and": _and,
}
