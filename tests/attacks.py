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
_TEXT = '<c r="{}" t="inlineStr"><is><t>{}</t></is></c>'


def book(
    sheet: bytes, *, strings: bytes = b"", styles: bytes = b"", doctype: str = "", sheets: int = 1
) -> bytes:
    """Make an .xlsx of the XML of its parts."""
    named = "".join(f'<sheet name="s{i}" sheetId="{i}" r:id="rId1"/>' for i in range(1, sheets + 1))
    workbook = (
        f'{doctype}<workbook {_NS} xmlns:r="{_RELATIONS}"><sheets>{named}</sheets></workbook>'
    )
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


def quadratic(name: str) -> str:
    return f'<!DOCTYPE {name} [<!ENTITY e "{"a" * 100_000}">]>'


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
    index = b"".join(
        struct.pack(
            "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0
        )
        + b"%05d.csv" % (i % 100_000)
        for i in range(count)
    )
    few = min(count, 0xFFFF)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, few, few, len(index), len(local), 0)
    return local + index + end


def bz2_zip() -> bytes:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive,
        archive.open("a.csv", "w", force_zip64=True) as member,
    ):
        member.write(b"text\n")
        for _ in range(64):
            member.write(bytes(1 << 26))
    return file.getvalue()


def gz(head: bytes, repeated: bytes, count: int) -> bytes:
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
        packed.write(head)
        for _ in range(count):
            packed.write(repeated)
    return file.getvalue()


ATTACKS: Mapping[str, Callable[[], bytes]] = {
    "loop.xls": looping_xls,
    "far.xlsx": lambda: book(sheet(HEADER + FAR)),
    "lying.xlsx": lambda: book(sheet(HEADER + FAR, dimension="A1:B2")),
    "backwards.xlsx": lambda: book(sheet(FAR + HEADER)),
    "spaces.xlsx": lambda: book(sheet(HEADER + " " * 1_000_000_000)),
    "cell.xlsx": lambda: book(
        sheet(HEADER + f'<row r="2">{_TEXT.format("B2", "a" * 600_000_000)}</row>')
    ),
    "strings.xlsx": lambda: book(
        sheet(
            HEADER
            + "".join(f'<row r="{i}"><c r="B{i}" t="s"><v>0</v></c></row>' for i in range(2, 5000))
        ),
        strings=f"<sst {_NS}><si><t>{'a' * 50_000_000}</t></si></sst>".encode(),
    ),
    "sheets.xlsx": lambda: book(sheet(HEADER), sheets=100_000),
    "laughs.xlsx": lambda: book(
        laughing("worksheet").encode()
        + sheet(HEADER + f'<row r="2">{_TEXT.format("B2", "&e8;")}</row>')
    ),
    "quadratic.xlsx": lambda: book(
        sheet(HEADER),
        doctype=quadratic("workbook"),
        styles=(
            quadratic("styleSheet") + f"<styleSheet {_NS}>" + "&e;" * 100_000 + "</styleSheet>"
        ).encode(),
    ),
    "repeated.ods": lambda: ods(
        '<table:table-row table:number-rows-repeated="1048576"><table:table-cell '
        'table:number-columns-repeated="16384" office:value-type="string"><text:p>a</text:p>'
        "</table:table-cell></table:table-row>"
    ),
    "deep.parquet": lambda: deep_parquet(300),
    "repeating.parquet": lambda: repeating_parquet(2_000_000, 1_000_000),
    "members.zip": lambda: many_members(1_000_000),
    "bz2.zip": bz2_zip,
    "rows.csv.gz": lambda: gz(b"id,text\n", b"1,a\n" * (1 << 20), 1000),
    "wide.csv.gz": lambda: gz(
        "text\n".encode("utf-16"), "\u0a0a".encode("utf-16-le") * (1 << 20), 1000
    ),
    "line.jsonl.gz": lambda: gz(b"", b'{"text":"' + b"a" * (1 << 20), 1000),
    "cells.csv": lambda: b"text\n" + b'"\n",' * 20_000_000,
    "columns.csv": lambda: b"a," * 16_000_000 + b"\n",
    "same.csv": lambda: b"a," * 90_000 + b"\n" + b"1\n",
    "deep.jsonl": lambda: b'{"text": "a", "deep": ' + b"[" * 400 + b"]" * 400 + b"}\n",
    "values.jsonl": lambda: b'{"text": "a", "all": [' + b"[]," * 11_000_000 + b"0]}\n",
    "keys.jsonl": lambda: b"".join(b'{"%d": 1}\n' % i for i in range(300_000)),
    "deeper.jsonl": lambda: b"[" * 30_000_000,
}
