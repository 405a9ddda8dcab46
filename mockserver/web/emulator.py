"""The emulator: which providers are served, the worlds they live in, and the way from an address to both.

One lookup (`Emulator.place`) finds world, provider and path for every request and control call. Everything a request
does is in `calls.py`, what a WebSocket does in `feeds.py`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from mockserver.errors import MockServerError, Refused, UserError
from mockserver.exchange import Exchange
from mockserver.provider.model import Provider
from mockserver.provider.scope import Call, Scope
from mockserver.scenario import Scenario, Setting, fail, library
from mockserver.scenario.names import check as check_names
from mockserver.scenario.reading import make
from mockserver.settings import Settings
from mockserver.storage.objects import Results
from mockserver.storage.signing import Secret
from mockserver.web.credentials import Nonces
from mockserver.web.faults import Scripts
from mockserver.web.head import Head
from mockserver.web.links import Store
from mockserver.web.offer import Offer, Served, in_settings, with_setting
from mockserver.web.push import Pacer
from mockserver.web.recorder import Recorder
from mockserver.web.routing import Route
from mockserver.world.budget import Budget
from mockserver.world.chance import Stream, world_key
from mockserver.world.service import Service
from mockserver.world.setup import Setup
from mockserver.world.things import Thing
from mockserver.world.world import World

MAIN = "main"
"""Id of the world that is always there."""
WORLD_WORDS = ("id", "scenario", "port")
"""What may be said of a new world beside the words of a setting."""
MAX_OFFERS = 32
"""Offers that settings of worlds asked for are kept up to this number; worlds keep theirs anyway."""
MIB = 1024 * 1024
JOURNALS, TRAFFIC, UPLOADS, REQUESTS = 256 * MIB, 256 * MIB, 512 * MIB, 512 * MIB
"""Bytes that all worlds of a server may keep together, see `Budget`: some are full, or all hold a little."""
DEFAULT = Setting()


class Listener(Protocol):
    """A port of its own."""

    port: int

    def close(self) -> None:
        """Listen no longer, and close its connections."""


class Place(NamedTuple):
    """Where a request leads: a world, and what `offer.Spot` says of the address."""

    stage: Stage
    served: Served
    provider: Provider
    """Who answers: the provider, or the store that keeps its files."""
    in_store: bool
    path: str
    raw: str
    prefix: str
    by_name: bool
    route: Route | None
    parameters: Mapping[str, str]
    mount: str


class Stage:
    """One world and what the web keeps beside it: recorder, pacer, stores."""

    def __init__(
        self,
        emulator: Emulator,
        id: str,
        *,
        offer: Offer,
        start: float,
        rate: float,
        seed: int,
        slots: int | None = None,
    ) -> None:
        self.emulator = emulator
        self.offer = offer
        self.slots = slots
        self.used = 0.0
        """Real seconds of its latest use."""
        self.ports: dict[str, Listener] = {}
        """Provider -> the port of its own that it has in this world."""
        self.recorder = Recorder(budget=emulator.traffic)
        self.world = World(
            id,
            seed=seed,
            start=start,
            rate=rate,
            real=time.monotonic(),
            setup=self._setup,
            journals=emulator.journals,
        )
        self.pacer = Pacer(self.world, leaps=emulator.leaps, settled=self._settled)
        self.nonces = Nonces()
        self.busy = 0
        """How many calls are under way, held ones included."""
        self.virtual = False
        """Whether clients live by this world's clock, see `ways.py`."""
        self.feeds: dict[int, Callable[[], Exchange]] = {}
        """Push connections that are open: a number -> what crossed them so far."""
        self.held: dict[asyncio.Future[Any], dict[str, Any]] = {}
        """Answers that wait for this world: what, since when and until which moment, if that is known."""
        self.scripts = Scripts(self)
        self.clients: dict[tuple[str, str], Any] = {}
        """Channel and client -> the connection on which it is told of its tasks."""
        self._stores: dict[str, Store] = {}

    def now(self) -> float:
        """Let the world catch up with real time and return its moment."""
        self.world.catch_up(time.monotonic())
        return self.world.now

    def _settled(self) -> bool:
        """Tell whether all calls under way are held."""
        return self.busy <= len(self.held)

    def advance(self, until: float | None) -> bool:
        """Move towards the moment *until*, and no further than the next event while anybody follows the world.

        With None only to that event. Returns whether there was anywhere to go.
        """
        due = self.world.due() if self.pacer.busy else None
        goals = [goal for goal in (until, due) if goal is not None]
        if goals:
            self.world.move_to(min(goals), time.monotonic())
            self.pacer.stir()
        return bool(goals)

    def service(self, served: Served) -> Service:
        """Return the provider's state in this world, made on first use."""
        service = self.world.services.get(served.name)
        if service is None:
            service = self.world.service(served.provider)
            self.scripts.started(served.name, service)
        return service

    @property
    def key(self) -> bytes:
        """The key of this world's streams of chance."""
        return world_key(self.world.seed)

    def account(self, served: Served, key: str, *, header: str = "Authorization") -> Thing:
        """Return whose key it is; raise `Refused("credentials-wrong")` for a key that is not among those configured."""
        accounts = self.offer.accounts
        if not accounts:
            return self.service(served).lives.owner(key)
        account = accounts.get(key)
        if account is None:
            raise Refused("credentials-wrong", {"header.name": header})
        return self.service(served).lives.owner(account.id, account.document)

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

    def end(self) -> None:
        """Let go of whoever waits for it, of its ports, and of its part of what all worlds may keep."""
        self.reset()
        self.world.end()
        self.recorder.close()
        for port in self.ports.values():
            port.close()

    def _setup(self, provider: Provider) -> Setup:
        secrets = {"token": self._secret(provider.name, "token")}
        setup = self.offer.hosting.setup(provider, secrets, self.recorder.problem, lambda: self.world.service(provider))
        slots = setup.slots if self.slots is None else self.slots
        return replace(
            setup,
            outlook=self.scripts.outlook(setup.outlook),
            slots=slots,
            uploads=self.emulator.uploads,
            requests=self.emulator.requests,
        )

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
    """Everything that is served by one server.

    Args:
        leaps: whether time jumps to what a caller waits for, see `Pacer`.
        real: real seconds; says which worlds are idle.
    """

    def __init__(self, settings: Settings, *, leaps: bool = False, real: Callable[[], float] = time.monotonic) -> None:
        self.results = Results()
        self.journals, self.traffic, self.uploads = Budget(JOURNALS), Budget(TRAFFIC), Budget(UPLOADS)
        self.requests = Budget(REQUESTS)
        self.leaps = leaps
        self.listen: Callable[[str, str, int], Awaitable[Listener]] | None = None
        """Opens a port (0 for a free one) for one provider in one world; given by whoever owns the sockets."""
        self.heard: Callable[[Stage, Exchange], None] | None = None
        """Told of every exchange when it is over."""
        self._real = real
        self._looked = real()
        self._load(settings)
        self.stages: dict[str, Stage] = {}
        self._opened = 0
        self.open(MAIN)

    def _load(self, settings: Settings) -> None:
        wanted = in_settings(settings)
        offer = Offer(wanted)
        self.given, self.settings, self.offer = settings, wanted, offer
        self._offers: OrderedDict[str, Offer] = OrderedDict()

    def reload(self) -> None:
        """Load schemas, workflows and scenarios again and begin the main world anew; other worlds keep what they have.

        Raises:
            MockServerError: a file will not do. Then all stays as it was.
        """
        before = (self.given, self.settings, self.offer, self._offers)
        main = self.stages[MAIN]
        try:
            self._load(self.given)
            self.offer.check()
            del self.stages[MAIN]
            self.open(MAIN)
        except MockServerError:
            self.given, self.settings, self.offer, self._offers = before
            self.stages[MAIN] = main
            raise
        main.end()
        # The main world stays the first.
        self.stages = {MAIN: self.stages.pop(MAIN), **self.stages}

    def reload_scenarios(self, names: Sequence[str]) -> None:
        """Put the named scenarios of the settings in force again, from their files.

        Raises:
            MockServerError: a file will not do. Then all stays as it was.
        """
        scenarios = [library.find(name) for name in names]
        if in_settings(self.given) != self.settings:
            self.reload()
            return
        for scenario in scenarios:
            check_names(scenario, self.offer.families)
        for scenario in scenarios:
            self.stages[MAIN].scripts.put(scenario)

    def open_new(self, wanted: Mapping[str, Any]) -> Stage:
        """Make a world of its own, as the control API asks; what it does not say is as the scenario or server has it.

        Args:
            wanted: words of a scenario's `setting`; `id`; and `scenario`, a name or the scenario itself.
                Ports are opened afterwards, see `open_ports`.

        Raises:
            UserError: *wanted* cannot be obeyed. Then there is no new world.
        """
        own = {name: value for name, value in wanted.items() if name not in WORLD_WORDS}
        id, named = wanted.get("id"), wanted.get("scenario")
        if not isinstance(id, str | None):
            raise UserError(f"id is {id!r}; a text is needed")
        self.drop_idle()
        if len(self.stages) > self.settings.max_worlds:
            raise UserError(
                f"there are {self.settings.max_worlds} worlds already; DELETE one at /_mock/worlds/ID, wait until one "
                f"has been idle for {self.settings.world_idle:g} s, or start the server with a larger --max-worlds"
            )
        self._opened += 1
        id = f"w{self._opened}" if id is None else id
        said = make({"setting": own}, "world").setting if own else Setting()
        scenario = None
        if isinstance(named, Mapping):
            scenario = make(dict(named), id)
        elif named is not None:
            scenario = self.stages[MAIN].scripts.find(str(named))
        setting = said if scenario is None else _over(said, scenario.setting)
        check_names(Scenario(name="world", setting=setting), self.offer.families)
        stage = self.open(id, setting)
        if scenario is not None:
            try:
                stage.scripts.put(scenario)
            except UserError:
                self.close(id)
                raise
        return stage

    async def open_ports(self, stage: Stage, wanted: Any) -> None:
        """Open ports for a world's providers, each at its root; one that has a port keeps it.

        Args:
            wanted: 0 for a free one each, a number where one provider is served, or numbers by provider.

        Raises:
            UserError: they cannot be opened.
        """
        names = list(stage.offer.served)
        ports = wanted
        if type(wanted) is int and (wanted == 0 or len(names) == 1):
            ports = dict.fromkeys(names, wanted)
        if self.listen is None:
            raise UserError("ports are opened by a server; this emulator runs without one")
        if not isinstance(ports, Mapping) or any(
            name not in names or type(port) is not int or not 0 <= port <= 65535 for name, port in ports.items()
        ):
            raise UserError(
                f'port is {wanted!r}; give 0 for a free one each, or {{"{names[0]}": 0}} by provider; '
                f"served here: {', '.join(names)}"
            )
        for name, port in ports.items():
            if name not in stage.ports:
                stage.ports[name] = await self.listen(stage.world.id, name, port)

    def find(self, id: str) -> Stage | None:
        """Return a world by its id, and note that it is used; None if there is none, or it was idle for too long."""
        stage = self.stages.get(id)
        if stage is None:
            return None
        now = self._real()
        if self._idle(stage, now):
            self.close(id)
            return None
        stage.used = now
        return stage

    def drop_idle(self) -> None:
        """Drop the worlds that nobody has used for long."""
        now = self._real()
        # Making many worlds must not look at all of them each time, unless there is no room.
        if now - self._looked < self.settings.world_idle / 10 and len(self.stages) <= self.settings.max_worlds:
            return
        self._looked = now
        for id in [stage.world.id for stage in self.stages.values() if self._idle(stage, now)]:
            self.close(id)

    def close(self, id: str) -> None:
        """Drop a world; whoever waits for it is let go, and its port closed."""
        self.stages.pop(id).end()

    def open(self, id: str, setting: Setting = DEFAULT) -> Stage:
        """Make the world *id*, with the settings of the server where *setting* says nothing."""
        if id in self.stages:
            raise UserError(f"there is a world {id!r} already")
        if not re.fullmatch("[A-Za-z0-9_-]{1,64}", id):
            raise UserError(f"world {id!r}: an id has letters a to z, digits, - and _ only, 64 at most")
        settings = self.settings
        stage = Stage(
            self,
            id,
            offer=self._offer(setting),
            start=settings.start_moment() if setting.start is None else setting.start,
            rate=settings.rate if setting.rate is None else setting.rate,
            seed=settings.seed if setting.seed is None else setting.seed,
            slots=setting.slots,
        )
        stage.used = self._real()
        for name in settings.scenarios:
            stage.scripts.put(library.find(name))
        for error in settings.fails:
            stage.scripts.put(fail(error, times=None))
        self.stages[id] = stage
        return stage

    def place(self, head: Head) -> Place | None:
        """Find world, provider and remaining path; None where nothing is served."""
        known, at = head.place, head.at
        if known is not None and self.find(known.stage.world.id) is known.stage:
            return known
        world, prefix, port = MAIN if at is None else at[0], "", None if at is None else at[1]
        path, raw = head.path, head.raw
        if path.startswith("/_mock/w/"):
            world, _, _ = path[9:].partition("/")
            prefix, port = f"/_mock/w/{world}", None
            path, raw = path[len(prefix) :] or "/", raw[len(prefix) :] or "/"
        stage = self.find(world)
        spot = None if stage is None else stage.offer.spot(head.host.lower(), path, raw, prefix, port)
        head.place = None if stage is None or spot is None else Place(stage, *spot)
        head.understood.clear()
        return head.place

    def _idle(self, stage: Stage, now: float) -> bool:
        return stage.world.id != MAIN and now - stage.used > self.settings.world_idle and not stage.pacer.busy

    def _offer(self, setting: Setting) -> Offer:
        """Return the server's offer, or one changed by *setting*, made at its first use."""
        if not (setting.variants or setting.accounts or setting.workflows):
            return self.offer
        key = json.dumps([setting.variants, setting.accounts, setting.workflows], sort_keys=True)
        if key not in self._offers:
            offer = Offer(with_setting(self.settings, setting))
            offer.check()
            self._offers[key] = offer
            while len(self._offers) > MAX_OFFERS:
                self._offers.popitem(last=False)
        return self._offers[key]


def _over(said: Setting, base: Setting) -> Setting:
    """Return *base* with what is *said* instead."""
    return base._replace(**{name: value for name, value in said._asdict().items() if value not in (None, {}, ())})


def keep(stage: Stage, exchange: Exchange, of_headers: int | None = None) -> None:
    """Keep the record of an exchange that is over (see `Recorder.keep`), and tell it to those who listen."""
    stage.recorder.keep(exchange, of_headers)
    if stage.emulator.heard is not None:
        stage.emulator.heard(stage, exchange)
    stage.pacer.told()
