"""The rate of a server that refuses without saying what its limit is.

When it refuses, its bucket is empty; what it admits between two such moments is what has flowed in.
So the second refusal tells the rate, and sending a little below it gets no third. The rate then
creeps up, in case there is room again.

Pure: every method is told the time.
"""

from __future__ import annotations

BELOW = 0.98  # of the rate that was measured
CREEP = 0.004  # of the rate a second
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
SURE_COUNT = 10  # admitted requests, for a measurement to count


class Pace:
    """Requests a second; None until there was a refusal."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self._next = 0.0
        self._empty_at: float | None = None  # when the first request of the last storm was sent
        self._reacted_at = 0.0
        self._first_at: float | None = None
        self._admitted = 0
        self._pause = FIRST_PAUSE_SECONDS

    def wait(self, now: float) -> float:
        """Say how many seconds until the next request."""
        return max(self._next - now, 0.0) if self.rate else 0.0

    def take(self, now: float) -> None:
        """Send a request."""
        if self._first_at is None:
            self._first_at = now
        if self.rate:
            since = now - (self._empty_at or now)
            self._next = max(self._next, now - 0.02) + 1 / (self.rate * (1 + CREEP * since))

    def admit(self, sent_at: float) -> None:
        """Note that a request was let in."""
        if self._empty_at is None or sent_at > self._empty_at:
            self._admitted += 1
            self._pause = FIRST_PAUSE_SECONDS

    def refuse(self, now: float, sent_at: float) -> float:
        """Note a refusal; give how many seconds nobody should send."""
        if sent_at <= self._reacted_at:
            return 0.0  # it was on its way when the storm began
        began = self._first_at if self._empty_at is None else self._empty_at
        elapsed = sent_at - (sent_at if began is None else began)
        if self._admitted >= SURE_COUNT and elapsed > 0:
            self.rate = max(self._admitted / elapsed * BELOW, 0.01)
        elif self.rate:
            self.rate /= 2
        self._empty_at, self._reacted_at, self._admitted = sent_at, now, 0
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        return pause
