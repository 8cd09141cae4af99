"""Parquet: typed columns, in row groups of 10,000 rows, compressed with zstd.

A column of kind "any" has the type of its values if they share one (integers among floats are
floats), and is text otherwise. So is a column with a value that its type can't hold: at the end of
a run a column of text is worth more than an error. Only the last row settles it, so when a type
changes on the way the file is written once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING

from pipeline.outputs.cells import Rows, to_json, to_text
from pipeline.sources.decoding import clean
from pipeline.sources.tables.parquet import OWN_DECIMAL
from pipeline.sources.tables.workbook import Padded
from pipeline.types import Column

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 1000  # at a time: as Python's objects they take several times the memory
_GROUP_BYTES = 2**26  # 10,000 rows of whole documents may not fit in memory
_DIGITS, _PLACES = OWN_DECIMAL


def write(
    path: Path, columns: Sequence[Column], rows: Rows, *, group_rows: int = 10_000
) -> list[str]:
    """Write a row group per `group_rows` rows, or per 64 MB if that is less.

    Amounts of kind "decimal" keep 12 decimal places. `rows` may be read several times.
    """
    fields = [_Field(column) for column in columns]
    while not _settle(path, fields, rows, group_rows):
        pass
    return []


def _settle(path: Path, fields: Sequence[_Field], rows: Rows, group_rows: int) -> bool:
    """Write the rows; after a change of type only learn from the rest of them, and say no."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = None
    settled = True
    group: list[pa.RecordBatch] = []
    names = [field.name for field in fields]
    with ExitStack() as stack:
        file = stack.enter_context(path.open("wb"))  # pyarrow takes no path that isn't UTF-8
        for batch in _batches(names, rows, min(group_rows, _BATCH_ROWS)):
            arrays = [field.fit(cells) for field, cells in zip(fields, batch, strict=True)]
            found = _schema(fields)
            if schema is None:
                schema = found
                writer = stack.enter_context(pq.ParquetWriter(file, schema, compression="zstd"))
            settled = settled and found == schema
            if settled:
                group.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
                if _is_full(group, group_rows):
                    writer.write_table(pa.Table.from_batches(group))
                    group.clear()
        if schema is None:
            stack.enter_context(pq.ParquetWriter(file, _schema(fields)))
        if settled and group:
            writer.write_table(pa.Table.from_batches(group))
    return settled


def _is_full(group: Sequence[pa.RecordBatch], group_rows: int) -> bool:
    rows: int = sum(batch.num_rows for batch in group)
    size_bytes: int = sum(batch.nbytes for batch in group)
    return rows >= group_rows or size_bytes >= _GROUP_BYTES


def _schema(fields: Sequence[_Field]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([field.arrow for field in fields])


def _batches(names: Sequence[str], rows: Rows, batch_rows: int) -> Iterator[list[Sequence[object]]]:
    """Yield some rows at a time, as a sequence of cells for each column."""
    batch: list[list[object]] = []
    characters = 0
    for row in rows:
        cells = [row.get(name) for name in names]
        batch.append(cells)
        characters += sum([len(cell) for cell in cells if isinstance(cell, str)])
        if len(batch) >= batch_rows or characters >= _GROUP_BYTES:
            yield list(zip(*batch, strict=True))
            batch, characters = [], 0
    if batch:
        yield list(zip(*batch, strict=True))


class _Field:
    """A column and the type that the cells seen so far need."""

    def __init__(self, column: Column) -> None:
        self.name = column.name
        self._column = column
        self._adapt = _ADAPT.get(column.kind, _same) if column.arrow is None else _same
        self._classes: set[type] = set()
        self._is_text = False
        self._categories = {value: i for i, value in enumerate(column.categories)}

    @property
    def arrow(self) -> pa.Field:
        """Return the field of the schema: the one that it came with, if it still is that."""
        import pyarrow as pa

        came = self._column.arrow
        if came is None or self._is_text:
            return pa.field(self.name, self.type)
        return came.with_name(self.name)

    @property
    def type(self) -> pa.DataType:
        import pyarrow as pa

        if self._is_text:
            return pa.string()
        if self._column.arrow is not None:
            return self._column.arrow.type
        if self._column.kind == "any":
            return _common(self._classes)
        return {
            "integer": pa.int64(),
            "number": pa.float64(),
            "decimal": pa.decimal128(_DIGITS, _PLACES),
            "boolean": pa.bool_(),
        }.get(self._column.kind, pa.string())

    def fit(self, cells: Sequence[object]) -> pa.Array:
        """Return the cells as an array of `type`, which becomes text if it can't hold them."""
        import pyarrow as pa

        self._classes.update(map(_class, set(map(type, cells))))
        if self.type != pa.string():
            try:
                if self._categories:
                    return self._categorize(cells)
                return pa.array(map(self._adapt, cells), type=self.type, size=len(cells))
            except (pa.ArrowException, ValueError, TypeError, ArithmeticError):
                self._is_text = True
        write = _json if self._column.kind == "json" else _text
        return pa.array(map(write, cells), type=pa.string(), size=len(cells))

    def _categorize(self, cells: Sequence[object]) -> pa.Array:
        """Number the cells by their places among the categories; new ones come last."""
        import pyarrow as pa

        known = self._categories
        places = [None if cell is None else known.setdefault(cell, len(known)) for cell in cells]
        type = self._column.arrow.type
        return pa.DictionaryArray.from_arrays(
            pa.array(places, type.index_type),
            pa.array(list(known), type.value_type),
            ordered=type.ordered,
        )


def _class(kind: type) -> type:
    """Return the class whose type of Arrow holds the values of this one."""
    if issubclass(kind, Padded):
        return int
    return next((base for base in (float, Decimal, timedelta) if issubclass(kind, base)), kind)


def _common(classes: set[type]) -> pa.DataType:
    """Return the type that holds values of all these classes as they are, text if there is none."""
    import pyarrow as pa

    found = classes - {NoneType}
    if found == {int, float}:
        return pa.float64()
    if len(found) != 1:
        return pa.string()
    return {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        Decimal: pa.decimal128(_DIGITS, _PLACES),
        date: pa.date32(),
        datetime: pa.timestamp("us"),
        time: pa.time64("us"),
        timedelta: pa.duration("us"),
        bytes: pa.binary(),
    }.get(found.pop(), pa.string())


def _same(cell: object) -> object:
    return cell


def _integer(cell: object) -> object:
    if isinstance(cell, float) and not cell.is_integer():
        raise ValueError("pyarrow would cut the fraction off")
    return cell


def _number(cell: object) -> object:
    if isinstance(cell, bool):
        raise TypeError("pyarrow would take it for 0 or 1")
    return float(cell) if isinstance(cell, Decimal) else cell


def _decimal(cell: object) -> object:
    if not isinstance(cell, Decimal):
        return cell
    exponent = cell.as_tuple().exponent
    if isinstance(exponent, str) or exponent >= -_PLACES:
        return cell
    return cell.quantize(Decimal(1).scaleb(-_PLACES), context=Context(prec=_DIGITS))


def _moment(cell: object) -> object:
    if isinstance(cell, (datetime, time)) and cell.tzinfo is not None:
        raise ValueError("pyarrow would drop the time zone")
    return cell


# What pyarrow would alter in silence, or refuse, of the values of a kind.
_ADAPT: dict[str, Callable[[object], object]] = {
    "integer": _integer,
    "number": _number,
    "decimal": _decimal,
    "any": _moment,
}


def _text(cell: object) -> str | None:
    return None if cell is None else clean(to_text(cell))


def _json(cell: object) -> str | None:
    return None if cell is None else to_json(cell).decode()
