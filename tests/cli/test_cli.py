"""The command line, as a user meets it: each command is a process of its own."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import subprocess
import sys
import termios
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest

from tests.running import (
    PROMPT,
    Ended,
    Job,
    column,
    end,
    environment,
    job,
    pipeline,
    query,
    read_rows,
    start,
    texts,
    until,
    write_rows,
)
from tests.server import Fault, Server, answer_to

CLOSED = "http://127.0.0.1:9/v1"  # the port of `discard`, where nobody listens
HEAVY = {"openai", "pandas", "pydantic", "pyarrow", "jinja2", "genai_prices", "aiohttp", "asyncio"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with an input of two rows and a prompt."""
    fill(tmp_path)
    return tmp_path


@pytest.fixture
def two(tmp_path: Path, server: Server) -> Job:
    """Make a job of two rows."""
    return job(tmp_path, server, ["Hello", "Bye"])


def error(ended: Ended, code: int = 2) -> str:
    """Give the one line that says what went wrong."""
    (line,) = ended.errors
    assert (ended.code, ended.out) == (code, "")
    return line.removeprefix("error: ")


def alone(ended: Ended) -> str:
    """Give the one line that it said at all."""
    assert len(ended.lines) == 1, ended.err
    return error(ended)


# A new user's errors


def test_a_wrong_key_ends_the_run_before_anything_is_paid(two: Job, server: Server) -> None:
    server.change(require_key="sk-right")
    ended = pipeline(*two.arguments(), folder=two.folder, OPENAI_API_KEY="sk-wrong")
    assert error(ended) == (
        f"{server.base_url} refuses the key (HTTP 401: Incorrect API key provided.); "
        "check OPENAI_API_KEY"
    )
    assert sorted(path.name for path in two.folder.glob("out.csv*")) == []
    assert "sk-wrong" not in ended.err


def test_an_unknown_model_ends_the_run(two: Job, server: Server) -> None:
    server.change(known_models_only=True)
    ended = two.run("--model", "gpt-7-vega")
    assert error(ended) == (
        f"{server.base_url} doesn't know model 'gpt-7-vega' (HTTP 404: The model does not exist.); "
        "see `pipeline models`, --model and --base-url"
    )


def echoing(
    *options: str,
    given: str = "in.csv",
    prompt: str = "ask.prompty",
    output: str = "out.csv",
    model: str = "echo",
) -> list[str]:
    """Give a command that asks nobody."""
    chosen = ["-p", prompt] if prompt else []
    return ["run", given, *chosen, "-o", output, "-m", model, *options]


# A command, what it says in a line, and nothing else.
ERRORS: dict[str, tuple[list[str], str]] = {
    "no key": (
        ["run", "in.csv", "-p", "ask.prompty", "-o", "out.csv"],
        "no API key: put OPENAI_API_KEY=... in the environment or in a .env file here, "
        "or try it free on this machine with --model local",
    ),
    "missing file": (
        echoing(given="inn.csv"),
        "there is no file or folder inn.csv; did you mean in.csv?",
    ),
    "empty folder": (
        echoing(given="empty"),
        "the folder empty holds no files to read: hidden ones, links that lead out of it, "
        "what .pipelineignore or --exclude leaves out and the run's own files don't count",
    ),
    "unknown text column": (
        echoing("--text-column", "txt"),
        'in.csv has no column "txt"; its columns are id, text; did you mean "text"?',
    ),
    "no clear text column": (
        echoing(given="two.csv"),
        "which column of two.csv is the text? name it with --text-column; its columns are: a, b",
    ),
    "unknown prompt variable": (
        echoing(prompt="variable.prompty"),
        "prompt variable uses {{ sutject }}, which the input doesn't have; "
        "its columns are: id, text",
    ),
    "front matter that isn't YAML": (
        echoing(prompt="broken.prompty"),
        "broken.prompty, line 3: the front matter is not YAML: mapping values are not allowed here",
    ),
    "unknown shipped prompt": (
        echoing(prompt="sumarize"),
        "no shipped prompt is called 'sumarize', they are classify, extract, judge, summarize; "
        "for a file write its path: ./sumarize",
    ),
    "no prompt": (echoing(prompt=""), 'give one prompt: -p PROMPT, or --instruction "..."'),
    "output in a folder that isn't there": (
        echoing(output="missing/out.csv"),
        "the folder of the output missing/out.csv doesn't exist: make it first: "
        "mkdir -p FOLDER/missing",
    ),
    "output that is a folder": (
        echoing(output="empty"),
        "the output empty is a folder: name a file in it, such as empty/results.csv",
    ),
    "unknown output suffix": (
        echoing(output="out.xls"),
        "the name of the output out.xls says no format: end it in "
        ".csv, .tsv, .xlsx, .parquet, .jsonl, .tab, .psv, .ndjson, such as out.xlsx",
    ),
    "no output suffix": (
        echoing(output="out"),
        "the name of the output out says no format: end it in "
        ".csv, .tsv, .xlsx, .parquet, .jsonl, .tab, .psv, .ndjson, such as out.csv",
    ),
    "column collision": (
        echoing(given="with-a-status.csv"),
        "the input already has a column status: name the new columns apart with --prefix, "
        "such as --prefix ai_",
    ),
    "one price": (
        echoing("--price", "1"),
        "--price 1: give two amounts, such as 0.15,0.60 (USD per million tokens, in and out)",
    ),
    "price in letters": (
        echoing("--price", "1,b"),
        "--price b: give an amount in USD, of 0 or more",
    ),
    "cap in euros": (
        echoing("--max-cost", "5 €"),
        "--max-cost 5 €: give an amount in USD, of 0 or more",
    ),
    "cap without a price": (
        echoing("--max-cost", "1", "--base-url", "http://localhost:9/v1", model="no-such-model"),
        "--max-cost needs the price of no-such-model, which isn't published for "
        "http://localhost:9/v1: give it with --price INPUT,OUTPUT (USD per million tokens)",
    ),
    "address without a scheme": (
        echoing("--base-url", "localhost:9/v1", model="m"),
        "--base-url localhost:9/v1: begin it with http:// or https://",
    ),
    "missing model file": (
        echoing(model="local:missing.gguf"),
        "no model file at missing.gguf",
    ),
    "one label": (
        ["classify", "in.csv", "--labels", "a", "-o", "out.csv", "-m", "echo"],
        "--labels a: give at least two labels, each once",
    ),
}


