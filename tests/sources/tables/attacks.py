"""Tables made to harm who reads them: what memory, time or a parser ends on. Made by the tests."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from tests.mutations import ods, zipped
from tests.sources.compound import xls

_NS = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_KILLED = "can't be read as a table: reading it "  # took too much, or too long
_TEXT = '<c r="{}" t="inlineStr"><is><t>{}</t></is></c>'


def book(sheet: bytes, *, strings: bytes = b"", styles: bytes = b"", sheets: int = 1) -> bytes:
    """Make an .xlsx of the XML of its parts."""
    named = "".join(f'<sheet name="s{i}" sheetId="{i}" r:id="rId1"/>' for i in range(1, sheets + 1))
    workbook = f'<workbook {_NS} xmlns:r="{_RELATIONS}"><sheets>{named}</sheets></workbook>'
    parts = {"worksheets/sheet1": sheet, "sharedStrings": strings, "styles": styles}
    there = {name: data for name, data in parts.items() if data}
    links = "".join(
        f'<Relationship Id="rId{number}" Target="{name}.xml" '
        f'Type="{_RELATIONS}/{"worksheet" if name.endswith("sheet1") else name}"/>'
        for number, name in enumerate(there, 1)
    )
    relations = f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>'
    return zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"/>'.encode(),
            "_rels/.rels": (
                f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
                f'Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
            ).encode(),
            "xl/workbook.xml": workbook.encode(),
            "xl/_rels/workbook.xml.rels": relations.encode(),
            **{f"xl/{name}.xml": data for name, data in there.items()},
        }
    )


def sheet(rows: str, *, dimension: str = "") -> bytes:
    says = f'<dimension ref="{dimension}"/>' if dimension else ""
    return f"<worksheet {_NS}>{says}<sheetData>{rows}</sheetData></worksheet>".encode()


HEADER = f'<row r="1">{_TEXT.format("A1", "id")}{_TEXT.format("B1", "text")}</row>'
NEAR = (
    f'<row r="2">{_TEXT.format("B2", "a")}</row><row r="3000">{_TEXT.format("AZ3000", "x")}</row>'
)
FAR = f'<row r="1048576">{_TEXT.format("XFD1048576", "x")}</row>'


def looping_xls() -> bytes:
    """Make a workbook of before 2007 one of whose sectors is followed by itself."""
    data = bytearray(xls(("id", "text"), *((str(i), "a" * 40) for i in range(200))))
    (fat,), (directory,) = struct.unpack_from("<I", data, 76), struct.unpack_from("<I", data, 48)
    struct.pack_into("<I", data, 512 * (1 + fat) + 4 * directory, directory)
    return bytes(data)


def laughing(name: str) -> str:
    """Make a document type whose entity is a billion letters."""
    lines = [f'<!ENTITY e0 "{"a" * 10}">']
    lines += [f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 9)]
    return f"<!DOCTYPE {name} [{''.join(lines)}]>"


def quadratic(name: str, times: int) -> bytes:
    """Make a part whose one long entity is said again and again."""
    doctype = f'<!DOCTYPE {name} [<!ENTITY e "{"a" * times}">]>'
    return f"{doctype}<{name} {_NS}>{'&e;' * times}</{name}>".encode()


def _shared(row: int) -> str:
    return f'<row r="{row}"><c r="B{row}" t="s"><v>0</v></c></row>'


def _strings(characters: int) -> bytes:
    return f"<sst {_NS}><si><t>{'a' * characters}</t></si></sst>".encode()


def deep_parquet(levels: int) -> bytes:
    kind = pa.int8()
    for _ in range(levels):
        kind = pa.struct([("a", kind)])
    return _parquet(pa.table({"text": ["a"], "deep": pa.array([None], kind)}))


def repeating_parquet(rows: int, characters: int) -> bytes:
    """Make a table that says the same long text again and again."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["a" * characters])
    return _parquet(pa.table({"text": text}))


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def many_members(count: int) -> bytes:
    """Make a zip file with an index of so many empty files."""
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, 5, 0) + b"a.csv"
    entry = struct.pack(
        *("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0)
    )
    index = b"".join(entry + b"%05d.csv" % (number % 100_000) for number in range(count))
    few = min(count, 0xFFFF)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, few, few, len(index), len(local), 0)
    return local + index + end


