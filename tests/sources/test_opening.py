from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.formats import FORMATS
from pipeline.sources.base import Source
from pipeline.sources.decoding import LINE_BYTES
from pipeline.sources.opening import open_source
from pipeline.types import Column, Document

PIPED = Document(
    0,
    "standard input",
    {"document": "standard input"},
    metadata={"title": None, "author": None, "pages": None},
)
NOTHING = (
    "the folder {} holds no files to read: hidden ones, links that lead out of it, "
    "what .pipelineignore or --exclude leaves out and the run's own files don't count"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("contracts/a.txt", "contracts/b.md", "contracts/old/c.txt", "tickets.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("id,text\n7,from a table\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def names(source: Source) -> list[str]:
    return [document.name for document in source]


@pytest.mark.parametrize(
    ("uri", "glob", "found"),
    [
        ("contracts", None, ["a.txt", "b.md", "old/c.txt"]),
        ("contracts/", None, ["a.txt", "b.md", "old/c.txt"]),
        (".", "*.txt", ["contracts/a.txt", "contracts/old/c.txt"]),
        (".", "contracts/*", ["contracts/a.txt", "contracts/b.md"]),
        ("contracts/*.txt", None, ["a.txt"]),
        ("contracts/**/*.txt", None, ["a.txt", "old/c.txt"]),
        ("contracts/**", "*.md", ["b.md"]),
        ("*/*.md", None, ["contracts/b.md"]),
        ("**", None, ["contracts/a.txt", "contracts/b.md", "contracts/old/c.txt", "tickets.csv"]),
        ("contracts/a.txt", None, ["a.txt"]),
        ("tickets.csv", None, ["tickets.csv, line 2"]),
    ],
)
def test_a_folder_a_pattern_and_a_file_open(uri: str, glob: str | None, found: list[str]) -> None:
    assert names(open_source(uri, glob=[glob] if glob else [])) == found


def test_several_patterns_pick_and_leave_out_files() -> None:
    assert names(open_source("contracts", glob=["*.md", "old/*"])) == ["b.md", "old/c.txt"]
    assert names(open_source("contracts", exclude=["*.md", "old/"])) == ["a.txt"]
    assert names(open_source("**", glob=["*.txt"], exclude=["old"])) == ["contracts/a.txt"]


def test_an_absolute_pattern_opens(here: Path) -> None:
    assert names(open_source(f"{here}/contracts/*.md")) == ["b.md"]


def test_a_file_with_the_signs_of_a_pattern_opens(here: Path) -> None:
    (here / "a[1].txt").write_text("x", encoding="utf-8")
    assert names(open_source("a[1].txt")) == ["a[1].txt"]


def test_the_files_of_the_run_are_left_out(here: Path) -> None:
    source = open_source("contracts", exclude_paths=[Path("contracts/b.md")])
    assert names(source) == ["a.txt", "old/c.txt"]


def test_a_suffix_in_capitals_is_the_same_format(here: Path) -> None:
    (here / "tickets.csv").rename(here / "TICKETS.CSV")
    assert names(open_source("TICKETS.CSV")) == ["TICKETS.CSV, line 2"]


def test_a_table_among_documents_is_a_document(here: Path) -> None:
    (document,) = open_source("*.csv")
    assert (document.name, document.text) == ("tickets.csv", "id,text\n7,from a table\n")


def test_every_table_format_has_a_suffix() -> None:
    tables = [".csv", ".tsv", ".xlsx", ".parquet", ".jsonl"]
    assert list(FORMATS) == [*tables, ".tab", ".psv", ".ndjson", ".xlsm", ".xlsb", ".xls", ".ods"]


@pytest.mark.parametrize(
    ("uri", "options", "message"),
    [
        ("", {}, 'INPUT is empty; give a folder, a file, or "-" for standard input'),
        (
            "contract",
            {},
            "there is no file or folder contract; did you mean contracts?",
        ),
        (
            "contracs/old/c.txt",
            {},
            "there is no file or folder contracs; did you mean contracts?",
        ),
        ("contracts/zzz", {}, "there is no file or folder contracts/zzz; check the path"),
        (
            "contracts/a.txt/b",
            {},
            "there is no file or folder contracts/a.txt/b; check the path",
        ),
        (
            "contracs/*.txt",
            {},
            "there is no file or folder contracs; did you mean contracts?",
        ),
        ("tickets.cvs", {}, "there is no file or folder tickets.cvs; did you mean tickets.csv?"),
        (
            "s3://bucket/contracts",
            {},
            "s3://bucket/contracts is an address: name a file of this machine",
        ),
        (
            "contracts/*.pdf",
            {},
            "no file in contracts matches *.pdf; its files end in .md, .txt (** in a pattern leads "
            "into folders)",
        ),
        (
            "contracts",
            {"glob": ["*.pdf"]},
            "no file in contracts matches **/*.pdf; its files end in .md, .txt",
        ),
        (
            "empty",
            {},
            NOTHING.format("empty"),
        ),
        (
            "own",
            {"exclude_paths": [Path("own/out.csv")]},
            NOTHING.format("own"),
        ),
        (
            "tickets.csv",
            {"glob": ["*"]},
            "--glob picks files of a folder, and tickets.csv is none; leave --glob out",
        ),
        (
            "contracts",
            {"exclude": ["*"]},
            NOTHING.format("contracts"),
        ),
        (
            "contracts",
            {"glob": ["*.pdf", "*.doc"], "exclude": ["*.md"]},
            "no file in contracts matches **/*.pdf or **/*.doc; its files end in .txt",
        ),
        (
            "tickets.csv",
            {"exclude": ["*"]},
            "--exclude picks files of a folder, and tickets.csv is none; leave --exclude out",
        ),
        (
            "contracts",
            {"text_column": "text"},
            'contracts is not a table and has no column "text"; leave --text-column out',
        ),
        (
            "contracts/a.txt",
            {"text_column": "text"},
            'contracts/a.txt is not a table and has no column "text"; leave --text-column out',
        ),
        (
            "/dev/null",
            {},
            '/dev/null is neither a file nor a folder; pipe it in and give "-" as INPUT',
        ),
    ],
)
def test_what_cannot_be_opened_says_what_to_do(
    here: Path, uri: str, options: dict[str, Any], message: str
) -> None:
    (here / "empty").mkdir()
    (here / "own").mkdir()
    (here / "own" / "out.csv").touch()
    with pytest.raises(UsageError) as raised:
        open_source(uri, **options)
    assert str(raised.value) == message


def test_the_only_column_of_a_folder_may_be_named() -> None:
    assert open_source("contracts", text_column="document").text_column == "document"


@pytest.mark.parametrize(
    ("data", "documents"),
    [
        pytest.param(
            b'\n{"id": 7, "text": "a, b"}\n{"id": 8, "text": "c"}\n',
            [("line 2", {"id": 7, "text": "a, b"}), ("line 3", {"id": 8, "text": "c"})],
            id="JSON Lines",
        ),
        pytest.param(b'{"text": "a"}', [("line 1", {"text": "a"})], id="one JSON line"),
        pytest.param(
            b"id,text\n007,a\n", [("line 2", {"id": "007", "text": "a"})], id="CSV with commas"
        ),
        pytest.param(
            b"\xef\xbb\xbfid;text\r\n007;a\r\n",
            [("line 2", {"id": "007", "text": "a"})],
            id="CSV with semicolons",
        ),
        pytest.param(
            'id\ttext\n007\t"é\nè"\n'.encode("utf-16"),
            [("line 2", {"id": "007", "text": "é\nè"})],
            id="CSV with tabs",
        ),
    ],
)
def test_a_table_on_standard_input_is_known_by_its_content(
    monkeypatch: pytest.MonkeyPatch, data: bytes, documents: list[tuple[str, dict[str, object]]]
) -> None:
    piped(monkeypatch, data)
    source = open_source("-", text_column="text")
    assert (source.name, source.text_column) == ("standard input", "text")
    assert [(d.name, d.fields) for d in source] == [
        (f"standard input, {line}", fields) for line, fields in documents
    ]
    assert source.fraction() == 1.0
    assert not source.changed()


@pytest.mark.parametrize(
    "text",
    [
        "One line, with a comma",
        "Several lines\nand none has a delimiter\n",
        "Dear Ms Okafor, dear Mr Lind,\n\nThe parcel has arrived.\n",
        '[\n  {"text": "a"}\n]\n',
        "{\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_plain_text_on_standard_input_is_one_document(
    monkeypatch: pytest.MonkeyPatch, text: str, encoding: str
) -> None:
    piped(monkeypatch, text.encode(encoding))
    source = open_source("-")
    assert source.columns == (Column("document", "text"),)
    assert source.fraction() == 0.0
    assert list(source) == [replace(PIPED, text=text)]
    assert source.fraction() == 1.0
    assert not source.changed()


def test_binary_data_on_standard_input_is_a_document_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    piped(monkeypatch, b"SQLite format 3\0" + bytes(100))
    (document,) = open_source("-")
    assert document.error == "not text, and not a document format that can be read"


def test_a_folder_is_named_as_such(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("contracts")
    assert [open_source(uri).name for uri in (".", "../contracts/", "*.md")] == ["contracts"] * 3


def test_skimming_standard_input_reads_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"text")
    source = open_source("-")
    source.skim()
    assert list(source) == [PIPED]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (
            b" \n",
            {},
            "standard input is empty; pipe a table or a text into it, or name a file",
        ),
        (
            b"%PDF-1.4\n\xe2\xe3\xcf\xd3\0\0\0\xff" + bytes(100),
            {},
            "standard input is not text; "
            "give a file with the suffix of its format, such as .xlsx or .pdf",
        ),
        (
            b"id,text\n7,a\n",
            {"text_column": "texts"},
            'standard input has no column "texts"; its columns are id, text; did you mean "text"?',
        ),
        (
            b'id,text\n7,"a\n' + b"never closed \n" * (LINE_BYTES // 12),
            {},
            "standard input, line 2: a row of over 33 million characters; is a quote there never "
            "closed?",
        ),
        (
            b"plain",
            {"text_column": "text"},
            'standard input is not a table and has no column "text"; leave --text-column out',
        ),
        (
            b"plain",
            {"glob": ["*"]},
            "--glob picks files of a folder, and standard input is none; leave --glob out",
        ),
    ],
)
def test_standard_input_that_cannot_be_used_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, data: bytes, options: dict[str, Any], message: str
) -> None:
    piped(monkeypatch, data)
    with pytest.raises(UsageError) as raised:
        list(open_source("-", **options))
    assert str(raised.value) == message
