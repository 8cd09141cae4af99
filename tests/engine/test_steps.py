"""Long documents through the real program: asked part by part, merged, paid for once."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.costs import counter
from pipeline.engine.lookups import look_up_one
from pipeline.engine.steps import Steps, Trail
from pipeline.prompting.loading import from_instruction, parse
from pipeline.prompting.prompt import Prompt
from pipeline.sources.spool import Slot
from pipeline.types import Document, Long, Record, Request
from tests.running import PROMPT, Job, billed, job, pipeline, query, read_rows, write_rows
from tests.server import Fault, Server

WORDS = ("contract", "goods", "payment", "term", "party", "notice", "court", "days", "invoice")
MERGING = PROMPT + "\n\nreduce:\n\nuser:\nMerge: {{ parts | join(' | ') }}\n"
COUNTER = counter("gpt-6-luna")


def long_text(sections: int, seed: int = 1) -> str:
    generator = random.Random(seed)
    return "\n\n".join(
        f"# Section {number}\n\n{' '.join(generator.choices(WORDS, k=60))}."
        for number in range(sections)
    )


def follow(steps: Steps, slot: Slot, known: Mapping[bytes, Record]) -> Trail:
    return look_up_one(steps.follow(slot), lambda keys: known)


def walk(steps: Steps, text: str) -> list[list[Request]]:
    """Answer each level of steps with its last words; give the requests by level."""
    document = Document(0, "long.txt", {}, text)
    known: dict[bytes, Record] = {}
    levels: list[list[Request]] = []
    while trail := follow(steps, Slot(document), known):
        if trail.finished:
            return levels
        assert trail.problem is None
        levels.append([step.request for step in steps.missing(Slot(document), trail)])
        for request in levels[-1]:
            content = " ".join(request.messages[-1].content.split()[-20:])
            known[request.key] = Record("ok", content=content)
    raise AssertionError


def test_every_word_of_a_long_text_is_in_a_part_that_fits() -> None:
    text = long_text(100)
    steps = Steps(from_instruction("Sum up."), COUNTER, chunk_tokens=500)
    parts = [request.messages[-1].content for request in walk(steps, text)[0]]
    assert len(parts) > 10
    assert all(COUNTER.count(part) <= 500 for part in parts)
    missing = [line for line in text.split("\n") if not any(line in part for part in parts)]
    assert missing == []


def test_many_answers_are_merged_in_a_tree() -> None:
    steps = Steps(from_instruction("Sum up."), COUNTER, chunk_tokens=100)
    levels = walk(steps, long_text(60))
    assert len(levels) > 3
    assert len(levels[-1]) == 1
    assert [len(level) for level in levels] == sorted(
        (len(level) for level in levels), reverse=True
    )


def test_what_the_plan_foresees_is_as_many_requests_as_are_asked() -> None:
    prompt = parse(MERGING)
    steps = Steps(prompt, COUNTER, chunk_tokens=200)
    slot = Slot(Document(0, "long.txt", {}, long_text(40)))
    trail = follow(steps, slot, {})
    foreseen = len(trail.missing) + len(steps.forecast(slot, trail))
    asked = sum(len(level) for level in walk(steps, slot.document.text))
    assert asked <= foreseen <= 1.5 * asked


@pytest.mark.parametrize("text", ["", "short", "\n" * 50_000, " " * 50_000, "x" * 5_000])
def test_odd_texts_come_to_an_end(text: str) -> None:
    steps = Steps(from_instruction("Sum up."), COUNTER, chunk_tokens=100)
    assert walk(steps, text)


def test_the_window_leaves_room_for_the_prompt_and_the_answer() -> None:
    prompt = from_instruction("word " * 500)
    steps = Steps(prompt, COUNTER, window_tokens=4000)
    for level in walk(steps, long_text(200)):
        for request in level:
            assert COUNTER.count_messages(request.messages) + 1024 <= 4000


@pytest.mark.parametrize(
    ("prompt", "long", "problem"),
    [
        (parse(PROMPT), Long.SPLIT, "has no `reduce:` messages"),
        (parse(MERGING), Long.FAIL, "the text is too long"),
        (
            parse("user:\n{{ text }}\n\nuser:\nAgain.\n\nreduce:\n\nuser:\n{{ parts }}"),
            Long.SPLIT,
            "several turns",
        ),
    ],
)
def test_a_text_that_cant_be_split_says_why(prompt: Prompt, long: Long, problem: str) -> None:
    steps = Steps(prompt, COUNTER, long=long, chunk_tokens=100)
    trail = follow(steps, Slot(Document(0, "a", {}, long_text(10))), {})
    assert problem in (trail.problem or "")


def long_job(folder: Path, server: Server) -> Job:
    return job(folder, server, [long_text(30), "short", long_text(20, seed=2)], prompt=MERGING)


def test_a_long_row_has_the_sum_of_its_parts_and_resumes_part_by_part(
    tmp_path: Path, server: Server
) -> None:
    server.change(faults=(Fault("bad_request", at=(7,)),))
    made = long_job(tmp_path, server)
    assert made.run("--chunk-tokens", 300).code == 1
    failed = [row for row in made.rows() if row["status"] == "failed"]
    assert len(failed) == 1
    assert failed[0]["error"].startswith("part ")
    assert failed[0]["output"] == ""
    assert made.run("--chunk-tokens", 300).code == 0
    rows, tally = made.rows(), server.tally
    assert [row["status"] for row in rows] == ["ok"] * 3
    assert rows[1]["chunks"] == "1"
    assert int(rows[0]["chunks"]) > int(rows[2]["chunks"]) > 1
    assert tally.billed_twice == 0
    bill, _ = billed(rows)
    assert bill.total_tokens == tally.billed.total_tokens
    names = [str(name) for (name,) in query(made.journal, "SELECT document FROM results")]
    assert any("[2/" in name for name in names)


def test_the_head_of_a_long_text_is_asked_and_the_row_says_so(
    tmp_path: Path, server: Server
) -> None:
    made = long_job(tmp_path, server)
    ended = made.run("--chunk-tokens", 300, "--long", "head")
    assert ended.code == 0
    assert server.tally.received == 3
    first = made.rows()[0]
    assert first["status"] == "ok"
    assert "of the text was asked about" in first["error"]
    assert "of the text was asked about" in ended.err


def test_shipped_summaries_of_a_long_document_are_merged(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "long.md").write_text(long_text(60), encoding="utf-8")
    ended = pipeline(
        *("summarize", "docs", "-o", "out.csv", "--model", "echo", "--chunk-tokens", 1000),
        folder=tmp_path,
    )
    assert ended.code == 0
    assert "1 row: 1 ok" in ended.err


def test_columns_called_as_the_parts_are_do_not_change_the_shipped_prompt(tmp_path: Path) -> None:
    write_rows(tmp_path / "in.csv", [{"chunk": "7", "chunks": "12", "text": "A short text."}])
    command = ("summarize", "in.csv", "-o", "out.csv", "--model", "echo", "--prefix", "ai_")
    assert pipeline(*command, folder=tmp_path).code == 0
    (row,) = read_rows(tmp_path / "out.csv")
    assert row["ai_output"].startswith("Sum up this document in two or three sentences.")
    assert (row["chunk"], row["chunks"]) == ("7", "12")


def test_a_prompt_that_merges_nothing_may_use_columns_called_as_the_parts_are() -> None:
    prompt = parse("user:\n{{ chunk }} of {{ chunks }}")
    document = Document(0, "d", {"chunk": "7", "chunks": "12"})
    assert prompt.render(document).messages[0].text == "7 of 12"
