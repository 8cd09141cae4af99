"""How right a table's answers are: figures of scikit-learn and scipy, with what they cost."""

from __future__ import annotations

import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
from pipeline.evaluation.calibration import Reliability, reliability, require
from pipeline.evaluation.gold import Answers, Graded
from pipeline.evaluation.pairs import all_empty

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INTERVAL_LEVEL = 0.95
MOST_CHANCE = 0.05
RESAMPLES = 9_999
SEED = 0
MOST_LABELS = 500  # a column with more of them holds texts
_NONE = -1  # the code of an answer that isn't there


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval at the level of 95%."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LabelScores:
    """One label: of its rows the share found (recall), of its finds the share right (precision)."""

    label: str
    precision: float
    recall: float
    f1: float
    expected: int
    predicted: int
    unanswered: int


@dataclass(frozen=True, slots=True)
class FieldScores:
    """One field of an extraction. `missed` should have had a value, `invented` shouldn't."""

    field: str
    rows: int
    right: int
    accuracy: float
    accuracy_interval: Interval
    precision: float
    recall: float
    f1: float
    missed: int
    invented: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What the rows cost. A row that was not asked, or answered as another one, costs nothing.

    Both rates are None where an answer has no price, or nothing says what a row costs: what is
    left out would make a table look cheap.
    """

    cost_usd: Decimal | None = None
    unpriced: int = 0
    per_row_usd: Decimal | None = None
    per_right_row_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one table.

    A row without an answer is wrong. `confusion_matrix` has a row for each expected label and a
    column for each that was given, both in the order of `labels`; it is empty where an answer is a
    set of labels, and a row is right when its set is. For fields (an extraction) there are `fields`
    in the place of `labels`, and a row is right when all of them are. `reliability` is of each
    model by itself: the confidence of one means nothing for another.
    """

    answers: Answers
    rows: int
    right: int
    accuracy: float
    accuracy_interval: Interval
    no_answer: Counter[str]
    answered_accuracy: float | None
    cost: Cost
    worst: tuple[Graded, ...]
    spelled: int = 0
    baseline_label: str | None = None
    baseline_accuracy: float | None = None
    macro_f1: float | None = None
    macro_f1_interval: Interval | None = None
    labels: tuple[LabelScores, ...] = ()
    confusion_matrix: tuple[tuple[int, ...], ...] = ()
    fields: tuple[FieldScores, ...] = ()
    reliability: Mapping[str, Reliability] = field(default_factory=dict)


def evaluate(answers: Answers, *, worst: int = 10) -> Evaluation:
    """Compare a table's answers with what was expected; list so many of the worst rows.

    Raises UsageError where no row says what was expected, or scikit-learn isn't installed.
    """
    rows = answers.rows
    if not rows:
        raise UsageError(f"{answers.name}: {all_empty(answers.pairs)}")
    require()
    right = sum(row.right for row in rows)
    answered = [row for row in rows if any(row.predicted)]
    evaluation = Evaluation(
        answers=answers,
        rows=len(rows),
        right=right,
        accuracy=right / len(rows),
        accuracy_interval=wilson(right, len(rows)),
        no_answer=Counter(_why(row) for row in rows if not any(row.predicted)),
        answered_accuracy=sum(row.right for row in answered) / len(answered) if answered else None,
        cost=_cost(rows, right),
        worst=_worst(rows, worst),
        spelled=sum(row.spelled for row in rows),
        reliability=_reliability(rows),
    )
    distinct = {row.expected for row in rows} | {row.predicted for row in answered}
    if not answers.several and (len(answers.pairs) > 1 or len(distinct) > MOST_LABELS):
        return replace(evaluation, fields=_fields(answers))
    return replace(evaluation, **(_sets(rows) if answers.several else _labels(rows)))


def wilson(right: int, rows: int) -> Interval:
    """Return the 95% interval of a share (Wilson 1927, the score interval)."""
    from scipy.stats import binomtest

    found = binomtest(right, rows).proportion_ci(INTERVAL_LEVEL, method="wilson")
    return Interval(float(found.low), float(found.high))


def _why(row: Graded) -> str:
    return row.status if row.status in ("failed", "skipped") else "blank"


