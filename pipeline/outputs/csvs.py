"""Text tables: as the input was written if that is of the same kind, else UTF-8 with a line feed
after each row; text byte for byte but for formulas of others.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import TextIO

from pipeline.errors import UsageError
from pipeline.formats import named
from pipeline.outputs.cells import Rows, to_text
from pipeline.outputs.packing import create
from pipeline.sources.decoding import clean
from pipeline.sources.tables.archives import find_table
from pipeline.sources.tables.cells import Style
from pipeline.sources.tables.table import Dialect
from pipeline.sources.tables.written import Guarded, guard
from pipeline.types import Column

# What csv.writer writes as we want it, in C. It would write True, 1E-7 and "2026-01-31 08:00:00".
_NATIVE = frozenset({str, int, float, NoneType})
_COMMAS = Style()


def _replace_surrogates(error: UnicodeError) -> tuple[bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    return clean(error.object[error.start : error.end]).encode(), error.end


codecs.register_error("pipeline.clean", _replace_surrogates)  # free for text that needs none


class _Lines:
    r"""A file for csv.writer that ends each row as it should.

    Python 3.11 quotes a lone \r only if the line terminator has one, and unquoted it ends the row
    for every reader. So csv.writer ends rows with \r\n, and that is taken off here.
    """

    def __init__(self, file: TextIO, line_end: str) -> None:
        self._write = file.write
        self._line_end = line_end

    def write(self, line: str) -> int:
        return self._write(line[:-2] + self._line_end)


def write(
    path: Path, columns: Sequence[Column], rows: Rows, *, style: Style | None = None
) -> list[str]:
    """Write a header and a line per row; None is an empty cell. Return what is written otherwise
    than in the `style`.
    """
    return _write(path, columns, rows, style, _COMMAS)


def write_tsv(
    path: Path, columns: Sequence[Column], rows: Rows, *, style: Style | None = None
) -> list[str]:
    """Write the same with tabs between the cells."""
    return _write(path, columns, rows, style, replace(_COMMAS, delimiter="\t", usual="\t"))


def write_psv(
    path: Path, columns: Sequence[Column], rows: Rows, *, style: Style | None = None
) -> list[str]:
    """Write the same with bars between the cells."""
    return _write(path, columns, rows, style, replace(_COMMAS, delimiter="|", usual="|"))


def _write(
    path: Path, columns: Sequence[Column], rows: Rows, style: Style | None, plain: Style
) -> list[str]:
    """Write in the style, or in the next best that holds the rows and is read as it was meant."""
    wanted = _writable(style, plain) if style and style.usual == plain.usual else plain
    if wanted == plain:
        _put(path, columns, rows, plain)
        return []
    for made in dict.fromkeys([wanted, replace(wanted, encoding="utf-8", mark=True)]):
        try:
            _put(path, columns, rows, made)
        except UnicodeEncodeError:
            continue
        if _read_back(path) == made:
            encoding = wanted.encoding.upper()
            return [] if made == wanted else [f"{encoding} can't hold all of it: written as UTF-8"]
    _put(path, columns, rows, plain)
    return ["written as UTF-8 with the usual delimiter, so that it can be read again"]


def _writable(style: Style, plain: Style) -> Style:
    """Return a style as programs write it: quotes doubled, nothing around them."""
    return Style(
        encoding=style.encoding,
        mark=style.mark,
        delimiter=style.delimiter or plain.delimiter,
        line_end=style.line_end,
        announced=style.announced,
        usual=style.usual,
    )


def _read_back(path: Path) -> Style | None:
    """Return the style in which a file would be read; None if it wouldn't be."""
    try:
        found = find_table(path)
        assert found is not None  # its name says that it is a table
        style: Style = named(found[1].reader)(found[0], Dialect()).style
    except UsageError:
        return None
    return style


def _put(path: Path, columns: Sequence[Column], rows: Rows, style: Style) -> None:
    names = [column.name for column in columns]
    header = [guard(column.name) if column.guarded else column.name for column in columns]
    guarded = [place for place, column in enumerate(columns) if column.guarded]
    errors = "pipeline.clean" if style.encoding.startswith("utf") else "strict"
    with (
        create(path) as packed,
        io.TextIOWrapper(packed, style.encoding, errors, newline="") as file,
    ):
        file.write("\ufeff" * style.mark)
        file.write(f"sep={style.delimiter}{style.line_end}" * style.announced)
        write_row = _writer(file, style)
        write_row(header)
        for row in rows:
            cells = [cell if type(cell) in _NATIVE else _text(cell) for cell in map(row.get, names)]
            for place in guarded:
                cell = cells[place]
                cells[place] = guard(cell) if type(cell) is str else cell
            write_row(cells)


def _writer(file: TextIO, style: Style) -> Callable[[Sequence[object]], object]:
    """Return what writes a row."""
    if len(style.delimiter) > 1:
        return _Joined(file, style).write
    lines = _Lines(file, style.line_end)
    return csv.writer(lines, delimiter=style.delimiter, lineterminator="\r\n").writerow


class _Joined:
    """Writes rows with more than a character between the cells."""

    def __init__(self, file: TextIO, style: Style) -> None:
        self._file = file
        self._style = style
        self._special = re.compile(f'[{re.escape(style.delimiter)}"\r\n]')

    def write(self, cells: Sequence[object]) -> None:
        line = self._style.delimiter.join(map(self._cell, cells))
        self._file.write((line or '""') + self._style.line_end)

    def _cell(self, cell: object) -> str:
        text = "" if cell is None else str(cell)
        if not self._special.search(text):
            return text
        return '"' + text.replace('"', '""') + '"'


def _text(cell: object) -> str:
    return f"'{cell}" if isinstance(cell, Guarded) else to_text(cell)
