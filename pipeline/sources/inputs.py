"""The bytes of a table: where they are read from, how far, and whether they are still the same."""

from __future__ import annotations

import io
import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, TextIO

from pipeline.errors import UsageError


class FileInput:
    """A file on disk, which can be opened again and again, one at a time."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.folder = path.parent
        self._path = path
        self._seen = self._stamp()
        self._raw: io.FileIO | None = None
        self._read_bytes = 0

    def open(self) -> BinaryIO:
        """Open it from the start."""
        self._raw = self._reopen()
        return io.BufferedReader(self._raw, 1 << 16)

    @contextmanager
    def lines(self, encoding: str) -> Iterator[TextIO]:
        """Open it as lines of text that keep their own line ends."""
        with io.TextIOWrapper(self.open(), encoding, newline="") as text:
            try:
                yield text
            except UnicodeDecodeError as error:  # it was checked at opening
                raise UsageError(f"{self.name} changed while it was read; run again") from error

    def fraction(self) -> float:
        """Say how much of the file has been read since it was last opened."""
        if self._raw:
            with suppress(ValueError):  # closed: what was read last still holds
                self._read_bytes = self._raw.tell()
        size = self._seen[0] if self._seen else 0
        return min(1.0, self._read_bytes / size) if size else 1.0

    def changed(self) -> bool:
        """Say whether the file's size or time differ from when it was first seen."""
        return self._stamp() != self._seen

    def _reopen(self) -> io.FileIO:
        try:
            return io.FileIO(self._path)
        except OSError as error:
            raise UsageError(f"{self._path} can't be opened: {error.strerror}") from error

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns


class PipedInput(FileInput):
    """Standard input, copied to a temporary file without a name, so that it can be read twice."""

    def __init__(self, stream: BinaryIO) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the run
        weakref.finalize(self, self._file.close)
        copyfileobj(stream, self._file)
        self._file.flush()
        super().__init__(Path("standard input"))

    def changed(self) -> bool:
        """Say no: the copy is ours."""
        return False

    def _reopen(self) -> io.FileIO:
        self._file.seek(0)
        return io.FileIO(os.dup(self._file.fileno()))

    def _stamp(self) -> tuple[int, int] | None:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns
