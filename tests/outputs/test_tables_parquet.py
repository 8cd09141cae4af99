"""Parquet: the types of its columns, and what they become when a value doesn't fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.outputs import parquet
from pipeline.outputs.tables import write_table
from pipeline.sources.decoding import clean
from pipeline.sources.tables.workbook import Padded
from pipeline.types import Column, Kind


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all the examples of a test."""
    return tmp_path_factory.mktemp("outputs")


def column_of(
    folder: Path, column: Column, cells: Sequence[object], batch_rows: int = 10_000
) -> tuple[pa.DataType, list[object]]:
    """Write a column and read back its type and its values."""
    path = folder / "table.parquet"
    parquet.write(path, [column], [{column.name: cell} for cell in cells], group_rows=batch_rows)
    table = pq.read_table(path)
    return table.schema.field(0).type, table.column(0).to_pylist()


KINDS: list[tuple[Kind, pa.DataType, list[object]]] = [
    ("text", pa.string(), ["007", "", None, "déjà\x00\r\n"]),
    ("integer", pa.int64(), [1, None, -(2**63)]),
    ("number", pa.float64(), [0.1, None, 2.0]),
    ("decimal", pa.decimal128(38, 12), [Decimal("0.000000000001"), None, Decimal(10**20)]),
    ("boolean", pa.bool_(), [True, None, False]),
    ("any", pa.string(), ["007", None]),
    ("any", pa.string(), [None, None]),
    ("any", pa.int64(), [None, 7]),
    ("any", pa.int64(), [Padded(7, 3), 1234]),
    ("any", pa.float64(), [1.5, None, 7.0]),
    ("any", pa.bool_(), [True, None]),
    ("any", pa.date32(), [date(2026, 1, 31), None]),
    ("any", pa.timestamp("us"), [datetime(2026, 1, 31, 8, 5, 6, 7), None]),
    ("any", pa.time64("us"), [time(8, 5), None]),
    ("any", pa.duration("us"), [timedelta(hours=30), None]),
    ("any", pa.binary(), [b"\x00\xff", None]),
    ("any", pa.decimal128(38, 12), [Decimal("1.5"), None]),
]


@pytest.mark.parametrize("batch_rows", [1, 10_000])
@pytest.mark.parametrize(("kind", "expected", "cells"), KINDS)
def test_a_kind_has_its_type(
    tmp_path: Path, kind: Kind, expected: pa.DataType, cells: list[object], batch_rows: int
) -> None:
    assert column_of(tmp_path, Column("a", kind), cells, batch_rows) == (expected, cells)


def test_json_is_text(tmp_path: Path) -> None:
    cells = [{"é": [1, None]}, None, "x", 2**70]
    expected = ['{"é":[1,null]}', None, '"x"', str(2**70)]
    assert column_of(tmp_path, Column("a", "json"), cells) == (pa.string(), expected)


MISFITS: list[tuple[Kind, list[object], list[object]]] = [
    ("integer", [1, 2**63], ["1", str(2**63)]),
    ("integer", [1, 1.5], ["1", "1.5"]),
    ("boolean", [True, "yes"], ["true", "yes"]),
    ("boolean", [True, 1], ["true", "1"]),
    ("integer", [1, True], ["1", "true"]),
    ("number", [1.5, True], ["1.5", "true"]),
    ("number", [1.5, 2**53 + 1], ["1.5", str(2**53 + 1)]),
    ("decimal", [Decimal("1.5"), 0.25], ["1.5", "0.25"]),
    ("decimal", [Decimal(f"{10**30}.00000000000001")], [f"{10**30}.00000000000001"]),
    ("number", [1.5, "n/a"], ["1.5", "n/a"]),
    ("decimal", [Decimal("1.5"), Decimal("NaN")], ["1.5", "NaN"]),
    ("decimal", [Decimal("1.5"), Decimal("1E+30")], ["1.5", "1" + "0" * 30]),
    ("any", [1, "x", None], ["1", "x", None]),
    ("any", [True, 1], ["true", "1"]),
    ("any", [2**53 + 1, 0.5], [str(2**53 + 1), "0.5"]),
    ("any", [2**63], [str(2**63)]),
    ("any", [None, {"a": 1}, {"b": [2]}], [None, '{"a":1}', '{"b":[2]}']),
    ("any", [[1, 2], ["x"]], ["[1,2]", '["x"]']),
    ("any", [date(2026, 1, 31), datetime(2026, 1, 31, 8)], ["2026-01-31", "2026-01-31T08:00:00"]),
    (
        "any",
        [datetime(2026, 1, 31, 8), datetime(2026, 1, 31, 8, tzinfo=UTC)],
        ["2026-01-31T08:00:00", "2026-01-31T08:00:00+00:00"],
    ),
    ("any", [b"\xff", "x"], ["/w==", "x"]),
    ("any", [Decimal("1E-13")], ["0.0000000000001"]),
]


