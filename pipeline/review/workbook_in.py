"""Reads what a person said in a workbook to review, and finds the rows of the output it is of."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.evaluation.gold import seen
from pipeline.formats import FORMATS
from pipeline.outputs.cells import to_json
from pipeline.prompting.labels import Labels, array
from pipeline.review.corrections import Corrections, load
from pipeline.sources.base import Source
from pipeline.sources.opening import open_source
from pipeline.sources.tables.bounded import read_sheets
from pipeline.sources.tables.written import REVIEWED, find_prefix

# The sheets that are hidden, and the names on them.
ABOUT, LABELS = "about", "labels"
OUTPUT, ANSWER, INPUT, SEVERAL = "output", "answer", "input", "several"
WHY, KEY = "why", "row key"


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said in a row of a workbook, and what the answer was."""

    name: str
    label: str
    wrong: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """The corrections with those of a workbook among them; how many rows of it were looked at, how
    many answers were wrong, and how many rows of the output have these inputs.
    """

    corrections: Corrections
    looked: int
    wrong: int
    found: int


def read_back(workbook: Path, output: Path | None) -> Taken:
    """Take a corrected workbook in. Nothing is written yet.

    Raises UsageError where it isn't a workbook to review, or says something that is no label.
    """
    book = _Workbook(workbook)
    if output is None and book.output is None:
        raise UsageError(f"which output does {workbook} correct? name it with -o")
    output = output or _own(workbook, book.output or workbook)
    before = Corrections(output, book.inputs, book.answer, book.column)
    with closing(open_source(str(output))) as table:
        _check_columns([column.name for column in table.columns], before)
        before = load(before)
        looked = book.read()
        rows, found = _matched(table, looked, before)
    wrong = sum(said.wrong for said in looked.values())
    taken = replace(before, rows={**before.rows, **rows})
    return Taken(taken, len(looked), wrong, found)


def finds_output(workbook: Path, output: Path) -> bool:
    """Return whether a workbook may say by itself which output it corrects: one beside it or below.

    It may come from a stranger, who must not choose which of the user's tables is rewritten.
    """
    return output.resolve().is_relative_to(workbook.resolve().parent)


def _may_be_of(workbook: Path, output: Path) -> bool:
    try:
        journal = output.with_name(f"{output.name}.journal")
        return finds_output(workbook, output) and (journal.exists() or not output.exists())
    except (OSError, ValueError):  # a name that no file can have
        return False


def _own(workbook: Path, output: Path) -> Path:
    """Return the output that a workbook names, if it may and a run has written that."""
    if not _may_be_of(workbook, output):
        raise UsageError(
            f"{workbook} says that it corrects {output}, which lies elsewhere or wasn't written by "
            "a run: if that is right, name it with -o"
        )
    return output


def check_workbook(workbook: Path, corrections: Corrections) -> None:
    """Raise UsageError where writing a workbook to review would cost somebody's work."""
    if not workbook.exists():
        return
    try:
        book = _Workbook(workbook)
    except UsageError as error:
        raise UsageError(
            f"{workbook} exists and wasn't written by --review: choose another name for --review"
        ) from error
    try:
        looked = book.read()
        kept = {key: seen(row[corrections.column]) for key, row in corrections.rows.items()}
        done = all(kept.get(key) == said.label for key, said in looked.items())
    except UsageError:  # it says what is no label
        done = False
    if not done:
        raise UsageError(
            f"{workbook} has corrections that haven't been read back: run "
            f"`pipeline review {shlex.quote(str(workbook))}` first, or choose another name for "
            "--review"
        )


