"""CSV and TSV, a row at a time, each cell the very characters of the file."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec, module_from_spec
from itertools import islice
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
from pipeline.sources.decoding import LINE_BYTES, encoding_of, guessed, is_guess
from pipeline.sources.tables.headers import (
    PEEK_ROWS,
    beyond,
    doubt,
    empty,
    find_header,
    first_filled,
)
from pipeline.sources.tables.inputs import FileInput
from pipeline.sources.tables.table import Dialect, Row, check_width, renamed, unique_names
from pipeline.sources.tables.written import Guarded, is_written, unguard
from pipeline.types import Column

if TYPE_CHECKING:
    from _csv import Reader

_SNIFF_CHARACTERS, _SNIFF_ROWS = 1 << 16, 50
_DELIMITERS = ",;\t|"
_ALIKE_ROWS = 3  # under a title that is a line of its own: prose has commas, too
_NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t"}
_MOST_CELLS = 1_000_000  # of a row, whatever the width of the table
_LONG = 1 << 20  # characters: no row that is shorter has too many cells
_LINE_END = re.compile(r"[\r\n]")
_SEP = re.compile(r'"?sep=(.)"?[\r\n]', re.I)  # Excel writes and reads such a first line


def _own_csv() -> Any:
    """Load what is behind `csv` a second time.

    How long a cell may be is a matter of the whole module, and the caller's is not ours to change.
    """
    spec = find_spec("_csv")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.field_size_limit(LINE_BYTES)
    return module


_csv = _own_csv()
UnreadableRow: type[Exception] = _csv.Error


@dataclass(slots=True)
class _Place:
    """The line where the row that is read begins, and whether one after the last was asked for."""

    line: int
    ended: bool = False


class CsvTable:
    """Lines of cells under a header."""

    unit = "line"

    def __init__(self, file: FileInput, dialect: Dialect) -> None:
        dialect.only(file.name, "encoding", "delimiter", "header_row")
        self._file = file
        with file.open() as raw:
            self._encoding = encoding_of(raw, file.name, dialect.encoding)
        self._skipped = 0  # lines above the header
        text = self._peek()
        self._skipped, said = _said(text)
        fixed = _one_character(dialect.delimiter) or said
        self._delimiter = fixed or sniff_delimiter(text) or ","
        if dialect.header_row is not None:
            self._skipped += self._above(dialect.header_row)
            self._delimiter = fixed or sniff_delimiter(self._peek()) or ","
        with self._cells(self._place()) as reader:
            header = _header(reader)
        doubts = dialect.doubts_header and dialect.header_row is None
        if doubts:
            self._doubt(fixed)
        if not any(map(str.strip, header)):
            raise UsageError(
                f"{file.name} has no header; its first line has to name the columns"
                f"{self._hint() if doubts else ''}"
            )
        check_width(file.name, len(header))
        # A guarded name is of a column whose cells are guarded, too.
        self._written = is_written(header)
        header = self._unguarded(header)
        self._names = unique_names(header)
        self.columns: Sequence[Column] = tuple(
            Column(name, "text", guarded=isinstance(cell, Guarded))
            for name, cell in zip(self._names, header, strict=True)
        )
        guess = not dialect.encoding and is_guess(self._encoding)
        self.notices: Sequence[str] = [
            *renamed(header, self._names),
            *([guessed(self._encoding)] if guess else []),
        ]

    def rows(self) -> Iterator[Row]:
        """Yield the rows under the header, numbered by the line where they start."""
        names = self._names
        width = len(names)
        place = self._place()
        with self._cells(place) as reader:
            _header(reader)
            line = place.line = reader.line_num + 1 + self._skipped
            for cells in reader:
                if len(cells) == width and not place.ended:
                    yield line, dict(zip(names, self._unguarded(cells), strict=True)), None
                elif width == 1 or not _blank(cells):
                    yield line, self._fitted(cells), self._error(line, len(cells), place.ended)
                line = place.line = reader.line_num + 1 + self._skipped

    def fraction(self) -> float:
        """Say how much of the file has been read, by bytes."""
        return self._file.fraction()

    def close(self) -> None:
        """Do nothing: no file is open but while rows are read."""

    @contextmanager
    def _cells(self, place: _Place) -> Iterator[Reader]:
        """Read from the start. The reader of the rows keeps the `place`."""
        with self._file.lines(self._encoding) as lines:
            rest = self._rest(islice(lines, self._skipped, None), place)
            try:
                yield read_cells(rest, self._delimiter)
            except UnreadableRow as error:
                raise UsageError(
                    f"{self._file.name}, line {place.line}: a row of over "
                    f"{LINE_BYTES // 10**6} million characters; is a quote there never closed?"
                ) from error

    def _place(self) -> _Place:
        return _Place(1 + self._skipped)

    def _rest(self, lines: Iterable[str], place: _Place) -> Iterator[str]:
        """Yield lines, as long as those of a row aren't more than any row has."""
        size = cells = 0
        for number, line in enumerate(lines, place.line):
            begins = number <= place.line
            size = len(line) if begins else size + len(line)
            if size > LINE_BYTES:
                raise UnreadableRow
            if size > _LONG:
                cells = line.count(self._delimiter) + (0 if begins else cells)
                if cells > _MOST_CELLS:
                    where = f"{self._file.name}, line {place.line}"
                    raise UsageError(f"{where}: a row of over {_MOST_CELLS:,} cells")
            yield line
        place.ended = True

    def _peek(self) -> str:
        """Return the beginning of the table."""
        with self._file.lines(self._encoding) as lines:
            for _ in islice(lines, self._skipped):
                pass
            return lines.read(_SNIFF_CHARACTERS)

    def _above(self, wanted: int) -> int:
        """Count the lines above a row, as a spreadsheet counts them: blank ones are rows, too."""
        with self._cells(self._place()) as reader:
            count = sum(1 for _ in islice(reader, wanted - 1))
            lines = reader.line_num
            cells = next(reader, None)
        if cells is None:
            raise beyond(self._file.name, wanted, count)
        if not any(map(str.strip, cells)):
            raise empty(self._file.name, wanted)
        return lines

    def _doubt(self, fixed: str | None) -> None:
        """Raise UsageError where the first row looks like a title: its cells, or its line."""
        text = self._peek()
        share, width = _fit(text, self._delimiter)
        others = "" if fixed or (width > 1 and share >= 0.5) else _DELIMITERS
        for delimiter in dict.fromkeys(self._delimiter + others):
            rows = _rows(text, delimiter, PEEK_ROWS)
            likely = find_header(rows)
            if likely is None:
                continue
            first = rows[first_filled(rows)]
            padded = delimiter == self._delimiter and len(first) >= len(rows[likely])
            if padded or _alike(rows[likely:]):
                raise doubt(self._file.name, rows, likely)

    def _hint(self) -> str:
        """Name the row that may be the header below empty ones."""
        rows = _rows(self._peek(), self._delimiter, PEEK_ROWS)
        number = first_filled(rows) + 1
        found = number <= len(rows)
        return f"; if row {number} is the header, add --header-row {number}" if found else ""

    def _fitted(self, cells: list[str]) -> dict[str, object]:
        """Lay out a row that is too short, or too long: then its last cell has all the rest."""
        width = len(self._names)
        rest = [self._delimiter.join(cells[width - 1 :])] if len(cells) > width else []
        cells = cells[: width - 1] + rest if rest else cells + [""] * (width - len(cells))
        return dict(zip(self._names, self._unguarded(cells), strict=True))

    def _unguarded(self, cells: list[str]) -> list[str]:
        return list(map(unguard, cells)) if self._written else cells

    def _error(self, line: int, count: int, ended: bool) -> str | None:
        where = f"{self._file.name}, line {line}"
        # The reader asked for a line after the last one: it was still inside of a quoted cell.
        if ended:
            return f"{where}: a quote is opened and never closed"
        width = len(self._names)
        return f"{where}: {count} cells, the header has {width}" if count > width else None


