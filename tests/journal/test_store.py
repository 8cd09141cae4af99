"""The journal keeps what was paid for, whatever happens to who writes it."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.errors import JournalError, JournalFullError
from pipeline.journal.entries import SCHEMA_VERSION
from pipeline.journal.files import set_aside
from pipeline.journal.store import Store
from pipeline.prompting.keys import RECIPE
from pipeline.types import Record, Usage
from tests.journal.samples import failed, ok, opened, put, record, request, state, trail
from tests.running import ROOT, query


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "labels.csv"


@pytest.fixture
def journal(output: Path) -> Path:
    return output.with_name("labels.csv.journal")


# What is kept


def test_an_answer_comes_back_as_it_was(output: Path) -> None:
    with opened(output) as store:
        assert record(store) is None
        put(store, ok())
        found = record(store)
    assert found == Record(
        status="ok",
        content="answer",
        model="m-1",
        finish_reason="stop",
        usage=Usage(10, 5, 4, 2, 3),
        cost_usd=Decimal("0.5"),
        attempts=1,
        latency_seconds=0.25,
        entry=1,
    )


def test_the_next_run_finds_what_the_last_one_wrote(output: Path) -> None:
    with opened(output) as store:
        put(store, ok("a"), ok("b", "other"))
    with opened(output) as store:
        assert (state(store, "a"), state(store, "c")) == ("done", "new")
        found = record(store, "b")
    assert found is not None
    assert found.content == "other"


@pytest.mark.parametrize(
    ("statuses", "kept"),
    [
        ("again", "again"),
        ("again failed", ""),
        ("again failed again", "again"),
        ("vote vote failed", "vote vote"),
        ("vote again vote again failed", "vote again vote"),
        ("vote failed vote failed failed again", "vote vote again"),
    ],
)
def test_what_failed_leaves_the_votes_before_it(output: Path, statuses: str, kept: str) -> None:
    with opened(output) as store:
        put(store, *(replace(ok(), status=status) for status in statuses.split()))  # type: ignore[arg-type]
    with opened(output) as store:
        assert state(store) == "begun"
        assert [result.status for result in trail(store)] == kept.split()


def test_what_failed_is_asked_again_by_the_next_run_and_not_by_this_one(output: Path) -> None:
    with opened(output) as store:
        put(store, failed())
        assert state(store) == "done"
    with opened(output) as store:
        assert (state(store), trail(store)) == ("begun", [])
        found = record(store)
        assert found is not None
        assert (found.status, found.error) == ("failed", "HTTP 400: no")
        put(store, ok())
        assert state(store) == "done"
    with opened(output) as store:
        assert state(store) == "done"


def test_the_newest_entry_answers_and_all_of_them_are_billed(output: Path) -> None:
    with opened(output) as store:
        put(store, failed(error="HTTP 500: once"))
        put(store, ok(content="not JSON", cost="0.1"))
        put(store, failed(error="HTTP 500: twice"), ok(content="yes", cost="0.02"))
        found = record(store)
    assert found == Record(
        status="ok",
        content="yes",
        model="m-1",
        finish_reason="stop",
        usage=Usage(20, 10, 8, 4, 6),
        cost_usd=Decimal("0.12"),
        attempts=4,
        latency_seconds=1.5,
        entry=1,
    )


def test_tokens_and_cost_that_nobody_knows_stay_unknown(output: Path) -> None:
    with opened(output) as store:
        put(store, failed("a"), ok("b", cost=None), ok("c", cost="0"))
        found = [record(store, name) for name in "abc"]
    assert [(result.usage, result.cost_usd) for result in found if result] == [
        (None, None),
        (Usage(10, 5, 4, 2, 3), None),
        (Usage(10, 5, 4, 2, 3), Decimal(0)),
    ]


def test_a_sum_of_which_a_part_has_no_price_is_unknown(output: Path) -> None:
    with opened(output) as store:
        put(store, ok(cost=None), failed(), ok(content="yes", cost="0.5"))
        found = get(store, "a")
    assert (found.usage, found.cost_usd) == (Usage(20, 10, 8, 4, 6), None)


@pytest.mark.parametrize("cost", ["0.0000001", "1E-7", "0.1000", "123456789.123456789123456789"])
def test_a_cost_is_kept_to_the_last_digit(output: Path, cost: str) -> None:
    with opened(output) as store:
        put(store, ok(cost=cost))
        found = record(store)
    assert found is not None
    assert found.cost_usd == Decimal(cost)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("é 漢 😀", "é 漢 😀"),
        ("a\x00b\r\n\u2028", "a\x00b\r\n\u2028"),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        ("\ud83d\ude00", "😀"),
        ("", ""),
    ],
)
def test_any_text_can_be_kept(output: Path, text: str, kept: str) -> None:
    with opened(output) as store:
        put(store, ok(text, content=text), failed("b", error=text))
        found = [record(store, text), record(store, "b")]
    assert [(result.content, result.error) for result in found if result] == [
        (kept, None),
        (None, kept),
    ]
    documents = query(Path(f"{output}.journal"), "SELECT document FROM results ORDER BY id")
    assert documents == [(kept,), ("b",)]


# The file


def test_the_journal_is_its_owners_alone(output: Path, journal: Path) -> None:
    before = os.umask(0)
    try:
        with opened(output) as store:
            put(store, ok())
            files = [path for path in output.parent.iterdir() if not path.name.endswith(".lock")]
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files}
    finally:
        os.umask(before)
    assert modes == {
        "labels.csv.journal": 0o600,
        "labels.csv.journal-wal": 0o600,
        "labels.csv.journal-shm": 0o600,
    }


def test_a_run_leaves_one_file(output: Path, journal: Path) -> None:
    with opened(output) as store:
        put(store, ok())
    assert list(output.parent.iterdir()) == [journal]


def test_the_journal_knows_its_runs(output: Path, journal: Path) -> None:
    output.touch()  # a run that asked nothing and wrote nothing leaves nothing
    with opened(output, "pipeline run a"):
        pass
    store = Store(output)
    store.open("pipeline run b")
    store.close(3)
    assert query(journal, "SELECT id, command, pid, exit_code, version FROM runs") == [
        (1, "pipeline run a", os.getpid(), 0, "0.1.0"),
        (2, "pipeline run b", os.getpid(), 3, "0.1.0"),
    ]
    (times,) = query(journal, "SELECT started_at, ended_at FROM runs WHERE id = 1")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(time)) for time in times)


def test_any_sqlite_tool_sums_the_cost_by_day(output: Path, journal: Path) -> None:
    with opened(output) as store:
        put(store, ok("a", cost="0.1"), ok("b", cost="0.2"), ok("c", cost=None), failed("d"))
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("UPDATE results SET finished_at = '2026-11-22T23:59:59Z'")
        connection.execute(
            "UPDATE results SET finished_at = '2026-11-23T00:00:00Z' WHERE document = 'b'"
        )
        connection.commit()
    by_day = "SELECT date(finished_at), ROUND(SUM(cost_usd), 6) FROM results GROUP BY 1"
    assert query(journal, by_day) == [("2026-11-22", 0.1), ("2026-11-23", 0.2)]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r'sqlite3 labels.csv.journal "(.*)"', readme)
    assert query(journal, shown) == [("2026-11-22", 3, 0.1), ("2026-11-23", 1, 0.2)]


def test_looking_leaves_no_trace(output: Path, journal: Path) -> None:
    store = Store(output)
    store.open_readonly()
    assert record(store) is None
    store.close(0)
    assert list(output.parent.iterdir()) == []
    with opened(output) as writing:
        put(writing, ok())
    before = journal.read_bytes()
    store = Store(output)
    store.open_readonly()
    assert state(store) == "done"
    store.close(0)
    assert journal.read_bytes() == before
    assert list(output.parent.iterdir()) == [journal]


@pytest.mark.parametrize("readonly", [False, True])
def test_a_journal_that_was_only_just_begun_is_empty(
    output: Path, journal: Path, readonly: bool
) -> None:
    """A run was killed between making the file and its tables."""
    journal.touch()
    store = Store(output)
    if readonly:
        store.open_readonly()
    else:
        store.open("pipeline run")
    assert record(store) is None
    store.close(0)


# What is refused


def refusal(output: Path, *, readonly: bool = False) -> str:
    store = Store(output)
    with pytest.raises(JournalError) as caught:
        if readonly:
            store.open_readonly()
            record(store)
        else:
            store.open("pipeline run")
    message = str(caught.value)
    assert "\n" not in message
    return message


OLDER = {
    "before keys had a number": """
        ALTER TABLE runs DROP COLUMN recipe;
        PRAGMA user_version = 4;
    """,
    "the first": """
        ALTER TABLE runs DROP COLUMN recipe;
        ALTER TABLE results DROP COLUMN checksum;
        ALTER TABLE runs DROP COLUMN output_mtime_ns;
        ALTER TABLE results DROP COLUMN confidence;
        PRAGMA user_version = 1;
    """,
    "another recipe": f"UPDATE runs SET recipe = {RECIPE - 1}",
}


@pytest.mark.parametrize("sql", OLDER.values(), ids=OLDER)
def test_a_journal_of_an_older_recipe_is_set_aside(output: Path, journal: Path, sql: str) -> None:
    with opened(output) as store:
        put(store, ok())
    with closing(sqlite3.connect(journal)) as connection:
        connection.executescript(sql)
        version = connection.execute("PRAGMA user_version").fetchone()
    store = Store(output)
    store.open_readonly()
    assert (store.outdated, record(store)) == (True, None)
    store.close(0)
    assert names(output.parent) == [journal.name]  # to look at it changes nothing
    with opened(output) as store:
        assert (store.outdated, store.had_answers, state(store)) == (True, False, "new")
        put(store, ok(content="another"))
    assert store.aside is not None
    assert contents([store.aside]) == {"answer"}
    assert query(store.aside, "PRAGMA user_version") == [version]
    with opened(output) as store:
        assert (store.outdated, state(store)) == (False, "done")


def test_an_older_journal_without_answers_is_brought_up_to_date(
    output: Path, journal: Path
) -> None:
    with opened(output) as store:
        put(store, ok())
    with closing(sqlite3.connect(journal)) as connection:
        connection.executescript(f"DELETE FROM results; {OLDER['the first']}")
    store = Store(output)
    store.open_readonly()
    assert not store.outdated
    store.close(0)
    assert query(journal, "PRAGMA user_version") == [(1,)]  # to look at it changes nothing
    with opened(output) as store:
        assert (store.outdated, store.aside) == (False, None)
        put(store, ok())
    assert query(journal, "SELECT recipe FROM runs") == [(None,), (RECIPE,)]
    with opened(output) as store:
        assert state(store) == "done"


@pytest.mark.parametrize("fresh", [False, True])
def test_an_output_that_was_changed_is_known_by_the_journal_set_aside(
    output: Path, journal: Path, fresh: bool
) -> None:
    with opened(output) as store:
        put(store, ok())
        output.write_text("as written")
        store.wrote()
    if not fresh:
        with closing(sqlite3.connect(journal)) as connection:
            connection.executescript(OLDER["before keys had a number"])
    for changed in (False, True):
        if changed:
            os.utime(output, ns=(1, 1))
        store = Store(output)
        store.open("pipeline run", fresh=fresh)
        assert store.aside is not None
        assert store.changed() is changed
        store.close(0)


def test_what_an_answer_follows_on_is_found_again(output: Path) -> None:
    again, vote = replace(failed(), status="again"), replace(ok(), status="vote")
    with opened(output) as store:
        put(store, failed(), again, vote)
        assert state(store) == "done"  # in this run
    with opened(output) as store:
        assert state(store) == "begun"
        assert [item.status for item in trail(store)] == ["again", "vote"]
        put(store, ok())
    with opened(output) as store:
        assert state(store) == "done"
        assert trail(store) == []
        found = get(store, "a")
        assert (found.attempts, found.cost_usd) == (4, Decimal("1.0"))


def get(store: Store, name: str) -> Record:
    found = record(store, name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "sql",
    [
        f"PRAGMA user_version = {SCHEMA_VERSION + 1}",
        f"UPDATE runs SET recipe = {RECIPE + 1}",
    ],
)
def test_a_journal_of_a_newer_version_is_refused_and_left_alone(
    output: Path, journal: Path, sql: str
) -> None:
    with opened(output) as store:
        put(store, ok())
    with closing(sqlite3.connect(journal)) as connection:
        connection.executescript(sql)
    before = journal.read_bytes()
    assert refusal(output) == (
        f"{journal} was written by a newer version of this program: update it, "
        "or choose another output"
    )
    assert journal.read_bytes() == before


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize("size", [0, 100])
def test_what_is_no_journal_is_refused_and_left_alone(
    output: Path, journal: Path, readonly: bool, size: int
) -> None:
    data = b"not a database, but a text of some length" + b"." * size
    journal.write_bytes(data)
    assert refusal(output, readonly=readonly) == (
        f"{journal} is damaged or isn't a journal (file is not a database): move it away to start "
        "without it, or mend it with `sqlite3 JOURNAL .recover`"
    )
    assert journal.read_bytes() == data


def test_after_a_refusal_nothing_is_locked(output: Path, journal: Path) -> None:
    journal.write_bytes(b"not a database, but a text of some length")
    refusal(output)
    journal.unlink()
    with opened(output) as store:
        put(store, ok())
        assert state(store) == "done"


HOLD = """
import sys
from pathlib import Path
from pipeline.journal.store import Store

