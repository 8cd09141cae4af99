"""Two tables of answers to the same rows: which is better, is it chance, and what does it cost?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from pipeline.costs import usd
from pipeline.errors import UsageError
from pipeline.evaluation.gold import Answers, Graded, same_value
from pipeline.evaluation.scores import INTERVAL_LEVEL, MOST_CHANCE, Evaluation, Interval
from pipeline.prompting.labels import array, bare

MARGIN = 0.02  # in accuracy: who is cheaper is taken only if it is shown to be no worse than so


@dataclass(frozen=True, slots=True)
class Comparison:
    """The second table against the first.

    `only_first` and `only_second` are the rows that one of them alone has right. `p_value` is that
    of McNemar's exact test: how often chance alone makes two equally good ones differ so much.
    `difference` is in accuracy, second minus first; `row_cost_difference_usd` likewise. `take` is
    the name of the table to prefer: the one that is shown to be more often right, or else the
    cheaper, if it is shown to be no more than MARGIN worse; None where neither is.
    """

    rows: int
    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p_value: float
    difference: float
    difference_interval: Interval
    row_cost_difference_usd: Decimal | None
    take: str | None
    verdict: str


def pair_up(first: Answers, second: Answers, *, on: str | None) -> tuple[Answers, Answers]:
    """Keep the rows that both tables have, in the order of the first.

    Without `on`, rows are the same by their place, which needs equally many with the same expected
    answers. Raises UsageError where rows can't be paired.
    """
    if on is not None:
        return _by_key(first, second, on)
    same = len(first.rows) == len(second.rows) and all(map(_alike, first.rows, second.rows))
    if not same or (first.order and second.order and first.order.differs(second.order)):
        what = "have the same texts in another order" if same else "don't expect the same"
        raise UsageError(
            f"{first.name} and {second.name} {what}{'' if same else ' of row after row'}: "
            "name the column that tells their rows apart with --on, such as --on id"
        )
    return first, second


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Compare two evaluations of the same rows."""
    from scipy.stats import binomtest

    pairs = list(zip(first.answers.rows, second.answers.rows, strict=True))
    only_first = sum(a.right and not b.right for a, b in pairs)
    only_second = sum(b.right and not a.right for a, b in pairs)
    differ = only_first + only_second
    p_value = float(binomtest(only_first, differ).pvalue) if differ else 1.0
    costs = first.cost.per_row_usd, second.cost.per_row_usd
    dearer = costs[1] - costs[0] if costs[0] is not None and costs[1] is not None else None
    found = Comparison(
        rows=len(pairs),
        both_right=sum(a.right and b.right for a, b in pairs),
        only_first=only_first,
        only_second=only_second,
        both_wrong=sum(not a.right and not b.right for a, b in pairs),
        p_value=p_value,
        difference=(only_second - only_first) / len(pairs),
        difference_interval=difference_interval(only_first, only_second, len(pairs)),
        row_cost_difference_usd=dearer,
        take=None,
        verdict="",
    )
    return _judge(found, first.answers.name, second.answers.name)


def difference_interval(only_first: int, only_second: int, rows: int) -> Interval:
    """Return the 95% interval of the difference of two shares of the same rows.

    With p = (count + 1) / (rows + 2) for each of the two counts:
    p2 - p1 +- z * sqrt((p1 + p2 - (p2 - p1) ** 2) / (rows + 2))
    (Bonett & Price 2012, "Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data", J. Educ. Behav. Stat. 37).
    """
    from scipy.stats import norm

    one, two = (only_first + 1) / (rows + 2), (only_second + 1) / (rows + 2)
    middle = two - one
    half = float(norm.ppf((1 + INTERVAL_LEVEL) / 2)) * math.sqrt(
        (one + two - middle**2) / (rows + 2)
    )
    return Interval(max(-1.0, middle - half), min(1.0, middle + half))


def rows_needed(only_first: int, only_second: int, rows: int) -> int:
    """Give about how many rows show, 4 times in 5, that of two equally right tables the cheaper is
    no more than MARGIN worse.

    (z_0.975 + z_0.8) ** 2 * (p1 + p2) / MARGIN ** 2, of the shares above, by the normal
    approximation (Nam 1997, "Establishing equivalence of two treatments and sample size
    requirements in matched-pairs design", Biometrics 53).
    """
    from scipy.stats import norm

    apart = (only_first + only_second + 2) / (rows + 2)
    deviations = float(norm.ppf((1 + INTERVAL_LEVEL) / 2) + norm.ppf(0.8))
    return int(float(f"{deviations**2 * apart / MARGIN**2:.2g}"))


