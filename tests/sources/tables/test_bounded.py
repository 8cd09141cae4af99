"""A table that was made to harm, or was damaged, ends in a line or in rows: never in the reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks import ATTACKS
from tests.mutations import mutated
from tests.running import pipeline

SLOW = {"bz2.zip", "rows.csv.gz", "spaces.xlsx", "wide.csv.gz", "cell.xlsx"}  # to make
QUICK = [name for name in ATTACKS if name not in SLOW]
COMMAND = ("--instruction", "Answer.", "--model", "echo", "--quiet", "--prefix", "new_")


@pytest.mark.parametrize("name", QUICK)
def test_a_table_made_to_harm_ends_in_a_line_or_in_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(ATTACKS[name]())
    ended = pipeline("run", name, "-o", "out.csv", *COMMAND, folder=tmp_path)
    assert ended.code in (0, 1, 2)
    assert len(ended.errors) == len(ended.lines) == bool(ended.code)


def test_damaged_tables_end_in_a_line_or_in_rows(tmp_path: Path) -> None:
    strange = []
    for number, (name, data) in enumerate(mutated(80, seed=7)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_bytes(data)
        ended = pipeline("run", name, "-o", "out.csv", *COMMAND, folder=folder)
        if ended.code not in (0, 1, 2) or len(ended.errors) != bool(ended.code):
            strange.append((name, ended))
    assert strange == []
