"""The emulator: which providers are served, the worlds they live in, and the way from an address to both.

One lookup (`Emulator.place`) finds world, provider and path for every request and control call. Everything a request
does is in `calls.py`, what a WebSocket does in `feeds.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mockserver.errors import Refused, UserError
from mockserver.exchange import Exchange
from mockserver.provider import load
from mockserver.provider.model import Provider
from mockserver.provider.scope import Call, Scope
from mockserver.scenario import Setting, fail, library
from mockserver.settings import Settings
from mockserver.storage.objects import Results
from mockserver.storage.signing import Secret
from mockserver.web.credentials import Nonces
from mockserver.web.faults import Scripts
from mockserver.web.hosting import Hosting, document_of
from mockserver.web.links import FILES, Store
from mockserver.web.push import Pacer
from mockserver.web.recorder import Recorder, Secrets
from mockserver.web.routing import Router
from mockserver.world.chance import Stream, world_key
from mockserver.world.service import Service
from mockserver.world.setup import Setup
from mockserver.world.things import Thing
from mockserver.world.world import World

MAIN = "main"
"""Id of the world that is always there."""


@dataclass(frozen=True)
class Served:
    """A provider as it is served, with one choice of readings."""

    provider: Provider
    router: Router
    store: Provider | None
    store_router: Router | None
    bucket: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request leads: `path` and `raw` (percent-encoded) are what is left below the provider's mount."""

    stage: Stage
    served: Served
    path: str
    raw: str
    prefix: str
    """What stood before: `/genstudio`, empty at the root or by host name."""
    in_store: bool
    """The request is for the provider's object store; `path` is the key."""
    by_name: bool
    """The caller came by a real host name."""


class Stage:
    """One world and what the web keeps beside it: recorder, pacer, stores."""

    def __init__(
        self, emulator: Emulator, id: str, *, start: float, rate: float, seed: int, slots: int | None = None
    ) -> None:
        self.emulator = emulator
        self.slots = slots
        self.recorder = Recorder()
        self.world = World(id, seed=seed, start=start, rate=rate, real=time.monotonic(), setup=self._setup)
        self.pacer = Pacer(self.world)
        self.nonces = Nonces()
        self.held: dict[asyncio.Future[Any], dict[str, Any]] = {}
        """Answers that wait for this world: what, since when and until which moment, if that is known."""
        self.scripts = Scripts(self)
        self._stores: dict[str, Store] = {}

    def now(self) -> float:
        """Let the world catch up with real time and return its moment."""
        self.world.catch_up(time.monotonic())
        return self.world.now

    def service(self, served: Served) -> Service:
        """Return the provider's state in this world, made on first use."""
        known = served.provider.name in self.world.services
        service = self.world.service(served.provider)
        if not known:
            self.scripts.started(served.provider.name, service)
        return service

    @property
    def key(self) -> bytes:
        """The key of this world's streams of chance."""
        return world_key(self.world.seed)

    def account(self, served: Served, key: str, *, header: str = "Authorization") -> Thing:
        """Return whose key it is; raise `Refused("credentials-wrong")` for a key that is not among those configured."""
        accounts = self.emulator.accounts
        if accounts and key not in accounts:
            raise Refused("credentials-wrong", {"header.name": header})
        entry = accounts.get(key, {})
        return self.service(served).lives.owner(entry.get("id", key), document_of(entry))

    def store(self, served: Served) -> Store | None:
        """Return the provider's object store in this world; None if it has none."""
        if served.store is None:
            return None
        name = served.provider.name
        if name not in self._stores:
            secret = Secret(self._access_key(served.store, name), self._secret(name, "store"))
            options = served.provider.machine.kinds["file"].options
            any_media = options.get("upload-media") == "*/*"
            self._stores[name] = Store(
                served.store, served.bucket, secret, any_media, options.get("scheme"), options.get("public", False)
            )
        return self._stores[name]

    def reset(self) -> None:
        """Begin again: the world as it was at its start, nothing recorded."""
        self.world.reset(time.monotonic())
        self.recorder.clear()
        for held in list(self.held):
            held.cancel()
        self.scripts.again()
        self.pacer.stir()

    def _setup(self, provider: Provider) -> Setup:
        secrets = {"token": self._secret(provider.name, "token")}
        setup = self.emulator.hosting.setup(
            provider, secrets, self.recorder.problem, lambda: self.world.service(provider)
        )
        slots = setup.slots if self.slots is None else self.slots
        return replace(setup, outlook=self.scripts.outlook(setup.outlook), slots=slots)

    def _access_key(self, store: Provider, provider: str) -> str:
        """Draw the id of the key that signs links, in the form that the store's machine gives for an account."""
        account = store.machine.kinds.get("account")
        stream = Stream(world_key(self.world.seed), "secret", provider, "store-id")
        scope = Scope(at=0, call=Call(at=0, operation="", chance=stream))
        return (account.id["*"](scope) if account is not None else None) or stream.text("abcdefghijklmnop", 20)

    def _secret(self, *purpose: str) -> str:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        return Stream(world_key(self.world.seed), "secret", *purpose).text(letters, 40)


