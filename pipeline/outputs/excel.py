"""Excel: a workbook to be read by people, with real numbers, booleans and dates, and no formulas.

A sheet holds 1,048,575 rows under its header, a cell 32,767 characters. What is more is never cut
away: further rows are on the sheets "rows 2", "rows 3" and so on, and a text that is too long ends
in a note that points to the sheet "long cells", which has the whole of it in parts. All of it is
one file: nothing gets lost on its way, and no second name is taken that another file may have. The
summary of the run says so.

What Excel can't hold as a number (integers beyond 2**53, NaN, infinity) or as a date (before March
1900, with a time zone) is text. Decimals become doubles, times keep their milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.outputs.cells import Rows
from pipeline.outputs.packing import Disk
from pipeline.outputs.sheets import CellFormats, Sheet, hold, widths
from pipeline.sources.decoding import clean
from pipeline.types import Column

MAX_CHARACTERS = 32_767  # of a cell, in units of UTF-16
_MAX_COLUMNS = 16_384
_SAMPLE_ROWS = 100
_LONG = "long cells"
_LONG_WIDTHS = {"sheet": 10, "row": 11, "column": 24, "part": 9, "text": 100}


def write(
    path: Path,
    columns: Sequence[Column],
    rows: Rows,
    *,
    max_rows: int = 1_048_575,
    max_characters: int = MAX_CHARACTERS,
) -> list[str]:
    """Write sheets of `max_rows` rows; a cell has at most `max_characters` units of UTF-16.

    Return what the user should know: what is not where one would look for it.
    """
    names = [column.name for column in columns]
    check_columns(names)
    import xlsxwriter
    from xlsxwriter.exceptions import FileCreateError

    disk = Disk(path)
    book = xlsxwriter.Workbook(
        disk,
        {
            "constant_memory": True,
            "tmpdir": str(path.parent),
            "use_zip64": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    )
    try:
        table = _Table(book, columns, max_rows, max_characters)
        table.fill([row.get(name) for name in names] for row in rows)
        book.close()
    except FileCreateError as error:
        raise error.args[0] from None  # the OSError that it was
    finally:
        for sheet in book.worksheets():
            with suppress(OSError):
                sheet.row_data_fh.close()
        disk.close()
    return table.notes()


def check_columns(columns: Sized) -> None:
    """Raise UsageError if there are more than a sheet holds."""
    if len(columns) > _MAX_COLUMNS:
        raise UsageError(
            f"Excel holds {_MAX_COLUMNS:,} columns and the output has {len(columns):,}: "
            "give it a name in .csv, .parquet or .jsonl"
        )


def cut(text: str, max_characters: int = MAX_CHARACTERS) -> str:
    """Return a text as a cell holds it: what is too long is its start and a note."""
    # A letter has at most two units of UTF-16: most texts need no count of them.
    if len(text) * 2 <= max_characters or _units(text) <= max_characters:
        return text
    note = f"… [cut at {max_characters:,} characters: the whole is on sheet “{_LONG}”]"
    return _head(text, max_characters - _units(note)) + note


class _Table:
    """Spreads rows over the sheets of a workbook."""

    def __init__(
        self, book: Any, columns: Sequence[Column], max_rows: int, max_characters: int
    ) -> None:
        self._book = book
        self._formats = CellFormats(book)
        self._names = [clean(column.name) for column in columns]
        self._number_formats = [column.number_format for column in columns]
        self._max_rows = max_rows
        self._max_characters = max_characters
        self._sheets: list[Sheet] = []
        self._long: Sheet | None = None
        self._long_cells = 0

    def fill(self, rows: Iterable[Sequence[object]]) -> None:
        held = (list(map(hold, row)) for row in rows)
        sample = list(islice(held, _SAMPLE_ROWS))
        sizes = widths(self._names, sample)
        sheet = self._start(sizes)
        for cells in chain(sample, held):
            if sheet.rows == self._max_rows:
                sheet = self._start(sizes)
            sheet.add([self._shorten(cell, sheet, index) for index, cell in enumerate(cells)])
        for sheet in [*self._sheets, *filter(None, [self._long])]:
            sheet.close()

    def notes(self) -> list[str]:
        """Say what is not where one would look for it."""
        notes = []
        if len(self._sheets) > 1:
            further = ", ".join(f"“{sheet.name}”" for sheet in self._sheets[1:])
            notes.append(
                f"Excel holds {self._max_rows:,} rows on a sheet: "
                f"the further rows are on the sheets {further} of the same file"
            )
        if self._long_cells:
            notes.append(
                f"Excel holds {self._max_characters:,} characters in a cell: "
                f"the longer ones ({self._long_cells:,}) are whole on the sheet “{_LONG}” only"
            )
        return notes

    def _start(self, sizes: Sequence[int]) -> Sheet:
        name = f"rows {len(self._sheets) + 1}" if self._sheets else "rows"
        sheet = Sheet(
            self._book.add_worksheet(name), self._formats, self._names, sizes, self._number_formats
        )
        self._sheets.append(sheet)
        return sheet

    def _shorten(self, cell: object, sheet: Sheet, index: int) -> object:
        """Return the cell, or its start and the note once its whole is on the sheet for that."""
        limit = self._max_characters
        if not isinstance(cell, str) or (short := cut(cell, limit)) == cell:
            return cell
        self._long_cells += 1
        self._long = self._long or self._start_long()
        for part, text in enumerate(_parts(cell, limit), start=1):
            # The row is the one that Excel shows: the header is row 1.
            self._long.add([sheet.name, sheet.rows + 2, self._names[index], part, text])
        return short

    def _start_long(self) -> Sheet:
        sheet = self._book.add_worksheet(_LONG)
        return Sheet(sheet, self._formats, list(_LONG_WIDTHS), list(_LONG_WIDTHS.values()))


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _head(text: str, units: int) -> str:
    return text[:units].encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore")


def _parts(text: str, units: int) -> Iterator[str]:
    while text:
        part = _head(text, units)
        yield part
        text = text[len(part) :]
