"""A table that is in memory: a DataFrame of pandas, or what speaks the Arrow stream interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pipeline.errors import UsageError
from pipeline.sources.tables.cells import Style
from pipeline.sources.tables.table import Dialect, Row, check_width, unique_names
from pipeline.types import Column

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_AT_ONCE = 1000  # rows are made Python's objects


@runtime_checkable
class Frame(Protocol):
    """A table of pandas, polars, DuckDB, pyarrow or whatever else speaks Arrow's interface."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return a capsule with the table's batches."""


class Held:
    """Where the table comes from: it has no file. Its images lie in the working folder."""

    def __init__(self, frame: Frame) -> None:
        self.name = f"the {type(frame).__name__}"
        self.folder = Path()

    def changed(self) -> bool:
        """Return False: what is in memory is the caller's to leave alone."""
        return False


class FrameTable:
    """The rows of a table in memory, numbered from 0 as in the table itself."""

    unit = "row"
    notices: Sequence[str] = ()
    style: Style | None = None

    def __init__(self, frame: Frame, held: Held, dialect: Dialect) -> None:
        dialect.only(held.name)
        held_frame: Any = frame if is_pandas(frame) else as_arrow(frame)
        self._frame = held_frame
        names = [str(name) for name in self._names()]
        if not names:
            raise UsageError(f"{held.name} has no columns")
        check_width(held.name, len(names))
        self._columns = unique_names(names)
        self.columns: Sequence[Column] = tuple(map(Column, self._columns))
        self._rows: int = len(self._frame)
        self._read = 0

    def _names(self) -> Sequence[object]:
        return list(self._frame.columns if is_pandas(self._frame) else self._frame.column_names)

    def rows(self) -> Iterator[Row]:
        """Yield the rows as Python's values; what is missing is None."""
        for start in range(0, self._rows, _AT_ONCE):
            part = self._part(start)
            for number, cells in enumerate(zip(*part, strict=True), start):
                self._read = number + 1
                yield number, dict(zip(self._columns, cells, strict=True)), None

    def _part(self, start: int) -> list[list[object]]:
        if is_pandas(self._frame):
            part = self._frame.iloc[start : start + _AT_ONCE]
            return [_values(part.iloc[:, place]) for place in range(part.shape[1])]
        return [column.to_pylist() for column in self._frame.slice(start, _AT_ONCE).columns]

    def fraction(self) -> float:
        """Say how much of the rows has been read, 0 to 1."""
        return self._read / self._rows if self._rows else 1.0

    def close(self) -> None:
        """Do nothing: the table is the caller's."""


def is_pandas(frame: object) -> bool:
    """Return whether a table is a DataFrame of pandas, which has an index."""
    kind = type(frame)
    names = {f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in kind.__mro__}
    return "pandas.DataFrame" in names


def as_arrow(frame: Any) -> pa.Table:
    """Return a table as one of pyarrow; raise UsageError where it is none."""
    import pyarrow as pa

    try:
        return pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"the {type(frame).__name__} can't be read as a table: {reason}"
        ) from error


def _values(series: pd.Series[Any]) -> list[object]:
    """Return the cells of a column, None for what is missing: NaN, NaT, NA."""
    missing = series.isna()
    return [
        None if gone else value for gone, value in zip(missing, series.astype(object), strict=True)
    ]
