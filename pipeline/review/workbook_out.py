"""The rows most worth a person's minute, as a workbook with the labels as a drop-down list."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.evaluation.gold import fraction, seen
from pipeline.outputs.cells import to_text
from pipeline.outputs.sheets import CellFormats, Sheet, hold, widths
from pipeline.outputs.tables import drafted
from pipeline.review.corrections import Corrections, numbered
from pipeline.review.workbook_in import ABOUT, ANSWER, INPUT, KEY, LABELS, OUTPUT, SEVERAL, WHY
from pipeline.sources.tables.table import find_text_column

ROWS = 200
SEED = 0
_PART = 5  # a fifth of the rows for each reason but doubt, which gets what is left
_RARE = 0.02  # of all rows
_MOST_CHARACTERS = 32_767
_TEXT = 0x31  # the number of the format "@": `03` that is typed in stays `03`
_HINT = "Choose the correct answer. Leave it empty if you haven't checked this row."
_HINT_OF_SEVERAL = "Enter all correct labels, with commas between. Labels: "
_MOST_OF_MESSAGE = 255  # characters

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Picked:
    """A row to look at, and why."""

    row: Row
    why: str


def pick(
    rows: Iterable[Row],
    corrections: Corrections,
    *,
    prefix: str,
    count: int,
    shown: Sequence[str] | None = None,
) -> list[Picked]:
    """Pick the rows most worth a look, each of another input; inputs that were looked at before are
    left out.

    A fifth each at most: without an answer, of rare labels, at random (for what no reason finds);
    the rest are those of the lowest confidence. `shown` are the input's columns that the model was
    shown: by default all. `rows` are walked twice.
    """
    answer = corrections.answer
    counts = Counter(hash(seen(row.get(answer))) for row in rows)
    rare = max(1.0, _RARE * counts.total())
    if len(counts) > counts.total() / 2:
        rare = 0  # these are texts, not labels
    known = {corrections.key(row, shown) for row in corrections.rows.values()}
    chance = random.Random(SEED)
    none, unsure, few, anyone = (_Best(count) for _ in range(4))
    for place, row in enumerate(rows):
        if row.get(f"{prefix}status") == "skipped":
            continue
        key = corrections.key(row, shown)
        if key in known:
            continue
        label = seen(row.get(answer))
        # What the model showed: calibrated, many are equal.
        raw = fraction(row.get(f"{prefix}raw_confidence"))
        sure = fraction(row.get(f"{prefix}confidence")) if raw is None else raw
        anyone.add(key, chance.random(), place, Picked(row, "picked at random"))
        if not label:
            error = seen(row.get(f"{prefix}error"))
            none.add(key, place, place, Picked(row, f"no answer: {error}"))
        elif sure is not None:
            unsure.add(key, sure, place, Picked(row, f"confidence {sure:.2f}"))
        alike = counts[hash(label)]
        if label and alike <= rare:
            why = f"rare label: {alike:,} row{'' if alike == 1 else 's'}"
            few.add(key, alike, place, Picked(row, why))
    part = max(1, count // _PART)
    chosen: dict[str, Picked] = {}
    for best, most in ((none, part), (few, part), (anyone, part)):
        _take(chosen, best, min(len(chosen) + most, count))
    for best in (unsure, anyone, none):
        _take(chosen, best, count)
    return list(chosen.values())


class _Best:
    """The few of the lowest rank, one of each key."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._best: dict[str, tuple[float, int, Picked]] = {}

    def add(self, key: str, rank: float, place: int, picked: Picked) -> None:
        held = self._best.get(key)
        if held is None or (rank, place) < held[:2]:
            self._best[key] = rank, place, picked
        if len(self._best) > 2 * self._count:
            self._best = dict(self._sorted())

    def ranked(self) -> list[tuple[str, Picked]]:
        return [(key, picked) for key, (_, _, picked) in self._sorted()]

    def _sorted(self) -> list[tuple[str, tuple[float, int, Picked]]]:
        return sorted(self._best.items(), key=lambda item: item[1][:2])[: self._count]


def _take(chosen: dict[str, Picked], best: _Best, until: int) -> None:
    for key, picked in best.ranked():
        if len(chosen) >= until:
            return
        chosen.setdefault(key, picked)


