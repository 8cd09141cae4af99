"""A table with the right answers beside those that were given, whoever wrote it.

Only the table is read, no journal: what a person has changed in it counts.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path

from pipeline.evaluation.pairs import Expected, Pair, check_column, find_pairs
from pipeline.outputs.cells import to_text
from pipeline.prompting.labels import Labels, alike, array, tidy
from pipeline.showing import without_login
from pipeline.sources.opening import open_source
from pipeline.sources.tables.frame import Frame
from pipeline.sources.tables.written import find_prefix, unguard
from pipeline.types import Document

_SHOWN_CHARACTERS = 200
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)\.\d+")
_THOUSANDS = re.compile(r"(-?[1-9]\d{0,2}(?:,\d{3})+)((?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Graded:
    """A row with what was expected of it. An answer that isn't there is the empty text.

    `spelled` says that the two were the same only to the eye: another case, other spaces, another
    coding of the same letters. `key` is what another table's row is found by.
    """

    name: str
    expected: tuple[str, ...]
    predicted: tuple[str, ...]
    spelled: bool = False
    status: str = ""
    cost_usd: Decimal | None = None
    confidence: float | None = None
    text: str = ""
    key: str = ""
    model: str = ""

    @property
    def right(self) -> bool:
        return self.expected == self.predicted


@dataclass(slots=True)
class Order:
    """Tells whether the same texts stand in another order, without keeping them."""

    column: str | None
    in_order: int = 0
    in_any: int = 0

    def add(self, text: str) -> None:
        """Take the next row's text."""
        found = hash(text)
        self.in_order = hash((self.in_order, found))
        self.in_any += found

    def differs(self, other: Order) -> bool:
        """Return whether it is only the order in which two tables differ."""
        same = (self.column, self.in_any) == (other.column, other.in_any)
        return same and self.column is not None and self.in_order != other.in_order


@dataclass(frozen=True, slots=True)
class Answers:
    """The rows of a table that say what was expected, and how many don't.

    `several` says that an answer is a set of labels: JSON arrays, in the order of the alphabet.
    `confidence` is the column that the rows' confidence is of: what the model showed, not what a
    run that knew some of the right answers has made of it. `order` is that of the rows' texts.
    """

    name: str
    pairs: tuple[Pair, ...]
    rows: tuple[Graded, ...]
    blank: int = 0
    unreadable: int = 0
    several: bool = False
    confidence: str = "confidence"
    order: Order | None = None


def read(
    output: str | Frame,
    expected: Expected | Sequence[Pair],
    *,
    predicted: str | None = None,
    on: str | None = None,
    name: str | None = None,
    fetch_to: Path | None = None,
) -> Answers:
    """Read an output and what was expected of it.

    `predicted` is the column of the answers, `on` the column whose cell is a row's key, `name` what
    the table is called, `fetch_to` a folder for what lies elsewhere. Raises UsageError where a
    column isn't there.
    """
    with closing(open_source(output, fetch_to=fetch_to)) as source:
        called = without_login(output) if isinstance(output, str) else source.name
        names = [column.name for column in source.columns]
        pairs = expected
        if isinstance(pairs, Expected):
            pairs = find_pairs(names, pairs, predicted, source.name)
        if on is not None:
            check_column(on, names, source.name)
        grader = Grader(names, pairs, text_column=source.text_column, on=on)
        for document in source:
            if document.error:
                grader.skip()
            else:
                grader.add(document, document.fields)
        return grader.answers(name or called)


class Grader:
    """Takes the rows of a table with these columns, one by one, and grades them together.

    `on` is the column whose cell is a row's key, `text_column` names the one that texts are of.
    """

    def __init__(
        self,
        columns: Sequence[str],
        pairs: Sequence[Pair],
        *,
        text_column: str | None,
        on: str | None = None,
    ) -> None:
        self._pairs = tuple(pairs)
        self._text_column = text_column
        self._on = on
        self._prefix = find_prefix(columns)
        raw = f"{self._prefix or ''}raw_confidence"
        self._confidence = raw if raw in columns else f"{self._prefix or ''}confidence"
        self._memo: dict[str, str] = {}  # a million rows of ten labels hold ten strings
        self.clear()

    def clear(self) -> None:
        """Forget the rows."""
        self._rows: list[Graded] = []
        self._order = Order(self._text_column)
        self._blank = self._unreadable = 0

    def add(self, document: Document, cells: Mapping[str, object]) -> None:
        """Take a row: the document that it is about, and its cells."""
        row = self._grade(document, cells)
        if any(row.expected):
            self._rows.append(row)
            self._order.add(seen(document.text))
        else:
            self._blank += 1

    def skip(self) -> None:
        """Count a row that can't be read."""
        self._unreadable += 1

    def answers(self, name: str) -> Answers:
        """Return the rows of the table, which is called `name`."""
        pairs, rows = self._pairs, self._rows
        several = len(pairs) == 1 and _are_sets(rows)
        if len(pairs) == 1:
            labels = pairs[0].labels or _given(rows, several)
            rows = [_respelled(row, labels, several) for row in rows]
        return Answers(
            name,
            pairs,
            tuple(rows),
            self._blank,
            self._unreadable,
            several,
            self._confidence,
            self._order,
        )

    def _grade(self, document: Document, cells: Mapping[str, object]) -> Graded:
        pairs, prefix = self._pairs, self._prefix
        write = partial(_label, memo=self._memo) if len(pairs) == 1 else _value
        expected = tuple(write(cells.get(pair.expected)) for pair in pairs)
        predicted = tuple(write(cells.get(pair.predicted)) for pair in pairs)
        if len(pairs) > 1:
            expected = tuple(
                answer if same_value(wanted, answer) else wanted
                for wanted, answer in zip(expected, predicted, strict=True)
            )
        same = expected == predicted
        shown = not same and self._text_column is not None
        text = document.text[: 2 * _SHOWN_CHARACTERS] if shown else ""
        return Graded(
            name=document.name,
            expected=expected,
            predicted=predicted,
            spelled=same and any(_differ(cells, pair) for pair in pairs),
            status=seen(cells.get(f"{prefix}status")) if prefix is not None else "",
            cost_usd=decimal(cells.get(f"{prefix or ''}cost_usd")),
            confidence=fraction(cells.get(self._confidence)),
            text=" ".join(text.split())[:_SHOWN_CHARACTERS],
            key=seen(cells.get(self._on)) if self._on is not None else "",
            model=_label(cells.get(f"{prefix}model"), self._memo) if prefix is not None else "",
        )


