"""Damaged files by the thousand: each has to end in rows or in a line, within its bounds.

`python -m benchmarks.fuzz tables 1500` makes them (the same ones each time, unless `--seed` says
otherwise), runs the program on each with the echo backend, and prints what has ended otherwise:
by an error that nobody foresaw or after more than `SECONDS`. Nor may this process, in which all but
the parsing happens, ever hold more than `MEGABYTES`.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.mutations import mutated
from tests.running import run_here

KINDS = {"tables": mutated}
OUTPUTS = ("out.csv", "out.jsonl", "out.parquet", "out.xlsx")
SECONDS = 90.0
MEGABYTES = 500.0


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
        for number, (name, data) in enumerate(KINDS[options.kind](options.count, options.seed)):
            end = try_one(Path(folder), name, data, OUTPUTS[number % len(OUTPUTS)])
            ends[f"{Path(name).suffix} {end}"] += 1
            if not end.isdecimal():
                strange.append(f"{name}: {end}")
                print(strange[-1], flush=True)
    for end, count in sorted(ends.items()):
        print(f"{count:6,} {end}")
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(strange)} of {options.count:,} strange; at most {megabytes:.0f} MB in this process"
    )
    sys.exit(bool(strange) or megabytes > MEGABYTES)


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
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(inside)
    if time.perf_counter() - started > SECONDS:
        return f"over {SECONDS:g} seconds"
    if ended.code not in (0, 1, 2) or len(ended.lines) != bool(ended.code):
        return f"exit code {ended.code}, {ended.err!r}"
    return str(ended.code)


if __name__ == "__main__":
    main()
