"""What a person does with the dashboard, from first look to a failure explained, in a real browser."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from websockets.sync.client import connect

from mockserver.server import Running, running
from mockserver.settings import Settings

TASK = "#tasks [role=option]"


def visit(page: Any, name: str) -> None:
    page.click(f"#nav a:has-text('{name}')")
    page.wait_for_selector(f"h1:has-text('{name}')")


def until(page: Any, holds: str, value: Any = None) -> None:
    """Wait until a function of the page holds; the browser's own waiting needs `eval`, which its policy forbids."""
    for _ in range(200):
        if page.evaluate(holds, value):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never held: {holds}")


def submit(page: Any) -> None:
    visit(page, "Start")
    page.click("[data-provider=genstudio] button:has-text('Send it')")
    page.wait_for_selector("[data-provider=genstudio] .answer .status")


def test_a_persons_whole_story(
    page: Any, emulator: Running, shot: Callable[[str], Any], require_tool: Callable[[str], str]
) -> None:
    require_tool("curl")
    # Open, and submit by the request that can be copied.
    page.wait_for_selector("[data-provider=genstudio] .code")
    shot("1-start")
    page.click("[data-provider=genstudio] button:has-text('Copy as curl')")
    command = page.evaluate("navigator.clipboard.readText()")
    answer = json.loads(subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=30).stdout)
    task = answer["data"]["prompt_id"]

    # Watch it run and finish, the clock turned by hand.
    visit(page, "Tasks")
    page.click("button:has-text('+10 s')")
    page.wait_for_selector(f"{TASK}.running:has-text('{task}')")
    page.click(f"{TASK}:has-text('{task}')")
    page.wait_for_selector(".detail .nodes .running")
    shot("2-running")
    page.click("button:has-text('+10 min')")
    page.wait_for_selector(f"{TASK}.done:has-text('{task}')")
    page.wait_for_selector(".detail .pictures img")
    until(page, "() => document.querySelector('.detail .pictures img')?.naturalWidth === 512")
    shot("3-finished")

    # Play a scenario, and see the failure explained.
    visit(page, "Scenarios")
    page.click("[role=switch][aria-label=node-fails-once]")
    page.wait_for_selector(".rule:has-text('sampler-fails')")
    shot("4-scenario")
    submit(page)
    visit(page, "Tasks")
    page.click("button:has-text('+10 min')")
    page.click(f"{TASK}.failed")
    page.wait_for_selector(".why:has-text('worker lost')")
    assert "Failed at node 3 KSampler" in page.inner_text(".why")
    assert "sampler-fails" in page.inner_text(".why")
    shot("5-failure")

    # What crossed the wire, without the key.
    visit(page, "Exchanges")
    page.click("#exchanges [role=option] >> nth=0")
    page.wait_for_selector(".detail:has-text('Keeps the contract')")
    shot("6-exchange")
    page.click(".detail button:has-text('Copy as curl')")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "Bearer $API_KEY" in copied
    assert emulator.url in copied


