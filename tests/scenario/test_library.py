"""The scenarios that come with the package, and the words that are told of in the README."""

from __future__ import annotations

import pytest

from mockserver.errors import UserError
from mockserver.scenario import library
from mockserver.scenario.reading import meta_schema, parse
from tests.scenario import examples, table
from tests.scenario.examples import EXAMPLES, document
from tests.scenario.facts import script

NAMES = list(library.files())


@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_is_in_order_and_fits_any_provider(name: str) -> None:
    scenario = library.find(name)

    assert scenario.name == name
    assert len(scenario.about) > 80
    assert len(library.line(scenario)) < 160
    assert not any(rule.id.startswith("rule-") for rule in scenario.rules)
    assert all(rule.when.providers is None and rule.when.operations is None for rule in scenario.rules)
    script(scenario)


def test_there_are_enough() -> None:
    assert len(NAMES) >= 20


def test_a_name_that_is_not_there_is_refused_with_what_is_near() -> None:
    with pytest.raises(UserError, match="near: feed-silent"):
        library.find("feed-silence")


def test_examples_of_the_schema_are_scenarios() -> None:
    import json

    for example in meta_schema()["examples"]:
        script(parse(json.dumps(example), "example"))


def test_the_readme_tells_the_words_of_the_schema() -> None:
    assert table.in_readme() == table.table(), "run: python -m tests.scenario.table"


def test_every_word_is_explained() -> None:
    silent = [line for line in table.table().splitlines() if line.startswith("| `") and "|  |" in line]

    assert not silent


def test_every_word_has_an_example_that_is_in_order() -> None:
    assert not [word for word in table.words() if not examples.of(word)]
    assert not set(EXAMPLES) - set(table.words())
    for word in EXAMPLES:
        parse(document(word), "example")
