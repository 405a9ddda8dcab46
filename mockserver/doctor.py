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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator

from mockserver import data, options
from mockserver.errors import MockServerError
from mockserver.provider import load
from mockserver.provider.model import Provider
from mockserver.settings import DEFAULT_PORT, Settings

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
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    providers: Sequence[str] = (),
    keys: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> list[Finding]:
    """Return the findings of all checks: installation, folders, settings, keys, port, proxies, clock.

    Args:
        providers: whom *keys* are meant for; empty for all.
        keys: API keys of the user's client; those in the environment are looked at anyway. None is ever shown.
        folder: where the user works: its pyproject.toml may hold settings; None for the current one.

    Raises:
        UserError: there is no provider of such a name.
    """
    found = list(_installed())
    loaded: dict[str, Provider] = {}
    found += _folders(loaded)
    for name in providers:
        data.provider(data.schemas(), name)
    settings, told = _settings(folder or Path.cwd())
    found += told
    found += _keys({name: loaded[name] for name in providers or loaded if name in loaded}, keys, environ, settings)
    return [*found, _port(host, port), *_proxies(environ), *_clock(host, port)]


def _installed() -> Iterator[Finding]:
    yield Finding("python", "well", f"Python {platform.python_version()} at {sys.executable}")
    try:
        yield Finding("package", "well", f"comfy-mockserver {version('comfy-mockserver')}")
    except PackageNotFoundError:
        yield Finding("package", "wrong", "comfy-mockserver is not installed here", "pip install comfy-mockserver")
    for name, purpose in OPTIONAL.items():
        if importlib.util.find_spec(name) is None:
            yield Finding(name, "note", "not installed", f"only needed for {purpose}")


def _folders(loaded: dict[str, Provider]) -> Iterator[Finding]:
    """Load every provider's folder, and keep in *loaded* those that will do."""
    try:
        folders = data.providers(data.schemas())
    except MockServerError as error:
        yield Finding("providers", "wrong", str(error), "install the package again")
        return
    for name, folder in folders.items():
        try:
            provider = loaded[name] = load(folder, name=name)
        except MockServerError as error:
            yield Finding(name, "wrong", str(error), f"mockserver providers check {folder}")
        else:
            yield Finding(name, "well", f"{len(provider.operations)} operations, {len(provider.variants)} variants")


def _settings(folder: Path) -> tuple[Settings | None, list[Finding]]:
    """Read what a server started in *folder* is told by its pyproject.toml."""
    try:
        table, place = options.table_above(folder)
        if not table:
            return None, []
        found = options.read(table, place)
    except MockServerError as error:
        return None, [Finding("settings", "wrong", str(error), "mend [tool.mockserver] in pyproject.toml")]
    return found, [Finding("settings", "well", f"{len(table)} in [tool.mockserver] of {place / 'pyproject.toml'}")]


def _keys(
    providers: Mapping[str, Provider], keys: Sequence[str], environ: Mapping[str, str], settings: Settings | None
) -> Iterator[Finding]:
    """Look at the form of the keys a client would send; which keys a server takes is asked of its settings."""
    only = {*settings.api_keys, *(entry["key"] for entry in settings.accounts)} if settings is not None else set()
    looked = False
    for name, provider in providers.items():
        variable = f"{name.upper()}_API_KEY"
        given = [("--api-key", key) for key in keys]
        given += [(variable, environ[variable])] if environ.get(variable) else []
        for source, key in given:
            looked = True
            yield _key(provider, source, key, only)
    if not looked:
        samples = [f"{name} {sample}" for name, one in providers.items() if (sample := _sample(one))]
        yield Finding(
            "keys",
            "note" if only else "well",
            f"only the {len(only)} of the settings are taken" if only else "any of the right form is taken",
            f"such as: {', '.join(samples)}" if samples and not only else "",
        )


def _key(provider: Provider, source: str, key: str, only: set[str]) -> Finding:
    forms = [scheme.get("x-key", True) for scheme in provider.security_schemes.values()]
    what = f"{source} for {provider.name}"
    if key != key.strip():
        return Finding("keys", "wrong", f"{what} has blanks around it", "set it again without them")
    if forms and not any(Draft202012Validator(form).is_valid(key) for form in forms):
        wanted = " or ".join(dict.fromkeys(_form(form) for form in forms if isinstance(form, Mapping)))
        sample = _sample(provider)
        remedy = f"use an invented one{f', such as {sample}' if sample else ''}"
        return Finding("keys", "wrong", f"{what} has not the form the provider asks: {wanted}", remedy)
    if only and key not in only:
        remedy = "name it with --api-key, or send one of those"
        return Finding("keys", "wrong", f"{what} is none of the {len(only)} keys of the settings", remedy)
    return Finding("keys", "well", f"{what} has the form the provider asks")


def _form(schema: Mapping[str, Any]) -> str:
    words = {name: value for name, value in schema.items() if name not in ("type", "examples")}
    return ", ".join(f"{name} {value}" for name, value in words.items()) or "any text"


def _sample(provider: Provider) -> str | None:
    schemes = provider.security_schemes.values()
    examples = [one for scheme in schemes for one in dict(scheme.get("x-key") or {}).get("examples", ())]
    return str(examples[0]) if examples else None


def _port(host: str, port: int) -> Finding:
    if port == 0:
        return Finding("port", "well", f"a free one of {host} would be taken")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        return Finding("port", "wrong", f"the host {host} is not known here: {error.strerror}", "try --host 127.0.0.1")
    with socket.socket(family) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(address)
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
