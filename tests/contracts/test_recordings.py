"""Recordings of every kind are judged alike, at any size in the same memory, and never passed over in silence."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.check import check
from contracts.judging import Verdict
from mockserver.errors import UserError
from tests.contracts.traffic import Line, Lines, again, judged, of, polls, rules, show, spoiled, studio, write

HOST = "cloud.infini-ai.com"
STORE = "infini-imagegen.oss-cn-beijing.aliyuncs.com"


@pytest.fixture(scope="module")
def story() -> Lines:
    return studio()


@pytest.fixture(scope="module")
def wrong(story: Lines) -> Lines:
    return spoiled(story, lambda lines: show(polls(lines, 0)[2], progress_num=99))


def as_har(lines: Lines) -> dict[str, Any]:
    return {"log": {"version": "1.2", "creator": {"name": "x"}, "pages": [], "entries": [_entry(one) for one in lines]}}


def _entry(line: Line) -> dict[str, Any]:
    request, answer = line["request"], line["response"]
    socket = bool(line["frames"])
    host = STORE if line["provider"] == "oss" else HOST
    url = f"{'wss' if socket else 'https'}://{host}{request['path']}?{request['query']}".removesuffix("?")
    encoded = {"encoding": "base64", "text": answer["base64"]} if "base64" in answer else {"text": answer["body"]}
    media = dict(answer["headers"]).get("content-type", "")
    entry: dict[str, Any] = {
        "startedDateTime": datetime.fromtimestamp(line["at"], UTC).isoformat().replace("+00:00", "Z"),
        "time": 12.5,
        "request": {
            "method": request["method"],
            "url": url,
            "headers": [{"name": ":authority", "value": HOST}, *_pairs(request["headers"])],
        },
        "response": {
            "status": answer["status"],
            "headers": _pairs(answer["headers"]),
            "content": {"size": 1, "mimeType": media, **encoded},
        },
    }
    if request["body"]:
        entry["request"]["postData"] = {"mimeType": "application/json", "text": request["body"]}
    if socket:
        entry["_webSocketMessages"] = [
            {"type": "receive" if one["sent"] else "send", "time": one["at"], "opcode": 1, "data": one["body"]}
            for one in line["frames"]
        ]
    return entry


def _pairs(headers: list[list[str]]) -> list[dict[str, str]]:
    return [{"name": name.title(), "value": value} for name, value in headers]


def as_cassette(lines: Lines) -> dict[str, Any]:
    return {"version": 1, "interactions": [_interaction(one) for one in lines if not one["frames"]]}


def _interaction(line: Line) -> dict[str, Any]:
    request, answer = line["request"], line["response"]
    host = STORE if line["provider"] == "oss" else HOST
    content = base64.b64decode(answer["base64"]) if "base64" in answer else answer["body"]
    headers = {name: [value] for name, value in answer["headers"]}
    return {
        "request": {
            "method": request["method"],
            "uri": f"https://{host}{request['path']}?{request['query']}".removesuffix("?"),
            "headers": {name: [value] for name, value in request["headers"] if name != "authorization"},
            "body": request["body"] or None,
        },
        "response": {
            "status": {"code": answer["status"], "message": "OK"},
            "headers": {**headers, "date": [formatdate(line["at"], usegmt=True)]},
            "body": {"string": content},
        },
    }


def kept(form: str, lines: Lines, folder: Path) -> Path:
    """Write *lines* as a recording of some kind."""
    if form == "ndjson":
        return write(lines, folder / "traffic.ndjson")
    path = folder / f"traffic.{form}"
    if form == "har":
        path.write_text(json.dumps(as_har(lines)), "utf-8")
    elif form == "json":
        cassette = as_cassette([one for one in lines if "base64" not in one["response"]])
        path.write_text(json.dumps(cassette), "utf-8")
    else:
        path.write_text(yaml.safe_dump(as_cassette(lines), allow_unicode=True), "utf-8")
    return path


FORMS = ["ndjson", "har", "yaml", "json"]


def errors(verdict: Verdict) -> set[str]:
    return {one.rule for one in verdict.findings if one.severity != "note"}


@pytest.mark.parametrize("form", FORMS)
def test_correct_traffic_has_no_finding_in_any_recording(form: str, story: Lines, tmp_path: Path) -> None:
    verdict = check([kept(form, story, tmp_path)], provider="genstudio")

    assert errors(verdict) == set()
    assert verdict.counts.tasks == 3


@pytest.mark.parametrize("form", FORMS)
def test_a_fault_is_found_in_any_recording(form: str, wrong: Lines, tmp_path: Path) -> None:
    verdict = check([kept(form, wrong, tmp_path)], provider="genstudio")

    assert errors(verdict) == {"progress-never-falls"}


def test_credentials_that_a_browser_leaves_out_are_only_noted(story: Lines, tmp_path: Path) -> None:
    verdict = check([kept("yaml", story, tmp_path)], provider="genstudio")

    assert {one.severity for one in verdict.findings if one.rule == "credentials-given"} == {"note"}


def test_the_provider_is_found_by_its_host(story: Lines) -> None:
    def unnamed(lines: Lines) -> None:
        for line in lines:
            line["provider"] = ""
            line["request"]["host"] = STORE if line["operation"] == "GetObject" else HOST

    assert judged(spoiled(story, unnamed)).findings == []


def test_a_stranger_in_a_recording_is_noted_and_not_passed_over(story: Lines) -> None:
    def stranger(lines: Lines) -> None:
        line = again(lines, lines[0])
        line["provider"] = ""
        line["request"].update(host="fonts.example.com", path="/a.woff")

    verdict = judged(spoiled(story, stranger))

    assert [(one.rule, one.severity) for one in verdict.findings] == [("operation-known", "note")]


def test_judging_nothing_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "empty.har"
    path.write_text('{"log": {"entries": []}}')

    with pytest.raises(UserError, match="nothing was judged"):
        check([path], provider="genstudio")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        pytest.param("a.txt", "hello", "is no recording", id="something else"),
        pytest.param("a.har", '{"log": {"entries": [{"request": ', "breaks off", id="HAR cut off"),
        pytest.param("a.ndjson", '{"number": 1, "request": {}}\n', "line 1", id="a line that is no exchange"),
        pytest.param("a.yaml", "interactions: 3\n", "no list", id="a cassette without interactions"),
        pytest.param(
            "a.yaml", "interactions:\n- !!python/object/apply:os.getcwd []\n", "YAML", id="a cassette with code"
        ),
    ],
)
def test_what_is_no_recording_is_refused_with_its_place(name: str, content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)

    with pytest.raises(UserError, match=says):
        check([path], provider="genstudio")


def test_many_processes_find_what_one_finds(wrong: Lines, tmp_path: Path) -> None:
    line = json.dumps(wrong[-1], ensure_ascii=False)
    path = write(wrong, tmp_path / "large.ndjson")
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n" * (17 * 1024 * 1024 // len(line)))

    one, many = (check([path], provider="genstudio", jobs=jobs) for jobs in (1, 2))

    assert one.totals == many.totals
    assert one.counts == many.counts


PEAK = """
import re, sys
from pathlib import Path
from contracts.check import check

