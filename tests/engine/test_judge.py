"""Answers that are of no use: asked for again once, billed, and never a silent value."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.backends.base import Answered
from pipeline.engine.judge import Judge
from pipeline.types import Response, Result, Usage
from tests.backends.asking import request
from tests.running import Job, billed, column, job, pipeline, price, query, read_rows, write_rows
from tests.server import Fault, Kind, Server
from tests.server.answers import max_tokens
from tests.test_promises import ask_here

LABEL = """---
name: ask
model:
  options:
    maxOutputTokens: 20
outputs:
  - name: label
    enumValues: [bug, praise]
---
user:
{{ text }}
"""
GOOD = '{"label": "bug"}'


def by_ask(*answers: str) -> Callable[[Mapping[str, Any]], str]:
    """Answer the first, the second ... asking of each row like this."""
    return lambda body: answers[len(body["messages"]) // 2]


def bodies(server: Server) -> list[Any]:
    return [record.json for record in server.tally.records]


def check_bill(made: Job, server: Server) -> None:
    """The rows add up to what the server bills."""
    bill, cost = billed(made.rows())
    told = server.tally.billed
    assert (bill.prompt_tokens, bill.completion_tokens) == (
        told.prompt_tokens,
        told.completion_tokens,
    )
    assert cost == price(told)


def test_an_answer_that_does_not_fit_is_asked_for_again_with_the_reason(
    tmp_path: Path, server: Server
) -> None:
    server.change(answer=by_ask('{"label": "spam"}', GOOD))
    made = job(tmp_path, server, ["one"], prompt=LABEL)
    assert ask_here(made, prompt=LABEL) == {"ok": 1}
    (row,) = made.rows()
    reason = """the answer doesn't fit: label: "spam" is not one of "bug" or "praise\""""
    assert row["error"] == f"asked again because {reason}"
    assert (row["label"], row["attempts"]) == ("bug", "2")
    check_bill(made, server)
    first, second = bodies(server)
    assert second["messages"] == [
        *first["messages"],
        {"role": "assistant", "content": '{"label": "spam"}'},
        {
            "role": "user",
            "content": f"That can't be used: {reason}. Please answer again and fix this.",
        },
    ]
    assert first["response_format"] == second["response_format"]


def test_an_answer_that_does_not_fit_twice_fails_with_the_reason(
    tmp_path: Path, server: Server
) -> None:
    server.change(answer=by_ask("[1]", '{"label": 7}'))
    made = job(tmp_path, server, ["one", "two"], prompt=LABEL)
    assert ask_here(made, prompt=LABEL) == {"failed": 2}
    reason = (
        'the answer doesn\'t fit: label: 7 is not of type "string"; '
        'label: 7 is not one of "bug" or "praise" (asked twice)'
    )
    assert column(made.rows(), "error") == [reason, reason]
    assert column(made.rows(), "label") == ["", ""]
    assert server.tally.received == 4
    check_bill(made, server)
    # A failed row is asked by the next run, from the start.
    server.change(answer=by_ask(GOOD))
    assert ask_here(made, prompt=LABEL) == {"ok": 2}
    assert server.tally.received == 6
    check_bill(made, server)


def test_a_second_run_goes_on_with_the_second_asking(tmp_path: Path, server: Server) -> None:
    """The first answer is paid for and in the journal; only the second was lost."""
    server.change(
        answer=by_ask("nonsense", GOOD),
        faults=(Fault("insufficient_quota", where=lambda body: len(body["messages"]) > 1),),  # type: ignore[arg-type]
    )
    made = job(tmp_path, server, ["one"], prompt=LABEL)
    ended = made.run()
    assert ended.code == 4
    assert query(made.journal, "SELECT status FROM results") == [("again",)]
    server.change(faults=())
    server.reset()
    assert made.run().code == 0
    (row,) = made.rows()
    assert (row["label"], row["attempts"], row["status"]) == ("bug", "2", "ok")
    assert [len(body["messages"]) for body in bodies(server)] == [3]
    assert made.run().code == 0
    assert server.tally.received == 1


