"""The journal: what was asked and answered, on disk before anyone sees it.

A SQLite file beside the output. The table `results` is only ever added to; the answer to a request
is the newest entry under its key, its tokens and its cost are the sum of them all. Answers quote
documents, so the file is its owner's alone.
"""

from __future__ import annotations

import contextlib
import glob
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Protocol

import filelock

from pipeline.errors import JournalError, JournalFullError, UsageError
from pipeline.types import Request, Result, Usage

State = Literal["new", "begun", "done"]

SCHEMA_VERSION = 2
SYNC_SECONDS = 1.0  # a power cut costs the answers of this long at most
# Each step takes a journal from the version of its place to the next; steps are only appended.
_MIGRATIONS = (
    """
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        started_at TEXT NOT NULL,
        ended_at TEXT,
        exit_code INTEGER,
        pid INTEGER NOT NULL,
        version TEXT NOT NULL,
        command TEXT NOT NULL
    );
    CREATE TABLE results (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL,
        run_id INTEGER NOT NULL REFERENCES runs (id),
        finished_at TEXT NOT NULL,
        document TEXT NOT NULL,
        turn INTEGER NOT NULL,
        status TEXT NOT NULL,
        error TEXT,
        content TEXT,
        model TEXT,
        finish_reason TEXT,
        prompt_tokens INTEGER,
        completion_tokens INTEGER,
        cached_tokens INTEGER,
        cache_write_tokens INTEGER,
        reasoning_tokens INTEGER,
        cost_usd TEXT,
        attempts INTEGER NOT NULL,
        latency_seconds REAL NOT NULL
    );
    CREATE INDEX results_by_key ON results (key);
    """,
    "ALTER TABLE results ADD COLUMN confidence REAL;",
)
_INSERT = """
    INSERT INTO results (key, run_id, finished_at, document, turn, status, error, content, model,
        finish_reason, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens,
        reasoning_tokens, cost_usd, attempts, latency_seconds, confidence)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SELECT = """
    SELECT id, status, error, content, model, finish_reason, prompt_tokens, completion_tokens,
        cached_tokens, cache_write_tokens, reasoning_tokens, cost_usd, attempts, latency_seconds,
        confidence
    FROM results WHERE key = ? ORDER BY id
