"""What a call from Python does to the process that it is made in: nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pictures import picture
from tests.running import TIMEOUT_SECONDS, environment, write_rows

LOOKING = """
import csv, decimal, gc, json, locale, logging, os, resource, signal, sys, threading, warnings
import pandas, pyarrow, PIL.Image  # what they set themselves is none of ours


def look():
    return {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "arguments": sys.argv,
        "path": sys.path,
        "cell": csv.field_size_limit(),
        "recursion": sys.getrecursionlimit(),
        "garbage": [gc.isenabled(), gc.get_freeze_count(), *gc.get_threshold()],
        "limits": [list(resource.getrlimit(name)) for name in range(10)],
        "signals": {str(name): str(signal.getsignal(name)) for name in signal.valid_signals()},
        "pixels": PIL.Image.MAX_IMAGE_PIXELS,
        "context": str(decimal.getcontext()),
        "logging": [logging.root.level, str(logging.root.handlers)],
        "locale": locale.setlocale(locale.LC_ALL),
        "streams": [str(sys.stdin), str(sys.stdout), str(sys.stderr)],
        "bombs": [str(item) for item in warnings.filters if "Bomb" in str(item)],
        "mask": [os.umask(0o22), os.umask(0o22)][1],
    }


def main():
    before = look()
    import pipeline

    imported = look()
    for name in ("long.csv", "in.parquet", "in.xlsx", "pictures", "notes"):
        pipeline.run(name, instruction="Say it.", model="echo", progress=False)
    pipeline.run("long.csv", instruction="Say it.", model="echo", output="out.csv")
    print(json.dumps([before, imported, look()]))


if __name__ == "__main__":
    main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_a_call_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    rows = [{"id": "1", "text": "word " * 50_000}, {"id": "2", "text": "short"}]
    write_rows(tmp_path / "long.csv", rows)
    pq.write_table(pa.table({"text": ["one", "two"]}), tmp_path / "in.parquet")
    pa.table({"text": ["one", "two"]}).to_pandas().to_excel(tmp_path / "in.xlsx", index=False)
    for folder in ("pictures", "notes"):
        (tmp_path / folder).mkdir()
    picture().save(tmp_path / "pictures" / "one.png")
    (tmp_path / "notes" / "one.txt").write_text("one")
    (tmp_path / "look.py").write_text(LOOKING)
    ended = subprocess.run(
        [sys.executable, "look.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    before, imported, after = json.loads(ended.stdout)
    assert imported == before
    assert after == before