def bz2_zip() -> bytes:
    """Make a zip file in a way of packing whose reader unpacks all that a few bytes make."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.csv", b"text\n" + bytes(10_000_000))
    return file.getvalue()


def gz(head: bytes, repeated: bytes, count: int) -> bytes:
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
        packed.write(head)
        for _ in range(count):
            packed.write(repeated)
    return file.getvalue()


def far_line(name: str) -> str:
    return (
        f'{name}, sheet "s1" has a cell XFD1048576, far from its first one, and what lies between '
        "them doesn't fit into memory: delete it, or save the table as .csv"
    )


# Each with the beginning of the line that it ends in, or "" where it is read.
ATTACKS: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "loop.xls": (looping_xls, f"loop.xls {_KILLED}"),
    "far.xlsx": (lambda: book(sheet(HEADER + FAR)), far_line("far.xlsx")),
    "backwards.xlsx": (lambda: book(sheet(FAR + HEADER)), far_line("backwards.xlsx")),
    "lying.xlsx": (
        lambda: book(sheet(HEADER + FAR, dimension="A1:B2")),
        f"lying.xlsx {_KILLED}",
    ),
    "honest.xlsx": (lambda: book(sheet(HEADER + NEAR)), ""),
    "cell.xlsx": (
        lambda: book(sheet(HEADER + f'<row r="2">{_TEXT.format("B2", "a" * 600_000_000)}</row>')),
        f"cell.xlsx {_KILLED}",
    ),
    "long.xlsx": (
        lambda: book(sheet(HEADER + f'<row r="2">{_TEXT.format("B2", "a" * 40_000_000)}</row>')),
        "long.xlsx, row 2: over 33 MB, which is no row of a table",
    ),
    "strings.xlsx": (
        lambda: book(
            sheet(HEADER + "".join(map(_shared, range(2, 1000)))), strings=_strings(10**6)
        ),
        "strings.xlsx unpacks to over 67 MB, 100 times what it is",
    ),
    "sheets.xlsx": (lambda: book(sheet(HEADER), sheets=100_000), ""),
    "laughs.xlsx": (
        lambda: book(
            laughing("worksheet").encode()
            + sheet(HEADER + f'<row r="2">{_TEXT.format("B2", "&e8;")}</row>')
        ),
        "laughs.xlsx can't be read as Excel: ",
    ),
    "quadratic.xlsx": (
        lambda: book(sheet(HEADER), styles=quadratic("styleSheet", 100_000)),
        "quadratic.xlsx can't be read as Excel: ",
    ),
    "repeated.ods": (
        lambda: ods(
            '<table:table-row table:number-rows-repeated="1048576"><table:table-cell '
            'table:number-columns-repeated="16384" office:value-type="string"><text:p>a</text:p>'
            "</table:table-cell></table:table-row>"
        ),
        "repeated.ods can't be read as ",
    ),
    "deep.parquet": (lambda: deep_parquet(300), "deep.parquet can't be read as Parquet: "),
    "levels.parquet": (
        lambda: deep_parquet(98),
        "levels.parquet has columns nested over 50 levels deep",
    ),
    "repeating.parquet": (
        lambda: repeating_parquet(1_000_000, 100_000),
        "repeating.parquet unpacks to over 67 MB, 100 times what it is",
    ),
    "values.parquet": (
        lambda: _parquet(pa.table({"text": [[None] * 3_000_000]})),
        "values.parquet has a row of over 2,000,000 values",
    ),
    "members.zip": (lambda: many_members(100_000), "1 rows failed; "),
    "bz2.zip": (bz2_zip, "bz2.zip/a.csv can't be unpacked: compression method 12"),
    "rows.csv.gz": (
        lambda: gz(b"id,text\n", b"1,a\n" * (1 << 18), 110),
        "rows.csv.gz unpacks to over 78 MB, 100 times what it is",
    ),
    "wide.csv.gz": (
        lambda: gz("text\n".encode("utf-16"), "\u0a0a".encode("utf-16-le") * (1 << 18), 140),
        "wide.csv.gz, line 2: over 33 MB without a line end",
    ),
    "cells.csv": (
        lambda: b"text,more\n" + b'"\n",' * 7_000_000,
        "cells.csv, line 2: a row of over 1,000,000 cells",
    ),
    "columns.csv": (
        lambda: b"a," * 16_000_000 + b"\n",
        "columns.csv, line 1: a row of over 1,000,000 cells",
    ),
    "names.csv": (lambda: b"a," * 200_000 + b"\n", "names.csv has over 100,000 columns"),
    "same.csv": (
        lambda: b"a," * 90_000 + b"\n1\n",
        "which column of same.csv is the text? name it with --text-column; its columns are: a, a_2",
    ),
    "deep.jsonl": (
        lambda: b'{"text": "a"}\n{"text": "a", "deep": ' + b"[" * 400 + b"]" * 400 + b"}\n",
        "1 rows failed; 1 x deep.jsonl, line 2: not a JSON object of up to 2,000,000 values on 50 "
        "levels",
    ),
    "values.jsonl": (
        lambda: b'{"text": "a"}\n{"text": "a", "all": [' + b"[]," * 11_000_000 + b"0]}\n",
        "1 rows failed; 1 x values.jsonl, line 2: not a JSON object of up to 2,000,000 values",
    ),
    "keys.jsonl": (
        lambda: b"".join(b'{"%d": 1}\n' % number for number in range(100_001)),
        "keys.jsonl has over 100,000 columns",
    ),
    "opened.jsonl": (
        lambda: b"[" * 30_000_000,
        "opened.jsonl has no columns; each of its lines has to be a JSON object",
    ),
}
