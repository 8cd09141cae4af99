"""Pictures: what there is to see in a cell or a file, and its bytes as a server takes them.

A picture's bytes are read twice: when it is found, for its size and its digest, and when it is
sent. In between only its address travels. `read` and `encode` open a stranger's file: they are
called in bounded processes only.
"""

from __future__ import annotations

import base64
import hashlib
import os
import reprlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, TypeGuard

from pipeline.errors import DocumentError
from pipeline.sources.files import pages, pixels
from pipeline.sources.files.reach import Reach
from pipeline.types import Image
from pipeline.vision import Rule

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp"}
    | {".heic", ".heif", ".avif", ".ico"}
)
_MOST_BYTES = 500_000_000  # of a file
_PART_BYTES = 1 << 20  # are read at once
_MOST_IMAGES = 500  # of a cell, which is what OpenAI takes in a request
_LONGEST = 80  # characters of a cell are repeated in an error


def is_address(text: str) -> bool:
    """Return whether a picture is the server's to fetch, or in the text itself."""
    return text.startswith(("http://", "https://", "data:image/"))


def names_files(cell: object) -> bool:
    """Return whether a table's cell names pictures that `find` must open."""
    return any(name and not is_address(name) for name in _names(cell))


def find(cell: object, reach: Reach) -> tuple[Image, ...]:
    """Find the pictures that a table's cell names: a path, an address, or a list of such.

    Raises DocumentError where one can't be read, or is out of reach.
    """
    found: list[Image] = []
    for text in _names(cell):
        found += _find(text, reach) if text else ()
        if len(found) > _MOST_IMAGES:
            raise DocumentError(f"over {_MOST_IMAGES} images in one row: split it")
    return tuple(found)


def _names(cell: object) -> Iterator[str]:
    """Yield what a cell names; a list in a list is no name, but may be as deep as it likes."""
    for item in cell if _is_list(cell) else [cell]:
        if item is not None:
            yield reprlib.repr(item) if _is_list(item) else str(item).strip()


def _is_list(item: object) -> TypeGuard[Sequence[object]]:
    return isinstance(item, Sequence) and not isinstance(item, str | bytes)


def _find(text: str, reach: Reach) -> tuple[Image, ...]:
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
        with path.open("rb") as file:
            return _read(file, str(path.absolute()))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DocumentError(f"the file can't be read: {reason}") from error


def _read(file: IO[bytes], source: str) -> tuple[Image, ...]:
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise DocumentError("the file is empty")
    if size > _MOST_BYTES:
        raise DocumentError(f"larger than {_MOST_BYTES // 1_000_000} MB: too large to read")
    digest = _sha256(file)
    is_pdf = _is_pdf(file)
    sizes = pages.sizes(file) if is_pdf else pixels.sizes(file)
    several = len(sizes) > 1 or is_pdf
    return tuple(
        Image(source, digest, width, height, page if several else None)
        for page, (width, height) in enumerate(sizes)
    )


def encode(image: Image, rule: Rule, most_bytes: int = pixels.MOST_BYTES) -> str:
    """Return a file's picture as a data URL: upright, of the size that the model's rule gives it.

    Raises DocumentError if the file can't be read or isn't what it was, and TooLargeError if
    decoding it takes more than `most_bytes` of memory.
    """
    name, page = Path(image.source).name, image.page or 0
    size = rule.fit((image.width, image.height), image.detail)
    try:
        with open(image.source, "rb") as file:
            about = os.fstat(file.fileno())
            if _digest(image.source, (about.st_size, about.st_mtime_ns)) != image.digest:
                raise DocumentError(
                    f"{name} changed while the run was going on: run the same again"
                )
            if _is_pdf(file):
                kind, sent = pixels.jpeg(pages.draw(file, page, size))
            else:
                kind, sent = pixels.encoded(file, page, size, most_bytes)
    except OSError as error:
        raise DocumentError(f"{name} can't be read any more: {error.strerror}") from error
    return f"data:{kind};base64,{base64.b64encode(sent).decode()}"


def _is_pdf(file: IO[bytes]) -> bool:
    file.seek(0)
    head = file.read(pages.HEAD_BYTES)
    file.seek(0)
    return pages.is_pdf(head)


@lru_cache(maxsize=1)  # the pages of a scan follow each other
def _digest(source: str, stamp: tuple[int, int]) -> bytes:
    """Return the sha256 of a file, read once as long as it has the size and the time of `stamp`."""
    with open(source, "rb") as file:
        return _sha256(file)


def _sha256(file: IO[bytes]) -> bytes:
    digest = hashlib.sha256()
    while part := file.read(_PART_BYTES):
        digest.update(part)
    return digest.digest()
