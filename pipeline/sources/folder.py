"""The files of a folder as a source: each a document, whatever its format."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import UsageError
from pipeline.sources.extract import extract, extract_all
from pipeline.sources.workers import Outcome, Workers
from pipeline.types import Column, Document

# `~$letter.docx` is what Word leaves beside a letter that is open; Windows hides it.
_HIDDEN = (".", "~$")
_JOURNAL = re.compile(r"\.journal(-|\.lock$|$)")
_WILD = {"**/": "(?:.+/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class Listed(NamedTuple):
    """A file as it was found: its path in the folder, its size and its time."""

    path: str
    size: int
    mtime_ns: int


class FolderSource:
    """The files of a folder and of all folders in it, or a single file."""

    columns: Sequence[Column] = (Column("document", "text"),)
    notices: Sequence[str] = ()

    def __init__(
        self,
        path: Path,
        *,
        patterns: Sequence[str] = (),
        exclude_paths: Collection[Path] = (),
    ) -> None:
        self.name = os.path.basename(os.path.abspath(path)) or str(path)
        self.text_column: str | None = "document"
        self.image_column: str | None = "document"
        self._path = path
        self._patterns = patterns
        self._excluded = frozenset(map(os.path.realpath, exclude_paths))
        self._files = list(self._list())
        self._done = 0
        self._skimming = False
        self._workers: Workers | None = None

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Document]:
        root = self._path if self._path.is_dir() else self._path.parent
        self._workers = Workers(extract)
        paths = (root / file.path for file in self._files)
        with closing(extract_all(paths, workers=self._workers)) as outcomes:
            for position, file in enumerate(self._files):
                outcome = "" if self._skimming else next(outcomes)
                self._done = position + 1
                # What was being read as the run ended was, perhaps, stopped halfway.
                yield document(position, file.path, "" if self._skimming else outcome)

    def fraction(self) -> float:
        """Say how many of the files have been read."""
        return self._done / len(self._files) if self._files else 1.0

    def skim(self) -> None:
        """From here on read no file: yield the documents that are left without their text."""
        self._skimming = True
        if self._workers:
            self._workers.close()

    def changed(self) -> bool:
        """Say whether files were added, taken away or written since the folder was listed."""
        try:
            return list(self._list()) != self._files
        except UsageError:
            return True

    def _list(self) -> Iterator[Listed]:
        if not self._path.is_dir():
            return iter([_listed(self._path, self._path.name)])
        return walk(self._path, patterns=self._patterns, excluded=self._excluded)


def document(position: int, path: str, outcome: Outcome) -> Document:
    """Make a document of what came of reading the file of this path."""
    # A name that isn't UTF-8 couldn't be written to any table.
    name = os.fsencode(path).decode("utf-8", "replace")
    fields = {"document": name}
    if isinstance(outcome, str):
        return Document(position, name, fields, outcome)
    if isinstance(outcome, tuple):
        return Document(position, name, fields, images=outcome)
    return Document(position, name, fields, error=str(outcome))


def is_ignored(path: str) -> bool:
    """Say whether a path leads through what is hidden, or to a journal."""
    parts = path.split("/")
    return any(part.startswith(_HIDDEN) for part in parts) or bool(_JOURNAL.search(parts[-1]))


def walk(
    folder: Path, *, patterns: Sequence[str] = (), excluded: Collection[str] = ()
) -> Iterator[Listed]:
    """Find files in the order of their paths; leave out what is hidden and links that lead out.

    A file has to match all `patterns`, as `matcher` reads them. `excluded` are real paths.
    """
    root = os.path.realpath(folder)
    wanted = [matcher(pattern) for pattern in patterns]
    depth = min((p.count("/") for p in patterns if "**" not in p), default=None)
    levels = [_scan(root)]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
        elif entry.is_dir(follow_symlinks=False):
            if depth is None or len(levels) <= depth:
                levels.append(_scan(entry.path))
        else:
            path = os.path.relpath(entry.path, root).replace(os.sep, "/")
            if all(fits(path) for fits in wanted) and _is_ours(entry, root, excluded):
                yield _listed(entry, path)


def matcher(pattern: str) -> Callable[[str], object]:
    """Make a test of relative paths: `*` and `?` stay in a folder, `**` goes through any number."""
    tokens = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]/]+\])", pattern)
    return re.compile("".join(map(_token, tokens)), re.DOTALL).fullmatch


def _token(token: str) -> str:
    if len(token) > 2 and token.startswith("[") and token.endswith("]"):
        inside = token[1:-1].replace("\\", r"\\")
        return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
    return _WILD.get(token) or re.escape(token)


def _scan(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(_HIDDEN)]
    except OSError as error:
        raise UsageError(
            f"the folder {folder} can't be listed: {error.strerror}; "
            "make it readable, or give other folders as INPUT"
        ) from error
    names = {entry.name for entry in found}
    seen = [entry for entry in found if not _is_written_here(entry.name, names)]
    # In the order of whole paths, which is how an object store lists them.
    return iter(sorted(seen, key=_sorted_as))


def _sorted_as(entry: os.DirEntry[str]) -> str:
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name


def _is_written_here(name: str, names: Collection[str]) -> bool:
    """Say whether it is a journal or an output of this program: those are no documents."""
    return f"{name}.journal" in names or bool(_JOURNAL.search(name))


def _is_ours(entry: os.DirEntry[str], root: str, excluded: Collection[str]) -> bool:
    """Say whether it is a file of the folder's own. Links to folders are never followed."""
    path = entry.path
    if entry.is_symlink():
        path = os.path.realpath(path)
        return (
            path.startswith(os.path.join(root, ""))
            and os.path.isfile(path)
            and path not in excluded
        )
    return entry.is_file() and path not in excluded


def _listed(file: Path | os.DirEntry[str], path: str) -> Listed:
    try:
        status = file.stat()
    except OSError:  # reading it will say why
        return Listed(path, 0, 0)
    return Listed(path, status.st_size, status.st_mtime_ns)
