"""A server that refuses without a word, and our pace before it, in simulated time."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable

from pipeline.limits.gate import refuse
from pipeline.limits.pace import Pace
from pipeline.limits.window import Window
from tests.limits.simulation import ServerBucket


class Silence:
    """Sends as fast as pace and window allow. `bucket` is the limit, `stray` the share of requests
    that are refused for nothing.
    """

    def __init__(
        self, *, bucket: ServerBucket | None = None, stray: float = 0.0, seconds: float = 0.1
    ) -> None:
        self.pace, self.window = Pace(), Window()
        self.answered = self.refused = 0
        self.bucket = bucket
        self.stray = stray
        self._seconds = seconds
        self._closed_until = 0.0
        self._generator = random.Random(7)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()

    def run(self, until: float, now: float = 0.0) -> None:
        """Send for this long."""
        while now < until:
            while self._events and self._events[0][0] <= now:
                at, _, act = heapq.heappop(self._events)
                act(at)
            upcoming = self._events[0][0] if self._events else math.inf
            wait = max(self._closed_until - now, self.pace.wait(now), 0.0)
            if self.window.full or wait > 1e-9:
                now = min(upcoming, until, math.inf if self.window.full else now + wait)
                continue
            self._send(now)
            now += 0.0005

    def _send(self, now: float) -> None:
        self.window.in_flight += 1
        self.pace.take(now)
        refused = self._generator.random() < self.stray
        if self.bucket is not None and not refused:
            refused = self.bucket.at(now) < 1
            self.bucket.level -= not refused
        reply = self._refuse if refused else self._admit
        after = 0.005 if refused else self._seconds * self._generator.uniform(0.8, 1.2)
        heapq.heappush(self._events, (now + after, next(self._order), lambda at: reply(at, now)))

    def _admit(self, now: float, sent_at: float) -> None:
        self.answered += 1
        self.window.admit(now, now - sent_at)
        self.pace.admit(sent_at)
        self.window.in_flight -= 1

    def _refuse(self, now: float, sent_at: float) -> None:
        self.refused += 1
        pause = refuse(self.pace, self.window, now, sent_at)
        self._closed_until = max(self._closed_until, now + pause)
        self.window.in_flight -= 1
