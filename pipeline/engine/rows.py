"""The output as a view of the journal and the input: a row for each document, in its order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from pipeline.engine.steps import Steps, Trail
from pipeline.errors import UsageError
from pipeline.evaluation.calibrated import Calibrated, Known
from pipeline.evaluation.gold import is_right
from pipeline.evaluation.pairs import Pair
from pipeline.types import Column, Document, Result, Status, Usage

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
_UNASKED = {column.name: None for column in ACCOUNT}
RAW = (Column("raw_confidence", "number"),)  # where `confidence` is calibrated
CHUNKS = (Column("chunks", "integer"),)  # where a document may be asked about in several


class Rows:
    """The rows of an output; each walk looks the answers up again, by `follow`.

    With `calibrates` the confidence is `calibrated`'s, once there is one, beside what the model
    showed.
    """

    def __init__(
        self,
        documents: Iterable[Document],
        columns: Sequence[Column],
        *,
        steps: Steps,
        follow: Callable[[Document], Trail],
        prefix: str = "",
        calibrates: bool = False,
    ) -> None:
        self.reason: str | None = None  # why what wasn't asked was not
        self.calibrated: Calibrated | None = None
        self.calibrates = calibrates
        self._documents = documents
        self._steps = steps
        self._follow = follow
        self._prefix = prefix
        raw = RAW if calibrates else ()
        added = [*steps.prompt.columns, *raw, *ACCOUNT, *(CHUNKS if steps.splits else ())]
        self.columns = [
            *columns,
            *(Column(f"{prefix}{column.name}", column.kind, guarded=True) for column in added),
        ]
        _check([column.name for column in columns], [column.name for column in added], prefix)

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        billed = Bits()
        for document in self._documents:
            yield {**document.fields, **self._added(document, billed)}

    def row(self, document: Document) -> Mapping[str, object]:
        """Give the row of a document by itself, with all that its answers cost."""
        return {**document.fields, **self._added(document, Bits())}

    def known(self, pairs: Sequence[Pair]) -> Iterator[Known]:
        """Give the rows of a confidence whose right answer is known, as far as they are answered.
        Others are not looked up.
        """
        for document in self._documents:
            if is_right(document.fields, pairs) is None:
                continue
            row = self.row(document)
            sure, model = row[f"{self._prefix}{RAW[0].name}"], row[f"{self._prefix}model"]
            if isinstance(sure, float):
                right = bool(is_right(row, pairs))
                yield Known(document.position, str(model or ""), sure, right)

    def _added(self, document: Document, billed: Bits) -> dict[str, object]:
        prompt, trail = self._steps.prompt, self._follow(document)
        status, error = self._state(document, trail)
        cells: dict[str, object] = {column.name: None for column in prompt.columns}
        cells |= prompt.answers(trail.answers)
        if self.calibrates:
            cells[RAW[0].name] = None
        if prompt.confidence and status == "ok":
            cells |= self._confidence(document, trail.results[-1])
        cells |= _account(
            status, error, trail.results, [billed.take(item.entry) for item in trail.results]
        )
        if self._steps.splits:
            cells["chunks"] = trail.chunks if trail.results else None
        if not self._prefix:
            return cells
        return {f"{self._prefix}{name}": value for name, value in cells.items()}

    def _confidence(self, document: Document, result: Result) -> dict[str, object]:
        raw = result.confidence
        if not self.calibrates:
            return {"confidence": raw}
        found = self.calibrated
        sure = found.apply(document.position, result.model or "", raw) if found else raw
        return {"confidence": sure, RAW[0].name: raw}

    def _state(self, document: Document, trail: Trail) -> tuple[Status, str | None]:
        if trail.begun and self.reason and not trail.problem:
            return "skipped", f"{self.reason} ({trail.failure})"
        if trail.problem or trail.failure:
            return "failed", trail.problem or trail.failure
        if trail.finished:
            notes = [trail.remark, *(result.error for result in trail.results)]
            return "ok", "; ".join(dict.fromkeys(note for note in notes if note)) or None
        # Once the run was stopped, documents are no longer read: one without a text may have one.
        idle = self._steps.prompt.idle(document)
        return "skipped", self.reason or (EMPTY if idle else None)


def _account(
    status: Status, error: str | None, results: Sequence[Result], paid: Sequence[bool]
) -> dict[str, object]:
    """Add up what the turns took. What another row has paid for is free here."""
    cells: dict[str, object] = {**_UNASKED, "status": status, "error": error}
    if not results:
        return cells
    own = [result for result, here in zip(results, paid, strict=True) if here]
    usages = [result.usage for result in own if result.usage]
    known = bool(usages) or not own
    costs = [result.cost_usd for result in own if result.usage]
    usage = sum(usages[1:], usages[0]) if usages else Usage()
    last = results[-1]
    return cells | {
        "model": last.model,
        "finish_reason": last.finish_reason,
        "prompt_tokens": usage.prompt_tokens if known else None,
        "completion_tokens": usage.completion_tokens if known else None,
        "total_tokens": usage.total_tokens if known else None,
        "cached_tokens": usage.cached_tokens if known else None,
        "reasoning_tokens": usage.reasoning_tokens if known else None,
        "cost_usd": sum(filter(None, costs), Decimal(0)) if known and None not in costs else None,
        "attempts": sum(result.attempts for result in own),
        "latency_seconds": round(sum(result.latency_seconds for result in own), 3),
    }


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