def test_after_kill_9_the_first_asking_is_not_paid_again(tmp_path: Path, server: Server) -> None:
    server.change(
        answer=by_ask("nonsense", GOOD),
        latency_seconds=lambda body: 0.0 if len(body["messages"]) == 1 else 60.0,  # type: ignore[arg-type]
    )
    made = job(tmp_path, server, ["one"], prompt=LABEL)
    process = made.start()
    server.wait(received=2)
    process.kill()
    process.communicate()
    server.change(latency_seconds=0.0)
    server.reset()
    assert made.run().code == 0
    (row,) = made.rows()
    assert (row["label"], row["attempts"]) == ("bug", "2")
    assert [len(body["messages"]) for body in bodies(server)] == [3]


def test_a_cut_off_answer_is_asked_for_again_with_a_larger_allowance(
    tmp_path: Path, server: Server
) -> None:
    server.change(answer=lambda body: "word " * 50)
    made = job(tmp_path, server, ["one"])
    assert ask_here(made) == {"ok": 1}
    (row,) = made.rows()
    assert row["output"] == "word " * 50
    assert row["error"] == "asked again because the answer was cut off at 20 tokens"
    assert [body["max_tokens"] for body in bodies(server)] == [20, 80]
    assert bodies(server)[0]["messages"] == bodies(server)[1]["messages"]
    check_bill(made, server)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("cut off", "the answer was cut off at 80 tokens (asked twice); raise --max-tokens"),
        (
            "reasoning",
            "reasoning used up the whole allowance of 80 tokens (asked twice); raise --max-tokens",
        ),
        ("content_empty", "the answer is empty (finish_reason stop) (asked twice)"),
        ("content_null", "the answer is empty (finish_reason stop) (asked twice)"),
        ("refusal", "the model refused: I can't help with that."),
        ("content_filter", "the provider's content filter stopped the answer"),
    ],
)
def test_what_is_no_answer_has_its_reason_and_no_value(
    tmp_path: Path, server: Server, kind: str, reason: str
) -> None:
    fault: Kind = kind  # type: ignore[assignment]
    if kind == "cut off":
        server.change(answer=lambda body: "word " * 500)
    elif kind == "reasoning":
        server.change(reasoning_tokens=500)
    else:
        server.change(faults=(Fault(fault),))
    made = job(tmp_path, server, ["one"])
    assert ask_here(made) == {"failed": 1}
    (row,) = made.rows()
    assert (row["status"], row["error"], row["output"]) == ("failed", reason, "")
    assert int(row["attempts"]) == server.tally.received
    check_bill(made, server)


def test_an_empty_answer_that_reasoning_ate_comes_with_a_larger_allowance(
    tmp_path: Path, server: Server
) -> None:
    server.change(reasoning_tokens=30)
    made = job(tmp_path, server, ["one"])
    assert ask_here(made) == {"ok": 1}
    (row,) = made.rows()
    assert row["error"] == "asked again because reasoning used up the whole allowance of 20 tokens"
    assert row["output"]
    check_bill(made, server)


def test_the_larger_allowance_stays_in_the_budget(tmp_path: Path, server: Server) -> None:
    """The second asking could cost more than is left: the row says so, and the next run may."""
    server.change(answer=lambda body: "word " * 50, prompt_tokens=10)
    made = job(tmp_path, server, ["one"])
    # 20 tokens of an answer are 0.00034 USD, 80 of them 0.00136.
    assert ask_here(made, max_cost=Decimal("0.001")) == {"failed": 1}
    (row,) = made.rows()
    assert row["error"] == (
        "the answer was cut off at 20 tokens; --max-cost leaves no room to ask again"
    )
    assert server.tally.received == 1
    assert ask_here(made) == {"ok": 1}
    assert [max_tokens(body) for body in bodies(server)] == [20, 80]
    check_bill(made, server)


def test_the_cap_holds_with_second_askings(tmp_path: Path, server: Server) -> None:
    server.change(answer=by_ask("nonsense", GOOD), latency_seconds=0.005)
    made = job(tmp_path, server, [f"row {row}" for row in range(60)], prompt=LABEL)
    cap = Decimal("0.003")
    found = ask_here(made, max_cost=cap, prompt=LABEL)
    assert found["ok"] and found["skipped"]
    assert price(server.tally.billed) <= cap
    check_bill(made, server)


