"""The documentation: every block of Python, shell, JSON, YAML and TOML is run or validated; every link leads somewhere.

Blocks of a page run in order in one empty folder. A comment before a block says what is special about it:
`<!-- not run: REASON -->`, `<!-- file: NAME -->` (kept under that name for later blocks), `<!-- exit: 2 -->`.
A block `mockserver serve ...` runs until the page ends or the next such block; the port 8787 is a free one here.
Pages beside the code (rooms) are validated, not run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from mockserver.scenario import parse

ROOT = Path(__file__).resolve().parent.parent
RUN = sorted(
    [
        *ROOT.glob("docs/*.md"),
        *(ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "SECURITY.md")),
    ]
)
READ = sorted(
    path
    for folder in ("mockserver", "contracts", "schemas", "fixtures", "tests", "docs/providers")
    for path in (ROOT / folder).rglob("*.md")
    if "node_modules" not in path.parts and path.name != "SOURCES.md"
)
TRANSLATIONS = {"README.zh-CN.md": "README.md"}
LANGUAGES = ("python", "sh", "json", "yaml", "toml")
PROGRAMS = {"mockserver": "mockserver", "contracts": "contracts.cli", "python": ""}


class Block(NamedTuple):
    line: int
    language: str
    text: str
    mark: str
    """What the comment before it says, without its brackets."""


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    found = re.finditer(
        r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", text, re.M | re.S
    )
    return [
        Block(text[: one.start("text")].count("\n"), one["language"], one["text"], one["mark"] or "") for one in found
    ]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def reason_not_to_run(block: Block) -> str:
    return block.mark.partition("not run: ")[2]


def validate(block: Block) -> None:
    """Raise where a block is not what it says it is."""
    checks: dict[str, Callable[[str], object]] = {
        "python": lambda text: compile(text, "block", "exec", flags=0x2000),  # top-level await is fine in a page
        "json": documents,
        "yaml": lambda text: parse(text.encode(), "page") if "\nrules:" in f"\n{text}" else yaml.safe_load(text),
        "toml": tomllib.loads,
    }
    if block.language in checks:
        checks[block.language](block.text)


def documents(text: str) -> object:
    """Parse a JSON document, or several, one a line."""
    lines = text.splitlines()
    return [json.loads(line) for line in lines] if all(line.startswith("{") for line in lines) else json.loads(text)


class Stand:
    """An empty folder with the programs a reader has, and a server where a page starts one."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack, self._server = folder, stack, ExitStack()
        stack.callback(self._server.close)
        bin = folder / ".bin"
        bin.mkdir()
        for name, module in PROGRAMS.items():
            called = f"-c 'from {module} import main; main()'" if "." in module else f"-m {module}" if module else ""
            (bin / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {called} "$@"\n')
            (bin / name).chmod(0o755)
        # A call that is refused counts as a mistake of the page.
        (bin / "curl").write_text(f'#!/bin/sh\nexec "{shutil.which("curl")}" --fail-with-body "$@"\n')
        (bin / "curl").chmod(0o755)
        self.environ = os.environ | {
            "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "NO_PROXY": "127.0.0.1,localhost",
        }
        self._port = free_port()

    def run(self, block: Block) -> None:
        """Run one block; raise where it does not end as it should."""
        text = block.text.replace("127.0.0.1:8787", f"127.0.0.1:{self._port}")
        name = block.mark.partition("file: ")[2]
        if name:
            (self.folder / name).write_text(text, "utf-8")
        serves = re.fullmatch(r"mockserver serve[^\n]*\n", text) and "exit: " not in block.mark
        if serves:
            self._serve(text.partition("#")[0])
        elif block.language in ("sh", "python") and not name:
            command = ["sh", "-ec", text] if block.language == "sh" else [sys.executable, "-c", text]
            done = subprocess.run(
                command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=120
            )
            wanted = int(block.mark.partition("exit: ")[2] or 0)
            told = f"{text}\nexit {done.returncode}, not {wanted}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            assert done.returncode == wanted, told
            assert "Traceback" not in done.stderr, told

    def _serve(self, command: str) -> None:
        self._server.close()
        self._server.enter_context(
            serving([*command.split()[2:], "--port", str(self._port)], self.folder, self.environ)
        )


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def serving(options: list[str], folder: Path, environ: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "mockserver", "serve", *options]
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith("ready: ") for line in process.stdout), f"{command} did not start"
        yield
        process.terminate()


@pytest.mark.parametrize("page", RUN, ids=relative)
def test_the_blocks_of_a_page_do_what_it_says(page: Path, tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    require_tool("sh")
    require_tool("curl")
    with ExitStack() as stack:
        stand = Stand(tmp_path, stack)
        for block in blocks(page):
            validate(block)
            # The two commands of the first screen are the suite itself and the demo, which have tests of their own.
            if not reason_not_to_run(block) and not block.text.startswith("make demo"):
                stand.run(block)


@pytest.mark.parametrize("page", READ, ids=relative)
def test_the_blocks_beside_the_code_are_what_they_say(page: Path) -> None:
    for block in blocks(page):
        validate(block)


@pytest.mark.parametrize("page", RUN, ids=relative)
def test_what_is_not_run_says_why(page: Path) -> None:
    silent = [block.line for block in blocks(page) if "not run" in block.mark and len(reason_not_to_run(block)) < 10]

    assert not silent, f"{relative(page)}: lines {silent}: <!-- not run: REASON -->"


@pytest.mark.parametrize("page", [*RUN, *READ], ids=relative)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.S)
    links = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'src="([^"]+)"', text)]
    local = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]

    broken = [link for link in local if not (page.parent / link).exists()]

    assert not broken


@pytest.mark.parametrize("page", RUN, ids=relative)
def test_every_heading_that_a_link_names_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s#]*)#([^)\s]+)\)", page.read_text("utf-8"))
    broken = [
        f"{file}#{anchor}"
        for file, anchor in links
        if not file.startswith("http") and anchor not in anchors(page.parent / file if file else page)
    ]

    assert not broken


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(("page", "original"), TRANSLATIONS.items())
def test_a_translation_has_the_commands_of_its_original(page: str, original: str) -> None:
    def commands(name: str) -> list[str]:
        shown = [re.sub(r"\s+#.*|\"text\": \"[^\"]*\"", "", block.text) for block in blocks(ROOT / name)]
        return [text for block, text in zip(blocks(ROOT / name), shown, strict=True) if block.language == "sh"]

    assert commands(page) == commands(original)


def test_every_provider_has_its_page() -> None:
    names = {folder.parent.name for folder in (ROOT / "schemas").glob("[!_]*/openapi.json")}

    assert {page.stem for page in (ROOT / "docs" / "providers").glob("[!R]*.md")} == names


def test_the_pages_of_the_providers_are_made_from_the_folders_as_they_are() -> None:
    command = [sys.executable, "docs/pages.py", "--check"]

    told = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)

    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize(
    "file",
    [
        ".pre-commit-config.yaml",
        *(relative(file) for file in sorted([*ROOT.glob(".github/**/*.yml"), *ROOT.glob("examples/*.y*ml")])),
    ],
    ids=str,
)
def test_the_files_of_habit_and_the_examples_can_be_read(file: str) -> None:
    assert yaml.safe_load((ROOT / file).read_text("utf-8"))
