"""What `serve` says of each exchange while it runs: coloured lines on a terminal, JSON for machines, else nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from mockserver.exchange import Exchange
from mockserver.web.emulator import Stage
from mockserver.web.told import facts

FORMS = ("auto", "text", "json", "none")


def teller(form: str) -> Callable[[Stage, Exchange], None] | None:
    """Return what tells of exchanges on standard output in a form of `FORMS`; None for silence."""
    if form == "auto":
        form = "text" if sys.stdout.isatty() else "none"
    if form == "none":
        return None
    written = _as_json if form == "json" else line

    def tell(stage: Stage, exchange: Exchange) -> None:
        click.echo(written(facts(stage, exchange)))

    return tell


def line(told: Mapping[str, Any]) -> str:
    """Return an exchange in one line for a person; colours go by themselves where nobody sees them."""
    moment = datetime.fromtimestamp(told["at"], UTC).strftime("%H:%M:%S")
    status = told["status"]
    colour = "green" if status < 300 else "yellow" if status < 500 else "red"
    query = f"?{told['query']}" if told["query"] else ""
    parts = [
        click.style(moment, dim=True),
        click.style(f"{status}", fg=colour, bold=True),
        f"{told['provider']} {told['operation'] or 'no such operation'}",
        click.style(f"{'WS' if status == 101 else told['method']} {told['path']}{query}", dim=True),
        *(_task(task) for task in told["tasks"]),
    ]
    if told["world"] != "main":
        parts.insert(1, f"[{told['world']}]")
    if "frames" in told:
        parts.append(f"{told['frames']} frames")
    if told["rules"]:
        parts.append(click.style(f"rule {', '.join(told['rules'])}", fg="magenta"))
    if told["breaks"]:
        parts.append(click.style(f"breaks {', '.join(dict.fromkeys(told['breaks']))}", fg="red"))
    return "  ".join(parts)


def _task(task: Mapping[str, Any]) -> str:
    text = f"{task['id']} {task.get('state', 'gone')}"
    if "progress" in task:
        text += f" {task['progress']:.0%}"
    if "failure" in task:
        text = click.style(f"{text} {task['failure']}", fg="red")
    return text + (f" (rule {task['cause']})" if "cause" in task else "")


def _as_json(told: Mapping[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False)
