"""One call: the run, its progress, Ctrl-C, and what is made of its rows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.engine.afterwards import check_afterwards, finish
from pipeline.engine.build import open_run
from pipeline.engine.ending import Ending, Outcome
from pipeline.engine.plan import Plan
from pipeline.engine.run import Run
from pipeline.engine.settings import Settings
from pipeline.outputs.frames import collect, like, to_arrow, to_pandas
from pipeline.sources.spool import Slot
from pipeline.sources.tables.frame import as_arrow, is_pandas
from pipeline.types import Result
from pipeline.watching import Bar, Log, NotebookBar, Watch, ask, late_notices, tell, told

if TYPE_CHECKING:
    from pipeline.evaluation.scores import Evaluation

CALL = "from Python"  # what the journal notes as the command


@dataclass(frozen=True, slots=True)
class Summary:
    """What a call did, and what the table that it gave holds.

    `ok`, `failed` and `skipped` count rows. `requests`, tokens, `cost_usd` and `seconds` are of
    this call alone: what was answered before is free. `cost_usd` is None where a price isn't known.
    `notes` are what the command would have said.
    """

    ok: int
    failed: int
    skipped: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    seconds: float
    journal: str
    output: str | None = None
    notes: tuple[str, ...] = ()
    evaluation: Evaluation | None = None


class Row(dict[str, Any]):
    """A row of the output, as soon as it is known; `position` is its place in the input, from 0."""

    position: int


def go(settings: Settings, progress: bool, given: object) -> Any:
    """Run to the end; give a table of the kind that was `given`, or what was written."""
    watch = _watch(progress)
    try:
        with open_run(settings, command=CALL, note=watch.note) as opened:
            tell(opened, watch)
            check_afterwards(opened)
            ending = _ask(opened, opened.plan(), watch)
            watch.close()
            if ending.fatal is not None and ending.barren and opened.target is not None:
                raise ending.fatal  # an older output is worth more than one without answers
            outcome = finish(opened, ending)
            result = _result(opened, outcome, watch, given)
            if ending.fatal is not None:
                ending.fatal.result = result
                raise ending.fatal
            if ending.interrupted:
                raise KeyboardInterrupt
            return result
    finally:
        watch.close()


def _ask(opened: Run, plan: Plan, watch: Watch) -> Ending:
    """Ask in a thread with a loop of its own: a notebook's is busy with the call itself.

    An interrupt lets what is in flight come back, for a moment.
    """
    loop = asyncio.new_event_loop()

    def work() -> Ending:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(ask(opened, plan, watch))

    with ThreadPoolExecutor(1, thread_name_prefix="pipeline") as thread:
        asking: Future[Ending] = thread.submit(work)
        try:
            while not asking.done():
                wait([asking], timeout=0.5)  # without one, Windows can't interrupt
            return asking.result()
        except KeyboardInterrupt:
            with suppress(RuntimeError):  # it has just ended by itself
                loop.call_soon_threadsafe(opened.stop)
            return replace(asking.result(), interrupted=True)


def _watch(progress: bool) -> Watch:
    if progress and "ipykernel" in sys.modules:
        return NotebookBar()
    return Bar() if progress and sys.stderr is not None and sys.stderr.isatty() else Log()


def _result(opened: Run, outcome: Outcome, watch: Watch, given: object) -> Any:
    """Make what a call returns."""
    if opened.target is not None:
        return _summary(opened, outcome, watch)
    columns, source = opened.rows.columns, opened.settings.input
    rows = outcome.counted(opened.rows)
    if isinstance(source, str):
        table = to_pandas(columns, collect(columns, rows))
    else:
        new = columns[len(opened.spool.source.columns) :]
        cells = collect(new, rows)
        if not is_pandas(source):
            return like(to_arrow(new, cells, as_arrow(source)), given)
        table = to_pandas(new, cells, source)  # type: ignore[arg-type]
    table.attrs["summary"] = _summary(opened, outcome, watch)
    return table


def _summary(opened: Run, outcome: Outcome, watch: Watch) -> Summary:
    spent, counts = watch.spent, outcome.statuses
    priced = opened.engine.lane.server.price is not None and not spent.unpriced
    return Summary(
        ok=counts["ok"],
        failed=counts["failed"],
        skipped=counts["skipped"],
        requests=spent.answered,
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        cost_usd=float(spent.cost_usd) if priced else None,
        seconds=round(spent.seconds, 3),
        journal=str(opened.engine.store.path),
        output=opened.target.name if opened.target else None,
        notes=(
            *told(opened),
            *late_notices(opened),
            *outcome.remarks,
            *outcome.notes,
            *map(str, outcome.problems),
        ),
        evaluation=outcome.evaluation,
    )


async def arrive(settings: Settings) -> AsyncIterator[Row]:
    """Run, and yield the rows as they come."""
    told = _Arrivals()
    with open_run(settings, command=CALL, note=told.note) as opened:
        tell(opened, told)
        check_afterwards(opened)
        plan = await asyncio.to_thread(opened.plan)
        asking = asyncio.ensure_future(ask(opened, plan, told))
        seen: set[int] = set()
        try:
            async for row in _arriving(opened, asking, told, seen):
                yield row
            ending = asking.result()
            opened.rows.reason = ending.reason
            for row in _rest(opened, seen):
                yield row
            if ending.fatal is not None:
                raise ending.fatal
        finally:
            opened.stop()
            for notice in late_notices(opened):
                told.note(notice)
            with suppress(BaseException):
                await asking


class _Arrivals(Log):
    """Hands results on as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: asyncio.Queue[Result | None] = asyncio.Queue()

    def show(self) -> None: ...

    def add(self, result: Result) -> None:
        super().add(result)
        if result.status in ("ok", "failed"):
            self.queue.put_nowait(result)


async def _arriving(
    opened: Run, asking: asyncio.Future[Ending], told: _Arrivals, seen: set[int]
) -> AsyncIterator[Row]:
    """Yield the rows of documents whose last answer has come."""
    asking.add_done_callback(lambda _: told.queue.put_nowait(None))
    while (result := await told.queue.get()) is not None:
        document = result.request.document
        slot = Slot(document)
        if document.chunks > 1 or not opened.look(slot).finished:
            continue
        seen.add(document.position)
        yield _row(opened.rows.row(slot), document.position)


def _rest(opened: Run, seen: set[int]) -> Iterator[Row]:
    for position, cells in enumerate(opened.rows):
        if position not in seen:
            yield _row(cells, position)


def _row(cells: Mapping[str, object], position: int) -> Row:
    row = Row(cells)
    row.position = position
    return row
