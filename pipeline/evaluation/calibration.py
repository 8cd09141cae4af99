"""Is a confidence of 0.8 right in 8 of 10 rows? How far it is from that, and what mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from pipeline.errors import UsageError, needs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Numbers = NDArray[np.float64]

BINS = 10
ISOTONIC_ROWS = 1000  # with fewer, isotonic regression learns the sample by heart
FOLDS = 5
SEED = 0
_NEAREST = 1e-6  # to 0 and 1, whose log-odds are infinite

Method = Literal["isotonic", "platt"]
METHODS: dict[Method, str] = {"isotonic": "isotonic regression", "platt": "Platt scaling"}


def require() -> None:
    """Raise UsageError where scikit-learn, an extra, isn't installed."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise UsageError(needs("this", "evaluate")) from error


@dataclass(frozen=True, slots=True)
class Bin:
    """The rows whose confidence is in (low, high]."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far confidence is from the share that is right.

    `ece_calibrated` is what calibration would leave, measured on rows that it didn't learn from;
    None where too few rows are right, or wrong, to learn from.
    """

    rows: int
    confidence: float
    accuracy: float
    ece: float
    ece_calibrated: float | None
    method: Method | None
    bins: tuple[Bin, ...]


class Calibration(Protocol):
    """A mapping from the confidence that a model shows to the share of such rows that is right."""

    method: Method

    def apply(self, confidence: ArrayLike) -> Numbers: ...


class Isotonic:
    """Isotonic regression (Zadrozny & Elkan 2002): never falls, and is otherwise what was seen."""

    method: Method = "isotonic"

    def __init__(self, confidence: Numbers, right: Numbers) -> None:
        from sklearn.isotonic import IsotonicRegression

        self._model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        self._model.fit(confidence, right)

    def apply(self, confidence: ArrayLike) -> Numbers:
        """Calibrate confidences."""
        found: Numbers = self._model.predict(_array(confidence))
        return found


class Platt:
    """Logistic regression on the log-odds: two numbers, for few rows.

    Without a penalty, to targets of (right + 1) / (right + 2) for what is right and
    1 / (wrong + 2) for what is wrong, so that few rows teach no certainty (Platt 1999,
    "Probabilistic outputs for support vector machines", section 2.2). Where more confidence would
    be worth less, it is worth nothing: then all have the same.
    """

    method: Method = "platt"

    def __init__(self, confidence: Numbers, right: Numbers) -> None:
        import numpy as np
        from sklearn.dummy import DummyClassifier
        from sklearn.linear_model import LogisticRegression

        odds, hits = _log_odds(confidence), right.astype(int)
        count = int(hits.sum())
        target = np.where(hits == 1, (count + 1) / (count + 2), 1 / (len(hits) - count + 2))
        # A target that is neither 0 nor 1: the row as either, by weight.
        self._model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(
            np.concatenate([odds, odds]),
            np.repeat([1, 0], len(hits)),
            np.concatenate([target, 1 - target]),
        )
        if self._model.coef_[0, 0] < 0:
            self._model = DummyClassifier(strategy="prior").fit(odds, hits)

    def apply(self, confidence: ArrayLike) -> Numbers:
        """Calibrate confidences."""
        found: Numbers = self._model.predict_proba(_log_odds(_array(confidence)))[:, 1]
        return found


def calibrate(confidence: ArrayLike, right: ArrayLike) -> Calibration | None:
    """Learn a calibration from rows whose answers are known to be right or not.

    None where fewer than five are right, or wrong: each fold must have one of both to learn from.
    """
    values, hits = _array(confidence), _array(right)
    if min(hits.sum(), len(hits) - hits.sum()) < FOLDS:
        return None
    return Isotonic(values, hits) if len(hits) >= ISOTONIC_ROWS else Platt(values, hits)


def reliability(confidence: Sequence[float], right: Sequence[bool]) -> Reliability:
    """Compare the confidence of some rows with how many of them are right."""
    values, hits = _array(confidence), _array(right)
    bins = _bins(values, hits)
    learned = calibrate(values, hits)
    after = ece(unseen(values, hits), hits) if learned else None
    return Reliability(
        rows=len(hits),
        confidence=float(values.mean()),
        accuracy=float(hits.mean()),
        ece=_distance(bins),
        ece_calibrated=after,
        method=learned.method if learned else None,
        bins=bins,
    )


def ece(confidence: ArrayLike, right: ArrayLike) -> float:
    """Return the expected calibration error over ten bins of equal width.

    The mean over rows of |accuracy - mean confidence| of the row's bin
    (Naeini et al. 2015; Guo et al. 2017, "On Calibration of Modern Neural Networks").
    """
    return _distance(_bins(_array(confidence), _array(right)))


def brier(confidence: ArrayLike, right: ArrayLike) -> float:
    """Return the Brier score: the mean square of what confidence lacks to 1 or 0 (Brier 1950).

    Unlike the calibration error it is lowest for what is true, and not for what is vague.
    """
    return float(((_array(confidence) - _array(right)) ** 2).mean())


def _distance(bins: Sequence[Bin]) -> float:
    rows = sum(item.rows for item in bins)
    return sum(item.rows * abs(item.accuracy - item.confidence) for item in bins) / rows


def _bins(confidence: Numbers, right: Numbers) -> tuple[Bin, ...]:
    import numpy as np

    edges = np.linspace(0, 1, BINS + 1)
    places = np.searchsorted(edges[1:-1], confidence, side="left")
    found = []
    for place in range(BINS):
        chosen = places == place
        if chosen.any():
            found.append(
                Bin(
                    low=float(edges[place]),
                    high=float(edges[place + 1]),
                    rows=int(chosen.sum()),
                    confidence=float(confidence[chosen].mean()),
                    accuracy=float(right[chosen].mean()),
                )
            )
    return tuple(found)


def unseen(confidence: ArrayLike, right: ArrayLike) -> Numbers:
    """Calibrate each row by what the other folds teach, where `calibrate` finds enough of them."""
    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    values, hits = _array(confidence), _array(right)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    found = np.empty_like(values)
    kind = Isotonic if len(hits) >= ISOTONIC_ROWS else Platt
    for learn, rest in folds.split(values, hits):
        found[rest] = kind(values[learn], hits[learn]).apply(values[rest])
    return found


def _array(values: ArrayLike) -> Numbers:
    import numpy as np

    return np.asarray(values, dtype=np.float64)


def _log_odds(confidence: Numbers) -> Numbers:
    from scipy.special import logit

    found: Numbers = logit(confidence.clip(_NEAREST, 1 - _NEAREST)).reshape(-1, 1)
    return found
