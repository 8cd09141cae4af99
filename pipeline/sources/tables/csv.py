"""CSV and TSV, a row at a time, each cell the very characters of the file."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import chain, islice
from typing import TextIO

from pipeline.errors import UsageError
from pipeline.sources.decoding import examine, some
from pipeline.sources.tables.cells import Cells, RowLines, Style, read_rows
from pipeline.sources.tables.headers import (
    PEEK_ROWS,
    beyond,
    doubt,
    empty,
    find_header,
    first_filled,
)
from pipeline.sources.tables.inputs import FileInput
from pipeline.sources.tables.styles import (
    SNIFF_CHARACTERS,
    announced,
    find_style,
    fit_of,
    fits,
    read_delimiter,
    sample_rows,
)
from pipeline.sources.tables.table import Dialect, Row, check_width, renamed, unique_names
from pipeline.sources.tables.written import Guarded, is_written, unguard
from pipeline.types import Column

_MOST_SNIFFED = 1 << 22  # characters, if there is something odd further down
_TITLED = ",;\t|"  # what may be the delimiter below a title
_ALIKE_ROWS = 3  # under a title that is a line of its own: prose has commas, too
_MARK = "\ufeff"


class CsvTable:
    """Lines of cells under a header. `usual` is the delimiter of the file's kind."""

    unit = "line"

    def __init__(self, file: FileInput, dialect: Dialect, usual: str | None = None) -> None:
        dialect.only(file.name, "encoding", "encoding_errors", "delimiter", "header_row")
        self._file = file
        with file.open() as raw:
            self._script = examine(raw, file.name, dialect.encoding, dialect.encoding_errors)
        self._skipped = 0
        self._usual = usual
        self.style: Style = Style()
        said = announced(self._peek())
        self._skipped = 0 if said is None else 1  # lines above the header
        fixed = read_delimiter(dialect.delimiter) or said
        self.style = self._find_style(fixed)
        if dialect.header_row is not None:
            self._skipped += self._above(dialect.header_row)
            self.style = self._find_style(fixed)
        with self._lines() as lines:
            header = _header(read_rows(lines, self.style), lines)
        doubts = dialect.doubts_header and dialect.header_row is None
        if doubts:
            self._doubt(fixed)
        if not any(map(str.strip, header)):
            raise UsageError(
                f"{file.name} has no header; its first line has to name the columns"
                f"{self._hint() if doubts else ''}"
            )
        check_width(file.name, len(header))
        self._header = header
        self._repeated: set[int] = set()  # lines with the header of another file
        if self._script.marks:
            self._find_repeated()
        # A guarded name is of a column whose cells are guarded, too.
        self._written = is_written(header)
        header = self._unguarded(header)
        self._names = unique_names(header)
        self.columns: Sequence[Column] = tuple(
            Column(name, "text", guarded=isinstance(cell, Guarded))
            for name, cell in zip(self._names, header, strict=True)
        )
        self.notices: list[str] = [
            *renamed(header, self._names),
            *self._script.notices(dialect.encoding),
        ]
        if self._repeated:
            self.notices += [f"the header again, left out: line {some(sorted(self._repeated))}"]
        self.style = replace(self.style, announced=said is not None, usual=usual or ",")

    def rows(self) -> Iterator[Row]:
        """Yield the rows under the header, numbered by the line where they start."""
        names, header = self._names, self._header
        width = len(names)
        with self._lines() as lines:
            walk = read_rows(lines, self.style)
            _header(walk, lines)
            number, row = lines.number, lines.row
            for cells, problem in walk:
                if len(cells) == width and problem is None and (cells != header or width == 1):
                    yield number, dict(zip(names, self._unguarded(cells), strict=True)), None
                elif number not in self._repeated and (width == 1 or not _blank(cells)):
                    yield number, self._fitted(cells), self._error(number, cells, problem)
                lines.number = number = number + len(row)
                row.clear()

    def fraction(self) -> float:
        """Say how much of the file has been read, by bytes."""
        return self._file.fraction()

    def close(self) -> None:
        """Do nothing: no file is open but while rows are read."""

    def _open(self) -> AbstractContextManager[TextIO]:
        """Open the lines of the file."""
        script, newline = self._script, "\n" if self.style.keeps_returns else ""
        return self._file.lines(script.encoding, script.errors, newline=newline)

    @contextmanager
    def _text(self) -> Iterator[Iterator[str]]:
        """Open the lines of the table, without the byte-order marks before them."""
        with self._open() as text:
            first = text.readline().lstrip(_MARK)
            marked = map(_unmarked, text) if self._script.marks else text
            yield islice(chain([first] if first else [], marked), self._skipped, None)

    @contextmanager
    def _lines(self) -> Iterator[RowLines]:
        with self._text() as lines:
            yield RowLines(lines, self._file.name, 1 + self._skipped, self.style.delimiter)

    def _peek(self, most: int = SNIFF_CHARACTERS) -> str:
        """Return the beginning of the table."""
        lines, size = [], 0
        with self._text() as text:
            for line in text:
                lines.append(line)
                size += len(line)
                if size >= most:
                    break
        return "".join(lines)[:most]

    def _find_style(self, fixed: str | None) -> Style:
        """Find the style of the table, from more of it if there is something odd further down."""
        self.style = Style()
        text = self._peek()
        if self._script.escapes and '\\"' not in text:
            text = self._peek(_MOST_SNIFFED)
        script = self._script
        return replace(
            find_style(text, delimiter=fixed, usual=self._usual),
            encoding=codecs.lookup(script.exact).name,
            mark=script.mark,
        )

    def _find_repeated(self) -> None:
        """Find where other files were put behind the first one, each with its byte-order mark.

        Their headers are no rows. If there is none, what their columns are isn't known.
        """
        marked = self._marked_lines()
        with self._lines() as lines:
            for cells, _ in read_rows(lines, self.style):
                places = range(lines.number, lines.number + len(lines.row))
                found = [place for place in places if place in marked]
                if found and cells != self._header:
                    raise UsageError(
                        f"{self._file.name}, line {found[0]}: a byte-order mark within the file, "
                        "as if another file was put behind the first, but without its header: "
                        "give each file by itself, or remove the mark"
                    )
                self._repeated.update(found)
                lines.proceed()

    def _marked_lines(self) -> set[int]:
        with self._open() as text:
            return {n for n, line in enumerate(text, 1) if n > 1 and line.startswith(_MARK)}

    def _above(self, wanted: int) -> int:
        """Count the lines above a row, as a spreadsheet counts them: blank ones are rows, too."""
        count = 0
        with self._lines() as lines:
            for cells, _ in read_rows(lines, self.style):
                if count == wanted - 1:
                    if not any(map(str.strip, cells)):
                        raise empty(self._file.name, wanted)
                    return lines.number - 1 - self._skipped
                count += 1
                lines.proceed()
        raise beyond(self._file.name, wanted, count)

    def _doubt(self, fixed: str | None) -> None:
        """Raise UsageError where the first row looks like a title: its cells, or its line."""
        text = self._peek()
        share, width = fit_of(text, self.style)
        others = "" if fixed or (width > 1 and share >= 0.5) else _TITLED
        for delimiter in dict.fromkeys([self.style.delimiter, *others]):
            rows = sample_rows(text, replace(self.style, delimiter=delimiter), PEEK_ROWS)
            likely = find_header(rows)
            if likely is None and delimiter != self.style.delimiter:
                likely = _below_title(rows)
            if likely is None:
                continue
            first = rows[first_filled(rows)]
            padded = delimiter == self.style.delimiter and len(first) >= len(rows[likely])
            if padded or _alike(rows[likely:]) or _below_title(rows) == likely:
                raise doubt(self._file.name, rows, likely)

    def _hint(self) -> str:
        """Name the row that may be the header below empty ones."""
        rows = sample_rows(self._peek(), self.style, PEEK_ROWS)
        number = first_filled(rows) + 1
        found = number <= len(rows)
        return f"; if row {number} is the header, add --header-row {number}" if found else ""

    def _fitted(self, cells: list[str]) -> dict[str, object]:
        """Lay out a row that is too short, or too long: then its last cell has all the rest."""
        width = len(self._names)
        if len(cells) > width:
            rest = cells[width - 1 :]
            whole = (
                rest[0]
                if fits(cells, self._header, self.style)
                else self.style.delimiter.join(rest)
            )
            cells = [*cells[: width - 1], whole]
        cells = cells + [""] * (width - len(cells))
        return dict(zip(self._names, self._unguarded(cells), strict=True))

    def _unguarded(self, cells: list[str]) -> list[str]:
        return list(map(unguard, cells)) if self._written else cells

    def _error(self, number: int, cells: list[str], problem: str | None) -> str | None:
        where = f"{self._file.name}, line {number}"
        width = len(self._names)
        if problem is not None:
            return f"{where}: {problem}"
        if not fits(cells, self._header, self.style) and width > 1:
            return f"{where}: {len(cells)} cells, the header has {width}"
        again = cells == self._header and width > 1
        return f"{where}: the header again, as if two files were put together" if again else None


