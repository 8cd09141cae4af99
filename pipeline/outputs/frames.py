"""Rows as a table in memory: a DataFrame of pandas, or the kind of table that the input was."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.types import Column

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Amounts are floats here: what people do with them is adding and dividing. Files have decimals.
_PANDAS = {"text": "str", "integer": "Int64", "number": "float64", "decimal": "float64"}
_MOST_INTEGER = 2**63


def collect(columns: Sequence[Column], rows: Iterable[Mapping[str, object]]) -> list[list[object]]:
    """Return the cells of these columns, a list for each."""
    cells: list[list[object]] = [[] for _ in columns]
    for row in rows:
        for column, into in zip(columns, cells, strict=True):
            into.append(row.get(column.name))
    return cells


def to_pandas(
    columns: Sequence[Column],
    cells: Sequence[list[object]],
    beside: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Make a DataFrame, of the columns alone or `beside` another, whose index, columns and dtypes
    stay.

    Integers are `Int64`, booleans `boolean`, so that they can be missing; lists are lists.
    """
    import pandas as pd

    index = None if beside is None else beside.index
    made = {
        column.name: _series(column, values, index)
        for column, values in zip(columns, cells, strict=True)
    }
    new = pd.DataFrame(made, index=index)
    return new if beside is None else pd.concat([beside, new], axis=1)


def _series(column: Column, cells: list[object], index: Any) -> pd.Series[Any]:
    import pandas as pd

    dtype = _PANDAS.get(column.kind) or ("boolean" if column.kind == "boolean" else None)
    if column.kind == "integer" and not all(map(_fits, cells)):
        dtype = None
    if dtype == "float64":
        cells = [None if cell is None else float(cell) for cell in cells]  # type: ignore[arg-type]
    if dtype is not None:
        return pd.Series(cells, index=index, dtype=dtype)
    return pd.Series(cells, index=index, dtype=object).infer_objects()


def to_arrow(
    columns: Sequence[Column], cells: Sequence[list[object]], beside: pa.Table
) -> pa.Table:
    """Put columns beside those of a table."""
    for column, values in zip(columns, cells, strict=True):
        beside = beside.append_column(column.name, _array(column, values))
    return beside


def _array(column: Column, cells: list[object]) -> Any:
    import pyarrow as pa

    if column.kind in ("number", "decimal"):
        floats = [None if cell is None else float(cell) for cell in cells]  # type: ignore[arg-type]
        return pa.array(floats, pa.float64())
    kinds = {"text": pa.string(), "integer": pa.int64(), "boolean": pa.bool_()}
    try:
        return pa.array(cells, kinds.get(column.kind))
    except (pa.ArrowException, OverflowError):  # of several kinds, or too large
        texts = [None if cell is None else _as_text(cell) for cell in cells]
        return pa.array(texts, pa.string())


def like(table: pa.Table, frame: object) -> object:
    """Make a table of pyarrow the kind that `frame` is, where its library has a way to."""
    library = type(frame).__module__.partition(".")[0].lstrip("_")
    if library in ("polars", "duckdb"):
        return sys.modules[library].from_arrow(table)
    return table


def _as_text(cell: object) -> str:
    return cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False, default=str)


def _fits(cell: object) -> bool:
    return cell is None or (isinstance(cell, int) and -_MOST_INTEGER <= cell < _MOST_INTEGER)
