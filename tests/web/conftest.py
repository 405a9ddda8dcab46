"""Servers for the tests of the web, each with a world whose clock is turned by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from mockserver.server import running
from mockserver.settings import Settings
from tests.web.api import KEY, Api, Serve


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server with other settings; it ends with the test."""
    with ExitStack() as stack:

        def start(*, key: str = KEY, **settings: Any) -> Api:
            return stack.enter_context(_served(key, **settings))

        yield start


@pytest.fixture
def api(serve: Serve) -> Api:
    return serve()


@contextmanager
def _served(key: str, **settings: Any) -> Iterator[Api]:
    chosen = {"providers": ("genstudio",), "port": 0, "rate": 0.0, "start": 1_790_000_000, **settings}
    with running(Settings(**chosen)) as server:
        api = Api(server.url, key)
        yield api
        api.close()
