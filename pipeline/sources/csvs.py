"""CSV and TSV, a row at a time, each cell the very characters of the file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.sources.decoding import LINE_BYTES, encoding_of, guessed, is_guess
from pipeline.sources.inputs import FileInput
from pipeline.sources.table import Dialect, Row, renamed, unique_names
from pipeline.types import Column

if TYPE_CHECKING:
    from _csv import Reader

_SNIFF_CHARACTERS, _SNIFF_ROWS = 1 << 16, 50
_NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t"}
_LINE_END = re.compile(r"[\r\n]")
_SEP = re.compile(r'"?sep=(.)"?[\r\n]', re.I)  # Excel writes and reads such a first line


class CsvTable:
    """Lines of cells under a header."""

    unit = "line"

    def __init__(self, file: FileInput, dialect: Dialect) -> None:
        dialect.only(file.name, "encoding", "delimiter")
        self._file = file
        with file.open() as raw:
            self._encoding = encoding_of(raw, file.name, dialect.encoding)
        with file.lines(self._encoding) as lines:
            self._skipped, sniffed = _sniff(lines.read(_SNIFF_CHARACTERS))
        self._delimiter = _one_character(dialect.delimiter) or sniffed
        with self._cells([]) as reader:
            header = _header(reader)
        if not any(map(str.strip, header)):
            raise UsageError(f"{file.name} has no header; its first line has to name the columns")
        self._names = unique_names(header)
        self.columns: Sequence[Column] = tuple(Column(name, "text") for name in self._names)
        guess = not dialect.encoding and is_guess(self._encoding)
        self.notices: Sequence[str] = [
            *renamed(header, self._names),
            *([guessed(self._encoding)] if guess else []),
        ]

    def rows(self) -> Iterator[Row]:
        """Yield the rows under the header, numbered by the line where they start."""
        names = self._names
        width = len(names)
        ended: list[bool] = []
        with self._cells(ended) as reader:
            _header(reader)
            line = self._line = reader.line_num + 1 + self._skipped
            for cells in reader:
                if len(cells) == width and not ended:
                    yield line, dict(zip(names, cells, strict=True)), None
                elif width == 1 or not _blank(cells):
                    yield line, self._fitted(cells), self._error(line, len(cells), bool(ended))
                line = self._line = reader.line_num + 1 + self._skipped

    def fraction(self) -> float:
        """Say how much of the file has been read, by bytes."""
        return self._file.fraction()

    @contextmanager
    def _cells(self, ended: list[bool]) -> Iterator[Reader]:
        """Read from the start; `ended` gets an item when a line after the last one is asked for."""
        with self._file.lines(self._encoding) as lines:
            self._line = 1 + self._skipped
            rest = chain(islice(lines, self._skipped, None), _note_end(ended))
            try:
                yield read_cells(rest, self._delimiter)
            except csv.Error as error:
                raise UsageError(
                    f"{self._file.name}, line {self._line}: a cell of over "
                    f"{LINE_BYTES // 10**6} million characters; is a quote there never closed?"
                ) from error

    def _fitted(self, cells: list[str]) -> dict[str, object]:
        """Lay out a row that is too short, or too long: then its last cell has all the rest."""
        width = len(self._names)
        rest = [self._delimiter.join(cells[width - 1 :])] if len(cells) > width else []
        cells = cells[: width - 1] + rest if rest else cells + [""] * (width - len(cells))
        return dict(zip(self._names, cells, strict=True))

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
    """Read lines as rows of cells of up to LINE_BYTES characters."""
    csv.field_size_limit(LINE_BYTES)
    return csv.reader(lines, delimiter=delimiter)


def sniff_delimiter(text: str) -> str | None:
    """Find the delimiter of the header that most rows share, and of those the most frequent.

    csv.Sniffer fails on ordinary files: a quoted row, a single column.
    """
    header = _LINE_END.split("".join(text.split('"')[::2]).lstrip(), 1)[0]
    found = [delimiter for delimiter in ",;\t|" if delimiter in header]
    return max(found, key=lambda delimiter: _fit(text, delimiter), default=None)


def _fit(text: str, delimiter: str) -> tuple[float, int]:
    """Say how well a delimiter fits: the share of rows as wide as the header, and its width."""
    lines = list(io.StringIO(text, newline=""))
    whole = lines if len(text) < _SNIFF_CHARACTERS else lines[:-1]
    rows = [cells for cells in islice(read_cells(whole, delimiter), _SNIFF_ROWS) if cells]
    widths = [len(cells) for cells in rows] or [0]
    return widths.count(widths[0]) / len(widths), widths[0]


def _sniff(text: str) -> tuple[int, str]:
    """Give the number of lines before the header that say the delimiter, and the delimiter."""
    said = _SEP.match(text)
    return (1, said[1]) if said else (0, sniff_delimiter(text) or ",")


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


def _note_end(ended: list[bool]) -> Iterator[str]:
    ended.append(True)
    yield from ()
