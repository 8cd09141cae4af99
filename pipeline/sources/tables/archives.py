"""Which files are tables, packed or not: `a.csv`, `a.csv.gz`, the one in `a.zip`, `a.zip/b.csv`."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile

from pipeline.errors import UsageError
from pipeline.formats import FORMATS, Format
from pipeline.sources.tables.inputs import FileInput, ZippedInput, open_archive

_MOST_NAMES = 10
_SIGNS = frozenset({"_SUCCESS", "_metadata", "_common_metadata"})


def is_packed(path: Path) -> bool:
    """Return whether a path leads into a zip file: `tables.zip/a.csv`."""
    archive = _archive(path)
    return archive is not None and archive != path


def find_parts(folder: Path) -> list[Path]:
    """Find the parts of a table that is a folder, as Spark and others write it: it has the name of
    a table, or a mark that it is whole, or nothing but Parquet in it.
    """
    named = folder.suffix.lower() in FORMATS or any((folder / sign).is_file() for sign in _SIGNS)
    parts: list[Path] = []
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names if name[0] not in "._"):
            suffix = _suffix(path)
            known = suffix in FORMATS if named else suffix == ".parquet"
            if not known or (parts and suffix != _suffix(parts[0])):
                return []
            parts.append(path)
    return sorted(parts)


def find_table(path: Path) -> tuple[FileInput, Format] | None:
    """Find the table that a path names, and how to read it; None where the file is no table.

    Raises UsageError where an archive holds several tables, or not the one that is named.
    """
    archive = _archive(path)
    if archive is None:
        suffix = _suffix(path)
        file = FileInput(path)
    else:
        name = _only_table(archive) if archive == path else _named(archive, path)
        if name is None:
            return None
        suffix = PurePosixPath(name).suffix.lower()
        file = ZippedInput(archive, name)
    return (file, FORMATS[suffix]) if suffix in FORMATS else None


def _suffix(path: Path) -> str:
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return name.suffix.lower()


def _archive(path: Path) -> Path | None:
    """Find the zip file that a path is or leads into."""
    places = (path, *path.parents)
    return next((p for p in places if p.suffix.lower() == ".zip" and os.path.isfile(p)), None)


def _only_table(archive: Path) -> str | None:
    """Find the one table of an archive; None where it holds other files, too: documents."""
    names = _names(archive)
    if not names or any(PurePosixPath(name).suffix.lower() not in FORMATS for name in names):
        return None
    if len(names) > 1:
        listed = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
        raise UsageError(
            f"{archive} holds {len(names)} tables: {listed}; name one, such as {archive}/{names[0]}"
        )
    return names[0]


def _named(archive: Path, path: Path) -> str:
    name = path.relative_to(archive).as_posix()
    names = _names(archive)
    if name in names and PurePosixPath(name).suffix.lower() in FORMATS:
        return name
    if name in names:
        raise UsageError(f"{path} is no table; only tables are read out of an archive")
    same = [other for other in names if PurePosixPath(other).name == path.name]
    close = same or get_close_matches(name, names, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UsageError(f"{archive} holds no file {name}{hint}")


def _names(archive: Path) -> list[str]:
    """Name the files of an archive, but for those that file managers hide."""
    try:
        with open_archive(archive) as opened:
            names = [item.filename for item in opened.infolist() if not item.is_dir()]
    except (BadZipFile, OSError):
        return []
    return [
        name
        for name in names
        if not name.startswith("__MACOSX/") and not PurePosixPath(name).name.startswith(".")
    ]
