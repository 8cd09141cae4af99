"""What can't be written is known before anything is asked."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.outputs.tables import check_output


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx", ".parquet", ".jsonl", ".CSV"])
def test_a_good_output_passes_the_check_and_nothing_is_left(tmp_path: Path, suffix: str) -> None:
    check_output(tmp_path / f"labels{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_the_check_leaves_an_older_output_alone(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"old")
    check_output(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("labels.xls", "labels.xlsx"),
        ("labels.json", "labels.jsonl"),
        ("labels.cvs", "labels.csv"),
        ("labels.parq", "labels.parquet"),
        ("labels", "labels.csv"),
        ("labels.v2", "labels.v2.csv"),
    ],
)
def test_an_unknown_suffix_names_the_known_ones(tmp_path: Path, name: str, better: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_output(tmp_path / name)
    assert str(caught.value) == (
        f"the name of the output {tmp_path / name} says no format: end it in "
        f".csv, .tsv, .xlsx, .parquet, .jsonl, .tab, .psv, .ndjson, such as {tmp_path / better}"
    )


def test_a_missing_folder_comes_with_the_command_that_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "my results" / "labels.csv"
    with pytest.raises(UsageError) as caught:
        check_output(path)
    assert str(caught.value) == (
        f"the folder of the output {path} doesn't exist: make it first: "
        f"mkdir -p '{tmp_path}/my results'"
    )


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        check_output(tmp_path)
    assert str(caught.value) == (
        f"the output {tmp_path} is a folder: name a file in it, such as {tmp_path}/results.csv"
    )


def test_an_output_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 300}.csv"
    with pytest.raises(UsageError) as caught:
        check_output(path)
    assert str(caught.value) == (
        f"can't write the output {path}: {os.strerror(errno.ENAMETOOLONG)}; "
        "choose another name or folder for it"
    )


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    path = tmp_path / "notes" / "labels.csv"
    with pytest.raises(UsageError) as caught:
        check_output(path)
    assert str(caught.value) == (
        f"can't write the output {path}: {os.strerror(errno.ENOTDIR)}; "
        "choose another name or folder for it"
    )


not_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)


@not_root
def test_a_folder_without_write_permission_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    path = tmp_path / "labels.csv"
    try:
        with pytest.raises(UsageError) as caught:
            check_output(path)
    finally:
        tmp_path.chmod(0o755)
    assert str(caught.value) == (
        f"can't write the output {path}: {os.strerror(errno.EACCES)}; "
        "choose another name or folder for it"
    )


@not_root
def test_a_write_protected_output_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.touch(0o444)
    with pytest.raises(UsageError) as caught:
        check_output(path)
    assert str(caught.value) == (
        f"the output {path} is write-protected: choose another name for it"
    )
