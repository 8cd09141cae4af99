"""A folder as it really is: every kind of file, good, bad, and damaged at random."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from pipeline.sources.base import Extracted
from pipeline.sources.files.extract import extract_all
from pipeline.sources.files.folder import FolderSource
from tests.running import column, pipeline, read_rows
from tests.sources.kinds import BAD, GOOD, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("kinds") / "docs")


@pytest.fixture(scope="module")
def read(folder: Path) -> dict[str, Extracted]:
    names = [*GOOD, *BAD]
    return dict(zip(names, extract_all(folder / name for name in names), strict=True))


@pytest.mark.parametrize("name", GOOD)
def test_every_kind_of_file_gives_its_text(read: dict[str, Extracted], name: str) -> None:
    found, good = read[name], GOOD[name]
    assert found.error is None
    assert good.text in found.text
    assert (found.title, found.author, found.pages) == (good.title, good.author, good.pages)


@pytest.mark.parametrize("name", BAD)
def test_every_bad_file_says_why(read: dict[str, Extracted], name: str) -> None:
    found = read[name]
    assert (found.text, found.error) == ("", BAD[name].error)


def test_the_pages_that_are_scanned_are_known(read: dict[str, Extracted]) -> None:
    half, typed = read["half-scanned.pdf"], read["contract.pdf"]
    assert (half.pages, half.scanned_pages) == (2, (2,))
    assert (typed.pages, typed.scanned_pages) == (2, ())


def test_one_command_gives_every_file_a_row(folder: Path, tmp_path: Path) -> None:
    ended = pipeline(
        *("run", folder, "--instruction", "Sum it up.", "--model", "echo", "-o", "out.csv"),
        folder=tmp_path,
    )
    assert ended.code == 1
    assert ended.errors == []
    rows = {row["document"]: row for row in read_rows(tmp_path / "out.csv")}
    assert list(rows) == sorted([*GOOD, *BAD])
    for name, good in GOOD.items():
        assert (rows[name]["status"], good.text in rows[name]["output"]) == ("ok", True)
    assert {name: rows[name]["error"] for name in BAD} == {n: bad.error for n, bad in BAD.items()}
    assert set(column(rows.values(), "status")) == {"ok", "failed"}


def test_a_thousand_damaged_files_each_have_a_row_and_crash_nothing(tmp_path: Path) -> None:
    generator = random.Random(7)
    originals = [(name, file.data) for name, file in GOOD.items()]
    for number in range(1000):
        name, data = originals[number % len(originals)]
        damaged = _damage(data, generator, cut=number % 2 == 0)
        (tmp_path / f"{number:03}-{name}").write_bytes(damaged)
    documents = list(FolderSource(tmp_path))
    assert [document.name for document in documents] == sorted(os.listdir(tmp_path))
    assert all(
        bool(document.text or document.images) != bool(document.error) for document in documents
    )
    crashes = ("crashed", "took over", "Traceback", "xberg")
    errors = [document.error for document in documents if document.error]
    assert [error for error in errors if any(word in error for word in crashes)] == []


def _damage(data: bytes, generator: random.Random, *, cut: bool) -> bytes:
    if cut:
        return data[: generator.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(generator.choice([1, 5, len(data) // 50 + 1])):
        changed[generator.randrange(len(data))] = generator.randrange(256)
    return bytes(changed)
