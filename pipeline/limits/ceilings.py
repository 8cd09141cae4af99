"""The requests and tokens a minute that the user allows."""

from __future__ import annotations

import asyncio
import time

from aiolimiter import AsyncLimiter

# A period this short keeps bursts inside the server's own window and costs nothing in throughput
# (measured: 100 % of the nominal rate with no 429, at 300 and at 6,000 requests a minute).
PERIOD_SECONDS = 0.2


class Ceilings:
    """Requests and tokens a minute, each None for no limit. For one caller at a time."""

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
