"""A sheet of an Excel workbook, through calamine: cells keep their types.

All of it is in memory while it is read, as it is in calamine: 0.6 kB for a row of a short text. So
it is read by a process of its own (`bounded.py`).
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from itertools import islice
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.parsers.expat import ExpatError
from zipfile import BadZipFile

from pipeline.errors import UsageError
from pipeline.sources.tables.headers import PEEK_ROWS, beyond, doubt, empty, find_header
from pipeline.sources.tables.inputs import FileInput
from pipeline.sources.tables.layout import Layout, find_layout
from pipeline.sources.tables.ods import duration, is_ods, mended
from pipeline.sources.tables.table import Dialect, check_width, renamed, unique_names
from pipeline.sources.tables.values import Duration
from pipeline.sources.tables.workbook import check_extent, find_oddities
from pipeline.types import Column

# What our own look into the archive finds damaged or encrypted.
_DAMAGED = (
    *(BadZipFile, zlib.error, RuntimeError, EOFError, OSError),
    *(ParseError, ExpatError, ValueError, KeyError),
)
_MOST_COLUMNS = 16_384
_SOME = 3  # sheets or cells are told
_MAX_INTEGER = 2**53  # as far as a double, which is what a cell holds, counts


@dataclass(frozen=True, slots=True)
class _Extent:
    """Where a table lies in its sheet: the rows of its header and of its end, counted from 1, its
    columns, and its top rows from the header on. Cells with a format and nothing in them don't
    count.
    """

    header: int
    end: int
    columns: slice
    top: Sequence[Sequence[object]]

    @classmethod
    def of(cls, rows: Iterable[list[object]], start: int) -> _Extent:
        """Find a table that begins at the first row in use from `start` on."""
        top: list[list[object]] = []
        header = end = 0
        left, right = _MOST_COLUMNS, 0
        for number, cells in islice(enumerate(rows, 1), start - 1, None):
            used = [i for i, cell in enumerate(cells) if cell != ""]
            if used:
                header, end = header or number, number
                left, right = min(left, used[0]), max(right, used[-1] + 1)
            if header and len(top) < PEEK_ROWS:
                top.append(cells)
        return cls(header, end, slice(left, right), top)


class ExcelGrid:
    """Rows of cells under a header, numbered as in the sheet."""

    def __init__(self, file: FileInput, dialect: Dialect) -> None:
        dialect.only(file.name, "sheet", "header_row", "hidden")
        with _readable(file), file.open() as raw:
            from python_calamine import CalamineWorkbook

            self._is_ods = is_ods(raw)
            raw.seek(0)
            book = CalamineWorkbook.from_filelike(mended(raw) if self._is_ods else raw)
            name = _choose(book.sheets_metadata, file.name, dialect.sheet)
            check_extent(raw, file.name, name)
            self._sheet = book.get_sheet_by_name(name)
            self._oddities = find_oddities(raw, name)
            layout = find_layout(raw, name)
        self._left = (self._sheet.start or (0, 0))[1]  # of the first column in use
        self._layout = layout or Layout()
        self._skips = dialect.hidden == "skip"
        if self._skips and layout is None:
            raise UsageError(
                f"--hidden skip: only an .xlsx says what is hidden; save {file.name} as .xlsx, or "
                "leave --hidden out"
            )
        self._extent = extent = _Extent.of(self._cells(), dialect.header_row or 1)
        others = [sheet for sheet in book.sheet_names if sheet != name]
        if dialect.doubts_header and dialect.sheet is None and dialect.header_row is None:
            self._check_list(file.name, others)
        self._check(f'{file.name}, sheet "{name}"', dialect)
        if not extent.top:
            hint = f"; --sheet names another: {', '.join(others)}" if others else ""
            raise UsageError(
                f'{file.name} has no header in sheet "{name}"; '
                f"its first row has to name the columns{hint}"
            )
        places = range(*extent.columns.indices(len(extent.top[0])))
        hidden = self._layout.hidden_columns
        self._hidden = [place for place in places if place + self._left in hidden]
        left_out = frozenset(self._hidden if self._skips else ())
        self._places = [place for place in places if place not in left_out]
        header = [_value(extent.top[0][place]) for place in self._places]
        if not any(str(name).strip() for name in header):
            raise UsageError(f"{file.name}: all columns of sheet {name} are hidden")
        check_width(file.name, len(header))
        self._names = unique_names(header)
        self.columns: Sequence[Column] = tuple(map(self._column, self._names, self._places))
        sheets = book.sheet_names if dialect.sheet is None else []
        self.notices: Sequence[str] = list(self._notices(header, sheets))
        self.first, self.last = extent.header + 1, extent.end

    def rows(self) -> Iterator[list[object] | None]:
        """Yield the rows under the header; an empty cell is None, and so is a row left out."""
        extent, places = self._extent, self._places
        hidden = self._layout.hidden_rows if self._skips else ()
        for number, cells in enumerate(
            islice(self._cells(), extent.header, extent.end), extent.header
        ):
            if number in hidden:
                yield None
            else:
                shown = (cells[place] for place in places)
                yield [None if cell == "" else self._value(cell) for cell in shown]

    def _value(self, cell: object) -> object:
        return duration(cell) if self._is_ods and isinstance(cell, str) else _value(cell)

    def _column(self, name: str, place: int) -> Column:
        """Make a column; its numbers are all shown in the same format, or in none that is kept."""
        formats = self._layout.formats.get(place + self._left, set())
        return Column(name, number_format=next(iter(formats)) if len(formats) == 1 else None)

    def _check_list(self, name: str, others: Sequence[str]) -> None:
        """Raise UsageError where the first sheet only lists the others, as Numbers exports it."""
        first = (
            [str(cell) for cell in self._extent.top[0] if cell != ""] if self._extent.top else []
        )
        texts = {str(cell) for cells in self._extent.top for cell in cells}
        if (
            len(first) == 1
            and "Numbers" in first[0]
            and others
            and texts.issuperset(others[:_SOME])
        ):
            said = " or ".join(f'--sheet "{sheet}"' for sheet in others[:_SOME])
            raise UsageError(
                f'{name}: the sheet "{self._sheet.name}" only lists the others, as Numbers exports '
                f"them; choose one with {said}"
            )

    def _check(self, where: str, dialect: Dialect) -> None:
        """Raise UsageError where the row that is to be the header is none, or looks like none."""
        extent, wanted = self._extent, dialect.header_row
        if wanted is not None:
            if not extent.header:
                raise beyond(where, wanted, _Extent.of(self._cells(), 1).end)
            if extent.header != wanted:
                raise empty(where, wanted)
        elif dialect.doubts_header:
            likely = find_header(extent.top)
            if likely is None and self._has_heading():
                likely = 1
            if likely is not None:
                raise doubt(where, extent.top, likely, extent.header - 1)

    def _has_heading(self) -> bool:
        """Return whether the first row is the upper one of a header, or the title of the sheet."""
        extent = self._extent
        if len(extent.top) < 2:
            return False
        above, below = ([c for c in row[extent.columns] if c != ""] for row in extent.top[:2])
        merged = any(
            top[0] == bottom[0] == extent.header - 1 and top[1] < bottom[1]
            for top, bottom in self._sheet.merged_cell_ranges or ()
        )
        titled = len(above) == 1 and self._sheet.name.endswith(f"- {above[0]}")
        names = len(set(below)) == len(below) and all(isinstance(cell, str) for cell in below)
        return len(above) < len(below) and names and (merged or titled)

    def _cells(self) -> Iterator[list[object]]:
        """Yield the rows of the sheet, from its first one and from the first column in use."""
        odd = self._oddities.cells
        first_column = self._left
        for number, row in enumerate(self._sheet.iter_rows()):
            cells: list[object] = list(row)
            for column, cell in odd.get(number, {}).items():
                if 0 <= column - first_column < len(cells):
                    cells[column - first_column] = cell
            yield cells

    def _hidden_notices(self) -> Iterator[str]:
        extent, count = self._extent, len(self._hidden)
        rows = sum(extent.header <= row < extent.end for row in self._layout.hidden_rows)
        said = [f"{rows:,} row{'s' * (rows > 1)}"] if rows else []
        if count:
            named = ", ".join(str(extent.top[0][place]) for place in self._hidden[:_SOME])
            said.append(f"{count:,} column{'s' * (count > 1)} ({named})")
        if said and self._skips:
            yield f"hidden, and left out: {' and '.join(said)}"
        elif said:
            yield f"hidden, but read: {' and '.join(said)} (--hidden skip leaves them out)"

    def _notices(self, header: Sequence[object], names: Sequence[str]) -> Iterator[str]:
        yield from renamed(header, self._names)
        if len(names) > 1:
            yield (
                f'has {len(names)} sheets ({", ".join(names)}): using "{self._sheet.name}" '
                "(use --sheet to change it)"
            )
        yield from self._hidden_notices()
        merged = [
            f"{_name(top)}:{_name(bottom)}"
            for top, bottom in self._sheet.merged_cell_ranges or ()
            if bottom[0] >= self._extent.header
        ]
        if merged:
            more = f" and {len(merged) - _SOME:,} more" if len(merged) > _SOME else ""
            yield (
                "merged cells, of which all but the first are read as empty: "
                f"{', '.join(merged[:_SOME])}{more}"
            )
        count = self._oddities.formulas_without_value
        if count:
            yield (
                f"formulas without a value, which are read as empty: {count:,}; "
                "open the workbook in Excel and save it, which works them out"
            )


def read_sheets(file: FileInput, wanted: Collection[str]) -> dict[str, list[list[object]]]:
    """Read the sheets of a workbook, in their order; those that aren't `wanted` without a row."""
    with _readable(file), file.open() as raw:
        from python_calamine import CalamineWorkbook

        book = CalamineWorkbook.from_filelike(raw)
        sheets: dict[str, list[list[object]]] = {name: [] for name in book.sheet_names}
        for name in sheets.keys() & wanted:
            check_extent(raw, file.name, name)
            sheets[name] = [list(row) for row in book.get_sheet_by_name(name).to_python()]
    return sheets


