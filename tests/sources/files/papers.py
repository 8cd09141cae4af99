"""PDFs whose content is drawn glyph by glyph, with what else a page can have on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_MAP = (
    "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def "
    "1 begincodespacerange <00> <FF> endcodespacerange {} beginbfchar {} endbfchar "
    "endcmap end end"
)


def paper(
    content: str,
    *,
    letters: str = "",
    annotations: Sequence[str] = (),
    attached: Mapping[str, bytes] | None = None,
) -> bytes:
    """Make a PDF of a page; its font /F1 maps bytes from 0x80 on to the `letters`."""
    codes = " ".join(f"<{0x80 + at:02X}> <{ord(c):04X}>" for at, c in enumerate(letters))
    plain = " ".join(f"<{code:02X}> <{code:04X}>" for code in range(32, 127))
    mapping = _MAP.format(95 + len(letters), f"{plain} {codes}")
    names: list[str] = []
    objects = [
        "",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R "
        "/Resources << /Font << /F1 4 0 R >> >> "
        f"/Annots [{' '.join(f'<< /Type /Annot {text} >>' for text in annotations)}] >>",
        f"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /ToUnicode 6 0 R "
        f"/FirstChar 0 /LastChar 255 /Widths [{'600 ' * 256}] /Encoding /WinAnsiEncoding >>",
        _stream(content),
        _stream(mapping),
    ]
    for name, data in (attached or {}).items():
        objects.append(_stream(data.decode("latin-1"), "/Type /EmbeddedFile"))
        names.append(f"({name}) << /Type /Filespec /F ({name}) /EF << /F {len(objects)} 0 R >> >>")
    objects[0] = (
        "<< /Type /Catalog /Pages 2 0 R "
        f"/Names << /EmbeddedFiles << /Names [{' '.join(names)}] >> >> >>"
    )
    return _file(objects)


def lines(*texts: str, letters: str = "") -> str:
    """Draw lines below each other."""
    shown = [f"<{''.join(f'{_code(glyph, letters):02X}' for glyph in text)}> Tj" for text in texts]
    return f"BT /F1 12 Tf 20 300 Td {' 0 -20 Td '.join(shown)} ET"


def scattered(text: str, *, at: int, dx: float, dy: float, letters: str = "") -> str:
    """Draw glyphs one by one from a place on the page on, each so far from the last."""
    shown = (f"<{_code(glyph, letters):02X}> Tj {dx} {dy} Td" for glyph in text)
    return f"BT /F1 12 Tf 1 0 0 1 {at} 700 Tm {' '.join(shown)} ET"


def _code(glyph: str, letters: str) -> int:
    return 0x80 + letters.index(glyph) if glyph in letters else ord(glyph)


def _stream(content: str, entries: str = "") -> str:
    return f"<< /Length {len(content)} {entries} >>\nstream\n{content}\nendstream"


def _file(objects: Sequence[str]) -> bytes:
    data, offsets = "%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    data += f"xref\n0 {size}\n0000000000 65535 f \n{table}"
    data += f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{data.index('xref')}\n%%EOF\n"
    return data.encode("latin-1")
