"""Reading: the same marks, followed the other way.

On a request `x-value` says which value the client gives; reading collects them as `Marks`. Notation, `x-map` and
`contentSchema` are read by the table that writes them. A missing member, or a null one with a `default`, takes the
default; `null` and `""` are no id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mockserver.errors import Refused
from mockserver.provider import notation
from mockserver.provider.documents import Documents, Located
from mockserver.provider.drawing import Drawer
from mockserver.provider.model import NOTHING, Marks
from mockserver.provider.values import is_template

Read = Callable[[Any, Marks], None]
"""Collects the marks of one value; the value is `NOTHING` where the member is missing."""


class Reader:
    """Compiles the schemas of requests of one folder."""

    def __init__(self, documents: Documents, drawer: Drawer) -> None:
        self.documents, self.drawer = documents, drawer
        self._open: set[tuple[str, str]] = set()

    def compile(self, schema: Any) -> Read | None:
        """Compile *schema*; None when nothing beneath it is marked."""
        if not isinstance(schema, Located):
            return None
        key = (schema.file, schema.pointer)
        if key in self._open:
            return None  # a schema that holds itself gives nothing new below itself
        self._open.add(key)
        try:
            return self._compile(self.documents.flat(schema))
        finally:
            self._open.discard(key)

    def _compile(self, schema: Located) -> Read | None:
        reads: list[Read] = []
        if "x-value" in schema:
            reads.append(self._value(schema))
        elif "contentSchema" in schema:
            inside = self._inside(schema)
            if inside is not None:
                reads.append(inside)
        for word in ("oneOf", "anyOf"):
            for branch in schema.get(word, ()):
                read = self.compile(branch)
                if read is not None:
                    reads.append(read)
        members = {name: read for name, sub in schema.get("properties", {}).items() if (read := self.compile(sub))}
        if members:
            reads.append(_members(members))
        parts = [self.compile(part) for part in schema.get("prefixItems", ())]
        if any(parts):
            reads.append(_tuple(parts))
        item = self.compile(schema.get("items"))
        if item is not None:
            reads.append(_items(item, self.documents.flat(schema["items"]).get("x-value")))
        if not reads:
            return None
        read = reads[0] if len(reads) == 1 else _all(reads)
        return _defaulted(read, schema["default"]) if "default" in schema else read

    def _value(self, schema: Located) -> Read:
        name = schema["x-value"]
        if not isinstance(name, str) or is_template(name):
            raise schema.error(f"is {name!r}; what a client gives has one value name", "x-value")
        self.drawer.getter(name, schema, "x-value")
        if "x-map" in schema:
            return _mapped(name, schema["x-map"])
        # Ids are texts inside, whatever the wire calls them.
        convert = notation.as_text if name.endswith(".id") else self.drawer.notation(schema, name).read

        def read(value: Any, marks: Marks) -> None:
            if value is not NOTHING and value is not None and value != "":
                marks.setdefault(name, []).append(convert(value))

        return read

    def _inside(self, schema: Located) -> Read | None:
        inner = self.compile(schema["contentSchema"])
        if inner is None:
            return None
        media, encoding = schema.get("contentMediaType", ""), schema.get("contentEncoding")
        if media == notation.JWT:
            return _token(inner)

        def read(value: Any, marks: Marks) -> None:
            if value is not NOTHING and value is not None:
                inner(notation.read_inside(media, encoding, value), marks)

        return read


def _token(inner: Read) -> Read:
    def read(value: Any, marks: Marks) -> None:
        if not isinstance(value, str) or not value:
            return
        import jwt

        try:
            # Whether the signature is ours is the caller's to check: only it has the secret and the clock.
            opened = jwt.decode_complete(value.removeprefix("Bearer "), options={"verify_signature": False})
        except jwt.InvalidTokenError:
            raise Refused("token-wrong") from None
        inner([opened["header"], opened["payload"]], marks)
        marks.setdefault("token", []).append(value.removeprefix("Bearer "))

    return read


def _mapped(name: str, table: Any) -> Read:
    if (starred := notation.starred(table)) is not None:

        def read_starred(value: Any, marks: Marks) -> None:
            if isinstance(value, str) and value:
                marks.setdefault(name, []).append(starred.read(value))

        return read_starred
    backward: list[tuple[Any, str]] = []
    for value, wires in table.items():
        backward.extend((wire, value) for wire in (wires if isinstance(wires, list) else [wires]))
    truth = {"true": True, "false": False}

    def read(value: Any, marks: Marks) -> None:
        for wire, meant in backward:
            if wire == value and isinstance(wire, bool) == isinstance(value, bool):
                marks.setdefault(name, []).append(truth.get(meant, meant))
                return

    return read


def _members(members: dict[str, Read]) -> Read:
    def read(value: Any, marks: Marks) -> None:
        given = value if isinstance(value, dict) else {}
        for name, read_member in members.items():
            read_member(given.get(name, NOTHING), marks)

    return read


def _tuple(parts: list[Read | None]) -> Read:
    def read(value: Any, marks: Marks) -> None:
        for part, one in zip(parts, value if isinstance(value, list) else (), strict=False):
            if part is not None:
                part(one, marks)

    return read


def _items(item: Read, name: str | None) -> Read:
    def read(value: Any, marks: Marks) -> None:
        if isinstance(value, list):
            if name is not None:
                marks.setdefault(name, [])  # an empty list names nothing, which is not the same as not asking
            for one in value:
                item(one, marks)

    return read


def _all(reads: list[Read]) -> Read:
    def read(value: Any, marks: Marks) -> None:
        for one in reads:
            one(value, marks)

    return read


def _defaulted(read: Read, default: Any) -> Read:
    return lambda value, marks: read(default if value is NOTHING or value is None else value, marks)
