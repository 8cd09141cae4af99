"""The text of a file, whatever its kind, and of the files within it; pictures have none."""

from __future__ import annotations

import html
import re
from functools import partial
from pathlib import PurePath

from pipeline.errors import DocumentError
from pipeline.sources.base import Extracted
from pipeline.sources.files import open_document, word
from pipeline.sources.files.archives import is_archive, read_archive
from pipeline.sources.files.charsets import decode_page, decode_xml
from pipeline.sources.files.documents import page_text, read_document
from pipeline.sources.files.guards import check
from pipeline.sources.files.kinds import HEAD_BYTES, is_pdf, kind
from pipeline.sources.files.mails import read_mails, read_saved_page
from pipeline.sources.files.pdf import with_attached

_DEEPEST = 5
_TITLE = re.compile(r"<title[^>]{0,999}>(.{0,9999}?)</title>", re.I | re.S)
_AUTHOR = re.compile(
    r"""<meta\s+name=["']?author["']?\s+content=(?:"([^"]{1,999})"|'([^']{1,999})')""", re.I
)


def read(data: bytes, name: str, *, depth: int = 0) -> Extracted:
    """Read a file of this name; one that has neither text nor error is a scan or a picture.

    `depth` is how many files it lies in. Raises DocumentError, saying why, if it can't be read.
    """
    if depth > _DEEPEST:
        raise DocumentError("its files lie too deep within each other")
    inner = partial(read, depth=depth + 1)
    suffix = PurePath(name).suffix.lower()
    match kind(data[:HEAD_BYTES], suffix):
        case "text":
            return Extracted(decode_xml(data))
        case "page":
            return read_page(decode_page(data))
        case "mail":
            return read_mails(data, suffix, inner)
        case "saved page":
            return read_page(read_saved_page(data))
        case "image":
            return Extracted()
        case "document":
            check(data)
            if is_archive(data):
                return read_archive(data, name, inner)
            if is_pdf(data[:HEAD_BYTES], suffix):
                return with_attached(read_document(data, name), data, inner)
            if data.startswith(b"PK"):
                data = open_document.as_shown(word.as_shown(data, inner))
            return read_document(data, name)


def read_page(source: str) -> Extracted:
    """Read a page of HTML as Markdown, with its title."""
    text = page_text(source)
    found, meta = _TITLE.search(source), _AUTHOR.search(source)
    title = _words(found[1]) if found else ""
    author = _words(meta[1] or meta[2]) if meta else ""
    return Extracted(text if title in text else f"# {title}\n\n{text}", title, author)


def _words(markup: str) -> str:
    return " ".join(html.unescape(markup).split())
