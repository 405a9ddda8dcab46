"""Real traffic of a real ComfyUI server is judged, and nothing is said that is not so."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from contracts import Verdict, judge
from mockserver import data


def exchanges(run: int) -> Iterator[dict[str, Any]]:
    """Yield the recording of one start of the server in our own form; uploads, kept in part only, are left out."""
    sockets: dict[str, dict[str, Any]] = {}
    lines: list[dict[str, Any]] = []
    for text in (data.fixtures() / "comfyui" / "recording.jsonl").read_text("utf-8").splitlines():
        line = json.loads(text)
        if line["run"] != run:
            continue
        if line["kind"] == "http" and not {"multipart", "raw_multipart"} & set(line["request"]):
            lines.append(_http(line))
        elif line["kind"] == "ws_open":
            opened = _http({**line, "request": {"method": "GET", "path": line["url"]}, "response": {"status": 101}})
            sockets[line["url"].rpartition("=")[2]] = opened
            lines.append(opened)
        elif line["kind"] == "ws" and line["client"] in sockets:
            sockets[line["client"]]["frames"].append(_frame(line))
    yield from lines


def _http(line: dict[str, Any]) -> dict[str, Any]:
    path, _, query = line["request"]["path"].partition("?")
    sides = {}
    for side in ("request", "response"):
        held = line[side]
        headers = {name.lower(): value for name, value in held.get("headers", {}).items()}
        headers.pop("content-length", None)
        if "json" in held:
            headers.setdefault("content-type", "application/json")
        text = json.dumps(held["json"]) if "json" in held else held.get("body", held.get("text", ""))
        sides[side] = {"headers": [list(pair) for pair in headers.items()], "body": text}
    return {
        "number": line["n"],
        "provider": "comfyui",
        "operation": None,
        "at": float(line["n"]),
        "request": {"method": line["request"]["method"], "host": "", "path": path, "query": query, **sides["request"]},
        "response": {"status": line["response"]["status"], **sides["response"]},
        "frames": [],
    }


def _frame(line: dict[str, Any]) -> dict[str, Any]:
    frame = {"at": float(line["n"]), "sent": True}
    if line["frame"] == "text":
        return {**frame, "body": json.dumps(line["message"])}
    return {**frame, "base64": base64.b64encode(bytes.fromhex(line.get("head_hex") or "")).decode()}


def judged(run: int) -> Verdict:
    return judge(exchanges(run), "comfyui")


@pytest.mark.parametrize("run", [1, 2, 3])
def test_nothing_is_found_but_what_was_refused(run: int) -> None:
    verdict = judged(run)

    assert [one for one in verdict.findings if one.severity != "note"] == []
    assert verdict.counts.assertions > 20


def test_what_was_sent_wrong_on_purpose_is_noted() -> None:
    noted = {one.call.rpartition(" -> ")[2] for one in judged(1).findings}

    assert noted == {"200", "400", "404", "405", "500"}  # 200: OPTIONS, which browsers and proxies ask on their own


def test_the_tasks_of_the_recording_are_followed() -> None:
    assert judged(1).counts.tasks > 25
