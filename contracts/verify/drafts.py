"""Requests made from a provider's schemas: what fits, what is at its bounds, what is spoiled in one place.

The marks that say what a request gives (`x-value`) say as well where what an answer told belongs: a task's id from one
answer fills every request that names a task. Nothing is sent here.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

from contracts.promise import Promise
from contracts.prompts import least
from mockserver.provider.documents import Located
from mockserver.provider.model import NOTHING, Channel, Operation, Part, Request
from mockserver.provider.notation import JWT

Json = Any
TOKEN = "token"
"""What a thing holds beside its marks: a token that an answer gave for it."""
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""
WRONG: tuple[Json, ...] = (None, [], {}, -1, "", True)
"""Values of other types, to put where they do not belong."""
FREELY = {"file.bytes": PICTURE, "file.media": "image/png", "file.given": "verify.png", "workflow.inputs": {}}
"""What a client may say of its own accord."""
OWN = frozenset({"submit", "read", "list", "cancel", "show", "download", "upload", "presign", "adopt", "move"})


@dataclass(frozen=True)
class Call:
    """One request, as it is sent."""

    operation: str
    method: str
    path: str
    """Below the server's address, percent-encoded, with its query; or a whole address, of a link."""
    body: Json = None
    form: Mapping[str, str | bytes] | None = None
    """Of `multipart/form-data`; bytes are files."""
    raw: bytes | None = None
    bare: bool = False
    """Without credentials."""
    headers: Mapping[str, str] = field(default_factory=dict)


