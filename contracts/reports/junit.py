"""The report as JUnit XML: a test case for each rule that traffic can break, failed where it did."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from contracts.judging import Verdict
from contracts.rules import FAMILIES, RULES

FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def render(verdict: Verdict) -> str:
    """Return one test suite; errors are failures, milder findings stand in the output."""
    rules = dict.fromkeys(
        [
            *(one.id for one in RULES.values() if one.id not in FAMILIES and one.group != "outcome"),
            *(rule for rule, _ in verdict.totals),
        ]
    )
    failed = {one.rule for one in verdict.findings if one.severity == "error"}
    suite = ElementTree.Element(
        "testsuite", name="contracts", tests=str(len(rules)), failures=str(len(failed)), errors="0", skipped="0"
    )
    for rule in rules:
        case = ElementTree.SubElement(suite, "testcase", classname="contracts", name=rule)
        found = [one for one in verdict.findings if one.rule == rule]
        told = FORBIDDEN.sub("?", "\n".join(f"{one.file} #{one.number} {one.call}: {one.text}" for one in found))
        if rule in failed:
            ElementTree.SubElement(case, "failure", message=FORBIDDEN.sub("?", found[0].text)).text = told
        elif found:
            ElementTree.SubElement(case, "system-out").text = told
    body = ElementTree.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'
