"""What a PDF holds besides its pages: the comments on them and attached files.

PDFium reads them: the extractor takes their text for UTF-8, which loses umlauts.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from pipeline.errors import DocumentError
from pipeline.sources.files.pixels import explained

if TYPE_CHECKING:
    from pypdfium2 import PdfAttachment, PdfDocument, PdfPage

_MOST_BYTES = 1 << 20  # of a comment
_HIDDEN = 2 | 32  # flags: never shown; shown in print only
# FPDF_ANNOT_LINK, _POPUP, _WIDGET: no comments of their own. _HIGHLIGHT to _STRIKEOUT mark text.
_OTHERS = frozenset({2, 16, 20})
_MARKS = frozenset({9, 10, 11, 12})


def read_comments(data: bytes) -> list[str]:
    """Return the comments on a PDF's pages, each as a line, in their order."""
    if b"/Annots" not in data and b"/ObjStm" not in data:  # where it may be compressed
        return []
    import pypdfium2

    try:
        with explained("the PDF can't be read"), pypdfium2.PdfDocument(data) as document:
            return list(_comments(document))
    except DocumentError:  # the extractor has read it as it is
        return []


def attached(data: bytes) -> list[tuple[str, Callable[[], bytes]]]:
    """Return the files that are attached to a PDF or pinned to its pages: names and contents."""
    if not any(mark in data for mark in (b"/EmbeddedFile", b"/ObjStm")):
        return []
    import pypdfium2

    try:
        with explained("the PDF can't be read"), pypdfium2.PdfDocument(data) as document:
            files = [document.get_attachment(at) for at in range(document.count_attachments())]
            pinned = [file for at in range(len(document)) for file in _pinned(document[at])]
            return [(str(f.get_name()), partial(bytes, f.get_data())) for f in [*files, *pinned]]
    except DocumentError:
        return []


def _pinned(page: PdfPage) -> Iterator[PdfAttachment]:
    from pypdfium2 import PdfAttachment, raw

    for at in range(raw.FPDFPage_GetAnnotCount(page.raw)):
        annotation = raw.FPDFPage_GetAnnot(page.raw, at)
        if raw.FPDFAnnot_GetSubtype(annotation) == raw.FPDF_ANNOT_FILEATTACHMENT and (
            file := raw.FPDFAnnot_GetFileAttachment(annotation)
        ):
            yield PdfAttachment(file, page.pdf)
        raw.FPDFPage_CloseAnnot(annotation)


def _comments(document: PdfDocument) -> Iterator[str]:
    for number in range(len(document)):
        page = document[number]
        for text in _on_page(page):
            yield f"- page {number + 1}{text}"
        page.close()


def _on_page(page: PdfPage) -> Iterator[str]:
    from pypdfium2 import raw

    for at in range(raw.FPDFPage_GetAnnotCount(page.raw)):
        annotation = raw.FPDFPage_GetAnnot(page.raw, at)
        try:
            kind = raw.FPDFAnnot_GetSubtype(annotation)
            text = _line(_string(annotation, b"Contents"))
            if kind in _OTHERS or not text or raw.FPDFAnnot_GetFlags(annotation) & _HIDDEN:
                continue
            author = _line(_string(annotation, b"T"))
            marked = _marked(page, annotation) if kind in _MARKS else ""
            yield (
                (f", {author}" if author else "")
                + (f", on “{marked}”" if marked else "")
                + (f": {text}")
            )
        finally:
            raw.FPDFPage_CloseAnnot(annotation)


def _string(annotation: object, key: bytes) -> str:
    from pypdfium2 import raw

    size = min(raw.FPDFAnnot_GetStringValue(annotation, key, None, 0), _MOST_BYTES)
    buffer = ctypes.create_string_buffer(size)
    pointer = ctypes.cast(buffer, ctypes.POINTER(raw.FPDF_WCHAR))
    raw.FPDFAnnot_GetStringValue(annotation, key, pointer, size)
    return buffer.raw[:-2].decode("utf-16-le", "replace")


def _marked(page: PdfPage, annotation: object) -> str:
    """Return the text under a mark, by the corners of its parts."""
    from pypdfium2 import raw

    points = raw.FS_QUADPOINTSF()
    parts = []
    for at in range(min(raw.FPDFAnnot_CountAttachmentPoints(annotation), 100)):
        if raw.FPDFAnnot_GetAttachmentPoints(annotation, at, points):
            across = points.x1, points.x2, points.x3, points.x4
            up = points.y1, points.y2, points.y3, points.y4
            text = page.get_textpage().get_text_bounded(min(across), min(up), max(across), max(up))
            parts.append(text)
    return _line(" ".join(parts))


def _line(text: str) -> str:
    return " ".join(text.split())
