"""The confidence of an output's rows, calibrated by those whose right answer is known.

Then of the rows of a confidence of 0.8, 8 in 10 are right. Each model's confidence is calibrated by
itself: those of a cheap and a strong one mean different things.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.evaluation import calibration
from pipeline.evaluation.calibration import FOLDS, METHODS, Calibration

# Of the Brier score of saying of each answer how many are right: what is more tells nothing.
_NO_BETTER = 0.95


class Known(NamedTuple):
    """A row whose right answer is known; `confidence` is what the model showed, 0 to 1."""

    position: int
    model: str
    confidence: float
    right: bool


class Calibrated:
    """What a confidence is worth. `notes` say what was learned, or why nothing was.

    A row that taught something has the value that the other rows teach: else it would say what is
    known of itself. A calibration is taken only where it lowers the Brier score, cross-validated.
    """

    def __init__(self, known: Iterable[Known]) -> None:
        self.notes: list[str] = []
        self._learned: dict[str, Calibration] = {}
        self._known: dict[int, float] = {}
        self._others: dict[tuple[str, float], float] = {}  # a confidence has four digits
        by_model: dict[str, list[Known]] = defaultdict(list)
        for row in known:
            by_model[row.model].append(row)
        for model, rows in by_model.items():
            self._learn(model, rows)

    def _learn(self, model: str, rows: Sequence[Known]) -> None:
        confidence, right = [row.confidence for row in rows], [row.right for row in rows]
        learned = calibration.calibrate(confidence, right)
        whose = f"the confidence of {model or 'the model'}"
        if learned is None:
            self.notes.append(
                f"{whose} stays as it is: of {len(rows):,} rows with a known answer "
                f"{sum(right):,} are right, and calibration takes {FOLDS} right and {FOLDS} wrong"
            )
            return
        values = calibration.unseen(confidence, right)
        figures = [
            f"{calibration.ece(sure, right):.3f} (Brier score {calibration.brier(sure, right):.4f})"
            for sure in (confidence, values)
        ]
        if calibration.brier(values, right) >= calibration.brier(confidence, right):
            self.notes.append(
                f"{whose} stays as it is: calibrated on {len(rows):,} rows with a known answer it "
                f"would be no better: expected calibration error {' -> '.join(figures)}"
            )
            return
        self._learned[model] = learned
        self._known |= {
            row.position: _rounded(value) for row, value in zip(rows, values, strict=True)
        }
        self.notes.append(
            f"{whose} is calibrated on {len(rows):,} rows with a known answer "
            f"({METHODS[learned.method]}): expected calibration error {' -> '.join(figures)}"
        )
        share = sum(right) / len(right)
        if calibration.brier(values, right) > _NO_BETTER * share * (1 - share):
            self.notes.append(
                f"{whose} hardly tells right answers from wrong ones: calibrated, it is near "
                f"{share:.0%}, the share of right answers, in all rows; "
                "raw_confidence still ranks them"
            )

    def apply(self, position: int, model: str, confidence: float | None) -> float | None:
        """Calibrate the confidence of a row; where nothing was learned it stays as it is."""
        if confidence is None or model not in self._learned:
            return confidence
        if position in self._known:
            return self._known[position]
        key = model, confidence
        if key not in self._others:
            self._others[key] = _rounded(self._learned[model].apply([confidence])[0])
        return self._others[key]


def _rounded(value: float) -> float:
    return round(float(value), 4)
