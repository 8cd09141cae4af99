"""How tests run the command line, in this process or one of its own, and read what it left.

Nothing here knows what the program does inside; tests of one module build its objects themselves.
"""

from __future__ import annotations

import csv
import gc
import io
import os
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pipeline import cli
from tests.server import Bill, Handle, Tally

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_SECONDS = 60
SCRIPT = str(Path(sysconfig.get_path("scripts"), "pipeline"))
# What --price is given, in USD per million tokens: unlike each other, and not round.
PRICE = ("3", "17")
_started: list[subprocess.Popen[str]] = []
PROMPT = """---
name: ask
model:
  options:
    maxOutputTokens: 20
---
user:
{{ text }}
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it said on standard error, line by line."""
        return self.err.splitlines()

    @property
    def errors(self) -> list[str]:
        """The lines that say what went wrong, none of them by surprise."""
        assert "Traceback" not in self.err, self.err
        assert "error: unexpected" not in self.err, self.err
        return [line for line in self.lines if line.startswith("error: ")]


def environment(**extra: str) -> dict[str, str]:
    """Give the environment without what the machine's owner has set for the API."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    return {**mine, **extra}


def start(*arguments: object, folder: Path, **env: str) -> subprocess.Popen[str]:
    """Start a command in a folder and go on."""
    process = subprocess.Popen(
        [SCRIPT, *map(str, arguments)],
        cwd=folder,
        env=environment(**env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    _started.append(process)
    return process


def end_all() -> None:
    """End what a failed test has left, so that no other test sees it, and free all memory."""
    while _started:
        with _started.pop() as process:  # it waits and closes
            process.kill()
    if gc.get_freeze_count():
        gc.unfreeze()
        _collect()


def end(process: subprocess.Popen[str], stdin: str | None = None) -> Ended:
    """Wait for a command's end."""
    try:
        out, err = process.communicate(stdin, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ended(process.returncode, out, err)


def pipeline_process(
    *arguments: object, folder: Path, stdin: str | None = None, **env: str
) -> Ended:
    """Run a command in a folder to its end, in a process of its own, which takes a second."""
    return end(start(*arguments, folder=folder, **env), stdin)


def pipeline(*arguments: object, folder: Path, stdin: str = "", **env: str) -> Ended:
    """Run a command in a folder to its end, in this process."""
    out, err = _stream(), _stream()
    with _typed(["pipeline", *map(str, arguments)], folder, environment(**env)):
        sys.stdin, sys.stdout, sys.stderr = _stream(stdin), out, err
        code = cli.run_command()
    return Ended(code, _text(out), _text(err))


def run_here(*arguments: object) -> Ended:
    """Run a command to its end in this process, in the working folder."""
    return pipeline(*arguments, folder=Path.cwd(), **{**os.environ})


@contextmanager
def _typed(arguments: list[str], folder: Path, env: dict[str, str]) -> Iterator[None]:
    """Make this process look like one in which a command was typed; undo it afterwards."""
    before = sys.argv, sys.stdin, sys.stdout, sys.stderr, dict(os.environ), Path.cwd()
    signals = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    sys.argv = arguments
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    gc.freeze()  # so that collecting afterwards takes 5 ms, not 120: it looks at this run alone
    try:
        with warnings.catch_warnings():
            # What was read is kept in a temporary file, which is closed when it is collected.
            warnings.simplefilter("ignore", ResourceWarning)
            yield
    finally:
        sys.argv, sys.stdin, sys.stdout, sys.stderr, variables, here = before
        os.environ.clear()
        os.environ.update(variables)
        os.chdir(here)
        for name, handler in signals.items():
            signal.signal(name, handler)
        gc.enable()
        _collect()  # now that no traceback of the run is left to hold it


def _collect() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def _stream(text: str = "") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", "backslashreplace", newline="")


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    data = stream.buffer.getvalue()  # type: ignore[attr-defined]  # a BytesIO
    return str(data.decode("utf-8")).replace("\r\n", "\n")


@dataclass(frozen=True, slots=True)
class Job:
    """A table, a prompt and the command that asks a server about each row of it."""

    folder: Path
    base_url: str
    output: str = "out.csv"

    @property
    def path(self) -> Path:
        return self.folder / self.output

    @property
    def journal(self) -> Path:
        return self.folder / f"{self.output}.journal"

    def arguments(self, *options: object) -> list[str]:
        command = ["run", "in.csv", "-p", "ask.prompty", "-o", self.output]
        server = ["--base-url", self.base_url, "--price", ",".join(PRICE)]
        return [*command, *server, *map(str, options)]

    def start(self, *options: object) -> subprocess.Popen[str]:
        return start(*self.arguments(*options), folder=self.folder)

    def run(self, *options: object) -> Ended:
        return pipeline(*self.arguments(*options), folder=self.folder)

    def rows(self) -> list[dict[str, str]]:
        return read_rows(self.path)

    def write(self, texts: Iterable[str]) -> None:
        """Write the input anew: a row for each text."""
        rows = [{"id": f"{number:03}", "text": text} for number, text in enumerate(texts, 1)]
        write_rows(self.folder / "in.csv", rows)


def job(folder: Path, server: Handle, texts: Iterable[str], *, prompt: str = PROMPT) -> Job:
    """Make a job of a row for each text."""
    (folder / "ask.prompty").write_text(prompt, encoding="utf-8")
    made = Job(folder, server.base_url)
    made.write(texts)
    return made


def texts(count: int) -> list[str]:
    """Give texts that differ."""
    return [f"ticket {position} is about this" for position in range(count)]


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write a CSV table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV table; every cell is a string."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def column(rows: Iterable[Mapping[str, str]], name: str) -> list[str]:
    return [row[name] for row in rows]


def counts(values: Iterable[str]) -> dict[str, int]:
    """Count how often each value is there."""
    found: dict[str, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return found


def query(journal: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask a journal, as any other SQLite tool would."""
    with closing(sqlite3.connect(journal)) as connection:
        return connection.execute(sql).fetchall()


def billed(rows: Iterable[Mapping[str, str]]) -> tuple[Bill, Decimal]:
    """Add up what the rows say they took; `requests` stays 0, the rows don't say it."""
    bill, cost = Bill(), Decimal(0)
    for row in rows:
        bill.add(
            Bill(
                prompt_tokens=int(row["prompt_tokens"] or 0),
                completion_tokens=int(row["completion_tokens"] or 0),
                cached_tokens=int(row["cached_tokens"] or 0),
                reasoning_tokens=int(row["reasoning_tokens"] or 0),
            )
        )
        cost += Decimal(row["cost_usd"] or 0)
    return bill, cost


def asked(tally: Tally) -> list[str]:
    """List the last message of each request that the server has on record, in their order."""
    return [record.json["messages"][-1]["content"] for record in tally.records]  # type: ignore[index]


def price(bill: Bill) -> Decimal:
    """Price a bill at PRICE."""
    return bill.cost_usd(prompt=PRICE[0], completion=PRICE[1])


def watch(process: subprocess.Popen[str], seen: Callable[[], object]) -> None:
    """Wait until something is to be seen of a command that goes on, without taking a core."""
    while not seen():
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it ended: {process.wait(timeout=0.01)}")


def drafted(folder: Path) -> bool:
    """Return whether an output is being written: in a folder of its own until it is whole."""
    try:
        return any(path.stat().st_size for path in folder.glob(".pipeline-*/out.csv"))
    except FileNotFoundError:  # an empty one, to see whether there can be one
        return False


def until(process: subprocess.Popen[str], text: str) -> None:
    """Read what a command says until a line has this text."""
    assert process.stderr is not None
    said = []
    timer = threading.Timer(TIMEOUT_SECONDS, process.kill)
    timer.start()
    try:
        for line in process.stderr:
            said.append(line)
            if text in line:
                return
    finally:
        timer.cancel()
    raise AssertionError(f"it ended and never said {text!r}: {said}")
