from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import PipelineError, UsageError
from pipeline.outputs.tables import write_table
from pipeline.outputs.targets import open_target
from pipeline.types import Column
from tests.places import S3

COLUMNS = [Column("text")]


class Here(LocalFileSystem):
    """A place that neither forgets what was begun nor puts files whole: this disk, as here://."""

    protocol = "here"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("here://")


class Stuck(Here):
    """The same, where nothing can be renamed."""

    protocol = "stuck"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("stuck://")

    def mv(self, path1: str, path2: str, **_: object) -> None:
        raise PermissionError("renaming is not for you")


fsspec.register_implementation("here", Here)
fsspec.register_implementation("stuck", Stuck)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    s3.put("results", {})
    return "results"


def deliver(address: str, text: str) -> str:
    target = open_target(address)
    target.check()
    write_table(target.path, COLUMNS, [{"text": text}])
    target.deliver()
    return target.name


def test_a_file_of_this_machine_is_written_where_it_belongs(tmp_path: Path) -> None:
    for output in (str(tmp_path / "out.csv"), f"{tmp_path.as_uri()}/out.csv"):
        target = open_target(output)
        assert (target.path, target.name) == (tmp_path / "out.csv", str(tmp_path / "out.csv"))
    assert deliver(output, "a") == str(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == b"text\na\n"


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet", ".jsonl"])
def test_an_output_elsewhere_is_put_there_and_nothing_is_left_here(
    s3: S3, bucket: str, data: Path, suffix: str
) -> None:
    assert deliver(f"s3://results/a/out{suffix}", "first") == f"s3://results/a/out{suffix}"
    first = s3.get("results")[f"a/out{suffix}"]
    deliver(f"s3://results/a/out{suffix}", "second")
    assert s3.get("results")[f"a/out{suffix}"] != first
    assert list(s3.get("results")) == [f"a/out{suffix}"]
    assert [path for path in data.rglob("*") if path.is_file()] == []


def test_the_check_leaves_what_is_there_alone(s3: S3, bucket: str) -> None:
    s3.put("results", {"out.csv": b"old"})
    target = open_target("s3://results/out.csv")
    target.check()
    assert target.exists()
    assert s3.get("results") == {"out.csv": b"old"}
    assert s3.uploads("results") == []


def test_an_output_that_cannot_be_put_there_in_the_end_is_said_to_be_safe(
    s3: S3, bucket: str
) -> None:
    s3.put("results", {"out.csv": b"old"})
    target = open_target("s3://results/out.csv")
    target.check()
    write_table(target.path, COLUMNS, [{"text": "new"}])
    with s3.denying(), pytest.raises(PipelineError) as raised:
        target.deliver()
    assert not isinstance(raised.value, UsageError)
    assert str(raised.value).startswith("s3://results/out.csv can't be written: no permission (")
    assert str(raised.value).endswith(
        "; the answers are safe in the journal: run the same command again"
    )
    assert s3.get("results") == {"out.csv": b"old"}
    assert s3.uploads("results") == []
    assert not target.path.exists()


def test_an_output_is_put_whole_also_where_files_appear_bit_by_bit(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    path = tmp_path / "there" / "out.csv"
    path.write_bytes(b"old")
    target = open_target(f"here://{path}")
    target.check()
    assert path.read_bytes() == b"old"
    assert deliver(f"here://{path}", "new") == f"here://{path}"
    assert path.read_bytes() == b"text\nnew\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_draft_that_cannot_be_moved_is_removed(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_bytes(b"old")
    with pytest.raises(PipelineError, match=r"out\.csv can't be written: no permission"):
        deliver(f"stuck://{tmp_path}/out.csv", "new")
    assert [path.name for path in tmp_path.glob("*.csv")] == ["out.csv"]
    assert (tmp_path / "out.csv").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("s3://bucket/a/out.csv", "s3/bucket/a/out.csv"),
        ("memory://out.csv", "memory/out.csv"),
        ("s3://bucket/../a b:c/out.csv", "s3/bucket/%2E%2E/a b%3Ac/out.csv"),
        ("s3://bucket/é.csv", "s3/bucket/%C3%A9.csv"),
    ],
)
def test_each_address_has_a_journal_of_its_own(data: Path, address: str, path: str) -> None:
    assert open_target(address).path == data / "document-pipeline" / "journals" / path


def test_long_names_that_differ_have_journals_that_differ() -> None:
    paths = {open_target(f"memory://{'x' * 200}{end}.csv").path for end in ("1" * 99, "2" * 99)}
    assert len(paths) == 2
    assert all(len(path.name) < 120 and path.name.endswith(".csv") for path in paths)
