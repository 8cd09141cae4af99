"""A table appears whole or not at all."""

from __future__ import annotations

import csv
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest
from python_calamine import CalamineWorkbook

from pipeline.errors import PipelineError
from pipeline.outputs.tables import write_table
from pipeline.types import Column

SUFFIXES = [".csv", ".tsv", ".xlsx", ".parquet", ".jsonl"]
every_format = pytest.mark.parametrize("suffix", SUFFIXES)

Row = Mapping[str, object]


def read_csv(path: Path, delimiter: str = ",") -> list[list[object]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [list(row) for row in csv.reader(file, delimiter=delimiter, strict=True)]


def read_xlsx(path: Path) -> list[list[object]]:
    sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
    return [list(row) for row in sheet.to_python(skip_empty_area=False)]


def read_parquet(path: Path) -> list[list[object]]:
    table = pq.read_table(path)
    return [table.column_names, *(list(row.values()) for row in table.to_pylist())]


def read_jsonl(path: Path) -> list[list[object]]:
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    return [list(rows[0]), *(list(row.values()) for row in rows)]


READERS: dict[str, Callable[[Path], list[list[object]]]] = {
    ".csv": read_csv,
    ".tsv": lambda path: read_csv(path, "\t"),
    ".xlsx": read_xlsx,
    ".parquet": read_parquet,
    ".jsonl": read_jsonl,
}


class Broken:
    """Rows that fail after the first `good` of them."""

    def __init__(self, good: int) -> None:
        self.good = good

    def __iter__(self) -> Iterator[Row]:
        for number in range(self.good):
            yield {"a": f"row {number}", "b": number}
        raise RuntimeError("the journal is gone")


@every_format
def test_the_format_follows_the_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"labels{suffix}"
    rows = [{"id": "007", "label": "=1+1"}, {"id": "NA", "label": "billing"}]

    assert write_table(path, [Column("id"), Column("label")], rows) == []

    assert READERS[suffix](path) == [["id", "label"], ["007", "=1+1"], ["NA", "billing"]]
    assert list(tmp_path.iterdir()) == [path]


@every_format
def test_a_suffix_in_capitals_is_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"LABELS{suffix.upper()}"
    write_table(path, [Column("id")], [{"id": "007"}])
    assert READERS[suffix](path) == [["id"], ["007"]]


@every_format
def test_an_empty_table_is_a_file_too(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"labels{suffix}"
    write_table(path, [Column("id"), Column("cost_usd", "decimal")], [])
    header = [] if suffix == ".jsonl" else [["id", "cost_usd"]]
    assert path.exists()
    assert (READERS[suffix](path) if header else path.read_bytes().splitlines()) == header


@every_format
def test_a_name_that_is_not_utf8_is_a_name_like_any(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"labels \udcff{suffix}"
    try:
        path.touch()
    except (OSError, UnicodeError):
        pytest.skip("the file system takes UTF-8 only")
    write_table(path, [Column("id")], [{"id": "007"}])
    readable = path.rename(tmp_path / f"labels{suffix}")
    assert READERS[suffix](readable) == [["id"], ["007"]]


@every_format
def test_an_older_output_is_replaced(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"labels{suffix}"
    path.write_bytes(b"old")
    write_table(path, [Column("id")], [{"id": "007"}])
    assert READERS[suffix](path) == [["id"], ["007"]]


@every_format
@pytest.mark.parametrize("good", [0, 12_000])
def test_a_failure_leaves_the_older_output_and_nothing_else(
    tmp_path: Path, suffix: str, good: int
) -> None:
    path = tmp_path / f"labels{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="the journal is gone"):
        write_table(path, [Column("a"), Column("b")], Broken(good))
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


FULL_DISK = """
import resource, sys
from pathlib import Path
from random import Random
from pipeline.errors import PipelineError
from pipeline.outputs.tables import write_table
from pipeline.types import Column

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
noise = Random(1).randbytes
try:
    write_table(Path(sys.argv[1]), [Column("a")], [{"a": noise(1000).hex()} for _ in range(1000)])
except PipelineError as error:
    print(error)
"""


@every_format
def test_a_full_disk_is_one_clear_line(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("resource", reason="Windows has no limit on the size of files")
    path = tmp_path / f"labels{suffix}"
    path.write_bytes(b"old")
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert run.stdout == (
        f"can't write {path}: {os.strerror(errno.EFBIG)}; the answers are safe in the journal: "
        "mend that and run the same command again\n"
    )
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_a_folder_that_is_gone_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "labels.csv"
    with pytest.raises(PipelineError) as caught:
        write_table(path, [Column("a")], [])
    assert str(caught.value) == (
        f"can't write {path}: {os.strerror(errno.ENOENT)}; the answers are safe in the journal: "
        "make its folder again and run the same command again"
    )


@every_format
def test_the_file_has_the_mode_of_any_new_file(tmp_path: Path, suffix: str) -> None:
    path, other = tmp_path / f"labels{suffix}", tmp_path / "other"
    other.touch()
    write_table(path, [Column("a")], [{"a": "x"}])
    assert path.stat().st_mode == other.stat().st_mode


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_file_that_was_closed_to_others_stays_closed(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_table(path, [Column("a")], [{"a": "x"}])
    path.chmod(0o600)
    write_table(path, [Column("a")], [{"a": "y"}])
    assert path.read_text() == "a\ny\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "real.csv"
    link = tmp_path / "labels.csv"
    link.symlink_to(target)
    write_table(link, [Column("a")], [{"a": "x"}])
    assert link.is_symlink()
    assert target.read_bytes() == b"a\nx\n"


def test_rows_that_can_be_read_once_only_are_refused(tmp_path: Path) -> None:
    rows: Iterator[Row] = iter([{"a": "x"}])
    with pytest.raises(TypeError, match="more than once"):
        write_table(tmp_path / "labels.csv", [Column("a")], rows)


def test_writing_a_csv_loads_no_heavy_library(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from pipeline.outputs.tables import write_table\n"
        "write_table(Path(sys.argv[1]), [], [])\n"
        "print(sys.modules.keys() & {'pyarrow', 'xlsxwriter', 'pandas', 'openai'})"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "labels.csv")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
