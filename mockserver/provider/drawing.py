"""Drawing: a schema compiled to the template it is.

Drawing gives a value or `NOTHING`. A schema draws by the first it has of `const`, `oneOf`/`anyOf`, `contentSchema`,
`x-value`, `x-each`, `prefixItems`, `properties`; where that gives nothing, `default` stands in, else `null` if the type
allows it. All other JSON Schema keywords only judge. See `schemas/README.md`, which is the reference of the language.

A compound schema that is referred to becomes a function; what stands inside it is written out in place. Each
`_write_...` method writes the statements that leave what its kind of schema draws in the local named `to`.
"""

from __future__ import annotations

import hmac
import math
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from mockserver.errors import nearest
from mockserver.provider import conditions, notation
from mockserver.provider.documents import Documents, Located
from mockserver.provider.model import NOTHING, Draw, Test
from mockserver.provider.scope import Scope
from mockserver.provider.source import Block, Module
from mockserver.provider.values import (
    PLAIN_SUBJECTS,
    Get,
    Names,
    UnknownName,
    getter,
    is_plain,
    is_template,
    is_thing,
    parts_of,
    point,
    text,
    thing_of,
)
from mockserver.provider.vocabulary import COLLECTIONS, EVENTS, SEEN_STATES

COMPOUND = ("oneOf", "anyOf", "contentSchema", "prefixItems", "properties")
"""Words of a schema that draws by several parts."""
JSON_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")


