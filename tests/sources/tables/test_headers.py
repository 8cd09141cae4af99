"""Tables with rows above their header: which row it is, and when that is asked for."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest
import xlsxwriter

from pipeline.errors import UsageError
from pipeline.sources.base import Source
from pipeline.sources.opening import open_source
from pipeline.sources.tables.table import Dialect
from tests.running import pipeline
from tests.sources.samples import xlsx

Rows = list[Sequence[object]]

TITLE = "Ticket export Q3 2026"
HEADER = ["ID", "Created", "Text", "Product", "Gold Label"]
TICKETS: Rows = [
    ["007", "2026-07-01", "It is broken", "Printer", "bug"],
    ["008", "2026-07-02", "It is great", "Scanner", "praise"],
    ["009", "", "It is dear", "", "billing"],
]
MESSY: Rows = [[TITLE], ["by", "Anna"], [], HEADER, *TICKETS]
CSV = (
    f"{TITLE}\n\nID,Text,Label\n007,It is broken,bug\n008,It is great,praise\n009,It is dear,bug\n"
)
NAMED = Dialect(header_row=3)
DOUBTING = Dialect(doubts_header=True)


def table(tmp_path: Path, data: bytes | str, name: str) -> Path:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def cells(source: Source) -> list[list[object]]:
    """Give the names of the columns and the rows."""
    rows = [list(document.fields.values()) for document in source]
    return [[column.name for column in source.columns], *rows]


def refusal(path: Path, dialect: Dialect = DOUBTING) -> str:
    with pytest.raises(UsageError) as raised:
        open_source(str(path), dialect=dialect)
    return str(raised.value)


def merged(path: Path) -> Path:
    """Write a workbook with a title over all columns, as exports have it."""
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("Tickets")
        sheet.merge_range(0, 0, 0, len(HEADER) - 1, TITLE)
        for number, row in enumerate(MESSY[1:], 1):
            sheet.write_row(number, 0, row)
    return path


def test_a_title_is_not_taken_for_the_header(tmp_path: Path) -> None:
    path = merged(tmp_path / "in.xlsx")
    for options in ([], ["--expected", "Gold Label"]):
        command = ("classify", path, "--labels", "bug,praise", *options, "-o", "out.csv")
        ended = pipeline(*command, "--model", "echo", folder=tmp_path)
        assert (ended.code, ended.errors) == (
            2,
            [
                f'error: in.xlsx, sheet "Tickets": the first row, "{TITLE}", names few of the '
                "columns; if row 4 is the header, add --header-row 4 "
                "(or --header-row 1 to take the first as it is)"
            ],
        )
        assert [path.name for path in tmp_path.iterdir()] == ["in.xlsx"]


def test_what_is_above_the_header_is_no_part_of_the_table(tmp_path: Path) -> None:
    path, output = merged(tmp_path / "in.xlsx"), tmp_path / "out.csv"
    named = ("--header-row", "4", "--text-column", "Text", "--model", "echo")
    command = ("run", path, "-o", output, "--instruction", "Answer.")
    ended = pipeline(*command, *named, folder=tmp_path)
    assert ended.code == 0, ended.err
    header, *rows = output.read_text(encoding="utf-8").splitlines()
    assert header.startswith("ID,Created,Text,Product,Gold Label,output,status,")
    assert [row.partition(",ok,")[0] for row in rows] == [
        "007,2026-07-01,It is broken,Printer,bug,It is broken",
        "008,2026-07-02,It is great,Scanner,praise,It is great",
        "009,,It is dear,,billing,It is dear",
    ]
    # An output is a table like another, and its first row its header.
    assert cells(open_source(str(output), dialect=DOUBTING))[0][:3] == HEADER[:3]
    ended = pipeline("estimate", path, "-p", "summarize", *named, folder=tmp_path)
    assert "3 rows, 3 requests to echo" in ended.out


def test_rows_are_counted_as_the_sheet_shows_them(tmp_path: Path) -> None:
    rows: Rows = [[], ["", "Title"], [], ["", "", "id", "text"], ["", "", 7, "a"], [], ["", "", 8]]
    path = table(tmp_path, xlsx(*rows), "t.xlsx")
    source = open_source(str(path), dialect=Dialect(header_row=4))
    # Nor are the columns that have a title and nothing else part of the table.
    assert [(document.name, document.fields) for document in source] == [
        ("t.xlsx, row 5", {"id": 7, "text": "a"}),
        ("t.xlsx, row 6", {"id": None, "text": None}),
        ("t.xlsx, row 7", {"id": 8, "text": None}),
    ]
    assert source.fraction() == 1.0


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_lines_above_the_header_have_no_say(
    tmp_path: Path, name: str, line_end: str, delimiter: str
) -> None:
    wanted = Dialect(header_row=4, delimiter=delimiter if name == "t.tsv" else None)
    lines = [TITLE, '"by, or; for:', 'Anna"', "", delimiter.join(HEADER)]
    lines += [delimiter.join(map(str, row)) for row in TICKETS]
    path = table(tmp_path, line_end.join(lines), name)
    source = open_source(str(path), dialect=wanted)
    assert cells(source) == [HEADER, *TICKETS]
    # A row is what a spreadsheet shows as one; an error names the line, which an editor shows.
    assert next(iter(source)).name == f"{name}, line 6"


def test_a_line_that_says_the_delimiter_is_no_row(tmp_path: Path) -> None:
    path = table(tmp_path, "sep=#\nTitle##\na#b#c\n1#x#y\n", "t.csv")
    assert "if row 2 is the header, add --header-row 2 (or --header-row 1 " in refusal(path)
    source = open_source(str(path), dialect=Dialect(header_row=2))
    assert cells(source) == [["a", "b", "c"], ["1", "x", "y"]]


def test_any_row_can_be_the_header(tmp_path: Path) -> None:
    """It may stand where the file's beginning, which is looked at, has ended long ago."""
    path = table(tmp_path, "above the table\n" * 10_000 + "a;a;;c\n1;2;3;4\n", "t.csv")
    source = open_source(str(path), dialect=Dialect(header_row=10_001))
    assert cells(source) == [["a", "a_2", "column_3", "c"], ["1", "2", "3", "4"]]
    assert source.notices == [
        't.csv: another column "a" is called "a_2", a column without a name is called "column_3"'
    ]


