"""A provider told to a person: what it does, how its things live, how it refuses, what is unknown, whence it is known.

Markdown, made from the loaded folder alone; the command line prints it, the documentation keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mockserver.first_requests import as_curl, first_requests
from mockserver.provider.model import Kind, Provider, Refusal

HOME = "127.0.0.1:8787"


def portrait(provider: Provider) -> str:
    """Return the page of one provider."""
    info = provider.documents["openapi.json"]["info"]
    parts = [
        f"# {provider.name}: {provider.title}",
        " ".join(text for text in (info.get("summary"), info.get("description")) if text),
        f"Version {provider.version}. Real hosts: {', '.join(provider.hosts)}.",
        "## A first request",
        *_first(provider),
        "## Operations",
        *_operations(provider),
        "## States",
        *_machines(provider),
        "## Errors",
        *_errors(provider),
        "## What is unknown",
        *_variants(provider),
        "## Where it is known from",
        *_sources(provider),
    ]
    return "\n".join(_spaced(parts)).strip() + "\n"


def _spaced(parts: Iterable[str]) -> Iterator[str]:
    """Yield lines with an empty one between paragraphs; rows of tables and lists stay together."""
    before = ""
    for part in parts:
        if not (_is_row(part) and _is_row(before)):
            yield ""
        if part:
            yield part
        before = part


def _is_row(line: str) -> bool:
    return line.startswith(("|", " ", "-"))


def _first(provider: Provider) -> Iterator[str]:
    # One that stands on this machine in reality is served at its own port.
    home = next((host for host in provider.hosts if host.startswith(("127.0.0.1:", "localhost:"))), HOME)
    url = f"http://{home}"
    yield f"`mockserver serve {provider.name}` stands at <{url}>; where several are served, at `/{provider.name}`."
    for scheme in provider.security_schemes.values():
        http = scheme["type"] == "http"
        sent = f"Authorization: {scheme['scheme'].title()} KEY" if http else f"{scheme['name']}: KEY"
        form = {name: value for name, value in dict(scheme.get("x-key") or {}).items() if name in ("pattern", "enum")}
        wanted = "; ".join(f"{name} `{_plain(value)}`" for name, value in form.items())
        yield f"- `{sent}`: {scheme.get('description', 'a key')}{f' Its form: {wanted}.' if wanted else ''}"
    requests = sorted(first_requests(provider), key=lambda one: len(str(one.body)))
    if requests:
        yield f"```sh\n{as_curl(requests[0], url)}\n```"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _operations(provider: Provider) -> Iterator[str]:
    yield "| call | does | answers |"
    yield "|---|---|---|"
    paths = provider.documents["openapi.json"]["paths"]
    for operation in provider.operations:
        item = paths[operation.path][operation.method.lower()]
        yield _row(
            f"`{operation.method} {operation.path}`",
            item.get("summary", operation.verb.name),
            ", ".join(item["responses"]),
        )
    for channel in provider.channels:
        document = provider.documents["asyncapi.json"]["channels"][channel.name]
        yield _row(
            f"`WS {channel.path}`", document.get("summary", "pushes"), ", ".join(one.name for one in channel.messages)
        )


def _machines(provider: Provider) -> Iterator[str]:
    yield "A star marks where a thing begins, a bar where it ends; on the arrow stands what moves it."
    for kind in provider.machine.kinds.values():
        if kind.states:
            yield "\n".join([f"```text\n{kind.name}", *(f"  {line}" for line in diagram(kind)), "```"])


def diagram(kind: Kind) -> Iterator[str]:
    """Yield the states of a kind as lines `queued --slot--> running`; final ones end in a bar."""
    for state in kind.states.values():
        steps = [(trigger, step.target) for trigger, step in state.on.items()]
        steps += [(f"after {delay}", target) for delay, target in state.after.items()]
        mark = "* " if state.name == kind.initial else "  "
        if not steps:
            yield f"{mark}{state.name} |"
        for trigger, target in steps:
            yield f"{mark}{state.name} --{trigger}--> {target}"


def _errors(provider: Provider) -> Iterator[str]:
    document = provider.documents["errors.json"]
    for section, title in (("refusals", "refuses a call"), ("failures", "ends a task")):
        entries: Mapping[str, Any] = document.get(section, {})
        if not entries:
            continue
        yield f"| {title} | when | status | code | text | source |"
        yield "|---|---|---|---|---|---|"
        for name, body in entries.items():
            yield _error(provider.errors[name], body, section)
        yield ""


def _error(entry: Refusal, body: Mapping[str, Any], section: str) -> str:
    when = "by name only" if entry.planned else ", ".join(entry.conditions)
    status = "" if section == "failures" else f"close {entry.close}" if entry.close else str(entry.status)
    return _row(f"`{entry.name}`", when, status, body.get("code", ""), _short(body.get("message", "")), _source(body))


def _variants(provider: Provider) -> Iterator[str]:
    if not provider.variants:
        yield "- nothing that affects the wire"
    for variant in provider.variants.values():
        yield f"- **{variant.name}**: {variant.asks}"
        for reading in variant.readings.values():
            default = " (default)" if reading.name == variant.default else ""
            yield f"    - `{reading.name}`{default}: {reading.why}"


def _sources(provider: Provider) -> Iterator[str]:
    for operation in provider.operations:
        yield f"- `{operation.id}`: {_source({'x-source': operation.source})}"
    yield "- each other fact: `x-source` beside it in the folder; the list of sources is its `SOURCES.md`"


def _source(body: Mapping[str, Any]) -> str:
    return "; ".join(f"{mark}: {text}" for mark, text in body.get("x-source", {}).items())


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."
