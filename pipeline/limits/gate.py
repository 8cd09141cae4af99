"""The one door to the server: whoever passes it may send, in the order of coming.

One caller stands in the door and waits for whatever says no: a pause that the server asked for, an
outage, a full window, an empty bucket, the pace, the budget. Every reply may change that, so every
reply makes the one in the door look again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from pipeline.errors import BudgetError, FatalError, LimitError, TransientError, UnreachableError
from pipeline.limits.buckets import Bucket, Mark
from pipeline.limits.budget import Budget
from pipeline.limits.ceilings import Ceilings
from pipeline.limits.circuit import Circuit
from pipeline.limits.moments import duration, moment
from pipeline.limits.pace import Pace
from pipeline.limits.window import Window
from pipeline.types import Levels, Usage

BYTES_PER_TOKEN = 4  # in English; other languages have more tokens already
MOST_RATIO = 100.0  # of the server's count to ours, for what its limit is expected to take
FOREVER = 3600.0  # until something changes
LOOK_SECONDS = 60.0  # to wait before looking again
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
    request_mark: Mark
    token_mark: Mark
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
        self.requests = Bucket()
        self.tokens = Bucket()
        self.pace = Pace()
        self.note = note
        self.refused = 0
        self._ceilings = ceilings or Ceilings()
        self._clock = clock
        self._door = asyncio.Lock()
        self._news = asyncio.Event()
        self._closed_until = 0.0
        self._asked_until = 0.0  # by the server, in these words
        self._words = ""
        self._ratio = 1.0
        self._most_ratio = 0.0
        self._added_tokens = 0  # by the server, to what we send

    @property
    def counts_tokens(self) -> bool:
        """Say whether the size of a request matters."""
        return (
            self.budget.max_cost_usd is not None
            or self._ceilings.counts_tokens
            or self.tokens.known
            or not self.circuit.answers  # the first answer will tell
        )

    async def enter(self, prompt_tokens: int, max_tokens: int | None) -> Pass:
        """Wait until a request may be sent. Raises BudgetError when it can't be paid for,
        FatalError when the server has been away for too long.
        """
        async with self._door:
            tokens = self._charged(prompt_tokens, max_tokens)
            await self._ceilings.acquire(tokens)
            while True:
                ceiling = self._ceiling(prompt_tokens, max_tokens)
                wait = self._wait(self._clock(), tokens, ceiling)
                if wait <= 0:
                    return self._take(prompt_tokens, tokens, ceiling)
                await self._wait_for_news(wait)

    def enter_now(self, prompt_tokens: int, max_tokens: int | None) -> Pass | None:
        """Take a request through that needn't be sent, if there is room to spare."""
        now = self._clock()
        tokens = self._charged(prompt_tokens, max_tokens)
        ceiling = self._ceiling(prompt_tokens, max_tokens)
        if self._door.locked() and not self.window.full:
            return None  # somebody is waiting for a limit
        for bucket, amount in ((self.requests, 1.0), (self.tokens, float(tokens))):
            if bucket.known and bucket.level(now) - amount < bucket.capacity * ROOM:
                return None
        if self.circuit.open or self.pace.rate or not self.budget.fits(ceiling):
            return None
        return self._take(prompt_tokens, tokens, ceiling)

    def affords(self, prompt_tokens: int, max_tokens: int | None) -> bool:
        """Say whether a request could be paid for if those in flight cost nothing."""
        ceiling = self._ceiling(prompt_tokens, max_tokens)
        return self.budget.fits(ceiling - self.budget.reserved_usd)

    def _charged(self, prompt_tokens: int, max_tokens: int | None) -> int:
        """Estimate what the server charges: our count, corrected by its own, and the allowance."""
        return round(prompt_tokens * self._ratio) + (max_tokens or 0)

    def _ceiling(self, prompt_tokens: int, max_tokens: int | None) -> Decimal:
        """Give the most that a request can cost; of the first, what it probably costs will do."""
        ceiling = self.budget.ceiling_usd(self._most(prompt_tokens), max_tokens)
        if not self.budget.taken_usd and not self.budget.fits(ceiling):
            return self.budget.ceiling_usd(prompt_tokens, max_tokens)
        return ceiling

    def _most(self, prompt_tokens: int) -> int:
        """Correct our count by the most that the server has counted more than we. Before its first
        count that may be anything up to a token a byte; what is more, the server has added.
        """
        ratio = self._most_ratio or BYTES_PER_TOKEN
        return math.ceil(prompt_tokens * ratio) + self._added_tokens

    def _wait(self, now: float, tokens: int, ceiling_usd: Decimal) -> float:
        if self.circuit.expired(now, self.window.in_flight):
            raise FatalError(self._given_up(now))
        self._check_patience(self._asked_until - now, self._words)
        if not self.budget.fits(ceiling_usd):
            if not self.budget.reserved_usd:
                raise BudgetError(self._used_up(ceiling_usd))
            return FOREVER
        if self.window.full:
            return FOREVER
        if tokens > self.tokens.capacity and self.tokens.known and self.window.in_flight:
            return FOREVER  # larger than the whole bucket: it goes alone
        limited = max(self.requests.wait(now, 1.0), self.tokens.wait(now, tokens))
        if limited > LOOK_SECONDS and not self.window.in_flight:  # no reply will say otherwise
            self._check_patience(limited, "its x-ratelimit headers")
        return max(self._closed_until - now, self.circuit.wait(now), limited, self.pace.wait(now))

    def _check_patience(self, seconds: float, words: str) -> None:
        """Raise FatalError if the server asks for a longer wait than the user does."""
        patience = self.circuit.patience_seconds
        if seconds > patience:
            raise FatalError(
                f"the server asks to wait {duration(seconds)}, until {moment(seconds)}, which is "
                f"more than --patience ({duration(patience)}): {words}"
            )

    def _given_up(self, now: float) -> str:
        circuit = self.circuit
        if circuit.opened_at is None:
            refused = duration(now - (circuit.refused_at or now))
            return f"the server has refused every request for {refused}: {circuit.reason}"
        if not circuit.answers:
            return f"{circuit.reason}; is --base-url right, and does the server run?"
        away = duration(now - circuit.opened_at)
        return f"the server has been away for {away}: {circuit.reason}"

    def _used_up(self, ceiling_usd: Decimal) -> str:
        budget = self.budget
        return (
            f"--max-cost {budget.max_cost_usd} USD is used up: {budget.taken_usd:f} USD are taken, "
            f"and the next request could cost {ceiling_usd:f} with the longest answer allowed"
        )

    def _take(self, counted_tokens: int, tokens: int, ceiling_usd: Decimal) -> Pass:
        now = self._clock()
        self.budget.reserve(ceiling_usd)
        self.window.in_flight += 1
        self.circuit.take()
        self.pace.take(now)
        return Pass(
            sent_at=now,
            counted_tokens=counted_tokens,
            tokens=tokens,
            ceiling_usd=ceiling_usd,
            request_mark=self.requests.take(now, 1.0),
            token_mark=self.tokens.take(now, float(tokens)),
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
        self.pace.admit(taken.sent_at)
        self._alive()
        if usage is None:
            self.budget.lose(taken.ceiling_usd)
        else:
            self.budget.settle(taken.ceiling_usd, cost_usd)
            if self.tokens.known:  # else it may charge for the allowance, used or not
                self._ceilings.refund(taken.tokens - usage.total_tokens)
            self._compare(taken.counted_tokens, usage.prompt_tokens)
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
        self._return(self._clock(), taken, None, charged=False)
        self.release()

    def refuse(self, taken: Pass, error: LimitError) -> None:
        """Note a 429: nobody sends until the server says so."""
        now, levels = self._clock(), error.levels
        self.refused += 1
        self.circuit.refuse(now, str(error))
        self._obey(error)
        self.budget.settle(taken.ceiling_usd, None)
        self._return(now, taken, levels, charged=False)
        if levels is not None:
            self.requests.refuse()
            self.tokens.refuse()
            self.pause(0.0 if error.retry_after_seconds else 0.1)
        else:
            self.pause(refuse(self.pace, self.window, now, taken.sent_at))
        self.release()

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
        self._obey(error)
        if error.overloaded:
            self.window.cut()
        if own:
            return
        unreachable = isinstance(error, UnreachableError)
        if self.circuit.fail(now, str(error), unreachable=unreachable):
            self.note(f"the server is away ({error}): waiting for it, trying now and then")
            self.window.restart()

    def blames(self, taken: Pass, error: TransientError, since: int | None) -> bool:
        """Say whether a failure is the request's own fault: others were answered meanwhile, or
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
        seconds = error.retry_after_seconds or 0.0
        self.pause(seconds)
        until = self._clock() + seconds
        if until > self._asked_until:
            self._asked_until, self._words = until, str(error)

    def pause(self, seconds: float) -> None:
        """Let nobody through for a while: it holds for the whole run."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)

    def _alive(self) -> None:
        away_since = self.circuit.opened_at
        if self.circuit.answer():
            away = self._clock() - (away_since or 0.0)
            self.note(f"the server is back after {away:.0f} s")

    def _compare(self, counted: int, prompt_tokens: int) -> None:
        """Learn how the server's count of a prompt differs from ours."""
        if not counted:
            return
        ratio = prompt_tokens / counted
        self._ratio += (min(ratio, MOST_RATIO) - self._ratio) * 0.1
        self._most_ratio = max(self._most_ratio, min(ratio, BYTES_PER_TOKEN), 1.0)
        if ratio > BYTES_PER_TOKEN:
            self._added_tokens = max(self._added_tokens, prompt_tokens)

    def _return(
        self, now: float, taken: Pass, levels: Levels | None, *, charged: bool = True
    ) -> None:
        seen = levels or Levels()
        for bucket, mark, level in (
            (self.requests, taken.request_mark, seen.requests),
            (self.tokens, taken.token_mark, seen.tokens),
        ):
            if charged:
                bucket.note(mark)
            else:
                bucket.give_back(now, mark)
            if level is not None:
                bucket.learn(now, mark, level)
        self._news.set()

    def state(self) -> str:
        """Say what the run waits for, in a few words; nothing when it is in full swing."""
        now = self._clock()
        if self.circuit.opened_at is not None:
            return f"server away for {now - self.circuit.opened_at:.0f} s"
        until = max(self._closed_until - now, self.requests.wait(now, 1.0), self.pace.wait(now))
        if until > 1:
            return f"waiting for the limit until {moment(until)}"
        return ""


def refuse(pace: Pace, window: Window, now: float, sent_at: float) -> float:
    """Note a refusal that came without a word; give how many seconds nobody should send."""
    took_for_stray = pace.stray
    pause = pace.refuse(now, sent_at)
    if not pace.stray:
        window.cut()
    elif not took_for_stray:
        window.restart()
    return pause
