"""Make docs/providers from the providers' folders: `python docs/pages.py`; `--check` says whether they are fresh."""

from __future__ import annotations

import sys
from pathlib import Path

from mockserver import data
from mockserver.portrait import portrait
from mockserver.provider import load
from mockserver.provider.model import Provider

PLACE = Path(__file__).resolve().parent / "providers"
NOTE = "<!-- made from schemas/{name} by docs/pages.py -->\n"


def pages() -> dict[str, str]:
    """Return the pages by file name."""
    loaded = {name: load(folder, name=name) for name, folder in data.providers(data.schemas()).items()}
    found = {f"{name}.md": NOTE.format(name=name) + linked(portrait(one), name) for name, one in loaded.items()}
    return found | {"README.md": index(loaded)}


def linked(page: str, name: str) -> str:
    """Let a page lead to what its keys of sources (`S1`, ...) stand for."""
    link = f"[SOURCES.md](../../schemas/{name}/SOURCES.md)"
    return page.replace("`SOURCES.md`", "SOURCES.md").replace("SOURCES.md", link)


def index(loaded: dict[str, Provider]) -> str:
    rows = [
        f"| [{name}]({name}.md) | {one.title} | {', '.join(one.hosts) or 'no host of its own'} | "
        f"{len(one.operations)} | {len(one.channels)} | {len(one.variants)} |"
        for name, one in loaded.items()
    ]
    return "\n".join(
        [
            NOTE.format(name="*"),
            "# Providers",
            "",
            "What is emulated, what of it is documented or assumed, and the open questions with their readings.",
            "",
            "| name | service | stands for | operations | push channels | variants |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "`mockserver providers show NAME` prints the same; the dashboard has it as pages.",
            "",
        ]
    )


def main() -> int:
    made = pages()
    stale = [
        name for name, text in made.items()
        if not (PLACE / name).is_file() or (PLACE / name).read_text("utf-8") != text
    ]  # fmt: skip
    if "--check" in sys.argv:
        print(f"stale: {', '.join(stale)}; run python docs/pages.py" if stale else "up to date")  # noqa: T201
        return int(bool(stale))
    PLACE.mkdir(exist_ok=True)
    for name in stale:
        (PLACE / name).write_text(made[name], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