def _labels(rows: Sequence[Graded]) -> dict[str, Any]:
    import numpy as np
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    names = sorted({text for row in rows for text in (*row.expected, *row.predicted) if text})
    code = {name: place for place, name in enumerate(names)}
    expected = np.array([code[row.expected[0]] for row in rows])
    predicted = np.array([code.get(row.predicted[0], _NONE) for row in rows])
    places = np.arange(len(names))
    scores = precision_recall_fscore_support(expected, predicted, labels=places, zero_division=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of one label alone, as if none were named
        matrix = confusion_matrix(expected, predicted, labels=places)
    unanswered = scores[3] - matrix.sum(axis=1)
    most = int(np.argmax(scores[3]))
    return {
        "labels": _scores(names, scores, matrix.sum(axis=0), unanswered),
        "confusion_matrix": tuple(tuple(map(int, line)) for line in matrix),
        "baseline_label": names[most],
        "baseline_accuracy": int(scores[3][most]) / len(rows),
        "macro_f1": float(scores[2].mean()),
        "macro_f1_interval": macro_f1_interval(expected, predicted, len(names)),
    }


def _sets(rows: Sequence[Graded]) -> dict[str, Any]:
    """Score answers that are sets of labels, each label by itself."""
    import numpy as np
    from sklearn.metrics import precision_recall_fscore_support
    from sklearn.preprocessing import MultiLabelBinarizer

    pairs = Counter((row.expected[0], row.predicted[0]) for row in rows)
    counts = np.array(list(pairs.values()))
    wanted = [json.loads(expected) for expected, _ in pairs]
    given = [json.loads(predicted or "[]") for _, predicted in pairs]
    names = sorted({label for labels in (*wanted, *given) for label in labels})
    if not names:
        return {}
    # NOTE: one more class, which nothing is of: scikit-learn takes a single column for no sets.
    coder = MultiLabelBinarizer(classes=[*names, ""], sparse_output=True)
    expected, predicted = coder.fit_transform(wanted), coder.transform(given)
    scores = precision_recall_fscore_support(
        expected,
        predicted,
        labels=np.arange(len(names)),
        average=None,
        zero_division=0,
        sample_weight=counts,
    )
    none = np.array([not predicted for _, predicted in pairs])
    unanswered = ((counts * none) @ expected)[: len(names)]
    count = (counts @ predicted)[: len(names)]
    hits, total = expected.multiply(predicted).tocsr(), (expected + predicted).tocsr()
    return {
        "labels": _scores(names, scores, count, unanswered),
        "macro_f1": float(scores[2].mean()),
        "macro_f1_interval": _bootstrap(counts, hits, total),
    }


def _scores(
    names: Sequence[str], scores: Any, given: NDArray[np.int_], unanswered: NDArray[np.int_]
) -> tuple[LabelScores, ...]:
    figures = zip(names, *scores, given, unanswered, strict=True)
    return tuple(
        LabelScores(name, float(precision), float(recall), float(f1), *map(int, counts))
        for name, precision, recall, f1, *counts in figures
    )


def macro_f1_interval(
    expected: NDArray[np.int_], predicted: NDArray[np.int_], labels: int
) -> Interval:
    """Return the 95% percentile bootstrap interval of macro-F1, over rows of one label each."""
    import numpy as np
    from scipy.sparse import csr_array

    pairs, counts = np.unique(np.stack([expected, predicted]), axis=1, return_counts=True)
    cells = np.arange(len(counts))

    def sums(codes: NDArray[np.int_], chosen: NDArray[np.bool_]) -> Any:
        ones = np.ones(int(chosen.sum()))
        return csr_array((ones, (cells[chosen], codes[chosen])), shape=(len(counts), labels))

    given = pairs[1] != _NONE
    hits = sums(pairs[0], pairs[0] == pairs[1])
    return _bootstrap(counts, hits, sums(pairs[0], np.ones_like(given)) + sums(pairs[1], given))


def _bootstrap(counts: NDArray[np.int_], hits: Any, total: Any) -> Interval:
    """Resample rows and take macro-F1 of each sample.

    There are `counts` rows of each sort; `hits` and `total` (sparse, sorts x labels) say which
    labels a sort has right, and how often it has them on either side. A resample is a multinomial
    draw of the sorts: the same distribution as of drawing rows, without touching them again. A
    label that a resample lacks on both sides has no F1 and isn't in its mean: scikit-learn's way.
    """
    import numpy as np

    means = []
    for drawn in resamples(counts, hits.shape[1]):
        found, whole = np.asarray(drawn @ hits, dtype=float), np.asarray(drawn @ total, dtype=float)
        f1 = np.divide(2 * found, whole, out=np.zeros_like(found), where=whole > 0)
        means.append(f1.sum(axis=1) / np.maximum((whole > 0).sum(axis=1), 1))
    return percentiles(np.concatenate(means))


def resamples(counts: NDArray[np.int_], width: int) -> Iterator[NDArray[np.int_]]:
    """Draw rows again, as many as there are: of each sort how often, a resample a line.

    They come in slices that hold about 80 MB, each line with `width` further numbers beside it.
    """
    import numpy as np

    random = np.random.default_rng(SEED)
    rows = int(counts.sum())
    size = max(1, 10_000_000 // (len(counts) + width))
    for start in range(0, RESAMPLES, size):
        yield random.multinomial(rows, counts / rows, min(size, RESAMPLES - start))


def percentiles(drawn: NDArray[np.float64]) -> Interval:
    """Return the interval between the percentiles of what resamples have given."""
    import numpy as np

    low, high = np.quantile(drawn, [(1 - INTERVAL_LEVEL) / 2, (1 + INTERVAL_LEVEL) / 2])
    return Interval(float(low), float(high))


def _fields(answers: Answers) -> tuple[FieldScores, ...]:
    return tuple(
        _field(
            pair.predicted, [(row.expected[place], row.predicted[place]) for row in answers.rows]
        )
        for place, pair in enumerate(answers.pairs)
    )


def _field(name: str, cells: Sequence[tuple[str, str]]) -> FieldScores:
    """Score a field as extraction is scored: a value that should not be there counts against it."""
    right = sum(expected == given for expected, given in cells)
    found = sum(expected == given for expected, given in cells if given)
    wanted = sum(expected != "" for expected, _ in cells)
    given = sum(given != "" for _, given in cells)
    return FieldScores(
        field=name,
        rows=len(cells),
        right=right,
        accuracy=right / len(cells),
        accuracy_interval=wilson(right, len(cells)),
        precision=found / given if given else 0.0,
        recall=found / wanted if wanted else 0.0,
        f1=2 * found / (given + wanted) if given + wanted else 0.0,
        missed=sum(expected != "" and not given for expected, given in cells),
        invented=sum(not expected and given != "" for expected, given in cells),
        wrong=sum("" != expected != given != "" for expected, given in cells),
    )


def _cost(rows: Sequence[Graded], right: int) -> Cost:
    known = [row.cost_usd for row in rows if row.cost_usd is not None]
    unpriced = sum(row.cost_usd is None and row.status == "ok" for row in rows)
    total = sum(known, Decimal(0)) if known else None
    if total is None or unpriced:
        return Cost(total, unpriced)
    return Cost(
        cost_usd=total,
        unpriced=unpriced,
        per_row_usd=total / len(rows),
        per_right_row_usd=total / right if right else None,
    )


def _worst(rows: Sequence[Graded], count: int) -> tuple[Graded, ...]:
    """List wrong rows: the surest first, then those of the most frequent mistakes."""
    wrong = [row for row in rows if not row.right]
    mistakes = Counter((row.expected, row.predicted) for row in wrong)

    def badness(row: Graded) -> tuple[bool, float, int]:
        sure = row.confidence if row.confidence is not None else 0.0
        return any(row.predicted), sure, mistakes[row.expected, row.predicted]

    return tuple(sorted(wrong, key=badness, reverse=True)[:count])


def _reliability(rows: Sequence[Graded]) -> dict[str, Reliability]:
    by_model: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for row in rows:
        if row.confidence is not None:
            by_model[row.model].append((row.confidence, row.right))
    return {
        model: reliability([value for value, _ in sure], [right for _, right in sure])
        for model, sure in by_model.items()
    }
