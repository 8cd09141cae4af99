"""Excel: what a cell holds, how the sheet looks, and where what it can't hold goes."""

from __future__ import annotations

import errno
import gc
import re
import tracemalloc
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zipfile import ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from pipeline.errors import UsageError
from pipeline.outputs import excel
from pipeline.outputs.cells import to_text
from pipeline.outputs.tables import write_table
from pipeline.sources.decoding import clean
from pipeline.types import Column

Row = Mapping[str, object]
NOTE = "… [cut at 100 characters: the whole is on sheet “long cells”]"

# What Excel knows as an escape and the reader doesn't is left out: U+FFFE and U+FFFF, and inside of
# <r></r>, which is written as rich text, all control characters.
any_text = st.text(st.characters(exclude_categories=(), exclude_characters="\ufffe\uffff")).filter(
    lambda text: not text.startswith("<r>")
)
escapes = st.text(st.sampled_from("\r\n\t _x0041DA<>&/'\"\x00\x1f"))
markup = st.text(st.sampled_from("\n\t <>&r/'\"")).map("<r>{}</r>".format)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all the examples of a test."""
    return tmp_path_factory.mktemp("outputs")


def sheets(path: Path) -> dict[str, list[list[object]]]:
    book = CalamineWorkbook.from_path(str(path))
    return {
        name: [list(row) for row in book.get_sheet_by_name(name).to_python(skip_empty_area=False)]
        for name in book.sheet_names
    }


def held(folder: Path, cells: Sequence[object]) -> list[object]:
    """Write a column and read back its values."""
    path = folder / "table.xlsx"
    write_table(
        path, [Column("n"), Column("a")], [{"n": "", "a": cell} for cell in [*cells, "end"]]
    )
    return [row[1] for row in sheets(path)["rows"][1:-1]]


def xml(path: Path, part: str = "worksheets/sheet1") -> str:
    with ZipFile(path) as book:
        return book.read(f"xl/{part}.xml").decode()


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, ""),
        ("", ""),
        ("007", "007"),
        ("1.5", "1.5"),
        ("TRUE", "TRUE"),
        ("2026-01-31", "2026-01-31"),
        ("https://example.com", "https://example.com"),
        ("=1+1", "=1+1"),
        ("{=SUM(A1)}", "{=SUM(A1)}"),
        ("+1", "+1"),
        ("-1", "-1"),
        ("@SUM(1)", "@SUM(1)"),
        (" a\tb\r\nc ", " a\tb\r\nc "),
        ("\x00\x0b_x0041_", "\x00\x0b_x0041_"),
        ("<r><t>bold</t></r>", "<r><t>bold</t></r>"),
        ("<r></r>", "<r></r>"),
        ("half \ud83d", "half \ufffd"),
        (True, True),
        (False, False),
        (0, 0.0),
        (2**53, float(2**53)),
        (2**53 + 1, str(2**53 + 1)),
        (-(10**400), str(-(10**400))),
        (0.30000000000000004, 0.30000000000000004),
        (1e300, 1e300),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Decimal("0.0000123"), 0.0000123),
        (Decimal("1E+20"), "1" + "0" * 20),
        (Decimal("NaN"), "NaN"),
        (date(2026, 1, 31), date(2026, 1, 31)),
        (date(1900, 2, 28), "1900-02-28"),
        (datetime(2026, 1, 31, 8, 5, 6, 789000), datetime(2026, 1, 31, 8, 5, 6, 789000)),
        (datetime(2026, 1, 31, 8, tzinfo=UTC), "2026-01-31T08:00:00+00:00"),
        (time(8, 5), time(8, 5)),
        (time(8, 5, tzinfo=UTC), "08:05:00+00:00"),
        (timedelta(hours=30), timedelta(hours=30)),
        (timedelta(hours=-1), "-1:00:00"),
        (b"\xff", "/w=="),
        (["é", {"a": 1}], '["é",{"a":1}]'),
    ],
)
def test_a_cell_holds(tmp_path: Path, cell: object, expected: object) -> None:
    back = held(tmp_path, [cell])
    assert back == [expected]
    assert type(back[0]) is type(expected)


@pytest.mark.parametrize("cell", ["=1+1", "{=1+1}", "=cmd|'/C calc'!A0", "https://example.com"])
def test_text_is_never_a_formula_nor_a_link(tmp_path: Path, cell: str) -> None:
    held(tmp_path, [cell])
    sheet = xml(tmp_path / "table.xlsx")
    assert "<f" not in sheet
    assert "hyperlink" not in sheet


def test_the_header_stays_in_sight_and_filters(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    write_table(path, [Column("a"), Column("b")], [{"a": "x", "b": 1}] * 3)
    sheet = xml(path)
    assert '<pane ySplit="1" topLeftCell="A2"' in sheet
    assert '<autoFilter ref="A1:B4"/>' in sheet
    assert '<ignoredError sqref="A1:XFD1048576" numberStoredAsText="1"/>' in sheet
    assert "<b/>" in xml(path, "styles")


def test_columns_are_as_wide_as_they_need_but_long_texts_are_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    rows = [{"id": "00017", "tokens": 5, "text": "word " * 200, "cjk": "漢字" * 10}] * 150
    rows.append({"id": "a word that only a late row has", "tokens": 5, "text": "", "cjk": ""})
    write_table(path, [Column(name) for name in ("id", "tokens", "text", "cjk", "none")], rows)
    widths = re.findall(r'<col min="\d+" max="\d+" width="(\d+)\.', xml(path))
    assert widths == ["9", "16", "60", "42", "26"]
    heights = re.findall(r'<row r="(2|151|152|153)"(?: ht="(\d+)")?', xml(path))
    assert heights == [("2", "150"), ("151", "150"), ("152", "60")]


def test_further_rows_are_on_further_sheets(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    rows = [{"a": number} for number in range(5)]
    notes = excel.write(path, [Column("a")], rows, max_rows=2)
    assert sheets(path) == {
        "rows": [["a"], [0.0], [1.0]],
        "rows 2": [["a"], [2.0], [3.0]],
        "rows 3": [["a"], [4.0]],
    }
    assert notes == [
        "Excel holds 2 rows on a sheet: "
        "the further rows are on the sheets “rows 2”, “rows 3” of the same file"
    ]


def test_rows_that_just_fit_take_one_sheet(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    notes = excel.write(path, [Column("a")], [{"a": "x"}, {"a": "y"}], max_rows=2)
    assert sheets(path) == {"rows": [["a"], ["x"], ["y"]]}
    assert notes == []


def test_the_whole_of_a_long_text_is_on_a_sheet_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    text = "0123456789" * 25
    rows = [{"a": "x", "b": "y" * 100}, {"a": "x", "b": text}]
    notes = excel.write(path, [Column("a"), Column("b")], rows, max_characters=100)
    assert sheets(path) == {
        "rows": [["a", "b"], ["x", "y" * 100], ["x", text[: 100 - len(NOTE)] + NOTE]],
        "long cells": [
            ["sheet", "row", "column", "part", "text"],
            ["rows", 3.0, "b", 1.0, text[:100]],
            ["rows", 3.0, "b", 2.0, text[100:200]],
            ["rows", 3.0, "b", 3.0, text[200:]],
        ],
    }
    assert notes == [
        "Excel holds 100 characters in a cell: "
        "the longer ones (1) are whole on the sheet “long cells” only"
    ]


def test_a_text_of_emojis_counts_each_twice_and_is_cut_between_them(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    rows = [{"a": "😀" * 50}, {"a": "x" + "😀" * 50}]
    excel.write(path, [Column("a")], rows, max_characters=100)
    kept = (100 - len(NOTE) - 1) // 2
    assert sheets(path)["rows"] == [["a"], ["😀" * 50], ["x" + "😀" * kept + NOTE]]
    parts = [row[-1] for row in sheets(path)["long cells"][1:]]
    assert parts == ["x" + "😀" * 49, "😀"]


def test_the_limit_of_a_cell_is_that_of_excel(tmp_path: Path) -> None:
    first, second = held(tmp_path, ["x" * 32_767, "x" * 32_768])
    assert first == "x" * 32_767
    assert isinstance(second, str)
    assert len(second) == 32_767
    assert second.endswith("x… [cut at 32,767 characters: the whole is on sheet “long cells”]")
    parts = [row[-1] for row in sheets(tmp_path / "table.xlsx")["long cells"][1:]]
    assert parts == ["x" * 32_767, "x"]


def test_more_columns_than_a_sheet_has_are_refused(tmp_path: Path) -> None:
    columns = [Column(f"c{number}") for number in range(16_385)]
    with pytest.raises(UsageError) as caught:
        write_table(tmp_path / "table.xlsx", columns, [])
    assert str(caught.value) == (
        "Excel holds 16,384 columns and the output has 16,385: "
        "give it a name in .csv, .parquet or .jsonl"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_disk_that_is_full_at_the_end_is_an_error_without_noise(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:
        excel.write(path, [Column("a")], [{"a": "x"}])
    assert caught.value.errno == errno.ENOSPC
    del caught
    gc.collect()  # what a broken ZipFile prints would be an unraisable error here


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        tracemalloc.start()
        excel.write(tmp_path / "table.xlsx", [Column("a")], [{"a": "two\nlines"}] * rows)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)  # the imports
    assert peak(2_000) - peak(200) < 100_000  # the heights alone would be 400,000


@settings(deadline=None)
@given(cells=st.lists(any_text | escapes | markup))
def test_any_text_comes_back_from_excel(folder: Path, cells: list[str]) -> None:
    assert held(folder, cells) == [clean(cell) for cell in cells]


@settings(deadline=None)
@given(
    cells=st.lists(
        st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.decimals(allow_nan=False, allow_infinity=False, places=2)
    )
)
def test_any_number_comes_back_from_excel(folder: Path, cells: list[float]) -> None:
    for cell, back in zip(cells, held(folder, cells), strict=True):
        if isinstance(back, str):
            assert abs(cell) > 2**53
            assert back == to_text(cell)
        else:
            assert back == float(cell)
