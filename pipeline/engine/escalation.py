"""A cheap model answers all, a strong one what the cheap one is unsure of or can't answer. Both
are billed.

It is the row that goes to the strong model, with all that is asked about it: its parts, its turns.
Each model's answers have keys of their own in the journal: another threshold asks for the
difference only, and the strong model's answers serve a run of it alone, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from pipeline.costs import total_usd
from pipeline.engine.lookups import Lookup
from pipeline.engine.loop import Engine
from pipeline.engine.stages import Stage
from pipeline.engine.steps import Steps, Trail
from pipeline.evaluation import threshold as cascade
from pipeline.sources.spool import Slot
from pipeline.types import Request

Labelled = Sequence[tuple[float | None, bool]]
"""How sure the cheap model was of rows whose right label is known, and whether it was right."""


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


class Escalation(Stage):
    """Asks `engine`, the strong model's, about the rows whose confidence is less than `below`, 0 to
    1, and for those that the cheap one failed at.

    With a `promise` it is `keep` that finds out what to be below of, once the cheap model has
    answered: until then no answer stands.
    """

    number = 1

    def __init__(
        self, engine: Engine, steps: Steps, below: float, promise: Promise | None = None
    ) -> None:
        super().__init__(engine, steps)
        self.below = below if promise is None else math.inf
        self.promise = promise
        self.settled = promise is None
        self.off = False
        self.note: str | None = None
        self.savings = Savings()

    @property
    def model(self) -> str:
        return self.steps.prompt.model or ""

    def decide(self, slot: Slot, first: Trail) -> Lookup[Trail]:
        """Look up the answers about a row that stand, and what was spent on it by both models;
        `first` is how far the cheap one has come.
        """
        if not self.unsure(first):
            return first
        second = yield from self.follow(slot)
        if second.results or second.problem:
            before = [replace(result, error=None) for result in first.results]
            return replace(second, results=[*before, *second.results])
        if not first.finished:
            return first
        confidence = _confidence(first)
        sure = "no confidence" if confidence is None else f"confidence {confidence:g}"
        why = f"unsure ({sure})" if self.settled else f"{sure}: not known yet if that is enough"
        failure = f"{why}, and {self.model} was not asked"
        return replace(second, results=first.results, begun=True, failure=failure)

    def unsure(self, first: Trail) -> bool:
        """Return whether a row goes to the strong model."""
        if self.off or first.problem or first.begun:
            return False
        if not first.finished:
            return first.failure is not None
        sure = _confidence(first)
        return bool(first.results) and (sure is None or sure < self.below)

    def keep(self, labelled: Labelled) -> None:
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
            self.off = True
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
                f"answers of a confidence of {chosen.threshold} or more stand: so {share}, agree "
                f"with {self.model} or with what is known (from {chosen.rows:,} rows with a known "
                "label, if they are a random sample)"
            )

    def settle(self, trails: Iterable[Trail], labelled: Callable[[], Labelled]) -> bool:
        """Find out what is unsure, once the cheap model has answered; return whether the strong one
        is asked about that.
        """
        if not self.can_tell(trails):
            return False
        if self.promise is not None:
            self.keep(labelled())
        return not self.off

    def can_tell(self, trails: Iterable[Trail]) -> bool:
        """Return whether any answer came with a confidence; without one all would be escalated."""
        answered = False
        for first in trails:
            if not (first.finished and first.results):
                continue
            if _confidence(first) is not None:
                return True
            answered = True
        if answered:
            self.off = self.settled = True
            self.note = (
                f"no answer came with a confidence, so {self.model} was asked nothing: the server "
                "gives no log-probabilities; --votes 3 finds a confidence without them"
            )
        return not answered

    def ceiling_usd(self, request: Request) -> Decimal | None:
        """Return the most that a request to the strong model can cost; None where its price isn't
        known, or the answer has no bound.
        """
        server = self.engine.lane.server
        if server.price is None or request.max_tokens is None:
            return None
        return server.price.ceiling_usd(server.most_tokens(request), request.max_tokens)

    def count(self, first: Trail, trail: Trail, cheap: Steps) -> None:
        """Take a row into account that the cheap model was asked about, in its steps; `trail` is
        what stands of it.
        """
        price, savings = self.engine.lane.server.price, self.savings
        if not (first.finished or trail.finished):
            return
        savings.answers += 1
        second = trail.results[len(first.results) :]
        cost_usd, escalated_usd = total_usd(first.results), total_usd(second)
        if cost_usd is None or escalated_usd is None or savings.cost_usd is None:
            savings.cost_usd = None
        else:
            savings.cost_usd += cost_usd + escalated_usd
        if second:
            savings.escalated += 1
            savings.escalated_usd += escalated_usd or 0
        for number, result in enumerate(first.results):
            if price is None or result.usage is None or savings.alone_usd is None:
                savings.alone_usd = None
            else:
                savings.alone_usd += price.cost_usd(result.usage) / cheap.votes(number)

    def alone_usd(self) -> Decimal | None:
        """Estimate what the answers would have cost of the strong model alone: by the mean of its
        own, or where it had none, by the cheap one's tokens.
        """
        savings = self.savings
        if savings.escalated and savings.escalated_usd:
            return savings.escalated_usd / savings.escalated * savings.answers
        return savings.alone_usd


def follow_all(
    first: Stage, later: Sequence[Escalation], slot: Slot
) -> Lookup[tuple[Trail, Trail]]:
    """Look up how far the first model has come with a document, and what stands in the end."""
    begun = trail = yield from first.follow(slot)
    for stage in later:
        trail = yield from stage.decide(slot, trail)
    return begun, trail


def _confidence(trail: Trail) -> float | None:
    """Return how sure the last answer is: the one that the row shows."""
    return trail.results[-1].confidence if trail.results else None
