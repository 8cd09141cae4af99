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

from pipeline import schema
from pipeline.backends.base import Answered, Backend
from pipeline.errors import JournalFullError, RejectedError
from pipeline.store import Store
from pipeline.types import Request, Response, Result

READ_AT_ONCE = 256
FULL_SECONDS = 5.0  # between attempts to write to a full disk
READ_SECONDS = 0.05  # a slow source hands over what it has by then


class Engine:
    """Asks a backend what the journal doesn't know yet."""

    def __init__(self, backend: Backend, store: Store) -> None:
        self.backend = backend
        self.store = store
        self._asked: set[bytes] = set()

    async def run(self, requests: Iterable[Request]) -> AsyncIterator[Result]:
        """Answer requests, in the order in which the answers come."""
        async for batch in self.backend.complete_all(self._pending(requests)):
            results = [settle(answered) for answered in batch]
            await self._journal(results)
            for result in results:
                self._asked.discard(result.request.key)
                yield result

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
            if request.key not in self._asked and not self.store.has(request.key):
                self._asked.add(request.key)
                yield request


def settle(answered: Answered) -> Result:
    """Judge an answer: is there one, and can it be used."""
    request, answer = answered.request, answered.answer
    result = Result(
        request=request,
        status="failed",
        error=str(answer),
        usage=answered.usage,
        cost_usd=answered.cost_usd,
        attempts=answered.attempts,
        latency_seconds=answered.latency_seconds,
    )
    if not isinstance(answer, Response):
        return result
    error = flaw(request, answer)
    return replace(
        result,
        status="failed" if error else "ok",
        error=error,
        content=answer.content,
        model=answer.model,
        finish_reason=answer.finish_reason,
    )


def flaw(request: Request, response: Response) -> str | None:
    """Say what is wrong with an answer; None if it can be used."""
    if response.refusal:
        return f"the model refused: {response.refusal}"
    if response.finish_reason == "content_filter":
        return "the provider's content filter stopped the answer"
    if not (response.content or "").strip():
        more = ": raise --max-tokens" if response.finish_reason == "length" else ""
        return f"the answer is empty (finish_reason {response.finish_reason}){more}"
    if request.response_format is None:
        return None
    if response.finish_reason == "length":
        return f"the answer was cut off{_bound(request)}: raise --max-tokens"
    try:
        schema.parse(response.content or "")
    except RejectedError as error:
        return str(error)
    return None


def _bound(request: Request) -> str:
    return "" if request.max_tokens is None else f" at {request.max_tokens:,} tokens"


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
