"""What a person said of an output's rows: kept beside it, in `labels.reviewed.csv`, for good.

The table holds the input's columns and what is right. So it is gold labels to evaluate by, an input
to try the next prompt on, and examples to show it; and a run puts it into its output again, however
often it is written. A row is known by its input, so that it may move.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.outputs.cells import Rows
from pipeline.outputs.graded import find_prefix, seen
from pipeline.outputs.tables import write_table
from pipeline.schema import spelled
from pipeline.sources.base import Source
from pipeline.sources.opening import open_source
from pipeline.types import Column

ABOUT = "about"
LABELS = "labels"
KEY = "row key"
REVIEWED, FINAL = "reviewed_", "final_"


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

    def find(self, row: Mapping[str, object]) -> str | None:
        """Give what is right for a row, if a person said it."""
        if not self.rows:
            return None
        known = self.rows.get(key_of(row, self.inputs))
        return None if known is None else seen(known[self.column])

    def columns(self, columns: Sequence[Column]) -> list[Column]:
        """Add the two columns: what a person said, and the last word on each row."""
        own = {self.column, self.final}
        kept = [column for column in columns if column.name not in own]
        return [*kept, Column(self.column, "text"), Column(self.final, "text")]

    def add(self, row: Mapping[str, object]) -> dict[str, object]:
        """Add the two cells."""
        said = self.find(row)
        given = row.get(self.answer)
        return {**row, self.column: said, self.final: given if said is None else said}


@dataclass(frozen=True, slots=True)
class _Said:
    """What a person said in a row of a workbook, and what the answer was."""

    name: str
    label: str
    answer: str


class Corrected:
    """Rows with what a person said of them; each walk is one of the rows beneath."""

    def __init__(self, rows: Rows, corrections: Corrections) -> None:
        self._rows = rows
        self._corrections = corrections

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        return map(self._corrections.add, self._rows)


def reviewed_path(output: Path) -> Path:
    """Give where the corrections of an output lie."""
    return output.with_name(f"{output.stem}.reviewed.csv")


def key_of(row: Mapping[str, object], inputs: Sequence[str]) -> str:
    """Give a short digest of a row's input, the same whatever format it was read from."""
    said = "\x1f".join(f"{name}\x1e{seen(row.get(name))}" for name in sorted(inputs))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def start(output: Path, inputs: Sequence[str], answer: str) -> Corrections:
    """Take the corrections of an output, or none yet."""
    column = f"{REVIEWED}{answer}"
    number = 2
    while column in inputs:
        column, number = f"{REVIEWED}{answer}_{number}", number + 1
    none = Corrections(output, tuple(inputs), answer, column)
    if not none.path.exists():
        return none
    source = open_source(str(none.path))
    names = [item.name for item in source.columns]
    if sorted(names) != sorted([*inputs, column]):
        raise UsageError(
            f"{none.path} holds corrections of another input ({', '.join(names)}): "
            "move it away, or choose another name for the output"
        )
    rows = {
        key_of(document.fields, inputs): document.fields
        for document in source
        if not document.error and seen(document.fields[column])
    }
    return replace(none, rows=rows)


def read_back(workbook: Path, output: Path | None) -> tuple[Corrections, int, int]:
    """Take a corrected workbook in; say how many rows were looked at and how many of them wrong.

    Nothing is written yet. Raises UsageError where it isn't a workbook to review, or says something
    that is no label.
    """
    source = open_source(str(workbook))
    names = [column.name for column in source.columns]
    about, labels = _hidden(workbook)
    if KEY not in names or "why" not in names or not names[0].startswith(REVIEWED):
        raise UsageError(f"{workbook} was not written by --review: it lacks its columns")
    output = output or (workbook.parent / about["output"] if "output" in about else None)
    if output is None:
        raise UsageError(f"which output are the corrections of {workbook} for? name it with -o")
    column = names[0]
    answer = about.get("answer") or re.sub(r"_\d+$", "", column.removeprefix(REVIEWED))
    shown = {column, answer, "why", KEY, *(n for n in names if n.endswith("confidence"))}
    table = open_source(str(output))
    inputs = _inputs([item.name for item in table.columns], answer, shown, names)
    before = start(output, inputs, answer)
    looked = _looked(source, column, answer, labels)
    rows = {**before.rows, **_matched(table, looked, before, output)}
    wrong = sum(said.label != said.answer for said in looked.values())
    return replace(before, rows=rows), len(looked), wrong


