"""Schemas written in a test, drawn and read: the language without a folder around it."""

# ruff: noqa: E501 (a row reads best on one line)

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from mockserver.provider.documents import Documents
from mockserver.provider.drawing import Drawer
from mockserver.provider.model import NOTHING, Marks
from mockserver.provider.reading import Reader
from mockserver.provider.scope import Call, Scope
from mockserver.provider.values import Names

NOON = 1_790_000_000.0
"""2026-09-21T14:13:20Z."""
NAMES = Names(
    kinds=("task", "account", "endpoint"),
    delays=("token",),
    server=("region",),
    states={"task": ("queued", "running", "done", "failed", "unknown", "foreign"), "node": ("waiting", "finished")},
)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


class Letters:
    """Chance without chance: always the first letters of the alphabet."""

    def text(self, alphabet: str, length: int) -> str:
        return (alphabet * length)[:length]

    def uniform(self, low: float, high: float) -> float:
        return low

    def below(self, limit: int) -> int:
        return 0


def file(name: str, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"name": name, "root": "output", "ui": "images", "label": None, "width": 512, **more})


def node(id: str, *files: SimpleNamespace, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"id": id, "class_type": "SaveImage", "state": "finished", "files": list(files), **more})


def task(**more: Any) -> SimpleNamespace:
    nodes = more.pop("nodes", [node("9", file("a.png"), file("b.png"))])
    values = {
        "id": "t-1", "client": None, "state": "running", "created": NOON, "started": None, "progress": 0.5, "ran": 7.75,
        "priority": 8.0, "request": {"number": 7, "a/b": "odd"}, "extra": {"x": 1}, "position": 0, "reached": {"done": NOON},
        "graph": {}, "failure": None, "things": {}, "node": None, "events": [], "files": [one for n in nodes for one in n.files],
        "nodes_at": lambda at: nodes, "writers_at": lambda at: [one for one in nodes if one.files],
    }  # fmt: skip
    return SimpleNamespace(**{**values, **more})


def scope(**subjects: Any) -> Scope:
    made = Scope(at=NOON, call=Call(at=NOON, operation="sample", chance=Letters(), id="call-1"))
    made.task = task()
    made.server = {"region": "north"}
    made.delays = {"token": 86400}
    made.secrets = {"token": "a-secret-of-sufficient-length-for-HS256"}
    return made.bind(**subjects)


def draw(schema: Any, on: Scope | None = None, **components: Any) -> Any:
    """Draw *schema*; *components* can be referred to as `#/components/schemas/<name>`."""
    drawer, root = _compiler(schema, components)
    return drawer.compile(root)(on or scope())


def read(schema: Any, value: Any = NOTHING, **components: Any) -> Marks:
    """Read what *value* gives by *schema*."""
    drawer, root = _compiler(schema, components)
    marks: Marks = {}
    compiled = Reader(drawer.documents, drawer).compile(root)
    assert compiled is not None, "nothing in this schema is marked"
    compiled(value, marks)
    return marks


def _compiler(schema: Any, components: Any) -> tuple[Drawer, Any]:
    documents = Documents({"openapi.json": {"components": {"schemas": {"root": schema, **components}}}})
    return Drawer(documents, NAMES), documents["openapi.json"]["components"]["schemas"]["root"]
