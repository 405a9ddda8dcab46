"""The command line. Reads options, calls the rooms, and says a user's mistake in one line.

Exit codes: 0 done; 1 it could not be done, or a check found something; 2 the command was not understood; 130 Ctrl-C.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mockserver import command_line, completing, data, settings
from mockserver.errors import SchemaFolderError, UserError
from mockserver.options import FILE, FOLDER, SCHEMAS, TABLE, defaults, server_options, settings_of, table_above

SERVERS = ("serve", "run")
"""The commands that start a server, and read the table of pyproject.toml."""


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit. A mistake of the user is one line on standard error, never a traceback."""
    command_line.run(commands, arguments, name="mockserver", failed=1, hint=_hint)


def _hint(context: click.Context, error: click.ClickException) -> str | None:
    told = isinstance(error, click.BadParameter) and error.param and _from_table(context, error.param)
    return f"; it stands in [{TABLE}] of pyproject.toml" if told else None


def _from_table(context: click.Context, parameter: click.Parameter) -> bool:
    return context.get_parameter_source(parameter.name) is ParameterSource.DEFAULT_MAP


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="comfy-mockserver", message="%(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """An emulator of hosted ComfyUI services, down to the wire.

    \b
    mockserver demo                            see it work
    mockserver serve genstudio --clock 20      one provider, 20 times as fast; then open /_mock/ in a browser
    mockserver run --clock 20 -- npm test      tests beside an emulator
    mockserver scenarios                       what can go wrong on demand
    mockserver doctor                          what is wrong with this set-up
    """
    if context.invoked_subcommand in SERVERS:
        table, folder = table_above(Path.cwd())
        command = commands.commands[context.invoked_subcommand]
        port = {"port": 0} if context.invoked_subcommand == "run" else {}
        context.default_map = {context.invoked_subcommand: {**port, **defaults(command, table, folder)}}


@commands.command(short_help="Serve providers until Ctrl-C.")
@click.argument("providers", nargs=-1, metavar="[PROVIDER]...", shell_complete=completing.provider)
@server_options
@click.option(
    "--log",
    type=click.Choice(["auto", "text", "json", "none"]),
    default="auto",
    show_default=True,
    help="A line an exchange; auto: text on a terminal, else nothing.",
)
def serve(log: str, **options: Any) -> None:
    """Serve the named providers, or all of them, until Ctrl-C.

    Each stands at /PROVIDER/, at / when it is the only one, and under its real host name in Host. The last line printed
    is "ready: URL". Options may also stand in [tool.mockserver] of pyproject.toml, by their names.

    \b
    mockserver serve                                  every provider, real time, port 8787
    mockserver serve genstudio --clock 20             one, 20 times as fast
    mockserver serve --clock 0 --seed 7               time by hand, the same each time
    mockserver serve --scenario node-fails-once       something goes wrong
    mockserver serve --log json > exchanges.ndjson    for machines
    """
    from mockserver import server
    from mockserver.log import teller

    server.serve(settings_of(**options), started=_announce, heard=teller(log))


def _announce(running: Any) -> None:
    for name, url in running.provider_urls().items():
        click.echo(f"{name}: {url}")
    for name, value in running.server.tls_environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    if sys.stdout.isatty():
        click.echo(f"dashboard: {running.url}/_mock/")
    click.echo(f"ready: {running.url}")
    sys.stdout.flush()


@commands.command(
    context_settings={"allow_interspersed_args": False}, short_help="Run a command beside an emulator, judge its calls."
)
@click.option(
    "--provider",
    "providers",
    multiple=True,
    metavar="NAME",
    shell_complete=completing.provider,
    help="Whom to serve (repeatable).",
)
@server_options
@click.option("--expect", multiple=True, metavar="RULE", help="A rule that is broken on purpose (repeatable).")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...], expect: tuple[str, ...], **options: Any) -> int:
    """Run COMMAND beside an emulator, and check its conduct: mockserver run -- npm test.

    COMMAND finds NAME_BASE_URL, NAME_WS_URL and NAME_API_KEY of each provider in its environment, and MOCKSERVER_URL.
    Its exit code is passed on; where that is 0 and the contract was broken, it is 1. The port is free unless given.

    \b
    mockserver run -- npm test                        in real time
    mockserver run --clock 20 -- npm test             20 times as fast
    mockserver run --tls -- npm test                  the real host names, too
    """
    from mockserver import run as room

    return room.run(command, settings_of(**options), expect=expect, tell=lambda text: click.echo(text, err=True))


@commands.command(short_help="List what can go wrong, or check a file of your own.")
@click.argument("name", required=False, metavar="[NAME|FILE]", shell_complete=completing.scenario)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def scenarios(name: str | None, as_json: bool) -> None:
    """List the ready scenarios for --scenario, one line each; with NAME or a FILE, print one, checked.

    \b
    mockserver scenarios                              the library
    mockserver scenarios node-fails-once > mine.yaml  one to begin with
    mockserver scenarios mine.yaml                    is it right?
    """
    from mockserver.scenario import library

    if name is None:
        lines = {known: library.line(one) for known, one in library.scenarios().items()}
        if as_json:
            _print_json(lines)
        else:
            click.echo("\n".join(f"{click.style(f'{known:<31}', bold=True)} {line}" for known, line in lines.items()))
        return
    library.find(name)
    file = library.files().get(name) or Path(name)
    click.echo(file.read_text("utf-8"), nl=False)


@commands.group(invoke_without_command=True, short_help="List the providers; show or check one.")
@SCHEMAS
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_context
def providers(context: click.Context, schemas_dir: Path | None, as_json: bool) -> None:
    """List the providers; `show NAME` tells all about one, `check DIR` checks a folder of your own.

    \b
    mockserver providers                              who is emulated
    mockserver providers show genstudio | less        operations, states, errors, variants
    mockserver providers check schemas/mine           is my folder right?
    """
    if context.invoked_subcommand is not None:
        return
    from mockserver.provider import load

    folders = data.providers(schemas_dir or data.schemas())
    loaded = {name: load(folder, name=name) for name, folder in folders.items()}
    if as_json:
        shown = {
            name: {"title": one.title, "version": one.version, "hosts": list(one.hosts), "folder": str(folders[name])}
            for name, one in loaded.items()
        }
        _print_json(shown)
        return
    for name, provider in loaded.items():
        click.echo(
            f"{click.style(f'{name:<12}', bold=True)} {provider.title} {provider.version} "
            f"({', '.join(provider.hosts) or 'no host of its own'})"
        )


@providers.command(short_help="Tell all about providers.")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.provider)
@SCHEMAS
def show(names: tuple[str, ...], schemas_dir: Path | None) -> None:
    """Tell a provider's operations, states, errors, variants with their readings, and sources; no name means all."""
    from mockserver.portrait import portrait
    from mockserver.provider import load

    folder = schemas_dir or data.schemas()
    wanted = {name: data.provider(folder, name) for name in names or data.providers(folder)}
    click.echo("\n".join(portrait(load(one, name=name)) for name, one in wanted.items()), nl=False)


