"""The rate that a server grants: what it let in between two moments when nothing was left.

That holds for a bucket, for a window by the clock and for a sliding one, if a stretch is long
enough to hold several windows. What is let in after the door was shut may have been granted before
that: then the rate may be far higher than what came of the whole stretch, and is looked for once.

Pure: every method is told the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

BELOW = 0.98  # of the rate that was measured
SLOWEST = 0.01  # requests a second
SLOW_CREEP = 1 / 5000  # of the rate, for each request since the last refusal,
FAST_CREEP = 1 / 1000  # and the square of this: a rate that was measured too low is left soon
UNSURE_CREEP = 0.1  # of what one request more would have changed
REMEMBERED = 500  # requests let in, that the rate is measured from
RISEN = 1.1  # times the rate, and what was measured before is forgotten
SURE_COUNT = 20  # requests let in, for that
MOSTLY = 0.75  # of a stretch the door was open: its second half tells the rate, too
FALLS, FALLEN = 6, 0.25  # in a row, to this share of the rate before


@dataclass(frozen=True, slots=True)
class Stretch:
    """From one moment when nothing was left to the next, with the moments at which requests were
    sent that were let in. Between `shut_at` and `opened_at` the door opened again.
    """

    began: float
    ended: float
    let_in: Sequence[float]
    shut_at: float
    opened_at: float

    @property
    def refused_scouts(self) -> bool:
        """Whether the door was tried in vain."""
        return self.shut_at > self.began

    @property
    def unsure_seconds(self) -> float:
        """By how much it may have opened sooner, half of the time as a mean."""
        return (self.opened_at - self.shut_at) / 2 if self.refused_scouts else 0.0

    @property
    def seconds(self) -> float:
        return self.ended - self.began - self.unsure_seconds

    @property
    def open_seconds(self) -> float:
        return max(self.ended - self.opened_at, 1e-3)

    @property
    def late_rate(self) -> float:
        """The rate in its second half."""
        middle = self.ended - self.seconds / 2
        return sum(at >= middle for at in self.let_in) / (self.seconds / 2)


class Measured:
    """Requests a second; None while it isn't known."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self._count, self._seconds = 0.0, 0.0  # what was let in, in how long
        self._doubt = UNSURE_CREEP
        self._explored = False
        self._falls, self._highest = 0, 0.0  # of the rate in a row

    def crept(self, since: int) -> float:
        """Return the rate after so many requests without a refusal: there may be room again."""
        assert self.rate is not None
        slope = max(SLOW_CREEP, self._doubt / max(self._count, 1.0))
        return self.rate * (1 + since * slope + (since * FAST_CREEP) ** 2)

    def begin(self, rate: float | None) -> None:
        """Begin anew, by a rate that was found otherwise."""
        self.rate = rate
        self._count = self._seconds = 0.0

    def learn(self, stretch: Stretch) -> None:
        """Learn from a stretch."""
        count, seconds = len(stretch.let_in), stretch.seconds
        self._doubt = UNSURE_CREEP + stretch.unsure_seconds / seconds
        if stretch.open_seconds < seconds / 2 and not self._explored:
            self._explored = True
            self._doubt = 1 + log(seconds / stretch.open_seconds)
        if count >= SURE_COUNT and count / seconds > RISEN * (self.rate or 0.0):
            self._count = self._seconds = 0.0
        self._count += count
        self._seconds += seconds
        if self._count > REMEMBERED:
            self._count, self._seconds = self._count / 2, self._seconds / 2
        if self._count:
            self._take(max(self._of(stretch) * BELOW, SLOWEST))

    def _of(self, stretch: Stretch) -> float:
        """Return the rate of all that is remembered, or of this stretch if it tells another."""
        count, rate = len(stretch.let_in), self._count / self._seconds
        if not stretch.refused_scouts:
            rate = min(rate, (count + 1) / stretch.seconds)
        if count >= SURE_COUNT and stretch.open_seconds > stretch.seconds * MOSTLY:
            rate = max(rate, stretch.late_rate * BELOW)
        return rate

    def _take(self, rate: float) -> None:
        """Take a rate; one that falls and falls is no limit, and is looked for anew."""
        falls = self.rate is not None and rate < self.rate * BELOW
        self._falls = self._falls + 1 if falls else 0
        if not falls:
            self._highest = rate
        self.rate = rate
        if self._falls >= FALLS and rate < self._highest * FALLEN:
            self._falls = 0
            self.begin(None)
