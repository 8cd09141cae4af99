"""Who answers requests: one attempt is a backend's own, the fan-out is the same for all."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from pipeline.backends.apis.messages import shown
from pipeline.costs import Counter, Price
from pipeline.errors import BackendError, FatalError, LimitError, TransientError, UnsentError
from pipeline.limits.gate import Gate, Pass
from pipeline.limits.latencies import Latencies
from pipeline.types import Request, Response, Usage

GRACE_SECONDS = 10.0  # what is in flight gets this long to finish when the run is stopped
MAX_FAILURES = 10  # attempts that fail while others succeed; with a fifth of all replies bad, 1 row
#                    in ten million fails so often
HEDGE_SHARE = 0.01  # of the requests may be sent a second time
TURN_CHARACTERS = 100_000  # are sent off, in 10 ms, before the event loop turns to all else
LOOK_SECONDS = 0.1  # how often to look for requests that hang

_backoff = wait_random_exponential(multiplier=0.25, max=5)  # full jitter


@dataclass(slots=True)
class Answered:
    """A request with its answer, or with why there is none, and what all its attempts took.

    `failures` are those that the request is to blame for; `failed_since` is how many answers there
    had been when it failed first.
    """

    request: Request
    answer: Response | BackendError | None = None
    attempts: int = 0
    failures: int = 0
    failed_since: int | None = None
    latency_seconds: float = 0.0
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    hedged: bool = False
    sent_at: float = 0.0
    size: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Backend(ABC):
    """Answers requests. `server` names who answers and is part of each request's key.

    `window_tokens` is how long prompt and answer may be together, where that is known, and
    `longest_tokens` how long an answer is worth waiting for where a cut-off one is asked for again.
    `sees` says whether it takes images. `notices` are what the user should know of how the server
    is asked.
    """

    server: str
    sees = True
    longest_tokens: int | None = None

    def __init__(
        self,
        *,
        gate: Gate,
        counter: Counter,
        price: Price | None,
        hedge: bool = False,
        window_tokens: int | None = None,
    ) -> None:
        self.gate = gate
        self.counter = counter
        self.price = price
        self.window_tokens = window_tokens
        self.notices: list[str] = []
        self.stopped = False
        self.hedges = 0
        self._hedge_share = HEDGE_SHARE if hedge else 0.0
        self._latencies = Latencies()
        self._sent = 0
        self._sending: dict[asyncio.Task[None], Answered] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready: list[Answered] = []
        self._news = asyncio.Event()
        self._failure: BaseException | None = None
        self._schema: tuple[Mapping[str, object] | None, int] = (None, 0)

    @abstractmethod
    async def complete(self, request: Request, timeout_seconds: float) -> Response:
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

    def most_tokens(self, request: Request, counted: int | None = None) -> int:
        """Estimate them at the most: servers write the schema into it and round images up."""
        tokens = self.count_tokens(request) if counted is None else counted
        return tokens + len(shown(request)) + self._schema_tokens(request.response_format)

    def _size(self, request: Request) -> int:
        """Give how much there is to read, in characters; four of them are a token of an image."""
        tokens = sum(map(self.counter.image_rule.tokens, shown(request)))
        return sum(len(message.text) for message in request.messages) + 4 * tokens

    def _schema_tokens(self, response_format: Mapping[str, object] | None) -> int:
        if response_format is not self._schema[0]:  # one object for all requests of a prompt
            self._schema = (response_format, self.counter.count(json.dumps(response_format)))
        return self._schema[1]

    async def complete_all(self, requests: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
        """Answer requests as they come, in lists of those that are ready at once.

        An answer leaves the window when its list has been dealt with, which is when the next list
        is asked for: no more answers can be lost than may be in flight. What ends the run is raised
        when everything in flight has come back.
        """
        self._start(self._dispatch(requests))
        self._look_soon()
        try:
            while self._tasks or self._ready:
                await self._news.wait()
                self._news.clear()
                batch, self._ready = self._ready, []
                if batch:
                    yield batch
                for answered in batch:
                    if isinstance(answered.answer, Response):
                        self.gate.release()
        finally:
            self._timer.cancel()
            await self._abandon()
        if self._failure is not None:
            raise self._failure

    def add(self, request: Request) -> None:
        """Ask this, too, before `complete_all` ends: for who deals with its answers."""
        if not self.stopped:
            self._start(self._late(request))

    async def _late(self, request: Request) -> None:
        taken = await self._enter(request)
        answered = Answered(request, size=self._size(request))
        task = asyncio.current_task()
        assert task is not None
        answered.tasks.append(task)
        await self._answer(answered, taken)

    def affords(self, request: Request) -> bool:
        """Say whether `--max-cost` has room for a request."""
        return self.gate.affords(self._tokens(request), request.max_tokens)

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Send nothing more; what is on its way may still come back, for a moment."""
        self.stopped = True
        for task in self._tasks - self._sending.keys():
            task.cancel()
        asyncio.get_running_loop().call_later(grace_seconds, self._cancel_all)

    @property
    def in_flight(self) -> int:
        """How many requests are on their way now."""
        return len(self._sending)

    def state(self) -> str:
        """Say in a few words what the run waits for, or how many requests are in flight."""
        waiting = self.gate.state()
        parts = [waiting or f"{self.in_flight:,} in flight"]
        if self.hedges:
            parts.append(f"hedged {self.hedges:,}")
        return ", ".join(parts)

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        self._news.set()

    def _fail(self, error: BaseException) -> None:
        """End the run: of several reasons the first counts."""
        if self._failure is None:
            self._failure = error
            self.stop()

    def _cancel_all(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _abandon(self) -> None:
        self._cancel_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _dispatch(self, requests: AsyncIterator[Request]) -> None:
        waiting = 0
        async for request in requests:
            answered = Answered(request, size=self._size(request))
            taken = await self._enter(request)
            answered.tasks.append(self._start(self._answer(answered, taken)))
            waiting += answered.size
            if waiting > TURN_CHARACTERS:
                waiting = 0
                await asyncio.sleep(0)

    async def _enter(self, request: Request) -> Pass:
        return await self.gate.enter(self._tokens(request), request.max_tokens)

    def _tokens(self, request: Request) -> int:
        """Count the tokens for the gate, which costs time, where it goes by them."""
        return self.most_tokens(request) if self.gate.counts_tokens else 0

    async def _answer(self, answered: Answered, taken: Pass) -> None:
        """Ask until there is an answer, or a reason to ask no more."""
        try:
            answer: Response | BackendError = await self._attempt(answered, taken)
        except TransientError as error:
            answer = error if self.stopped else await self._again(answered, error)
            if self.stopped and isinstance(answer, TransientError):
                return  # nothing more is sent; the next run asks for this row
        except FatalError:
            raise
        except BackendError as error:
            answer = error
        self._deliver(answered, answer)

    async def _again(self, answered: Answered, first: TransientError) -> Response | BackendError:
        """Retry what failed, with full jitter; what was refused has the gate to wait for."""
        errors = [first]

        async def attempt() -> Response:
            if errors:
                raise errors.pop()
            return await self._attempt(answered, await self._enter(answered.request))

        def hopeless(_: RetryCallState) -> bool:
            return answered.failures >= MAX_FAILURES or self.stopped

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=hopeless,
            wait=_wait,
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except FatalError:
            raise
        except BackendError as error:
            return error

    async def _attempt(self, answered: Answered, taken: Pass) -> Response:
        """Send once, and settle what the request took by what came of it."""
        task = asyncio.current_task()
        assert task is not None
        answered.attempts += 1
        self._sent += 1
        self._sending[task] = answered
        answered.sent_at = started = time.monotonic()
        try:
            timeout = self._latencies.timeout(answered.size, answered.failures)
            response = await self.complete(answered.request, timeout)
        except LimitError as error:
            self.gate.refuse(taken, error)
            raise
        except TransientError as error:
            # It waits to be asked again, and the frames of its traceback hold the reply.
            error.__traceback__ = error.__cause__ = error.__context__ = None
            self._blame(answered, taken, error)
            raise
        except UnsentError:
            answered.attempts -= 1
            self.gate.withdraw(taken)
            raise
        except BackendError as error:
            if isinstance(error, FatalError):
                self._fail(error)  # before the gate lets another through
            self.gate.reject(taken, error.levels)
            raise
        except BaseException:
            self.gate.cancel(taken)
            raise
        finally:
            del self._sending[task]
            seconds = time.monotonic() - started
            answered.latency_seconds += seconds
        self._latencies.add(answered.size, seconds)
        cost = self._bill(answered, response.usage, response.service_tier)
        self.gate.answer(taken, usage=response.usage, cost_usd=cost, levels=response.levels)
        return response

    def _blame(self, answered: Answered, taken: Pass, error: TransientError) -> None:
        cost = self._bill(answered, error.usage)
        own = self.gate.blames(taken, error, answered.failed_since)
        if answered.failed_since is None:
            answered.failed_since = self.gate.circuit.answers
        answered.failures += own * error.weight
        self.gate.fail(taken, error, cost, own=own)

    def _bill(
        self, answered: Answered, usage: Usage | None, service_tier: str | None = None
    ) -> Decimal | None:
        """Bill an attempt to its row."""
        if usage is None:
            return None
        cost = self.cost_usd(usage, service_tier)
        answered.usage = usage if answered.usage is None else answered.usage + usage
        if cost is not None:
            answered.cost_usd = cost + (answered.cost_usd or Decimal(0))
        return cost

    def cost_usd(self, usage: Usage, service_tier: str | None = None) -> Decimal | None:
        """Price a usage; None where the price isn't known."""
        return None if self.price is None else self.price.cost_usd(usage)

    def _deliver(self, answered: Answered, answer: Response | BackendError) -> None:
        """Hand an answer over; a failure only when nobody else is still asking the same."""
        task = asyncio.current_task()
        assert task is not None
        answered.tasks.remove(task)
        if isinstance(answer, Response):
            for rival in answered.tasks:
                rival.cancel()
        elif any(not rival.done() for rival in answered.tasks):
            return
        answered.answer = answer
        self._ready.append(answered)
        self._news.set()

    def _look_soon(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """Ask a second time for answers that are far later than others of their size."""
        now = time.monotonic()
        for answered in list(self._sending.values()):
            after = self._latencies.hedge_after(answered.size)
            if after is not None and not answered.hedged and now - answered.sent_at > after:
                self._hedge(answered)
        self._look_soon()

    def _hedge(self, answered: Answered) -> None:
        if self.stopped or self.hedges + 1 > self._sent * self._hedge_share:
            return
        request = answered.request
        taken = self.gate.enter_now(self._tokens(request), request.max_tokens)
        if taken is not None:
            answered.hedged = True
            self.hedges += 1
            answered.tasks.append(self._start(self._second(answered, taken)))

    async def _second(self, answered: Answered, taken: Pass) -> None:
        try:
            answer: Response | BackendError = await self._attempt(answered, taken)
        except FatalError:
            raise
        except BackendError as error:
            answer = error
        self._deliver(answered, answer)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return 0.0 if isinstance(error, LimitError) else _backoff(state)
