from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from pipeline.outputs.tables import write_table
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


@pytest.mark.parametrize("data", [b"", b"PAR1 not parquet", b"PAR1" + bytes(50) + b"PAR1"])
def test_what_is_not_parquet_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"^t\.parquet can't be read as Parquet: [^\n]+$"):
        open_source(str(path))


def test_a_table_without_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^t\.parquet has no columns$"):
        open_source(str(write(tmp_path, pa.table({}))))


BINARY = ["hello there", "grüße an alle", None, "line\nend\t"]


@pytest.mark.parametrize("arrow", [pa.binary(), pa.large_binary()])
def test_bytes_that_are_texts_are_read_as_such_and_stay_bytes_in_parquet(
    tmp_path: Path, arrow: pa.DataType
) -> None:
    cells = [None if text is None else text.encode() for text in BINARY]
    table = pa.table({"id": range(4), "text": pa.array(cells, arrow)})
    source = open_source(str(write(tmp_path, table)))
    assert source.text_column == "text"
    assert [document.text for document in source] == [text or "" for text in BINARY]
    write_table(tmp_path / "out.parquet", source.columns, [d.fields for d in source])
    assert pq.read_table(tmp_path / "out.parquet").equals(table)


@pytest.mark.parametrize("odd", [b"\xff\xfe", b"a\0b", b"\x01"])
def test_bytes_that_are_no_texts_stay_bytes(tmp_path: Path, odd: bytes) -> None:
    rows = [b"a text", *[b"x"] * 1500, odd]
    source = open_source(str(write(tmp_path, pa.table({"b": rows}))))
    assert [document.fields["b"] for document in source] == rows


SHOWN = [
    (pa.decimal128(9, 2), [Decimal("1.10"), Decimal("-2.00"), Decimal("0.00")], "1.10 -2.00 0.00"),
    (pa.decimal256(50, 1), [Decimal("1" * 40 + ".5")], "1" * 40 + ".5"),
    (pa.float32(), [0.1, 1.0, 1e20, float("inf")], "0.1 1.0 1e+20 inf"),
    (pa.float64(), [0.1, 1.0], "0.1 1.0"),
    (pa.duration("ms"), [dt.timedelta(hours=30, minutes=5)], "30:05:00"),
    (pa.duration("us"), [dt.timedelta(milliseconds=-1)], "-0:00:00.001000"),
    (
        pa.timestamp("us", "Europe/Berlin"),
        [dt.datetime(2026, 3, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))],
        "2026-03-01T12:00:00+01:00",
    ),
]


@pytest.mark.parametrize(("arrow", "values", "shown"), SHOWN)
def test_values_read_well_in_csv_and_go_round_to_parquet(
    tmp_path: Path, arrow: pa.DataType, values: list[object], shown: str
) -> None:
    table = pa.table({"text": ["x"] * len(values), "a": pa.array(values, arrow)})
    source = open_source(str(write(tmp_path, table)))
    rows = [document.fields for document in source]
    write_table(tmp_path / "out.csv", source.columns, rows)
    lines = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [line.removeprefix("x,") for line in lines] == shown.split(" ")
    write_table(tmp_path / "out.parquet", source.columns, rows)
    assert pq.read_table(tmp_path / "out.parquet").equals(table)
    write_table(tmp_path / "out.jsonl", source.columns, rows)
    write_table(tmp_path / "out.xlsx", source.columns, rows)


def test_nanoseconds_of_a_duration_are_kept(tmp_path: Path) -> None:
    table = pa.table({"text": ["x"], "a": pa.array([1_000_000_001], pa.duration("ns"))})
    source = open_source(str(write(tmp_path, table)))
    write_table(tmp_path / "out.parquet", source.columns, [d.fields for d in source])
    assert pq.read_table(tmp_path / "out.parquet").equals(table)


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("data.parquet", ["_SUCCESS", "year=2024/part-0.snappy.parquet"]),
        ("data.parquet", ["part-0.parquet", "part-1.parquet"]),
        ("data", ["part-0.parquet", "part-1.parquet", ".part-1.parquet.crc"]),
        ("data", ["_SUCCESS", "part-0.csv", "part-1.csv"]),
        ("data.csv", ["part-0.csv.gz", "part-1.csv.gz"]),
    ],
)
def test_a_table_in_parts_is_named(tmp_path: Path, folder: str, names: list[str]) -> None:
    for name in names:
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(UsageError) as raised:
        open_source(str(tmp_path / folder))
    parts = [name for name in names if name[0] not in "._"]
    assert str(raised.value) == (
        f"{tmp_path / folder} is a table in a folder, as Spark writes it (parts: {len(parts)}): "
        f"write it as one file, or give a part, such as {tmp_path / folder / parts[0]}"
    )


def test_a_table_in_a_single_part_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "data.parquet"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    pq.write_table(pa.table({"text": ["a"]}), folder / "part-0.parquet")
    assert [document.text for document in open_source(str(folder))] == ["a"]


@pytest.mark.parametrize("names", [["a.csv", "b.csv"], ["a.parquet", "b.txt"], ["a.txt"]])
def test_a_folder_of_documents_is_no_table(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("text\na\n")
    assert len(list(open_source(str(tmp_path)))) == len(names)
