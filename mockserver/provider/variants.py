"""variants.json: open questions of the documentation, their readings, and what a choice of them makes of the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mockserver.errors import UserError, nearest
from mockserver.provider.documents import Located, merge_patch
from mockserver.provider.model import Reading, Variant


def variants_of(file: Located | None, plain: Mapping[str, Any]) -> dict[str, Variant]:
    """Compile variants.json; *plain* is the same content as read, whose patches are meant for other files."""
    found: dict[str, Variant] = {}
    for name, entry in (file or {}).items():
        readings = {
            key: Reading(
                key, body.get("why", ""), body.get("x-source", {}), plain[name]["readings"][key].get("patch", {})
            )
            for key, body in entry["readings"].items()
        }
        if entry["default"] not in readings:
            raise entry.error(f"is {entry['default']!r}, which is no reading; known: {', '.join(readings)}", "default")
        if readings[entry["default"]].patch:
            raise entry.error("is the files as they stand, so it has no patch", "readings", entry["default"], "patch")
        found[name] = Variant(name, entry["asks"], entry["default"], readings)
    return found


def choose(variants: Mapping[str, Variant], readings: Mapping[str, str], *, folder: str) -> dict[str, str]:
    """Return variant -> reading: as asked for in *readings*, else the default; raise `UserError` for unknown names."""
    chosen = {variant.name: variant.default for variant in variants.values()}
    for name, reading in readings.items():
        if name not in variants:
            near = nearest(name, variants) or f"; known: {', '.join(variants) or 'none'}"
            raise UserError(f"{folder} has no variant {name!r}{near}")
        if reading not in variants[name].readings:
            known = ", ".join(variants[name].readings)
            raise UserError(f"variant {name!r} of {folder} has no reading {reading!r}; known: {known}")
        chosen[name] = reading
    return chosen


def apply(files: Mapping[str, Any], variants: Mapping[str, Variant], chosen: Mapping[str, str]) -> dict[str, Any]:
    """Return *files* with the patches of the *chosen* readings applied."""
    patched = dict(files)
    for name, reading in chosen.items():
        for file, patch in variants[name].readings[reading].patch.items():
            patched[file] = merge_patch(patched[file], patch)
    gone = _operations(files["openapi.json"]) - _operations(patched["openapi.json"])
    if gone:
        # Refusals speak of the operations of all readings.
        patched["errors.json"] = {**patched["errors.json"], "refusals": dict(_without(gone, patched["errors.json"]))}
    return patched


def _operations(api: Mapping[str, Any]) -> set[Any]:
    items = [item for item in api.get("paths", {}).values() if isinstance(item, Mapping)]
    return {
        one["operationId"]
        for item in items
        for one in item.values()
        if isinstance(one, Mapping) and isinstance(one.get("operationId"), str)
    }


def _without(gone: set[Any], errors: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, entry in errors.get("refusals", {}).items():
        named = entry.get("on") if isinstance(entry, Mapping) else None
        if not isinstance(named, list):
            yield name, entry
        elif left := [place for place in named if place not in gone]:
            yield name, {**entry, "on": left}
