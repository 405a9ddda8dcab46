"""Drawn results, kept so that a picture is drawn once however often it is downloaded; files that stand for them.

Bounded by bytes; the least used goes first. Safe to use from several threads. Uploads are the world's (`world.files`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from mockserver.storage.recipe import Picture

KEPT_BYTES = 128 * 1024 * 1024


class Results:
    """A cache of drawn pictures by recipe."""

    def __init__(self, max_bytes: int = KEPT_BYTES) -> None:
        self._drawn: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()
        self._bytes = 0
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    def drawn(self, picture: Picture) -> bytes:
        """Return the bytes of *picture*."""
        key = picture.key()
        with self._lock:
            known = self._drawn.get(key)
            if known is not None:
                self._drawn.move_to_end(key)
                return known
        from mockserver.storage import media

        content = media.make(picture)
        with self._lock:
            if key not in self._drawn:
                self._drawn[key] = content
                self._bytes += len(content)
            while self._bytes > self._max_bytes and len(self._drawn) > 1:
                _, oldest = self._drawn.popitem(last=False)
                self._bytes -= len(oldest)
        return content


def own_results(folder: Path, extension: str) -> list[Path]:
    """Return the files of the user's that may stand for results with *extension*, in order."""
    if not folder.is_dir():
        return []
    return sorted(one for one in folder.iterdir() if one.suffix.lower() == f".{extension}" and one.is_file())
