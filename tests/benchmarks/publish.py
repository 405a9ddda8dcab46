"""Writes the table of a full run into the pages that show it: `python tests/benchmarks/publish.py [RESULTS.json]`.

Each page has a place for it, between two comments; what stands there is replaced. `make bench-table` runs it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
PLACE = re.compile(r"(<!-- bench: begin[^\n]*-->\n).*?(<!-- bench: end -->)", re.S)


class Words(NamedTuple):
    """What a page's language says around the figures."""

    columns: tuple[str, ...]
    reached: str
    missed: str
    about: str
    """With places for date, machine, load and counts."""


ENGLISH = Words(
    ("goal", "what", "wanted", "figure", "verdict"),
    "reached",
    "**not reached**",
    "{date}, {cores} cores of {processor}, CPython {python}, load average {load:.1f} at the end: {reached} of {judged} "
    "goals reached.",
)
CHINESE = Words(
    ("目标", "内容", "要求", "实测", "结论"),
    "达到",
    "**未达到**",
    "{date}，{processor} 的 {cores} 个核心，CPython {python}，结束时负载 {load:.1f}："
    "{judged} 项目标中达到 {reached} 项。",
)
PAGES = {"README.md": ENGLISH, "README.zh-CN.md": CHINESE, "tests/benchmarks/README.md": ENGLISH}


def publish(told: Mapping[str, Any], root: Path = ROOT) -> None:
    """Write the results *told* (what `bench-results.json` holds) into the pages below *root*.

    Raises:
        ValueError: a page has no place for them.
    """
    for name, words in PAGES.items():
        page = root / name
        table = "\n".join(_lines(told, words))
        text, places = PLACE.subn(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", page.read_text("utf-8"))  # type: ignore[misc]  # mypy sees no callable in the lambda
        if places != 1:
            raise ValueError(f"{name} has {places} places for the table; one is needed: <!-- bench: begin --> ... end")
        page.write_text(text, "utf-8")


def _lines(told: Mapping[str, Any], words: Words) -> Iterator[str]:
    machine, results = told["machine"], told["results"]
    judged = [one["reached"] for one in results if one["reached"] is not None]
    yield words.about.format(
        date=told["at"][:10], cores=machine["cores"], processor=machine["processor"], python=machine["python"],
        load=machine["load"] or 0, reached=sum(judged), judged=len(judged),
    )  # fmt: skip
    yield ""
    yield _row(words.columns)
    yield "|---" * len(words.columns) + "|"
    verdicts = {True: words.reached, False: words.missed, None: ""}
    for one in results:
        yield _row((one["goal"], one["name"], one["wanted"], one["figure"], verdicts[one["reached"]]))


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


if __name__ == "__main__":
    publish(json.loads(Path(*sys.argv[1:] or ["bench-results.json"]).read_text("utf-8")))
