"""The cascade's promise: kept in simulation, as often as it says, and no threshold otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta, binom

from pipeline.errors import UsageError
from pipeline.evaluation.threshold import allowed_wrong, choose, choose_with_both, rows_needed

DATA_SETS = 2_000
LEVEL = 0.95
# As many failures as chance gives one time in ten thousand where each fails with 1 - LEVEL.
MOST_FAILURES = int(binom.ppf(0.9999, DATA_SETS, 1 - LEVEL))

Random = np.random.Generator
Draw = Callable[[Random, int], tuple[np.ndarray, np.ndarray]]


class World:
    """Rows to draw, and the true share that is kept and wrong at each threshold."""

    def __init__(self, draw: Draw, risk: Callable[[float], float]) -> None:
        self.draw = draw
        self.risk = risk


def honest(power: float) -> World:
    """Make confidence uniform and right with a chance of confidence ** power."""

    def draw(random: Random, rows: int) -> tuple[np.ndarray, np.ndarray]:
        sure = random.random(rows)
        return sure, random.random(rows) < sure**power

    def risk(threshold: float) -> float:
        return (1 - threshold) - (1 - threshold ** (power + 1)) / (power + 1)

    return World(draw, risk)


def useless(wrong: float) -> World:
    """Make a confidence that says nothing: the hardest to keep a promise with."""

    def draw(random: Random, rows: int) -> tuple[np.ndarray, np.ndarray]:
        return random.random(rows), random.random(rows) >= wrong

    return World(draw, lambda threshold: wrong * (1 - threshold))


def votes(wrong: tuple[float, ...]) -> World:
    """Make shares of votes: few values, many rows of each, rows of the highest wrong as well."""
    values = np.linspace(0.2, 1, len(wrong))

    def draw(random: Random, rows: int) -> tuple[np.ndarray, np.ndarray]:
        places = random.integers(0, len(wrong), rows)
        return values[places], random.random(rows) >= np.array(wrong)[places]

    def risk(threshold: float) -> float:
        return float(np.mean(np.array(wrong) * (values >= threshold)))

    return World(draw, risk)


@pytest.mark.parametrize("rows", [60, 400])
@pytest.mark.parametrize("accuracy", [0.8, 0.9, 0.95])
@pytest.mark.parametrize(
    "world",
    [honest(0.25), honest(1.0), useless(0.3), useless(0.06), votes((0.5, 0.4, 0.2, 0.2, 0.06))],
    ids=["mostly right", "half right", "useless", "nearly good enough", "votes"],
)
def test_the_promise_fails_no_more_often_than_promised(
    world: World, accuracy: float, rows: int
) -> None:
    random = np.random.default_rng(rows)
    failures = 0
    for _ in range(DATA_SETS):
        sure, right = world.draw(random, rows)
        choice = choose(sure.tolist(), right.tolist(), accuracy=accuracy, level=LEVEL)
        if choice.threshold is not None:
            failures += world.risk(choice.threshold) > 1 - accuracy + 1e-12
    assert failures <= MOST_FAILURES


@pytest.mark.parametrize("rows", [100, 400])
@pytest.mark.parametrize("strong", [0.0, 0.04])
def test_the_promise_holds_where_the_stronger_model_errs_as_well(rows: int, strong: float) -> None:
    random = np.random.default_rng(rows)
    world, failures, chosen = honest(0.5), 0, 0
    for _ in range(DATA_SETS):
        sure, right = world.draw(random, rows)
        both = random.random(rows) >= strong
        choice = choose_with_both(
            sure.tolist(), right.tolist(), both.tolist(), accuracy=0.9, level=LEVEL
        )
        if choice.threshold is not None:
            chosen += 1
            failures += world.risk(choice.threshold) + strong * choice.threshold > 0.1
    assert chosen > DATA_SETS / 2
    assert failures <= MOST_FAILURES


def test_the_promise_is_not_kept_by_keeping_nothing() -> None:
    """Where it can be exact, the bound is: it fails nearly as often as it may."""
    random = np.random.default_rng(3)
    world, failures, kept = honest(1.0), 0, []
    for _ in range(500):
        sure, right = world.draw(random, 1000)
        choice = choose(sure.tolist(), right.tolist(), accuracy=0.9, level=LEVEL)
        assert choice.threshold is not None
        failures += world.risk(choice.threshold) > 0.1
        kept.append(choice.kept / 1000)
    assert failures > 0.02 * 500
    # With all the rows there are it would be 44.7 %: (1 - t) ** 2 / 2 = 0.1.
    assert 0.38 < np.mean(kept) < 0.447


def test_a_threshold_by_hand() -> None:
    # 100 rows, 0.9 and 0.95: P(Binomial(100, 0.1) <= 4) = 0.024, <= 5 it is 0.058.
    sure = [1 - place / 100 for place in range(100)]
    right = [place not in (10, 20, 30, 40, 50, 51) for place in range(100)]
    choice = choose(sure, right, accuracy=0.9, level=0.95)
    assert (choice.allowed, choice.threshold, choice.kept, choice.wrong) == (4, 1 - 0.49, 50, 4)


def test_rows_of_the_same_confidence_stand_or_fall_together() -> None:
    sure = [0.9] * 50 + [0.8] * 50
    right = [True] * 95 + [False] * 5
    choice = choose(sure, right, accuracy=0.9, level=0.95)
    assert (choice.allowed, choice.threshold, choice.kept) == (4, 0.9, 50)


def test_a_row_without_a_confidence_is_escalated() -> None:
    choice = choose([None] * 40 + [0.5] * 60, [False] * 40 + [True] * 60, accuracy=0.9, level=0.95)
    assert (choice.threshold, choice.kept, choice.rows) == (0.5, 60, 100)


def test_no_threshold_where_the_surest_are_wrong() -> None:
    choice = choose([0.9] * 100, [True, False] * 50, accuracy=0.9, level=0.95)
    assert (choice.threshold, choice.kept, choice.enough) == (None, 0, True)


@pytest.mark.parametrize(
    ("accuracy", "level", "needed"), [(0.95, 0.95, 59), (0.9, 0.95, 29), (0.99, 0.99, 459)]
)
def test_too_few_rows_say_how_many_are_needed(accuracy: float, level: float, needed: int) -> None:
    assert rows_needed(accuracy=accuracy, level=level) == needed
    few = choose([0.9] * (needed - 1), [True] * (needed - 1), accuracy=accuracy, level=level)
    assert (few.threshold, few.enough, few.rows_needed) == (None, False, needed)
    enough = choose([0.9] * needed, [True] * needed, accuracy=accuracy, level=level)
    assert (enough.threshold, enough.enough) == (0.9, True)


def test_half_a_promise_needs_exactly_one_row() -> None:
    assert rows_needed(accuracy=0.5, level=0.5) == 1
    assert choose([0.9], [True], accuracy=0.5, level=0.5).threshold == 0.9


@pytest.mark.parametrize("rows", [59, 100, 997])
def test_what_may_be_wrong_is_the_bound_of_clopper_and_pearson(rows: int) -> None:
    allowed = allowed_wrong(rows, accuracy=0.95, level=0.95)
    assert beta.ppf(0.95, allowed + 1, rows - allowed) <= 0.05
    assert beta.ppf(0.95, allowed + 2, rows - allowed - 1) > 0.05


def test_a_stronger_model_that_is_not_good_enough_keeps_no_promise() -> None:
    choice = choose_with_both(
        [0.9] * 100, [True] * 100, [True] * 80 + [False] * 20, accuracy=0.95, level=0.95
    )
    assert choice.threshold is None


def test_who_is_not_good_enough_for_all_rows_is_not_chosen_for_none() -> None:
    """The surest have a confidence of 1: no threshold of 0 to 1 would ask about them."""
    choice = choose_with_both(
        [1.0] * 100, [True] * 100, [True] * 80 + [False] * 20, accuracy=0.95, level=0.95
    )
    assert (choice.threshold, choice.kept, choice.wrong) == (None, 0, 20)


def test_no_threshold_lets_a_row_without_a_confidence_stand() -> None:
    """A run asks the stronger model about it even with --below 0."""
    choice = choose_with_both(
        [None] * 40 + [0.0] * 60, [False] * 40 + [True] * 60, [True] * 100, accuracy=0.9, level=0.95
    )
    assert (choice.threshold, choice.kept, choice.wrong) == (0.0, 60, 0)


def test_nothing_is_promised_of_no_rows() -> None:
    for choose_any in (choose, lambda *given, **asked: choose_with_both(*given, [], **asked)):
        found: Any = choose_any([], [], accuracy=0.95, level=0.95)
        assert (found.threshold, found.rows_needed) == (None, 59)


@pytest.mark.parametrize("accuracy", [0.0, 1.0, 95.0, -1.0, float("nan")])
def test_a_share_that_is_none_is_an_error(accuracy: float) -> None:
    with pytest.raises(UsageError, match="give a share between 0 and 1"):
        choose([0.9], [True], accuracy=accuracy, level=0.95)