def tsv(file: FileInput, dialect: Dialect) -> CsvTable:
    """Open a table whose delimiter is the tab, whatever its header looks like."""
    return CsvTable(file, replace(dialect, delimiter=dialect.delimiter or "\t"))


def read_cells(lines: Iterable[str], delimiter: str) -> Reader:
    """Read lines as rows of cells of up to LINE_BYTES characters; else it raises UnreadableRow."""
    reader: Reader = _csv.reader(lines, delimiter=delimiter)
    return reader


def sniff_delimiter(text: str) -> str | None:
    """Find the delimiter of the header that most rows share, and of those the most frequent.

    csv.Sniffer fails on ordinary files: a quoted row, a single column.
    """
    header = _LINE_END.split("".join(text.split('"')[::2]).lstrip(), 1)[0]
    found = [delimiter for delimiter in _DELIMITERS if delimiter in header]
    return max(found, key=lambda delimiter: _fit(text, delimiter), default=None)


def _fit(text: str, delimiter: str) -> tuple[float, int]:
    """Say how well a delimiter fits: the share of rows as wide as the header, and its width."""
    widths = [len(cells) for cells in _rows(text, delimiter, _SNIFF_ROWS) if cells] or [0]
    return widths.count(widths[0]) / len(widths), widths[0]


def _rows(text: str, delimiter: str, most: int) -> list[list[str]]:
    """Return the first rows of a text, without the line at which it may be cut off."""
    lines = list(io.StringIO(text, newline=""))
    whole = lines if len(text) < _SNIFF_CHARACTERS else lines[:-1]
    return list(islice(read_cells(whole, delimiter), most))


def _alike(rows: Sequence[list[str]]) -> bool:
    """Return whether these are a header and its rows: as wide, and none of its names under it."""
    header, *below = (row for row in rows if not _blank(row))
    return len(below) >= _ALIKE_ROWS - 1 and all(
        len(row) == len(header)
        and not any(name and name == cell for name, cell in zip(header, row, strict=True))
        for row in below
    )


def _said(text: str) -> tuple[int, str | None]:
    """Return the number of lines above the table that say the delimiter, and the delimiter."""
    said = _SEP.match(text)
    return (1, said[1]) if said else (0, None)


def _one_character(delimiter: str | None) -> str | None:
    if delimiter is None:
        return None
    delimiter = _NAMED_DELIMITERS.get(delimiter.lower(), delimiter)
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise UsageError(
            f"--delimiter {delimiter}: give the one character between cells, such as ';' or tab"
        )
    return delimiter


def _header(reader: Iterator[list[str]]) -> list[str]:
    return next((cells for cells in reader if not _blank(cells)), [])


def _blank(cells: list[str]) -> bool:
    return len(cells) < 2 and not "".join(cells).strip()
