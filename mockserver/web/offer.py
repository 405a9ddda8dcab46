"""What a world is offered: providers in one choice of readings, hosted workflows, and who has an account.

Made of settings and folders, and never changed: worlds that agree in these share one. A world keeps its own to its end,
also when the server has loaded other files since.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mockserver import data
from mockserver.errors import SchemaFolderError
from mockserver.provider import load
from mockserver.provider.model import Provider
from mockserver.scenario import Setting, library
from mockserver.settings import Settings
from mockserver.web.hosting import Hosting
from mockserver.web.recorder import Secrets
from mockserver.web.routing import Router

LOOPBACK = re.compile(r"(127\.|localhost\b|\[::1\])")


@dataclass(frozen=True)
class Served:
    """A provider as it is served, with one choice of readings."""

    provider: Provider
    router: Router
    store: Provider | None
    store_router: Router | None
    bucket: str


class Offer:
    """What is served by name, path and host.

    Raises:
        UserError, SchemaFolderError: *settings* or a folder will not do.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.hosting = Hosting(settings)
        self.accounts: dict[str, Mapping[str, Any]] = {entry["key"]: entry for entry in settings.accounts}
        self.accounts |= {key: {} for key in settings.api_keys if key not in self.accounts}
        self.signing_secrets = {key: entry["secret"] for key, entry in self.accounts.items() if "secret" in entry}
        self.served: dict[str, Served] = {}
        for name, folder in settings.folders().items():
            try:
                provider = load(folder, name=name, readings=settings.variants.get(name, {}))
            except SchemaFolderError as error:
                raise SchemaFolderError(str(folder / error.file), error.pointer, error.problem) from None
            self.served[name] = self._serve(provider)
        self.only = next(iter(self.served.values())) if len(self.served) == 1 else None
        self.by_host: dict[str, tuple[Served, bool]] = {}
        for served in self.served.values():
            for host in served.provider.hosts:
                # A provider at home on this machine is no other machine's: everything here is called by that name.
                if not LOOPBACK.match(host) or self.only is served:
                    self.by_host.setdefault(host.lower(), (served, False))
            if served.store is not None:
                default = served.store.server.get("bucket", "")
                for host in served.store.hosts:
                    self.by_host.setdefault(host.replace(default, served.bucket, 1).lower(), (served, True))
        self.families = {
            name: (served.provider,) if served.store is None else (served.provider, served.store)
            for name, served in self.served.items()
        }
        self.secrets = Secrets([provider for family in self.families.values() for provider in family])

    def check(self) -> None:
        """Read now what is else read at its first use; raise `UserError` where it will not do."""
        _ = self.hosting.own
        if self.settings.nodes or self.settings.models:
            _ = self.hosting.catalogue

    def _serve(self, provider: Provider) -> Served:
        kind = provider.machine.kinds.get("file")
        name = kind.options.get("store") if kind is not None else None
        if kind is None or name is None:
            return Served(provider, Router(provider), None, None, "")
        folder = self.settings.schemas_dir / "_stores" / name
        if not folder.is_dir():
            folder = data.schemas() / "_stores" / name  # those that come with the package serve everybody
        store = load(folder, name=name)
        return Served(provider, Router(provider), store, Router(store), kind.options.get("bucket", provider.name))


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
