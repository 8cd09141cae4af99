"""The tasks of a lane: all of them are started here, and end together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine


class Tasks:
    """Tasks that end together. When one has ended `news` is called, and `fail` with its error."""

    def __init__(self, news: Callable[[], None], fail: Callable[[BaseException], None]) -> None:
        self.stopped = False
        self._news = news
        self._fail = fail
        self._tasks: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start a task."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    def stop(self, busy: Collection[asyncio.Task[None]], grace_seconds: float) -> None:
        """Cancel all but the `busy` ones, and those too in a moment."""
        self.stopped = True
        for task in self._tasks - set(busy):
            task.cancel()
        asyncio.get_running_loop().call_later(grace_seconds, self.cancel)

    def cancel(self) -> None:
        """Cancel all."""
        for task in self._tasks:
            task.cancel()

    async def abandon(self) -> None:
        """Cancel all, and wait until they have ended."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        self._news()
