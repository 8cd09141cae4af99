"""A cheap model answers all, a strong one what the cheap one is unsure of or can't answer. Both
are billed.

Each model's answers have keys of their own in the journal: another threshold asks for the
difference only, and the strong model's answers serve a run of it alone, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from pipeline import cascade
from pipeline.engine import Engine
from pipeline.prompt import Prompt
from pipeline.types import Request, Result, Usage


@dataclass(slots=True)
class Savings:
    """What the answers cost, of both models, and what the cheap one's tokens would have cost of the
    strong one; None where a price isn't known.
    """

    answers: int = 0
    escalated: int = 0
    cost_usd: Decimal | None = Decimal(0)
    escalated_usd: Decimal = Decimal(0)
    alone_usd: Decimal | None = Decimal(0)


@dataclass(frozen=True, slots=True)
class Promise:
    """What share of all answers is to agree with the strong model or gold, and how probably."""

    accuracy: float
    level: float


class Escalation:
    """Asks `engine`, the strong model's, where the confidence is less than `below`, 0 to 1, or the
    cheap one has failed.

    `prompt` is the same prompt, as the strong model is asked it. With a `promise` it is `keep` that
    finds out what to be below of, once the cheap model has answered: until then no answer stands.
    """

    def __init__(
        self, engine: Engine, prompt: Prompt, below: float, promise: Promise | None = None
    ) -> None:
        self.engine = engine
        self.below = below if promise is None else math.inf
        self.promise = promise
        self.settled = promise is None
        self.note: str | None = None
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
        if second is None and first.status == "failed":
            return first
        if second is None:
            sure = _percent(first)
            why = f"unsure ({sure})" if self.settled else f"{sure}: not known yet if that is enough"
            error = f"{why}, and {self.model} was not asked"
            return replace(first, status="again", error=error)
        return _both(first, second)

    def keep(self, labelled: Sequence[tuple[float | None, bool]]) -> None:
        """Find the threshold that keeps the promise from rows whose right label is known: how sure
        the cheap model was of each, and whether it was right. Too few of them promise nothing.
        """
        assert self.promise is not None
        self.settled = True
        confidence, right = zip(*labelled, strict=True) if labelled else ((), ())
        accuracy, level = self.promise.accuracy, self.promise.level
        chosen = cascade.choose(confidence, right, accuracy=accuracy, level=level)
        share = f"{100 * accuracy:g}% of all answers, with a probability of {100 * level:g}%"
        if not chosen.enough:
            self.below = 0.0
            self.note = (
                f"{chosen.rows:,} answers to rows with a known label are too few to promise "
                f"{share}: it takes {chosen.rows_needed:,} at least. {self.model} was asked nothing"
            )
        elif chosen.threshold is None:
            self.below = math.inf
            self.note = f"{self.model} is asked about every row: no threshold promises {share}"
        else:
            self.below = chosen.threshold
            self.note = (
                f"answers of a confidence of {chosen.threshold:g} or more stand: so {share}, "
                f"agree with {self.model} or with what is known (from {chosen.rows:,} known rows)"
            )

    def requests(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Give what the strong model is to be asked, of what the cheap one was."""
        for request in requests:
            first = self.engine.store.get(request)
            if first is not None and self._unsure(first):
                yield self._prompt.adopt(request)

    def knows(self, request: Request) -> bool:
        """Say whether the strong model has answered a request."""
        known = self.engine.store.get(self._prompt.adopt(request))
        return known is not None and known.status == "ok"

    def ceiling_usd(self, request: Request) -> Decimal | None:
        """Give the most that a request can cost if the strong model is asked it; None where its
        price isn't known, or the answer has no bound.
        """
        backend, adopted = self.engine.backend, self._prompt.adopt(request)
        if backend.price is None or adopted.max_tokens is None:
            return None
        return backend.price.ceiling_usd(backend.most_tokens(adopted), adopted.max_tokens)

    def count(self, result: Result) -> None:
        """Take an answer of the cheap model into account, and the strong one's in its place."""
        price, savings = self.engine.backend.price, self.savings
        both = self.get(result.request)
        if result.status != "ok" and (both is None or both.status != "ok"):
            return
        savings.answers += 1
        if both is None or both.cost_usd is None or savings.cost_usd is None:
            savings.cost_usd = None
        else:
            savings.cost_usd += both.cost_usd
        if both is not None and both.status != "again" and self._unsure(result):
            savings.escalated += 1
            savings.escalated_usd += (both.cost_usd or 0) - (result.cost_usd or 0)
        if price is None or result.usage is None or savings.alone_usd is None:
            savings.alone_usd = None
        else:
            savings.alone_usd += price.cost_usd(result.usage) / result.request.votes

    def alone_usd(self) -> Decimal | None:
        """Estimate what the answers would have cost of the strong model alone: by the mean of its
        own, or where it had none, by the cheap one's tokens.
        """
        savings = self.savings
        if savings.escalated and savings.escalated_usd:
            return savings.escalated_usd / savings.escalated * savings.answers
        return savings.alone_usd

    def can_tell(self, requests: Iterable[Request]) -> bool:
        """Say whether any answer came with a confidence; without one all would be escalated."""
        unsure = False
        for request in requests:
            first = self.engine.store.get(request)
            if first is None or first.status != "ok":
                continue
            if first.confidence is not None:
                return True
            unsure = True
        if unsure:
            self.below, self.settled = 0.0, True
            self.note = (
                f"no answer came with a confidence, so {self.model} was asked nothing: the server "
                "gives no log-probabilities; --votes 3 finds a confidence without them"
            )
        return not unsure

    def _unsure(self, result: Result) -> bool:
        if self.below <= 0 or result.status not in ("ok", "failed"):
            return False
        sure = result.confidence if result.status == "ok" else None
        return sure is None or sure < self.below


def _percent(result: Result) -> str:
    return "no confidence" if result.confidence is None else f"confidence {result.confidence}"


def _both(first: Result, second: Result) -> Result:
    """Give the second answer with what both took."""
    usages = [result.usage for result in (first, second) if result.usage is not None]
    costs = [result.cost_usd for result in (first, second) if result.usage is not None]
    return replace(
        second,
        request=first.request,
        usage=sum(usages, Usage()) if usages else None,
        cost_usd=None if None in costs else sum(filter(None, costs), Decimal(0)),
        attempts=first.attempts + second.attempts,
        latency_seconds=first.latency_seconds + second.latency_seconds,
        entry=first.entry,
    )
