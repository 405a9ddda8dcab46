"""The report for programs."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import orjson

from contracts.baseline import fingerprint
from contracts.judging import Timeline, Verdict


def render(verdict: Verdict) -> str:
    """Return the verdict as JSON."""
    whole = {
        "judged": dataclasses.asdict(verdict.counts),
        "totals": [
            {"rule": rule, "severity": severity, "count": count}
            for (rule, severity), count in sorted(verdict.totals.items())
            if count
        ],
        "findings": [{**dataclasses.asdict(one), "fingerprint": fingerprint(one)} for one in verdict.findings],
        "timelines": [timeline(one) for one in verdict.timelines],
    }
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode() + "\n"


def timeline(line: Timeline) -> dict[str, Any]:
    """Return a timeline as JSON."""
    points = [
        {
            "at": None if math.isnan(point.at) else point.at,
            "exchange": point.number,
            "states": sorted(point.states),
            "progress": point.progress,
            "source": "feed" if point.fed else "poll",
        }
        for point in line.points
    ]
    return {"provider": line.provider, "task": line.task, "findings": line.findings, "points": points}