def _by_key(first: Answers, second: Answers, on: str) -> tuple[Answers, Answers]:
    ours, theirs = _keyed(first, on), _keyed(second, on)
    shared = [key for key in ours if key in theirs]
    if not shared:
        raise UsageError(f'{first.name} and {second.name} have no "{on}" in common')
    for key in shared:
        if not _alike(ours[key], theirs[key]):
            raise UsageError(
                f'of "{on}" {key}, {first.name} expects "{", ".join(ours[key].expected)}" and '
                f'{second.name} "{", ".join(theirs[key].expected)}": compare by one column'
            )
    return (
        replace(first, rows=tuple(ours[key] for key in shared)),
        replace(second, rows=tuple(theirs[key] for key in shared)),
    )


def _alike(one: Graded, other: Graded) -> bool:
    """Return whether the same is expected; each table spells it as its own answers do."""
    if len(one.expected) > 1 and len(one.expected) == len(other.expected):
        return all(map(same_value, one.expected, other.expected))
    return _known_by(one) == _known_by(other)


def _known_by(row: Graded) -> list[str]:
    labels = array(row.expected[0]) if len(row.expected) == 1 else None
    return sorted(map(bare, row.expected if labels is None else labels))


def _keyed(answers: Answers, on: str) -> dict[str, Graded]:
    rows = {row.key: row for row in answers.rows}
    if len(rows) < len(answers.rows):
        raise UsageError(f'{answers.name} has several rows of the same "{on}": they must be unique')
    return rows


def _judge(found: Comparison, first: str, second: str) -> Comparison:
    """Say in a sentence which to take."""
    take, words = _take(found, (first, second))
    return replace(found, take=take, verdict=words)


def _take(found: Comparison, names: Sequence[str]) -> tuple[str | None, str]:
    p_value = f"= {found.p_value:.2g}" if found.p_value >= 1e-4 else "< 0.0001"
    test = f"McNemar's test, p {p_value}"
    dearer = found.row_cost_difference_usd
    if found.p_value < MOST_CHANCE:
        second = found.difference > 0
        low, high = _points(found, second)
        more = f"{abs(found.difference) * 100:.1f} percentage points more accurate"
        extra = None if dearer is None else dearer if second else -dearer
        return names[second], (
            f"Take {names[second]}: it is {more} ({low:.1f} to {high:.1f}; {test})"
            f"{_price(extra, found)}."
        )
    second = dearer is None or dearer <= 0
    low, high = _points(found, second)
    shown = f"({low:+.1f} to {high:+.1f}; {test})"
    most = f"{MARGIN * 100:g} percentage points"
    if not dearer:
        if max(-low, high) < MARGIN * 100:
            if dearer is None:
                why = f"their accuracy is within {most} {shown}, but not every answer has a price"
                return None, f"Take the cheaper: {why}."
            return None, f"Take either: their accuracy is within {most} {shown}, at the same cost."
        return None, (
            f"Too few rows to tell which is more accurate {shown}: only one of them is right in "
            f"{found.only_first + found.only_second:,} rows."
        )
    less = f"costs {usd(abs(dearer * 1000))} less per 1,000 rows"
    if low > -MARGIN * 100:
        return names[second], (
            f"Take {names[second]}: it is at most {most} less accurate {shown}, and {less}."
        )
    needed = rows_needed(found.only_first, found.only_second, found.rows)
    hint = f" If both are equally accurate, about {needed:,} rows would show it."
    return None, (
        f"Too few rows to tell: {names[second]} {less}, but may be more than {most} less accurate "
        f"{shown}.{hint if needed > found.rows else ''}"
    )


def _points(found: Comparison, second: bool) -> tuple[float, float]:
    """Return how much more accurate the second is than the first, or the first than the second: the
    ends of the interval, in percentage points.
    """
    low, high = found.difference_interval.low * 100, found.difference_interval.high * 100
    return (low, high) if second else (-high, -low)


def _price(extra: Decimal | None, found: Comparison) -> str:
    """Say what the better one costs more, or less."""
    if extra is None:
        return ""
    if extra == 0:
        return ", at the same cost"
    thousand = usd(abs(extra * 1000))
    if extra < 0:
        return f", and costs {thousand} less per 1,000 rows"
    gained = extra / Decimal(abs(found.difference))
    return f"; it costs {thousand} more per 1,000 rows, {usd(gained)} per additional correct row"
