"""The cheap model answers all, and a stronger one what the cheap one is unsure of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.running import Ended, column, pipeline, read_rows, write_rows
from tests.server import Bill, Fault, Server

# How sure the cheap model is of `bug`, by the text.
SURE = {"plain": 0.95, "likely": 0.7, "unclear": 0.4, "likely too": 0.6}


def answer(body: dict[str, Any]) -> str:
    if body["model"] == "big":
        return '{"label":"praise"}'
    return f'{{"label":"bug"}}{" " * round(SURE[body["messages"][-1]["content"]] * 100)}'


def spaces(text: str) -> list[Any]:
    """The cheap model's answers say how sure it is by the spaces at their end."""
    sure = (len(text) - len(text.rstrip())) / 100
    if "bug" not in text:
        return []
    seen = [
        {"token": name, "logprob": math.log(share)}
        for name, share in (("bug", sure), ("praise", 1 - sure))
    ]
    begun = {"token": '{"label":"', "logprob": 0.0, "top_logprobs": []}
    return [begun, {**seen[0], "top_logprobs": seen}, {**begun, "token": '"}'}]


@pytest.fixture
def folder(tmp_path: Path, server: Server) -> Path:
    server.change(answer=answer, logprobs=spaces, prompt_tokens=1000, completion_tokens=10)
    write_rows(tmp_path / "in.csv", [{"text": text} for text in SURE])
    return tmp_path


def classify(folder: Path, server: Server, *options: object) -> Ended:
    return pipeline(
        *("classify", "in.csv", "--labels", "bug,praise", "-o", "out.csv", "--model", "small"),
        *("--base-url", server.base_url, "--price", "1,2", *options),
        folder=folder,
    )


ESCALATE = ("--escalate", "big", "--escalate-price", "10,20")


def asked(server: Server) -> list[tuple[object, str]]:
    bodies: Iterable[Any] = (record.json for record in server.tally.records)
    return [(body["model"], body["messages"][-1]["content"]) for body in bodies]


def test_unsure_rows_go_to_the_stronger_model_and_both_are_billed(
    folder: Path, server: Server
) -> None:
    ended = classify(folder, server, *ESCALATE, "--below", 0.65)
    assert (ended.code, ended.errors) == (0, [])
    rows = read_rows(folder / "out.csv")
    assert column(rows, "label") == ["bug", "bug", "praise", "praise"]
    assert column(rows, "model") == ["small", "small", "big", "big"]
    assert column(rows, "confidence") == ["0.95", "0.7", "", ""]
    assert column(rows, "attempts") == ["1", "1", "2", "2"]
    # A small answer is 0.00102 USD, a big one 0.0102.
    assert column(rows, "cost_usd") == ["0.00102", "0.00102", "0.01122", "0.01122"]
    assert column(rows, "total_tokens") == ["1010", "1010", "2020", "2020"]
    assert sorted(asked(server)) == [
        ("big", "likely too"),
        ("big", "unclear"),
        *(("small", text) for text in sorted(SURE)),
    ]
    assert (
        "big was asked about 2 of 4 answers; "
        "alone it would have cost about 0.041 USD: this was 40% less"
    ) in ended.lines


def test_another_threshold_asks_for_the_difference(folder: Path, server: Server) -> None:
    assert classify(folder, server, *ESCALATE, "--below", 0.5).code == 0
    server.reset()
    assert classify(folder, server, *ESCALATE, "--below", 0.65).code == 0
    assert asked(server) == [("big", "likely too")]
    server.reset()
    assert classify(folder, server, "--confidence").code == 0
    assert asked(server) == []
    assert column(read_rows(folder / "out.csv"), "label") == ["bug"] * 4


