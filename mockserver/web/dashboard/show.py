"""One thing told wholly: a provider, its documents with our address, a task, an exchange."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mockserver.exchange import Exchange
from mockserver.first_requests import first_requests, mounts
from mockserver.provider.model import Provider
from mockserver.web.dashboard.feed import phase
from mockserver.web.dashboard.judged import violations_of
from mockserver.web.recorder import as_json
from mockserver.world import plan as plans
from mockserver.world.files import File
from mockserver.world.task import Task

if TYPE_CHECKING:
    from mockserver.web.emulator import Stage

MAX_EVENTS = 400
MAX_TEXT = 20_000


def overview(stage: Stage, base: str) -> dict[str, Any]:
    """Return what is served: providers with addresses, first requests, variants, channels; errors to ask for."""
    offer = stage.offer
    keyed, folders = bool(offer.accounts), offer.settings.folders()
    return {
        "providers": [
            {**_provider(served.provider, f"{base}/{name}", keyed), "sources": _sources(folders[name])}
            for name, served in offer.served.items()
        ],
        "workflows": sorted({*offer.hosting.samples, *offer.hosting.own}),
    }


def document(provider: Provider, name: str, url: str) -> dict[str, Any] | None:
    """Return a document of a provider's folder with the emulator's address as its server; None if it has none."""
    found = provider.documents.get(name)
    if found is None:
        return None
    if name == "openapi.json":
        servers = [{"url": url + mount, "description": "This emulator."} for mount in mounts(provider)]
        return {**found, "servers": servers}
    at = urlsplit(url)
    server: dict[str, Any] = {"host": at.netloc, "protocol": "wss" if at.scheme == "https" else "ws"}
    if at.path.strip("/"):
        server["pathname"] = at.path
    return {**found, "servers": {"emulator": server}}


def task(stage: Stage, provider: str, id: str) -> dict[str, Any] | None:
    """Return all that is known of a task; None if it is unknown."""
    service = stage.world.services.get(provider)
    found = None if service is None else service.runs.tasks.get(id)
    if found is None:
        return None
    now = stage.world.now
    events = found.events
    return {
        "provider": provider,
        "id": found.id,
        "number": found.number,
        "state": found.state,
        "phase": phase(found),
        "created": found.created,
        "started": found.started,
        "finished": found.finished,
        "duration": found.duration,
        "progress": found.progress,
        "position": found.position,
        "line": found.line,
        "estimate": found.estimate,
        "reached": found.reached,
        # The id of an account may be its key.
        "uses": {kind: thing.id for kind, thing in found.things.items() if kind != "account"},
        "client": found.client,
        "cause": found.outlook.cause,
        "failure": _failure(found),
        "overrides": _bounded(found.overrides),
        "inputs": _bounded(found.inputs),
        "request": _bounded(found.request),
        "nodes": [
            {
                "id": node.id,
                "class": node.class_type,
                "title": node.title,
                "state": node.state,
                "step": node.step,
                "steps": node.steps,
                "start": node.planned.start,
                "end": node.planned.end,
            }
            for node in found.nodes_at(now)
        ],
        "events": [
            {"at": event.at, "name": event.name, "node": None if event.node is None else event.node.id,
             "step": None if event.node is None else event.node.step}
            for event in [*events[: MAX_EVENTS // 2], *events[MAX_EVENTS // 2 :][-MAX_EVENTS // 2 :]]
            if event.name != "node.preview"
        ],
        "files": [_file(file) for file in found.files],
        "given": [
            {"node": node, "value": value, "shown": isinstance(file, File)} for node, value, file in given(found)
        ],
        "exchanges": [
            {"n": one.number, "operation": one.operation, "method": one.method, "status": one.status, "at": one.at}
            for one in stage.recorder.since(0)
            if found.id in one.tasks
        ][-100:],
    }  # fmt: skip


def given(task: Task) -> Iterator[tuple[str, str, Any]]:
    """Yield the input files a task's graph names: node, value, and the file, if it is known here."""
    if not isinstance(task.plan, plans.Plan):
        return
    resolve = task.runs.setup.resolve_input
    for node, value in plans.image_inputs(task.plan, task.graph or {}):
        yield node, value, None if resolve is None else resolve(task, value)


def exchange(stage: Stage, found: Exchange) -> dict[str, Any]:
    """Return an exchange without credentials, with what it breaks."""
    shown = as_json(stage.offer.secrets.redacted(found))
    return {**shown, "violations": violations_of(stage.offer, found)}


def _provider(provider: Provider, url: str, keyed: bool) -> dict[str, Any]:
    info = provider.documents["openapi.json"]["info"]
    return {
        "name": provider.name,
        "title": provider.title,
        "version": provider.version,
        "summary": info.get("summary", ""),
        "hosts": list(provider.hosts),
        "url": url,
        "mounts": [url + mount for mount in mounts(provider)],
        "documents": [name for name in ("openapi.json", "asyncapi.json") if name in provider.documents],
        "operations": len(provider.operations),
        "channels": [{"name": channel.name, "path": channel.path} for channel in provider.channels],
        "requests": [
            {
                "title": one.title,
                "operation": one.operation,
                "method": one.method,
                "url": url + one.path,
                "headers": one.headers,
                "body": one.body,
            }
            for one in first_requests(provider, keyed=keyed)
        ],
        "errors": sorted(provider.errors),
        "variants": [
            {
                "name": name,
                "asks": variant.asks,
                "default": variant.default,
                "reading": provider.readings.get(name, variant.default),
                "readings": [
                    {"name": one.name, "why": one.why, "source": dict(one.source)} for one in variant.readings.values()
                ],
            }
            for name, variant in provider.variants.items()
        ],
    }


def _sources(folder: Path) -> dict[str, str]:
    """Return what the keys in the `x-source`s of a folder stand for: the first table of its SOURCES.md."""
    file = folder / "SOURCES.md"
    text = file.read_text("utf-8") if file.is_file() else ""
    rows = re.findall(r"^\| ([A-Z]\w{0,3}) \| (.+?) \| (.+?) \|$", text, re.M)
    return {key: re.sub(r"[<>`]", "", f"{source}: {what}") for key, source, what in rows}


def _failure(task: Task) -> dict[str, Any] | None:
    failure = task.failure
    if failure is None:
        return None
    index = None if failure.node is None else failure.node[0]
    return {
        "name": failure.name,
        "code": failure.code if isinstance(failure.code, str | int | None) else repr(failure.code),
        "message": failure.message,
        "details": failure.details,
        "at": failure.at,
        "conditions": list(failure.entry.conditions),
        "node": None if index is None or index >= len(task.plan.nodes) else task.plan.nodes[index].id,
    }


def _file(file: File) -> dict[str, Any]:
    return {
        "key": file.key,
        "name": file.name,
        "media": file.media,
        "width": file.width,
        "height": file.height,
        "node": None if file.planned is None else file.planned.id,
        "created": file.created,
    }


def _bounded(value: Any) -> Any:
    """Return a document as it is, or its beginning as text where it is very large."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > MAX_TEXT:
        return text[:MAX_TEXT] + "…"
    return dict(value) if isinstance(value, Mapping) else value
