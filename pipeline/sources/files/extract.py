"""The text of a file: what is text is decoded as it stands, the rest goes through `documents.py`.

Neither is ever more than what can be held in memory; `processes` sees to the time.
"""

from __future__ import annotations

import html
import re
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from pathlib import Path

from pipeline.errors import DocumentError
from pipeline.processes.pool import Pool
from pipeline.sources.base import Extracted
from pipeline.sources.decoding import decode, decode_html
from pipeline.sources.files import images
from pipeline.sources.files.documents import read_document, read_page
from pipeline.sources.files.kinds import kind_of

# Five million tokens: several times what the largest model reads.
MOST_CHARACTERS = 20_000_000
_MOST_TEXT_BYTES = 4 * MOST_CHARACTERS
_MOST_BYTES = 500_000_000
_TITLE = re.compile(r"<title[^>]{0,999}>(.{0,9999}?)</title>", re.I | re.S)
_AUTHOR = re.compile(
    r"""<meta\s+name=["']?author["']?\s+content=(?:"([^"]{1,999})"|'([^']{1,999})')""", re.I
)

Readers = Pool[[Path], Extracted]


def extract(path: Path) -> Extracted:
    """Read a file; its `error` says why where there is no text."""
    try:
        found = _read(path)
    except DocumentError as error:
        return Extracted(error=str(error))
    except OSError as error:
        return Extracted(error=f"the file can't be read: {error.strerror or error}")
    except MemoryError:
        return Extracted(error="reading it takes more memory than one file may have")
    if found.error or found.images:
        return found
    if not found.text or found.text.isspace():
        return replace(found, text="", error="nothing but blank space")
    if len(found.text) > MOST_CHARACTERS:
        return replace(found, text="", error=_too_long())
    return found


def extract_all(
    paths: Iterable[Path], *, readers: Readers | None = None
) -> Generator[Extracted, None, None]:
    """Read many files, in their order.

    Closing `readers` from another thread ends it early: what is left can't be read then.
    """
    readers = readers or Pool(extract)
    ahead: deque[Path | Future[Extracted]] = deque()
    try:
        for path in paths:
            # A reader works in a folder of its own.
            ahead.append(path if _is_quick(path) else readers.submit(path.absolute()))
            if len(ahead) > 2 * readers.processes:
                yield _outcome(ahead.popleft())
        while ahead:
            yield _outcome(ahead.popleft())
    finally:
        readers.close()


def _outcome(item: Path | Future[Extracted]) -> Extracted:
    try:
        return extract(item) if isinstance(item, Path) else item.result()
    except CancelledError:
        return Extracted(error="not read: the run ended early")
    except DocumentError as error:  # its reader crashed
        return Extracted(error=str(error))


def _is_quick(path: Path) -> bool:
    """Say whether a file is read, or refused, faster here than in another process."""
    try:
        return kind_of(path) == "text"
    except OSError:
        return True


def _read(path: Path) -> Extracted:
    kind, size = kind_of(path), path.stat().st_size
    if kind == "image":
        return Extracted(images=images.read(path))
    if kind == "text" and size > _MOST_TEXT_BYTES:
        raise DocumentError(_too_long())
    if size > _MOST_BYTES:
        raise DocumentError(f"larger than {_MOST_BYTES // 1_000_000} MB: too large to read")
    data = path.read_bytes()
    if not data:
        raise DocumentError("the file is empty")
    if kind == "page":
        return _read_page(decode_html(data))
    return Extracted(decode(data)) if kind == "text" else read_document(data, path)


def _read_page(source: str) -> Extracted:
    text = read_page(source)
    found, meta = _TITLE.search(source), _AUTHOR.search(source)
    title = _words(found[1]) if found else ""
    author = _words(meta[1] or meta[2]) if meta else ""
    return Extracted(text if title in text else f"# {title}\n\n{text}", title, author)


def _words(markup: str) -> str:
    return " ".join(html.unescape(markup).split())


def _too_long() -> str:
    return f"over {MOST_CHARACTERS // 1_000_000} million characters: split it into several files"
