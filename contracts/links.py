"""Links of files as answers give them and clients use them: how long they live, whether they are sent as given."""

from __future__ import annotations

import calendar
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

REMEMBERED = 8192
HIDDEN = "***"
EXPIRES = re.compile(r"(?:^|&)Expires=(\d{9,11})(?:&|$)")
STAMPED = re.compile(r"(?:^|&)X-Amz-Date=(\d{8}T\d{6})Z(?:&|$)")
LASTS = re.compile(r"(?:^|&)X-Amz-Expires=(\d+)(?:&|$)")


@dataclass(frozen=True, slots=True)
class Given:
    """A link as it was given."""

    provider: str
    task: str | None
    link: str
    expires: float | None
    """Unix seconds, if the link says so itself."""


class Links:
    """The links that were given lately; the oldest is forgotten first."""

    def __init__(self) -> None:
        self._given: OrderedDict[str, Given] = OrderedDict()

    def give(self, provider: str, task: str | None, link: str) -> Given:
        split = urlsplit(link)
        given = Given(provider, task, link, expiry(split.query))
        self._given[_key(split.path, split.query)] = given
        if len(self._given) > REMEMBERED:
            self._given.popitem(last=False)
        return given

    def used(self, path: str, query: str) -> Given | None:
        """Return the link that a request is for, whether it was sent as given or not."""
        return self._given.get(_key(path, query))


def as_given(link: str, path: str, query: str) -> bool:
    """Whether a request is for *link* to the letter; a prefix of the path may stand for the mount."""
    split = urlsplit(link)
    if not split.path.endswith(path):
        return False
    if HIDDEN not in query:
        return split.query == query
    # The recording hides the signature, and writes the rest anew.
    given, sent = parse_qsl(split.query), parse_qsl(query)
    return len(given) == len(sent) and all(
        one[0] == other[0] and other[1] in (one[1], HIDDEN) for one, other in zip(given, sent, strict=True)
    )


def expiry(query: str) -> float | None:
    """Return when a signed link ends by its own account, Unix seconds; None if it does not say."""
    if (match := EXPIRES.search(query)) is not None:
        return float(match[1])
    stamped, lasts = STAMPED.search(query), LASTS.search(query)
    if stamped is None or lasts is None:
        return None
    return calendar.timegm(time.strptime(stamped[1], "%Y%m%dT%H%M%S")) + float(lasts[1])


def _key(path: str, query: str) -> str:
    # Which file until when: the signature, which recordings hide, follows from these.
    told = [part for part in unquote(query).split("&") if "ignature=" not in part]
    return f"{unquote(path).rpartition('/')[2]}?{'&'.join(told)}"
