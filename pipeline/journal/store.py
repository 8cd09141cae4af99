"""The journal: what was asked and answered, on disk before anyone sees it.

A SQLite file beside the output; `entries.py` says what is in it. Answers quote documents, so the
file is its owner's alone.
"""

from __future__ import annotations

import contextlib
import glob
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import filelock

from pipeline.errors import JournalError, JournalFullError
from pipeline.journal import entries
from pipeline.journal.entries import Entry
from pipeline.journal.files import (
    check_files,
    connect,
    connect_readonly,
    create,
    set_aside,
    sync,
)
from pipeline.places import follow
from pipeline.types import Record, Request, Result

SYNC_SECONDS = 1.0  # a power cut costs the answers of this long at most


class Store:
    """The journal at `path`, or beside an output. `open` it, and `close` it with the exit code.

    `exists` says whether the output is there, where it isn't at `output`.
    """

    def __init__(
        self,
        output: Path | None,
        *,
        path: Path | None = None,
        exists: Callable[[], bool] | None = None,
    ) -> None:
        # An output has one journal, whatever leads to it.
        self.output = output = None if output is None else follow(output)
        self._exists = exists or (bool if output is None else output.exists)
        if path is None:
            assert output is not None, "there is nothing beside which a journal could lie"
            path = output.with_name(f"{output.name}.journal")
        self.path = path
        self._lock = filelock.FileLock(f"{self.path}.lock", blocking=False)
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._synced = 0.0
        self._writing: sqlite3.Connection | None = None
        self._looking = threading.Lock()  # `put_all` may change the connection that others read by
        self._run_id = 0
        self._is_empty = False
        self.had_answers = False  # before this run
        self.mended = False  # its index was damaged and has been rebuilt
        self.damaged: set[int] = set()  # entries looked up that aren't as they were written
        self.outdated = False  # its keys are of an older recipe, so that none of them is looked for
        self.aside: Path | None = None  # where the journal is that this one takes the place of

    @property
    def writes(self) -> bool:
        """Return whether it was opened for a run, not only to look at."""
        return self._writing is not None

    @property
    def paths(self) -> list[Path]:
        """Name all files that belong to the journal, and to those set aside."""
        beside = self.path.parent.glob(f"{glob.escape(self.path.name)}*")
        return [self.path, Path(f"{self.path}-wal"), Path(f"{self.path}-shm"), *beside]

    def open(self, command: str, *, fresh: bool = False) -> None:
        """Open the journal, made anew if there is none, and note that a run begins.

        An outdated one is set aside; with `fresh` any. Raises JournalError when it is in use, isn't
        a journal, or can't be written.
        """
        check_files(self.path)
        try:
            self._lock.acquire()
        except filelock.Timeout as error:
            raise JournalError(
                f"another run{_who(self.path)} is writing to this output: wait for it, or choose "
                "another output"
            ) from error
        except OSError as error:
            raise JournalError(f"can't write beside {self.path}: {error.strerror}") from error
        with contextlib.ExitStack() as undo, self._failing():
            undo.callback(self._lock.release)
            if fresh or self._is_outdated():
                self.aside = set_aside(self.path)
            create(self.path)
            self._writing = undo.enter_context(contextlib.closing(connect(self.path)))
            entries.migrate(self._writing, self.path)
            self.mended = entries.mend(self._writing, self.path)
            self._reading = undo.enter_context(contextlib.closing(connect(self.path)))
            self._run_id = entries.begin(self._writing, command)
            (empty,) = self._writing.execute(entries.EMPTY).fetchone()
            self._is_empty, self.had_answers = bool(empty), not empty
            undo.pop_all()

    def open_readonly(self, *, fresh: bool = False) -> None:
        """Open the journal to look at; without one, or with `fresh`, there is nothing to see."""
        with contextlib.ExitStack() as undo, self._failing():
            found = None
            if os.path.lexists(self.path) and not fresh:
                check_files(self.path)
                found = undo.enter_context(contextlib.closing(connect_readonly(self.path)))
                version = self._check(found)
                if version == entries.SCHEMA_VERSION and not self.outdated:
                    self._reading = found
                    undo.pop_all()
                    return
            self._reading = sqlite3.connect(":memory:", check_same_thread=False)
            if found is not None and not self.outdated:
                found.backup(self._reading)
            entries.migrate(self._reading, self.path)

    def _is_outdated(self) -> bool:
        if not os.path.lexists(self.path):
            return False
        with contextlib.closing(connect(self.path)) as connection:
            self._check(connection)
        return self.outdated

    def _check(self, connection: sqlite3.Connection) -> int:
        """Return the version of a journal that was there already; note whether it is outdated.

        Raises JournalError if it isn't one, or holds nothing though its output has been written.
        """
        found = entries.check(connection, self.path)
        if not found and self._exists():
            raise JournalError(
                f"{self.path} is empty, so the answers in {self.output} can't be reused: move both "
                "away, or ask everything again with --fresh"
            )
        self.outdated = entries.is_outdated(connection, self.path, found)
        return found

    def close(self, exit_code: int) -> None:
        """Note how the run ended and let go of the journal."""
        self._syncer.shutdown()
        self._reading.close()
        if self._writing is None:
            return
        asked = True
        try:
            with self._failing():
                self._writing.execute(
                    "UPDATE runs SET ended_at = ?, exit_code = ? WHERE id = ?",
                    (entries.now(), exit_code, self._run_id),
                )
            (asked,) = self._writing.execute("SELECT EXISTS (SELECT 1 FROM results)").fetchone()
        finally:
            self._writing.close()
            if not asked:
                self._undo()
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()

    def _undo(self) -> None:
        """Leave what there was before: nothing was asked."""
        if self.aside:
            self.aside.replace(self.path)
        elif not self._exists():
            self.path.unlink(missing_ok=True)

    def changed(self) -> bool:
        """Return whether somebody has changed the output since a run wrote it."""
        if self.output is None or not self.output.exists():
            return False
        with self._failing():
            written = self._reading.execute(entries.WRITTEN).fetchone()
        if written is None and self.aside is not None:
            # It may be no journal, or one without this column.
            with (
                contextlib.suppress(sqlite3.Error, UnicodeDecodeError),
                contextlib.closing(connect_readonly(self.aside)) as older,
            ):
                written = older.execute(entries.WRITTEN).fetchone()
        return written is not None and written[0] != self.output.stat().st_mtime_ns

    def wrote(self) -> None:
        """Note that the output is as it was just written."""
        assert self._writing is not None, "the journal was opened to look at"
        assert self.output is not None, "there is no output"
        with self._failing():
            self._writing.execute(
                "UPDATE runs SET output_mtime_ns = ? WHERE id = ?",
                (self.output.stat().st_mtime_ns, self._run_id),
            )

    def unanswered(self, requests: Sequence[Request]) -> list[tuple[Request, list[Result]]]:
        """Return the requests that are left to ask, each with the answers that the next follows on.

        A request is left if nothing has answered it, or if it failed in an earlier run.
        """
        found = self._find([request.key for request in requests])
        left: list[tuple[Request, list[Result]]] = []
        for request in requests:
            known = found.get(request.key)
            if known is None:
                left.append((request, []))
            elif known[-1].status != "ok" and known[-1].run_id != self._run_id:
                left.append((request, _followed(request, known)))
        return left

    def get_all(self, keys: Sequence[bytes]) -> dict[bytes, Record]:
        """Look up the answers under many keys at once, with all that was spent on each."""
        return {key: entries.unpack(known) for key, known in self._find(keys).items()}

    def _find(self, keys: Sequence[bytes]) -> dict[bytes, list[Entry]]:
        """Return the entries under keys, the oldest first; damaged ones are left out."""
        if self._is_empty or not keys:
            return {}
        with self._failing(), self._looking:
            found = entries.find(self._reading, list(dict.fromkeys(keys)))
        return {key: good for key, known in found.items() if (good := self._intact(key, known))}

    def _intact(self, key: bytes, known: list[Entry]) -> list[Entry]:
        intact = [entry for entry in known if entries.is_intact(key, entry)]
        if len(intact) < len(known):
            self.damaged |= {entry.id for entry in known} - {entry.id for entry in intact}
        return intact

    def put_all(self, results: Sequence[Result]) -> None:
        """Write results; they outlive this process when this returns.

        Called where the answers come in: a commit takes 40 us, a tenth of what it takes to hand it
        to a thread that must wait for the interpreter.
        """
        assert self._writing is not None, "the journal was opened to look at"
        if not self.path.exists():
            self._restore()
        moment = entries.now()
        self._is_empty = False
        with self._failing():
            try:
                self._writing.execute("BEGIN")
                self._writing.executemany(
                    entries.INSERT,
                    [entries.pack(result, self._run_id, moment) for result in results],
                )
                self._writing.execute("COMMIT")
            except sqlite3.Error:
                with contextlib.suppress(sqlite3.Error):  # some errors have rolled back already
                    self._writing.execute("ROLLBACK")
                raise
        if time.monotonic() > self._synced + SYNC_SECONDS:
            self._synced = time.monotonic()
            self._syncer.submit(sync, Path(f"{self.path}-wal"))

    def _restore(self) -> None:
        """Write the journal anew where somebody has removed it: what is open still has it all."""
        assert self._writing is not None
        with self._failing():
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise JournalError(f"can't restore {self.path}: {error.strerror}") from error
            for end in ("-wal", "-shm"):
                Path(f"{self.path}{end}").unlink(missing_ok=True)
            with contextlib.ExitStack() as undo:
                undo.callback(self.path.unlink, missing_ok=True)  # else it would be taken for whole
                create(self.path)
                anew = undo.enter_context(contextlib.closing(connect(self.path)))
                self._writing.backup(anew)
                undo.pop_all()
            self._writing.close()
            self._writing = anew
            with self._looking:
                self._reading.close()
                self._reading = connect(self.path)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite quotes what it can't read
            code = getattr(error, "sqlite_errorname", "")
            full = code == "SQLITE_FULL" or code.startswith("SQLITE_IOERR")
            kind = JournalFullError if full else JournalError
            raise kind(_explain(self.path, error)) from error


