"""Reports: one verdict, written for people, for machines and for those who show test results. Text in, text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from contracts.judging import Verdict
from contracts.reports import html, json, junit, sarif, text

REPORTS: Mapping[str, Callable[[Verdict], str]] = {
    "text": text.render,
    "json": json.render,
    "junit": junit.render,
    "sarif": sarif.render,
    "html": html.render,
}
"""Format -> what writes it."""
