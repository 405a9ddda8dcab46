"""The stage on which a client is tried: the address and key of a world, and the clock it waits by."""

from __future__ import annotations

from mockserver import MockServer


class OutOfTime(BaseException):
    """The client waits for longer than it may; no client should catch this."""


class Stage:
    """What a client is given: where the service is, and how to wait.

    `sleep` and `now` replace those of `time`: waiting turns the clock of the world, and costs nothing.
    """

    def __init__(self, server: MockServer, *, limit: float) -> None:
        self._server, self._limit = server, limit
        self._start = server.clock.now
        self.url = server.url.rstrip("/")
        self.ws_url = server.ws_url.rstrip("/")
        self.api_key = server.api_key
        self.over = False

    def now(self) -> float:
        """Return the world's moment, Unix seconds."""
        return self._server.clock.now

    def sleep(self, seconds: float) -> None:
        """Let virtual seconds pass.

        Raises:
            OutOfTime: the client has waited for longer than it may.
        """
        if self.over or self._server.clock.jump(max(0.0, seconds)) - self._start > self._limit:
            self.over = True
            raise OutOfTime
