"""Workbooks as they are shown: what is hidden or merged, and how numbers and dates look."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter

from pipeline.errors import UsageError
from pipeline.outputs.tables import write_table
from pipeline.sources.base import Source
from pipeline.sources.opening import open_source
from pipeline.sources.tables.table import Dialect
from tests.mutations import ods
from tests.running import run_here

ROWS: list[list[object]] = [["id", "text", "note"], [1, "one", "a"], [2, "two", "b"], [3, "x", "c"]]
ECHO = ("--instruction", "Answer.", "--model", "echo")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.xlsx"


def write(
    path: Path, alter: Callable[[Any, Any], object], rows: Any = ROWS, **book: object
) -> Source:
    with xlsxwriter.Workbook(path, book) as made:
        sheet = made.add_worksheet("S")
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
        alter(made, sheet)
    return open_source(str(path), dialect=Dialect(doubts_header=True))


def cells(source: Source) -> list[list[object]]:
    return [list(document.fields.values()) for document in source]


def test_hidden_rows_and_columns_are_told_and_read(path: Path) -> None:
    def hide(_: object, sheet: Any) -> None:
        sheet.set_row(2, None, None, {"hidden": True})
        sheet.set_column(2, 2, None, None, {"hidden": True})

    source = write(path, hide)
    assert source.notices == [
        "t.xlsx: hidden, but read: 1 row and 1 column (note) (--hidden skip leaves them out)"
    ]
    assert len(cells(source)) == 3


def test_hidden_rows_and_columns_are_left_out_where_asked_for(path: Path) -> None:
    def hide(_: object, sheet: Any) -> None:
        sheet.set_row(2, None, None, {"hidden": True})
        sheet.set_column(0, 0, None, None, {"hidden": True})

    write(path, hide)
    ended = run_here("run", path, "-o", path.with_name("out.csv"), "--hidden", "skip", *ECHO)
    assert ended.code == 0, ended.err
    assert "t.xlsx: hidden, and left out: 1 row and 1 column (id)" in ended.lines
    source = open_source(str(path), dialect=Dialect(hidden="skip"))
    assert [(d.name, dict(d.fields)) for d in source] == [
        ("t.xlsx, row 2", {"text": "one", "note": "a"}),
        ("t.xlsx, row 4", {"text": "x", "note": "c"}),
    ]


def test_rows_that_a_filter_hides_are_told(path: Path) -> None:
    def hide(_: object, sheet: Any) -> None:
        sheet.autofilter(0, 0, 3, 2)
        sheet.filter_column(1, "x == one")
        for row in (2, 3):
            sheet.set_row(row, options={"hidden": True})

    assert "hidden, but read: 2 rows" in str(write(path, hide).notices)


def test_what_is_hidden_is_known_of_xlsx_only(tmp_path: Path) -> None:
    (tmp_path / "t.ods").write_bytes(ods())
    with pytest.raises(UsageError) as raised:
        open_source(str(tmp_path / "t.ods"), dialect=Dialect(hidden="skip"))
    assert str(raised.value) == (
        "--hidden skip: only an .xlsx says what is hidden; save t.ods as .xlsx, or leave --hidden "
        "out"
    )


def test_merged_cells_are_told(path: Path) -> None:
    source = write(path, lambda _, sheet: sheet.merge_range("C2:C4", "a"))
    assert source.notices == [
        "t.xlsx: merged cells, of which all but the first are read as empty: C2:C4"
    ]


TWO_ROWS = [["Customer", "", "Ticket", ""], ["name", "city", "date", "text"]]
BELOW = [["Ann", "Bonn", "1 May", "hello there my friend"], ["Bob", "Ulm", "2 May", "good bye now"]]
DOUBT = (
    'the first row, "Customer, Ticket", names few of the columns; if row 2 is the header, '
    "add --header-row 2 (or --header-row 1 to take the first as it is)"
)


def test_a_header_of_two_rows_is_doubted(path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        write(path, lambda _, sheet: sheet.merge_range("A1:B1", "Customer"), [*TWO_ROWS, *BELOW])
    assert str(raised.value) == f't.xlsx, sheet "S": {DOUBT}'


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_header_of_two_rows_is_doubted_in_text(tmp_path: Path, delimiter: str) -> None:
    lines = [delimiter.join(row) for row in [*TWO_ROWS, *BELOW]]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(UsageError) as raised:
        open_source(str(tmp_path / "t.csv"), dialect=Dialect(doubts_header=True))
    assert str(raised.value) == f"t.csv: {DOUBT}"


@pytest.mark.parametrize(
    "text",
    [
        "id,,text\n1,Bonn,hello there\n2,Ulm,good bye\n",
        "name,,city,\nAnn,Smith,Bonn,Germany\nBob,Jones,Ulm,Germany\n",
        ",id,text\n0,1,hello there\n1,2,good bye\n",
        "a,,b,\n,,,\nx,y,z,w\n",
    ],
)
def test_columns_without_a_name_are_no_groups(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert open_source(str(tmp_path / "t.csv"), dialect=Dialect(doubts_header=True)).columns


def test_an_export_of_numbers_names_its_other_sheets(path: Path) -> None:
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("Export Summary").write_column(
            0, 0, ["This document was exported from Numbers.", "Sheet 1 - Table 1"]
        )
        book.add_worksheet("Sheet 1 - Table 1").write_column(0, 0, ["Table 1"])
        for number, row in enumerate([["id", "text"], [1, "a"]], 1):
            book.worksheets()[1].write_row(number, 0, row)
    with pytest.raises(UsageError) as raised:
        open_source(str(path), dialect=Dialect(doubts_header=True))
    assert str(raised.value).endswith('choose one with --sheet "Sheet 1 - Table 1"')
    with pytest.raises(UsageError, match="add --header-row 2"):
        open_source(str(path), dialect=Dialect(doubts_header=True, sheet="2"))


SHOWN: list[tuple[float, str, object]] = [
    (0.15, "0%", 0.15),
    (1234.5, '#,##0.00 "€"', 1234.5),
    (30 / 24 + 5 / 1440, "[h]:mm:ss", "30:05:00"),
    (1.25, "[h]:mm", "30:00:00"),
    (7 / 24, "hh:mm", dt.time(7, 0)),
    (-0.5, "hh:mm", -0.5),
    (-1.25, "dd.mm.yyyy", -1.25),
    (45000, "dd.mm.yyyy", dt.date(2023, 3, 15)),
    (45000, "d. mmmm yyyy", dt.date(2023, 3, 15)),
    (60, "yyyy-mm-dd", "1900-02-29"),
    (60.5, "yyyy-mm-dd hh:mm", "1900-02-29T12:00:00"),
    (0, "yyyy-mm-dd", "1900-01-00"),
    (61, "yyyy-mm-dd", dt.date(1900, 3, 1)),
    (5, '0 "days"', 5),
]


@pytest.mark.parametrize(("number", "look", "value"), SHOWN)
def test_numbers_and_dates_are_read_as_they_are_shown_and_keep_their_format(
    path: Path, number: float, look: str, value: object
) -> None:
    def add(book: Any, sheet: Any) -> None:
        sheet.write_number(1, 1, number, book.add_format({"num_format": look}))

    source = write(path, add, [["text", "n"], ["a"]])
    rows = [dict(document.fields) for document in source]
    found = rows[0]["n"]
    assert (str(found) if isinstance(value, str) else found) == value
    output = path.with_name("out.xlsx")
    write_table(output, source.columns, rows)
    cell = openpyxl.load_workbook(output).active["B2"]  # type: ignore[index]
    assert cell.number_format == ("General" if isinstance(found, str) else look)


@pytest.mark.parametrize(("number", "value"), [(0.5, dt.datetime(1904, 1, 1, 12)), (45000, None)])
def test_dates_that_count_from_1904(path: Path, number: float, value: object) -> None:
    def add(book: Any, sheet: Any) -> None:
        sheet.write_number(1, 1, number, book.add_format({"num_format": "yyyy-mm-dd"}))

    source = write(path, add, [["text", "n"], ["a"]], date_1904=True)
    assert cells(source)[0][1] == (value or dt.date(2027, 3, 16))


def test_a_column_with_several_formats_has_none_of_them(path: Path) -> None:
    def add(book: Any, sheet: Any) -> None:
        sheet.write_number(1, 1, 0.5, book.add_format({"num_format": "0%"}))
        sheet.write_number(2, 1, 0.5, book.add_format({"num_format": '0.0 "EUR"'}))

    source = write(path, add, [["text", "n"], ["a"], ["b"]])
    assert [column.number_format for column in source.columns] == [None, None]


ODS_CELLS = [
    ("<text:p>b<text:line-break/>c</text:p>", "b\nc"),
    ("<text:p>b</text:p><text:p>c</text:p>", "b\nc"),
    ("<text:p>b<text:tab/>c<text:line-break />d</text:p>", "b\tc\nd"),
    ("<office:annotation><text:p>note</text:p></office:annotation><text:p>b</text:p>", "b"),
]


@pytest.mark.parametrize(("xml", "text"), ODS_CELLS)
def test_texts_of_an_ods_have_their_lines_and_no_comments(
    tmp_path: Path, xml: str, text: str
) -> None:
    row = "<table:table-row>{}</table:table-row>"
    cell = '<table:table-cell office:value-type="string">{}</table:table-cell>'
    data = row.format(cell.format("<text:p>text</text:p>")) + row.format(cell.format(xml))
    (tmp_path / "t.ods").write_bytes(ods(data))
    assert cells(open_source(str(tmp_path / "t.ods"))) == [[text]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("PT30H05M00S", "30:05:00"),
        ("PT00H05M00S", "00:05:00"),
        ("PT100H00M01.5S", "100:00:01.500000"),
    ],
)
def test_durations_of_an_ods_are_hours_and_minutes(tmp_path: Path, value: str, text: str) -> None:
    row = "<table:table-row>{}</table:table-row>"
    name = '<table:table-cell office:value-type="string"><text:p>n</text:p></table:table-cell>'
    cell = f'<table:table-cell office:value-type="time" office:time-value="{value}"/>'
    (tmp_path / "t.ods").write_bytes(ods(row.format(name) + row.format(cell)))
    assert [str(cell) for (cell,) in cells(open_source(str(tmp_path / "t.ods")))] == [text]