class Drafts:
    """Makes the requests of one provider."""

    def __init__(self, promise: Promise, *, submits: Sequence[Json] = ()) -> None:
        """`submits` are bodies of submits to use instead of the documented ones."""
        self.promise, self.documents, self._submits = promise, promise.documents, submits
        self.marks = {one.id: frozenset(self._marks(one)) for one in promise.provider.operations}
        """Operation -> the values that its requests can give."""

    def draft(self, operation: Operation, thing: Mapping[str, Json]) -> Call | None:
        """Return a request that names *thing* and fits its schema; None where it cannot be made of what is known.

        Args:
            thing: value name -> what is known of it, as it stands on the wire.
        """
        fresh = {"task.id": str(uuid4())} if operation.verb.name == "submit" else {}
        known = {**FREELY, **fresh, "task.client": thing.get("task.client", uuid4().hex), **thing}
        if operation.verb.name == "submit":
            known |= {"task.graph": least()} | fresh
        path, query = operation.path, {}
        for one in self._parameters(operation):
            name, schema = one["name"], one.get("schema", {})
            value = self._value(schema, known, required=one.get("required", False))
            if value is NOTHING:
                if one.get("required", False):
                    return None
            elif one["in"] == "path":
                path = path.replace(f"{{{name}}}", quote(_text(value), safe=""))
            elif one["in"] == "query":
                query[name] = _text(value)
        if query:
            path = f"{path}?{urlencode(query)}"
        call = Call(operation.id, operation.method, path)
        media, schema, required = self._body(operation)
        if media is None or schema is None:
            return call if "{" not in path else None
        body = self._value(schema, known, required=True)
        if body is NOTHING:
            return None if required else call
        if media == "multipart/form-data":
            return replace(
                call, form={name: one if isinstance(one, bytes) else _text(one) for name, one in body.items()}
            )
        if isinstance(body, bytes):
            return replace(call, raw=body)
        return replace(call, body=body)

    def fits(self, operation: Operation, call: Call) -> bool:
        """Whether a call keeps the schema of its operation; only bodies are looked at."""
        body = NOTHING if call.body is None else call.body
        if call.form is not None:
            body = {name: Part(one, name, "") if isinstance(one, bytes) else one for name, one in call.form.items()}
        elif call.raw is not None:
            body = Part(call.raw, "", "")
        path = {one["name"]: "x" for one in self._parameters(operation) if one["in"] == "path"}
        found = operation.violations(Request(call.method, path, [], {}, body))
        return not [one for one in found if one.at.startswith("/body")]

    def submits(self) -> list[Call]:
        """Return the requests that start a task: the documented examples, or the smallest that can be made."""
        found: list[Call] = []
        for operation in self.promise.provider.operations:
            if operation.verb.name == "submit":
                bodies = self._submits or self._examples(operation)
                shown = [Call(operation.id, operation.method, operation.path, value) for value in bodies]
                made = [] if shown else [self.draft(operation, {})]
                found.extend(one for one in (*shown, *made) if one is not None and self.fits(operation, one))
        return found

    def examples(self, *, real: bool) -> Iterator[Call]:
        """Yield the documented requests of all other operations, and of those without any what needs nothing known."""
        for operation in self.promise.provider.operations:
            if operation.verb.name == "submit" or not allowed_of(operation, real=real):
                continue
            shown = self._examples(operation) if "{" not in operation.path else []
            yield from (Call(operation.id, operation.method, operation.path, value) for value in shown)
            # What names no task may stop or drop those of others.
            if not shown and operation.verb.name not in ("cancel", "delete"):
                made = self.draft(operation, {})
                if made is not None and self.fits(operation, made):
                    yield made

    def spoiled(self, *, real: bool) -> Iterator[Call]:
        """Yield requests that are wrong in one place, or at a bound: members, parameters, credentials, method, path."""
        first = {call.operation: call for call in self.submits()}
        for operation in self.promise.provider.operations:
            if not allowed_of(operation, real=real):
                continue
            shown = self._examples(operation)
            held = first.get(operation.id)
            if held is None and shown and "{" not in operation.path:
                held = Call(operation.id, operation.method, operation.path, shown[0])
            held = held or self.draft(operation, {"task.id": str(uuid4()), "file.name": "none.png"})
            if held is None:
                continue
            yield from self._spoiled_body(operation, held)
            yield from self._spoiled_query(operation, held)
            if operation.security:
                yield replace(held, bare=True)
        yield Call("", "GET", "/no/such/path")
        yield Call("", "PATCH", next(iter(self.promise.provider.operations)).path)

    def feed(self, channel: Channel, thing: Mapping[str, Json]) -> str | None:
        """Return path and query that open a channel for *thing*; None where it lacks what they need."""
        query = {}
        place = self.documents["asyncapi.json"]["channels"][channel.name].get("bindings", {}).get("ws", {})
        asked = self.documents.deref(place.get("query")) or {}
        for name, schema in asked.get("properties", {}).items():
            flat = self.documents.flat(schema)
            known = thing.get(TOKEN) if flat.get("contentMediaType") == JWT else thing.get(str(flat.get("x-value")))
            if known is not None:
                query[name] = _text(known)
            elif name in asked.get("required", ()):
                return None
        if not query:
            return None
        return f"{channel.path}?{urlencode(query)}"

    def _spoiled_body(self, operation: Operation, held: Call) -> Iterator[Call]:
        schema = self._body(operation)[1]
        if schema is None or not isinstance(held.body, dict):
            return
        flat = self.documents.flat(schema)
        for name in flat.get("required", ()):
            yield replace(held, body={key: value for key, value in held.body.items() if key != name})
        for name, member in flat.get("properties", {}).items():
            if not isinstance(member, Located):
                continue
            fits = self.promise.validators.fits(member.here())
            wrong = [one for one in WRONG if not fits(one)][:2] if name in held.body else []
            bounds = [one for one in _bounds(self.documents.flat(member)) if operation.verb.name != "submit"]
            for value in (*wrong, *bounds):
                yield replace(held, body={**held.body, name: value})
        yield replace(held, body=[])

    def _spoiled_query(self, operation: Operation, held: Call) -> Iterator[Call]:
        path, _, given = held.path.partition("?")
        for one in self._parameters(operation):
            if one["in"] != "query":
                continue
            flat = self.documents.flat(one["schema"])
            wrong: list[Json] = list(_bounds(flat))
            if "enum" in flat or "integer" in str(flat.get("type")):
                wrong.append("verify-x")
            rest = "&".join(pair for pair in given.split("&") if pair and not pair.startswith(f"{one['name']}="))
            for value in wrong:
                query = "&".join(part for part in (rest, urlencode({one["name"]: _text(value)})) if part)
                yield replace(held, path=f"{path}?{query}")
            if one.get("required", False) and rest != given:
                yield replace(held, path=f"{path}?{rest}".removesuffix("?"))

    def _value(self, schema: Any, known: Mapping[str, Json], *, required: bool, depth: int = 0) -> Json:
        """Return a value of *schema*; `NOTHING` where it needs not, or cannot, be said."""
        if not isinstance(schema, Located) or depth > 8:
            return NOTHING
        flat = self.documents.flat(schema)
        names = flat.get("x-value")
        for name in names if isinstance(names, list) else [names]:
            if name is not None and name in known and (required or name in known.keys() - FREELY.keys()):
                return self._noted(schema, flat, known[name])
        kinds = flat.get("type", ())
        kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        if "object" in kinds or "properties" in flat:
            return self._object(flat, known, required, depth)
        if "array" in kinds and isinstance(flat.get("items"), Located):
            item = self._value(flat["items"], known, required=required, depth=depth + 1)
            return NOTHING if item is NOTHING else [item]
        if not required or "contentSchema" in flat:
            return NOTHING
        for word in ("const", "default"):
            if word in flat:
                return flat[word]
        for word in ("enum", "examples"):
            if flat.get(word):
                return flat[word][0]
        named = str(names or "")
        if named.endswith((".id", ".link", ".url")) or named in ("file.name", "file.to"):
            return NOTHING  # somebody has to tell it
        plain: dict[str, Json] = {"string": "verify", "integer": flat.get("minimum", 1), "number": 1, "boolean": False}
        return next((plain[kind] for kind in kinds if kind in plain), NOTHING)

    def _noted(self, schema: Located, flat: Located, value: Json) -> Json:
        fits = self.promise.validators.fits(schema.here())
        if isinstance(value, bytes) or fits(value):
            return value
        if isinstance(value, str) and value.isdigit() and fits(int(value)):
            return int(value)
        return str(value) if fits(str(value)) else NOTHING

    def _object(self, flat: Located, known: Mapping[str, Json], required: bool, depth: int) -> Json:
        needed = flat.get("required", ())
        made = {}
        for name, member in flat.get("properties", {}).items():
            value = self._value(member, known, required=required and name in needed, depth=depth + 1)
            if value is not NOTHING:
                made[name] = value
            elif name in needed:
                return NOTHING
        return made if made or required else NOTHING

    def _body(self, operation: Operation) -> tuple[str | None, Located | None, bool]:
        request = self.documents.deref(self._item(operation)[1].get("requestBody")) or {}
        for media, content in request.get("content", {}).items():
            if isinstance(content.get("schema"), Located):
                return media, content["schema"], request.get("required", False)
        return None, None, False

    def _examples(self, operation: Operation) -> list[Json]:
        request = self.documents.deref(self._item(operation)[1].get("requestBody")) or {}
        content = request.get("content", {}).get("application/json", {})
        return [one["value"] for one in content.get("examples", {}).values()]

    def _parameters(self, operation: Operation) -> list[Located]:
        listed = [one for place in self._item(operation) for one in place.get("parameters", ())]
        return [self.documents.deref(one) for one in listed]

    def _item(self, operation: Operation) -> tuple[Located, Located]:
        item = self.documents["openapi.json"]["paths"][operation.path]
        return item, item[operation.method.lower()]

    def _marks(self, operation: Operation) -> Iterator[str]:
        schemas = [one.get("schema") for one in self._parameters(operation)] + [self._body(operation)[1]]
        yield from (name for schema in schemas for name in self._marked(schema, 0))

    def _marked(self, schema: Any, depth: int) -> Iterator[str]:
        if not isinstance(schema, Located) or depth > 6:
            return
        flat = self.documents.flat(schema)
        names = flat.get("x-value", ())
        yield from [names] if isinstance(names, str) else names
        for part in (*flat.get("properties", {}).values(), flat.get("items")):
            yield from self._marked(part, depth + 1)


def allowed_of(operation: Operation, *, real: bool) -> bool:
    """Whether an operation may be tried: off this machine only what is about tasks and files, and destroys nothing."""
    return not real or (operation.verb.name in OWN and operation.verb.of in ("task", "file"))


def _bounds(flat: Mapping[str, Any]) -> Iterator[Json]:
    """Yield what is at, and just beyond, the bounds of a schema."""
    for word, step in (("minimum", -1), ("maximum", 1)):
        if isinstance(flat.get(word), int):
            yield from (flat[word], flat[word] + step)
    if isinstance(flat.get("maxLength"), int) and flat["maxLength"] < 10_000 and "pattern" not in flat:
        yield from ("x" * flat["maxLength"], "x" * (flat["maxLength"] + 1))
    if flat.get("minLength"):
        yield ""
    if "enum" in flat:
        yield "verify-none-of-these"
    if isinstance(flat.get("maxItems"), int) and flat["maxItems"] < 1000:
        yield ["x"] * (flat["maxItems"] + 1)


def _text(value: Json) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