def test_an_interrupted_escalation_goes_on(folder: Path, server: Server) -> None:
    stop = Fault("insufficient_quota", where=lambda body: body["model"] == "big")
    server.change(faults=(stop,))
    assert classify(folder, server, *ESCALATE).code == 4
    rows = read_rows(folder / "out.csv")
    assert column(rows, "status") == ["ok", "skipped", "skipped", "skipped"]
    assert rows[1]["error"].endswith("(unsure (confidence 0.7), and big was not asked)")
    server.change(faults=())
    server.reset()
    assert classify(folder, server, *ESCALATE).code == 0
    assert sorted(asked(server)) == [("big", text) for text in sorted(SURE) if text != "plain"]
    assert column(read_rows(folder / "out.csv"), "status") == ["ok"] * 4


def test_both_models_share_the_budget(folder: Path, server: Server) -> None:
    ended = classify(folder, server, *ESCALATE, "--max-cost", "0.03")
    assert ended.code == 3
    models = [model for model, _ in asked(server)]
    small, big = (
        Bill(1, 1000, 10).cost_usd(prompt=p, completion=c) for p, c in ("12", ("10", "20"))
    )
    paid = models.count("small") * small + models.count("big") * big
    assert Decimal("0.02") < paid <= Decimal("0.03")
    spent = sum(Decimal(cost) for cost in column(read_rows(folder / "out.csv"), "cost_usd"))
    assert spent == paid


def test_votes_tell_who_is_unsure(folder: Path, server: Server) -> None:
    ended = classify(folder, server, *ESCALATE, "--votes", 3)
    assert ended.code == 0
    rows = read_rows(folder / "out.csv")
    assert column(rows, "model") == ["small"] * 4
    assert column(rows, "attempts") == ["3"] * 4


def test_a_model_is_not_escalated_to_itself(folder: Path, server: Server) -> None:
    ended = classify(folder, server, "--escalate", "small")
    assert ended.code == 2
    assert ended.errors == ["error: --escalate small: that is the model that is asked already"]


@pytest.fixture
def labelled(folder: Path) -> Path:
    """A hundred rows: the cheap model is right where it is sure, and 80 rows say what is right."""
    texts = ["plain"] * 60 + ["unclear"] * 40
    rows = [
        {"text": text, "gold": gold if number % 5 else ""}
        for number, text in enumerate(texts)
        for gold in ["bug" if text == "plain" else "praise"]
    ]
    write_rows(folder / "in.csv", rows)
    return folder


def test_the_threshold_that_keeps_a_promise_is_found_from_known_labels(
    labelled: Path, server: Server
) -> None:
    ended = classify(labelled, server, *ESCALATE, "--accuracy", 0.95, "--expected", "gold")
    assert (ended.code, ended.errors) == (0, [])
    assert any("a confidence of 0.95 or more stand" in line for line in ended.lines)
    models = column(read_rows(labelled / "out.csv"), "model")
    assert models == ["small"] * 60 + ["big"] * 40


def test_too_few_known_labels_promise_nothing_and_say_how_many_it_takes(
    labelled: Path, server: Server
) -> None:
    ended = classify(labelled, server, *ESCALATE, "--accuracy", 0.99, "--expected", "gold")
    assert ended.code == 0
    assert any("it takes 299 at least" in line for line in ended.lines)
    assert {model for model, _ in asked(server)} == {"small"}


def test_a_promise_needs_known_labels(folder: Path, server: Server) -> None:
    ended = classify(folder, server, *ESCALATE, "--accuracy", 0.95)
    assert ended.code == 2
    assert "--expected names their column" in ended.errors[0]
    assert server.tally.received == 0


def test_without_confidences_nothing_is_escalated(folder: Path, server: Server) -> None:
    server.change(logprobs=None)
    for _ in range(2):  # the same again finds the same
        ended = classify(folder, server, *ESCALATE)
        assert ended.code == 0
        assert any("so big was asked nothing" in line for line in ended.lines)
    assert {model for model, _ in asked(server)} == {"small"}
    assert column(read_rows(folder / "out.csv"), "status") == ["ok"] * 4