class _Workbook:
    """A workbook to review: its first sheet and what the hidden ones say of it. Saved as .csv it
    has only the first. Raises UsageError where it is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(open_source(str(path))) as source:
            names = [column.name for column in source.columns]
            self._rows = list(source) if names[0].startswith(REVIEWED) else []
        keys = [name for name in names if _is(name, KEY)]
        why = next((name for name in names[1:4] if _is(name, WHY)), None)
        if not names[0].startswith(REVIEWED) or why is None or not keys:
            raise UsageError(
                f"{path} was not written by --review: it doesn't have the columns of a review"
            )
        self.column = names[0]
        self._key = keys[-1]
        about, labels = _hidden(path)
        self._labels = Labels(labels)
        said = dict(about)
        self.output = path.parent / said[OUTPUT] if OUTPUT in said else None
        self.answer = said.get(ANSWER, names[1])
        self.inputs = tuple(value for name, value in about if name == INPUT)
        if not self.inputs:
            self.inputs = tuple(names[names.index(why) + 1 : names.index(self._key)])
        self._several = SEVERAL in said

    def read(self) -> dict[str, Said]:
        """Read what was said, by the keys of the rows; UsageError where it is no label."""
        looked: dict[str, Said] = {}
        for document in self._rows:
            text = seen(document.fields.get(self.column))
            if not text:
                continue
            said = self._said(document.name, text, seen(document.fields.get(self.answer)))
            first = looked.setdefault(str(document.fields.get(self._key)), said)
            if first.label != said.label:
                raise UsageError(
                    f"{first.name} says `{first.label}` and {said.name} says `{said.label}` for "
                    "the same input: keep one of them"
                )
        return looked

    def _said(self, name: str, text: str, answer: str) -> Said:
        if not self._several and array(answer) is None:
            label = self._labels.spell(text)
            return Said(name, self._known(name, label), label != self._labels.spell(answer))
        labels = [self._known(name, label) for label in self._labels.split(text)]
        wrong = sorted(labels) != sorted(self._labels.split(answer))
        return Said(name, to_json(labels).decode(), wrong)

    def _known(self, name: str, label: str) -> str:
        """Return a label; UsageError if it is none of the prompt's."""
        if self._labels and label not in self._labels:
            raise UsageError(
                f"{name}: `{label}` is not one of the labels {', '.join(sorted(self._labels))}"
            )
        return label


def _is(name: str, own: str) -> bool:
    """Return whether a column is one of ours, numbered where the input has such a name."""
    return re.fullmatch(rf"{own}(_\d+)?", name) is not None


def _check_columns(names: Sequence[str], before: Corrections) -> None:
    """Raise UsageError unless an output has the answers that were reviewed, to these inputs."""
    if before.answer not in names:
        raise UsageError(f'{before.output} has no column "{before.answer}", which was reviewed')
    missing = [name for name in before.inputs if name not in names]
    if missing:
        raise UsageError(
            f"{before.output} has no column {', '.join(missing)}: it is of another input"
        )
    prefix = find_prefix(names)
    others = [] if prefix is None else names[: names.index(f"{prefix}status")]
    taken = [name for name in (before.column, before.final) if name in others]
    if taken:
        raise UsageError(
            f"{before.output} has a column {taken[0]} of its input by now: it is of another input"
        )


def _matched(
    table: Source, looked: Mapping[str, Said], before: Corrections
) -> tuple[dict[str, Mapping[str, object]], int]:
    """Find the rows of the output that were looked at; say how many there are."""
    found: dict[str, Mapping[str, object]] = {}
    count = 0
    for document in table:
        key = before.key(document.fields)
        if key in looked:
            cells = {name: document.fields.get(name) for name in before.inputs}
            found[key] = {**cells, before.column: looked[key].label}
            count += 1
    missing = [said.name for key, said in looked.items() if key not in found]
    if missing:
        raise UsageError(
            f"{len(missing):,} of the {len(looked):,} reviewed rows are not in {before.output} "
            f"(the first: {missing[0]}): its input has changed since; nothing was changed"
        )
    return found, count


def _hidden(workbook: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """Read the hidden sheets: what the workbook is about, and its labels."""
    kind = FORMATS.get(workbook.suffix.lower())
    if kind is None or not kind.book:
        return [], []
    sheets = read_sheets(workbook, (ABOUT, LABELS))
    about = [(str(row[0]), str(row[1])) for row in sheets.get(ABOUT, [])[1:] if len(row) > 1]
    labels = [seen(row[0]) for row in sheets.get(LABELS, [])[1:] if row]
    return about, [label for label in labels if label]
