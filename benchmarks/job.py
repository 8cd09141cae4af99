"""A job to measure: an input of our own making, the program as a user runs it, what came of it."""

from __future__ import annotations

import csv
import os
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WORDS = [
    *("invoice", "refund", "login", "crash", "slow", "great", "thanks", "password", "export"),
    *("import", "order", "delivery", "late", "broken", "screen", "button", "cannot", "please"),
]


def write_rows(path: Path, count: int, words: int = 45) -> Path:
    """Write a table of rows that differ."""
    generator = random.Random(count)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        for number in range(count):
            text = " ".join(generator.choices(WORDS, k=words))
            writer.writerow([f"{number:06d}", f"row {number} {text}"])
    return path


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of the program ended. CPU is that of the whole process, its start included."""

    exit_code: int
    seconds: float
    cpu_seconds: float
    said: str


def command(rows: Path | str, output: Path | str, base_url: str, *options: str) -> list[str]:
    """Give the command line of a run over these rows."""
    return [
        *(sys.executable, "-m", "pipeline", "run", str(rows), "-o", str(output)),
        *("--instruction", "Answer briefly.", "--base-url", base_url, "--model", "test"),
        *options,
    ]


def start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the program and go on; what it says is lost."""
    return subprocess.Popen(arguments, env=environment(), stderr=subprocess.DEVNULL)


def run(arguments: Sequence[str]) -> Ended:
    """Run the program to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        arguments, env=environment(), stderr=subprocess.PIPE, text=True, check=False
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ended(done.returncode, seconds, cpu, done.stderr)


def environment() -> dict[str, str]:
    """Give the environment of a run: a key that no server has to know."""
    return {**os.environ, "OPENAI_API_KEY": "benchmark"}


def statuses(output: Path) -> Counter[str]:
    """Count the rows of an output by status."""
    if not output.exists():
        return Counter()
    with output.open(newline="", encoding="utf-8") as file:
        return Counter(row["status"] for row in csv.DictReader(file))
