"""CSV and TSV: UTF-8, a line feed after each row, text byte for byte."""

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
    with (
        create(path) as packed,
        io.TextIOWrapper(packed, "utf-8", errors="pipeline.clean", newline="") as file,
    ):
        writer = csv.writer(_Lines(file), delimiter=delimiter, lineterminator="\r\n")
        writer.writerow(names)
        for row in rows:
            cells = map(row.get, names)
            writer.writerow([cell if type(cell) in _NATIVE else to_text(cell) for cell in cells])
    return []
