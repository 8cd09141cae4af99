"""The promises of the design, from the outside: commands, a server, and what the server billed."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from pipeline.costs import fixed_price
from pipeline.engine.afterwards import finish
from pipeline.engine.build import open_run
from pipeline.engine.ending import Outcome
from pipeline.engine.progress import Progress
from pipeline.engine.settings import Settings
from pipeline.errors import BudgetError
from pipeline.prompting import loading as prompts
from pipeline.sources.tables.written import guard
from tests.journal.samples import opened
from tests.running import (
    PRICE,
    PROMPT,
    Job,
    asked,
    billed,
    column,
    counts,
    drafted,
    end,
    job,
    pipeline,
    price,
    query,
    read_rows,
    start,
    texts,
    until,
    watch,
    write_rows,
)
from tests.server import Fault, Kind, Latency, Server, answer_to, mixture
from tests.server import Limits as ServerLimits

UNSTEADY = Latency(0.01, sigma=1.0)


def without_times(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{**row, "latency_seconds": ""} for row in rows]


def twice(server: Server) -> int:
    """Say how often something was asked that had been asked before."""
    return sum(times - 1 for times in server.tally.received_by_body.values())


def run_here(
    source: Path, output: Path, *, prompt: str = PROMPT, model: str = "echo", **chosen: Any
) -> Outcome:
    """Run without a process of its own, which takes a second to start."""
    wanted = Settings(
        input=str(source),
        prompt=prompts.parse(prompt),
        output=str(output),
        text_column="text",
        model=model,
        **chosen,
    )
    with open_run(wanted) as run:
        return finish(run, asyncio.run(run.ask(run.plan(), Progress())))


def ask_here(
    job: Job, *, max_cost: Decimal | None = None, in_flight: int | None = None, prompt: str = PROMPT
) -> Counter[str]:
    """Run a job without a process of its own; count what became of its rows. Where they have all
    been asked about, nothing else may have ended it, and where they haven't, the budget must.
    """
    outcome = run_here(
        job.folder / "in.csv",
        job.path,
        prompt=prompt,
        model="gpt-6-luna",
        base_url=job.base_url,
        max_cost=max_cost,
        max_concurrency=in_flight,
        price=fixed_price(*map(Decimal, PRICE)),
    )
    assert type(outcome.ending.fatal) is (
        BudgetError if outcome.statuses["skipped"] else type(None)
    )
    return +outcome.statuses


# 1. Never pay twice


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Run sixty rows that nobody disturbs."""
    with Server() as server:
        made = job(tmp_path_factory.mktemp("undisturbed"), server, texts(60))
        assert ask_here(made) == {"ok": 60}
        return without_times(made.rows())


@pytest.mark.parametrize(("answers", "in_flight", "seed"), [(1, 3, 1), (23, 8, 2), (55, 5, 3)])
def test_after_kill_9_the_same_command_goes_on(
    tmp_path: Path,
    server: Server,
    undisturbed: list[dict[str, str]],
    answers: int,
    in_flight: int,
    seed: int,
) -> None:
    server.change(latency_seconds=UNSTEADY, seed=seed)
    made = job(tmp_path, server, texts(60))
    made.path.write_text("an older output")
    with opened(made.path):
        pass  # without a journal it would be somebody else's
    command = ("--max-concurrency", in_flight)
    process = made.start(*command)
    server.wait(billed=answers)
    process.kill()
    process.communicate()
    assert made.path.read_text() == "an older output"
    journaled = {
        texts(60)[int(str(document).rpartition(" ")[2]) - 2]
        for (document,) in query(made.journal, "SELECT document FROM results")
    }
    assert len(journaled) >= answers - in_flight
    before = server.tally.received
    server.change(latency_seconds=0.0)
    if seed == 1:
        ended = made.run(*command)
        assert (ended.code, ended.errors) == (0, [])
    else:
        assert ask_here(made, in_flight=in_flight) == {"ok": 60}
    assert not journaled & set(asked(server.tally)[before:])
    assert twice(server) <= in_flight
    assert without_times(made.rows()) == undisturbed


