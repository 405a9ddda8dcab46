"""What is refused at load besides what does not compile: in the files as they stand, and in what samples draw.

Each check raises `SchemaFolderError` with file, JSON pointer, what was found and what would be right.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

from mockserver import data
from mockserver.errors import SchemaFolderError, nearest
from mockserver.provider.documents import Documents, Located, escape, read_json, walk
from mockserver.provider.machines import BESIDE_KINDS
from mockserver.provider.model import Variant
from mockserver.provider.vocabulary import VERBS

SOURCED_COMPONENTS = ("schemas", "responses", "parameters", "securitySchemes", "headers")
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
DATA = ("const", "default", "enum", "example", "examples", "x-map")
"""Members of a schema that hold values of the wire, in which no key is ours."""


def check_file(file: Located, name: str) -> None:
    """Refuse a file that does not fit its JSON Schema *name* of `_meta`."""
    _judge(file, name, file.file, "")


def check_keys(documents: Documents) -> None:
    """Refuse unknown `x-` keys, what they cannot hold, references to nothing, maps beyond their `enum`."""
    known = sorted(_meta("keys")["properties"])
    for name in ("openapi.json", "asyncapi.json"):
        for place in _schemas(documents.get(name)):
            ours = {key: value for key, value in place.items() if key.startswith("x-")}
            for key in ours:
                if key not in known:
                    hint = nearest(key, known) or f"; known: {', '.join(known)}"
                    raise place.error(f"{key!r} is no key of the schema language{hint}", key)
            # Unknown verbs and options are told better where they are compiled.
            if not _known_options(ours.get("x-does")):
                ours.pop("x-does", None)
            if ours:
                _judge(ours, "keys", place.file, place.pointer)
            if isinstance(place.get("$ref"), str):
                documents.follow(place["$ref"], place)
            if "x-map" in place and "enum" in place:
                _check_map(place)


def _known_options(does: Any) -> bool:
    """Whether an `x-does` names a verb, and options, that there are."""
    verbs = does if isinstance(does, Mapping) else {}
    return len(verbs) == 1 and all(
        verb in VERBS and isinstance(options, Mapping) and set(options) <= VERBS[verb]
        for verb, options in verbs.items()
    )


def check_sources(documents: Documents, variants: Located | None) -> None:
    """Refuse whatever does not say where its facts come from."""
    bare = [place for place in _sourced(documents, variants) if "x-source" not in place]
    if bare:
        more = f" (and {len(bare) - 1} more places)" if len(bare) > 1 else ""
        raise bare[0].error(f'has no x-source; say {{"documented": "where"}} or {{"assumed": "why"}}{more}')


def check_machine(machine: Located) -> None:
    """Refuse machines with states that cannot be reached, are left although final, or are dead ends although not."""
    for kind, entry in machine.items():
        if kind in BESIDE_KINDS or "states" not in entry:
            continue
        states: Located = entry["states"]
        initial = entry["initial"]
        if initial not in states:
            raise entry.error(f"is {initial!r}, which is no state; known: {', '.join(states)}", "initial")
        reached = {initial, *(one.get("state", initial) for one in entry.get("present", ()))}
        frontier = list(reached)
        while frontier:
            for target in _targets(states.get(frontier.pop(), {})):
                if target not in reached:
                    reached.add(target)
                    frontier.append(target)
        for name, state in states.items():
            if name not in reached:
                raise states.error("cannot be reached from the initial state; lead a step to it or remove it", name)
            leaves = bool(_targets(state))
            if state.get("type") == "final" and leaves:
                raise states.error("is final, yet steps lead out of it; remove them or the type", name)
            if state.get("type") != "final" and not leaves:
                raise states.error('is never left; give it a step, or "type": "final"', name)


def check_patches(files: Mapping[str, Any], variants: Mapping[str, Variant]) -> None:
    """Refuse patches of files and places that are not there, and two variants that touch the same place."""
    touched: dict[tuple[str, str], str] = {}
    for variant in variants.values():
        mine: dict[tuple[str, str], str] = {}
        for reading in variant.readings.values():
            where = f"/{variant.name}/readings/{reading.name}"
            for file, patch in reading.patch.items():
                if file not in files:
                    problem = f"there is no file {file!r} to patch; the folder has: {', '.join(files)}"
                    raise SchemaFolderError("variants.json", f"{where}/patch/{file}", problem)
                for keys in _leaves(patch):
                    _reach(files[file], keys, file, f"{where}/patch/{file}")
                    mine[file, "".join(f"/{escape(key)}" for key in keys)] = where
        for (file, pointer), where in mine.items():
            for (other_file, other), by in touched.items():
                if file == other_file and (
                    f"{pointer}/".startswith(f"{other}/") or f"{other}/".startswith(f"{pointer}/")
                ):
                    raise SchemaFolderError(
                        "variants.json",
                        where,
                        f"touches {pointer} of {file}, as does {by}; give each a component of its own",
                    )
        touched |= mine


def check_bound(documents: Documents) -> None:
    """Refuse required properties of answers and messages that nothing binds."""
    bound = _Bound(documents)
    for place in walk(documents["openapi.json"]):
        for response in place.get("responses", {}).values() if isinstance(place.get("responses"), Located) else ():
            for body in documents.deref(response).get("content", {}).values():
                bound.check(body.get("schema"))
    for channel in (documents.get("asyncapi.json") or {}).get("channels", {}).values():
        for message in channel.get("messages", {}).values():
            bound.check(message.get("payload"))


def check_branches(documents: Documents) -> None:
    """Refuse a `oneOf` of which two branches claim one state."""
    for place in _schemas(documents["openapi.json"]):
        claimed: dict[str, str] = {}
        for branch in place.get("oneOf", ()):
            flat = documents.flat(branch)
            for state in flat["x-when"] if isinstance(flat.get("x-when"), list) else ():
                if state in claimed:
                    places = f"{claimed[state]} and {flat.pointer}"
                    raise place.error(f"two branches claim the state {state!r}: {places}; one may", "oneOf")
                claimed[state] = flat.pointer


class _Bound:
    """Finds required properties of drawn schemas that nothing binds."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents
        self._seen: set[tuple[str, str]] = set()

    def check(self, schema: Any) -> None:
        if not isinstance(schema, Located):
            return
        key = (schema.file, schema.pointer)
        if key in self._seen:
            return
        self._seen.add(key)
        self._check(self.documents.flat(schema))

    def _check(self, flat: Located) -> None:
        if any(word in flat for word in ("const", "x-value")):
            return
        for word in ("oneOf", "anyOf"):
            if word in flat:
                beside = Located({name: value for name, value in flat.items() if name != word})
                beside.file, beside.pointer = flat.file, flat.pointer
                for branch in flat[word]:
                    self._check(self.documents.merged(beside, self.documents.flat(branch)))
                return
        for inner in ("items", "additionalProperties", "contentSchema"):
            if isinstance(flat.get(inner), Located):
                self.check(flat[inner])
        for part in flat.get("prefixItems", ()):
            self.check(part)
        members = flat.get("properties", {})
        for name in flat.get("required", ()):
            if name not in members:
                raise flat.error(f"requires {name!r}, but no property of that name says what to draw", "required")
        for name, member in members.items():
            inner_flat = self.documents.flat(member) if isinstance(member, Located) else None
            if inner_flat is not None and name in flat.get("required", ()) and not _draws(inner_flat):
                raise flat.error(
                    "is required, but nothing says what to draw; give it const, x-value, x-each, properties or default",
                    "properties",
                    name,
                )
            self.check(member)


