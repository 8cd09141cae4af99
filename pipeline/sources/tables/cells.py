"""Lines of text as rows of cells, whatever stands between and around the cells.

`csv` reads what most programs write, and says where a row is nothing it knows. Those rows, and the
styles that it has no word for, are read here, a character at a time where need be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec, module_from_spec
from itertools import chain
from typing import Any

from pipeline.errors import UsageError
from pipeline.sources.decoding import LINE_BYTES

_MOST_CELLS = 1_000_000  # of a row, whatever the width of the table
_SPACES = re.compile(" *")
_LONG = 1 << 20  # characters: no row that is shorter has too many cells

UNCLOSED = "a quote is opened and never closed"
STRAY = "text behind the closing quote of a cell (a quote inside of quotes has to be doubled)"

Cells = tuple[list[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a text table is written.

    Without a `delimiter` it has a single column, and a line is its text. A quote inside of quotes
    is doubled, or has the `escape` before it; `escapes_all` if so has a delimiter. `spaced`: spaces
    may stand before a cell. With `keeps_returns` a lone carriage return ends no line. `announced`:
    its first line says what the delimiter is. `loose`: rows may end in delimiters.
    `usual` is the delimiter that the file's name says.
    """

    encoding: str = "utf-8"
    mark: bool = False
    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    escapes_all: bool = False
    spaced: bool = False
    keeps_returns: bool = False
    line_end: str = "\n"
    announced: bool = False
    loose: bool = False
    usual: str = ","

    @property
    def plain(self) -> bool:
        """Whether `csv` reads it as it is meant."""
        return len(self.delimiter) == 1 and not (self.escape or self.spaced or self.keeps_returns)


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
_Malformed: type[Exception] = _csv.Error


class RowLines:
    """Lines of the table `name`, as long as those of a row aren't more than any row has.

    `row` are the lines of the row that is being read, which begins on the line `number`; whoever
    has read it calls `proceed`.
    """

    def __init__(self, lines: Iterable[str], name: str, number: int, delimiter: str) -> None:
        self.row: list[str] = []
        self.number = number
        self._lines = lines
        self._name = name
        self._delimiter = delimiter
        self._size = self._cells = 0

    def __iter__(self) -> Iterator[str]:
        row = self.row
        for line in self._lines:
            row.append(line)
            if len(row) > 1 or len(line) > _LONG:
                self._check(line)
            yield line

    def proceed(self) -> None:
        """Go on with the next row."""
        self.number += len(self.row)
        self.row.clear()

    def _check(self, line: str) -> None:
        if len(self.row) == 1:
            self._size = self._cells = 0
        elif len(self.row) == 2 and len(self.row[0]) <= _LONG:
            self._size, self._cells = len(self.row[0]), 0
        self._size += len(line)
        where = f"{self._name}, line {self.number}"
        if self._size > LINE_BYTES:
            raise UsageError(
                f"{where}: a row of over {LINE_BYTES // 10**6} million characters; "
                "is a quote there never closed?"
            )
        if self._size > _LONG and self._delimiter:
            self._cells += line.count(self._delimiter)
            if self._cells > _MOST_CELLS:
                raise UsageError(f"{where}: a row of over {_MOST_CELLS:,} cells")


def read_rows(lines: RowLines, style: Style) -> Iterator[Cells]:
    """Yield the cells of each row, and why they may not be what was meant."""
    walk = iter(lines)
    if not style.plain:
        yield from iter(_Row(walk, style).read, None)
        return
    reader = _csv.reader(walk, delimiter=style.delimiter, quotechar=style.quote, strict=True)
    while True:
        try:
            for cells in reader:
                yield cells, None
            return
        except _Malformed:
            # csv goes on with the next line, wherever in the row that is: start the row again.
            held = list(lines.row)
            lines.row.clear()
            again = chain(_again(held, lines.row), walk)
            read = _Row(again, style).read()
            if read is not None:
                yield read


def _again(held: Iterable[str], row: list[str]) -> Iterator[str]:
    for line in held:
        row.append(line)
        yield line


class _Row:
    """Reads a row at a time from lines of text."""

    def __init__(self, lines: Iterator[str], style: Style) -> None:
        delimiter = re.escape(style.delimiter) if style.delimiter else "(?!)"
        end = r"(?:\r*\n|\Z)" if style.keeps_returns else r"[\r\n]*\Z"
        self._after = re.compile(f" *(?:({delimiter})|{end})")
        escape = re.escape(style.escape) if style.escape else "(?!)"
        self._inside = re.compile(f"({escape})|{re.escape(style.quote)}")
        everywhere = escape if style.escapes_all else "(?!)"
        self._bare = re.compile(f"({everywhere})|({delimiter})|{end}")
        self._lines = lines
        self._style = style
        self._line = ""
        self._at = 0
        self._problems: list[str] = []  # of the row

    def read(self) -> Cells | None:
        """Return the cells of the next row; None if there is none."""
        line = next(self._lines, None)
        if line is None:
            return None
        self._line, self._at = line, 0
        self._problems.clear()
        cells, goes_on = [], True
        while goes_on:
            if self._style.spaced:
                self._at = _SPACES.match(self._line, self._at).end()  # type: ignore[union-attr]
            quoted = self._line.startswith(self._style.quote, self._at)
            cell, goes_on = self._quoted() if quoted else self._plain()
            cells.append(cell)
        problem = self._problems[-1] if self._problems else None
        if problem == STRAY and not self._style.delimiter and self._line is line:
            return [line.rstrip("\r\n")], None  # a text that begins with a quotation
        return cells if line.strip("\r\n") else [], problem

    def _plain(self) -> tuple[str, bool]:
        """Read a cell without quotes; say whether another one follows."""
        parts = []
        while True:
            found = self._bare.search(self._line, self._at)
            assert found is not None  # the end of the line
            parts.append(self._line[self._at : found.start()])
            self._at = found.end()
            if found[1] is None:
                return "".join(parts), found[2] is not None
            parts.append(self._escaped())

    def _escaped(self) -> str:
        """Return what the escape before it makes of a delimiter, a quote, an escape, a line end."""
        style, line = self._style, self._line
        for known in (style.delimiter, style.quote, style.escape):
            if line.startswith(known, self._at):
                self._at += len(known)
                return known
        if (
            line[self._at :] in ("\n", "\r\n")
            and (following := next(self._lines, None)) is not None
        ):
            end, self._line, self._at = line[self._at :], following, 0
            return end
        return style.escape

    def _quoted(self) -> tuple[str, bool]:
        style, parts = self._style, list[str]()
        self._at += 1
        while True:
            found = self._inside.search(self._line, self._at)
            if found is None:
                parts.append(self._line[self._at :])
                following = next(self._lines, None)
                if following is None:
                    self._problems.append(UNCLOSED)
                    return "".join(parts), False
                self._line, self._at = following, 0
                continue
            parts.append(self._line[self._at : found.start()])
            self._at = found.end()
            after = self._line[self._at : self._at + 1]
            if found[1] is not None:
                known = after != "" and after in (style.quote, style.escape)
                parts.append(after if known else style.escape)
                self._at += known
            elif after == style.quote:
                parts.append(after)
                self._at += 1
            else:
                return self._closed(parts)

    def _closed(self, parts: list[str]) -> tuple[str, bool]:
        """Go on behind the closing quote."""
        found = self._after.match(self._line, self._at)
        if found is None:
            self._problems.append(STRAY)
            rest, goes_on = self._plain()
            return "".join([*parts, rest]), goes_on
        self._at = found.end()
        return "".join(parts), found[1] is not None
