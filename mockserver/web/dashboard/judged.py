"""What an exchange breaks of its provider's contract, by the schemas that answered it. Nothing is kept."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from mockserver.errors import Refused
from mockserver.exchange import Exchange
from mockserver.provider.model import Operation, Request, Violation
from mockserver.provider.notation import Unreadable
from mockserver.web.bodies import parse_body
from mockserver.web.routing import Router

CUT = 256 * 1024
"""Bodies of this size may have been cut by the recorder, and are not judged."""


def is_wrong(offer: Any, exchange: Exchange) -> bool:
    """Return whether an exchange breaks its contract, or was refused."""
    return exchange.status >= 400 or exchange.operation is None or bool(violations_of(offer, exchange))


def violations_of(offer: Any, exchange: Exchange) -> list[dict[str, Any]]:
    """Return what an exchange breaks, request first: rule, where, what was found, what would be right."""
    found = _called(offer, exchange)
    if found is None or len(exchange.request_body) >= CUT or len(exchange.response_body) >= CUT:
        return []
    router, operation = found
    return [
        *_shown("request", _asked(exchange, router, operation)),
        *_shown("answer", _answered(exchange, operation)),
    ]


def _called(offer: Any, exchange: Exchange) -> tuple[Router, Operation] | None:
    for served in offer.served.values():
        for provider, router in ((served.provider, served.router), (served.store, served.store_router)):
            if provider is not None and provider.name == exchange.provider:
                for operation in provider.operations:
                    if operation.id == exchange.operation:
                        return router, operation
    return None


def _asked(exchange: Exchange, router: Router, operation: Operation) -> list[Violation]:
    routed = router.find(unquote(exchange.path), exchange.path)
    headers = dict(exchange.request_headers)
    try:
        body = parse_body(operation, exchange.request_body, headers)
    except (Refused, Unreadable) as problem:
        text = str(getattr(problem, "facts", {}).get("violation.text", problem))
        return [Violation("request-body", "/body", "type", "a body that can be read", None, text)]
    query = parse_qsl(exchange.query, keep_blank_values=True)
    return operation.violations(Request(exchange.method, routed[1] if routed else {}, query, headers, body))


def _answered(exchange: Exchange, operation: Operation) -> list[Violation]:
    fitting = [one for one in operation.responses if one.status == exchange.status and one.draw is not None]
    if not fitting:
        return []
    try:
        body = orjson.loads(exchange.response_body)
    except ValueError:
        if not any("json" in (one.media or "") for one in fitting):
            return []
        return [Violation("answer-body", "/body", "type", "JSON", None, "the answer is not JSON")]
    broken = [one.broken(body) for one in fitting]
    if any(violation is None for violation in broken):
        return []
    return [violation for violation in broken if violation is not None][:1]


def _shown(part: str, violations: list[Violation]) -> list[dict[str, Any]]:
    return [
        {
            "in": part,
            "rule": violation.rule,
            "at": violation.at,
            "expected": _short(violation.expected),
            "got": _short(violation.got),
            "text": violation.text,
        }
        for violation in violations
    ]


def _short(value: Any) -> Any:
    text = repr(value)
    return value if len(text) <= 300 else text[:300] + "…"
