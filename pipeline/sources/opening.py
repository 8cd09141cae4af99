"""From what the user names as INPUT to the source that reads it."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from glob import has_magic
from itertools import takewhile
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.formats import FORMATS, Format, named
from pipeline.places import Place, is_address, local_path, path_here
from pipeline.regular import is_of_system
from pipeline.scratch import Scratch
from pipeline.sources.base import Source
from pipeline.sources.files.folder import FolderSource
from pipeline.sources.files.walk import IGNORE_FILE, walk
from pipeline.sources.piped import PipedDocument, sniff
from pipeline.sources.remote import RemoteFile, RemoteFolder
from pipeline.sources.tables.archives import find_parts, find_table, is_packed
from pipeline.sources.tables.bounded import BoundedTable
from pipeline.sources.tables.contents import settle
from pipeline.sources.tables.frame import Frame, FrameTable, Held
from pipeline.sources.tables.inputs import FileInput, PipedInput
from pipeline.sources.tables.table import Dialect, Origin, Table, TableSource


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the user says of an input, and of which inputs it can be said."""

    text_column: str | None
    image_column: str | None
    image_root: Path | None
    image_hosts: Collection[str]
    glob: Sequence[str]
    exclude: Sequence[str]
    dialect: Dialect
    never_text: Collection[str]

    def of_documents(self, name: str) -> None:
        """Raise UsageError where it says what only a table has."""
        self.dialect.only(name)
        columns = (("--text-column", self.text_column), ("--image-column", self.image_column))
        for option, column in columns:
            if column not in (None, "document"):
                raise UsageError(
                    f'{name} is not a table and has no column "{column}"; leave {option} out'
                )

    def of_a_file(self, name: str) -> None:
        """Raise UsageError where it picks the files of a folder."""
        for option, patterns in (("--glob", self.glob), ("--exclude", self.exclude)):
            if patterns:
                raise UsageError(
                    f"{option} picks files of a folder, and {name} is none; leave {option} out"
                )

    def patterns(self) -> list[list[str]]:
        """Return what a file of a folder has to match; one of each list will do."""
        anywhere = [one if "/" in one else f"**/{one}" for one in self.glob]
        return [anywhere] if anywhere else []


def open_source(
    uri: str | Frame,
    *,
    text_column: str | None = None,
    image_column: str | None = None,
    image_root: Path | None = None,
    image_hosts: Collection[str] = (),
    glob: Sequence[str] = (),
    exclude: Sequence[str] = (),
    dialect: Dialect = Dialect(),  # noqa: B008  # it is frozen
    never_text: Collection[str] = (),
    exclude_paths: Collection[Path] = (),
    exclude_address: str | None = None,
    fetch_to: Path | None = None,
) -> Source:
    """Open a folder, a glob pattern, a file, a table, an address, "-", standard input, or a table
    that is in memory.

    A folder's files match one of `glob`, at any depth unless it has a slash; those that match one
    of `exclude`, as lines of `.gitignore`, are left out. `exclude_paths` and `exclude_address` are
    files that are never read: the run's own. `fetch_to` is a folder for what is fetched from an
    address, which the caller removes when the source is done with. The columns `never_text` aren't
    taken for the text, if that has to be found out. A table's images are files of its folder, or of
    `image_root`, or addresses; those of this machine and its network only if of `image_hosts`.
    """
    wish = _Wish(
        text_column, image_column, image_root, image_hosts, glob, exclude, dialect, never_text
    )
    if not isinstance(uri, str):
        held = Held(uri)
        wish.of_a_file(held.name)
        return _table_of(held, FrameTable(uri, held, wish.dialect), wish)
    local = local_path(uri)
    if local is None and fetch_to is not None:
        return _remote(uri, wish, exclude_address, fetch_to)
    path = path_here(uri).expanduser()
    if uri == "-":
        return _piped(wish)
    folder, patterns = _split(path) if has_magic(uri) and not os.path.exists(path) else (path, [])
    if is_of_system(folder):
        raise UsageError(f"{path} leads to {os.path.realpath(folder)}, which is no document")
    if os.path.isfile(path) or is_packed(path):
        return _file(path, wish)
    if not uri or not os.path.isdir(folder):
        raise _missing(uri, folder)
    if not wish.glob and not patterns and (parts := find_parts(folder)):
        return _parts(folder, parts, wish)
    wish.of_documents(uri)
    patterns += wish.patterns()
    source = FolderSource(
        folder, patterns=patterns, exclude=wish.exclude, exclude_paths=exclude_paths
    )
    if not len(source):
        raise _no_match(folder, patterns, wish.exclude)
    return source


@contextmanager
def fetching(uri: str | Frame) -> Iterator[Path | None]:
    """Yield a folder for what is fetched of an input that lies elsewhere; remove it after."""
    if not isinstance(uri, str) or local_path(uri):
        yield None
        return
    with Scratch() as folder:
        yield folder