def test_rows_with_the_same_request_cost_one(tmp_path: Path, server: Server) -> None:
    server.change(latency_seconds=0.02, prompt_tokens=100, completion_tokens=10)
    made = job(tmp_path, server, ["same", "other", "same", "same", "other"])
    assert ask_here(made) == {"ok": 5}
    assert server.tally.received == 2
    rows = made.rows()
    assert column(rows, "output") == [answer_to(text) for text in column(rows, "text")]
    assert column(rows, "cost_usd") == ["0.00047", "0.00047", "0", "0", "0"]
    assert column(rows, "total_tokens") == ["110", "110", "0", "0", "0"]
    assert column(rows, "attempts") == ["1", "1", "0", "0", "0"]


def test_only_what_is_new_is_asked(tmp_path: Path, server: Server) -> None:
    made = job(tmp_path, server, texts(5))

    def news(prompt: str = PROMPT) -> list[str]:
        before = server.tally.received
        ask_here(made, prompt=prompt)
        return sorted(asked(server.tally)[before:])

    assert news() == texts(5)
    made.write([*reversed(texts(6)), texts(1)[0]])  # one row is new, all of them have moved
    assert news() == texts(6)[5:]
    assert news(PROMPT.replace("{{ text }}", "Say {{ text }}")) == [f"Say {t}" for t in texts(6)]
    assert news(PROMPT.replace("20", "21")) == []  # a whole answer stands, whatever its bound
    assert news() == []
    assert column(made.rows(), "output") == [answer_to(t) for t in column(made.rows(), "text")]


def test_a_larger_bound_asks_again_only_for_what_it_cut_off(tmp_path: Path, server: Server) -> None:
    """The bound of an answer is in no key: a whole answer stands, whatever it might have been."""
    server.change(answer=lambda body: "word " * (200 if "long" in str(body) else 1))
    made = job(tmp_path, server, ["short", "long", "shorter"])
    assert made.run("--max-tokens", 5).code == 1
    assert column(made.rows(), "status") == ["ok", "failed", "ok"]
    before = server.tally.received
    assert made.run("--max-tokens", 500).code == 0
    assert asked(server.tally)[before:] == ["long"]
    assert column(made.rows(), "status") == ["ok", "ok", "ok"]
    assert made.run("--max-tokens", 5).code == 0
    assert made.run().code == 0
    assert server.tally.received == before + 1


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_run_keeps_what_it_has_and_goes_on(
    tmp_path: Path, server: Server, name: str
) -> None:
    server.change(latency_seconds=0.02)
    made = job(tmp_path, server, texts(40))
    process = made.start("--max-concurrency", 2)
    server.wait(billed=5)
    process.send_signal(signal.Signals[name])
    ended = end(process)
    assert (ended.code, ended.errors) == (130, [])
    assert "stopping: waiting a moment for what is in flight; again to stop at once" in ended.lines
    assert f"  pipeline {' '.join(made.arguments('--max-concurrency', 2))}" in ended.lines
    rows = made.rows()
    done = server.tally.billed.requests
    assert done < 40
    assert counts(column(rows, "status")) == {"ok": done, "skipped": 40 - done}
    assert column(rows, "text") == texts(40)
    assert billed(rows)[0].total_tokens == server.tally.billed.total_tokens
    server.change(latency_seconds=0.0)
    assert ask_here(made) == {"ok": 40}
    assert (server.tally.received, twice(server)) == (40, 0)


def interrupted(folder: Path, server: Server) -> tuple[Job, subprocess.Popen[str]]:
    """Interrupt a run of 20 rows, five of them answered and three in flight, which hang."""
    server.change(faults=(Fault("hang", after_answers=5, seconds=600),))
    made = job(folder, server, texts(20))
    process = made.start("--max-concurrency", 3)
    server.wait(received=8)
    process.send_signal(signal.SIGINT)
    until(process, "again to stop at once")
    return made, process


def test_interrupted_twice_it_ends_at_once(tmp_path: Path, server: Server) -> None:
    made, process = interrupted(tmp_path, server)
    process.send_signal(signal.SIGINT)
    ended = end(process)
    assert (ended.code, ended.lines[0]) == (130, "stopped: to go on, run the same command:")
    assert not made.path.exists()
    server.change(faults=())
    assert ask_here(made) == {"ok": 20}
    assert twice(server) == 3


