"""What a user may set about a server: one frozen value, checked once.

The command line, the demo and the tests all make a `Settings`; the web layer reads it. Every mistake is a `UserError`
of one line that says what would be right.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mockserver import data
from mockserver.errors import UserError

DEFAULT_PORT = 8787


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a server is to run. Folders default to those that come with the package.

    Raises:
        UserError: a value cannot be obeyed.
    """

    providers: tuple[str, ...] = ()
    """Names of the providers to serve; empty for all of `schemas_dir`."""
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 for a free one."""
    rate: float = 1.0
    """Virtual seconds per real second; 0 is a clock turned by hand."""
    start: int | None = None
    """Unix seconds at which worlds start; None for the real time, as a whole second."""
    seed: int = 0
    slots: int | None = None
    """How many tasks run at once; None for what each provider's machine says."""
    schemas_dir: Path = field(default_factory=data.schemas)
    workflows_dir: Path | None = None
    """Hosted workflows in ComfyUI's API format, each id the file's name; None for the samples only."""
    workflows: Mapping[str, Any] = field(default_factory=dict)
    """Further hosted workflows, id -> graph; a file of the same id wins."""
    any_workflow: bool = False
    """Let workflow ids that are not hosted run the sample."""
    variants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Provider -> variant -> reading."""
    api_keys: tuple[str, ...] = ()
    """The only keys accepted; empty for any well-formed one."""
    accounts: tuple[Mapping[str, Any], ...] = ()
    """Entries of an accounts file, see `load_accounts`."""
    public_url: str | None = None
    """Base of links; None for the address the client reached us by."""
    nodes: tuple[Path, ...] = ()
    """Saved answers of `/object_info` that extend the node catalogue."""
    models: tuple[Path, ...] = ()
    """Lists or folders of model files that extend the node catalogue."""
    allow_hosts: tuple[str, ...] = ()
    """Further `Host` names from which the control API may be used."""
    scenarios: tuple[str, ...] = ()
    """Scenarios in force from the start: names of the library, or paths of files."""
    fails: tuple[str, ...] = ()
    """Errors of the catalogue that every call or task they fit meets."""
    max_worlds: int = 1000
    """How many worlds beside the main one there may be at once."""
    world_idle: float = 600.0
    """Real seconds after which a world that nobody uses is dropped; the main one never is."""
    watch: bool = False
    """Load scenarios, workflows and schemas again when their files change."""
    tls: bool = False
    """Also answer for the real host names, over TLS and as a proxy."""
    tls_port: int = 0
    """Of that; 0 for a free one."""
    results_dir: Path | None = None
    """Files of the user's that are shown in place of drawn results with their extension."""

    def __post_init__(self) -> None:
        for port in (self.port, self.tls_port):
            _require(0 <= port <= 65535, "port", port, "a number from 0 (a free port) to 65535")
        _require(self.rate >= 0 and math.isfinite(self.rate), "clock rate", self.rate, "0 (by hand), 1 (real) or more")
        _require(self.max_worlds >= 0, "number of worlds", self.max_worlds, "0 or more")
        _require(self.world_idle > 0, "idle time of worlds", self.world_idle, "above 0")
        _require(self.slots is None or self.slots >= 1, "slots", self.slots, "at least 1")
        _require(self.start is None or self.start >= 0, "start", self.start, "a moment of 1970 or later")
        for folder in (self.schemas_dir, self.workflows_dir):
            _require(folder is None or folder.is_dir(), "folder", str(folder), "a folder that exists")
        for path in (*self.nodes, *self.models):
            _require(path.exists(), "file", str(path), "one that exists")
        if self.public_url is not None:
            url = urlsplit(self.public_url)
            plain = url.scheme in {"http", "https"} and url.hostname and not url.query and not url.fragment
            _require(bool(plain), "public URL", self.public_url, "of the form http://HOST:PORT")
        for key in self.api_keys:
            _require(bool(key.strip()), "API key", key, "a text that is not empty")
        for name in (*self.providers, *self.variants):
            data.provider(self.schemas_dir, name)

    def folders(self) -> dict[str, Path]:
        """Return the folders of the providers to serve, by name."""
        known = data.providers(self.schemas_dir)
        return {name: known[name] for name in self.providers or known}

    def start_moment(self) -> int:
        """Return the Unix second at which a world made now starts."""
        return int(time.time()) if self.start is None else self.start


def usual_port(schemas_dir: Path, providers: Sequence[str]) -> int:
    """Return the port to listen on where none is said: that of the only provider, where it stands on this machine."""
    known = data.providers(schemas_dir)
    served = list(providers or known)
    if len(served) == 1 and served[0] in known:
        for server in read_json(known[served[0]] / "openapi.json", what="provider").get("servers", ()):
            url = urlsplit(server["url"])
            if url.hostname in ("127.0.0.1", "localhost") and url.port is not None:
                return int(url.port)
    return DEFAULT_PORT


def parse_start(text: str) -> int:
    """Read an ISO 8601 moment, UTC unless it names an offset, as Unix seconds; parts of a second are dropped.

    Raises:
        UserError: *text* is no such moment.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"start {text!r} is no ISO 8601 moment; write it as 2025-06-01T12:00:00Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return math.floor(moment.timestamp())


def parse_variants(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read `PROVIDER.NAME=VALUE` texts; of several for one variant the last wins.

    Raises:
        UserError: a text is not of that form.
    """
    variants: dict[str, dict[str, str]] = {}
    for text in texts:
        match = re.fullmatch(r"([^.=]+)\.([^=]+)=(.+)", text)
        if match is None:
            raise UserError(f"variant {text!r} is not understood; write it as PROVIDER.NAME=VALUE")
        provider, name, value = match.groups()
        variants.setdefault(provider, {})[name] = value
    return variants


def load_accounts(file: Path, *, meta: Path) -> tuple[Mapping[str, Any], ...]:
    """Read an accounts file: a JSON list that fits *meta*, the JSON Schema `accounts.schema.json`.

    Raises:
        UserError: the file cannot be read, does not fit, or names a key twice.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    accounts = read_json(file, what="accounts file")
    error = best_match(Draft202012Validator(read_json(meta, what="schema")).iter_errors(accounts))
    if error is not None:
        pointer = "".join(f"/{part}" for part in error.absolute_path) or "/"
        raise UserError(f"accounts file {str(file)!r} at {pointer}: {error.message}")
    seen: dict[str, int] = {}
    for index, account in enumerate(accounts):
        first = seen.setdefault(account.get("key"), index)
        if first != index:
            raise UserError(
                f"accounts file {str(file)!r} at /{index}/key: given at /{first}/key already; keys are unique"
            )
    return tuple(accounts)


def read_json(file: Path, *, what: str) -> Any:
    """Read a JSON file of the user's; *what* it is stands in the error.

    Raises:
        UserError: it cannot be read or is not JSON.
    """
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise UserError(f"{what} {str(file)!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{what} {str(file)!r} is not JSON: {error}") from None


def _require(holds: bool, what: str, found: object, right: str) -> None:
    if not holds:
        raise UserError(f"{what} {found!r} will not do; it must be {right}")
