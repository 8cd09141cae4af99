"""Pictures: what there is to see in a file, and its bytes as a server takes them.

A picture's bytes are read twice: when it is found, for its size and its digest, and when it is
sent. In between only its address travels. Nothing outside of this module knows Pillow or PDFium.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import DocumentError
from pipeline.sources.files.reach import Reach
from pipeline.types import Image
from pipeline.vision import Rule, Size

if TYPE_CHECKING:
    from PIL import Image as Pillow
    from pypdfium2 import PdfPage

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp"}
    | {".heic", ".heif", ".avif", ".ico"}
)
MOST_PAGES = 50  # of a scan go into one request
_POINTS = 72  # to the inch: what a PDF gives its sizes in
_DPI = 200  # what a page is drawn in that holds no picture, and the most and the least of others
_LEAST_DPI, _MOST_DPI = 72, 600
_PART = 0.1  # of the page is covered by what counts as its picture
_QUALITY = 90  # of a JPEG: small print stays sharp

# What every server takes as it is; the rest is written anew (llama.cpp, for one, reads no WebP).
_AS_THEY_ARE = {"JPEG": "image/jpeg", "PNG": "image/png"}
_MODES = frozenset({"1", "L", "P", "RGB"})  # not CMYK, which is for print, nor 16 bits a pixel
_PAGED = frozenset({"TIFF"})  # the other formats with several frames are films and icons
_FORMATS = (*_AS_THEY_ARE, *_PAGED, "GIF", "WEBP", "BMP", "HEIF", "AVIF", "ICO")
_LONGEST = 80  # characters of a cell are repeated in an error
_pdfium = threading.Lock()  # PDFium works for one thread at a time


def is_address(text: str) -> bool:
    """Say whether a picture is the server's to fetch, or in the text itself."""
    return text.startswith(("http://", "https://", "data:image/"))


def find(cell: object, reach: Reach) -> tuple[Image, ...]:
    """Find the pictures that a table's cell names: a path, an address, or a list of such.

    Raises DocumentError where one can't be read, or is out of reach.
    """
    if isinstance(cell, Sequence) and not isinstance(cell, str | bytes):
        return tuple(image for item in cell for image in _find(item, reach))
    return _find(cell, reach)


def _find(cell: object, reach: Reach) -> tuple[Image, ...]:
    text = "" if cell is None else str(cell).strip()
    if not text:
        return ()
    name = " ".join(text.split()) if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    try:
        if is_address(text):
            reach.check(text)
            return (Image(text, hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()),)
        if "://" in text:
            raise DocumentError("give a file, or an address with http:// or https://")
        path = reach.find(text)
        if os.path.exists(path) and not os.path.isfile(path):
            raise DocumentError("not a file")
        return read(path)
    except DocumentError as error:
        raise DocumentError(f"image {name}: {error}") from error


def read(path: Path) -> tuple[Image, ...]:
    """Read a file's pictures: one, all pages of a TIFF, or those of a scanned PDF.

    Raises DocumentError, saying why, where there is none or the file has too many.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DocumentError(f"the file can't be read: {reason}") from error
    return parse(data, path)


def parse(data: bytes, path: Path) -> tuple[Image, ...]:
    """Find the pictures in a file's bytes, as `read` does."""
    if not data:
        raise DocumentError("the file is empty")
    source, digest = str(path.absolute()), hashlib.sha256(data).digest()
    sizes = _page_sizes(data) if _is_pdf(data) else _frame_sizes(data)
    if len(sizes) > MOST_PAGES:
        raise DocumentError(
            f"a scan of {len(sizes):,} pages: split it, at most {MOST_PAGES} go into one request"
        )
    several = len(sizes) > 1 or _is_pdf(data)
    return tuple(
        Image(source, digest, width, height, page if several else None)
        for page, (width, height) in enumerate(sizes)
    )


def encode(images: Sequence[Image], rule: Rule) -> list[str]:
    """Give images as servers take them: an address as it is; a file upright, of the size that the
    model's rule gives it, as a data URL.

    Raises DocumentError where a file can't be read or isn't what it was.
    """
    source, data, urls = "", b"", []
    for image in images:
        if is_address(image.source):
            urls.append(image.source)
            continue
        if image.source != source:  # the pages of a scan follow each other
            source, data = image.source, _again(image)
        kind, sent = _sent(data, image, rule)
        urls.append(f"data:{kind};base64,{base64.b64encode(sent).decode()}")
    return urls


def _is_pdf(data: bytes) -> bool:
    return b"%PDF-" in data[:1024]


def _again(image: Image) -> bytes:
    name = Path(image.source).name
    try:
        data = Path(image.source).read_bytes()
    except OSError as error:
        raise DocumentError(f"{name} can't be read any more: {error.strerror}") from error
    if hashlib.sha256(data).digest() != image.digest:
        raise DocumentError(f"{name} changed while the run was going on: run the same again")
    return data


