"""The limits as OpenAI enforces them: two token buckets, and the headers that tell their levels.

No input or output and no time of its own, so that a simulation can use it too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from .behaviour import Limits

Clock = Callable[[], float]
_ROUNDING = 1e-9


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Bucket:
    """Holds up to `capacity` and fills by `rate` a second."""

    def __init__(self, *, capacity: float, rate: float, full: bool, clock: Clock) -> None:
        self.capacity = capacity
        self.rate = rate
        self._clock = clock
        self._level = capacity if full else 0.0
        self._then = clock()

    def level(self) -> float:
        now = self._clock()
        self._level = min(self.capacity, self._level + (now - self._then) * self.rate)
        self._then = now
        return self._level

    def has(self, amount: float) -> bool:
        return self.level() + _ROUNDING >= amount

    def take(self, amount: float) -> None:
        self._level = max(0.0, self.level() - amount)

    def seconds_until(self, amount: float) -> float:
        """Say when it will hold the amount, or be full where that is never."""
        return max(0.0, (min(amount, self.capacity) - self.level()) / self.rate)


class Window(Bucket):
    """Is full at each turn of the clock, and gets nothing in between."""

    def level(self) -> float:
        now, seconds = self._clock(), self.capacity / self.rate
        if now // seconds > self._then // seconds:
            self._level = self.capacity
        self._then = now
        return self._level

    def seconds_until(self, amount: float) -> float:
        seconds = self.capacity / self.rate
        return 0.0 if self.level() >= amount else seconds - self._clock() % seconds


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request was not let in, and when it may come again."""

    what: str
    limit: float
    asked: float
    wait_seconds: float

    @property
    def message(self) -> str:
        size = f"Limit {self.limit:.0f}, Requested {self.asked:.0f}."
        if self.asked > self.limit:
            return f"Request too large on {self.what}: {size}"
        wait = duration(self.wait_seconds)
        return f"Rate limit reached on {self.what}: {size} Please try again in {wait}."


class RateLimit:
    """Lets a request in and charges it, or refuses it and charges nothing."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self.buckets: dict[str, Bucket] = {}
        rates = {
            "requests": (limits.requests_per_window, limits.burst_requests),
            "tokens": (limits.tokens_per_window, limits.burst_tokens),
        }
        for what, (amount, burst) in rates.items():
            if amount is not None:
                kind = Window if limits.by_clock else Bucket
                self.buckets[what] = kind(
                    capacity=amount if burst is None else burst,
                    rate=amount / limits.window_seconds,
                    full=limits.full,
                    clock=clock,
                )

    def admit(self, tokens: float) -> Refusal | None:
        """Charge one request of so many tokens, or say why not."""
        amounts = {"requests": 1.0, "tokens": tokens}
        short = [what for what, bucket in self.buckets.items() if not bucket.has(amounts[what])]
        if short:
            return max((self._refuse(what, amounts[what]) for what in short), key=_wait)
        for what, bucket in self.buckets.items():
            bucket.take(amounts[what])
        return None

    def _refuse(self, what: str, amount: float) -> Refusal:
        bucket = self.buckets[what]
        return Refusal(what, bucket.capacity, amount, bucket.seconds_until(amount))

    def headers(self) -> dict[str, str]:
        """Give the levels of now, or nothing where the server keeps them to itself."""
        if not self.limits.headers:
            return {}
        lines = {}
        for what, bucket in self.buckets.items():
            stuck = self.limits.says == "stuck"
            level = bucket.capacity - 1 if stuck else bucket.level()
            lines[f"x-ratelimit-limit-{what}"] = str(self._stated(bucket))
            lines[f"x-ratelimit-remaining-{what}"] = str(math.floor(level + _ROUNDING))
            lines[f"x-ratelimit-reset-{what}"] = self._reset(bucket)
        return lines

    def _reset(self, bucket: Bucket) -> str:
        seconds = bucket.seconds_until(bucket.capacity)
        match self.limits.says:
            case "moment":
                return str(math.ceil(time.time() + seconds))
            case "minute":
                return "60s"
            case _:
                return duration(seconds)

    def _stated(self, bucket: Bucket) -> int:
        minute = self.limits.header_limit == "minute"
        return round(bucket.rate * 60 if minute else bucket.capacity)

    def retry_headers(self, refusal: Refusal) -> dict[str, str]:
        lines = {}
        if self.limits.retry_after:
            lines["retry-after"] = str(max(1, math.ceil(refusal.wait_seconds - _ROUNDING)))
        if self.limits.retry_after_ms:
            lines["retry-after-ms"] = str(math.ceil(refusal.wait_seconds * 1000 - _ROUNDING))
        return lines


def _wait(refusal: Refusal) -> float:
    return refusal.wait_seconds


def duration(seconds: float) -> str:
    """Write a time as OpenAI does: 0s, 120ms, 8.64s, 6m0s, 1h0m0.5s."""
    milliseconds = math.ceil(seconds * 1000 - 1e-6)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{milliseconds / 1000:g}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
