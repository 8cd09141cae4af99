"""Small pictures and PDFs that take a careless reader's memory or time, and what comes of them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests.pictures import HEIC

SIDE = 13_300  # of the bomb: 0.7 MB that decode to as many GB, with three copies to 2.4


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _zeros(length: int) -> bytes:
    """Deflate so many zeros, without holding them."""
    packer, piece = zlib.compressobj(9), bytes(1 << 20)
    parts = [packer.compress(piece) for _ in range(length >> 20)]
    return b"".join(parts) + packer.compress(bytes(length % (1 << 20))) + packer.flush()


def png(
    width: int, height: int, *extra: bytes, colours: int = 2, data: bytes | None = None
) -> bytes:
    """Make a black picture; what is `extra` are chunks before its pixels."""
    samples = {0: 1, 2: 3, 3: 1, 6: 4}[colours]
    pixels = _zeros(height * (1 + width * samples)) if data is None else data
    head = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    chunks = [_chunk(b"IHDR", head), *extra, _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def text_bomb(kind: bytes) -> bytes:
    """Make a small picture that has 300 MB to say."""
    before = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[kind]
    return png(8, 8, _chunk(kind, before + _zeros(300 << 20)))


def saved(picture: Image.Image, kind: str, **how: object) -> bytes:
    """Write a picture."""
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def tiff(pages: int) -> bytes:
    """Make a fax of many pages, all of which are the same strip."""
    data = bytearray(b"II*\0" + struct.pack("<I", 16) + bytes(8))
    tags = ((256, 8), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (278, 1), (279, 8))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    size = 2 + len(entries) + 4
    for page in range(pages):
        following = 16 + size * (page + 1) if page + 1 < pages else 0
        data += struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    return bytes(data)


def wide_tiff(tag: int) -> bytes:
    """Make a small TIFF whose only strip, or tile, is said to be enormous."""
    file = saved(Image.new("RGB", (64, 64)), "TIFF", compression="tiff_lzw")
    at = file.index(struct.pack("<H", tag))
    return file[: at + 8] + struct.pack("<I", 0x7FFFFFFF) + file[at + 12 :]


def gif(frames: int) -> bytes:
    """Make a film of many frames of a pixel."""
    head = saved(Image.new("P", (1, 1)), "GIF")
    frame = head[head.index(b",\0\0\0\0") : -1]
    return head[:-1] + frame * frames + b";"


def ico(width: int) -> bytes:
    """Make an icon that says it has 16 pixels, and holds a picture."""
    picture = png(width, width)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(picture), 22) + picture


def heic(width: int) -> bytes:
    """Make a HEIC that says it is larger than its pixels."""
    at = HEIC.index(b"ispe") + 8
    return HEIC[:at] + struct.pack(">II", width, width) + HEIC[at + 8 :]


def avif(width: int) -> bytes:
    """Make an AVIF that says it is larger than its pixels."""
    file = saved(Image.new("RGB", (64, 32)), "AVIF")
    at = file.index(b"ispe") + 8
    return file[:at] + struct.pack(">II", width, width) + file[at + 8 :]


def webp(width: int) -> bytes:
    """Make a film whose canvas is as large as it can be, and whose frame is a pixel."""
    frame = saved(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    canvas = (width - 1).to_bytes(3, "little") * 2
    where = bytes(12) + (100).to_bytes(3, "little") + b"\0"
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + canvas
    body += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    body += b"ANMF" + struct.pack("<I", len(where) + len(frame)) + where + frame
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def slow_jpeg(scans: int) -> bytes:
    """Make a progressive JPEG that is refined again and again."""
    file = saved(Image.new("L", (4000, 4000)), "JPEG", progressive=True)
    last = file.rindex(b"\xff\xda")
    scan = file[last:-2]
    return file[:-2] + scan * scans + file[-2:]


def exif_bomb() -> bytes:
    """Make a photo whose EXIF says it has millions of values, and points at itself."""
    entries = b"".join(struct.pack("<HHII", 0x8769, 4, 0x0FFFFFFF, 8) for _ in range(5000))
    about = b"Exif\0\0II*\0" + struct.pack("<I", 8) + struct.pack("<H", 5000) + entries
    return saved(Image.new("RGB", (8, 8)), "JPEG", exif=about + struct.pack("<I", 8))


def pdf(
    content: bytes,
    *,
    box: str = "0 0 612 792",
    count: int | None = None,
    more: Mapping[int, bytes] | None = None,
    resources: str = "",
    rotate: int = 0,
) -> bytes:
    """Make a PDF of a page; `more` are objects from number 5 on."""
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: f"<< /Type /Pages /Kids [3 0 R] /Count {1 if count is None else count} >>".encode(),
        3: f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] /Rotate {rotate} /Contents 4 0 R "
        f"/Resources << {resources} >> >>".encode(),
        4: stream(content),
        **(more or {}),
    }
    data, offsets = b"%PDF-1.7\n", {}
    for number, written in objects.items():
        offsets[number] = len(data)
        data += f"{number} 0 obj\n".encode() + written + b"\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for _, offset in sorted(offsets.items()))
    start = len(data)
    data += f"xref\n0 {len(offsets) + 1}\n0000000000 65535 f \n{table}".encode()
    size = len(offsets) + 1
    return data + f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF".encode()


def stream(data: bytes, about: str = "") -> bytes:
    """Make a stream of a PDF."""
    return f"<< {about} /Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream"


def nested_forms(levels: int) -> bytes:
    """Make a page that shows ten forms, each of which shows ten, and so on."""
    form = "/Type /XObject /Subtype /Form /BBox [0 0 612 792]"
    more = {
        5 + level: stream(
            b"/F Do " * 10, f"{form} /Resources << /XObject << /F {6 + level} 0 R >> >>"
        )
        for level in range(levels)
    }
    more[5 + levels] = stream(b"0 0 9 9 re f ", form)
    return pdf(b"/F Do " * 10, more=more, resources="/XObject << /F 5 0 R >>")


def endless_pattern() -> bytes:
    """Make a page that is filled with tiles of a millionth of a point."""
    tile = (
        "/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 9 9] "
        "/XStep 0.000001 /YStep 0.000001 /Resources << >>"
    )
    return pdf(
        b"/Pattern cs /P scn 0 0 612 792 re f",
        more={5: stream(b"0 0 9 9 re f", tile)},
        resources="/Pattern << /P 5 0 R >>",
    )


def enormous_scan(side: int) -> bytes:
    """Make a page of a picture that unpacks to all the memory there is."""
    about = (
        f"/Type /XObject /Subtype /Image /Width {side} /Height {side} /ColorSpace /DeviceRGB "
        "/BitsPerComponent 8 /Filter /FlateDecode"
    )
    return pdf(
        b"q 612 0 0 792 0 0 cm /I Do Q",
        more={5: stream(_zeros(1 << 28), about)},
        resources="/XObject << /I 5 0 R >>",
    )


HANGS = "it takes for ever"  # in place of an error: how a hang ends depends on the machine
DRAWN = b"0 0 99 99 re f "
_TOO_LARGE = (
    "a picture of 13,300 x 13,300 pixels is too large to decode: scale it down to 3,200 x 3,200, "
    "models see no more"
)
_FAR_TOO_LARGE = "a picture of far too many pixels: scale it down"
_NO_PICTURE = "not a picture that can be read; it may be damaged"
_TALKATIVE = "the picture is damaged: Decompressed data too large for PngImagePlugin.MAX_TEXT_CHUNK"
_DAMAGED = "damaged, or not what its name says"


@dataclass(frozen=True, slots=True)
class Attack:
    """How a file is made, and how the error of its row begins; one without is answered."""

    make: Callable[[], bytes]
    error: str = ""


ATTACKS: Mapping[str, Attack] = {
    "bomb.png": Attack(lambda: png(SIDE, SIDE), _TOO_LARGE),
    "far.png": Attack(lambda: png(60_000, 60_000, data=b""), _FAR_TOO_LARGE),
    "empty.png": Attack(lambda: png(0, 0, data=b""), _NO_PICTURE),
    "ztxt.png": Attack(lambda: text_bomb(b"zTXt"), _TALKATIVE),
    "itxt.png": Attack(lambda: text_bomb(b"iTXt"), _TALKATIVE),
    "iccp.png": Attack(lambda: text_bomb(b"iCCP"), _TALKATIVE),
    "pages.tif": Attack(lambda: tiff(200_000), "a scan of more than 50 pages: split it"),
    "strip.tif": Attack(lambda: wide_tiff(278)),
    "width.tif": Attack(lambda: wide_tiff(256), "the picture is damaged: "),
    "film.gif": Attack(lambda: gif(1_000_000)),
    "icon.ico": Attack(lambda: ico(SIDE), _FAR_TOO_LARGE),
    "large.heic": Attack(lambda: heic(60_000), "the picture is damaged: "),
    "large.avif": Attack(lambda: avif(60_000), _NO_PICTURE),
    "large.webp": Attack(lambda: webp(16_383), "the picture is damaged: "),
    "slow.jpg": Attack(lambda: slow_jpeg(20_000), HANGS),
    "exif.jpg": Attack(exif_bomb),
    "wide.pdf": Attack(lambda: pdf(DRAWN, box="0 0 14400 14400")),
    "wider.pdf": Attack(lambda: pdf(DRAWN, box="0 0 1e9 1e9"), _DAMAGED),
    "thin.pdf": Attack(lambda: pdf(DRAWN, box="0 0 0.001 14400"), "a page of 0.001 x 14400 points"),
    "negative.pdf": Attack(lambda: pdf(DRAWN, box="600 800 0 0")),
    "nan.pdf": Attack(lambda: pdf(DRAWN, box="0 0 nan 1e400"), _DAMAGED),
    "turned.pdf": Attack(lambda: pdf(DRAWN, rotate=90)),
    "pages.pdf": Attack(lambda: pdf(DRAWN, count=2_000_000_000)),
    "forms.pdf": Attack(lambda: nested_forms(12), HANGS),
    "pattern.pdf": Attack(endless_pattern, HANGS),
    "scan.pdf": Attack(lambda: enormous_scan(30_000)),
}


def write(folder: Path) -> Path:
    """Write them all; give the folder."""
    folder.mkdir()
    for name, attack in ATTACKS.items():
        (folder / name).write_bytes(attack.make())
    return folder
