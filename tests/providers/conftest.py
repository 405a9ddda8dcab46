"""Servers that tests of several files start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from mockserver.server import running
from mockserver.settings import Settings
from tests.providers.comfyui_server import START, Serve, Server


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server with other settings; it ends with the test."""
    with ExitStack() as stack:

        def start(**settings: Any) -> Server:
            readings = {"comfyui": settings.pop("readings", {})}
            chosen = {
                "providers": ("comfyui",),
                "port": 0,
                "rate": 0.0,
                "start": START,
                "variants": readings,
                **settings,
            }
            return Server(stack.enter_context(running(Settings(**chosen))).url)

        yield start


@pytest.fixture(scope="session")
def one_comfyui() -> Iterator[Server]:
    with running(Settings(providers=("comfyui",), port=0, rate=0.0, start=START)) as started:
        yield Server(started.url)


@pytest.fixture
def server(one_comfyui: Server) -> Server:
    """The default reading, in a world that has just begun, with a client that nobody has met."""
    one_comfyui.call("/_mock/reset", {})
    return Server(one_comfyui.url)