def _draws(flat: Located) -> bool:
    if any(word in flat for word in ("const", "oneOf", "anyOf", "contentSchema", "x-value", "x-each", "prefixItems")):
        return True
    types = flat.get("type")
    return "properties" in flat or "default" in flat or types == "null" or (isinstance(types, list) and "null" in types)


def _schemas(value: Any) -> Iterator[Located]:
    """Yield every located object in which keys are ours or the standard's, not those of a body."""
    if isinstance(value, Located):
        names = value.pointer.endswith(("/properties", "/headers"))
        if not names:
            yield value
        for key, member in value.items():
            if names or key not in DATA:
                yield from _schemas(member)
    elif isinstance(value, list):
        for member in value:
            yield from _schemas(member)


def _check_map(place: Located) -> None:
    wires = [wire for value in place["x-map"].values() for wire in (value if isinstance(value, list) else [value])]
    beyond = [wire for wire in wires if wire not in place["enum"]]
    if beyond:
        listed = ", ".join(map(repr, place["enum"]))
        raise place.error(f"maps to {', '.join(map(repr, beyond))}, which its 'enum' does not hold: {listed}", "x-map")


def _sourced(documents: Documents, variants: Located | None) -> Iterator[Located]:
    api: Located = documents["openapi.json"]
    for item in api.get("paths", {}).values():
        yield from (item[method] for method in METHODS if method in item)
    for section in SOURCED_COMPONENTS:
        entries = api.get("components", {}).get(section, {}).values()
        yield from (entry for entry in entries if isinstance(entry, Located))
    yield from (documents.get("asyncapi.json") or {}).get("channels", {}).values()
    for kind, entry in documents["machine.json"].items():
        if kind not in BESIDE_KINDS:
            yield from entry.get("states", {}).values()
    for section in ("refusals", "failures", "problems"):
        yield from documents["errors.json"].get(section, {}).values()
    for variant in (variants or {}).values():
        yield from variant["readings"].values()


