"""The record of what crossed the wire: one HTTP exchange, or one WebSocket connection with its frames.

Shared by the emulator, which keeps them, and by `contracts`, which judges them. Values only; no behaviour beyond
reading convenience. Moments are Unix seconds on the world's clock.
"""

from __future__ import annotations

from typing import NamedTuple


class Frame(NamedTuple):
    """One WebSocket message. `data` is text or bytes; `sent` is true when the *server* sent it."""

    at: float
    sent: bool
    data: str | bytes


class Exchange(NamedTuple):
    """One request and its answer. A tuple: made for every call, it costs a tenth of a frozen dataclass.

    `path` is the path below the provider's mount, percent-encoded as received; `query` the raw query string.
    Header names are lower case. Bodies are the bytes as they crossed the wire (bounded by the keeper).
    """

    number: int
    provider: str
    operation: str | None
    at: float
    method: str
    host: str
    path: str
    query: str
    request_headers: tuple[tuple[str, str], ...]
    request_body: bytes
    status: int
    response_headers: tuple[tuple[str, str], ...]
    response_body: bytes
    frames: tuple[Frame, ...] = ()
    tasks: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    """Ids of the scenario rules that shaped this answer."""
    mount: str = ""
    """What stood before `path` in the address by which the client came: `/genstudio`, or nothing."""
