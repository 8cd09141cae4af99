"""Simulated time for what runs in an event loop: where it would wait, the clock is set on."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

Given = TypeVar("Given")


class Clock:
    """The time, in seconds, as the program and its event loop see it."""

    def __init__(self, patching: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        patching.setattr(time, "monotonic", lambda: self.now)

    def __call__(self) -> float:
        return self.now

    def run(self, main: Coroutine[Any, Any, Given]) -> Given:
        """Run something that starts no threads to its end, at once, however long it takes."""
        with asyncio.Runner(loop_factory=self._loop) as runner:
            return runner.run(main)

    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(_Selector(self))


class _Selector(selectors.SelectSelector):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            assert timeout is not None, "it waits for ever"
            self._clock.now += timeout
        return ready
