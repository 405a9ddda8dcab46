"""Recorded traffic, read from files: our NDJSON, HAR of browsers and proxies, cassettes of VCR.py.

Each reader gives `Exchange`s in the order of the file, one at a time; nothing is judged here. A moment that a recording
does not tell is NaN, which is neither before nor after any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contracts.traffic import har, ndjson, vcr
from mockserver.errors import UserError
from mockserver.exchange import Exchange

Format = Literal["ndjson", "har", "vcr"]
SNIFFED = 4096
SAMPLED = 256 * 1024


@dataclass(frozen=True, slots=True)
class Recording:
    """A file of traffic."""

    path: Path
    format: Format

    @property
    def lenient(self) -> bool:
        """Whether the recorder may have left out credentials, as browsers and cassettes do."""
        return self.format != "ndjson"

    @property
    def expected(self) -> int | None:
        """About how many exchanges it holds, by its first lines; None where only reading it would tell."""
        if self.format != "ndjson":
            return None
        with self.path.open("rb") as file:
            lines = file.readlines(SAMPLED)
        return round(self.path.stat().st_size * len(lines) / max(1, sum(map(len, lines))))

    def exchanges(self) -> Iterator[Exchange]:
        """Yield what it holds.

        Raises:
            UserError: it is broken; says where.
        """
        return {"ndjson": ndjson.read, "har": har.read, "vcr": vcr.read}[self.format](self.path)


def recognise(path: Path) -> Recording:
    """Return which kind of recording a file is, by what it holds.

    Raises:
        UserError: it cannot be read, or is none.
    """
    try:
        with path.open("rb") as file:
            head = file.read(SNIFFED).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    found = _recognise(head)
    if found is None:
        raise UserError(f"{path} is no recording; known: NDJSON of /_mock/exchanges, HAR, cassettes of VCR.py")
    return Recording(path, found)


def _recognise(head: bytes) -> Format | None:
    if re.match(rb'\{\s*"log"\s*:', head):
        return "har"
    if re.match(rb'\{\s*"(interactions|version)"\s*:', head) or re.search(rb"(?m)^interactions:", head):
        return "vcr"
    if head.startswith(b"{") and b'"request"' in head:
        return "ndjson"
    return None
