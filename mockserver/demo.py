"""The demo: a provider's main job, done as a client would do it, over HTTP and WebSocket alone.

What is called and what must come back is a *story*: `fixtures/<provider>/demo.json`, taken from the provider's
documentation. This module tells it: sends, follows, downloads, compares, and shows what happens. A step that does
not do what the story says ends the demo with `StoryBroken`.

A story may be the `main` one, has a `title`, the `headers` of every call, and `steps`, each with a `say` and one of
five things to `do`:

- `upload`: a picture of `size` as the multipart field `field` of a POST to `path`;
- `put`: a picture of `size` by PUT to the signed `link`;
- `send`: by `method` (POST unless said) to `path`, the JSON `body`, or the file `json` beside the story with members
  replaced by `change` (pointer -> value); neither for none. Answered with `status` (200 unless said);
- `watch`: the tasks `of` at once, each by its WebSocket `feed` and all by polling (`poll`), until each feed had a
  frame that fits `until`; without `feed`, by polling alone (`method`, `path`, `body`), until each answer fits the
  poll's `until`, `progress` being a pointer to 0..100 (or to 0..`whole`) where there is one;
- `download`: the `link` into `file`, which must be an image in `format` and of `size`.

Answers must fit the JSON Schema `expect`; `keep` remembers parts of them (name -> pointer) for `{name}` in later texts.
`{server}` is the address of the provider.
"""

from __future__ import annotations

import asyncio
import copy
import io
import json
import math
import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from PIL import Image, ImageDraw
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from mockserver import data
from mockserver.errors import MockServerError, UserError, nearest
from mockserver.server import running
from mockserver.settings import Settings

RATE = 20.0
"""A usual job takes 13 to 93 s; at this rate a few real seconds."""
PATIENCE = 60.0
"""Real seconds a step may take before the demo gives up."""
POLL_EVERY = 0.1
"""Real seconds between polls: two virtual seconds, as a client would."""
STORY = "demo.json"


class StoryBroken(MockServerError):
    """A step did not do what the documentation says."""


def stories() -> dict[str, Path]:
    """Return the stories that come with the package, by provider."""
    return {file.parent.name: file for file in sorted(data.fixtures().glob(f"*/{STORY}"))}


def story(provider: str) -> Path:
    """Return the story of one provider.

    Raises:
        UserError: there is none.
    """
    known = stories()
    if provider not in known:
        raise UserError(
            f"there is no demo of {provider!r}{nearest(provider, known)}; there are: {', '.join(known) or 'none'}"
        )
    return known[provider]


def main_story() -> Path | None:
    """Return the story that is told in full where none is asked for."""
    return next((file for file in stories().values() if json.loads(file.read_bytes()).get("main")), None)


def run(story: Path, *, into: Path, rate: float = RATE, console: Console | None = None) -> list[Path]:
    """Tell *story*, a file in a folder named like its provider, to the end; return the downloaded files.

    Raises:
        StoryBroken: a step did not do what the story says.
        UserError: *rate* or *into* will not do.
    """
    _prepare(into, rate)
    # One slot, so that there is a queue to watch.
    with running(Settings(providers=(story.parent.name,), port=0, rate=rate, slots=1)) as server:
        teller = _Teller(story, server.url, into, console or Console())
        asyncio.run(teller.tell())
    return teller.files


def run_together(
    stories: Mapping[str, Path], *, into: Path, rate: float = RATE, console: Console | None = None
) -> None:
    """Tell several stories at once, side by side: one server, one table of bars; *stories* by provider.

    Raises:
        StoryBroken: a step of one did not do what its story says.
        UserError: *rate* or *into* will not do.
    """
    console = console or Console()
    console.print("[bold]The same on every provider, side by side[/bold]")
    with (
        running(Settings(providers=tuple(stories), port=0, rate=rate, slots=1)) as server,
        _bars(console, wide=30) as bars,
    ):
        silent = Console(file=io.StringIO())
        tellers = []
        for name, file in stories.items():
            folder = into / name
            _prepare(folder, rate)
            url = server.url if len(stories) == 1 else f"{server.url}/{name}"
            tellers.append(_Teller(file, url, folder, silent, bars=bars, label=f"{name}: "))
        asyncio.run(_tell_all(tellers))
    count = sum(len(teller.files) for teller in tellers)
    console.print(f"Everything went as documented; {count} files are in {into.resolve()}", soft_wrap=True)


def _client(**options: Any) -> httpx.AsyncClient:
    # Proxy variables are not for this machine, whatever NO_PROXY says.
    return httpx.AsyncClient(timeout=PATIENCE, trust_env=False, **options)


def _prepare(folder: Path, rate: float) -> None:
    if not 0 < rate < math.inf:
        raise UserError(
            f"clock rate {rate!r} will not do; a demo waits in real time, so it must be above 0, such as 20"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"folder {str(folder)!r} cannot be made: {error.strerror}; name another with --out") from None


