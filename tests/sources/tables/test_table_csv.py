from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.sources.opening import open_source
from pipeline.types import Column

Rows = list[tuple[str, dict[str, object], str | None]]


def read(path: Path) -> Rows:
    return [(d.name.split(", ")[1], dict(d.fields), d.error) for d in open_source(str(path))]


def table(tmp_path: Path, data: bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        pytest.param(
            b"a,b\n007,NA\n,null\n 1.0 ,None\n",
            [("2", "007", "NA"), ("3", "", "null"), ("4", " 1.0 ", "None")],
            id="cells stay as they are",
        ),
        pytest.param(b"a,b\r\n1,2\r\n", [("2", "1", "2")], id="Windows line ends"),
        pytest.param(b"a,b\r1,2\r", [("2", "1", "2")], id="old Mac line ends"),
        pytest.param(b"a,b\n1,2", [("2", "1", "2")], id="no line end at the end"),
        pytest.param(b'a,b\n1,"2"', [("2", "1", "2")], id="a quote at the end"),
        pytest.param(
            b'a,b\n"x\r\ny\nz",2\n3,4\n',
            [("2", "x\r\ny\nz", "2"), ("5", "3", "4")],
            id="quoted line breaks stay, and count as lines",
        ),
        pytest.param(
            b'a,b\n"say ""hi""","1,2"\n', [("2", 'say "hi"', "1,2")], id="quotes in quotes"
        ),
        pytest.param(b'a,b\n5" screen,"x" \n', [("2", '5" screen', "x")], id="stray quotes"),
        pytest.param(
            b"a,b\n\n1,2\n\n   \n3,4\n\n", [("3", "1", "2"), ("6", "3", "4")], id="blank lines"
        ),
        pytest.param(b"a,b\n,\n1,2\n", [("2", "", ""), ("3", "1", "2")], id="empty cells"),
        pytest.param(b"\n\na,b\n1,2\n", [("4", "1", "2")], id="blank lines before the header"),
        pytest.param(b"a,b\n1,x\0y\n", [("2", "1", "x\0y")], id="NUL"),
        pytest.param(b"\xef\xbb\xbfa,b\n1,\xc3\xa9\n", [("2", "1", "é")], id="byte-order mark"),
        pytest.param(b'\xef\xbb\xbf"a",b\n1,2\n', [("2", "1", "2")], id="mark and quote"),
        pytest.param("a,b\n1,é\n".encode("utf-16"), [("2", "1", "é")], id="UTF-16"),
        pytest.param("a,b\n1,café\n".encode("cp1252"), [("2", "1", "café")], id="cp1252"),
        pytest.param(b"a,b\n" + b"1,x\xe2\x80\xa8y\n", [("2", "1", "x\u2028y")], id="U+2028"),
        pytest.param(b"a;b\n1,5;x\n", [("2", "1,5", "x")], id="semicolons"),
        pytest.param(b"a\tb\n1,5\tx\n", [("2", "1,5", "x")], id="tabs"),
        pytest.param(b"a|b\n1,5|x\n", [("2", "1,5", "x")], id="bars"),
        pytest.param(b'"a";"b"\n1;"x,y,z"\n', [("2", "1", "x,y,z")], id="quoted header"),
    ],
)
def test_cells_come_out_as_they_stand(
    tmp_path: Path, data: bytes, rows: list[tuple[str, str, str]]
) -> None:
    expected = [(f"line {line}", {"a": a, "b": b}, None) for line, a, b in rows]
    assert read(table(tmp_path, data)) == expected


@pytest.mark.parametrize(
    ("data", "cells"),
    [
        (b"text\nhello\n\nbye\n", ["hello", "", "bye"]),
        (b'text\nhello\n""\n', ["hello", ""]),
        (b'"Question, please"\nhello\n', ["hello"]),
    ],
)
def test_a_blank_line_of_a_single_column_is_a_row(
    tmp_path: Path, data: bytes, cells: list[str]
) -> None:
    assert [document.text for document in open_source(str(table(tmp_path, data)))] == cells


