"""An evaluation as JSON, for programs: the words of scikit-learn and of the output's columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal

from pipeline.evaluation.comparison import Comparison
from pipeline.evaluation.gold import Graded
from pipeline.evaluation.judged import Duel, Judged
from pipeline.evaluation.scores import Evaluation, Interval
from pipeline.evaluation.threshold import Choice

Json = Mapping[str, object]


def as_json(found: Evaluation) -> Json:
    """Lay an evaluation out. `labels` keep their order in `confusion_matrix`."""
    return {
        "output": found.answers.name,
        "expected": [pair.expected for pair in found.answers.pairs],
        "predicted": [pair.predicted for pair in found.answers.pairs],
        "several_labels": found.answers.several,
        "rows": found.rows,
        "rows_without_expected": found.answers.blank,
        "rows_unreadable": found.answers.unreadable,
        "right": found.right,
        "accuracy": found.accuracy,
        "accuracy_interval": _ends(found.accuracy_interval),
        "answered_accuracy": found.answered_accuracy,
        "no_answer": dict(found.no_answer),
        "right_but_for_spacing": found.spelled,
        "baseline_label": found.baseline_label,
        "baseline_accuracy": found.baseline_accuracy,
        "macro_f1": found.macro_f1,
        "macro_f1_interval": _ends(found.macro_f1_interval),
        "labels": {
            item.label: {key: value for key, value in asdict(item).items() if key != "label"}
            for item in found.labels
        },
        "confusion_matrix": found.confusion_matrix,
        "fields": {
            item.field: {
                **{key: value for key, value in asdict(item).items() if key != "field"},
                "accuracy_interval": _ends(item.accuracy_interval),
            }
            for item in found.fields
        },
        "cost_usd": _number(found.cost.cost_usd),
        "cost_per_row_usd": _number(found.cost.per_row_usd),
        "cost_per_right_row_usd": _number(found.cost.per_right_row_usd),
        "rows_without_cost": found.cost.unpriced,
        "calibration": [
            {"model": model or None, **asdict(item)} for model, item in found.reliability.items()
        ],
        "worst_rows": [_row(row) for row in found.worst],
    }


def comparison_json(found: Comparison) -> Json:
    """Lay a comparison out."""
    return {
        **asdict(found),
        "difference_interval": _ends(found.difference_interval),
        "row_cost_difference_usd": _number(found.row_cost_difference_usd),
    }


def cascade_json(found: Choice) -> Json:
    """Lay a choice of threshold out."""
    return {**asdict(found), "enough": found.enough}


def judged_json(found: Judged) -> Json:
    """Lay a judge's scores out."""
    return {
        "output": found.name,
        "score": found.column,
        "rows": found.rows,
        "rows_without_score": found.unscored,
        "mean_score": found.mean,
        "mean_score_interval": _ends(found.mean_interval),
        "scores": {str(score): count for score, count in sorted(found.scores.items())},
        "cost_usd": _number(found.cost_usd),
        "worst_rows": [
            {"row": low.name, "score": float(low.score), "said": low.said} for low in found.worst
        ],
    }


def duel_json(found: Duel) -> Json:
    """Lay a comparison of scores out."""
    return {**asdict(found), "difference_interval": _ends(found.difference_interval)}


def _row(row: Graded) -> Json:
    return {
        "row": row.name,
        "expected": row.expected[0] if len(row.expected) == 1 else row.expected,
        "predicted": row.predicted[0] if len(row.predicted) == 1 else row.predicted,
        "status": row.status or None,
        "confidence": row.confidence,
        "text": row.text,
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return [interval.low, interval.high] if interval else None


def _number(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)
