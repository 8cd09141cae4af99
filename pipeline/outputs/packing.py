"""The file that rows are written to, packed if its name says so: `a.csv.gz`, `a.csv.zip`."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar
from zipfile import ZIP_DEFLATED, ZipFile

T = TypeVar("T")


@contextmanager
def create(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file for a stream of bytes."""
    suffix = path.suffix.lower()
    with ExitStack() as stack:
        if suffix == ".gz":
            file = stack.enter_context(path.open("wb"))
            packed = stack.enter_context(gzip.GzipFile("", "wb", 6, file, mtime=0))
            yield stack.enter_context(io.BufferedWriter(packed))
        elif suffix == ".zip":
            disk = stack.enter_context(closing(Disk(path)))
            archive = stack.enter_context(ZipFile(disk, "w", ZIP_DEFLATED))
            yield stack.enter_context(archive.open(path.stem, "w", force_zip64=True))
        else:
            yield stack.enter_context(path.open("wb"))


class Disk:
    """An archive's file, which keeps a failed write to itself until it is closed.

    A ZipFile that couldn't write tries again when it is thrown away, and Python then prints a
    traceback that nobody can catch.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        return self._attempt(lambda: self._file.write(data), len(data))

    def seek(self, position: int) -> int:
        return self._attempt(lambda: self._file.seek(position), position)

    def tell(self) -> int:
        return self._attempt(self._file.tell, 0)

    def flush(self) -> None:
        self._attempt(self._file.flush, None)

    def close(self) -> None:
        self.flush()
        with suppress(OSError):
            self._file.close()
        if self._error:
            raise self._error

    def _attempt(self, act: Callable[[], T], otherwise: T) -> T:
        if self._error or self._file.closed:
            return otherwise
        try:
            return act()
        except OSError as error:
            self._error = error
            return otherwise
