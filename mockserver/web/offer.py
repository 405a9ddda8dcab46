"""What a world is offered: providers in one choice of readings, hosted workflows, and who has an account.

Made of settings and folders, and never changed: worlds that agree in these share one. A world keeps its own to its end,
also when the server has loaded other files since.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mockserver import checked, data
from mockserver.errors import SchemaFolderError
from mockserver.provider import Folder
from mockserver.provider.model import Provider
from mockserver.provider.servers import server_variables
from mockserver.scenario import Setting, library
from mockserver.settings import Settings
from mockserver.web.hosting import Hosting, document_of
from mockserver.web.links import FILES
from mockserver.web.recorder import Secrets
from mockserver.web.routing import Route, Router

KNOWN_SPOTS = 1024
"""Addresses of which it is remembered where they lead."""
LONG = 512
"""Bytes of a path that is not remembered."""
LOOPBACK = re.compile(r"(127\.|localhost\b|\[::1\])")


class Served:
    """A provider as it is served, with one choice of readings; compiled when it is first needed."""

    def __init__(self, folder: Folder, store: Folder | None, bucket: str) -> None:
        self.name = folder.name
        self.bucket = bucket
        """Of its store; empty for none."""
        self._folder, self._store = folder, store

    @functools.cached_property
    def provider(self) -> Provider:
        return self._folder.compile(checked=True)

    @functools.cached_property
    def router(self) -> Router:
        return Router(self.provider)

    @functools.cached_property
    def store(self) -> Provider | None:
        return None if self._store is None else self._store.compile(checked=True)

    @functools.cached_property
    def store_router(self) -> Router | None:
        return None if self.store is None else Router(self.store)

    def hosts(self) -> Iterator[tuple[str, bool]]:
        """Yield the real host names, and of each whether it is the store's."""
        yield from ((host.lower(), False) for host in self._folder.hosts)
        if self._store is not None:
            default = server_variables(self._store.documents["openapi.json"]).get("bucket", "")
            yield from ((host.replace(default, self.bucket, 1).lower(), True) for host in self._store.hosts)

    def documents(self) -> Iterator[Mapping[str, Any]]:
        """Yield the files of the provider, and those of its store."""
        yield self._folder.documents
        if self._store is not None:
            yield self._store.documents


class Account(NamedTuple):
    """An entry of the accounts file, or a key given alone."""

    id: str
    """What the account is known by; the key where the entry has no id of its own."""
    document: Mapping[str, Any]


class Spot(NamedTuple):
    """Where an address leads among what is offered; `path` and `raw` (percent-encoded) are below the mount."""

    served: Served
    provider: Provider
    """Who answers: the provider, or the store that keeps its files."""
    in_store: bool
    """The request is for the provider's object store; `path` is the key."""
    path: str
    raw: str
    prefix: str
    """What stood before: `/genstudio`, empty at the root or by host name."""
    by_name: bool
    """The caller came by a real host name."""
    route: Route | None
    parameters: Mapping[str, str]
    """Of the path, decoded."""
    mount: str
    """All that stood before the path, the store's place below its provider included."""


