"""Python source, written piece by piece and turned into functions when they are first called.

What a folder says is known when it is loaded, so a drawing need not look at it again: it is written out as the
statements one would write by hand for that very schema. Only names of our own vocabulary are written as code; whatever
a folder says (texts, numbers, tables) is handed in as a constant.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

DEEPEST = 8
"""Blocks nested in one function at most; Python takes twenty."""


class Module:
    """The functions of one folder: they share constants, and may call each other and themselves."""

    def __init__(self, **names: Any) -> None:
        self._names: dict[str, Any] = dict(names)
        self._constants: dict[int, str] = {}
        self._kept: list[Any] = []
        self._count = 0

    def constant(self, value: Any) -> str:
        """Return the name under which functions know *value*."""
        name = self._constants.get(id(value))
        if name is None:
            name = self._constants[id(value)] = self.fresh("k")
            self._kept.append(value)  # so that its identity stays its own
            self._names[name] = value
        return name

    def fresh(self, stem: str) -> str:
        """Return a name that is used nowhere else in this module."""
        self._count += 1
        return f"{stem}{self._count}"

    def declare(self, about: str) -> str:
        """Return the name of a function that is still to be written; *about* shows in tracebacks."""
        name = self.fresh("draw")

        def unwritten(scope: Any) -> Any:
            raise AssertionError(f"{about} was drawn before it was written")

        self._names[name] = unwritten
        return name

    def define(self, name: str, about: str, lines: list[str]) -> None:
        """Give a declared function its body; it is compiled when it is first called."""
        names = self._names

        def first(scope: Any) -> Any:
            file = f"<drawing {name} of {about}>"
            text = "\n".join([f"def {name}(scope):", *lines, ""])
            linecache.cache[file] = (len(text), None, text.splitlines(True), file)
            exec(compile(text, file, "exec"), names)
            return names[name](scope)

        names[name] = first

    def function(self, name: str) -> Callable[[Any], Any]:
        """Return a function that stands for the named one, whether it is compiled yet or not."""
        names = self._names
        return lambda scope: names[name](scope)


class Block:
    """The statements of one function under way, and what is known where they stand."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.lines: list[str] = []
        self._bound: dict[str, tuple[str, bool]] = {}
        """Subject -> the local that holds it inside a loop, and whether that may be None."""
        self._loaded: dict[str, str] = {}
        """Subject -> the local that holds it, or None, from the function's start."""
        self._indent = 1

    @property
    def deep(self) -> bool:
        return self._indent > DEEPEST

    def add(self, line: str) -> None:
        self.lines.append("    " * self._indent + line)

    @contextmanager
    def inside(self, header: str) -> Iterator[None]:
        """Write what follows below *header*."""
        self.add(header)
        self._indent += 1
        yield
        self._indent -= 1

    @contextmanager
    def once(self) -> Iterator[None]:
        """Write a block that `break` leaves early."""
        with self.inside("while True:"):
            yield
            self.add("break")

    @contextmanager
    def binding(self, bound: Mapping[str, tuple[str, bool]]) -> Iterator[None]:
        """Within it, these subjects are in these locals; of each it is told whether it may be None."""
        before = self._bound
        self._bound = {**before, **bound}
        yield
        self._bound = before

    def local(self) -> str:
        """Return the name of a new local."""
        return self.module.fresh("v")

    def is_bound(self, subject: str) -> bool:
        """Whether a loop has bound a subject for certain."""
        return subject in self._bound and not self._bound[subject][1]

    def subject(self, name: str) -> tuple[str, bool]:
        """Return the local that holds what the scope has under a name, and whether that may be None."""
        return self._bound.get(name) or (self._loaded.setdefault(name, f"its_{name}"), True)

    def finished(self, result: str) -> list[str]:
        """Return the body, which gives the local *result* back."""
        loads = [f"    {local} = scope.{subject}" for subject, local in self._loaded.items()]
        return [*loads, *self.lines, f"    return {result}"]
