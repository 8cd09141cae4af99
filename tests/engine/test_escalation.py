"""The cheap model answers all, and a stronger one what the cheap one is unsure of."""

from __future__ import annotations

import math
import re
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


def refuse(server: Server, none: set[tuple[str, str]]) -> None:
    """Let models give no label to some texts, however often they are asked."""
    server.change(
        answer=lambda body: (
            '{"label":"spam"}'
            if (body["model"], body["messages"][1]["content"]) in none
            else answer({**body, "messages": body["messages"][:2]})
        )
    )


def test_what_the_first_model_cannot_answer_goes_to_the_stronger_one(
    folder: Path, server: Server
) -> None:
    refuse(server, {("small", "plain")})
    ended = classify(folder, server, *ESCALATE, "--below", 0.65)
    assert (ended.code, ended.errors) == (0, [])
    rows = read_rows(folder / "out.csv")
    assert column(rows, "label") == ["praise", "bug", "praise", "praise"]
    assert column(rows, "model") == ["big", "small", "big", "big"]
    # Asked again by the small one, then by the big one.
    assert column(rows, "attempts") == ["3", "1", "2", "2"]
    assert column(rows, "cost_usd") == ["0.01224", "0.00102", "0.01122", "0.01122"]
    assert any(line.startswith("big was asked about 3 of 4 answers") for line in ended.lines)
    asked_before = len(asked(server))
    again = classify(folder, server, *ESCALATE, "--below", 0.65)
    assert (again.code, len(asked(server))) == (0, asked_before)
    assert read_rows(folder / "out.csv") == rows


def test_a_row_that_both_models_cannot_answer_fails_until_the_next_run(
    folder: Path, server: Server
) -> None:
    none = {("small", "unclear"), ("big", "unclear"), ("big", "likely too")}
    refuse(server, none)
    options = (*ESCALATE, "--below", 0.65)
    assert classify(folder, server, *options).code == 1
    rows = read_rows(folder / "out.csv")
    assert column(rows, "status") == ["ok", "ok", "failed", "failed"]
    none.clear()
    before = len(asked(server))
    assert classify(folder, server, *options).code == 0
    assert ("big", "likely too") in asked(server)[before:]
    assert column(read_rows(folder / "out.csv"), "status") == ["ok"] * 4


def test_what_the_stronger_model_answered_is_not_asked_again_beside_what_failed(
    folder: Path, server: Server
) -> None:
    refuse(server, {("small", "plain"), ("small", "unclear"), ("big", "unclear")})
    options = (*ESCALATE, "--below", 0.65)
    for _ in range(3):
        before = len(asked(server))
        ended = classify(folder, server, *options)
        assert ended.code == 1
    assert {text for _, text in asked(server)[before:] if text in SURE} == {"unclear"}
    assert "3 done already, 1 request to small" in ended.err


def test_what_was_saved_is_of_all_rows_whichever_run_asked(folder: Path, server: Server) -> None:
    assert classify(folder, server, "--confidence").code == 0
    saved = (
        "big was asked about 2 of 4 answers; "
        "alone it would have cost about 0.041 USD: this was 40% less"
    )
    for _ in range(2):
        assert saved in classify(folder, server, *ESCALATE, "--below", 0.65).lines


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


def test_what_a_lost_answer_of_the_stronger_model_may_have_cost_is_said(
    folder: Path, server: Server
) -> None:
    lost = Fault("truncated", where=lambda body: body["model"] == "big", times=1)
    server.change(faults=(lost,))
    ended = classify(folder, server, *ESCALATE, "--max-cost", "5")
    assert (ended.code, ended.errors) == (0, [])
    (summary,) = (line for line in ended.lines if line.startswith("this run: "))
    assert "more for requests whose answer was lost" in summary


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


def test_known_labels_of_rows_without_an_answer_promise_nothing(
    labelled: Path, server: Server
) -> None:
    rows = read_rows(labelled / "in.csv")
    more = [{"text": "", "gold": "bug"}] * 100 + [{"text": "no answer", "gold": "bug"}] * 100
    write_rows(labelled / "in.csv", [*rows, *more])
    server.change(faults=(Fault("bad_request", contains="no answer"),))
    promised = (*ESCALATE, "--accuracy", 0.99, "--expected", "gold")
    ended = classify(labelled, server, *promised)
    told = "80 answers to rows with a known label are too few to promise 99% of all answers"
    assert any(told in line and "it takes 299 at least" in line for line in ended.lines)
    assert {model for model, _ in asked(server)} == {"small"}


