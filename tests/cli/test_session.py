"""A run at the terminal: what is said and in what order, how it ends, and by which code."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.running import Job, column, job, pipeline, query
from tests.server import Server, answer_to


@pytest.fixture
def two(tmp_path: Path, server: Server) -> Job:
    """Make a job of two rows."""
    return job(tmp_path, server, ["Hello", "Bye"])


# A journal of an older program


@pytest.fixture
def older(two: Job) -> Job:
    """Make a job whose journal has been left by a program before keys had a number."""
    two.run()
    with closing(sqlite3.connect(two.journal)) as connection:
        connection.executescript(
            "ALTER TABLE runs DROP COLUMN recipe; PRAGMA user_version = 4;"
            "UPDATE results SET content = 'old', checksum = NULL"
        )
    return two


OUTDATED = (
    "out.csv.journal is of an older version of this program: none of its answers can be reused, "
    "and every row is sent again"
)


@pytest.mark.parametrize("options", [(), ("--quiet",)])
def test_an_outdated_journal_is_told_and_set_aside(
    older: Job, server: Server, options: tuple[str, ...]
) -> None:
    ended = older.run(*options)
    (aside,) = older.folder.glob("out.csv.journal-*")
    assert (ended.code, ended.lines[0]) == (
        0,
        f"{OUTDATED}; the old journal is kept as {aside.name}",
    )
    assert server.tally.received == 4
    assert column(older.rows(), "output") == [answer_to("Hello"), answer_to("Bye")]
    assert query(aside, "SELECT DISTINCT content FROM results") == [("old",)]
    ended = older.run()
    assert (ended.lines[0], server.tally.received) == ("2 rows, 2 done already: nothing to ask", 4)


@pytest.mark.parametrize("command", ["dry run", "estimate"])
def test_an_outdated_journal_is_told_and_left_alone(
    older: Job, server: Server, command: str
) -> None:
    before = {path: path.read_bytes() for path in older.folder.iterdir()}
    if command == "estimate":
        words = [word for word in older.arguments()[1:] if word != "out.csv"]
        words.remove("-o")
        ended = pipeline("estimate", *words, "-o", "out.csv", folder=older.folder)
    else:
        ended = older.run("--dry-run")
    assert (ended.code, ended.lines[0]) == (0, OUTDATED)
    assert "2 rows, 2 requests to gpt-6-luna" in ended.err + ended.out
    assert {path: path.read_bytes() for path in older.folder.iterdir()} == before
    assert server.tally.received == 2


def test_an_outdated_journal_stays_where_nothing_is_asked(older: Job, server: Server) -> None:
    ended = older.run("--text-column", "txet")
    assert ended.code == 2
    assert ended.lines[0] == "nothing was asked: the old journal is where it was"
    assert not list(older.folder.glob("out.csv.journal-*"))
    assert server.tally.received == 2
