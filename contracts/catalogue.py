"""The node catalogue: which inputs a class of node takes, of which types and ranges, and what it puts out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from mockserver import data


@cache
def catalogue() -> Mapping[str, Any]:
    """Return class -> its description, in the form of ComfyUI's `/object_info`."""
    found: Mapping[str, Any] = orjson.loads((data.schemas() / "_nodes" / "object_info.json").read_bytes())
    return found


@cache
def declared(class_type: str) -> Mapping[str, list[Any]]:
    """Return input name -> type and options of a class; empty where the class is unknown."""
    inputs = catalogue().get(class_type, {}).get("input", {})
    return {**inputs.get("optional", {}), **inputs.get("required", {})}


def options(spec: list[Any]) -> Mapping[str, Any]:
    """Return the options of an input: `min`, `max`, `default`, ..."""
    found: Mapping[str, Any] = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    return found


def choices(spec: list[Any]) -> list[Any] | None:
    """Return what an input may be chosen from; None where it is no choice."""
    if isinstance(spec[0], list):
        return spec[0]
    return list(options(spec).get("options", ())) if spec[0] == "COMBO" else None
