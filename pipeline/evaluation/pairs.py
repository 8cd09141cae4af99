"""Which column holds the answer to which column of right answers: what `--expected` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pipeline.errors import UsageError
from pipeline.prompting.labels import Labels
from pipeline.sources.tables.written import find_prefix

_ANSWERS = ("label", "output")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A column of right answers, as it was written, and the two names if that is ANSWER=COLUMN."""

    text: str
    answer: str | None
    column: str

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """Part ANSWER=COLUMN at its first equals sign."""
        answer, equals, column = text.partition("=")
        return cls(text, answer, column) if equals else cls(text, None, text)

    def among(self, names: Sequence[str]) -> Wanted:
        """Return it as a table with these columns means it: one may have an equals sign itself."""
        return Wanted(self.text, None, self.text) if self.text in names else self


@dataclass(frozen=True, slots=True)
class Expected:
    """The columns of right answers: COLUMN, or ANSWER=COLUMN,ANSWER=COLUMN.

    `choices` holds for each text that was given the whole of it, which one column may be called,
    and what stands between its commas.
    """

    choices: tuple[tuple[str, tuple[Wanted, ...]], ...]

    @classmethod
    def parse(cls, *texts: str) -> Expected:
        """Parse what was given, each time that it was."""
        return cls(tuple((text, tuple(map(Wanted.parse, _parts(text)))) for text in texts))

    @property
    def columns(self) -> set[str]:
        """Return all names that a column of right answers may have by this."""
        parts = [part for _, parts in self.choices for part in parts]
        wholes = {text for text, _ in self.choices}
        return wholes | {part.text for part in parts} | {part.column for part in parts}

    def among(self, names: Sequence[str]) -> list[Wanted]:
        """Return what a table with these columns means by it."""
        found: list[Wanted] = []
        for text, parts in self.choices:
            whole = (Wanted(text, None, text),)
            found += whole if text in names else (part.among(names) for part in parts)
        return found


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


@dataclass(frozen=True, slots=True)
class Pair:
    """The column of an answer and the column that says what it should have been; `labels` are those
    there are, where they are known.
    """

    predicted: str
    expected: str
    labels: Labels | None = None


def find_pairs(
    names: Sequence[str],
    expected: Expected,
    predicted: str | None,
    table: str,
    *,
    inputs: Sequence[str] | None = None,
) -> list[Pair]:
    """Find which column holds the answer to each column that was expected. That is one of the
    `inputs`, where not all columns are. Raises UsageError where there is no such column.
    """
    inputs = names if inputs is None else inputs
    pairs = [_pair(wanted, names, inputs, predicted, table) for wanted in expected.among(inputs)]
    if predicted is not None and len(pairs) > 1:
        raise UsageError(
            "--predicted names one column: with several write --expected ANSWER=COLUMN"
        )
    twice = [pair.predicted for pair in pairs if pair.predicted == pair.expected]
    if twice:
        raise UsageError(f'the column "{twice[0]}" can\'t be compared with itself')
    return pairs


def _pair(
    wanted: Wanted, names: Sequence[str], inputs: Sequence[str], predicted: str | None, table: str
) -> Pair:
    check_column(wanted.column, inputs, table)
    answer = wanted.answer
    if answer is None:
        answer = predicted or _answer(wanted.column, names, table)
    check_column(answer, names, table)
    return Pair(answer, wanted.column)


def _answer(expected: str, names: Sequence[str], table: str) -> str:
    prefix = find_prefix(names) or ""
    for name in _ANSWERS:
        if f"{prefix}{name}" in names and f"{prefix}{name}" != expected:
            return f"{prefix}{name}"
    after = expected.partition("_")[2]  # gold_urgency -> urgency
    if after and f"{prefix}{after}" in names:
        return f"{prefix}{after}"
    raise UsageError(
        f"which column of {table} is the answer? name it with --predicted; "
        f"its columns are: {', '.join(names)}"
    )


def check_column(name: str, names: Sequence[str], table: str) -> None:
    """Raise UsageError where a table has no such column."""
    if name in names:
        return
    close = get_close_matches(name, names, 1)
    hint = f'; did you mean "{close[0]}"?' if close else f"; its columns are: {', '.join(names)}"
    raise UsageError(f'{table} has no column "{name}"{hint}')


def all_empty(pairs: Sequence[Pair]) -> str:
    """Say that no row has a right answer."""
    names = [f'"{pair.expected}"' for pair in pairs]
    if len(names) == 1:
        return f"column {names[0]} is empty in every row"
    return f"columns {' and '.join(names)} are empty in every row"
