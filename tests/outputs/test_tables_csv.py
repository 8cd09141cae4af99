"""CSV, TSV and JSON Lines, byte for byte."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.outputs.tables import write_table
from pipeline.sources.decoding import clean
from pipeline.types import Column
from tests import bounded

Row = Mapping[str, object]

any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates as well
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all the examples of a test."""
    return tmp_path_factory.mktemp("outputs")


def written(folder: Path, suffix: str, names: Sequence[str], rows: Sequence[Row]) -> bytes:
    path = folder / f"table{suffix}"
    write_table(path, [Column(name) for name in names], rows)
    return path.read_bytes()


CELLS = [
    (None, "", "null"),
    ("", "", '""'),
    ("007", "007", '"007"'),
    ("NA", "NA", '"NA"'),
    (" padded ", " padded ", '" padded "'),
    ("=1+1", "=1+1", '"=1+1"'),
    ("déjà 漢字", "déjà 漢字", '"déjà 漢字"'),
    ('say "hi"', '"say ""hi"""', r'"say \"hi\""'),
    ("a,b", '"a,b"', '"a,b"'),
    ("a\nb", '"a\nb"', r'"a\nb"'),
    ("a\rb", '"a\rb"', r'"a\rb"'),
    ("a\r\nb", '"a\r\nb"', r'"a\r\nb"'),
    ("half \ud83d", "half \ufffd", '"half \ufffd"'),
    ("whole \ud83d\ude00", "whole 😀", '"whole 😀"'),
    (True, "true", "true"),
    (False, "false", "false"),
    (0, "0", "0"),
    (2**80, str(2**80), str(2**80)),
    (-(2**80), str(-(2**80)), str(-(2**80))),
    (0.1, "0.1", "0.1"),
    (1.0, "1.0", "1.0"),
    (float("nan"), "nan", "null"),
    (float("inf"), "inf", "null"),
    (Decimal("1E-7"), "0.0000001", "0.0000001"),
    (Decimal("1.50"), "1.5", "1.5"),
    (Decimal("12E+3"), "12000", "12000"),
    (Decimal("100"), "100", "100"),
    (Decimal("-0.00"), "0", "0"),
    (Decimal("NaN"), "NaN", "null"),
    (
        Decimal("12345678901234567890123456789.0123456789"),
        "12345678901234567890123456789.0123456789",
        "12345678901234567890123456789.0123456789",
    ),
    (date(2026, 1, 31), "2026-01-31", '"2026-01-31"'),
    (datetime(2026, 1, 31, 8, 5), "2026-01-31T08:05:00", '"2026-01-31T08:05:00"'),
    (
        datetime(2026, 1, 31, 8, 5, tzinfo=timezone(timedelta(hours=2))),
        "2026-01-31T08:05:00+02:00",
        '"2026-01-31T08:05:00+02:00"',
    ),
    (time(8, 5), "08:05:00", '"08:05:00"'),
    (time(8, 5, tzinfo=UTC), "08:05:00+00:00", '"08:05:00+00:00"'),
    (b"\x00\xff", "AP8=", '"AP8="'),
    ([], "[]", "[]"),
    (["é", 1, None], '"[""é"",1,null]"', '["é",1,null]'),
    ({"a": {"b": [2**70, "\ud800"]}}, None, f'{{"a":{{"b":[{2**70},"\ufffd"]}}}}'),
    ({"a": Decimal("1E-9"), "b": b"x"}, None, '{"a":0.000000001,"b":"eA=="}'),
    ({1: "odd key", None: 2**70}, None, f'{{"1":"odd key","":{2**70}}}'),
    ((1, (2, 3)), '"[1,[2,3]]"', "[1,[2,3]]"),
]


@pytest.mark.parametrize(("cell", "in_csv", "in_json"), CELLS)
def test_a_cell_is_written_as(
    tmp_path: Path, cell: object, in_csv: str | None, in_json: str
) -> None:
    if in_csv is None:
        in_csv = '"' + in_json.replace('"', '""') + '"'
    rows = [{"a": cell, "b": "x"}]
    assert written(tmp_path, ".csv", "ab", rows).decode() == f"a,b\n{in_csv},x\n"
    assert written(tmp_path, ".jsonl", "ab", rows).decode() == f'{{"a":{in_json},"b":"x"}}\n'


def test_only_a_tab_needs_quotes_in_tsv(tmp_path: Path) -> None:
    assert written(tmp_path, ".tsv", "ab", [{"a": "x\ty", "b": "1,5"}]) == b'a\tb\n"x\ty"\t1,5\n'


@pytest.mark.parametrize("cell", [None, ""])
def test_an_empty_cell_alone_in_its_row_is_no_blank_line(tmp_path: Path, cell: object) -> None:
    assert written(tmp_path, ".csv", "a", [{"a": cell}, {}]) == b'a\n""\n""\n'


def test_a_key_that_a_row_lacks_is_empty_in_csv_and_left_out_in_jsonl(tmp_path: Path) -> None:
    rows: list[Row] = [{"b": 1}, {"a": None, "b": 2}, {"c": 3}]
    assert written(tmp_path, ".csv", "ab", rows) == b"a,b\n,1\n,2\n,\n"
    assert written(tmp_path, ".jsonl", "ab", rows) == b'{"b":1}\n{"a":null,"b":2}\n{}\n'


def test_nesting_as_deep_as_json_is_read_is_written(tmp_path: Path) -> None:
    deep = b'{"a":' + b"[" * 600 + b"]" * 600 + b"}"
    assert written(tmp_path, ".jsonl", "a", [orjson.loads(deep)]) == deep + b"\n"


PADDED = r"""
from pipeline.outputs.cells import to_json
from pipeline.sources.tables.workbook import Padded
print(ascii(to_json({"a": Padded(7, 3), "b": "half \ud83d"}).decode()))
"""


def test_a_padded_number_beside_half_a_character_is_written_and_soon() -> None:
    assert bounded.run(PADDED, seconds=5).stdout == ascii('{"a":7,"b":"half \ufffd"}') + "\n"


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
@settings(deadline=None)
@given(rows=st.lists(st.lists(any_text, min_size=2, max_size=2)))
def test_any_text_comes_back_from_csv(
    folder: Path, suffix: str, delimiter: str, rows: list[list[str]]
) -> None:
    written(folder, suffix, "ab", [dict(zip("ab", row, strict=True)) for row in rows])
    with (folder / f"table{suffix}").open(encoding="utf-8", newline="") as file:
        back = list(csv.reader(file, delimiter=delimiter, strict=True))
    assert back == [["a", "b"], *([clean(cell) for cell in row] for row in rows)]


@settings(deadline=None)
@given(cells=st.lists(any_text))
def test_any_text_comes_back_from_a_single_column(folder: Path, cells: list[str]) -> None:
    written(folder, ".csv", "a", [{"a": cell} for cell in cells])
    with (folder / "table.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file, strict=True)) == [["a"], *([clean(cell)] for cell in cells)]


@settings(deadline=None)
@given(cells=st.lists(any_text))
def test_any_text_comes_back_from_jsonl(folder: Path, cells: list[str]) -> None:
    lines = written(folder, ".jsonl", "a", [{"a": cell} for cell in cells]).split(b"\n")
    assert [orjson.loads(line)["a"] for line in lines[:-1]] == list(map(clean, cells))


@settings(deadline=None)
@given(row=st.dictionaries(st.text(), json_values))
def test_any_json_comes_back_from_jsonl(folder: Path, row: Row) -> None:
    import json  # orjson makes a float of an integer beyond 64 bits

    assert json.loads(written(folder, ".jsonl", list(row), [row])) == row
