"""Addresses of files as the caller can reach them, and the check of the links that come back.

A provider's files lie in a store (`schemas/_stores/<name>`), which stands below the provider's own address at
`/_files/<bucket>/<key>`, or at its real host name for callers who came by the provider's real name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from mockserver.provider.model import Provider
from mockserver.storage import recipe
from mockserver.storage.signing import SCHEMES, Secret, SignedRequest

FILES = "/_files"


class Store(NamedTuple):
    """The object store of one provider in one world."""

    provider: Provider
    bucket: str
    secret: Secret
    any_media: bool = False
    """Links for uploads take any media type, where a signature usually binds one."""
    signed_by: str | None = None
    """The security scheme that signs its links; None for its first."""
    public: bool = False
    """Everyone may read by the plain address."""

    @property
    def scheme(self) -> str:
        """The signing procedure of its links: the `x-scheme` of that security scheme."""
        schemes = self.provider.security_schemes
        return str(schemes[self.signed_by or next(iter(schemes))]["x-scheme"])

    @property
    def host(self) -> str:
        """Its real host name."""
        default = self.provider.server.get("bucket", "")
        return self.provider.hosts[0].replace(default, self.bucket, 1)

    def check(self, request: SignedRequest, *, now: float) -> None:
        """Raise `Refused` unless the link was made by us, for this, and is still alive."""
        if self.any_media and request.method == "PUT":
            headers = {name: value for name, value in request.headers.items() if name != "content-type"}
            request = request._replace(headers=headers)
        given = dict(request.query)
        found = [scheme for scheme in self.provider.security_schemes.values() if scheme["name"] in given]
        procedure = str(found[0]["x-scheme"]) if found else self.scheme
        if self.public and not found and request.method in ("GET", "HEAD"):
            return
        SCHEMES[procedure].check(request, now=now, secret=self.secret)


class StoreLinks:
    """Makes links for one caller.

    Args:
        base: gives the address by which the store is reached, ending in `/`; asked when the first link is made.
    """

    __slots__ = ("_base", "_find", "store")

    def __init__(self, store: Store, base: Callable[[], str]) -> None:
        self.store, self._find = store, base
        self._base: str | None = None

    @property
    def base(self) -> str:
        if self._base is None:
            self._base = self._find()
        return self._base

    def plain(self, file: Any) -> str:
        return self.base + quote(file.key)

    def signed(self, file: Any, *, lifetime: float, process: str | None, at: float) -> str:
        if file.task is not None and file.task.outlook.results == "expired":
            # Made so long ago that it has just run out.
            at -= lifetime + 1
        return SCHEMES[self.store.scheme].link(
            "GET", self.base, self.store.bucket, file.key,
            expires=int(at + lifetime), now=at, secret=self.store.secret, process=recipe.command(process) or None,
        )  # fmt: skip

    def upload(self, file: Any, *, lifetime: float, at: float) -> str:
        return SCHEMES[self.store.scheme].link(
            "PUT", self.base, self.store.bucket, file.key,
            expires=int(at + lifetime), now=at, secret=self.store.secret,
            content_type=None if self.store.any_media else file.media,
        )  # fmt: skip
