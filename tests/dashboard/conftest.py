"""A real browser, headless: Debian's Chromium, driven by Playwright. Screenshots are kept as artefacts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mockserver.server import Running, running
from mockserver.settings import Settings

OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START = 1_790_000_000


@pytest.fixture(scope="module")
def browser(require_tool: Callable[[str], str], require_package: Callable[..., Any]) -> Iterator[Any]:
    # Playwright keeps an event loop running in this thread until it ends: no longer than the module that needs it.
    executable = require_tool("chromium")
    with require_package("playwright.sync_api", extra="browser").sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=OPTIONS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def axe(require_package: Callable[..., Any]) -> Any:
    """Checks contrast, labels, roles and order of the page as it is."""
    return require_package("axe_playwright_python.sync_playwright", extra="browser").Axe()


@pytest.fixture
def emulator() -> Iterator[Running]:
    """One provider, its clock turned by hand."""
    with running(Settings(providers=("genstudio",), port=0, rate=0, start=START)) as started:
        yield started


@pytest.fixture
def page(browser: Any, emulator: Running) -> Iterator[Any]:
    """The dashboard; the test fails if it asked another host for anything, or wrote an error to its console."""
    context = browser.new_context(viewport={"width": 1360, "height": 860}, permissions=["clipboard-read"])
    opened = context.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
    opened.goto(f"{emulator.url}/_mock/")
    opened.wait_for_selector(".live.on")
    yield opened
    context.close()
    assert not wrong
    assert not [url for url in asked if not url.startswith((emulator.url, emulator.url.replace("http", "ws", 1)))]


@pytest.fixture
def shot(page: Any) -> Callable[[str], Path]:
    """Keeps a picture of the page under its name; the folder is DASHBOARD_SHOTS, or build/dashboard."""
    folder = Path(os.environ.get("DASHBOARD_SHOTS", "build/dashboard"))
    folder.mkdir(parents=True, exist_ok=True)

    def take(name: str) -> Path:
        path = folder / f"{name}.png"
        page.screenshot(path=path)
        return path

    return take
