"""How fast a folder is read beside the extractor by itself, and how long the event loop stalls.

`python -m benchmarks.extraction [--files N] [FOLDER]`: both ways read the same files in the same
run, in turns. By itself, the extractor gets bytes and is asked for Markdown with its own settings,
one file after the other or several at once, whichever is faster. The event loop is watched while
the program's own run reads the folder and answers by `echo`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path

from benchmarks.folder import write_documents

AT_ONCE = 4
TICK_SECONDS = 0.005
PLAN_SECONDS = 2.0
WAYS = {
    "the extractor, one after the other": "alone",
    f"the extractor, {AT_ONCE} at once": "together",
    "pipeline": "pipeline",
}


def main() -> None:
    """Print a line for each way, and how long the loop stood still."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extraction")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--way", choices=["alone", "together", "pipeline", "loop", "idle"])
    given = parser.parse_args()
    if given.way:
        print(*_measure(given.way, given.folder), flush=True)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or write_documents(Path(name, "docs"), given.files)
        count = sum(path.is_file() for path in folder.rglob("*"))
        seconds = {
            way: min(_in_a_process(key, folder)[0] for _ in range(given.turns))
            for way, key in WAYS.items()
        }
        with _start("idle", folder) as beside:
            stall, work = _in_a_process("loop", folder)
            idle = _seconds(beside)[0]  # which ends its input, and so itself
    base = min(seconds[way] for way in WAYS if way != "pipeline")
    print("| way | files a second | beside the faster one by itself |\n|---|---|---|")
    for way, taken in seconds.items():
        print(f"| {way} | {count / taken:.1f} | {base / taken:.0%} |")
    print(
        f"the event loop stood still for {stall * 1000:.0f} ms at most, "
        f"and worked for {work * 1000:.0f} ms in one go\n"
        f"(one beside it with nothing to do stood still for {idle * 1000:.0f} ms)"
    )


def _in_a_process(way: str, folder: Path) -> list[float]:
    with _start(way, folder) as process:
        return _seconds(process)


def _seconds(process: subprocess.Popen[str]) -> list[float]:
    # The extractor's threads may crash an interpreter that ends: what it printed is what counts.
    return [float(word) for word in process.communicate()[0].split()]


def _start(way: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.extraction", "--way", way, str(folder)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _measure(way: str, folder: Path) -> tuple[float, ...]:
    if way == "loop":
        return _stall(folder)
    if way == "idle":
        return asyncio.run(_watch(asyncio.to_thread(sys.stdin.read)))
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if way == "pipeline":
        from pipeline.sources.files.folder import FolderSource

        started = time.perf_counter()
        read = sum(document.error is None for document in FolderSource(folder))
    else:
        import xberg  # noqa: F401  # what it takes to import is not what it takes to read

        started = time.perf_counter()
        read = asyncio.run(_extract(paths, AT_ONCE if way == "together" else 1))
    seconds = time.perf_counter() - started
    assert read > len(paths) * 0.9, f"{way}: {read} of {len(paths)} read"
    return (seconds,)


async def _extract(paths: list[Path], at_once: int) -> int:
    import xberg

    config = xberg.ExtractionConfig(use_cache=False, disable_ocr=True, output_format="markdown")
    slots = asyncio.Semaphore(at_once)

    async def extract(path: Path) -> bool:
        async with slots:
            data = xberg.ExtractInput(kind="bytes", bytes=path.read_bytes(), filename=path.name)
            with contextlib.suppress(RuntimeError, ValueError):
                return bool((await xberg.extract(data, config)).results[0].content)
        return False

    return sum(await asyncio.gather(*map(extract, paths)))


def _stall(folder: Path) -> tuple[float, float]:
    """Watch the loop of a run over a folder."""
    from pipeline.engine.build import open_run
    from pipeline.engine.progress import Progress
    from pipeline.engine.settings import Settings
    from pipeline.prompting.loading import from_instruction

    with tempfile.TemporaryDirectory() as name:
        settings = Settings(
            input=str(folder),
            prompt=from_instruction("Sum it up."),
            output=str(Path(name, "out.csv")),
            model="echo",
        )
        with open_run(settings) as run:
            plan = run.plan(PLAN_SECONDS)  # as the program does, before there is a loop
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)
            worst = asyncio.run(_watch(run.ask(plan, Progress())))
    return worst


async def _watch(work: Coroutine[object, object, None]) -> tuple[float, float]:
    """Give the longest time that the loop was late, and that it used the processor between two
    turns, in seconds, until the work was done.
    """
    stall = used = 0.0
    working = asyncio.ensure_future(work)
    while not working.done():
        before, used_before = time.perf_counter(), time.thread_time()
        await asyncio.sleep(TICK_SECONDS)
        stall = max(stall, time.perf_counter() - before - TICK_SECONDS)
        used = max(used, time.thread_time() - used_before)
    await working
    return stall, used


if __name__ == "__main__":
    main()
