"""Folders for a while, which the next run removes if this process is killed.

A lock beside each says whether its process lives. It is the system's, so it goes with the process,
however that ends, and tells even where several machines share a disk.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from tempfile import gettempdir
from types import TracebackType

import filelock

PREFIX = "pipeline-"
_LOCK = ".lock"
_TRIES = 16


class Scratch:
    """A new folder at `path`, for its owner alone: in `parent`, hidden, or for temporary files."""

    def __init__(self, parent: Path | None = None) -> None:
        start = Path(gettempdir(), PREFIX) if parent is None else Path(parent, f".{PREFIX}")
        os.stat(os.path.join(start.parent, ""))  # a lock would make the folders that it lies in
        for _ in range(_TRIES):
            self.path = Path(f"{start}{token_hex(8)}")
            self._lock = filelock.FileLock(
                f"{self.path}{_LOCK}", blocking=False, thread_local=False
            )
            with suppress(filelock.Timeout):  # who clears up took it, just now, for a dead one's
                self._lock.acquire()
                break
        else:  # such as in /proc, where a file can't even be missing
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(start.parent))
        try:
            self.path.mkdir(mode=0o700)
        except BaseException:
            _let_go(self._lock)
            raise

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        _let_go(self._lock)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()


def clear(parent: Path | None = None) -> None:
    """Remove the folders that killed processes of this user have left in `parent`."""
    folder, hidden = (Path(gettempdir()), "") if parent is None else (parent, ".")
    for file in folder.glob(f"{hidden}{PREFIX}*{_LOCK}"):
        if not _is_mine(file):
            continue
        lock = filelock.FileLock(file, blocking=False, thread_local=False)
        with suppress(filelock.Timeout, OSError):  # its process lives; it isn't ours to remove
            lock.acquire()
            shutil.rmtree(file.with_suffix(""), ignore_errors=True)
            _let_go(lock)


def _is_mine(file: Path) -> bool:
    """Return whether a file is this user's own, and no link: in a shared folder it may not be."""
    with suppress(OSError):
        status = file.lstat()
        getuid = getattr(os, "getuid", None)
        return stat.S_ISREG(status.st_mode) and (getuid is None or status.st_uid == getuid())
    return False


def _let_go(lock: filelock.BaseFileLock) -> None:
    with suppress(OSError):  # Windows removes it as it is released
        Path(lock.lock_file).unlink()
    lock.release()
