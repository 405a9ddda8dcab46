"""What a shell may complete beside commands and options: names of providers, scenarios, errors, readings.

Read from the folders' files as they are, without loading a provider: a shell does not wait.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from mockserver import data

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _among(names: Callable[[], Iterable[str]], *, or_files: bool = False) -> Completer:
    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in sorted(names()) if name.startswith(begun)]
        return found or ([CompletionItem(begun, type="file")] if or_files else [])

    return complete


def _folders() -> dict[str, Path]:
    return data.providers(data.schemas())


def _document(folder: Path, name: str) -> dict[str, Any]:
    file = folder / name
    document: dict[str, Any] = json.loads(file.read_bytes()) if file.is_file() else {}
    return document


def _scenarios() -> set[str]:
    return {file.stem for file in (data.fixtures() / "scenarios").iterdir()}


def _errors() -> set[str]:
    documents = [_document(folder, "errors.json") for folder in _folders().values()]
    return {name for one in documents for section in ("refusals", "failures") for name in one.get(section, {})}


def _readings() -> set[str]:
    return {
        f"{provider}.{variant}={reading}"
        for provider, folder in _folders().items()
        for variant, told in _document(folder, "variants.json").items()
        if isinstance(told, dict)
        for reading in told.get("readings", {})
    }


provider = _among(_folders)
scenario = _among(_scenarios, or_files=True)
error = _among(_errors)
reading = _among(_readings)
