"""What a killed process leaves behind is removed by the next one, and nothing else is."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import scratch
from pipeline.scratch import Scratch
from tests.running import drafted, pipeline, start, texts, watch, write_rows
from tests.sources.samples import docx

HOLD = """
import sys
from pathlib import Path
from pipeline.scratch import Scratch
with Scratch(Path(sys.argv[1])) as folder:
    (folder / "inside").write_text("half of it")
    print(folder, flush=True)
    sys.stdin.read()
"""


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if "pipeline-" in path.name)


def test_a_folder_goes_with_its_lock(tmp_path: Path) -> None:
    with Scratch(tmp_path) as folder:
        (folder / "inside").mkdir()
        assert left(tmp_path) == [folder.name, f"{folder.name}.lock"]
        assert folder.stat().st_mode & 0o077 == 0
        scratch.clear(tmp_path)  # its process lives: this one
        assert (folder / "inside").exists()
    assert left(tmp_path) == []


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_is_not(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        scratch.clear(tmp_path)
        assert (folder / "inside").exists()
        process.kill()
    assert left(tmp_path) == [folder.name, f"{folder.name}.lock"]
    scratch.clear(tmp_path)
    assert left(tmp_path) == []


def test_what_only_looks_like_one_stays(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "kept").write_text("kept")
    (tmp_path / ".pipeline-notes").mkdir()
    (tmp_path / ".pipeline-link").symlink_to(mine)
    (tmp_path / ".pipeline-link.lock").write_text("")
    (tmp_path / ".pipeline-file.lock").symlink_to(mine / "kept")
    scratch.clear(tmp_path)
    assert (mine / "kept").read_text() == "kept"
    assert (tmp_path / ".pipeline-notes").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 here")
def test_the_next_run_removes_what_kill_9_left_beside_the_output_and_in_the_temporary_folder(
    tmp_path: Path,
) -> None:
    folder, temporary = tmp_path / "in", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    (folder / "a.docx").write_bytes(docx("Read."))
    write_rows(tmp_path / "in.csv", [{"text": text} for text in texts(20_000)])
    rest = ("--instruction", "Say it.", "-o", "out.csv", "--model", "echo")
    for input, output in (("in", "docs.csv"), ("in.csv", "out.csv")):
        command = ("run", input, *rest[:3], output, *rest[4:])
        process = start(*command, folder=tmp_path, TMPDIR=str(temporary))
        watch(process, lambda here=input: left(temporary) if here == "in" else drafted(tmp_path))
        process.kill()
        process.communicate()
        assert left(temporary if input == "in" else tmp_path)
    (folder / "a.docx").unlink()
    (folder / "a.txt").write_text("Read.")
    assert pipeline("run", "in", *rest, folder=tmp_path, TMPDIR=str(temporary)).code == 0
    assert left(tmp_path) + left(temporary) == []
