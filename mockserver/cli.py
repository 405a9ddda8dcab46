"""The command line. Reads options, calls the rooms, and says a user's mistake in one line.

Exit codes: 0 done; 1 it could not be done, or a check found something; 2 the command was not understood; 130 Ctrl-C.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mockserver import data, settings
from mockserver.errors import MockServerError, UserError

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit. A mistake of the user is one line on standard error, never a traceback."""
    try:
        status = commands.main(arguments, prog_name="mockserver", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"; see {context.command_path} --help" if context else ""
        _fail(f"{error.format_message().rstrip('.')}{hint}", status=error.exit_code)
    except MockServerError as error:
        _fail(str(error), status=1)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone: nobody is left to tell
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(text: str, *, status: int) -> None:
    click.echo(f"error: {' '.join(text.split())}", err=True)
    sys.exit(status)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="comfy-mockserver", message="%(version)s")
def commands() -> None:
    """An emulator of hosted ComfyUI services, down to the wire."""


def _schemas_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--schemas", "schemas_dir", type=_FOLDER, metavar="DIR", help="Provider folders to use instead of the built-in."
    )(command)


@commands.command()
@click.argument("providers", nargs=-1, metavar="[PROVIDER]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=settings.DEFAULT_PORT, show_default=True, help="Port; 0 for a free one.")
@click.option("--clock", "rate", default=1.0, show_default=True, metavar="RATE", help="Speed of time; 0 is by hand.")
@click.option("--start", metavar="ISO", help="Moment at which the clock starts, such as 2025-06-01T12:00:00Z.")
@click.option("--seed", default=0, show_default=True, help="Seed of chance and of ids.")
@click.option("--slots", type=int, help="How many tasks run at once.  [default: as the provider has it]")
@_schemas_option
@click.option("--workflows", "workflows_dir", type=_FOLDER, metavar="DIR", help="Hosted workflows, ID.json each.")
@click.option("--any-workflow", is_flag=True, help="Unknown workflow ids run the sample.")
@click.option(
    "--variant", "variants", multiple=True, metavar="PROVIDER.NAME=VALUE", help="Reading of an open question."
)
@click.option("--api-key", "api_keys", multiple=True, metavar="KEY", help="The only keys accepted (repeatable).")
@click.option("--accounts", type=_FILE, metavar="FILE", help="Keys, tenants, pools and balances.")
@click.option("--public-url", metavar="URL", help="Base of links.  [default: the address a client used]")
@click.option("--nodes", type=_FILE, multiple=True, metavar="FILE", help="A saved /object_info of yours (repeatable).")
@click.option(
    "--models",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    metavar="FILE|DIR",
    help="Your model files (repeatable).",
)
@click.option("--scenario", "scenarios", multiple=True, metavar="FILE|NAME", help="What goes wrong (repeatable).")
@click.option("--fail", "fails", multiple=True, metavar="NAME", help="An error that calls or tasks meet (repeatable).")
@click.option(
    "--allow-host", "allow_hosts", multiple=True, metavar="NAME", help="Host that may use /_mock (repeatable)."
)
@click.option(
    "--results",
    "results_dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep results here too.",
)
def serve(
    start: str | None,
    schemas_dir: Path | None,
    variants: tuple[str, ...],
    accounts: Path | None,
    **options: Any,
) -> None:
    """Serve the named providers, or all of them, until Ctrl-C.

    Each stands at /PROVIDER/, at / when it is the only one, and under its real host name in Host. The last line printed
    is "ready: URL".
    """
    from mockserver import server

    schemas_dir = schemas_dir or data.schemas()
    meta = data.schemas() / "_meta" / "accounts.schema.json"
    server.serve(
        settings.Settings(
            start=None if start is None else settings.parse_start(start),
            schemas_dir=schemas_dir,
            variants=settings.parse_variants(variants),
            accounts=settings.load_accounts(accounts, meta=meta) if accounts else (),
            **options,
        ),
        started=_announce,
    )


def _announce(running: Any) -> None:
    for name, url in running.provider_urls().items():
        click.echo(f"{name}: {url}")
    click.echo(f"ready: {running.url}")
    sys.stdout.flush()


@commands.command()
@click.argument("name", required=False)
def scenarios(name: str | None) -> None:
    """List the ready scenarios for --scenario, one line each; with NAME or a FILE, print one, checked."""
    from mockserver.scenario import library

    if name is None:
        for known in library.files():
            click.echo(f"{known:<31} {library.line(library.find(known))}")
        return
    library.find(name)
    file = library.files().get(name) or Path(name)
    click.echo(file.read_text("utf-8"), nl=False)


@commands.group(invoke_without_command=True)
@_schemas_option
@click.pass_context
def providers(context: click.Context, schemas_dir: Path | None) -> None:
    """List the providers; `show NAME` tells all about one, `check DIR` checks a folder of your own."""
    if context.invoked_subcommand is not None:
        return
    from mockserver.provider import load

    for name, folder in data.providers(schemas_dir or data.schemas()).items():
        provider = load(folder, name=name)
        click.echo(
            f"{name:<12} {provider.title} {provider.version} ({', '.join(provider.hosts) or 'no host of its own'})"
        )


@providers.command()
@click.argument("names", nargs=-1, metavar="[NAME ...]")
@_schemas_option
def show(names: tuple[str, ...], schemas_dir: Path | None) -> None:
    """Tell a provider's operations, states, errors, variants with their readings, and sources; no name means all."""
    from mockserver.portrait import portrait
    from mockserver.provider import load

    folders = data.providers(schemas_dir or data.schemas())
    for name in names:
        if name not in folders:
            raise UserError(f"provider {name!r} will not do; it must be one of {', '.join(folders)}")
    click.echo("\n".join(portrait(load(folders[name], name=name)) for name in names or folders), nl=False)


@providers.command()
@click.argument("folder", type=_FOLDER, metavar="DIR")
def check(folder: Path) -> None:
    """Check a provider's folder wholly, every reading of every variant included."""
    from mockserver.provider import check

    provider, *others = check(folder)
    click.echo(f"{folder}: nothing to object to; {len(provider.variants)} variants, {len(others) + 1} ways to load it")


@commands.command()
@click.argument("file", type=_FILE)
@click.option("--curl", "form", flag_value="curl", help="Print the console's trial-run request instead.")
@click.option("--json-schema", "form", flag_value="json-schema", help="Print a JSON Schema of the body instead.")
@click.option("--provider", "name", help="Whose request it is.  [default: the first that hosts workflows]")
@_schemas_option
def workflow(file: Path, form: str | None, name: str | None, schemas_dir: Path | None) -> None:
    """Print the parameters of the workflow in FILE (ComfyUI's API format): type, choices, range and default of each."""
    from mockserver import console
    from mockserver.provider import load
    from mockserver.world import catalogue, parameters
    from mockserver.world.workflow import make_workflow

    graph = settings.read_json(file, what="workflow")
    try:
        hosted = make_workflow(file.stem, graph, catalogue.load())
    except UserError as error:
        raise UserError(f"workflow {str(file)!r}: {error}") from None
    if form is None:
        _print_json(parameters.ranges(hosted))
        return
    folders = data.providers(schemas_dir or data.schemas())
    name = name or next(iter(folders))
    if name not in folders:
        raise UserError(f"provider {name!r} will not do; it must be one of {', '.join(folders)}")
    provider = load(folders[name], name=name)
    if form == "curl":
        click.echo(console.trial_curl(provider, hosted))
    else:
        _print_json(console.body_schema(provider, hosted))


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


@commands.command()
@click.argument("provider", required=False)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-results"),
    show_default=True,
    metavar="DIR",
    help="Where the pictures go.",
)
@click.option("--clock", "rate", default=20.0, show_default=True, metavar="RATE", help="Speed of time.")
def demo(provider: str | None, out: Path, rate: float) -> None:
    """Do a provider's main job as a client would: upload, submit, follow, download; without a name then all at once."""
    from mockserver import demo as room

    story = room.story(provider) if provider else room.main_story()
    if story is not None:
        room.run(story, into=out / story.parent.name, rate=rate)
    if provider is None:
        room.run_together(room.stories(), into=out, rate=rate)