def write(
    path: Path,
    picked: Sequence[Picked],
    corrections: Corrections,
    *,
    prefix: str,
    labels: Sequence[str] = (),
    several: bool = False,
) -> None:
    """Write a workbook to correct: the rows; on hidden sheets the labels and what they are of.

    With `several` an answer is a list of labels.
    """
    import xlsxwriter
    from xlsxwriter.exceptions import FileCreateError

    inputs = corrections.inputs
    text = find_text_column(inputs, (item.row for item in picked)) if picked else None
    sure = f"{prefix}confidence"
    shown = [name for name in (corrections.answer, sure) if any(name in p.row for p in picked)]
    others = [text, *(name for name in inputs if name != text)] if text else list(inputs)
    taken = {*inputs, *shown}
    why, key = (next(name for name in numbered(own) if name not in taken) for own in (WHY, KEY))
    names = [corrections.column, *shown, why, *others, key]
    cells = [
        [
            None,
            *(item.row.get(name) for name in shown),
            item.why,
            *(item.row.get(name) for name in others),
            corrections.key(item.row),
        ]
        for item in picked
    ]
    held = [[_shorten(hold(cell)) for cell in row] for row in cells]
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    try:
        with drafted(path) as draft, xlsxwriter.Workbook(draft, options) as book:
            formats = CellFormats(book)
            raw = book.add_worksheet("review")
            _fill(
                raw, formats, names, held, book.add_format({"valign": "top", "num_format": _TEXT})
            )
            _mark(book, raw, len(held))
            _offer(book, raw, formats, labels, len(held), several)
            about = [
                [OUTPUT, _from(path.parent, corrections.output)],
                [ANSWER, corrections.answer],
                *([SEVERAL, "yes"] for _ in range(several)),
                *([INPUT, name] for name in inputs),
            ]
            _fill(book.add_worksheet(ABOUT), formats, ["name", "value"], about)
            for sheet in book.worksheets()[1:]:
                sheet.hide()
    except FileCreateError as error:
        raise error.args[0] from None  # the OSError that it was


def _fill(
    raw: Any,
    formats: CellFormats,
    names: Sequence[str],
    rows: Sequence[Sequence[object]],
    first: Any = None,
) -> None:
    """Fill a sheet; its `first` column may be empty cells of a format."""
    sheet = Sheet(raw, formats, names, widths(names, rows))
    for place, row in enumerate(rows, 1):
        if first is not None:
            raw.write_blank(place, 0, None, first)
        sheet.add(row)
    sheet.close()


def _mark(book: Any, raw: Any, rows: int) -> None:
    """Show where to write, and hide the keys."""
    look = book.add_format({"bg_color": "#FFF7D6", "border": 1, "border_color": "#D9C97A"})
    raw.conditional_format(1, 0, max(1, rows), 0, {"type": "no_errors", "format": look})
    last = raw.dim_colmax
    raw.set_column(last, last, None, None, {"hidden": True})


def _offer(
    book: Any, raw: Any, formats: CellFormats, labels: Sequence[str], rows: int, several: bool
) -> None:
    """Make the first column a list to choose from: on a sheet, so that a label may have commas."""
    if not labels:
        return
    _fill(book.add_worksheet(LABELS), formats, [LABELS], [[label] for label in labels])
    named = ", ".join(labels)
    choice: dict[str, object] = {
        "validate": "list",
        "source": f"={LABELS}!$A$2:$A${len(labels) + 1}",
        "input_message": _HINT,
        "error_message": f"Choose one of: {named}"[:_MOST_OF_MESSAGE],
    }
    if several:  # a list gives one of them only
        choice = {
            "validate": "any",
            "input_message": f"{_HINT_OF_SEVERAL}{named}"[:_MOST_OF_MESSAGE],
        }
    raw.data_validation(1, 0, max(1, rows), 0, choice)


def _from(folder: Path, output: Path) -> str:
    """Name the output as seen from the workbook: both may be moved together."""
    try:
        return os.path.relpath(output.absolute(), folder.absolute())
    except ValueError:  # on another drive
        return str(output.absolute())


def _shorten(cell: object) -> object:
    """Cut a text that no cell holds: the row is found by its key, not by its text."""
    if isinstance(cell, str) and 2 * len(cell) > _MOST_CHARACTERS:
        return f"{to_text(cell)[: _MOST_CHARACTERS // 2 - 1]}…"
    return cell
