from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.sources.opening import open_source
from pipeline.sources.tables.table import find_text_column, unique_names
from pipeline.types import Document

LONG = "A sentence that is long enough to be a text."


@pytest.mark.parametrize(
    ("names", "rows", "found"),
    [
        (["anything"], [], "anything"),
        (["id", "text"], [], "text"),
        (["id", " Message "], [], " Message "),
        (["title", "body", "comment"], [{"title": "t", "body": LONG, "comment": "c"}], "body"),
        (["id", "said"], [{"id": "1", "said": LONG}], "said"),
        (["id", "said"], [{"id": "1", "said": "twenty characters..."}], "said"),
        (["id", "said"], [{"id": "1", "said": "nineteen character."}], None),
        (["a", "b"], [{"a": "x" * 60, "b": "y" * 20}], "a"),
        (["a", "b"], [{"a": "x" * 59, "b": "y" * 20}], None),
        (["a", "b"], [{"a": 12, "b": LONG}, {"a": 13, "b": None}], "b"),
        (["a", "b"], [{"a": 12, "b": LONG}, {"a": 13, "b": 7}], None),
        (["a", "b"], [{"a": [LONG], "b": "short"}], None),
        (["a", "b"], [{"a": 1}, {"b": LONG}], "b"),
        (["a", "b"], [], None),
    ],
)
def test_the_text_column_is_found_only_where_it_is_clear(
    names: Sequence[str], rows: Sequence[Mapping[str, object]], found: str | None
) -> None:
    assert find_text_column(names, rows) == found


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a", "a_2", "a_3"]),
        (["a", "a", "a_2"], ["a", "a_3", "a_2"]),
        (["a", "", " "], ["a", "column_2", "column_3"]),
        (["column_2", ""], ["column_2", "column_2_2"]),
        (["A", "a", " a"], ["A", "a", " a"]),
        ([2024, 1.5], ["2024", "1.5"]),
    ],
)
def test_each_column_has_a_name_of_its_own(header: Sequence[object], names: list[str]) -> None:
    assert unique_names(header) == names


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.csv"
    path.write_text("id,text,note\n007,Hello,NA\n008,Bye,\n", encoding="utf-8")
    return path


def test_rows_are_documents_in_their_order(tickets: Path) -> None:
    source = open_source(str(tickets))
    assert (source.name, source.text_column) == ("tickets.csv", "text")
    assert list(source) == [
        Document(0, "tickets.csv, line 2", {"id": "007", "text": "Hello", "note": "NA"}, "Hello"),
        Document(1, "tickets.csv, line 3", {"id": "008", "text": "Bye", "note": ""}, "Bye"),
    ]


def test_the_text_column_can_be_named(tickets: Path) -> None:
    source = open_source(str(tickets), text_column="note")
    assert source.text_column == "note"
    assert [document.text for document in source] == ["NA", ""]


def test_a_table_without_a_clear_text_column_has_no_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    source = open_source(str(path))
    assert source.text_column is None
    assert list(source) == [Document(0, "t.csv, line 2", {"a": "1", "b": "2"}, "")]


@pytest.mark.parametrize(
    ("header", "text"),
    [("id,photo", None), ("photo", None), ("photo,text", "text"), ("id,photo,caption", "caption")],
)
def test_the_column_that_holds_images_is_never_the_text(
    tmp_path: Path, header: str, text: str | None
) -> None:
    address = "https://a.example/" + "x" * 60
    cells = {"id": "1", "photo": address, "text": "words", "caption": LONG}
    row = ",".join(cells[name] for name in header.split(","))
    (tmp_path / "t.csv").write_text(f"{header}\n{row}\n", encoding="utf-8")
    source = open_source(str(tmp_path / "t.csv"), image_column="photo")
    assert source.text_column == text
    (document,) = source
    assert document.text == ("" if text is None else cells[text])
    assert [image.source for image in document.images] == [address]


def test_an_unknown_text_column_is_refused_with_those_there_are(tickets: Path) -> None:
    with pytest.raises(UsageError) as raised:
        open_source(str(tickets), text_column="txt")
    assert str(raised.value) == (
        'tickets.csv has no column "txt"; its columns are id, text, note; did you mean "text"?'
    )


def test_nothing_is_read_at_first_and_all_at_last(tickets: Path) -> None:
    source = open_source(str(tickets))
    assert source.fraction() == 0.0
    list(source)
    assert source.fraction() == 1.0


def test_the_fraction_grows_with_the_bytes_read(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("a,b\n" + "1,2\n" * 100_000, encoding="utf-8")
    source = open_source(str(path))
    fractions = [source.fraction() for _ in source]
    assert fractions == sorted(fractions)
    assert 0.45 < fractions[50_000] < 0.65


def test_skimming_leaves_out_the_text_and_keeps_the_rows(tickets: Path) -> None:
    source = open_source(str(tickets))
    documents = iter(source)
    assert next(documents).text == "Hello"
    source.skim()
    assert list(documents) == [
        Document(1, "tickets.csv, line 3", {"id": "008", "text": "Bye", "note": ""}, "")
    ]


def test_a_table_that_is_written_to_has_changed(tickets: Path) -> None:
    source = open_source(str(tickets))
    assert not source.changed()
    with tickets.open("a", encoding="utf-8") as file:
        file.write("009,More,\n")
    assert source.changed()


def test_a_table_that_is_gone_has_changed(tickets: Path) -> None:
    source = open_source(str(tickets))
    tickets.unlink()
    assert source.changed()


def test_reading_a_csv_imports_no_heavy_library(tickets: Path) -> None:
    code = (
        "import sys; from pipeline.sources.opening import open_source;"
        f"rows = list(open_source({str(tickets)!r}));"
        "heavy = {'pandas', 'numpy', 'pyarrow', 'xberg', 'chardet', 'python_calamine'};"
        "print(len(rows), heavy & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout == "2 set()\n"


@pytest.mark.parametrize(
    ("name", "looks", "written"),
    [
        ("\u00a0Customer Name ", "Customer Name", r"'\xa0Customer Name '"),
        ("Customer\u00a0Name", "Customer Name", r"'Customer\xa0Name'"),
        ("Name ", "Name", "'Name '"),
        ("Customer  Name", "Customer Name", "'Customer  Name'"),
    ],
)
def test_a_name_that_is_not_what_it_looks_like_is_told(
    tmp_path: Path, name: str, looks: str, written: str
) -> None:
    (tmp_path / "t.csv").write_text(f"id,{name},text\n1,Ann,hello\n", encoding="utf-8")
    source = open_source(str(tmp_path / "t.csv"))
    assert [column.name for column in source.columns] == ["id", name, "text"]
    assert source.notices == [
        f't.csv: the name of column "{looks}" is really {written} (a prompt has to write it so)'
    ]
