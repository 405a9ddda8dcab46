"""Drawing: a schema compiled to the template it is.

Drawing gives a value or `NOTHING`. A schema draws by the first it has of `const`, `oneOf`/`anyOf`, `contentSchema`,
`x-value`, `x-each`, `prefixItems`, `properties`; where that gives nothing, `default` stands in, else `null` if the type
allows it. All other JSON Schema keywords only judge. See `schemas/README.md`, which is the reference of the language.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import jwt
import orjson

from mockserver.provider import conditions, notation
from mockserver.provider.documents import Documents, Located
from mockserver.provider.model import NOTHING, Draw, Test
from mockserver.provider.scope import Scope
from mockserver.provider.values import Get, Names, UnknownName, getter, is_template, nearest, text
from mockserver.provider.vocabulary import COLLECTIONS, EVENTS, SEEN_STATES

Shorter = Callable[[Any], bool]

JSON_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")


class Drawer:
    """Compiles schemas of one folder; one is made per load and dropped after it."""

    def __init__(self, documents: Documents, names: Names) -> None:
        self.documents = documents
        self.names = names
        self._done: dict[tuple[int, str], tuple[Located, list[Draw]]] = {}

    def compile(self, schema: Any, *, at_hand: str = "task") -> Draw:
        """Compile *schema*; *at_hand* is the kind whose state a bare condition speaks of."""
        if not isinstance(schema, Located):
            return _nothing
        flat = self.documents.flat(schema)
        key = (id(flat), at_hand)
        if key in self._done:
            # A schema that holds itself: look the drawing up when it is needed, once it exists.
            _, held = self._done[key]
            return held[0] if held else lambda scope: held[0](scope)
        held = []
        self._done[key] = (flat, held)  # keeps the schema alive, so that its id stays its own
        held.append(self._compile(flat, at_hand))
        return held[0]

    def test(self, condition: Any, where: Located, key: str, at_hand: str) -> Test:
        """Compile the condition that stands at *where*/*key*."""
        named = {f"{at_hand}.state": condition} if isinstance(condition, list) else condition
        for name, schema in named.items():
            self._states(name, schema if isinstance(schema, list) else (), where, key)
        return conditions.test(condition, lambda name: self.getter(name, where, key), at_hand=at_hand)

    def _states(self, name: str, listed: Iterable[Any], where: Located, key: str) -> None:
        """Refuse states that the machine of the kind does not have."""
        kind, _, attribute = name.partition(".")
        known = self.names.states.get(kind)
        if attribute != "state" or known is None:
            return
        for state in listed:
            if state not in known:
                raise where.error(f"{state!r} is no state of a {kind}; known: {', '.join(known)}", key)

    def getter(self, name: str, where: Located, key: str) -> Get:
        """Compile a value name, or a text with `{names}`, that stands at *where*/*key*."""
        if name in COLLECTIONS:
            return _COLLECTED[name]
        try:
            return text(name, self.names, facts=False) if is_template(name) else getter(name, self.names)
        except UnknownName as error:
            raise where.error(str(error), key) from None

    def _compile(self, schema: Located, at_hand: str) -> Draw:
        draw = self._core(schema, at_hand)
        draw = _with_fallback(draw, schema)
        guards = []
        if "x-when" in schema:
            guards.append(self.test(schema["x-when"], schema, "x-when", at_hand))
        if "x-on" in schema:
            check_events(schema, self.names)
            guards.append(_event_test(schema["x-on"]))
        for guard in guards:
            draw = _guarded(draw, guard)
        return draw

    def _core(self, schema: Located, at_hand: str) -> Draw:
        if "const" in schema:
            return _constant(schema["const"])
        for word in ("oneOf", "anyOf"):
            if word in schema:
                return self._branches(schema, word, at_hand)
        if "contentSchema" in schema:
            return self._inside(schema, at_hand)
        if "x-value" in schema:
            return self._completed(schema, at_hand) if self._is_document(schema) else self._value(schema)
        if "x-each" in schema:
            return self._each(schema)
        if "prefixItems" in schema:
            return _tuple([self.compile(item, at_hand=at_hand) for item in schema["prefixItems"]], schema)
        if "properties" in schema:
            return self._object(schema, at_hand)
        return _constant(None) if schema.get("type") == "null" else _nothing

    def _branches(self, schema: Located, word: str, at_hand: str) -> Draw:
        beside = Located({key: value for key, value in schema.items() if key not in (word, "x-when", "x-on")})
        beside.file, beside.pointer = schema.file, schema.pointer
        drawn_beside = any(key in beside for key in ("properties", "required"))
        branches = []
        for branch in schema[word]:
            if drawn_beside and "const" not in self.documents.flat(branch):
                branches.append(self._compile(self.documents.merged(beside, self.documents.flat(branch)), at_hand))
            else:
                branches.append(self.compile(branch, at_hand=at_hand))
        return _first(branches)

    def _inside(self, schema: Located, at_hand: str) -> Draw:
        media, encoding = schema.get("contentMediaType"), schema.get("contentEncoding")
        inner = self.compile(schema["contentSchema"], at_hand=at_hand)
        if media == notation.JWT:
            return _token(inner)
        if media not in (notation.JSON_TEXT, notation.PYTHON_TEXT):
            raise schema.error(
                f"is {media!r}; a contentSchema needs {notation.JSON_TEXT}, {notation.PYTHON_TEXT} or {notation.JWT}",
                "contentMediaType",
            )

        def draw(scope: Scope) -> Any:
            value = inner(scope)
            return NOTHING if value is NOTHING else notation.write_inside(media, encoding, value)

        return draw

    def _value(self, schema: Located) -> Draw:
        source = schema["x-value"]
        names = source if isinstance(source, list) else [source]
        if not names or not all(isinstance(name, str) for name in names):
            raise schema.error(f"is {source!r}; a value name, a text with {{names}}, or a list of them", "x-value")
        gets = [self.getter(name, schema, "x-value") for name in names]
        get = gets[0] if len(gets) == 1 else _first_value(gets)
        if "x-map" in schema:
            self._states(names[0], schema["x-map"], schema, "x-map")
            return _mapped(get, schema["x-map"], _length_test(schema))
        # Each of several is written as its own kind is.
        written = [
            _written(one, self.notation(schema, name).write, _length_test(schema))
            for one, name in zip(gets, names, strict=True)
        ]
        return written[0] if len(written) == 1 else _first(written)

    def _is_document(self, schema: Located) -> bool:
        """Whether a schema shows a document of the world and has members of its own besides."""
        name = schema["x-value"]
        return bool(schema.get("properties")) and isinstance(name, str) and self.value_kind(name) == "json"

    def _completed(self, schema: Located, at_hand: str) -> Draw:
        """Compile a document shown with members of our own laid over it; a member that is `false` never shows."""
        base = self._value(schema)
        over = self._object(schema, at_hand)
        hidden = [name for name, member in schema["properties"].items() if member is False]

        def draw(scope: Scope) -> Any:
            found, drawn = base(scope), over(scope)
            found = {} if found is NOTHING else found
            if drawn is NOTHING or not isinstance(found, dict):
                return NOTHING
            return {**{name: value for name, value in found.items() if name not in hidden}, **drawn}

        return draw

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

    def _each(self, schema: Located) -> Draw:
        collection = schema["x-each"]
        items, subject = self._collection(collection, schema)
        if "additionalProperties" in schema and isinstance(schema.get("propertyNames"), Located):
            key = self.compile(schema["propertyNames"], at_hand=subject)
            value = self.compile(schema["additionalProperties"], at_hand=subject)
            return _each_member(_Loop(items, subject), key, value, _length_test(schema))
        if isinstance(schema.get("items"), Located):
            item = self.compile(schema["items"], at_hand=subject)
            return _each_item(_Loop(items, subject), item, _length_test(schema))
        raise schema.error("has neither 'items' nor 'propertyNames' with 'additionalProperties'", "x-each")

    def _collection(self, name: str, where: Located) -> tuple[Callable[[Scope], Any], str]:
        if name in COLLECTIONS:
            return _COLLECTED[name], COLLECTIONS[name]
        kind = name.removesuffix("s")
        if kind in self.names.kinds and name.endswith("s"):
            return lambda scope: scope.lists.get(kind), kind
        known = [*COLLECTIONS, *(f"{kind}s" for kind in self.names.kinds)]
        raise where.error(f"{name!r} is no collection; known: {', '.join(sorted(known))}", "x-each")

    def _object(self, schema: Located, at_hand: str) -> Draw:
        required = set(schema.get("required", ()))
        members = [
            (name, self.compile(member, at_hand=at_hand), name in required)
            for name, member in schema["properties"].items()
        ]
        short = _length_test(schema)

        def draw(scope: Scope) -> Any:
            drawn = {}
            for name, draw_member, needed in members:
                value = draw_member(scope)
                if value is not NOTHING:
                    drawn[name] = value
                elif needed:
                    return NOTHING
            return NOTHING if short is not None and short(drawn) else drawn

        return draw


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


def _constant(value: Any) -> Draw:
    return lambda scope: value


def _guarded(draw: Draw, holds: Test) -> Draw:
    return lambda scope: draw(scope) if holds(scope) else NOTHING


def _event_test(patterns: Sequence[str]) -> Test:
    exact = frozenset(patterns)
    families = tuple(pattern[:-1] for pattern in patterns if pattern.endswith(".*"))
    return lambda scope: (
        scope.event is not None
        and (scope.event.name in exact or (bool(families) and scope.event.name.startswith(families)))
    )


def _with_fallback(draw: Draw, schema: Located) -> Draw:
    if "default" in schema:
        stand_in = schema["default"]
    elif isinstance(schema.get("type"), list) and "null" in schema["type"]:
        stand_in = None
    else:
        return draw
    return lambda scope: stand_in if (value := draw(scope)) is NOTHING else value


def _first(draws: list[Draw]) -> Draw:
    draws = [draw for draw in draws if draw is not _nothing]

    def draw(scope: Scope) -> Any:
        for branch in draws:
            value = branch(scope)
            if value is not NOTHING:
                return value
        return NOTHING

    return draw


def _first_value(gets: list[Get]) -> Get:
    def get(scope: Scope) -> Any:
        for one in gets:
            value = one(scope)
            if value is not None:
                return value
        return None

    return get


def _length_test(schema: Located) -> Shorter | None:
    """A text, list or map shorter than its own minimum is nothing rather than wrong."""
    least = max(schema.get(word, 0) for word in ("minLength", "minItems", "minProperties"))
    if not least:
        return None
    return lambda value: isinstance(value, str | list | dict) and len(value) < least


def _written(get: Get, write: notation.Convert, short: Shorter | None) -> Draw:
    if short is None and write is notation.same:

        def draw_as_it_is(scope: Scope) -> Any:
            value = get(scope)
            return NOTHING if value is None else value

        return draw_as_it_is
    if short is None:

        def draw_any(scope: Scope) -> Any:
            value = get(scope)
            return NOTHING if value is None else write(value)

        return draw_any

    def draw(scope: Scope) -> Any:
        value = get(scope)
        if value is None:
            return NOTHING
        written = write(value)
        return NOTHING if short(written) else written

    return draw


def _mapped(get: Get, table: Any, short: Shorter | None) -> Draw:
    if (starred := notation.starred(table)) is not None:
        return _written(get, starred.write, short)
    wire = {name: value[0] if isinstance(value, list) else value for name, value in table.items()}

    def draw(scope: Scope) -> Any:
        value = get(scope)
        if value is None:
            return NOTHING
        key = ("true" if value else "false") if isinstance(value, bool) else str(value)
        written = wire.get(key, NOTHING)
        return NOTHING if short is not None and short(written) else written

    return draw


def _tuple(draws: list[Draw], schema: Located) -> Draw:
    least = schema.get("minItems", len(draws))

    def draw(scope: Scope) -> Any:
        drawn = []
        for part in draws:
            value = part(scope)
            if value is NOTHING:
                break
            drawn.append(value)
        return NOTHING if len(drawn) < least else drawn

    return draw


def _token(inner: Draw) -> Draw:
    def draw(scope: Scope) -> Any:
        drawn = inner(scope)
        if drawn is NOTHING:
            return NOTHING
        header, claims = drawn
        return _signed(header, claims, scope.secrets["token"])

    return draw


def _signed(header: dict[str, Any], claims: Any, secret: str) -> str:
    """Sign a token as RFC 7519 says, the way `jwt.encode` writes it, which takes a sixth of a whole submit for it."""
    if header["alg"] != "HS256":
        return jwt.encode(claims, secret, algorithm=header["alg"], headers=header)
    full = {"alg": "HS256", "typ": "JWT", **header}
    parts = [urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=") for part in (full, claims)]
    signature = hmac.digest(secret.encode(), b".".join(parts), "sha256")
    return b".".join([*parts, urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def _nodes(scope: Scope) -> Any:
    return None if scope.task is None else scope.task.nodes_at(scope.at)


def _of(subject: str, attribute: str) -> Callable[[Scope], Any]:
    subject_of, attribute_of = attrgetter(subject), attrgetter(attribute)

    def get(scope: Scope) -> Any:
        thing = subject_of(scope)
        return None if thing is None else attribute_of(thing)

    return get


_COLLECTED: dict[str, Callable[[Scope], Any]] = {
    "tasks": lambda scope: scope.tasks,
    "files": lambda scope: scope.files,
    "task.nodes": _nodes,
    "task.files": _of("task", "files"),
    "task.events": _of("task", "events"),
    "node.files": _of("node", "files"),
    "node.problems": _of("node", "problems"),
    "check.nodes": _of("check", "nodes"),
    "problems": _of("error", "problems"),
}


class _Loop:
    """A loop over a collection: binds its singular in the scope at hand, and puts back what was bound before.

    Copying the scope for each loop would take half the time of a whole answer.
    """

    __slots__ = ("bind", "items", "keep", "restore")

    def __init__(self, items: Callable[[Scope], Any], subject: str) -> None:
        self.items = items
        slots: tuple[str, ...] = (subject,)
        self.bind: Callable[[Scope, Any], None]
        if subject == "event":
            slots, self.bind = ("event", "at", "node"), _bind_event
        elif subject not in ("task", "node", "file", "problem"):
            slots, self.bind = ("things",), _thing_binder(subject)
        else:
            self.bind = getattr(Scope, subject).__set__
        if len(slots) == 1:
            self.keep: Callable[[Scope], Any] = attrgetter(*slots)
            self.restore: Callable[[Scope, Any], None] = getattr(Scope, slots[0]).__set__
        else:
            self.keep, self.restore = attrgetter(*slots), lambda scope, kept: _put_back(scope, slots, kept)


def _put_back(scope: Scope, slots: tuple[str, ...], kept: tuple[Any, ...]) -> None:
    for slot, value in zip(slots, kept, strict=True):
        setattr(scope, slot, value)


def _bind_event(scope: Scope, event: Any) -> None:
    scope.event, scope.at, scope.node = event, event.at, event.node


def _thing_binder(kind: str) -> Callable[[Scope, Any], None]:
    def bind(scope: Scope, thing: Any) -> None:
        scope.things = {**scope.things, kind: thing}

    return bind


def _each_item(loop: _Loop, item: Draw, short: Shorter | None) -> Draw:
    items, bind, keep, restore = loop.items, loop.bind, loop.keep, loop.restore

    def draw(scope: Scope) -> Any:
        found = items(scope)
        if found is None:
            return NOTHING
        drawn: list[Any] = []
        if found:
            before = keep(scope)
            try:
                for one in found:
                    bind(scope, one)
                    value = item(scope)
                    if value is not NOTHING:
                        drawn.append(value)
            finally:
                restore(scope, before)
        return NOTHING if short is not None and short(drawn) else drawn

    return draw


def _each_member(loop: _Loop, key: Draw, value: Draw, short: Shorter | None) -> Draw:
    items, bind, keep, restore = loop.items, loop.bind, loop.keep, loop.restore

    def draw(scope: Scope) -> Any:
        found = items(scope)
        if found is None:
            return NOTHING
        drawn: dict[str, Any] = {}
        if found:
            before = keep(scope)
            try:
                for one in found:
                    bind(scope, one)
                    member = value(scope)
                    if member is not NOTHING and (name := key(scope)) is not NOTHING:
                        drawn[name] = member
            finally:
                restore(scope, before)
        return NOTHING if short is not None and short(drawn) else drawn

    return draw
