"""Files that were damaged, or made to harm: small tables of every format with bytes changed at
random. The same seed gives the same files.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

from tests.sources.compound import xls

ROWS: tuple[tuple[str, str, float], ...] = (
    ("007", "It broke after a day, and nobody answers.", 12.5),
    ("008", "Thanks, all is well: “très bien”!", 3.0),
    ("009", "Where is my parcel?\nI have waited for weeks.", -1.0),
)
_NAMES = ("id", "text", "price")
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_CHANGES = (1, 1, 1, 2, 4)
_CUT = 0.3  # of the places that might be are the file's end
_INSIDE = 0.85  # of what is packed is damaged inside: outside, most of it isn't even opened


def tables() -> Mapping[str, bytes]:
    """Make a sound table of each format."""
    text = "id,text,price\n" + "".join(f'{a},"{b}",{c}\n' for a, b, c in ROWS)
    lines = "".join(
        json.dumps({"id": a, "text": b, "price": c, "more": [{"a": [1.10, None]}]}) + "\n"
        for a, b, c in ROWS
    )
    return {
        "a.csv": text.encode(),
        "wide.csv": text.encode("utf-16"),
        "a.tsv": text.replace(",", "\t").encode(),
        "a.jsonl": lines.encode(),
        "a.csv.gz": gzip.compress(text.encode(), mtime=0),
        "a.zip": zipped({"a.csv": text.encode()}),
        "a.xlsx": xlsx(),
        "a.xlsm": xlsx(),
        "a.ods": ods(),
        "a.xlsb": xlsb(),
        "a.xls": xls(_NAMES, *((a, b, str(c)) for a, b, c in ROWS)),
        "a.parquet": parquet("zstd"),
        "plain.parquet": parquet("none"),
        "a.xlsx.gz": gzip.compress(xlsx(), mtime=0),
    }


def mutated(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield damaged tables, as `damaged` does."""
    return damaged(tables(), count, seed)


