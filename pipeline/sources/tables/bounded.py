"""A table whose file is read in a process of its own: whatever it holds costs that process only.

The process opens the file, says what its columns are and hands over its rows, many at once. It ends
with the rows.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from pipeline.errors import DocumentError, PipelineError, UsageError
from pipeline.processes.child import MEMORY_BYTES, TIMEOUT_SECONDS, Child
from pipeline.sources.decoding import LINE_BYTES
from pipeline.sources.tables import excel
from pipeline.sources.tables.cells import Style
from pipeline.sources.tables.inputs import FileInput, unpack
from pipeline.sources.tables.table import PEEK_ROWS, Dialect, Row
from pipeline.types import Column

_SECONDS_PER_BYTE, _MEMORY_PER_BYTE = 1e-6, 10
_MOST_ROWS = 500  # are handed over at once
_MOST_BYTES = 1 << 22  # too, unless a single row has more

Cells = Sequence[object] | None


class Grid(Protocol):
    """An open file. Its rows are numbered from `first` to `last`; None is one that is left out."""

    columns: Sequence[Column]
    notices: Sequence[str]
    first: int
    last: int

    def rows(self) -> Iterator[Cells]:
        """Yield the cells of each row, from the start."""


Reader = Callable[[FileInput, Dialect], Grid]


@dataclass(frozen=True, slots=True)
class _Head:
    columns: Sequence[Column]
    notices: Sequence[str]
    first: int
    last: int


class BoundedTable:
    """The rows that a reader, a function or class of a module, finds in a file."""

    unit = "row"
    style: Style | None = None

    def __init__(self, read: Reader, file: FileInput, dialect: Dialect) -> None:
        with file.open():  # if it can't be opened, no process has to say so
            pass
        self._asked = read, file, dialect
        self._walk = self._start()
        self._fresh = True  # nothing of the walk but its top has been read
        self._head: _Head = pickle.loads(next(self._walk))
        self._top = next(self._walk, None)
        self._number = 0
        self.columns = self._head.columns
        self.notices = self._head.notices

    def rows(self) -> Iterator[Row]:
        """Yield the rows. Reading them a second time reads the file a second time."""
        names = [column.name for column in self.columns]
        number = self._head.first
        for batch in self._batches():
            for cells in pickle.loads(batch):
                self._number = number
                if cells is not None:
                    yield number, dict(zip(names, cells, strict=True)), None
                number += 1

    def fraction(self) -> float:
        """Say how much of the rows has been read, 0 to 1."""
        return self._number / self._head.last if self._head.last else 1.0

    def close(self) -> None:
        """End the process, however far it has come."""
        self._walk.close()

    def _batches(self) -> Iterator[bytes]:
        if self._top is None:
            return
        yield self._top
        if not self._fresh:
            self._walk = self._start()
            next(self._walk), next(self._walk)  # the head and the top, which are known
        self._fresh = False
        yield from self._walk

    def _start(self) -> Generator[bytes, None, None]:
        with _child(self._asked[1]) as child:
            yield from child.iterate(_read_table, *self._asked)


def read_sheets(path: Path, wanted: Collection[str] = ()) -> dict[str, list[list[object]]]:
    """Read the sheets of a workbook, in their order; those that aren't `wanted` without a row."""
    file = FileInput(path)
    with _child(file) as child:
        found: dict[str, list[list[object]]]
        found = pickle.loads(child.call(_read_sheets, file, wanted))
        return found


@contextmanager
def _child(file: FileInput) -> Iterator[Child]:
    """Start a process that may take what any file may, and more for a large one: an honest workbook
    of a million rows has 160 MB, and takes 80 seconds and 2.1 GB.
    """
    timeout_seconds = TIMEOUT_SECONDS + round(_SECONDS_PER_BYTE * file.packed_bytes)
    memory_bytes = MEMORY_BYTES + _MEMORY_PER_BYTE * file.packed_bytes
    try:
        child = Child(timeout_seconds=timeout_seconds, memory_bytes=memory_bytes)
        with closing(child):
            yield child
    except DocumentError as error:
        raise UsageError(f"{file.name} can't be read as a table: {error}") from error


# What the process calls.


def _read_sheets(file: FileInput, wanted: Collection[str]) -> bytes:
    with _explained(file.name):
        return _pickled(excel.read_sheets(unpack(file), wanted), f"{file.name}: its hidden sheets")


def _read_table(read: Reader, file: FileInput, dialect: Dialect) -> Iterator[bytes]:
    with _explained(file.name):
        grid = read(unpack(file), dialect)
        head = _Head(grid.columns, grid.notices, grid.first, grid.last)
        yield _pickled(head, f"{file.name}: its columns")
        unpacked_bytes = 0
        for batch in _batches(grid, file.name):
            # A few pages of Parquet can say the same long text a million times.
            unpacked_bytes += len(batch)
            file.check_unpacked(unpacked_bytes)
            yield batch


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (PipelineError, MemoryError):
        raise
    except Exception as error:  # each library raises what it likes on a damaged file
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(f"{name} can't be read as a table: {reason[:500]}") from error


def _pickled(value: object, what: str) -> bytes:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    if len(data) > LINE_BYTES:
        raise UsageError(f"{what} take over {LINE_BYTES // 10**6} MB, which no table needs")
    return data


def _batches(grid: Grid, name: str) -> Iterator[bytes]:
    """Pickle rows, as many at once as the last ones let expect to be little enough."""
    rows, number, count = grid.rows(), grid.first, PEEK_ROWS
    while batch := list(islice(rows, count)):
        size = 0
        for start, data in _parts(batch):
            size += len(data)
            if len(data) > LINE_BYTES:
                raise UsageError(
                    f"{name}, row {number + start}: over {LINE_BYTES // 10**6} MB, which is no row "
                    "of a table"
                )
            yield data
        number += len(batch)
        count = max(1, min(_MOST_ROWS, count * 2, len(batch) * _MOST_BYTES // size))


def _parts(batch: Sequence[Cells], start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield parts of a batch, pickled, and where each begins; none is too large unless it is a
    single row.
    """
    data = pickle.dumps(batch, pickle.HIGHEST_PROTOCOL)
    half = len(batch) // 2
    if len(data) <= _MOST_BYTES or not half:
        yield start, data
        return
    yield from _parts(batch[:half], start)
    yield from _parts(batch[half:], start + half)
