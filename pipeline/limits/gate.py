"""The one door to the server: whoever passes it may send, in the order of coming.

One caller stands in the door and waits for whatever says no: a pause that the server asked for, an
outage, a full window, an empty bucket, the pace, the budget. Every reply may change that, so every
reply makes the one in the door look again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from pipeline.errors import FatalError, LimitError, TransientError, UnreachableError
from pipeline.limits.budget import Budget
from pipeline.limits.ceilings import Ceilings
from pipeline.limits.charges import Charges
from pipeline.limits.circuit import Circuit
from pipeline.limits.hearsay import Hearsay, Marks
from pipeline.limits.moments import moment
from pipeline.limits.pace import Pace, Sent
from pipeline.limits.patience import TOLD_SECONDS, Patience
from pipeline.limits.window import Window
from pipeline.types import Levels, Usage

INSTANT_SECONDS = 1e-6  # is no wait
FOREVER = 3600.0  # until something changes
LOOK_SECONDS = 60.0  # to wait before looking again
REFUSED_SECONDS = 0.1  # to wait after a refusal that headers will explain
ROOM = 0.2  # of a bucket must be left for a request that needn't be sent


@dataclass(frozen=True, slots=True)
class Pass:
    """What a request took with it through the gate.

    `counted_tokens` is our count of its prompt, `tokens` what the server is expected to charge, and
    `answers` how many answers there had been.
    """

    sent_at: float
    counted_tokens: int
    tokens: int
    ceiling_usd: Decimal
    marks: Marks
    sent: Sent
    answers: int


class Gate:
    """Lets requests through, and learns from what comes of them."""

    def __init__(
        self,
        *,
        ceilings: Ceilings | None = None,
        budget: Budget | None = None,
        window: Window | None = None,
        circuit: Circuit | None = None,
        clock: Callable[[], float] = time.monotonic,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.budget = budget or Budget()
        self.window = window or Window()
        self.circuit = circuit or Circuit()
        self.charges = Charges(self.budget)
        self.patience = Patience(self.circuit, lambda text: self.note(text))
        self.hearsay = Hearsay()
        self.pace = Pace()
        self.note = note
        self.refused = 0
        self._ceilings = ceilings or Ceilings()
        self._clock = clock
        self._door = asyncio.Lock()
        self._news = asyncio.Event()
        self._closed_until = 0.0
        self._rows_until = 0.0  # when rows that wait by themselves come back

    @property
    def counts_tokens(self) -> bool:
        """Return whether the size of a request matters."""
        return (
            self.budget.max_cost_usd is not None
            or self._ceilings.counts_tokens
            or (self.hearsay.tokens.known and self.hearsay.believed)
            or not self.circuit.answers  # the first answer will tell
        )

    async def enter(self, prompt_tokens: int, max_tokens: int | None) -> Pass:
        """Wait until a request may be sent. Raises BudgetError when it can't be paid for,
        FatalError when the server has been away for too long.
        """
        async with self._door:
            tokens = self.charges.tokens(prompt_tokens, max_tokens)
            await self._ceilings.acquire(tokens)
            while True:
                ceiling = self.charges.ceiling_usd(prompt_tokens, max_tokens)
                wait = self._wait(self._clock(), tokens, ceiling)
                if wait <= INSTANT_SECONDS:
                    return self._take(prompt_tokens, tokens, ceiling)
                await self._wait_for_news(wait)

    def enter_now(self, prompt_tokens: int, max_tokens: int | None) -> Pass | None:
        """Take a request through that needn't be sent, if there is room to spare."""
        now = self._clock()
        tokens = self.charges.tokens(prompt_tokens, max_tokens)
        ceiling = self.charges.ceiling_usd(prompt_tokens, max_tokens)
        if self._door.locked() and not self.window.full:
            return None  # somebody is waiting for a limit
        if not self.hearsay.spares(now, tokens, ROOM):
            return None
        if self.circuit.open or self.pace.limited or not self.budget.fits(ceiling):
            return None
        return self._take(prompt_tokens, tokens, ceiling)

    def _wait(self, now: float, tokens: int, ceiling_usd: Decimal) -> float:
        if self.circuit.expired(now, self.window.in_flight):
            raise FatalError(self.patience.given_up(now))
        paced = self.pace.wait(now)
        if not self.pace.judging:
            self.patience.check(now, self.pace.held(now))
        if not self.charges.check(ceiling_usd):
            return FOREVER
        if self.window.full:
            return FOREVER
        if self.window.in_flight and self.hearsay.overflows(tokens):
            return FOREVER  # larger than the whole bucket: it goes alone
        if self.hearsay.confirmed and not self.window.in_flight:  # no reply will say otherwise
            self.patience.check(now, self.hearsay.told(now, tokens))
        limited = max(self._closed_until - now, self.hearsay.wait(now, tokens), paced)
        self.patience.tell(now, limited)
        return max(self.circuit.wait(now), limited)

    def _take(self, counted_tokens: int, tokens: int, ceiling_usd: Decimal) -> Pass:
        now = self._clock()
        self.budget.reserve(ceiling_usd)
        self.window.in_flight += 1
        self.circuit.take()
        return Pass(
            sent_at=now,
            counted_tokens=counted_tokens,
            tokens=tokens,
            ceiling_usd=ceiling_usd,
            marks=self.hearsay.take(now, float(tokens)),
            sent=self.pace.take(now),
            answers=self.circuit.answers,
        )

    async def _wait_for_news(self, seconds: float) -> None:
        self._news.clear()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(min(seconds, LOOK_SECONDS), self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()

    def answer(
        self,
        taken: Pass,
        *,
        usage: Usage | None,
        cost_usd: Decimal | None,
        levels: Levels | None,
    ) -> None:
        """Note an answer. It stays in the window until it is journaled: see `release`."""
        now = self._clock()
        self.window.admit(now, now - taken.sent_at)
        self.hearsay.admit(taken.marks)
        self._alive()
        if usage is None:
            self.budget.lose(taken.ceiling_usd)
        else:
            self.budget.settle(taken.ceiling_usd, cost_usd)
            if self.hearsay.tokens.known:  # else it may charge for the allowance, used or not
                self._ceilings.refund(taken.tokens - usage.total_tokens)
            self.charges.compare(taken.counted_tokens, usage.prompt_tokens)
        self._return(now, taken, levels)

    def release(self) -> None:
        """Let an answer leave the window."""
        self.window.in_flight -= 1
        self._news.set()

    def reject(self, taken: Pass, levels: Levels | None, cost_usd: Decimal | None = None) -> None:
        """Note a request that was refused for what it is: the server is there, bills little."""
        self._alive()
        self.budget.settle(taken.ceiling_usd, cost_usd)
        self._ceilings.refund(taken.tokens)
        self._return(self._clock(), taken, levels)
        self.release()

    def withdraw(self, taken: Pass) -> None:
        """Note a request that wasn't sent after all."""
        self.budget.settle(taken.ceiling_usd, None)
        self._ceilings.refund(taken.tokens)
        self.circuit.leave()
        self.hearsay.put(self._clock(), taken.marks, None, charged=False)
        self.hearsay.drop(taken.marks)
        self.release()

    def refuse(self, taken: Pass, error: LimitError) -> None:
        """Note a 429: nobody sends until the server says so, unless others are let in."""
        now = self._clock()
        self.budget.settle(taken.ceiling_usd, None)
        self.hearsay.put(now, taken.marks, error.levels, charged=False)
        self._news.set()
        self.release()
        self.refused += 1
        self.circuit.refuse(now, str(error))
        self.patience.hear(now, error, refused=True)
        wait = error.retry_after_seconds
        if self.hearsay.explains(error.levels, taken.marks):
            taken.sent.refused = True
            self.hearsay.refuse(now, taken.marks, taken.sent_at)
            self._obey(error)
            self.pause(0.0 if wait else REFUSED_SECONDS)
        else:
            self.hearsay.deny(taken.marks)
            alone = not self.window.in_flight
            if self.pace.refuse(now, taken.sent, wait, alone=alone):
                self.window.cut()

    def row_pause(self, error: TransientError) -> float:
        """Return how long the row of a failed request waits before it comes to the door again.
        What the user won't wait for is told there.
        """
        if self.patience.exceeded_by(error) and not self.pace.strays.found:
            return 0.0
        now, seconds = self._clock(), error.retry_after_seconds or 0.0
        self.patience.tell(now, seconds, str(error))
        self._rows_until = max(self._rows_until, now + seconds)
        return min(seconds, TOLD_SECONDS)

    def fail(
        self, taken: Pass, error: TransientError, cost_usd: Decimal | None, *, own: bool
    ) -> None:
        """Note a failure. `own` says that the request is to blame, not the server."""
        now = self._clock()
        if error.lost:
            self.budget.lose(taken.ceiling_usd)
        else:
            self.budget.settle(taken.ceiling_usd, cost_usd)
        self._return(now, taken, error.levels)
        self.release()
        if error.overloaded:
            self.window.cut()
        if own and not self.patience.exceeded_by(error):
            return  # its row waits by itself
        self._obey(error)
        if own:
            return
        unreachable = isinstance(error, UnreachableError)
        in_flight = self.window.in_flight
        if self.circuit.fail(now, str(error), unreachable=unreachable, in_flight=in_flight):
            self.note(f"the server is away ({error}): waiting for it, trying now and then")
            self.window.restart()

    def blames(self, taken: Pass, error: TransientError, since: int | None) -> bool:
        """Return whether a failure is the request's own fault: others were answered meanwhile, or
        since it first failed (`since` is how many answers there were then), or there are no others.
        """
        answers = self.circuit.answers
        if isinstance(error, UnreachableError):
            return answers > taken.answers
        alone = self.window.in_flight <= 1 and not self._door.locked()
        return alone or answers > (taken.answers if since is None else since)

    def cancel(self, taken: Pass) -> None:
        """Note that nobody waits for the answer any more; it may be billed all the same."""
        self.budget.lose(taken.ceiling_usd)
        self._return(self._clock(), taken, None)
        self.release()

    def _obey(self, error: TransientError) -> None:
        """Wait as long as the server asks, if it does."""
        self.pause(error.retry_after_seconds or 0.0)
        self.patience.hear(self._clock(), error)

    def pause(self, seconds: float) -> None:
        """Let nobody through for a while: it holds for the whole run."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)

    def _alive(self) -> None:
        away_since = self.circuit.opened_at
        if self.circuit.answer():
            away = self._clock() - (away_since or 0.0)
            self.note(f"the server is back after {away:.0f} s")

    def _return(self, now: float, taken: Pass, levels: Levels | None) -> None:
        self.hearsay.put(now, taken.marks, levels, charged=True)
        self.hearsay.drop(taken.marks)
        self._news.set()

    def state(self) -> str:
        """Say what the run waits for, in a few words; nothing when it is in full swing."""
        now = self._clock()
        if self.circuit.opened_at is not None:
            return f"server away for {now - self.circuit.opened_at:.0f} s"
        until = max(self._closed_until - now, self.hearsay.wait(now, 1.0), self.pace.wait(now))
        if not self.window.in_flight:  # no others either
            until = max(until, self._rows_until - now)
        if until > 1:
            return f"waiting for the limit until {moment(until)}"
        return ""
