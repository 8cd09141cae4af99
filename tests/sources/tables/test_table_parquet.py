from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from pipeline.sources.opening import open_source
from pipeline.types import Document, Kind

DAY = dt.date(2026, 3, 1)
COLUMNS: list[tuple[str, Kind, pa.DataType, list[object]]] = [
    ("text", "text", pa.string(), ["Hello", None]),
    ("large", "text", pa.large_string(), ["NA", ""]),
    ("int", "integer", pa.int8(), [7, None]),
    ("big", "integer", pa.uint64(), [2**64 - 1, 0]),
    ("float", "number", pa.float32(), [0.5, None]),
    ("money", "decimal", pa.decimal128(9, 2), [Decimal("1.10"), Decimal("-2.00")]),
    ("flag", "boolean", pa.bool_(), [True, None]),
    ("list", "json", pa.list_(pa.int64()), [[1, 2], []]),
    ("struct", "json", pa.struct([("a", pa.string())]), [{"a": "x"}, None]),
    ("day", "any", pa.date32(), [DAY, None]),
    ("when", "any", pa.timestamp("us"), [dt.datetime(2026, 3, 1, 14, 30), None]),
    ("bytes", "any", pa.binary(), [b"\x00\xff", None]),
    ("code", "text", pa.dictionary(pa.int32(), pa.string()), ["x", "x"]),
]


def write(tmp_path: Path, table: pa.Table, **options: object) -> Path:
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, **options)
    return path


def test_values_and_types_come_out_as_they_are(tmp_path: Path) -> None:
    arrays = [pa.array(values, type=arrow) for _, _, arrow, values in COLUMNS]
    path = write(tmp_path, pa.table(arrays, names=[name for name, *_ in COLUMNS]))
    source = open_source(str(path))
    assert [(column.name, column.kind, column.arrow) for column in source.columns] == [
        (name, kind, pa.field(name, arrow)) for name, kind, arrow, _ in COLUMNS
    ]
    assert list(source) == [
        Document(0, "t.parquet, row 1", {name: v[0] for name, _, _, v in COLUMNS}, "Hello"),
        Document(1, "t.parquet, row 2", {name: v[1] for name, _, _, v in COLUMNS}, ""),
    ]


def test_rows_go_on_over_batches_and_row_groups(tmp_path: Path) -> None:
    table = pa.table({"id": list(range(2500)), "text": [f"row {i}" for i in range(2500)]})
    source = open_source(str(write(tmp_path, table, row_group_size=700)))
    assert source.fraction() == 0.0
    documents = iter(source)
    assert next(documents).fields == {"id": 0, "text": "row 0"}
    assert source.fraction() == 1 / 2500
    assert [d.fields["id"] for d in documents] == list(range(1, 2500))
    assert source.fraction() == 1.0


def test_columns_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path, pa.table([pa.array(["x"]), pa.array([1])], names=["a", "a"]))
    assert [document.fields for document in open_source(str(path))] == [{"a": "x", "a_2": 1}]


@pytest.mark.parametrize("data", [b"", b"not parquet", b"PAR1" + bytes(50) + b"PAR1"])
def test_what_is_not_parquet_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"^t\.parquet can't be read as Parquet: [^\n]+$"):
        open_source(str(path))


def test_a_table_without_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^t\.parquet has no columns$"):
        open_source(str(write(tmp_path, pa.table({}))))