@providers.command(short_help="Check a folder of your own.")
@click.argument("folder", type=FOLDER, metavar="DIR")
def check(folder: Path) -> None:
    """Check a provider's folder wholly, every reading of every variant included."""
    from rich.console import Console

    from mockserver.provider import check

    try:
        # Dozens of ways to load it: a few seconds in which a person sees that something happens, on a terminal only.
        with Console(stderr=True).status(f"Loading {folder} with each reading of each variant"):
            provider, *others = check(folder)
    except SchemaFolderError as error:
        raise UserError(f"{folder / error.file} at {error.pointer or '/'}: {error.problem}") from None
    click.echo(f"{folder}: nothing to object to; {len(provider.variants)} variants, {len(others) + 1} ways to load it")


@commands.command(short_help="Print what a workflow can be given.")
@click.argument("file", type=FILE)
@click.option("--curl", "form", flag_value="curl", help="Print the console's trial-run request instead.")
@click.option("--json-schema", "form", flag_value="json-schema", help="Print a JSON Schema of the body instead.")
@click.option("--provider", "name", help="Whose request it is.  [default: the first that hosts workflows]")
@SCHEMAS
def workflow(file: Path, form: str | None, name: str | None, schemas_dir: Path | None) -> None:
    """Print the parameters of the workflow in FILE (ComfyUI's API format): type, choices, range and default of each.

    \b
    mockserver workflow my.json                       what a call may set
    mockserver workflow my.json --curl                the request of a trial run
    mockserver workflow my.json --json-schema         for your editor or validator
    """
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
    folder = schemas_dir or data.schemas()
    named = [name] if name else data.providers(folder)
    loaded = (load(data.provider(folder, one), name=one) for one in named)
    provider = next((one for one in loaded if name or console.runs_by_id(one)), None)
    if provider is None:
        raise UserError(f"none of these providers runs a workflow by its id: {', '.join(named)}")
    if form == "curl":
        click.echo(console.trial_curl(provider, hosted))
    else:
        _print_json(console.body_schema(provider, hosted))


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


