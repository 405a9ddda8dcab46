"""Signatures of links and calls: the procedures that `x-scheme` names.

A *link scheme* makes links that expire and checks them when they come back; a *call scheme* checks signed headers.
Nothing here knows a clock: `now` is Unix seconds, handed in. Sources: Alibaba Cloud OSS "Add signatures to URLs" (V1)
and its Go SDK; Amazon S3 "Signing and authenticating REST requests" (V2) and "Authenticating requests: using query
parameters" (V4); Alibaba Cloud API Gateway "digest authentication".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple, Protocol
from urllib.parse import quote

from mockserver.errors import Refused


class Secret(NamedTuple):
    """A pair of access key id and secret."""

    key_id: str
    secret: str


class SignedRequest(NamedTuple):
    """A request as its signature sees it. `query` values are decoded, header names lower case, `key` decoded."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    bucket: str
    key: str
    host: str = ""
    check_digest: bool = True
    """Whether a `content-md5` that does not fit the body is refused."""
    tolerance: float | None = 900.0
    """Seconds that a signed timestamp may be off; None for any."""


class Scheme(Protocol):
    """One signing procedure."""

    def link(
        self,
        verb: str,
        base_url: str,
        bucket: str,
        key: str,
        *,
        expires: int,
        now: float,
        secret: Secret,
        process: str | None = None,
        content_type: str | None = None,
    ) -> str:
        """Return a link to *key* that lives until *expires* (Unix seconds); *base_url* ends in a slash."""
        ...

    def check(self, request: SignedRequest, *, now: float, secret: Secret) -> None:
        """Raise `Refused` unless the signature is right and alive."""
        ...


# OSS signs these query parameters together with the path; the rest of the query is free.
OSS_SUBRESOURCES = frozenset(
    {
        "x-oss-process",
        "response-content-type",
        "response-content-language",
        "response-cache-control",
        "response-content-encoding",
        "response-content-disposition",
        "response-expires",
        "security-token",
        "versionId",
        "callback",
        "callback-var",
    }
)


class OssV1:
    """Alibaba Cloud OSS, URL signature V1, written as the vendor's Go SDK writes it."""

    def link(
        self, verb: str, base_url: str, bucket: str, key: str, *, expires: int, now: float, secret: Secret,
        process: str | None = None, content_type: str | None = None,
    ) -> str:  # fmt: skip
        signed = {"x-oss-process": process} if process else {}
        text = oss_string_to_sign(verb, bucket, key, str(expires), content_type=content_type or "", signed=signed)
        parameters = {
            "Expires": str(expires),
            "OSSAccessKeyId": secret.key_id,
            "Signature": _hmac(secret.secret, text, "sha1"),
            **signed,
        }
        return f"{base_url}{quote(key, safe='')}?" + _query(parameters)

    def check(self, request: SignedRequest, *, now: float, secret: Secret) -> None:
        given = dict(request.query)
        # The gateway names the first that is missing.
        for name in ("OSSAccessKeyId", "Expires", "Signature"):
            if not given.get(name):
                raise Refused("credentials-missing", {"header.name": name})
        expires = given["Expires"]
        if not _whole(expires):
            raise Refused("credentials-wrong", {"header.name": "Expires"})
        if given["OSSAccessKeyId"] != secret.key_id:
            raise Refused(
                "credentials-wrong", {"header.name": "OSSAccessKeyId", "signature.key": given["OSSAccessKeyId"]}
            )
        if int(expires) < now:
            raise Refused("link-expired", {"link.expired": int(expires), "link.now": now})
        signed = {name: value for name, value in given.items() if name in OSS_SUBRESOURCES}
        text = oss_string_to_sign(
            request.method, request.bucket, request.key, expires,
            content_md5=request.headers.get("content-md5", ""),
            content_type=request.headers.get("content-type", "") if request.method == "PUT" else "",
            signed=signed,
        )  # fmt: skip
        _compare(given["Signature"], _hmac(secret.secret, text, "sha1"), text, secret)


def oss_string_to_sign(
    verb: str, bucket: str, key: str, expires: str, *, content_md5: str = "", content_type: str = "",
    signed: Mapping[str, str] = {},
) -> str:  # fmt: skip
    """Return the text that V1 signs; *signed* are the sub-resources of the query."""
    resource = f"/{bucket}/{key}"
    if signed:
        resource += "?" + "&".join(f"{name}={value}" if value else name for name, value in sorted(signed.items()))
    return f"{verb}\n{content_md5}\n{content_type}\n{expires}\n{resource}"


