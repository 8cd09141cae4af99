"""A table that was made to harm, or was damaged, ends in a line or in rows: never in the reader."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import psutil
import pytest

from pipeline.sources.opening import open_source
from tests import bounded
from tests.mutations import mutated, parquet, xlsx
from tests.running import pipeline
from tests.sources.tables.attacks import ATTACKS

COMMAND = ("--instruction", "Answer.", "--model", "echo", "--quiet", "--prefix", "new_")


@pytest.mark.parametrize("name", ATTACKS)
def test_a_table_made_to_harm_ends_in_a_line_or_in_rows(tmp_path: Path, name: str) -> None:
    make, line = ATTACKS[name]
    (tmp_path / name).write_bytes(make())
    ended = bounded.pipeline("run", tmp_path / name, "-o", tmp_path / "out.csv", *COMMAND)
    if not line:
        assert (ended.returncode, ended.stderr) == (0, "")
    else:
        assert ended.returncode in (1, 2)
        assert ended.stderr.startswith(f"error: {line}")
        assert ended.stderr.count("\n") == 1
        assert len(ended.stderr) < 5000


def test_damaged_tables_end_in_a_line_or_in_rows(tmp_path: Path) -> None:
    strange = []
    for number, (name, data) in enumerate(mutated(100, seed=7)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_bytes(data)
        ended = pipeline("run", name, "-o", "out.csv", *COMMAND, folder=folder)
        if ended.code not in (0, 1, 2) or len(ended.errors) != bool(ended.code):
            strange.append((name, ended))
    assert strange == []


def readers() -> list[psutil.Process]:
    return psutil.Process().children()


@pytest.fixture(params=["a.xlsx", "a.parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    path.write_bytes(xlsx() if path.suffix == ".xlsx" else parquet("zstd"))
    return path


def test_the_process_of_a_table_ends_with_its_rows(path: Path) -> None:
    before = readers()
    source = open_source(str(path))
    assert len(readers()) == len(before) + 1
    assert len(list(source)) == 3
    assert readers() == before


def test_a_table_can_be_read_again(path: Path) -> None:
    with closing(open_source(str(path))) as source:
        assert list(source) == list(source)


def test_closing_a_table_ends_its_process_before_its_rows(path: Path) -> None:
    before = readers()
    source = open_source(str(path))
    rows = iter(source)
    next(rows)
    source.close()
    assert readers() == before


def test_a_table_that_is_refused_leaves_no_process(path: Path) -> None:
    before = readers()
    ended = pipeline(
        *("run", path.name, "-o", "out.csv", "--text-column", "none", *COMMAND), folder=path.parent
    )
    assert ended.code == 2
    assert readers() == before
