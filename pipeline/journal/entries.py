"""What the journal holds: its tables, and a Result as an entry of them.

The table `results` is only ever added to; the answer to a request is the newest entry under its
key, its tokens and its cost are the sum of them all. A journal may have been damaged on its disk,
or made by a stranger: an entry that isn't as it was written counts as not there.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, get_args, get_type_hints

import orjson

from pipeline.errors import JournalError
from pipeline.prompting.keys import RECIPE
from pipeline.types import Record, Result, Usage

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
    # Of the whole entry. What was written before has none and is taken as it is.
    "ALTER TABLE results ADD COLUMN checksum INTEGER;",
    # By which recipe the keys of its requests were made.
    "ALTER TABLE runs ADD COLUMN recipe INTEGER;",
)
SCHEMA_VERSION = len(_MIGRATIONS)
_NUMBERED = 5  # the first version that has the recipe's number; before it there was another recipe


class Entry(NamedTuple):
    """A row of `results` as it was read, whatever its cells hold; the key is not part of it."""

    id: int
    run_id: int
    finished_at: str
    document: str
    turn: int
    status: str
    error: str | None
    content: str | None
    model: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: str | None
    attempts: int
    latency_seconds: float
    confidence: float | None
    checksum: int | None

    @property
    def tokens(self) -> tuple[int, ...]:
        """All counts, in the order of `Usage`; of one without a usage they are None."""
        return self[10:15]  # type: ignore[return-value]


_WRITTEN_COLUMNS = ("key", *Entry._fields[1:])
INSERT = f"""
    INSERT INTO results ({", ".join(_WRITTEN_COLUMNS)})
    VALUES ({", ".join("?" * len(_WRITTEN_COLUMNS))})
"""
# The key is the one that was looked for: a damaged entry may be found under a key that it lost.
_SELECT = f"""
    WITH wanted (known) AS (VALUES %s)
    SELECT known, {", ".join(Entry._fields)} FROM wanted CROSS JOIN results ON key = known
"""
_SELECT_ALL = f"SELECT key, {', '.join(Entry._fields)} FROM results NOT INDEXED"
WRITTEN = """
    SELECT output_mtime_ns FROM runs WHERE output_mtime_ns IS NOT NULL ORDER BY id DESC LIMIT 1
"""
EMPTY = "SELECT NOT EXISTS (SELECT 1 FROM results)"

_STATUSES = frozenset({"ok", "failed", "again", "vote"})
_TOO_MANY = 2**53
_MOST_QUOTED = 150  # characters of what SQLite found
_id = attrgetter("id")
_SHAPE = [frozenset(get_args(hint) or (hint,)) for hint in get_type_hints(Entry).values()]
# A table of nothing but columns, such as `.recover` and ANALYZE make: it does nothing by itself.
_PLAIN_TABLE = re.compile(r'CREATETABLE"?(\w+)"?\(["\w,]*\)')
# What an integrity check may find that does no harm to the rest.
_INDEX_FINDING = re.compile(r"\bindex results_by_key\b")
_CELL_FINDING = re.compile(r"[A-Z]+ value in (results|runs)\.\w+")


def check(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of a journal's tables, 0 of a file without any.

    Raises JournalError if a newer program made them, or if they aren't this program's: a stranger's
    may have triggers, or views in the place of tables.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > SCHEMA_VERSION:
        raise _newer(path)
    there = _statements(connection)
    known = _statements_of(max(found, 0))
    names = {name for name, _ in known}
    if not known <= there or not all(_is_plain(sql, names) for _, sql in there - known):
        raise _foreign(path, "its tables are not those of one")
    if found < 0 or (there and not found):
        raise _foreign(path, f"its tables have the version {found}")
    return int(found)


def _statements(connection: sqlite3.Connection) -> frozenset[tuple[str, str]]:
    """Read the names of all tables, indexes, views and triggers with the statements that made them.

    What a file says of their kind, and which table they belong to, SQLite itself doesn't believe.
    """
    with _lenient(connection):
        rows = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
    return frozenset((str(name), "".join(str(sql).split())) for name, sql in rows)


@cache
def _statements_of(found: int) -> frozenset[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript("".join(_MIGRATIONS[:found]))
        return _statements(connection)


def _is_plain(statement: str, names: Collection[str]) -> bool:
    match = _PLAIN_TABLE.fullmatch(statement)
    return match is not None and match[1].lower() not in names


def _foreign(path: Path, why: str) -> JournalError:
    return JournalError(
        f"{path} is damaged or isn't a journal ({why}): move it away to start without it"
    )


def _newer(path: Path) -> JournalError:
    return JournalError(
        f"{path} was written by a newer version of this program: update it, "
        "or choose another output"
    )


def is_outdated(connection: sqlite3.Connection, path: Path, found: int) -> bool:
    """Return whether a journal of this version has its answers under keys of an older recipe.

    No request has such a key any more. Raises JournalError if the recipe is newer than this
    program.
    """
    if not found or connection.execute(EMPTY).fetchone() == (1,):
        return False
    if found < _NUMBERED:
        return True
    recipes = {number for (number,) in connection.execute("SELECT DISTINCT recipe FROM runs")}
    known = {number for number in recipes if isinstance(number, int)}
    if known and max(known) > RECIPE and RECIPE not in known:
        raise _newer(path)
    return bool(known) and RECIPE not in known


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a journal's tables to this version."""
    found = check(connection, path)
    for step, script in enumerate(_MIGRATIONS[found:], start=found + 1):
        connection.executescript(f"BEGIN; {script} PRAGMA user_version = {step}; COMMIT;")


