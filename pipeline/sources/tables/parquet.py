"""Parquet, a batch of rows at a time; each column remembers its Arrow type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.errors import UsageError
from pipeline.sources.tables.inputs import FileInput
from pipeline.sources.tables.table import Dialect, Row, renamed, unique_names
from pipeline.types import Column, Kind

_BATCH_ROWS = 1000
_BUFFER_BYTES = 1 << 20  # without one, a whole column of a row group is read at once
_MOST_CATEGORIES = 10_000


class ParquetTable:
    """Rows of typed values."""

    unit = "row"

    def __init__(self, file: FileInput, dialect: Dialect) -> None:
        dialect.only(file.name)
        self._file = file
        with _opened(file) as parquet:
            schema = parquet.schema_arrow
            self._count = parquet.metadata.num_rows
            categories = [_categories(parquet, schema.field(i)) for i in range(len(schema))]
        if not schema.names:
            raise UsageError(f"{file.name} has no columns")
        self._names = unique_names(schema.names)
        self.notices: Sequence[str] = renamed(schema.names, self._names)
        columns = zip(self._names, schema, categories, strict=True)
        self.columns: Sequence[Column] = tuple(
            Column(name, _kind(field.type), field, values) for name, field, values in columns
        )
        self._read = 0

    def rows(self) -> Iterator[Row]:
        """Yield the rows as Python values, numbered from 1."""
        self._read = 0
        with _opened(self._file) as parquet:
            for batch in parquet.iter_batches(_BATCH_ROWS):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    self._read += 1
                    yield self._read, dict(zip(self._names, values, strict=True)), None

    def fraction(self) -> float:
        """Say how much has been read, by rows."""
        return self._read / self._count if self._count else 1.0


@contextmanager
def _opened(file: FileInput) -> Iterator[Any]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    with file.open() as raw:
        try:
            yield ParquetFile(raw, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        # The last two: a date that Python can't hold.
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
            reason = str(error).partition("\n")[0]
            raise UsageError(f"{file.name} can't be read as Parquet: {reason}") from error


def _categories(parquet: Any, field: Any) -> tuple[object, ...]:
    """Give the values that a column is made of, those that no row has among them."""
    from pyarrow import types

    if not types.is_dictionary(field.type):
        return ()
    batch = next(parquet.iter_batches(1, columns=[field.name]), None)
    if batch is None or batch.num_columns != 1 or len(batch[0].dictionary) > _MOST_CATEGORIES:
        return ()
    return tuple(batch[0].dictionary.to_pylist())


def _kind(arrow: Any) -> Kind:
    from pyarrow import types

    if types.is_dictionary(arrow):
        return _kind(arrow.value_type)
    kinds: tuple[tuple[Any, Kind], ...] = (
        (types.is_string, "text"),
        (types.is_large_string, "text"),
        (types.is_string_view, "text"),
        (types.is_integer, "integer"),
        (types.is_floating, "number"),
        (types.is_decimal, "decimal"),
        (types.is_boolean, "boolean"),
        (types.is_nested, "json"),
    )
    return next((kind for fits, kind in kinds if fits(arrow)), "any")
