"""A sheet of an Excel workbook as people read it: what its cells hold and how they look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from unicodedata import east_asian_width

from pipeline.outputs.cells import to_text
from pipeline.sources.decoding import clean
from pipeline.sources.tables.workbook import Padded

_MAX_INTEGER = 2**53  # as far as a double counts
_MIN_WIDTH, _UNKNOWN_WIDTH, _MAX_WIDTH = 9, 24, 60
_ARROW_WIDTH = 4  # of the filter on a header
_NUMBER_WIDTH = 14  # at the least: a number that is wider than its column shows as ####
_MARGIN = 2
_MAX_LINES = 10  # of a row, so that a screen holds several
_LINE_POINTS = 15
# Each class stands before the one it derives from.
_FORMATS: dict[type, dict[str, object]] = {
    str: {"text_wrap": True},
    bool: {"align": "left", "num_format": '"TRUE";"TRUE";"FALSE"'},  # LibreOffice would show 1, 0
    int: {"num_format": "0"},  # "General" shows 12 digits as 1.23457E+11
    float: {},
    Decimal: {"num_format": "0.00##########"},  # and 0.0000125 as 1.25E-05
    datetime: {"align": "left", "num_format": "yyyy-mm-dd hh:mm:ss"},
    date: {"align": "left", "num_format": "yyyy-mm-dd"},
    time: {"align": "left", "num_format": "hh:mm:ss"},
    timedelta: {"align": "left", "num_format": "[h]:mm:ss"},
}


def hold(cell: object) -> object:
    """Return a cell as Excel can hold it: as it is, or else as text."""
    if isinstance(cell, str):
        return clean(cell)
    if cell is None or isinstance(cell, bool):
        return cell
    if isinstance(cell, (int, float, Decimal)) and _is_number(cell):
        return cell
    if isinstance(cell, (date, time, timedelta)) and _is_moment(cell):
        return cell
    return clean(to_text(cell))


def _is_number(cell: int | float | Decimal) -> bool:
    if isinstance(cell, float):
        return math.isfinite(cell)
    if isinstance(cell, Decimal) and not cell.is_finite():
        return False
    return -_MAX_INTEGER <= cell <= _MAX_INTEGER


def _is_moment(cell: date | time | timedelta) -> bool:
    if isinstance(cell, timedelta):
        return cell >= timedelta(0)
    if isinstance(cell, (datetime, time)) and cell.tzinfo is not None:
        return False
    # Excel has a 29 February 1900, so that its earlier days are off by one.
    return not isinstance(cell, date) or (cell.year, cell.month) >= (1900, 3)


def widths(names: Sequence[str], sample: Sequence[Sequence[object]]) -> list[int]:
    """Return the widths in characters that suit the headers and some first rows of cells."""
    return [_column_width(name, [row[index] for row in sample]) for index, name in enumerate(names)]


def _column_width(name: str, cells: Sequence[object]) -> int:
    taken = [_cell_width(cell) for cell in cells if cell is not None and cell != ""]
    # An empty column may get long texts further down.
    width = max(taken, default=_UNKNOWN_WIDTH) + _MARGIN
    return min(max(_MIN_WIDTH, _span(name) + _ARROW_WIDTH, width), _MAX_WIDTH)


def _cell_width(cell: object) -> int:
    if isinstance(cell, (int, Decimal)) and not isinstance(cell, bool):
        return _NUMBER_WIDTH
    lines = to_text(cell).split("\n", _MAX_LINES)[:_MAX_LINES]
    return max(_span(line[:_MAX_WIDTH]) for line in lines)


def _span(line: str) -> int:
    """Return how wide a line is, letters of Chinese or Japanese counted twice."""
    if line.isascii():
        return len(line)
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in line)


def _lines(text: str, width: int) -> int:
    """Return about how many lines a text takes, up to the most that a row shows."""
    lines = text[: _MAX_LINES * width].split("\n", _MAX_LINES)
    return min(sum(_span(line) // width + 1 for line in lines), _MAX_LINES)


class CellFormats:
    """The formats of a workbook."""

    def __init__(self, book: Any) -> None:
        self.header = book.add_format(
            {"bold": True, "bottom": 1, "bg_color": "#EEEEEE", "text_wrap": True, "valign": "top"}
        )
        self.plain = book.add_format()
        self._named = cache(lambda look: book.add_format({"valign": "top", "num_format": look}))
        self._cells = {
            kind: book.add_format({"valign": "top", **look}) for kind, look in _FORMATS.items()
        }

    def find(self, cell: object, number_format: str | int | None = None) -> Any:
        """Return the format of a cell; numbers and dates may have one of their own."""
        if number_format is not None and not isinstance(cell, (str, bool)):
            return self._named(number_format)
        if isinstance(cell, Padded):
            return self._named("0" * cell.digits)
        return self._cells.get(type(cell)) or next(
            look for kind, look in self._cells.items() if isinstance(cell, kind)
        )


class Sheet:
    """A header that stays in sight, and the rows added to it so far."""

    def __init__(
        self,
        sheet: Any,
        formats: CellFormats,
        names: Sequence[str],
        widths: Sequence[int],
        number_formats: Sequence[str | int | None] = (),
    ) -> None:
        self.name: str = sheet.get_name()
        self.rows = 0
        self._sheet = sheet
        self._formats = formats
        self._widths = widths
        self._number_formats = number_formats or [None] * len(names)
        for index, (name, width) in enumerate(zip(names, widths, strict=True)):
            sheet.set_column(index, index, width)
            self._write_text(0, index, name, formats.header)
        sheet.freeze_panes(1, 0)
        sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})  # 007 is meant to be text
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(0)
        sheet.hide_gridlines(0)

    def add(self, cells: Sequence[object]) -> None:
        """Write the next row, of cells as from `hold`."""
        self.rows += 1
        for index, cell in enumerate(cells):
            if cell is not None and cell != "":
                self._write(self.rows, index, cell)
        texts = [
            _lines(cell, width)
            for cell, width in zip(cells, self._widths, strict=True)
            if isinstance(cell, str)
        ]
        lines = max(texts, default=1)
        if lines > 1:
            self._set_height(lines * _LINE_POINTS)

    def _set_height(self, points: int) -> None:
        """Set the height of the last row: Excel would find it by itself, LibreOffice doesn't."""
        # xlsxwriter keeps the heights of all rows, but needs only the last one's by now.
        self._sheet.row_info.clear()
        self._sheet.row_sizes.clear()
        self._sheet.set_row(self.rows, points)

    def close(self) -> None:
        self._sheet.autofilter(0, 0, self.rows, len(self._widths) - 1)

    def _write(self, row: int, column: int, cell: object) -> None:
        look = self._formats.find(cell, self._number_formats[column])
        if isinstance(cell, str):
            self._write_text(row, column, cell, look)
        elif isinstance(cell, bool):
            self._sheet.write_boolean(row, column, cell, look)
        elif isinstance(cell, (float, Decimal)):
            self._sheet.write_number(row, column, _Exact(cell), look)
        elif isinstance(cell, int):
            self._sheet.write_number(row, column, cell, look)
        else:
            self._sheet.write_datetime(row, column, cell, look)

    def _write_text(self, row: int, column: int, text: str, look: Any) -> None:
        if text.startswith("<r>") and text.endswith("</r>"):
            # write_string would take it for a rich text of its own making, and break the file.
            self._sheet.write_rich_string(
                row, column, self._formats.plain, text[:1], text[1:], look
            )
        else:
            self._sheet.write_string(row, column, text, look)


class _Exact(float):
    """A float that xlsxwriter writes in full: its own format, .16G, loses the 17th digit."""

    def __format__(self, spec: str) -> str:
        return repr(float(self))