def test_rows_with_the_same_request_share_both_askings(tmp_path: Path, server: Server) -> None:
    server.change(answer=by_ask("nonsense", GOOD), latency_seconds=0.01)
    made = job(tmp_path, server, ["same", "same", "same"], prompt=LABEL)
    assert ask_here(made, prompt=LABEL) == {"ok": 3}
    assert server.tally.received == 2
    assert column(made.rows(), "attempts") == ["2", "0", "0"]
    check_bill(made, server)


@pytest.mark.parametrize("said", ["BUG", " bug ", "Bug.", "b ug", '"bug"'])
def test_a_label_is_mapped_whatever_its_case_and_spaces(
    tmp_path: Path, server: Server, said: str
) -> None:
    server.change(answer=lambda body: json.dumps({"label": said}))
    made = job(tmp_path, server, ["one"], prompt=LABEL)
    assert ask_here(made, prompt=LABEL) == {"ok": 1}
    assert column(made.rows(), "label") == ["bug"]
    assert server.tally.received == 1


@pytest.mark.parametrize(
    ("window", "longest", "asked", "larger"),
    [
        (None, None, 100, 400),
        (1_000, None, 100, 400),
        (300, None, 100, 250),  # the prompt has 50 tokens
        (170, None, 100, None),  # 120 for the answer are hardly more than it had
        (None, 512, 100, 400),
        (None, 512, 400, None),
        (None, None, None, 400),  # it had 100, and the server may allow more
        (160, None, None, None),
    ],
)
def test_the_larger_allowance_ends_where_the_window_does(
    window: int | None, longest: int | None, asked: int | None, larger: int | None
) -> None:
    first = request("a text", max_tokens=asked)
    cut = Result(
        request=first, status="again", content="half", finish_reason="length", usage=Usage(50, 100)
    )
    second = Judge(window, longest).again([cut])
    assert (second and second.max_tokens) == larger


@pytest.mark.parametrize(
    "said", ['{"label": "\\ud800"}', '{"label": "bug", "more": ' + "[" * 900 + "]" * 900 + "}"]
)
def test_a_bad_answer_fails_alone(tmp_path: Path, server: Server, said: str) -> None:
    server.change(answer=lambda body: said if "bad" in str(body["messages"]) else GOOD)
    texts = [*(f"row {number}" for number in range(9)), "bad"]
    made = job(tmp_path, server, texts, prompt=LABEL)
    found = ask_here(made, prompt=LABEL)
    assert found["ok"] >= 9 and sum(found.values()) == 10
    check_bill(made, server)


def test_an_answer_that_nobody_thought_of_fails_its_row_and_is_billed() -> None:
    answer = Response(content=7, finish_reason="stop", model="m", usage=None)  # type: ignore[arg-type]
    result = Judge().settle(Answered(request(), answer, attempts=1, usage=Usage(50, 100)))
    assert (result.status, result.usage, result.attempts) == ("failed", Usage(50, 100), 1)
    assert result.error is not None
    assert result.error.startswith("the answer can't be read (unexpected AttributeError: ")


def test_what_a_model_thinks_aloud_is_no_answer(tmp_path: Path, server: Server) -> None:
    said = {
        "a": "<think>Maybe.\nOr not.</think>\n\nYes.",
        "b": "No <think> in it.",
        "c": "<think>I never come to an end",
    }
    server.change(answer=lambda body: said[body["messages"][-1]["content"]])
    write_rows(tmp_path / "in.csv", [{"text": text} for text in said])
    ended = pipeline(
        *("run", "in.csv", "--instruction", "Say it.", "-o", "out.csv", "--model", "m"),
        *("--base-url", server.base_url),
        folder=tmp_path,
    )
    assert ended.code == 1
    rows = read_rows(tmp_path / "out.csv")
    assert column(rows, "output") == ["Yes.", "No <think> in it.", ""]
    assert rows[2]["error"] == "the answer is empty (finish_reason stop) (asked twice)"


