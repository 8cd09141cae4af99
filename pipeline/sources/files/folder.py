"""The files of a folder as a source: each a document, whatever its format."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.processes.pool import Pool
from pipeline.sources.base import METADATA, Extracted
from pipeline.sources.files.extract import Readers, extract_all, extract_several
from pipeline.sources.files.walk import Listed, listed, walk
from pipeline.sources.tables.cells import Style
from pipeline.types import Column, Document

MOST_NAMED = 10  # pages are named in a remark


class FilesSource:
    """Files, each a document, that processes of their own read."""

    columns: Sequence[Column] = (Column("document", "text"),)
    variables: Sequence[str] = METADATA
    notices: Sequence[str] = ()
    style: Style | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.text_column: str | None = "document"
        self.image_column: str | None = "document"
        self._skimming = False
        self._readers: Readers | None = None

    def skim(self) -> None:
        """From here on read no file: yield the documents that are left without their text."""
        self._skimming = True
        self.close()

    def close(self) -> None:
        """End what still reads them."""
        if self._readers:
            self._readers.close()


class FolderSource(FilesSource):
    """The files of a folder and of all folders in it, or a single file.

    `patterns` and `exclude` pick files, as `walk` reads them; `exclude_paths` are never read.
    """

    def __init__(
        self,
        path: Path,
        *,
        patterns: Sequence[Sequence[str]] = (),
        exclude: Sequence[str] = (),
        exclude_paths: Collection[Path] = (),
    ) -> None:
        super().__init__(os.path.basename(os.path.abspath(path)) or str(path))
        self._path = path
        self._patterns = patterns
        self._exclude = exclude
        self._excluded = frozenset(map(os.path.realpath, exclude_paths))
        self._listing = list(self._list())
        self._files: Sequence[Listed] = self._listing
        self._done = 0

    def __len__(self) -> int:
        return len(self._files)

    def keep(self, positions: Sequence[int]) -> None:
        """Read only these files of those that were found."""
        self._files = [self._files[position] for position in positions]

    def __iter__(self) -> Iterator[Document]:
        root = self._path if self._path.is_dir() else self._path.parent
        self._readers = Pool(extract_several)
        paths = (root / file.path for file in self._files)
        with closing(extract_all(paths, readers=self._readers)) as extracted:
            for position, file in enumerate(self._files):
                found = Extracted() if self._skimming else next(extracted)
                if self._skimming:  # and so, perhaps, stopped halfway
                    found = Extracted()
                self._done = position + 1
                yield document(position, file.path, found)

    def fraction(self) -> float:
        """Say how many of the files have been read."""
        return self._done / len(self._files) if self._files else 1.0

    def changed(self) -> bool:
        """Return whether files were added, taken away or written since the folder was listed."""
        try:
            return list(self._list()) != self._listing
        except UsageError:
            return True

    def _list(self) -> Iterator[Listed]:
        if not self._path.is_dir():
            return iter([listed(self._path, self._path.name)])
        return walk(
            self._path, patterns=self._patterns, exclude=self._exclude, excluded=self._excluded
        )


def document(position: int, path: str, found: Extracted) -> Document:
    """Make a document of what was read from the file of this path."""
    # A name that isn't UTF-8 couldn't be written to any table.
    name = os.fsencode(path).decode("utf-8", "replace")
    metadata = {"title": found.title, "author": found.author, "pages": found.pages}
    return Document(
        position,
        name,
        {"document": name},
        found.text,
        found.error,
        images=found.images,
        metadata=metadata,
        remark=_remark(found),
    )


def _remark(found: Extracted) -> str | None:
    """Say which pages and parts of a document aren't asked about, where others are."""
    if not found.text:
        return None
    parts = [f"the scans in it, pages {_some(found.scanned_pages)} of {found.pages}"]
    parts = parts if found.scanned_pages else []
    if found.left_out:
        parts.append(f"the files {_some(found.left_out)}")
    return f"not asked about: {'; '.join(parts)}" if parts else None


def _some(names: Sequence[object]) -> str:
    return ", ".join([*map(str, names[:MOST_NAMED]), *(["..."] if names[MOST_NAMED:] else [])])
