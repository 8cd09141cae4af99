"""What a file is: told from its first bytes, and from its name where those leave it open."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pipeline.sources.decoding import is_utf8, looks_binary
from pipeline.sources.files import images

Kind = Literal["text", "image", "page", "mail", "saved page", "document"]

OFFICE_BEFORE_2007 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

HEAD_BYTES = 8192
_PAGES = frozenset({".html", ".htm", ".xhtml", ".xht"})
# Text by its bytes, but not what a reader of it sees.
_MARKUP = frozenset({".rtf", ".ipynb", ".fb2", ".fodt", ".fodp", ".fods", ".fodg"})
_MAILS = frozenset({".eml", ".mbox"})
_SAVED_PAGES = frozenset({".mht", ".mhtml"})
# What programs also write pages of HTML under.
_DISGUISES = frozenset({".doc", ".xls", ".docx", ".xlsx", ".pdf", ".epub", ""})
# NOTE: atomic groups, so that a page of nothing but comments takes no longer than another.
_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?(?>\s*(?:<\?xml.*?\?>|<!--.*?-->))*+\s*<(?:!doctype\s+)?html", re.S | re.I
)
_CONTAINER = re.compile(
    rb"PK(?:\x03\x04|\x05\x06|\x07\x08)|\{\\rtf|" + re.escape(OFFICE_BEFORE_2007)
)
_PDF = re.compile(rb"(?:\xef\xbb\xbf)?\s*%PDF-")
# Within so many bytes a PDF may begin: HTTP headers and the like stand before some.
_LATE_PDF = re.compile(rb"(?s).{0,1019}?%PDF-\d")
_IMAGE = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|BM.{4}\0{4}|II\*\0|MM\0\*|RIFF.{4}WEBP"
    rb"|.{4}ftyp(?:hei|mif1|avif)|\x00\x00\x01\x00",
    re.S,
)


def kind_of(path: Path) -> Kind:
    """Tell how a file is read. Raises OSError."""
    with path.open("rb") as file:
        return kind(file.read(HEAD_BYTES), path.suffix.lower())


def kind(head: bytes, suffix: str) -> Kind:
    """Tell how a file is read that begins like this."""
    if not head:
        return "text"
    if _IMAGE.match(head):
        return "image"
    if _CONTAINER.match(head) or is_pdf(head, suffix):
        return "document"
    if suffix in images.SUFFIXES:
        return "image"
    if suffix in _MAILS:
        return "mail"
    if suffix in _SAVED_PAGES:
        return "saved page"
    if looks_binary(head[:HEAD_BYTES]):
        return "document"
    if suffix in _PAGES or (suffix in _DISGUISES and _PAGE.match(head)):
        return "page"
    return "document" if suffix in _MARKUP else "text"


def is_pdf(head: bytes, suffix: str) -> bool:
    """Return whether a file that begins like this is a PDF, whatever stands before it.

    Of files called otherwise it is only those that no text begins like.
    """
    if _PDF.match(head):
        return True
    named = suffix == ".pdf" or looks_binary(head) or not is_utf8(head)
    return named and not _CONTAINER.match(head) and bool(_LATE_PDF.match(head))
