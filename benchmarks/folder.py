"""Folders to measure with, and what the program takes of the machine's memory for one.

`python -m benchmarks.folder [--files 100000]`: the peak of the resident memory of a run over that
many small files, the processes that it starts included.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.job import WORDS, environment, statuses
from tests.sources.samples import docx, eml, pdf, pptx, xlsx

SAMPLE_SECONDS = 0.05


def main() -> None:
    """Print the peak and the time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.folder")
    parser.add_argument("--files", type=int, default=100_000)
    count = parser.parse_args().files
    with tempfile.TemporaryDirectory() as name:
        folder, output = write_small_files(Path(name, "docs"), count), Path(name, "out.csv")
        started = time.perf_counter()
        peak = peak_bytes(
            [
                *(sys.executable, "-m", "pipeline", "run", str(folder), "-o", str(output)),
                *("--instruction", "Answer briefly.", "--model", "echo", "--quiet"),
            ]
        )
        seconds = time.perf_counter() - started
        assert statuses(output)["ok"] == count, statuses(output)
    print(f"{count:,} files: {peak / 1e6:.0f} MB resident at most, {seconds:.0f} s")


def peak_bytes(arguments: list[str]) -> int:
    """Run a command to its end; give the most that it and its children held at once, in bytes.

    Memory that processes share counts once (the proportional set size), where the system tells.
    """
    import psutil

    process = psutil.Popen(arguments, env=environment())
    peak = 0
    while process.poll() is None:
        held = 0
        for one in [process, *_children(process)]:
            try:
                memory = one.memory_full_info()
            except psutil.Error:  # it ended meanwhile
                continue
            held += getattr(memory, "pss", memory.rss)
        peak = max(peak, held)
        time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return peak


def write_small_files(folder: Path, count: int) -> Path:
    """Write texts that differ, a thousand in a folder."""
    generator = random.Random(count)
    for number in range(count):
        path = folder / f"{number // 1000:03}" / f"{number:06}.txt"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.write_text(f"file {number} {_words(generator, 45)}", encoding="utf-8")
    return folder


def write_documents(folder: Path, count: int) -> Path:
    """Write documents of the usual formats, a few pages each, and a few that can't be read."""
    generator = random.Random(count)
    folder.mkdir(parents=True)
    makers = {
        "pdf": lambda: pdf(*(_page(generator) for _ in range(generator.randrange(1, 12)))),
        "docx": lambda: docx(*(_words(generator, 80) for _ in range(generator.randrange(4, 60)))),
        "html": lambda: _html(generator).encode(),
        "xlsx": lambda: xlsx(*([_words(generator, 3), 7, 0.5] for _ in range(300))),
        "pptx": lambda: pptx(*(_words(generator, 40) for _ in range(12))),
        "eml": lambda: eml("Offer", "Ana", _words(generator, 300), "offer.pdf"),
        "txt": lambda: _words(generator, 2000).encode(),
    }
    weights = {"pdf": 10, "docx": 6, "html": 3, "xlsx": 2, "pptx": 1, "eml": 2, "txt": 2}
    kinds = [kind for kind in makers for _ in range(weights[kind])]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        data = makers[kind]()
        (folder / f"{number:05}.{kind}").write_bytes(data[:99] if number % 97 == 0 else data)
    return folder


def _children(process: object) -> list[object]:
    import psutil

    assert isinstance(process, psutil.Process)
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _words(generator: random.Random, count: int) -> str:
    return " ".join(generator.choices(WORDS, k=count))


def _page(generator: random.Random) -> str:
    return ") Tj 0 -14 Td (".join(_words(generator, 12) for _ in range(45))


def _html(generator: random.Random) -> str:
    rows = "".join(
        f"<tr><td>{_words(generator, 2)}</td><td>{n}</td></tr><p class='x'>{_words(generator, 60)}"
        for n in range(80)
    )
    return f"<html><head><title>Page</title></head><body><table>{rows}</table></body></html>"


if __name__ == "__main__":
    main()
