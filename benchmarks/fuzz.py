"""Damaged files by the thousand: each has to end in rows or in a line, within its bounds.

`python -m benchmarks.fuzz tables 1500` makes them (the same ones each time, unless `--seed` says
otherwise), runs the program on each with the echo backend, and prints what has ended otherwise:
by an error that nobody foresaw or after more than `SECONDS`. `documents 2500` is a folder of
documents and pictures, sent to a server on this machine; it prints those that killed their reader.
Nor may this process, in which all but the parsing happens, ever hold more than `MEGABYTES`, nor one
that parses more than `CHILD_MEGABYTES`.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.mutations import mutated
from tests.running import run_here
from tests.sources.files.fuzz import fuzz

LATE = "took over 60 seconds"
OUTPUTS = ("out.csv", "out.jsonl", "out.parquet", "out.xlsx")
SECONDS = 90.0
MEGABYTES, CHILD_MEGABYTES = 500.0, 2100.0
ENDS = ("0", "1", "2", LATE)


def main() -> None:
    """Print how they ended; exit with 1 if one of them did so otherwise than it may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    ends: Counter[str] = Counter()
    strange: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, end in KINDS[options.kind](Path(folder), options.count, options.seed):
            ends[f"{Path(name).suffix} {end if end in ENDS else 'strange'}"] += 1
            if end not in ENDS:
                strange.append(f"{name}: {end}")
                print(strange[-1], flush=True)
    for end, count in sorted(ends.items()):
        print(f"{count:6,} {end}")
    print(f"{len(strange)} of {options.count:,} strange")
    sys.exit(bool(strange) | is_too_much())


def is_too_much() -> bool:
    """Print the most memory of this process and of its children; return whether it is too much."""
    used = [
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    print("at most {:.0f} MB in this process, {:.0f} MB in one that it started".format(*used))
    return used[0] > MEGABYTES or used[1] > CHILD_MEGABYTES


def try_tables(folder: Path, count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield the name of each table, and its end: an exit code, or what should not have happened."""
    for number, (name, data) in enumerate(mutated(count, seed)):
        yield name, try_one(folder, name, data, OUTPUTS[number % len(OUTPUTS)])


def try_documents(folder: Path, count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield the name of each document, and its end: 0, 1 if its row failed, LATE if its reader was
    stopped in time, or how that died.
    """
    for outcome in fuzz(folder, count, seed):
        end = str(int(bool(outcome.error)))
        if outcome.is_end:
            end = LATE if LATE in outcome.error else outcome.error
        yield outcome.name, end


def try_one(folder: Path, name: str, data: bytes, output: str) -> str:
    """Run the program on a file; return its exit code, or what should not have happened."""
    inside = folder / name.partition(".")[0]
    inside.mkdir()
    path = inside / name
    path.write_bytes(data)
    started = time.perf_counter()
    try:
        ended = run_here(
            *("run", path, "-o", inside / output, "--instruction", "Answer.", "--model", "echo"),
            *("--quiet", "--prefix", "new_"),
        )
        lines = len(ended.errors)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(inside)
    if time.perf_counter() - started > SECONDS:
        return f"over {SECONDS:g} seconds"
    if ended.code not in (0, 1, 2) or not lines == len(ended.lines) == bool(ended.code):
        return f"exit code {ended.code}, {ended.err!r}"
    return str(ended.code)


KINDS = {"tables": try_tables, "documents": try_documents}


if __name__ == "__main__":
    main()
