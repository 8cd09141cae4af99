"""What is to happen in simulated time."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable


class Events:
    """Acts to come, the earliest first; those of one moment in the order of their making."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()

    @property
    def upcoming(self) -> float:
        """The moment of the next act."""
        return self._heap[0][0] if self._heap else math.inf

    def at(self, when: float, act: Callable[[float], None]) -> None:
        """Have `act` called with the moment that it is planned for."""
        heapq.heappush(self._heap, (when, next(self._order), act))

    def play(self, until: float) -> None:
        """Let happen what is due."""
        while self._heap and self._heap[0][0] <= until:
            at, _, act = heapq.heappop(self._heap)
            act(at)