class Drawer:
    """Compiles schemas of one folder; one is made per load and dropped after it."""

    def __init__(self, documents: Documents, names: Names) -> None:
        self.documents = documents
        self.names = names
        self._module = Module(NOTHING=NOTHING, floor=math.floor, key_of=_key_of, point=point, thing_of=thing_of)
        self._done: dict[tuple[int, str], tuple[Located, str]] = {}

    def compile(self, schema: Any, *, at_hand: str = "task") -> Draw:
        """Compile *schema*; *at_hand* is the kind whose state a bare condition speaks of."""
        if not isinstance(schema, Located):
            return _nothing
        return self._module.function(self._function(schema, at_hand))

    def test(self, condition: Any, where: Located, key: str, at_hand: str) -> Test:
        """Compile the condition that stands at *where*/*key*."""
        self._check_states(condition, where, key, at_hand)
        return conditions.test(condition, lambda name: self.getter(name, where, key), at_hand=at_hand)

    def getter(self, name: str, where: Located, key: str) -> Get:
        """Compile a value name, or a text with `{names}`, that stands at *where*/*key*."""
        if name in COLLECTIONS:
            return _COLLECTED[name]
        try:
            return text(name, self.names, facts=False) if is_template(name) else getter(name, self.names)
        except UnknownName as error:
            raise where.error(str(error), key) from None

    def notation(self, schema: Located, name: str) -> notation.Notation:
        """Return how the value *name* is written and read by *schema*; refuse what does not fit its kind."""
        kind = "text" if is_template(name) else self.value_kind(name)
        found = notation.notation(kind, types_of(schema), schema.get("format"))
        if found is None:
            shown = f"format {schema['format']!r}" if "format" in schema else "no format"
            types = " or ".join(types_of(schema)) or "any type"
            problem = f"{types} with {shown} does not fit {name!r}, a value of kind {kind}; {notation.FITTING[kind]}"
            raise schema.error(problem, "format" if "format" in schema else "type")
        return found

    def value_kind(self, name: str) -> str:
        """Return the kind of a value name; collections count as JSON (for `count`)."""
        base, _, pointer = name.partition("#")
        if base in COLLECTIONS:
            return "json"
        kind = self.names.value(name).kind
        # What a document holds may be anything, so only the wire type can say.
        return "moment" if base.endswith(".reached") and pointer else kind

    # functions

    def _function(self, schema: Located, at_hand: str) -> str:
        """Return the name of the function that draws *schema*."""
        flat = self.documents.flat(schema)
        key = (id(flat), at_hand)
        if key not in self._done:
            about = f"{flat.file}#{flat.pointer}"
            name = self._module.declare(about)
            self._done[key] = (flat, name)  # keeps the schema alive, so that its id stays its own
            block = Block(self._module)
            self._write_in_place(block, flat, at_hand, "drawn")
            self._module.define(name, about, block.finished("drawn"))
        return self._done[key][1]

    def _write(self, block: Block, schema: Any, at_hand: str, to: str) -> None:
        if not isinstance(schema, Located):
            block.add(f"{to} = NOTHING")
            return
        flat = self.documents.flat(schema)
        if block.deep or ("$ref" in schema and any(word in flat for word in COMPOUND)):
            block.add(f"{to} = {self._function(schema, at_hand)}(scope)")
        else:
            self._write_in_place(block, flat, at_hand, to)

    def _write_in_place(self, block: Block, schema: Located, at_hand: str, to: str) -> None:
        guards = []
        if "x-when" in schema:
            guards.append(self._condition(block, schema["x-when"], schema, at_hand))
        if "x-on" in schema:
            check_events(schema, self.names)
            guards.append(self._event(block, schema["x-on"]))
        if not guards:
            self._write_with_fallback(block, schema, at_hand, to)
            return
        block.add(f"{to} = NOTHING")
        with block.inside(f"if {' and '.join(guards)}:"):
            self._write_with_fallback(block, schema, at_hand, to)

    def _event(self, block: Block, patterns: Sequence[str]) -> str:
        """Return an expression that tells whether the event at hand is one of these."""
        if any(pattern.endswith(".*") for pattern in patterns):
            return f"{self._module.constant(_event_test(patterns))}(scope)"
        return f"{_part(*block.subject('event'), 'name')} in {self._module.constant(frozenset(patterns))}"

    def _write_with_fallback(self, block: Block, schema: Located, at_hand: str, to: str) -> None:
        self._write_core(block, schema, at_hand, to)
        if "const" in schema:
            return
        if "default" in schema:
            with block.inside(f"if {to} is NOTHING:"):
                block.add(f"{to} = {self._module.constant(schema['default'])}")
        elif isinstance(schema.get("type"), list) and "null" in schema["type"]:
            with block.inside(f"if {to} is NOTHING:"):
                block.add(f"{to} = None")

    def _write_core(self, block: Block, schema: Located, at_hand: str, to: str) -> None:
        branches = next((word for word in ("oneOf", "anyOf") if word in schema), None)
        if "const" in schema:
            block.add(f"{to} = {self._module.constant(schema['const'])}")
        elif branches is not None:
            self._write_branches(block, schema, branches, at_hand, to)
        elif "contentSchema" in schema:
            self._write_inside(block, schema, at_hand, to)
        elif "x-value" in schema:
            if self._is_document(schema):
                self._write_completed(block, schema, at_hand, to)
            else:
                self._write_value(block, schema, to)
        elif "x-each" in schema:
            self._write_each(block, schema, to)
        elif "prefixItems" in schema:
            self._write_tuple(block, schema, at_hand, to)
        elif "properties" in schema:
            self._write_object(block, schema, at_hand, to)
        else:
            block.add(f"{to} = {'None' if schema.get('type') == 'null' else 'NOTHING'}")

    # kinds of schemas

    def _write_branches(self, block: Block, schema: Located, word: str, at_hand: str, to: str) -> None:
        beside = Located({key: value for key, value in schema.items() if key not in (word, "x-when", "x-on")})
        beside.file, beside.pointer = schema.file, schema.pointer
        drawn_beside = any(key in beside for key in ("properties", "required"))
        block.add(f"{to} = NOTHING")
        with block.once():
            for branch in schema[word]:
                if drawn_beside and "const" not in self.documents.flat(branch):
                    whole = self.documents.merged(beside, self.documents.flat(branch))
                    self._write_in_place(block, whole, at_hand, to)
                else:
                    self._write(block, branch, at_hand, to)
                block.add(f"if {to} is not NOTHING: break")

    def _write_inside(self, block: Block, schema: Located, at_hand: str, to: str) -> None:
        media, encoding = schema.get("contentMediaType"), schema.get("contentEncoding")
        self._write(block, schema["contentSchema"], at_hand, to)
        if media == notation.JWT:
            parts: list[Any] = schema["contentSchema"].get("prefixItems", [{}])
            if len(parts) != 2 or "alg" not in (parts[0].get("const") or {}):
                problem = 'is [header, claims] of a token; give it "prefixItems", the first {"const": {"alg": "HS256"}}'
                raise schema.error(problem, "contentSchema")
            written = f"{self._module.constant(_token)}({to}, scope)"
        elif media in (notation.JSON_TEXT, notation.PYTHON_TEXT):
            written = f"{self._module.constant(notation.writer_inside(media, encoding))}({to})"
        else:
            raise schema.error(
                f"is {media!r}; a contentSchema needs {notation.JSON_TEXT}, {notation.PYTHON_TEXT} or {notation.JWT}",
                "contentMediaType",
            )
        block.add(f"if {to} is not NOTHING: {to} = {written}")

    def _write_value(self, block: Block, schema: Located, to: str) -> None:
        source = schema["x-value"]
        names = source if isinstance(source, list) else [source]
        if not names or not all(isinstance(name, str) for name in names):
            raise schema.error(f"is {source!r}; a value name, a text with {{names}}, or a list of them", "x-value")
        if "x-map" in schema:
            self._check_listed(names[0], schema["x-map"], schema, "x-map")
            self._write_first(block, schema, names, to, lambda _: _mapped(schema["x-map"], to, self._module))
        else:
            # Each of several is written as its own kind is.
            self._write_first(block, schema, names, to, lambda name: self._written(schema, name, to))

    def _write_first(
        self, block: Block, schema: Located, names: Sequence[str], to: str, written: Callable[[str], str | None]
    ) -> None:
        """Write the first of several values that there is, each as *written* says."""
        name, *others = names
        block.add(f"{to} = {self._expression(block, name, schema)}")
        as_text = written(name)
        block.add(f"{to} = NOTHING if {to} is None else {as_text}" if as_text else f"if {to} is None: {to} = NOTHING")
        self._write_shortness(block, schema, to)
        if others:
            with block.inside(f"if {to} is NOTHING:"):
                self._write_first(block, schema, others, to, written)

    def _written(self, schema: Located, name: str, to: str) -> str | None:
        write = self.notation(schema, name).write
        if write is notation.same:
            return None
        return f"floor({to})" if write is math.floor else f"{self._module.constant(write)}({to})"

    def _expression(self, block: Block, name: str, schema: Located, key: str = "x-value") -> str:
        """Return an expression for a value name at *key*, which is None where the world has no such value."""
        get = self.getter(name, schema, key)
        if is_template(name):
            return self._text(block, name, schema)
        found = None if name in COLLECTIONS else self._attribute(block, name)
        if found is None:
            return f"{self._module.constant(get)}(scope)"
        pointer = name.partition("#")[2]
        return self._member(block, found, pointer) if pointer else found

    def _attribute(self, block: Block, name: str) -> str | None:
        """Return an expression for a value, less its pointer, where it is found without a rule of its own."""
        value = self.names.value(name)
        if value.subject == "server":
            return f"scope.server.get({self._module.constant(value.attribute)})"
        if not is_plain(name, self.names):
            return None
        if value.subject in PLAIN_SUBJECTS or block.is_bound(value.subject):
            return _part(*block.subject(value.subject), value.attribute)
        if is_thing(value.subject):
            thing = block.local()
            block.add(f"{thing} = thing_of(scope, {self._module.constant(value.subject)})")
            return _part(thing, True, value.attribute)
        return None

    def _member(self, block: Block, document: str, pointer: str) -> str:
        """Return an expression for what a JSON Pointer leads to in a document."""
        local, key = block.local(), pointer[1:]
        block.add(f"{local} = {document}")
        followed = f"point({local}, {self._module.constant(pointer)})"
        if "/" in key or "~" in key:
            return followed
        return f"({local}.get({self._module.constant(key)}) if {local}.__class__ is dict else {followed})"

    def _text(self, block: Block, source: str, schema: Located) -> str:
        """Write a text with `{names}` and return its local, which is None where one of them has no value."""
        to, pieces = block.local(), []
        block.add(f"{to} = None")
        with block.once():
            for part in parts_of(source, self.names, facts=False):
                if isinstance(part, str):
                    pieces.append(f"{{{self._module.constant(part)}}}")
                    continue
                if part.bare is None:
                    expression = f"{self._module.constant(part.get)}(scope)"
                else:
                    expression = self._expression(block, part.bare, schema)
                local = block.local()
                block.add(f"{local} = {expression}")
                block.add(f"if {local} is None: break")
                pieces.append(f"{{{local}}}")
            block.add(f'{to} = f"{"".join(pieces)}"')
        return to

    def _is_document(self, schema: Located) -> bool:
        """Whether a schema shows a document of the world and has members of its own besides."""
        name = schema["x-value"]
        return bool(schema.get("properties")) and isinstance(name, str) and self.value_kind(name) == "json"

    def _write_completed(self, block: Block, schema: Located, at_hand: str, to: str) -> None:
        """Write a document shown with members of our own laid over it; a member that is `false` never shows."""
        base = block.local()
        self._write_value(block, schema, base)
        self._write_object(block, schema, at_hand, to)
        hidden = tuple(name for name, member in schema["properties"].items() if member is False)
        complete, hidden_name = self._module.constant(_completed), self._module.constant(hidden)
        block.add(f"{to} = {complete}({base}, {to}, {hidden_name})")

    def _write_each(self, block: Block, schema: Located, to: str) -> None:
        if "additionalProperties" in schema and isinstance(schema.get("propertyNames"), Located):
            key, member = schema["propertyNames"], schema["additionalProperties"]
        elif isinstance(schema.get("items"), Located):
            key, member = None, schema["items"]
        else:
            raise schema.error("has neither 'items' nor 'propertyNames' with 'additionalProperties'", "x-each")
        items, one, drawn = block.local(), block.local(), block.local()
        found, subject = self._collection(block, schema, member)
        block.add(f"{items} = {found}")
        empty, least = "[]" if key is None else "{}", _least(schema)
        # One that is too short is nothing, and most often it is short by being empty.
        block.add(f"{to} = NOTHING" if least else f"{to} = NOTHING if {items} is None else {empty}")
        with block.inside(f"if {items}:"):
            if least:
                block.add(f"{to} = {empty}")
            # Copying the scope for each item would take half the time of a whole answer: what was bound before is put
            # back afterwards. A drawing that raises ends the whole answer, and its scope with it.
            slots, bind, bound = _binding(subject, one)
            kept = [block.local() for _ in slots]
            block.add(f"{', '.join(kept)} = {', '.join(f'scope.{slot}' for slot in slots)}")
            with block.inside(f"for {one} in {items}:"), block.binding(bound):
                block.add(bind)
                self._write(block, member, subject, drawn)
                if key is None:
                    block.add(f"if {drawn} is not NOTHING: {to}.append({drawn})")
                else:
                    with block.inside(f"if {drawn} is not NOTHING:"):
                        name = block.local()
                        self._write(block, key, subject, name)
                        block.add(f"if {name} is not NOTHING: {to}[{name}] = {drawn}")
            block.add(f"{', '.join(f'scope.{slot}' for slot in slots)} = {', '.join(kept)}")
            if least:
                block.add(f"if len({to}) < {least}: {to} = NOTHING")

    def _collection(self, block: Block, schema: Located, member: Located) -> tuple[str, str]:
        """Return an expression for what a loop goes through, drawing *member* of each, and the subject it binds."""
        name = schema["x-each"]
        if name in COLLECTIONS:
            subject = COLLECTIONS[name]
            owner, _, attribute = name.rpartition(".")
            if name in ("tasks", "files"):
                return f"scope.{name}", subject
            if name == "problems":
                owner = "error"
            if name == "task.nodes":
                attribute = "writers_at(scope.at)" if self._needs_files(member) else "nodes_at(scope.at)"
            return _part(*block.subject(owner), attribute), subject
        if "#" in name:
            get = self.getter(name, schema, "x-each")
            return f"{self._module.constant(_entries)}({self._module.constant(get)}(scope))", "member"
        kind = name.removesuffix("s")
        if kind in self.names.kinds and name.endswith("s"):
            return f"scope.lists.get({self._module.constant(kind)})", kind
        known = [*COLLECTIONS, *(f"{kind}s" for kind in self.names.kinds)]
        raise schema.error(f"{name!r} is no collection; known: {', '.join(sorted(known))}", "x-each")

    def _needs_files(self, schema: Any, depth: int = 8) -> bool:
        """Whether *schema* draws nothing for sure of a node without files, where no file is in scope."""
        if not isinstance(schema, Located) or not depth:
            return False
        flat = self.documents.flat(schema)
        if any(word in flat for word in ("const", "default", "contentSchema", "prefixItems")):
            return False
        if "null" in flat.get("type", ()):
            return False
        if "x-value" in flat:
            return str(flat["x-value"]).startswith("file.")
        branches = flat.get("oneOf", flat.get("anyOf"))
        if branches is not None:
            return "properties" not in flat and all(self._needs_files(branch, depth - 1) for branch in branches)
        if "x-each" in flat:
            return bool(flat["x-each"] == "node.files" and _least(flat))
        members = flat.get("properties", {})
        if members:
            return any(self._needs_files(members.get(name), depth - 1) for name in flat.get("required", ()))
        return True

    def _write_tuple(self, block: Block, schema: Located, at_hand: str, to: str) -> None:
        parts = schema["prefixItems"]
        drawn = block.local()
        block.add(f"{to} = []")
        with block.once():
            for part in parts:
                self._write(block, part, at_hand, drawn)
                block.add(f"if {drawn} is NOTHING: break")
                block.add(f"{to}.append({drawn})")
        block.add(f"if len({to}) < {int(schema.get('minItems', len(parts)))}: {to} = NOTHING")

    def _write_object(self, block: Block, schema: Located, at_hand: str, to: str) -> None:
        required = set(schema.get("required", ()))
        whole, drawn = block.local(), block.local()
        block.add(f"{to} = NOTHING")
        with block.once():
            block.add(f"{whole} = {{}}")
            for name, member in schema["properties"].items():
                self._write(block, member, at_hand, drawn)
                key = self._module.constant(name)
                if name in required or self._is_always_drawn(member):
                    if not self._is_always_drawn(member):
                        block.add(f"if {drawn} is NOTHING: break")
                    block.add(f"{whole}[{key}] = {drawn}")
                else:
                    block.add(f"if {drawn} is not NOTHING: {whole}[{key}] = {drawn}")
            block.add(f"{to} = {whole}")
        self._write_shortness(block, schema, to)

    def _is_always_drawn(self, schema: Any) -> bool:
        if not isinstance(schema, Located):
            return False
        flat = self.documents.flat(schema)
        return ("const" in flat or "default" in flat) and "x-when" not in flat and "x-on" not in flat

    def _write_shortness(self, block: Block, schema: Located, to: str) -> None:
        """Let a text, list or map that is shorter than its own minimum be nothing rather than wrong."""
        least = _least(schema)
        if least:
            block.add(f"if isinstance({to}, (str, list, dict)) and len({to}) < {least}: {to} = NOTHING")

    # conditions

    def _condition(self, block: Block, condition: Any, where: Located, at_hand: str) -> str:
        self._check_states(condition, where, "x-when", at_hand)
        named = {f"{at_hand}.state": condition} if isinstance(condition, list) else condition
        tests = []
        for name, schema in named.items():
            value = self._expression(block, name, where, "x-when")
            if name.endswith(".state") and isinstance(schema, list) and all(isinstance(one, str) for one in schema):
                tests.append(f"{value} in {self._module.constant(frozenset(schema))}")
            else:
                tests.append(f"{self._module.constant(conditions.fits(schema))}({value})")
        return " and ".join(tests) or "True"

    def _check_states(self, condition: Any, where: Located, key: str, at_hand: str) -> None:
        named = {f"{at_hand}.state": condition} if isinstance(condition, list) else condition
        for name, schema in named.items():
            self._check_listed(name, schema if isinstance(schema, list) else (), where, key)

    def _check_listed(self, name: str, listed: Iterable[Any], where: Located, key: str) -> None:
        """Refuse states that the machine of the kind does not have."""
        kind, _, attribute = name.partition(".")
        known = self.names.states.get(kind)
        if attribute != "state" or known is None:
            return
        for state in listed:
            if state not in known:
                raise where.error(f"{state!r} is no state of a {kind}; known: {', '.join(known)}", key)


