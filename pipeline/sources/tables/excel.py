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
        dialect.only(file.name, "sheet", "header_row")
        with _readable(file), file.open() as raw:
            from python_calamine import CalamineWorkbook

            book = CalamineWorkbook.from_filelike(raw)
            name = _choose(book.sheets_metadata, file.name, dialect.sheet)
            check_extent(raw, file.name, name)
            self._sheet = book.get_sheet_by_name(name)
            self._oddities = find_oddities(raw, name)
        self._extent = extent = _Extent.of(self._cells(), dialect.header_row or 1)
        self._check(f'{file.name}, sheet "{name}"', dialect)
        if not extent.top:
            others = ", ".join(sheet for sheet in book.sheet_names if sheet != name)
            hint = f"; --sheet names another: {others}" if others else ""
            raise UsageError(
                f'{file.name} has no header in sheet "{name}"; '
                f"its first row has to name the columns{hint}"
            )
        header = list(map(_value, extent.top[0][extent.columns]))
        check_width(file.name, len(header))
        self._names = unique_names(header)
        self.columns: Sequence[Column] = tuple(map(Column, self._names))
        sheets = book.sheet_names if dialect.sheet is None else []
        self.notices: Sequence[str] = list(self._notices(header, sheets))
        self.first, self.last = extent.header + 1, extent.end

    def rows(self) -> Iterator[list[object]]:
        """Yield the rows under the header; an empty cell is None."""
        extent = self._extent
        for cells in islice(self._cells(), extent.header, extent.end):
            yield [None if cell == "" else _value(cell) for cell in cells[extent.columns]]

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
            if likely is not None:
                raise doubt(where, extent.top, likely, extent.header - 1)

    def _cells(self) -> Iterator[list[object]]:
        """Yield the rows of the sheet, from its first one and from the first column in use."""
        odd = self._oddities.cells
        first_column = (self._sheet.start or (0, 0))[1]
        for number, row in enumerate(self._sheet.iter_rows()):
            cells: list[object] = list(row)
            for column, cell in odd.get(number, {}).items():
                if 0 <= column - first_column < len(cells):
                    cells[column - first_column] = cell
            yield cells

    def _notices(self, header: Sequence[object], names: Sequence[str]) -> Iterator[str]:
        yield from renamed(header, self._names)
        if len(names) > 1:
            yield (
                f'has {len(names)} sheets ({", ".join(names)}): using "{self._sheet.name}" '
                "(use --sheet to change it)"
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
