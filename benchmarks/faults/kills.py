"""kill -9 at random moments: runs over a CSV file, a workbook, Parquet and a bucket, and a review.

Each command is killed and given again until it ends by itself. What has then been written is what
an undisturbed run writes, and no answer that was in the journal is asked for again.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pyarrow.csv
import pyarrow.parquet
import xlsxwriter
from python_calamine import CalamineWorkbook

from benchmarks.job import command, environment, write_rows
from tests.places import S3, serve_s3
from tests.server import Behaviour, Server, ServerProcess

ROWS = 300
AT_ONCE = 20
SEED = 0
_LABELS = ("billing", "bug", "praise")
_TIMEOUT_SECONDS = 120.0

Table = list[list[object]]


@dataclass(slots=True)
class Count:
    """What came of it: `again` are requests that were in flight at a kill and were sent once more,
    `paid` those that were sent although their answer was in the journal.
    """

    kills: int = 0
    outputs: int = 0
    different: list[str] = field(default_factory=list)
    requests: int = 0
    again: int = 0
    paid: int = 0
    most_in_flight: int = 0


class Job:
    """A run over a table in a folder of its own, from one format to the same."""

    suffix = ".csv"

    def __init__(self, folder: Path, base_url: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.base_url = base_url
        self.input, self.output = folder / f"in{self.suffix}", folder / f"out{self.suffix}"
        self.journal = folder / f"{self.output.name}.journal"
        self.env: dict[str, str] = {}
        _write_table(self.input)

    def commands(self) -> Iterator[Sequence[str]]:
        """Yield the commands, each once the one before it has ended well."""
        yield self._run(str(self.input), str(self.output))

    def written(self) -> dict[str, object]:
        """Return all that the commands have left, without the times that they took."""
        names = {path.name for path in self.folder.iterdir()}
        return {"files": names, "rows": _timeless(_table(self.output))}

    def _run(self, source: str, output: str, *options: str) -> list[str]:
        bounded = ("--max-concurrency", str(AT_ONCE), *options)
        return command(source, output, self.base_url, *bounded)


class Workbook(Job):
    """From a workbook to a workbook."""

    suffix = ".xlsx"


class Parquet(Job):
    """From Parquet to Parquet."""

    suffix = ".parquet"


class InBucket(Job):
    """From an object of a bucket to another; the journal is in the user's data folder."""

    s3: S3

    def __init__(self, folder: Path, base_url: str) -> None:
        super().__init__(folder, base_url)
        self.place = f"{folder.parent.name}-{folder.name}"
        self.s3.put(self.place, {"in.csv": self.input.read_bytes()})
        self.env = {**self.s3.env, "XDG_DATA_HOME": str(folder / "data")}
        journals = folder / "data/document-pipeline/journals"
        self.journal = journals / "s3" / self.place / "out.csv.journal"

    def commands(self) -> Iterator[Sequence[str]]:
        yield self._run(f"s3://{self.place}/in.csv", f"s3://{self.place}/out.csv")

    def written(self) -> dict[str, object]:
        objects = self.s3.get(self.place)
        rows = csv.reader(io.StringIO(objects["out.csv"].decode(), newline=""))
        uploads = self.s3.uploads(self.place)
        timeless = _timeless([list(row) for row in rows])
        return {"objects": {*objects}, "uploads": uploads, "rows": timeless}


class Reviewed(Job):
    """A classification with a workbook to review, and that workbook, filled in, read back."""

    def commands(self) -> Iterator[Sequence[str]]:
        workbook = self.folder / "review.xlsx"
        options = ("--labels", ",".join(_LABELS), "--review", str(workbook), "--rows", "100")
        first = self._run(str(self.input), str(self.output), *options)
        first[first.index("run")] = "classify"
        at = first.index("--instruction")
        yield first[:at] + first[at + 2 :]
        _fill_in(workbook)
        yield [*first[: first.index("classify")], "review", str(workbook)]


KINDS: Mapping[str, type[Job]] = {
    "csv": Job,
    "xlsx": Workbook,
    "parquet": Parquet,
    "s3": InBucket,
    "review": Reviewed,
}


