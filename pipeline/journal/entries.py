"""What the journal holds: its tables, and a Result as an entry of them.

The table `results` is only ever added to; the answer to a request is the newest entry under its
key, its tokens and its cost are the sum of them all.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

from pipeline.errors import JournalError
from pipeline.types import Request, Result, Usage

SCHEMA_VERSION = 3
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
    # When the output was last changed, in nanoseconds since 1970, as the run has left it.
    "ALTER TABLE runs ADD COLUMN output_mtime_ns INTEGER;",
)
INSERT = """
    INSERT INTO results (key, run_id, finished_at, document, turn, status, error, content, model,
        finish_reason, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens,
        reasoning_tokens, cost_usd, attempts, latency_seconds, confidence)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
SELECT = """
    SELECT id, status, error, content, model, finish_reason, prompt_tokens, completion_tokens,
        cached_tokens, cache_write_tokens, reasoning_tokens, cost_usd, attempts, latency_seconds,
        confidence
    FROM results WHERE key = ? ORDER BY id
"""
WRITTEN = """
    SELECT output_mtime_ns FROM runs WHERE output_mtime_ns IS NOT NULL ORDER BY id DESC LIMIT 1
"""
EMPTY = "SELECT NOT EXISTS (SELECT 1 FROM results)"
NEWEST = "SELECT status, run_id FROM results WHERE key = ? ORDER BY id DESC LIMIT 1"


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Give the version of a journal's tables. Raises JournalError if a newer program made them."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > SCHEMA_VERSION:
        raise JournalError(
            f"{path} was written by a newer version of this program: update it, "
            "or choose another output"
        )
    return int(found)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a journal's tables to this version."""
    found = version_of(connection, path)
    for step, script in enumerate(_MIGRATIONS[found:], start=found + 1):
        connection.executescript(f"BEGIN; {script} PRAGMA user_version = {step}; COMMIT;")


def begin(connection: sqlite3.Connection, command: str) -> int:
    """Note that a run begins; give its number."""
    cursor = connection.execute(
        "INSERT INTO runs (started_at, pid, version, command) VALUES (?, ?, ?, ?)",
        (now(), os.getpid(), version("document-pipeline"), text(command)),
    )
    return cursor.lastrowid or 0


def pack(result: Result, run_id: int, moment: str) -> tuple[object, ...]:
    """Lay a result out as INSERT takes it."""
    usage = result.usage
    return (
        result.request.key,
        run_id,
        moment,
        text(result.request.document.name),
        result.request.turn,
        result.status,
        text(result.error),
        text(result.content),
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


def unpack(request: Request, entries: Sequence[tuple[object, ...]]) -> Result:
    """Make a result of all the entries under a request's key, the oldest first."""
    first, newest = entries[0], entries[-1]
    _, status, error, content, model, finish_reason, *_ = newest
    billed = [entry for entry in entries if entry[6] is not None]
    usages = [Usage(*entry[6:11]) for entry in billed]  # type: ignore[arg-type]
    costs = [Decimal(str(entry[11])) for entry in billed if entry[11] is not None]
    return Result(
        request=request,
        status=status,  # type: ignore[arg-type]  # SQLite has no types to check
        error=error,  # type: ignore[arg-type]
        content=content,  # type: ignore[arg-type]
        model=model,  # type: ignore[arg-type]
        finish_reason=finish_reason,  # type: ignore[arg-type]
        usage=sum(usages[1:], usages[0]) if usages else None,
        cost_usd=sum(costs, Decimal(0)) if costs and len(costs) == len(billed) else None,
        attempts=sum(entry[12] for entry in entries),  # type: ignore[misc]
        latency_seconds=sum(entry[13] for entry in entries),  # type: ignore[misc]
        confidence=newest[14],  # type: ignore[arg-type]
        entry=first[0],  # type: ignore[arg-type]
    )


def now() -> str:
    """Give the time as the journal has it, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def text(words: str | None) -> str | None:
    """Make a text fit for SQLite, which holds UTF-8 only: half a surrogate pair becomes U+FFFD."""
    if words is None or words.isascii():
        return words
    return words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
