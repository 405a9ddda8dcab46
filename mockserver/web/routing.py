"""From a path to an operation: the routes of one provider, built from its documents.

Static paths are found by one lookup; templated ones by a regular expression each. Slashes follow the provider's habit
(`x-wire.slashes`): `strict`, `merge` (two are one) or `tail-optional`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from mockserver.provider.model import Channel, Provider
from mockserver.web.handling import Handling, handling


class Route(NamedTuple):
    """What stands at one path: its operations by method, and the push channel, if any."""

    template: str
    operations: Mapping[str, Handling]
    channel: Channel | None = None
    mounts: frozenset[str] | None = None
    """The only mounts it stands below, where its path has servers of its own."""


class Router:
    """The routes of one provider."""

    def __init__(self, provider: Provider) -> None:
        slashes = provider.wire.get("slashes", "strict")
        self._merge = slashes == "merge"
        self._tail = slashes == "tail-optional"
        self._mounts = provider.mounts
        static: dict[str, Route] = {}
        templated: dict[str, Route] = {}
        parameters = provider.documents["openapi.json"]
        for operation in provider.operations:
            table = templated if "{" in operation.path else static
            known = table.get(operation.path)
            operations = {**(known.operations if known else {}), operation.method: handling(provider, operation)}
            table[operation.path] = Route(operation.path, operations, None, _own_mounts(parameters, operation.path))
        for channel in provider.channels:
            known = static.get(channel.path)
            static[channel.path] = Route(channel.path, known.operations if known else {}, channel)
        self._static = static
        self._templated = [(_pattern(route.template, parameters), route) for route in templated.values()]

    def find(self, path: str, raw: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route at a path below the provider, with its path parameters decoded.

        Args:
            path: percent-decoded.
            raw: as received, without the query.
        """
        if self._merge and "//" in path:
            path, raw = re.sub("//+", "/", path), re.sub("//+", "/", raw)
        for mount in self._mounts:
            if mount and not path.startswith(mount):
                continue
            found = self._below(path[len(mount) :], raw[len(mount) :])
            if found is not None and (found[0].mounts is None or mount in found[0].mounts):
                return found
        return None

    def _below(self, path: str, raw: str) -> tuple[Route, dict[str, str]] | None:
        if self._tail and path.endswith("/") and path != "/":
            path, raw = path[:-1], raw[:-1]
        route = self._static.get(path or "/")
        if route is not None:
            return route, {}
        for pattern, route in self._templated:
            match = pattern.fullmatch(raw)
            if match is not None:
                return route, {name: unquote(value) for name, value in match.groupdict().items()}
        return None


def _own_mounts(api: Any, path: str) -> frozenset[str] | None:
    servers = api["paths"][path].get("servers")
    return None if servers is None else frozenset(urlsplit(one["url"]).path.rstrip("/") for one in servers)


def _pattern(template: str, api: Any) -> re.Pattern[str]:
    """Compile a path template; a parameter of `format: path` may hold slashes."""
    item = api["paths"][template]
    listed = [
        *item.get("parameters", ()),
        *(p for method in item.values() if isinstance(method, dict) for p in method.get("parameters", ())),
    ]
    long = set()
    for parameter in listed:
        if "$ref" in parameter:
            parameter = api["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[1]]
        if parameter.get("in") == "path" and parameter.get("schema", {}).get("format") == "path":
            long.add(parameter["name"])
    pattern = ""
    for literal, name in re.findall(r"([^{]*)(?:\{([^}]+)\})?", template):
        pattern += re.escape(literal)
        if name:
            pattern += f"(?P<{re.sub(r'[^0-9a-zA-Z_]', '_', name)}>{'.+' if name in long else '[^/]+'})"
    return re.compile(pattern)
