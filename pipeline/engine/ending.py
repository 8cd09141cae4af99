"""How a run ended, in one value, and what the output then holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.errors import AccessError, FatalError, PipelineError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.engine.rows import Rows, State
    from pipeline.evaluation.gold import Grader
    from pipeline.evaluation.scores import Evaluation

INTERRUPTED = 130  # the exit code of what Ctrl-C has ended
MOST_REASONS = 1000  # are told apart


@dataclass(frozen=True, slots=True)
class Ending:
    """How the asking ended: by itself, by the user, or by `fatal`, which waiting doesn't mend.

    `answered` requests have got an answer, good or not.
    """

    answered: int = 0
    interrupted: bool = False
    fatal: FatalError | None = None

    @property
    def early(self) -> bool:
        """Return whether anything was left unasked."""
        return self.interrupted or self.fatal is not None

    @property
    def barren(self) -> bool:
        """Return whether nothing came of it: an older output is worth more than a new one."""
        return self.fatal is not None and not self.answered

    @property
    def reason(self) -> str | None:
        """Say of a row that was not asked about why."""
        if self.fatal:
            return f"not asked: {self.fatal}"
        return "not asked: interrupted" if self.interrupted else None

    def exit_code(self, failed: int) -> int:
        """Return the exit code, with so many rows that have failed."""
        if self.fatal:
            late = isinstance(self.fatal, AccessError) and self.answered
            return 4 if late else self.fatal.exit_code
        if self.interrupted:
            return INTERRUPTED
        return 1 if failed else 0


@dataclass(frozen=True, slots=True)
class Review:
    """The workbook for a person to look at: where it is, how many rows it has, and whether it says
    itself which output it is of.
    """

    path: Path
    rows: int
    names_output: bool


@dataclass(slots=True)
class Outcome:
    """What the output holds, why rows failed, and why others were skipped or asked again.

    Of the failed rows `unasked` can't be asked about as they are. `notes` are of the output's
    format, `remarks` what else the user should know. `problems` are what went wrong after the
    output was written: it stands.
    """

    ending: Ending
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    skips: Counter[str] = field(default_factory=Counter)
    unasked: int = 0
    evaluation: Evaluation | None = None
    review: Review | None = None
    problems: list[PipelineError] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.statuses.total()

    @property
    def exit_code(self) -> int:
        return self.ending.exit_code(self.statuses["failed"])

    def clear(self) -> None:
        """Count anew."""
        self.unasked = 0
        for counter in (self.statuses, self.errors, self.skips):
            counter.clear()

    def add(self, state: State) -> None:
        """Count a row."""
        self.statuses[state.status] += 1
        self.unasked += state.status == "failed" and not state.asked
        reasons, error = self.errors if state.status == "failed" else self.skips, state.error
        if error and (len(reasons) < MOST_REASONS or error in reasons):
            reasons[error] += 1

    def counted(self, rows: Rows, grader: Grader | None = None) -> Iterable[Mapping[str, object]]:
        """Return rows that are counted as they are walked, and graded if that is wanted; a new walk
        counts anew.
        """
        return _Counted(rows, self, grader)


class _Counted:
    def __init__(self, rows: Rows, outcome: Outcome, grader: Grader | None) -> None:
        self._rows = rows
        self._outcome = outcome
        self._grader = grader

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        self._outcome.clear()
        if self._grader is not None:
            self._grader.clear()
        for document, row, state in self._rows.with_states():
            self._outcome.add(state)
            if self._grader is not None:
                self._grader.add(document, row)
            yield row