store = Store(Path(sys.argv[1]))
store.open("pipeline run")
print("open", flush=True)
sys.stdin.read()
store.close(0)
"""


@contextmanager
def other(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run code in a second process, up to its first line; it ends with its standard input."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_a_second_run_on_one_output_is_refused_by_the_number_of_the_first(output: Path) -> None:
    with other(HOLD, output) as first:
        assert refusal(output) == (
            f"another run (process {first.pid}) is writing to this output: "
            "wait for it, or choose another output"
        )
        with pytest.raises(JournalError) as caught:
            Store(output).open("pipeline run", fresh=True)
        assert "another run" in str(caught.value)
        first.communicate("")
    with opened(output):
        pass


def test_a_run_on_another_output_is_not_in_the_way(output: Path) -> None:
    with other(HOLD, output), opened(output.with_name("other.csv")) as store:
        put(store, ok())
        assert state(store) == "done"


def test_a_run_that_was_killed_locks_nothing(output: Path) -> None:
    with other(HOLD, output) as first:
        first.kill()
        first.wait()
        with opened(output) as store:
            put(store, ok())
            assert state(store) == "done"


# Kill -9

WRITE = """
import sys
from pathlib import Path
from pipeline.journal.store import Store
from pipeline.prompting.keys import RECIPE
from pipeline.types import Document, Request, Result, Usage

