"""Our picture of a limit that the server keeps as a token bucket, drawn from its reply headers.

A reply tells what was left when its request came in (`remaining`) and how long until the bucket is
full again (`reset`). Requests that were on their way at the same time may be counted in it or not,
and time has passed since. So a reply gives bounds: what is left now lies between `remaining` less
all of those others, and `remaining` plus what has flowed in meanwhile. The picture follows our own
sending and the bucket's rate, and is moved only when it leaves the bounds.

Pure: every method is told the time, in seconds of any clock that only goes forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.types import Level

MARGIN_SECONDS = 0.05  # of the rate is kept back at first, against rounding and reordering
MOST_MARGIN_SECONDS = 1.0
AGE_SECONDS = 60.0  # what was seen of the rate is measured anew this often
SURE_POINTS = 3  # different levels
SURE_RISE = 20.0  # `remaining` must have moved this far for the slope to tell the rate well
ROUNDING_SECONDS = 0.001  # `reset` is told in milliseconds
SPAN_SECONDS = 0.5  # at the least, over which what has flowed in is measured
LONG_SPAN_SECONDS = 5.0  # at the most, then it begins anew
OTHERWISE = 1.5  # times as much or as little flows in, and a guess by one reply is wrong
SHORT = 0.2  # of a limit is missing at least, and it wasn't whole
OVERTAKEN = 2.0  # requests that may be counted before those sent earlier


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the picture stood when a request was sent."""

    sent_at: float
    amount: float
    returned: float
    taken: float  # so far, with this one


class Bucket:
    """One limit of a server. Until its first reply nothing is known, and nothing is held back."""

    def __init__(self) -> None:
        self.known = False
        self.capacity = 0.0
        self.rate = 0.0
        self.in_flight = 0.0
        self._level = 0.0
        self._then = 0.0
        self._returned = 0.0
        self._margin_seconds = MARGIN_SECONDS
        self._points = Points()
        self._flow = Flow()
        self._since = 0.0
        self._whole_at = math.inf  # when the bucket is full, if nothing more is sent
        self._sure = False
        self._limit = 0.0

    def level(self, now: float) -> float:
        """Estimate what is left."""
        if now >= self._whole_at and self.in_flight <= 0:
            return self.capacity
        flowed = max(now - self._then, 0.0) * self.rate
        return min(self._level + flowed, self.capacity)

    def wait(self, now: float, amount: float) -> float:
        """Return how many seconds until this amount may be sent; 0 is now.

        An amount that is more than the whole bucket waits until that is full.
        """
        if not self.known:
            return 0.0
        wanted = min(amount + self._margin, self.capacity)
        missing = wanted - self.level(now)
        if missing <= 1e-9:
            return 0.0
        seconds = missing / self.rate if self.rate else math.inf
        if self.in_flight <= 0:
            seconds = min(seconds, max(self._whole_at - now, 0.0))
        return seconds

    def takes(self, amount: float) -> float:
        """Return how many seconds this amount takes to flow in."""
        return amount / self.rate if self.rate else 0.0

    @property
    def _margin(self) -> float:
        return min(self.rate * self._margin_seconds, self.capacity / 4)

    def take(self, now: float, amount: float) -> Mark:
        """Send a request of this amount."""
        self._set(now, self.level(now) - amount)
        self.in_flight += amount
        return Mark(now, amount, self._returned, self._returned + self.in_flight)

    def give_back(self, now: float, mark: Mark) -> None:
        """Note that a request came back and wasn't charged."""
        self._set(now, self.level(now) + mark.amount)
        self.note(mark)

    def note(self, mark: Mark) -> None:
        """Note that a request came back."""
        self.in_flight -= mark.amount
        self._returned += mark.amount

    def refuse(self) -> None:
        """Keep more back from now on: the picture was wrong."""
        self._margin_seconds = min(self._margin_seconds * 2, MOST_MARGIN_SECONDS)

    def learn(self, now: float, mark: Mark, seen: Level, *, refused: bool = False) -> None:
        """Correct the picture by a reply to a request that was noted just before."""
        self._measure(now, mark, seen, refused)
        if self._flow.deceived:
            self._whole_at = math.inf
        elif seen.reset_seconds is not None:
            self._whole_at = now + seen.reset_seconds
        if not self.known:
            self.known = True
            self._set(now, seen.remaining - self.in_flight)
            return
        others = self.in_flight + self._returned - mark.returned - mark.amount
        lowest = seen.remaining - max(others, 0.0)
        highest = seen.remaining + self.rate * (now - mark.sent_at)
        self._set(now, min(max(self.level(now), lowest), highest))

    def _set(self, now: float, level: float) -> None:
        self._level = min(level, self.capacity)
        self._then = max(now, self._then)

    def _measure(self, now: float, mark: Mark, seen: Level, refused: bool) -> None:
        """Find the bucket's rate and size."""
        if seen.limit != self._limit or now > self._since + AGE_SECONDS:
            self._limit, self._since = seen.limit, now
            self._points = Points()
        if seen.reset_seconds is not None:
            self._points.add(seen.limit, seen.remaining, seen.reset_seconds)
        rate = self._points.rate()
        if rate is not None and seen.reset_seconds is not None:
            self.rate = rate
            self.capacity = max(seen.remaining + rate * seen.reset_seconds, seen.remaining, 1.0)
            self._sure = True
        elif not self._sure:
            guess, flow = _first_guess(seen), self._flow.rate(mark, seen, refused)
            if flow is None or guess / OTHERWISE < flow < guess * OTHERWISE:
                flow = guess
            self.rate = flow
            self.capacity = max(self.capacity, seen.remaining + mark.amount)


