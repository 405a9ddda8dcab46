"""Scenario files are read, or refused with the place and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from mockserver.scenario import ScenarioError, fail, parse, read
from mockserver.scenario.model import AnswerAction, TaskAction
from tests.scenario.facts import script


def test_json_and_yaml_say_the_same() -> None:
    rule = '{"id": "a", "times": 2, "when": {"verb": "submit", "share": 0.5}, "task": {"nodes": {"3": 4}}}'
    as_json = parse(f'{{"about": "x", "rules": [{rule}]}}', "one")

    as_yaml = parse(
        "about: x\nrules:\n  - {id: a, times: 2, when: {verb: submit, share: 0.5}, task: {nodes: {3: 4}}}\n", "one"
    )

    assert as_json == as_yaml


def test_yaml_may_begin_with_a_brace() -> None:
    assert parse("{about: x, rules: [{id: a, answer: {status: 502}}]}", "one").about == "x"


def test_yaml_takes_dates_and_yes_for_texts() -> None:
    scenario = parse("about: no\nsetting: {start: 2025-06-01T12:00:00Z}\nrules: []", "one")

    assert (scenario.about, scenario.setting.start) == ("no", 1748779200)


@pytest.mark.parametrize(
    ("text", "pointer", "problem"),
    [
        pytest.param("{", "/", "is not JSON", id="half a file"),
        pytest.param("rules: [", "/", "is not YAML", id="half a YAML file"),
        pytest.param('{"about": "a", "about": "b"}', "/", "'about' stands twice", id="a key twice"),
        pytest.param("about: a\nabout: b\n", "/", "'about' stands twice", id="a key twice in YAML"),
        pytest.param("rules: [&a {task: {slow: 2}}, *a]", "/", "anchors are not followed", id="an anchor"),
        pytest.param("about: !!python/name:os.system x", "/", "is not YAML", id="a tag of Python"),
        pytest.param('{"rules": [{"task": {"slow": NaN}}]}', "/", "NaN is no number", id="no number"),
        pytest.param(
            'rules: [{answer: {status: 200, headers: {X: "a\\nb"}}}]',
            "/rules/0/answer/headers/x",
            "one line",
            id="a header of two lines",
        ),
        pytest.param(
            "rules: [{answer: {status: 200, headers: {a b: c}}}]",
            "/rules/0/answer/headers/a b",
            "no name",
            id="a header's name with a blank",
        ),
        pytest.param(
            "rules: [{wire: {content-type: 图}}]", "/rules/0/wire/content-type", "Latin-1", id="a type in Chinese"
        ),
        pytest.param(
            'rules: [{when: {request: {$ref: "#/x"}}, answer: {status: 502}}]',
            "/rules/0/when/request",
            "is no JSON Schema",
            id="a reference to nothing",
        ),
        pytest.param(
            "rules: [{feed: {close: {code: 1005, after: 1}}}]", "/rules/0/feed/close/code", "1006 cuts", id="no code"
        ),
        pytest.param("rles: []", "/rles", "is no known word; near: rules", id="a word misspelt"),
        pytest.param(
            "rules: [{}]", "/rules/0", "says not what to do; a rule needs exactly one of task", id="no action"
        ),
        pytest.param(
            "rules: [{task: {slow: 2}, wire: {empty: true}}]", "/rules/0", "has task and wire", id="two actions"
        ),
        pytest.param(
            "rules: [{wire: {dely: 3}}]", "/rules/0/wire/dely", "near: delay", id="a word of an action misspelt"
        ),
        pytest.param("rules: [{task: {outcome: failed}}]", "/rules/0/task/outcome", "near: fail", id="an outcome"),
        pytest.param("rules: [{times: 0, task: {slow: 2}}]", "/rules/0/times", "0 is less than", id="never"),
        pytest.param("rules: [{task: {slow: 0}}]", "/rules/0/task/slow", "", id="a factor of nothing"),
        pytest.param("rules: [{when: {verb: poll}, wire: {empty: true}}]", "/rules/0/when/verb", "", id="a verb"),
        pytest.param(
            "rules: [{id: a, task: {slow: 2}}, {id: a, task: {slow: 3}}]",
            "/rules/1/id",
            "'a' is the id",
            id="an id twice",
        ),
        pytest.param(
            "rules: [{when: {request: {type: objekt}}, wire: {empty: true}}]",
            "/rules/0/when/request/type",
            "is no JSON Schema",
            id="a condition that is no schema",
        ),
        pytest.param(
            "rules: [{when: {request: {properties: {body: {$ref: 'http://x/y'}}}}, wire: {empty: true}}]",
            "/rules/0/when/request/properties/body/$ref",
            "refers outside the schema",
            id="a condition from elsewhere",
        ),
        pytest.param(
            "rules: [{when: {window: {from: 9, to: 3}}, wire: {empty: true}}]",
            "/rules/0/when/window",
            "ends before it begins",
            id="a window the wrong way round",
        ),
        pytest.param(
            "rules: [{when: {window: {from: 2025-99-01}}, wire: {empty: true}}]",
            "/rules/0/when/window/from",
            "ISO 8601",
            id="no date",
        ),
        pytest.param(
            "rules: [{when: {verb: read}, feed: {silence: 1}}]",
            "/rules/0/when/verb",
            "use 'channel'",
            id="a feed by verb",
        ),
        pytest.param(
            "rules: [{when: {channel: x}, wire: {empty: true}}]",
            "/rules/0/when/channel",
            "use 'feed'",
            id="a wire by channel",
        ),
        pytest.param("rules: [{times: 1, queue: {slots: 0}}]", "/rules/0/times", "use 'window'", id="slots counted"),
        pytest.param(
            "rules: [{answer: {headers: {a: b}}}]", "/rules/0/answer", "says not what to answer", id="no answer"
        ),
        pytest.param(
            "rules: [{answer: {stale: 3, status: 200}}]", "/rules/0/answer/stale", "no other word", id="late and other"
        ),
        pytest.param(
            "rules: [{task: {at: 50}}]", "/rules/0/task/at", "'outcome' is 'succeed'", id="goes wrong and well"
        ),
        pytest.param("rules: [{task: {lasts: 5, slow: 2}}]", "/rules/0/task/lasts", "said twice", id="two lengths"),
    ],
)
def test_a_bad_file_is_refused_with_the_place_and_the_remedy(text: str, pointer: str, problem: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        parse(text, "mine")

    assert (refused.value.scenario, refused.value.pointer or "/") == ("mine", pointer)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "pointer", "problem"),
    [
        pytest.param(
            "when: {operation: promt}, wire: {empty: true}", "/when/operation", "near: prompt", id="operation"
        ),
        pytest.param("when: {channel: progres}, feed: {silence: 1}", "/when/channel", "near: progress", id="channel"),
        pytest.param(
            "when: {provider: genstudo}, wire: {empty: true}", "/when/provider", "near: genstudio", id="provider"
        ),
        pytest.param("answer: {error: balance-emty}", "/answer/error", "near: balance-empty", id="error"),
        pytest.param("task: {error: out-of-memry}", "/task/error", "near: out-of-memory", id="failure"),
        pytest.param("answer: {error: out-of-memory}", "/answer/error", "it ends tasks", id="failure as an answer"),
        pytest.param("task: {error: balance-empty}", "/task/error", "it answers calls", id="refusal of a task"),
        pytest.param("patch: {set: {task.stat: 1}}", "/patch/set", "near: task.state", id="value"),
    ],
)
def test_a_name_that_no_provider_has_is_refused_with_what_is_near(rule: str, pointer: str, problem: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        script(f"rules: [{{{rule}}}]")

    assert refused.value.pointer == f"/rules/0{pointer}"
    assert problem in str(refused.value)


def test_a_reading_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ScenarioError, match="is no variant of genstudio"):
        script("setting: {variants: {genstudio: {nonsense: x}}}")


def test_one_known_name_of_several_will_do() -> None:
    script("rules: [{when: {operation: [prompt, CreateExecute]}, wire: {empty: true}}]")


def test_the_short_form_fits_refusals_and_failures() -> None:
    scenario = fail("balance-empty", times=2)

    assert [(type(rule.do), rule.times) for rule in scenario.rules] == [(AnswerAction, 2), (TaskAction, 2)]
    with pytest.raises(ScenarioError, match="near: balance-empty"):
        script(fail("balance-emty"))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot be read"):
        read(tmp_path / "none.yaml")


def test_a_file_is_named_like_itself(tmp_path: Path) -> None:
    file = tmp_path / "my-night.json"
    file.write_text('{"rules": []}')

    assert read(file).name == "my-night"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("rules: [{wire: {delay: .nan}}]", "/rules/0/wire/delay: nan is no number", id="no number"),
        pytest.param("setting: {rate: .inf}", "/setting/rate: inf is no number", id="infinite"),
        pytest.param("rules: [{wire: {delay: 1000000001}}]", "/rules/0/wire/delay", id="a delay of decades"),
        pytest.param(f"rules: [{{skip: {2**64}, wire: {{reset: true}}}}]", "/rules/0/skip: is larger", id="64 bits"),
        pytest.param(f"setting: {{seed: {'9' * 5000}}}", "/: cannot be read", id="thousands of digits"),
        pytest.param('{"rules": [{"task": {"message": "\\ud800"}}]}', "/rules/0/task/message: holds half", id="half"),
        pytest.param("setting: {start: 9999-12-31}", "/setting/start: is '9999-12-31'; give", id="year 9999"),
        pytest.param("setting: {accounts: [{key: a, colour: 1}]}", "/setting/accounts/0", id="account with a colour"),
        pytest.param("setting: {accounts: [{key: a}, {key: a}]}", "/setting/accounts/1/key: 'a' is given", id="twice"),
    ],
)
def test_what_could_not_be_carried_out_is_refused_when_it_is_read(text: str, told: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        parse(text, "odd")

    assert str(refused.value).startswith(f"scenario 'odd' at {told}")
