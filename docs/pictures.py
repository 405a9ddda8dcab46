"""Make the pictures of the documentation from the running program: `python docs/pictures.py`.

Needs Chromium (`--chromium PATH`) and the extra `browser`. The clock stands and the seed is fixed, so that pictures
change only when what they show does.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from mockserver.server import running
from mockserver.settings import Settings

PLACE = Path(__file__).resolve().parent / "pictures"
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
START = 1_790_000_000
WINDOW = {"width": 1240, "height": 720}


def main(chromium: str = "/usr/bin/chromium") -> None:
    PLACE.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        settings = Settings(port=0, rate=0, start=START, seed=4, scenarios=("node-fails-once",))
        with running(settings) as server:
            dashboard(browser, server.url)
        terminal(browser)
        browser.close()


def dashboard(browser: Any, url: str) -> None:
    page = browser.new_page(viewport=WINDOW)
    page.goto(f"{url}/_mock/")
    page.wait_for_selector(".card")
    keep(page.screenshot(), "start")
    play(url)
    page.goto(f"{url}/_mock/#/tasks")
    page.wait_for_selector("#tasks [role=option] >> nth=8")
    page.evaluate("document.getElementById('tasks').scrollTop = 1e6")
    page.click("#tasks [role=option].failed")
    page.wait_for_selector(".why")
    page.wait_for_timeout(400)
    keep(page.screenshot(), "failure")
    page.evaluate("document.getElementById('tasks').scrollTop = 0")
    page.click("#tasks [role=option].done:has-text('cft-') >> nth=0")
    page.wait_for_selector(".detail .pictures img")
    page.wait_for_timeout(800)
    keep(page.screenshot(), "tasks")
    page.emulate_media(color_scheme="dark")
    page.goto(f"{url}/_mock/#/exchanges/3")
    page.wait_for_selector(".detail .code")
    page.wait_for_timeout(400)
    keep(page.screenshot(), "exchanges-dark")
    page.close()


def play(url: str) -> None:
    """Let a working day pass: tasks of every provider, one of which fails, some still waiting."""
    with httpx.Client(timeout=30) as client:
        providers = client.get(f"{url}/_mock/overview").json()["providers"]
        picture(client)
        for turn in range(3):
            for provider in providers:
                for one in provider["requests"][:1]:
                    client.request(one["method"], one["url"], headers=one["headers"], json=one["body"])
                client.post(f"{url}/_mock/clock", json={"jump": 6 + turn})
        for one in [one for provider in providers for one in provider["requests"][:1]] * 2:
            client.request(one["method"], one["url"], headers=one["headers"], json=one["body"])
        client.post(f"{url}/_mock/clock", json={"jump": 9})


def picture(client: httpx.Client) -> None:
    """Keep a result as the emulator draws it."""
    with running(Settings(providers=("genstudio",), port=0, rate=0, start=START)) as server:
        (provider,) = client.get(f"{server.url}/_mock/overview").json()["providers"]
        one = provider["requests"][0]
        task = client.post(one["url"], headers=one["headers"], json=one["body"]).json()["data"]["prompt_id"]
        client.post(f"{server.url}/_mock/clock", json={"jump": 600})
        keep(client.get(f"{server.url}/_mock/files/{provider['name']}/0/{task}").content, "result")


def terminal(browser: Any) -> None:
    """Show `serve` as it looks on a terminal: a line an exchange."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "mockserver", "serve", "genstudio", "--clock", "40", "--seed", "4"]
    command += ["--scenario", "gateway-502-then-ok", "--port", "0", "--start", "2026-09-21T14:13:20Z"]
    with subprocess.Popen(command, stdout=slave, stderr=slave) as process:
        shown = ""
        while "ready: " not in shown or "\n" not in shown.partition("ready: ")[2]:
            shown += os.read(master, 65536).decode()
        url = re.search(r"ready: (http://\S+?)(?:\x1b|\s)", shown).group(1)  # type: ignore[union-attr]
        headers = {"Authorization": "Bearer sk-0123456789abcdef"}
        with httpx.Client(base_url=f"{url}/api/maas/comfy_task_api", headers=headers) as client:
            body = {"workflow_id": "wf-c73diz7kadp6ffgn", "prompt": {}}
            task = client.post("/prompt", json=body).json()["data"]["prompt_id"]
            for _ in range(6):
                client.post("/get_task_info", json={"comfy_task_ids": [task]})
                time.sleep(0.2)
            client.post("/prompt", json={"workflow_id": 5})
            client.get("/nothing")
        time.sleep(0.3)
        shown += os.read(master, 65536).decode()
        process.terminate()
    port = url.rpartition(":")[2]
    text = Text.from_ansi(
        "$ mockserver serve genstudio --clock 40 --scenario gateway-502-then-ok\n"
        + shown.replace("\r", "").replace(port, "8787")
    )
    console = Console(record=True, width=140, file=io.StringIO(), force_terminal=True)
    console.print(text, soft_wrap=True)
    styles = (
        "body{margin:0;background:#11141e;color:#dfe3f2;font:15px/1.6 'DejaVu Sans Mono',monospace;padding:22px 26px}"
    )
    html = console.export_html(
        theme=MONOKAI, inline_styles=True, code_format="<pre style='margin:0;font:inherit'>{code}</pre>"
    )
    page = browser.new_page(viewport={"width": 1240, "height": 60})
    page.set_content(f"<style>{styles}</style>{html}")
    keep(page.screenshot(full_page=True), "terminal")
    page.close()


def keep(content: bytes, name: str) -> None:
    """Write a picture of a page in few colours, where that shows no difference: they travel with the repository."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    if name == "result":
        image.resize((320, 320), Image.Resampling.LANCZOS).save(PLACE / f"{name}.png", optimize=True)
    else:
        image.quantize(200, method=Image.Quantize.MEDIANCUT).save(PLACE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
