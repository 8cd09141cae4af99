"""The pages of a PDF that holds no text, as PDFium draws them.

Files of strangers: called in bounded processes only. Only this module, `directions.py` and
`comments.py` know PDFium.
"""

from __future__ import annotations

import math
from typing import IO, TYPE_CHECKING

from pipeline.errors import DocumentError
from pipeline.sources.files.pixels import MOST_PAGES, explained, too_many_pages
from pipeline.vision import Size

if TYPE_CHECKING:
    from PIL import Image as Pillow
    from pypdfium2 import PdfPage

HEAD_BYTES = 1024  # in which a PDF says that it is one
_POINTS = 72  # to the inch: what a PDF gives its sizes in
_DPI = 200  # what a page is drawn in that holds no picture, and the most and the least of others
_LEAST_DPI, _MOST_DPI = 72, 600
_PART = 0.1  # of the page is covered by what counts as its picture


def is_pdf(head: bytes) -> bool:
    """Return whether a file that begins like this is a PDF."""
    return b"%PDF-" in head[:HEAD_BYTES]


def sizes(file: IO[bytes]) -> list[Size]:
    """List the sizes that the pages were scanned in.

    Raises DocumentError if they can't be drawn, are too many, or nothing is on any of them.
    """
    import pypdfium2

    with explained("the PDF can't be drawn"), pypdfium2.PdfDocument(file) as document:
        count = len(document)
        if count > MOST_PAGES:
            raise too_many_pages()
        pages = [document[number] for number in range(count)]
        if not any(next(page.get_objects(), None) for page in pages):
            raise DocumentError("nothing but blank pages")
        return [_size(page) for page in pages]


def draw(file: IO[bytes], number: int, size: Size) -> Pillow.Image:
    """Draw a page in a size: so much is drawn and no more, whatever the page says of itself."""
    import pypdfium2
    from pypdfium2 import raw

    with explained("the PDF can't be drawn"), pypdfium2.PdfDocument(file) as document:
        bitmap = pypdfium2.PdfBitmap.new_native(*size, format=raw.FPDFBitmap_BGR)
        bitmap.fill_rect((255, 255, 255, 255), 0, 0, *size)
        raw.FPDF_RenderPageBitmap(bitmap, document[number], 0, 0, *size, 0, raw.FPDF_ANNOT)
        drawn: Pillow.Image = bitmap.to_pil().convert("RGB")
        return drawn


def _size(page: PdfPage) -> Size:
    """Return the pixels that a page was scanned in: more than those would be paid for nothing."""
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    width, height = page.get_size()
    if not (math.isfinite(width * height) and min(width, height) >= 1):
        raise DocumentError(f"a page of {width:g} x {height:g} points can't be drawn")
    finest = 0.0
    for picture in page.get_objects([FPDF_PAGEOBJ_IMAGE]):
        left, bottom, right, top = picture.get_bounds()
        covered = (right - left) * (top - bottom)
        if covered > _PART * width * height:
            across, down = picture.get_px_size()
            finest = max(finest, _POINTS * math.sqrt(across * down / covered))
    scale = min(max(finest or _DPI, _LEAST_DPI), _MOST_DPI) / _POINTS
    return max(1, round(width * scale)), max(1, round(height * scale))
