"""Pictures as Pillow decodes them: their sizes, and what is sent of them.

Files of strangers: called in bounded processes only, and nothing outside of this module and of
`pages` knows Pillow.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO, TYPE_CHECKING

from pipeline import vision
from pipeline.errors import DocumentError
from pipeline.vision import Size

if TYPE_CHECKING:
    from PIL import Image as Pillow

MOST_PAGES = 50  # of a scan go into one request
# Of memory for a picture while it is decoded: 175 million pixels of a PNG in colours, or 58 million
# of a HEIC; phones take 50. A JPEG is decoded in a fraction of its size, so it may be larger.
MOST_BYTES = 700_000_000
_MOST_SENT_BYTES = 20_000_000  # of a file as it is, which is what OpenAI takes
# Of an icon, which Pillow decodes when it opens it.
_MOST_ICON_PIXELS, _ICON = 4_000_000, b"\0\0\1\0"
_QUALITY = 90  # of a JPEG: small print stays sharp
_STRIP_PIXELS = 4_000_000  # are converted at once

# What every server takes as it is; the rest is written anew (llama.cpp, for one, reads no WebP).
_AS_THEY_ARE = {"JPEG": "image/jpeg", "PNG": "image/png"}
_MODES = frozenset({"1", "L", "P", "RGB"})  # not CMYK, which is for print, nor 16 bits a pixel
_PAGED = frozenset({"TIFF"})  # the other formats with several frames are films and icons
_FORMATS = (*_AS_THEY_ARE, *_PAGED, "GIF", "WEBP", "BMP", "HEIF", "AVIF", "ICO")
# Bytes a pixel while a picture is decoded, as measured with Pillow 13: what it takes in a mode, and
# in formats whose decoders hold a whole picture several times.
_IN_MODE = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
_IN_COLOURS = 4
_IN_FORMAT = {"WEBP": 16, "AVIF": 12, "HEIF": 12}
_IN_STEPS = 6  # what a progressive JPEG adds: it is whole only at the end


class TooLargeError(DocumentError):
    """A picture takes more memory than it may have, at least beside others."""


def sizes(file: IO[bytes]) -> list[Size]:
    """List the size of a picture, or of all pages of a TIFF.

    Raises DocumentError if it can't be decoded, or has too many pages.
    """
    with explained("the picture is damaged"), _open(file) as picture:
        found = [_checked_size(picture)]
        while picture.format in _PAGED and _turn_page(picture, len(found)):
            found.append(_checked_size(picture))
            if len(found) > MOST_PAGES:
                raise too_many_pages()
    return found


def encoded(file: IO[bytes], page: int, size: Size, most_bytes: int) -> tuple[str, bytes]:
    """Return the media type and the bytes of a picture in this size: the file's if they do.

    Raises TooLargeError if decoding it takes more than `most_bytes`.
    """
    with explained("the picture is damaged"), _open(file) as picture:
        if page:
            picture.seek(page)
        kind = _AS_THEY_ARE.get(picture.format or "")
        if kind and picture.size == size and _is_plain(picture):
            data = _whole(file)
            if len(data) <= _MOST_SENT_BYTES:
                picture.load()  # here it shows if the file is cut off
                return kind, data
        _check_cost(picture, size, most_bytes)
        return jpeg(_upright(picture, size))


def jpeg(picture: Pillow.Image) -> tuple[str, bytes]:
    """Return the media type and the bytes of a decoded picture."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY, subsampling=0, exif=b"")
    return "image/jpeg", file.getvalue()


def too_many_pages() -> DocumentError:
    """Return why a long scan isn't looked at."""
    return DocumentError(
        f"a scan of more than {MOST_PAGES} pages: split it, no more go into one request"
    )


@contextmanager
def explained(problem: str) -> Iterator[None]:
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
        raise DocumentError("a picture of far too many pixels: scale it down") from error
    except MemoryError as error:
        raise TooLargeError("it takes too much memory to decode: scale it down") from error
    except Exception as error:  # each format's reader raises what it likes on a damaged file
        raise DocumentError(f"{problem}: {' '.join(str(error).split())}"[:300]) from error


