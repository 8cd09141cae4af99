"""The server's limit as its refusals show it, whatever it says.

When it refuses, its grant is used up; what it lets in between two such moments is what it grants in
that time. That holds for buckets and for windows. So the second storm of refusals tells the rate,
and sending a little below it gets no third. The rate then creeps up, in case there is room again.
If the server twice let in the same number at once, and nothing for a while after, it has windows:
then that number is sent at once, and again when the first of it is as old as a window.

After a storm, before anything is known, requests are scouts: a few at a time, more as more are let
in. Each is taken for let in when it wasn't refused for a while.

Some servers refuse now and then for no limit at all (a busy replica behind a balancer). Then those
sent in the same moment are let in, and going slower doesn't help. Such refusals are strays: they
concern their own row only, until they become the rule.

Pure: every method is told the time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice

BELOW = 0.98  # of the rate that was measured
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
PAUSE_GROWTH = 1.5
SURE_COUNT = 20  # admitted requests, for a measurement to count
SCOUTS = 0.25  # of those let in since the door opened again may be on trial, and one more
SLOWEST = 0.01  # requests a second
SLACK_SECONDS = 0.02  # that a late wake-up may be made up for
SLOW_CREEP = 1 / 5000  # of the rate, for each request since the last refusal,
FAST_CREEP = 1 / 1000  # and the square of this: a rate that was measured too low is left soon
FALLEN = 0.8  # of the rate before, a rate has fallen
FALLS = 2  # in a row, with few refusals, and they are strays
ALIKE = 0.1  # is how much the numbers of two windows may differ
FEW = 0.4  # of those beside it are refused: a refusal may be a stray
MANY = 0.6  # of the replies are refusals, and there is a limit after all
BESIDE = 4  # requests sent just after one that was refused, to tell whether it is a stray
SECOND_LOOKS = 2  # storms of which none was sent just after are looked at so, too
STRAY_COUNT = 40  # requests let in between storms that no limit explains, and they are strays
MEMORY = 0.05  # the weight of each reply in the share of refusals
JUDGE_SECONDS = 0.03  # at the least, for the other refusals of a storm to arrive
KEPT = 20_000  # requests


@dataclass(slots=True)
class Sent:
    """A request on its way; it is taken for let in until it is refused."""

    at: float
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """From one moment when nothing was left to the next, and what was let in."""

    count: int
    seconds: float
    open_seconds: float  # from the first that was let in

    @property
    def closes(self) -> bool:
        """Whether the server let nothing in for most of the time."""
        return self.open_seconds < self.seconds / 2

    def like(self, other: Stretch | None) -> bool:
        """Say whether two are windows of the same size."""
        return other is not None and abs(self.count - other.count) <= ALIKE * self.count


class Pace:
    """How fast to send. `stray` says that refusals mean nothing for other requests."""

    def __init__(self) -> None:
        self.stray = False
        self.rate: float | None = None  # requests a second
        self.windows: Stretch | None = None  # or so many in such a time
        self._log: deque[Sent] = deque(maxlen=KEPT)
        self._recent: deque[Sent] = deque()  # what was sent in the last window
        self._next = 0.0
        self._since = 0  # requests since the last storm
        self._empty_at: float | None = None  # when the stretch began: nothing was left
        self._first: float | None = None  # when the first refused one of the storm was sent
        self._reacted_at = -1.0
        self._until = 0.0
        self._judge_at: float | None = None  # the storm is still to be judged
        self._pause = FIRST_PAUSE_SECONDS
        self._trial_seconds = 0.0  # after so long without a refusal, a request was let in
        self._closed: Stretch | None = None  # the last stretch that may have been a window
        self._share = 0.0  # of refusals among the latest replies
        self._beside = [0.0, 0.0]  # of those sent just after a refused one: let in, refused
        self._falls = 0  # of the measured rate in a row: going slower doesn't help
        self._soon = 0  # requests let in between storms that came though the pace was kept
        self._doubt = STRAY_COUNT
        self._looks = SECOND_LOOKS
        self._witnesses = 0  # that may be sent to see whether all are refused
        self._jitter_seconds = 0.0  # by which requests may overtake each other

    @property
    def judging(self) -> bool:
        """Whether it is still open what the last refusals mean."""
        return self._judge_at is not None

    @property
    def limited(self) -> bool:
        """Whether a limit is known."""
        return self._first is not None and not self.stray

    def wait(self, now: float) -> float:
        """Say how many seconds until the next request."""
        if self._judge_at is not None and now >= self._judge_at:
            self._judge(now)
        if self._judge_at is not None:
            return 0.0 if self._witnesses else self._judge_at - now
        if self.stray:
            return 0.0
        return max(self._until - now, self._next - now, self._full(now), 0.0)

    def _full(self, now: float) -> float:
        """Say how long until a window has room again."""
        if self.windows is None:
            return 0.0
        while self._recent and (
            self._recent[0].refused or self._recent[0].at <= now - self.windows.seconds
        ):
            self._recent.popleft()
        if len(self._recent) < self.windows.count:
            return 0.0
        return self._recent[0].at + self.windows.seconds - now

    def held(self, now: float) -> float:
        """Say for how many seconds the server has nobody let through."""
        return max(self._until - now, 0.0)

    def take(self, now: float) -> Sent:
        """Send a request."""
        sent = Sent(now)
        self._log.append(sent)
        self._since += 1
        if self.judging:
            self._witnesses -= 1
            self._reacted_at = now
        elif self.windows is not None:
            self._recent.append(sent)
        elif self.rate is not None:
            creep = 1 + self._since * SLOW_CREEP + (self._since * FAST_CREEP) ** 2
            self._next = max(self._next, now - SLACK_SECONDS) + 1 / (self.rate * creep)
        elif self.limited:
            self._next = now + self._trial_seconds / (1 + self._since * SCOUTS)
        return sent

    def admit(self, sent: Sent) -> None:
        """Note that a request was let in."""
        self._share -= self._share * MEMORY

    def refuse(
        self, now: float, sent: Sent, asked_seconds: float | None, *, alone: bool = False
    ) -> bool:
        """Note a refusal; say whether it begins a storm. If nothing else is in flight (`alone`),
        nothing more will tell what it means.
        """
        sent.refused = True
        self._share += (1 - self._share) * MEMORY
        if self.stray:
            if self._share < MANY:
                return False
            self._forget()
        if self._first is not None and sent.at <= self._reacted_at:
            if self.judging:
                self._first = min(self._first, sent.at)
                self._until = max(self._until, now + (asked_seconds or 0.0))
            return False
        beside = sum(each.at > sent.at for each in islice(reversed(self._log), BESIDE))
        known = self.rate is not None or self.windows is not None
        self._witnesses = 0
        if not known and beside >= BESIDE / 2:
            self._witnesses = BESIDE
        elif not known and self._looks:
            self._witnesses, self._looks = BESIDE, self._looks - 1
        self._jitter_seconds = (now - sent.at) / 2
        self._first, self._reacted_at = sent.at, now
        self._trial_seconds = max(JUDGE_SECONDS, 2 * (now - sent.at))
        self._judge_at = now + self._trial_seconds
        self._until = now + (self._pause if asked_seconds is None else asked_seconds)
        if alone:
            self._judge(now)
        return True

    def _judge(self, now: float) -> None:
        """Decide what a storm means, when all of its refusals have come."""
        self._judge_at, self._witnesses = None, 0
        since, self._since = self._since, 0
        if self._strays(since):
            self.stray, self.rate, self.windows = True, None, None
            self._share, self._soon, self._falls = FEW / 2, 0, 0
        else:
            self._measure()

    def _strays(self, since: int) -> bool:
        """Tell strays from a limit: of a limit, those that were sent just after are refused too."""
        assert self._first is not None
        after = self._first + self._jitter_seconds
        beside = [each.refused for each in self._log if after < each.at <= self._reacted_at]
        let_in, refused = self._beside
        let_in, refused = let_in / 2 + beside.count(False), refused / 2 + beside.count(True)
        self._beside = [let_in, refused]
        if let_in + refused >= BESIDE and refused <= FEW * (let_in + refused):
            return True
        lone = sum(beside) + 1 <= SCOUTS * since
        kept = self.windows is not None and since < self.windows.count / 2
        kept = kept or (self.rate is not None and since < SURE_COUNT + 2 * self.rate)
        self._soon = self._soon + since if kept and lone else 0
        return self._soon >= self._doubt or self._falls >= FALLS

    def _measure(self) -> None:
        """Learn from what was let in since the last storm."""
        first, before = self._first, self._empty_at
        assert first is not None
        let_in = [
            each.at
            for each in self._log
            if not each.refused and each.at < first and (before is None or each.at >= before)
        ]
        if before is None:
            self._empty_at = first
        elif len(let_in) >= SURE_COUNT:
            self._empty_at = first
            self._learn(Stretch(len(let_in), first - before, first - let_in[0]))
        if let_in and (self.rate or self.windows):
            self._pause = FIRST_PAUSE_SECONDS
        else:
            self._pause = min(self._pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)

    def _learn(self, stretch: Stretch) -> None:
        """Take the rate of a stretch, or its window if it is the second like that."""
        closed, self._closed = self._closed, stretch if stretch.closes else None
        rate = max(stretch.count / stretch.seconds * BELOW, SLOWEST)
        self._falls = self._falls + 1 if self.rate and rate < FALLEN * self.rate else 0
        if not stretch.closes:
            self.windows = None
            self.rate = rate
        elif stretch.like(closed):
            self.rate, self.windows = None, stretch
            self._next = 0.0
            self._recent.clear()
        elif closed is not None:
            self.rate = rate

    def _forget(self) -> None:
        """Start over: there is a limit after all."""
        self.stray = False
        self._doubt *= 4
        self._beside = [0.0, 0.0]
        self._share, self._soon = 0.0, 0
        self._empty_at, self._first, self._reacted_at = None, None, -1.0