def test_the_last_row_can_be_the_header(tmp_path: Path) -> None:
    path = table(tmp_path, CSV, "t.csv")
    assert cells(open_source(str(path), dialect=Dialect(header_row=6))) == [
        ["009", "It is dear", "bug"]
    ]


@pytest.mark.parametrize(
    ("name", "where"), [("t.csv", "t.csv"), ("t.xlsx", 't.xlsx, sheet "Prices"')]
)
def test_a_row_that_is_not_there_or_empty_is_no_header(
    tmp_path: Path, name: str, where: str
) -> None:
    data = xlsx(["a"], [], ["b"]) if name == "t.xlsx" else b"a\n\nb\n"
    path = table(tmp_path, data, name)
    assert refusal(path, Dialect(header_row=4)) == (
        f"--header-row 4: {where} has no such row, its last one is row 3"
    )
    assert refusal(path, Dialect(header_row=2)) == (
        f"--header-row 2: this row of {where} is empty; name the one that names the columns"
    )


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet", "t.txt", "."])
def test_what_has_no_header_takes_no_row_for_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name != ".":
        data = "PAR1" if path.suffix == ".parquet" else '{"text": "a"}\n'
        path.write_text(data, encoding="utf-8")
    called = name if path.suffix in (".jsonl", ".parquet") else path
    assert refusal(path, Dialect(header_row=1)) == (
        f"--header-row is of a workbook, a .csv or a .tsv table, and {called} is none; "
        "leave --header-row out"
    )


TITLED = {
    "a title and blank lines": CSV,
    "a title padded with delimiters": "Q3 2026,,,\n,,,\nid,made,text,label\n1,2,a,b\n",
    "a title alone above the header": f"{TITLE},,\nid,text,label\n",
    "semicolons": CSV.replace(",", ";"),
    "semicolons under a title with commas": CSV.replace(",", ";").replace("Q3", "Q3, of"),
    "tabs": CSV.replace(",", "\t"),
    "commas in semicolons": CSV.replace(",", ";").replace("broken", "broken, and wet"),
    "a column without a name": CSV.replace("ID,Text,Label", "ID,Text,Label,").replace("\n0", "\n,"),
    "a group of columns above": "Customer,,,Ticket,,\nid,name,mail,no,text,label\n1,2,3,4,5,6\n",
    "years": "Complaints,,,\nregion,2025,2026,2027\nNorth,1,2,3\n",
}


@pytest.mark.parametrize("case", TITLED)
def test_lines_of_text_above_the_header_are_doubted(tmp_path: Path, case: str) -> None:
    data = TITLED[case]
    starts = ("ID", "id", "region")
    number = next(i for i, line in enumerate(data.split("\n"), 1) if line.startswith(starts))
    said = refusal(table(tmp_path, data, "t.csv"))
    assert said.startswith('t.csv: the first row, "')
    assert f"; if row {number} is the header, add --header-row {number} (or --header-row 1 " in said


