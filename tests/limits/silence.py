"""A server that refuses without a word, and our pace before it, in simulated time."""

from __future__ import annotations

import math
import random

from pipeline.limits.gate import refuse
from pipeline.limits.pace import Pace
from pipeline.limits.window import Window
from tests.limits.events import Events
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
        self._events = Events()

    def run(self, until: float, now: float = 0.0) -> None:
        """Send for this long."""
        while now < until:
            self._events.play(now)
            wait = max(self._closed_until - now, self.pace.wait(now), 0.0)
            if self.window.full or wait > 1e-9:
                now = min(
                    self._events.upcoming, until, math.inf if self.window.full else now + wait
                )
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
        self._events.at(now + after, lambda at: reply(at, now))

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
