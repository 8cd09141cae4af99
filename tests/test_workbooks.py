"""Excel workbooks through a whole run: sheets, types, formulas and limits."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import openpyxl
import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook

from tests.running import Ended, pipeline, run_here

ECHO = ("--instruction", "Answer.", "--model", "echo")


def run(*arguments: object) -> Ended:
    ended = run_here("run", *arguments, *ECHO)
    assert ended.code == 0, ended.err
    return ended


def write_workbook(path: Path) -> None:
    """Write a workbook as Excel would: with the values that its formulas have."""
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("Cover").write(0, 0, "about")
        sheet = book.add_worksheet("Q1 data")
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        sheet.write_row(0, 0, ["text", "day", "moment", "n", "x", "ok", "sum", "word", "bad"])
        sheet.write(1, 0, "a")
        sheet.write_datetime(1, 1, dt.datetime(2026, 3, 1), day)
        sheet.write_datetime(1, 2, dt.datetime(2026, 3, 1, 14, 30), moment)
        sheet.write_row(1, 3, [7, 2.5, True])
        sheet.write_formula(1, 6, "=D2+E2", None, 9.5)
        sheet.write_formula(1, 7, '="a"&"b"', None, "ab")
        sheet.write_formula(1, 8, "=1/0", None, "#DIV/0!")


def test_a_sheet_of_a_workbook_keeps_its_types_in_a_workbook(tmp_path: Path) -> None:
    write_workbook(tmp_path / "in.xlsx")
    run(tmp_path / "in.xlsx", "-o", tmp_path / "out.xlsx", "--sheet", "Q1 data")
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    assert sheet is not None
    cells = list(sheet[2])[:9]
    moment = dt.datetime(2026, 3, 1, 14, 30)
    first = ["a", dt.datetime(2026, 3, 1), moment, 7, 2.5, True, 9.5, "ab", "#DIV/0!"]
    assert [cell.value for cell in cells] == first
    assert [cell.data_type for cell in cells] == list("sddnnbnss")
    assert (cells[1].number_format, cells[2].number_format[:10]) == ("yyyy-mm-dd", "yyyy-mm-dd")


def test_a_workbook_with_several_sheets_says_which_is_read(tmp_path: Path) -> None:
    write_workbook(tmp_path / "in.xlsx")
    ended = run(tmp_path / "in.xlsx", "-o", tmp_path / "out.csv")
    assert ended.lines[0] == (
        'in.xlsx: has 2 sheets (Cover, Q1 data): using "Cover" (use --sheet to change it)'
    )
    ended = run_here("run", tmp_path / "in.xlsx", "-o", tmp_path / "b.csv", *ECHO, "--sheet", "Q1")
    assert ended.errors == ['error: in.xlsx has no sheet "Q1"; its sheets are Cover, Q1 data']
    run(tmp_path / "in.xlsx", "-o", tmp_path / "2.csv", "--sheet", "2")
    row = (tmp_path / "2.csv").read_text(encoding="utf-8").splitlines()[1].split(",")[:9]
    values = "a 2026-03-01 2026-03-01T14:30:00 7 2.5 true 9.5 ab #DIV/0!"
    assert row == values.split()


def test_a_cell_that_lies_too_far_off_is_named(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "in.xlsx") as book:
        sheet = book.add_worksheet("rows")
        sheet.write_column(0, 0, ["text", "one", "two"])
        sheet.write(1_048_575, 16_383, "lost")
    command = ("run", "in.xlsx", "--instruction", "Sum up.", "-o", "out.csv", "--model", "echo")
    ended = pipeline(*command, folder=tmp_path)
    assert (ended.code, ended.errors) == (
        2,
        [
            'error: in.xlsx, sheet "rows" has a cell XFD1048576, far from its first one, and what '
            "lies between them doesn't fit into memory: delete it, or save the table as .csv"
        ],
    )


def test_leading_zeros_that_a_number_is_shown_with_stay(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["id", "text"])
    numbers = [7, -7, 0, 1234, 7.5, None, "7", dt.date(2026, 3, 1)]
    for number in numbers:
        sheet.append([number, "a"])
        sheet.cell(sheet.max_row, 1).number_format = "000"
    sheet["A9"].number_format = "yyyy-mm-dd"
    sheet["B2"].number_format = "00000"
    sheet["B2"] = 2139
    book.save(tmp_path / "in.xlsx")
    for suffix in ("csv", "xlsx", "jsonl"):
        run(tmp_path / "in.xlsx", "-o", tmp_path / f"out.{suffix}", "--text-column", "text")
    lines = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1:]
    shown = ["007", "-007", "000", "1234", "7.5", "", "7", "2026-03-01"]
    assert [line.split(",")[0] for line in lines] == shown
    assert lines[0].startswith("007,02139,02139,ok")  # what is asked about is what is seen
    cells = [row[0] for row in openpyxl.load_workbook(tmp_path / "out.xlsx").worksheets[0]][1:4]
    assert [(cell.value, cell.number_format) for cell in cells] == [
        (number, "000") for number in (7, -7, 0)
    ]
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines[:4]] == [7, -7, 0, 1234]


def test_a_formula_that_was_never_worked_out_is_said(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["text", "sum"])
    book.active.append(["a", "=1+1"])
    book.save(tmp_path / "in.xlsx")
    ended = run(tmp_path / "in.xlsx", "-o", tmp_path / "out.csv")
    assert ended.lines[0] == (
        "in.xlsx: formulas without a value, which are read as empty: 1; "
        "open the workbook in Excel and save it, which works them out"
    )


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")'])
def test_an_answer_is_never_a_formula(tmp_path: Path, text: str) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": text, text: 1}), encoding="utf-8")
    run(tmp_path / "in.jsonl", "-o", tmp_path / "out.xlsx", "--text-column", "text")
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    assert sheet is not None
    held = {sheet["A2"], sheet["B1"], sheet["C2"]}
    assert {(cell.value, cell.data_type) for cell in held} == {(text, "s")}


def test_the_summary_says_where_a_text_that_excel_cannot_hold_is(tmp_path: Path) -> None:
    text = "0123456789" * 5000
    (tmp_path / "in.csv").write_text(f"text\n{text}\n", encoding="utf-8")
    ended = run(tmp_path / "in.csv", "-o", tmp_path / "out.xlsx")
    assert (
        "  Excel holds 32,767 characters in a cell: "
        "the longer ones (2) are whole on the sheet “long cells” only"
    ) in ended.lines
    sheet = CalamineWorkbook.from_path(tmp_path / "out.xlsx").get_sheet_by_name("long cells")
    parts = [row[4] for row in sheet.to_python()[1:]]
    assert "".join(map(str, parts)) == text * 2


def test_more_columns_than_a_sheet_has_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    names = ["text", *(f"c{number}" for number in range(16_380))]
    (tmp_path / "in.csv").write_text(f"{','.join(names)}\nhello\n", encoding="utf-8")
    ended = pipeline("run", "in.csv", "-o", "out.xlsx", *ECHO, folder=tmp_path)
    assert (ended.code, ended.errors) == (
        2,
        [
            "error: Excel holds 16,384 columns and the output has 16,394: "
            "give it a name in .csv, .parquet or .jsonl"
        ],
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
