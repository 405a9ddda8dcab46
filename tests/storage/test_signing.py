"""Signatures: the known answers, and what holds for every link."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.errors import Refused
from mockserver.storage.signing import SCHEMES, CaDigest, Secret, SignedRequest, content_md5

KEY = "te-aaaaaaaaaaaaaaaa/ac-bbbbbbbbbbbbbbbb/cft-cccccccccccccccc/bb5c49b3-e1a8-4a46-b2ab-51aa47d9bbfc.png"
SECRET = Secret("LTAImock", "mock-secret")
LINKS = ["oss-v1", "s3-v2", "s3-v4"]


def request_of(link: str, method: str = "GET", content_type: str | None = None) -> SignedRequest:
    split = urlsplit(link)
    headers = {} if content_type is None else {"content-type": content_type}
    return SignedRequest(
        method, split.path, tuple(parse_qsl(split.query)), headers, b"", "infini-imagegen", unquote(split.path[1:])
    )


def link_to(scheme: str, key: str = KEY, *, verb: str = "GET", expires: int = 1_758_300_000, **more: str) -> str:
    return SCHEMES[scheme].link(
        verb, "http://store/", "infini-imagegen", key, expires=expires, now=1_758_299_000, secret=SECRET, **more
    )


@pytest.mark.parametrize(
    ("process", "signature"),
    [
        pytest.param(None, "8qosniL9SNSt8j5qtRTEHfZIYfI=", id="plain"),
        pytest.param("image/format,jpg/quality,q_80", "z5/imw3vjoY3DT1J3iCel0E8z7M=", id="processed"),
    ],
)
def test_oss_links_carry_the_known_signatures(process: str | None, signature: str) -> None:
    link = link_to("oss-v1") if process is None else link_to("oss-v1", process=process)

    query = parse_qsl(urlsplit(link).query)

    assert dict(query)["Signature"] == signature
    assert [name for name, _ in query][:3] == ["Expires", "OSSAccessKeyId", "Signature"]
    assert urlsplit(link).path == "/" + KEY.replace("/", "%2F")


@pytest.mark.parametrize("scheme", LINKS)
@given(
    key=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=40),
    life=st.integers(1, 10**6),
    offset=st.floats(-900, 10**6),
)
def test_a_link_is_accepted_until_it_expires_and_refused_after(scheme: str, key: str, life: int, offset: float) -> None:
    made, expires = 1_758_299_000, 1_758_299_000 + life
    link = SCHEMES[scheme].link(
        "GET", "http://store/", "infini-imagegen", key, expires=expires, now=made, secret=SECRET
    )
    now = expires + offset

    try:
        SCHEMES[scheme].check(request_of(link), now=now, secret=SECRET)
        condition = "accepted"
    except Refused as refused:
        condition = refused.condition

    assert condition == ("accepted" if now <= expires else "link-expired")


@pytest.mark.parametrize("scheme", LINKS)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"method": "PUT"}, id="verb"),
        pytest.param({"key": "other.png"}, id="key"),
        pytest.param({"bucket": "other"}, id="bucket"),
    ],
)
def test_a_link_is_good_for_nothing_else(scheme: str, change: dict[str, str]) -> None:
    request = request_of(link_to(scheme))._replace(**change)  # type: ignore[arg-type]  # all three are texts

    with pytest.raises(Refused) as refused:
        SCHEMES[scheme].check(request, now=1_758_299_500, secret=SECRET)

    assert refused.value.condition == "signature-wrong"
    assert refused.value.facts["signature.text"]


@pytest.mark.parametrize("scheme", LINKS)
def test_a_later_expiry_written_by_hand_is_refused(scheme: str) -> None:
    request = request_of(link_to(scheme))
    names = {"Expires": "1999999999", "X-Amz-Expires": "604800"}
    changed = tuple((name, names.get(name, value)) for name, value in request.query)

    with pytest.raises(Refused) as refused:
        SCHEMES[scheme].check(request._replace(query=changed), now=1_758_299_500, secret=SECRET)

    assert refused.value.condition == "signature-wrong"


@pytest.mark.parametrize("scheme", LINKS)
def test_a_link_lacking_a_parameter_names_it(scheme: str) -> None:
    request = request_of(link_to(scheme))

    for name in {"Expires", "Signature", "X-Amz-Signature", "X-Amz-Date"} & dict(request.query).keys():
        rest = tuple(pair for pair in request.query if pair[0] != name)
        with pytest.raises(Refused) as refused:
            SCHEMES[scheme].check(request._replace(query=rest), now=1_758_299_500, secret=SECRET)
        assert (refused.value.condition, refused.value.facts) == ("credentials-missing", {"header.name": name})


def test_a_signature_whose_plus_became_a_space_is_still_right() -> None:
    links = (link_to("oss-v1", f"{number}.png") for number in range(100))
    decoded = next(unquote(link) for link in links if "%2B" in link)

    SCHEMES["oss-v1"].check(request_of(decoded), now=1_758_299_500, secret=SECRET)


def test_a_put_link_holds_for_the_content_type_it_was_signed_for() -> None:
    link = link_to("oss-v1", verb="PUT", content_type="image/png")

    SCHEMES["oss-v1"].check(request_of(link, "PUT", "image/png"), now=1_758_299_500, secret=SECRET)
    with pytest.raises(Refused, match="signature-wrong"):
        SCHEMES["oss-v1"].check(request_of(link, "PUT", "text/plain"), now=1_758_299_500, secret=SECRET)


BODY = b'{"taskId":"01j5ssksqndptm3exv751bz0gj"}'
CALL = {
    "accept": "application/json; charset=utf-8",
    "content-type": "application/json; charset=utf-8",
    "date": "Wed, 21 Aug 2024 06:22:31 GMT+00:00",
    "x-ca-key": "test-app-key",
    "x-ca-timestamp": "1724221351669",
    "x-ca-nonce": "11111111-2222-4333-8444-555555555555",
    "x-ca-signature-method": "HmacSHA256",
    "x-ca-signature-headers": "x-ca-timestamp,x-ca-key,x-ca-nonce,x-ca-signature-method",
}
CALL_SECRET = Secret("test-app-key", "test-app-secret")


def call(**headers: str) -> SignedRequest:
    given = {**CALL, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return SignedRequest("POST", "/scc/comfy_get_progress", (), given, BODY, "", "")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(
            {
                "content_md5": "iElNsbN7dmVISDxqHHxh6w==",
                "x_ca_signature": "bc1a+aXwE5K/XDf9s2KIWx3CFWZjdcQKcKSUxh/hXEQ=",
            },
            id="with digest",
        ),
        pytest.param({"x_ca_signature": "Og5/+2+chDrl9ihrGZvo9zkDgOhKMeahWjmobulYCzk="}, id="without digest"),
    ],
)
def test_digest_authentication_takes_the_known_signatures(headers: dict[str, str]) -> None:
    CaDigest().check(call(**headers), now=1_724_221_351, secret=CALL_SECRET)


@pytest.mark.parametrize(
    ("headers", "now", "condition"),
    [
        pytest.param({}, 1_724_221_351, "credentials-missing", id="no signature"),
        pytest.param({"x_ca_signature": "bm8="}, 1_724_221_351, "signature-wrong", id="wrong signature"),
        pytest.param(
            {"x_ca_signature": "Og5/+2+chDrl9ihrGZvo9zkDgOhKMeahWjmobulYCzk="}, 1_724_223_000, "clock-skewed", id="old"
        ),
        pytest.param({"x_ca_signature": "x", "x_ca_key": "who"}, 1_724_221_351, "credentials-wrong", id="unknown key"),
    ],
)
def test_digest_authentication_refuses(headers: dict[str, str], now: float, condition: str) -> None:
    with pytest.raises(Refused) as refused:
        CaDigest().check(call(**headers), now=now, secret=CALL_SECRET)

    assert refused.value.condition == condition


def test_a_digest_that_does_not_fit_the_body_is_refused_unless_switched_off() -> None:
    signed = {
        "content_md5": "iElNsbN7dmVISDxqHHxh6w==",
        "x_ca_signature": "bc1a+aXwE5K/XDf9s2KIWx3CFWZjdcQKcKSUxh/hXEQ=",
    }
    other = call(**signed)._replace(body=b"{}")

    with pytest.raises(Refused, match="digest-wrong"):
        CaDigest().check(other, now=1_724_221_351, secret=CALL_SECRET)
    CaDigest().check(other._replace(check_digest=False), now=1_724_221_351, secret=CALL_SECRET)


def test_the_digest_of_a_body_is_that_of_its_raw_bytes() -> None:
    assert content_md5(BODY) == "iElNsbN7dmVISDxqHHxh6w=="
