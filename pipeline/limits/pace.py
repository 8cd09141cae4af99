"""The rate of a server that refuses without saying what its limit is.

When it refuses, its bucket is empty; what it admits between two such moments is what has flowed in.
So the second refusal tells the rate, and sending a little below it gets no third. The rate then
creeps up, in case there is room again.

Some servers refuse now and then for no limit at all (a busy replica behind a balancer). Then going
slower doesn't help: the next refusal comes as soon as ever, among requests that are let in. After
a few such storms refusals are taken for strays, which concern their own row only, until they become
the rule.

Pure: every method is told the time.
"""

from __future__ import annotations

BELOW = 0.98  # of the rate that was measured
CREEP = 0.004  # of the rate a second
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
SURE_COUNT = 20  # admitted requests, for a measurement to count
SLOWEST = 0.01  # requests a second
SLACK_SECONDS = 0.02  # that a late wake-up may be made up for
SOON_SECONDS = 2.0  # after a storm: at a rate that was measured, a limit is not met again so soon
FEW = 0.25  # of the replies are refusals: these may be strays
STRAY_STORMS = 3  # such storms in a row, and they are
MEMORY = 0.02  # the weight of each reply in the share of refusals


class Pace:
    """Requests a second; None until there was a refusal. `stray` says that refusals mean nothing
    for other requests.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self.stray = False
        self._next = 0.0
        self._began_at = 0.0  # the stretch that is measured: from the first request or a refusal
        self._empty_at: float | None = None  # to when the first request of the last storm was sent
        self._reacted_at = -1.0
        self._paused_at = -1.0  # when the last storm but one made a pause
        self._admitted = 0  # of the requests sent in this stretch
        self._admitted_since = 0  # and of those sent after it
        self._refused_since = 0
        self._measured = True
        self._sure = False
        self._pause = FIRST_PAUSE_SECONDS
        self._share = 0.0  # of refusals among the latest replies
        self._soon = 0  # storms in a row that came too soon for a limit
        self._admitted_soon = 0  # and what was admitted between them: a rate was measured from it

    def wait(self, now: float) -> float:
        """Say how many seconds until the next request."""
        return max(self._next - now, 0.0) if self.rate else 0.0

    def take(self, now: float) -> None:
        """Send a request."""
        if not self._began_at:
            self._began_at = now
        if self._empty_at is None or self.stray:
            return
        if not self._measured:
            self._measure(self._empty_at - self._began_at)
        if self.rate:
            creep = 1 + CREEP * (now - self._empty_at)
            self._next = max(self._next, now - SLACK_SECONDS) + 1 / (self.rate * creep)

    def admit(self, sent_at: float) -> None:
        """Note that a request was let in."""
        self._share -= self._share * MEMORY
        if self._empty_at is None or sent_at <= self._empty_at:
            self._admitted += 1
        else:
            self._admitted_since += 1
        if sent_at > self._paused_at:
            self._pause = FIRST_PAUSE_SECONDS  # the last pause was long enough

    def refuse(self, now: float, sent_at: float) -> float:
        """Note a refusal; give how many seconds nobody should send."""
        self._share += (1 - self._share) * MEMORY
        if self.stray:
            if self._share < 2 * FEW:
                return 0.0
            self._forget(now)
        if sent_at <= self._reacted_at:
            self._refused_since += sent_at > (self._empty_at or 0.0)
            return 0.0  # it was on its way when the storm began
        if self._came_soon(sent_at):
            return 0.0
        if self._empty_at is not None and self._sure:
            self._began_at, self._admitted = self._empty_at, self._admitted_since
        else:  # too few to tell: the stretch goes on
            self._admitted += self._admitted_since
        self._admitted_since = self._refused_since = 0
        self._paused_at = self._reacted_at
        self._empty_at, self._reacted_at, self._measured = sent_at, now, False
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        return pause

    def _came_soon(self, sent_at: float) -> bool:
        """Judge whether a storm is one of several that no limit explains."""
        if self._empty_at is None or not self.rate:
            return False
        if sent_at - self._reacted_at > max(SOON_SECONDS, SURE_COUNT / self.rate):
            self._soon = self._admitted_soon = 0
            return False
        few = self._refused_since + 1 <= FEW * self._admitted_since
        if few:
            self._soon += 1
            self._admitted_soon += self._admitted_since
        self.stray = (
            few and self._soon >= STRAY_STORMS and self._admitted_soon >= STRAY_STORMS * SURE_COUNT
        )
        if self.stray:
            self.rate = None
            self._share = 0.0
        return self.stray

    def _forget(self, now: float) -> None:
        """Start over: there is a limit after all."""
        self.stray = False
        self._soon = self._admitted_soon = self._admitted = 0
        self._share = 0.0
        self._began_at, self._empty_at, self._reacted_at = now, None, -1.0

    def _measure(self, elapsed_seconds: float) -> None:
        """Take the rate of the last stretch. A refusal comes at once, an answer takes its time: so
        this is done when the pause is over and the answers to all of the stretch have come.
        """
        self._measured = True
        self._sure = self._admitted >= SURE_COUNT and elapsed_seconds > 0
        if self._sure:
            self.rate = max(self._admitted / elapsed_seconds * BELOW, SLOWEST)
