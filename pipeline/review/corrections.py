"""What a person said of an output's rows: kept beside it, in `labels.reviewed.csv`, for good.

The table holds the input's columns and what is right. So it is gold labels to evaluate by, an input
to try the next prompt on, and examples to show it; and a run puts it into its output again, however
often it is written. A row is known by its input, so that it may move.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from math import isfinite
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.evaluation.gold import seen
from pipeline.evaluation.pairs import Pair
from pipeline.outputs import excel
from pipeline.outputs.cells import Rows, to_text
from pipeline.outputs.tables import write_table
from pipeline.places import follow
from pipeline.prompting.labels import array
from pipeline.sources.base import Source
from pipeline.sources.decoding import clean
from pipeline.sources.opening import open_source
from pipeline.sources.tables.bounded import read_sheets
from pipeline.sources.tables.written import FINAL, REVIEWED, find_prefix
from pipeline.types import Column

# What has a fraction or an exponent: integers keep all of their digits in each format.
_NUMBER = re.compile(r"-0|-?(?:0|[1-9]\d*)(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+)")
_BARE = (".jsonl", ".parquet")  # hold 7 where an Excel sheet shows 007
_ZEROS = re.compile(r"^0+(?=\d+$)")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.I)


@dataclass(frozen=True, slots=True)
class Corrections:
    """What is right, by the key of the row.

    `answer` is the output's column of answers, `column` the one of what is right, `inputs` are the
    columns that make the key.
    """

    output: Path
    inputs: tuple[str, ...]
    answer: str
    column: str
    rows: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return reviewed_path(self.output)

    @property
    def final(self) -> str:
        return f"{FINAL}{self.column.removeprefix(REVIEWED)}"

    def key(self, row: Mapping[str, object], names: Sequence[str] | None = None) -> str:
        """Return a digest of a row's input, or of these columns of it, as the output holds it."""
        suffix = self.output.suffix.lower()
        return key_of(row, self.inputs if names is None else names, suffix)

    def find(self, row: Mapping[str, object]) -> object:
        """Return what is right for a row, if a person said it: a text, or a list of labels."""
        if not self.rows:
            return None
        known = self.rows.get(self.key(row))
        if known is None:
            return None
        said = seen(known[self.column])
        labels = array(said)
        return said if labels is None else labels

    def columns(self, columns: Sequence[Column]) -> list[Column]:
        """Add the two columns: what a person said, and the last word on each row."""
        own = {self.column, self.final}
        kept = [column for column in columns if column.name not in own]
        return [*kept, *(Column(name, "text", guarded=True) for name in (self.column, self.final))]

    def add(self, row: Mapping[str, object]) -> dict[str, object]:
        """Add the two cells."""
        said = self.find(row)
        given = row.get(self.answer)
        return {**row, self.column: said, self.final: given if said is None else said}


class Corrected:
    """Rows with what a person said of them; each walk is one of the rows beneath."""

    def __init__(self, rows: Rows, corrections: Corrections) -> None:
        self._rows = rows
        self._corrections = corrections

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        return map(self._corrections.add, self._rows)


def reviewed_path(output: Path) -> Path:
    """Return where the corrections of an output lie."""
    output = follow(output)
    return output.with_name(f"{output.stem}.reviewed.csv")


def key_of(row: Mapping[str, object], inputs: Sequence[str], suffix: str = "") -> str:
    """Return a short digest of a row's input, the same whatever format it was read from.

    `suffix` is the format that it may have been through.
    """
    said = "\x1f".join(f"{name}\x1e{_held(row.get(name), suffix)}" for name in sorted(inputs))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _held(cell: object, suffix: str) -> str:
    """Write a cell so that it is the same before and after: 1.50 is 1.5 where there are numbers,
    a moment at midnight is its date in Excel, and NaN is nothing in JSON.
    """
    text = clean(to_text(_rounded(cell) if suffix == ".xlsx" else cell))
    text = seen(excel.cut(text) if suffix == ".xlsx" else text).removesuffix("T00:00:00")
    if suffix in _BARE:
        text = _ZEROS.sub("", text)
    if _NOT_FINITE.fullmatch(text):
        return ""
    if not _NUMBER.fullmatch(text):
        return text
    number = float(text)
    return str(int(number)) if number.is_integer() else repr(number) if isfinite(number) else ""


