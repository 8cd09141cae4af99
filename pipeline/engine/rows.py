"""The output as a view of the journal and the input: a row for each document, in its order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from pipeline.costs import total_usd
from pipeline.engine.steps import Steps, Trail
from pipeline.errors import UsageError
from pipeline.evaluation.calibrated import Calibrated, Known
from pipeline.evaluation.gold import is_right
from pipeline.evaluation.pairs import Pair
from pipeline.sources.spool import Slot
from pipeline.types import Column, Document, Record, Status, Usage

EMPTY = "the text is empty: there is nothing to ask"

# The names that the API itself uses.
ACCOUNT = (
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
)
RAW = (Column("raw_confidence", "number"),)  # where `confidence` is calibrated
CHUNKS = (Column("chunks", "integer"),)  # where a document may be asked about in several


class State(NamedTuple):
    """What became of a row, and whether anything was asked about it."""

    status: Status
    error: str | None
    asked: bool


class Rows:
    """The rows of an output; each walk looks the answers up again, by `look_up`.

    With `calibrates` the confidence is `calibrated`'s, once there is one, beside what the model
    showed.
    """

    def __init__(
        self,
        slots: Iterable[Slot],
        columns: Sequence[Column],
        *,
        steps: Steps,
        look_up: Callable[[Iterable[Slot]], Iterator[tuple[Slot, Trail]]],
        prefix: str = "",
        calibrates: bool = False,
    ) -> None:
        self.reason: str | None = None  # why what wasn't asked was not
        self.calibrated: Calibrated | None = None
        self.calibrates = calibrates
        self._slots = slots
        self._steps = steps
        self._look_up = look_up
        self._prefix = prefix
        self._splits = steps.splits
        raw = RAW if calibrates else ()
        added = [*steps.prompt.columns, *raw, *ACCOUNT, *(CHUNKS if self._splits else ())]
        self._blank: dict[str, object] = dict.fromkeys(column.name for column in added)
        self.columns = [
            *columns,
            *(Column(f"{prefix}{column.name}", column.kind, guarded=True) for column in added),
        ]
        _check([column.name for column in columns], [column.name for column in added], prefix)

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        for _, row, _ in self.with_states():
            yield row

    def with_states(self) -> Iterator[tuple[Document, Mapping[str, object], State]]:
        """Yield the documents, the row of each and what became of it."""
        billed = Bits()
        for slot, trail in self._look_up(self._slots):
            document = slot.document
            yield document, *self._row(document, trail, billed)

    def row(self, slot: Slot) -> Mapping[str, object]:
        """Return the row of a document by itself, with all that its answers cost."""
        ((_, trail),) = self._look_up([slot])
        return self._row(slot.document, trail, Bits())[0]

    def known(self, pairs: Sequence[Pair]) -> Iterator[Known]:
        """Yield the rows of a confidence whose right answer is known, as far as they are answered.
        Others are not looked up.
        """
        for slot in self._slots:
            document = slot.document
            if is_right(document.fields, pairs) is None:
                continue
            row = self.row(slot)
            sure, model = row[f"{self._prefix}{RAW[0].name}"], row[f"{self._prefix}model"]
            if isinstance(sure, float):
                right = bool(is_right(row, pairs))
                yield Known(document.position, str(model or ""), sure, right)

    def _row(
        self, document: Document, trail: Trail, billed: Bits
    ) -> tuple[Mapping[str, object], State]:
        state = self._state(document, trail)
        cells = {**self._blank, **self._steps.prompt.answers(trail.answers)}
        cells["status"], cells["error"] = state.status, state.error
        if self._steps.prompt.confidence and state.status == "ok":
            cells |= self._confidence(document, trail.results[-1])
        if trail.results:
            cells |= _account(trail.results, billed)
            if self._splits:
                cells["chunks"] = trail.outline.chunks
        if self._prefix:
            cells = {f"{self._prefix}{name}": value for name, value in cells.items()}
        return {**document.fields, **cells}, state

    def _confidence(self, document: Document, result: Record) -> dict[str, object]:
        raw = result.confidence
        if not self.calibrates:
            return {"confidence": raw}
        found = self.calibrated
        sure = found.apply(document.position, result.model or "", raw) if found else raw
        return {"confidence": sure, RAW[0].name: raw}

    def _state(self, document: Document, trail: Trail) -> State:
        asked = bool(trail.results)
        if trail.begun and self.reason and not trail.problem:
            return State("skipped", f"{self.reason} ({trail.failure})", asked)
        if trail.problem or trail.failure:
            return State("failed", trail.problem or trail.failure, asked)
        if trail.finished:
            notes = [trail.outline.remark, *(result.error for result in trail.results)]
            return State("ok", "; ".join(dict.fromkeys(filter(None, notes))) or None, asked)
        # Once the run was stopped, documents are no longer read: one without a text may have one.
        idle = self._steps.prompt.idle(document)
        return State("skipped", self.reason or (EMPTY if idle else None), asked)


def _account(results: Sequence[Record], billed: Bits) -> dict[str, object]:
    """Add up what the answers took. What another row has paid for is free here."""
    last = results[-1]
    own = [result for result in results if billed.take(result.entry)]
    cells: dict[str, object] = {"model": last.model, "finish_reason": last.finish_reason}
    if len(own) == 1:
        (one,) = own
        usage, cost_usd = one.usage, one.cost_usd
        cells["attempts"] = one.attempts
        cells["latency_seconds"] = round(one.latency_seconds, 3)
    else:
        usage, cost_usd = _together(own)
        cells["attempts"] = sum([result.attempts for result in own])
        cells["latency_seconds"] = round(sum([result.latency_seconds for result in own]), 3)
    if usage is not None:
        cells["prompt_tokens"] = usage.prompt_tokens
        cells["completion_tokens"] = usage.completion_tokens
        cells["total_tokens"] = usage.total_tokens
        cells["cached_tokens"] = usage.cached_tokens
        cells["reasoning_tokens"] = usage.reasoning_tokens
        cells["cost_usd"] = cost_usd
    return cells


def _together(own: Sequence[Record]) -> tuple[Usage | None, Decimal | None]:
    """Add up what answers were billed; of none that is nothing."""
    usages = [result.usage for result in own if result.usage]
    if own and not usages:
        return None, None
    return sum(usages, Usage()), total_usd(own)


class Bits:
    """A set of small numbers, an eighth of a byte each."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def take(self, number: int) -> bool:
        """Add a number; say whether it is new."""
        place, bit = divmod(number, 8)
        if place >= len(self._bytes):
            self._bytes.extend(bytes(place - len(self._bytes) + 4096))
        new = not self._bytes[place] >> bit & 1
        self._bytes[place] |= 1 << bit
        return new


def _check(names: Sequence[str], added: Sequence[str], prefix: str) -> None:
    """Raise UsageError if a new column has the name of another."""
    twice = sorted({name for name in added if added.count(name) > 1})
    if twice:
        raise UsageError(
            f"an output of the prompt can't be called {', '.join(twice)}: "
            "that is the name of another new column"
        )
    taken = [name for name in (f"{prefix}{name}" for name in added) if name in names]
    if taken:
        raise UsageError(
            f"the input already has {_columns(taken)}: name the new columns apart "
            "with --prefix, such as --prefix ai_"
        )


def _columns(names: Sequence[str]) -> str:
    listed = ", ".join(names)
    return f"a column {listed}" if len(names) == 1 else f"columns {listed}"