def in_its_folder(command: list[str], folder: Path) -> Ended:
    ended = pipeline(*command, folder=folder)
    return replace(ended, err=ended.err.replace(str(folder), "FOLDER"))


def fill(folder: Path) -> None:
    """Write a table and a prompt, and others that can't be used."""
    write_rows(folder / "in.csv", [{"id": "007", "text": "Hello"}, {"id": "NA", "text": "Bye"}])
    write_rows(folder / "two.csv", [{"a": "1", "b": "2"}])
    write_rows(folder / "with-a-status.csv", [{"text": "1", "status": "2"}])
    (folder / "empty").mkdir()
    for name, text in {
        "ask": PROMPT,
        "variable": "user:\n{{ sutject }}\n",
        "broken": "---\nname: x\n  id: y\n---\nuser:\nHi\n",
    }.items():
        (folder / f"{name}.prompty").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", ERRORS)
def test_a_new_users_error_is_one_line(tmp_path: Path, name: str) -> None:
    fill(tmp_path)
    command, message = ERRORS[name]
    assert alone(in_its_folder(command, tmp_path)) == message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_that_cannot_be_written_is_refused(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o555)
    ended = pipeline(*echoing(output="closed/out.csv"), folder=folder)
    assert alone(ended) == (
        "can't write the output closed/out.csv: Permission denied; "
        "choose another name or folder for it"
    )


def test_a_prompt_that_has_no_label_cannot_classify(folder: Path) -> None:
    command = ["classify", "in.csv", "--labels", "a,b", "-p", "ask.prompty", "-o", "out.csv"]
    assert "label" in alone(pipeline(*command, "-m", "echo", folder=folder))


def test_a_message_that_fails_for_every_document_is_one_line(folder: Path) -> None:
    (folder / "p.prompty").write_text("system:\n{% include 'rules' %}\nuser:\n{{ text }}\n")
    assert error(pipeline(*echoing(prompt="p.prompty"), folder=folder))


@pytest.mark.parametrize("options", [[], ["--fresh"]])
def test_a_journal_that_is_none_is_one_line(folder: Path, options: list[str]) -> None:
    journal = folder / "out.csv.journal"
    journal.write_text("not a database, but a text of some length")
    ended = pipeline(*echoing(), *options, folder=folder)
    if options:
        assert (ended.code, ended.errors) == (0, [])
        return
    assert alone(ended) == (
        "out.csv.journal is damaged or isn't a journal (file is not a database): move it away to "
        "start without it, or mend it with `sqlite3 JOURNAL .recover`"
    )


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["run", "in.csv", "-p", "ask.prompty"], "Missing option '--output' / '-o'"),
        (["run", "in.csv", "-o", "out.csv", "--limits", "3"], "No such option: --limits"),
        (["run", "in.csv", "-o", "out.csv", "--limit", "0"], "Invalid value for '--limit'"),
        (["rum"], "No such command 'rum'"),
    ],
)
def test_a_wrong_flag_is_wrong_usage(folder: Path, command: list[str], said: str) -> None:
    ended = pipeline(*command, folder=folder)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_debug_adds_the_traceback(folder: Path) -> None:
    ended = pipeline(*echoing(given="inn.csv"), "--debug", folder=folder)
    assert ended.code == 1 or ended.code == 2
    assert ended.lines[0] == "error: there is no file or folder inn.csv; did you mean in.csv?"
    assert "Traceback (most recent call last):" in ended.err