def check_events(place: Located, names: Names) -> None:
    """Refuse unknown events in the `x-on` of a message or branch."""
    states = (f"task.{state}" for state in names.states.get("task", ()) if state not in SEEN_STATES)
    known = [*sorted(EVENTS), *states]
    for event in place.get("x-on", ()):
        if event not in known:
            raise place.error(f"{event!r} is no event{nearest(event, known)}; known: {', '.join(known)}", "x-on")


def types_of(schema: Located) -> tuple[str, ...]:
    """Return the JSON types a schema allows, null left out."""
    found = schema.get("type", ())
    listed = [found] if isinstance(found, str) else list(found)
    return tuple(name for name in listed if name != "null")


def _nothing(_: Scope) -> Any:
    return NOTHING


def _event_test(patterns: Sequence[str]) -> Test:
    exact = frozenset(patterns)
    families = tuple(pattern[:-1] for pattern in patterns if pattern.endswith(".*"))
    return lambda scope: (
        scope.event is not None
        and (scope.event.name in exact or (bool(families) and scope.event.name.startswith(families)))
    )


def _mapped(table: Mapping[str, Any], to: str, module: Module) -> str:
    """Return an expression for what a value becomes by an `x-map`."""
    if (starred := notation.starred(table)) is not None:
        return f"{module.constant(starred.write)}({to})"
    wire = {name: value[0] if isinstance(value, list) else value for name, value in table.items()}
    return f"{module.constant(wire)}.get({to} if {to}.__class__ is str else key_of({to}), NOTHING)"


