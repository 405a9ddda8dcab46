"""Our own exceptions. What a *client* did wrong is not one of them, except `Refused`.

A mistake of the user of this package (a bad folder, option, file) is a `MockServerError`: its text says where,
what was found and what would be right, and no way in shows a traceback for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


class MockServerError(Exception):
    """Base of everything this package raises on purpose."""


class SchemaFolderError(MockServerError):
    """A provider's folder contradicts itself. Raised while loading, never while serving."""

    def __init__(self, file: str, pointer: str, problem: str) -> None:
        super().__init__(f"{file} at {pointer or '/'}: {problem}")
        self.file, self.pointer, self.problem = file, pointer, problem


def nearest(found: str, known: Collection[str]) -> str:
    """Return a hint at the names nearest to *found*, for the end of a refusal; empty where none is near."""
    import difflib

    near = difflib.get_close_matches(found, list(known), 3, 0.5)
    return f"; near: {', '.join(near)}" if near else ""


class UserError(MockServerError):
    """An option, file or call of the user cannot be obeyed; the text says what would be right."""


class Refused(Exception):
    """A call that the provider declines. The web layer answers it from the provider's `errors.json`.

    Args:
        condition: a condition word of `provider/vocabulary.py`, such as `task-unknown`.
        facts: what is known about the case, by name (`violation.key`, `workflow.id`), for the texts of the answer.
    """

    def __init__(self, condition: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(condition)
        self.condition = condition
        self.facts: Mapping[str, Any] = facts or {}