def test_a_key_is_never_shown_whatever_the_server_says(two: Job, server: Server) -> None:
    key = "sk-proj-aB3dE6gH9"
    server.change(faults=(Fault("invalid_api_key", message=f"Incorrect API key provided: {key}."),))
    ended = pipeline(*two.arguments("--debug"), folder=two.folder, OPENAI_API_KEY=key)
    assert "Incorrect API key provided: ***." in ended.err
    assert key not in ended.err + ended.out
    written = [path.read_bytes() for path in two.folder.iterdir()]
    assert not any(key.encode() in data for data in written)


# Keys and servers


def test_the_environment_comes_before_the_file(two: Job, server: Server) -> None:
    server.change(require_key="sk-environment")
    (two.folder / ".env").write_text("OPENAI_API_KEY=sk-file\n")
    key = "sk-environment \r\n"  # white space around it does no harm
    assert pipeline(*two.arguments(), folder=two.folder, OPENAI_API_KEY=key).code == 0


def test_the_key_and_the_server_are_read_from_a_file_beside(folder: Path, server: Server) -> None:
    server.change(require_key="sk-file")
    (folder / ".env").write_text(
        f"# mine\nexport OPENAI_API_KEY='sk-file'\nOPENAI_BASE_URL={server.base_url}\n"
    )
    ended = pipeline("run", "in.csv", "-p", "ask.prompty", "-o", "out.csv", folder=folder)
    assert (ended.code, server.tally.answered) == (0, 2)


def test_a_file_that_powershell_wrote_is_read(two: Job, server: Server) -> None:
    """`echo KEY=... > .env` writes UTF-16 there."""
    server.change(require_key="sk-file")
    (two.folder / ".env").write_text("OPENAI_API_KEY=sk-file\n", encoding="utf-16")
    assert two.run().code == 0


# Help


@pytest.mark.parametrize(
    ("command", "said", "imported"),
    [
        (["--help"], "Commands:", []),
        (["--version"], "pipeline 0.1.0", []),
        # pydantic by typer, for the options that have bounds
        (["run", "--help"], "--max-cost USD", ["pydantic"]),
    ],
)
def test_help_helps_and_imports_nothing_heavy(
    folder: Path, command: list[str], said: str, imported: list[str]
) -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipeline", *command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert said in ended.stdout
    modules = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "pipeline.cli" in modules
    assert sorted(modules & HEAVY) == imported


@pytest.mark.parametrize(
    "command", ["summarize", "classify", "extract", "estimate", "models", "evaluate", "review"]
)
def test_each_command_has_its_help(folder: Path, command: str) -> None:
    ended = pipeline(command, "--help", folder=folder)
    assert (ended.code, ended.err) == (0, "")
    assert f"pipeline {command} [OPTIONS]" in ended.out


# What a run says


def said(ended: Ended) -> list[str]:
    """Give what it said, without the figures that are of this machine and moment."""
    text = re.sub(r"\d+ s, [\d,.]+ requests a second", "N s, N requests a second", ended.err)
    return re.sub(r"(?<=USD, )\d+ s$", "N s", text, flags=re.MULTILINE).splitlines()


def test_a_run_says_its_plan_and_its_sum(two: Job, server: Server) -> None:
    server.change(prompt_tokens=100, completion_tokens=10)
    ended = two.run()
    assert (ended.code, ended.out) == (0, "")
    assert said(ended) == [
        "2 rows, 2 requests to gpt-6-luna, about 14 prompt tokens: "
        "estimated 0.000076 to 0.00072 USD with answers of up to 20 tokens, without retries "
        "(3/17 USD per million tokens, --price)",
        "2 rows: 2 ok -> out.csv",
        "this run: 220 tokens (200 in, 20 out), 0.00094 USD, N s, N requests a second",
    ]


def test_a_second_run_has_nothing_to_ask(folder: Path) -> None:
    first, second = (pipeline(*echoing(), folder=folder) for _ in range(2))
    assert said(first) == [
        "2 rows, 2 requests to echo, about 14 prompt tokens (estimated): free",
        "2 rows: 2 ok -> out.csv",
        "this run: 16 tokens (14 in, 2 out), 0 USD, N s, N requests a second",
    ]
    assert said(second) == [
        "2 rows, 2 done already: nothing to ask",
        "2 rows: 2 ok -> out.csv",
    ]