class Emulator:
    """Everything that is served by one server."""

    def __init__(self, settings: Settings) -> None:
        settings = in_setting(settings)
        self.settings = settings
        self.hosting = Hosting(settings)
        self.results = Results()
        self.accounts: dict[str, Mapping[str, Any]] = {entry["key"]: entry for entry in settings.accounts}
        self.accounts |= {key: {} for key in settings.api_keys if key not in self.accounts}
        self.signing_secrets = {key: entry["secret"] for key, entry in self.accounts.items() if "secret" in entry}
        folders = settings.folders()
        self.served: dict[str, Served] = {}
        for name, folder in folders.items():
            provider = load(folder, name=name, readings=settings.variants.get(name, {}))
            self.served[name] = self._serve(provider)
        self.only = next(iter(self.served.values())) if len(self.served) == 1 else None
        self.by_host: dict[str, tuple[Served, bool]] = {}
        for served in self.served.values():
            for host in served.provider.hosts:
                self.by_host.setdefault(host.lower(), (served, False))
            if served.store is not None:
                default = served.store.server.get("bucket", "")
                for host in served.store.hosts:
                    self.by_host.setdefault(host.replace(default, served.bucket, 1).lower(), (served, True))
        self.families = {
            name: (served.provider,) if served.store is None else (served.provider, served.store)
            for name, served in self.served.items()
        }
        self.secrets = Secrets([served.provider for served in self.served.values()])
        self.stages: dict[str, Stage] = {}
        self._opened = 0
        self.open(MAIN)

    def open_new(self, wanted: Mapping[str, Any]) -> Stage:
        """Make a world of its own, as the control API asks; what it does not say is as the scenario or server has it.

        Raises:
            UserError: *wanted* cannot be obeyed. Then there is no new world.
        """
        known = {"id": str, "seed": int, "start": int | float, "rate": int | float, "slots": int, "scenario": str}
        for name, value in wanted.items():
            if name not in known or not isinstance(value, known[name]) or isinstance(value, bool):
                raise UserError(f"a world takes {', '.join(known)}; got {name!r}: {value!r}")
        scenario = self.stages[MAIN].scripts.find(wanted["scenario"]) if "scenario" in wanted else None
        setting = Setting() if scenario is None else scenario.setting
        given: dict[str, Any] = {
            "seed": setting.seed,
            "start": setting.start,
            "rate": setting.rate,
            "slots": setting.slots,
        }
        given |= {name: wanted[name] for name in given if name in wanted}
        self._opened += 1
        stage = self.open(wanted.get("id", f"w{self._opened}"), **given)
        try:
            for one in [] if scenario is None else [scenario]:
                stage.scripts.put(one)
        except UserError:
            self.close(stage.world.id)
            raise
        return stage

    def close(self, id: str) -> None:
        """Drop a world; whoever waits for it is let go."""
        stage = self.stages.pop(id)
        stage.reset()

    def open(
        self,
        id: str,
        *,
        start: float | None = None,
        rate: float | None = None,
        seed: int | None = None,
        slots: int | None = None,
    ) -> Stage:
        """Make the world *id*, with the settings of the server where nothing else is said."""
        if id in self.stages:
            raise UserError(f"there is a world {id!r} already")
        if not id.replace("-", "").replace("_", "").isalnum():
            raise UserError(f"world {id!r}: an id has letters, digits, - and _ only")
        settings = self.settings
        stage = Stage(
            self,
            id,
            start=settings.start_moment() if start is None else start,
            rate=settings.rate if rate is None else rate,
            seed=settings.seed if seed is None else seed,
            slots=slots,
        )
        for name in settings.scenarios:
            stage.scripts.put(library.find(name))
        for error in settings.fails:
            stage.scripts.put(fail(error, times=None))
        self.stages[id] = stage
        return stage

    def place(self, host: str, path: str, raw: str) -> Place | None:
        """Find world, provider and remaining path; None where nothing is served."""
        stage, prefix = self.stages[MAIN], ""
        if path.startswith("/_mock/w/"):
            id, _, _ = path[9:].partition("/")
            found = self.stages.get(id)
            if found is None:
                return None
            stage, prefix = found, f"/_mock/w/{id}"
            path, raw = path[len(prefix) :] or "/", raw[len(prefix) :] or "/"
        named = self.by_host.get(host) or self.by_host.get(host.partition(":")[0])
        if named is not None and not prefix:
            served, in_store = named
            return Place(stage, served, path, raw, "", in_store, True)
        first = path[1:].partition("/")[0]
        chosen = self.served.get(first)
        if chosen is not None:
            mount = f"/{first}"
            prefix, path, raw = prefix + mount, path[len(mount) :] or "/", raw[len(mount) :] or "/"
        elif self.only is not None:
            chosen = self.only
        else:
            return None
        files = f"{FILES}/{chosen.bucket}" if chosen.bucket else None
        if files is not None and path.startswith(files + "/"):
            return Place(stage, chosen, path[len(files) :], raw[len(files) :], prefix, True, False)
        return Place(stage, chosen, path, raw, prefix, False, False)

    def _serve(self, provider: Provider) -> Served:
        kind = provider.machine.kinds.get("file")
        name = kind.options.get("store") if kind is not None else None
        if kind is None or name is None:
            return Served(provider, Router(provider), None, None, "")
        folder = self.settings.schemas_dir / "_stores" / name
        if not folder.is_dir():
            folder = self.settings.schemas_dir.parent / "schemas" / "_stores" / name
        store = load(folder, name=name)
        return Served(provider, Router(provider), store, Router(store), kind.options.get("bucket", provider.name))


