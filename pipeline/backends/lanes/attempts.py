"""One attempt at a request: through the gate, to the server, and settled by what comes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from tenacity import RetryCallState, wait_random_exponential

from pipeline.backends.base import Answered, Server
from pipeline.errors import BackendError, FatalError, LimitError, TransientError, UnsentError
from pipeline.limits.gate import Gate, Pass
from pipeline.limits.latencies import Latencies
from pipeline.types import Request, Response, Usage

_backoff = wait_random_exponential(multiplier=0.25, max=5)  # full jitter


@dataclass(slots=True)
class Asking:
    """A request on its way, and what its attempts have taken so far.

    `failures` are those that the request is to blame for; `failed_since` is how many answers there
    had been when it failed first. Of several `tasks` all but one are hedges.
    """

    request: Request
    size: int
    attempts: int = 0
    failures: int = 0
    failed_since: int | None = None
    latency_seconds: float = 0.0
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    hedged: bool = False
    sent_at: float = 0.0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def bill(self, usage: Usage, cost_usd: Decimal | None) -> None:
        """Bill an attempt to its row."""
        self.usage = usage if self.usage is None else self.usage + usage
        if cost_usd is not None:
            self.cost_usd = cost_usd + (self.cost_usd or Decimal(0))

    def answered(self, answer: Response | BackendError) -> Answered:
        """Return what became of it."""
        return Answered(
            request=self.request,
            answer=answer,
            attempts=self.attempts,
            latency_seconds=self.latency_seconds,
            usage=self.usage,
            cost_usd=self.cost_usd,
        )


class Attempts:
    """Makes attempts. `fail` is told of what ends the run, before another is let through."""

    def __init__(self, server: Server, gate: Gate, fail: Callable[[FatalError], None]) -> None:
        self.sent = 0
        self.sending: dict[asyncio.Task[None], Asking] = {}
        self._server = server
        self._gate = gate
        self._fail = fail
        self._latencies = Latencies()

    def tokens(self, request: Request) -> int:
        """Count the tokens for the gate, which costs time, if it goes by them."""
        return self._server.most_tokens(request) if self._gate.counts_tokens else 0

    async def enter(self, request: Request) -> Pass:
        """Wait until a request may be sent."""
        return await self._gate.enter(self.tokens(request), request.max_tokens)

    def late(self) -> Iterator[Asking]:
        """Yield what is far later than others of its size."""
        now = time.monotonic()
        for asking in list(self.sending.values()):
            after = self._latencies.hedge_after(asking.size)
            if after is not None and not asking.hedged and now - asking.sent_at > after:
                yield asking

    def pause(self, state: RetryCallState) -> float:
        """Return how long a request waits to be made again: as long as the server asks, and if it
        wasn't for a limit, as long as the backoff says.
        """
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, TransientError):
            return 0.0
        backoff = 0.0 if isinstance(error, LimitError) else _backoff(state)
        return max(backoff, self._gate.row_pause(error))

    async def make(self, asking: Asking, taken: Pass) -> Response:
        """Send once. Raises BackendError."""
        task = asyncio.current_task()
        assert task is not None
        asking.attempts += 1
        self.sent += 1
        self.sending[task] = asking
        asking.sent_at = started = time.monotonic()
        try:
            timeout = self._latencies.timeout(asking.size, asking.failures)
            response = await self._server.complete(asking.request, timeout)
        except BaseException as error:
            self._settle(asking, taken, error)
            raise
        finally:
            del self.sending[task]
            seconds = time.monotonic() - started
            asking.latency_seconds += seconds
        self._latencies.add(asking.size, seconds)
        cost = self._bill(asking, response.usage, response.service_tier, response.model)
        self._gate.answer(taken, usage=response.usage, cost_usd=cost, levels=response.levels)
        return response

    def _settle(self, asking: Asking, taken: Pass, error: BaseException) -> None:
        """Tell the gate what became of an attempt that failed."""
        if isinstance(error, LimitError):
            self._gate.refuse(taken, error)
        elif isinstance(error, TransientError):
            # It waits to be asked again, and the frames of its traceback hold the reply.
            error.__traceback__ = error.__cause__ = error.__context__ = None
            self._blame(asking, taken, error)
        elif isinstance(error, UnsentError):
            asking.attempts -= 1
            self._gate.withdraw(taken)
        elif isinstance(error, BackendError):
            if isinstance(error, FatalError):
                self._fail(error)
            self._gate.reject(taken, error.levels, self._bill(asking, error.usage))
        else:
            self._gate.cancel(taken)

    def _blame(self, asking: Asking, taken: Pass, error: TransientError) -> None:
        cost = self._bill(asking, error.usage)
        counted = error.usage is not None  # it was answered: the server isn't away
        own = counted or self._gate.blames(taken, error, asking.failed_since)
        if asking.failed_since is None:
            asking.failed_since = self._gate.circuit.answers
        asking.failures += own * error.weight
        self._gate.fail(taken, error, cost, own=own)

    def _bill(
        self,
        asking: Asking,
        usage: Usage | None,
        service_tier: str | None = None,
        model: str = "",
    ) -> Decimal | None:
        if usage is None:
            return None
        cost = self._server.cost_usd(usage, service_tier, model)
        asking.bill(usage, cost)
        return cost
