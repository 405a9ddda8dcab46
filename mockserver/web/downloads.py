"""Bytes of files: uploads as they came, results drawn when first asked for, processed as a link says, cut to ranges.

Drawing and processing happen in a worker thread, so that a hundred downloads do not hold up a poll.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from mockserver.provider.notation import http_date
from mockserver.storage.objects import own_results
from mockserver.storage.recipe import Picture, command
from mockserver.web.answering import Answer
from mockserver.world import plan as plans
from mockserver.world.files import File
from mockserver.world.task import Node, Task

if TYPE_CHECKING:
    from mockserver.web.emulator import Stage


ANIMATION_FRAMES = 4


async def bytes_of(stage: Stage, file: File, process: Any) -> tuple[bytes, str]:
    """Return the bytes of *file* and their media type, after the image commands *process*.

    Raises:
        Refused: `process-refused`.
    """
    content = file.content
    own = None if file.task is None else _own(stage.emulator.settings.results_dir, file)
    if own is not None:
        content = await anyio.to_thread.run_sync(own.read_bytes)
    if content is None and file.source is not None:
        content = await anyio.to_thread.run_sync(stage.emulator.results.drawn, _stand_in(file.source))
    if content is None:
        content = await anyio.to_thread.run_sync(stage.emulator.results.drawn, recipe(file))
        if _trouble(file) == "corrupt":
            # As long as it should be, and nothing after the first third.
            third = len(content) // 3
            content = content[:third] + bytes(len(content) - third)
    kind = file.media
    if process:
        wanted = command(process)
        if wanted:
            from mockserver.storage import images

            return await anyio.to_thread.run_sync(images.process, content, wanted)
    return content, kind


def recipe(file: File) -> Any:
    """Return from what a result is drawn."""
    task = file.task
    assert task is not None, "a file is an upload or a result"
    part = 2 if _trouble(file) == "wrong-size" else 1
    size = (file.width or 512) // part, (file.height or 512) // part
    picture = picture_of(task, size=size, extension=file.extension, index=file.index)
    specs = file.planned.outputs if file.planned is not None else ()
    animated = any(one.kind == "animation" and one.extension == file.extension for one in specs)
    return replace(picture, frames=ANIMATION_FRAMES) if animated else picture


def picture_of(task: Task, *, size: tuple[int, int], extension: str, index: int = 0) -> Picture:
    """Return from what a picture of a run is drawn."""
    plan = task.plan
    assert isinstance(plan, plans.Plan)
    graph = task.graph or {}
    positive, _ = plans.prompt_texts(plan, graph)
    seeds = [plans.literal(graph, place) for place in plan.seeds]
    seed = next((int(seed) for seed in seeds if isinstance(seed, int | float)), 0)
    inputs = []
    for _, value in plans.image_inputs(plan, graph):
        found = task.runs.setup.resolve_input(task, value) if task.runs.setup.resolve_input else None
        if isinstance(found, File) and found.content is not None:
            inputs.append(found.content)
        elif found is not None:
            from mockserver.storage import images

            inputs.append(images.draw(_stand_in(value)))
    chunks = {"prompt": json.dumps(graph)}
    extra = task.extra if isinstance(task.extra, Mapping) else {}
    for name, value in (
        (extra.get("extra_pnginfo") or {}).items() if isinstance(extra.get("extra_pnginfo"), Mapping) else ()
    ):
        chunks[name] = json.dumps(value)
    width, height = size
    return Picture(
        width=width, height=height, seed=seed, text=positive, extension=extension, index=index, chunks=chunks,
        inputs=tuple(inputs),
    )  # fmt: skip


class Preview:
    """What a run shows of itself on the way. Attributes are the values `preview.*`; drawn only when looked at.

    Of a sampler it is the picture as far as it has come, of a node that sends pictures each of these.
    """

    def __init__(self, task: Task, node: Node) -> None:
        self._task, self._node = task, node
        self.media = "image/png" if node.planned.pushes else "image/jpeg"

    @functools.cached_property
    def _picture(self) -> Picture:
        return picture_of(self._task, size=self._node.planned.size, extension="png")

    @property
    def bytes(self) -> bytes:
        from mockserver.storage import images

        if self._node.planned.pushes:
            return images.draw(replace(self._picture, index=self._node.step))
        return images.unfinished(self._picture, self._node.step / max(1, self._node.steps))


def _own(folder: Path | None, file: File) -> Path | None:
    """Return the file of the user's that stands for a result: of those with its extension each in turn."""
    if folder is None or file.task is None:
        return None
    fitting = own_results(folder, file.extension)
    return fitting[(file.task.number - 1 + file.index) % len(fitting)] if fitting else None


def _trouble(file: File) -> str | None:
    return None if file.task is None else file.task.outlook.results


def _stand_in(address: str) -> Picture:
    """Return what is shown for a file that lies elsewhere, which is never fetched."""
    return Picture(width=256, height=256, seed=_number(address), text=address, extension="png")


def ranged(answer: Answer, headers: Mapping[str, str], file: File) -> Answer:
    """Add what lets clients cache and resume, and answer what they ask: 304, or part of the bytes."""
    tag = f'"{hashlib.md5(answer.body, usedforsecurity=False).hexdigest().upper()}"'
    known = {name for name, _ in answer.headers}
    for name, value in (("etag", tag), ("last-modified", http_date(file.created)), ("accept-ranges", "bytes")):
        if name not in known:
            answer.headers.append((name, value))
    unchanged = headers.get("if-none-match") == tag
    if "if-none-match" not in headers and (since := _moment(headers.get("if-modified-since"))) is not None:
        unchanged = int(file.created) <= since
    if unchanged:
        return Answer(304, [pair for pair in answer.headers if pair[0] != "content-type"], b"")
    match = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", headers.get("range", ""))
    if match is None or match.groups() == ("", ""):
        return answer
    size = len(answer.body)
    first, last = match.groups()
    if first and last and int(first) > int(last):
        return answer  # no range at all (RFC 9110, 14.1.1), so it is passed over
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= size:
        return Answer(416, [*answer.headers, ("content-range", f"bytes */{size}")], b"")
    partial = [*answer.headers, ("content-range", f"bytes {start}-{stop - 1}/{size}")]
    return Answer(206, partial, answer.body[start:stop])


def _moment(header: str | None) -> float | None:
    """Return the moment of an HTTP date; None where there is none, or it cannot be read."""
    from email.utils import parsedate_to_datetime

    try:
        return None if header is None else parsedate_to_datetime(header).timestamp()
    except ValueError:
        return None


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big")