def is_right(row: Mapping[str, object], pairs: Sequence[Pair]) -> bool | None:
    """Say whether a row's answers are the expected ones; None where nothing is expected of it."""
    write = seen if len(pairs) == 1 else _value
    expected = tuple(write(row.get(pair.expected)) for pair in pairs)
    predicted = tuple(write(row.get(pair.predicted)) for pair in pairs)
    if not any(expected):
        return None
    if len(pairs) > 1:
        return all(map(same_value, expected, predicted))
    several = array(predicted[0]) is not None
    labels = pairs[0].labels or Labels(_names(predicted[0], several))
    return _normal(expected[0], labels, several) == _normal(predicted[0], labels, several)


def is_known(row: Mapping[str, object], pair: Pair) -> bool:
    """Return whether what is expected of a row is among the labels, as far as these are known."""
    if pair.labels is None:
        return True
    names = pair.labels.split(seen(row.get(pair.expected)))
    return all(name in pair.labels for name in names)


def _given(rows: Sequence[Graded], several: bool) -> Labels:
    """Take the labels that were answered for all that there are."""
    return Labels(name for row in rows for name in _names(row.predicted[0], several))


def _are_sets(rows: Sequence[Graded]) -> bool:
    """Return whether all that was answered are JSON arrays, as `classify --multi` writes them."""
    given = [row.predicted[0] for row in rows if row.predicted[0]]
    return bool(given) and all(array(text) is not None for text in given)


def _respelled(row: Graded, labels: Labels, several: bool) -> Graded:
    """Write what was expected as the answers are written."""
    expected = _normal(row.expected[0], labels, several)
    predicted = _normal(row.predicted[0], labels, several)
    if (expected, predicted) == (row.expected[0], row.predicted[0]):
        return row
    spelled = row.spelled or (not several and expected == predicted and not row.right)
    return replace(row, expected=(expected,), predicted=(predicted,), spelled=spelled)


def _normal(text: str, labels: Labels, several: bool) -> str:
    """Write a label, or a set of them (as an array, in the order of the alphabet), one way."""
    if not several or not text:
        return labels.spell(text)
    return json.dumps(sorted(labels.split(text)), ensure_ascii=False)


def _names(predicted: str, several: bool) -> list[str]:
    """List the labels of an answer: of one that isn't there, none."""
    return Labels().split(predicted) if several else [predicted] if predicted else []


def seen(cell: object) -> str:
    """Write a cell as a reader sees it. The apostrophe before what looks like a formula is none of
    its letters.
    """
    return tidy(unguard(to_text(cell)))


def _label(cell: object, memo: dict[str, str]) -> str:
    text = seen(cell)
    return memo.setdefault(text, text)


def _value(cell: object) -> str:
    """Write a field's value: unlike labels (versions, say), 1.50 is 1.5; but 007 is a name."""
    text = seen(cell)
    return text.rstrip("0").rstrip(".") if _NUMBER.fullmatch(text) else text


def same_value(expected: str, predicted: str) -> bool:
    """Return whether two values of a field differ in how they are written only."""
    return expected == predicted or _amount(expected) == _amount(predicted)


def _amount(text: str) -> str:
    """Take a value's case away, and a number's currency and the commas between its thousands."""
    bare = "".join(c for c in alike(text) if unicodedata.category(c) != "Sc").strip()
    number = _THOUSANDS.fullmatch(bare)
    return _value(number[1].replace(",", "") + number[2]) if number else _value(bare)


def _differ(fields: Mapping[str, object], pair: Pair) -> bool:
    """Return whether two cells that look the same are not the same."""
    return to_text(fields.get(pair.expected)) != to_text(fields.get(pair.predicted))


def decimal(cell: object) -> Decimal | None:
    """Read a number; None where a cell holds none."""
    try:
        number = Decimal(str(cell)) if cell not in (None, "") else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def fraction(cell: object) -> float | None:
    """Read a share of 0 to 1; None where a cell holds none."""
    number = decimal(cell)
    return float(number) if number is not None and 0 <= number <= 1 else None
