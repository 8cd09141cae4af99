"""An output's rows: the input as it was, then what was answered and what it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from pipeline.costs import counter
from pipeline.engine.lookups import look_up
from pipeline.engine.rows import Rows
from pipeline.engine.steps import Steps
from pipeline.errors import UsageError
from pipeline.journal.store import Store
from pipeline.prompting.loading import parse
from pipeline.prompting.prompt import Prompt
from pipeline.sources.spool import Slot
from pipeline.types import Column, Document, Result, Usage

PLAIN = parse("user:\n{{ text }}\n")
TALK = parse("user:\n{{ text }}\nuser:\nShorter.\n")
LABEL = parse(
    "---\noutputs: [{name: label}, {name: score, kind: integer}]\n---\nuser:\n{{ text }}\n"
)
USAGE = Usage(10, 5, 4, 0, 3)
INPUT = [Column("id", "text"), Column("text", "text")]
ACCOUNT = [
    Column("status", "text"),
    Column("error", "text"),
    Column("model", "text"),
    Column("finish_reason", "text"),
    Column("prompt_tokens", "integer"),
    Column("completion_tokens", "integer"),
    Column("total_tokens", "integer"),
    Column("cached_tokens", "integer"),
    Column("reasoning_tokens", "integer"),
    Column("cost_usd", "decimal"),
    Column("attempts", "integer"),
    Column("latency_seconds", "number"),
]
EMPTY: dict[str, object] = {column.name: None for column in ACCOUNT}


def steps(prompt: Prompt) -> Steps:
    return Steps(prompt, counter("gpt-6-luna"))


def made_of(prompt: Prompt, store: Store) -> dict[str, Any]:
    """Give what rows of a prompt are made of."""
    of = steps(prompt)
    return {"steps": of, "look_up": partial(look_up, follow=of.follow, find=store.get_all)}


def documents(*texts: str) -> list[Document]:
    return [
        Document(position, f"row {position}", {"id": f"{position:03}", "text": text}, text)
        for position, text in enumerate(texts)
    ]


def answer(
    store: Store,
    document: Document,
    content: str | None = "an answer",
    *,
    prompt: Prompt = PLAIN,
    said: Sequence[str] = (),
    usage: Usage | None = USAGE,
    cost: str | None = "0.5",
    error: str | None = None,
) -> None:
    result = Result(
        request=prompt.render(document, said),
        status="failed" if error else "ok",
        error=error,
        content=content,
        model="m-1" if content else None,
        finish_reason="stop" if content else None,
        usage=usage,
        cost_usd=None if cost is None else Decimal(cost),
        attempts=1,
        latency_seconds=0.2504,
    )
    store.put_all([result])


def rows(
    store: Store, of: Sequence[Document], prompt: Prompt = PLAIN, prefix: str = ""
) -> list[dict[str, object]]:
    made = Rows([*map(Slot, of)], INPUT, **made_of(prompt, store), prefix=prefix)
    names = [column.name for column in made.columns]
    found = [dict(row) for row in made]
    assert all(row.keys() <= set(names) for row in found)
    return [{name: row.get(name) for name in names} for row in found]


PAID: dict[str, object] = {
    "status": "ok",
    "error": None,
    "model": "m-1",
    "finish_reason": "stop",
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "cached_tokens": 4,
    "reasoning_tokens": 3,
    "cost_usd": Decimal("0.5"),
    "attempts": 1,
    "latency_seconds": 0.25,
}
FREE = PAID | {
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "total_tokens": 0,
    "cached_tokens": 0,
    "reasoning_tokens": 0,
    "cost_usd": Decimal(0),
    "attempts": 0,
    "latency_seconds": 0.0,
}
UNKNOWN = dict.fromkeys(
    [
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cached_tokens",
        "reasoning_tokens",
        "cost_usd",
    ]
)


@pytest.mark.parametrize(
    ("prompt", "answers"),
    [
        (PLAIN, [Column("output", "text")]),
        (TALK, [Column("output", "text"), Column("output_1", "text")]),
        (LABEL, [Column("label", "text"), Column("score", "integer")]),
    ],
)
def test_the_inputs_columns_come_first_then_the_answers_then_the_account(
    store: Store, prompt: Prompt, answers: list[Column]
) -> None:
    added = [replace(column, guarded=True) for column in (*answers, *ACCOUNT)]
    assert Rows([], INPUT, **made_of(prompt, store)).columns == [*INPUT, *added]


def test_a_prefix_is_put_before_each_new_column_and_no_other(store: Store) -> None:
    (document,) = documents("a")
    answer(store, document)
    (row,) = rows(store, [document], prefix="ai_")
    assert row == {
        "id": "000",
        "text": "a",
        "ai_output": "an answer",
        **{f"ai_{name}": value for name, value in PAID.items()},
    }


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["status"], "a column status"),
        (["output"], "a column output"),
        (["total_tokens", "output", "x"], "columns output, total_tokens"),
    ],
)
def test_a_name_that_the_input_has_already_is_refused(
    store: Store, names: list[str], said: str
) -> None:
    columns = [Column(name) for name in names]
    with pytest.raises(UsageError) as caught:
        Rows([], columns, **made_of(PLAIN, store))
    assert str(caught.value) == (
        f"the input already has {said}: name the new columns apart with --prefix, "
        "such as --prefix ai_"
    )
    assert len(Rows([], columns, **made_of(PLAIN, store), prefix="ai_").columns) == len(names) + 13


def test_a_prefix_that_collides_is_refused_too(store: Store) -> None:
    with pytest.raises(UsageError, match="already has a column ai_status"):
        Rows([], [Column("ai_status")], **made_of(PLAIN, store), prefix="ai_")


@pytest.mark.parametrize(
    ("name", "turns"), [("status", 1), ("error", 1), ("cost_usd", 1), ("output", 2)]
)
def test_a_property_with_the_name_of_another_new_column_is_refused(
    store: Store, name: str, turns: int
) -> None:
    messages = "user:\n{{ text }}\n" * turns
    prompt = parse(f"---\noutputs: [{{name: {name}}}]\n---\n{messages}")
    with pytest.raises(UsageError, match=name):
        Rows([], INPUT, **made_of(prompt, store))


def test_the_inputs_cells_are_the_very_objects(store: Store) -> None:
    fields = {"id": "007", "text": "NA", "empty": "", "none": None, "number": 1.50, "list": [1]}
    document = Document(0, "row", fields, "NA")
    answer(store, document)
    (row,) = Rows([Slot(document)], [Column(name) for name in fields], **made_of(PLAIN, store))
    assert all(row[name] is value for name, value in fields.items())
    assert [*row][: len(fields)] == [*fields]


def test_what_was_not_asked_is_skipped_with_nothing_spent(store: Store) -> None:
    asked, not_asked = documents("a", "b")
    answer(store, asked)
    assert rows(store, [not_asked, asked]) == [
        {"id": "001", "text": "b", "output": None, **EMPTY, "status": "skipped"},
        {"id": "000", "text": "a", "output": "an answer", **PAID},
    ]


def test_a_row_without_an_answer_has_all_columns_too(store: Store) -> None:
    """A line of JSON has the keys that its row has."""
    asked, not_asked = documents("a", "b")
    answer(store, asked, None, error="HTTP 400: no", usage=None, cost=None)
    made = Rows([Slot(asked), Slot(not_asked)], INPUT, **made_of(LABEL, store))
    names = [column.name for column in made.columns]
    assert [[*row] for row in made] == [names, names]


def test_rows_of_one_request_have_one_answer_and_one_bill(store: Store) -> None:
    first, second, other, third = documents("same", "same", "other", "same")
    answer(store, first)
    answer(store, other)
    found = rows(store, [first, second, other, third])
    assert [row["output"] for row in found] == ["an answer"] * 4
    accounts = [{name: row[name] for name in PAID} for row in found]
    assert accounts == [PAID, FREE, PAID, FREE]


def test_each_walk_gives_the_same_rows(store: Store) -> None:
    same = documents("a", "a")
    answer(store, same[0])
    made = Rows([*map(Slot, same)], INPUT, **made_of(PLAIN, store))
    assert [dict(row) for row in made] == [dict(row) for row in made]


def test_a_row_that_failed_says_why(store: Store) -> None:
    (document,) = documents("a")
    answer(store, document, None, error="HTTP 400: no", usage=None, cost=None)
    (row,) = rows(store, [document])
    assert row == {
        "id": "000",
        "text": "a",
        "output": None,
        **EMPTY,
        "status": "failed",
        "error": "HTTP 400: no",
        "attempts": 1,
        "latency_seconds": 0.25,
    }


def test_what_a_failed_row_took_is_billed(store: Store) -> None:
    (document,) = documents("a")
    answer(store, document, "I won't", error="the model refused: I won't")
    (row,) = rows(store, [document])
    assert row["output"] is None
    billed = PAID | {"status": "failed", "error": "the model refused: I won't"}
    assert {name: row[name] for name in PAID} == billed


def test_a_document_that_cannot_be_read_fails(store: Store) -> None:
    document = replace(documents("a")[0], error="the file is damaged", text="")
    (row,) = rows(store, [document])
    failed = {**EMPTY, "status": "failed", "error": "the file is damaged"}
    assert row == {"id": "000", "text": "a", "output": None, **failed}


def test_a_document_that_no_message_can_be_made_of_fails(store: Store) -> None:
    prompt = parse("---\nname: ask\n---\nuser:\n{{ 1 / (text | length) }}\n")
    (row,) = rows(store, documents(""), prompt)
    assert (row["status"], row["error"]) == (
        "failed",
        "user message of prompt ask: division by zero",
    )


def test_without_a_price_the_cost_is_empty_and_the_tokens_are_there(store: Store) -> None:
    (document,) = documents("a")
    answer(store, document, cost=None)
    (row,) = rows(store, [document])
    assert {name: row[name] for name in PAID} == PAID | {"cost_usd": None}


def test_without_a_usage_tokens_and_cost_are_empty(store: Store) -> None:
    (document,) = documents("a")
    answer(store, document, usage=None, cost=None)
    (row,) = rows(store, [document])
    assert {name: row[name] for name in PAID} == PAID | UNKNOWN


# Schemas


def test_an_answer_by_a_schema_fills_its_columns(store: Store) -> None:
    (document,) = documents("a")
    answer(store, document, '{"score": 3, "label": "bug", "more": 1}', prompt=LABEL)
    (row,) = rows(store, [document], LABEL)
    assert [*row.items()][:4] == [("id", "000"), ("text", "a"), ("label", "bug"), ("score", 3)]


def test_a_property_that_is_missing_is_empty(store: Store) -> None:
    (document,) = documents("a")
    answer(store, document, "{}", prompt=LABEL)
    (row,) = rows(store, [document], LABEL)
    assert (row["label"], row["score"], row["status"]) == (None, None, "ok")


# Turns


def test_each_turn_has_its_column_and_the_row_adds_them_up(store: Store) -> None:
    (document,) = documents("a")
    answer(store, document, "long", prompt=TALK, cost="0.1")
    answer(store, document, "short", prompt=TALK, said=["long"], cost="0.02")
    (row,) = rows(store, [document], TALK)
    assert row == {
        "id": "000",
        "text": "a",
        "output": "long",
        "output_1": "short",
        "status": "ok",
        "error": None,
        "model": "m-1",
        "finish_reason": "stop",
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "total_tokens": 30,
        "cached_tokens": 8,
        "reasoning_tokens": 6,
        "cost_usd": Decimal("0.12"),
        "attempts": 2,
        "latency_seconds": 0.501,
    }


def test_a_conversation_that_was_broken_off_keeps_what_was_said(store: Store) -> None:
    (document,) = documents("a")
    answer(store, document, "long", prompt=TALK)
    (row,) = rows(store, [document], TALK)
    assert (row["output"], row["output_1"]) == ("long", None)
    assert {name: row[name] for name in PAID} == PAID | {"status": "skipped"}


def test_a_conversation_of_which_a_turn_has_no_price_has_no_cost(store: Store) -> None:
    (document,) = documents("a")
    answer(store, document, "long", prompt=TALK, cost=None)
    answer(store, document, "short", prompt=TALK, said=["long"], cost="0.02")
    (row,) = rows(store, [document], TALK)
    assert (row["prompt_tokens"], row["cost_usd"]) == (20, None)


def test_a_conversation_fails_with_its_turn(store: Store) -> None:
    (document,) = documents("a")
    answer(store, document, "long", prompt=TALK, cost="0.1")
    answer(store, document, None, prompt=TALK, said=["long"], error="HTTP 400: no", usage=None)
    (row,) = rows(store, [document], TALK)
    assert (row["status"], row["error"]) == ("failed", "HTTP 400: no")
    assert (row["output"], row["output_1"]) == ("long", None)
    assert (row["prompt_tokens"], row["attempts"]) == (10, 2)


def test_turns_that_rows_share_are_billed_once(store: Store) -> None:
    """Two conversations that begin alike and go on alike are one."""
    same = documents("a", "a")
    answer(store, same[0], "long", prompt=TALK, cost="0.1")
    answer(store, same[0], "short", prompt=TALK, said=["long"], cost="0.02")
    found = rows(store, same, TALK)
    assert [row["output_1"] for row in found] == ["short", "short"]
    assert [row["cost_usd"] for row in found] == [Decimal("0.12"), Decimal(0)]
