"""What the rows of a run share is paid for once: written to the server's cache, then read from it.

The server plays OpenAI: it is reached at OpenAI's name, as a proxy.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.costs import find_price, usd
from pipeline.vendors import OPENAI_URL
from tests.running import Ended, billed, pipeline, read_rows, texts, write_rows
from tests.server import Bill, Fault, Server

LONG = " ".join(f"Rule {number}: be right." for number in range(400))
SHORT = "Be right."
ROWS = 20


def ask(
    folder: Path,
    server: Server,
    rows: int = ROWS,
    *options: object,
    system: str = LONG,
    ask: str = "{{ text }}",
    head: str = "",
) -> Ended:
    """Ask gpt-6-luna at OpenAI's own address about some rows."""
    said = f"---\nname: ask\nmodel: {{options: {{maxOutputTokens: 20{head}}}}}\n---\n"
    (folder / "ask.prompty").write_text(f"{said}system:\n{system}\nuser:\n{ask}\n")
    write_rows(folder / "in.csv", [{"text": text} for text in texts(rows)])
    return command(folder, server, "run", "in.csv", "-p", "ask.prompty", *options)


def command(folder: Path, server: Server, *arguments: object) -> Ended:
    return pipeline(
        *arguments,
        "-o",
        "out.csv",
        folder=folder,
        OPENAI_API_KEY="sk-test",
        OPENAI_BASE_URL="http://api.openai.com/v1",
        http_proxy=server.base_url.removesuffix("/v1"),
    )


def cost_usd(bill: Bill) -> Decimal:
    return bill.cost_usd(prompt="0.1", completion="0.5", cached="0.01")


def bodies(server: Server) -> list[dict[str, Any]]:
    return [dict(record.json) for record in server.tally.records]


def marks(body: dict[str, Any]) -> list[str]:
    """List the texts after which a body has a mark."""
    contents = [message["content"] for message in body["messages"]]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return [part["text"] for part in parts if "prompt_cache_breakpoint" in part]


def estimated(ended: Ended) -> tuple[Decimal, Decimal]:
    """Read the least and the most that a run was to cost."""
    (line,) = [line for line in ended.lines if "estimated" in line]
    words = line.partition("estimated ")[2].split()
    return Decimal(words[0]), Decimal(words[2])


def test_the_price_is_what_these_tests_reckon_with() -> None:
    price = find_price("gpt-6-luna", OPENAI_URL)
    assert price is not None
    rates = price.tiers[0]
    assert (rates.input, rates.output) == (Decimal("0.1"), Decimal("0.5"))
    assert (rates.cached, rates.cache_write) == (Decimal("0.01"), Decimal("0.125"))


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_what_all_rows_share_is_written_once_and_read_by_the_others(
    tmp_path: Path, server: Server, seconds: float
) -> None:
    server.change(writes_cache=True, latency_seconds=seconds)
    ended = ask(tmp_path, server)
    assert ended.code == 0, ended.err
    bill = server.tally.billed
    shared = len(LONG.split()) + 3
    assert (bill.cache_writes, bill.cache_write_tokens) == (1, shared)
    assert bill.cached_tokens == shared * (ROWS - 1)
    read, cost = billed(read_rows(tmp_path / "out.csv"))
    assert (read.cached_tokens, cost) == (bill.cached_tokens, cost_usd(bill))
    saved = Decimal("0.09") * bill.cached_tokens - Decimal("0.025") * shared
    assert f"{bill.cached_tokens:,} tokens of the prompts in its cache" in ended.err
    assert f"which saved {usd(saved / 10**6)}" in ended.err
    assert [marks(body) for body in bodies(server)] == [[LONG]] * ROWS
    assert len({body["prompt_cache_key"] for body in bodies(server)}) == 1


def test_the_estimate_reckons_with_the_cache(tmp_path: Path, server: Server) -> None:
    server.change(writes_cache=True, prompt_tokens=None)
    ended = ask(tmp_path, server)
    least, most = estimated(ended)
    own = len(LONG.split())
    plain = Decimal("0.1") * own * ROWS / 10**6  # the words alone, each a token or more
    assert least < plain / 2
    assert plain < most
    alone = estimated(ask(tmp_path, server, ROWS, "--fresh", system=SHORT))
    assert alone[0] < alone[1] < least


