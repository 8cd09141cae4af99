"""From what the user names as INPUT to the source that reads it. A new format is one line here."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from contextlib import suppress
from difflib import get_close_matches
from glob import has_magic
from itertools import takewhile
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.places import Place, is_address, local_path, shown
from pipeline.sources.archives import Format, find_table, is_packed
from pipeline.sources.base import Source
from pipeline.sources.csvs import CsvTable, tsv
from pipeline.sources.excel import ExcelTable
from pipeline.sources.folder import FolderSource, walk
from pipeline.sources.inputs import PipedInput
from pipeline.sources.jsonl import JsonlTable
from pipeline.sources.parquet import ParquetTable
from pipeline.sources.piped import PipedDocument, sniff
from pipeline.sources.remote import RemoteFile, RemoteFolder
from pipeline.sources.table import Dialect, TableSource

TABLES: dict[str, Format] = {
    ".csv": CsvTable,
    ".tsv": tsv,
    ".xlsx": ExcelTable,
    ".parquet": ParquetTable,
    ".jsonl": JsonlTable,
    ".xlsm": ExcelTable,
    ".xlsb": ExcelTable,
    ".xls": ExcelTable,
    ".ods": ExcelTable,
}
_Columns = tuple[str | None, str | None]  # of the text, of the images


def open_source(
    uri: str,
    *,
    text_column: str | None = None,
    image_column: str | None = None,
    glob: str | None = None,
    exclude_paths: Collection[Path] = (),
    dialect: Dialect = Dialect(),  # noqa: B008  # it is frozen
    exclude_address: str | None = None,
    fetch_to: Path | None = None,
) -> Source:
    """Open a folder, a glob pattern, a file, a table, an address or "-", standard input.

    `glob` filters a folder's files, at any depth unless it has a slash. `exclude_paths` and
    `exclude_address` are files that are never read: the run's own. `fetch_to` is a folder for what
    is fetched from an address, which the caller removes when the source is done with.
    """
    local = local_path(uri)
    if local is None:
        if fetch_to is None:
            raise UsageError(f"{shown(uri)} is an address: name a file of this machine")
        columns = text_column, image_column
        return _remote(uri, columns, glob, dialect, exclude_address, fetch_to)
    path = local.expanduser()
    if uri == "-":
        return _piped(text_column, image_column, glob, dialect)
    if os.path.isfile(path) or is_packed(path):
        return _file(path, text_column, image_column, glob, dialect)
    folder, patterns = _split(path) if has_magic(uri) and not os.path.exists(path) else (path, [])
    if not uri or not os.path.isdir(folder):
        raise _missing(uri, folder)
    _check_no_table(uri, text_column, image_column, dialect)
    if glob:
        patterns.append(glob if "/" in glob else f"**/{glob}")
    source = FolderSource(folder, patterns=patterns, exclude_paths=exclude_paths)
    if not len(source):
        raise _no_match(folder, patterns)
    return source


def _piped(
    text_column: str | None, image_column: str | None, glob: str | None, dialect: Dialect
) -> Source:
    _check_no_glob("standard input", glob)
    piped = PipedInput(sys.stdin.buffer)
    suffix = sniff(piped, dialect)
    if suffix:
        table = TABLES[suffix](piped, dialect)
        return TableSource(piped, table, text_column=text_column, image_column=image_column)
    _check_no_table(piped.name, text_column, image_column, dialect)
    return PipedDocument(piped)


def _file(
    path: Path,
    text_column: str | None,
    image_column: str | None,
    glob: str | None,
    dialect: Dialect,
) -> Source:
    _check_no_glob(str(path), glob)
    if found := find_table(path, TABLES):
        file, read = found
        table = read(file, dialect)
        return TableSource(file, table, text_column=text_column, image_column=image_column)
    _check_no_table(str(path), text_column, image_column, dialect)
    return FolderSource(path)


def _remote(
    uri: str,
    columns: _Columns,
    glob: str | None,
    dialect: Dialect,
    own: str | None,
    fetch_to: Path,
) -> Source:
    place = Place(uri)
    kind, patterns = place.kind(), []
    if kind is None and has_magic(uri) and not place.is_web:
        place, pattern = place.split()
        kind, patterns = "folder", [pattern]
    if kind is None:
        raise UsageError(f"there is nothing at {place.address}; check the address")
    excluded = Place(own) if own and is_address(own) else None
    if place == excluded:
        raise UsageError(f"the output {place.address} is the input: choose another name for it")
    if kind == "file":
        return _fetched(place, columns, glob, dialect, fetch_to)
    _check_no_table(place.address, *columns, dialect)
    if glob:
        patterns.append(glob if "/" in glob else f"**/{glob}")
    return RemoteFolder(place, fetch_to, patterns=patterns, excluded=excluded)


def _fetched(
    place: Place, columns: _Columns, glob: str | None, dialect: Dialect, fetch_to: Path
) -> Source:
    path, mark = fetch_to / place.name, place.mark()
    try:
        place.fetch(path)
        return RemoteFile(_file(path, *columns, glob, dialect), place, mark)
    except UsageError as error:
        raise UsageError(str(error).replace(str(path), place.address)) from error


def _split(path: Path) -> tuple[Path, list[str]]:
    """Split a pattern into the folder that it starts from and the rest."""
    plain = list(takewhile(lambda part: not has_magic(part), path.parts))
    return Path(*plain), ["/".join(path.parts[len(plain) :])]


def _check_no_glob(name: str, glob: str | None) -> None:
    if glob:
        raise UsageError(f"--glob picks files of a folder, and {name} is none; leave --glob out")


def _check_no_table(
    name: str, text_column: str | None, image_column: str | None, dialect: Dialect
) -> None:
    dialect.only(name)
    for option, column in (("--text-column", text_column), ("--image-column", image_column)):
        if column not in (None, "document"):
            raise UsageError(
                f'{name} is not a table and has no column "{column}"; leave {option} out'
            )


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


def _no_match(folder: Path, patterns: list[str]) -> UsageError:
    suffixes = sorted({Path(file.path).suffix or Path(file.path).name for file in walk(folder)})
    if not suffixes or not patterns:
        return UsageError(
            f"the folder {folder} holds no files to read: hidden ones, links that lead out of it "
            "and the run's own files don't count"
        )
    return UsageError(
        f"no file in {folder} matches {' and '.join(patterns)}; "
        f"its files end in {', '.join(suffixes[:10])}"
    )
