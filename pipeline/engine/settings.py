"""What the user chose for a run, in plain values: the command line and Python both make these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING

from pipeline.costs import Price
from pipeline.errors import UsageError, without_partner
from pipeline.evaluation.threshold import LEVEL, check
from pipeline.types import Detail, Long

if TYPE_CHECKING:
    from pipeline.backends.apis.base import Api
    from pipeline.prompting.choosing import Labelling
    from pipeline.prompting.prompt import Prompt
    from pipeline.sources.tables.frame import Frame

BELOW = 0.85  # the confidence below which a stronger model is asked
PATIENCE_MINUTES = 30.0

# The least and the most that a setting may be; None is no bound.
BOUNDS: dict[str, tuple[float, float | None]] = {
    "header_row": (1, None),
    "limit": (1, None),
    "sample": (1, None),
    "max_tokens": (1, None),
    "temperature": (0, 2),
    "chunk_tokens": (16, None),
    "rpm": (0.001, None),
    "tpm": (0.001, None),
    "max_concurrency": (1, None),
    "patience": (0, None),
    "rows": (1, None),
}


@dataclass(frozen=True, slots=True)
class Stronger:
    """Who is asked where the confidence is less than `below`, 0 to 1.

    With an `accuracy` that is found out from the rows whose right answer is known, so that it holds
    with the probability of `level`.
    """

    model: str
    below: float = BELOW
    accuracy: float | None = None
    level: float = LEVEL
    price: Price | None = None

    def __post_init__(self) -> None:
        check(LEVEL if self.accuracy is None else self.accuracy, self.level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A run as the user wants it: what is read, what is asked, of whom, what it may take, and where
    the answers go. None leaves a choice to the program.
    """

    # What is read: a path, a glob, an address, "-", or a table that is in memory.
    input: str | Frame
    text_column: str | None = None
    image_column: str | None = None
    image_root: str | None = None
    image_host: tuple[str, ...] = ()
    image_detail: Detail = Detail.AUTO
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    header_row: int | None = None
    glob: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    answers: str | None = None
    limit: int | None = None
    sample: int | None = None

    # What is asked.
    prompt: Prompt
    labelling: Labelling | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    long: Long = Long.SPLIT
    chunk_tokens: int | None = None

    # Of whom, and what it may take.
    model: str | None = None
    base_url: str | None = None
    api: Api | None = None
    stronger: Stronger | None = None
    rpm: float | None = None
    tpm: float | None = None
    max_concurrency: int | None = None
    max_cost: Decimal | None = None
    """USD."""
    price: Price | None = None
    patience: float = PATIENCE_MINUTES
    """Minutes."""
    hedge: bool = True

    # Where the answers go.
    output: str | None = None
    journal: str | None = None
    """None is beside the output; without one, `pipeline.journal` in the working folder."""
    fresh: bool = False
    prefix: str = ""
    expected: str | None = None
    review: str | None = None
    rows: int | None = None
    safe_csv: bool = False

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            _check(name, getattr(self, name), least, most)
        if self.review is None:
            without_partner("--review", rows=self.rows)


Note = Callable[[str], None]
"""Tells the user something, in a line."""


def _check(name: str, value: object, least: float, most: float | None) -> None:
    """Raise UsageError where a number is none, or out of its bounds."""
    if value is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not least <= value <= (inf if most is None else most):  # type: ignore[operator]
        upper = "or more" if most is None else f"to {most:g}"
        option = f"--{name.replace('_', '-')}"
        raise UsageError(f"{option} {value}: give a number of {least:g} {upper}")
