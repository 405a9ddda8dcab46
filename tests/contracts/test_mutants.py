"""Deliberately wrong servers, feeds and clients: each is found by exactly the rule meant for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import unquote

import pytest

from contracts.rules import RULES
from tests.contracts.traffic import (
    Edit,
    Lines,
    again,
    body,
    geek,
    judged,
    of,
    polls,
    put,
    rules,
    show,
    spoiled,
    studio,
    workshop,
)

MUTANTS: list[tuple[str, Callable[[], Lines], str, Edit]] = []


def mutant(rule: str, story: Callable[[], Lines] = lambda: STORIES["studio"]) -> Callable[[Edit], Edit]:
    """Register a spoiler of a story and the rule that must find it; a family stands for its members."""

    def register(edit: Edit) -> Edit:
        MUTANTS.append((edit.__name__.replace("_", " "), story, rule, edit))
        return edit

    return register


STORIES: dict[str, Lines] = {}


@pytest.fixture(scope="module", autouse=True)
def stories() -> None:
    STORIES.update(studio=studio(), geek=geek(), workshop=workshop())


def of_geek() -> Lines:
    return STORIES["geek"]


def of_workshop() -> Lines:
    return STORIES["workshop"]


# Servers: one answer is wrong.


@mutant("status-documented")
def a_status_nobody_documents(lines: Lines) -> None:
    polls(lines, 2)[0]["response"]["status"] = 418


@mutant("answer-schema")
def a_state_nobody_documents(lines: Lines) -> None:
    show(polls(lines, 0)[1], status=9)


@mutant("answer-schema")
def a_member_is_missing(lines: Lines) -> None:
    content = body(polls(lines, 0)[1])
    del content["data"]["comfy_task_info"][0]["files"]
    put(polls(lines, 0)[1], content)


@mutant("answer-schema")
def a_list_is_null(lines: Lines) -> None:
    show(polls(lines, 0)[1], final_files=None)


@mutant("answer-schema")
def an_error_without_its_text(lines: Lines) -> None:
    put(again(lines, of(lines, "prompt")[0]), {"code": 10001, "data": None})


@mutant("answer-is-json")
def an_answer_that_breaks_off(lines: Lines) -> None:
    line = polls(lines, 0)[1]
    put(line, line["response"]["body"][:60])


@mutant("answer-is-json")
def an_answer_without_body(lines: Lines) -> None:
    put(polls(lines, 0)[1], "")


@mutant("answer-media")
def a_page_of_a_proxy(lines: Lines) -> None:
    line = polls(lines, 0)[1]
    put(line, "<html>busy</html>")
    line["response"]["headers"] = [["content-type", "text/html"]]


@mutant("error-in-catalogue")
def a_code_nobody_documents(lines: Lines) -> None:
    put(again(lines, of(lines, "prompt")[0]), {"code": 77, "msg": "Surprise", "data": None})


@mutant("links-well-formed")
def a_link_without_scheme(lines: Lines) -> None:
    last = polls(lines, 0)[-1]
    (link,) = body(last)["data"]["comfy_task_info"][0]["final_files"]
    show(last, final_files=[link.removeprefix("http:")])


@mutant("links-well-formed")
def a_link_with_a_space(lines: Lines) -> None:
    last = polls(lines, 0)[-1]
    (link,) = body(last)["data"]["comfy_task_info"][0]["final_files"]
    show(last, final_files=[link.replace(".png?", " 1.png?")])


@mutant("asked-is-answered")
def another_task_than_asked_for(lines: Lines) -> None:
    mine, other = (of(lines, "prompt")[place]["tasks"][0] for place in (0, 1))
    line = again(lines, polls(lines, 1)[-1])
    put(line, {"comfy_task_ids": [mine], "url_expire_period": 77}, "request")
    assert other in line["response"]["body"]


@mutant("answer-agrees-with-itself")
def links_of_another_task(lines: Lines) -> None:
    mine, other = (polls(lines, place)[-1] for place in (0, 1))
    show(mine, final_files=body(other)["data"]["comfy_task_info"][0]["final_files"])


@mutant("method-known")
def a_method_nobody_documents_works(lines: Lines) -> None:
    line = again(lines, polls(lines, 0)[0])
    line["request"]["method"] = "PUT"


@mutant("operation-known")
def a_path_nobody_documents_works(lines: Lines) -> None:
    line = again(lines, polls(lines, 0)[0])
    line["request"]["path"] = "/api/maas/comfy_task_api/undo"


@mutant("credentials-given")
def a_call_without_credentials_works(lines: Lines) -> None:
    headers = polls(lines, 0)[1]["request"]["headers"]
    headers[:] = [pair for pair in headers if pair[0] != "authorization"]


@mutant("request-schema")
def a_bad_request_is_accepted(lines: Lines) -> None:
    content = body(of(lines, "prompt")[0], "request")
    del content["workflow_id"]
    put(of(lines, "prompt")[0], content, "request")


@mutant("request-media")
def a_body_of_another_type_is_accepted(lines: Lines) -> None:
    headers = polls(lines, 0)[1]["request"]["headers"]
    headers[:] = [pair if pair[0] != "content-type" else ["content-type", "text/plain"] for pair in headers]


# Servers: the history of a task is wrong.


@mutant("state-final-stays-final")
def a_final_task_revives(lines: Lines) -> None:
    line = again(lines, polls(lines, 0)[-1])
    put(line, {**body(line, "request"), "url_expire_period": 900}, "request")
    show(line, status=2, files={}, final_files=[])


@mutant("state-final-stays-final")
def a_success_becomes_a_failure(lines: Lines) -> None:
    line = again(lines, polls(lines, 0)[-1])
    put(line, {**body(line, "request"), "url_expire_period": 900}, "request")
    show(line, status=4, final_files=[])


@mutant("state-step-legal")
def a_running_task_waits_again(lines: Lines) -> None:
    show(
        polls(lines, 0)[2],
        status=1,
        progress_num=body(polls(lines, 0)[1])["data"]["comfy_task_info"][0]["progress_num"],
    )


@mutant("progress-never-falls")
def progress_falls(lines: Lines) -> None:
    show(polls(lines, 0)[2], progress_num=99)


@mutant("position-never-grows")
def a_place_in_the_queue_is_lost(lines: Lines) -> None:
    show(polls(lines, 2)[2], current_position=9)


@mutant("results-only-where-allowed")
def results_while_it_runs(lines: Lines) -> None:
    last = body(polls(lines, 0)[-1])["data"]["comfy_task_info"][0]
    show(polls(lines, 0)[2], final_files=last["final_files"])


@mutant("results-only-where-allowed")
def files_while_it_waits(lines: Lines) -> None:
    last = body(polls(lines, 2)[-1])["data"]["comfy_task_info"][0]
    show(polls(lines, 2)[1], files=last["files"])


@mutant("task-forgotten")
def a_task_is_passed_over_from_now_on(lines: Lines) -> None:
    line = polls(lines, 2)[2]
    content = body(line)
    content["data"]["comfy_task_info"] = []
    put(line, content)


@mutant("task-id-new")
def an_id_is_given_twice(lines: Lines) -> None:
    first = of(lines, "prompt")[0]
    again(lines, first, later=0.0, after=True)


@mutant("value-stays", of_geek)
def the_moment_of_creation_changes(lines: Lines) -> None:
    line = of(lines, "detail")[-1]
    content = body(line)
    content["data"]["created_at"] = "2020-01-01 00:00:00"
    put(line, content)


@mutant("value-never-falls", of_geek)
def the_time_waited_falls(lines: Lines) -> None:
    line = of(lines, "detail")[-1]
    content = body(line)
    content["data"]["queue_duration"] = 0
    put(line, content)


@mutant("times-ordered", of_workshop)
def it_ends_before_it_starts(lines: Lines) -> None:
    line = of(lines, "comfy_get_result")[0]
    content = body(line)
    content["data"]["taskBeginTime"] = content["data"]["taskEndTime"] + 10_000
    put(line, content)


@mutant("link-dies-at-expiry")
def an_expired_link_works(lines: Lines) -> None:
    again(lines, of(lines, "GetObject")[0], later=4000)


@mutant("link-lives-until-expiry")
def a_living_link_is_refused(lines: Lines) -> None:
    of(lines, "GetObject")[0]["response"]["status"] = 403


# Feeds.


@mutant("feed-skips-no-state")
def a_feed_skips_a_state(lines: Lines) -> None:
    (feed,) = of(lines, "progress")
    feed["frames"] = [one for one in feed["frames"] if body({"response": one})["comfy_task_info"]["status"] != 2]


@mutant("message-schema")
def a_message_nobody_documents(lines: Lines) -> None:
    of(lines, "progress")[0]["frames"][3]["body"] = '{"type": "ping"}'


@mutant("message-schema")
def a_message_that_is_cut(lines: Lines) -> None:
    frame = of(lines, "progress")[0]["frames"][3]
    frame["body"] = frame["body"][:40]


@mutant("state-final-stays-final")
def a_feed_goes_on_after_the_end(lines: Lines) -> None:
    frames = of(lines, "progress")[0]["frames"]
    running = next(one for one in frames if body({"response": one})["comfy_task_info"]["status"] == 2)
    frames.append({**running, "body": running["body"].replace('"progress_num":0', '"progress_num":100')})


@mutant("feed-agrees-with-polling")
def polling_lags_behind_the_feed(lines: Lines) -> None:
    *_, last_but_one, last = polls(lines, 1)
    again(lines, last_but_one, later=last["at"] + 1 - last_but_one["at"])
    lines.insert(lines.index(last), lines.pop())


# Clients.


@mutant("polls-after-end")
def a_client_polls_for_ever(lines: Lines) -> None:
    for seconds in range(1, 5):
        again(lines, polls(lines, 0)[-1], later=seconds)


@mutant("polls-too-fast")
def a_client_polls_in_haste(lines: Lines) -> None:
    line = polls(lines, 0)[0]
    for turn in range(8, 0, -1):
        again(lines, line, later=turn / 100, after=True)


@mutant("ignores-retry-after")
def a_client_swallows_a_429(lines: Lines) -> None:
    line = again(lines, polls(lines, 2)[0], after=True)
    line["response"].update(status=429, headers=[["content-type", "application/json"], ["retry-after", "30"]])
    put(line, {"code": 10005, "msg": "Too Many Requests", "data": None})


@mutant("resubmits-without-looking")
def a_client_submits_again_after_a_lost_answer(lines: Lines) -> None:
    first = of(lines, "prompt")[0]
    lost = json.loads(json.dumps(first))
    lost["response"].update(status=0, headers=[], body="")
    lines.insert(0, lost)


@mutant("result-never-read")
def a_client_never_asks(lines: Lines) -> None:
    id = of(lines, "prompt")[2]["tasks"][0]
    lines[:] = [line for line in lines if line["tasks"] != [id] or line["operation"] == "prompt"]


@mutant("feed-left-early")
def a_client_leaves_the_feed_and_never_asks_again(lines: Lines) -> None:
    (feed,) = of(lines, "progress")
    feed["frames"] = feed["frames"][:3]
    id = feed["tasks"]
    lines[:] = [line for line in lines if line["tasks"] != id or line["operation"] != "GetObject"]
    lines.remove(polls(lines, 1)[-1])


@mutant("link-sent-as-given")
def a_client_decodes_links(lines: Lines) -> None:
    line = of(lines, "GetObject")[0]
    line["request"].update(path=unquote(line["request"]["path"]), query=unquote(line["request"]["query"]))
    line["response"]["status"] = 403


@mutant("link-used-after-expiry")
def a_client_uses_an_expired_link(lines: Lines) -> None:
    again(lines, of(lines, "GetObject")[0], later=4000)["response"]["status"] = 403


@mutant("key-in-url")
def a_client_puts_its_key_in_the_address(lines: Lines) -> None:
    polls(lines, 0)[1]["request"]["query"] = "api_key=sk-secret"


@mutant("field-undocumented")
def a_client_misspells_a_field(lines: Lines) -> None:
    line = polls(lines, 0)[1]
    put(line, {**body(line, "request"), "url_expire_perid": 60}, "request")


@mutant("field-undocumented")
def a_client_invents_a_parameter(lines: Lines) -> None:
    polls(lines, 0)[1]["request"]["query"] = "verbose=1"


def override(lines: Lines, prompt: object) -> None:
    line = of(lines, "prompt")[0]
    put(line, {**body(line, "request"), "prompt": prompt}, "request")


@mutant("overrides-not-workflow")
def a_client_sends_the_exported_workflow(lines: Lines) -> None:
    override(lines, {"3": {"class_type": "KSampler", "inputs": {"steps": 20, "model": ["4", 0]}}})


@mutant("overrides-not-ranges")
def a_client_sends_the_table_of_parameters(lines: Lines) -> None:
    override(lines, {"3": {"class_type": "KSampler", "inputs": {"steps": {"type": "INT", "spec": {"max": 10000}}}}})


@mutant("override-known")
def a_client_names_a_node_that_is_not_there(lines: Lines) -> None:
    override(lines, {"99": {"inputs": {"steps": 20}}})


@mutant("override-known")
def a_client_names_an_input_that_is_not_there(lines: Lines) -> None:
    override(lines, {"3": {"inputs": {"stepz": 20}}})


@mutant("override-in-range")
def a_client_goes_beyond_a_range(lines: Lines) -> None:
    override(lines, {"3": {"inputs": {"steps": 20000}}})


@mutant("override-in-range")
def a_client_names_a_choice_that_is_not_there(lines: Lines) -> None:
    override(lines, {"3": {"inputs": {"sampler_name": "dimm"}}})


@pytest.mark.parametrize(
    ("story", "rule", "edit"), [pytest.param(story, rule, edit, id=name) for name, story, rule, edit in MUTANTS]
)
def test_a_fault_is_found_by_exactly_its_rule(story: Callable[[], Lines], rule: str, edit: Edit) -> None:
    found = rules(judged(spoiled(story(), edit)))

    assert {one if one in RULES else one.rpartition("-")[0] for one in found} == {rule}


@pytest.mark.parametrize("name", ["studio", "geek", "workshop"])
def test_correct_traffic_has_no_finding_at_all(name: str) -> None:
    verdict = judged(STORIES[name])

    assert verdict.findings == []
    assert verdict.counts.tasks > 0


@pytest.mark.parametrize(
    ("later", "wishes"),
    [
        pytest.param(700, {}, id="its links have expired"),
        pytest.param(1, {"url_expire_period": 900}, id="links of another lifetime are asked for"),
        pytest.param(1, {"image_post_process_cmd": {"format": "jpg", "quality": {"q": 80}}}, id="as another picture"),
    ],
)
def test_asking_again_for_links_is_documented_use(later: float, wishes: dict[str, object]) -> None:
    def ask_again(lines: Lines) -> None:
        line = again(lines, polls(lines, 0)[-1], later=later)
        put(line, {**body(line, "request"), **wishes}, "request")

    assert judged(spoiled(STORIES["studio"], ask_again)).findings == []


def test_every_rule_has_its_mutant() -> None:
    meant = {rule for _, _, rule, _ in MUTANTS}

    assert meant == {rule.id for rule in RULES.values() if rule.group != "outcome"}


def test_there_are_thirty_mutants_or_more() -> None:
    assert len(MUTANTS) >= 30
