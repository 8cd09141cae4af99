"""Sixty schemas against servers of all sorts: each ends in right columns or in a reason."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.backends.opening import open_lane
from pipeline.costs import fixed_price
from pipeline.engine.lookups import look_up
from pipeline.engine.loop import Engine
from pipeline.engine.rows import Rows
from pipeline.engine.steps import Steps
from pipeline.journal.store import Store
from pipeline.outputs.tables import write_table
from pipeline.prompting import loading as prompts
from pipeline.prompting import schema
from pipeline.prompting.prompt import Prompt
from pipeline.sources.spool import Slot
from pipeline.types import Document
from tests.server import Behaviour, Server
from tests.torture import TABLE

Row = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """How a server answers: `first` to a document, `then` to what asks again."""

    first: Callable[[str], str]
    then: Callable[[str], str] | None = None
    server: dict[str, Any] = field(default_factory=dict)
    max_tokens: int = 1000
    attempts: int = 1
    reason: str | None = None

    def answer(self, body: dict[str, Any]) -> str:
        """Answer for the schema whose name is the document."""
        asked = str(body["messages"][0]["content"]).partition("\n")[0]
        again = len(body["messages"]) > 1
        return (self.then or self.first)(asked) if again else self.first(asked)


def good(name: str) -> str:
    return json.dumps(TABLE[name][1], ensure_ascii=False)


def wrong(name: str) -> str:
    return json.dumps(TABLE[name][2], ensure_ascii=False)


def prose(name: str) -> str:
    return f"Sure, here it is:\n\n{good(name)}\n\nI hope that {{helps}}."


def fence(name: str) -> str:
    return f"```json\n{good(name)}\n```"


def chatter(name: str) -> str:
    return "I'd say it is fine."


ALL = ("json_schema", "tools", "json_object")
FIFTY = {"completion_tokens": 50}  # in each answer; the allowance is 20 and then 80, or 5 and 20
CUT_OFF = "the answer was cut off at 20 tokens"
WAYS = {
    # Those that end in right columns.
    "right": Way(good),
    "wrong once": Way(wrong, good, attempts=2),
    "in prose": Way(prose),
    "in a code fence": Way(fence),
    "in other words once": Way(chatter, good, attempts=2),
    "cut off once": Way(good, server=FIFTY, max_tokens=20, attempts=2),
    "by function calling": Way(good, server={"refuses": ALL[:1]}),
    "by function calling, ignored": Way(fence, server={"refuses": ALL[:1], "ignores": ALL[1:2]}),
    "by json_object": Way(good, server={"refuses": ALL[:2]}),
    "by words": Way(fence, server={"refuses": ALL}),
    "by words, for vague reasons": Way(prose, server={"refuses": ALL, "vague": True}),
    # Those that end in a reason.
    "wrong": Way(wrong, attempts=2, reason="the answer doesn't fit: "),
    "in other words": Way(chatter, attempts=2, reason="the answer is not JSON"),
    "half of it": Way(lambda name: good(name)[:-2], attempts=2, reason="the answer "),
    "cut off": Way(good, server=FIFTY, max_tokens=5, attempts=2, reason=CUT_OFF),
    "empty": Way(lambda name: "", attempts=2, reason="the answer is empty"),
    "a list": Way(lambda name: "[]", attempts=2, reason="the answer is a JSON list"),
}


def prompt_of(name: str, max_tokens: int) -> Prompt:
    front = {
        "name": "torture",
        "model": {"options": {"maxOutputTokens": max_tokens}},
        "outputs": TABLE[name][0],
    }
    written = json.dumps(front, ensure_ascii=False)
    return prompts.parse(f"---\n{written}\n---\nuser:\n{{{{ text }}}}\n")


@cache
def answered(way: str, folder: Path) -> dict[str, Row]:
    """Ask about all the schemas; give the rows as they come back out of Parquet files."""
    chosen = WAYS[way]
    with Server(Behaviour(answer=chosen.answer, **chosen.server)) as server:
        backend = open_lane(
            "m", base_url=server.base_url, price=fixed_price(Decimal(3), Decimal(17))
        )
        asked = {
            name: replace(
                prompt_of(name, chosen.max_tokens), server=backend.server.identity, model="m"
            )
            for name in TABLE
        }
        documents = {name: Document(0, name, {}, name) for name in TABLE}
        store = Store(folder / "out.parquet")
        store.open("pipeline run")

        async def run() -> None:
            requests = [prompt.render(documents[name]) for name, prompt in asked.items()]
            await backend.open()
            try:
                async for _ in Engine(backend, store).run(requests):
                    pass
            finally:
                await backend.close()

        found: dict[str, Row] = {}
        try:
            asyncio.run(run())
            for name, prompt in asked.items():
                steps = Steps(prompt, backend.server.counter)
                find = partial(look_up, follow=steps.follow, find=store.get_all)
                rows = Rows([Slot(documents[name])], [], steps=steps, look_up=find)
                write_table(store.output, rows.columns, rows)
                (found[name],) = pq.read_table(store.output).to_pylist()
        finally:
            store.close(0)
        billed = server.tally.billed
    assert sum(row["prompt_tokens"] for row in found.values()) == billed.prompt_tokens
    assert sum(row["completion_tokens"] for row in found.values()) == billed.completion_tokens
    assert len(backend.server.notices) <= 3
    return found


def cells(name: str) -> dict[str, object]:
    """Say what the columns hold for the answer that fits; what is nested is JSON."""
    wanted, value, _ = TABLE[name]
    found: dict[str, object] = {}
    for column in schema.columns(wanted):
        cell = value.get(column.name)
        if wanted["properties"][column.name].get("format") == "date":
            cell = date.fromisoformat(str(cell))
        found[column.name] = cell
    return found


def test_there_are_sixty() -> None:
    assert len(TABLE) >= 60


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", TABLE)
def test_it_ends_in_right_columns_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, name: str, way: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"torture {way}"
    folder.mkdir(exist_ok=True)
    row, chosen, wanted = answered(way, folder)[name], WAYS[way], cells(name)
    assert row["attempts"] == chosen.attempts
    if chosen.reason is None:
        assert row["status"] == "ok", row["error"]
        assert (row["error"] is None) == (chosen.attempts == 1)
        held = {
            key: json.loads(row[key]) if isinstance(cell, (dict, list)) else row[key]
            for key, cell in wanted.items()
        }
        assert held == wanted
    else:
        assert row["status"] == "failed"
        assert row["error"].startswith(chosen.reason)
        assert "(asked twice)" in row["error"]
        assert [row[key] for key in wanted] == [None] * len(wanted)
