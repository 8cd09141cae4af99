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

from pipeline.sources.base import Extracted
from pipeline.sources.workers import Workers

HELD: list[bytes] = []


def behave(path: Path) -> Extracted:
    """Do what the file's name says."""
    match path.name:
        case "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            if path.exists():
                path.open("w").close()  # a named pipe, on which the test waits
            threading.Event().wait()
        case "refuse":
            return Extracted(error="no text")
        case "print":
            print("out")
            os.write(2, b"err")
        case "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        case "large":
            return Extracted("x" * 10_000_000)
        case "swell":
            return Extracted(str(len(bytearray(3_000_000_000))))
        case "pant":
            HELD.append(b"x" * 600_000_000)
            return Extracted(str(len(HELD[0])))
        case "pid":
            return Extracted(str(os.getpid()))
    return Extracted(f"read {path.name}")


@pytest.fixture
def workers() -> Iterator[Workers]:
    workers = Workers(behave, processes=2)
    yield workers
    workers.close()


def outcomes(workers: Workers, *names: str) -> list[str]:
    futures = [workers.submit(Path(name)) for name in names]
    found = [future.result() for future in futures]
    return [one.error or one.text for one in found]


CRASHED = "reading it crashed or took over 2 GB of memory: it may be damaged"
LATE = "reading it took over 0.5 seconds: it may be damaged"


def test_files_are_read_and_refused(workers: Workers) -> None:
    assert outcomes(workers, "a", "refuse", "b") == ["read a", "no text", "read b"]


def test_a_file_that_kills_its_reader_fails_alone(workers: Workers) -> None:
    names = ["a", "crash", "b", "crash", "crash", "c", "d"]
    assert outcomes(workers, *names) == [
        CRASHED if name == "crash" else f"read {name}" for name in names
    ]


def test_a_file_that_takes_forever_fails_alone() -> None:
    workers = Workers(behave, processes=1, timeout_seconds=0.5)
    try:
        assert outcomes(workers, "hang") == [LATE]
    finally:
        workers.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's memory")
def test_a_file_that_takes_too_much_memory_fails_alone(workers: Workers) -> None:
    assert outcomes(workers, "a", "swell", "b") == ["read a", CRASHED, "read b"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process holds")
def test_a_reader_that_holds_much_memory_makes_room_for_another() -> None:
    workers = Workers(behave, processes=1)
    try:
        before, size, after, again = outcomes(workers, "pid", "pant", "pid", "pid")
        assert size == "600000000"
        assert before != after == again
        assert not psutil.pid_exists(int(before))
    finally:
        workers.close()


def test_a_reader_does_not_answer_for_the_memory_of_its_parent() -> None:
    ballast = b"x" * 600_000_000
    workers = Workers(behave, processes=1)
    try:
        first, second = outcomes(workers, "pid", "pid")
        assert (first == second, len(ballast)) == (True, 600_000_000)
    finally:
        workers.close()


def test_a_reader_that_died_idle_costs_no_file() -> None:
    workers = Workers(behave, processes=1)
    try:
        (pid,) = outcomes(workers, "pid")
        reader = psutil.Process(int(pid))
        reader.kill()
        psutil.wait_procs([reader], timeout=10)
        assert outcomes(workers, "a") == ["read a"]
    finally:
        workers.close()


def test_a_text_larger_than_a_pipe_comes_back_whole(workers: Workers) -> None:
    assert outcomes(workers, "large") == ["x" * 10_000_000]


def test_readers_do_not_hear_ctrl_c(workers: Workers) -> None:
    assert outcomes(workers, "interrupt") == ["read interrupt"]


def test_readers_print_nothing(workers: Workers, capfd: pytest.CaptureFixture[str]) -> None:
    assert outcomes(workers, "print", "crash") == ["read print", CRASHED]
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
    assert hanging.result().error == CRASHED
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
    print(workers.submit(Path("pid")).result().text, flush=True)
    hanging = workers.submit(Path("hang"))
    sys.stdin.read()
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
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    with parent:  # it ends with its standard input, which is closed when its reader is known
        assert parent.stdout
        reader = psutil.Process(int(parent.stdout.readline()))
    gone, alive = psutil.wait_procs([reader], timeout=10)
    assert (len(gone), alive) == (1, [])