def test_after_an_interruption_nothing_is_sent_again(tmp_path: Path, server: Server) -> None:
    made, process = interrupted(tmp_path, server)
    server.change(faults=())
    server.stop()  # what is in flight breaks off
    server.start()
    assert end(process).code == 130
    assert server.tally.received == 8
    assert counts(column(made.rows(), "status")) == {"ok": 5, "skipped": 15}


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_interrupted_while_it_writes_it_says_how_to_go_on(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path / "in.csv", [{"text": text} for text in texts(20_000)])
    command = ("run", "in.csv", "--instruction", "Say it.", "-o", "out.csv", "--model", "echo")
    process = start(*command, folder=tmp_path)
    watch(process, lambda: drafted(tmp_path))
    process.send_signal(signal.Signals[name])
    ended = end(process)
    told = f"error: interrupted; to go on, run the same command:\n  pipeline {command[0]}"
    assert (ended.code, told in ended.err) == (130, True), ended.err
    assert not (tmp_path / "out.csv").exists()
    again = pipeline(*command, folder=tmp_path)
    assert (again.code, "nothing to ask" in again.err) == (0, True)
    assert column(read_rows(tmp_path / "out.csv"), "text") == texts(20_000)


def test_interrupted_before_it_asks_it_has_sent_nothing(tmp_path: Path, server: Server) -> None:
    made = job(tmp_path, server, texts(1))
    command = [word if word != "in.csv" else "-" for word in made.arguments()]
    process = start(*command, folder=tmp_path)
    assert process.stdin is not None
    # More than a pipe holds: when this returns, the program has begun to read.
    process.stdin.write("id,text\n" + "1,a word or two\n" * 10_000)
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    ended = end(process)
    assert ended.code == 130
    assert "Traceback" not in ended.err
    assert server.tally.received == 0


def test_a_second_run_on_the_output_is_refused_while_the_first_goes_on(
    tmp_path: Path, server: Server
) -> None:
    server.change(max_concurrent=0)  # all wait in line
    made = job(tmp_path, server, texts(3))
    first = made.start()
    server.wait(received=1)
    second = made.run()
    assert second.lines == [
        f"error: another run (process {first.pid}) is writing to this output: "
        "wait for it, or choose another output"
    ]
    assert second.code == 2
    server.change(max_concurrent=None)
    assert end(first).code == 0
    assert server.tally.received == 3
    assert counts(column(made.rows(), "status")) == {"ok": 3}


# 2. Never overspend

FAULTY = mixture(
    0.4,
    Fault("truncated"),
    Fault("not_json"),
    Fault("choices_empty"),
    Fault("usage_missing"),
    Fault("internal_error"),
)


def test_the_bill_stays_under_the_cap(tmp_path: Path, server: Server) -> None:
    server.change(
        faults=FAULTY,
        completion_tokens=20,  # each answer is as long as it may be
        latency_seconds=Latency(0.002, sigma=1.0),
    )
    cap = Decimal("0.006")
    made = job(tmp_path, server, texts(60))
    ended = made.run("--max-cost", cap)
    tally = server.tally
    assert ended.code == 3
    assert len(ended.errors) == 1
    assert ended.errors[0].startswith(f"error: --max-cost {cap} USD is used up: ")
    assert price(tally.billed) <= cap
    rows = counts(column(made.rows(), "status"))
    assert rows["ok"] >= 5
    assert rows["ok"] + rows["skipped"] == 60


@pytest.mark.parametrize("seed", range(8))
def test_no_faults_lead_over_the_cap(tmp_path: Path, server: Server, seed: int) -> None:
    server.change(
        faults=FAULTY,
        seed=seed,
        cached_tokens=seed,
        completion_tokens=20,
        latency_seconds=Latency(0.002, sigma=1.0),
    )
    cap = Decimal("0.006")
    statuses = ask_here(job(tmp_path, server, texts(60)), max_cost=cap)
    assert statuses["ok"] >= 4
    assert statuses["skipped"] >= 60 - 17
    assert 0 < price(server.tally.billed) <= cap


@pytest.mark.parametrize("prompt_tokens", [0, 12, 25, 40])
def test_a_server_that_counts_otherwise_leads_not_over_the_cap(
    tmp_path: Path, server: Server, prompt_tokens: int
) -> None:
    """We count 12 tokens a prompt."""
    server.change(prompt_tokens=prompt_tokens, completion_tokens=20, latency_seconds=0.005)
    cap = Decimal("0.006")
    assert ask_here(job(tmp_path, server, texts(60)), max_cost=cap)["skipped"]
    assert price(server.tally.billed) <= cap


