"""A server for the tests of the ways in, and fresh worlds of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mockserver import MockServer


@pytest.fixture(scope="session")
def emulator() -> Iterator[MockServer]:
    with MockServer("genstudio", "aliyun", start="2026-09-21T12:00:00Z") as server:
        yield server


@pytest.fixture
def studio(emulator: MockServer) -> Iterator[MockServer]:
    """GenStudio in a world of its own, whose clock stands."""
    with emulator.world("genstudio") as world:
        yield world
