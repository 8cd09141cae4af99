"""What a table's file really holds: names lie, and a page to log in is no row to pay for."""

from __future__ import annotations

import re

from pipeline.errors import UsageError
from pipeline.formats import FORMATS, Format
from pipeline.sources.decoding import looks_binary
from pipeline.sources.files.kinds import OFFICE_BEFORE_2007
from pipeline.sources.tables.inputs import FileInput

_HEAD_BYTES = 1 << 13
_DIRECTORY_BYTES = 1 << 20  # of an Office file before 2007; it may lie anywhere in it
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
# NOTE: atomic groups, so that a page of nothing but comments takes no longer than another.
_PAGE = re.compile(
    rb"(?>\s*(?:<\?xml.*?\?>|<!--.*?-->))*+\s*<(?:!doctype\s+html|html|head|body|table|meta)\b",
    re.S | re.I,
)
_XML = re.compile(rb"\s*<(?:\?xml|!doctype)\b", re.I)
_JSON = re.compile(rb'\s*(?:\{\s*"[^"\n]*"\s*:|\[\s*\{)')
_CELLS = re.compile(rb"^\s*[^\r\n]*[\t,;|]")  # a header of several columns
_MARKS = re.compile(rb"^(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)+")

_ZIP, _OLD, _PARQUET = "a zip file, as .xlsx files are", "an .xls workbook", "Parquet"
_BINARY = (
    (re.compile(rb"PK\x03\x04"), _ZIP),
    (re.compile(re.escape(OFFICE_BEFORE_2007)), _OLD),
    (re.compile(rb"PAR[1E]"), _PARQUET),
    (re.compile(rb"\s*%PDF-"), "a PDF"),
    (re.compile(rb"\{\\rtf"), "RTF"),
    (re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8"), "a picture"),
    (re.compile(rb"SQLite format 3"), "an SQLite database"),
    (re.compile(rb"ORC|Obj\x01|ARROW1"), "no format of tables that is read here"),
)
_PAGE_NAME, _XML_NAME, _JSON_NAME, _TEXT = "a web page (HTML)", "XML", "JSON", "text"
_HINTS = {
    _PAGE_NAME: "an address that asks to log in gives such a page: get the table itself",
    _JSON_NAME: "JSON Lines, an object a line, is a table if its name ends in .jsonl",
}
_OBJECTS = (".jsonl", ".ndjson")
_SUFFIXES = {_ZIP: ".xlsx", _OLD: ".xls", _PARQUET: ".parquet", _TEXT: ".csv"}


def settle(file: FileInput, named: Format) -> Format:
    """Return the format in which a file is read that is called so; raise UsageError if it holds
    something that is no table.
    """
    with file.open() as raw:
        head = raw.read(_HEAD_BYTES)
        kind = _kind(head)
        encrypted = kind == _OLD and _ENCRYPTED in head + raw.read(_DIRECTORY_BYTES)
    if encrypted:
        raise UsageError(f"{file.name} is protected by a password: save it without one")
    if named.book:
        return _book(file.name, named, kind, head)
    wanted = _PARQUET if named.suffix == ".parquet" else _TEXT
    if kind is None or kind == wanted or (kind == _JSON_NAME and named.suffix in _OBJECTS):
        return named
    suffix = _SUFFIXES.get(kind)
    hint = f"if it is a table, end its name in {suffix}" if suffix else _HINTS.get(kind, "")
    raise UsageError(f"{file.name} is {kind}, not a {named.suffix} table{hint and f'; {hint}'}")


def _book(name: str, named: Format, kind: str | None, head: bytes) -> Format:
    """Return how to read what is called a workbook."""
    if kind in (None, _ZIP, _OLD):
        return named
    if kind == _TEXT and _CELLS.search(_plain(head)):
        return FORMATS[".csv"]
    raise UsageError(
        f"{name} is {kind} by the name of a workbook: open it in Excel and save it as .xlsx"
    )


def _plain(head: bytes) -> bytes:
    """Return a text without its byte-order mark; of UTF-16, what is ASCII in it."""
    return _MARKS.sub(b"", head).replace(b"\0", b"")


def _kind(head: bytes) -> str | None:
    """Tell from its beginning what a file holds; None if it is empty or can't be told."""
    known = next((name for sign, name in _BINARY if sign.match(head)), None)
    if known or not head or looks_binary(head):
        return known
    text = _plain(head)
    signs = ((_PAGE, _PAGE_NAME), (_XML, _XML_NAME), (_JSON, _JSON_NAME))
    return next((name for sign, name in signs if sign.match(text)), _TEXT)
