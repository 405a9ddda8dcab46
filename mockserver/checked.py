"""Folders that have passed their checks on this machine, remembered by content: a start need not look again.

A check draws every state of a provider, and takes as long as all the rest of a start. What it found depends on nothing
but what the digest of a `Folder` covers. Where nothing can be kept, folders are checked at each start.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

KEPT = 1000
"""Digests remembered at most; the oldest go first."""


def known(digest: str) -> bool:
    """Say whether a folder of this digest has passed before."""
    # A home that may not be looked into, or none at all (a container's user without an entry), keeps nothing.
    with contextlib.suppress(OSError, RuntimeError):
        return (_place() / digest).exists()
    return False


def remember(digest: str) -> None:
    """Note that a folder of this digest has passed."""
    with contextlib.suppress(OSError, RuntimeError):
        place = _place()
        place.mkdir(parents=True, exist_ok=True)
        (place / digest).touch()
        kept = list(place.iterdir())
        if len(kept) > KEPT:
            kept.sort(key=lambda file: file.stat().st_mtime_ns)
            for file in kept[: len(kept) - KEPT // 2]:
                file.unlink(missing_ok=True)


def _place() -> Path:
    """Return the folder of empty files named by digest, where this system keeps what can be made again."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "comfy-mockserver" / "checked"