def test_a_run_with_failures_says_why_and_how_to_go_on(tmp_path: Path, server: Server) -> None:
    server.change(
        faults=(
            Fault("bad_request", contains="bad", message="No 'a' at 1."),
            Fault("bad_request", contains="worse", message="No 'b' at 22."),
            Fault("refusal", contains="shy"),
        ),
        answer=lambda body: "word " * 30,
        prompt_tokens=1,
    )
    made = job(tmp_path, server, ["bad 1", "good", "worse 2", "shy", "bad 3"])
    ended = made.run("--max-tokens", "5")
    assert ended.code == 1
    assert column(made.rows(), "finish_reason") == ["", "length", "", "length", ""]
    assert said(ended)[1:] == [
        "5 rows: 0 ok, 5 failed -> out.csv",
        "  3 x HTTP 400: No 'a' at 1.",
        "  1 x the answer was cut off at 20 tokens (asked twice); raise --max-tokens",
        "  1 x the model refused: I can't help with that.",
        "this run: 33 tokens (3 in, 30 out), 0.00052 USD, N s, N requests a second, "
        "1 unusable answer was requested again",
        "to retry the failed rows, run the same command:",
        f"  pipeline {' '.join(made.arguments('--max-tokens', '5'))}",
    ]


def test_rows_that_no_run_can_ask_about_are_not_to_be_run_again(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("good")
    (folder / "b.pdf").write_bytes(b"%PDF-1.7 damaged")
    command = ("summarize", folder, "-o", tmp_path / "out.csv", "--model", "echo")
    ended = pipeline(*command, folder=tmp_path)
    assert ended.code == 1
    assert said(ended)[-2] == (
        "the failed rows can't be sent as they are: fix the input, then run the same command:"
    )


def test_a_model_without_a_price_has_one_warning_and_no_cost(two: Job, server: Server) -> None:
    command = [word for word in two.arguments() if word not in ("--price", "3,17")]
    ended = pipeline(*command, folder=two.folder)
    assert ended.code == 0
    assert said(ended)[:2] == [
        f"no published price for gpt-6-luna at {server.base_url}: "
        "costs are not shown; set a price with --price INPUT,OUTPUT",
        "2 rows, 2 requests to gpt-6-luna, about 14 prompt tokens: cost unknown",
    ]
    assert column(two.rows(), "cost_usd") == ["", ""]
    assert all(int(tokens) for tokens in column(two.rows(), "total_tokens"))


def test_a_cap_gives_a_prompt_without_a_bound_one(two: Job, server: Server) -> None:
    (two.folder / "ask.prompty").write_text("{{ text }}", encoding="utf-8")
    ended = two.run("--max-cost", "1")
    assert ended.code == 0
    assert said(ended)[0] == (
        "answers are bounded at 1024 tokens, for --max-cost to hold "
        "(--max-tokens sets another bound)"
    )
    assert "with answers of up to 1,024 tokens" in said(ended)[1]
    assert {record.json["max_tokens"] for record in server.tally.records} == {1024}


def test_quiet_says_nothing(folder: Path) -> None:
    ended = pipeline(*echoing("--quiet"), folder=folder)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert column(read_rows(folder / "out.csv"), "status") == ["ok", "ok"]


def test_quiet_says_what_went_wrong(folder: Path) -> None:
    assert alone(pipeline(*echoing(given="inn.csv"), "--quiet", folder=folder))


def test_a_json_log_is_an_object_a_line(folder: Path) -> None:
    write_rows(folder / "in.csv", [{"id": "1", "text": "Hello"}, {"id": "2", "text": ""}])
    ended = pipeline(*echoing("--json-log"), folder=folder)
    assert (ended.code, ended.out) == (0, "")
    events = [json.loads(line) for line in ended.lines]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["time"]) for event in events)
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert "2 rows: 1 ok, 1 skipped -> out.csv" in notes
    (empty,) = [row for row in read_rows(folder / "out.csv") if row["id"] == "2"]
    assert empty["error"] == "the text is empty: there is nothing to ask"


def test_a_file_of_others_is_never_written_over(folder: Path) -> None:
    (folder / "mine.csv").write_text("my own\n")
    line = alone(pipeline(*echoing(output="mine.csv"), folder=folder))
    assert "mine.csv exists and wasn't written by this program" in line
    assert (folder / "mine.csv").read_text() == "my own\n"


def test_the_same_answers_serve_with_and_without_a_budget(two: Job, server: Server) -> None:
    assert two.run().code == 0
    assert two.run("--max-cost", "5").code == 0
    assert server.tally.received == 2


