"""Microsoft's formats of before 2007, and Outlook's: streams in a compound file ([MS-CFB])."""

from __future__ import annotations

import struct
from collections.abc import Mapping

_SECTOR, _MINI, _CUTOFF = 512, 64, 4096
_END, _FREE, _FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD

Tree = Mapping[str, "bytes | Tree"]


def compound(tree: Tree) -> bytes:
    """Make a compound file of streams and of storages, which hold streams in turn."""
    names, starts, sizes, children, siblings = ["Root Entry"], [_END], [0], [_FREE], [_FREE]
    mini, mini_fat = b"", list[int]()
    sectors, fat = b"", list[int]()

    def store(data: bytes) -> int:
        nonlocal sectors
        start, count = len(fat), -(-len(data) // _SECTOR)
        fat.extend([*range(start + 1, start + count), _END] if count else [])
        sectors += data.ljust(count * _SECTOR, b"\0")
        return start if count else _END

    def store_mini(data: bytes) -> int:
        nonlocal mini
        start, count = len(mini_fat), -(-len(data) // _MINI)
        mini_fat.extend([*range(start + 1, start + count), _END] if count else [])
        mini += data.ljust(count * _MINI, b"\0")
        return start if count else _END

    def add(parent: int, inside: Tree) -> None:
        last = None
        for name in sorted(inside, key=lambda name: (len(name), name.upper())):
            content, number = inside[name], len(names)
            is_stream = isinstance(content, bytes)
            data = content if isinstance(content, bytes) else b""
            put = store_mini if len(data) < _CUTOFF else store
            names.append(name)
            starts.append(put(data) if is_stream else 0)
            sizes.append(len(data) if is_stream else -1)
            children.append(_FREE)
            siblings.append(_FREE)
            if last is None:
                children[parent] = number
            else:
                siblings[last] = number
            last = number
            if not isinstance(content, bytes):
                add(number, content)

    add(0, tree)
    starts[0], sizes[0] = store(mini), len(mini)
    directory = b""
    for number, name in enumerate(names):
        kind = 5 if number == 0 else 1 if sizes[number] < 0 else 2
        coded = name.encode("utf-16-le") + b"\0\0"
        directory += coded.ljust(64, b"\0") + struct.pack(
            "<HBBIII", len(coded), kind, 1, _FREE, siblings[number], children[number]
        )
        directory += bytes(36) + struct.pack("<IQ", starts[number], max(sizes[number], 0))
    directory_start = store(directory)
    mini_fat_sectors = -(-len(mini_fat) * 4 // _SECTOR)
    mini_fat_start = store(struct.pack(f"<{len(mini_fat)}I", *mini_fat))
    fat_start = len(fat)
    fat_sectors = 1
    while (fat_start + fat_sectors) * 4 > fat_sectors * _SECTOR:
        fat_sectors += 1
    fat.extend([_FAT] * fat_sectors)
    table = fat + [_FREE] * (fat_sectors * _SECTOR // 4 - len(fat))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack("<IIIIIIIIII", 0, fat_sectors, directory_start, 0, _CUTOFF,
                          mini_fat_start if mini_fat else _END, mini_fat_sectors, _END, 0,
                          fat_start)  # fmt: skip
    header += struct.pack("<108I", *range(fat_start + 1, fat_start + fat_sectors),
                          *[_FREE] * (109 - fat_sectors))  # fmt: skip
    return header + sectors + struct.pack(f"<{len(table)}I", *table)


def doc(text: str, *, encrypted: bool = False) -> bytes:
    """Make a Word 97 document of plain text: a header, the text, and where it stands ([MS-DOC])."""
    offset = 1024
    header = bytearray(offset)
    flags = 0x0200 | (0x0100 if encrypted else 0)  # the table is the stream 1Table
    struct.pack_into("<HHHHHH", header, 0, 0xA5EC, 0xC1, 0, 0x0409, 0, flags)
    struct.pack_into("<H", header, 32, 14)
    struct.pack_into("<H", header, 62, 22)
    struct.pack_into("<I", header, 64 + 3 * 4, len(text))
    struct.pack_into("<I", header, 64, offset + 2 * len(text))
    struct.pack_into("<II", header, 24, offset, offset + 2 * len(text))
    struct.pack_into("<H", header, 152, 93)
    pieces = struct.pack("<IIHIH", 0, len(text), 0, offset, 0)
    table = b"\x02" + struct.pack("<I", len(pieces)) + pieces
    struct.pack_into("<II", header, 154 + 33 * 8, 0, len(table))
    return compound(
        {
            "WordDocument": (bytes(header) + text.encode("utf-16-le")).ljust(_CUTOFF, b"\0"),
            "1Table": table.ljust(_CUTOFF, b"\0"),
        }
    )


def ppt(*slides: str) -> bytes:
    """Make a PowerPoint 97 presentation of a text a slide ([MS-PPT])."""
    stream = _atom(0x03E8, b"", version=0xF)
    for slide in slides:
        stream += _atom(0x03EE, _atom(0x0FA0, slide.encode("utf-16-le")), version=0xF)
    return compound({"PowerPoint Document": stream, "Current User": _atom(0x0FF6, bytes(20))})


def xls(*rows: tuple[str, ...], encrypted: bool = False) -> bytes:
    """Make an Excel 97 workbook of a sheet of texts ([MS-XLS])."""

    def record(kind: int, data: bytes) -> bytes:
        return struct.pack("<HH", kind, len(data)) + data

    name = b"Sheet1"
    start = record(0x0809, struct.pack("<HHHHII", 0x0600, 5, 0, 0, 0, 0))
    if encrypted:
        start += record(0x002F, struct.pack("<HHH", 1, 1, 1) + bytes(48))
    end = record(0x000A, b"")
    sheet_at = len(start) + 4 + 8 + len(name) + len(end)
    book = start + record(0x0085, struct.pack("<IHBB", sheet_at, 0, len(name), 0) + name) + end
    sheet = record(0x0809, struct.pack("<HHHHII", 0x0600, 0x10, 0, 0, 0, 0))
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            coded = cell.encode("utf-16-le")
            at = struct.pack("<HHHHB", row, column, 0, len(cell), 1)
            sheet += record(0x0204, at + coded)
    return compound({"Workbook": book + sheet + end})


def msg(subject: str, sender: str, body: str, *attachments: str) -> bytes:
    """Make an Outlook message ([MS-OXMSG])."""
    tree: dict[str, bytes | Tree] = {
        "__nameid_version1.0": {f"__substg1.0_000{n}0102": b"" for n in (2, 3, 4)},
        **_properties(
            {0x001A: "IPM.Note", 0x0037: subject, 0x0C1A: sender, 0x0C1F: "a@example.org",
             0x0E04: "Bert", 0x1000: body}, header=32, counts=len(attachments)
        ),
    }  # fmt: skip
    for number, name in enumerate(attachments):
        tree[f"__attach_version1.0_#{number:08X}"] = {
            **_properties({0x3704: name, 0x3707: name}, header=8),
            "__substg1.0_37010102": b"attached",
        }
    return compound(tree)


def encrypted_office() -> bytes:
    """Make what Office writes for a document with a password: the package, encrypted."""
    return compound(
        {"EncryptionInfo": b"\4\0\4\0\x40\0\0\0<encryption/>", "EncryptedPackage": bytes(5000)}
    )


def _atom(kind: int, data: bytes, *, version: int = 0) -> bytes:
    return struct.pack("<HHI", version, kind, len(data)) + data


def _properties(texts: Mapping[int, str], *, header: int, counts: int = 0) -> dict[str, bytes]:
    start = bytes(8) + struct.pack("<IIII", 0, counts, 0, counts) + bytes(8)
    listed = start[:header]
    streams: dict[str, bytes] = {}
    for number, text in texts.items():
        coded = text.encode("utf-16-le")
        listed += struct.pack("<IIII", number << 16 | 0x1F, 6, len(coded) + 2, 0)
        streams[f"__substg1.0_{number:04X}001F"] = coded
    return {"__properties_version1.0": listed, **streams}
