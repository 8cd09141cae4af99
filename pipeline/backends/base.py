"""Who answers requests: one attempt is a backend's own, the fan-out is the same for all."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from pipeline.costs import Counter, Price
from pipeline.errors import BackendError, FatalError, TransientError
from pipeline.limits import Gate, Pass, retrying
from pipeline.types import Request, Response, Usage

GRACE_SECONDS = 10.0  # what is in flight gets this long to finish when the run is stopped


@dataclass(slots=True)
class Answered:
    """A request with its answer, or with why there is none, and what all its attempts took."""

    request: Request
    answer: Response | BackendError | None = None
    attempts: int = 0
    latency_seconds: float = 0.0
    usage: Usage | None = None
    cost_usd: Decimal | None = None


class Backend(ABC):
    """Answers requests. `server` names who answers and is part of each request's key."""

    server: str

    def __init__(
        self, *, gate: Gate, counter: Counter, price: Price | None, max_concurrency: int
    ) -> None:
        self.gate = gate
        self.counter = counter
        self.price = price
        self.max_concurrency = max_concurrency
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._schema: tuple[Mapping[str, object] | None, int] = (None, 0)
        self.stopped = False
        self.notices: list[str] = []

    @abstractmethod
    async def complete(self, request: Request) -> Response:
        """Send one request once. Raises BackendError."""

    @abstractmethod
    def body(self, request: Request) -> Mapping[str, object]:
        """Give the request's body as it is sent."""

    async def open(self) -> None:  # noqa: B027  # most need nothing
        """Get ready to answer."""

    async def close(self) -> None:  # noqa: B027
        """Let go of connections and processes."""

    def count_tokens(self, request: Request) -> int:
        """Estimate the prompt tokens of a request, offline."""
        return self.counter.count_messages(request.messages)

    def most_tokens(self, request: Request) -> int:
        """Estimate them at the most: a server may write the schema into the prompt."""
        return self.count_tokens(request) + self._schema_tokens(request.response_format)

    def _schema_tokens(self, response_format: Mapping[str, object] | None) -> int:
        if response_format is not self._schema[0]:  # one object for all requests of a prompt
            self._schema = (response_format, self.counter.count(json.dumps(response_format)))
        return self._schema[1]

    async def complete_all(self, requests: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
        """Answer requests as they come, in lists of those that are ready at once.

        A request counts as in flight until its list has been dealt with, which is when the next
        list is asked for: so no more than `max_concurrency` answers can ever be lost. What ends the
        run is raised when everything in flight has come back.
        """
        ready: list[Answered] = []
        news = asyncio.Event()
        slots = asyncio.Semaphore(self.max_concurrency)

        def finish(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._sending.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self._fail(error)
            news.set()

        async def dispatch() -> None:
            async for request in requests:
                await slots.acquire()
                if self.stopped:
                    return
                task = asyncio.create_task(self._answer(Answered(request), ready))
                self._tasks.add(task)
                task.add_done_callback(finish)

        dispatcher = asyncio.create_task(dispatch())
        self._tasks.add(dispatcher)
        dispatcher.add_done_callback(finish)
        try:
            while self._tasks or ready:
                await news.wait()
                news.clear()
                batch, ready[:] = list(ready), []
                if batch:
                    yield batch
                for _ in batch:
                    slots.release()
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._failure is not None:
            raise self._failure

    @property
    def in_flight(self) -> int:
        """How many requests are on their way now."""
        return len(self._sending)

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Send nothing more; what is on its way may still come back, for a moment."""
        self.stopped = True
        for task in self._tasks - self._sending:
            task.cancel()
        asyncio.get_running_loop().call_later(grace_seconds, self._abandon)

    def _abandon(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self.stop()

    async def _answer(self, answered: Answered, ready: list[Answered]) -> None:
        try:
            answered.answer = await retrying()(self._attempt, answered)
        except FatalError:
            raise
        except BackendError as error:
            answered.answer = error
        ready.append(answered)

    async def _attempt(self, answered: Answered) -> Response:
        """Pass the gate, send once, and settle what it took by what came of it."""
        request = answered.request
        tokens = self.most_tokens(request) if self.gate.counts_tokens else 0
        taken = await self.gate.enter(tokens, request.max_tokens)
        answered.attempts += 1
        started = time.monotonic()
        try:
            with self._on_its_way():
                response = await self.complete(request)
        except TransientError as error:
            self._settle(answered, taken, error.usage, lost=error.lost)
            if error.retry_after_seconds:
                self.gate.pause(error.retry_after_seconds)
            raise
        except BackendError:
            self._settle(answered, taken, None)
            raise
        except asyncio.CancelledError:
            self._settle(answered, taken, None, lost=True)
            raise
        finally:
            answered.latency_seconds += time.monotonic() - started
        lost = response.usage is None
        self._settle(answered, taken, response.usage, lost=lost, tier=response.service_tier)
        return response

    def _settle(
        self,
        answered: Answered,
        taken: Pass,
        usage: Usage | None,
        *,
        lost: bool = False,
        tier: str | None = None,
    ) -> None:
        """Bill the row for an attempt, and give back what was reserved for it."""
        cost = self.cost_usd(usage, tier) if usage else None
        if usage:
            answered.usage = (answered.usage or Usage()) + usage
        if cost is not None:
            answered.cost_usd = (answered.cost_usd or Decimal(0)) + cost
        if lost:
            self.gate.lose(taken)
        else:
            self.gate.leave(taken, usage, cost)

    @contextmanager
    def _on_its_way(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._sending.add(task)
        try:
            yield
        finally:
            self._sending.discard(task)

    def cost_usd(self, usage: Usage, service_tier: str | None = None) -> Decimal | None:
        """Price a usage; None where the price isn't known."""
        return None if self.price is None else self.price.cost_usd(usage)