def test_a_json_log_has_the_error_too(folder: Path) -> None:
    ended = pipeline(*echoing("--json-log", given="inn.csv"), folder=folder)
    assert ended.code == 2
    (event,) = [json.loads(line) for line in ended.lines]
    assert "there is no file or folder inn.csv" in json.dumps(event)


# What a run does


def test_a_dry_run_shows_the_request_and_sends_nothing(two: Job, server: Server) -> None:
    before = sorted(two.folder.iterdir())
    ended = two.run("--dry-run", "--temperature", "0.5")
    assert ended.code == 0
    assert json.loads(ended.out) == {
        "model": "gpt-6-luna",
        "messages": [{"role": "user", "content": "Hello"}],
        "reasoning_effort": "none",
        "temperature": 0.5,
        "stream": False,
        "max_tokens": 20,
    }
    assert ended.lines == [
        "2 rows, 2 requests to gpt-6-luna, about 14 prompt tokens: "
        "estimated 0.000076 to 0.00072 USD with answers of up to 20 tokens, without retries "
        "(3/17 USD per million tokens, --price)"
    ]
    assert sorted(two.folder.iterdir()) == before
    assert server.tally.connections == 0


def test_a_dry_run_knows_the_journal_and_leaves_it_alone(folder: Path) -> None:
    pipeline(*echoing(), folder=folder)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    ended = pipeline(*echoing("--dry-run"), folder=folder)
    assert ended.lines == ["2 rows, 2 done already: nothing to ask"]
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_what_openai_would_be_sent_is_shown_without_asking_it(folder: Path) -> None:
    ended = pipeline(
        *echoing(model="gpt-6-luna"), "--dry-run", folder=folder, OPENAI_API_KEY="sk-x"
    )
    assert ended.code == 0
    assert json.loads(ended.out) == {
        "model": "gpt-6-luna",
        "messages": [{"role": "user", "content": "Hello"}],
        "reasoning_effort": "none",
        "prompt_cache_options": {"mode": "explicit"},
        "stream": False,
        "max_completion_tokens": 20,
    }
    assert "(0.1/0.5 USD per million tokens, genai-prices" in ended.err


@pytest.mark.parametrize(
    ("options", "positions"),
    [(["--limit", "3"], [0, 1, 2]), (["--limit", "2", "--sample", "99"], [0, 1])],
)
def test_only_some_rows_are_taken(folder: Path, options: list[str], positions: list[int]) -> None:
    write_rows(folder / "in.csv", [{"text": text} for text in texts(6)])
    ended = pipeline(*echoing(*options), folder=folder)
    assert ended.code == 0
    rows = read_rows(folder / "out.csv")
    assert column(rows, "output") == [texts(6)[position] for position in positions]


def test_a_sample_is_the_same_each_time_and_in_order(folder: Path) -> None:
    write_rows(folder / "in.csv", [{"text": text} for text in texts(30)])
    runs = []
    for output in ("a.csv", "b.csv"):
        assert pipeline(*echoing("--sample", "4", output=output), folder=folder).code == 0
        runs.append(column(read_rows(folder / output), "text"))
    assert runs[0] == runs[1]
    positions = [texts(30).index(text) for text in runs[0]]
    assert len(positions) == 4
    assert positions == sorted(positions)


def test_fresh_asks_again_and_keeps_the_old_answers(two: Job, server: Server) -> None:
    two.run()
    server.change(answer=lambda body: "another answer")
    ended = two.run("--fresh")
    assert ended.code == 0
    assert column(two.rows(), "output") == ["another answer"] * 2
    assert server.tally.received == 4
    (aside,) = two.folder.glob("out.csv.journal-*")
    assert f"the old journal is kept as {aside.name}" in ended.lines
    assert {content for (content,) in query(aside, "SELECT content FROM results")} == {
        answer_to("Hello"),
        answer_to("Bye"),
    }


def test_fresh_keeps_the_answers_where_they_are_if_nothing_is_asked(
    two: Job, server: Server
) -> None:
    two.run()
    ended = two.run("--fresh", "--text-column", "txet")
    assert ended.code == 2
    assert ended.lines[1] == "nothing was asked: the old journal is where it was"
    assert not list(two.folder.glob("out.csv.journal-*"))
    assert two.run().code == 0
    assert server.tally.received == 2


def test_a_dry_run_of_a_fresh_start_counts_every_row(two: Job) -> None:
    two.run()
    said = two.run("--dry-run", "--fresh").err
    assert said.startswith("2 rows, 2 requests to gpt-6-luna")
    assert two.run("--dry-run").err.startswith("2 rows, 2 done already")