def mend(connection: sqlite3.Connection, path: Path) -> bool:
    """Read the whole file for damage; make a damaged index anew and return whether it was.

    Takes 3 seconds for a million entries (0.5 GB). Damaged cells are left to the checksums. Raises
    JournalError for what can't be mended here.
    """
    findings = [str(finding) for (finding,) in connection.execute("PRAGMA integrity_check")]
    findings = [text for text in findings if text != "ok" and not _CELL_FINDING.fullmatch(text)]
    others = [text for text in findings if not _INDEX_FINDING.search(text)]
    if others:
        raise JournalError(
            f"{path} is damaged ({' '.join(others[0].split())[:_MOST_QUOTED]}): mend it with "
            "`sqlite3 JOURNAL .recover`, or move it away to start without it"
        )
    if not findings or not _has_lost(connection):
        return False
    connection.execute("REINDEX results_by_key")
    return True


def _has_lost(connection: sqlite3.Connection) -> bool:
    """Return whether an intact entry isn't found by its key.

    If it is the key of an entry that is damaged, the index still has the right one.
    """
    with _lenient(connection):
        for key, *cells in connection.execute(_SELECT_ALL):
            entry = Entry._make(cells)
            if is_intact(key, entry) and entry not in find(connection, [key]).get(key, ()):
                return True
    return False


def begin(connection: sqlite3.Connection, command: str) -> int:
    """Note that a run begins; give its number."""
    cursor = connection.execute(
        "INSERT INTO runs (started_at, pid, version, command, recipe) VALUES (?, ?, ?, ?, ?)",
        (now(), os.getpid(), version("document-pipeline"), text(command), RECIPE),
    )
    return cursor.lastrowid or 0


def pack(result: Result, run_id: int, moment: str) -> tuple[object, ...]:
    """Lay a result out as INSERT takes it."""
    usage, sure = result.usage, result.confidence
    cells = (
        run_id,
        moment,
        text(result.request.document.name),
        result.request.turn,
        result.status,
        text(result.error),
        text(result.content),
        text(result.model),
        text(result.finish_reason),
        usage and usage.prompt_tokens,
        usage and usage.completion_tokens,
        usage and usage.cached_tokens,
        usage and usage.cache_write_tokens,
        usage and usage.reasoning_tokens,
        None if result.cost_usd is None else f"{result.cost_usd:f}",
        result.attempts,
        result.latency_seconds + 0.0,  # SQLite gives a float back, never -0.0
        None if sure is None else sure + 0.0,
    )
    return (result.request.key, *cells, _checksum(result.request.key, cells))