def test_too_few_known_labels_promise_nothing_and_say_how_many_it_takes(
    labelled: Path, server: Server
) -> None:
    ended = classify(labelled, server, *ESCALATE, "--accuracy", 0.99, "--expected", "gold")
    assert ended.code == 0
    assert any("it takes 299 at least" in line for line in ended.lines)
    assert {model for model, _ in asked(server)} == {"small"}


def test_the_same_promise_again_finds_the_same_threshold(
    labelled: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though there is nothing to ask: what stands is not what would without the promise."""
    monkeypatch.setitem(SURE, "unclear", 0.9)
    promised = (*ESCALATE, "--accuracy", 0.95, "--expected", "gold")
    assert classify(labelled, server, *promised).code == 0
    rows = read_rows(labelled / "out.csv")
    assert column(rows, "model") == ["small"] * 60 + ["big"] * 40  # 0.9 would do for --below
    server.reset()
    ended = classify(labelled, server, *promised)
    assert ended.lines[1] == "100 rows, 100 done already: nothing to ask"
    assert any("a confidence of 0.95 or more stand" in line for line in ended.lines)
    assert (server.tally.received, read_rows(labelled / "out.csv")) == (0, rows)


def test_until_the_threshold_is_known_no_answer_stands(labelled: Path, server: Server) -> None:
    server.change(faults=(Fault("insufficient_quota", at=(2,)),))
    promised = (*ESCALATE, "--accuracy", 0.95, "--expected", "gold", "--max-concurrency", 1)
    assert classify(labelled, server, *promised).code == 4
    first, *_ = read_rows(labelled / "out.csv")
    assert first["status"] == "skipped"
    assert first["error"].endswith(
        "(confidence 0.95: not known yet if that is enough, and big was not asked)"
    )


def at_most(line: str, requests: int) -> Decimal:
    """Read what a plan says that the stronger model costs at most."""
    many = f"{requests} request{'' if requests == 1 else 's'}"
    said = rf"at most (\S+) USD for up to {many} to big, without retries"
    found = re.search(rf"{said} \(10/20 USD per million tokens\)$", line)
    assert found, line
    return Decimal(found[1])


def test_the_plan_says_what_it_costs_if_all_are_unsure(folder: Path, server: Server) -> None:
    server.change(prompt_tokens=None, completion_tokens=None)
    ended = classify(folder, server, *ESCALATE, "--below", 1, "--max-tokens", 40)
    assert ended.code == 0
    most = at_most(ended.lines[1], 4)
    rows = read_rows(folder / "out.csv")
    assert column(rows, "model") == ["big"] * 4
    paid = sum(Decimal(row["cost_usd"]) for row in rows)
    assert most / 10 < paid < most
    command = ("estimate", "in.csv", "-p", "classify", "--labels", "bug,praise", "-m", "small")
    options = ("--base-url", server.base_url, "--price", "1,2", *ESCALATE, "--max-tokens", 40)
    told = pipeline(*command, *options, folder=folder)
    assert at_most(told.out.rstrip(), 4) == most
    # A threshold that isn't known yet may be one that nothing passes.
    again = pipeline(*command, *options, "--accuracy", 0.9, folder=folder)
    assert again.out == told.out


def test_what_is_unsure_already_is_all_that_is_planned(folder: Path, server: Server) -> None:
    assert classify(folder, server, "--confidence").code == 0
    ended = classify(folder, server, *ESCALATE, "--below", 0.5)
    assert ended.lines[1].startswith("4 rows, 3 done already: at most ")
    at_most(ended.lines[1], 1)
    assert classify(folder, server, *ESCALATE, "--below", 0.5).lines[1] == (
        "4 rows, 4 done already: nothing to ask"
    )


def test_a_price_that_is_not_known_is_said(folder: Path, server: Server) -> None:
    ended = classify(folder, server, "--escalate", "big")
    assert ended.lines[2].endswith("; and up to 4 requests to big, whose price is not known")


def test_how_probable_a_promise_has_to_be_is_said_with_confidence(
    labelled: Path, server: Server
) -> None:
    promised = (*ESCALATE, "--accuracy", 0.95, "--expected", "gold", "--confidence")
    ended = classify(labelled, server, *promised, 0.99)
    assert (ended.code, ended.errors) == (0, [])
    share = "95% of all answers, with a probability of 99%"
    assert any(f"too few to promise {share}: it takes 90" in line for line in ended.lines)
    ended = classify(labelled, server, *promised, 0.95)
    assert (ended.code, ended.errors) == (0, [])
    assert any("a confidence of 0.95 or more stand" in line for line in ended.lines)
    again = classify(labelled, server, *promised)
    (promise,) = [line for line in ended.lines if "95% of all answers" in line]
    assert promise in again.lines


@pytest.mark.parametrize(
    "options",
    [("in.csv", "--confidence"), ("--confidence", "in.csv"), ("--confidence", "--", "in.csv")],
)
def test_confidence_stands_alone_wherever_it_stands(
    folder: Path, server: Server, options: tuple[str, ...]
) -> None:
    command = ("--labels", "bug,praise", "-o", "out.csv", "--model", "small")
    base = ("--base-url", server.base_url, "--price", "1,2")
    ended = pipeline("classify", *command, *base, *options, folder=folder)
    assert (ended.code, ended.errors) == (0, [])
    assert column(read_rows(folder / "out.csv"), "confidence") == ["0.95", "0.7", "0.4", "0.6"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--confidence", "0.9"), "--confidence 0.9 is the confidence level of --accuracy: add"),
        (("--confidence", "95%"), "--confidence 95%: give a share between 0 and 1, such as 0.95"),
        (("--confidence", "2"), "--confidence 2: give a share between 0 and 1, such as 0.95"),
        (("--confidence=much",), "--confidence much: give a share between 0 and 1, such as 0.95"),
        (("--accuracy", "95"), "--accuracy 95: give a share between 0 and 1, such as 0.95"),
    ],
)
def test_what_is_no_share_is_an_error_before_anything_is_sent(
    folder: Path, server: Server, options: tuple[str, ...], message: str
) -> None:
    ended = classify(folder, server, *ESCALATE, "--expected", "text", *options)
    (line,) = ended.errors
    assert line.startswith(f"error: {message}")
    assert (ended.code, server.tally.received) == (2, 0)


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


def test_what_the_stronger_model_could_not_answer_was_asked_of_it_all_the_same(
    folder: Path, server: Server
) -> None:
    server.change(faults=(Fault("bad_request", where=lambda body: body["model"] == "big"),))
    ended = classify(folder, server, *ESCALATE, "--below", 0.65)
    assert ended.code == 1
    assert any(line.startswith("big was asked about 2 of 4 answers") for line in ended.lines)


def test_votes_do_not_make_the_stronger_model_dearer(folder: Path, server: Server) -> None:
    ended = classify(folder, server, *ESCALATE, "--below", 0.1, "--votes", 3)
    assert "alone it would have cost about 0.041 USD" in ended.err
    assert "asked about 0 of 4" in ended.err


def test_votes_that_would_all_be_the_same_are_refused(folder: Path, server: Server) -> None:
    ended = classify(folder, server, "--votes", 3, "--temperature", 0)
    assert (ended.code, asked(server)) == (2, [])
    assert "--votes counts how many answers agree" in ended.err


def test_the_price_that_a_budget_needs_is_named(folder: Path, server: Server) -> None:
    ended = classify(folder, server, "--escalate", "big", "--max-cost", 1)
    assert (ended.code, asked(server)) == (2, [])
    assert "give it with --escalate-price" in ended.err


def test_a_known_label_in_another_case_is_the_same(labelled: Path, server: Server) -> None:
    rows = read_rows(labelled / "in.csv")
    write_rows(labelled / "in.csv", [{**row, "gold": row["gold"].title()} for row in rows])
    ended = classify(labelled, server, *ESCALATE, "--accuracy", 0.95, "--expected", "gold")
    assert (ended.code, ended.errors) == (0, [])
    models = column(read_rows(labelled / "out.csv"), "model")
    assert models == ["small"] * 60 + ["big"] * 40
    assert any(line.startswith("accuracy    100.0") for line in ended.lines)


def test_known_labels_that_are_none_are_found_out_before_anything_is_sent(
    labelled: Path, server: Server
) -> None:
    rows = read_rows(labelled / "in.csv")
    strange = [{**row, "gold": row["gold"] and f"the {row['gold']}"} for row in rows]
    write_rows(labelled / "in.csv", strange)
    ended = classify(labelled, server, *ESCALATE, "--accuracy", 0.95, "--expected", "gold")
    assert (ended.code, server.tally.received) == (2, 0)
    assert ended.errors == [
        'error: in.csv: nothing in "gold" is one of the labels bug, praise: it begins with '
        "`the bug`"
    ]


def test_rows_chosen_for_review_promise_nothing(labelled: Path, server: Server) -> None:
    rows = read_rows(labelled / "in.csv")
    write_rows(
        labelled / "in.csv",
        [{"text": row["text"], "reviewed_label": row["gold"]} for row in rows],
    )
    promised = (*ESCALATE, "--accuracy", 0.95, "--expected", "reviewed_label")
    ended = classify(labelled, server, *promised)
    assert (ended.code, server.tally.received) == (2, 0)
    assert "--accuracy needs known labels of rows chosen at random" in ended.errors[0]


def long(text: str) -> str:
    return " ".join(f"{text} {number}." for number in range(60))


def answer_parts(body: dict[str, Any]) -> str:
    """Be sure of the parts of a `plain` text and of what they come to; of an `unclear` one only of
    its parts.
    """
    text = next((text for text in SURE if text in body["messages"][-1]["content"]), None)
    if text is None:  # a merge of answers to parts: those to the plain ones are followed by more
        text = "plain" if " " * 93 in body["messages"][-1]["content"] else "unclear"
        return answer({**body, "messages": [{"content": text}]})
    if body["model"] == "small" and text == "unclear" and "unclear 1" in str(body["messages"]):
        return f'{{"label":"bug"}}{" " * 90}'
    return answer({**body, "messages": [{"content": text}]})


def test_a_long_row_goes_to_the_stronger_model_as_a_whole(folder: Path, server: Server) -> None:
    server.change(answer=answer_parts)
    write_rows(folder / "in.csv", [{"text": long("plain")}, {"text": long("unclear")}])
    ended = classify(folder, server, *ESCALATE, "--below", 0.65, "--chunk-tokens", 150)
    assert (ended.code, ended.errors) == (0, [])
    rows = read_rows(folder / "out.csv")
    models = [model for model, _ in asked(server)]
    assert column(rows, "model") == ["small", "big"]
    assert column(rows, "label") == ["bug", "praise"]
    # All its parts and their merge, and nothing of the other text.
    assert models.count("big") == int(rows[1]["chunks"]) + 1
    assert int(rows[1]["attempts"]) == 2 * models.count("big")
    assert_the_bill_adds_up(rows, server)


def assert_the_bill_adds_up(rows: list[dict[str, str]], server: Server) -> None:
    billed = server.tally.billed
    assert sum(int(row["attempts"]) for row in rows) == server.tally.received
    assert sum(int(row["total_tokens"]) for row in rows) == (
        billed.prompt_tokens + billed.completion_tokens
    )


def test_a_promise_holds_for_long_rows_too(labelled: Path, server: Server) -> None:
    server.change(answer=answer_parts)
    rows = read_rows(labelled / "in.csv")
    more = [{"text": long(text), "gold": ""} for text in ("plain", "unclear")]
    write_rows(labelled / "in.csv", [*rows, *more])
    promised = (*ESCALATE, "--accuracy", 0.95, "--expected", "gold", "--chunk-tokens", 150)
    assert classify(labelled, server, *promised).code == 0
    rows = read_rows(labelled / "out.csv")
    assert set(column(rows, "status")) == {"ok"}
    assert column(rows, "model")[-2:] == ["small", "big"]
    assert {row["model"] for row in rows if "unclear" in row["text"]} == {"big"}
    assert_the_bill_adds_up([row for row in rows if row["attempts"]], server)
    before = server.tally.received
    assert "nothing to ask" in classify(labelled, server, *promised).err
    assert server.tally.received == before


def test_a_model_that_always_thinks_has_room_to_and_can_be_escalated_to(
    folder: Path, server: Server
) -> None:
    """It refuses temperature and log-probabilities, which the cheap one is asked for."""
    server.change(
        answer=lambda body: answer({**body, "model": "big" if is_strong(body) else "small"}),
        reasoning_tokens=lambda text: 0 if "bug" in text else 700,
        faults=(
            Fault("unsupported_parameter", where=lambda body: is_strong(body) and wrong(body)),
        ),
    )
    strong = ("--escalate", "gpt-6.1-sol", "--escalate-price", "10,20", "--max-tokens", 20)
    estimate = classify(folder, server, *strong, "--dry-run")
    assert "at most 0.17 USD for up to 4 requests to gpt-6.1-sol" in estimate.err
    ended = classify(folder, server, *strong)
    assert ended.code == 0, ended.err
    bodies: list[Any] = [record.json for record in server.tally.records]
    efforts = {body.get("reasoning_effort") for body in bodies if is_strong(body)}
    assert efforts == {"low"}
    assert set(server.tally.statuses) == {200}
    rows = read_rows(folder / "out.csv")
    assert "praise" in column(rows, "label")


def is_strong(body: dict[str, Any]) -> bool:
    return body["model"] == "gpt-6.1-sol"


def wrong(body: dict[str, Any]) -> bool:
    return body.get("reasoning_effort") != "low" or bool(
        {"temperature", "top_p", "logprobs"} & body.keys()
    )
