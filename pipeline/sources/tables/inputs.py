"""The bytes of a table: where they are read from, how far, and whether they are still the same."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import struct
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, TextIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from pipeline.errors import UsageError

_BUFFER_BYTES = 1 << 16
_GZIP = b"\x1f\x8b\x08"
# A table packs to a tenth; one that packs to less than a hundredth is tiny, or made to harm.
_MOST_RATIO = 100
_FREE_BYTES = 1 << 26
# The index of a zip file with tables in it; of one entry Python makes ten times its bytes.
_MOST_INDEX_BYTES = 1 << 22
# Encrypted, a method of compression that Python lacks, a damaged header, a name that isn't UTF-8.
_NOT_UNPACKED = (
    *(BadZipFile, RuntimeError, NotImplementedError, KeyError, OSError),
    *(ValueError, OverflowError, struct.error),
)


class FileInput:
    """A file on disk, which can be opened again and again, one at a time. Gzip is unpacked."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.folder = path.parent
        self._path = path
        self._seen = self._stamp()
        self._size = self._seen[0] if self._seen else 0
        self._raw: IO[bytes] | None = None  # how far it has been read
        self._read_bytes = 0

    @property
    def packed_bytes(self) -> int:
        """Its size on the disk, when it was first seen."""
        return self._seen[0] if self._seen else 0

    def open(self) -> BinaryIO:
        """Open it from the start."""
        self._raw = raw = self._reopen()
        buffered = io.BufferedReader(raw, _BUFFER_BYTES)
        if buffered.peek(len(_GZIP)).startswith(_GZIP):
            stream = gzip.open(buffered)  # noqa: SIM115
            unpacked = _Unpacked(stream, self.name, buffered, self.check_unpacked)
            return io.BufferedReader(unpacked, _BUFFER_BYTES)
        return buffered

    @contextmanager
    def lines(
        self, encoding: str, errors: str = "strict", *, newline: str = ""
    ) -> Iterator[TextIO]:
        """Open it as lines of text that keep their own line ends."""
        with io.TextIOWrapper(self.open(), encoding, errors, newline) as text:
            try:
                yield text
            except UnicodeDecodeError as error:  # it was checked at opening
                raise UsageError(f"{self.name} changed while it was read; run again") from error

    def fraction(self) -> float:
        """Say how much of the file has been read since it was last opened."""
        if self._raw:
            with suppress(ValueError):  # closed: what was read last still holds
                self._read_bytes = self._raw.tell()
        return min(1.0, self._read_bytes / self._size) if self._size else 1.0

    def check_unpacked(self, unpacked_bytes: int) -> None:
        """Raise UsageError where more has come out of the file than can be meant well."""
        most_bytes = _FREE_BYTES + _MOST_RATIO * self.packed_bytes
        if unpacked_bytes > most_bytes:
            raise UsageError(
                f"{self.name} unpacks to over {most_bytes // 10**6:,} MB, "
                f"{_MOST_RATIO} times what it is: unpack it yourself if you trust it"
            )

    def changed(self) -> bool:
        """Return whether the file's size or time differ from when it was first seen."""
        return self._stamp() != self._seen

    def __getstate__(self) -> dict[str, object]:
        """For another process, which may work in another folder."""
        return {**self.__dict__, "_path": self._path.absolute(), "_raw": None}

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


class ZippedInput(FileInput):
    """A file in a zip archive."""

    def __init__(self, path: Path, member: str) -> None:
        super().__init__(path)
        self.name = f"{path.name}/{member}"
        self._member = member
        with open_archive(path) as archive:
            self._size = archive.getinfo(member).file_size

    def open(self) -> BinaryIO:
        """Open it from the start."""
        packed = _Archive(self._path)
        try:
            archive = _index(packed)
            method = archive.getinfo(self._member).compress_type
            if method not in (ZIP_STORED, ZIP_DEFLATED):  # the others have no bound for a read
                raise NotImplementedError(f"compression method {method}")
            self._raw = raw = archive.open(self._member)
        except _NOT_UNPACKED as error:
            packed.close()
            raise UsageError(f"{self.name} can't be unpacked: {error}; unpack it first") from error
        unpacked = _Unpacked(raw, self.name, packed, self.check_unpacked)
        return io.BufferedReader(unpacked, _BUFFER_BYTES)


@contextmanager
def open_archive(path: Path) -> Iterator[ZipFile]:
    """Open a zip file. Raises BadZipFile where it is none, is damaged or has too many entries."""
    with _Archive(path) as raw:
        yield _index(raw)


class _Archive(io.FileIO):
    """A zip file, whose index the zipfile module reads at once and then takes apart."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MOST_INDEX_BYTES:
            raise BadZipFile("it has too many entries")
        return super().read(size) or b""  # all of the rest is the end of its index only


def _index(raw: _Archive) -> ZipFile:
    try:
        return ZipFile(raw)
    except _NOT_UNPACKED as error:
        raise BadZipFile(str(error)) from error


class CopiedInput(FileInput):
    """A stream, copied to a temporary file without a name, so that it can be read twice."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the run
        weakref.finalize(self, self._file.close)
        shutil.copyfileobj(stream, self._file, 1 << 20)
        self._file.flush()
        super().__init__(Path(name))
        self.name = name

    def changed(self) -> bool:
        """Say no: the copy is ours."""
        return False

    def _reopen(self) -> io.FileIO:
        self._file.seek(0)
        return io.FileIO(os.dup(self._file.fileno()))

    def _stamp(self) -> tuple[int, int] | None:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns


class PipedInput(CopiedInput):
    """Standard input."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream, "standard input")


def unpack(file: FileInput) -> FileInput:
    """Return a file whose format is read here and there: a copy, if it is packed."""
    with file.open() as stream:
        if not isinstance(getattr(stream, "raw", None), _Unpacked):
            return file
        return CopiedInput(stream, file.name)


class _Unpacked(io.RawIOBase):
    """What comes out of a compressed stream. Raises UsageError where that is damaged; `check` is
    told how far it has come.
    """

    def __init__(
        self,
        stream: IO[bytes] | gzip.GzipFile,
        name: str,
        packed: IO[bytes],
        check: Callable[[int], None],
    ) -> None:
        self._stream = stream
        self._name = name
        self._packed = packed
        self._check = check

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with self._checked():
            data = self._stream.read(len(buffer))
            buffer[: len(data)] = data
            self._check(self._stream.tell())
            return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with self._checked():
            return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._packed.close()
        super().close()

    @contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile, BadZipFile) as error:
            raise UsageError(f"{self._name} is damaged: {error}; get or make it again") from error
