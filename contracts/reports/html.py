"""The report as one self-contained page: the findings, and a timeline of each task. No script, nothing loaded."""

from __future__ import annotations

import math
from html import escape

from contracts.history import Point
from contracts.judging import Timeline, Verdict
from contracts.model import Finding
from contracts.reports.text import counted
from contracts.rules import find

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
article{border-left:4px solid #999;padding:.2rem 1rem;margin:.8rem 0}
.error{border-color:#b3261e}.warning{border-color:#9a6700}.note{border-color:#57606a}
pre{background:#f3f4f6;padding:.6rem;overflow:auto;white-space:pre-wrap;word-break:break-all}
table{border-collapse:collapse}td,th{text-align:left;padding:.1rem .8rem .1rem 0;font-variant-numeric:tabular-nums}
summary{cursor:pointer}svg{display:block;margin:.4rem 0;max-width:100%}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#15181c}pre{background:#22272e}}
"""
WIDTH, HEIGHT = 600, 46
SHADES = ("#9aa4b2", "#4c8dd6", "#3f9d63", "#c2803d", "#b3261e", "#8250df")
"""Of states, in the order in which a task takes them."""


def render(verdict: Verdict) -> str:
    """Return the page."""
    counts = verdict.counts
    sums = ", ".join(counted(verdict.count(one), one) for one in ("error", "warning", "note"))
    judged = f"{counts.exchanges} exchanges, {counts.tasks} tasks, {counts.assertions} assertions judged"
    operations = "".join(
        f"<tr><td>{escape(label.strip() or 'no provider')}</td><td>{count}</td></tr>"
        for label, count in sorted(counts.operations.items())
    )
    findings = "".join(map(_finding, verdict.findings)) or "<p>Nothing was found.</p>"
    timelines = "".join(map(_timeline, verdict.timelines)) or "<p>No task was seen.</p>"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>contracts: {sums}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>{sums}</h1><p>{judged}</p><table><tr><th>operation</th><th>exchanges</th></tr>{operations}</table>"
        f"<h2>Findings</h2>{findings}<h2>Tasks</h2>{timelines}</body></html>\n"
    )


def _finding(finding: Finding) -> str:
    where = f"{escape(finding.file)} #{finding.number}: {escape(finding.call)} {escape(finding.at)}"
    return (
        f'<article class="{finding.severity}"><strong>{finding.severity}: {escape(finding.rule)}</strong>'
        f"<p>{escape(finding.text)}</p><details><summary>{where}</summary><pre>{escape(finding.excerpt)}</pre></details>"
        f"<p>{escape(find(finding.rule).advice)}</p></article>"
    )


def _timeline(line: Timeline) -> str:
    start = next((point.at for point in line.points if not math.isnan(point.at)), 0.0)
    rows = "".join(
        f"<tr><td>{_seconds(point.at - start)}</td><td>{'feed' if point.fed else 'poll'} #{point.number}</td>"
        f"<td>{escape(_states(point))}</td>"
        f"<td>{'' if point.progress is None else f'{point.progress:.0%}'}</td></tr>"
        for point in line.points
    )
    title = f"{escape(line.provider)} {escape(line.task)}"
    told = f", {counted(line.findings, 'finding')}" if line.findings else ""
    return (
        f"<details{' open' if line.findings else ''}><summary>{title}{told}</summary>{_curve(line, start)}"
        f"<table><tr><th>at</th><th>by</th><th>state</th><th>progress</th></tr>{rows}</table></details>"
    )


def _curve(line: Timeline, start: float) -> str:
    """Draw the states of a task as a band over time, and its progress as a line above; feeds are blue, polls violet."""
    points = [point for point in line.points if not math.isnan(point.at)]
    if len(points) < 2:
        return ""
    span = max(points[-1].at - start, 1e-9)
    places = [4 + (point.at - start) / span * (WIDTH - 8) for point in points]
    names = list(dict.fromkeys(_states(point) for point in points))
    bands = "".join(
        f'<rect x="{place:.1f}" y="{HEIGHT}" width="{max(2.0, after - place):.1f}" height="10" '
        f'fill="{SHADES[names.index(_states(point)) % len(SHADES)]}"><title>{escape(_states(point))}</title></rect>'
        for point, place, after in zip(points, places, [*places[1:], WIDTH - 2.0], strict=True)
    )
    told = [(point, place) for point, place in zip(points, places, strict=True) if point.progress is not None]
    way = " ".join(f"{place:.1f},{_height(point.progress):.1f}" for point, place in told if not point.fed)
    marks = "".join(
        f'<circle cx="{place:.1f}" cy="{_height(point.progress):.1f}" r="3" '
        f'fill="{"#0969da" if point.fed else "#8250df"}"><title>{point.progress or 0:.0%}</title></circle>'
        for point, place in told
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 12}" role="img" aria-label="states and progress over time">'
        f'<polyline points="{way}" fill="none" stroke="#8250df" stroke-opacity=".5"/>{marks}{bands}</svg>'
    )


def _states(point: Point) -> str:
    return " or ".join(sorted(point.states))


def _height(progress: float | None) -> float:
    return HEIGHT - 4 - (progress or 0.0) * (HEIGHT - 8)


def _seconds(seconds: float) -> str:
    return "" if math.isnan(seconds) else f"{seconds:.1f} s"
