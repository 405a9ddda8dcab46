"""Patches: answers changed off their contract, by JSON Merge Patch, by pointer, or by the value a member shows.

By value (`task.state`) one patch fits every provider: the response schema says where the value stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mockserver.provider.documents import escape, merge_patch
from mockserver.provider.model import Json
from mockserver.provider.vocabulary import VALUES
from mockserver.scenario.model import UNSET, PatchAction

Schema = Any
Follow = Callable[[str], Schema]
"""Returns what a `$ref` leads to."""
_DEEPEST = 40


def patched(body: Json, patch: PatchAction, *, schema: Schema = True, follow: Follow | None = None) -> Json:
    """Return *body* patched; it is left as it is.

    Args:
        schema: the body's schema, for members named by the value they show.
        follow: resolves its references.
    """
    if patch.null_lists:
        body = _without_empty(body)
    if patch.merge is not UNSET:
        body = merge_patch(body, patch.merge)
    places = list(shown(body, schema, follow or (lambda ref: True))) if _needs_schema(patch) else []
    for name, value in patch.set.items():
        for pointer in _pointers(name, body, places):
            body = _changed(body, pointer.split("/")[1:], value)
    for name in patch.remove:
        # From the end, so that the numbers of list items before stay right.
        for pointer in reversed(list(_pointers(name, body, places))):
            body = _changed(body, pointer.split("/")[1:], UNSET)
    return body


def shown(body: Json, schema: Schema, follow: Follow, pointer: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield value name and pointer of each member of *body* whose schema says which value it shows."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return
    deeper = depth + 1
    if isinstance(schema.get("$ref"), str):
        yield from shown(body, follow(schema["$ref"]), follow, pointer, deeper)
    marks = schema.get("x-value", ())
    for mark in [marks] if isinstance(marks, str) else marks:
        yield mark, pointer
    for word in ("allOf", "anyOf", "oneOf"):
        for branch in schema.get(word, ()):
            yield from shown(body, branch, follow, pointer, deeper)
    if isinstance(body, Mapping):
        properties = schema.get("properties", {})
        for key, member in body.items():
            inner = properties.get(key, schema.get("additionalProperties"))
            yield from shown(member, inner, follow, f"{pointer}/{escape(key)}", deeper)
    elif isinstance(body, list):
        first = schema.get("prefixItems", ())
        for index, member in enumerate(body):
            inner = first[index] if index < len(first) else schema.get("items")
            yield from shown(member, inner, follow, f"{pointer}/{index}", deeper)


def is_place(name: str) -> bool:
    """Return whether *name* can stand in `set` or `remove`: a JSON Pointer or the name of a value."""
    return name == "" or name.startswith("/") or name.partition("#")[0] in VALUES or "#/" in name


def _needs_schema(patch: PatchAction) -> bool:
    return any(name and not name.startswith("/") for name in (*patch.set, *patch.remove))


def _pointers(name: str, body: Json, places: list[tuple[str, str]]) -> Iterator[str]:
    if name and not name.startswith("/"):
        yield from dict.fromkeys(pointer for mark, pointer in places if mark == name)
        return
    yield from _spread(name.split("/")[1:], body, "")


def _spread(parts: list[str], body: Json, pointer: str) -> Iterator[str]:
    """Yield the pointers that *parts* mean in *body*; only the last of them may name what is not there yet."""
    if not parts:
        yield pointer
        return
    part, rest = parts[0], parts[1:]
    if part == "*":
        keys = list(body) if isinstance(body, Mapping) else range(len(body)) if isinstance(body, list) else ()
        for key in keys:
            yield from _spread(rest, body[key], f"{pointer}/{escape(str(key))}")
    elif isinstance(body, Mapping):
        key = part.replace("~1", "/").replace("~0", "~")
        if key in body or not rest:
            yield from _spread(rest, body.get(key), f"{pointer}/{part}")
    elif isinstance(body, list) and part.isdigit() and int(part) < len(body):
        yield from _spread(rest, body[int(part)], f"{pointer}/{part}")


def _changed(body: Json, parts: list[str], value: Any) -> Json:
    """Return a copy of *body* with one member set, or removed where *value* is UNSET."""
    if not parts:
        return None if value is UNSET else value
    part, rest = parts[0].replace("~1", "/").replace("~0", "~"), parts[1:]
    # An earlier change of the same patch may have put something else where this pointer led.
    if isinstance(body, list):
        if not part.isdigit() or int(part) >= len(body):
            return body
    elif not isinstance(body, Mapping):
        return body
    key: Any = int(part) if isinstance(body, list) else part
    copy: Any = list(body) if isinstance(body, list) else dict(body)
    if not rest and value is UNSET:
        if isinstance(copy, list) or key in copy:
            del copy[key]
    else:
        inner = body[key] if isinstance(body, list) else body.get(key)
        copy[key] = _changed(inner, rest, value) if rest else value
    return copy


def _without_empty(body: Json) -> Json:
    if isinstance(body, Mapping):
        return {key: _without_empty(member) for key, member in body.items()} or None
    if isinstance(body, list):
        return [_without_empty(member) for member in body] or None
    return body
