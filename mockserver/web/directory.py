"""Who is served, for the ways in: addresses, real host names, operations, and a key that is accepted.

The handle, `mockserver run` and clients in other languages ask it instead of knowing any provider.
"""

from __future__ import annotations

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

ANY_KEY = "mock-key"
"""Where a provider's folder does not say how a key looks."""


def directory(emulator: Emulator, stage_of: Callable[[Request], Stage]) -> list[Route]:
    """Return the routes of the directory; *stage_of* finds the world that a request is about."""

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

    return [Route("/_mock/providers", providers), Route("/_mock/ports", ports, methods=["POST"])]


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
        "operations": [one.id for one in provider.operations] + [one.name for one in provider.channels],
    }


def key_of(provider: Provider, offer: Offer) -> str:
    """Return a key that *provider* accepts, "" where none is asked for; one of an account where there are accounts."""
    security = provider.documents["openapi.json"].get("security", [])
    scheme = next((provider.security_schemes[name] for one in security for name in one), None)
    if scheme is None:
        return ""
    form: Mapping[str, Any] | bool = scheme.get("x-key", True)
    examples = [*form.get("examples", ()), *form.get("enum", ())] if isinstance(form, Mapping) else []
    fits = conditions.fits(form)
    return str(next((key for key in (*offer.accounts, *examples, ANY_KEY) if fits(key)), ANY_KEY))