def in_setting(settings: Settings) -> Settings:
    """Return *settings* with what the setting of a scenario says where they say nothing themselves.

    Raises:
        UserError: there is no such scenario, or it will not do.
    """
    for name in settings.scenarios:
        setting = library.find(name).setting
        variants = {**{one: dict(readings) for one, readings in setting.variants.items()}, **settings.variants}
        settings = replace(
            settings,
            variants=variants,
            seed=settings.seed if settings.seed or setting.seed is None else setting.seed,
            start=setting.start if settings.start is None else settings.start,
            slots=setting.slots if settings.slots is None else settings.slots,
            rate=settings.rate if settings.rate != 1 or setting.rate is None else setting.rate,
            accounts=settings.accounts or setting.accounts,
            workflows={**setting.workflows, **settings.workflows},
        )
    return settings


def exchange(
    stage: Stage,
    *,
    provider: str,
    operation: str | None,
    at: float,
    method: str,
    host: str,
    path: str,
    query: str,
    request_headers: Mapping[str, str],
    request_body: bytes,
    status: int,
    response_headers: list[tuple[str, str]],
    response_body: bytes,
    **more: Any,
) -> Exchange:
    """Make the record of one exchange and keep it."""
    record = Exchange(
        stage.recorder.next_number(),
        provider,
        operation,
        at,
        method,
        host,
        path,
        query,
        tuple(request_headers.items()),
        request_body,
        status,
        tuple(response_headers),
        response_body,
        **more,
    )
    stage.recorder.keep(record)
    return record
