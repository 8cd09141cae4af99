"""The most memory that a run takes, with the echo backend: a million rows, 100,000 files.

`python -m benchmarks.memory` makes the inputs, runs the program on each as a user does and prints
the peak of the resident memory of all its processes. `--only csv,parquet` leaves the rest out.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.folder import write_small_files
from benchmarks.job import environment, write_rows

LIMIT_MB = 300
LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Case:
    """An input to measure: who makes it, from its path and how much it holds, and its output."""

    make: Callable[[Path, int], object]
    input: str
    output: str
    count: int = 1_000_000


def write_parquet(path: Path, count: int) -> None:
    """Write the same rows as Parquet, in row groups of a million as other programs do."""
    import pyarrow.csv
    import pyarrow.parquet

    rows = write_rows(path.with_suffix(".rows"), count)
    table = pyarrow.csv.read_csv(rows)
    pyarrow.parquet.write_table(table, path, row_group_size=1_000_000)
    rows.unlink()


CASES = {
    "csv": Case(write_rows, "in.csv", "out.csv"),
    "parquet": Case(write_parquet, "in.parquet", "out.parquet"),
    "folder": Case(write_small_files, "in", "out.csv", 100_000),
}


def main() -> None:
    """Print a line for each case; exit with 1 if one of them took too much."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("--only", default=",".join(CASES), help="cases, with commas between them")
    parser.add_argument("--count", type=int, help="as many rows or files, in place of the case's")
    options = parser.parse_args()
    print("| case | rows | peak MB | seconds | rows a second |\n|---|---|---|---|---|", flush=True)
    peaks = [_measure(name, CASES[name], options.count) for name in options.only.split(",")]
    sys.exit(any(peak > LIMIT_MB for peak in peaks))


def _measure(name: str, case: Case, count: int | None) -> float:
    count = count or case.count
    with tempfile.TemporaryDirectory() as temporary:
        source, output = Path(temporary, case.input), Path(temporary, case.output)
        _apart(case.make, source, count)
        started = time.perf_counter()
        peak_mb = _run(["run", str(source), "-o", str(output), "--instruction", "Answer briefly."])
        seconds = time.perf_counter() - started
        _apart(_check, output, count)
    print(f"| {name} | {count:,} | {peak_mb:.0f} | {seconds:.0f} | {count / seconds:,.0f} |")
    sys.stdout.flush()
    return peak_mb


def _apart(act: Callable[[Path, int], object], path: Path, count: int) -> None:
    """Do it in another process: what this one holds would count as its child's from the fork on."""
    process = multiprocessing.get_context("spawn").Process(target=act, args=(path, count))
    process.start()
    process.join()
    assert process.exitcode == 0, f"exit code {process.exitcode}"


def _run(arguments: list[str]) -> float:
    """Run the program; give the most megabytes that it and its children held at once.

    Memory that processes share counts once (the proportional set size), where the system tells. As
    the kernel keeps the peak of the first process, what is missed between two looks is not lost.
    """
    command = [sys.executable, "-m", "pipeline", *arguments, "--model", "echo", "--quiet"]
    process = subprocess.Popen(command, env=environment())
    peaks = [0]
    looking = threading.Thread(target=_look, args=(process.pid, peaks))
    looking.start()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    looking.join()
    assert process.returncode == 0, f"exit code {process.returncode}"
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes here
    return max(usage.ru_maxrss * unit, *peaks) / 1e6


def _look(pid: int, peaks: list[int]) -> None:
    """Add up what a process and its children hold, now and then until it ends."""
    while True:
        try:
            first = psutil.Process(pid)
            if first.status() == psutil.STATUS_ZOMBIE:
                return
            peaks.append(sum(map(_held, [first, *first.children(recursive=True)])))
        except psutil.Error:
            return
        time.sleep(LOOK_SECONDS)


def _held(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except psutil.Error:  # it ended meanwhile
        return 0
    return int(getattr(memory, "pss", memory.rss))


def _check(output: Path, count: int) -> None:
    """Raise AssertionError if the output hasn't as many rows."""
    if output.suffix == ".parquet":
        import pyarrow.parquet

        assert pyarrow.parquet.read_metadata(output).num_rows == count
        return
    with output.open(newline="", encoding="utf-8") as file:
        assert sum(1 for _ in csv.reader(file)) == count + 1


if __name__ == "__main__":
    main()