def test_a_folder_can_hold_its_own_output(tmp_path: Path, server: Server) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("a.txt", "b.md"):
        (folder / name).write_text(f"This is {name}.", encoding="utf-8")
    command = ["run", "docs", "--instruction", "Hi", "-o", "docs/out.csv", "-m", "echo"]
    for options in ([], ["--fresh"], []):
        ended = pipeline(*command, *options, folder=tmp_path)
        assert (ended.code, column(read_rows(folder / "out.csv"), "document")) == (
            0,
            ["a.txt", "b.md"],
        )
        assert "changed while it was read" not in ended.err


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--glob", "*.md"], ["b.md", "old/d.md"]),
        (["--glob", "*.md", "--glob", "old/*"], ["b.md", "old/c.txt", "old/d.md"]),
        (["--exclude", "old/"], ["a.txt", "b.md"]),
        (["--exclude", "*.txt", "--exclude", "/b.md"], ["old/d.md"]),
        (["--glob", "*.md", "--exclude", "old/", "--sample", "9"], ["b.md"]),
    ],
)
def test_files_are_picked_and_left_out(
    tmp_path: Path, options: list[str], found: list[str]
) -> None:
    for name in ("a.txt", "b.md", "old/c.txt", "old/d.md", "drafts/e.md"):
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"This is {name}.", encoding="utf-8")
    (tmp_path / "docs" / ".pipelineignore").write_text("drafts/\n", encoding="utf-8")
    command = ["run", "docs", "--instruction", "Hi", "-o", "out.csv", "-m", "echo"]
    assert pipeline(*command, *options, folder=tmp_path).code == 0
    assert column(read_rows(tmp_path / "out.csv"), "document") == found


def test_what_a_document_says_of_itself_makes_no_columns(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = "<html><head><title>Terms</title></head><body><p>Tea.</p></body></html>"
    (tmp_path / "docs" / "a.html").write_text(page, encoding="utf-8")
    (tmp_path / "docs" / "b.txt").write_text("Tea.", encoding="utf-8")
    ask = "user:\n{{ title }}, {{ author }}, {{ pages }}: {{ text }}"
    (tmp_path / "ask.prompty").write_text(ask, encoding="utf-8")
    command = ["run", "docs", "-p", "ask.prompty", "-o", "out.csv", "-m", "echo"]
    assert pipeline(*command, folder=tmp_path).code == 0
    rows = read_rows(tmp_path / "out.csv")
    assert list(rows[0])[:3] == ["document", "output", "status"]
    assert column(rows, "output") == ["Terms, , : # Terms\n\nTea.\n", ", , : Tea."]


def test_a_prefix_and_a_text_column_are_taken(folder: Path) -> None:
    write_rows(folder / "in.csv", [{"status": "open", "said": "Hello", "output": "mine"}])
    ended = pipeline(*echoing(), "--prefix", "ai_", "--text-column", "said", folder=folder)
    assert ended.code == 0
    (row,) = read_rows(folder / "out.csv")
    assert [*row.items()][:5] == [
        ("status", "open"),
        ("said", "Hello"),
        ("output", "mine"),
        ("ai_output", "Hello"),
        ("ai_status", "ok"),
    ]


def test_standard_input_is_an_input(folder: Path) -> None:
    ended = pipeline(*echoing(given="-"), folder=folder, stdin="id,text\n007,Hello\n")
    assert ended.code == 0
    (row,) = read_rows(folder / "out.csv")
    assert (row["id"], row["output"]) == ("007", "Hello")


def test_summarize_and_classify_need_no_prompt(folder: Path) -> None:
    ended = pipeline("summarize", "in.csv", "-o", "sums.csv", "-m", "echo", folder=folder)
    assert ended.code == 0
    assert column(read_rows(folder / "sums.csv"), "output") == [
        f"Sum up this document in two or three sentences.\n\n{text}" for text in ("Hello", "Bye")
    ]
    labels = ["--labels", " Bye , Hello,"]
    ended = pipeline("classify", "in.csv", *labels, "-o", "l.csv", "-m", "echo", folder=folder)
    assert ended.code == 0
    assert column(read_rows(folder / "l.csv"), "label") == ["Hello", "Bye"]


@pytest.mark.parametrize(
    ("given", "output"),
    [("in.csv", "in.csv"), ("in.csv", "../FOLDER/in.csv"), ("link.csv", "in.csv")],
)
def test_the_output_is_never_the_input(folder: Path, given: str, output: str) -> None:
    (folder / "link.csv").symlink_to("in.csv")
    before = (folder / "in.csv").read_bytes()
    output = output.replace("FOLDER", folder.name)
    ended = pipeline(*echoing(given=given, output=output), folder=folder)
    assert (folder / "in.csv").read_bytes() == before
    assert "in.csv" in alone(ended)


def test_a_link_to_an_output_shares_its_lock_and_its_answers(two: Job, server: Server) -> None:
    """Two runs at once would write to one file and pay twice."""
    folder = two.folder / "elsewhere"
    folder.mkdir()
    (two.folder / "link.csv").symlink_to(folder / "out.csv")
    through_link = [text if text != "out.csv" else "link.csv" for text in two.arguments()]
    direct = [text if text != "out.csv" else "elsewhere/out.csv" for text in two.arguments()]
    server.change(latency_seconds=20.0)
    first = start(*direct, folder=two.folder)
    until(first, "2 rows")
    second = pipeline(*through_link, folder=two.folder)
    first.kill()
    assert error(second) == (
        f"another run (process {first.pid}) is writing to this output: "
        "wait for it, or choose another output"
    )
    server.change(latency_seconds=0.0)
    assert pipeline(*through_link, folder=two.folder).code == 0
    before = server.tally.answered
    assert pipeline(*direct, folder=two.folder).code == 0
    assert (server.tally.answered, len(read_rows(folder / "out.csv"))) == (before, 2)
    assert (two.folder / "link.csv").is_symlink()


def test_a_journal_beside_a_link_makes_nobodys_file_ours(folder: Path) -> None:
    """A folder of somebody else may hold a link to a file of mine, and a journal for it."""
    assert pipeline(*echoing(), folder=folder).code == 0
    theirs = folder / "theirs"
    theirs.mkdir()
    mine = folder / "mine.csv"
    mine.write_text("kept\n", encoding="utf-8")
    (theirs / "out.csv").symlink_to(mine)
    (folder / "out.csv.journal").rename(theirs / "out.csv.journal")
    ended = pipeline(*echoing(output="theirs/out.csv"), folder=folder)
    assert "exists and wasn't written by this program" in error(ended)
    assert mine.read_text(encoding="utf-8") == "kept\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
def test_characters_that_a_terminal_lacks_are_replaced(folder: Path, encoding: str) -> None:
    (folder / "in.csv").rename(folder / "in-日本.csv")
    command = ["run", "in-日本.csv", "--instruction", "Say 日.", "-o", "out.csv", "-m", "echo"]
    for options in (["--dry-run"], []):
        ended = pipeline(*command, *options, folder=folder, PYTHONIOENCODING=encoding)
        assert (ended.code, ended.errors) == (0, [])
    ended = pipeline("run", "日.csv", *command[2:], folder=folder, PYTHONIOENCODING=encoding)
    assert error(ended).startswith("there is no file or folder ")


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="nothing tells the limits here")
def test_a_crash_leaves_no_core_dump_with_the_key(folder: Path) -> None:
    command = ["run", "-", "--instruction", "Say it.", "-o", "out.csv", "-m", "echo"]
    process = start(*command, folder=folder)
    limits = Path(f"/proc/{process.pid}/limits")
    while _core(limits) != ["0", "0"]:  # what holds now, and how far it could be raised again
        assert process.poll() is None
    assert end(process, "Hello").code == 0


