"""Text tables as programs and people write them: read as they were meant, or refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.sources.opening import open_source
from pipeline.sources.tables.cells import Style
from pipeline.sources.tables.styles import find_style
from pipeline.sources.tables.table import Dialect

Row = tuple[str, ...]


def read(tmp_path: Path, data: bytes | str, name: str = "t.csv", **said: str) -> list[Row | str]:
    """Return the header and the rows; of a row that can't be used, why."""
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    source = open_source(str(path), dialect=Dialect(doubts_header=True, **said))  # type: ignore[arg-type]
    rows = [document.error or tuple(map(str, document.fields.values())) for document in source]
    return [tuple(column.name for column in source.columns), *rows]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        # Rows that end in the delimiter.
        ("id,text\n1,a,\n2,b,\n", "id|text;1|a;2|b"),
        ("id,text\n1,a,\n2,b\n", "id|text;1|a;2|b"),
        ("id;text\n1;a;;;\n2;b\n", "id|text;1|a;2|b"),
        ("id,text,\n1,a\n2,b,\n", "id|text|column_3;1|a|;2|b|"),
        # Spaces before quotes.
        ('id, text\n1, "a, b"\n2, "c"\n', "id|text;1|a, b;2|c"),
        ('id, text\n1, "a"\n2, "c"\n', "id|text;1|a;2|c"),
        ('id;  text\n1;  "a; b"\n2;"c"\n'.replace("; b", ", b"), "id|text;1|a, b;2|c"),
        ('id,text\n1, "say ""no"", please"\n2, x\n', 'id|text;1|say "no", please;2|x'),
        ('"id" , "text"\n"1" , "a, b"\n', "id|text;1|a, b"),
        # Quotes escaped by a backslash.
        ('id,text\n1,"say \\"no\\", now"\n2,"b"\n', 'id|text;1|say "no", now;2|b'),
        ('id,text\n1,"say \\"no\\" now"\n2,"b"\n', 'id|text;1|say "no" now;2|b'),
        ('id,text\n1,"\\"no\\""\n2,"C:\\\\dir"\n', 'id|text;1|"no";2|C:\\dir'),
        ('id\ttext\n1\t"a \\"b\\"\tc"\n2\tC:\\new\n', 'id|text;1|a "b"\tc;2|C:\\new'),
        ("id,text\n1,a\\, b\n2,c\\, d\n3,e\n", "id|text;1|a, b;2|c, d;3|e"),
        # Apostrophes as quotes.
        ("id,text\n1,'a, b'\n2,'c'\n", "id|text;1|a, b;2|c"),
        ("id,text\n1,'it''s, no'\n2,'c'\n", "id|text;1|it's, no;2|c"),
        ("'id','text'\n'1','a'\n'2','b'\n", "id|text;1|a;2|b"),
        # A single column of texts.
        ("text\na, b, c\nno comma\nd, e\n", "text;a, b, c;no comma;d, e"),
        ('text\na, b\n"c, d"\n"Yes", she said\n', 'text;a, b;c, d;"Yes", she said'),
        ("text\n50 % off, today\n'tis, so it is\n", "text;50 % off, today;'tis, so it is"),
        # Delimiters of several characters, and of none that is printed.
        ("id||text\n1||a, b\n2||c\n", "id|text;1|a, b;2|c"),
        ("id\x01text\n1\x01a, b\n2\x01c\n", "id|text;1|a, b;2|c"),
        ("id\x1ftext\n1\x1fa\n2\x1f\"b\x1fc\"\n", "id|text;1|a;2|b\x1fc"),
        ("id::text\n1::a: b\n2::c\n", "id|text;1|a: b;2|c"),
        ("id^text\n1^a, b\n2^c\n", "id|text;1|a, b;2|c"),
        # A line that says the delimiter.
        ("sep=,\nid,text\n1,a\n", "id|text;1|a"),
        ("SEP=\t\r\nid\ttext\r\n1\ta, b\r\n", "id|text;1|a, b"),
        # Carriage returns in texts of a file whose lines end otherwise.
        ("id,text\n1,a\rb\n2,c\n", "id|text;1|a\rb;2|c"),
        ("id,text\r\n1,a\rb\r\n2,c\r\n", "id|text;1|a\rb;2|c"),
        ("text\na\rb\nc\nd\n", "text;a\rb;c;d"),
        # Byte-order marks.
        ("\ufeff\ufeffid,text\n1,a\n", "id|text;1|a"),
        ('\ufeff\ufeff"id","text"\n1,a\n', "id|text;1|a"),
        ("\ufeffid,text\n1,a\n\ufeffid,text\n2,b\n", "id|text;1|a;2|b"),
        ('id,text\n1,a\n\ufeff"id","text"\n2,b\n', "id|text;1|a;2|b"),
        ("id,text\n1,a\ufeffb\n2,\ufeff\n", "id|text;1|a\ufeffb;2|\ufeff"),
    ],
)  # fmt: skip
def test_a_table_is_read_as_its_writer_meant(tmp_path: Path, text: str, rows: str) -> None:
    meant = rows.replace("; ", "\0").split(";")
    assert read(tmp_path, text) == [tuple(row.replace("\0", "; ").split("|")) for row in meant]


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("a,b,c\n1,2\n3,4,5\n", {1: "line 2: 2 cells, the header has 3"}),
        ("a,b,c\n1,2,3,4\n3,4,5\n", {1: "line 2: 4 cells, the header has 3"}),
        (
            "a,b,c\n1,first half\nsecond half,3\n4,5,6\n",
            {1: "line 2: 2 cells, the header has 3", 2: "line 3: 2 cells, the header has 3"},
        ),
        ("a,b,c\n1,x, y,\n2,z,\n", {1: "line 2: 4 cells, the header has 3"}),
        ("a,b,c\n1,x, y,\n2,z,q,\n", {1: "line 2: 4 cells, the header has 3"}),
        (
            "a,b\n1,2\na,b\n3,4\n",
            {2: "line 3: the header again, as if two files were put together"},
        ),
        (
            'a,b\n1,"say "no" now"\n3,4\n5,6\n',
            {
                1: "line 2: text behind the closing quote of a cell "
                "(a quote inside of quotes has to be doubled)"
            },
        ),
        (
            'a,b\n"one\n"two" and three",4\n5,6\n',
            {
                1: "line 2: text behind the closing quote of a cell "
                "(a quote inside of quotes has to be doubled)"
            },
        ),
        ('a,b\n1,2\n3,"four\n5,6\n', {2: "line 3: a quote is opened and never closed"}),
    ],
)
def test_a_row_that_is_not_what_was_meant_says_so(
    tmp_path: Path, text: str, errors: dict[int, str]
) -> None:
    rows = read(tmp_path, text)
    found = {place: row for place, row in enumerate(rows) if isinstance(row, str)}
    assert found == {place: f"t.csv, {error}" for place, error in errors.items()}


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("Report of May\n\nid,text\n1,a\n2,b\n", 3),
        ("Report\nid;text\n1;a, b\n", 2),
        ("Report\nid\ttext\n1\ta\n", 2),
    ],
)
def test_a_title_above_two_columns_is_no_column_of_texts(
    tmp_path: Path, text: str, row: int
) -> None:
    with pytest.raises(UsageError, match=f"add --header-row {row} "):
        read(tmp_path, text)


