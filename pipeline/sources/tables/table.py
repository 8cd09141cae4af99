"""A table as a source: each row a document, whatever the format it is read from."""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Protocol

from pipeline.errors import DocumentError, UsageError
from pipeline.processes.pool import Pool
from pipeline.sources.files import images
from pipeline.sources.files.reach import Reach
from pipeline.sources.tables.cells import Style
from pipeline.types import Column, Document, Image

Row = tuple[int, dict[str, object], str | None]
Look = Callable[[], tuple[Image, ...]]
Readers = Pool[[object, Reach], tuple[Image, ...]]

PEEK_ROWS = 50
MOST_COLUMNS = 100_000
_SOME = 5  # names are told
MOST_VALUES, MOST_LEVELS = 2_000_000, 50  # of a row, where values lie in each other
_SAYS = {
    "encoding": "is of a table that is text",
    "encoding_errors": "is of a table that is text",
    "delimiter": "is of a .csv or .tsv table",
    "sheet": "names a sheet of a workbook",
    "hidden": "is of a workbook",
    "header_row": "is of a workbook, a .csv or a .tsv table",
}
# fmt: off
_TEXT_NAMES = frozenset({
    "text", "content", "body", "message", "document", "description", "comment", "comments",
    "review", "reviews", "question", "ticket", "feedback", "transcript", "abstract", "complaint",
    "sentence", "utterance", "article", "paragraph", "tweet",
})
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a table is written, as far as the user says it; what is None is found out.

    `header_row` is counted from 1; what is above it is no part of the table. `doubts_header`: where
    the first row looks like a title, ask for the header's instead of taking it.
    """

    encoding: str | None = None
    encoding_errors: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    hidden: str | None = None
    header_row: int | None = None
    doubts_header: bool = False

    def only(self, name: str, *known: str) -> Dialect:
        """Raise UsageError where it says of the file `name` what no file of its format has."""
        for field, what in _SAYS.items():
            if getattr(self, field) is not None and field not in known:
                option = f"--{field.replace('_', '-')}"
                raise UsageError(f"{option} {what}, and {name} is none; leave {option} out")
        return self


class Table(Protocol):
    """A format of tables. `unit` is what the numbers of its rows count: "line" or "row".

    `notices` are what the user should know of how it is read. `style` is how a text table is
    written, so far as the output can be like it.
    """

    unit: str
    columns: Sequence[Column]
    notices: Sequence[str]
    style: Style | None

    def rows(self) -> Iterator[Row]:
        """Yield each row's number, its fields and why it can't be used, from the start."""

    def fraction(self) -> float:
        """Say how much of the rows has been read, 0 to 1."""

    def close(self) -> None:
        """End what still reads it."""


class Origin(Protocol):
    """Where a table comes from: its file, as far as there is one."""

    @property
    def name(self) -> str: ...

    @property
    def folder(self) -> Path: ...

    def changed(self) -> bool:
        """Return whether it is no longer what it was when it was opened."""


class TableSource:
    """The rows of a table. Its `image_column` names files of its folder, or of `image_root`, and
    addresses, but for those of this machine and its network that aren't in `image_hosts`.
    """

    variables: Sequence[str] = ()

    def __init__(
        self,
        file: Origin,
        table: Table,
        *,
        text_column: str | None = None,
        image_column: str | None = None,
        image_root: Path | None = None,
        image_hosts: Collection[str] = (),
        never_text: Collection[str] = (),
    ) -> None:
        self.name = file.name
        self.columns = table.columns
        self.style = table.style
        self.image_column = self._named(table, image_column) if image_column else None
        notices = [*table.notices, *_blanks([column.name for column in table.columns])]
        self.notices: Sequence[str] = [f"{file.name}: {notice}" for notice in notices]
        self.text_column = self._text_column(table, text_column, {image_column, *never_text})
        self._reach = Reach(file.folder, root=image_root, hosts=image_hosts)
        self._file = file
        self._table = table
        self._skimming = False
        self._fraction: float | None = 0.0  # before the first row and after the last

    def __iter__(self) -> Iterator[Document]:
        self._fraction = None
        where = f"{self.name}, {self._table.unit} "
        column = self.text_column
        with closing(self._rows()) as rows:
            for position, ((number, fields, error), look) in enumerate(rows):
                text = ""
                found: tuple[Image, ...] = ()
                if error is None and not self._skimming:
                    found, error = _outcome(look)
                    text = "" if column is None or error else _text(fields.get(column))
                yield Document(position, f"{where}{number}", fields, text, error, images=found)
        self._fraction = 1.0

    def _rows(self) -> Generator[tuple[Row, Look], None, None]:
        if self.image_column is None:
            return ((row, tuple) for row in self._table.rows())
        return self._rows_with_images(self.image_column)

    def _rows_with_images(self, column: str) -> Generator[tuple[Row, Look], None, None]:
        """Yield the rows; processes look for the images of the next ones meanwhile."""
        readers = Pool(images.find)
        ahead: deque[tuple[Row, Look]] = deque()
        try:
            for row in self._table.rows():
                ahead.append((row, self._look(row[1].get(column), readers)))
                if len(ahead) > 2 * readers.processes:
                    yield ahead.popleft()
            while ahead:
                yield ahead.popleft()
        finally:
            readers.close()

    def _look(self, cell: object, readers: Readers) -> Look:
        if images.names_files(cell) and not self._skimming:
            return readers.submit(cell, self._reach).result
        return partial(images.find, cell, self._reach)

    def fraction(self) -> float:
        """Say how much of the table has been read, by bytes or by rows."""
        return self._table.fraction() if self._fraction is None else self._fraction

    def skim(self) -> None:
        """From here on leave the text out; a row's fields are read all the same."""
        self._skimming = True

    def changed(self) -> bool:
        """Return whether the file's size or time differ from when it was opened."""
        return self._file.changed()

    def close(self) -> None:
        """End what still reads it."""
        self._table.close()

    def _text_column(
        self, table: Table, wanted: str | None, others: Collection[str | None]
    ) -> str | None:
        if wanted is not None:
            return self._named(table, wanted)
        names = [column.name for column in table.columns if column.name not in others]
        # Beside images, what is left is no text because it is alone.
        if not names or (self.image_column and len(names) < 2):
            return next((name for name in names if name.strip().lower() in _TEXT_NAMES), None)
        return find_text_column(names, (row[1] for row in islice(table.rows(), PEEK_ROWS)))

    def _named(self, table: Table, wanted: str) -> str:
        names = [column.name for column in table.columns]
        if wanted in names:
            return wanted
        close = get_close_matches(wanted, names, 1)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        raise UsageError(
            f'{self.name} has no column "{wanted}"; its columns are {", ".join(names)}{hint}'
        )


