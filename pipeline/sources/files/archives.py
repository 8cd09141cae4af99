"""The files in a .zip, a .tar or a .gz, each read as any other file is."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from operator import itemgetter

from pipeline.errors import DocumentError
from pipeline.sources.base import Extracted
from pipeline.sources.files.guards import (
    DAMAGED,
    MOST_PARTS,
    MOST_UNPACKED_BYTES,
    TOO_DENSE,
    TOO_LARGE,
    TOO_MANY,
    is_dense,
)

Read = Callable[[bytes, str], Extracted]  # a file within and its name

# What tells a document that is packed from an archive.
_DOCUMENTS = ("[Content_Types].xml", "mimetype", "META-INF/", "_rels/", "index.xml", "Index/")
_GZIP = b"\x1f\x8b\x08"
_HIDDEN = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")


def is_archive(data: bytes) -> bool:
    """Return whether it is a .zip, a .tar or a .gz, and no document that is packed so."""
    if data[257:262] == b"ustar" or data.startswith(_GZIP):
        return True
    if not data.startswith(b"PK"):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return not any(name.startswith(_DOCUMENTS) for name in archive.namelist())
    except Exception:  # a damaged archive can raise anything; it is for the extractor to judge
        return False


def read_archive(data: bytes, name: str, read: Read) -> Extracted:
    """Read all files of an archive, each under its name. Raises DocumentError."""
    try:
        if data.startswith(_GZIP):
            found = read(*_unzipped(data, name))
        else:
            files = _from_tar(data) if data[257:262] == b"ustar" else _from_zip(data)
            found = read_all(files, read)
    except (DocumentError, MemoryError):
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise DocumentError(DAMAGED) from error
    return found if found.text.strip() else replace(found, error="there is no text in it")


def read_all(files: Iterable[tuple[str, Callable[[], bytes]]], read: Read) -> Extracted:
    """Read files, each under its name; name those without text."""
    texts: list[str] = []
    left_out: list[str] = []
    for name, unpack in sorted(files, key=itemgetter(0)):
        try:
            found = read(unpack(), name)
        except (DocumentError, OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
            found = Extracted()
        if found.text.strip():
            texts.append(f"# {name}\n\n{found.text}")
            left_out += found.left_out
        else:
            left_out.append(name)
    return Extracted("\n\n".join(texts), left_out=tuple(left_out))


def _from_zip(data: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
    archive = zipfile.ZipFile(io.BytesIO(data))  # holds no file
    files = [file for file in archive.infolist() if not file.is_dir()]
    if is_dense(files, data):
        raise DocumentError(TOO_DENSE)
    for file in files:
        if not _is_hidden(file.filename):
            yield file.filename, partial(archive.read, file)


def _from_tar(data: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
    archive = tarfile.open(fileobj=io.BytesIO(data), mode="r:")  # noqa: SIM115  # holds no file
    count = size = 0
    for file in archive:
        count, size = count + 1, size + file.size
        if count > MOST_PARTS:
            raise DocumentError(TOO_MANY)
        if size > MOST_UNPACKED_BYTES:  # a sparse file says so without having it
            raise DocumentError(TOO_LARGE)
        if file.isfile() and not _is_hidden(file.name):
            yield file.name, partial(_from_member, archive, file)


def _from_member(archive: tarfile.TarFile, file: tarfile.TarInfo) -> bytes:
    opened = archive.extractfile(file)
    return opened.read() if opened else b""


def _unzipped(data: bytes, name: str) -> tuple[bytes, str]:
    """Return the one file in a .gz, and its name."""
    with gzip.open(io.BytesIO(data)) as file:
        content = file.read(MOST_UNPACKED_BYTES + 1)
    if len(content) > MOST_UNPACKED_BYTES:
        raise DocumentError(TOO_LARGE)
    stem, dot, suffix = name.rpartition(".")
    return content, stem + {"tgz": ".tar", "svgz": ".svg"}.get(suffix.lower(), "") if dot else name


def _is_hidden(name: str) -> bool:
    return name.startswith(_HIDDEN) or name.rpartition("/")[2] in _HIDDEN
