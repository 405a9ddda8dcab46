"""The catalogue of rules: complete, and printed in the README as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts.rules import RULES, Rule, catalogue

README = Path(__file__).resolve().parents[2] / "contracts" / "README.md"


def test_the_readme_prints_the_catalogue() -> None:
    printed = re.search(r"<!-- rules -->\n(.*)\n<!-- /rules -->", README.read_text("utf-8"), re.DOTALL)

    assert printed is not None
    assert printed[1].strip() == "\n".join(catalogue()).strip()


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_a_rule_says_what_it_wants_and_what_to_do(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.id)
    assert rule.says.endswith(".")
    assert rule.advice.endswith(".")
    assert rule.example
