"""Validators of one folder: compiled once, fast when all is well, eloquent when not.

`jsonschema-rs` decides on the path of every request and answer; only a value that it refuses is looked at again by
`jsonschema`, whose errors name what was expected and what was found. A property test holds that the two agree.
Every violation carries a stable rule id: `request-schema-required`, `answer-schema-type`, ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from mockserver.provider.documents import escape
from mockserver.provider.model import Violation

if TYPE_CHECKING:
    import jsonschema

BASE = "mock://folder/"


class Validators:
    """Compiles validators for schemas standing in the files of one folder."""

    def __init__(self, documents: Mapping[str, Any]) -> None:
        import jsonschema_rs

        # Only files that hold schemas are offered; the rest cannot be referred to.
        self._schemas = {name: documents[name] for name in ("openapi.json", "asyncapi.json") if name in documents}
        self._fast = jsonschema_rs.Registry([(BASE + name, content) for name, content in self._schemas.items()])

    def fits(self, schema: Mapping[str, Any]) -> Callable[[Any], bool]:
        """Compile *schema* (its references absolute) to a predicate."""
        import jsonschema_rs

        validator = jsonschema_rs.Draft202012Validator(_with_base(schema), registry=self._fast, validate_formats=False)
        return validator.is_valid

    def violations(self, schema: Mapping[str, Any], *, rule: str, root: str) -> Callable[[Any], list[Violation]]:
        """Compile *schema* (its references absolute) to a function listing all violations, most telling first.

        Args:
            rule: prefix of the rule ids (`request-schema`).
            root: pointer of the judged value in the exchange (`/body`).
        """
        valid = self.fits(schema)

        def violations(value: Any) -> list[Violation]:
            if valid(value):
                return []
            telling = self._telling(schema)
            from jsonschema.exceptions import best_match, relevance

            errors = sorted(telling.iter_errors(value), key=relevance, reverse=True)
            # Of branches that all fail, the nearest miss tells most.
            found = [_violation(best_match([error]) or error, rule, root) for error in errors]
            # The two libraries read a few exotic patterns differently; the one in the request's path has the say.
            return found or [Violation(f"{rule}-other", root, "other", None, value, "does not fit its schema")]

        return violations

    def _telling(self, schema: Mapping[str, Any]) -> jsonschema.Draft202012Validator:
        """Return the eloquent validator; its libraries are imported when the first value is refused."""
        import jsonschema
        import referencing
        from referencing.jsonschema import DRAFT202012

        resources = [(BASE + name, DRAFT202012.create_resource(content)) for name, content in self._schemas.items()]
        registry: referencing.Registry[Any] = referencing.Registry().with_resources(resources)
        return jsonschema.Draft202012Validator(_with_base(schema), registry=registry)

    def broken(self, schema: Mapping[str, Any], *, rule: str, root: str) -> Callable[[Any], Violation | None]:
        """Compile *schema* to a function giving its first violation, or None."""
        violations = self.violations(schema, rule=rule, root=root)

        def broken(value: Any) -> Violation | None:
            found = violations(value)
            return found[0] if found else None

        return broken


def facts_of(violation: Violation, count: int = 1, values: Sequence[Any] = ()) -> dict[str, Any]:
    """Return a violation as facts for the texts of errors.json.

    Args:
        values: what was found wherever this rule is broken, where that is known.
    """
    got = violation.got
    return {
        "violation.at": violation.at,
        "violation.in": violation.at.split("/")[-2] if violation.at.count("/") > 1 else "",
        "violation.key": violation.key,
        "violation.keys": list(violation.keys),
        "violation.keyword": violation.keyword,
        "violation.value": got,
        "violation.limit": violation.expected,
        "violation.size": len(got) if isinstance(got, str | list | dict) else None,
        "violation.count": len(violation.keys) or count,
        "violation.type": json_type(got),
        "violation.text": violation.text,
        "violation.values": list(values) or [got],
    }


def json_type(value: Any) -> str:
    """Return the JSON Schema type of *value*, the narrowest."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    found = {str: "string", int: "integer", float: "number", list: "array"}
    return next((name for kind, name in found.items() if isinstance(value, kind)), "object")


def _with_base(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        return {
            key: BASE + quote(member, safe="#/~") if key == "$ref" and isinstance(member, str) else _with_base(member)
            for key, member in schema.items()
        }
    if isinstance(schema, list):
        return [_with_base(member) for member in schema]
    return schema


def _violation(error: jsonschema.ValidationError, rule: str, root: str) -> Violation:
    keyword, limit = str(error.validator), cast(Any, error.validator_value)
    at = root + "".join(f"/{escape(str(key))}" for key in error.absolute_path)
    keys: tuple[str, ...] = ()
    if keyword == "required" and isinstance(error.instance, Mapping):
        keys = tuple(name for name in limit if name not in error.instance)
        # One error comes for each missing name; its text begins with the name.
        missing = next((name for name in keys if error.message.startswith(repr(name))), keys[0] if keys else "")
        return Violation(
            f"{rule}-required", f"{at}/{escape(missing)}", keyword, list(limit), None,
            f"{missing} is missing", missing, keys,
        )  # fmt: skip
    if keyword == "additionalProperties" and isinstance(error.instance, Mapping):
        known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
        keys = tuple(name for name in error.instance if name not in known)
    key = keys[0] if keys else (str(error.absolute_path[-1]) if error.absolute_path else None)
    return Violation(f"{rule}-{keyword}", at, keyword, limit, error.instance, _short(error.message), key, keys)


def _short(message: str) -> str:
    return message if len(message) <= 300 else message[:297] + "..."
