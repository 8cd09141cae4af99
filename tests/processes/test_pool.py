from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from pipeline.errors import DocumentError
from pipeline.processes.child import Child
from pipeline.processes.pool import Pool

HELD: list[bytes] = []


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
        case "swell":
            return str(len(bytearray(3_000_000_000)))
        case "pant":
            HELD.append(b"x" * 600_000_000)
            return str(len(HELD[0]))
        case "pid":
            return str(os.getpid())
    return f"read {path.name}"


def test_a_process_loads_nothing_that_starts_others() -> None:
    """It would take a third of the time that the process takes to start."""
    with closing(Child()) as child:
        loaded = child.call(eval, "set(__import__('sys').modules)")
    assert loaded & {"subprocess", "filelock", "logging", "pipeline.processes.launch"} == set()


@pytest.fixture
def pool() -> Iterator[Pool[[Path], str]]:
    pool = Pool(behave, processes=2)
    yield pool
    pool.close()


def outcomes(pool: Pool[[Path], str], *names: str) -> list[str]:
    futures = [pool.submit(Path(name)) for name in names]
    return [str(future.exception() or future.result()) for future in futures]


CRASHED = "reading it crashed or takes more memory than one file may have: it may be damaged"
TOO_MUCH = "reading it takes more memory than one file may have"
LATE = "reading it took over 0.5 seconds: it may be damaged"


def test_files_are_read_and_refused(pool: Pool[[Path], str]) -> None:
    assert outcomes(pool, "a", "refuse", "b") == ["read a", "no text", "read b"]


def test_a_file_that_kills_its_reader_fails_alone(pool: Pool[[Path], str]) -> None:
    names = ["a", "crash", "b", "crash", "crash", "c", "d"]
    assert outcomes(pool, *names) == [
        CRASHED if name == "crash" else f"read {name}" for name in names
    ]


def test_a_file_that_takes_forever_fails_alone() -> None:
    pool = Pool(behave, processes=1, timeout_seconds=0.5)
    try:
        assert outcomes(pool, "hang") == [LATE]
    finally:
        pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's memory")
def test_a_file_that_takes_too_much_memory_fails_alone(pool: Pool[[Path], str]) -> None:
    assert outcomes(pool, "a", "swell", "b") == ["read a", TOO_MUCH, "read b"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process holds")
def test_a_reader_that_holds_much_memory_makes_room_for_another() -> None:
    pool = Pool(behave, processes=1)
    try:
        before, size, after, again = outcomes(pool, "pid", "pant", "pid", "pid")
        assert size == "600000000"
        assert before != after == again
        assert not psutil.pid_exists(int(before))
    finally:
        pool.close()


def test_a_reader_does_not_answer_for_the_memory_of_its_parent() -> None:
    ballast = b"x" * 600_000_000
    pool = Pool(behave, processes=1)
    try:
        first, second = outcomes(pool, "pid", "pid")
        assert (first == second, len(ballast)) == (True, 600_000_000)
    finally:
        pool.close()


def test_a_reader_that_died_idle_costs_no_file() -> None:
    pool = Pool(behave, processes=1)
    try:
        (pid,) = outcomes(pool, "pid")
        reader = psutil.Process(int(pid))
        reader.kill()
        psutil.wait_procs([reader], timeout=10)
        assert outcomes(pool, "a") == ["read a"]
    finally:
        pool.close()


def test_a_text_larger_than_a_pipe_comes_back_whole(pool: Pool[[Path], str]) -> None:
    assert outcomes(pool, "large") == ["x" * 10_000_000]


def test_readers_do_not_hear_ctrl_c(pool: Pool[[Path], str]) -> None:
    assert outcomes(pool, "interrupt") == ["read interrupt"]


def test_readers_print_nothing(pool: Pool[[Path], str], capfd: pytest.CaptureFixture[str]) -> None:
    assert outcomes(pool, "print", "crash") == ["read print", CRASHED]
    assert capfd.readouterr() == ("", "")


def test_closing_ends_a_file_that_is_being_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hang")
    pool = Pool(behave, processes=1)
    (pid,) = outcomes(pool, "pid")
    process = psutil.Process(int(pid))
    hanging, waiting = pool.submit(tmp_path / "hang"), pool.submit(Path("a"))
    assert (tmp_path / "hang").read_text(encoding="utf-8") == ""
    pool.close()
    assert not process.is_running()
    assert str(hanging.exception()) == CRASHED
    with pytest.raises(CancelledError):
        waiting.result()
    with pytest.raises(CancelledError):
        pool.submit(Path("b")).result()


def test_a_call_that_nobody_waits_for_any_more_leaves_the_others_alone() -> None:
    pool = Pool(behave, processes=1)
    try:
        first, second = pool.submit(Path("a")), pool.submit(Path("b"))
        second.cancel()
        assert first.result() == "read a"
        assert outcomes(pool, "c") == ["read c"]
    finally:
        pool.close()


PARENT = """
import os, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from pipeline.processes.pool import Pool
from test_pool import behave
if __name__ == "__main__":
    pool = Pool(behave, processes=1)
    print(pool.submit(Path("pid")).result(), flush=True)
    hanging = pool.submit(Path("hang"))
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