def test_what_was_lost_is_reckoned_as_the_server_counts(tmp_path: Path, server: Server) -> None:
    """Three answers are lost before one tells that a prompt has 40 tokens, not the 12 we count."""
    lost = Fault("not_json", at=(1, 2, 3))
    server.change(faults=(lost,), prompt_tokens=40, completion_tokens=20)
    made = job(tmp_path, server, texts(20))
    cap = 3 * Decimal("0.000376") + 5 * Decimal("0.00046")
    ask_here(made, max_cost=cap, in_flight=1)
    assert server.tally.unreadable.requests == 3
    assert price(server.tally.billed) <= cap


def test_the_cap_is_used(tmp_path: Path, server: Server) -> None:
    """Answers that are shorter than they might be leave room for more."""
    server.change(prompt_tokens=10, completion_tokens=1)
    one = Decimal("0.000047")  # 10 x 3 + 1 x 17
    made = job(tmp_path, server, texts(60))
    statuses = ask_here(made, max_cost=30 * one)
    done = server.tally.billed.requests
    assert statuses == {"ok": done, "skipped": 60 - done}
    # At the end there is no room for the worst case of one more: at most 20 x 3 + 20 x 17.
    assert 30 - 9 <= done <= 30


def test_each_run_has_a_cap_of_its_own(tmp_path: Path, server: Server) -> None:
    server.change(completion_tokens=20)
    cap = Decimal("0.006")
    made = job(tmp_path, server, texts(40))
    for runs in (1, 2):
        assert ask_here(made, max_cost=cap)["skipped"]
        assert price(server.tally.billed) <= runs * cap
    assert ask_here(made, max_cost=cap) == {"ok": 40}
    assert (server.tally.received, twice(server)) == (40, 0)


def test_where_nothing_may_be_spent_nothing_is_sent(tmp_path: Path, server: Server) -> None:
    made = job(tmp_path, server, texts(2))
    assert ask_here(made, max_cost=Decimal(0)) == {"skipped": 2}
    assert server.tally.received == 0


# 3. Never overrun the limit


def test_the_requests_a_minute_that_are_given_are_kept(tmp_path: Path, server: Server) -> None:
    limits = ServerLimits(requests_per_window=25, window_seconds=1, headers=False)
    server.change(limits=limits)
    made = job(tmp_path, server, texts(45))
    assert made.run("--rpm", 1500).code == 0
    assert server.tally.statuses == {200: 45}


def test_the_tokens_a_minute_that_are_given_are_kept(tmp_path: Path, server: Server) -> None:
    """A request is charged with its prompt, 8 words and signs, and the 20 tokens it may answer."""
    limits = ServerLimits(tokens_per_window=700, window_seconds=1, headers=False)
    server.change(limits=limits)
    made = job(tmp_path, server, texts(45))
    assert made.run("--tpm", 42_000).code == 0
    assert server.tally.statuses == {200: 45}


@pytest.mark.parametrize("headers", [True, False])
def test_a_limit_that_nobody_told_of_costs_no_row(
    tmp_path: Path, server: Server, headers: bool
) -> None:
    server.change(limits=ServerLimits(requests_per_window=25, window_seconds=0.5, headers=headers))
    made = job(tmp_path, server, texts(60))
    assert ask_here(made) == {"ok": 60}
    assert server.tally.billed.requests == 60


# 4. Never lose or alter a row

Cells = list[list[str]]


def cells_of_csv(path: Path, delimiter: str = ",") -> Cells:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.reader(file, delimiter=delimiter, strict=True)]


def cells_of_jsonl(path: Path) -> Cells:
    rows = [json.loads(line) for line in path.read_bytes().decode().split("\n") if line]
    names = max(([*row] for row in rows), key=len)
    return [names, *([row.get(name) for name in names] for row in rows)]


def cells_of_parquet(path: Path) -> Cells:
    table = pq.read_table(path)
    return [table.column_names, *([*row.values()] for row in table.to_pylist())]


def cells_of_xlsx(path: Path) -> Cells:
    sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
    return [list(row) for row in sheet.to_python(skip_empty_area=False)]