def _sent(data: bytes, image: Image, rule: Rule) -> tuple[str, bytes]:
    """Give what is sent of a picture: its media type and its bytes."""
    size = rule.fit((image.width, image.height), image.detail)
    if _is_pdf(data):
        return _jpeg(_draw(data, image, size))
    with _explained("the picture is damaged"), _open(data, image.page) as found:
        kind = _AS_THEY_ARE.get(found.format or "")
        if kind and found.size == size and _is_plain(found):
            found.load()  # here it shows if the file is cut off
            return kind, data
        if found.format in ("JPEG", "MPO"):
            found.draft(None, size)  # decode what is needed only
        return _jpeg(_upright(found, size))


def _is_plain(found: Pillow.Image) -> bool:
    """Say whether a picture is as it looks: not turned, no film, nothing to see through it."""
    film = getattr(found, "is_animated", False)
    return (
        found.mode in _MODES
        and not (film or found.has_transparency_data)
        and (found.format == "PNG" or _turn(found) == 1)  # a PNG would be decoded to find out
    )


def _turn(found: Pillow.Image) -> int:
    """Give how the camera was held, 1 to 8 (EXIF 2.3, tag 274); from 5 on it lay on its side."""
    turn = found.getexif().get(274, 1)
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _upright(found: Pillow.Image, size: Size) -> Pillow.Image:
    """Size a picture, turn it as its camera was held, and lay it on white."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    found.load()
    if found.mode.startswith("I"):  # 16 bits a pixel
        plain = found.point(lambda value: value * (1 / 256)).convert("L")
    elif found.has_transparency_data:
        front = found.convert("RGBA")
        plain = Pillow.new("RGB", front.size, "white")
        plain.paste(front, mask=front.getchannel("A"))
    else:
        plain = found.convert("L" if found.mode in ("1", "L") else "RGB")
    if plain.size != size:
        plain = plain.resize(size, Pillow.Resampling.LANCZOS)
    plain.getexif()[274] = _turn(found)
    return ImageOps.exif_transpose(plain)


def _jpeg(picture: Pillow.Image) -> tuple[str, bytes]:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY, subsampling=0, exif=b"")
    return "image/jpeg", file.getvalue()


def _draw(data: bytes, image: Image, size: Size) -> Pillow.Image:
    import pypdfium2

    with _explained("the PDF can't be drawn"), _pdfium, pypdfium2.PdfDocument(data) as document:
        page = document[image.page or 0]
        scale = max(size[0] / page.get_width(), size[1] / page.get_height())
        drawn: Pillow.Image = page.render(scale=scale).to_pil().convert("RGB")
    return drawn.crop((0, 0, *size))  # PDFium rounds up


def _page_sizes(data: bytes) -> list[Size]:
    import pypdfium2

    with _explained("the PDF can't be drawn"), _pdfium, pypdfium2.PdfDocument(data) as document:
        pages = list(islice(document, MOST_PAGES))
        if not any(next(page.get_objects(), None) for page in pages):
            raise DocumentError("nothing but blank pages")
        sizes = [_page_size(page) for page in pages]
        return sizes + sizes[:1] * (len(document) - len(sizes))


def _page_size(page: PdfPage) -> Size:
    """Give the pixels that a page was scanned in: more than those would be paid for nothing."""
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    width, height = page.get_size()
    finest = 0.0
    for picture in page.get_objects([FPDF_PAGEOBJ_IMAGE]):
        left, bottom, right, top = picture.get_bounds()
        covered = (right - left) * (top - bottom)
        if covered > _PART * width * height:
            across, down = picture.get_px_size()
            finest = max(finest, _POINTS * math.sqrt(across * down / covered))
    scale = min(max(finest or _DPI, _LEAST_DPI), _MOST_DPI) / _POINTS
    return max(1, round(width * scale)), max(1, round(height * scale))


def _frame_sizes(data: bytes) -> list[Size]:
    with _explained("the picture is damaged"), _open(data) as found:
        frames = getattr(found, "n_frames", 1) if found.format in _PAGED else 1
        sizes = [found.size]
        for frame in range(1, min(frames, MOST_PAGES + 1)):
            found.seek(frame)
            sizes.append(found.size)
        return sizes + sizes[:1] * (frames - len(sizes))


def _open(data: bytes, page: int | None = None) -> Pillow.Image:
    from PIL import Image as Pillow

    _teach_pillow()
    found = Pillow.open(io.BytesIO(data), formats=_FORMATS)
    if page is not None:
        found.seek(page)
    return found


@cache
def _teach_pillow() -> None:
    """Have it know HEIC, and not warn of pictures that are half as large as those it refuses."""
    import pi_heif
    from PIL import Image as Pillow

    pi_heif.register_heif_opener()
    warnings.filterwarnings("ignore", category=Pillow.DecompressionBombWarning)


@contextmanager
def _explained(problem: str) -> Iterator[None]:
    """Say what is wrong with a picture in words of ours."""
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        yield
    except DocumentError:
        raise
    except UnidentifiedImageError as error:
        raise DocumentError("not a picture that can be read; it may be damaged") from error
    except Pillow.DecompressionBombError as error:
        raise DocumentError("a picture of over 178 million pixels: scale it down") from error
    except MemoryError as error:
        raise DocumentError("a picture too large for this machine's memory") from error
    except Exception as error:  # each format's reader raises what it likes on a damaged file
        raise DocumentError(f"{problem}: {' '.join(str(error).split())}") from error
