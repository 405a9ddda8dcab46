"""The files of one folder as located JSON: reading, patching by variants, following `$ref`.

Every object remembers the file and JSON pointer it stands at, so that a refusal can say where. Knows nothing of what
the keys mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from mockserver.errors import SchemaFolderError

DRAWN = ("const", "oneOf", "anyOf", "contentSchema", "x-value", "x-each", "prefixItems")
"""Keywords that say what a schema draws; a sibling of a `$ref` that brings one replaces those of the target."""


class Located(dict[str, Any]):
    """A JSON object that knows where it stands."""

    __slots__ = ("file", "pointer")
    file: str
    pointer: str

    def at(self, *keys: str | int) -> str:
        return self.pointer + "".join(f"/{escape(str(key))}" for key in keys)

    def here(self) -> dict[str, str]:
        """Return a reference to this place."""
        return {"$ref": f"{self.file}#{self.pointer}"}

    def error(self, problem: str, *keys: str | int) -> SchemaFolderError:
        return SchemaFolderError(self.file, self.at(*keys), problem)


def escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def read_json(path: Path) -> Any:
    """Read a JSON file; raise `SchemaFolderError` naming the line where it is broken."""
    return parse_json(read_bytes(path), path.name)


def read_bytes(path: Path) -> bytes:
    """Read a file of a folder; raise `SchemaFolderError` where that cannot be done."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SchemaFolderError(path.name, "", f"cannot be read: {error.strerror}") from None


def parse_json(raw: bytes, name: str) -> Any:
    """Parse the content of the file *name*; raise `SchemaFolderError` naming the line where it is broken."""
    try:
        return orjson.loads(raw)
    except ValueError:
        try:
            json.loads(raw)
        except ValueError as error:
            raise SchemaFolderError(name, "", f"is not JSON: {error}") from None
        raise SchemaFolderError(name, "", "is not JSON: not UTF-8, or a number out of range") from None


def locate(value: Any, file: str, pointer: str = "") -> Any:
    """Copy *value*, making every object `Located` and every `$ref` absolute (`openapi.json#/...`)."""
    if isinstance(value, dict):
        located = Located()
        located.file, located.pointer = file, pointer
        for key, member in value.items():
            if key == "$ref" and isinstance(member, str) and member.startswith("#"):
                located[key] = file + member
            else:
                located[key] = locate(member, file, f"{pointer}/{escape(key)}")
        return located
    if isinstance(value, list):
        return [locate(member, file, f"{pointer}/{index}") for index, member in enumerate(value)]
    return value


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON Merge Patch (RFC 7396) and return the result; *target* is left as it is."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, member in patch.items():
        if member is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), member)
    return result


class Documents:
    """The located files of a folder, and the way along their references."""

    def __init__(self, files: Mapping[str, Any]) -> None:
        self.plain = dict(files)
        self.files: dict[str, Any] = {name: locate(content, name) for name, content in files.items()}
        self._flat: dict[str, Located] = {}

    def __getitem__(self, file: str) -> Any:
        return self.files[file]

    def get(self, file: str) -> Any:
        return self.files.get(file)

    def follow(self, ref: str, where: Located) -> Any:
        """Return what an absolute reference points at; raise `SchemaFolderError` at *where* if nothing is there."""
        file, _, pointer = ref.partition("#")
        target = self.files.get(file)
        if target is None:
            raise where.error(
                f"refers to {ref!r}, but there is no file {file!r}; the folder has: {', '.join(self.files)}", "$ref"
            )
        for raw in pointer.split("/")[1:]:
            key = raw.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and key in target:
                target = target[key]
            elif isinstance(target, list) and key.isdigit() and int(key) < len(target):
                target = target[int(key)]
            else:
                import difflib

                near = difflib.get_close_matches(key, list(target), 3, 0.5) if isinstance(target, dict) else []
                hint = f"; near: {', '.join(near)}" if near else ""
                raise where.error(f"refers to {ref!r}, where nothing stands{hint}", "$ref")
        return target

    def deref(self, value: Any) -> Any:
        """Follow references without siblings (parameters, responses, messages) to the object itself."""
        seen = 0
        while isinstance(value, Located) and "$ref" in value:
            value = self.follow(value["$ref"], value)
            seen += 1
            if seen > 50:
                raise value.error("refers to itself", "$ref")
        return value

    def flat(self, schema: Located) -> Located:
        """Return *schema* with its `$ref` and `allOf` merged in: the target first, then what stands beside it."""
        if not isinstance(schema, Located):
            raise SchemaFolderError("openapi.json", "", f"has {schema!r} where an object is needed to say what to draw")
        if "$ref" not in schema and "allOf" not in schema:
            return schema
        key = f"{schema.file}#{schema.pointer}"
        if schema.pointer and key in self._flat:
            return self._flat[key]
        own = _copy(schema, {name: value for name, value in schema.items() if name not in ("$ref", "allOf")})
        merged: Located | None = None
        if "$ref" in schema:
            target = self.follow(schema["$ref"], schema)
            if not isinstance(target, Located):
                raise schema.error(f"refers to {schema['$ref']!r}, which is no schema", "$ref")
            merged = self.flat(target)
        for part in schema.get("allOf", ()):
            merged = self.flat(part) if merged is None else self.merged(merged, self.flat(part))
        assert merged is not None
        # A bare reference keeps the pointer of its target, where the reader of an error will want to look.
        result = self.merged(merged, own) if own else merged
        if schema.pointer:
            self._flat[key] = result
        return result

    def merged(self, base: Located, over: Located) -> Located:
        """Lay *over* on *base*: properties deeply, `required` united, all else replaced."""
        result = _copy(over, base)
        if any(word in over for word in DRAWN):
            for word in DRAWN:
                result.pop(word, None)
        for key, value in over.items():
            if key == "properties":
                result[key] = self._properties(base.get(key), value)
            elif key == "required":
                result[key] = [*base.get(key, []), *(name for name in value if name not in base.get(key, []))]
            else:
                result[key] = value
        return result

    def _properties(self, base: Located | None, over: Located) -> Located:
        if base is None:
            return over
        result = _copy(over, base)
        for name, schema in over.items():
            both = isinstance(schema, Located) and isinstance(base.get(name), Located)
            result[name] = self.merged(self.flat(base[name]), self.flat(schema)) if both else schema
        return result


def walk(value: Any) -> Iterator[Located]:
    """Yield every located object in *value*, outermost first."""
    if isinstance(value, Located):
        yield value
        for member in value.values():
            yield from walk(member)
    elif isinstance(value, list):
        for member in value:
            yield from walk(member)


def _copy(place: Located, content: Mapping[str, Any]) -> Located:
    copy = Located(content)
    copy.file, copy.pointer = place.file, place.pointer
    return copy
