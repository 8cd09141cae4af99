"""The text of files, or their images, read by processes of their own.

Neither is ever more than what can be held in memory; `processes` sees to the time.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from pathlib import Path

from pipeline.errors import DocumentError
from pipeline.processes.pool import Pool
from pipeline.sources.base import Extracted
from pipeline.sources.files import images
from pipeline.sources.files.kinds import Kind, kind_of
from pipeline.sources.files.reading import read

# Five million tokens: several times what the largest model reads.
MOST_CHARACTERS = 20_000_000
_MOST_TEXT_BYTES = 4 * MOST_CHARACTERS
_MOST_BYTES = 500_000_000
_MOST_TOGETHER = 16  # pictures are asked for at once
Readers = Pool[[Sequence[Path]], list[Extracted]]


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


def extract_several(paths: Sequence[Path]) -> list[Extracted]:
    """Read some files, in their order."""
    return [extract(path) for path in paths]


def extract_all(
    paths: Iterable[Path], *, readers: Readers | None = None
) -> Generator[Extracted, None, None]:
    """Read many files, in their order.

    Closing `readers` from another thread ends it early: what is left can't be read then.
    """
    readers = readers or Pool(extract_several)
    ahead: deque[tuple[Sequence[Path], Future[list[Extracted]] | None]] = deque()
    try:
        for group, is_quick in _groups(paths):
            ahead.append((group, None if is_quick else _submit(group, readers)))
            if len(ahead) > 2 * readers.processes:
                yield from _outcomes(*ahead.popleft(), readers)
        while ahead:
            yield from _outcomes(*ahead.popleft(), readers)
    finally:
        readers.close()


def _groups(paths: Iterable[Path]) -> Iterator[tuple[Sequence[Path], bool]]:
    """Yield the files to be read by one call, and whether they are read faster here than elsewhere.

    To ask for a picture takes as long as to look at it, so that several go together.
    """
    pictures: list[Path] = []
    for path in paths:
        kind = _kind(path)
        if kind == "image":
            pictures.append(path)
        if pictures and (kind != "image" or len(pictures) == _MOST_TOGETHER):
            yield pictures, False
            pictures = []
        if kind != "image":
            yield [path], kind == "text"
    if pictures:
        yield pictures, False


def _kind(path: Path) -> Kind:
    try:
        return kind_of(path)
    except OSError:
        return "text"  # is refused fast


def _submit(group: Sequence[Path], readers: Readers) -> Future[list[Extracted]]:
    # A reader works in a folder of its own.
    return readers.submit([path.absolute() for path in group])


def _outcomes(
    group: Sequence[Path], future: Future[list[Extracted]] | None, readers: Readers
) -> Iterator[Extracted]:
    try:
        yield from extract_several(group) if future is None else future.result()
    except CancelledError:
        yield from [Extracted(error="not read: the run ended early")] * len(group)
    except DocumentError as error:  # the reader crashed, of one of them
        if len(group) == 1:
            yield Extracted(error=str(error))
            return
        for path in group:
            yield from _outcomes([path], _submit([path], readers), readers)


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
    found = read(data, os.fsencode(path.name).decode("utf-8", "replace"))
    if kind == "document" and not found.text and not found.error:
        return replace(found, images=images.read(path))
    return found


def _too_long() -> str:
    return f"over {MOST_CHARACTERS // 1_000_000} million characters: split it into several files"
