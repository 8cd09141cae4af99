"""An event loop of asyncio whose time jumps to what happens next, so that nothing waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")


class _Jumping(selectors.SelectSelector):
    """Never waits: tells how long it would have."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, selectors._EventMask]]:
        events = super().select(0)
        if not events:
            assert timeout is not None, "nothing will ever happen"
            self._jump(max(timeout, 0.0))
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at `began`, as no real clock starts at 0."""

    def __init__(self, began: float = 1000.0) -> None:
        self._now = began
        super().__init__(_Jumping(self._wait))

    def time(self) -> float:
        return self._now

    def _wait(self, seconds: float) -> None:
        self._now += seconds


def play(work: Coroutine[None, None, T]) -> T:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
