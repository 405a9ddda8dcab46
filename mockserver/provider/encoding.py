"""How a drawn body becomes bytes: the JSON habits of a wire, XML, and plain text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from mockserver.provider import notation
from mockserver.provider.documents import Documents, Located

if TYPE_CHECKING:
    from xml.etree import ElementTree

Encode = Callable[[Any], bytes]


def _compact(value: Any) -> bytes:
    # What orjson gives lies in the 4 KB it was written in; answers are kept by the thousand, so they are copied.
    return b"%b" % orjson.dumps(value)


def _go(value: Any) -> bytes:
    # Go's encoder escapes these three for HTML; in JSON they can only stand inside texts.
    return _compact(value).replace(b"&", b"\\u0026").replace(b"<", b"\\u003c").replace(b">", b"\\u003e")


def _python(value: Any) -> bytes:
    return json.dumps(value).encode()


class Prepared(dict[str, Any]):
    """A large document that is the same for many calls: encoded once in each style, and not judged again."""

    __slots__ = ("_encoded",)

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document)
        self._encoded: dict[str, bytes] = {}

    def encoded(self, style: str) -> bytes:
        if style not in self._encoded:
            self._encoded[style] = JSON_STYLES[style](dict(self))
        return self._encoded[style]


JSON_STYLES: dict[str, Encode] = {"compact": _compact, "go": _go, "python": _python}


def encoder(media: str, style: str, schema: Any, documents: Documents) -> Encode:
    """Return how a body of *media* is encoded; JSON unless the media type says otherwise."""
    kind = media.partition(";")[0].strip()
    if kind in ("application/xml", "text/xml"):
        flat = documents.flat(schema)
        return lambda value: _xml(value, flat, documents)
    if kind == "application/octet-stream" and isinstance(schema, Located):
        forms = [documents.flat(part).get("format", "binary") for part in documents.flat(schema).get("prefixItems", ())]
        if forms:
            return lambda value: notation.lay_end_to_end(value, forms)
    if kind.startswith("text/") or kind == "application/octet-stream":
        return lambda value: value if isinstance(value, bytes) else str(value).encode()
    encode = JSON_STYLES[style]
    return lambda value: value.encoded(style) if isinstance(value, Prepared) else encode(value)


def _xml(value: Any, schema: Located, documents: Documents) -> bytes:
    from xml.etree import ElementTree

    root = ElementTree.Element(schema.get("xml", {}).get("name", "root"))
    _fill(root, value, schema, documents)
    ElementTree.indent(root)
    written = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{written}\n'.encode()


def _fill(element: ElementTree.Element, value: Any, schema: Located, documents: Documents) -> None:
    if not isinstance(value, dict):
        element.text = "" if value is None else str(value)
        return
    from xml.etree import ElementTree

    for name, member in value.items():
        inner = documents.flat(schema.get("properties", {}).get(name, schema))
        child = ElementTree.SubElement(element, inner.get("xml", {}).get("name", name) if inner is not schema else name)
        _fill(child, member, inner, documents)
