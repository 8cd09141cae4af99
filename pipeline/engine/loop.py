"""Requests in, Results out: each is journaled before anyone sees it.

Knows nothing of where requests come from, who answers them and where results go.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pipeline.backends.base import Answered, Lane
from pipeline.engine.judge import Judge
from pipeline.errors import JournalFullError
from pipeline.journal.store import Store
from pipeline.types import Request, Result

READ_AT_ONCE = 256
FULL_SECONDS = 5.0  # between attempts to write to a full disk
READ_SECONDS = 0.05  # a slow source hands over what it has by then


class Engine:
    """Asks what the journal doesn't know yet, by a lane."""

    def __init__(self, lane: Lane, store: Store) -> None:
        self.lane = lane
        self.store = store
        self._judge = Judge(lane.server.window_tokens, lane.server.longest_tokens)
        # What is being asked right now, with the answers to it so far that others follow on.
        self._asked: dict[bytes, list[Result]] = {}
        self._again: deque[Request] = deque()  # to be asked before anything new
        self._lately: set[bytes] = set()  # answered since the reader last looked
        self._news = asyncio.Event()

    async def run(self, requests: Iterable[Request | None]) -> AsyncIterator[Result]:
        """Answer requests, in the order in which the answers come.

        A None among them is no request: those before it need not wait for those after it. Unusable
        answers (`again`) and single votes (`vote`) are yielded, too; the final result follows.
        """
        async for batch in self.lane.complete_all(self._pending(requests)):
            settled = [self._settle(answered) for answered in batch]
            await self._journal([result for result, _ in settled])
            for result, more in settled:
                if more is None:
                    del self._asked[result.request.key]
                    self._lately.add(result.request.key)
                else:
                    self._asked[result.request.key].append(result)
                    self._again.append(more)
                yield result
            self._news.set()

    def _settle(self, answered: Answered) -> tuple[Result, Request | None]:
        """Judge an answer, and say what to ask next if it is of no use and the budget permits."""
        trail = self._asked[answered.request.key]
        result = self._judge.settle(answered, trail)
        if result.status not in ("again", "vote"):
            return result, None
        more = self._judge.again([*trail, result])
        if more is None or result.status == "vote" or self.lane.affords(more):
            return result, more
        error = f"{result.error}; --max-cost leaves no room to ask again"
        return replace(result, error=error), None

    async def _journal(self, results: Sequence[Result]) -> None:
        """Write results down; while the disk is full they wait here, and so does everything else.

        Raises JournalFullError when it stays full for longer than anyone wants to wait.
        """
        full_at = time.monotonic()
        while True:
            try:
                return self.store.put_all(results)
            except JournalFullError as error:
                if time.monotonic() > full_at + self.lane.patience_seconds:
                    raise
                self.lane.note(f"{error}; {len(results):,} answers wait to be written")
                await asyncio.sleep(FULL_SECONDS)

    async def _pending(self, requests: Iterable[Request | None]) -> AsyncIterator[Request]:
        """Yield what is to be asked, and first what is to be asked again; end when all is answered.

        A thread of its own goes through `requests`, which may block, a handful at a time, and looks
        them up in the journal.
        """
        iterator, fresh = iter(requests), deque[Unanswered]()
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
            reading: asyncio.Future[Sequence[Unanswered] | None] | None = None
            ended = False
            while self._asked or fresh or not ended:
                if self._again:
                    yield self._again.popleft()
                elif fresh:
                    request, trail = fresh.popleft()
                    # It may be asked already, or was answered after it was looked up.
                    if request.key not in self._asked and request.key not in self._lately:
                        self._asked[request.key] = trail
                        yield (self._judge.again(trail) if trail else None) or request
                elif reading is not None and reading.done():
                    batch, reading = reading.result(), None
                    ended = batch is None
                    fresh.extend(batch or ())
                else:
                    self._news.clear()
                    if reading is None and not ended:
                        self._lately.clear()
                        reading = loop.run_in_executor(reader, self._read, iterator)
                        reading.add_done_callback(lambda _: self._news.set())
                    await self._news.wait()

    def _read(self, iterator: Iterator[Request | None]) -> Sequence[Unanswered] | None:
        """Read on; return what of it the journal doesn't know, or None at the end."""
        batch = _take(iterator)
        return self.store.unanswered(batch) if batch else None


Unanswered = tuple[Request, list[Result]]


def _take(iterator: Iterator[Request | None]) -> Sequence[Request]:
    """Take what comes in a moment, or the first that comes at all; nothing at the end."""
    until = time.monotonic() + READ_SECONDS
    batch: list[Request] = []
    for request in iterator:
        if request is not None:
            batch.append(request)
        if len(batch) == READ_AT_ONCE or (batch and time.monotonic() > until):
            break
    return batch
