"""The report for people at a terminal: each finding with its exchange, then what was judged."""

from __future__ import annotations

from contracts.judging import Verdict
from contracts.model import Finding
from contracts.rules import find


def render(verdict: Verdict) -> str:
    """Return the findings, gravest first, then the sums."""
    parts = [_finding(one) for one in verdict.findings]
    more = sum(verdict.totals.values()) - len(verdict.findings)
    if more > 0:
        parts.append(f"... and {more} more of the same rules\n")
    return "\n".join([*parts, summary(verdict)])


def summary(verdict: Verdict) -> str:
    """Return one line on what was judged, one on what was found, and one for each operation seen."""
    counts = verdict.counts
    judged = ", ".join(
        counted(count, what)
        for count, what in ((counts.exchanges, "exchange"), (counts.tasks, "task"), (counts.assertions, "assertion"))
    )
    found = ", ".join(counted(verdict.count(one), one) for one in ("error", "warning", "note"))
    seen = [f"  {label.strip() or 'no provider'}: {count}" for label, count in sorted(counts.operations.items())]
    return "\n".join([f"judged {judged}", *seen, found, ""])


def counted(count: int, what: str) -> str:
    """Return a count in words: `1 error`, `2 errors`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def _finding(finding: Finding) -> str:
    where = f"{finding.file or 'traffic'} #{finding.number}"
    lines = [f"{finding.severity}: {finding.rule}: {finding.text}", f"  {where}: {finding.call}"]
    if finding.at:
        lines.append(f"  at {finding.at}")
    lines.extend(f"  {line[:200]}" for line in finding.excerpt.splitlines() if len(line) > 2)
    lines.append(f"  {find(finding.rule).advice}")
    return "\n".join([*lines, ""])
