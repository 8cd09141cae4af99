"""Files whose names lie: read as what they are where that is safe, else refused by their name."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.sources.opening import open_source
from tests.sources.samples import xlsx

PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please</body></html>\n"
OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
WEB = "is a web page (HTML), not a"
GET = "an address that asks to log in gives such a page: get the table itself"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", PAGE, f"{WEB} .csv table; {GET}"),
        ("t.csv", PAGE.replace(b"\n", b""), f"{WEB} .csv table; {GET}"),
        ("t.csv", b"\n <!-- a note -->\n<html>x, y</html>\n", f"{WEB} .csv table; {GET}"),
        ("t.tsv", b"\xef\xbb\xbf" + PAGE, f"{WEB} .tsv table; {GET}"),
        ("t.csv", PAGE.decode().encode("utf-16"), f"{WEB} .csv table; {GET}"),
        ("t.csv.gz", gzip.compress(PAGE, mtime=0), f"{WEB} .csv table; {GET}"),
        ("t.jsonl", PAGE, f"{WEB} .jsonl table; {GET}"),
        ("t.parquet", PAGE, f"{WEB} .parquet table; {GET}"),
        ("t.csv", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is XML, not"),
        (
            "t.csv",
            b'{"error": "no access"}\n',
            "is JSON, not a .csv table; JSON Lines, an object a line, is a table if its name ends "
            "in .jsonl",
        ),
        ("t.parquet", b"id,text\n1,a\n", "is text, not a .parquet table; if it is a table"),
        ("t.csv", b"PAR1" + bytes(20), "is Parquet, not a .csv table; if it is a table"),
        ("t.csv", b"%PDF-1.7\n", "is a PDF, not a .csv table"),
        ("t.xls", PAGE, "is a web page (HTML) by the name of a workbook: open it in Excel"),
        ("t.xlsx", b"%PDF-1.7\n", "is a PDF by the name of a workbook"),
        (
            "t.xlsx",
            OLD + bytes(9000) + "EncryptedPackage".encode("utf-16-le"),
            "is protected by a password: save it without one",
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_of_its_name_is_refused(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError) as raised:
        open_source(str(tmp_path / name))
    assert str(raised.value).startswith(f"{name} {message}")


def test_a_workbook_by_the_name_of_a_text_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(xlsx(["id", "text"], [1, "a"]))
    with pytest.raises(UsageError) as raised:
        open_source(str(tmp_path / "t.csv"))
    assert str(raised.value) == (
        "t.csv is a zip file, as .xlsx files are, not a .csv table; if it is a table, end its name "
        "in .xlsx"
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.xls", b"id\ttext\n1\ta, b\n"),
        ("t.xlsx", b'id,text\n1,"a, b"\n'),
        ("t.xls", "id\ttext\r\n1\ta, b\r\n".encode("utf-16")),
        ("t.xls", b"\xef\xbb\xbfid;text\r\n1;a, b\r\n"),
    ],
)
def test_text_by_the_name_of_a_workbook_is_read(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert [row.fields for row in open_source(str(tmp_path / name))] == [
        {"id": "1", "text": "a, b"}
    ]


@pytest.mark.parametrize(
    "text", ["<b>bold</b>,text\n1,a\n", "[id],text\n1,a\n", "html,text\n1,a\n"]
)
def test_a_header_with_brackets_is_a_header(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert len(list(open_source(str(tmp_path / "t.csv")))) == 1