READERS: dict[str, Callable[[Path], list[list[Any]]]] = {
    ".csv": cells_of_csv,
    ".tsv": lambda path: cells_of_csv(path, "\t"),
    ".jsonl": cells_of_jsonl,
    ".parquet": cells_of_parquet,
    ".xlsx": cells_of_xlsx,
}
NASTY = [
    ["007", "1e5", "NA"],
    ["", "null", "None"],
    ["=1+1", "+49 30", "-"],
    [" leading", "trailing ", "\ttab\t"],
    ["a\nb", "c\r\nd", 'e "f", g'],
    ["True", "1,5", "2026-01-31"],
    ["'quoted'", "#N/A", "😀é漢"],
    ["12345678901234567890", "0.1000", "1.0"],
]


def check(folder: Path, suffix: str, rows: Cells, dialect: Mapping[str, Any]) -> None:
    """Run rows of strings through, and compare what comes out with what went in."""
    for path in folder.glob("out*"):
        path.unlink()
    written = io.StringIO(newline="")
    csv.writer(written, **dialect).writerows([["id", "text", "note"], *rows])
    source, output = folder / "in.csv", folder / f"out{suffix}"
    source.write_bytes(written.getvalue().encode())
    run_here(source, output, prefix="new_")
    head, *found = READERS[suffix](output)
    assert head[:3] == ["id", "text", "note"]
    assert [row[:3] for row in found] == rows
    status = head.index("new_status")
    # There is nothing to echo of a text without a word.
    assert [row[status] for row in found] == ["ok" if row[1].strip() else "skipped" for row in rows]
    answers = [row[head.index("new_output")] for row in found if row[status] == "ok"]
    told = guard if suffix in (".csv", ".tsv") else str  # an answer is no formula there
    assert answers == [told(row[1]) for row in rows if row[1].strip()]


@pytest.mark.parametrize("suffix", READERS)
def test_nasty_cells_come_out_as_they_went_in(tmp_path: Path, suffix: str) -> None:
    check(tmp_path, suffix, NASTY, {})


ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
# An .xlsx is XML, which holds no other control characters as they are.
PRINTED = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=6)
TRICKY = st.sampled_from([cell for row in NASTY for cell in row])


@pytest.mark.parametrize("suffix", READERS)
@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_cells_come_out_as_they_went_in(
    tmp_path: Path, suffix: str, data: st.DataObject
) -> None:
    cell = st.one_of(PRINTED if suffix == ".xlsx" else ANY, TRICKY)
    rows = data.draw(st.lists(st.lists(cell, min_size=3, max_size=3), min_size=1, max_size=5))
    line_end = data.draw(st.sampled_from(["\n", "\r\n"]))
    # Python 3.11 leaves a lone \r without quotes, and so it would end the row for any reader.
    check(tmp_path, suffix, rows, {"lineterminator": line_end, "quoting": csv.QUOTE_ALL})


def test_typed_columns_keep_their_types(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            ("id", pa.int32()),
            ("text", pa.string()),
            ("price", pa.decimal128(20, 6)),
            ("when", pa.timestamp("us", tz="UTC")),
            ("ratio", pa.float32()),
            ("tags", pa.list_(pa.string())),
            ("raw", pa.binary()),
            ("ok", pa.bool_()),
        ]
    )
    rows = [
        {"id": 7, "text": "a", "price": Decimal("1.100000"), "tags": ["x"], "raw": b"\xff"},
        {"id": None, "text": "b", "ratio": 0.1, "ok": False, "when": 1_700_000_000_000_001},
    ]
    table = pa.Table.from_pylist(rows, schema)
    pq.write_table(table, tmp_path / "in.parquet")
    run_here(
        tmp_path / "in.parquet",
        tmp_path / "out.parquet",
        prefix="new_",
    )
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.select(schema.names).equals(table)


