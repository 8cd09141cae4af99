"""The formats of tables, one a line: all of the program goes by this table.

What reads and writes them is named, not imported: a format's library is loaded when it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Format:
    """A format, by the suffix of its files.

    `reader` makes a `Table` of a file, and `writer` writes rows to a path, as "module:name". A
    `grid` is read in a process of its own, and its reader makes a `Grid`. What is `streamed` goes
    through a file once, from start to end, so that it can be packed. In a `sheet` of text a program
    for spreadsheets takes what begins with = for a formula. A `book` has several tables.
    """

    suffix: str
    reader: str
    writer: str | None = None
    grid: bool = False
    streamed: bool = False
    sheet: bool = False
    book: bool = False


_EXCEL = "pipeline.sources.tables.excel:ExcelGrid"

FORMATS = {
    line.suffix: line
    for line in (
        Format(
            ".csv",
            "pipeline.sources.tables.csv:CsvTable",
            "pipeline.outputs.csvs:write",
            streamed=True,
            sheet=True,
        ),
        Format(
            ".tsv",
            "pipeline.sources.tables.csv:tsv",
            "pipeline.outputs.csvs:write_tsv",
            streamed=True,
            sheet=True,
        ),
        Format(".xlsx", _EXCEL, "pipeline.outputs.excel:write", grid=True, book=True),
        Format(
            ".parquet",
            "pipeline.sources.tables.parquet:ParquetGrid",
            "pipeline.outputs.parquet:write",
            grid=True,
        ),
        Format(
            ".jsonl",
            "pipeline.sources.tables.jsonl:JsonlTable",
            "pipeline.outputs.jsonl:write",
            streamed=True,
        ),
        Format(
            ".tab",
            "pipeline.sources.tables.csv:tsv",
            "pipeline.outputs.csvs:write_tsv",
            streamed=True,
            sheet=True,
        ),
        Format(
            ".psv",
            "pipeline.sources.tables.csv:psv",
            "pipeline.outputs.csvs:write_psv",
            streamed=True,
            sheet=True,
        ),
        Format(
            ".ndjson",
            "pipeline.sources.tables.jsonl:JsonlTable",
            "pipeline.outputs.jsonl:write",
            streamed=True,
        ),
        Format(".xlsm", _EXCEL, grid=True, book=True),
        Format(".xlsb", _EXCEL, grid=True, book=True),
        Format(".xls", _EXCEL, grid=True, book=True),
        Format(".ods", _EXCEL, grid=True, book=True),
    )
}
WRITTEN = {suffix: line for suffix, line in FORMATS.items() if line.writer}
PACKED = (".gz", ".zip")


def format_of(path: Path) -> Format | None:
    """Return the format that a file's name says, packed or not: `a.csv`, `a.csv.gz`."""
    suffix = path.suffix.lower()
    return FORMATS.get(Path(path.stem).suffix.lower() if suffix in PACKED else suffix)


def named(name: str) -> Callable[..., Any]:
    """Import what a format names."""
    module, _, attribute = name.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found
