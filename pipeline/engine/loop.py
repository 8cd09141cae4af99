"""Requests in, Results out: each is journaled before anyone sees it.

Knows nothing of where requests come from, who answers them and where results go.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

from pipeline.backends.base import Answered, Backend
from pipeline.engine.judge import Judge
from pipeline.errors import JournalFullError
from pipeline.journal.store import Store
from pipeline.types import Request, Result

READ_AT_ONCE = 256
FULL_SECONDS = 5.0  # between attempts to write to a full disk
READ_SECONDS = 0.05  # a slow source hands over what it has by then


class Engine:
    """Asks a backend what the journal doesn't know yet."""

    def __init__(self, backend: Backend, store: Store) -> None:
        self.backend = backend
        self.store = store
        self._judge = Judge(backend.window_tokens, backend.longest_tokens)
        # What is being asked right now, with the answers to it so far that others follow on.
        self._asked: dict[bytes, list[Result]] = {}

    async def run(self, requests: Iterable[Request]) -> AsyncIterator[Result]:
        """Answer requests, in the order in which the answers come.

        An answer of no use, and one of several, is a result, too: `again` or `vote` is its status,
        and another will come.
        """
        async for batch in self.backend.complete_all(self._pending(requests)):
            settled = [self._settle(answered) for answered in batch]
            await self._journal([result for result, _ in settled])
            for result, more in settled:
                if more is None:
                    del self._asked[result.request.key]
                else:
                    self._asked[result.request.key].append(result)
                    self.backend.add(more)
                yield result

    def _settle(self, answered: Answered) -> tuple[Result, Request | None]:
        """Judge an answer, and say what to ask next if it is of no use and the budget permits."""
        trail = self._asked[answered.request.key]
        result = self._judge.settle(answered, trail)
        if result.status not in ("again", "vote"):
            return result, None
        more = self._judge.again([*trail, result])
        if more is None or result.status == "vote" or self.backend.affords(more):
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
                if time.monotonic() > full_at + self.backend.gate.circuit.patience_seconds:
                    raise
                self.backend.gate.note(f"{error}; {len(results):,} answers wait to be written")
                await asyncio.sleep(FULL_SECONDS)

    async def _pending(self, requests: Iterable[Request]) -> AsyncIterator[Request]:
        """Leave out what the journal knows and what is being asked right now."""
        async for request in read_ahead(requests):
            state = "done" if request.key in self._asked else self.store.state(request.key)
            if state != "done":
                trail = self.store.trail(request) if state == "begun" else []
                self._asked[request.key] = trail
                yield (self._judge.again(trail) if trail else None) or request


async def read_ahead(requests: Iterable[Request]) -> AsyncIterator[Request]:
    """Go through a blocking iterable in a thread of its own, a handful at a time."""
    iterator = iter(requests)
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
        loop = asyncio.get_running_loop()
        while batch := await loop.run_in_executor(reader, _take, iterator):
            for request in batch:
                yield request


def _take(iterator: Iterator[Request]) -> Sequence[Request]:
    until = time.monotonic() + READ_SECONDS
    batch: list[Request] = []
    for request in islice(iterator, READ_AT_ONCE):
        batch.append(request)
        if time.monotonic() > until:
            break
    return batch
