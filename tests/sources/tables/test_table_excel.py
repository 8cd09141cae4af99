from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import xlsxwriter

from pipeline.errors import UsageError
from pipeline.sources.opening import open_source
from pipeline.types import Column, Document


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.xlsx"


def write(path: Path, rows: list[list[object]]) -> None:
    with xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd hh:mm"}) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)


def test_cells_keep_their_types(path: Path) -> None:
    when = dt.datetime(2026, 3, 1, 14, 30)
    write(
        path,
        [
            ["id", "text", "n", "x", "ok", "when", 2024],
            ["007", "Hello", 3, 2.5, True, when, None],
            ["NA", "", 10**15, -0.5, False, None, "null"],
        ],
    )
    source = open_source(str(path))
    names = ["id", "text", "n", "x", "ok", "when", "2024"]
    assert source.columns == tuple(Column(name) for name in names)
    first = ["007", "Hello", 3, 2.5, True, when, None]
    second = ["NA", None, 10**15, -0.5, False, None, "null"]
    documents = list(source)
    assert documents == [
        Document(0, "t.xlsx, row 2", dict(zip(names, first, strict=True)), "Hello"),
        Document(1, "t.xlsx, row 3", dict(zip(names, second, strict=True)), ""),
    ]
    assert [type(value) for value in documents[0].fields.values()] == list(map(type, first))


def test_blank_rows_count_and_those_at_the_end_do_not(path: Path) -> None:
    write(path, [[], ["id", "text"], ["1", "a"], [], ["2", "b"], ["", ""], []])
    assert [(d.name, d.fields) for d in open_source(str(path))] == [
        ("t.xlsx, row 3", {"id": "1", "text": "a"}),
        ("t.xlsx, row 4", {"id": None, "text": None}),
        ("t.xlsx, row 5", {"id": "2", "text": "b"}),
    ]


def test_columns_with_nothing_in_them_but_a_format_are_left_out(path: Path) -> None:
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["id", "text"])
        sheet.write_row(1, 0, ["1", "a", "b"])
        sheet.write_blank(1, 5, None, book.add_format({"bold": True}))
    source = open_source(str(path))
    assert [column.name for column in source.columns] == ["id", "text", "column_3"]
    assert [document.fields for document in source] == [{"id": "1", "text": "a", "column_3": "b"}]


def test_the_fraction_counts_rows(path: Path) -> None:
    write(path, [["text"], ["a"], ["b"], ["c"]])
    source = open_source(str(path))
    assert source.fraction() == 0.0
    assert [source.fraction() for _ in source] == [0.5, 0.75, 1.0]


def test_an_empty_sheet_is_refused(path: Path) -> None:
    write(path, [])
    with pytest.raises(UsageError) as raised:
        open_source(str(path))
    assert str(raised.value) == (
        't.xlsx has no header in sheet "Sheet1"; its first row has to name the columns'
    )


def test_what_is_no_workbook_is_refused(path: Path) -> None:
    path.write_bytes(b"not a workbook")
    with pytest.raises(UsageError) as raised:
        open_source(str(path))
    assert str(raised.value) == (
        "t.xlsx is text by the name of a workbook: open it in Excel and save it as .xlsx"
    )
