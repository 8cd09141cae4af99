"""CSV and TSV, a row at a time, each cell the very characters of the file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.sources.decoding import encoding_of
from pipeline.sources.inputs import FileInput
from pipeline.sources.table import Row, unique_names
from pipeline.types import Column

if TYPE_CHECKING:
    from _csv import Reader

_LARGEST_CELL = 2**31 - 1  # what a C long holds everywhere


class CsvTable:
    """Lines of cells under a header."""

    unit = "line"

    def __init__(self, file: FileInput, *, delimiter: str | None = None) -> None:
        self._file = file
        with file.open() as raw:
            self._encoding = encoding_of(raw, file.name)
        self._delimiter = delimiter or self._sniff()
        with file.lines(self._encoding) as lines:
            header = _header(read_cells(lines, self._delimiter))
        if not any(map(str.strip, header)):
            raise UsageError(f"{file.name} has no header; its first line has to name the columns")
        self._names = unique_names(header)
        self.columns: Sequence[Column] = tuple(Column(name, "text") for name in self._names)

    def rows(self) -> Iterator[Row]:
        """Yield the rows under the header, numbered by the line where they start."""
        names = self._names
        width = len(names)
        ended: list[bool] = []
        with self._file.lines(self._encoding) as lines:
            reader = read_cells(chain(lines, _note_end(ended)), self._delimiter)
            _header(reader)
            line = reader.line_num + 1
            for cells in reader:
                if len(cells) == width and not ended:
                    yield line, dict(zip(names, cells, strict=True)), None
                elif width == 1 or not _blank(cells):
                    yield line, self._padded(cells), self._error(line, len(cells), bool(ended))
                line = reader.line_num + 1

    def fraction(self) -> float:
        """Say how much of the file has been read, by bytes."""
        return self._file.fraction()

    def _sniff(self) -> str:
        with self._file.lines(self._encoding) as lines:
            return sniff_delimiter(next((line for line in lines if line.strip()), "")) or ","

    def _padded(self, cells: list[str]) -> dict[str, object]:
        missing = [""] * (len(self._names) - len(cells))
        return dict(zip(self._names, cells + missing, strict=False))

    def _error(self, line: int, count: int, ended: bool) -> str | None:
        # The reader asked for a line after the last one: it was still inside of a quoted cell.
        if ended:
            return f"line {line}: a quote is opened and never closed"
        width = len(self._names)
        return f"line {line} has {count} cells, the header has {width}" if count > width else None


def read_cells(lines: Iterable[str], delimiter: str) -> Reader:
    """Read lines as rows of cells of any size."""
    csv.field_size_limit(_LARGEST_CELL)
    return csv.reader(lines, delimiter=delimiter)


def sniff_delimiter(line: str) -> str | None:
    """Find the delimiter that stands most often in a line, quoted cells left out.

    csv.Sniffer fails on ordinary files: a quoted row, a single column.
    """
    bare = "".join(line.split('"')[::2])
    best = max(",;\t|", key=bare.count)
    return best if best in bare else None


def _header(reader: Iterator[list[str]]) -> list[str]:
    return next((cells for cells in reader if not _blank(cells)), [])


def _blank(cells: list[str]) -> bool:
    return len(cells) < 2 and not "".join(cells).strip()


def _note_end(ended: list[bool]) -> Iterator[str]:
    ended.append(True)
    yield from ()
