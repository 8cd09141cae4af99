"""The text of a file: what is text is decoded as it stands, the rest goes through xberg. A picture
or a scan has no text: it is given as images.

Nothing outside of this module knows xberg.
"""

from __future__ import annotations

import html
import os
import re
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline import images
from pipeline.errors import DocumentError
from pipeline.sources.decoding import decode, decode_html, looks_binary
from pipeline.sources.workers import Content, Outcome, Workers

if TYPE_CHECKING:
    from xberg import ExtractedDocument

Kind = Literal["text", "image", "page", "document"]

_HEAD_BYTES = 8192
_TIMEOUT_SECONDS = 60
_PAGES = frozenset({".html", ".htm", ".xhtml", ".xht"})
# Text by its bytes, but not what a reader of it sees; and what can be text only if it is damaged.
_MARKUP = frozenset({".rtf", ".eml", ".ipynb", ".fb2", ".fodt", ".fodp", ".fods", ".fodg"})
_OFFICE = frozenset({".pdf", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub"})
_MAGIC = (b"%PDF-", b"PK\x03\x04", rb"{\rtf")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.I | re.S)
_UNKNOWN = "not text, and not a document format that can be read"
# What xberg says, and what it means.
_REASONS = (
    ("password", "protected by a password"),
    ("Zip archive", "damaged, or protected by a password"),
    ("Transcription", "sound or video has no text"),
    ("Unsupported format", _UNKNOWN),
)


def extract(path: Path) -> Content:
    """Read a file's text, or its images; raise DocumentError, saying why, where it has neither."""
    try:
        content = _read(path)
    except OSError as error:
        raise DocumentError(f"the file can't be read: {error.strerror or error}") from error
    if isinstance(content, str) and not content.strip():
        raise DocumentError("nothing but blank space")
    return content


def extract_all(
    paths: Iterable[Path], *, workers: Workers | None = None
) -> Generator[Outcome, None, None]:
    """Read many files, in their order; yield the error of one that can't be read.

    Closing `workers` from another thread ends it early: what is left can't be read then.
    """
    workers = workers or Workers(extract)
    ahead: deque[Path | Future[Outcome]] = deque()
    try:
        for path in paths:
            ahead.append(path if _is_quick(path) else workers.submit(path))
            if len(ahead) > 2 * workers.processes:
                yield _outcome(ahead.popleft())
        while ahead:
            yield _outcome(ahead.popleft())
    finally:
        workers.close()


def _outcome(item: Path | Future[Outcome]) -> Outcome:
    try:
        return extract(item) if isinstance(item, Path) else item.result()
    except DocumentError as error:
        return error
    except CancelledError:
        return DocumentError("not read: the run ended early")


def _is_quick(path: Path) -> bool:
    """Say whether a file is read, or refused, faster here than in another process."""
    try:
        return _kind(path) in ("text", "image")
    except OSError:
        return True


def _kind(path: Path) -> Kind:
    suffix = path.suffix.lower()
    if suffix in images.SUFFIXES:
        return "image"
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return "text"
    if suffix in _PAGES:
        return "page"
    if suffix in _MARKUP | _OFFICE or head.startswith(_MAGIC) or looks_binary(head):
        return "document"
    return "text"


def _read(path: Path) -> Content:
    kind = _kind(path)
    if kind == "image":
        return images.read(path)
    data = path.read_bytes()
    if not data:
        raise DocumentError("the file is empty")
    if kind == "page":
        return _read_page(decode_html(data))
    return decode(data) if kind == "text" else _read_document(data, path)


def _read_document(data: bytes, path: Path) -> Content:
    # The name helps to tell formats apart; one that isn't UTF-8 would be refused.
    filename = os.fsencode(path.name).decode("utf-8", "replace")
    document = _ask_xberg(data, filename=filename)
    if document.mime_type == "text/plain" and looks_binary(data[:_HEAD_BYTES]):
        raise DocumentError(_UNKNOWN)  # what xberg doesn't know it takes for text
    if document.content.strip():
        return document.content
    if document.mime_type == "application/pdf" or document.mime_type.startswith("image/"):
        return images.parse(data, path)
    raise DocumentError("there is no text in it")


def _read_page(source: str) -> str:
    text = _ask_xberg(source.encode(errors="replace"), mime_type="text/html").content
    found = _TITLE.search(source)
    title = " ".join(html.unescape(found[1]).split()) if found else ""
    return text if title in text else f"# {title}\n\n{text}"


def _ask_xberg(
    data: bytes, *, filename: str | None = None, mime_type: str | None = None
) -> ExtractedDocument:
    import asyncio

    import xberg

    asked = xberg.ExtractInput(kind="bytes", bytes=data, filename=filename, mime_type=mime_type)
    config = xberg.ExtractionConfig(
        use_cache=False,
        disable_ocr=True,
        output_format="markdown",
        extraction_timeout_secs=_TIMEOUT_SECONDS,
        # Otherwise all <meta> of a page are put before its text, as a broken heading.
        html_options=xberg.ConversionOptions(extract_metadata=False),
    )
    try:
        found = asyncio.run(xberg.extract(asked, config))
    except (RuntimeError, ValueError) as error:  # xberg raises nothing finer
        raise DocumentError(_reason(str(error))) from error
    if found.results:
        return found.results[0]
    raise DocumentError(_reason(found.errors[0].message if found.errors else "no result"))


def _reason(message: str) -> str:
    known = (meaning for sign, meaning in _REASONS if sign in message)
    return next(known, f"the file can't be read: {' '.join(message.split())}")