def test_a_long_title_is_said_in_part(tmp_path: Path) -> None:
    said = refusal(table(tmp_path, xlsx(["x" * 99], ["a", "b", "c"]), "t.xlsx"))
    assert f'the first row, "{"x" * 59}…", names' in said


def test_blank_cells_above_the_header_are_pointed_at(tmp_path: Path) -> None:
    assert refusal(table(tmp_path, ",,\n,,\nid,text,label\n", "t.csv")) == (
        "t.csv has no header; its first line has to name the columns; "
        "if row 3 is the header, add --header-row 3"
    )


ORDINARY = {
    "one column": "text\nhello\nbye\n",
    "one column of prose": "text\nred, green, blue\nWell, it is fine, and so on\nYes\nNo, no\n",
    "one column of lists": "tags\na;b;c\nb;c;a\na;d;c\nb;b;b\n",
    "one column with more semicolons": "text\na; b; c\nd\ne; f\n",
    "two columns": "id,text\n1,a\n2,b\n",
    "an index without a name": ",text\n0,a\n1,b\n",
    "an index and a name": ",text,label\n0,a,b\n1,c,d\n",
    "half of the names": "id,text,,\n1,a,b,c\n",
    "decimal commas": "day;a;b;c\n1;1,5;2,5;3,5\n2;1,6;2,6;3,6\n3;1,7;2,7;3,7\n",
    "nothing but numbers below": "total,,\n1,2,3\n4,5,6\n",
    "a header and no rows": "id,text,label\n",
    "one row that is too long": "id,text\n1,a\n2,b,c,d,e,f\n",
    "sparse rows": "a,b,c,d\n1,,,\n,2,,\n,,3,4\n",
}


@pytest.mark.parametrize("case", ORDINARY)
def test_an_ordinary_table_is_not_doubted(tmp_path: Path, case: str) -> None:
    path = table(tmp_path, ORDINARY[case], "t.csv")
    assert cells(open_source(str(path), dialect=DOUBTING)) == cells(open_source(str(path)))
    rows = cells(open_source(str(path)))
    book = table(tmp_path, xlsx(*rows), "t.xlsx")
    assert cells(open_source(str(book), dialect=DOUBTING))[0] == rows[0]


def test_a_note_far_to_the_right_makes_no_title_of_the_header(tmp_path: Path) -> None:
    rows: Rows = [["id", "text"], [1, "a", *[""] * 10, "a note"], [2, "b"]]
    path = table(tmp_path, xlsx(*rows), "t.xlsx")
    assert len(open_source(str(path), dialect=DOUBTING).columns) == 13


def test_only_an_input_is_doubted(tmp_path: Path) -> None:
    """The tables that no --header-row is of are read as they are."""
    path = table(tmp_path, CSV.replace(TITLE, f"{TITLE},,"), "t.csv")
    assert open_source(str(path)).columns[0].name == TITLE


def test_the_first_row_is_the_header_if_the_user_says_so(tmp_path: Path) -> None:
    path = table(tmp_path, xlsx(*MESSY), "t.xlsx")
    source = open_source(str(path), dialect=Dialect(header_row=1, doubts_header=True))
    assert cells(source)[0] == [TITLE, "column_2", "column_3", "column_4", "column_5"]
    assert len(list(source)) == len(MESSY) - 1


def test_a_zipped_table_has_a_header_row(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", CSV)
    assert refusal(tmp_path / "t.zip").startswith("t.zip/t.csv: the first row, ")
    source = open_source(str(tmp_path / "t.zip"), dialect=NAMED)
    assert cells(source)[0] == ["ID", "Text", "Label"]


def test_a_table_elsewhere_has_a_header_row(tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    files.pipe({"/titled/t.csv": CSV.encode()})
    with pytest.raises(UsageError, match=r"^t\.csv: the first row, "):
        open_source("memory://titled/t.csv", fetch_to=tmp_path, dialect=DOUBTING)
    source = open_source("memory://titled/t.csv", fetch_to=tmp_path, dialect=NAMED)
    assert cells(source)[0] == ["ID", "Text", "Label"]
    files.rm("/titled", recursive=True)


def test_what_is_piped_in_with_a_header_row_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def pipe(data: str) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data.encode())))

    pipe(CSV)
    assert cells(open_source("-", dialect=NAMED))[:2] == [
        ["ID", "Text", "Label"],
        ["007", "It is broken", "bug"],
    ]
    pipe(TITLED["a title padded with delimiters"])
    with pytest.raises(UsageError, match=r"^standard input: the first row, .*--header-row 3 "):
        open_source("-", dialect=DOUBTING)
    pipe('{"text": "a"}\n')
    with pytest.raises(UsageError, match=r"^--header-row is of .* and standard input is none"):
        open_source("-", dialect=NAMED)