def damaged(sound: Mapping[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield damaged files, each sound one in turn, under names that begin with their number."""
    random = Random(seed)
    files = list(sound.items())
    for number in range(count):
        name, data = files[number % len(files)]
        is_zip = data.startswith(b"PK")
        act = _mutate_member if is_zip and random.random() < _INSIDE else mutate
        if data.startswith(b"\x1f\x8b") and random.random() < _INSIDE:
            act = _mutate_packed
        yield f"{number:05d}-{name}", act(data, random)


def mutate(data: bytes, random: Random) -> bytes:
    """Change bytes at a few places: flip, leave out, put in, double, cut, or write a number."""
    changed = bytearray(data)
    for _ in range(random.choice(_CHANGES)):
        _change(changed, random)
    return bytes(changed)


def _change(data: bytearray, random: Random) -> None:
    place = random.randrange(len(data) + 1)
    some = random.choice((1, 2, 4, 16, 64))
    match random.randrange(10):
        case 0:
            del data[place : place + some]
        case 1:
            data[place:place] = random.randbytes(some)
        case 2:
            data[place:place] = data[place : place + some] * random.choice((1, 2, 100))
        case 3:
            digits = str(random.choice(_INTERESTING) * random.choice((1, -1))).encode()
            data[place : place + random.randrange(4)] = digits
        case 4 | 5 | 6:
            number = struct.pack(random.choice(("<I", ">I")), random.choice(_INTERESTING))
            number = number[: random.choice((1, 2, 4))]
            data[place : place + len(number)] = number
        case 7 if random.random() < _CUT:
            del data[place:]
        case _ if place < len(data):
            data[place] ^= 1 << random.randrange(8)


def _mutate_member(data: bytes, random: Random) -> bytes:
    """Change a file in a zip archive, and pack it again."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = random.choice(sorted(members))
    return zipped({**members, name: mutate(members[name], random)})


def _mutate_packed(data: bytes, random: Random) -> bytes:
    return gzip.compress(mutate(gzip.decompress(data), random), mtime=0)


def zipped(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def xlsx() -> bytes:
    """Make a workbook with what ours looks at besides: errors, formulas, padded numbers, dates."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        book.set_properties({"created": datetime(2026, 3, 1)})
        sheet = book.add_worksheet("rows")
        padded, day = book.add_format({"num_format": "000"}), book.add_format({"num_format": 14})
        sheet.write_row(0, 0, [*_NAMES, "number", "day", "sum", "bad"])
        for number, row in enumerate(ROWS, 1):
            sheet.write_row(number, 0, row)
            sheet.write_number(number, 3, number, padded)
            sheet.write_datetime(number, 4, datetime(2026, 3, number), day)
            sheet.write_formula(number, 5, "=C2*2", None, 25.0)
            sheet.write_formula(number, 6, "=1/0", None, "#DIV/0!")
    return file.getvalue()


def ods(cells: str = "") -> bytes:
    """Make a sheet of OpenDocument of the rows, or of these cells."""
    made = "".join(
        "<table:table-row>"
        + "".join(
            '<table:table-cell office:value-type="string">'
            f"<text:p>{cell}</text:p></table:table-cell>"
            for cell in row
        )
        + "</table:table-row>"
        for row in (_NAMES, *ROWS)
    )
    spaces = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text")
    )
    content = (
        f"<office:document-content{spaces}><office:body><office:spreadsheet>"
        f'<table:table table:name="rows">{cells or made}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        f'<m:file-entry m:full-path="/" m:media-type="{kind}"/></m:manifest>'
    )
    return zipped(
        {
            "mimetype": kind.encode(),
            "content.xml": content.encode(),
            "META-INF/manifest.xml": manifest.encode(),
        }
    )


def xlsb() -> bytes:
    """Make a binary workbook of the rows ([MS-XLSB])."""

    def record(kind: int, data: bytes = b"") -> bytes:
        number = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
        return number + bytes([len(data) & 0x7F | 0x80, len(data) >> 7]) + data

    def wide(text: str) -> bytes:
        coded = text.encode("utf-16-le")
        return struct.pack("<I", len(coded) // 2) + coded

    sheets = record(0x9C, struct.pack("<II", 0, 1) + wide("rId1") + wide("rows"))
    book = record(0x83) + record(0x8F) + sheets + record(0x90) + record(0x84)
    width, height = len(_NAMES), 1 + len(ROWS)
    sheet = record(0x81) + record(0x94, struct.pack("<IIII", 0, height - 1, 0, width - 1))
    sheet += record(0x91)
    for number, row in enumerate((_NAMES, *ROWS)):
        sheet += record(0, struct.pack("<I", number) + bytes(13))
        for column, cell in enumerate(row):
            at = struct.pack("<II", column, 0)
            if isinstance(cell, str):
                sheet += record(6, at + wide(cell))
            else:
                sheet += record(5, at + struct.pack("<d", cell))
    sheet += record(0x92) + record(0x82)
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    links = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{relation}/worksheet" Target="worksheets/sheet1.bin"/>'
        "</Relationships>"
    )
    return zipped(
        {
            "xl/workbook.bin": book,
            "xl/_rels/workbook.bin.rels": links.encode(),
            "xl/worksheets/sheet1.bin": sheet,
        }
    )


def parquet(compression: str) -> bytes:
    """Make Parquet of many types: texts, categories, decimals, dates, nested values."""
    ids, texts, prices = zip(*ROWS, strict=True)
    table = pa.table(
        {
            "id": pa.array(ids),
            "text": pa.array(texts),
            "price": pa.array(prices),
            "level": pa.array(["a", "b", None]).dictionary_encode(),
            "exact": pa.array([Decimal("1.10"), None, Decimal("-2.00")]),
            "day": pa.array([date(2026, 3, 1), None, date(1, 1, 1)]),
            "moment": pa.array([0, None, 1 << 40], pa.timestamp("us", "Europe/Berlin")),
            "nested": pa.array([[{"a": [1, 2]}], [], None]),
            "raw": pa.array([b"\0\xff", None, b""]),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file, compression=compression, row_group_size=2)
    return file.getvalue()
