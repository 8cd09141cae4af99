"""A run of plan, ask and finish, without the command line: what it asks and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.costs import fixed_price
from pipeline.engine.afterwards import finish
from pipeline.engine.build import open_run
from pipeline.engine.ending import Ending, Outcome
from pipeline.engine.plan import Plan
from pipeline.engine.progress import Progress
from pipeline.engine.run import Run
from pipeline.engine.settings import Settings, Stronger
from pipeline.errors import AccessError
from pipeline.prompting.choosing import Labelling
from pipeline.prompting.loading import parse
from pipeline.types import Result
from tests.running import query
from tests.server import Fault, Server

TEXTS = ["one", "two", "three", "four"]
SHORT = parse("user:\n{{ text }}\n")
SORT = parse("---\noutputs: [{name: label}]\n---\nuser:\n{{ text }}\n")


@contextmanager
def opened(folder: Path, server: Server, **chosen: Any) -> Iterator[Run]:
    """Make a run of four texts, with its journal in `folder`."""
    values: dict[str, Any] = {
        "input": pd.DataFrame({"text": TEXTS}),
        "prompt": SHORT,
        "text_column": "text",
        "model": "small",
        "base_url": server.base_url,
        "price": fixed_price(Decimal(3), Decimal(17)),
        "journal": str(folder / "kept.journal"),
        **chosen,
    }
    with open_run(Settings(**values)) as run:
        yield run


def ask(run: Run, progress: Progress | None = None) -> tuple[Plan, Ending, Outcome]:
    plan = run.plan()
    ending = asyncio.run(run.ask(plan, progress or Progress()))
    outcome = finish(run, ending)
    for _ in outcome.counted(run.rows):  # it counts what it is walked through
        pass
    return plan, ending, outcome


def test_a_run_without_an_output_asks_and_keeps_and_ends_well(
    tmp_path: Path, server: Server
) -> None:
    with opened(tmp_path, server) as run:
        plan, ending, outcome = ask(run)
    assert (plan.requests, ending, outcome.exit_code) == (4, Ending(answered=4), 0)
    assert dict(outcome.statuses) == {"ok": 4}
    assert query(tmp_path / "kept.journal", "SELECT exit_code FROM runs") == [(0,)]


def test_with_nothing_to_ask_nobody_is_spoken_to(tmp_path: Path, server: Server) -> None:
    with opened(tmp_path, server) as run:
        ask(run)
    connections = server.tally.connections
    with opened(tmp_path, server) as run:
        plan, ending, outcome = ask(run)
    assert (plan.requests, plan.done, ending) == (0, 4, Ending())
    assert dict(outcome.statuses) == {"ok": 4}
    assert server.tally.connections == connections


class Stopping(Progress):
    """Stops a run at its second answer, as Ctrl-C does."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def add(self, result: Result) -> None:
        super().add(result)
        if self.spent.answered == 2:
            self._run.stop()


def test_a_run_that_is_stopped_leaves_the_rest_for_the_next(tmp_path: Path, server: Server) -> None:
    with opened(tmp_path, server, max_concurrency=1) as run:
        _, ending, outcome = ask(run, Stopping(run))
    assert ending == Ending(answered=2, interrupted=True)
    assert (dict(outcome.statuses), outcome.exit_code) == ({"ok": 2, "skipped": 2}, 130)
    assert list(outcome.skips) == ["not asked: interrupted"]
    assert query(tmp_path / "kept.journal", "SELECT exit_code FROM runs") == [(130,)]
    with opened(tmp_path, server) as run:
        plan, _, outcome = ask(run)
    assert (plan.requests, dict(outcome.statuses)) == (2, {"ok": 4})
    assert server.tally.received == 4


@pytest.mark.parametrize(("after", "code", "barren"), [(0, 2, True), (2, 4, False)])
def test_what_waiting_cannot_mend_ends_the_run(
    tmp_path: Path, server: Server, after: int, code: int, barren: bool
) -> None:
    server.change(faults=(Fault("invalid_api_key", after=after),))
    with opened(tmp_path, server, max_concurrency=1) as run:
        _, ending, outcome = ask(run)
    assert isinstance(ending.fatal, AccessError)
    assert (ending.answered, ending.barren, outcome.exit_code) == (after, barren, code)
    assert outcome.statuses["skipped"] == 4 - after


def test_once_the_first_model_has_answered_the_plan_knows_what_is_unsure(
    tmp_path: Path, server: Server
) -> None:
    """Without log-probabilities nothing can be told, and the stronger model is asked nothing."""
    server.change(answer=lambda body: '{"label":"a"}')
    chosen: dict[str, Any] = {
        "prompt": SORT,
        "labelling": Labelling(labels=["a", "b"], confidence=True),
        "stronger": Stronger("big", price=fixed_price(Decimal(30), Decimal(170))),
    }
    with opened(tmp_path, server, **chosen) as run:
        plan, _, _ = ask(run)
        assert (plan.requests, plan.escalations) == (4, 4)  # at the most
    with opened(tmp_path, server, **chosen) as run:
        plan, ending, outcome = ask(run)
        assert run.escalation is not None
        assert "no answer came with a confidence" in str(run.escalation.note)
    assert (plan.requests, plan.escalations, ending) == (0, 0, Ending())
    assert (dict(outcome.statuses), server.tally.received) == ({"ok": 4}, 4)
