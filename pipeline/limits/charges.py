"""What a request will be charged, in tokens and in money, as far as that can be known before."""

from __future__ import annotations

import math
from decimal import Decimal

from pipeline.errors import BudgetError
from pipeline.limits.budget import Budget

BYTES_PER_TOKEN = 4  # in English; other languages have more tokens already
MOST_RATIO = 100.0  # of the server's count to ours, for what its limit is expected to take


class Charges:
    """Corrects our count of tokens by the server's, and prices it for the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._ratio = 1.0
        self._most_ratio = 0.0
        self._added_tokens = 0  # by the server, to what we send

    def tokens(self, prompt_tokens: int, max_tokens: int | None) -> int:
        """Estimate what the server charges: our count, corrected by its own, and the allowance."""
        return round(prompt_tokens * self._ratio) + (max_tokens or 0)

    def ceiling_usd(self, prompt_tokens: int, max_tokens: int | None) -> Decimal:
        """Return the most that a request can cost; of the first, what it probably costs will do."""
        budget = self._budget
        ceiling = budget.ceiling_usd(self._most(prompt_tokens), max_tokens)
        if not budget.taken_usd and not budget.fits(ceiling):
            return budget.ceiling_usd(prompt_tokens, max_tokens)
        return ceiling

    def affords(self, prompt_tokens: int, max_tokens: int | None) -> bool:
        """Return whether a request could be paid for if those in flight cost nothing."""
        ceiling = self.ceiling_usd(prompt_tokens, max_tokens)
        return self._budget.fits(ceiling - self._budget.reserved_usd)

    def check(self, ceiling_usd: Decimal) -> bool:
        """Return whether a request can be paid for now. Raises BudgetError if it never can."""
        budget = self._budget
        if budget.fits(ceiling_usd):
            return True
        if budget.reserved_usd:
            return False
        raise BudgetError(
            f"--max-cost {budget.max_cost_usd} USD is used up: {budget.taken_usd:f} USD are taken, "
            f"and the next request could cost {ceiling_usd:f} with the longest answer allowed"
        )

    def compare(self, counted: int, prompt_tokens: int) -> None:
        """Learn how the server's count of a prompt differs from ours."""
        if not counted:
            return
        ratio = prompt_tokens / counted
        self._ratio += (min(ratio, MOST_RATIO) - self._ratio) * 0.1
        self._most_ratio = max(self._most_ratio, min(ratio, BYTES_PER_TOKEN), 1.0)
        if ratio > BYTES_PER_TOKEN:
            self._added_tokens = max(self._added_tokens, prompt_tokens)

    def _most(self, prompt_tokens: int) -> int:
        """Correct our count by the most that the server has counted more than we. Before its first
        count that may be anything up to a token a byte; what is more, the server has added.
        """
        ratio = self._most_ratio or BYTES_PER_TOKEN
        return math.ceil(prompt_tokens * ratio) + self._added_tokens