def _open(file: IO[bytes]) -> Pillow.Image:
    from PIL import Image as Pillow

    _teach_pillow()
    file.seek(0)
    most_pixels = _MOST_ICON_PIXELS if file.read(4) == _ICON else MOST_BYTES
    Pillow.MAX_IMAGE_PIXELS = most_pixels // 2  # it warns above that, and refuses twice as many
    warnings.filterwarnings("ignore", category=Pillow.DecompressionBombWarning)
    file.seek(0)
    return Pillow.open(file, formats=_FORMATS)


@cache
def _teach_pillow() -> None:
    """Have it know HEIC."""
    import pi_heif
    from PIL import AvifImagePlugin

    # A thread takes memory of its own; here pictures are decoded in several processes.
    pi_heif.register_heif_opener(decode_threads=1, thumbnails=False)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def _turn_page(picture: Pillow.Image, page: int) -> bool:
    """Go to a page. Pillow's count would walk through all pages there are."""
    try:
        picture.seek(page)
    except EOFError:
        return False
    return True


def _checked_size(picture: Pillow.Image) -> Size:
    size = picture.size
    _check_cost(picture, vision.largest(size), MOST_BYTES)
    return size


def _check_cost(picture: Pillow.Image, wanted: Size, most_bytes: int) -> None:
    """Raise TooLargeError if decoding a picture for a size takes too many bytes.

    A JPEG is told to decode no more pixels than that needs.
    """
    width, height = picture.size
    pixels, each = width * height, _IN_MODE.get(picture.mode, _IN_COLOURS)
    each = _IN_FORMAT.get(picture.format or "", each)
    cost = pixels * each
    if picture.format in ("JPEG", "MPO"):
        picture.draft(None, wanted)
        cost = picture.width * picture.height * each
        cost += pixels * _IN_STEPS if picture.info.get("progressive") else 0
    elif picture.format == "TIFF":  # whose strips are decoded each at once, and may be only one
        cost *= 2
    if cost > most_bytes:
        across, down = vision.largest((width, height))
        raise TooLargeError(
            f"a picture of {width:,} x {height:,} pixels is too large to decode: "
            f"scale it down to {across:,} x {down:,}, models see no more"
        )


def _is_plain(picture: Pillow.Image) -> bool:
    """Return whether a picture is as it looks: not turned, no film, nothing to see through it."""
    film = getattr(picture, "is_animated", False)
    return (
        picture.mode in _MODES
        and not (film or picture.has_transparency_data)
        and (picture.format == "PNG" or _turn(picture) == 1)  # to find out decodes a PNG
    )


def _whole(file: IO[bytes]) -> bytes:
    position = file.tell()
    file.seek(0)
    data = file.read(_MOST_SENT_BYTES + 1)
    file.seek(position)
    return data


def _turn(picture: Pillow.Image) -> int:
    """Return how the camera was held, 1 to 8 (EXIF 2.3, tag 274); from 5 on it lay on its side."""
    turn = picture.getexif().get(274, 1)
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _upright(picture: Pillow.Image, size: Size) -> Pillow.Image:
    """Size a picture, lay it on white, and turn it as its camera was held."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    picture.load()
    sized = _narrowed(picture, size[0]).resize(size, Pillow.Resampling.LANCZOS)
    sized.getexif()[274] = _turn(picture)
    return ImageOps.exif_transpose(sized)


def _narrowed(picture: Pillow.Image, width: int) -> Pillow.Image:
    """Size a picture in its width, strip by strip: there is never a second copy of all of it."""
    from PIL import Image as Pillow

    rows = max(1, _STRIP_PIXELS // picture.width)
    narrowed = Pillow.new(_plain(picture.crop((0, 0, 1, 1))).mode, (width, picture.height))
    for top in range(0, picture.height, rows):
        bottom = min(top + rows, picture.height)
        strip = _plain(picture.crop((0, top, picture.width, bottom)))
        strip = strip.resize((width, bottom - top), Pillow.Resampling.LANCZOS)
        narrowed.paste(strip, (0, top))
    return narrowed


def _plain(picture: Pillow.Image) -> Pillow.Image:
    """Lay a picture on white, in colours or in shades of grey."""
    from PIL import Image as Pillow

    if picture.mode.startswith("I"):  # 16 bits a pixel
        return picture.point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        front = picture.convert("RGBA")
        plain = Pillow.new("RGB", front.size, "white")
        plain.paste(front, mask=front.getchannel("A"))
        return plain
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
