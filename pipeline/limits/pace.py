"""The server's limit as its refusals show it, whatever it says.

When it refuses, its grant is used up: what it lets in between two such moments is what it grants in
that time, be it a bucket, a window by the clock or a sliding one. So the second storm of refusals
tells the rate, and sending evenly, a little below it, keeps to all of them. The rate then creeps
up, in case there is room again; faster while it was measured from a few requests.

After a storm the door is closed, and a scout is sent now and then. Once it is let in, what has
flowed in meanwhile may be sent, too, at twice the rate.

Some servers refuse now and then for no limit at all (a busy replica behind a balancer). Then others
sent in the same moment are let in, and going slower doesn't help, which is tried. Such refusals are
strays: they concern their own row only, until they become more.

Pure: every method is told the time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice, takewhile

from pipeline.limits.measured import Measured, Stretch
from pipeline.limits.strays import FEW, LOOKED_AT, MANY, Share, Strays

SLACK_SECONDS = 0.02  # that a late wake-up may be made up for
CATCH_UP = 2.0  # times the rate, when it has been quiet
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
PAUSE_GROWTH = 1.3
SCOUTS = 0.25  # of those let in since the door opened again may be on trial, and one more
JUDGE_SECONDS = 0.03  # at the least, for the other refusals of a storm to arrive
WITNESSES = 4  # requests sent just after one that was refused, to tell whether it is a stray
LONG_SECONDS = 5.0  # to wait isn't told for a stray
LEARNING = 60  # requests, from when a rate is known
KEPT = 20_000  # requests


@dataclass(slots=True)
class Sent:
    """A request on its way; it is taken for let in until it is refused."""

    at: float
    refused: bool = False
    apart: bool = False  # a scout, or refused in a storm that had begun


@dataclass(slots=True)
class Storm:
    """Refusals that came together: the first of them was sent `first`, nobody sends since
    `reacted_at`, and what they mean is judged at `judge_at`.
    """

    first: float
    reacted_at: float
    judge_at: float
    rtt_seconds: float
    witnesses: int = 0


class Pace:
    """How fast to send: freely, at a rate, or a scout now and then while the door is closed."""

    def __init__(self) -> None:
        self.strays = Strays()
        self._measured = Measured()
        self._tried = 0  # requests whose refusal was excused
        self._look_at = 0.0  # what has become of them
        self._rated = -LEARNING  # requests sent since the rate is known well
        self._log: deque[Sent] = deque(maxlen=KEPT)
        self._storm: Storm | None = None  # that is still to be judged
        self._reacted_at = -1.0  # to the last storm
        self._empty_at: float | None = None  # when nothing was left
        self._since = 0  # requests since the last storm
        self._level, self._then, self._cap = 0.0, 0.0, 1.0  # what may be sent at once
        self._next = self._until = 0.0
        self._pause = FIRST_PAUSE_SECONDS
        self._shut_at = self._opened_at = 0.0  # what is known of when the door opened
        self._scout: Sent | None = None
        self._closed = False
        self._trial_seconds = JUDGE_SECONDS  # after so long without a refusal, one was let in

    @property
    def rate(self) -> float | None:
        """Requests a second, if a limit is known."""
        return self._measured.rate

    @property
    def judging(self) -> bool:
        """Whether it is still open what the last refusals mean."""
        return self._storm is not None

    @property
    def limited(self) -> bool:
        """Whether a limit is known."""
        return self._closed or self.rate is not None

    def held(self, now: float) -> float:
        """Return for how many seconds the server has nobody let through."""
        return max(self._until - now, 0.0)

    def wait(self, now: float) -> float:
        """Return how many seconds until the next request."""
        if self._storm is not None and now >= self._storm.judge_at:
            self._judge(self._storm)
        if self._storm is not None:
            return 0.0 if self._storm.witnesses else self._storm.judge_at - now
        if self.strays.since:
            self._try(now)
            if self.strays.since:
                return max(self._next - now, 0.0)
        if self._closed:
            self._look(now)
        wait = max(self._until - now, self._next - now, 0.0)
        if self.rate is None or self._closed:
            return wait
        return max(wait, (1 - self._flowed(now)) / self._crept())

    def _try(self, now: float) -> None:
        """Look what has become of the requests since refusals were excused."""
        since, until = self.strays.since, now - self._trial_seconds
        if until <= since or now < self._look_at:
            return
        self._look_at = now + self._trial_seconds / 4
        latest = [
            each.refused
            for each in islice(reversed(self._log), 2 * LOOKED_AT + MANY)
            if since <= each.at <= until
        ]
        latest.reverse()
        before = self.strays.since
        self.strays.look(now, Share(sum(latest), len(latest), until - since), latest)
        if self.strays.since != before:
            self._next = now
        if self.strays.since:
            return
        self._since, self._level, self._then = 0, 0.0, now
        self._reacted_at = now
        self._rated = -LEARNING
        if self.rate is None and self.strays.limit is None:
            self._closed, self._scout, self._until = True, None, now + self._pause
        if self.strays.limit is not None:
            self._measured.begin(self.strays.limit)
            self._empty_at = None

    def _look(self, now: float) -> None:
        """Open the door if the scout was let in."""
        scout = self._scout
        if scout is None or scout.refused or now < scout.at + self._trial_seconds:
            return
        self._closed, self._scout = False, None
        self._pause = FIRST_PAUSE_SECONDS
        self._since = 1
        self._opened_at = scout.at
        flowed = (self.rate or 0.0) * (scout.at - self._then)
        self._level, self._then = self._level + flowed - 1, scout.at
        self._cap = max(self._level, 1.0)

    def _crept(self) -> float:
        return self._measured.crept(self._since)

    def _flowed(self, now: float) -> float:
        cap = max(self._cap, 1 + (self.rate or 0.0) * SLACK_SECONDS)
        return min(self._level + self._crept() * (now - self._then), cap)

    def take(self, now: float) -> Sent:
        """Send a request."""
        sent = Sent(now)
        self._log.append(sent)
        self._since += 1
        if self._storm is not None:
            self._storm.witnesses -= 1
            self._storm.reacted_at = self._reacted_at = now
        elif self.strays.since:
            self._tried += 1
            if self.strays.rate is not None:
                self._space(now, self.strays.rate)
            elif not self.strays.found:
                self._next = now + self._trial_seconds / (1 + self._tried * SCOUTS)
        elif self._closed:
            sent.apart = True
            self._scout = sent
            self._next = now + self._trial_seconds
        elif self.rate is not None:
            self._rated += 1
            self._level, self._then = self._flowed(now) - 1, now
            self._cap -= 1 - 1 / CATCH_UP
            self._space(now, CATCH_UP * self._crept())
        elif self._empty_at is not None:
            self._next = now + self._trial_seconds / (1 + self._since * SCOUTS)
        return sent

    def _space(self, now: float, rate: float) -> None:
        """Keep a rate; what a late wake-up has missed is made up for."""
        self._next = max(self._next, now - SLACK_SECONDS) + 1 / rate

    def refuse(
        self, now: float, sent: Sent, asked_seconds: float | None, *, alone: bool = False
    ) -> bool:
        """Note a refusal; return whether it begins a storm. If nothing else is in flight (`alone`),
        nothing more will tell what it means.
        """
        sent.refused = True
        if self._scout is sent:
            self._shut(now, sent, asked_seconds)
            return False
        if self.strays.since and self._storm is None:
            return False
        if sent.at <= self._reacted_at:
            sent.apart = True
            if self._storm is not None:
                self._storm.first = min(self._storm.first, sent.at)
            self._until = max(self._until, now + (asked_seconds or 0.0))
            return False
        rtt = now - sent.at
        self._trial_seconds = max(JUDGE_SECONDS, 2 * rtt)
        self._reacted_at = now
        self._storm = Storm(sent.at, now, now + self._trial_seconds, rtt)
        told = (asked_seconds or 0.0) > LONG_SECONDS
        if self.rate is None and not (alone and (told or self._empty_at is None)):
            self._storm.witnesses = WITNESSES
        if self.rate is not None:
            self._pause = max(1 / self.rate, JUDGE_SECONDS)
        self._until = now + (self._pause if asked_seconds is None else asked_seconds)
        if not self._storm.witnesses:
            self._judge(self._storm)
        return True

    def _shut(self, now: float, scout: Sent, asked_seconds: float | None) -> None:
        """Wait longer for the next scout: nothing was let in yet."""
        growth = 2.0 if self._pause < FIRST_PAUSE_SECONDS else PAUSE_GROWTH
        self._pause = min(self._pause * growth, LONGEST_PAUSE_SECONDS)
        self._until = now + max(self._pause, asked_seconds or 0.0)
        self._level, self._then, self._scout = 0.0, scout.at, None
        self._shut_at = scout.at
        self._reacted_at = max(self._reacted_at, scout.at)

    def _judge(self, storm: Storm) -> None:
        """Decide what a storm means, when all of its refusals have come."""
        self._storm = None
        after = storm.first + storm.rtt_seconds / 2
        beside = [
            each.refused
            for each in takewhile(lambda each: each.at > after, reversed(self._log))
            if each.at <= storm.reacted_at
        ]
        if self.rate is None:
            if self.strays.suspect(storm.reacted_at, beside):
                self._tried = len(beside)
                return
        elif self.strays.doubt(storm.reacted_at, self._kept(), self.rate):
            return
        self._measure(storm.first)
        self._closed, self._scout = True, None
        self._shut_at = self._opened_at = storm.first
        self._level, self._then, self._since = 0.0, storm.first, 0
        self._cap = 1.0

    def _kept(self) -> Share:
        """Return what was refused of the latest requests, but for scouts, that a rate was kept to
        which was known well.
        """
        kept = [
            each
            for each in islice(reversed(self._log), min(max(self._rated, 0), MANY))
            if not each.apart
        ]
        if len(kept) < FEW:
            return Share(0, 0, 0.0)
        refused = sum(each.refused for each in kept)
        return Share(refused, len(kept), kept[0].at - kept[-1].at)

    def _measure(self, first: float) -> None:
        """Learn from what was let in since the last storm."""
        began, self._empty_at = self._empty_at, first
        if began is None or first <= began:
            return
        let_in = [
            each.at
            for each in takewhile(lambda each: each.at >= began, reversed(self._log))
            if not each.refused and each.at < first
        ]
        known = self.rate is not None
        self._measured.learn(Stretch(began, first, let_in, self._shut_at, self._opened_at))
        if known and self.rate is None:
            self._empty_at, self._rated = None, -LEARNING
