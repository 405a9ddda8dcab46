"""A baseline: findings that are known and accepted, so that only new ones count.

A finding is known by its rule, provider, operation and place, and by its text without numbers and ids: the same breach
in tomorrow's recording is the same finding.
"""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from pathlib import Path

from contracts.judging import Verdict
from contracts.model import Finding
from mockserver.errors import UserError

VARIES = re.compile(r"[A-Za-z0-9_/+%.-]*\d[A-Za-z0-9_/+%.-]*")


def fingerprint(finding: Finding) -> str:
    """Return what stays the same when a breach is found again."""
    at = re.sub(r"\d+", "0", finding.at)
    parts = (finding.rule, finding.provider, finding.operation, at, VARIES.sub("0", finding.text))
    return blake2b("\0".join(parts).encode(), digest_size=10).hexdigest()


def accept(verdict: Verdict, path: Path) -> int:
    """Take the findings that the baseline at *path* knows out of *verdict*; return how many those were.

    Raises:
        UserError: the file is no baseline.
    """
    try:
        held = json.loads(path.read_text("utf-8"))
        known = {one["fingerprint"] for one in held["findings"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} is no baseline; write one with --write-baseline") from None
    kept = []
    for finding in verdict.findings:
        if fingerprint(finding) in known:
            verdict.totals[finding.rule, finding.severity] -= 1
        else:
            kept.append(finding)
    accepted = len(verdict.findings) - len(kept)
    verdict.findings[:] = kept
    return accepted


def write(verdict: Verdict, path: Path) -> None:
    """Write the findings of *verdict* as a baseline."""
    seen = {
        fingerprint(one): {"fingerprint": fingerprint(one), "rule": one.rule, "text": one.text}
        for one in verdict.findings
    }
    path.write_text(json.dumps({"findings": list(seen.values())}, ensure_ascii=False, indent=1) + "\n", "utf-8")
