"""The scenarios: what the server does, what the program is given, what must come of it."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from benchmarks.faults.kills import AT_ONCE, kill_runs
from benchmarks.job import command, run, start, statuses, write_rows
from tests.server import BAD_REPLIES, Behaviour, Fault, Limits, Server, ServerProcess, mixture
from tests.server.answers import answer_to

SOAK_ROWS = 200_000
PRICE = ("--price", "0.1,0.5")
KILLS = 145


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was measured, in words, and whether it is what must be reached."""

    measured: str
    reached: bool


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario by its letter."""

    letter: str
    what: str
    target: str
    play: Callable[[Path], Verdict]


def _fast(folder: Path) -> Verdict:
    with Server.process(Behaviour(latency_seconds=0.2, max_concurrent=200)) as server:
        rows, output = write_rows(folder / "rows.csv", 5000), folder / "out.csv"
        ended = run(command(rows, output, server.base_url))
        ok = statuses(output)["ok"]
    cpu = ended.cpu_seconds / 5000 * 1000
    return Verdict(
        f"{ok:,} rows, {ended.seconds:.1f} s, {cpu:.2f} CPU-ms a row",
        ok == 5000 and ended.seconds <= 7,
    )


def _limited(limits: Limits, most_refused: int, most_seconds: float) -> Callable[[Path], Verdict]:
    def play(folder: Path) -> Verdict:
        with Server.process(Behaviour(latency_seconds=0.1, limits=limits)) as server:
            rows, output = write_rows(folder / "rows.csv", 1000), folder / "out.csv"
            ended = run(command(rows, output, server.base_url))
            refused, ok = server.tally.statuses[429], statuses(output)["ok"]
        return Verdict(
            f"{ok:,} rows, {refused:,} 429s, {ended.seconds:.1f} s",
            ok == 1000 and refused <= most_refused and ended.seconds <= most_seconds,
        )

    return play


def _share(limits: Limits, least: float, most_refused: int) -> Callable[[Path], Verdict]:
    """Measure the share of the nominal rate that is used in the minute after the first request."""

    def play(folder: Path) -> Verdict:
        with Server.process(Behaviour(latency_seconds=0.1, limits=limits)) as server:
            rows = write_rows(folder / "rows.csv", 20_000)
            options = ("--max-tokens", "40")
            process = start(command(rows, folder / "out.csv", server.base_url, *options))
            server.wait(received=1, timeout_seconds=60)
            time.sleep(60)
            tally = server.tally
            process.kill()
            process.wait()
        window = limits.window_seconds
        used = [
            amount / (limit / window * 60)
            for amount, limit in (
                (tally.answered, limits.requests_per_window),
                (tally.billed.prompt_tokens + 40 * tally.answered, limits.tokens_per_window),
            )
            if limit
        ]
        refused = tally.statuses[429]
        return Verdict(
            f"{max(used):.1%} of nominal, {refused:,} 429s",
            max(used) >= least and refused <= most_refused,
        )

    return play


def _strays(folder: Path) -> Verdict:
    """Refuse one request in five for nothing."""
    fault = Fault("rate_limit_exceeded", probability=0.2, headers={"retry-after": "1"})
    with Server.process(Behaviour(latency_seconds=0.05, faults=(fault,))) as server:
        rows, output = write_rows(folder / "rows.csv", 500), folder / "out.csv"
        ended = run(command(rows, output, server.base_url))
        refused, ok = server.tally.statuses[429], statuses(output)["ok"]
    return Verdict(
        f"{ok:,} rows, {refused:,} 429s, {ended.seconds:.1f} s", ok == 500 and ended.seconds <= 6
    )


def _killed(folder: Path) -> Verdict:
    with Server.process(Behaviour(latency_seconds=0.2)) as server:
        rows, output = write_rows(folder / "rows.csv", 2000), folder / "out.csv"
        arguments = command(rows, output, server.base_url)
        process = start(arguments)
        server.wait(billed=1000, timeout_seconds=60)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        received, journaled = server.tally.received, _journaled(output)
        ended = run(arguments)
        twice, ok = server.tally.received - 2000, statuses(output)["ok"]
    in_flight = received - journaled
    return Verdict(
        f"{twice:,} asked twice of {in_flight:,} in flight, none of {journaled:,} journaled, "
        f"{ok:,} rows",
        ok == 2000 and twice <= in_flight and ended.exit_code == 0,
    )


def _journaled(output: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"{output}.journal")) as journal:
        (count,) = journal.execute("SELECT count(*) FROM results").fetchone()
    return int(count)


def _killed_often(folder: Path) -> Verdict:
    count = kill_runs(folder, KILLS)
    different = ", ".join(count.different) or "none"
    return Verdict(
        f"{count.kills} kills, {count.outputs} outputs, {different} different; of "
        f"{count.requests:,} requests {count.again:,} sent again, at most {count.most_in_flight} "
        f"a kill, {count.paid:,} of them journaled",
        not count.different and not count.paid and count.most_in_flight <= AT_ONCE,
    )


def _no_quota(folder: Path) -> Verdict:
    fault = Fault("insufficient_quota", after_answers=500)
    with Server.process(Behaviour(latency_seconds=0.1, faults=(fault,))) as server:
        rows, output = write_rows(folder / "rows.csv", 2000), folder / "out.csv"
        process = start(command(rows, output, server.base_url))
        server.wait(billed=500, timeout_seconds=60)
        began = time.perf_counter()
        code = process.wait()
        seconds = time.perf_counter() - began
        tally, ok = server.tally, statuses(output)["ok"]
    doomed = tally.codes["insufficient_quota"]
    return Verdict(
        f"{doomed:,} doomed of at most {tally.max_in_flight:,} in flight, stopped in "
        f"{seconds:.1f} s, exit {code}, {ok:,} rows kept",
        doomed <= tally.max_in_flight and seconds <= 2 and code == 4 and ok == 500,
    )


def _hanging(folder: Path) -> Verdict:
    rows = write_rows(folder / "rows.csv", 2000)
    seconds = []
    for faults in ((), (Fault("hang", seconds=100, at=(50, 400, 1200, 1999)),)):
        output = folder / f"out{len(faults)}.csv"
        with Server.process(Behaviour(latency_seconds=0.2, faults=faults)) as server:
            seconds.append(run(command(rows, output, server.base_url)).seconds)
            received = server.tally.received
    ok, times = statuses(output)["ok"], seconds[1] / seconds[0]
    return Verdict(
        f"{ok:,} rows, {seconds[1]:.1f} s, {times:.1f} x the usual {seconds[0]:.1f} s, "
        f"{received - 2000:,} asked twice",
        ok == 2000 and times <= 2,
    )


def _outage(folder: Path) -> Verdict:
    rows = write_rows(folder / "rows.csv", 2000)
    oks = []
    for kind in ("refused", "reset"):
        output = folder / f"{kind}.csv"
        with Server.process(Behaviour(latency_seconds=0.2)) as server:
            process = start(command(rows, output, server.base_url))
            server.wait(billed=1000, timeout_seconds=60)
            server.outage(kind, seconds=15)
            process.wait()
        oks.append(statuses(output)["ok"])
    return Verdict(f"{oks[0]:,} rows when refused, {oks[1]:,} when reset", oks == [2000, 2000])


def _faulty(folder: Path) -> Verdict:
    faults = mixture(0.2, *BAD_REPLIES)
    with Server.process(Behaviour(latency_seconds=0.1, faults=faults)) as server:
        rows, output = write_rows(folder / "rows.csv", 2000), folder / "out.csv"
        ended = run(command(rows, output, server.base_url))
        bad = sum(count for status, count in server.tally.statuses.items() if status >= 400)
    counts = statuses(output)
    return Verdict(
        f"{counts['ok']:,} rows ok, {counts['failed']:,} failed, {bad:,} error replies, "
        f"{ended.seconds:.1f} s",
        counts["ok"] == 2000,
    )


def _soaked(folder: Path) -> Verdict:
    """Mix all the faults that pass, under a limit."""
    passing = mixture(
        0.05,
        *BAD_REPLIES,
        Fault("conflict"),
        Fault("html"),
        Fault("choices_null"),
        Fault("empty_body"),
        Fault("closed"),
        Fault("reset"),
        Fault("rate_limit_exceeded"),
    )
    hanging = Fault("hang", seconds=100, probability=0.0001)
    behaviour = Behaviour(
        latency_seconds=0.2,
        faults=(hanging, *passing),
        limits=Limits(requests_per_window=60_000, tokens_per_window=12_000_000),
    )
    rows, output = write_rows(folder / "rows.csv", SOAK_ROWS), folder / "out.csv"
    with Server.process(behaviour) as server:
        ended = run(command(rows, output, server.base_url))
        tally = server.tally
    with output.open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    right = sum(
        row["status"] == "ok" and row["output"] == answer_to(row["text"]) for row in written
    )
    told = tally.billed.total_tokens - tally.unreadable.total_tokens
    missing = told - sum(int(row["total_tokens"] or 0) for row in written)
    refused = tally.statuses[429]
    return Verdict(
        f"{right:,} rows right, {missing:,} tokens missing of {told:,} that replies told, "
        f"{tally.received:,} requests, {refused:,} 429s, {ended.seconds:.0f} s",
        right == SOAK_ROWS and ended.exit_code == 0 and missing == 0,
    )


def _capped(folder: Path) -> Verdict:
    behaviour = Behaviour(latency_seconds=0.2, completion_tokens=30)
    rows, output = write_rows(folder / "rows.csv", 2000), folder / "out.csv"
    with Server.process(behaviour) as server:
        bounded = ("--max-tokens", "60", "--max-concurrency", "100", *PRICE)
        whole = run(command(rows, folder / "whole.csv", server.base_url, *bounded))
        assert whole.exit_code == 0, whole.said
        cap = (_bill(server) / 10).quantize(Decimal("0.000001"))
        server.reset()
        ended = run(command(rows, output, server.base_url, *bounded, "--max-cost", f"{cap:f}"))
        spent = _bill(server)
    share = spent / cap
    return Verdict(
        f"{share:.1%} of the cap, exit {ended.exit_code}",
        Decimal("0.95") <= share <= 1 and ended.exit_code == 3,
    )


def _bill(server: ServerProcess) -> Decimal:
    return server.tally.billed.cost_usd(prompt="0.1", completion="0.5")


MINUTE = {"requests_per_window": 6000, "tokens_per_window": 1_000_000}
SECOND = {"requests_per_window": 100, "tokens_per_window": 1_000_000 / 60, "window_seconds": 1}
QUICK = {"requests_per_window": 50, "window_seconds": 1}
CLOCK = {"requests_per_window": 500, "window_seconds": 10, "by_clock": True}

SCENARIOS = (
    Scenario("A", "5,000 rows, 200 ms each, 200 at once", "<= 7 s", _fast),
    Scenario(
        "B",
        "50 a second, burst of 50, with headers",
        "<= 5 429s, <= 20 s",
        _limited(Limits(requests_per_window=50, window_seconds=1), 5, 20),
    ),
    Scenario(
        "B2",
        "the same, no headers at all",
        "<= 60 429s, <= 23 s",
        _limited(
            Limits(
                requests_per_window=50,
                window_seconds=1,
                headers=False,
                retry_after=False,
                retry_after_ms=False,
            ),
            60,
            23,
        ),
    ),
    Scenario(
        "B3",
        "a minute, buckets a minute wide and full",
        ">= 198 %, <= 5 429s",
        _share(Limits(**MINUTE), 1.98, 5),
    ),
    Scenario(
        "B4",
        "buckets a second wide",
        ">= 99 %, 0 429s",
        _share(Limits(**SECOND), 0.99, 0),
    ),
    Scenario(
        "B4e",
        "buckets a minute wide, empty",
        ">= 99 %, 0 429s",
        _share(Limits(**MINUTE, full=False), 0.99, 0),
    ),
    Scenario("B5", "one in five refused for nothing, Retry-After: 1", "<= 6 s", _strays),
    Scenario(
        "B6",
        "500 by the clock each 10 s, says nothing",
        "<= 100 429s, <= 31 s",
        _limited(Limits(**CLOCK, headers=False, retry_after=False, retry_after_ms=False), 100, 31),
    ),
    Scenario(
        "B7",
        "500 by the clock each 10 s, says so",
        "<= 20 429s, <= 21 s",
        _limited(Limits(**CLOCK), 20, 21),
    ),
    Scenario(
        "B8",
        "50 a second, `remaining` never moves",
        "<= 80 429s, <= 23 s",
        _limited(Limits(**QUICK, says="stuck"), 80, 23),
    ),
    Scenario(
        "B9",
        "50 a second, `reset` is a moment",
        "<= 20 429s, <= 22 s",
        _limited(Limits(**QUICK, says="moment"), 20, 22),
    ),
    Scenario(
        "B10",
        "50 a second, `reset` is always a minute",
        "<= 20 429s, <= 22 s",
        _limited(Limits(**QUICK, says="minute"), 20, 22),
    ),
    Scenario("C", "kill -9 near 1,000 of 2,000", "<= in flight", _killed),
    Scenario(
        "K",
        f"{KILLS} x kill -9: CSV, .xlsx, Parquet, S3, review",
        "the same rows, <= in flight",
        _killed_often,
    ),
    Scenario("D", "the quota ends after 500 of 2,000", "2 s, exit 4, 500 kept", _no_quota),
    Scenario("E", "4 of 2,000 rows hang for 100 s", "<= 2 x", _hanging),
    Scenario("F", "the server is gone for 15 s", "2,000 rows", _outage),
    Scenario("G", "a fifth of all replies are bad", "2,000 rows", _faulty),
    Scenario("H", "--max-cost at a tenth, 100 in flight", "95-100 %, exit 3", _capped),
    Scenario("S", f"a soak: {SOAK_ROWS:,} rows, all faults", "each right, tally equal", _soaked),
)