def test_what_the_server_cuts_off_is_asked_again_with_an_allowance(
    tmp_path: Path, server: Server
) -> None:
    """Where nobody gave one, the server has one of its own."""
    server.change(reasoning_tokens=50, allows_tokens=20)
    write_rows(tmp_path / "in.csv", [{"text": "think"}])
    command = (
        *("run", "in.csv", "--instruction", "Say it.", "-o", "out.csv", "--model", "m"),
        *("--base-url", server.base_url),
    )
    assert pipeline(*command, folder=tmp_path).code == 0
    first, second = (record.json for record in server.tally.records)
    assert "max_tokens" not in first
    assert second["max_tokens"] == 80
    (row,) = read_rows(tmp_path / "out.csv")
    assert row["error"] == "asked again because reasoning used up the whole allowance of 20 tokens"


@pytest.mark.parametrize(
    ("reason", "sent", "error"),
    [
        ("max_tokens", 2, "the answer was cut off at 80 tokens (asked twice); raise --max-tokens"),
        ("MAX_TOKENS", 2, "the answer was cut off at 80 tokens (asked twice); raise --max-tokens"),
        ("incomplete", 2, "the answer was cut off at 80 tokens (asked twice); raise --max-tokens"),
        (
            "model_length",
            1,
            "the answer was cut off where the model's context is full (model_length); "
            "--chunk-tokens N asks part by part",
        ),
        ("SAFETY", 1, "the provider's content filter stopped the answer (SAFETY)"),
        (
            "content_filtered",
            1,
            "the provider's content filter stopped the answer (content_filtered)",
        ),
        ("abort", 2, "the answer broke off (finish_reason abort) (asked twice)"),
        ("whatever", 2, "the answer broke off (finish_reason whatever) (asked twice)"),
    ],
)
def test_only_a_good_end_makes_a_value(
    tmp_path: Path, server: Server, reason: str, sent: int, error: str
) -> None:
    choice = {"message": {"content": "The contract says that"}, "finish_reason": reason}
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    payload = json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()
    server.change(faults=(Fault("status", status=200, payload=payload, billed=True),))
    made = job(tmp_path, server, ["one"])
    assert ask_here(made) == {"failed": 1}
    (row,) = made.rows()
    assert (row["output"], row["error"], row["attempts"]) == ("", error, str(sent))
    assert row["total_tokens"] == str(14 * sent)


@pytest.mark.parametrize("reason", ["eos", "STOP", "end_turn", "COMPLETE", None, "tool_calls"])
def test_any_good_end_makes_a_value(tmp_path: Path, server: Server, reason: str | None) -> None:
    choice = {"message": {"content": "Yes."}, "finish_reason": reason}
    payload = json.dumps({"model": "m", "choices": [choice]}).encode()
    server.change(faults=(Fault("status", status=200, payload=payload),))
    made = job(tmp_path, server, ["one"])
    assert ask_here(made) == {"ok": 1}
    assert column(made.rows(), "output") == ["Yes."]


def test_an_answer_to_a_part_of_a_prompt_is_no_value(tmp_path: Path, server: Server) -> None:
    server.change(prompt_tokens=2_048)
    made = job(tmp_path, server, ["a text about a contract. " * 3_000])
    assert ask_here(made) == {"failed": 1}
    (row,) = made.rows()
    assert row["error"].startswith("the server read 2,048 of about ")
    assert row["error"].endswith("or use --chunk-tokens N")
    assert (row["output"], row["attempts"], row["prompt_tokens"]) == ("", "1", "2048")


def test_an_answer_that_was_read_on_its_way_is_not_read_again() -> None:
    values = {"label": "bug"}
    answer = Response("read already", "stop", "m", Usage(3, 2), values=values)
    schema = {"type": "object", "properties": {"label": {"enum": ["bug"]}}}
    result = Judge().settle(Answered(request("a", schema=schema), answer, attempts=1))
    assert (result.status, result.content) == ("ok", "read already")
