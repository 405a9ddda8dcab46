"""GenStudio's links, as the object store behind them treats them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import httpx
import pytest

from tests.web.api import Api, Serve, opened


@pytest.fixture
def done(api: Api) -> dict[str, Any]:
    """A finished task as the last poll shows it."""
    task = api.submit(n5={"width": 64, "height": 64})["prompt_id"]
    api.clock(jump=120)
    return api.info(task)


def told(answer: httpx.Response) -> dict[str, str]:
    root = ElementTree.fromstring(answer.content)
    assert root.tag == "Error"
    return {element.tag: element.text or "" for element in root}


def test_links_have_the_documented_anatomy(done: dict[str, Any]) -> None:
    split = urlsplit(done["final_files"][0])

    tenant, account, task, name = split.path.rpartition("/")[2].split("%2F")
    assert (tenant[:3], account[:3], task) == ("te-", "ac-", done["comfy_task_id"])
    assert name.endswith(".png")
    assert [pair.partition("=")[0] for pair in split.query.split("&")] == ["Expires", "OSSAccessKeyId", "Signature"]


def test_the_ampersand_of_links_is_escaped_as_go_does(api: Api, done: dict[str, Any]) -> None:
    answer = api.post("get_task_info", {"comfy_task_ids": [done["comfy_task_id"]]})

    assert b"\\u0026OSSAccessKeyId" in answer.content
    assert b"&" not in answer.content


def test_a_link_dies_at_its_expiry_and_each_call_mints_a_fresh_one(api: Api, done: dict[str, Any]) -> None:
    old = done["final_files"][0]
    api.clock(jump=601)

    expired = api.http.get(old)
    fresh = api.info(done["comfy_task_id"])["final_files"][0]

    assert expired.status_code == 403
    assert expired.headers["content-type"] == "application/xml"
    assert expired.headers["server"] == "AliyunOSS"
    error = told(expired)
    assert (error["Code"], error["Message"], error["EC"]) == ("AccessDenied", "Request has expired.", "0002-00000069")
    assert error["Expires"].endswith(".000Z")
    assert error["HostId"] == "infini-imagegen.oss-cn-beijing.aliyuncs.com"
    assert api.http.get(fresh).status_code == 200


def test_url_expire_period_holds_for_the_links_of_its_call(api: Api, done: dict[str, Any]) -> None:
    long = api.info(done["comfy_task_id"], url_expire_period=1800)["final_files"][0]
    api.clock(jump=1700)

    assert api.http.get(long).status_code == 200
    assert api.http.get(done["final_files"][0]).status_code == 403


def test_results_are_gone_after_three_days_whatever_the_link(api: Api, done: dict[str, Any]) -> None:
    link = api.info(done["comfy_task_id"], url_expire_period=10**6)["final_files"][0]
    api.clock(jump=3 * 86400)

    answer = api.http.get(link)

    assert answer.status_code == 404
    assert (told(answer)["Code"], told(answer)["EC"]) == ("NoSuchKey", "0026-00000001")


def test_a_link_that_was_changed_is_refused_with_the_text_that_was_to_be_signed(api: Api, done: dict[str, Any]) -> None:
    answer = api.http.get(done["final_files"][0] + "&x-oss-process=image/format,jpg")

    error = told(answer)
    assert (answer.status_code, error["Code"], error["EC"]) == (403, "SignatureDoesNotMatch", "0002-00000040")
    assert error["StringToSign"].startswith("GET\n\n\n")


def test_a_link_without_its_signature_is_refused(api: Api, done: dict[str, Any]) -> None:
    answer = api.http.get(done["final_files"][0].partition("?")[0])

    assert answer.status_code == 403
    assert told(answer)["Code"] == "AccessDenied"


def test_links_decoded_as_the_page_advises_still_work(api: Api, done: dict[str, Any]) -> None:
    for _ in range(20):  # until a signature holds a plus sign, which decoding turns into a space for the server
        link = api.info(done["comfy_task_id"])["final_files"][0]
        answer = api.http.get(unquote(link))
        assert answer.status_code == 200, unquote(link)
        api.clock(jump=1)


@pytest.mark.parametrize(
    "command",
    [{"format": "jpg", "quality": {"q": 80}}, "image/format,jpg/quality,q_80", "format,jpg/quality,q_80"],
    ids=["object", "text", "text without image"],
)
def test_post_processing_is_done_for_real_and_leaves_the_original_alone(
    api: Api, done: dict[str, Any], command: Any
) -> None:
    link = api.info(done["comfy_task_id"], image_post_process_cmd=command)["final_files"][0]

    answer = api.http.get(link)

    assert parse_qs(urlsplit(link).query)["x-oss-process"] == ["image/format,jpg/quality,q_80"]
    assert (answer.headers["content-type"], opened(answer.content).format) == ("image/jpeg", "JPEG")
    assert opened(api.http.get(done["final_files"][0]).content).format == "PNG"


def test_a_wrong_operation_is_refused_by_the_store(api: Api, done: dict[str, Any]) -> None:
    link = api.info(done["comfy_task_id"], image_post_process_cmd="image/format,dng")["final_files"][0]

    answer = api.http.get(link)

    assert (answer.status_code, told(answer)["EC"]) == (400, "0040-00000206")


def test_links_use_the_public_address_when_one_is_given(serve: Serve) -> None:
    api = serve(public_url="https://mock.example:9443")
    task = api.submit(n5={"width": 64, "height": 64})["prompt_id"]
    api.clock(jump=120)

    assert api.info(task)["final_files"][0].startswith("https://mock.example:9443/_files/infini-imagegen/te-")


def test_a_download_can_be_resumed_and_cached(api: Api, done: dict[str, Any]) -> None:
    whole = api.http.get(done["final_files"][0])

    rest = api.http.get(done["final_files"][0], headers={"Range": "bytes=10-"})
    again = api.http.get(done["final_files"][0], headers={"If-None-Match": whole.headers["etag"]})

    assert (rest.status_code, rest.content) == (206, whole.content[10:])
    assert again.status_code == 304


def test_the_same_seed_gives_the_same_picture_and_another_prompt_another(serve: Serve) -> None:
    one, two = serve(), serve()
    small = {"width": 64, "height": 64}

    def result(api: Api, **changes: Any) -> bytes:
        task = api.submit(n5=small, **changes)["prompt_id"]
        api.clock(jump=300)
        return api.http.get(api.info(task)["final_files"][0]).content

    first = result(one)

    assert result(two) == first
    assert result(one, n6={"text": "a blue whale"}) != first
