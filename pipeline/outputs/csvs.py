"""CSV and TSV: UTF-8, a line feed after each row, text byte for byte but for formulas of others."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import TextIO

from pipeline.outputs.cells import Rows, clean, to_text
from pipeline.outputs.packing import create
from pipeline.sources.tables.written import Guarded, guard
from pipeline.types import Column

# What csv.writer writes as we want it, in C. It would write True, 1E-7 and "2026-01-31 08:00:00".
_NATIVE = frozenset({str, int, float, NoneType})


def _replace_surrogates(error: UnicodeError) -> tuple[bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    return clean(error.object[error.start : error.end]).encode(), error.end


codecs.register_error("pipeline.clean", _replace_surrogates)  # free for text that needs none


class _Lines:
    r"""A file for csv.writer that ends each row with \n.

    Python 3.11 quotes a lone \r only if the line terminator has one, and unquoted it ends the row
    for every reader. So csv.writer ends rows with \r\n, and the \r is taken off here.
    """

    def __init__(self, file: TextIO) -> None:
        self._write = file.write

    def write(self, line: str) -> int:
        return self._write(line[:-2] + "\n")


def write(path: Path, columns: Sequence[Column], rows: Rows, *, delimiter: str = ",") -> list[str]:
    """Write a header and a line per row; None is an empty cell."""
    names = [column.name for column in columns]
    header = [guard(column.name) if column.guarded else column.name for column in columns]
    guarded = [place for place, column in enumerate(columns) if column.guarded]
    with (
        create(path) as packed,
        io.TextIOWrapper(packed, "utf-8", errors="pipeline.clean", newline="") as file,
    ):
        writer = csv.writer(_Lines(file), delimiter=delimiter, lineterminator="\r\n")
        writer.writerow(header)
        for row in rows:
            cells = [cell if type(cell) in _NATIVE else _text(cell) for cell in map(row.get, names)]
            for place in guarded:
                cell = cells[place]
                cells[place] = guard(cell) if type(cell) is str else cell
            writer.writerow(cells)
    return []


def write_tsv(path: Path, columns: Sequence[Column], rows: Rows) -> list[str]:
    """Write the same with tabs between the cells."""
    return write(path, columns, rows, delimiter="\t")


def _text(cell: object) -> str:
    return f"'{cell}" if isinstance(cell, Guarded) else to_text(cell)
