"""The text of a scenario file as plain data: JSON, or YAML that says no more than JSON can.

No tags, no anchors, no key twice; `no` and `2025-06-01` are texts. Imported when the first file is read.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from mockserver.provider.model import Json


class Unreadable(ValueError):
    """A text is not of its form; says why."""


def read_json(text: str, *, or_yaml: bool = False) -> Json:
    """Read JSON; raise `Unreadable` where that cannot be done, or a key stands twice.

    Args:
        or_yaml: take YAML, which may begin with a brace too, for what is no JSON.
    """

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in members:
            if key in found:
                raise Unreadable(f"the key {key!r} stands twice in one object; keep one of them")
            found[key] = value
        return found

    def constant(text: str) -> Any:
        raise Unreadable(f"{text} is no number of JSON")

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except Unreadable:
        raise
    except ValueError as error:  # also a number of more digits than are read
        if or_yaml:
            with suppress(Unreadable):
                return read_yaml(text)
        raise Unreadable(f"is not JSON: {error}") from None
    except RecursionError:
        raise Unreadable("is nested too deep") from None


def read_yaml(text: str) -> Json:
    """Read YAML; raise `Unreadable` where that cannot be done, or it says what JSON cannot."""
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader that reads less
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise Unreadable(f"is not YAML{place}: {problem or ' '.join(str(error).split())}") from None
    except ValueError as error:  # a number of more digits than are read
        raise Unreadable(f"cannot be read: {error}") from None
    except RecursionError:
        raise Unreadable("is nested too deep") from None


class _Loader(yaml.SafeLoader):
    """Reads what JSON can say: no anchors, no duplicate keys, keys are texts."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise ConstructorError(None, None, "anchors are not followed; write it out", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set[str]()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConstructorError(None, None, "a key must be a text", key.start_mark)
            # Node ids are numbers to the eye: `3:` is the key "3", as in JSON.
            key.tag = "tag:yaml.org,2002:str"
            if key.value in seen:
                raise ConstructorError(None, None, f"the key {key.value!r} stands twice; keep one", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# YAML 1.1 takes `no`, `on` and `2025-06-01` for more than text; JSON does not.
_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge", "tag:yaml.org,2002:bool")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _word in ("true", "false"):
    _Loader.yaml_implicit_resolvers.setdefault(_word[0], []).append(
        ("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"))
    )
