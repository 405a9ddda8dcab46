"""What the ways in ask of the control API: who is served and where, ports, and how clients live by the world's clock.

The handle, `mockserver run` and clients in other languages ask it instead of knowing any provider.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mockserver.errors import UserError
from mockserver.provider import conditions
from mockserver.provider.model import Provider
from mockserver.web.emulator import MAIN, Emulator, Stage
from mockserver.web.offer import Offer, Served

LET_GO = 20
"""Turns of the event loop in which a connection or a call that has arrived with the question gets under way."""
SHORT = 0.0005
"""Real seconds between two looks whether calls are answered."""
PATIENCE = 1.0
"""Real seconds after which a call under way is taken to wait for its client, who sends or reads slowly."""
ANY_KEY = "mock-key"
"""Where a provider's folder does not say how a key looks."""


def ways(emulator: Emulator, stage_of: Callable[[Request], Stage]) -> list[Route]:
    """Return the routes; *stage_of* finds the world that a request is about."""

    async def providers(request: Request) -> Response:
        """The providers: addresses in this world, real host names, operations, and a key that is accepted."""
        stage = stage_of(request)
        return JSONResponse({"providers": [_about(request, stage, served) for served in stage.offer.served.values()]})

    async def ports(request: Request) -> Response:
        """Open a port of its own for providers of this world, by name: `{"NAME": 0}`; 0 for a free one."""
        stage = stage_of(request)
        wanted = orjson.loads(await request.body() or b"{}")
        if not isinstance(wanted, dict):
            raise UserError(f'ports takes {{"NAME": 0}}, a port by provider; got {wanted!r}')
        await emulator.open_ports(stage, {name: port for name, port in wanted.items() if name not in stage.ports})
        return JSONResponse({"ports": {name: listener.port for name, listener in stage.ports.items()}})

    async def idle(request: Request) -> Response:
        """The clock, once no call is under way but held ones."""
        stage = stage_of(request)
        for _ in range(LET_GO):
            await asyncio.sleep(0)
        patience = time.monotonic() + PATIENCE
        while stage.busy > len(stage.held) and time.monotonic() < patience:
            await asyncio.sleep(SHORT)
        return JSONResponse(_clock(stage))

    async def virtual(request: Request) -> Response:
        """Whether clients live by the world's clock, and sign by it: `{"on": true}`. Then it is they who move it."""
        stage = stage_of(request)
        wanted = orjson.loads(await request.body() or b"{}")
        if not isinstance(wanted, dict) or set(wanted) != {"on"} or not isinstance(wanted["on"], bool):
            raise UserError(f'virtual takes {{"on": true}} or {{"on": false}}; got {wanted!r}')
        stage.virtual = wanted["on"]
        return JSONResponse(_clock(stage))

    async def advance(request: Request) -> Response:
        """Move towards a moment, `{"until": MOMENT}`, and no further than the next event while anybody follows it.

        With `{"until": null}` only to that event; `moved` tells whether there was anywhere to go.
        """
        stage = stage_of(request)
        wanted = orjson.loads(await request.body() or b"{}")
        until = wanted.get("until") if isinstance(wanted, dict) else wanted
        if not isinstance(wanted, dict) or set(wanted) != {"until"} or not isinstance(until, int | float | None):
            raise UserError(f'advance takes {{"until": MOMENT}}, Unix seconds or null; got {wanted!r}')
        moved = stage.advance(until)
        return JSONResponse({**_clock(stage), "moved": moved})

    return [
        Route("/_mock/providers", providers),
        Route("/_mock/ports", ports, methods=["POST"]),
        Route("/_mock/idle", idle),
        Route("/_mock/virtual", virtual, methods=["POST"]),
        Route("/_mock/advance", advance, methods=["POST"]),
    ]


def _clock(stage: Stage) -> dict[str, Any]:
    return {"now": stage.world.now, "rate": stage.world.clock.rate, "next": stage.world.due()}


def _about(request: Request, stage: Stage, served: Served) -> dict[str, Any]:
    provider, offer = served.provider, stage.offer
    base = f"{request.url.scheme}://{request.headers.get('host', '')}"
    alone = stage.world.id == MAIN and offer.only is not None
    within = "" if stage.world.id == MAIN else f"/_mock/w/{stage.world.id}"
    in_store = [host for host, (owner, store) in offer.by_host.items() if store and owner is served]
    return {
        "name": provider.name,
        "title": provider.title,
        "url": base if alone else f"{base}{within}/{provider.name}",
        "api_key": key_of(provider, offer),
        "hosts": list(provider.hosts),
        "store_hosts": in_store,
        "readings": dict(provider.readings),
        "operations": [one.id for one in provider.operations] + [one.name for one in provider.channels],
    }


def key_of(provider: Provider, offer: Offer) -> str:
    """Return a key that *provider* accepts, "" where none is asked for; one of an account where there are accounts."""
    security = provider.documents["openapi.json"].get("security", [])
    scheme = next((provider.security_schemes[name] for one in security for name in one), None)
    if scheme is None:
        return ""
    form: Mapping[str, Any] = scheme.get("x-key", {})
    examples = [*form.get("examples", ()), *form.get("enum", ())]
    fits = conditions.fits(form)
    return str(next((key for key in (*offer.accounts, *examples, ANY_KEY) if fits(key)), ANY_KEY))