def _targets(state: Mapping[str, Any]) -> set[str]:
    steps = [step if isinstance(step, str) else step["target"] for step in state.get("on", {}).values()]
    return {*steps, *state.get("after", {}).values()}


def _leaves(patch: Mapping[str, Any], keys: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the places a patch changes. New entries of errors.json, values of the wire and classes count as one."""
    for key, member in patch.items():
        if isinstance(member, Mapping) and member and "when" not in member and key not in (*DATA[:2], "classes"):
            yield from _leaves(member, (*keys, key))
        else:
            yield (*keys, key)


def _reach(document: Any, keys: tuple[str, ...], file: str, where: str) -> None:
    """Refuse a patch whose leaf has no parent to stand in: it would build a place that nothing looks at."""
    place, pointer = document, ""
    for key in keys[:-1]:
        pointer += f"/{escape(key)}"
        if not isinstance(place, Mapping) or key not in place:
            if isinstance(place, Mapping) and pointer.endswith(
                tuple(f"/{name}/{escape(key)}" for name in ("properties", "headers", "responses"))
            ):
                return  # a member, a header, an answer more
            hint = nearest(key, place) if isinstance(place, Mapping) else ""
            raise SchemaFolderError("variants.json", where, f"changes {pointer} of {file}, where nothing stands{hint}")
        place = place[key]


def _judge(value: Any, name: str, file: str, pointer: str) -> None:
    """Refuse *value* if it does not fit the JSON Schema *name* of `_meta`, in words that say what would."""
    if _validator(name).is_valid(value):
        return
    import jsonschema
    from jsonschema.exceptions import best_match

    error = best_match(jsonschema.Draft202012Validator(_meta(name)).iter_errors(value))
    assert error is not None, "the two validators agree; a test holds it"
    at = pointer + "".join(f"/{escape(str(key))}" for key in error.absolute_path)
    members = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
    problem = error.message
    if error.validator == "additionalProperties":
        unknown = next(key for key in error.instance if key not in members)
        at += f"/{escape(unknown)}"
        problem = f"{unknown!r} is no key here{nearest(unknown, members)}; known: {', '.join(members)}"
    elif error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        problem = f"{missing!r} is missing: {_description(members.get(missing, {}), name)}"
    elif isinstance(error.schema, Mapping) and "description" in error.schema:
        problem = f"{error.message}; wanted: {error.schema['description']}"
    raise SchemaFolderError(file, at, problem)


def _description(schema: Mapping[str, Any], name: str) -> str:
    if "description" not in schema and str(schema.get("$ref", "")).startswith("#/$defs/"):
        schema = _meta(name)["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return str(schema.get("description", f"see schemas/_meta/{name}.schema.json"))


@functools.cache
def _meta(name: str) -> Any:
    return read_json(data.schemas() / "_meta" / f"{name}.schema.json")


@functools.cache
def _validator(name: str) -> Any:
    return jsonschema_rs.Draft202012Validator(_meta(name))
