"""A journal that was damaged, or made by a stranger, gives no wrong answer and does no harm."""

from __future__ import annotations

import os
import random
import sqlite3
import struct
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.errors import JournalError
from pipeline.journal.store import Store
from pipeline.types import Result, Usage
from tests.journal.samples import failed, ok, opened, put, record
from tests.running import job, texts
from tests.server import Server

NAMES = [f"row {number}" for number in range(60)]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "labels.csv"


@pytest.fixture
def journal(output: Path) -> Path:
    return output.with_name("labels.csv.journal")


def again(name: str) -> Result:
    return replace(failed(name), status="again", usage=Usage(7, 3), cost_usd=Decimal("0.1"))


def fill(output: Path) -> None:
    """Write a journal of sixty answers: short ones and some of more than a page, failed before."""
    with opened(output) as store:
        for place, name in enumerate(NAMES):
            put(store, *([again(name)] if place % 7 == 0 else []))
            put(store, ok(name, content=f"answer to {name}, né " * (400 if place % 9 == 0 else 3)))


def look(output: Path) -> tuple[list[Result | None], Store]:
    with opened(output) as store:
        return [record(store, name) for name in NAMES], store


def differences(found: list[Result | None], expected: list[Result | None]) -> int:
    """Count the answers that are lost, or of which an attempt is lost; none may be another."""
    differing = [pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]]
    for result, whole in differing:
        assert whole is not None
        assert result is None or result.status == "again" or result.content == whole.content
    return len(differing)