class Points:
    """What replies have said of `remaining` and `reset`, and the rate that follows from it.

    A bucket of size `limit` lacks what flows in during `reset`: limit - remaining = rate * reset.
    As `remaining` is rounded down, each reply gives two bounds of the rate. Some servers state a
    minute's limit for a smaller bucket; then the bounds contradict each other, and what is left is
    the slope: `reset` grows by 1 / rate as `remaining` falls by 1.
    """

    def __init__(self) -> None:
        self._least = 0.0
        self._most = math.inf
        self._seen: set[float] = set()
        self._high: tuple[float, float] | None = None
        self._low: tuple[float, float] | None = None

    def add(self, limit: float, remaining: float, reset_seconds: float) -> None:
        """Note a reply."""
        missing = limit - remaining
        self._least = max(self._least, (missing - 1) / (reset_seconds + ROUNDING_SECONDS))
        if reset_seconds > 2 * ROUNDING_SECONDS:
            self._most = min(self._most, missing / (reset_seconds - 2 * ROUNDING_SECONDS))
        if len(self._seen) < SURE_POINTS:
            self._seen.add(remaining)
        point = (remaining, reset_seconds)
        self._high = max(self._high or point, point)
        self._low = min(self._low or point, point)

    def rate(self) -> float | None:
        """Return the rate, a second; None while it isn't sure."""
        if len(self._seen) < SURE_POINTS or self._high is None or self._low is None:
            return None
        if 0 < self._least <= self._most:
            return self._least
        rise, run = self._high[0] - self._low[0], self._low[1] - self._high[1]
        return rise / run if rise >= SURE_RISE and run > 0 else None


class Flow:
    """What flows in by `remaining` alone: it falls by what is sent and rises by that.

    A bucket that is full takes no more, so that is the least that flows in; where it wasn't full in
    between, it is all. A window opens all at once, at the moment that its replies tell.
    """

    def __init__(self) -> None:
        self._rate: float | None = None
        self._from: tuple[float, float] | None = None  # a time, and what was sent and left by then
        self._opens_at = math.inf
        self._full = False
        self._most = 0.0  # that was left
        self._latest = 0.0  # that was sent, of which a reply is known
        self.deceived = False  # a moment came, and the limit wasn't whole

    def rate(self, mark: Mark, seen: Level, refused: bool) -> float | None:
        """Note a reply; return the rate, a second, while it isn't known better."""
        at, total = mark.sent_at, seen.remaining + mark.taken - refused * mark.amount
        self._most = max(self._most, seen.remaining + mark.amount)
        whole = min(seen.limit, self._most)  # some state a minute's limit for a smaller bucket
        self._full |= seen.remaining + mark.amount >= whole
        began, before = self._from or (at, total)
        if at > self._opens_at and total < self._latest + whole * (1 - SHORT):
            self.deceived = True
        self._latest = max(self._latest, mark.taken)
        if self._from is None or at > self._opens_at:
            self._begin(at, total, seen)
        elif at >= began + SPAN_SECONDS:
            rise = total - before - OVERTAKEN * mark.amount
            rate = max(rise / (at - began), 0.0)
            sure = refused or rise >= SURE_RISE * mark.amount or at >= began + LONG_SPAN_SECONDS
            if rate > (self._rate or 0.0) or (sure and not self._full):
                self._rate = rate
            if sure:
                self._begin(at, total, seen)
        return self._rate

    def _begin(self, at: float, total: float, seen: Level) -> None:
        self._from, self._full = (at, total), False
        told = seen.reset_seconds and not self.deceived
        self._opens_at = at + (seen.reset_seconds or 0.0) if told else math.inf


def _first_guess(seen: Level) -> float:
    """Guess the rate from one reply: the limit is a minute's, unless `reset` says it is slower."""
    minute = seen.limit / 60
    if seen.reset_seconds and seen.limit > seen.remaining:
        return min(minute, (seen.limit - seen.remaining) / seen.reset_seconds)
    return minute