@commands.command(short_help="Do a provider's main job as a client would.")
@click.argument("provider", required=False, shell_complete=completing.provider)
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
    """Do a provider's main job as a client would: upload, submit, follow, download; without a name then all at once.

    \b
    mockserver demo                                   GenStudio step by step, then all side by side
    mockserver demo aliyun --out pictures             one provider, its pictures kept there
    """
    from mockserver import demo as room

    story = room.story(provider) if provider else room.main_story()
    if story is not None:
        room.run(story, into=out / story.parent.name, rate=rate)
    if provider is None:
        room.run_together(room.stories(), into=out, rate=rate)


@commands.command(short_help="Say what is wrong with this set-up.")
@click.argument("providers", nargs=-1, metavar="[PROVIDER]...", shell_complete=completing.provider)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that a server would listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=settings.DEFAULT_PORT,
    show_default=True,
    help="Port that it would listen on.",
)
@click.option("--api-key", "keys", multiple=True, metavar="KEY", help="A key your client sends (repeatable).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(providers: tuple[str, ...], host: str, port: int, keys: tuple[str, ...], as_json: bool) -> int:
    """Say what is wrong with this set-up: installation, settings, keys, port, proxy variables, clock.

    Keys are those of --api-key and of NAME_API_KEY in the environment; none is printed. Exit code 1 if something is
    wrong.

    \b
    mockserver doctor                                 the usual causes
    mockserver doctor genstudio --api-key "$KEY"      would this key do?
    mockserver doctor --port 8188 --json              for machines
    """
    from mockserver.doctor import examine

    findings = examine(host=host, port=port, providers=providers, keys=keys)
    if as_json:
        _print_json([finding.as_json() for finding in findings])
    else:
        colours = {"well": "green", "note": "yellow", "wrong": "red"}
        for one in findings:
            click.echo(f"{click.style(f'{one.verdict:<6}', fg=colours[one.verdict])} {one.what:<10} {one.says}")
            if one.remedy:
                click.echo(f"{'':<17} {one.remedy}")
    return int(any(finding.verdict == "wrong" for finding in findings))


@commands.command(short_help="Print what makes a shell complete commands.")
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands, options and names.

    \b
    bash:  eval "$(mockserver completion bash)"     in ~/.bashrc
    zsh:   eval "$(mockserver completion zsh)"      in ~/.zshrc
    fish:  mockserver completion fish | source      in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None, "click knows the shells of the choice"
    click.echo(found(commands, {}, "mockserver", "_MOCKSERVER_COMPLETE").source())