def change(journal: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute(sql, values)
        connection.commit()


# Damage


@pytest.mark.parametrize("seed", range(10))
def test_a_flipped_bit_gives_no_wrong_answer(output: Path, journal: Path, seed: int) -> None:
    fill(output)
    expected, _ = look(output)
    data = journal.read_bytes()
    chance = random.Random(seed)
    for _ in range(40):
        flipped = bytearray(data)
        bit = chance.randrange(8 * len(data))
        flipped[bit // 8] ^= 1 << bit % 8
        journal.write_bytes(flipped)
        try:
            found, store = look(output)
        except JournalError as error:
            assert str(journal) in str(error) and "\n" not in str(error)
            continue
        assert differences(found, expected) == len(store.damaged) <= 1, bit


@pytest.mark.parametrize("kind", ["flipped", "cut off"])
def test_a_damaged_log_gives_no_wrong_answer(output: Path, journal: Path, kind: str) -> None:
    log = Path(f"{journal}-wal")
    with opened(output) as store:
        for name in NAMES:
            put(store, again(name), ok(name, content=f"answer to {name}"))
        begun, data = journal.read_bytes(), log.read_bytes()
    expected, _ = look(output)
    chance = random.Random(kind)
    for _ in range(40):
        damaged = bytearray(data)
        bit = chance.randrange(8 * len(data))
        damaged[bit // 8] ^= 1 << bit % 8
        journal.write_bytes(begun)
        log.write_bytes(damaged if kind == "flipped" else data[: bit // 8])
        found, _ = look(output)
        count = len([result for result in found if result])
        assert found == [*expected[:count], *(None for _ in expected[count:])]


def test_a_journal_that_was_cut_off_is_refused(output: Path, journal: Path) -> None:
    fill(output)
    output.touch()
    expected, _ = look(output)
    data = journal.read_bytes()
    chance = random.Random(0)
    for size in [0, 1, 99, 100, 511, 512, 4096, *chance.choices(range(len(data)), k=30)]:
        journal.write_bytes(data[:size])
        try:
            found, store = look(output)
        except JournalError as error:
            assert str(journal) in str(error)
            continue
        assert len(data) - size < 4096  # only the end of an answer is gone
        assert differences(found, expected) == len(store.damaged) == 1


def test_a_damaged_key_loses_no_answer(output: Path, journal: Path) -> None:
    fill(output)
    expected, _ = look(output)
    data = journal.read_bytes()
    places = [place for place in range(len(data)) if data.startswith(b"row 33   ", place)]
    mended = []
    for place in places:  # in the entry, and in the index
        journal.write_bytes(data[:place] + b"R" + data[place + 1 :])
        for _ in range(2):
            found, store = look(output)
            assert found == expected
            mended.append(store.mended)
    assert sorted(mended) == [False, False, False, True]


def test_the_rows_of_damaged_entries_are_asked_again(tmp_path: Path, server: Server) -> None:
    made = job(tmp_path, server, texts(5))
    assert made.run().code == 0
    before = made.rows()
    change(made.journal, "UPDATE results SET content = 'no answer at all' WHERE id = 2")
    change(made.journal, "UPDATE results SET cost_usd = '9' WHERE id = 4")
    looked = made.run("--dry-run")
    assert "3 done already, 2 requests" in looked.err
    ended = made.run()
    told = f"2 entries of {made.output}.journal are damaged and not used: "
    assert (ended.code, [line for line in ended.lines if line.startswith(told)]) != (0, [])
    assert server.tally.received == 5 + 2
    assert [{**row, "latency_seconds": ""} for row in made.rows()] == [
        {**row, "latency_seconds": ""} for row in before
    ]


def test_entries_from_before_checksums_are_taken_as_they_are(output: Path, journal: Path) -> None:
    fill(output)
    change(journal, "UPDATE results SET checksum = NULL")
    change(journal, "UPDATE results SET content = 'changed' WHERE id = 3")
    found, store = look(output)
    assert (store.damaged, [result and result.content for result in found][1]) == (set(), "changed")


# Strangers


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", "skipped"),
        ("status", b"ok"),
        ("error", b"no"),
        ("content", b"\xff\xfe"),
        ("model", b"m"),
        ("prompt_tokens", "many"),
        ("prompt_tokens", -5),
        ("prompt_tokens", 2**62),
        ("completion_tokens", None),
        ("reasoning_tokens", 0.5),
        ("cost_usd", b"1"),
        ("cost_usd", "much"),
        ("cost_usd", "NaN"),
        ("cost_usd", "-1"),
        ("cost_usd", "1e999999999"),
        ("cost_usd", "1" * 1000),
        ("attempts", "one"),
        ("attempts", -1),
        ("latency_seconds", "long"),
        ("latency_seconds", 9e999),
        ("latency_seconds", -1),
        ("confidence", "sure"),
        ("confidence", 2.0),
        ("run_id", "first"),
        ("checksum", "x"),
    ],
)
def test_what_no_entry_can_hold_counts_as_damaged(
    output: Path, journal: Path, column: str, value: object
) -> None:
    fill(output)
    expected, _ = look(output)
    change(journal, "UPDATE results SET checksum = NULL")
    change(journal, f"UPDATE results SET {column} = ? WHERE document = 'row 1'", value)
    found, store = look(output)
    assert found == [expected[0], None, *expected[2:]]
    assert len(store.damaged) == 1


def test_a_text_that_is_no_utf_8_counts_as_damaged(output: Path, journal: Path) -> None:
    fill(output)
    change(journal, "UPDATE results SET content = CAST(X'61FF' AS TEXT) WHERE document = 'row 1'")
    found, store = look(output)
    assert (found[1], len(store.damaged)) == (None, 1)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER t AFTER INSERT ON results BEGIN DELETE FROM results; END",
        "CREATE TRIGGER t BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'no'); END",
        "ALTER TABLE results RENAME TO r; CREATE VIEW results AS SELECT * FROM r",
        "ALTER TABLE results ADD COLUMN more TEXT AS (content || content)",
        "CREATE INDEX i ON results (length(content))",
        "CREATE VIRTUAL TABLE v USING fts5(x)",
        "CREATE VIEW v AS SELECT 1",
        "DROP TABLE runs",
        "DROP INDEX results_by_key",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 1",
        "PRAGMA user_version = -1",
        "PRAGMA user_version = -2147483648",
    ],
)
@pytest.mark.parametrize("readonly", [False, True])
def test_a_journal_with_other_tables_is_refused(
    output: Path, journal: Path, sql: str, readonly: bool
) -> None:
    fill(output)
    with closing(sqlite3.connect(journal)) as connection:
        connection.executescript(sql)
    before = journal.read_bytes()
    store = Store(output)
    with pytest.raises(JournalError) as caught:
        store.open_readonly() if readonly else store.open("pipeline run")
    assert str(caught.value).startswith(f"{journal} is damaged or isn't a journal (its tables ")
    assert journal.read_bytes() == before


def test_a_table_lies_about_its_kind(output: Path, journal: Path) -> None:
    fill(output)
    with closing(sqlite3.connect(journal)) as connection:
        connection.executescript(
            "CREATE TRIGGER t AFTER INSERT ON results BEGIN DELETE FROM results; END;"
            "PRAGMA writable_schema = ON;"
            "UPDATE sqlite_master SET type = 'table', tbl_name = 'x', name = 'x' WHERE name = 't'"
        )
    with pytest.raises(JournalError):
        look(output)


def test_tables_that_do_nothing_are_no_hindrance(output: Path, journal: Path) -> None:
    fill(output)
    expected, _ = look(output)
    with closing(sqlite3.connect(journal)) as connection:
        connection.executescript("ANALYZE; CREATE TABLE lost_and_found (rootpgno INTEGER, c0, c1)")
    assert look(output)[0] == expected


@pytest.mark.parametrize("end", ["", "-wal", "-shm", ".lock"])
@pytest.mark.parametrize("kind", ["link", "dead link", "pipe", "folder"])
@pytest.mark.parametrize("act", ["open", "look", "set aside"])
def test_a_journal_is_a_file(output: Path, journal: Path, end: str, kind: str, act: str) -> None:
    fill(output)
    elsewhere = output.with_name("elsewhere")
    file = Path(f"{journal}{end}")
    file.unlink(missing_ok=True)
    if kind == "link":
        elsewhere.write_text("mine")
    if kind in ("link", "dead link"):
        file.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.mkdir()
    what = "a link" if "link" in kind else "not a file"
    with pytest.raises(JournalError) as caught:
        if act == "set aside":
            Store(output).open("pipeline run", fresh=True)
        elif act == "look":
            Store(output).open_readonly()
        else:
            Store(output).open("pipeline run")
    assert str(caught.value) == f"{file} is {what}: move it away, or choose another output"
    assert kind != "link" or elsewhere.read_text() == "mine"
    assert kind != "dead link" or not elsewhere.exists()


@pytest.mark.parametrize("act", ["open", "look", "set aside"])
def test_a_planted_rollback_journal_deletes_nothing(output: Path, journal: Path, act: str) -> None:
    """SQLite deletes the file that a rollback journal names as the one above it."""
    fill(output)
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    victim = output.with_name("victim")
    victim.write_text("mine")
    magic, name = bytes.fromhex("d9d505f920a163d7"), str(victim).encode()
    head = struct.pack(">8sIIIII", magic, 0, 0, journal.stat().st_size // 4096, 512, 4096)
    page = 0x40000000 // 4096 + 1
    tail = struct.pack(">I", page) + name + struct.pack(">II", len(name), sum(name)) + magic
    undo = Path(f"{journal}-journal")
    undo.write_bytes(head.ljust(512, b"\0") + tail)
    with pytest.raises(JournalError) as caught:
        if act == "set aside":
            Store(output).open("pipeline run", fresh=True)
        elif act == "look":
            Store(output).open_readonly()
        else:
            Store(output).open("pipeline run")
    assert str(caught.value).startswith(f"{undo} was not written by this program")
    assert victim.read_text() == "mine"
