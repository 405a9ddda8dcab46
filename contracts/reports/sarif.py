"""The report as SARIF 2.1.0, for code hosts that show findings beside files."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from contracts.baseline import fingerprint
from contracts.judging import Verdict
from contracts.rules import find


def render(verdict: Verdict) -> str:
    """Return one run; the line of a finding is the number of its exchange, which it is in NDJSON."""
    rules = [
        {
            "id": rule,
            "shortDescription": {"text": find(rule).says},
            "help": {"text": find(rule).advice},
            "defaultConfiguration": {"level": find(rule).severity},
        }
        for rule in _once(one.rule for one in verdict.findings)
    ]
    results = [
        {
            "ruleId": one.rule,
            "level": one.severity,
            "message": {"text": f"{one.call}: {one.text}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": one.file.replace("\\", "/")},
                        "region": {"startLine": max(1, one.number)},
                    }
                }
            ],
            "partialFingerprints": {"contract/v1": fingerprint(one)},
        }
        for one in verdict.findings
    ]
    run = {"tool": {"driver": {"name": "contracts", "rules": rules}}, "results": results}
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return orjson.dumps(log, option=orjson.OPT_INDENT_2).decode() + "\n"


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
