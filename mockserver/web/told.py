"""An exchange told in a few facts, as it ends: for a person at a terminal, or for machines. Without credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mockserver.exchange import Exchange
from mockserver.web.dashboard.judged import violations_of

if TYPE_CHECKING:
    from mockserver.web.emulator import Stage

MAX_TASKS = 5


def facts(stage: Stage, exchange: Exchange) -> dict[str, Any]:
    """Return what a line tells: operation, tasks with state and cause, rules of scenarios, what breaks the contract."""
    bare = exchange._replace(request_body=b"", response_body=b"", frames=())
    shown: dict[str, Any] = {
        "number": exchange.number,
        "at": round(exchange.at, 3),
        "world": stage.world.id,
        "provider": exchange.provider,
        "operation": exchange.operation,
        "method": exchange.method,
        "path": exchange.path,
        "query": stage.offer.secrets.redacted(bare).query,
        "status": exchange.status,
        "tasks": [_task(stage, exchange.provider, id) for id in exchange.tasks[:MAX_TASKS]],
        "rules": list(exchange.rules),
        "breaks": [violation["rule"] for violation in violations_of(stage.offer, exchange)],
    }
    if exchange.frames:
        shown["frames"] = len(exchange.frames)
    return shown


def _task(stage: Stage, provider: str, id: str) -> dict[str, Any]:
    service = stage.world.services.get(provider)
    task = None if service is None else service.runs.tasks.get(id)
    if task is None:
        return {"id": id}
    told: dict[str, Any] = {"id": id, "state": task.state}
    if task.finished is None and task.started is not None:
        told["progress"] = round(task.progress, 2)
    if task.failure is not None:
        told["failure"] = task.failure.name
    if task.outlook.cause is not None:
        told["cause"] = task.outlook.cause
    return told