if __name__ == "__main__":
    check([Path(sys.argv[1])], provider="genstudio", jobs=int(sys.argv[2]))
    # Of this program alone: what getrusage tells begins with the peak of the process that started it.
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
"""Prints the most memory that judging a file took in the process that judges, KiB."""


@pytest.mark.parametrize("form", ["ndjson", "har"])
def test_a_large_recording_takes_the_memory_of_a_small_one(form: str, story: Lines, tmp_path: Path) -> None:
    def peak(megabytes: int) -> int:
        line = of(story, "get_task_info")[0]
        padded = {
            **line,
            "response": {**line["response"], "headers": [*line["response"]["headers"], ["x", "y" * 9000]]},
        }
        folder = tmp_path / str(megabytes)
        folder.mkdir()
        path = kept(form, [padded] * (megabytes * 100), folder)
        run = subprocess.run([sys.executable, "-c", PEAK, str(path), "1"], capture_output=True, text=True, check=True)
        return int(run.stdout)

    assert peak(20) < peak(2) * 1.15


def test_rules_of_pages_that_contradict_themselves_say_so() -> None:
    from tests.contracts.traffic import page

    line: Line = {
        "number": 1, "provider": "genstudio", "operation": "prompt", "at": 0, "frames": [],
        "request": {"method": "POST", "host": "", "path": "/api/maas/comfy_task_api/prompt", "query": "",
                    "headers": [["authorization", "***"], ["content-type", "application/json"]],
                    "body": json.dumps(page("genstudio", "text-to-image.request"))},
        "response": {"status": 200, "headers": [["content-type", "application/json"]],
                     "body": json.dumps(page("genstudio", "text-to-image.answer"))},
    }  # fmt: skip

    found = judged([line])

    assert "answer-agrees-with-itself" in rules(found)
    assert any("cft-c76ujyezgep5pcal" in one.text for one in found.findings)
