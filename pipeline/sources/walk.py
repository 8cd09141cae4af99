"""Which files of a folder are documents: found by name, none of them opened."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".pipelineignore"

# `~$letter.docx` is what Word leaves beside a letter that is open; Windows hides it.
_HIDDEN = (".", "~$")
# Of an output of ours: any other `.journal` is somebody's document.
_JOURNAL = re.compile(
    r"\.(csv|tsv|xlsx|parquet|jsonl)(\.gz|\.zip)?\.journal(-|\.lock$|$)", re.IGNORECASE
)
_WILD = {"**/": "(?:.+/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class Listed(NamedTuple):
    """A file as it was found: its path in the folder, its size and its time."""

    path: str
    size: int
    mtime_ns: int


class _Level(NamedTuple):
    """A folder on the way down: its path from the root, ending in `/`, and what is left in it."""

    path: str
    entries: Iterator[os.DirEntry[str]]
    ignored: GitIgnoreSpec | None


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
    command_line = ignore_spec(exclude, "--exclude") if exclude else None
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


def matcher(*patterns: str) -> Callable[[str], object]:
    """Make a test of relative paths: `*` and `?` stay in a folder, `**` goes through any number."""
    return re.compile("|".join(map(_translate, patterns)), re.DOTALL).fullmatch


def _translate(pattern: str) -> str:
    tokens = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]/]+\])", pattern)
    return "".join(map(_token, tokens))


def _token(token: str) -> str:
    if len(token) > 2 and token.startswith("[") and token.endswith("]"):
        inside = token[1:-1].replace("\\", r"\\")
        return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
    return _WILD.get(token) or re.escape(token)


def _depth(patterns: Sequence[Sequence[str]]) -> int | None:
    """Give how many folders down a match can lie; None if there is no telling."""
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
    """Say whether a path leads through what is hidden, or to a journal."""
    parts = path.split("/")
    return any(part.startswith(_HIDDEN) for part in parts) or bool(_JOURNAL.search(parts[-1]))


def _is_written_here(name: str, names: Collection[str]) -> bool:
    """Say whether it is a journal or an output of this program: those are no documents."""
    beside = f"{name}.journal"
    return bool(_JOURNAL.search(name) or (beside in names and _JOURNAL.search(beside)))


def _read_ignore_file(file: Path) -> GitIgnoreSpec:
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from error
    return ignore_spec(lines, str(file))


def ignore_spec(lines: Sequence[str], origin: str) -> GitIgnoreSpec:
    """Read patterns as git does. Raises UsageError naming `origin` for one that is none."""
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise UsageError(f"{origin}: not a pattern as in .gitignore: {error}") from error


def _is_ignored(path: str, levels: Sequence[_Level], command_line: GitIgnoreSpec | None) -> bool:
    """Ask the command line, then the ignore files from the file's folder up: the first to say."""
    said = command_line.check_file(path).include if command_line else None
    for level in reversed(levels):
        if said is not None:
            break
        if level.ignored:
            said = level.ignored.check_file(path.removeprefix(level.path)).include
    return bool(said)


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
