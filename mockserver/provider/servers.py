"""The `servers` of openapi.json: by which names and below which paths a provider is reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit


def server_variables(api: Mapping[str, Any]) -> dict[str, str]:
    """Return the server variables of openapi.json with their defaults."""
    found: dict[str, str] = {}
    for server in api.get("servers", ()):
        for name, variable in server.get("variables", {}).items():
            found.setdefault(name, str(variable.get("default", "")))
    return found


def places(api: Mapping[str, Any], server: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the host names of openapi.json, and its path prefixes, longest first."""
    hosts: list[str] = []
    mounts: list[str] = []
    for entry in api.get("servers", ()):
        url = entry["url"]
        for name, value in server.items():
            url = url.replace(f"{{{name}}}", value)
        split = urlsplit(url)
        if split.netloc and split.netloc not in hosts:
            hosts.append(split.netloc)
        mount = split.path.rstrip("/")
        if mount not in mounts:
            mounts.append(mount)
    return tuple(hosts), tuple(sorted(mounts or [""], key=len, reverse=True))
