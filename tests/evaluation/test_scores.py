"""The figures of an evaluation: scikit-learn's and statsmodels' own, for whatever comes."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)
from sklearn.preprocessing import MultiLabelBinarizer
from statsmodels.stats.proportion import proportion_confint

from pipeline.errors import UsageError
from pipeline.evaluation.gold import Answers, Graded
from pipeline.evaluation.pairs import Pair
from pipeline.evaluation.scores import Evaluation, evaluate, wilson

NONE = "no answer"  # what scikit-learn is given for an answer that isn't there


def answers(pairs: Sequence[tuple[str, str]]) -> Answers:
    rows = tuple(Graded(f"row {i}", (a,), (b,)) for i, (a, b) in enumerate(pairs))
    return Answers("out.csv", (Pair("label", "gold"),), rows)


def check_against_sklearn(pairs: Sequence[tuple[str, str]]) -> Evaluation:
    """Compare every figure with scikit-learn's."""
    found = evaluate(answers(pairs))
    expected = [a for a, _ in pairs]
    predicted = [b or NONE for _, b in pairs]
    names = sorted({*expected, *predicted} - {NONE})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = precision_recall_fscore_support(expected, predicted, labels=names, zero_division=0)
        macro = f1_score(expected, predicted, labels=names, average="macro", zero_division=0)
        matrix = confusion_matrix(expected, predicted, labels=names)
    assert [item.label for item in found.labels] == names
    assert [item.precision for item in found.labels] == scores[0].tolist()
    assert [item.recall for item in found.labels] == scores[1].tolist()
    assert [item.f1 for item in found.labels] == scores[2].tolist()
    assert [item.expected for item in found.labels] == scores[3].tolist()
    assert [item.predicted for item in found.labels] == [predicted.count(name) for name in names]
    assert [list(line) for line in found.confusion_matrix] == matrix.tolist()
    assert found.macro_f1 == pytest.approx(macro, abs=1e-12)
    assert found.accuracy == accuracy_score(expected, predicted)
    low, high = proportion_confint(found.right, found.rows, alpha=0.05, method="wilson")
    assert found.accuracy_interval.low == pytest.approx(low, abs=1e-12)
    assert found.accuracy_interval.high == pytest.approx(high, abs=1e-12)
    return found


label = st.sampled_from(["a", "b", "c", "é", "A", "1", "with, comma"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(label, label | st.just("")), min_size=1, max_size=40))
def test_figures_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    check_against_sklearn(pairs)


@pytest.mark.parametrize(
    "pairs",
    [
        [("a", "a")],
        [("a", "b")],
        [("a", "")],
        [("a", "a")] * 20,
        [("a", "b")] * 20,
        [("a", "a"), ("a", "unseen")],
        [("a", "a"), ("never given", "a")],
        [("a", ""), ("b", ""), ("c", "")],
    ],
)
def test_degenerate_inputs_have_figures_too(pairs: list[tuple[str, str]]) -> None:
    found = check_against_sklearn(pairs)
    assert found.macro_f1_interval is not None
    assert 0 <= found.macro_f1_interval.low <= found.macro_f1_interval.high <= 1


def test_a_large_table_of_many_labels() -> None:
    random = np.random.default_rng(1)
    gold = random.integers(0, 77, 3000)
    said = np.where(random.random(3000) < 0.8, gold, random.integers(0, 80, 3000))
    check_against_sklearn([(f"l{a}", f"l{b}") for a, b in zip(gold, said, strict=True)])


@pytest.mark.parametrize(("right", "rows"), [(11, 48), (0, 10), (10, 10), (1, 1), (0, 1)])
def test_the_interval_of_accuracy_by_hand(right: int, rows: int) -> None:
    share, z2 = right / rows, 1.959963985**2
    half = math.sqrt(z2 * share * (1 - share) / rows + (z2 / (2 * rows)) ** 2)
    middle, whole = share + z2 / (2 * rows), 1 + z2 / rows
    found = wilson(right, rows)
    assert found.low == pytest.approx((middle - half) / whole, abs=1e-8)
    assert found.high == pytest.approx((middle + half) / whole, abs=1e-8)