def _key_of(value: Any) -> str:
    """Return what a value that is no text is called in an `x-map`."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _least(schema: Located) -> int:
    return int(max(schema.get(word, 0) for word in ("minLength", "minItems", "minProperties")))


def _part(local: str, may_be_none: bool, attribute: str) -> str:
    """Return an expression for a part of what a local holds, None where that is None."""
    return f"(None if {local} is None else {local}.{attribute})" if may_be_none else f"{local}.{attribute}"


def _binding(subject: str, one: str) -> tuple[tuple[str, ...], str, dict[str, tuple[str, bool]]]:
    """Return how a loop binds its singular: the slots of the scope, the statement, and what is in which local then.

    Of each such local it is told whether it may hold None.
    """
    if subject == "event":
        slots = ("event", "at", "node")
        bind = f"scope.event = {one}; scope.at = {one}.at; {one}_node = scope.node = {one}.node"
        return slots, bind, {"event": (one, False), "node": (f"{one}_node", True)}
    if subject in ("task", "node", "file", "problem", "member"):
        return (subject,), f"scope.{subject} = {one}", {subject: (one, False)}
    return ("things",), f"scope.things = {{**scope.things, {subject!r}: {one}}}", {}


class Entry(NamedTuple):
    """One entry of a list inside a document, for a loop over it: `member.value`."""

    value: Any


def _entries(found: Any) -> list[Entry] | None:
    return [Entry(value) for value in found] if isinstance(found, list | tuple) else None


def _completed(base: Any, drawn: Any, hidden: Sequence[str]) -> Any:
    found = {} if base is NOTHING else base
    if drawn is NOTHING or not isinstance(found, dict):
        return NOTHING
    return {**{name: value for name, value in found.items() if name not in hidden}, **drawn}


def _token(drawn: Any, scope: Scope) -> str:
    """Sign a token as RFC 7519 says, the way `jwt.encode` writes it, which takes a sixth of a whole submit for it."""
    header, claims = drawn
    secret = scope.secrets["token"]
    if header["alg"] != "HS256":
        import jwt

        return jwt.encode(claims, secret, algorithm=header["alg"], headers=header)
    full = {"alg": "HS256", "typ": "JWT", **header}
    parts = [urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=") for part in (full, claims)]
    signature = hmac.digest(secret.encode(), b".".join(parts), "sha256")
    return b".".join([*parts, urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def _of(subject: str, attribute: str) -> Get:
    def get(scope: Scope) -> Any:
        owner = getattr(scope, subject)
        return None if owner is None else getattr(owner, attribute)

    return get


_COLLECTED: dict[str, Get] = {
    "tasks": lambda scope: scope.tasks,
    "files": lambda scope: scope.files,
    "task.nodes": lambda scope: None if scope.task is None else scope.task.nodes_at(scope.at),
    "task.files": _of("task", "files"),
    "task.shown": _of("task", "shown"),
    "task.events": _of("task", "events"),
    "node.files": _of("node", "files"),
    "node.problems": _of("node", "problems"),
    "check.nodes": _of("check", "nodes"),
    "problems": _of("error", "problems"),
    "log.lines": _of("log", "lines"),
}
"""Collections shown as values, for their `count`."""