def result(number):
    document = Document(number, f"row {number}", {})
    request = Request(document, 0, b"%032d" % number, "m", (), {}, None, None)
    return Result(
        request=request, status="ok", content="answer " * 200, usage=Usage(1, 1), attempts=1
    )

def main():
    store = Store(Path(sys.argv[1]))
    store.open("pipeline run")
    for start in range(0, 1_000_000, 7):
        store.put_all([result(start + number) for number in range(7)])
        print(start + 7, flush=True)

main()
"""


@pytest.mark.parametrize("batches", [1, 20, 150])
def test_kill_9_leaves_a_whole_journal_with_all_that_was_put(
    output: Path, journal: Path, batches: int
) -> None:
    with other(WRITE, output) as writer:
        assert writer.stdout is not None
        said = 7
        for _ in range(batches - 1):
            said = int(writer.stdout.readline())
        writer.kill()
        rest = writer.stdout.read().splitlines()
        put_by_then = int(rest[-1]) if rest else said
    assert query(journal, "PRAGMA integrity_check") == [("ok",)]
    (found,) = query(
        journal, "SELECT COUNT(*), COUNT(DISTINCT key), MIN(LENGTH(content)) FROM results"
    )
    # A whole batch may have been written that nobody was told of any more.
    assert found in [(count, count, 1400) for count in (put_by_then, put_by_then + 7)]
    with opened(output) as store:
        assert (
            len(store.get_all([b"%032d" % number for number in range(put_by_then)])) == put_by_then
        )
        put(store, ok())


# Removed under a run


def test_who_reads_meanwhile_doesnt_notice_that_a_removed_journal_is_written_anew(
    output: Path, journal: Path
) -> None:
    names = [f"row {number}" for number in range(200)]
    requests, ended = [request(name) for name in names], threading.Event()

    def read(store: Store) -> int:
        walks = 0
        while not ended.is_set() or not walks:
            assert store.unanswered(requests) == []
            walks += 1
        return walks

    with opened(output) as store, ThreadPoolExecutor(1) as reader:
        put(store, *map(ok, names))
        reading = reader.submit(read, store)
        for number in range(50):
            journal.unlink()
            put(store, ok(f"late {number}"))
        ended.set()
        assert reading.result() > 0
        assert state(store, "late 49") == "done"
    with opened(output) as store:
        assert {state(store, name) for name in [*names, "late 0", "late 49"]} == {"done"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of files' sizes")
def test_a_journal_that_is_removed_while_the_disk_is_full_is_written_once_there_is_room(
    output: Path, journal: Path
) -> None:
    import resource

    before = _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(output) as store:
        put(store, *(ok(f"row {number}", "answer " * 100) for number in range(100)))
        journal.unlink()
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            with pytest.raises(JournalFullError):
                put(store, ok("late"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        put(store, ok("late"))
    with opened(output) as store:
        assert {state(store, name) for name in ("row 0", "row 99", "late")} == {"done"}


# Starting afresh


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def contents(paths: Sequence[Path]) -> set[object]:
    return {content for path in paths for (content,) in query(path, "SELECT content FROM results")}


def test_a_journal_set_aside_stays_readable(output: Path, journal: Path) -> None:
    with opened(output) as store:
        put(store, ok())
    aside = set_aside(journal)
    assert aside is not None
    assert re.fullmatch(r"labels\.csv\.journal-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", aside.name)
    assert names(output.parent) == [aside.name]
    assert contents([aside]) == {"answer"}
    with opened(output) as store:
        assert state(store) == "new"


def test_a_journal_set_aside_after_a_kill_has_all_its_answers(output: Path, journal: Path) -> None:
    with other(WRITE, output) as writer:
        assert writer.stdout is not None
        written = int(writer.stdout.readline())
        writer.kill()
    assert (output.parent / "labels.csv.journal-wal").exists()
    aside = set_aside(journal)
    assert aside is not None
    assert names(output.parent) == [aside.name]
    ((count,),) = query(aside, "SELECT COUNT(*) FROM results")
    assert int(str(count)) >= written


def test_without_a_journal_there_is_nothing_to_set_aside(journal: Path) -> None:
    assert set_aside(journal) is None
    assert list(journal.parent.iterdir()) == []


def test_journals_set_aside_one_after_the_other_are_all_kept(output: Path, journal: Path) -> None:
    asides = []
    for content in "abc":
        with opened(output) as store:
            put(store, ok(content=content))
        asides.append(set_aside(journal))
    assert contents([path for path in asides if path]) == {"a", "b", "c"}


def test_what_is_no_journal_can_be_set_aside(output: Path, journal: Path) -> None:
    journal.write_bytes(b"not a database, but a text of some length")
    aside = set_aside(journal)
    assert aside is not None
    assert aside.read_bytes() == b"not a database, but a text of some length"
    with opened(output):
        pass
