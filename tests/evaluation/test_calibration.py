"""Confidence against what was right: the error before, and on rows not learned from after."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from pipeline.evaluation.calibration import brier, calibrate, ece, reliability


def test_the_calibration_error_by_hand() -> None:
    # (0.9, 1]: two rows, one right, mean 0.95. (0.5, 0.6]: two rows, both right, mean 0.55.
    confidence, right = [1.0, 0.9001, 0.5999, 0.5001], [True, False, True, True]
    assert ece(confidence, right) == pytest.approx((2 * 0.45005 + 2 * 0.45) / 4)


def test_the_brier_score_by_hand() -> None:
    assert brier([0.9, 0.6], [True, False]) == pytest.approx((0.01 + 0.36) / 2)


@pytest.mark.parametrize("seed", range(8))
def test_platt_scaling_is_the_maximum_of_its_likelihood(seed: int) -> None:
    random = np.random.default_rng(seed)
    odds = random.normal(4, 2, 60)
    right = random.random(60) < expit(odds / 2)
    count = int(right.sum())
    target = np.where(right, (count + 1) / (count + 2), 1 / (60 - count + 2))

    def loss(line: np.ndarray) -> float:
        values = line[0] * odds + line[1]
        return float((np.logaddexp(0, values) - target * values).sum())

    slope, start = minimize(loss, [0, 0], options={"gtol": 1e-9}).x
    learned = calibrate(expit(odds), right)
    assert learned is not None
    shown = np.array([0.5, 0.9, 0.99])
    assert learned.apply(shown) == pytest.approx(expit(slope * logit(shown) + start), abs=1e-5)


@pytest.mark.parametrize(
    ("confidence", "low"), [(0.0, 0.0), (0.1, 0.0), (0.7, 0.6), (0.70001, 0.7), (1.0, 0.9)]
)
def test_a_bin_holds_its_upper_end(confidence: float, low: float) -> None:
    (only,) = reliability([confidence], [True]).bins
    assert only.low == pytest.approx(low)


def boastful(rows: int, seed: int = 1) -> tuple[list[float], list[bool]]:
    """Draw rows that are right less often than they say."""
    random = np.random.default_rng(seed)
    sure = random.uniform(0.5, 1, rows)
    return sure.tolist(), (random.random(rows) < sure**4).tolist()


@pytest.mark.parametrize(("rows", "method"), [(400, "platt"), (4000, "isotonic")])
def test_calibration_mends_what_boasts(rows: int, method: str) -> None:
    found = reliability(*boastful(rows))
    assert found.method == method
    assert found.ece > 0.2
    assert found.ece_calibrated is not None
    assert found.ece_calibrated < 0.3 * found.ece


def test_what_was_learned_holds_for_rows_never_seen() -> None:
    learned = calibrate(*boastful(3000))
    assert learned is not None
    confidence, right = boastful(3000, seed=2)
    assert ece(learned.apply(confidence), right) < 0.05
    assert learned.apply([0.6])[0] < learned.apply([0.9])[0] <= 1


def test_the_error_after_is_not_measured_on_the_rows_it_learned_from() -> None:
    """Of pure noise, isotonic regression learns each row: its own rows would show no error."""
    random = np.random.default_rng(4)
    confidence, right = random.random(1200), random.random(1200) < 0.5
    learned = calibrate(confidence, right)
    after = reliability(confidence.tolist(), right.tolist()).ece_calibrated
    assert learned is not None and after is not None
    assert ece(learned.apply(confidence), right) < after


@pytest.mark.parametrize("right", [[True], [False, False], [True] * 9 + [False] * 4])
def test_nothing_is_learned_where_nearly_all_are_right_or_wrong(right: list[bool]) -> None:
    confidence = [0.9] * len(right)
    assert calibrate(confidence, right) is None
    found = reliability(confidence, right)
    assert (found.ece_calibrated, found.method) == (None, None)
    assert found.ece == pytest.approx(abs(0.9 - sum(right) / len(right)))


def test_more_confidence_is_never_worth_less() -> None:
    learned = calibrate([0.6] * 10 + [0.9] * 10, [True] * 10 + [False] * 5 + [True] * 5)
    assert learned is not None
    assert learned.apply([0.0, 0.6, 0.9, 1.0]) == pytest.approx([0.75] * 4)


def test_certainty_has_a_calibration_as_well() -> None:
    learned = calibrate([1.0] * 5 + [0.0] * 5, [True] * 5 + [False] * 5)
    assert learned is not None
    assert 0 < learned.apply([0.0])[0] < learned.apply([1.0])[0] < 1
