"""The files of a journal: checked, made, opened and set aside.

What is there may be a stranger's, made to harm who opens it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import sys
from datetime import datetime
from pathlib import Path

from pipeline.errors import JournalError


def check_files(path: Path) -> None:
    """Raise JournalError if a journal or a file of its own is a link or no file.

    A rollback journal, which ours never have, can name any file for SQLite to delete.
    """
    for end in ("", "-wal", "-shm", ".lock"):
        file = f"{path}{end}"
        if os.path.lexists(file) and not stat.S_ISREG(os.lstat(file).st_mode):
            kind = "a link" if os.path.islink(file) else "not a file"
            raise JournalError(f"{file} is {kind}: move it away, or choose another output")
    if os.path.lexists(undo := f"{path}-journal"):
        raise JournalError(
            f"{undo} was not written by this program, and SQLite would act on it: move it away"
        )


def create(path: Path) -> bool:
    """Make a journal's file, its owner's alone; return whether there was none."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return True
    except FileExistsError:
        return False
    except OSError as error:
        raise JournalError(f"can't write the journal {path}: {error.strerror}") from error


def connect(path: Path) -> sqlite3.Connection:
    """Open a journal's file to read and write it, by whichever thread."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _guard(connection)
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            # Else it takes a rollback journal to get there, which a kill would leave behind.
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA journal_mode = WAL")
        # What is committed survives the death of the process. For a power cut there is `sync`.
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Open a journal's file to read it; no file is made or changed unless somebody writes it."""
    frozen = "" if Path(f"{path}-wal").exists() else "&immutable=1"
    address = f"{path.absolute().as_uri()}?mode=ro{frozen}"
    connection = sqlite3.connect(address, uri=True, check_same_thread=False)
    _guard(connection)
    return connection


def _guard(connection: sqlite3.Connection) -> None:
    """Let nothing in a stranger's file act by itself."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)


def sync(path: Path) -> None:
    """Have the disk write what it holds back."""
    with contextlib.suppress(OSError), path.open("rb") as file:  # the commits that follow will tell
        os.fsync(file.fileno())


def set_aside(path: Path) -> Path | None:
    """Rename a journal that nobody else has open; its answers stay readable."""
    if not os.path.lexists(path):
        return None
    with contextlib.suppress(sqlite3.Error):  # what is no journal can be set aside, too
        _checkpoint(path)
    aside = free_name(path, datetime.now())
    path.rename(aside)
    return aside


def free_name(path: Path, moment: datetime, *, suffix: str = "") -> Path:
    """Put a moment into a name, before its `suffix`, so that no file has it yet."""
    stem = f"{path.name.removesuffix(suffix)}-{moment:%Y-%m-%dT%H-%M-%S}"
    names = (f"{stem}{again}{suffix}" for again in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(free for name in names if not os.path.lexists(free := path.with_name(name)))


def _checkpoint(path: Path) -> None:
    """Fold the write-ahead log into the file, so that it can be moved alone."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
