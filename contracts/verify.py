"""Verifying a server: the documented examples, spoiled requests, and random walks along the links between operations.

All that is sent comes from the provider's folder; what comes back is judged like any recording, the client's conduct
apart. Tasks may cost money: no more are submitted than allowed.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from contracts.exchanges import Examiner
from contracts.judging import Judge, Verdict
from contracts.model import Finding
from contracts.promise import Promise
from contracts.rules import find
from mockserver.errors import UserError
from mockserver.exchange import Exchange
from mockserver.provider.documents import Located, walk

Json = Any
KEY = "CONTRACTS_KEY"
"""Environment variable that holds the key, also in what is printed."""
WRONG: tuple[Json, ...] = (None, [], {}, -1, "", True)
"""Values of other types, to put where they do not belong."""
STEPS = 8


@dataclass(frozen=True)
class Call:
    """One request, as it is sent."""

    operation: str
    method: str
    path: str
    body: Json = None
    bare: bool = False
    """Without credentials."""

    def curl(self, url: str, header: str) -> str:
        """Return it as a line for a shell."""
        parts = ["curl", "-i", "-X", self.method, shlex.quote(url.rstrip("/") + self.path)]
        if not self.bare:
            parts.append(f'-H "{header}"')
        if self.body is not None:
            sent = shlex.quote(json.dumps(self.body, ensure_ascii=False))
            parts.append(f"-H 'Content-Type: application/json' -d {sent}")
        return " ".join(parts)


@dataclass
class Verified:
    """What came out: the verdict on all traffic, and for the first breach the shortest way to it."""

    verdict: Verdict
    sent: int = 0
    submitted: int = 0
    shortest: list[Call] = field(default_factory=list)


class Target:
    """The server: sends calls, waits, and keeps what crossed the wire in this walk."""

    def __init__(self, promise: Promise, client: httpx.Client, *, key: str, wait: Callable[[float], None]) -> None:
        self.promise, self.client, self.wait = promise, client, wait
        self.credentials = dict([credential(promise, key)])
        self.exchanges: list[Exchange] = []
        self.calls: list[Call] = []
        self.sent = 0

    def begin(self) -> None:
        """Begin another walk."""
        self.exchanges, self.calls = [], []

    def send(self, call: Call) -> Json:
        """Send a call, keep the exchange, and return the JSON of its answer; None where there is none."""
        headers = {} if call.bare else self.credentials
        content = None if call.body is None else json.dumps(call.body, ensure_ascii=False).encode()
        if content is not None:
            headers = {**headers, "content-type": "application/json"}
        at = time.time()
        base = urlsplit(str(self.client.base_url)).path.rstrip("/")
        answer = self.client.request(call.method, call.path, content=content, headers=headers)
        self.sent += 1
        self.calls.append(call)
        self.exchanges.append(
            Exchange(
                number=len(self.exchanges) + 1,
                provider=self.promise.name,
                operation=call.operation or None,
                at=at,
                method=call.method,
                host=answer.request.url.netloc.decode(),
                path=answer.request.url.raw_path.decode().partition("?")[0].removeprefix(base),
                query=answer.request.url.query.decode(),
                request_headers=tuple((name.lower(), value) for name, value in answer.request.headers.items()),
                request_body=content or b"",
                status=answer.status_code,
                response_headers=tuple(
                    (name.lower(), value)
                    for name, value in answer.headers.items()
                    if name.lower() not in ("content-encoding", "content-length")
                ),
                response_body=answer.content,
            )
        )
        try:
            return answer.json()
        except ValueError:
            return None

    def judged(self) -> Verdict:
        """Judge this walk; a walk is no client, so its conduct is nobody's business."""
        examiner, judge = Examiner([self.promise], chosen=self.promise.name), Judge([self.promise], file="walk")
        for exchange in self.exchanges:
            judge.take(examiner.look(exchange))
        verdict = judge.close()
        verdict.findings[:] = [one for one in verdict.findings if _of_server(one)]
        return verdict


def verify(
    promise: Promise,
    client: httpx.Client,
    *,
    key: str = "sk-contracts",
    max_tasks: int = 5,
    walks: int = 20,
    wait: Callable[[float], None] = time.sleep,
) -> Verified:
    """Verify the server that *client* leads to; stop at the first breach, with the shortest way to it.

    Args:
        max_tasks: submits that may be accepted, in all.
        walks: random walks to try; each submits at most one task.
        wait: lets virtual or real seconds pass.
    """
    target = Target(promise, client, key=key, wait=wait)
    result = Verified(Verdict())
    for call in [*examples(promise), *spoiled(promise)]:
        target.begin()
        if _verb(promise, call.operation) == "submit" and result.submitted >= max_tasks:
            continue
        target.send(call)
        if _concluded(result, target):
            return result
    _walk(target, result, max_tasks=max_tasks, walks=walks)
    return result


