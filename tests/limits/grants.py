"""What servers really grant: limits of every kind; what they tell is in `dialects.py`.

Each is told the time. `admit` charges a request or refuses it, `opens` says in how many seconds one
more would be let in, `left` how many would be now, and `granted` how many could have been let in
since a moment (`mark`) by someone who knows all.
"""

from __future__ import annotations

import math
import random
from collections import deque


class Bucket:
    """Fills by `rate` a second, up to `size`."""

    def __init__(self, rate: float, size: float, full: float = 1.0) -> None:
        self.rate, self.size = rate, max(size, 1.0)
        self._level = max(self.size * full, 1.0)
        self._then = 1000.0
        self.lost = 0.0

    def left(self, now: float) -> float:
        level = self._level + (now - self._then) * self.rate
        self.lost += max(level - self.size, 0.0)
        self._level, self._then = min(level, self.size), now
        return self._level

    def admit(self, now: float, in_flight: int = 0) -> bool:
        if self.left(now) < 1 - 1e-9:
            return False
        self._level -= 1
        return True

    def opens(self, now: float) -> float:
        return max(1 - self.left(now), 0.0) / self.rate

    def whole(self, now: float) -> float:
        """Give the seconds until it is full."""
        return (self.size - self.left(now)) / self.rate

    def mark(self, now: float) -> None:
        self.left(now)
        self._marked, self.lost = now, 0.0

    def granted(self, now: float) -> float:
        """Count what flowed in."""
        return (now - self._marked) * self.rate


class FixedWindow:
    """Grants `size` in each window; windows go by the clock, or begin with a request (`own`)."""

    def __init__(self, size: float, seconds: float, phase: float = 0.0) -> None:
        self.size, self.seconds = float(max(round(size), 1)), seconds
        self.rate = self.size / seconds
        self._began = 1000.0 - phase
        self._used = 0.0

    def left(self, now: float) -> float:
        passed = math.floor((now - self._began) / self.seconds + 1e-9)
        if passed > 0:
            self._began += passed * self.seconds
            self._used = 0.0
        return self.size - self._used

    def admit(self, now: float, in_flight: int = 0) -> bool:
        if self.left(now) < 1:
            return False
        self._used += 1
        return True

    def opens(self, now: float) -> float:
        return 0.0 if self.left(now) >= 1 else self.whole(now)

    def whole(self, now: float) -> float:
        self.left(now)
        return self._began + self.seconds - now

    def mark(self, now: float) -> None:
        self._marked = now

    def granted(self, now: float) -> float:
        return (now - self._marked) * self.rate


class SlidingLog:
    """Grants `size` in any `seconds`."""

    def __init__(self, size: float, seconds: float) -> None:
        self.size, self.seconds = float(max(round(size), 1)), seconds
        self.rate = self.size / seconds
        self._times: deque[float] = deque()

    def left(self, now: float) -> float:
        while self._times and self._times[0] <= now - self.seconds + 1e-9:
            self._times.popleft()
        return self.size - len(self._times)

    def admit(self, now: float, in_flight: int = 0) -> bool:
        if self.left(now) < 1:
            return False
        self._times.append(now)
        return True

    def opens(self, now: float) -> float:
        return 0.0 if self.left(now) >= 1 else self._times[0] + self.seconds - now

    def whole(self, now: float) -> float:
        self.left(now)
        return self._times[-1] + self.seconds - now if self._times else 0.0

    def mark(self, now: float) -> None:
        self._marked = now

    def granted(self, now: float) -> float:
        return (now - self._marked) * self.rate


class SlidingCounter:
    """Weighs the window before by how much of it still counts, as many gateways do."""

    def __init__(self, size: float, seconds: float) -> None:
        self.size, self.seconds = float(max(round(size), 1)), seconds
        self.rate = self.size / seconds
        self._began, self._before, self._used = 1000.0, 0.0, 0.0

    def left(self, now: float) -> float:
        passed = math.floor((now - self._began) / self.seconds + 1e-9)
        if passed > 0:
            self._before = self._used if passed == 1 else 0.0
            self._used = 0.0
            self._began += passed * self.seconds
        share = 1 - (now - self._began) / self.seconds
        return self.size - self._used - self._before * share

    def admit(self, now: float, in_flight: int = 0) -> bool:
        if self.left(now) < 1:
            return False
        self._used += 1
        return True

    def opens(self, now: float) -> float:
        missing = 1 - self.left(now)
        if missing <= 0:
            return 0.0
        falls = self._before / self.seconds
        rest = self._began + self.seconds - now
        return min(missing / falls, rest) if falls else rest

    def whole(self, now: float) -> float:
        self.left(now)
        return self._began + self.seconds - now

    def mark(self, now: float) -> None:
        self._marked = now

    def granted(self, now: float) -> float:
        return (now - self._marked) * self.rate


class Strays:
    """Refuses a share of the requests for nothing."""

    def __init__(self, share: float, rate: float, seed: int = 7) -> None:
        self.share, self.rate, self.size = share, rate, rate
        self._generator = random.Random(seed)

    def left(self, now: float) -> float:
        return self.size

    def admit(self, now: float, in_flight: int = 0) -> bool:
        return self._generator.random() >= self.share

    def opens(self, now: float) -> float:
        return 1.0

    whole = opens

    def mark(self, now: float) -> None:
        self._marked = now

    def granted(self, now: float) -> float:
        return (now - self._marked) * self.rate


class After:
    """Grants as one, and after so many seconds as another."""

    def __init__(self, seconds: float, first: Grant, second: Grant) -> None:
        self._at = 1000.0 + seconds
        self._first, self._second = first, second

    def _now(self, now: float) -> Grant:
        return self._first if now < self._at else self._second

    @property
    def rate(self) -> float:
        return self._second.rate

    @property
    def size(self) -> float:
        return self._second.size

    def left(self, now: float) -> float:
        return self._now(now).left(now)

    def admit(self, now: float, in_flight: int = 0) -> bool:
        return self._now(now).admit(now, in_flight)

    def opens(self, now: float) -> float:
        return self._now(now).opens(now)

    def whole(self, now: float) -> float:
        return self._now(now).whole(now)

    def mark(self, now: float) -> None:
        self._second.mark(now)

    def granted(self, now: float) -> float:
        return self._second.granted(now)


Grant = Bucket | FixedWindow | SlidingLog | SlidingCounter | Strays | After
