"""Who calls: credentials taken from a request as the provider's security schemes say, and checked.

Any well-formed key is accepted unless keys are configured; a missing or malformed one is always refused. A well-formed
key is what the scheme's `x-key` schema admits.
"""

from __future__ import annotations

import functools
import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mockserver.errors import Refused
from mockserver.provider import conditions
from mockserver.provider.model import Provider
from mockserver.storage.signing import SCHEMES, Secret, SignedRequest, content_md5
from mockserver.web.head import Head

KNOWN_KEYS = 256
"""Keys that are not looked at again when they come again."""
# How long a value that counts once is remembered where timestamps are not looked at; the vendor's window.
_NONCE_WINDOW = 900.0


def key_reader(provider: Provider, security: Sequence[Sequence[str]]) -> Callable[[Head], str | None]:
    """Compile how calls carry their key; what is returned gives it, or None where the operation needs none.

    It raises `Refused` (`credentials-missing` or `credentials-wrong`) with the fact `header.name`.
    """
    alternatives = [[_scheme_reader(provider.security_schemes[name]) for name in names] for names in security]
    if not alternatives:
        return lambda head: None
    if len(alternatives) == 1 and len(alternatives[0]) == 1:
        return alternatives[0][0]

    def read(head: Head) -> str | None:
        first: Refused | None = None
        for alternative in alternatives:
            try:
                keys = [key(head) for key in alternative]
            except Refused as refused:
                first = first or refused
                continue
            return keys[0] if keys else None
        assert first is not None
        raise first

    return read


@dataclass(frozen=True)
class Procedure:
    """How calls are signed: an `x-scheme` on a security scheme, with its options."""

    scheme: str
    header: str
    """Carries the id of the key."""
    window: float | None
    """Seconds a signed timestamp may be off; None for any."""
    once: str | None
    """Header whose value counts only once within the window."""
    digest: str | None
    """Header that must fit the body."""

    def key(self, request: SignedRequest, secrets: Mapping[str, str], used: Nonces, *, now: float) -> str | None:
        """Return the id of the key that signed a call, None for a call without one where no secret is known.

        Args:
            secrets: id -> secret of the keys that have one. While there are none, no signature is asked for.
            used: what was used up before.
            now: the real moment of the call's arrival: clients sign with their own clocks.

        Raises:
            Refused: `credentials-missing`, `credentials-wrong`, `signature-wrong`, `clock-skewed`, `nonce-reused`.
        """
        id = request.headers.get(self.header) or None
        if not secrets:
            return id
        if id is None:
            raise Refused("credentials-missing", {"header.name": self.header})
        if id not in secrets:
            return id
        bare = request._replace(tolerance=self.window, check_digest=False)
        SCHEMES[self.scheme].check(bare, now=now, secret=Secret(id, secrets[id]))
        nonce = request.headers.get(self.once) if self.once else None
        if nonce is not None and not used.use(f"{id}/{nonce}", now=now, window=self.window or _NONCE_WINDOW):
            raise Refused("nonce-reused", {"header.name": self.once})
        return id

    def check_digest(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raise `Refused("digest-wrong")` where a digest was sent that is not the body's."""
        given = headers.get(self.digest) if self.digest else None
        if given and given != content_md5(body):
            raise Refused("digest-wrong", {"header.name": self.digest})


class Nonces:
    """Values that count once. Forgets those of before the window, and the oldest of too many."""

    def __init__(self, most: int = 100_000) -> None:
        self._used: dict[str, float] = {}
        self._most = most

    def use(self, value: str, *, now: float, window: float) -> bool:
        """Use *value* up at the moment *now*; false if it was used within *window* seconds."""
        used = self._used
        while used and next(iter(used.values())) < now - window:
            del used[next(iter(used))]
        if value in used:
            return False
        if len(used) >= self._most:
            del used[next(iter(used))]
        used[value] = now
        return True


@functools.cache
def _procedure(scheme: str, header: str, options: str) -> Procedure:
    wanted = json.loads(options)
    return Procedure(scheme, header.lower(), wanted.get("window"), wanted.get("once"), wanted.get("digest"))


def procedure_of(provider: Provider, security: Sequence[Sequence[str]]) -> Procedure | None:
    """Return how the calls of an operation are signed; None where they carry a key as it is."""
    for alternative in security:
        for name in alternative:
            scheme = provider.security_schemes[name]
            if "x-scheme" in scheme:
                named = scheme["x-scheme"]
                options = {} if isinstance(named, str) else next(iter(named.values()))
                return _procedure(scheme_of(scheme), scheme["name"], json.dumps(options))
    return None


def scheme_of(scheme: Mapping[str, Any]) -> str:
    """Return the name of the procedure of a signing security scheme."""
    named = scheme["x-scheme"]
    return named if isinstance(named, str) else str(next(iter(named)))


def check_origin(wire: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Refuse pages of other sites, as ComfyUI does where it stands at an address of this machine.

    Args:
        wire: the provider's habits; `origin` says whether to refuse, and whether the browser's word for it counts.

    Raises:
        Refused: `origin-refused`.

    Source: ComfyUI's `create_origin_only_middleware`.
    """
    habit = wire.get("origin")
    if habit not in ("same", "host"):
        return
    if habit == "same" and headers.get("sec-fetch-site") == "cross-site":
        raise Refused("origin-refused")
    host, origin = headers.get("host", "").lower(), urlsplit(headers.get("origin", "")).netloc.lower()
    if not host or not origin or not _is_loopback(urlsplit(f"//{host}").hostname or ""):
        return
    # Where one of the two names no port, neither port counts.
    if urlsplit(f"//{origin}").port is None:
        host = urlsplit(f"//{host}").hostname or ""
    elif urlsplit(f"//{host}").port is None:
        origin = urlsplit(f"//{origin}").hostname or ""
    if host != origin:
        raise Refused("origin-refused")


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_token(token: str, secret: str, *, now: float) -> None:
    """Check a token of ours: its signature, and its `exp` on the world's clock.

    Raises:
        Refused: `token-wrong` or `token-expired`.
    """
    import jwt

    try:
        claims = jwt.decode(token, secret, algorithms=["HS256"], options={"verify_exp": False, "verify_aud": False})
    except jwt.InvalidTokenError:
        raise Refused("token-wrong") from None
    if float(claims.get("exp", now)) < now:
        raise Refused("token-expired")


def _scheme_reader(scheme: Mapping[str, Any]) -> Callable[[Head], str]:
    """Compile how one security scheme takes its key out of a call."""
    name = "Authorization" if scheme["type"] == "http" else str(scheme["name"])
    kind = scheme["scheme"].lower() if scheme["type"] == "http" else None
    in_header, header = kind is not None or scheme["in"] == "header", name.lower()
    well_formed = conditions.fits(scheme["x-key"]) if "x-key" in scheme else None

    @functools.lru_cache(maxsize=KNOWN_KEYS)
    def key(given: str | None) -> str:
        if given is not None and kind is not None:
            said, _, given = given.strip().partition(" ")
            given = given.strip()
            if said.lower() != kind or not given:
                raise Refused("credentials-wrong", {"header.name": name})
        if not given:
            raise Refused("credentials-missing", {"header.name": name})
        if well_formed is not None and not well_formed(given):
            raise Refused("credentials-wrong", {"header.name": name})
        return given

    if in_header:
        return lambda head: key(head.headers.get(header))
    return lambda head: key(dict(head.query).get(name))
