"""`mockserver run -- COMMAND`: a command with an emulator beside it, for tests in any language.

The command finds its providers in the environment; its exit code is passed on, and becomes 1 if all went well but the
contract was broken.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress

from mockserver.client import MockServer
from mockserver.errors import UserError
from mockserver.settings import Settings

BROKEN = 1
"""Exit code where the command succeeded and the contract was broken."""
KILLED = 128
"""Added to the number of the signal that ended the command, as shells do."""


def run(
    command: Sequence[str], settings: Settings, *, expect: Sequence[str] = (), tell: Callable[[str], object] = print
) -> int:
    """Run *command* beside a server; return the exit code to end with.

    Args:
        expect: rules of the contract that are broken on purpose, see `MockServer.expect`.
        tell: is told of broken contracts.

    Raises:
        UserError: the command does not exist, or the server cannot start.
    """
    program = shutil.which(command[0])
    if program is None:
        raise UserError(f"there is no command {command[0]!r}")
    with MockServer.with_settings(settings) as server:
        code = _obey([program, *command[1:]], {**os.environ, **server.environment})
        stories = [world.story(found) for world in server.worlds() if (found := world.expect(*expect).violations)]
    for story in stories:
        tell(story)
    return code or (BROKEN if stories else 0)


def _obey(command: Sequence[str], environment: dict[str, str]) -> int:
    process = subprocess.Popen(command, env=environment)
    # Ctrl-C reaches the command too; what it does then decides. A request to end is handed on.
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        while True:
            with suppress(KeyboardInterrupt):
                code = process.wait()
                break
    finally:
        signal.signal(signal.SIGTERM, before)
    return KILLED - code if code < 0 else code