def check_workbook(workbook: Path) -> None:
    """Raise UsageError where writing a workbook to review would cost somebody's work."""
    if not workbook.exists():
        return
    try:
        source = open_source(str(workbook))
        names = [column.name for column in source.columns]
        ours = KEY in names and "why" in names and names[0].startswith(REVIEWED)
        said = ours and any(seen(document.fields.get(names[0])) for document in source)
    except UsageError:
        ours = said = False
    if not ours:
        raise UsageError(
            f"{workbook} exists and wasn't written by --review: choose another name for --review"
        )
    if said:
        raise UsageError(
            f"{workbook} has corrections that weren't taken back: `pipeline review {workbook}`, "
            "then remove it, or choose another name for --review"
        )


def _looked(source: Source, column: str, answer: str, labels: frozenset[str]) -> dict[str, _Said]:
    """Read what a person said, by the keys of the rows."""
    looked: dict[str, _Said] = {}
    for document in source:
        label = seen(document.fields.get(column))
        if not label:
            continue
        if labels:  # Excel makes a number of `3` and a truth value of `TRUE`
            label = spelled(label, labels)
        if labels and label not in labels:
            raise UsageError(
                f"{document.name}: `{label}` is none of the labels {', '.join(sorted(labels))}"
            )
        said = _Said(document.name, label, seen(document.fields.get(answer)))
        first = looked.setdefault(str(document.fields.get(KEY)), said)
        if first.label != label:
            raise UsageError(
                f"{first.name} says `{first.label}` and {document.name} says `{label}` of the same "
                "input: leave one of them"
            )
    return looked


def _matched(
    table: Source, looked: Mapping[str, _Said], before: Corrections, output: Path
) -> dict[str, Mapping[str, object]]:
    """Find the rows of the output that were looked at."""
    found: dict[str, Mapping[str, object]] = {}
    for document in table:
        key = key_of(document.fields, before.inputs)
        if key in looked:
            cells = {name: document.fields.get(name) for name in before.inputs}
            found[key] = {**cells, before.column: looked[key].label}
    missing = [said.name for key, said in looked.items() if key not in found]
    if missing:
        raise UsageError(
            f"{len(missing):,} of the {len(looked):,} rows that were reviewed are not in {output} "
            f"(the first: {missing[0]}): it has another input by now; nothing was changed"
        )
    return found


def _inputs(
    columns: Sequence[str], answer: str, shown: set[str], names: Sequence[str]
) -> list[str]:
    """Give the input's columns: those of the workbook that the output has before its answers."""
    if answer not in columns:
        raise UsageError(f'the output has no column "{answer}" that the corrections are of')
    asked = [name for name in names if name not in shown]
    missing = [name for name in asked if name not in columns]
    if missing:
        raise UsageError(f"the output has no column {', '.join(missing)}: it is of another input")
    return [name for name in columns if name in asked]


def _hidden(workbook: Path) -> tuple[dict[str, str], frozenset[str]]:
    """Read the hidden sheets: what the workbook is about, and its labels."""
    if workbook.suffix.lower() != ".xlsx":
        return {}, frozenset()
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(str(workbook))
        sheets = {
            name: [[seen(cell) for cell in row] for row in book.get_sheet_by_name(name).to_python()]
            for name in (ABOUT, LABELS)
            if name in book.sheet_names
        }
    except CalamineError as error:
        raise UsageError(f"{workbook} can't be read as Excel: {error}") from error
    about = {row[0]: row[1] for row in sheets.get(ABOUT, [])[1:] if len(row) > 1}
    return about, frozenset(row[0] for row in sheets.get(LABELS, [])[1:] if row and row[0])


def keep(corrections: Corrections) -> None:
    """Write the corrections down beside their output."""
    names = [*corrections.inputs, corrections.column]
    columns = [Column(name) for name in names]
    write_table(corrections.path, columns, list(corrections.rows.values()))


def apply(corrections: Corrections) -> None:
    """Write the output again, with what a person said.

    Raises UsageError where the file alone isn't the whole of it: then the run itself has to.
    """
    path = corrections.output
    if path.suffix.lower() == ".xlsx" and _has_more_sheets(path):
        raise UsageError(
            f"{path} has several sheets, which only the run that wrote it can write again: the "
            f"corrections are kept in {corrections.path}; run the same command again"
        )
    source = open_source(str(path))
    columns = corrections.columns(source.columns)
    write_table(path, columns, Corrected(_Fields(source), corrections))


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


def _has_more_sheets(path: Path) -> bool:
    from python_calamine import CalamineWorkbook

    return len(CalamineWorkbook.from_path(str(path)).sheet_names) > 1