def _followed(request: Request, known: Sequence[Entry]) -> list[Result]:
    """Return the answers that the next is to follow on, the oldest first.

    What failed takes with it what it was asked again for; votes stay.
    """
    trail: list[Result] = []
    for entry in known:
        if entry.status == "ok":
            trail.clear()
        elif entry.status == "failed":
            while trail and trail[-1].status == "again":
                trail.pop()
        else:
            record = entries.unpack([entry])
            values = {item.name: getattr(record, item.name) for item in fields(record)}
            trail.append(Result(request=request, **values))
    return trail


def _who(path: Path) -> str:
    """Say which process writes to a journal, if it can be told."""
    try:
        with contextlib.closing(connect_readonly(path)) as connection:
            (pid,) = connection.execute("SELECT pid FROM runs ORDER BY id DESC LIMIT 1").fetchone()
            return f" (process {int(pid)})"
    except (sqlite3.Error, TypeError, ValueError):
        return ""  # it is being made just now


def _explain(path: Path, error: Exception) -> str:
    code, message = getattr(error, "sqlite_errorname", ""), " ".join(str(error).split())
    if code == "SQLITE_FULL" or "IOERR" in code:
        return f"can't write the journal {path} ({message}): free some disk"
    if code in ("SQLITE_NOTADB", "SQLITE_CORRUPT") or isinstance(error, UnicodeDecodeError):
        return (
            f"{path} is damaged or isn't a journal ({message}): move it away to start without it, "
            "or mend it with `sqlite3 JOURNAL .recover`"
        )
    return f"journal {path}: {message}"
