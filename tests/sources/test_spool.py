"""What was read is kept on disk, and a full one is told in a line."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.sources.opening import open_source
from pipeline.sources.spool import Spool

if sys.platform != "win32":
    import resource

MOST_BYTES = 500


@contextmanager
def full() -> Iterator[None]:
    """Let no file grow, which is a full disk to whoever writes it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def complaint(table: Path) -> str:
    """Go through a table twice while the disk is full; say what that says."""
    spool = Spool(open_source(str(table)), table.parent)
    try:
        with full():
            for _ in range(2):
                [slot.document for slot in spool]
    except PipelineError as error:
        return str(error)
    return ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize(
    "characters", [1000, 100_000], ids=["found on the second walk", "found on the first"]
)
def test_a_full_disk_is_told_whenever_it_is_found(tmp_path: Path, characters: int) -> None:
    """A short input is in the file's buffer at first: going back to its start writes it."""
    (tmp_path / "in.csv").write_text("text\n" + "x" * characters, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the file is closed when it is collected
        said = complaint(tmp_path / "in.csv")
        gc.collect()
    assert said == (
        "can't keep the input beside the output (File too large): free some disk, "
        "then run the same again"
    )