@pytest.mark.parametrize("batch_rows", [1, 10_000])
@pytest.mark.parametrize(("kind", "cells", "expected"), MISFITS)
def test_a_column_with_a_value_that_its_type_cannot_hold_is_text(
    tmp_path: Path, kind: Kind, cells: list[object], expected: list[object], batch_rows: int
) -> None:
    back = column_of(tmp_path, Column("a", kind), cells, batch_rows)
    assert back == (pa.string(), expected)


@pytest.mark.parametrize("batch_rows", [1, 2, 10_000])
@pytest.mark.parametrize(
    ("cells", "expected", "back"),
    [
        ([None, 1, 2.5, None], pa.float64(), [None, 1.0, 2.5, None]),
        ([None, 1, 2, None], pa.int64(), [None, 1, 2, None]),
        ([None, 1, "x", None], pa.string(), [None, "1", "x", None]),
        ([2**60, 1, 2.5, 3], pa.string(), [str(2**60), "1", "2.5", "3"]),
    ],
)
def test_a_type_found_late_holds_for_the_whole_column(
    tmp_path: Path, cells: list[object], expected: pa.DataType, back: list[object], batch_rows: int
) -> None:
    assert column_of(tmp_path, Column("a"), cells, batch_rows) == (expected, back)


def test_one_column_that_changes_leaves_the_others_typed(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    rows: list[Mapping[str, object]] = [{"a": 1, "b": 1}, {"a": 2, "b": "x"}, {"a": 3, "b": None}]
    parquet.write(path, [Column("a", "integer"), Column("b")], rows, group_rows=1)
    table = pq.read_table(path)
    assert table.schema.equals(pa.schema([("a", pa.int64()), ("b", pa.string())]))
    assert table.to_pylist() == [{"a": 1, "b": "1"}, {"a": 2, "b": "x"}, {"a": 3, "b": None}]


def test_a_cost_is_rounded_to_twelve_places_rather_than_made_text(tmp_path: Path) -> None:
    column = Column("cost_usd", "decimal")
    back = column_of(tmp_path, column, [Decimal("0.0000000000015"), Decimal(1) / Decimal(3)])
    assert back == (pa.decimal128(38, 12), [Decimal("2E-12"), Decimal("0.333333333333")])


ARROW: list[tuple[pa.DataType, list[object]]] = [
    (pa.int8(), [1, None]),
    (pa.uint64(), [2**64 - 1, None]),
    (pa.float32(), [0.5, None]),
    (pa.large_string(), ["x", None]),
    (pa.large_binary(), [b"\xff", None]),
    (pa.decimal128(10, 2), [Decimal("1.50"), None]),
    (pa.decimal256(60, 2), [Decimal(10**50), None]),
    (pa.timestamp("ms", "Europe/Berlin"), [datetime(2026, 1, 31, tzinfo=UTC), None]),
    (pa.date32(), [date(1600, 1, 31), None]),
    (pa.list_(pa.int16()), [[1, None], [], None]),
    (pa.struct([("a", pa.int8()), ("b", pa.string())]), [{"a": 1, "b": None}, None]),
    (pa.map_(pa.string(), pa.int64()), [[("a", 1)], None]),
    (pa.dictionary(pa.int32(), pa.string()), ["x", "y", "x", None]),
    (pa.list_(pa.struct([("a", pa.list_(pa.string()))])), [[{"a": ["x"]}], None]),
]


@pytest.mark.parametrize("batch_rows", [1, 10_000])
@pytest.mark.parametrize(("arrow", "cells"), ARROW)
def test_a_column_from_parquet_leaves_as_it_came(
    tmp_path: Path, arrow: pa.DataType, cells: list[object], batch_rows: int
) -> None:
    column = Column("a", "any", pa.field("a", arrow))
    assert column_of(tmp_path, column, cells, batch_rows) == (arrow, cells)


def test_row_groups_have_ten_thousand_rows_or_less_when_texts_are_long(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_table(path, [Column("a")], [{"a": "x"}] * 25_000)
    groups = pq.ParquetFile(path).metadata
    sizes = [groups.row_group(index).num_rows for index in range(groups.num_row_groups)]
    assert sizes == [10_000, 10_000, 5_000]
    assert groups.row_group(0).column(0).compression == "ZSTD"

    write_table(path, [Column("a")], [{"a": "x" * 2**24}] * 5)
    assert pq.ParquetFile(path).metadata.row_group(0).num_rows == 4


@settings(deadline=None)
@given(cells=st.lists(st.text(st.characters(exclude_categories=())) | st.none()))
def test_any_text_comes_back_from_parquet(folder: Path, cells: list[str | None]) -> None:
    expected = [cell if cell is None else clean(cell) for cell in cells]
    assert column_of(folder, Column("a"), cells, batch_rows=2) == (pa.string(), expected)


@settings(deadline=None)
@given(cells=st.lists(st.none() | st.integers() | st.floats(allow_nan=False) | st.text()))
def test_any_mixture_comes_back_typed_or_as_text(folder: Path, cells: list[object]) -> None:
    found, back = column_of(folder, Column("a"), cells, batch_rows=2)
    if found == pa.string():
        cells = [cell if cell is None else str(cell) for cell in cells]
    assert back == cells