def test_long_cells_are_read_and_other_readers_of_the_process_keep_their_limit(
    tmp_path: Path,
) -> None:
    before = csv.field_size_limit()
    text = "word " * (before // 2)
    path = table(tmp_path, f'a,b\n1,"{text}"\n'.encode())
    assert read(path) == [("line 2", {"a": "1", "b": text}, None)]
    assert csv.field_size_limit() == before
    with pytest.raises(csv.Error):
        list(csv.reader([text]))


def test_a_long_row_fails_and_its_last_cell_keeps_the_rest(tmp_path: Path) -> None:
    path = table(tmp_path, b"a,text\n1,2\n3,4,5\n6,7\n")
    assert [(d.fields, d.text, d.error) for d in open_source(str(path))] == [
        ({"a": "1", "text": "2"}, "2", None),
        ({"a": "3", "text": "4,5"}, "", "t.csv, line 3: 3 cells, the header has 2"),
        ({"a": "6", "text": "7"}, "7", None),
    ]


def test_a_quote_that_is_never_closed_fails_its_row(tmp_path: Path) -> None:
    rows = read(table(tmp_path, b'a,b\n1,2\n3,"four\n5,6\n'))
    assert rows == [
        ("line 2", {"a": "1", "b": "2"}, None),
        (
            "line 3",
            {"a": "3", "b": "four\n5,6\n"},
            "t.csv, line 3: a quote is opened and never closed",
        ),
    ]


def test_columns_are_text_and_their_names_unique(tmp_path: Path) -> None:
    source = open_source(str(table(tmp_path, b"a,,a\n1,2,3\n")))
    assert source.columns == (
        Column("a", "text"),
        Column("column_2", "text"),
        Column("a_2", "text"),
    )
    assert [document.fields for document in source] == [{"a": "1", "column_2": "2", "a_2": "3"}]


def test_a_cell_may_be_larger_than_the_csv_module_allows(tmp_path: Path) -> None:
    cell = "x" * 300_000
    assert read(table(tmp_path, f"a,b\n1,{cell}\n".encode())) == [
        ("line 2", {"a": "1", "b": cell}, None)
    ]


def test_a_tsv_has_tabs_whatever_its_header(tmp_path: Path) -> None:
    path = table(tmp_path, b"Name, first\tAge, years\nAda\t36\n", "t.tsv")
    assert read(path) == [("line 2", {"Name, first": "Ada", "Age, years": "36"}, None)]


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf", b",,\n1,2,3\n"])
def test_a_table_without_a_header_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UsageError) as raised:
        open_source(str(table(tmp_path, data)))
    assert str(raised.value) == "t.csv has no header; its first line has to name the columns"


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    source = open_source(str(table(tmp_path, b"id,text\n")))
    assert list(source) == []
    assert source.fraction() == 1.0


def test_a_table_that_changes_under_the_reader_stops_with_a_line(tmp_path: Path) -> None:
    path = table(tmp_path, b"id,text\n1,a\n")
    source = open_source(str(path))
    path.write_bytes(b"id,text\n1,\xff\n")
    with pytest.raises(UsageError) as raised:
        list(source)
    assert str(raised.value) == "t.csv changed while it was read; run again"


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=5),
    # The writer leaves a lone \r without quotes when its lines end in \n.
    written=st.sampled_from([("\r\n", csv.QUOTE_MINIMAL), ("\n", csv.QUOTE_ALL)]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_the_csv_module_wrote_comes_back(
    tmp_path: Path, rows: list[list[str]], written: tuple[str, int], encoding: str
) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator=written[0], quoting=written[1])
    writer.writerows([["a", "b", "c"], *rows])
    path = table(tmp_path, file.getvalue().encode(encoding))
    assert [list(fields.values()) for _, fields, _ in read(path)] == rows