@pytest.mark.parametrize(
    ("system", "rows"), [(SHORT, ROWS), (LONG, 1), ("Be right about {{ text }}.", ROWS)]
)
def test_nothing_is_written_that_nobody_reads(
    tmp_path: Path, server: Server, system: str, rows: int
) -> None:
    server.change(writes_cache=True, prompt_tokens=2000)
    ended = ask(tmp_path, server, rows, system=system)
    bill = server.tally.billed
    assert (bill.cache_writes, bill.cached_tokens) == (0, 0)
    assert billed(read_rows(tmp_path / "out.csv"))[1] == cost_usd(bill)
    assert "cache" not in ended.err
    assert not any(marks(body) or "prompt_cache_key" in body for body in bodies(server))


def test_the_template_before_the_first_field_is_shared(tmp_path: Path, server: Server) -> None:
    server.change(writes_cache=True)
    ask(tmp_path, server, system=SHORT, ask=f"{LONG}\nText: {{{{ text }}}}")
    assert server.tally.billed.cache_writes == 1
    assert [marks(body) for body in bodies(server)] == [[f"{LONG}\nText: "]] * ROWS
    last = bodies(server)[0]["messages"][-1]["content"]
    assert last[1] == {"type": "text", "text": texts(1)[0]}


@pytest.mark.parametrize(
    "kind", ["internal_error", "rate_limit_exceeded", "truncated", "bad_request", "reset"]
)
def test_another_row_writes_if_the_first_fails(tmp_path: Path, server: Server, kind: Any) -> None:
    server.change(writes_cache=True, faults=(Fault(kind, at=(1,), billed=False),))
    ask(tmp_path, server)
    bill = server.tally.billed
    marked = sum(map(bool, map(marks, bodies(server)))) - 1  # one of them failed
    assert bill.requests == (ROWS - 1 if kind == "bad_request" else ROWS)
    assert bill.cache_writes == 1
    assert bill.cached_tokens == (marked - 1) * bill.cache_write_tokens
    assert marked >= ROWS - 4  # after a refusal some go at once


def test_rows_that_are_sent_before_the_first_answer_do_not_write(
    tmp_path: Path, server: Server
) -> None:
    slow = Fault("hang", seconds=1.0, where=lambda body: bool(marks(body)), times=1)
    server.change(writes_cache=True, faults=(Fault("rate_limit_exceeded", at=(1,)), slow))
    assert ask(tmp_path, server).code == 0
    assert server.tally.billed.cache_writes == 1
    assert not all(map(marks, bodies(server)))


def test_the_votes_on_a_row_share_its_prompt(tmp_path: Path, server: Server) -> None:
    server.change(writes_cache=True)
    write_rows(tmp_path / "in.csv", [{"text": "one"}])
    labels = ",".join(f"label number {number}" for number in range(300))
    options = ("--labels", labels, "--votes", 3)
    ended = command(tmp_path, server, "classify", "in.csv", *options)
    assert ended.code == 0, ended.err
    bill = server.tally.billed
    assert (bill.requests, bill.cache_writes) == (3, 1)
    assert bill.cached_tokens == 2 * bill.cache_write_tokens
    assert billed(read_rows(tmp_path / "out.csv"))[1] == cost_usd(bill)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_dry_run_shows_what_would_be_marked(tmp_path: Path, server: Server, rows: int) -> None:
    shown = json.loads(ask(tmp_path, server, rows, "--dry-run").out)
    assert marks(shown) == ([LONG] if rows > 1 else [])
    ask(tmp_path, server, rows)
    assert bodies(server)[0] == shown


def test_a_user_who_says_how_to_cache_is_obeyed(tmp_path: Path, server: Server) -> None:
    server.change(writes_cache=True)
    options = ", additionalProperties: {prompt_cache_options: {mode: implicit}}"
    ask(tmp_path, server, head=options)
    assert not any(marks(body) for body in bodies(server))
    assert server.tally.billed.cache_writes == ROWS
    assert billed(read_rows(tmp_path / "out.csv"))[1] == cost_usd(server.tally.billed)


def test_a_key_of_the_users_own_is_kept(tmp_path: Path, server: Server) -> None:
    ask(tmp_path, server, head=", additionalProperties: {prompt_cache_key: mine}")
    assert {body["prompt_cache_key"] for body in bodies(server)} == {"mine"}


def test_a_refused_mark_is_left_out(tmp_path: Path, server: Server) -> None:
    param = "messages[0].content[0].prompt_cache_breakpoint"
    refused = Fault(
        "bad_request",
        message=f"Unknown parameter: '{param}'.",
        code="unknown_parameter",
        param=param,
        where=lambda body: "prompt_cache_breakpoint" in str(body),
    )
    server.change(faults=(refused,))
    assert ask(tmp_path, server).code == 0
    assert server.tally.statuses[400] == 1
    assert not any(marks(body) for body in bodies(server)[1:])