"""
_LAST_END = "SELECT CAST(strftime('%s', max(ended_at)) AS INTEGER) FROM runs"
_EMPTY = "SELECT NOT EXISTS (SELECT 1 FROM results)"
_NEWEST = "SELECT status, run_id FROM results WHERE key = ? ORDER BY id DESC LIMIT 1"


class Journal(Protocol):
    """Where answers are looked up."""

    def get(self, request: Request) -> Result | None:
        """Look an answer up, with all that was spent on it; None if it was never asked."""


class Store:
    """The journal of one output. `open` it, and `close` it with the run's exit code.

    `exists` says whether the output is there, where it isn't at `output`.
    """

    def __init__(self, output: Path, *, exists: Callable[[], bool] | None = None) -> None:
        self.output = output
        self._exists = exists or output.exists
        self.path = output.with_name(f"{output.name}.journal")
        self._lock = filelock.FileLock(f"{self.path}.lock", blocking=False)
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._synced = 0.0
        self._writing: sqlite3.Connection | None = None
        self._run_id = 0
        self.last_end: int | None = None  # of the runs before, in seconds since 1970
        self._is_empty = 0

    @property
    def paths(self) -> list[Path]:
        """Name all files that belong to the journal, and to those set aside."""
        beside = self.path.parent.glob(f"{glob.escape(self.path.name)}*")
        return [self.path, Path(f"{self.path}-wal"), Path(f"{self.path}-shm"), *beside]

    def open(self, command: str) -> None:
        """Open the journal, made anew if there is none, and note that a run begins.

        Raises JournalError when it is in use, isn't a journal, or can't be written.
        """
        try:
            self._lock.acquire()
        except filelock.Timeout as error:
            raise JournalError(self._in_use()) from error
        except OSError as error:
            raise JournalError(f"can't write beside {self.path}: {error.strerror}") from error
        try:
            with self._failing():
                self._create()
                self._writing = self._connect()
                _migrate(self._writing, self.path)
                self._reading = self._connect()
                (self.last_end,) = self._writing.execute(_LAST_END).fetchone()
                self._run_id = _begin(self._writing, command)
                (self._is_empty,) = self._writing.execute(_EMPTY).fetchone()
        except BaseException:
            self._lock.release()
            raise

    def open_readonly(self) -> None:
        """Open the journal to look at; without one there is nothing to see."""
        with self._failing():
            if self.path.exists():
                address = f"{self.path.absolute().as_uri()}?mode=ro{self._frozen}"
                self._reading = sqlite3.connect(address, uri=True, check_same_thread=False)
                found = _version_of(self._reading, self.path)
                if found == SCHEMA_VERSION:
                    return
                with contextlib.closing(self._reading) as older:
                    self._reading = sqlite3.connect(":memory:", check_same_thread=False)
                    if found:
                        older.backup(self._reading)
            else:
                self._reading = sqlite3.connect(":memory:", check_same_thread=False)
            _migrate(self._reading, self.path)

    @property
    def _frozen(self) -> str:
        """Tell SQLite that nobody writes, unless somebody does."""
        return "" if Path(f"{self.path}-wal").exists() else "&immutable=1"

    def _create(self) -> None:
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return
        except OSError as error:
            raise JournalError(f"can't write the journal {self.path}: {error.strerror}") from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        # What is committed survives the death of the process. For a power cut there is `_sync`.
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _in_use(self) -> str:
        who = ""
        try:
            connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
            (pid,) = connection.execute("SELECT pid FROM runs ORDER BY id DESC LIMIT 1").fetchone()
            connection.close()
            who = f" (process {pid})"
        except (sqlite3.Error, TypeError):
            pass  # it is being made just now: that it is in use is all that can be said
        return f"another run{who} is writing to this output: wait for it, or choose another output"

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
                    (_now(), exit_code, self._run_id),
                )
            (asked,) = self._writing.execute("SELECT EXISTS (SELECT 1 FROM results)").fetchone()
        finally:
            self._writing.close()
            if not asked and not self._exists():
                self.path.unlink(missing_ok=True)  # nothing was asked: leave nothing behind
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()

    def state(self, key: bytes) -> State:
        """Say what is left to do for a request: it is `done` when it was answered, or has failed in
        this run, and `begun` when an earlier run has left it to be asked again.
        """
        with self._failing():
            newest = self._reading.execute(_NEWEST, (key,)).fetchone()
        if newest is None:
            return "new"
        status, run_id = newest
        if status == "ok" or run_id == self._run_id:
            return "done"
        return "begun" if status in ("again", "vote") else "new"

    def trail(self, request: Request) -> list[Result]:
        """Give the answers that the next is to follow on, the oldest first."""
        with self._failing():
            entries = self._reading.execute(_SELECT, (request.key,)).fetchall()
        trail: list[Result] = []
        for entry in reversed(entries):
            if entry[1] not in ("again", "vote"):
                break
            trail.append(_result(request, [entry]))
        return trail[::-1]

    def put_all(self, results: Sequence[Result]) -> None:
        """Write results; they outlive this process when this returns.

        Called where the answers come in: a commit takes 40 us, a tenth of what it takes to hand it
        to a thread that must wait for the interpreter.
        """
        assert self._writing is not None, "the journal was opened to look at"
        if not self.path.exists():
            self._restore()
        now = _now()
        self._is_empty = 0
        with self._failing():
            try:
                self._writing.execute("BEGIN")
                self._writing.executemany(_INSERT, [self._entry(item, now) for item in results])
                self._writing.execute("COMMIT")
            except sqlite3.Error:
                with contextlib.suppress(sqlite3.Error):  # some errors have rolled back already
                    self._writing.execute("ROLLBACK")
                raise
        if time.monotonic() > self._synced + SYNC_SECONDS:
            self._synced = time.monotonic()
            self._syncer.submit(_sync, Path(f"{self.path}-wal"))

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
            self._create()
            anew = self._connect()
            self._writing.backup(anew)
            self._writing.close()
            self._reading.close()
            self._writing, self._reading = anew, self._connect()

    def _entry(self, result: Result, now: str) -> tuple[object, ...]:
        usage = result.usage
        return (
            result.request.key,
            self._run_id,
            now,
            _text(result.request.document.name),
            result.request.turn,
            result.status,
            _text(result.error),
            _text(result.content),
            result.model,
            result.finish_reason,
            usage and usage.prompt_tokens,
            usage and usage.completion_tokens,
            usage and usage.cached_tokens,
            usage and usage.cache_write_tokens,
            usage and usage.reasoning_tokens,
            None if result.cost_usd is None else f"{result.cost_usd:f}",
            result.attempts,
            result.latency_seconds,
            result.confidence,
        )

    def get(self, request: Request) -> Result | None:
        """Look an answer up, with all that was spent on it; None if it was never asked."""
        if self._is_empty:
            return None
        with self._failing():
            entries = self._reading.execute(_SELECT, (request.key,)).fetchall()
        return _result(request, entries) if entries else None

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorname", "")
            full = code == "SQLITE_FULL" or code.startswith("SQLITE_IOERR")
            kind = JournalFullError if full else JournalError
            raise kind(_explain(self.path, error)) from error


def _version_of(connection: sqlite3.Connection, path: Path) -> int:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > SCHEMA_VERSION:
        raise JournalError(
            f"{path} was written by a newer version of this program: update it, "
            "or choose another output"
        )
    return int(found)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    found = _version_of(connection, path)
    for step, script in enumerate(_MIGRATIONS[found:], start=found + 1):
        connection.executescript(f"BEGIN; {script} PRAGMA user_version = {step}; COMMIT;")


def _begin(connection: sqlite3.Connection, command: str) -> int:
    cursor = connection.execute(
        "INSERT INTO runs (started_at, pid, version, command) VALUES (?, ?, ?, ?)",
        (_now(), os.getpid(), version("document-pipeline"), _text(command)),
    )
    return cursor.lastrowid or 0


def set_aside(path: Path) -> Path | None:
    """Rename a journal, so that the next run starts without its answers; they stay readable."""
    if not path.exists():
        return None
    try:
        with filelock.FileLock(f"{path}.lock", blocking=False) as lock:
            with contextlib.suppress(sqlite3.Error):  # what is no journal can be set aside, too
                _checkpoint(path)
            aside = free_name(path, datetime.now())
            path.rename(aside)
            Path(lock.lock_file).unlink(missing_ok=True)
    except filelock.Timeout as error:
        raise UsageError("another run is writing to this output: wait for it") from error
    return aside


def free_name(path: Path, moment: datetime, *, suffix: str = "") -> Path:
    """Put a moment into a name, before its `suffix`, so that no file has it yet."""
    stem = f"{path.name.removesuffix(suffix)}-{moment:%Y-%m-%dT%H-%M-%S}"
    names = (f"{stem}{again}{suffix}" for again in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(free for name in names if not (free := path.with_name(name)).exists())


def _checkpoint(path: Path) -> None:
    """Fold the write-ahead log into the file, so that it can be moved alone."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _result(request: Request, entries: Sequence[tuple[object, ...]]) -> Result:
    first, newest = entries[0], entries[-1]
    _, status, error, content, model, finish_reason, *_ = newest
    usages = [Usage(*entry[6:11]) for entry in entries if entry[6] is not None]  # type: ignore[arg-type]
    costs = [Decimal(str(entry[11])) for entry in entries if entry[11] is not None]
    return Result(
        request=request,
        status=status,  # type: ignore[arg-type]  # SQLite has no types to check
        error=error,  # type: ignore[arg-type]
        content=content,  # type: ignore[arg-type]
        model=model,  # type: ignore[arg-type]
        finish_reason=finish_reason,  # type: ignore[arg-type]
        usage=sum(usages[1:], usages[0]) if usages else None,
        cost_usd=sum(costs, Decimal(0)) if costs else None,
        attempts=sum(entry[12] for entry in entries),  # type: ignore[misc]
        latency_seconds=sum(entry[13] for entry in entries),  # type: ignore[misc]
        confidence=newest[14],  # type: ignore[arg-type]
        entry=first[0],  # type: ignore[arg-type]
    )


def _sync(path: Path) -> None:
    """Have the disk write what it holds back."""
    with contextlib.suppress(OSError), path.open("rb") as file:  # the commits that follow will tell
        os.fsync(file.fileno())


def _explain(path: Path, error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorname", "")
    if code == "SQLITE_FULL" or "IOERR" in code:
        return f"can't write the journal {path} ({error}): free some disk"
    if code in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
        return (
            f"{path} is damaged or isn't a journal ({error}): move it away to start without it, "
            "or mend it with `sqlite3 JOURNAL .recover`"
        )
    return f"journal {path}: {error}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(text: str | None) -> str | None:
    """Make a text fit for SQLite, which holds UTF-8 only: half a surrogate pair becomes U+FFFD."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