def _core(limits: Path) -> list[str]:
    lines = limits.read_text(encoding="ascii").splitlines()
    return next(line for line in lines if line.startswith("Max core file size")).split()[4:6]


def test_files_may_have_any_names(folder: Path) -> None:
    name, output = os.fsdecode(b"caf\xe9.csv"), os.fsdecode(b"\xfc.csv")  # Latin-1, not UTF-8
    try:
        (folder / name).write_bytes((folder / "in.csv").read_bytes())
    except OSError:
        pytest.skip("not on this file system")
    ended = pipeline(*echoing(given=name, output=output), folder=folder)
    assert (ended.code, ended.errors) == (0, [])
    assert column(read_rows(folder / output), "id") == ["007", "NA"]


def test_an_instruction_is_a_prompt(folder: Path) -> None:
    command = ["--instruction", "Translate {{ this }}", "--dry-run"]
    ended = pipeline(*echoing(*command, prompt=""), folder=folder)
    assert ended.code == 0
    assert json.loads(ended.out)["messages"] == [
        {"role": "system", "content": "Translate {{ this }}"},
        {"role": "user", "content": "Hello"},
    ]
    assert ended.lines[0].startswith("an instruction is sent as it is, its {{ }} too")


def test_an_estimate_leaves_out_what_is_done(folder: Path) -> None:
    assert pipeline(*echoing("--limit", "1"), folder=folder).code == 0
    command = ["estimate", "in.csv", "-p", "ask.prompty", "-o", "out.csv", "-m", "echo"]
    ended = pipeline(*command, folder=folder)
    assert (ended.code, ended.out) == (
        0,
        "2 rows, 1 done already, 1 request to echo, about 7 prompt tokens (estimated): free\n",
    )


