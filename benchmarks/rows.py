"""CPU and time of a whole job, the program beside what one would write by hand, in one run.

5,000 rows against a server on this machine that takes 200 ms for each, 200 at once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.job import Ended, command, run, statuses, write_rows
from tests.server import Behaviour, Server

AT_ONCE = 200


def main() -> None:
    """Print a line for each way, with its ratio to AsyncOpenAI as it comes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rows")
    parser.add_argument("--rows", type=int, default=5000)
    count = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, output = write_rows(folder / "rows.csv", count), folder / "out.csv"
        with Server.process(Behaviour(latency_seconds=0.2)) as server:
            ways = {
                "AsyncOpenAI and gather": _reference("sdk", rows, folder, server.base_url),
                "bare aiohttp and gather": _reference("aiohttp", rows, folder, server.base_url),
                "pipeline, 200 at once": run(
                    command(rows, output, server.base_url, "--max-concurrency", str(AT_ONCE))
                ),
                "pipeline, by itself": run(command(rows, folder / "two.csv", server.base_url)),
            }
        assert statuses(output)["ok"] == count, statuses(output)
    base = ways["AsyncOpenAI and gather"]
    print(
        f"| {count:,} rows | CPU-ms a row | seconds | CPU beside AsyncOpenAI |\n|---|---|---|---|"
    )
    for way, ended in ways.items():
        cpu = ended.cpu_seconds / count * 1000
        ratio = ended.cpu_seconds / base.cpu_seconds
        print(f"| {way} | {cpu:.2f} | {ended.seconds:.1f} | {ratio:.2f} |")


def _reference(kind: str, rows: Path, folder: Path, base_url: str) -> Ended:
    arguments = [str(rows), str(folder / f"{kind}.csv"), base_url, str(AT_ONCE)]
    ended = run([sys.executable, "-m", "benchmarks.reference", kind, *arguments])
    assert ended.exit_code == 0, ended.said
    return ended


if __name__ == "__main__":
    main()
