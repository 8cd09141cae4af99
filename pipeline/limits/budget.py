"""USD that may be spent: reserved at the worst case before sending, settled by real usage."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from pipeline.costs import Price

NOTHING = Decimal(0)


@dataclass(slots=True)
class Budget:
    """What a run may spend; without `max_cost_usd`, all it likes.

    What the budgets `beside` it have taken is taken from the same `max_cost_usd`. `unsure_usd` is
    for requests whose answer was lost: the provider may bill them all the same.
    """

    price: Price | None = None
    max_cost_usd: Decimal | None = None
    spent_usd: Decimal = NOTHING
    reserved_usd: Decimal = NOTHING
    unsure_usd: Decimal = NOTHING
    beside: list[Budget] = field(default_factory=list)

    def ceiling_usd(self, prompt_tokens: int, max_tokens: int | None) -> Decimal:
        """Return the most that a request can cost; nothing where nobody limits it."""
        if self.price is None or self.max_cost_usd is None:
            return NOTHING
        return self.price.ceiling_usd(prompt_tokens, max_tokens or 0)

    def fits(self, ceiling_usd: Decimal) -> bool:
        """Return whether a request of this ceiling can be paid for, whatever the others cost."""
        if self.max_cost_usd is None:
            return True
        return self.taken_usd + ceiling_usd <= self.max_cost_usd

    @property
    def taken_usd(self) -> Decimal:
        return self._own_usd + sum((other._own_usd for other in self.beside), NOTHING)

    @property
    def _own_usd(self) -> Decimal:
        return self.spent_usd + self.unsure_usd + self.reserved_usd

    def reserve(self, ceiling_usd: Decimal) -> None:
        """Keep the most that a request can cost."""
        self.reserved_usd += ceiling_usd

    def settle(self, ceiling_usd: Decimal, cost_usd: Decimal | None) -> None:
        """Give back what was reserved, and take what was billed, if anything was."""
        self.reserved_usd -= ceiling_usd
        self.spent_usd += cost_usd or NOTHING

    def lose(self, ceiling_usd: Decimal) -> None:
        """Take what was reserved for spent: nobody knows whether it will be billed."""
        self.reserved_usd -= ceiling_usd
        self.unsure_usd += ceiling_usd