def test_models_are_listed_with_their_prices(folder: Path) -> None:
    ended = pipeline("models", "luna", folder=folder)
    assert ended.code == 0
    head, *lines = ended.out.splitlines()
    assert head.split() == ["model", "input", "cached", "output", "context"]
    assert "gpt-6-luna 0.1 0.01 0.5 1,050,000 (default)" in [
        " ".join(line.split()) for line in lines
    ]


def test_a_reader_that_has_enough_is_no_error(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "models"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as stderr:
        assert b"Traceback" not in stderr.read()
    process.wait()


# At a terminal


def at_a_terminal(folder: Path, answer: bytes, *command: str) -> tuple[int, str]:
    """Run a command with a terminal for input and errors, and type an answer when it asks."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *command],
        cwd=folder,
        env=environment(),
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other side has closed it
            break
        shown += part
        if part.rstrip().endswith(b"Go on? [Y/n]:"):
            os.write(ours, answer)
    os.close(ours)
    return process.wait(), shown.decode()


@pytest.mark.parametrize(
    ("answer", "options", "code", "received"),
    [
        (b"n\n", [], 2, 0),
        (b"\n", [], 0, 2),
        (b"", ["--yes"], 0, 2),
    ],
)
def test_over_a_dollar_it_asks_at_a_terminal(
    two: Job, server: Server, answer: bytes, options: list[str], code: int, received: int
) -> None:
    command = two.arguments("--max-tokens", "100000", *options)
    ended, shown = at_a_terminal(two.folder, answer, *command)
    assert (ended, server.tally.received) == (code, received)
    assert ("Go on? [Y/n]:" in shown) == (not options)
    assert ("nothing was sent" in shown) == (code == 2)
    bar = re.search(r"100% \|.*2/2 \[.* left, [\d,]+ tokens, 0\.0\d+ USD", shown)
    assert bool(bar) == (code == 0)


def test_what_a_stronger_model_may_cost_is_asked_for_too(two: Job, server: Server) -> None:
    ended, shown = at_a_terminal(
        two.folder, b"n\n",
        *("classify", "in.csv", "-o", "out.csv", "--labels", "a,b", "--base-url", server.base_url),
        *("--price", "1,1", "--escalate", "big", "--escalate-price", "9999,9999"),
    )  # fmt: skip
    assert (ended, server.tally.received) == (2, 0)
    assert "Go on? [Y/n]:" in shown


def test_a_server_that_was_never_there_is_said_so(tmp_path: Path) -> None:
    fill(tmp_path)
    ended = Job(tmp_path, CLOSED).run("--patience", "0.05")
    assert re.fullmatch(
        f"{CLOSED} can't be reached: .+; is --base-url right, and does the server run\\?",
        error(ended, 4),
    )


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_what_somebody_made_of_the_output_is_kept(folder: Path, suffix: str) -> None:
    output = folder / f"out{suffix}"
    command = echoing(output=output.name)
    pack = gzip.compress if suffix.endswith(".gz") else bytes
    assert pipeline(*command, folder=folder).code == 0
    for mine in (pack(b"fine"), pack(b"better")):  # at once
        output.write_bytes(mine)
        before = set(folder.iterdir())
        ended = pipeline(*command, folder=folder)
        assert ended.code == 0
        (aside,) = set(folder.iterdir()) - before
        assert re.fullmatch(rf"out-[-\dT]+{re.escape(suffix)}", aside.name)
        assert aside.read_bytes() == mine
        assert any(f"that version is kept as {aside.name}" in line for line in ended.lines)
        assert output.read_bytes() != mine


def test_a_workbook_of_somebody_is_not_written_over(folder: Path) -> None:
    classify = ("classify", "in.csv", "--labels", "a,b", "-o", "l.csv", "--model", "echo")
    (folder / "mine.xlsx").write_bytes(b"mine")
    ended = pipeline(*classify, "--review", "mine.xlsx", folder=folder)
    assert (ended.code, (folder / "mine.xlsx").read_bytes()) == (2, b"mine")
    for _ in range(2):  # nobody has said anything in it yet
        assert pipeline(*classify, "--review", "new.xlsx", folder=folder).code == 0
    book = openpyxl.load_workbook(folder / "new.xlsx")
    book.worksheets[0]["A2"] = "a"
    book.save(folder / "new.xlsx")
    ended = pipeline(*classify, "--review", "new.xlsx", folder=folder)
    assert ended.code == 2
    assert "pipeline review new.xlsx" in ended.errors[0]


def test_a_name_that_is_nearly_ours_sends_nothing(folder: Path) -> None:
    ended = pipeline(*echoing(model="Local"), folder=folder, OPENAI_API_KEY="x")
    assert (ended.code, ended.errors) == (2, ["error: --model Local: did you mean local?"])