async def _tell_all(tellers: list[_Teller]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for teller in tellers:
                group.create_task(teller.tell())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None  # the others were cancelled because of it


def _bars(console: Console, *, wide: int = 16) -> Progress:
    return Progress(
        TextColumn(f"   {{task.description:<{wide}}}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[place]:<24}"),
        TimeElapsedColumn(),
        console=console,
    )


def at(document: Any, pointer: str) -> Any:
    """Return what *pointer*, a JSON Pointer, names in *document*.

    Raises:
        StoryBroken: there is nothing.
    """
    found = document
    for part in pointer.split("/")[1:]:
        try:
            found = found[int(part)] if isinstance(found, list) else found[part.replace("~1", "/").replace("~0", "~")]
        except (LookupError, TypeError, ValueError):
            raise StoryBroken(f"the answer has nothing at {pointer!r}: {_short(document)}") from None
    return found


def filled(template: Any, known: Mapping[str, Any]) -> Any:
    """Return *template* with each `{name}` in its texts replaced by what is known under that name."""
    if isinstance(template, str):
        return re.sub(r"\{([\w.-]+)\}", lambda match: str(known[match[1]]), template)
    if isinstance(template, dict):
        return {key: filled(value, known) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, known) for value in template]
    return template


def picture(width: int, height: int) -> bytes:
    """Draw a sunset over the sea as a PNG: something a person recognises in a result made from it."""
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    horizon = height * 2 // 3
    for y in range(height):
        depth = y / horizon if y < horizon else (height - y) / (height - horizon)
        sky = (int(60 + 190 * depth), int(40 + 90 * depth), int(110 + 10 * depth))
        sea = (int(20 + 110 * depth), int(40 + 50 * depth), int(90 + 20 * depth))
        draw.line([(0, y), (width, y)], fill=sky if y < horizon else sea)
    radius = height // 5
    draw.pieslice([width // 2 - radius, horizon - radius, width // 2 + radius, horizon + radius], 180, 360, "#ffe08a")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class _Teller:
    """One telling of a story: what is known so far, and the way to the server."""

    file: Path
    url: str
    into: Path
    console: Console
    bars: Progress | None = None
    """Bars shared with other stories; None for bars of its own."""
    label: str = ""
    """Stands before the names of its tasks."""
    known: dict[str, Any] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    async def tell(self) -> None:
        story = json.loads(self.file.read_bytes())
        self.known.setdefault("server", self.url)
        self.console.print(f"[bold]{story['title']}[/bold] at {self.url}")
        words = (self.upload, self.put, self.send, self.watch, self.download)
        tell = {word.__name__: word for word in words}
        async with _client(base_url=self.url, headers=story["headers"]) as self.client:
            for number, step in enumerate(story["steps"], 1):
                self.console.print(f"[cyan]{number:>2}[/cyan] {step['say']}")
                try:
                    async with asyncio.timeout(PATIENCE):
                        await tell[step["do"]](step)
                except StoryBroken as error:
                    raise StoryBroken(f"step {number} ({step['say']}): {error}") from None
                except TimeoutError:
                    raise StoryBroken(f"step {number} ({step['say']}): not done within {PATIENCE:g} s") from None
                except (httpx.HTTPError, WebSocketException, OSError) as error:
                    raise StoryBroken(f"step {number} ({step['say']}): {type(error).__name__}: {error}") from error
        self.console.print(f"Everything went as documented; the files are in {self.into.resolve()}", soft_wrap=True)

    async def upload(self, step: Mapping[str, Any]) -> None:
        content = picture(*step["size"])
        file = self.into / "uploaded.png"
        file.write_bytes(content)
        answer = await self.client.post(step["path"], files={step["field"]: (file.name, content, "image/png")})
        self.learn(step, answer)

    async def put(self, step: Mapping[str, Any]) -> None:
        content = picture(*step["size"])
        (self.into / "uploaded.png").write_bytes(content)
        # A fresh client: a signed link carries what it needs, and the service's key is nothing for the store.
        async with _client() as client:
            link = filled(step["link"], self.known)
            answer = await client.put(link, content=content, headers={"Content-Type": "image/png"})
        if not answer.is_success:
            raise StoryBroken(f"answered {answer.status_code} instead of 200: {answer.text[:200]!r}")

    async def send(self, step: Mapping[str, Any]) -> None:
        method, path = step.get("method", "POST"), filled(step["path"], self.known)
        self.learn(step, await self.client.request(method, path, **self.body(step)))

    async def watch(self, step: Mapping[str, Any]) -> None:
        with _bars(self.console) if self.bars is None else nullcontext(self.bars) as bars:
            rows = {name: bars.add_task(f"{self.label}{name}", total=100, place="") for name in step["of"]}
            try:
                async with asyncio.TaskGroup() as group:
                    if "feed" in step:
                        feeds = [group.create_task(self.follow(step["feed"], name, bars, rows[name])) for name in rows]
                        group.create_task(self.poll(step["poll"], feeds, bars, rows))
                    else:
                        for name in rows:
                            group.create_task(self.ask(step["poll"], name, bars, rows[name]))
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None  # the others were cancelled because of it

    async def follow(self, feed: Mapping[str, Any], name: str, bars: Progress, row: TaskID) -> None:
        """Show each frame of one task's feed until one fits `until`."""
        path, expected = filled([feed["path"], feed["expect"]], self.about(name))
        progress, ended = 0.0, False
        async with connect(self.url.replace("http", "ws", 1) + path, proxy=None) as socket:
            async for text in socket:
                frame = json.loads(text)
                self.fits(expected, frame, what=f"a frame of {name!r}")
                before, progress = progress, at(frame, feed["progress"])
                if progress < before:
                    raise StoryBroken(f"progress of {name!r} fell from {before} to {progress}")
                ended = Draft202012Validator(feed["until"]).is_valid(frame)
                bars.update(row, completed=progress)
                if ended:
                    break
        if not ended:
            raise StoryBroken(f"the feed of {name!r} closed before the task had ended")

    async def poll(
        self, poll: Mapping[str, Any], feeds: list[asyncio.Task[None]], bars: Progress, rows: Mapping[str, TaskID]
    ) -> None:
        """Show the queue position of each task until all feeds have ended."""
        while not all(feed.done() for feed in feeds):
            for name, row in rows.items():
                answer = await self.client.post(poll["path"], json=filled(poll["body"], self.about(name)))
                body = self.answered(poll, answer)
                position, line = at(body, poll["position"]), at(body, poll["line"])
                bars.update(row, place=f"waiting: {position} of {line}" if position else "")
            await asyncio.sleep(POLL_EVERY)

    async def ask(self, poll: Mapping[str, Any], name: str, bars: Progress, row: TaskID) -> None:
        """Ask for one task until an answer fits `until`."""
        path, json_body = filled([poll["path"], poll.get("body")], self.about(name))
        until, place, ended = Draft202012Validator(poll["until"]), "", False
        while not ended:
            answer = await self.client.request(poll.get("method", "POST"), path, json=json_body)
            body = self.answered(poll, answer)
            ended = until.is_valid(body)
            whole = poll.get("whole", 100)
            progress = 100 * at(body, poll["progress"]) / whole if "progress" in poll else 100 if ended else 0
            if "position" in poll:
                position, line = at(body, poll["position"]), at(body, poll["line"])
                place = f"waiting: {position} of {line}" if position else ""
            bars.update(row, completed=progress, place=place)
            await asyncio.sleep(0 if ended else POLL_EVERY)

    async def download(self, step: Mapping[str, Any]) -> None:
        # A fresh client: links are for everybody, and carry what they need.
        async with _client() as client:
            answer = await client.get(filled(step["link"], self.known))
        if answer.status_code != 200:
            raise StoryBroken(f"answered {answer.status_code} instead of 200: {answer.text[:200]!r}")
        try:
            image = Image.open(io.BytesIO(answer.content))
            image.load()
        except OSError:
            raise StoryBroken(f"{len(answer.content)} bytes that are no image: {answer.content[:20]!r}") from None
        if (image.format, list(image.size)) != (step["format"], step["size"]):
            raise StoryBroken(f"{image.format} of {image.size} instead of {step['format']} of {step['size']}")
        file = self.into / step["file"]
        file.write_bytes(answer.content)
        self.files.append(file)
        width, height = image.size
        self.console.print(f"   {file}: {image.format}, {width} x {height}, {len(answer.content):,} bytes")

    def body(self, step: Mapping[str, Any]) -> dict[str, Any]:
        if "body" in step:
            return {"json": filled(step["body"], self.known)}
        if "json" not in step:
            return {}
        body = copy.deepcopy(json.loads((self.file.parent / step["json"]).read_bytes()))
        for pointer, value in step.get("change", {}).items():
            parent, _, member = pointer.rpartition("/")
            at(body, parent)[member] = filled(value, self.known)
        return {"json": body}

    def learn(self, step: Mapping[str, Any], answer: httpx.Response) -> None:
        body = self.answered(step, answer)
        self.known |= {name: at(body, filled(pointer, self.known)) for name, pointer in step.get("keep", {}).items()}

    def answered(self, step: Mapping[str, Any], answer: httpx.Response) -> Any:
        status = step.get("status", 200)
        if answer.status_code != status:
            raise StoryBroken(f"answered {answer.status_code} instead of {status}: {answer.text[:200]!r}")
        try:
            body = answer.json()
        except ValueError:
            raise StoryBroken(f"answered what is no JSON: {answer.text[:200]!r}") from None
        self.fits(step["expect"], body, what="the answer")
        return body

    def fits(self, schema: Any, body: Any, *, what: str) -> None:
        error = best_match(Draft202012Validator(schema).iter_errors(body))
        if error is not None:
            pointer = "".join(f"/{part}" for part in error.absolute_path) or "/"
            raise StoryBroken(f"{what} is not as documented at {pointer}: {error.message}; it is {_short(body)}")

    def about(self, name: str) -> dict[str, Any]:
        """Return what is known of one task: `red.id` is its `id`."""
        prefix = f"{name}."
        return {key.removeprefix(prefix): value for key, value in self.known.items() if key.startswith(prefix)}


def _short(document: Any) -> str:
    text = json.dumps(document, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]}…"
