"""What may be wrong with a set-up: one finding a line, each with its remedy. Looks only; changes nothing."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import platform
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from mockserver import data
from mockserver.errors import MockServerError
from mockserver.provider import load
from mockserver.settings import DEFAULT_PORT

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
OPTIONAL = {
    "hypothesis": "exploring clients; pip install 'comfy-mockserver[contracts]'",
    "av": "sound and film as results; pip install 'comfy-mockserver[media]'",
}
EARLIEST = 1_735_689_600
"""1 January 2025. A clock before that was never set: links and certificates will not do."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    verdict: Literal["well", "note", "wrong"]
    says: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def examine(
    *, host: str = "127.0.0.1", port: int = DEFAULT_PORT, environ: Mapping[str, str] = os.environ
) -> list[Finding]:
    """Return the findings of all checks: installation, folders, port, proxies, clock."""
    return [*_installed(), *_folders(), _port(host, port), *_proxies(environ), *_clock(host, port)]


def _installed() -> Iterator[Finding]:
    yield Finding("python", "well", f"Python {platform.python_version()} at {sys.executable}")
    try:
        yield Finding("package", "well", f"comfy-mockserver {version('comfy-mockserver')}")
    except PackageNotFoundError:
        yield Finding("package", "wrong", "comfy-mockserver is not installed here", "pip install comfy-mockserver")
    for name, purpose in OPTIONAL.items():
        if importlib.util.find_spec(name) is None:
            yield Finding(name, "note", "not installed", f"only needed for {purpose}")


def _folders() -> Iterator[Finding]:
    try:
        folders = data.providers(data.schemas())
    except MockServerError as error:
        yield Finding("providers", "wrong", str(error), "install the package again")
        return
    for name, folder in folders.items():
        try:
            provider = load(folder, name=name)
        except MockServerError as error:
            yield Finding(name, "wrong", str(error), f"mockserver providers check {folder}")
        else:
            yield Finding(name, "well", f"{len(provider.operations)} operations, {len(provider.variants)} variants")


def _port(host: str, port: int) -> Finding:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            if _ask(host, port, "ready").get("ready"):
                return Finding(
                    "port",
                    "note",
                    f"{host}:{port} is taken by an emulator that runs already",
                    "use it, or take another with --port 0",
                )
            return Finding(
                "port",
                "wrong",
                f"{host}:{port} cannot be had: {error.strerror}",
                "choose another with --port, or --port 0",
            )
    return Finding("port", "well", f"{host}:{port} is free")


def _proxies(environ: Mapping[str, str]) -> Iterator[Finding]:
    given = [name for name in (*PROXIES, *(one.lower() for one in PROXIES)) if environ.get(name)]
    spared = {part.strip() for name in ("NO_PROXY", "no_proxy") for part in environ.get(name, "").split(",")}
    if given and not spared & {"*", "127.0.0.1", "localhost"}:
        yield Finding(
            "proxy",
            "wrong",
            f"{', '.join(given)} set: clients may send calls for this machine to the proxy",
            "export NO_PROXY=127.0.0.1,localhost",
        )
    elif given:
        yield Finding("proxy", "well", f"{', '.join(given)} set, this machine spared by NO_PROXY")
    else:
        yield Finding("proxy", "well", "no proxy variables")


def _clock(host: str, port: int) -> Iterator[Finding]:
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < EARLIEST:
        yield Finding(
            "clock", "wrong", f"this machine says {shown}", "set its clock: signatures and links depend on it"
        )
    else:
        yield Finding("clock", "well", shown)
    moment = _ask(host, port, "clock").get("now")
    if isinstance(moment, int | float) and abs(moment - now) > 900:
        yield Finding(
            "world",
            "note",
            f"the clock of the emulator that runs is {moment - now:+.0f} s off this machine's",
            "links live by its clock; POST /_mock/reset begins it again",
        )


def _ask(host: str, port: int, what: str) -> dict[str, Any]:
    """Return an answer of the control API of an emulator at this address; empty if there is none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{host}:{port}/_mock/{what}", timeout=1) as answer:
            found = json.loads(answer.read(10_000))
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    return found if isinstance(found, dict) else {}
