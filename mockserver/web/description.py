"""The control API's own OpenAPI document, made from its routes and their docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from starlette.routing import Route


def describe(routes: Iterable[Any]) -> dict[str, Any]:
    """Return an OpenAPI 3.1 document of *routes*."""
    paths: dict[str, Any] = {}
    for route in routes:
        if not isinstance(route, Route):
            continue  # a push channel: no operation of OpenAPI
        for method in sorted((route.methods or {"GET"}) - {"HEAD"}):
            text = inspect.getdoc(route.endpoint) or ""
            paths.setdefault(route.path_format, {})[method.lower()] = {
                "operationId": f"{method.lower()}{route.path.replace('/', '_').replace('{', '').replace('}', '')}",
                "summary": text.partition("\n")[0],
                "parameters": [
                    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                    for name in route.param_convertors
                ],
                "responses": {
                    "200": {"description": "done"},
                    "400": {"description": "not understood; the body's `error` says why"},
                },
            }
    return {"openapi": "3.1.0", "info": {"title": "Control API of the emulator", "version": "1"}, "paths": paths}