def _outcome(look: Look) -> tuple[tuple[Image, ...], str | None]:
    """Return a row's images, or why they can't be read."""
    try:
        return look(), None
    except DocumentError as error:
        return (), str(error)
    except CancelledError:
        return (), "not read: the run ended early"


def find_text_column(names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str | None:
    """Find the column that is clearly the text: the only one, so named, or by far the longest."""
    if len(names) == 1:
        return names[0]
    named = [name for name in names if name.strip().lower() in _TEXT_NAMES]
    if len(named) == 1:
        return named[0]
    lengths = _mean_lengths(names, rows)
    longest, next_longest = sorted(names, key=lengths.__getitem__, reverse=True)[:2]
    clear = lengths[longest] >= max(20.0, 3 * lengths[next_longest])
    return longest if clear else None


def renamed(header: Iterable[object], names: Sequence[str]) -> list[str]:
    """Say which columns have another name than the header gives them."""
    pairs = [(str(cell), name) for cell, name in zip(header, names, strict=True)]
    said = [
        f'another column "{cell}" is called "{name}"'
        if cell.strip()
        else f'a column without a name is called "{name}"'
        for cell, name in pairs
        if cell != name
    ]
    more = [f"and {len(said) - 5} more"] if len(said) > 6 else said[5:]
    return [", ".join(said[:5] + more)] if said else []


def _blanks(names: Sequence[str]) -> list[str]:
    """Say which columns aren't called as they look: with spaces around, or no-break spaces."""
    odd = [name for name in names if name.strip() and " ".join(name.split()) != name]
    said = [f'"{" ".join(name.split())}" is really {name!a}' for name in odd[:_SOME]]
    more = f" and {len(odd) - _SOME} more" if len(odd) > _SOME else ""
    return (
        [f"the name of column {', '.join(said)}{more} (a prompt has to write it so)"] if odd else []
    )


def unique_names(header: Iterable[object]) -> list[str]:
    """Name each column once: `name`, `name_2`; the third without a name is `column_3`."""
    wanted = [str(cell) for cell in header]
    wanted = [name if name.strip() else f"column_{i}" for i, name in enumerate(wanted, 1)]
    others = frozenset(wanted)
    names: dict[str, None] = {}
    numbers: defaultdict[str, Iterator[int]] = defaultdict(partial(count, 2))
    for name in wanted:
        unique = name
        while unique in names or (unique != name and unique in others):
            unique = f"{name}_{next(numbers[name])}"
        names[unique] = None
    return list(names)


def check_width(name: str, width: int) -> None:
    """Raise UsageError where the table `name` has more columns than any table."""
    if width > MOST_COLUMNS:
        raise UsageError(f"{name} has over {MOST_COLUMNS:,} columns: leave out what isn't needed")


def _text(cell: object) -> str:
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    if isinstance(cell, dict | list):
        return json.dumps(cell, ensure_ascii=False, default=str)
    return str(cell)


def _mean_lengths(names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> dict[str, float]:
    """Return the mean length of each column of strings; a column of anything else has none."""
    texts, characters = Counter[str](), Counter[str]()
    others: set[str] = set()
    for row in rows:
        for name in names:
            cell = row.get(name)
            if isinstance(cell, str):
                texts[name] += 1
                characters[name] += len(cell)
            elif cell is not None:
                others.add(name)
    return {
        name: 0.0 if name in others or not texts[name] else characters[name] / texts[name]
        for name in names
    }