def find(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, list[Entry]]:
    """Return all entries under different keys, damaged ones too, the oldest first.

    Of 250 keys at once each takes half the time of one alone.
    """
    select = _SELECT % ", ".join(["(?)"] * len(keys))
    try:
        rows = connection.execute(select, keys).fetchall()
    except sqlite3.OperationalError as error:
        if hasattr(error, "sqlite_errorcode"):
            raise
        with _lenient(connection):  # this takes twice as long
            rows = connection.execute(select, keys).fetchall()
    entries: dict[bytes, list[Entry]] = {}
    for key, *cells in rows:
        entries.setdefault(key, []).append(Entry._make(cells))
    for several in entries.values():
        if len(several) > 1:
            several.sort(key=_id)
    return entries


@contextmanager
def _lenient(connection: sqlite3.Connection) -> Iterator[None]:
    """Read texts that aren't UTF-8 as bytes, which no entry has."""
    connection.text_factory = _decoded
    try:
        yield
    finally:
        connection.text_factory = str


def _decoded(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def is_intact(key: bytes, entry: Entry) -> bool:
    """Return whether an entry is as it was written, and can have been written by this program."""
    cost, tokens, sure = entry.cost_usd, entry.tokens, entry.confidence
    return (
        type(key) is bytes
        and _fits(tuple(map(type, entry)))
        and (entry.checksum is None or entry.checksum == _checksum(key, entry[1:-1]))
        and entry.status in _STATUSES
        and (entry.prompt_tokens is None or (min(tokens) >= 0 and max(tokens) < _TOO_MANY))
        and (cost is None or (len(cost) < 100 and cost.replace(".", "", 1).isdecimal()))
        and 0 <= entry.attempts < _TOO_MANY
        and 0 <= entry.latency_seconds < math.inf
        and (sure is None or 0 <= sure <= 1)
    )


@lru_cache(1000)
def _fits(types: tuple[type, ...]) -> bool:
    right = all(kind in kinds for kind, kinds in zip(types, _SHAPE, strict=True))
    return right and len(set(types[10:15])) == 1


def _checksum(key: bytes, cells: tuple[object, ...]) -> int:
    """Sum up all that an entry says, 0.7 us; any one flipped bit, or 32 in a row, is noticed."""
    return zlib.crc32(orjson.dumps(cells), zlib.crc32(key))


def unpack(entries: Sequence[Entry]) -> Record:
    """Make a record of all the intact entries under a request's key, the oldest first."""
    newest = entries[-1]
    if len(entries) == 1:
        usage, cost_usd = _billed(newest)
        attempts, latency_seconds = newest.attempts, newest.latency_seconds
    else:
        usage, cost_usd = _billed_together(entries)
        attempts = sum(entry.attempts for entry in entries)
        latency_seconds = sum(entry.latency_seconds for entry in entries)
    return Record(
        status=newest.status,  # type: ignore[arg-type]  # one of _STATUSES
        error=newest.error,
        content=newest.content,
        model=newest.model,
        finish_reason=newest.finish_reason,
        usage=usage,
        cost_usd=cost_usd,
        attempts=attempts,
        latency_seconds=latency_seconds,
        confidence=newest.confidence,
        entry=entries[0].id,
    )


def _billed(entry: Entry) -> tuple[Usage | None, Decimal | None]:
    if entry.prompt_tokens is None:
        return None, None
    return Usage(*entry.tokens), None if entry.cost_usd is None else Decimal(entry.cost_usd)


def _billed_together(entries: Sequence[Entry]) -> tuple[Usage | None, Decimal | None]:
    """Add up what was billed; the cost isn't known if that of one isn't."""
    usages, costs = zip(*map(_billed, entries), strict=True)
    counted = [usage for usage in usages if usage is not None]
    known = [cost for cost in costs if cost is not None]
    return (
        sum(counted[1:], counted[0]) if counted else None,
        sum(known, Decimal(0)) if known and len(known) == len(counted) else None,
    )


def now() -> str:
    """Return the time as the journal has it, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def text(words: str | None) -> str | None:
    """Make a text fit for SQLite, which holds UTF-8 only: half a surrogate pair becomes U+FFFD."""
    if words is None or words.isascii():
        return words
    return words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
