"""What a request must pass before it is sent: pauses, requests and tokens a minute, the budget.

Everything here is told, nothing is learned: see `Gate` for the one door that leads through it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from aiolimiter import AsyncLimiter
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from pipeline.costs import Price
from pipeline.errors import BudgetError, TransientError
from pipeline.types import Usage

MAX_ATTEMPTS = 6
# A period this short keeps bursts inside the server's own window and costs nothing in throughput
# (measured: 100 % of the nominal rate with no 429, at 300 and at 6,000 requests a minute).
PERIOD_SECONDS = 0.2

_backoff = wait_random_exponential(multiplier=0.5, max=60)


class RateLimiter:
    """Requests and tokens a minute, each None for no limit; one caller waits at a time."""

    def __init__(self, *, rpm: float | None = None, tpm: float | None = None) -> None:
        self._requests = _pacer(rpm / 60) if rpm else None
        self._tokens_a_second = tpm / 60 if tpm else None
        self._next_tokens = 0.0

    @property
    def counts_tokens(self) -> bool:
        return self._tokens_a_second is not None

    async def acquire(self, tokens: int) -> None:
        """Wait until one more request of this many tokens may be sent."""
        if self._requests:
            await self._requests.acquire()
        if self._tokens_a_second:
            # aiolimiter lets small amounts overtake large ones and refuses those over its size;
            # a first-in-first-out virtual clock does neither.
            now = time.monotonic()
            wait = self._next_tokens - now - PERIOD_SECONDS
            self._next_tokens = max(now, self._next_tokens) + tokens / self._tokens_a_second
            if wait > 0:
                await asyncio.sleep(wait)

    def refund(self, tokens: int) -> None:
        """Give back what was reserved and not used; less than nothing takes more."""
        if self._tokens_a_second:
            self._next_tokens -= tokens / self._tokens_a_second


def _pacer(rate: float) -> AsyncLimiter:
    """Pace at `rate` a second."""
    burst = max(1.0, rate * PERIOD_SECONDS)
    return AsyncLimiter(burst, burst / rate)


@dataclass(slots=True)
class Budget:
    """USD that may be spent, reserved at the worst case before sending and settled by real usage.

    `unsure_usd` is for requests whose answer was lost: the provider may bill them all the same.
    """

    price: Price | None = None
    max_cost_usd: Decimal | None = None
    spent_usd: Decimal = Decimal(0)
    reserved_usd: Decimal = Decimal(0)
    unsure_usd: Decimal = Decimal(0)

    def ceiling_usd(self, prompt_tokens: int, max_tokens: int | None) -> Decimal:
        """Give the most that a request can cost."""
        if self.price is None or self.max_cost_usd is None:
            return Decimal(0)
        return self.price.ceiling_usd(prompt_tokens, max_tokens or 0)

    def fits(self, ceiling_usd: Decimal) -> bool:
        """Say whether a request of this ceiling can be sent now."""
        if self.max_cost_usd is None:
            return True
        taken = self.spent_usd + self.unsure_usd + self.reserved_usd
        return taken + ceiling_usd <= self.max_cost_usd


@dataclass(frozen=True, slots=True)
class Pass:
    """What a request took with it through the gate."""

    tokens: int
    ceiling_usd: Decimal


class Gate:
    """The one door to the server: whoever passes it may send, in the order of coming."""

    def __init__(
        self,
        *,
        limiter: RateLimiter | None = None,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = budget or Budget()
        self._limiter = limiter or RateLimiter()
        self._clock = clock
        self._door = asyncio.Lock()
        self._settled = asyncio.Event()
        self._closed_until = 0.0

    @property
    def counts_tokens(self) -> bool:
        """Say whether the size of a request matters."""
        return self.budget.max_cost_usd is not None or self._limiter.counts_tokens

    async def enter(self, prompt_tokens: int, max_tokens: int | None) -> Pass:
        """Wait until a request may be sent. Raises BudgetError when it can't be paid for."""
        ceiling = self.budget.ceiling_usd(prompt_tokens, max_tokens)
        tokens = prompt_tokens + (max_tokens or 0)
        async with self._door:
            await self._reserve(ceiling)
            try:
                await self._limiter.acquire(tokens)
                while (wait := self._closed_until - self._clock()) > 0:
                    await asyncio.sleep(wait)
            except BaseException:
                self.budget.reserved_usd -= ceiling
                raise
        return Pass(tokens, ceiling)

    async def _reserve(self, ceiling_usd: Decimal) -> None:
        while not self.budget.fits(ceiling_usd):
            if not self.budget.reserved_usd:
                raise BudgetError(
                    f"--max-cost {self.budget.max_cost_usd} USD is used up: "
                    f"{self.budget.spent_usd + self.budget.unsure_usd:f} USD spent, "
                    f"the next request could cost {ceiling_usd:f}"
                )
            self._settled.clear()
            await self._settled.wait()
        self.budget.reserved_usd += ceiling_usd

    def leave(self, taken: Pass, usage: Usage | None, cost_usd: Decimal | None) -> None:
        """Settle a request by what it used; None where nothing was billed."""
        self.budget.reserved_usd -= taken.ceiling_usd
        self.budget.spent_usd += cost_usd or Decimal(0)
        self._limiter.refund(taken.tokens - (usage.total_tokens if usage else 0))
        self._settled.set()

    def lose(self, taken: Pass) -> None:
        """Settle a request whose answer was lost: nobody knows whether it will be billed."""
        self.budget.reserved_usd -= taken.ceiling_usd
        self.budget.unsure_usd += taken.ceiling_usd
        self._settled.set()

    def pause(self, seconds: float) -> None:
        """Let nobody through for a while: the server said so, and it holds for the whole run."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)


def retrying() -> AsyncRetrying:
    """Retry what may get better, with full jitter, never sooner than the server said."""
    return AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(MAX_ATTEMPTS),
        wait=_wait,
        reraise=True,
    )


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    said = error.retry_after_seconds if isinstance(error, TransientError) else None
    return max(_backoff(state), said or 0.0)
