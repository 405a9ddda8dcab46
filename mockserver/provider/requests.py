"""Requests, compiled: how parameters are taken out, what a request gives, and which rules it breaks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from mockserver.provider.documents import Documents, Located, escape
from mockserver.provider.model import NOTHING, Marks, Part, Request, Violation
from mockserver.provider.reading import Read, Reader
from mockserver.provider.validation import Validators


def request_reader(
    parameters: list[Located], schema: Located | None, *, reader: Reader, documents: Documents
) -> Callable[[Request], Marks]:
    """Compile what a request gives: its marked parameters, then its marked body."""
    reads: list[tuple[Callable[[Request], Any], Read]] = []
    for parameter in parameters:
        read = reader.compile(parameter.get("schema"))
        if read is not None:
            reads.append((_parameter(parameter, documents), read))
    read_body = reader.compile(schema)

    def collect(request: Request) -> Marks:
        marks: Marks = {}
        for get, read in reads:
            read(get(request), marks)
        if read_body is not None:
            read_body(request.body, marks)
        return marks

    return collect


def request_violations(
    parameters: list[Located], schema: Located | None, *, validators: Validators, documents: Documents
) -> Callable[[Request], list[Violation]]:
    """Compile what a request breaks: parameters in their order, then the body, file parts last."""
    judges = []
    for parameter in parameters:
        place = {"query": "query", "header": "header", "path": "path"}[parameter["in"]]
        root = f"/{place}/{escape(parameter['name'])}"
        judge = validators.violations(parameter["schema"].here(), rule="request-schema", root=root)
        judges.append((root, _parameter(parameter, documents), judge, parameter.get("required", False)))
    judge_body = None
    files: frozenset[str] = frozenset()
    if schema is not None:
        judge_body = validators.violations(schema.here(), rule="request-schema", root="/body")
        flat = documents.flat(schema)
        files = frozenset(
            name for name, member in flat.get("properties", {}).items() if is_bytes(documents.flat(member))
        )

    def violations(request: Request) -> list[Violation]:
        found: list[Violation] = []
        for root, get, judge, required in judges:
            value = get(request)
            if value is not NOTHING:
                found.extend(judge(value))
            elif required:
                name = root.rsplit("/", 1)[1]
                found.append(missing(root, name, [name]))
        if judge_body is not None and request.body is not NOTHING:
            found.extend(judge_body(_judged(request.body)))
            for name in files:
                part = request.body.get(name, NOTHING) if isinstance(request.body, dict) else NOTHING
                if part is not NOTHING and not isinstance(part, Part):
                    at = f"/body/{escape(name)}"
                    text = f"{name} is text, not a file"
                    found.append(Violation("request-schema-file", at, "file", "a file", part, text, name, (name,)))
        return found

    return violations


def _parameter(parameter: Located, documents: Documents) -> Callable[[Request], Any]:
    """Return how a parameter is taken out of a request, as the JSON type its schema wants where the text allows."""
    name, place = parameter["name"], parameter["in"]
    schema = documents.flat(parameter["schema"]) if isinstance(parameter.get("schema"), Located) else Located()
    types = schema.get("type", ())
    types = (types,) if isinstance(types, str) else tuple(types)
    listed = "array" in types
    items = documents.flat(schema["items"]) if listed and isinstance(schema.get("items"), Located) else None
    item_types = items.get("type", ()) if items is not None else ()
    item_types = (item_types,) if isinstance(item_types, str) else tuple(item_types)
    by_comma = listed and not (place == "query" and parameter.get("explode", parameter.get("style", "form") == "form"))

    def typed(value: str) -> Any:
        return [_typed(one.strip(), item_types) for one in value.split(",")] if by_comma else _typed(value, types)

    if place == "query" and listed and not by_comma:

        def several(request: Request) -> Any:
            given = [_typed(value, item_types) for key, value in request.query if key == name]
            return given or NOTHING

        return several
    if place == "query":

        def query(request: Request) -> Any:
            for key, value in request.query:
                if key == name:
                    return typed(value)
            return NOTHING

        return query
    key = name.lower() if place == "header" else name

    def plain(request: Request) -> Any:
        value = (request.headers if place == "header" else request.path).get(key)
        return NOTHING if value is None else typed(value)

    return plain


def _typed(value: str, types: tuple[str, ...]) -> Any:
    # Longer texts are left as they are, which the schema refuses: Python reads no number of 4,301 digits.
    if "integer" in types and re.fullmatch(r"[+-]?[0-9]{1,4300}", value):
        return int(value)
    if "number" in types and re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", value):
        return float(value)
    if "boolean" in types and value in ("true", "false"):
        return value == "true"
    return value


def _judged(body: Any) -> Any:
    """Replace file parts by texts, so that a JSON Schema can judge the form around them."""
    if isinstance(body, Part):
        return ""
    if isinstance(body, dict) and any(isinstance(member, Part) for member in body.values()):
        return {name: "" if isinstance(member, Part) else member for name, member in body.items()}
    return body


def is_bytes(flat: Located) -> bool:
    return flat.get("contentMediaType") == "application/octet-stream" and "contentSchema" not in flat


def bytes_value(flat: Located) -> str | None:
    value = flat.get("x-value")
    return value if value in ("file.bytes", "preview.bytes") and is_bytes(flat) else None


def missing(at: str, name: str, wanted: Sequence[str]) -> Violation:
    """Return the violation of a required parameter that did not come."""
    return Violation("request-schema-required", at, "required", list(wanted), None, f"{name} is missing", name, (name,))
