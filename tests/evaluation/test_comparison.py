"""Two tables of the same rows: McNemar's test, the interval, and the sentence."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar

from pipeline.errors import UsageError
from pipeline.evaluation.comparison import (
    MARGIN,
    Comparison,
    compare,
    difference_interval,
    pair_up,
    rows_needed,
)
from pipeline.evaluation.gold import Answers, Graded
from pipeline.evaluation.pairs import Pair
from pipeline.evaluation.scores import evaluate

PAIRS = (Pair("label", "gold"),)


def compared(
    both: int, first: int, second: int, neither: int, costs: tuple[str, str] | None = None
) -> Comparison:
    """Compare tables of which so many rows are right in both, in one alone, in none."""
    counts = {(True, True): both, (True, False): first, (False, True): second}
    counts[False, False] = neither
    told = [right for right, count in counts.items() for _ in range(count)]
    tables = []
    for place, name in enumerate(("A.csv", "B.csv")):
        cost = Decimal(costs[place]) if costs else None
        rows = [
            Graded("", ("a",), ("a" if right[place] else "b",), status="ok", cost_usd=cost)
            for right in told
        ]
        tables.append(Answers(name, PAIRS, tuple(rows)))
    return compare(evaluate(tables[0]), evaluate(tables[1]))


counts = st.integers(0, 12)


@settings(max_examples=60, deadline=None)
@given(counts, counts, counts, counts.map(lambda count: count + 1))
def test_the_test_is_that_of_statsmodels(both: int, first: int, second: int, neither: int) -> None:
    found = compared(both, first, second, neither)
    reference = mcnemar([[both, first], [second, neither]], exact=True).pvalue
    assert found.p_value == pytest.approx(min(1.0, reference), abs=1e-12)
    assert found.difference == pytest.approx((second - first) / found.rows)
    assert (found.both_right, found.only_first, found.only_second, found.both_wrong) == (
        both, first, second, neither,
    )  # fmt: skip


def test_the_test_by_hand() -> None:
    # 2 against 10: twice the binomial tail, 2 * (1 + 12 + 66) / 2 ** 12.
    assert compared(50, 2, 10, 38).p_value == pytest.approx(2 * 79 / 4096)
    assert compared(50, 0, 0, 38).p_value == 1.0


def test_the_interval_of_the_difference_by_hand() -> None:
    # p1 = 3 / 102, p2 = 11 / 102, difference 8 / 102.
    half = 1.959964 * math.sqrt((14 / 102 - (8 / 102) ** 2) / 102)
    found = difference_interval(2, 10, 100)
    assert found.low == pytest.approx(8 / 102 - half, abs=1e-6)
    assert found.high == pytest.approx(8 / 102 + half, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "take", "words"),
    [
        (
            (50, 2, 20, 28),
            "B.csv",
            "Take B.csv: it is 18.0 percentage points more accurate (8.9 to 26.4; McNemar's test, ",
        ),
        (
            (50, 20, 2, 28),
            "A.csv",
            "Take A.csv: it is 18.0 percentage points more accurate (8.9 to 26.4; McNemar's test, ",
        ),
        (
            (50, 2, 20, 28, ("0.001", "0.001")),
            "B.csv",
            "p = 0.00012), at the same cost.",
        ),
        (
            (50, 2, 20, 28, ("0.001", "0.0005")),
            "B.csv",
            "p = 0.00012), and costs 0.50 USD less per 1,000 rows.",
        ),
        (
            (50, 20, 2, 28, ("0.0028", "0.001")),
            "A.csv",
            "; it costs 1.80 USD more per 1,000 rows, 0.010 USD per additional correct row.",
        ),
        (
            (500, 2, 4, 494, ("0.001", "0.0005")),
            "B.csv",
            "Take B.csv: it is at most 2 percentage points less accurate (-0.4 to +0.8; "
            "McNemar's test, p = 0.69), and costs 0.50 USD less per 1,000 rows.",
        ),
        (
            (500, 2, 4, 494, ("0.0005", "0.001")),
            "A.csv",
            "Take A.csv: it is at most 2 percentage points less accurate (-0.8 to +0.4; ",
        ),
        (
            (50, 2, 4, 44, ("0.001", "0.0005")),
            None,
            "Too few rows to tell: B.csv costs 0.50 USD less per 1,000 rows, but may be more than "
            "2 percentage points less accurate (-3.5 to +7.4; McNemar's test, p = 0.69). "
            "If both are equally accurate, about 1,500 rows would show it.",
        ),
        (
            (50, 4, 2, 44, ("0.0005", "0.001")),
            None,
            "Too few rows to tell: A.csv costs 0.50 USD less per 1,000 rows, but may be more than "
            "2 percentage points less accurate (-3.5 to +7.4; ",
        ),
        (
            (2800, 1240, 1160, 2800, ("0.001", "0.0005")),  # enough rows, were they equal
            None,
            "less accurate (-2.2 to +0.2; McNemar's test, p = 0.11).\n",
        ),
        (
            (500, 2, 4, 494),
            None,
            "Take the cheaper: their accuracy is within 2 percentage points (-0.4 to +0.8; "
            "McNemar's test, p = 0.69), but not every answer has a price.",
        ),
        (
            (500, 2, 4, 494, ("0.001", "0.001")),
            None,
            "Take either: their accuracy is within 2 percentage points (-0.4 to +0.8; "
            "McNemar's test, p = 0.69), at the same cost.",
        ),
        (
            (50, 2, 4, 44),
            None,
            "Too few rows to tell which is more accurate (-3.5 to +7.4; McNemar's test, p = 0.69): "
            "only one of them is right in 6 rows.",
        ),
        ((1, 0, 0, 0), None, "Too few rows to tell which is more accurate ("),
    ],
)
def test_a_sentence_says_which_to_take(
    arguments: tuple[int, ...], take: str | None, words: str
) -> None:
    found = compared(*arguments)
    assert found.take == take
    assert words in f"{found.verdict}\n"


def test_an_answer_without_a_price_makes_no_table_cheap() -> None:
    def table(name: str, costs: list[Decimal | None]) -> Answers:
        return Answers(
            name,
            PAIRS,
            tuple(Graded("", ("a",), ("a",), status="ok", cost_usd=cost) for cost in costs),
        )

    first = evaluate(table("A.csv", [Decimal("0.001")] * 400))
    found = compare(first, evaluate(table("B.csv", [Decimal("0.01")] * 20 + [None] * 380)))
    assert (found.take, found.row_cost_difference_usd) == (None, None)
    assert found.verdict.endswith("but not every answer has a price.")


def test_as_many_rows_as_are_said_to_be_needed_tell_four_times_in_five() -> None:
    # Of 100 rows 29 and 1 more are right in one alone: 7.849 * 0.3 / 0.02 ** 2, nearly.
    rows = rows_needed(14, 14, 98)
    assert rows == 5_900
    random = np.random.default_rng(2)
    drawn = random.multinomial(rows, (0.15, 0.15, 0.7), 2_000)
    told = [difference_interval(a, b, rows).low > -MARGIN for a, b, _ in drawn.tolist()]
    assert 0.77 < np.mean(told) < 0.83


def rows(*cells: tuple[str, str, str]) -> tuple[Graded, ...]:
    return tuple(Graded("", (gold,), (given,), key=key) for key, gold, given in cells)


def test_rows_are_paired_by_their_place() -> None:
    first = Answers("A.csv", PAIRS, rows(("", "a", "a"), ("", "b", "a")))
    other = Answers("B.csv", PAIRS, rows(("", "b", "b"), ("", "a", "a")))
    assert pair_up(first, first, on=None) == (first, first)
    with pytest.raises(UsageError, match="name the column that tells their rows apart with --on"):
        pair_up(first, other, on=None)


def test_rows_are_paired_by_a_column() -> None:
    first = Answers("A.csv", PAIRS, rows(("1", "a", "a"), ("2", "b", "a"), ("3", "b", "b")))
    other = Answers("B.csv", PAIRS, rows(("2", "b", "b"), ("1", "a", "a")))
    ours, theirs = pair_up(first, other, on="id")
    assert [row.key for row in ours.rows] == [row.key for row in theirs.rows] == ["1", "2"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("bug!",), ("Bug",)),
        (('["Zeal", "bug"]',), ('["bug!", "zeal"]',)),
        (("1,000.00", "ACME"), ("1000", "acme")),
    ],
)
def test_tables_that_spell_what_is_expected_otherwise_are_compared(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    first, second = (
        Answers(name, PAIRS, (Graded("row 1", expected, ("x",) * len(expected), key="1"),))
        for name, expected in (("A.csv", one), ("B.csv", other))
    )
    assert pair_up(first, second, on=None) == pair_up(first, second, on="id") == (first, second)


def test_what_is_known_of_a_table_stays_when_its_rows_are_paired() -> None:
    first = Answers(
        "A.csv", PAIRS, rows(("1", '["a"]', '["a"]')), several=True, confidence="raw_confidence"
    )
    assert pair_up(first, first, on="id") == (first, first)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ((("1", "b", "a"),), 'of "id" 1, A.csv expects "a" and B.csv "b"'),
        ((("1", "a", "a"), ("1", "a", "a")), 'B.csv has several rows of the same "id"'),
        ((("9", "a", "a"),), 'A.csv and B.csv have no "id" in common'),
    ],
)
def test_rows_that_cannot_be_paired_are_an_error(
    cells: tuple[tuple[str, str, str], ...], message: str
) -> None:
    first = Answers("A.csv", PAIRS, rows(("1", "a", "a")))
    with pytest.raises(UsageError, match=message):
        pair_up(first, Answers("B.csv", PAIRS, rows(*cells)), on="id")