def credential(promise: Promise, key: str) -> tuple[str, str]:
    """Return the header that carries *key*, as the provider's first security scheme wants it."""
    scheme: Mapping[str, Any] = next(iter(promise.provider.security_schemes.values()), {"type": "http"})
    if scheme.get("type") == "apiKey" and scheme.get("in") == "header":
        return str(scheme["name"]), key
    return "Authorization", f"Bearer {key}"


def examples(promise: Promise) -> Iterator[Call]:
    """Yield the documented requests of all operations that take JSON."""
    for operation, _, body in _bodies(promise):
        for example in body.get("examples", {}).values():
            if "{" not in operation.path and operation.verb.name != "upload":
                yield Call(operation.id, operation.method, operation.path, example["value"])


def spoiled(promise: Promise) -> Iterator[Call]:
    """Yield the first example of each operation without a required member, with a wrong type, without credentials."""
    for operation, schema, body in _bodies(promise):
        held = next((one["value"] for one in body.get("examples", {}).values()), None)
        if not isinstance(held, dict) or "{" in operation.path:
            continue
        flat = promise.documents.flat(schema)
        for name in flat.get("required", ()):
            yield Call(operation.id, operation.method, operation.path, {k: v for k, v in held.items() if k != name})
        for name, member in flat.get("properties", {}).items():
            fits = promise.validators.fits(member.here())
            for wrong in [one for one in WRONG if not fits(one)][:2] if name in held else ():
                yield Call(operation.id, operation.method, operation.path, {**held, name: wrong})
        if operation.security:
            yield Call(operation.id, operation.method, operation.path, held, bare=True)
    yield Call("", "GET", "/no/such/path")


def report(result: Verified, url: str, promise: Promise) -> str:
    """Return the shortest way to the first breach, as curl lines and as a file for pytest."""
    name, value = credential(promise, f"${KEY}")
    lines = [call.curl(url, f"{name}: {value}") for call in result.shortest]
    told = "\n".join(f"{one.severity}: {one.rule}: {one.text}" for one in result.verdict.findings)
    sends = "\n".join(f"    {_python(call)}" for call in result.shortest)
    header = value.replace(f"${KEY}", f"{{os.environ[{KEY!r}]}}")
    test = (
        f'"""{promise.name}: {result.verdict.findings[0].text if result.verdict.findings else ""}"""\n\n'
        f"import os\n\nimport httpx\n\nURL = {url!r}\nKEY = {{{name!r}: f{header!r}}}\n\n\n"
        f"def test_the_contract_is_kept():\n{sends}\n    assert answer.status_code < 500, answer.text\n"
    )
    return "\n".join([told, "", *lines, "", test])


def _python(call: Call) -> str:
    headers = "" if call.bare else ", headers=KEY"
    body = "" if call.body is None else f", json={call.body!r}"
    return f"answer = httpx.request({call.method!r}, URL.rstrip('/') + {call.path!r}{headers}{body})"