def test_the_interval_of_macro_f1_is_the_bootstrap_of_scikit_learns_macro_f1() -> None:
    random = np.random.default_rng(5)
    gold = random.integers(0, 3, 60)
    said = np.where(random.random(60) < 0.6, gold, random.integers(0, 3, 60))
    found = evaluate(answers([(str(a), str(b)) for a, b in zip(gold, said, strict=True)]))

    def macro(expected: np.ndarray, predicted: np.ndarray) -> float:
        return float(f1_score(expected, predicted, average="macro", zero_division=0))

    reference = bootstrap(
        (gold, said), macro, paired=True, vectorized=False, n_resamples=600,
        method="percentile", rng=np.random.default_rng(7),
    ).confidence_interval  # fmt: skip
    assert found.macro_f1_interval is not None
    assert found.macro_f1_interval.low == pytest.approx(reference.low, abs=0.03)
    assert found.macro_f1_interval.high == pytest.approx(reference.high, abs=0.03)


def test_the_same_table_has_the_same_interval_each_time() -> None:
    pairs = [("a", "b"), ("b", "b"), ("a", "a")] * 5
    first, second = evaluate(answers(pairs)), evaluate(answers(pairs))
    assert first.macro_f1_interval == second.macro_f1_interval


def test_no_row_to_compare_is_an_error() -> None:
    with pytest.raises(UsageError, match='column "gold" is empty in every row'):
        evaluate(answers([]))


def test_an_answer_that_is_not_there_is_wrong_and_both_shares_are_given() -> None:
    rows = (
        Graded("1", ("a",), ("a",), status="ok"),
        Graded("2", ("a",), ("",), status="failed"),
        Graded("3", ("a",), ("",), status="skipped"),
        Graded("4", ("a",), ("",), status="ok"),
    )
    found = evaluate(Answers("out.csv", (Pair("label", "gold"),), rows))
    assert (found.accuracy, found.answered_accuracy) == (0.25, 1.0)
    assert found.no_answer == {"failed": 1, "skipped": 1, "blank": 1}
    assert [item.unanswered for item in found.labels] == [3]


def test_the_share_that_one_label_alone_would_get() -> None:
    found = evaluate(answers([("a", "b"), ("b", "b"), ("b", "a")]))
    assert (found.baseline_label, found.baseline_accuracy) == ("b", pytest.approx(2 / 3))


def test_cost_of_a_row_and_of_a_right_row() -> None:
    def cost(*rows: tuple[str, Decimal | None]) -> tuple[object, ...]:
        graded = tuple(Graded("", ("a",), (b,), status="ok", cost_usd=usd) for b, usd in rows)
        found = evaluate(Answers("", (Pair("label", "gold"),), graded)).cost
        return found.cost_usd, found.per_row_usd, found.per_right_row_usd, found.unpriced

    tenth = Decimal("0.1")
    assert cost(("a", tenth), ("b", tenth)) == (2 * tenth, tenth, 2 * tenth, 0)
    assert cost(("b", tenth)) == (tenth, tenth, None, 0)
    assert cost(("a", None)) == (None, None, None, 1)
    assert cost(("a", tenth), ("a", None)) == (tenth, None, None, 1)
    assert cost(("a", Decimal(0))) == (0, 0, 0, 0)


def test_rows_that_were_not_asked_and_answers_of_other_rows_cost_nothing() -> None:
    rows = (
        Graded("asked", ("a",), ("a",), status="ok", cost_usd=Decimal("0.3")),
        Graded("the same", ("a",), ("a",), status="ok", cost_usd=Decimal(0)),
        Graded("empty", ("a",), ("",), status="skipped"),
    )
    found = evaluate(Answers("", (Pair("label", "gold"),), rows)).cost
    assert (found.per_row_usd, found.unpriced) == (Decimal("0.1"), 0)


def test_the_worst_rows_are_the_surest_of_the_wrong_ones() -> None:
    rows = (
        Graded("unsure", ("a",), ("b",), confidence=0.4),
        Graded("right", ("a",), ("a",), confidence=0.99),
        Graded("sure", ("a",), ("b",), confidence=0.9),
        Graded("failed", ("a",), ("",)),
    )
    table = Answers("", (Pair("label", "gold"),), rows)
    assert [row.name for row in evaluate(table).worst] == ["sure", "unsure", "failed"]
    assert [row.name for row in evaluate(table, worst=1).worst] == ["sure"]


