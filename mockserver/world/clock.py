"""The world's clock: turns real seconds, which callers hand in, into moments of the world.

Knows nothing of events. Real time is any clock that never goes back (the caller's monotonic seconds); the world's
moments are Unix seconds. `rate` 1 is real, 60 is fast, 0 stands still and is turned by hand with `jump` and `move_to`.
"""

from __future__ import annotations

from math import inf, isfinite

from mockserver.errors import UserError

FASTEST = 1_000_000
"""Virtual seconds per real second; above this the end of the calendar is near."""


class Clock:
    """A clock that never goes back, whatever its caller's does.

    Args:
        start: the moment it shows at *real_origin*, Unix seconds.
        rate: virtual seconds per real second; 0 is a clock turned by hand.
        real_origin: real seconds at which it shows *start*.
    """

    __slots__ = ("_real", "_virtual", "rate", "start")

    def __init__(self, start: float, rate: float = 1.0, real_origin: float = 0.0) -> None:
        self.start = start
        self.rate = _checked(rate)
        self._virtual = start
        self._real = real_origin

    def virtual(self, real: float) -> float:
        """Return the moment shown at *real*; before the latest change of the clock, that change's moment."""
        return self._virtual + max(0.0, real - self._real) * self.rate

    def real_until(self, virtual: float, real: float) -> float:
        """Return how many real seconds from *real* to wait for *virtual*: 0 if it has come, `inf` if it never does."""
        behind = virtual - self.virtual(real)
        if behind <= 0:
            return 0.0
        return behind / self.rate if self.rate else inf

    def set_rate(self, rate: float, real: float) -> None:
        """Go on at *rate* from the moment shown at *real*."""
        checked = _checked(rate)
        self.move_to(self.virtual(real), real)
        self.rate = checked

    def jump(self, seconds: float, real: float) -> float:
        """Move forward by virtual *seconds*; return the moment shown then."""
        if not (seconds >= 0 and isfinite(seconds)):
            raise UserError(f"a jump of {seconds!r} seconds: the clock only goes forward; give 0 or more")
        return self.move_to(self.virtual(real) + seconds, real)

    def move_to(self, virtual: float, real: float) -> float:
        """Show *virtual* at *real*, or stay where that has passed; return the moment shown then."""
        self._virtual = max(virtual, self.virtual(real))
        self._real = max(real, self._real)
        return self._virtual


def _checked(rate: float) -> float:
    if not 0 <= rate <= FASTEST:
        raise UserError(f"clock rate {rate!r}: give 0 (turned by hand), 1 (real) or more, at most {FASTEST:,}")
    return rate
