"""Scores that a judge gave: their mean, what it cost to judge, and the rows that did worst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from heapq import heappush, heappushpop
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.evaluation.gold import decimal, seen
from pipeline.evaluation.pairs import check_column
from pipeline.evaluation.scores import MOST_CHANCE, Interval, percentiles, resamples
from pipeline.showing import without_login
from pipeline.sources.base import Source
from pipeline.sources.opening import open_source
from pipeline.sources.tables.written import find_prefix


@dataclass(frozen=True, slots=True)
class Low:
    """A row of a low score, with what else the judge said of it."""

    name: str
    score: Decimal
    said: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The scores of one table. Rows without one are in `unscored` and not in the mean."""

    name: str
    column: str
    rows: int
    unscored: int
    mean: float
    mean_interval: Interval
    scores: Counter[Decimal]
    cost_usd: Decimal | None
    worst: tuple[Low, ...]
    by_row: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Duel:
    """The scores of two tables, row by row: the second against the first.

    `difference` is of the means; `p_value` that of the sign test: how often chance alone makes two
    equally good ones win so unevenly. `take` is the one to prefer: both the wins and the mean must
    show it, for a few large losses may outweigh many small wins; None where they don't.
    """

    rows: int
    first_wins: int
    second_wins: int
    p_value: float
    difference: float
    difference_interval: Interval
    take: str | None
    verdict: str


def read_scores(
    output: str,
    column: str,
    *,
    worst: int = 10,
    on: str | None = None,
    fetch_to: Path | None = None,
) -> Judged:
    """Read the scores of a table; list so many of the lowest. `on` tells its rows apart, what lies
    elsewhere is fetched to the folder `fetch_to`.

    The cost is that of the run that wrote the scores. Raises UsageError where there are none.
    """
    with closing(open_source(output, fetch_to=fetch_to)) as source:
        return _read(source, without_login(output), column, worst, on)


def _read(source: Source, called: str, column: str, worst: int, on: str | None) -> Judged:
    names = [item.name for item in source.columns]
    for name in (column, *([on] if on else [])):
        check_column(name, names, source.name)
    prefix = find_prefix(names) or ""
    first = names.index(f"{prefix}status") if f"{prefix}status" in names else len(names)
    # What a judge says besides its score: the columns of its own run.
    remarks = [
        name
        for name in (names[:first] if prefix else ())
        if name.startswith(prefix) and name != column
    ]
    scores: Counter[Decimal] = Counter()
    lows: list[tuple[Decimal, int, Low]] = []  # a heap: the first is the best of the worst
    costs: list[Decimal] = []
    by_row: dict[str, Decimal] = {}
    unscored = 0
    for document in source:
        fields = document.fields
        cost = decimal(fields.get(f"{prefix}cost_usd"))
        if cost is not None:
            costs.append(cost)
        score = decimal(fields.get(column))
        if score is None or document.error:
            unscored += 1
            continue
        scores[score] += 1
        key = seen(fields.get(on)) if on else str(document.position)
        if key in by_row:
            raise UsageError(f'{called} has several rows of the same "{on}": they must be unique')
        by_row[key] = score
        said = "; ".join(text for name in remarks if (text := seen(fields.get(name))))
        low = -score, -document.position, Low(document.name, score, said[:200])
        if len(lows) < worst:
            heappush(lows, low)
        elif worst:
            heappushpop(lows, low)
    if not scores:
        raise UsageError(f'{called}: no row has a number in "{column}"')
    total = scores.total()
    return Judged(
        name=called,
        column=column,
        rows=total,
        unscored=unscored,
        mean=float(sum(score * count for score, count in scores.items()) / total),
        mean_interval=mean_interval(scores),
        scores=scores,
        cost_usd=sum(costs, Decimal(0)) if costs else None,
        worst=tuple(low for *_, low in sorted(lows, reverse=True)),
        by_row=by_row,
    )


def compare_scores(first: Judged, second: Judged, *, on: str | None = None) -> Duel:
    """Compare the scores of the rows that both tables have. Raises UsageError where none is."""
    from scipy.stats import binomtest

    if not on and first.rows + first.unscored != second.rows + second.unscored:
        raise UsageError(
            f"{first.name} and {second.name} don't have the same rows: name the column that tells "
            "them apart with --on, such as --on id"
        )
    shared = [key for key in first.by_row if key in second.by_row]
    if not shared:
        raise UsageError(f"{first.name} and {second.name} have no scored row in common")
    gains = [second.by_row[key] - first.by_row[key] for key in shared]
    wins, losses = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    p_value = float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    difference = float(sum(gains, Decimal(0)) / len(gains))
    interval = mean_interval(Counter(gains))
    take = None
    if p_value < MOST_CHANCE and wins > losses and interval.low > 0:
        take = second.name
    elif p_value < MOST_CHANCE and losses > wins and interval.high < 0:
        take = first.name
    which = f"Take {take}" if take else "Can't tell which is better"
    verdict = (
        f"{which}: {second.name} scores "
        f"{difference:+.2f} against {first.name} on average "
        f"({interval.low:+.2f} to {interval.high:+.2f}; sign test, p = {p_value:.2g})."
    )
    return Duel(len(gains), losses, wins, p_value, difference, interval, take, verdict)


def mean_interval(scores: Counter[Decimal]) -> Interval:
    """Return the 95% percentile bootstrap interval of the mean, over rows."""
    import numpy as np

    counts = np.array(list(scores.values()))
    values = np.array([float(score) for score in scores])
    sums = [drawn @ values for drawn in resamples(counts, 1)]
    return percentiles(np.concatenate(sums) / counts.sum())
