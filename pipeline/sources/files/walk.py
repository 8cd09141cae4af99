"""Which files of a folder are documents: found by name, none of them opened."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import UsageError
from pipeline.formats import PACKED, WRITTEN
from pipeline.regular import read_file
from pipeline.sources.files.patterns import Ignore, matcher

IGNORE_FILE = ".pipelineignore"
_IGNORE_BYTES = 100_000  # every file is compared with every line

# `~$letter.docx` is what Word leaves beside a letter that is open; Windows hides it.
_HIDDEN = (".", "~$")
# Of an output of ours: any other `.journal` is somebody's document.
_JOURNAL = re.compile(
    rf"({'|'.join(map(re.escape, WRITTEN))})({'|'.join(map(re.escape, PACKED))})?"
    r"\.journal(-|\.lock$|$)",
    re.IGNORECASE,
)


class Listed(NamedTuple):
    """A file as it was found: its path in the folder, its size and its time."""

    path: str
    size: int
    mtime_ns: int


class _Level(NamedTuple):
    """A folder on the way down: its path from the root, ending in `/`, and what is left in it."""

    path: str
    entries: Iterator[os.DirEntry[str]]
    ignored: Ignore | None


def walk(
    folder: Path,
    *,
    patterns: Sequence[Sequence[str]] = (),
    exclude: Sequence[str] = (),
    excluded: Collection[str] = (),
) -> Iterator[Listed]:
    """Find files in the order of their paths; leave out what is hidden and links that lead out.

    A file has to match one pattern of each of the `patterns`, as `matcher` reads them. What
    `exclude` or an ignore file says, in the syntax of `.gitignore`, is left out. `excluded` are
    real paths.
    """
    root = os.path.realpath(folder)
    wanted = [matcher(*alternatives) for alternatives in patterns]
    depth = _depth(patterns)
    levels = [_scan(root, "")]
    command_line = Ignore(exclude, "--exclude") if exclude else None
    while levels:
        entry = next(levels[-1].entries, None)
        if entry is None:
            levels.pop()
            continue
        path = levels[-1].path + entry.name
        if entry.is_dir(follow_symlinks=False):
            near = depth is None or len(levels) <= depth
            if near and not _is_ignored(f"{path}/", levels, command_line):
                levels.append(_scan(entry.path, f"{path}/"))
        elif (
            all(fits(path) for fits in wanted)
            and not _is_ignored(path, levels, command_line)
            and _is_ours(entry, root, excluded)
        ):
            yield listed(entry, path)


def listed(file: Path | os.DirEntry[str], path: str) -> Listed:
    """Note a file's size and time."""
    try:
        status = file.stat()
    except OSError:  # reading it will say why
        return Listed(path, 0, 0)
    return Listed(path, status.st_size, status.st_mtime_ns)


def _depth(patterns: Sequence[Sequence[str]]) -> int | None:
    """Return how many folders down a match can lie; None if there is no telling."""
    depths = [
        max(pattern.count("/") for pattern in alternatives)
        for alternatives in patterns
        if not any("**" in pattern for pattern in alternatives)
    ]
    return min(depths, default=None)


def _scan(folder: str, path: str) -> _Level:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError as error:
        raise UsageError(
            f"the folder {folder} can't be listed: {error.strerror}; "
            "make it readable, or leave it out with --exclude"
        ) from error
    names = {entry.name for entry in found}
    seen = [
        entry
        for entry in found
        if not entry.name.startswith(_HIDDEN) and not _is_written_here(entry.name, names)
    ]
    ignored = _read_ignore_file(Path(folder, IGNORE_FILE)) if IGNORE_FILE in names else None
    # In the order of whole paths, which is how an object store lists them.
    return _Level(path, iter(sorted(seen, key=_sorted_as)), ignored)


def _sorted_as(entry: os.DirEntry[str]) -> str:
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name


def is_hidden(path: str) -> bool:
    """Return whether a path leads through what is hidden, or to a journal."""
    parts = path.split("/")
    return any(part.startswith(_HIDDEN) for part in parts) or bool(_JOURNAL.search(parts[-1]))


def _is_written_here(name: str, names: Collection[str]) -> bool:
    """Return whether it is a journal or an output of this program: those are no documents."""
    beside = f"{name}.journal"
    return bool(_JOURNAL.search(name) or (beside in names and _JOURNAL.search(beside)))


def _read_ignore_file(file: Path) -> Ignore:
    try:
        data = read_file(file, _IGNORE_BYTES)
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from error
    if len(data) > _IGNORE_BYTES:
        raise UsageError(
            f"{file} is over {_IGNORE_BYTES // 1000} kB; name folders in it, or use wildcards"
        )
    lines = data.decode("utf-8-sig", "replace").split("\n")
    return Ignore([line.removesuffix("\r") for line in lines], str(file))


def _is_ignored(path: str, levels: Sequence[_Level], command_line: Ignore | None) -> bool:
    """Ask the command line, then the ignore files from the file's folder up: the first to say."""
    said = command_line.decide(path) if command_line else None
    for level in reversed(levels):
        if said is not None:
            break
        if level.ignored:
            said = level.ignored.decide(path.removeprefix(level.path))
    return bool(said)


def _is_ours(entry: os.DirEntry[str], root: str, excluded: Collection[str]) -> bool:
    """Return whether it is a file of the folder's own. Links to folders are never followed."""
    path = entry.path
    if entry.is_symlink():
        path = os.path.realpath(path)
        return (
            path.startswith(os.path.join(root, ""))
            and os.path.isfile(path)
            and path not in excluded
        )
    return entry.is_file() and path not in excluded
