"""Conditions: JSON Schemas over named values, compiled to tests.

`{"endpoint#/endpoint_type": ["Async"]}` holds when every named value fits its schema; a bare list means `enum`, and
without a name it speaks of the state of the thing at hand. A value the world lacks is tested as `null`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jsonschema_rs

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
    validator = jsonschema_rs.Draft202012Validator(schema)
    return lambda value: validator.is_valid(list(value) if isinstance(value, tuple) else value)


def flaw(schema: Any) -> tuple[Sequence[str | int], str] | None:
    """Return where and why *schema* is no JSON Schema; None if it is one."""
    # Imported late, as everywhere: a server that is sent nothing wrong never needs it, and it takes a tenth of a start.
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return tuple(error.absolute_path), error.message
    return None
