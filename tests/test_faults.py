"""The run controller against a server that misbehaves: counts and states, in small.

The full forms, with their times, are in benchmarks/faults/.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.backends.asking import completion
from tests.running import TIMEOUT_SECONDS, column, counts, end, job, query, read_rows, texts, until
from tests.server import BAD_REPLIES, Behaviour, Fault, Kind, Limits, Server, mixture

if sys.platform != "win32":
    import resource

FAST = 0.01


@pytest.mark.parametrize("header_limit", ["bucket", "minute"])
def test_a_server_that_tells_its_limits_refuses_next_to_nothing(
    tmp_path: Path, server: Server, header_limit: str
) -> None:
    limits = Limits(requests_per_window=100, window_seconds=1, header_limit=header_limit)  # type: ignore[arg-type]
    server.change(latency_seconds=FAST, limits=limits)
    ended = job(tmp_path, server, texts(250)).run()
    assert (ended.code, server.tally.answered) == (0, 250)
    # None, in simulated time (tests/limits/test_buckets.py); here a busy machine may hold one up.
    assert server.tally.statuses[429] <= 25


def test_a_server_that_tells_nothing_is_found_out_by_its_refusals(
    tmp_path: Path, server: Server
) -> None:
    limits = Limits(
        requests_per_window=100,
        window_seconds=1,
        headers=False,
        retry_after=False,
        retry_after_ms=False,
    )
    server.change(latency_seconds=FAST, limits=limits)
    ended = job(tmp_path, server, texts(300)).run()
    assert (ended.code, server.tally.answered) == (0, 300)
    assert server.tally.statuses[429] <= 60
    refused = f"{server.tally.statuses[429]:,} requests refused for a limit"
    assert any(refused in line for line in ended.lines)


def test_a_request_larger_than_the_bucket_is_tried_alone(tmp_path: Path, server: Server) -> None:
    server.change(limits=Limits(tokens_per_window=600_000, burst_tokens=60))
    made = job(tmp_path, server, [*texts(5), "long " * 30])
    ended = made.run()
    assert (ended.code, counts(column(made.rows(), "status"))) == (0, {"ok": 6})


def test_what_hangs_is_asked_a_second_time(tmp_path: Path, server: Server) -> None:
    server.change(latency_seconds=FAST, faults=(Fault("hang", seconds=60, at=(150, 290)),))
    made = job(tmp_path, server, texts(300))
    ended = made.run("--max-concurrency", 20)
    assert (ended.code, counts(column(made.rows(), "status"))) == (0, {"ok": 300})
    assert server.tally.received == 302


def test_hedging_can_be_turned_off(tmp_path: Path, server: Server) -> None:
    server.change(latency_seconds=FAST, faults=(Fault("hang", seconds=3, at=(250,)),))
    made = job(tmp_path, server, texts(300))
    assert made.run("--max-concurrency", 20, "--no-hedge").code == 0
    assert server.tally.received == 300


def test_a_fifth_of_bad_replies_costs_no_row(tmp_path: Path, server: Server) -> None:
    server.change(latency_seconds=FAST, faults=mixture(0.2, *BAD_REPLIES))
    made = job(tmp_path, server, texts(200))
    ended = made.run()
    assert (ended.code, counts(column(made.rows(), "status"))) == (0, {"ok": 200})


def test_a_row_that_fails_alone_fails_after_a_few_attempts(tmp_path: Path, server: Server) -> None:
    server.change(faults=(Fault("internal_error", contains="poison"),))
    made = job(tmp_path, server, [*texts(30), "poison"])
    ended = made.run("--patience", 1)
    assert ended.code == 1
    (failed,) = [row for row in made.rows() if row["status"] == "failed"]
    assert (failed["text"], failed["attempts"]) == ("poison", "10")
    assert failed["error"] == "HTTP 500: The server had an error."


def test_an_outage_past_the_patience_ends_the_run_and_fails_no_row(
    tmp_path: Path, server: Server
) -> None:
    server.change(faults=(Fault("unavailable", after=20),))
    made = job(tmp_path, server, texts(60))
    ended = made.run("--patience", 0.02, "--max-concurrency", 4)
    assert ended.code == 4
    assert any("the server is away (HTTP 503" in line for line in ended.lines)
    assert counts(column(made.rows(), "status")) == {"ok": 20, "skipped": 40}


TEN_YEARS = "315360000"


@pytest.mark.parametrize(
    ("kind", "header", "value"),
    [
        ("rate_limit_exceeded", "retry-after", TEN_YEARS),
        ("unavailable", "retry-after", TEN_YEARS),
        ("overloaded", "retry-after", "1e300"),
        ("rate_limit_exceeded", "retry-after-ms", "1e308"),
        ("unavailable", "retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ],
)
def test_a_server_that_says_wait_for_years_ends_the_run_and_fails_no_row(
    tmp_path: Path, server: Server, kind: Kind, header: str, value: str
) -> None:
    fault = Fault(kind, after=20, message="Come back later.", headers={header: value})
    server.change(faults=(fault,))
    made = job(tmp_path, server, texts(40))
    ended = made.run("--max-concurrency", 4)
    assert ended.code == 4
    (error,) = ended.errors
    assert error.startswith("error: the server asks to wait ")
    assert " days, until 2" in error
    assert error.endswith("Come back later.")
    assert counts(column(made.rows(), "status")) == {"ok": 20, "skipped": 20}


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-limit-requests": "nan", "x-ratelimit-remaining-requests": "nan"},
        {"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "-1"},
        {"x-ratelimit-limit-tokens": "1e300", "x-ratelimit-remaining-tokens": "-inf"},
        {"retry-after": "1e300", "retry-after-ms": "nan"},  # means nothing on an answer
    ],
)
def test_limits_that_cannot_be_are_none(
    tmp_path: Path, server: Server, headers: dict[str, str]
) -> None:
    good = completion(usage={"prompt_tokens": 9, "completion_tokens": 2})
    server.change(faults=(Fault("status", status=200, payload=good, headers=headers),))
    ended = job(tmp_path, server, texts(40)).run()
    assert (ended.code, server.tally.received) == (0, 40)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux changes limits of others")
def test_a_full_disk_is_waited_for_and_nothing_is_paid_twice(
    tmp_path: Path, server: Server
) -> None:
    """A file that may not grow is a full disk to the journal."""
    server.change(latency_seconds=FAST)
    made = job(tmp_path, server, texts(600))
    process = made.start("--max-concurrency", 20)
    none = resource.RLIM_INFINITY
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (200_000, none))
    until(process, "free some disk")
    received = server.tally.received
    assert received < 600
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (none, none))
    process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0
    assert counts(column(made.rows(), "status")) == {"ok": 600}
    assert server.tally.billed_twice == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux changes limits of others")
def test_a_disk_that_stays_full_is_no_wrong_usage(tmp_path: Path, server: Server) -> None:
    server.change(latency_seconds=FAST)
    made = job(tmp_path, server, texts(600))
    process = made.start("--max-concurrency", 20, "--patience", 0.005)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    ended = end(process)
    assert ended.code == 1
    assert ended.errors[0].endswith("free some disk")
    assert 0 < server.tally.received < 600
    assert made.run().code == 0
    assert server.tally.received <= 600 + 20


@pytest.mark.skipif(sys.platform == "win32", reason="Windows can't stop a process")
def test_a_machine_that_sleeps_finds_its_connections_gone_and_goes_on(
    tmp_path: Path, server: Server
) -> None:
    server.change(latency_seconds=0.05)
    made = job(tmp_path, server, texts(200))
    process = made.start("--max-concurrency", 10)
    server.wait(billed=50)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    server.outage("reset")
    server.start()
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0
    assert counts(column(made.rows(), "status")) == {"ok": 200}
    assert server.tally.received <= 200 + 10 + 1


def test_a_journal_that_is_removed_is_written_anew(tmp_path: Path, server: Server) -> None:
    server.change(latency_seconds=0.05)
    made = job(tmp_path, server, texts(60))
    process = made.start("--max-concurrency", 4)
    server.wait(billed=20)
    made.journal.unlink()
    process.communicate()
    assert process.returncode == 0
    ((count,),) = query(made.journal, "SELECT count(*) FROM results WHERE status = 'ok'")
    assert (count, len(read_rows(made.path))) == (60, 60)


def test_the_ceilings_of_the_user_hold_where_the_server_permits_more(
    tmp_path: Path, server: Server
) -> None:
    with Server(Behaviour(limits=Limits(requests_per_window=6000))) as generous:
        made = job(tmp_path, generous, texts(20))
        made.run("--rpm", 600)
        arrived = sorted(record.arrived for record in generous.tally.records)
    # Ten a second, and at most two at once (a fifth of a second's worth).
    assert all(late - early > 0.05 for early, late in zip(arrived, arrived[3:], strict=False))