class S3V2:
    """Amazon S3, query string authentication of the older form, as boto3 writes it with a session token."""

    def link(
        self, verb: str, base_url: str, bucket: str, key: str, *, expires: int, now: float, secret: Secret,
        process: str | None = None, content_type: str | None = None,
    ) -> str:  # fmt: skip
        token = _session_token(secret)
        parameters = {"AWSAccessKeyId": secret.key_id, "x-amz-security-token": token, "Expires": str(expires)}
        text = self._text(verb, bucket, key, str(expires), token, content_type or "")
        signature = _hmac(secret.secret, text, "sha1")
        ordered = {
            "AWSAccessKeyId": parameters["AWSAccessKeyId"],
            "Signature": signature,
            "x-amz-security-token": token,
            "Expires": str(expires),
        }
        return f"{base_url}{quote(key)}?" + _query(ordered)

    def check(self, request: SignedRequest, *, now: float, secret: Secret) -> None:
        given = dict(request.query)
        for name in ("AWSAccessKeyId", "Signature", "Expires"):
            if not given.get(name):
                raise Refused("credentials-missing", {"header.name": name})
        expires = given["Expires"]
        if not _whole(expires):
            raise Refused("credentials-wrong", {"header.name": "Expires"})
        if given["AWSAccessKeyId"] != secret.key_id:
            raise Refused(
                "credentials-wrong", {"header.name": "AWSAccessKeyId", "signature.key": given["AWSAccessKeyId"]}
            )
        if int(expires) < now:
            raise Refused("link-expired", {"link.expired": int(expires), "link.now": now})
        kind = request.headers.get("content-type", "") if request.method == "PUT" else ""
        text = self._text(
            request.method, request.bucket, request.key, expires, given.get("x-amz-security-token", ""), kind
        )
        _compare(given["Signature"], _hmac(secret.secret, text, "sha1"), text, secret)

    def _text(self, verb: str, bucket: str, key: str, expires: str, token: str, content_type: str) -> str:
        amz = f"x-amz-security-token:{token}\n" if token else ""
        return f"{verb}\n\n{content_type}\n{expires}\n{amz}/{bucket}/{quote(key)}"


class S3V4:
    """Amazon S3, presigned URLs of Signature Version 4; `host` is the only signed header."""

    region = "us-east-1"

    def link(
        self, verb: str, base_url: str, bucket: str, key: str, *, expires: int, now: float, secret: Secret,
        process: str | None = None, content_type: str | None = None,
    ) -> str:  # fmt: skip
        stamp = datetime.fromtimestamp(int(now), UTC).strftime("%Y%m%dT%H%M%SZ")
        parameters = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{secret.key_id}/{self._day_scope(stamp)}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(max(1, expires - int(now))),
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Security-Token": _session_token(secret),
        }
        signature, _ = self._sign(verb, bucket, key, parameters, secret)
        return f"{base_url}{quote(key)}?" + _query({**parameters, "X-Amz-Signature": signature})

    def check(self, request: SignedRequest, *, now: float, secret: Secret) -> None:
        given = dict(request.query)
        names = (
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Date",
            "X-Amz-Expires",
            "X-Amz-SignedHeaders",
            "X-Amz-Signature",
        )
        for name in names:
            if not given.get(name):
                raise Refused("credentials-missing", {"header.name": name})
        try:
            made = datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
            expires = made + int(given["X-Amz-Expires"])
        except ValueError:
            raise Refused("credentials-wrong", {"header.name": "X-Amz-Date"}) from None
        if given["X-Amz-Credential"].partition("/")[0] != secret.key_id:
            key_id = given["X-Amz-Credential"].partition("/")[0]
            raise Refused("credentials-wrong", {"header.name": "X-Amz-Credential", "signature.key": key_id})
        if expires < now:
            raise Refused("link-expired", {"link.expired": expires, "link.now": now})
        parameters = {name: value for name, value in given.items() if name != "X-Amz-Signature"}
        signature, text = self._sign(request.method, request.bucket, request.key, parameters, secret)
        _compare(given["X-Amz-Signature"], signature, text, secret)

    def _day_scope(self, stamp: str) -> str:
        return f"{stamp[:8]}/{self.region}/s3/aws4_request"

    def _sign(self, verb: str, bucket: str, key: str, parameters: Mapping[str, str], secret: Secret) -> tuple[str, str]:
        stamp = parameters["X-Amz-Date"]
        query = "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(parameters.items())
        )
        # The name in the text is the bucket's own, by whatever address the emulator is reached.
        canonical = f"{verb}\n/{quote(key)}\n{query}\nhost:{bucket}.s3.amazonaws.com\n\nhost\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{self._day_scope(stamp)}\n{digest}"
        signing_key = f"AWS4{secret.secret}".encode()
        for part in (stamp[:8], self.region, "s3", "aws4_request"):
            signing_key = hmac.new(signing_key, part.encode(), hashlib.sha256).digest()
        return hmac.new(signing_key, text.encode(), hashlib.sha256).hexdigest(), text