class Offer:
    """What is served by name, path and host.

    Raises:
        UserError, SchemaFolderError: *settings* or a folder will not do.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.hosting = Hosting(settings)
        entries = {**{key: {} for key in settings.api_keys}, **{entry["key"]: entry for entry in settings.accounts}}
        self.accounts = {key: Account(entry.get("id", key), document_of(entry)) for key, entry in entries.items()}
        """By key; empty where any key of the right form will do."""
        self.signing_secrets = {key: entry["secret"] for key, entry in entries.items() if "secret" in entry}
        self._stores: dict[str, Folder] = {}
        self.served = {
            name: self._serve(_passed(path, name, settings.variants.get(name, {})))
            for name, path in settings.folders().items()
        }
        self.only = next(iter(self.served.values())) if len(self.served) == 1 else None
        self.by_host: dict[str, tuple[Served, bool]] = {}
        for served in self.served.values():
            for host, in_store in served.hosts():
                # A provider at home on this machine is no other machine's: everything here is called by that name.
                if in_store or not LOOPBACK.match(host) or self.only is served:
                    self.by_host.setdefault(host, (served, in_store))
        self._known_spot = functools.lru_cache(maxsize=KNOWN_SPOTS)(self._spot)
        self.secrets = Secrets([files for served in self.served.values() for files in served.documents()])

    @functools.cached_property
    def families(self) -> Mapping[str, tuple[Provider, ...]]:
        """The providers served, by name, each with its store."""
        return {
            name: (served.provider,) if served.store is None else (served.provider, served.store)
            for name, served in self.served.items()
        }

    def spot(self, host: str, path: str, raw: str, prefix: str, port: str | None) -> Spot | None:
        """Find who answers at an address, and what stands there; None where nothing is served.

        Args:
            prefix: what stood before the path.
            port: the provider whose own port the request came by.
        """
        # Clients come back to the same few addresses; long ones are not worth remembering.
        find = self._known_spot if len(raw) <= LONG else self._spot
        return find(host, path, raw, prefix, port)

    def _spot(self, host: str, path: str, raw: str, prefix: str, port: str | None) -> Spot | None:
        named = self.by_host.get(host) or self.by_host.get(host.partition(":")[0])
        if named is not None and not prefix:
            return _found(*named, path, raw, "", "", True)
        first = path[1:].partition("/")[0]
        chosen = self.served.get(first)
        if port is not None:
            chosen = self.served[port]
        elif chosen is not None:
            mount = f"/{first}"
            prefix, path, raw = prefix + mount, path[len(mount) :] or "/", raw[len(mount) :] or "/"
        elif self.only is not None:
            chosen = self.only
        else:
            return None
        files = f"{FILES}/{chosen.bucket}" if chosen.bucket else None
        if files is not None and path.startswith(files + "/"):
            return _found(chosen, True, path[len(files) :], raw[len(files) :], prefix, files, False)
        return _found(chosen, False, path, raw, prefix, "", False)

    def check(self) -> None:
        """Read now what is else read at its first use; raise `UserError` where it will not do."""
        _ = self.hosting.own
        if self.settings.nodes or self.settings.models:
            _ = self.hosting.catalogue

    def _serve(self, folder: Folder) -> Served:
        of_files = folder.documents["machine.json"].get("file", {})
        store = of_files.get("store")
        if store is None:
            return Served(folder, None, "")
        if store not in self._stores:
            path = self.settings.schemas_dir / "_stores" / store
            if not path.is_dir():
                path = data.schemas() / "_stores" / store  # those that come with the package serve everybody
            self._stores[store] = _passed(path, store, {})
        return Served(folder, self._stores[store], of_files.get("bucket", folder.name))


def _passed(path: Path, name: str, readings: Mapping[str, str]) -> Folder:
    """Return the folder at *path*, which passes its checks: now, or as one of this content did before."""
    try:
        folder = Folder(path, name=name, readings=readings)
        if not checked.known(folder.digest):
            folder.compile()
            checked.remember(folder.digest)
    except SchemaFolderError as error:
        raise SchemaFolderError(str(path / error.file), error.pointer, error.problem) from None
    return folder


def _found(served: Served, in_store: bool, path: str, raw: str, prefix: str, files: str, by_name: bool) -> Spot:
    router, provider = served.router, served.provider
    if in_store:
        assert served.store_router is not None
        assert served.store is not None
        router, provider = served.store_router, served.store
    route, parameters = router.find(path, raw) or (None, {})
    return Spot(served, provider, in_store, path, raw, prefix, by_name, route, parameters, prefix + files)


def in_settings(settings: Settings) -> Settings:
    """Return *settings* with what the scenarios they name set, where they say nothing themselves.

    Raises:
        UserError: there is no such scenario, or it will not do.
    """
    for name in settings.scenarios:
        setting = library.find(name).setting
        settings = replace(
            settings,
            variants=_merged(setting.variants, settings.variants),
            accounts=settings.accounts or setting.accounts,
            workflows={**setting.workflows, **settings.workflows},
            seed=settings.seed if settings.seed or setting.seed is None else setting.seed,
            start=setting.start if settings.start is None else settings.start,
            slots=setting.slots if settings.slots is None else settings.slots,
            rate=settings.rate if settings.rate != 1 or setting.rate is None else setting.rate,
        )
    return settings


def with_setting(settings: Settings, setting: Setting) -> Settings:
    """Return *settings* for an offer that a world's own *setting* changes."""
    return replace(
        settings,
        variants=_merged(settings.variants, setting.variants),
        accounts=setting.accounts or settings.accounts,
        # Whoever brings accounts means these to be all there are.
        api_keys=() if setting.accounts else settings.api_keys,
        workflows={**settings.workflows, **setting.workflows},
    )


def _merged(
    base: Mapping[str, Mapping[str, str]], more: Mapping[str, Mapping[str, str]]
) -> dict[str, Mapping[str, str]]:
    return {name: {**base.get(name, {}), **more.get(name, {})} for name in {**base, **more}}