def _piped(wish: _Wish) -> Source:
    wish.of_a_file("standard input")
    piped = PipedInput(sys.stdin.buffer)
    suffix = sniff(piped, wish.dialect)
    if suffix:
        return _table(piped, FORMATS[suffix], wish)
    wish.of_documents(piped.name)
    return PipedDocument(piped)


def _file(path: Path, wish: _Wish) -> Source:
    wish.of_a_file(str(path))
    if found := find_table(path):
        return _table(*found, wish)
    wish.of_documents(str(path))
    return FolderSource(path)


def _parts(folder: Path, parts: Sequence[Path], wish: _Wish) -> Source:
    """Open a table that is a folder of parts, if it has but one."""
    (first, *others) = parts
    if not others and "=" not in first.parent.name:
        return _file(first, wish)
    raise UsageError(
        f"{folder} is a table in a folder, as Spark writes it (parts: {len(parts):,}): write it as "
        f"one file, or give a part, such as {first}"
    )


def _table(file: FileInput, kind: Format, wish: _Wish) -> Source:
    kind = settle(file, kind)
    read = named(kind.reader)
    table = BoundedTable(read, file, wish.dialect) if kind.grid else read(file, wish.dialect)
    return _table_of(file, table, wish)


def _table_of(file: Origin, table: Table, wish: _Wish) -> Source:
    try:
        return TableSource(
            file,
            table,
            text_column=wish.text_column,
            image_column=wish.image_column,
            image_root=wish.image_root,
            image_hosts=wish.image_hosts,
            never_text=wish.never_text,
        )
    except BaseException:
        table.close()
        raise


def _remote(uri: str, wish: _Wish, own: str | None, fetch_to: Path) -> Source:
    place = Place(uri)
    kind, patterns = place.kind(), list[list[str]]()
    if kind is None and has_magic(uri) and not place.is_web:
        place, pattern = place.split()
        kind, patterns = "folder", [[pattern]]
    if kind is None:
        raise UsageError(f"there is nothing at {place.address}; check the address")
    excluded = Place(own) if own and is_address(own) else None
    if place == excluded:
        raise UsageError(f"the output {place.address} is the input: choose another name for it")
    if kind == "file":
        return _fetched(place, wish, fetch_to)
    wish.of_documents(place.address)
    patterns += wish.patterns()
    return RemoteFolder(place, fetch_to, patterns=patterns, exclude=wish.exclude, excluded=excluded)


def _fetched(place: Place, wish: _Wish, fetch_to: Path) -> Source:
    path, mark = fetch_to / place.name, place.mark()
    try:
        place.fetch(path)
        return RemoteFile(_file(path, wish), place, mark)
    except UsageError as error:
        raise UsageError(str(error).replace(str(path), place.address)) from error


def _split(path: Path) -> tuple[Path, list[list[str]]]:
    """Split a pattern into the folder that it starts from and the rest."""
    plain = list(takewhile(lambda part: not has_magic(part), path.parts))
    return Path(*plain), [["/".join(path.parts[len(plain) :])]]


def _missing(uri: str, path: Path) -> UsageError:
    if not uri:
        return UsageError('INPUT is empty; give a folder, a file, or "-" for standard input')
    if os.path.exists(path):
        return UsageError(
            f'{path} is neither a file nor a folder; pipe it in and give "-" as INPUT'
        )
    missing = next(p for p in (path, *path.parents) if os.path.exists(p.parent))
    siblings: list[str] = []
    with suppress(OSError):  # it may be a file, or not ours to list
        siblings = os.listdir(missing.parent)
    close = [str(missing.parent / name) for name in get_close_matches(missing.name, siblings)]
    hint = f"did you mean {' or '.join(close)}?" if close else "check the path"
    return UsageError(f"there is no file or folder {missing}; {hint}")


def _no_match(
    folder: Path, patterns: Sequence[Sequence[str]], exclude: Sequence[str]
) -> UsageError:
    paths = [file.path for file in walk(folder, exclude=exclude)]
    suffixes = sorted({Path(path).suffix or Path(path).name for path in paths})
    if not suffixes or not patterns:
        return UsageError(
            f"the folder {folder} holds no files to read: hidden ones, links that lead out of it, "
            f"what {IGNORE_FILE} or --exclude leaves out and the run's own files don't count"
        )
    deeper = any("/" in path for path in paths)
    deep = deeper and not any("**" in one for each in patterns for one in each)
    wanted = " and ".join(" or ".join(alternatives) for alternatives in patterns)
    return UsageError(
        f"no file in {folder} matches {wanted}; its files end in {', '.join(suffixes[:10])}"
        f"{' (** in a pattern leads into folders)' if deep else ''}"
    )
