"""How a sheet of an .xlsx is laid out: what of it is hidden, and how its numbers are shown."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import starmap
from typing import BinaryIO
from zipfile import ZipFile, is_zipfile

from pipeline.sources.tables.workbook import chunks, column_of, number_formats, part_of

_ROW = re.compile(rb"<(?:\w+:)?row\b[^>]*>")
_COLUMN = re.compile(rb"<(?:\w+:)?col\b[^>]*>")
_HIDDEN = re.compile(rb"""\bhidden=["'](?:1|true)["']""")
_NUMBER, _LEAST, _MOST = (
    re.compile(rb"""\b%s=["'](\d+)["']""" % name) for name in (b"r", b"min", b"max")
)
_STYLED = re.compile(rb"""<(?:\w+:)?c r=["']([A-Z]+)\d+["'] s=["'](\d+)["'](?! t=["']s)""")
_WIDEST = 16_384
_GENERAL, _TEXT = 0, 49  # formats that say nothing of how a number is shown


@dataclass(frozen=True, slots=True)
class Layout:
    """What is hidden, counted from 0, and the formats of the numbers of each column, by how a
    spreadsheet knows them: a number, or a code such as `0.00%`.
    """

    hidden_rows: frozenset[int] = frozenset()
    hidden_columns: frozenset[int] = frozenset()
    formats: dict[int, set[int | str]] = field(default_factory=dict)


def find_layout(file: BinaryIO, sheet: str) -> Layout | None:
    """Look through a sheet; None if the workbook isn't an .xlsx, which the others don't allow."""
    if not is_zipfile(file):
        return None
    with ZipFile(file) as archive:
        part = part_of(archive, sheet)
        if part is None:
            return None
        rows, columns = set[int](), set[int]()
        styled: set[tuple[bytes, bytes]] = set()
        for chunk in chunks(archive, part):
            if b"hidden=" in chunk:
                rows |= {_first(_NUMBER, tag) - 1 for tag in _ROW.findall(chunk) if _hides(tag)}
                for tag in filter(_hides, _COLUMN.findall(chunk)):
                    most = min(_first(_MOST, tag), _WIDEST)
                    columns.update(range(_first(_LEAST, tag) - 1, most))
            styled.update(_STYLED.findall(chunk))
        formats = list(starmap(_shown, number_formats(archive)))
    found: defaultdict[int, set[int | str]] = defaultdict(set)
    for column, style in styled:
        look = formats[int(style)] if int(style) < len(formats) else _GENERAL
        if look not in (_GENERAL, _TEXT, "General", "@"):
            found[column_of(column.decode())].add(look)
    return Layout(frozenset(rows - {-1}), frozenset(columns), dict(found))


def _hides(tag: bytes) -> bool:
    return _HIDDEN.search(tag) is not None


def _first(pattern: re.Pattern[bytes], tag: bytes) -> int:
    found = pattern.search(tag)
    return int(found[1]) if found else 0


def _shown(number: str, code: str) -> int | str:
    """Return a format as the program that writes workbooks takes it."""
    return code or (int(number) if number.isdecimal() else _GENERAL)
