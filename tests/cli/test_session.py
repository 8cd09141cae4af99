"""A run at the terminal: what is said and in what order, how it ends, and by which code."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.running import Job, column, job, pipeline, query
from tests.server import Fault, Server, answer_to


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


# What is said, in its order


def test_first_come_the_notices_then_the_plan_then_what_came_of_it(two: Job) -> None:
    ended = pipeline(
        *("run", "in.csv", "-p", "ask.prompty", "-o", "out.csv", "--max-cost", "1"),
        *("--base-url", two.base_url, "--model", "unheard-of", "--price", "1,1"),
        folder=two.folder,
    )
    assert ended.code == 0
    said = [line.partition(":")[0].partition(",")[0] for line in ended.lines]
    assert said == ["2 rows", "2 rows", "this run"]
    (two.folder / "ask.prompty").write_text("user:\n{{ text }}\n")
    ended = two.run("--max-cost", "1", "--model", "other")
    assert ended.lines[0].startswith("answers are bounded at 1024 tokens")
    assert ended.lines[1].startswith("2 rows, 2 requests to other")
    assert ended.lines[2].startswith("none of the saved answers can be reused")
    assert ended.lines[3].startswith("2 rows: 2 ok -> out.csv")
    assert ended.out == ""


def test_an_index_that_was_made_anew_is_told(two: Job) -> None:
    two.run()
    with closing(sqlite3.connect(two.journal)) as connection:
        (page, size) = connection.execute(
            "SELECT rootpage, page_size FROM sqlite_master, pragma_page_size "
            "WHERE name = 'results_by_key'"
        ).fetchone()
    data = bytearray(two.journal.read_bytes())
    end = page * size  # the cells of a page are at its end
    data[end - 20] ^= 1
    two.journal.write_bytes(data)
    ended = two.run()
    assert "the index of out.csv.journal was damaged and has been rebuilt" in ended.lines
    assert (ended.code, ended.lines[0]) == (0, "2 rows, 2 done already: nothing to ask")


def test_a_log_of_objects_has_the_notes_the_summary_and_nothing_else(two: Job) -> None:
    ended = two.run("--json-log")
    events = [json.loads(line) for line in ended.lines]
    assert [event["event"] for event in events] == ["note", "note", "note", "summary"]
    assert (events[-1]["exit_code"], events[-1]["ok"]) == (0, 2)


# How it ends


@pytest.mark.parametrize(
    ("fault", "options", "code"),
    [
        (None, (), 0),
        (Fault("bad_request", contains="Bye"), (), 1),
        (None, ("--max-cost", "0.0005", "--max-concurrency", "1"), 3),
        (Fault("insufficient_quota", after=1), ("--max-concurrency", "1"), 4),
    ],
)
def test_the_journal_knows_how_each_run_ended(
    two: Job, server: Server, fault: Fault | None, options: tuple[str, ...], code: int
) -> None:
    server.change(faults=(fault,) if fault else (), prompt_tokens=50, completion_tokens=20)
    assert two.run(*options).code == code
    assert query(two.journal, "SELECT exit_code FROM runs") == [(code,)]
    assert [row["status"] for row in two.rows()].count("ok") == (2 if code == 0 else 1)


def test_a_run_that_came_to_nothing_leaves_the_older_output(two: Job, server: Server) -> None:
    two.run()
    before = two.path.read_bytes()
    two.write(["Hello", "Bye", "Again"])
    server.change(faults=(Fault("invalid_api_key"),))
    ended = two.run()
    assert (ended.code, len(ended.errors)) == (2, 1)
    assert two.path.read_bytes() == before
    server.change(faults=())
    assert two.run().code == 0
    assert (len(two.rows()), server.tally.answered) == (3, 3)
