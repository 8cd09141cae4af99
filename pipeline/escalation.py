"""A cheap model answers all, a strong one what the cheap one is unsure of. Both are billed.

Each model's answers have keys of their own in the journal: another threshold asks for the
difference only, and the strong model's answers serve a run of it alone, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from pipeline.engine import Engine
from pipeline.prompt import Prompt
from pipeline.types import Request, Result, Usage


@dataclass(slots=True)
class Savings:
    """What the cheap model has spared: what it answered, at the strong one's price."""

    answers: int = 0
    escalated: int = 0
    alone_usd: Decimal | None = Decimal(0)


class Escalation:
    """Asks `engine`, the strong model's, where the confidence is less than `below`, 0 to 1.

    `prompt` is the same prompt, as the strong model is asked it.
    """

    def __init__(self, engine: Engine, prompt: Prompt, below: float) -> None:
        self.engine = engine
        self.below = below
        self.savings = Savings()
        self._prompt = prompt

    @property
    def model(self) -> str:
        return self._prompt.model or ""

    def get(self, request: Request) -> Result | None:
        """Look up what is known about a request: the strong model's answer where one is due."""
        first = self.engine.store.get(request)
        if first is None or not self._unsure(first):
            return first
        second = self.engine.store.get(self._prompt.adopt(request))
        if second is None:
            error = f"unsure ({_percent(first)}), and {self.model} was not asked"
            return replace(first, status="again", error=error)
        return _both(first, second)

    def requests(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Give what the strong model is to be asked, of what the cheap one was."""
        for request in requests:
            first = self.engine.store.get(request)
            if first is not None and self._unsure(first):
                yield self._prompt.adopt(request)

    def count(self, result: Result) -> None:
        """Take an answer of the cheap model into account."""
        price, savings = self.engine.backend.price, self.savings
        if result.status != "ok":
            return
        savings.answers += 1
        savings.escalated += self._unsure(result)
        if price is None or result.usage is None or savings.alone_usd is None:
            savings.alone_usd = None
        else:
            savings.alone_usd += price.cost_usd(result.usage)

    def _unsure(self, result: Result) -> bool:
        return result.status == "ok" and (
            result.confidence is None or result.confidence < self.below
        )


def _percent(result: Result) -> str:
    return "no confidence" if result.confidence is None else f"confidence {result.confidence}"


def _both(first: Result, second: Result) -> Result:
    """Give the second answer with what both took."""
    usages = [result.usage for result in (first, second) if result.usage is not None]
    costs = [result.cost_usd for result in (first, second) if result.cost_usd is not None]
    return replace(
        second,
        request=first.request,
        usage=sum(usages, Usage()) if usages else None,
        cost_usd=sum(costs, Decimal(0)) if costs else None,
        attempts=first.attempts + second.attempts,
        latency_seconds=first.latency_seconds + second.latency_seconds,
        entry=first.entry,
    )