def tsv(file: FileInput, dialect: Dialect) -> CsvTable:
    """Open a table with tabs between its cells, if its header has one."""
    return CsvTable(file, dialect, "\t")


def psv(file: FileInput, dialect: Dialect) -> CsvTable:
    """Open a table with bars between its cells, if its header has one."""
    return CsvTable(file, dialect, "|")


def _unmarked(line: str) -> str:
    return line.lstrip(_MARK) if line[:1] == _MARK else line


def _header(walk: Iterator[Cells], lines: RowLines) -> list[str]:
    """Read up to the first row that isn't blank."""
    for cells, _ in walk:
        lines.proceed()
        if not _blank(cells):
            return cells
    return []


def _below_title(rows: Sequence[list[str]]) -> int | None:
    """Return the place of a header below a title of one cell; prose has spaces behind commas."""
    places = [place for place, row in enumerate(rows) if not _blank(row)]
    if len(places) < 3 or len(rows[places[0]]) > 1:
        return None
    below = [rows[place] for place in places[1:]]
    width = len(below[0])
    same = width > 1 and all(len(row) == width for row in below)
    prose = any(cell[:1] == " " for row in below for cell in row[1:])
    again = set(below[0]) & set(chain(*below[1:]))  # a list of tags has them again
    return places[1] if same and not prose and not again else None


def _alike(rows: Sequence[list[str]]) -> bool:
    """Return whether these are a header and its rows: as wide, and none of its names under it."""
    header, *below = (row for row in rows if not _blank(row))
    return len(below) >= _ALIKE_ROWS - 1 and all(
        len(row) == len(header)
        and not any(name and name == cell for name, cell in zip(header, row, strict=True))
        for row in below
    )


def _blank(cells: list[str]) -> bool:
    return len(cells) < 2 and not "".join(cells).strip()
