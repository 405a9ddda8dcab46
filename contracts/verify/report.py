"""The shortest way to a breach, for people: as curl lines, and as a file for pytest."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from contracts.promise import Promise
from contracts.verify.drafts import Call
from contracts.verify.target import KEY, Sent, credentials
from contracts.verify.walking import Verified
from mockserver.provider.notation import Unreadable, open_token


def report(result: Verified, url: str, promise: Promise) -> str:
    """Return what was found, and the way to it. The key is named, never shown."""
    told = "\n".join(f"{one.severity}: {one.rule}: {one.text}" for one in result.verdict.findings)
    headers = credentials(promise, f"${KEY}")
    lines = [_curl(step, url.rstrip("/"), headers) for step in result.shortest]
    return "\n".join([told, "", *lines, "", pytest_file(result, url, promise)])


def pytest_file(result: Verified, url: str, promise: Promise) -> str:
    """Return a file for pytest: the same steps, judged. Later calls use what earlier ones are told."""
    names: list[tuple[str, str]] = []
    lines = []
    for place, step in enumerate(result.shortest, 1):
        if isinstance(step.what, float):
            lines.append(f"target.wait({step.what:g})")
        elif isinstance(step.what, str):
            lines.append(f"target.follow({_python(step.what, names)})")
        else:
            lines.append(f"answer{place} = target.send({_python(step.what, names)})")
            names.extend((text, f"answer{place}{path}") for text, path in _places(step.answer, ""))
    found = result.verdict.findings[0] if result.verdict.findings else None
    problem = f"{found.rule}: {found.text}" if found is not None else ""
    sends = "\n        ".join(lines)
    return (
        f'"""{promise.name}: {_plain(problem)}"""\n\n'
        f"import os\n\nfrom contracts.verify import Call, opened\n\nURL = {url!r}\n\n\n"
        f"def test_the_contract_is_kept():\n"
        f'    with opened({promise.name!r}, URL, key=os.environ["{KEY}"]) as target:\n'
        f"        {sends}\n"
        f"        assert target.judged().findings == []\n"
    )


def _curl(step: Sent, url: str, headers: Mapping[str, Mapping[str, str]]) -> str:
    what = step.what
    if isinstance(what, float):
        return f"sleep {what:g}  # or turn the clock: POST /_mock/clock {json.dumps({'jump': what})}"
    if isinstance(what, str):
        return f"websocat {shlex.quote(re.sub('^http', 'ws', url) + _bare(what))}  # until it ends"
    parts = ["curl", "-i", "-X", what.method, shlex.quote(what.path if "://" in what.path else url + what.path)]
    if not what.bare and "://" not in what.path:
        parts.extend(f'-H "{name}: {value}"' for name, value in headers.get(what.operation, headers[""]).items())
    parts.extend(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in what.headers.items())
    for name, value in (what.form or {}).items():
        parts.append(f"-F {name}=@verify.png" if isinstance(value, bytes) else f"-F {shlex.quote(f'{name}={value}')}")
    if what.raw is not None:
        parts.append("--data-binary @verify.png")
    if what.body is not None:
        parts.append(f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(what.body, ensure_ascii=False))}")
    return " ".join(parts)


def _bare(path: str) -> str:
    """Return path and query without tokens: whoever reads along could use them."""
    asked, _, query = path.partition("?")
    pairs = [(name, "TOKEN-OF-THE-ANSWER" if _is_token(value) else value) for name, value in parse_qsl(query)]
    return f"{asked}?{urlencode(pairs)}"


def _is_token(text: str) -> bool:
    try:
        open_token(text)
    except Unreadable:
        return False
    return True


def _python(what: Call | str, names: Sequence[tuple[str, str]]) -> str:
    """Return what is sent as Python; a text that an earlier answer told stands as a reference to that."""
    if isinstance(what, str):
        return _text(what, names)
    parts = [repr(what.operation), repr(what.method), _text(what.path, names)]
    parts.extend(
        f"{name}={_value(value, names)}"
        for name in ("body", "form", "raw", "bare", "headers")
        if (value := getattr(what, name)) or (name == "body" and value is not None)
    )
    return f"Call({', '.join(parts)})"


def _value(value: Any, names: Sequence[tuple[str, str]]) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_value(one, names)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one, names) for one in value) + "]"
    return _text(value, names) if isinstance(value, str) else repr(value)


def _text(value: str, names: Sequence[tuple[str, str]]) -> str:
    for text, place in names:
        if value == text:
            return place
        if text in value:
            before, _, after = value.partition(text)
            return f"{before!r} + str({place}) + {after!r}"
    return repr(value)


def _places(answer: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of an answer that look like names of something, and where they stand."""
    if isinstance(answer, dict | list):
        for key, one in answer.items() if isinstance(answer, dict) else enumerate(answer):
            yield from _places(one, f"{path}[{key!r}]")
    elif isinstance(answer, str) and len(answer) >= 8:
        yield answer, path


def _plain(text: str) -> str:
    return text.replace("\\", "/").replace('"', "'")[:300]
