"""The command line of the judge.

Exit codes: 0 all is well, 1 there are findings, 2 it could not be judged, 130 Ctrl-C.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, cast

import click
import httpx

from contracts import baseline as baselines
from contracts import rules
from contracts.check import check, promises
from contracts.judging import Verdict
from contracts.reports import REPORTS, text
from contracts.traffic import recognise
from mockserver import command_line
from mockserver.errors import UserError

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit. A mistake of the user is one line on standard error, never a traceback."""
    command_line.run(commands, arguments, name="contracts", failed=2)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="comfy-mockserver", message="%(version)s")
def commands() -> None:
    """Says whether a client, a server or a recording keeps a provider's contract."""


@commands.command("check")
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--provider", metavar="NAME", help="Whose traffic it is; found by host and path otherwise.")
@click.option("--schemas", type=_FOLDER, metavar="DIR", help="Provider folders to use instead of the built-in.")
@click.option(
    "--variant", "variants", multiple=True, metavar="PROVIDER.NAME=VALUE", help="Reading of an open question."
)
@click.option("--format", "form", type=click.Choice(list(REPORTS)), default="text", show_default=True)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the report there."
)
@click.option("--fail-on", type=click.Choice(list(reversed(rules.SEVERITIES))), default="error", show_default=True,
              help="The mildest severity that makes exit 1.")  # fmt: skip
@click.option("--baseline", type=_FILE, metavar="FILE", help="Findings that are known and accepted.")
@click.option("--write-baseline", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Accept all that is found, by writing it there.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Processes for NDJSON; all cores by default.")
def check_command(
    files: tuple[Path, ...],
    provider: str | None,
    schemas: Path | None,
    variants: tuple[str, ...],
    form: str,
    output: Path | None,
    fail_on: str,
    baseline: Path | None,
    write_baseline: Path | None,
    jobs: int | None,
) -> int:
    """Judge recorded traffic: NDJSON of /_mock/exchanges, HAR, or cassettes of VCR.py."""
    judged = partial(check, files, schemas=schemas, provider=provider, variants=_readings(variants), jobs=jobs)
    verdict = _with_bar(files, judged) if sys.stderr.isatty() else judged()
    if baseline is not None:
        accepted = baselines.accept(verdict, baseline)
        click.echo(f"{accepted} known findings accepted", err=True)
    if write_baseline is not None:
        baselines.write(verdict, write_baseline)
        click.echo(f"wrote {len(verdict.findings)} findings to {write_baseline}", err=True)
        return 0
    report = REPORTS[form](verdict)
    if output is None:
        click.echo(report, nl=False)
    else:
        output.write_text(report, "utf-8")
        click.echo(text.summary(verdict), nl=False)
    return 1 if _counts(verdict, fail_on) else 0


@commands.command("verify")
@click.argument("provider")
@click.option("--url", required=True, metavar="URL", help="Where the provider's server is.")
@click.option("--max-tasks", type=click.IntRange(0), default=5, show_default=True, help="Submits in all.")
@click.option("--walks", type=click.IntRange(0), default=20, show_default=True, help="Random walks along the links.")
@click.option("--seed", type=int, default=0, show_default=True, help="Other walks for another number.")
@click.option("--submit", "submits", multiple=True, type=_FILE, metavar="FILE",
              help="Body of a submit that the server takes, JSON; the documented ones otherwise.")  # fmt: skip
@click.option("--real", is_flag=True, help="The target is not on this machine, and that is meant.")
@click.option("--schemas", type=_FOLDER, metavar="DIR", help="Provider folders to use instead of the built-in.")
@click.option(
    "--variant", "variants", multiple=True, metavar="PROVIDER.NAME=VALUE", help="Reading of an open question."
)
def verify_command(
    provider: str,
    url: str,
    max_tasks: int,
    walks: int,
    seed: int,
    submits: tuple[Path, ...],
    real: bool,
    schemas: Path | None,
    variants: tuple[str, ...],
) -> int:
    """Verify a server of PROVIDER, ours or the real one. The key is taken from CONTRACTS_KEY."""
    from contracts import verify

    verify.allowed(url, real=real)
    promise = promises(schemas, only=(provider,), variants=_readings(variants))[0]
    key = os.environ.get(verify.KEY) or verify.likely_key(promise)
    with httpx.Client(base_url=url.rstrip("/"), timeout=30) as client:
        try:
            target = verify.Target(promise, client, key=key, clock=verify.clock_of(client))
            bodies = [_json(path) for path in submits]
            result = verify.verify(target, max_tasks=max_tasks, walks=walks, real=real, submits=bodies, seed=seed)
        except httpx.HTTPError as error:
            raise UserError(f"{url} does not answer: {str(error) or type(error).__name__}") from None
    if result.shortest:
        click.echo(verify.report(result, url, promise), nl=False)
    click.echo(
        f"sent {result.sent} calls in {result.walks} walks, {result.submitted} tasks; "
        f"{len(result.verdict.findings)} findings"
    )
    return 1 if result.shortest else 0


@commands.command("explore")
@click.argument("client", metavar="MODULE:FUNCTION")
@click.option("--provider", required=True, metavar="NAME", help="The provider whose client it is.")
@click.option("--examples", type=click.IntRange(1), default=300, show_default=True, help="Scenarios to try.")
def explore_command(client: str, provider: str, examples: int) -> int:
    """Search for the smallest scenario in which a client does wrong; the client is given a stage, see the README."""
    from contracts.explore import explore

    sys.path.insert(0, "")
    module, _, name = client.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"client {client!r} cannot be imported: {error}; name it as module:function") from None
    found = explore(function, provider, max_examples=examples)
    click.echo(str(found) if found is not None else f"nothing found in {examples} scenarios")
    return 1 if found is not None else 0


@commands.command()
@click.argument("rule", required=False)
def explain(rule: str | None) -> None:
    """Tell what RULE asks for, with an example of a breach and what to do; without RULE, list all."""
    if rule is not None:
        click.echo(rules.explain(rule), nl=False)
        return
    for one in rules.RULES.values():
        click.echo(f"{one.id:28} {one.severity:8} {one.says}")


def _with_bar(files: Iterable[Path], judged: Callable[..., Verdict]) -> Verdict:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("judging"), BarColumn(), TextColumn("{task.completed} exchanges"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("judging", total=_expected(files))
        return judged(progress=lambda count: bar.advance(task, count))


def _expected(files: Iterable[Path]) -> int | None:
    counts = [recognise(path).expected for path in files]
    return None if None in counts else sum(count or 0 for count in counts)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}") from None


def _readings(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    readings: dict[str, dict[str, str]] = {}
    for given in texts:
        place, _, value = given.partition("=")
        provider, _, name = place.partition(".")
        if not (provider and name and value):
            raise UserError(f"variant {given!r} is not understood; write it as PROVIDER.NAME=VALUE")
        readings.setdefault(provider, {})[name] = value
    return readings


def _counts(verdict: Verdict, fail_on: str) -> int:
    grave = rules.SEVERITIES[rules.SEVERITIES.index(cast(rules.Severity, fail_on)) :]
    return sum(verdict.count(one) for one in grave)