def test_what_a_request_breaks_is_marked_and_explained(
    page: Any, emulator: Running, shot: Callable[[str], Any]
) -> None:
    request = urllib.request.Request(
        f"{emulator.url}/genstudio/api/maas/comfy_task_api/prompt",
        data=b'{"workflow_id": 5}',
        headers={"Authorization": "Bearer sk-axbx5xcx9xAxbZyx", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).read()

    unsigned = urllib.request.Request(request.full_url, data=b"{}", headers={"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(unsigned)

    visit(page, "Exchanges")
    page.click("#exchanges [role=option].wrong >> nth=1")
    page.wait_for_selector(".why:has-text('request-schema-required')")
    page.click("#exchanges [role=option].wrong >> nth=0")
    page.wait_for_selector(".detail:has-text('carries no key')")
    shot("7-violation")
    visit(page, "Problems")
    page.wait_for_selector(".problems li:has-text('/body/workflow_id')")
    shot("8-problems")


def test_frames_of_an_open_socket_show_as_they_come(page: Any, emulator: Running, shot: Callable[[str], Any]) -> None:
    (first, *_) = json.load(urllib.request.urlopen(f"{emulator.url}/_mock/overview"))["providers"][0]["requests"]
    request = urllib.request.Request(first["url"], json.dumps(first["body"]).encode(), first["headers"])
    token = json.load(urllib.request.urlopen(request))["data"]["prompt_token"]
    path = "genstudio/api/maas/comfy_task_ws_api/get_task_progress"

    with connect(f"{emulator.url.replace('http', 'ws', 1)}/{path}?authorization={token}"):
        visit(page, "Exchanges")
        page.click("a.line:has-text('progress')")
        page.wait_for_selector(".frames li")
        page.click("button:has-text('+10 s')")
        page.wait_for_selector(".frames li >> nth=4")
        page.click(".frames summary >> nth=1")
        before = page.locator(".frames li").count()
        page.click("button:has-text('+10 s')")
        until(page, "before => document.querySelectorAll('.frames li').length > before", before)
        assert page.locator(".frames details[open]").count() == 1, "what was opened stays open as frames come"
        shot("12-frames")
        shown = page.inner_text(".detail")
    page.wait_for_selector("a.line", state="detached")

    assert token not in shown
    assert "***" in shown


def test_the_pages_can_be_used_by_keyboard_alone(page: Any) -> None:
    submit(page)
    submit(page)

    page.keyboard.press("2")
    page.wait_for_selector(f"{TASK} >> nth=1")
    page.focus("#tasks")
    page.keyboard.press("End")
    page.wait_for_selector(".detail h2")
    oldest = page.inner_text(".detail h2")
    page.keyboard.press("ArrowUp")
    until(page, "old => document.querySelector('.detail h2')?.innerText !== old", oldest)
    page.keyboard.press("Escape")
    page.wait_for_selector(".detail", state="hidden")
    before = page.inner_text("#moment")
    page.keyboard.press("j")
    until(page, "old => document.getElementById('moment').textContent !== old", before)
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")


def test_a_page_says_that_its_server_or_its_world_is_gone(page: Any, emulator: Running) -> None:
    page.request.post(f"{emulator.url}/_mock/worlds", data={"id": "brief"})
    page.goto(f"{emulator.url}/_mock/?world=brief")
    page.wait_for_selector(".live.on")
    page.request.delete(f"{emulator.url}/_mock/worlds/brief")
    page.wait_for_selector(".lost:has-text('The world brief is gone')")

    with running(Settings(providers=("genstudio",), port=0, rate=0)) as other:
        beside = page.context.new_page()
        beside.goto(f"{other.url}/_mock/")
        beside.wait_for_selector(".live.on")
    beside.wait_for_selector(".lost:has-text('No connection; trying again')")


def test_a_variant_and_an_operation_can_be_read(page: Any, shot: Callable[[str], Any]) -> None:
    visit(page, "Variants")
    page.wait_for_selector(".question .pill:has-text('in force')")
    assert "docs.infini-ai.com" in page.get_attribute(".question abbr >> nth=0", "title")
    shot("9-variants")
    question = page.locator(".question >> nth=0")
    reading = question.locator("li:not(.now) strong >> nth=0").inner_text()
    question.locator("button:has-text('Try it') >> nth=0").click()
    page.wait_for_url("**/?world=*#/variants/genstudio")
    page.wait_for_selector(f".question >> nth=0 >> li.now:has-text('{reading}')")
    visit(page, "API")
    page.click(".operation >> nth=1")
    page.wait_for_selector(".operation[open] .schema code:has-text('comfy_task_ids')")
    shot("10-api")


def test_a_world_of_ones_own_has_its_own_clock(page: Any) -> None:
    page.select_option("#tools select", "+")
    page.fill("dialog input[name=id]", "mine")
    page.fill("dialog input[name=rate]", "0")
    page.click("dialog button.primary")
    page.wait_for_url("**/?world=mine")
    page.wait_for_selector(".live.on")
    page.wait_for_selector("dd:has-text('/_mock/w/mine/genstudio')")
    submit(page)
    visit(page, "Tasks")
    page.wait_for_selector(TASK)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1360, 390])
def test_every_page_is_accessible(
    page: Any, emulator: Running, axe: Any, shot: Callable[[str], Any], scheme: str, width: int
) -> None:
    page.request.put(f"{emulator.url}/_mock/scenarios/node-fails-once")
    submit(page)
    page.request.post(f"{emulator.url}/_mock/clock", data={"jump": 600})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 800})

    found = {}
    for name in ("Start", "Tasks", "Exchanges", "Scenarios", "Problems", "Variants", "API"):
        visit(page, name)
        page.wait_for_timeout(150)
        shot(f"{scheme}-{width}-{name.lower()}")
        unfold(page, name)
        violations = axe.run(page).response["violations"]
        found[name] = [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in violations]

    assert not {name: told for name, told in found.items() if told}
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def unfold(page: Any, name: str) -> None:
    """Open one thing of a page wholly, with all its parts."""
    if name in ("Tasks", "Exchanges"):
        page.click(f"#{name.lower()} [role=option] >> nth=0")
        page.wait_for_selector(".detail h2")
    page.evaluate("for (const one of document.querySelectorAll('#main details')) one.open = true")
    page.wait_for_timeout(100)


def test_ten_thousand_tasks_stay_smooth(page: Any, shot: Callable[[str], Any]) -> None:
    # Rows as the feed sends them, given to the page's own store.
    page.evaluate(
        """async () => {
          const { state, changed } = await import('/_mock/ui/store.js');
          const phases = ['queued', 'running', 'done', 'failed', 'ended'];
          for (let n = 0; n < 10000; n += 1) {
            const task = { provider: 'genstudio', id: `cft-${n}`, key: `genstudio/cft-${n}`, number: n,
              state: phases[n % 5], phase: phases[n % 5], created: 1790000000 + n,
              started: n % 5 ? 1790000010 + n : null,
              finished: n % 5 > 1 ? 1790000050 + n : null, progress: 0.5, position: 1, duration: 40, plan: 0,
              failure: null };
            state.tasks.set(task.key, task);
          }
          changed();
        }"""
    )
    visit(page, "Tasks")
    page.wait_for_selector(f"{TASK} >> nth=5")

    assert page.locator(TASK).count() < 80
    slowest = page.evaluate(
        """async () => {
          const list = document.getElementById('tasks');
          const { changed } = await import('/_mock/ui/store.js');
          const times = [];
          for (let turn = 0; turn < 40; turn += 1) {
            list.scrollTop += 2500;
            changed();
            const began = performance.now();
            await new Promise(requestAnimationFrame);
            await new Promise(requestAnimationFrame);
            times.push(performance.now() - began);
          }
          return times.sort((a, b) => a - b)[20];
        }"""
    )
    shot("11-ten-thousand")
    # Two frames at 60 a second are 33 ms; a shared machine without a graphics card gets more.
    assert slowest < 250