class CaDigest:
    """Alibaba Cloud API Gateway, digest authentication: signed headers of a call. Makes no links."""

    required = ("x-ca-key", "x-ca-signature")

    def link(
        self, verb: str, base_url: str, bucket: str, key: str, *, expires: int, now: float, secret: Secret,
        process: str | None = None, content_type: str | None = None,
    ) -> str:  # fmt: skip
        raise NotImplementedError("digest authentication signs calls, not links")

    def check(self, request: SignedRequest, *, now: float, secret: Secret) -> None:
        """Check the signature, the timestamp against *now*, and the digest of the body; replay is the caller's."""
        headers = request.headers
        for name in self.required:
            if not headers.get(name):
                raise Refused("credentials-missing", {"header.name": name})
        if headers["x-ca-key"] != secret.key_id:
            raise Refused("credentials-wrong", {"header.name": "x-ca-key", "signature.key": headers["x-ca-key"]})
        text = self.string_to_sign(request)
        algorithm = "sha1" if headers.get("x-ca-signature-method") == "HmacSHA1" else "sha256"
        _compare(headers["x-ca-signature"], _hmac(secret.secret, text, algorithm), text, secret)
        stamp = headers.get("x-ca-timestamp")
        if stamp is not None and not _whole(stamp):
            raise Refused("credentials-wrong", {"header.name": "x-ca-timestamp"})
        if stamp and request.tolerance is not None and abs(int(stamp) / 1000 - now) > request.tolerance:
            raise Refused("clock-skewed", {"header.name": "x-ca-timestamp"})
        digest = headers.get("content-md5")
        if request.check_digest and digest and digest != content_md5(request.body):
            raise Refused("digest-wrong", {"header.name": "content-md5"})

    def string_to_sign(self, request: SignedRequest) -> str:
        """Return the signed text, from the header values received."""
        headers = request.headers
        named = [name.strip().lower() for name in headers.get("x-ca-signature-headers", "").split(",") if name.strip()]
        query = "&".join(f"{name}={value}" if value else name for name, value in sorted(request.query))
        return "\n".join(
            [
                request.method,
                headers.get("accept", ""),
                headers.get("content-md5", ""),
                headers.get("content-type", ""),
                headers.get("date", ""),
                *(f"{name}:{headers.get(name, '')}" for name in sorted(named)),
                request.path + (f"?{query}" if query else ""),
            ]
        )


SCHEMES: dict[str, Scheme] = {"oss-v1": OssV1(), "s3-v2": S3V2(), "s3-v4": S3V4(), "ca-digest": CaDigest()}
"""`x-scheme` -> procedure."""


def content_md5(body: bytes) -> str:
    """Return the value of a `Content-MD5` header for *body*."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _hmac(secret: str, text: str, algorithm: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), algorithm).digest()).decode()


def _compare(given: str, right: str, text: str, secret: Secret) -> None:
    # Links that a client has percent-decoded as a whole carry spaces where the signature had plus signs.
    if not hmac.compare_digest(given.replace(" ", "+").encode(), right.encode()):
        facts = {"signature.text": text, "signature.given": given, "signature.key": secret.key_id}
        raise Refused("signature-wrong", facts)


def _whole(text: str) -> bool:
    """Whether *text* is a count in ASCII digits, short enough to be a moment; `str.isdigit` takes ² too."""
    return text.isascii() and text.isdigit() and len(text) <= 18


def _query(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())


def _session_token(secret: Secret) -> str:
    """A token that looks like those of temporary credentials, fixed for one key."""
    return base64.b64encode(hashlib.sha256(f"token/{secret.key_id}".encode()).digest()).decode()
