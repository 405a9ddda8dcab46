"""Conditions: JSON Schemas over named values, compiled to tests.

`{"endpoint#/endpoint_type": ["Async"]}` holds when every named value fits its schema; a bare list means `enum`, and
without a name it speaks of the state of the thing at hand. A value the world lacks is tested as `null`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mockserver.provider.documents import escape
from mockserver.provider.model import Test
from mockserver.provider.scope import Scope
from mockserver.provider.values import Get

Compile = Callable[[str], Get]


def test(condition: Any, getter: Compile, *, at_hand: str) -> Test:
    """Compile a condition.

    Args:
        condition: a list of states, or a mapping of value name to schema.
        getter: compiles one value name.
        at_hand: the kind whose state a bare list speaks of.
    """
    if isinstance(condition, list):
        condition = {f"{at_hand}.state": condition}
    tests = [(getter(name), fits(schema)) for name, schema in condition.items()]
    if len(tests) == 1:
        get, fit = tests[0]
        return lambda scope: fit(get(scope))
    return lambda scope: all(fit(get(scope)) for get, fit in tests)


def facts_test(condition: Mapping[str, Any]) -> Test:
    """Compile a condition over the facts of a refusal (`violation.keyword`)."""
    tests = [(name, fits(schema)) for name, schema in condition.items()]

    def holds(scope: Scope) -> bool:
        return all(fit(scope.facts.get(name)) for name, fit in tests)

    return holds


def fits(schema: Any) -> Callable[[Any], bool]:
    """Compile a schema, or a bare list for `enum`, to a predicate; the commonest forms without a validator."""
    if isinstance(schema, bool):
        return lambda value: schema
    if isinstance(schema, list):
        if all(isinstance(member, str) for member in schema):
            members = frozenset(schema)
            return lambda value: isinstance(value, str) and value in members
        schema = {"enum": schema}
    if schema == {"type": "null"}:
        return lambda value: value is None
    if set(schema) == {"pattern"}:
        search = re.compile(schema["pattern"]).search
        return lambda value: isinstance(value, str) and search(value) is not None
    import jsonschema_rs

    validator = jsonschema_rs.Draft202012Validator(schema, retriever=_nothing)
    return lambda value: validator.is_valid(list(value) if isinstance(value, tuple) else value)


class UnfitSchema(ValueError):
    """A user's JSON Schema that will not do; `pointer` says where in it."""

    def __init__(self, pointer: str, problem: str) -> None:
        super().__init__(f"at {pointer or '/'}: {problem}")
        self.pointer, self.problem = pointer, problem


def users(schema: Any) -> Callable[[Any], bool]:
    """Compile a JSON Schema that a user wrote; raise `UnfitSchema` where it is none or refers to what is outside it."""
    import jsonschema_rs
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = "".join(f"/{escape(str(key))}" for key in error.absolute_path)
        raise UnfitSchema(place, f"is no JSON Schema: {error.message}") from None
    outside = _outside(schema)
    if outside is not None:
        raise UnfitSchema(outside, "refers outside the schema; write it out here")
    try:
        return fits(schema)
    except jsonschema_rs.ValidationError as error:
        raise UnfitSchema("", f"is no JSON Schema: {error.message}") from None


def _outside(schema: Any, pointer: str = "") -> str | None:
    """Return where *schema* refers to something outside itself."""
    if isinstance(schema, Mapping):
        for key, member in schema.items():
            if key in ("$ref", "$dynamicRef") and isinstance(member, str) and not member.startswith("#"):
                return f"{pointer}/{key}"
    parts = schema.items() if isinstance(schema, Mapping) else enumerate(schema) if isinstance(schema, list) else ()
    found = (_outside(member, f"{pointer}/{escape(str(key))}") for key, member in parts)
    return next((place for place in found if place is not None), None)


def _nothing(address: str) -> Any:
    # Left to itself, the validator fetches what a reference names: from the web and from the disk.
    raise ValueError(f"{address} is outside the schema, and nothing is fetched")
