"""How a command of either package ends: its exit code, and one line for what the user did wrong, never a traceback.

Knows no command: `mockserver.cli` and `contracts.cli` bring their own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

import click

from mockserver.errors import MockServerError

Hint = Callable[[click.Context, click.ClickException], str | None]
"""Says where a mistake stands, if it is not on the command line."""


def run(
    commands: click.Group, arguments: list[str] | None, *, name: str, failed: int, hint: Hint | None = None
) -> NoReturn:
    """Run one command and exit: with what it returns if that is a number, 130 after Ctrl-C, else 0.

    Args:
        failed: the exit code of what could not be done; mistakes on the command line have at least click's own, 2.
    """
    try:
        status = commands.main(arguments, prog_name=name, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        told = (hint(context, error) if hint and context else None) or (
            f"; see {context.command_path} --help" if context else ""
        )
        _fail(f"{error.format_message().rstrip('.')}{told}", status=max(error.exit_code, failed))
    except MockServerError as error:
        _fail(str(error), status=failed)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone: nobody is left to tell
        sys.exit(failed)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(text: str, *, status: int) -> NoReturn:
    click.echo(f"error: {' '.join(text.split())}", err=True)
    sys.exit(status)
