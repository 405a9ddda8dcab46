"""Files that change while the server runs: noticed by a look at their times, loaded again, or refused with the reason.

A changed scenario goes on in the main world, its counts at nothing. Other schemas or workflows, or another setting of a
scenario, make another main world: what was drawn by the old ones fits no longer. Worlds made before keep theirs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from mockserver.errors import MockServerError
from mockserver.scenario import library
from mockserver.web.emulator import MAIN, Emulator

log = logging.getLogger("mockserver")

State = dict[Path, tuple[int, int]]


class Watcher:
    """Notices changes since it was made, or since its latest look."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._seen = self._state()

    def look(self) -> bool:
        """Load again what has changed; return whether anything was loaded.

        A file that will not do is told in the log and among the problems; then all stays as it was, until it changes.
        """
        before, self._seen = self._seen, self._state()
        changed = {file for file in {**before, **self._seen} if before.get(file) != self._seen.get(file)}
        if not changed:
            return False
        names = {file: name for name, file in self._scenarios()}
        try:
            if changed <= set(names):
                self._emulator.reload_scenarios([name for file, name in names.items() if file in changed])
            else:
                self._emulator.reload()
        except MockServerError as error:
            log.warning("not loaded, the old stays in force: %s", error)
            files = ", ".join(sorted(file.name for file in changed))
            self._emulator.stages[MAIN].recorder.problem(rule="not-loaded", path=files, text=str(error))
            return False
        log.info("loaded again: %s", ", ".join(sorted(file.name for file in changed)))
        return True

    def _state(self) -> State:
        found: State = {}
        for file in self._files():
            try:
                stat = file.stat()
            except OSError:  # it has just gone
                continue
            found[file] = (stat.st_mtime_ns, stat.st_size)
        return found

    def _files(self) -> Iterator[Path]:
        settings = self._emulator.given
        yield from settings.schemas_dir.rglob("*.json")
        if settings.workflows_dir is not None:
            yield from settings.workflows_dir.glob("*.json")
        yield from (file for _, file in self._scenarios())

    def _scenarios(self) -> Iterator[tuple[str, Path]]:
        known = library.files()
        for name in self._emulator.given.scenarios:
            yield name, known.get(name) or Path(name)
