"""The provider's page can be followed with curl, line by line."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from mockserver import data
from mockserver.server import Running

SCRIPT = Path(__file__).with_name("seed_story.sh")


def kind_of(file: Path) -> tuple[str | None, tuple[int, int]]:
    with Image.open(file) as picture:
        return picture.format, picture.size


def test_the_whole_story_of_the_page_runs_with_curl(
    server: Running, require_tool: Callable[[str], str], tmp_path: Path
) -> None:
    require_tool("curl")
    base = server.provider_urls()["genstudio"]
    command = [require_tool("bash"), str(SCRIPT), base, str(data.fixtures() / "genstudio"), str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"image_id te-\w{16}/ac-\w{16}/sui-[a-z2-7]{16}\.png\n", done.stdout)
    assert {file.name: kind_of(file) for file in tmp_path.iterdir()} == {
        "spiderman-in-red-suit.png": ("PNG", (512, 512)),
        "spiderwoman-in-black-suit.png": ("PNG", (512, 512)),
        "spiderwoman-in-black-suit.jpg": ("JPEG", (512, 512)),
    }
