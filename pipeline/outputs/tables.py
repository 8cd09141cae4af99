"""Writes a table in the format that its name says, whole or not at all."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from pipeline import scratch
from pipeline.errors import PipelineError, UsageError
from pipeline.formats import PACKED, WRITTEN, Format, format_of, named
from pipeline.outputs import excel
from pipeline.outputs.cells import Rows
from pipeline.places import follow
from pipeline.scratch import Scratch
from pipeline.sources.tables.cells import Style
from pipeline.types import Column

Writer = Callable[..., list[str]]

_REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there",
    errno.ENOENT: "make its folder again",
    errno.EACCES: "close the file if it is open elsewhere, make its folder writable",
    errno.EPERM: "close the file if it is open elsewhere, make its folder writable",
}


def check_output(path: Path) -> None:
    """Raise UsageError if no table can be written to `path`; leave nothing behind."""
    try:
        _try(path)
    except OSError as error:
        raise UsageError(
            f"can't write the output {path}: {_reason(error)}; choose another name or folder for it"
        ) from error


def clear_drafts(path: Path) -> None:
    """Remove what processes that were killed have left beside `path`."""
    scratch.clear(follow(path).parent)


def check_columns(path: Path, columns: Sequence[Column]) -> None:
    """Raise UsageError if the format of `path` can't hold so many columns."""
    if find_format(path).suffix == ".xlsx":
        excel.check_columns(columns)


def write_table(
    path: Path, columns: Sequence[Column], rows: Rows, style: Style | None = None
) -> list[str]:
    """Write a header and the rows to `path`; return what the user should know of it, in lines.

    A text table is written in the `style` of one of the same kind. Of a row only the `columns` are
    written. `rows` may be read more than once, each time from its start (a view, not a generator).
    An older file at `path` stays until the new one is on disk, which is then for the same people to
    read.
    """
    if isinstance(rows, Iterator):
        raise TypeError("rows must be iterable more than once, not an iterator")
    format = find_format(path)
    write: Writer = named(format.writer or "")
    if format.sheet:
        write = partial(write, style=style)
    with drafted(path) as draft:
        return write(draft, columns, rows)


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """Yield where to write what then appears at `path`, whole or not at all."""
    target = follow(path)
    try:
        with _draft(target) as draft:
            yield draft
            _sync(draft)
            with suppress(OSError):  # there is none yet, or a disk has no modes
                shutil.copymode(target, draft)
            draft.replace(target)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "mend that")
        raise PipelineError(
            f"can't write {path}: {_reason(error)}; the answers are safe in the journal: "
            f"{remedy} and run the same command again"
        ) from error


def _try(path: Path) -> None:
    if path.is_dir():
        example = path / "results.csv"
        raise UsageError(f"the output {path} is a folder: name a file in it, such as {example}")
    find_format(path)
    target = follow(path)
    folder = target.parent
    if not folder.exists():
        make = f"mkdir -p {shlex.quote(os.path.realpath(folder))}"
        raise UsageError(f"the folder of the output {path} doesn't exist: make it first: {make}")
    if target.exists() and not os.access(target, os.W_OK):
        raise UsageError(f"the output {path} is write-protected: choose another name for it")
    with _draft(target) as draft:
        draft.touch()


def is_csv(path: Path) -> bool:
    """Return whether the format of `path` is one of those in which a text can be a formula."""
    return find_format(path).sheet


def find_format(path: Path) -> Format:
    """Return the format to write that a name says; raise UsageError if it says none."""
    found, suffix = format_of(path), path.suffix.lower()
    if suffix in PACKED and (found is None or not found.streamed):
        streamed = ", ".join(suffix for suffix, line in WRITTEN.items() if line.streamed)
        raise UsageError(
            f"the output {path} can't be packed: that is for {streamed}, such as "
            f"labels.csv.gz; .xlsx and .parquet are packed in themselves"
        )
    if found is not None and found.writer:
        return found
    near = get_close_matches(suffix, WRITTEN, n=1)
    better = path.with_suffix(near[0]) if near else f"{path}.csv"
    raise UsageError(
        f"the name of the output {path} says no format: end it in {', '.join(WRITTEN)}, "
        f"such as {better}"
    )


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """Yield a path to write to, in a hidden folder beside `target`; remove both in any case.

    In a folder of their own a writer's further files go as well, and the file has the mode that any
    new file has (one from tempfile is private).
    """
    with Scratch(target.parent) as folder:
        yield folder / target.name


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
