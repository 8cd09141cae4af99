"""From which confidence on a cheap model's answer may stand, so that a promise holds.

A row below the threshold, or without a confidence, is asked of a stronger model. The promise is
about all rows together, "with a probability of 95% at least 95% of the rows have the answer that
they should have", and it holds for any number of labels, any model and any sort of confidence, at
any number of rows: the rows with known answers need only be drawn at random from those that it is
made for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from pipeline.errors import UsageError

LEVEL = 0.95  # how probable it is that a promise is kept, where nobody says

# Candidates that no row has had a part in choosing, from "keep nothing" down; dense near 1, where
# the confidence of most answers is.
GRID = tuple(
    sorted(
        {
            *(step / 100 for step in range(101)),
            *(1 - step / 1_000 for step in range(1, 10)),
            *(1 - step / 100_000 for step in range(1, 100, 5)),
        },
        reverse=True,
    )
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The threshold, and what it does to the rows that it was chosen from.

    An answer stands where its confidence is `threshold` or more. None: the promise can be kept only
    by asking the stronger model about every row, or not at all. `allowed` is how many of `rows` may
    be wrong, and below `rows_needed` rows it is not even none.
    """

    threshold: float | None
    rows: int
    kept: int
    wrong: int
    allowed: int
    rows_needed: int

    @property
    def enough(self) -> bool:
        return self.rows >= self.rows_needed


def choose(
    confidence: Sequence[float | None],
    right: Sequence[bool],
    *,
    accuracy: float,
    level: float,
) -> Choice:
    """Choose the lowest threshold t at which P(agreement >= accuracy) >= level.

    What is escalated counts as right: agreement is with the stronger model, or with the people who
    answer in its place. So the risk R(t) = P(confidence >= t and wrong) can only fall as t rises,
    and t is the lowest with

        P(Binomial(n, 1 - accuracy) <= wrong rows kept at t) <= 1 - level,

    the exact binomial test of R(t) >= 1 - accuracy (Clopper & Pearson 1934, Biometrika 26), down
    from the top to the first t that fails it: fixed-sequence testing in Angelopoulos et al. 2021,
    "Learn then Test" (arXiv:2110.01052). As R is monotone the thresholds may be the data's own
    (Bates et al. 2021, "Distribution-free, risk-controlling prediction sets", arXiv:2101.02703):
    let t* be the highest t with R(t) >= 1 - accuracy. A t that breaks the promise is at or below
    t*, so it is reached only if the test at t* was passed, whose probability is 1 - level at most.

    A row without a confidence is escalated. Raises UsageError unless 0 < accuracy, level < 1.
    """
    check(accuracy, level)
    allowed = allowed_wrong(len(right), accuracy=accuracy, level=level)
    best: float | None = None
    wrong = best_kept = best_wrong = 0
    rows = sorted(
        ((value, hit) for value, hit in zip(confidence, right, strict=True) if value is not None),
        reverse=True,
    )
    for kept, (value, hit) in enumerate(rows, 1):
        wrong += not hit
        if wrong > allowed:
            break
        if kept == len(rows) or rows[kept][0] < value:  # equals stand or fall together
            best, best_kept, best_wrong = value, kept, wrong
    return Choice(
        best,
        len(right),
        best_kept,
        best_wrong,
        allowed,
        rows_needed(accuracy=accuracy, level=level),
    )


def choose_with_both(
    confidence: Sequence[float | None],
    right: Sequence[bool],
    strong_right: Sequence[bool],
    *,
    accuracy: float,
    level: float,
) -> Choice:
    """Choose the threshold where the stronger model's answers are known, too, and may be wrong.

    The risk R(t) = P(confidence >= t and wrong) + P(confidence < t and the stronger one wrong) may
    rise and fall with t, so the thresholds are those of GRID, which no row has chosen: tested from
    "escalate all" down, each by the exact binomial test as in `choose`, to the first that fails
    (fixed-sequence testing, as there). The last that passed is the one.
    """
    check(accuracy, level)
    import numpy as np

    values = np.array([-math.inf if value is None else value for value in confidence])
    hits, strong_hits = np.array(right, dtype=bool), np.array(strong_right, dtype=bool)
    allowed = allowed_wrong(len(values), accuracy=accuracy, level=level)
    best: float | None = None
    kept, wrong = 0, int((~strong_hits).sum())
    for threshold in GRID if wrong <= allowed else ():
        stands = values >= threshold
        found = int((~np.where(stands, hits, strong_hits)).sum())
        if found > allowed:
            break
        best, kept, wrong = threshold, int(stands.sum()), found
    needed = rows_needed(accuracy=accuracy, level=level)
    return Choice(best, len(values), kept, wrong, allowed, needed)


@cache
def allowed_wrong(rows: int, *, accuracy: float, level: float) -> int:
    """Return how many of so many rows may be wrong for the promise to hold; -1: not even none."""
    from scipy.stats import binom

    allowed = int(binom.ppf(1 - level, rows, 1 - accuracy))
    return allowed if binom.cdf(allowed, rows, 1 - accuracy) <= 1 - level else allowed - 1


def rows_needed(*, accuracy: float, level: float) -> int:
    """Return the fewest rows that can promise anything: accuracy ** rows <= 1 - level."""
    return math.ceil(math.log(1 - level) / math.log(accuracy) - 1e-9)


def check(accuracy: float, level: float) -> None:
    """Raise UsageError unless both are shares."""
    for name, value in (("accuracy", accuracy), ("confidence", level)):
        if not 0 < value < 1:
            raise UsageError(f"--{name} {value:g}: give a share between 0 and 1, such as 0.95")
