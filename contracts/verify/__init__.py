"""Verifying a server: the documented examples, spoiled requests, and random walks by what its answers name.

All that is sent comes from the provider's folder; what comes back is judged like any recording, the client's conduct
apart. Tasks may cost money: no more are submitted than allowed, not even to shorten a walk. What is not about tasks and
files (endpoints, releases, ...) is changed on this machine only.

    drafts.py    requests made from schemas: fitting, spoiled, at their bounds
    target.py    the server: sends, follows feeds, waits, keeps what crossed the wire
    walking.py   Hypothesis's state machine
    report.py    the shortest way to a breach, as curl lines and as a file for pytest
"""

from __future__ import annotations

from contracts.verify.drafts import Call
from contracts.verify.report import report
from contracts.verify.target import KEY, Clock, Target, allowed, clock_of, likely_key, opened
from contracts.verify.walking import Verified, verify, walk

__all__ = [
    "KEY",
    "Call",
    "Clock",
    "Target",
    "Verified",
    "allowed",
    "clock_of",
    "likely_key",
    "opened",
    "report",
    "verify",
    "walk",
]