def _rounded(cell: object) -> object:
    """Round a moment to milliseconds, which is what Excel keeps of it."""
    if isinstance(cell, datetime):
        return cell + timedelta(microseconds=round(cell.microsecond, -3) - cell.microsecond)
    return cell


def check_sample(pairs: Iterable[Pair]) -> None:
    """Raise UsageError where known labels are of rows that were picked, and so promise nothing."""
    picked = [pair.expected for pair in pairs if pair.expected.startswith(REVIEWED)]
    if picked:
        raise UsageError(
            f"--accuracy needs known labels of rows chosen at random: those in {picked[0]} were "
            "chosen for review, most of them because they were unsure. Label rows chosen at random "
            "in a column of another name"
        )


def start(
    output: Path, inputs: Sequence[str], answer: str, taken: Collection[str] = ()
) -> Corrections:
    """Take the corrections of an output, or none yet. Their columns have no name that is `taken`
    or the input's.
    """
    others = {*inputs, *taken}
    name = next(
        name for name in numbered(answer) if not {f"{REVIEWED}{name}", f"{FINAL}{name}"} & others
    )
    return load(Corrections(output, tuple(inputs), answer, f"{REVIEWED}{name}"))


def numbered(name: str) -> Iterator[str]:
    """Yield `name`, `name_2`, `name_3`..."""
    yield name
    yield from (f"{name}_{number}" for number in count(2))


def load(none: Corrections) -> Corrections:
    """Read the rows of corrections that have none yet."""
    if not none.path.exists():
        return none
    with closing(open_source(str(none.path))) as source:
        return replace(none, rows=_rows(source, none))


def _rows(source: Source, none: Corrections) -> dict[str, Mapping[str, object]]:
    names = [item.name for item in source.columns]
    if sorted(names) != sorted([*none.inputs, none.column]):
        raise UsageError(
            f"{none.path} holds corrections of another input ({', '.join(names)}): "
            "move it away, or choose another name for the output"
        )
    return {
        none.key(document.fields): document.fields
        for document in source
        if not document.error and seen(document.fields[none.column])
    }


def keep(corrections: Corrections) -> None:
    """Write the corrections down beside their output."""
    names = [*corrections.inputs, corrections.column]
    columns = [Column(name, guarded=name == corrections.column) for name in names]
    write_table(corrections.path, columns, list(corrections.rows.values()))


def apply(corrections: Corrections) -> bool:
    """Write the output again, with what a person said; say whether that could be done.

    It can't where there are more sheets than one: then only the run knows the whole of it.
    """
    path = corrections.output
    if path.suffix.lower() == ".xlsx" and len(read_sheets(path)) > 1:
        return False
    with closing(open_source(str(path))) as source:
        columns = corrections.columns(source.columns)
        write_table(path, columns, Corrected(_Fields(source), corrections), source.style)
    return True


class _Fields:
    """The rows of a source, walked anew each time."""

    def __init__(self, source: Source) -> None:
        prefix = find_prefix([column.name for column in source.columns])
        self._source = source
        self._cost = f"{prefix or ''}cost_usd"

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        for document in self._source:
            if document.error:
                raise UsageError(f"{document.name}: {document.error}; the output was not changed")
            cost = document.fields.get(self._cost)
            if isinstance(cost, float):  # from Excel, which would show 0.0000125 as 1.25E-05
                yield {**document.fields, self._cost: Decimal(repr(cost))}
            else:
                yield document.fields