def kill_runs(folder: Path, kills: int) -> Count:
    """Kill so many runs, as many of each kind."""
    count = Count()
    behaviour = Behaviour(latency_seconds=0.1, record=100 * ROWS)
    with Server.process(behaviour) as server, serve_s3() as InBucket.s3:
        for name, kind in KINDS.items():
            (folder / name).mkdir()
            _kill_kind(folder / name, kind, server, count, count.kills + kills // len(KINDS))
    return count


def _kill_kind(
    folder: Path,
    kind: type[Job],
    server: ServerProcess,
    count: Count,
    until: int,
) -> None:
    """Kill runs of a kind until there were so many in all: late ones, as starting takes long."""
    chance = Random(f"{SEED} {folder.name}")
    whole = kind(folder / "whole", server.base_url)
    times = []
    for arguments in whole.commands():
        began = time.perf_counter()
        _end(_start(arguments, whole), whole)
        times.append(time.perf_counter() - began)
    expected, first = whole.written(), min(_documents(whole.journal))
    while count.kills < until:
        job = kind(folder / f"r{count.outputs}", server.base_url)
        for arguments, seconds in zip(job.commands(), times, strict=True):
            while True:
                # When there were enough, the last run goes to its end.
                enough = count.kills >= until
                moment = _TIMEOUT_SECONDS if enough else chance.triangular(0, seconds, seconds)
                if not _is_killed(job, arguments, moment, server, count, first):
                    break
        count.outputs += 1
        if job.written() != expected:
            count.different.append(f"{folder.name}/{job.folder.name}")


def _is_killed(
    job: Job,
    arguments: Sequence[str],
    seconds: float,
    server: ServerProcess,
    count: Count,
    first: int,
) -> bool:
    """Start a command and kill it after so long; return False if it had ended by then."""
    before = _documents(job.journal)
    server.reset()
    process = _start(arguments, job)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        count.kills += 1
    killed = _end(process, job) != 0
    after = _documents(job.journal)
    sent = [_row(record.body) + first for record in server.tally.records]
    in_flight = {*sent} - after
    count.requests += len(sent)
    count.paid += sum(row in before for row in sent)
    count.again += len(in_flight)
    count.most_in_flight = max(count.most_in_flight, len(in_flight))
    return killed


def _start(arguments: Sequence[str], job: Job) -> subprocess.Popen[bytes]:
    with (job.folder.parent / f"{job.folder.name}.log").open("ab") as log:
        return subprocess.Popen(arguments, env={**environment(), **job.env}, stderr=log, stdout=log)


def _end(process: subprocess.Popen[bytes], job: Job) -> int:
    """Wait for the end of a process, which is a good one unless it was killed."""
    code = process.wait(_TIMEOUT_SECONDS)
    log = job.folder.parent / f"{job.folder.name}.log"
    assert code in (0, -9), log.read_text(encoding="utf-8")
    return code


def _row(body: str) -> int:
    """Return the number of the row that a request asks about."""
    found = re.search(r"\brow (\d+)", body)
    assert found, body
    return int(found[1])


def _documents(journal: Path) -> set[int]:
    """Return the places of the rows whose answers are in a journal."""
    if not journal.exists():
        return set()
    with contextlib.closing(sqlite3.connect(journal)) as opened:
        try:
            names = opened.execute("SELECT document FROM results").fetchall()
        except sqlite3.OperationalError:  # killed before it had made the table
            return set()
    return {int(re.findall(r"\d+", name)[-1]) for (name,) in names}


def _write_table(path: Path) -> None:
    rows = write_rows(path.with_suffix(".csv"), ROWS)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.csv.read_csv(rows), path)
    elif path.suffix == ".xlsx":
        with rows.open(newline="", encoding="utf-8") as file:
            _write_workbook(path, {"rows": [list(row) for row in csv.reader(file)]})
    if path != rows:
        rows.unlink()


def _write_workbook(path: Path, sheets: Mapping[str, Table]) -> None:
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False}) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)


def _fill_in(path: Path) -> None:
    """Review a workbook: enter a label in the first column of each row."""
    book = CalamineWorkbook.from_path(str(path))
    sheets: dict[str, Table] = {
        name: [list(row) for row in book.get_sheet_by_name(name).to_python(skip_empty_area=False)]
        for name in book.sheet_names
    }
    for number, row in enumerate(sheets["review"][1:]):
        row[0] = _LABELS[number % len(_LABELS)]
    _write_workbook(path, sheets)


def _table(path: Path) -> Table:
    if path.suffix == ".parquet":
        table = pyarrow.parquet.read_table(path)
        columns = table.to_pydict().values()
        return [[*table.column_names], *(list(row) for row in zip(*columns, strict=True))]
    if path.suffix == ".xlsx":
        sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
        return [list(row) for row in sheet.to_python(skip_empty_area=False)]
    with path.open(newline="", encoding="utf-8") as file:
        return [list(row) for row in csv.reader(file)]


def _timeless(rows: Table) -> Table:
    """Leave out how long the answers took."""
    at = rows[0].index("latency_seconds")
    return [row[:at] + row[at + 1 :] for row in rows]
