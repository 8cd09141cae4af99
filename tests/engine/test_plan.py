"""What a run would send, before anything is sent: counted, or estimated from the first rows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.costs import Price, fixed_price
from pipeline.engine.afterwards import finish
from pipeline.engine.build import open_run
from pipeline.engine.plan import Plan
from pipeline.engine.progress import Progress
from pipeline.engine.settings import Settings, Stronger
from pipeline.errors import UsageError
from pipeline.prompting.choosing import Labelling
from pipeline.prompting.loading import parse

NOBODY = "http://127.0.0.1:9/v1"
SHORT = "user:\n{{ text }}\n"
TALK = "user:\n{{ text }}\nuser:\nShorter.\n"
SORT = "---\noutputs: [{name: label}]\n---\nuser:\n{{ text }}\n"
PRICE = fixed_price(Decimal(3), Decimal(17))


def settings(
    folder: Path, texts: Sequence[object], prompt: str, chosen: dict[str, Any]
) -> Settings:
    """Choose a run of these texts by a server that isn't there; what is in `chosen` counts."""
    known = {"text": list(texts), **chosen.pop("columns", {})}
    values: dict[str, Any] = {
        "input": pd.DataFrame(known),
        "prompt": parse(prompt),
        "text_column": "text",
        "model": "gpt-6-luna",
        "base_url": NOBODY,
        "price": PRICE,
        "journal": str(folder / "kept.journal"),
    }
    return Settings(**{**values, **chosen})


def plan(
    folder: Path,
    texts: Sequence[object],
    prompt: str = SHORT,
    seconds: float = 60.0,
    **chosen: Any,
) -> Plan:
    with open_run(settings(folder, texts, prompt, chosen), dry=True) as run:
        return run.plan(seconds)


def answer(folder: Path, texts: Sequence[object], prompt: str = SHORT, **chosen: Any) -> None:
    """Answer these texts offline."""
    offline = {"model": "echo", "price": None, **chosen}
    with open_run(settings(folder, texts, prompt, offline)) as run:
        finish(run, asyncio.run(run.ask(run.plan(), Progress())))


def test_each_request_is_counted_once_and_empty_rows_never(tmp_path: Path) -> None:
    found = plan(tmp_path, ["one", "two", "one", "", "  ", "three"])
    assert (found.rows, found.empty, found.requests, found.complete) == (6, 2, 3, True)
    assert (found.done, found.known, found.unreadable) == (0, 0, 0)
    assert found.first is not None
    assert found.first.messages[0].text == "one"


def test_what_the_journal_has_is_left_out(tmp_path: Path) -> None:
    answer(tmp_path, ["one", "two"])
    found = plan(tmp_path, ["one", "two", "three"], model="echo", price=None)
    assert (found.rows, found.done, found.known, found.requests) == (3, 2, 2, 1)


def test_another_prompt_finds_nothing_there(tmp_path: Path) -> None:
    answer(tmp_path, ["one", "two"])
    found = plan(tmp_path, ["one", "two"], "user:\nSay {{ text }}\n", model="echo", price=None)
    assert (found.done, found.known, found.requests) == (0, 0, 2)


def test_the_cost_lies_between_the_shortest_and_the_longest_answers(tmp_path: Path) -> None:
    found = plan(tmp_path, ["word " * 10, "word " * 20], max_tokens=100)
    assert found.low_usd is not None
    assert found.high_usd is not None
    assert found.prompt_tokens == pytest.approx(30, abs=16)
    assert found.low_usd == (3 * found.prompt_tokens + 17 * 2) / Decimal(10**6)
    assert found.high_usd == (3 * found.prompt_tokens + 17 * 200) / Decimal(10**6)


def test_answers_without_a_bound_have_no_most(tmp_path: Path) -> None:
    found = plan(tmp_path, ["one"])
    assert found.low_usd is not None
    assert found.high_usd is None


def test_without_a_price_no_cost_is_known(tmp_path: Path) -> None:
    found = plan(tmp_path, ["one", "two"], model="unheard-of", price=None, max_tokens=5)
    assert (found.low_usd, found.high_usd, found.requests) == (None, None, 2)


def test_a_turn_that_follows_counts_an_answer_as_long_as_it_may_be(tmp_path: Path) -> None:
    one = plan(tmp_path, ["one"], max_tokens=100)
    two = plan(tmp_path, ["one"], TALK, max_tokens=100)
    assert two.requests == 2
    assert two.high_usd is not None
    assert one.high_usd is not None
    assert two.high_usd - one.high_usd > (3 * 100 + 17 * 100) / Decimal(10**6)


def test_a_turn_that_has_been_answered_is_not_counted(tmp_path: Path) -> None:
    answer(tmp_path, ["one"])  # the first turn of the conversation, too
    found = plan(tmp_path, ["one", "two"], TALK, model="echo", price=None)
    assert (found.requests, found.known, found.done) == (3, 1, 0)


def test_each_vote_is_a_request(tmp_path: Path) -> None:
    labelling = Labelling(labels=["a", "b"], votes=3)
    found = plan(tmp_path, ["one", "two", "one"], SORT, labelling=labelling)
    assert found.requests == 6


def test_the_stronger_model_is_counted_apart_and_at_the_most(tmp_path: Path) -> None:
    labelling = Labelling(labels=["a", "b"], confidence=True)
    stronger = Stronger("big", price=fixed_price(Decimal(30), Decimal(170)))
    found = plan(
        *(tmp_path, ["one", "two", "one"], SORT),
        labelling=labelling,
        stronger=stronger,
        max_tokens=10,
    )
    assert (found.requests, found.escalations) == (2, 2)
    assert found.escalated_usd is not None
    assert found.high_usd is not None
    assert found.escalated_usd >= 10 * found.high_usd


@pytest.mark.parametrize("price", [None, PRICE])
def test_without_its_price_the_stronger_models_cost_is_unknown(
    tmp_path: Path, price: Price | None
) -> None:
    labelling = Labelling(labels=["a", "b"], confidence=True)
    stronger = Stronger("unheard-of", price=price)
    found = plan(tmp_path, ["one"], SORT, labelling=labelling, stronger=stronger, max_tokens=9)
    assert (found.escalations, found.escalated_usd is None) == (1, price is None)


def test_a_text_that_is_too_long_says_why(tmp_path: Path) -> None:
    found = plan(tmp_path, ["one", "word " * 500], chunk_tokens=20)
    assert (found.rows, found.unreadable, found.requests) == (2, 1, 1)
    assert found.problem is not None
    assert found.problem.startswith("the text is too long")


def test_an_input_that_takes_long_to_read_is_estimated_from_its_first_rows(tmp_path: Path) -> None:
    texts = [f"row {number}" for number in range(500)]
    found = plan(tmp_path, texts, seconds=-1.0, max_tokens=10)
    whole = plan(tmp_path, texts, max_tokens=10)
    assert (found.complete, whole.complete) == (False, True)
    assert (found.rows, found.requests) == (whole.rows, whole.requests) == (500, 500)
    assert found.high_usd is not None
    assert whole.high_usd is not None
    assert float(found.high_usd) == pytest.approx(float(whole.high_usd), rel=0.1)


def test_what_is_expected_must_be_there_and_be_a_label(tmp_path: Path) -> None:
    labelling = Labelling(labels=["a", "b"])
    for gold, said in ((["", ""], "empty in every row"), (["c", "d"], "it begins with `c`")):
        with pytest.raises(UsageError) as caught:
            plan(
                *(tmp_path, ["one", "two"], SORT),
                labelling=labelling,
                expected="gold",
                columns={"gold": gold},
            )
        assert said in str(caught.value)