def test_of_equally_sure_mistakes_the_most_frequent_come_first() -> None:
    cells = [("alone", "a", "c"), ("twice", "a", "b"), ("right", "a", "a"), ("again", "a", "b")]
    rows = tuple(Graded(name, (gold,), (given,)) for name, gold, given in cells)
    found = evaluate(Answers("", (Pair("label", "gold"),), rows))
    assert [row.name for row in found.worst] == ["twice", "again", "alone"]


def test_fields_are_scored_each_by_itself() -> None:
    rows = (
        Graded("1", ("Acme", "10"), ("Acme", "10")),
        Graded("2", ("Acme", "10"), ("Acme", "")),  # missed
        Graded("3", ("Acme", ""), ("Acme", "7")),  # invented
        Graded("4", ("Acme", "10"), ("Ace", "11")),  # wrong, both
        Graded("5", ("Acme", ""), ("Acme", "")),
    )
    pairs = (Pair("vendor", "gold_vendor"), Pair("total", "gold_total"))
    found = evaluate(Answers("out.csv", pairs, rows))
    vendor, total = found.fields
    assert (found.right, found.labels, found.macro_f1) == (2, (), None)
    assert (vendor.field, vendor.right, vendor.wrong) == ("vendor", 4, 1)
    assert (total.right, total.missed, total.invented, total.wrong) == (2, 1, 1, 1)
    # Of 3 values given 1 is right, of 3 wanted 1 was found.
    assert (total.precision, total.recall, total.f1) == (1 / 3, 1 / 3, 1 / 3)
    assert total.accuracy_interval == wilson(2, 5)


def test_a_column_of_texts_is_scored_as_a_field() -> None:
    pairs = [(f"text {i}", f"text {i if i % 2 else -i}") for i in range(600)]
    found = evaluate(answers(pairs))
    assert (found.labels, [item.right for item in found.fields]) == ((), [301])
    assert math.isclose(found.accuracy, 301 / 600)


sets = st.lists(st.sampled_from(["a", "b", "c"]), unique=True).map(sorted)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(sets, sets | st.none()), min_size=1, max_size=30))
def test_sets_of_labels_have_scikit_learns_figures(
    pairs: list[tuple[list[str], list[str] | None]],
) -> None:
    rows = tuple(
        Graded("", (json.dumps(a),), ("" if b is None else json.dumps(b),)) for a, b in pairs
    )
    found = evaluate(Answers("out.csv", (Pair("label", "gold"),), rows, several=True))
    names = sorted({label for a, b in pairs for label in (*a, *(b or []))})
    assert found.right == sum(a == b for a, b in pairs)
    if not names:
        assert found.labels == ()
        return
    coder = MultiLabelBinarizer(classes=[*names, "none"])  # of one column it makes no sets
    expected = coder.fit_transform([a for a, _ in pairs])
    predicted = coder.transform([b or [] for _, b in pairs])
    kept = range(len(names))
    scores = precision_recall_fscore_support(
        expected, predicted, labels=kept, average=None, zero_division=0
    )
    assert [item.precision for item in found.labels] == scores[0].tolist()
    assert [item.recall for item in found.labels] == scores[1].tolist()
    assert [item.f1 for item in found.labels] == scores[2].tolist()
    assert [item.expected for item in found.labels] == scores[3].tolist()
    assert [item.predicted for item in found.labels] == predicted.sum(axis=0).tolist()[:-1]
    assert found.macro_f1 == pytest.approx(
        f1_score(expected, predicted, labels=kept, average="macro", zero_division=0)
    )
    assert found.confusion_matrix == ()


def test_sets_of_one_label_have_the_interval_of_labels() -> None:
    """Equal rows are drawn together: a table of sets takes no longer for being long."""
    pairs = [("a", "a"), ("a", "b"), ("b", "b"), ("c", "a"), ("c", "c")]
    many = [pair for pair in pairs for _ in range(40)]
    table = answers([(json.dumps([a]), json.dumps([b])) for a, b in many])
    found = evaluate(replace(table, several=True))
    assert found.macro_f1_interval == evaluate(answers(many)).macro_f1_interval