def test_backslashes_far_down_are_found_out(tmp_path: Path) -> None:
    text = 'id,text\n1,"plain"\n' + '2,"plain"\n' * 20_000 + '3,"say \\"no\\""\n'
    rows = read(tmp_path, text)
    assert rows[-1] == ("3", 'say "no"')
    assert rows[1] == ("1", "plain")


def test_another_file_behind_a_mark_is_refused_if_its_header_differs(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path, "\ufeffid,text\n1,a\n\ufefftext,id\nb,2\n")
    assert str(raised.value) == (
        "t.csv, line 3: a byte-order mark within the file, as if another file was put behind the "
        "first, but without its header: give each file by itself, or remove the mark"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.tab", "id\ttext\n1\ta, b\n"),
        ("t.psv", "id|text\n1|a, b\n"),
        ("t.tsv", "id,text\n1,\"a, b\"\n"),
        ("t.ndjson", '{"id": "1", "text": "a, b"}\n'),
        ("t.TAB", "id\ttext\n1\ta, b\n"),
    ],
)  # fmt: skip
def test_other_names_of_tables_are_known(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, text, name) == [("id", "text"), ("1", "a, b")]


TWO_ENCODINGS = "id,text\n1,Müller\n".encode() + "2,Café crème\n3,x\n4,brûlée\n".encode("cp1252")


def test_a_file_in_two_encodings_names_the_line_and_the_way_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path, TWO_ENCODINGS)
    assert str(raised.value) == (
        "t.csv, line 3: byte 23 of the file is not UTF-8 text; name its encoding with --encoding, "
        "or save the file as UTF-8 (--encoding-errors replace reads such bytes as \ufffd)"
    )


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_file_in_two_encodings_is_read_with_marks_where_asked_for(
    tmp_path: Path, name: str
) -> None:
    data = TWO_ENCODINGS
    if name == "t.jsonl":
        data = "".join(
            f'{{"id": "{n}", "text": "{text}"}}\n' for n, text in enumerate(["Müller"], 1)
        ).encode() + '{"id": "2", "text": "Café crème"}\n'.encode("cp1252")
    rows = read(tmp_path, data, name, encoding_errors="replace")
    assert rows[1:3] == [("1", "Müller"), ("2", "Caf\ufffd cr\ufffdme")]
    source = open_source(str(tmp_path / name), dialect=Dialect(encoding_errors="replace"))
    lines = "3, 5" if name == "t.csv" else "2"
    assert source.notices == [
        f"{name}: bytes that are not UTF-8 text are read as \ufffd, on line {lines}"
    ]


NAMES = st.text("abcdefgh ", min_size=1, max_size=6).map(str.strip).filter(bool)
CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"), max_size=12)
ODD_CELL = st.text(" ,;\t|'\"\\ab\r\n^~", max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    names=st.lists(NAMES, min_size=2, max_size=5, unique=True),
    data=st.data(),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_programs_usually_write_is_never_taken_for_anything_else(
    names: list[str], data: st.DataObject, delimiter: str, quoting: int
) -> None:
    width = len(names)
    row = st.lists(CELL | ODD_CELL, min_size=width, max_size=width)
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n", quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([names, *data.draw(st.lists(row, max_size=8))])
    style = find_style(file.getvalue())
    assert style == Style(delimiter=delimiter, line_end="\r\n")