def _walk(target: Target, result: Verified, *, max_tasks: int, walks: int) -> None:
    """Walk from a submit along its links, at random; Hypothesis shortens the walk that breaks the contract."""
    promise = target.promise
    submits = [call for call in examples(promise) if _verb(promise, call.operation) == "submit"]
    links = {call.operation: _links(promise, call.operation) for call in submits}
    if not any(links.values()):
        return
    steps = st.lists(
        st.tuples(st.integers(0, 7), st.sampled_from([0.0, 1.0, 10.0, 60.0]), st.booleans()), max_size=STEPS
    )

    @settings(
        max_examples=walks,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(first=st.sampled_from(submits), steps=steps)
    def walk_once(first: Call, steps: Sequence[tuple[int, float, bool]]) -> None:
        if result.submitted >= max_tasks and not result.shortest:
            return
        target.begin()
        answer = target.send(first)
        for place, seconds, unknown in steps:
            if seconds:
                target.wait(seconds)
            following = [
                call for link in links[first.operation] if (call := _follow(promise, link, answer)) is not None
            ]
            if following:
                call = following[place % len(following)]
                target.send(_of_another(call) if unknown else call)
        assert not _concluded(result, target)

    try:
        walk_once()
    except (AssertionError, Flaky):
        return


def _concluded(result: Verified, target: Target) -> bool:
    """Add a walk to the result; say whether it broke the contract."""
    verdict = target.judged()
    result.sent = target.sent
    result.submitted += verdict.counts.tasks
    result.verdict.counts.add(verdict.counts)
    if not verdict.findings:
        return False
    result.verdict.findings[:] = verdict.findings
    result.verdict.totals.clear()
    result.verdict.totals.update((one.rule, one.severity) for one in verdict.findings)
    result.shortest = list(target.calls)
    return True


def _of_server(finding: Finding) -> bool:
    return finding.severity == "error" and find(finding.rule).group != "conduct"


def _verb(promise: Promise, operation: str) -> str:
    return next((one.verb.name for one in promise.provider.operations if one.id == operation), "")


def _bodies(promise: Promise) -> Iterator[tuple[Any, Located, Located]]:
    """Yield operation, schema and media object of every request in JSON."""
    paths = promise.documents["openapi.json"]["paths"]
    for operation in promise.provider.operations:
        request = promise.documents.deref(paths[operation.path][operation.method.lower()].get("requestBody"))
        content = (request or {}).get("content", {}).get("application/json")
        if content is not None and isinstance(content.get("schema"), Located):
            yield operation, content["schema"], content


def _links(promise: Promise, operation: str) -> list[Located]:
    found = next(one for one in promise.provider.operations if one.id == operation)
    body = promise.documents["openapi.json"]["paths"][found.path][found.method.lower()]
    return [
        link
        for response in walk(body.get("responses"))
        for link in response.get("links", {}).values()
        if isinstance(link, Located) and "operationId" in link
    ]


def _follow(promise: Promise, link: Mapping[str, Any], answer: Json) -> Call | None:
    """Return the call that a link leads to; None where the answer does not hold what it needs."""
    operation = next((one for one in promise.provider.operations if one.id == link["operationId"]), None)
    if operation is None:
        return None
    try:
        body = _filled(link.get("requestBody"), answer)
        parameters = {name: str(_filled(value, answer)) for name, value in link.get("parameters", {}).items()}
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    path, query = operation.path, {}
    for name, value in parameters.items():
        bare = name.rpartition(".")[2]
        if f"{{{bare}}}" in path:
            path = path.replace(f"{{{bare}}}", quote(value, safe=""))
        else:
            query[bare] = value
    return Call(operation.id, operation.method, f"{path}?{urlencode(query)}" if query else path, body)


def _filled(template: Json, answer: Json) -> Json:
    if isinstance(template, dict):
        return {name: _filled(value, answer) for name, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, answer) for value in template]
    if not isinstance(template, str) or not template.startswith("$response.body#"):
        return template
    value = answer
    for key in template.partition("#")[2].split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def _of_another(call: Call) -> Call:
    """Return the same call for a task that does not exist."""

    def other(value: Json) -> Json:
        if isinstance(value, dict):
            return {name: other(member) for name, member in value.items()}
        if isinstance(value, list):
            return [other(member) for member in value]
        return f"{value[:-4]}zzzz" if isinstance(value, str) and len(value) > 8 else value

    return Call(call.operation, call.method, call.path, other(call.body), call.bare)


def clock_of(client: httpx.Client) -> Callable[[float], None]:
    """Return how to wait: by the control API's clock where the server has one that stands still, else for real."""
    root = str(client.base_url.copy_with(path="/"))
    try:
        answer = client.get(f"{root.rstrip('/')}/_mock/clock")
        by_hand = answer.status_code == 200 and answer.json().get("rate") == 0
    except (httpx.HTTPError, ValueError):
        by_hand = False
    if not by_hand:
        return time.sleep

    def jump(seconds: float) -> None:
        client.post(f"{root.rstrip('/')}/_mock/clock", json={"jump": seconds}).raise_for_status()

    return jump


def allowed(url: str, *, real: bool) -> None:
    """Refuse a target off this machine unless *real* says that it is meant.

    Raises:
        UserError: it is not.
    """
    host = urlsplit(url).hostname or ""
    if not real and host not in ("localhost", "127.0.0.1", "::1"):
        raise UserError(f"{url!r} is not on this machine: tasks there may cost money; say --real if it is meant")
