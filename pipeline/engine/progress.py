"""What a run has done so far, and who is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from pipeline.costs import usd
from pipeline.types import Request, Result


@dataclass(slots=True)
class Spent:
    """What this run has done so far."""

    answered: int = 0
    failed: int = 0
    again: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced: int = 0
    started: float = field(default_factory=time.monotonic)

    def add(self, result: Result) -> None:
        """Count a result."""
        again = result.status == "again"
        self.again += again
        self.answered += not again
        self.failed += result.status == "failed"
        if result.usage:
            self.prompt_tokens += result.usage.prompt_tokens
            self.completion_tokens += result.usage.completion_tokens
            self.cached_tokens += result.usage.cached_tokens
        if result.cost_usd is not None:
            self.cost_usd += result.cost_usd
        elif result.content is not None:
            self.unpriced += 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def cost(self) -> str:
        """Say what it cost; nothing where no price is known."""
        if self.unpriced:
            return f"at least {usd(self.cost_usd)}" if self.cost_usd else ""
        return usd(self.cost_usd)


class Progress:
    """Counts results as they come in. What shows them is made of it; this shows nobody anything.

    `state` tells in a few words what the run is doing or waiting for.
    """

    def __init__(self) -> None:
        self.spent = Spent()
        self.requests = 0
        self.state: Callable[[], str] = str

    def start(self, requests: int) -> None:
        """Begin to count, towards this many."""
        self.spent = Spent()
        self.requests = requests

    def expect(self, requests: Iterable[Request | None]) -> Iterator[Request | None]:
        """Count towards more, as they come to light."""
        for request in requests:
            self.requests += request is not None
            yield request

    def add(self, result: Result) -> None:
        """Count a result, and show it when it's time."""
        self.spent.add(result)
        self.show()

    def show(self) -> None:
        """Show how far it is, if it's time; called for each result and each second."""

    def note(self, *lines: str) -> None:
        """Say something that the user should know."""

    def close(self) -> None:
        """Show no more."""