def _name(cell: tuple[int, int]) -> str:
    """Name a cell as a spreadsheet does: `B3`."""
    row, column = cell
    letters = ""
    while column >= 0:
        letters = chr(ord("A") + column % 26) + letters
        column = column // 26 - 1
    return f"{letters}{row + 1}"


def _choose(sheets: Sequence[Any], name: str, wanted: str | None) -> str:
    """Find the sheet with this name or number, or else the first one that isn't hidden."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    tables = [sheet for sheet in sheets if sheet.typ == SheetTypeEnum.WorkSheet]
    names: list[str] = [sheet.name for sheet in tables]
    if not names:
        raise UsageError(f"{name} has no sheet with rows")
    if wanted is None:
        seen: list[str] = [
            sheet.name for sheet in tables if sheet.visible == SheetVisibleEnum.Visible
        ]
        return (seen + names)[0]
    if wanted in names:
        return wanted
    if wanted.isdecimal() and 0 < int(wanted) <= len(names):
        return names[int(wanted) - 1]
    close = get_close_matches(wanted, names, 1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    raise UsageError(f'{name} has no sheet "{wanted}"; its sheets are {", ".join(names)}{hint}')


def _value(cell: object) -> object:
    """Make a whole number an integer, as it is shown."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) <= _MAX_INTEGER:
        return int(cell)
    return Duration.of(cell) if isinstance(cell, timedelta) else cell


@contextmanager
def _readable(file: FileInput) -> Iterator[None]:
    from python_calamine import CalamineError

    try:
        yield
    except (CalamineError, *_DAMAGED) as error:
        raise UsageError(
            f"{file.name} can't be read as Excel: {error}; save it as .xlsx without a password"
        ) from error
