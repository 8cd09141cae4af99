from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import psutil
import pytest

from pipeline.errors import DocumentError
from pipeline.sources.workers import Workers


def behave(path: Path) -> str:
    """Do what the file's name says."""
    match path.name:
        case "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            if path.exists():
                path.open("w").close()  # a named pipe, on which the test waits
            threading.Event().wait()
        case "refuse":
            raise DocumentError("no text")
        case "print":
            print("out")
            os.write(2, b"err")
        case "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        case "large":
            return "x" * 10_000_000
        case "pid":
            return str(os.getpid())
    return f"read {path.name}"


@pytest.fixture
def workers() -> Iterator[Workers]:
    workers = Workers(behave, processes=2)
    yield workers
    workers.close()


def outcomes(workers: Workers, *names: str) -> list[str]:
    futures = [workers.submit(Path(name)) for name in names]
    return [str(future.result()) for future in futures]


CRASHED = "reading it crashed or took over {:g} seconds: it may be damaged"


def test_files_are_read_and_refused(workers: Workers) -> None:
    assert outcomes(workers, "a", "refuse", "b") == ["read a", "no text", "read b"]


def test_a_file_that_kills_its_reader_fails_alone(workers: Workers) -> None:
    names = ["a", "crash", "b", "crash", "crash", "c", "d"]
    assert outcomes(workers, *names) == [
        CRASHED.format(75) if name == "crash" else f"read {name}" for name in names
    ]


def test_a_file_that_takes_forever_fails_alone() -> None:
    workers = Workers(behave, processes=1, timeout_seconds=0.5)
    try:
        assert outcomes(workers, "hang") == [CRASHED.format(0.5)]
    finally:
        workers.close()


def test_a_reader_that_died_idle_costs_no_file() -> None:
    workers = Workers(behave, processes=1)
    try:
        (pid,) = outcomes(workers, "pid")
        psutil.Process(int(pid)).kill()
        psutil.wait_procs([psutil.Process(int(pid))], timeout=10)
        assert outcomes(workers, "a") == ["read a"]
    finally:
        workers.close()


def test_a_text_larger_than_a_pipe_comes_back_whole(workers: Workers) -> None:
    assert outcomes(workers, "large") == ["x" * 10_000_000]


def test_readers_do_not_hear_ctrl_c(workers: Workers) -> None:
    assert outcomes(workers, "interrupt") == ["read interrupt"]


def test_readers_print_nothing(workers: Workers, capfd: pytest.CaptureFixture[str]) -> None:
    assert outcomes(workers, "print", "crash") == ["read print", CRASHED.format(75)]
    assert capfd.readouterr() == ("", "")


def test_closing_ends_a_file_that_is_being_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hang")
    workers = Workers(behave, processes=1)
    (pid,) = outcomes(workers, "pid")
    process = psutil.Process(int(pid))
    hanging, waiting = workers.submit(tmp_path / "hang"), workers.submit(Path("a"))
    assert (tmp_path / "hang").read_text(encoding="utf-8") == ""
    workers.close()
    assert not process.is_running()
    assert isinstance(hanging.result(), DocumentError)
    with pytest.raises(CancelledError):
        waiting.result()
    with pytest.raises(CancelledError):
        workers.submit(Path("b")).result()


PARENT = """
import os, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from pipeline.sources.workers import Workers
from test_workers import behave
if __name__ == "__main__":
    workers = Workers(behave, processes=1)
    print(workers.submit(Path("pid")).result(), flush=True)
    hanging = workers.submit(Path("hang"))
    {end}
"""


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), 9)", "hanging.cancel()", "sys.exit(3)", "1 / 0"]
)
def test_readers_end_with_their_parent_however_it_ends(tmp_path: Path, end: str) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(here=str(Path(__file__).parent), end=end), encoding="utf-8")
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    with parent:
        assert parent.stdout
        reader = psutil.Process(int(parent.stdout.readline()))
    gone, alive = psutil.wait_procs([reader], timeout=10)
    assert (len(gone), alive) == (1, [])
