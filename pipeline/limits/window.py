"""How many requests may be in flight: more while that brings more answers, fewer when it hurts.

Slow start as in TCP (one more for each answer doubles it in a round trip), until a request is
refused or answers take clearly longer than they did; then one more a round trip, or a 32nd. Each
refusal takes half a place: a server that refuses all halves it in a round trip, one that refuses
few costs little.

Pure: every method is told the time.
"""

from __future__ import annotations

import sys

if sys.platform != "win32":
    import resource

LEAST = 4.0  # that refusals leave
FIRST = 64  # once the first answer, which goes alone, has shown that there is nothing to obey
GROWTH = 1 / 32  # for each answer, at least
LOSS = 0.5  # of a place for each refusal
CEILING = 2000
SLOWER = 1.5  # times the usual latency, and it grows no more
MUCH_SLOWER = 2.5  # times, and it shrinks
DRIFT = 0.02  # a second: how fast what is usual may rise, as longer rows come
SPARE_FILES = 64


class Window:
    """The number of requests that may be in flight at once."""

    def __init__(self, ceiling: int | None = None) -> None:
        self.ceiling = min(ceiling or CEILING, _open_files())
        self.size = 1.0
        self.in_flight = 0
        self._slow_start = True
        self._usual: float | None = None
        self._recent = 0.0
        self._then = 0.0

    @property
    def full(self) -> bool:
        return self.in_flight >= int(self.size)

    def admit(self, now: float, latency_seconds: float) -> None:
        """Note an answer that came in this time; call it before the request leaves the window."""
        if self._usual is None:
            self._usual = self._recent = latency_seconds
            self._then = now
            self.size = float(FIRST)
        self._recent += (latency_seconds - self._recent) * 0.2
        drift = 1 + DRIFT * max(now - self._then, 0.0)
        self._then = now
        self._usual = min(self._usual * drift, self._recent)
        slowness = self._recent / max(self._usual, 1e-3)
        if slowness > MUCH_SLOWER:
            self.size = max(self.size - 1 / 4, min(self.size, float(FIRST)))
        elif slowness < SLOWER and self.in_flight >= self.size / 2:  # it is what limits
            self.size += 1.0 if self._slow_start else max(1 / self.size, GROWTH)
        self.size = min(self.size, float(self.ceiling))

    def cut(self) -> None:
        """Note that a request was refused."""
        self._slow_start = False
        self.size = max(self.size - LOSS, min(LEAST, float(self.ceiling)))

    def restart(self) -> None:
        """Start over: the server was away."""
        self.size = min(float(FIRST), float(self.ceiling))
        self._slow_start = True


def _open_files() -> int:
    """Return how many connections this process may open."""
    if sys.platform == "win32":
        return CEILING
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CEILING if soft == resource.RLIM_INFINITY else max(soft - SPARE_FILES, 1)
