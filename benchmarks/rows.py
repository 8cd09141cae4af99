"""CPU of a row, the program beside what one would write by hand, in one run.

Marginal: of two jobs, one larger than the other, so that no start is in it. The server is a process
of its own on this machine that answers at once; 64 requests are in flight. Then the same command
again, of which every row is finished.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.job import Ended, command, run, statuses, write_rows
from tests.server import Server

AT_ONCE = 64
SMALL, LARGE = 1_000, 9_000  # rows


@dataclass(frozen=True, slots=True)
class Way:
    """A way to answer a table: a function of its path and of the output's that does."""

    name: str
    answer: Callable[[Path, Path], Ended]


def main() -> None:
    """Print a line for each way, with its ratio to the bare aiohttp loop with a journal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rows")
    parser.add_argument("--rows", type=int, default=LARGE, help="of the larger job")
    parser.add_argument("--times", type=int, default=3, help="the least of so many counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Server.process() as server:
        folder = Path(name)
        tables = [write_rows(folder / f"{count}.csv", count) for count in (SMALL, arguments.rows)]
        ways = [
            Way("bare aiohttp, gather and a journal", _reference("aiohttp", server.base_url)),
            Way("AsyncOpenAI and gather", _reference("sdk", server.base_url)),
            Way("pipeline", _pipeline(server.base_url, fresh=True)),
            Way("pipeline, a finished row again", _pipeline(server.base_url)),
        ]
        taken = _marginals(ways, tables, folder, arguments.times)
    print("| way | CPU-ms a row | beside bare aiohttp |\n|---|---|---|")
    for way, milliseconds in zip(ways, taken, strict=True):
        print(f"| {way.name} | {milliseconds:.3f} | {milliseconds / taken[0]:.2f} |")


def _marginals(ways: list[Way], tables: list[Path], folder: Path, times: int) -> list[float]:
    """Return the CPU milliseconds that a row more takes in each way.

    In turn, so that what else the machine does falls on all of them.
    """
    taken: dict[tuple[str, Path], list[float]] = {}
    for table in tables * times:
        output = folder / f"out-{table.name}"
        for way in ways:
            ended = way.answer(table, output)
            taken.setdefault((way.name, table), []).append(ended.cpu_seconds)
            assert statuses(output)["ok"] in (0, int(table.stem)), statuses(output)
    small, large = tables
    more = int(large.stem) - int(small.stem)
    return [
        (min(taken[way.name, large]) - min(taken[way.name, small])) / more * 1000 for way in ways
    ]


def _pipeline(base_url: str, *, fresh: bool = False) -> Callable[[Path, Path], Ended]:
    def answer(table: Path, output: Path) -> Ended:
        options = ["--max-concurrency", str(AT_ONCE), *(["--fresh"] if fresh else [])]
        return run(command(table, output, base_url, *options))

    return answer


def _reference(kind: str, base_url: str) -> Callable[[Path, Path], Ended]:
    def answer(table: Path, output: Path) -> Ended:
        arguments = [str(table), f"{output}.{kind}", base_url, str(AT_ONCE)]
        ended = run([sys.executable, "-m", "benchmarks.reference", kind, *arguments])
        assert ended.exit_code == 0, ended.said
        return ended

    return answer


if __name__ == "__main__":
    main()
