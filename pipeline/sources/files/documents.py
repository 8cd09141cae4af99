"""Documents that aren't text: xberg reads them. Nothing outside of this module knows xberg.

It gets bytes, never an address, so that it fetches nothing; OCR, which would fetch its models, is
off. It resolves no external entities and unpacks no more than it is told here.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from pipeline.errors import DocumentError
from pipeline.sources.base import Extracted
from pipeline.sources.decoding import looks_binary
from pipeline.sources.files import pdf
from pipeline.sources.files.guards import (
    DAMAGED,
    MOST_PARTS,
    MOST_RATIO,
    MOST_UNPACKED_BYTES,
    PROTECTED,
    TOO_DENSE,
    TOO_LARGE,
    TOO_MANY,
)
from pipeline.sources.files.kinds import HEAD_BYTES, is_pdf
from pipeline.sources.files.slides import read_extras, with_extras

if TYPE_CHECKING:
    from xberg import ExtractedDocument

_MOST_CELLS = 5_000_000
_PDF = "application/pdf"
_NAMELESS = "compressed_content"  # what xberg calls the one file in a .gz
# Their paragraphs are lines, which Markdown would join.
_LINES = frozenset({".doc", ".dot", ".msg"})
# Of these formats xberg escapes every backslash, and some more characters.
_ESCAPING = (_PDF, "application/rtf", "text/rtf", "application/vnd.o", "application/vnd.ms-")
_ESCAPE = re.compile(r"\\([\\<>`+.!~&])")
_FENCED = re.compile(r"(^```.*?^```$)", re.M | re.S)
_UNKNOWN = "not text, and not a document format that can be read"
_NO_PAGES = "there are no pages in it: it may be damaged"
# What xberg says, and what it means.
_REASONS = (
    ("password", PROTECTED),
    ("ncrypted", PROTECTED),
    ("Transcription", "sound or video has no text"),
    ("No page boundaries", _NO_PAGES),
    ("Table cell limit", f"its tables have over {_MOST_CELLS:,} cells: split it"),
    ("too many files", TOO_MANY),
    ("max_files_in_archive", TOO_MANY),
    ("bomb", TOO_DENSE),
    ("size exceeds", TOO_LARGE),
    ("max_archive_size", TOO_LARGE),
    ("exceed", "too large to be read"),
    ("Unsupported format", _UNKNOWN),
)


def read_document(data: bytes, name: str) -> Extracted:
    """Read a document of any format; a scan has neither text nor error.

    Raises DocumentError, saying why, where it can't be read.
    """
    suffix = PurePath(name).suffix.lower()
    data = data.removeprefix(codecs.BOM_UTF8)  # which JSON may not have
    mime_type = _PDF if is_pdf(data[:HEAD_BYTES], suffix) else None
    extras = read_extras(data) if data.startswith(b"PK") else []
    found = _ask_xberg(
        data,
        filename=name,
        mime_type=mime_type,
        markdown=suffix not in _LINES,
        by_page=bool(mime_type or extras),
    )
    if found.mime_type == "text/plain" and looks_binary(data[:HEAD_BYTES]):
        raise DocumentError(_UNKNOWN)  # what xberg doesn't know it takes for text
    text = _text(found)
    pages = [_unescaped(page.content) for page in found.pages or []]
    if extras:
        text = with_extras(pages, extras)
    if found.mime_type == _PDF:
        fields = {field.name: field.value for field in found.form_fields if field.value}
        text = pdf.as_read(data, text, pages, fields)
        text = pdf.with_comments(data, text) if text.strip() else ""
    extracted = Extracted(
        text,
        title=_line(found.metadata.title or found.metadata.subject),
        author=_line(", ".join(found.metadata.authors or [])),
        pages=_pages(found),
        scanned_pages=_scanned_pages(found),
    )
    if text.strip():
        return extracted
    if found.mime_type == _PDF or found.mime_type.startswith("image/"):
        return replace(extracted, text="")
    return replace(extracted, text="", error="there is no text in it")


def page_text(source: str) -> str:
    """Read a page of HTML as Markdown."""
    return _ask_xberg(source.encode(errors="replace"), mime_type="text/html").content


def _ask_xberg(
    data: bytes,
    *,
    filename: str | None = None,
    mime_type: str | None = None,
    markdown: bool = True,
    by_page: bool = False,
) -> ExtractedDocument:
    import asyncio

    import xberg

    asked = xberg.ExtractInput(kind="bytes", bytes=data, filename=filename, mime_type=mime_type)
    config = xberg.ExtractionConfig(
        use_cache=False,
        disable_ocr=True,
        output_format="markdown" if markdown else "plain",
        escape_markdown=False,
        pages=xberg.PageConfig(extract_pages=by_page),
        extraction_timeout_secs=None,  # the worker's time is bounded
        # Otherwise all <meta> of a page are put before its text, as a broken heading.
        html_options=xberg.ConversionOptions(extract_metadata=False),
        security_limits=xberg.SecurityLimits(
            max_archive_size=MOST_UNPACKED_BYTES,
            max_files_in_archive=MOST_PARTS,
            max_compression_ratio=MOST_RATIO,
            max_table_cells=_MOST_CELLS,
        ),
    )
    try:
        found = asyncio.run(xberg.extract(asked, config))
    except (RuntimeError, ValueError) as error:  # xberg raises nothing finer
        raise DocumentError(_reason(str(error))) from error
    if found.results:
        return found.results[0]
    raise DocumentError(_reason(found.errors[0].message if found.errors else ""))


def _reason(message: str) -> str:
    return next((meaning for sign, meaning in _REASONS if sign in message), DAMAGED)


def _text(found: ExtractedDocument) -> str:
    """Return the text of a document; of an archive, that of all the documents in it."""
    about = found.metadata.format
    if about and about.archive:
        parts = sorted((entry.path, _text(entry.result)) for entry in found.children or [])
        return "\n\n".join(
            text if name == _NAMELESS else f"# {name}\n\n{text}"
            for name, text in parts
            if text.strip()
        )
    is_escaped = found.mime_type.startswith(_ESCAPING)
    return _unescaped(found.content) if is_escaped else found.content


def _unescaped(markdown: str) -> str:
    """Take the backslashes out that were put in, as Markdown but not a reader wants them."""
    parts = _FENCED.split(markdown)
    parts[::2] = [_ESCAPE.sub(r"\1", part) for part in parts[::2]]
    return "".join(parts)


def _scanned_pages(found: ExtractedDocument) -> tuple[int, ...]:
    """Return the pages that are scans without a text layer."""
    about = found.metadata.format
    pdf = about.pdf if about else None
    read = {page.page_number for page in found.pages or [] if page.content.strip()}
    return tuple(page for page in (pdf and pdf.scanned_pages) or () if page not in read)


def _pages(found: ExtractedDocument) -> int | None:
    """Return the number of pages or slides: what the document says itself comes before a guess."""
    metadata, about = found.metadata, found.metadata.format
    if about and about.pdf:
        return about.pdf.page_count
    if about and about.pptx:
        return about.pptx.slide_count
    said = metadata.additional.get("page_count", "")
    if said.isdecimal():
        return int(said)
    return metadata.pages.total_count if metadata.pages else None


def _line(text: str | None) -> str:
    return " ".join((text or "").split())[:1000]
