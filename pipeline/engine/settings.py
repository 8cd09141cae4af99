"""What the user chose for a run, in plain values: the command line and Python both make these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING

from pipeline.access import Auth
from pipeline.costs import Price, read_price
from pipeline.errors import UsageError, without_partner
from pipeline.evaluation.threshold import LEVEL, check
from pipeline.types import Detail, Hidden, Long, Undecodable

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
    "shots": (1, None),
    "votes": (2, None),
}


@dataclass(frozen=True, slots=True)
class Stronger:
    """Who is asked where the confidence is less than `below`, 0 to 1; of all rows if it is inf.

    With an `accuracy` that is found out from the rows whose right answer is known, so that it holds
    with the probability of `level`.
    """

    model: str
    below: float | None = None
    accuracy: float | None = None
    level: float = LEVEL
    price: Price | None = None

    def __post_init__(self) -> None:
        check(LEVEL if self.accuracy is None else self.accuracy, self.level)
        if self.below != inf:
            _check("below", self.below, 0, 1)
        if self.accuracy is None:
            without_partner("--accuracy", level=None if self.level == LEVEL else self.level)
        elif self.below is not None:
            raise UsageError("--accuracy finds what --below says: give one of them")


def choose_stronger(
    model: str | None,
    *,
    below: float | None,
    accuracy: float | None,
    level: float,
    price: str | Sequence[float] | Price | None,
) -> Stronger | None:
    """Return who is asked what the first model is unsure of; None for nobody."""
    if model is None:
        without_partner("--escalate MODEL", below=below, accuracy=accuracy, escalate_price=price)
        return None
    known = None if price is None else read_price(price, "--escalate-price")
    return Stronger(model, below=below, accuracy=accuracy, level=level, price=known)


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
    encoding_errors: Undecodable | None = None
    delimiter: str | None = None
    sheet: str | None = None
    hidden: Hidden | None = None
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
    auth: Auth = Auth.KEY
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
            for part in (self, self.labelling):
                _check(name, getattr(part, name, None), least, most)
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
