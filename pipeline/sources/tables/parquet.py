"""Parquet, a batch of rows at a time; each column remembers its Arrow type.

It is read by a process of its own (`bounded.py`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from math import isfinite
from typing import Any

from pipeline.errors import UsageError
from pipeline.sources.tables.inputs import FileInput
from pipeline.sources.tables.jsonl import Number
from pipeline.sources.tables.table import (
    MOST_LEVELS,
    MOST_VALUES,
    Dialect,
    check_width,
    renamed,
    unique_names,
)
from pipeline.sources.tables.values import Duration, Scaled
from pipeline.types import Column, Kind

_BATCH_ROWS, _BATCH_BYTES = 1000, 1 << 24
_BUFFER_BYTES = 1 << 20  # without one, a whole column of a row group is read at once
_MOST_CATEGORIES = 10_000
OWN_DECIMAL = 38, 12  # digits and places that a run writes; a token costs some 1e-8 USD
_CONTROLS = re.compile(r"[\0-\x08\x0e-\x1f]")


class ParquetGrid:
    """Rows of typed values, numbered from 1."""

    def __init__(self, file: FileInput, dialect: Dialect) -> None:
        dialect.only(file.name)
        self._file = file
        with _opened(file) as parquet:
            schema = parquet.schema_arrow
            self.last = parquet.metadata.num_rows
            self._count = _rows_at_once(parquet.metadata)
            _check_depth(schema, file.name)
            if not schema.names:
                raise UsageError(f"{file.name} has no columns")
            check_width(file.name, len(schema.names))
            categories = [_categories(parquet, field) for field in schema]
            self._read = [_reader(parquet, field, self._count) for field in schema]
        self._names = unique_names(schema.names)
        self.notices: Sequence[str] = renamed(schema.names, self._names)
        columns = zip(self._names, schema, categories, strict=True)
        self.columns: Sequence[Column] = tuple(
            Column(name, "text" if read is _texts else _kind(field.type), field, values)
            for (name, field, values), read in zip(columns, self._read, strict=True)
        )
        self.first = 1

    def rows(self) -> Iterator[tuple[object, ...]]:
        """Yield the rows as Python values."""
        with _opened(self._file) as parquet:
            for batch in parquet.iter_batches(self._count, use_threads=False):
                for part in _parts(batch, f"{self._file.name} has a row"):
                    pairs = zip(self._read, part.columns, strict=True)
                    yield from zip(*(read(column) for read, column in pairs), strict=True)


@contextmanager
def _opened(file: FileInput) -> Iterator[Any]:
    # Its own way to allocate takes a gigabyte of addresses at once, and these are bounded.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    import pyarrow
    from pyarrow.parquet import ParquetFile

    with file.open() as raw:
        try:
            yield ParquetFile(raw, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        # The last two: a date that Python can't hold.
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
            reason = str(error).partition("\n")[0]
            raise UsageError(f"{file.name} can't be read as Parquet: {reason}") from error


def _reader(parquet: Any, field: Any, count: int) -> Callable[[Any], list[object]]:
    """Return what makes Python's values of the arrays of a column, as they are to be written."""
    from pyarrow import types

    kind = field.type
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return _texts if _has_texts(parquet, field.name, count) else _values
    if types.is_float32(kind):
        return _singles
    if types.is_decimal(kind):
        own = (kind.precision, kind.scale) == OWN_DECIMAL  # whose last places say nothing
        return _values if own else partial(_each, Scaled)
    return partial(_each, Duration.of) if types.is_duration(kind) else _values


def _has_texts(parquet: Any, name: str, count: int) -> bool:
    """Return whether the bytes of a column are texts: Impala and older Sparks don't mark those.
    So many rows are read at once.
    """
    import pyarrow

    with suppress(pyarrow.ArrowInvalid):
        for batch in parquet.iter_batches(count, columns=[name], use_threads=False):
            if batch.num_columns != 1 or any(map(_CONTROLS.search, filter(None, _texts(batch[0])))):
                return False
        return True
    return False


def _values(array: Any) -> list[object]:
    values: list[object] = array.to_pylist()
    return values


def _texts(array: Any) -> list[Any]:
    import pyarrow

    texts: list[Any] = array.cast(pyarrow.large_binary()).cast(pyarrow.large_string()).to_pylist()
    return texts


def _singles(array: Any) -> list[object]:
    """Return numbers with the digits that they have as such: 0.1, not 0.10000000149011612."""
    import numpy

    return [
        number if number is None or not isfinite(number) else Number(str(numpy.float32(number)))
        for number in array.to_pylist()
    ]


def _each(make: Callable[[Any], object], array: Any) -> list[object]:
    return [None if value is None else make(value) for value in array.to_pylist()]


def _rows_at_once(metadata: Any) -> int:
    """Return how many rows to read at once: a thousand whole books wouldn't fit into memory."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    row_bytes = max(
        (group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0
    )
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(row_bytes, 1)))


def _check_depth(schema: Any, name: str) -> None:
    """Raise UsageError where values lie in each other deeper than what pickles and writes them."""
    inside = [field.type for field in schema]
    for _ in range(MOST_LEVELS):
        inside = [kind.field(i).type for kind in inside for i in range(kind.num_fields)]
    if inside:
        raise UsageError(f"{name} has columns nested over {MOST_LEVELS} levels deep: flatten them")


def _parts(batch: Any, where: str) -> Iterator[Any]:
    """Split a batch until no part has more values than a row may have, nor many bytes."""
    fits = sum(map(_count, batch.columns)) <= MOST_VALUES
    if fits and (batch.nbytes <= _BATCH_BYTES or batch.num_rows == 1):
        yield batch
    elif batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from _parts(batch.slice(0, half), where)
        yield from _parts(batch.slice(half), where)
    else:
        raise UsageError(f"{where} of over {MOST_VALUES:,} values: leave out what isn't needed")


def _count(array: Any) -> int:
    """Count values, and those in them."""
    from pyarrow import types

    if types.is_struct(array.type):
        return len(array) + sum(map(_count, array.flatten()))
    if types.is_map(array.type):  # which has no `flatten` that heeds where a slice begins
        first, end = array.offsets[0].as_py(), array.offsets[-1].as_py()
        return len(array) + _count(array.values.slice(first, end - first))
    return len(array) + (_count(array.flatten()) if types.is_nested(array.type) else 0)


def _categories(parquet: Any, field: Any) -> tuple[object, ...]:
    """Return the values that a column is made of, those that no row has among them."""
    from pyarrow import types

    if not types.is_dictionary(field.type):
        return ()
    batch = next(parquet.iter_batches(1, columns=[field.name], use_threads=False), None)
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