def test_nested_values_keep_their_nesting(tmp_path: Path) -> None:
    lines = [
        {"id": 7, "text": "a", "deep": {"b": [1, {"c": None}]}, "big": 2**70, "float": 1.0},
        {"id": "007", "text": "é😀", "deep": [], "big": -1, "float": 1e300},
    ]
    data = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "in.jsonl").write_text(data, encoding="utf-8")
    run_here(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [{name: row[name] for name in lines[0]} for row in found] == lines


def test_a_bad_row_alone_fails_and_is_asked_again(tmp_path: Path, server: Server) -> None:
    bad = texts(10)[4]
    server.change(faults=(Fault("bad_request", contains=bad),))
    made = job(tmp_path, server, texts(10))
    assert made.run().code == 1
    rows = made.rows()
    assert column(rows, "text") == texts(10)
    assert [row["text"] for row in rows if row["status"] != "ok"] == [bad]
    assert rows[4]["error"] == "HTTP 400: The request is not valid."
    assert (rows[4]["output"], rows[4]["cost_usd"]) == ("", "")
    server.reset()
    assert ask_here(made) == {"ok": 9, "failed": 1}
    assert asked(server.tally) == [bad]
    server.reset()
    server.change(faults=())
    assert ask_here(made) == {"ok": 10}
    assert asked(server.tally) == [bad]
    assert column(made.rows(), "output") == [answer_to(text) for text in texts(10)]


def test_each_row_says_why_it_failed(tmp_path: Path, server: Server) -> None:
    kinds: list[Kind] = ["refusal", "content_filter", "content_empty", "content_null"]
    server.change(
        faults=tuple(Fault(kind, contains=kind) for kind in kinds),
        prompt_tokens=10,
        completion_tokens=1,
    )
    made = job(tmp_path, server, [*kinds, "fine"])
    assert ask_here(made) == {"failed": 4, "ok": 1}
    rows = made.rows()
    assert column(rows, "attempts") == ["1", "1", "2", "2", "1"]
    assert column(rows, "error") == [
        "the model refused: I can't help with that.",
        "the provider's content filter stopped the answer",
        "the answer is empty (finish_reason stop) (asked twice)",
        "the answer is empty (finish_reason stop) (asked twice)",
        "",
    ]
    # They are billed all the same.
    assert column(rows, "cost_usd") == ["0.000047"] * 2 + ["0.000094"] * 2 + ["0.000047"]


def test_documents_of_a_folder_come_out_in_order(tmp_path: Path, server: Server) -> None:
    made = job(tmp_path, server, texts(1))
    folder = tmp_path / "docs"
    (folder / "more").mkdir(parents=True)
    contents = {"a.txt": "Alpha", "b.md": "# Beta", "more/c.txt": "Gamma", "z.bin": "\0\1\2"}
    for name, content in contents.items():
        (folder / name).write_text(content)
    command = [word if word != "in.csv" else "docs" for word in made.arguments()]
    ended = pipeline(*command, folder=tmp_path)
    rows = made.rows()
    assert ended.code == 1
    assert column(rows, "document") == [*contents]
    assert column(rows, "status") == ["ok", "ok", "ok", "failed"]
    assert column(rows, "output")[:3] == [answer_to(text) for text in ("Alpha", "# Beta", "Gamma")]
    assert server.tally.received == 3


def test_an_input_that_changes_meanwhile_is_noticed(tmp_path: Path, server: Server) -> None:
    server.change(max_concurrent=0)
    made = job(tmp_path, server, texts(3))
    process = made.start()
    server.wait(received=1)
    made.write(texts(5))
    server.change(max_concurrent=None)
    ended = end(process)
    assert ended.code == 0
    assert (
        "in.csv changed while it was read: the output holds what was read; "
        "run the same command again for what is new"
    ) in ended.lines
    assert column(made.rows(), "text") == texts(3)
    assert ask_here(made) == {"ok": 5}
    assert server.tally.received == 5


# 5. The bill adds up


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_columns_add_up_to_the_servers_own_count(
    tmp_path: Path, server: Server, seed: int
) -> None:
    server.change(
        seed=seed,
        prompt_tokens=lambda body: 50 + len(str(body)) % 7,
        cached_tokens=lambda body: len(str(body)) % 5 * 8,
        completion_tokens=lambda answer: 3 + len(answer) % 4,
        reasoning_tokens=lambda answer: len(answer) % 3,
        latency_seconds=Latency(0.002, sigma=1.0),
        # All of these either tell what they bill, or bill nothing.
        faults=(
            Fault("refusal", contains="ticket 3 ", times_per_request=1),
            Fault("content_null", contains="ticket 12 ", times_per_request=1),
            *mixture(
                0.25,
                Fault("choices_empty"),
                Fault("closed"),
                Fault("reset"),
                Fault("internal_error"),
                Fault("rate_limit_exceeded", headers={"retry-after-ms": "1"}),
            ),
        ),
    )
    made = job(tmp_path, server, [*texts(20), *texts(5)])
    # What failed is asked again, and both asks are billed to its row.
    assert ask_here(made, prompt=PROMPT.replace("20", "50")) == {"ok": 22, "failed": 3}
    if seed == 1:
        made.run("--max-tokens", 50)
    else:
        ask_here(made, prompt=PROMPT.replace("20", "50"))
    bill, cost = billed(made.rows())
    tally = server.tally
    assert tally.unreadable.requests == 0
    assert tally.billed.requests > 20
    assert (
        bill.prompt_tokens,
        bill.completion_tokens,
        bill.cached_tokens,
        bill.reasoning_tokens,
    ) == (
        tally.billed.prompt_tokens,
        tally.billed.completion_tokens,
        tally.billed.cached_tokens,
        tally.billed.reasoning_tokens,
    )
    assert cost == price(tally.billed)
    ((journaled,),) = query(made.journal, "SELECT ROUND(SUM(cost_usd), 9) FROM results")
    assert Decimal(str(journaled)) == cost.quantize(Decimal("1e-9"))


def test_turns_of_a_conversation_are_asked_in_turn_and_billed_together(
    tmp_path: Path, server: Server
) -> None:
    made = job(tmp_path, server, texts(3))
    prompt = "user:\n{{ text }}\nuser:\nShorter.\n"
    assert ask_here(made, prompt=prompt) == {"ok": 3}
    rows = made.rows()
    assert column(rows, "output") == [answer_to(text) for text in texts(3)]
    assert column(rows, "output_1") == [answer_to("Shorter.")] * 3
    histories = [record.json["messages"] for record in server.tally.records]
    assert len(histories) == 6
    for text in texts(3):
        opening = {"role": "user", "content": text}
        assert [opening] in histories
        assert [
            opening,
            {"role": "assistant", "content": answer_to(text)},
            {"role": "user", "content": "Shorter."},
        ] in histories
    assert billed(rows)[1] == price(server.tally.billed)
    server.reset()
    assert ask_here(made, prompt=prompt) == {"ok": 3}
    assert server.tally.received == 0


# 6. An outage is a pause


def test_a_run_waits_for_a_server_that_went_away(tmp_path: Path, server: Server) -> None:
    server.change(latency_seconds=0.01)
    made = job(tmp_path, server, texts(40))
    process = made.start("--max-concurrency", 4)
    server.wait(billed=10)
    server.outage("refused")
    until(process, "the server is away")
    server.start()
    ended = end(process)
    assert (ended.code, ended.errors) == (0, [])
    assert any(line.startswith("the server is back") for line in ended.lines)
    assert counts(column(made.rows(), "status")) == {"ok": 40}


def test_a_run_that_waits_can_be_interrupted(tmp_path: Path, server: Server) -> None:
    server.change(latency_seconds=0.01)
    made = job(tmp_path, server, texts(40))
    process = made.start("--max-concurrency", 4)
    server.wait(billed=10)
    server.outage("refused")
    until(process, "the server is away")
    process.send_signal(signal.SIGINT)
    ended = end(process)
    assert (ended.code, ended.errors) == (130, [])
    done = server.tally.billed.requests
    assert counts(column(made.rows(), "status")) == {"ok": done, "skipped": 40 - done}


@pytest.mark.parametrize("kind", ["invalid_api_key", "insufficient_quota"])
def test_what_cannot_get_better_stops_the_run_and_keeps_its_rows(
    tmp_path: Path, server: Server, kind: Kind
) -> None:
    server.change(faults=(Fault(kind, after=12),))
    made = job(tmp_path, server, texts(200))
    ended = made.run("--max-concurrency", 4)
    assert (ended.code, len(ended.errors)) == (4, 1)
    assert counts(column(made.rows(), "status")) == {"ok": 12, "skipped": 188}
    assert server.tally.received <= 12 + 4
    assert "for the rest, run the same command:" in ended.lines
    server.change(faults=())
    assert ask_here(made) == {"ok": 200}
    assert server.tally.billed_twice == 0
