"""How a server is told what to be: the options of the command line, and the same words in `[tool.mockserver]`.

`serve`, `run` and the pytest plugin share them; what they mean is the business of `mockserver.settings`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from mockserver import completing, data, settings
from mockserver.errors import UserError, nearest

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
SCHEMAS = click.option(
    "--schemas", "schemas_dir", type=FOLDER, metavar="DIR", help="Provider folders to use instead of the built-in."
)
TABLE = "tool.mockserver"

_OPTIONS = (
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option(
        "--port",
        type=int,
        help=f"Port; 0 for a free one.  [default: {settings.DEFAULT_PORT}, or the provider's own if it has one]",
    ),
    click.option(
        "--clock", "rate", default=1.0, show_default=True, metavar="RATE", help="Speed of time; 0 is by hand."
    ),
    click.option("--start", metavar="ISO", help="Moment at which the clock starts, such as 2025-06-01T12:00:00Z."),
    click.option("--seed", default=0, show_default=True, help="Seed of chance and of ids."),
    click.option("--slots", type=int, help="How many tasks run at once.  [default: as the provider has it]"),
    SCHEMAS,
    click.option("--workflows", "workflows_dir", type=FOLDER, metavar="DIR", help="Hosted workflows, ID.json each."),
    click.option("--any-workflow", is_flag=True, help="Unknown workflow ids run the sample."),
    click.option(
        "--variant",
        "variants",
        multiple=True,
        metavar="PROVIDER.NAME=VALUE",
        shell_complete=completing.reading,
        help="Reading of an open question.",
    ),
    click.option("--api-key", "api_keys", multiple=True, metavar="KEY", help="The only keys accepted (repeatable)."),
    click.option("--accounts", type=FILE, metavar="FILE", help="Keys, tenants, pools and balances."),
    click.option("--public-url", metavar="URL", help="Base of links.  [default: the address a client used]"),
    click.option(
        "--nodes", type=FILE, multiple=True, metavar="FILE", help="A saved /object_info of yours (repeatable)."
    ),
    click.option(
        "--models",
        type=click.Path(path_type=Path, exists=True),
        multiple=True,
        metavar="FILE|DIR",
        help="Your model files (repeatable).",
    ),
    click.option(
        "--scenario",
        "scenarios",
        multiple=True,
        metavar="FILE|NAME",
        shell_complete=completing.scenario,
        help="What goes wrong (repeatable).",
    ),
    click.option(
        "--fail",
        "fails",
        multiple=True,
        metavar="NAME",
        shell_complete=completing.error,
        help="An error that calls or tasks meet (repeatable).",
    ),
    click.option(
        "--allow-host", "allow_hosts", multiple=True, metavar="NAME", help="Host that may use /_mock (repeatable)."
    ),
    click.option("--tls", is_flag=True, help="Also answer for the real host names, over TLS and as a proxy."),
    click.option("--tls-port", default=0, show_default=True, help="Port of --tls; 0 for a free one."),
    click.option("--watch", is_flag=True, help="Load scenarios, workflows and schemas again when they change."),
    click.option("--max-worlds", default=1000, show_default=True, help="Worlds there may be beside the main one."),
    click.option(
        "--idle-worlds",
        "world_idle",
        default=600.0,
        show_default=True,
        metavar="SECONDS",
        help="Real time after which an unused world is dropped.",
    ),
    click.option(
        "--results",
        "results_dir",
        type=FOLDER,
        metavar="DIR",
        help="Your own files, shown in place of drawn results of their kind.",
    ),
)


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command all options about a server."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def settings_of(
    *,
    start: str | None,
    schemas_dir: Path | None,
    variants: Iterable[str],
    accounts: Path | None,
    port: int | None = None,
    **options: Any,
) -> settings.Settings:
    """Return the settings that values of `server_options` stand for.

    Raises:
        UserError: one of them will not do.
    """
    meta = data.schemas() / "_meta" / "accounts.schema.json"
    return settings.Settings(
        start=None if start is None else settings.parse_start(start),
        port=settings.usual_port(schemas_dir or data.schemas(), options.get("providers", ())) if port is None else port,
        schemas_dir=schemas_dir or data.schemas(),
        variants=settings.parse_variants(tuple(variants)),
        accounts=settings.load_accounts(accounts, meta=meta) if accounts else (),
        **options,
    )


def table_above(folder: Path) -> tuple[dict[str, Any], Path]:
    """Return `[tool.mockserver]` of the nearest pyproject.toml that has one, from *folder* upwards, and its folder.

    Raises:
        UserError: a pyproject.toml on the way cannot be read.
    """
    folder = folder.resolve()
    for place in (folder, *folder.parents):
        file = place / "pyproject.toml"
        if not file.is_file():
            continue
        try:
            table = tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("mockserver")
        except (OSError, ValueError) as error:
            raise UserError(f"{str(file)!r} cannot be read: {error}") from None
        if isinstance(table, dict):
            return table, place
    return {}, folder


def defaults(command: click.Command, table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a table as click's `default_map` of *command*: option words to parameter names, paths below *folder*.

    Raises:
        UserError: a word is no option of a server.
    """
    known = {_word(one): one for one in _parameters()}
    taken = {one.name for one in command.params}
    found: dict[str, Any] = {}
    for word, value in table.items():
        option = known.get(word)
        if option is None or option.name is None:
            hint = f"{nearest(word, known)}; known: {', '.join(sorted(known))}"
            raise UserError(f"[{TABLE}] has {word!r}, which is no option{hint}")
        if isinstance(value, list) is not (option.multiple or option.nargs == -1) or isinstance(value, dict):
            kind = "a list" if option.multiple or option.nargs == -1 else "a single value"
            raise UserError(f"[{TABLE}] has {word} = {value!r}; {kind} is needed")
        if option.name in taken:
            found[option.name] = (
                [_placed(option, one, folder) for one in value]
                if isinstance(value, list)
                else _placed(option, value, folder)
            )
    return found


def words(texts: Iterable[str]) -> dict[str, Any]:
    """Return `WORD=VALUE` texts as a table; of several for one word the last counts, of repeatable ones all.

    Raises:
        UserError: a text is not of that form.
    """
    repeatable = {_word(one) for one in _parameters() if one.multiple}
    found: dict[str, Any] = {}
    for text in texts:
        word, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"option {text!r} is not understood; write it as WORD=VALUE")
        found[word] = [*found.get(word, ()), value] if word in repeatable else value
    return found


def read(table: Mapping[str, Any], folder: Path) -> settings.Settings:
    """Return the settings that a table stands for, with the defaults of `serve`.

    Raises:
        UserError: a word is no option of a server, or a value will not do.
    """
    command = click.Command("mockserver", params=[*_parameters()])
    try:
        context = command.make_context("mockserver", [], default_map=defaults(command, table, folder))
    except click.ClickException as error:
        raise UserError(f"[{TABLE}]: {error.format_message()}") from None
    return settings_of(**context.params)


def _parameters() -> list[click.Option]:
    @server_options
    @click.option("--providers", multiple=True)
    def command() -> None: ...

    found: list[click.Option] = command.__click_params__  # type: ignore[attr-defined]  # where click keeps them
    return found[::-1]


def _word(option: click.Option) -> str:
    return option.opts[0].removeprefix("--")


def _placed(option: click.Option, value: Any, folder: Path) -> Any:
    if isinstance(value, str) and (isinstance(option.type, click.Path) or (folder / value).is_file()):
        return str(folder / value)
    return value
