"""First requests of a provider: calls that submit a task and are accepted as they stand.

Taken from the examples of its documents, else from our fixtures; with a key of the form it asks. The dashboard offers
them, the provider's page shows one.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mockserver import data
from mockserver.errors import Refused
from mockserver.provider import conditions
from mockserver.provider.model import Operation, Provider, Request
from mockserver.provider.notation import Unreadable

PLACEHOLDER = "$API_KEY"
KEYS = ("sk-0123456789abcdef", "0123456789abcdefghij", "example", "api")
"""Tried in order until one has the form that a provider asks of keys."""


class FirstRequest(NamedTuple):
    title: str
    operation: str
    method: str
    path: str
    """Below the provider's address, its mount included."""
    headers: dict[str, str]
    body: Any


def first_requests(provider: Provider, *, keyed: bool = False) -> Iterator[FirstRequest]:
    """Yield requests that submit a task.

    Args:
        keyed: only configured keys are taken, which are nobody's business: `PLACEHOLDER` stands for one.
    """
    for operation in provider.operations:
        if operation.verb.name != "submit":
            continue
        headers = _credentials(provider, operation, keyed) | {"Content-Type": "application/json"}
        for title, body in _bodies(provider, operation):
            path = mounts(provider)[0] + operation.path
            yield FirstRequest(title, operation.id, operation.method, path, headers, body)


def mounts(provider: Provider) -> list[str]:
    """Return the paths below which the operations stand, in the order of the document's servers."""
    paths = [urlsplit(server["url"]).path.rstrip("/") for server in provider.documents["openapi.json"]["servers"]]
    return [path for path in dict.fromkeys(paths) if path in provider.mounts] or [""]


def as_curl(request: FirstRequest, url: str) -> str:
    """Return a request to the provider at *url* as a curl command."""
    lines = [f"curl {url}{request.path}"]
    lines += [f"--header {shlex.quote(f'{name}: {value}')}" for name, value in request.headers.items()]
    lines.append(f"--data {shlex.quote(json.dumps(request.body, ensure_ascii=False, indent=2))}")
    return " \\\n  ".join(lines)


def _bodies(provider: Provider, operation: Operation) -> Iterator[tuple[str, Any]]:
    shown = False
    described = provider.documents["openapi.json"]["paths"][operation.path][operation.method.lower()]
    content = described.get("requestBody", {}).get("content", {}).get("application/json", {})
    for name, example in content.get("examples", {}).items():
        if "value" in example:
            shown = True
            yield example.get("summary", name), example["value"]
    folder = data.fixtures() / provider.name
    for file in () if shown else sorted(folder.glob("*.request.json")):
        body = json.loads(file.read_bytes())
        try:
            fits = not operation.violations(Request(operation.method, {}, (), {}, body))
        except (Refused, Unreadable):
            fits = False
        if fits:
            yield described.get("summary", operation.id), body


def _credentials(provider: Provider, operation: Operation, keyed: bool) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name in operation.security[0] if operation.security else ():
        scheme = provider.security_schemes[name]
        key = PLACEHOLDER if keyed else _key(scheme.get("x-key", {}))
        if scheme.get("type") == "http":
            headers["Authorization"] = f"Bearer {key}"
        elif scheme.get("in") == "header":
            headers[scheme["name"]] = key
    return headers


def _key(schema: Any) -> str:
    fits = conditions.fits(schema)
    return next((key for key in KEYS if fits(key)), PLACEHOLDER)
