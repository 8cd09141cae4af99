"""How long an answer usually takes, for requests of about the same size."""

from __future__ import annotations

from collections import deque

KEPT = 200  # latencies of each size
SURE = 20
HEDGE_FACTOR = 4.0  # times what 19 of 20 answers take, and it is far longer than the others
HEDGE_SECONDS = 1.0  # never sooner
TIMEOUT_FACTOR = 10.0
TIMEOUT_SECONDS = 60.0  # never sooner
LONGEST_SECONDS = 600.0  # the SDK's own timeout


class Latencies:
    """Latencies by size; sizes within a factor of two are one."""

    def __init__(self) -> None:
        self._seen: dict[int, deque[float]] = {}
        self._usual: dict[int, tuple[int, float]] = {}
        self._count = 0

    def add(self, size: int, seconds: float) -> None:
        """Note an answer."""
        self._count += 1
        self._seen.setdefault(size.bit_length(), deque(maxlen=KEPT)).append(seconds)

    def usual(self, size: int) -> float | None:
        """Return what 19 of 20 answers take at most; None until that is known."""
        group = size.bit_length()
        counted, known = self._usual.get(group, (0, 0.0))
        if counted and self._count < counted + SURE:
            return known  # sorting at each call would cost more than it tells
        seen = self._seen.get(group, ())
        if len(seen) < SURE:
            return None
        known = sorted(seen)[int(len(seen) * 0.95)]
        self._usual[group] = (self._count, known)
        return known

    def hedge_after(self, size: int) -> float | None:
        """Return when an answer is so late that it is worth asking again."""
        usual = self.usual(size)
        return None if usual is None else max(usual * HEDGE_FACTOR, HEDGE_SECONDS)

    def timeout(self, size: int, failures: int) -> float:
        """Return when to give an attempt up; each one that failed gives the next twice the time."""
        usual = self.usual(size)
        if usual is None:
            return LONGEST_SECONDS
        seconds = max(usual * TIMEOUT_FACTOR, TIMEOUT_SECONDS) * 2.0**failures
        return float(min(seconds, LONGEST_SECONDS))
