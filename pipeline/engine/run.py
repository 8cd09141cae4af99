"""One run from input to output: plan, ask, write. Three walks over the same documents."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial

from pipeline.backends.base import Lane
from pipeline.engine.ending import Ending, Outcome
from pipeline.engine.escalation import Escalation
from pipeline.engine.loop import Engine
from pipeline.engine.progress import Progress
from pipeline.engine.rows import Bits, Rows
from pipeline.engine.settings import Settings
from pipeline.engine.steps import Step, Steps, Trail
from pipeline.errors import FatalError, UsageError
from pipeline.evaluation.calibrated import Calibrated
from pipeline.evaluation.gold import is_known, is_right
from pipeline.evaluation.pairs import Expected, Pair, find_pairs
from pipeline.outputs.tables import write_table
from pipeline.outputs.targets import Target
from pipeline.prompting.labels import Labels
from pipeline.prompting.schema import allowed
from pipeline.review.corrections import Corrected, Corrections, check_sample, start
from pipeline.sources.spool import Spool
from pipeline.types import Document, Request

PLAN_SECONDS = 5.0  # an input that takes longer to read is estimated from what was read by then


@dataclass(slots=True)
class Plan:
    """What a run would send. Where `complete` is False it was estimated from the first rows.

    `known` rows have an answer in the journal, good or not. `problem` is why the first of the
    `unreadable` rows can't be asked about. Besides the `requests` the stronger model is asked
    `escalations` at the most, for `escalated_usd` at the most (None: unknown). `expects` says that
    the right answer to some row is known, `fits` that one of those is an answer that can be given;
    `strange` is the first that can't.
    """

    rows: int = 0
    done: int = 0
    known: int = 0
    unreadable: int = 0
    problem: str | None = None
    empty: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    low_usd: Decimal | None = Decimal(0)
    high_usd: Decimal | None = Decimal(0)
    escalations: int = 0
    escalated_usd: Decimal | None = Decimal(0)
    complete: bool = True
    expects: bool = False
    fits: bool = False
    strange: str | None = None
    first: Request | None = None

    def scale(self, factor: float) -> None:
        """Take what was read for a part of the whole."""
        self.complete = False
        self.rows, self.done = round(self.rows * factor), round(self.done * factor)
        self.empty = round(self.empty * factor)
        self.unreadable = round(self.unreadable * factor)
        self.requests = round(self.requests * factor)
        self.prompt_tokens = round(self.prompt_tokens * factor)
        self.escalations = round(self.escalations * factor)
        if self.low_usd is not None:
            self.low_usd *= Decimal(factor)
        if self.high_usd is not None:
            self.high_usd *= Decimal(factor)
        if self.escalated_usd is not None:
            self.escalated_usd *= Decimal(factor)


class Run:
    """A prompt over an input, with its journal: `plan`, `ask`, then `finish` of `afterwards.py`.

    `target` is where the output goes, if there is one. `notices` are what the user should know of
    how the run was made, `warning` what even a quiet run says. `exit_code` is what the journal
    notes of its end. Raises UsageError where a column of right answers isn't there.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        spool: Spool,
        steps: Steps,
        engine: Engine,
        escalation: Escalation | None = None,
        expected: Expected | None = None,
        target: Target | None = None,
        notices: Sequence[str] = (),
        warning: str | None = None,
    ) -> None:
        self.settings = settings
        self.spool = spool
        self.steps = steps
        self.engine = engine
        self.escalation = escalation
        self.target = target
        self.notices = notices
        self.warning = warning
        self.exit_code = 0
        self.prefix = settings.prefix
        self._deepest = 0
        self._stopping = False
        columns = spool.source.columns
        safe = settings.safe_csv
        self.rows = Rows(
            spool,
            [replace(column, guarded=True) for column in columns] if safe else columns,
            steps=steps,
            follow=self.follow,
            prefix=self.prefix,
            calibrates=expected is not None and steps.prompt.confidence,
        )
        names = [column.name for column in self.rows.columns]
        inputs = [column.name for column in columns]
        self.pairs = self._pairs(names, inputs, expected) if expected else []
        if escalation is not None and escalation.promise is not None:
            check_sample(self.pairs)

    @property
    def lanes(self) -> list[Lane]:
        """Give the lanes of the models, the first one's first."""
        engines = [self.engine, *([self.escalation.engine] if self.escalation else [])]
        return [engine.lane for engine in engines]

    @property
    def told(self) -> list[str]:
        """Give the warning and the notices, in the order in which to tell them."""
        return [*([self.warning] if self.warning else []), *self.notices]

    @property
    def state(self) -> str:
        """Say in a few words what the run is doing or waiting for."""
        asking = (lane for lane in self.lanes if lane.in_flight)
        return next(asking, self.engine.lane).state()

    def follow(self, document: Document) -> Trail:
        """Give what is known about a document, whichever model's answers stand."""
        first, escalation = self._first(document), self.escalation
        return first if escalation is None else escalation.follow(document, first)

    def _pairs(self, names: list[str], inputs: list[str], expected: Expected) -> list[Pair]:
        """Find what is compared with what, and the labels that there are."""
        predicted = self.answer if len(expected.among(inputs)) == 1 else None
        found = find_pairs(names, expected, predicted, self.spool.source.name, inputs=inputs)
        outputs = self.steps.prompt.outputs or {}
        labels = [allowed(outputs, pair.predicted.removeprefix(self.prefix)) for pair in found]
        return [
            replace(pair, labels=Labels(texts)) if texts else pair
            for pair, texts in zip(found, labels, strict=True)
        ]

    def _first(self, document: Document, most: int | None = None) -> Trail:
        return self.steps.follow(document, self.engine.store.get, most)

    def plan(self, seconds: float = PLAN_SECONDS) -> Plan:
        """Find out what there is to do, from as much of the input as can be read in this time.

        Raises UsageError where right answers are to be known and none is.
        """
        plan, escalation = self._plan(seconds), self.escalation
        if self.pairs and plan.complete and plan.rows and not plan.expects:
            wanted = " or ".join(f'"{pair.expected}"' for pair in self.pairs)
            name = self.spool.source.name
            raise UsageError(f"{name}: no row has anything in {wanted} to compare with")
        if plan.strange is not None and not plan.fits and plan.complete:
            labels = ", ".join(self.pairs[0].labels or ())
            raise UsageError(
                f'{self.spool.source.name}: nothing in "{self.pairs[0].expected}" is one of the '
                f"labels {labels}: it begins with `{plan.strange}`"
            )
        if escalation is None or plan.requests or not plan.complete:
            return plan
        if escalation.settled and not plan.escalations:
            return plan
        self._settle(escalation)  # the first model has been asked all
        return self._plan(seconds)

    def _plan(self, seconds: float) -> Plan:
        plan = Plan()
        until = time.monotonic() + seconds
        seen: set[bytes] = set()
        for document in self.spool:
            self._plan_document(plan, document, seen)
            if time.monotonic() > until:
                break
        else:
            return plan
        self.engine.lane.server.counter.count("")  # loads it before there is an event loop to block
        plan.scale(1 / max(self.spool.source.fraction(), 1e-6))
        return plan

    def _plan_document(self, plan: Plan, document: Document, seen: set[bytes]) -> None:
        plan.rows += 1
        if self.pairs and not plan.fits:
            self._plan_expected(plan, document.fields)
        if document.error is None and self.steps.prompt.idle(document):
            plan.empty += 1
            return
        first, escalation = self._first(document), self.escalation
        trail = first if escalation is None else escalation.follow(document, first)
        plan.unreadable += trail.problem is not None
        plan.problem = plan.problem or trail.problem
        plan.done += trail.finished
        plan.known += bool(trail.results)
        if plan.first is None:
            asked = [step.request for step in trail.missing]
            plan.first = next(iter([*(result.request for result in trail.results), *asked]), None)
        if trail.finished or trail.problem:
            return
        for step in _ahead(self.steps, document, first, seen):
            self._plan_step(plan, step)
        if escalation is not None:
            for step in _ahead(escalation.steps, document, escalation.look(document), seen):
                _plan_escalation(plan, step.request, escalation)

    def _plan_expected(self, plan: Plan, fields: Mapping[str, object]) -> None:
        if is_right(fields, self.pairs) is None:
            return
        plan.expects = True
        plan.fits = len(self.pairs) > 1 or is_known(fields, self.pairs[0])
        if not plan.fits and plan.strange is None:
            plan.strange = str(fields.get(self.pairs[0].expected))

    def _plan_step(self, plan: Plan, step: Step) -> None:
        """Add a request; an answer in it that isn't there yet is as long as it may be."""
        server, request = self.engine.lane.server, step.request
        bound, unknown = request.max_tokens, step.answers.count("")
        tokens = server.count_tokens(request)
        plan.requests += request.votes
        plan.prompt_tokens += tokens * request.votes
        if server.price is None or plan.low_usd is None:
            plan.low_usd = plan.high_usd = None
            return
        plan.low_usd += server.price.ceiling_usd(tokens, 1) * request.votes
        if bound is None or plan.high_usd is None:
            plan.high_usd = None
        else:
            most = server.most_tokens(request, tokens) + unknown * bound
            plan.high_usd += server.price.ceiling_usd(most, bound) * request.votes

    async def ask(self, plan: Plan, progress: Progress) -> Ending:
        """Ask for all that is missing, and say how that ended."""
        if plan.complete and not (plan.requests or plan.escalations):
            return Ending()
        fatal: FatalError | None = None
        progress.state = lambda: self.state
        for lane in self.lanes:
            lane.note = progress.note
        try:
            for lane in self.lanes:
                await lane.open()
            progress.start(plan.requests)
            await self._ask_all(progress)
        except FatalError as error:
            fatal = error
        finally:
            for lane in self.lanes:
                await lane.close()
        return Ending(progress.spent.answered, self._stopping, fatal)

    def stop(self) -> None:
        """Ask nothing more; what is in flight may still come back, for a moment."""
        self._stopping = True
        for lane in self.lanes:
            lane.stop()

    async def _ask_all(self, progress: Progress) -> None:
        await self._ask(self.engine, self._missing, progress)
        escalation = self.escalation
        if escalation is not None and not self.engine.lane.stopped and self._settle(escalation):
            escalated = partial(self._escalated, escalation, progress)
            await self._ask(escalation.engine, escalated, progress)

    async def _ask(
        self, engine: Engine, requests: Callable[[int], Iterable[Request]], progress: Progress
    ) -> None:
        """Ask a model, a level of each document's steps at a time."""
        level = self._deepest = 0
        while level <= self._deepest and not engine.lane.stopped:
            async for result in engine.run(requests(level)):
                progress.add(result)
            level += 1

    def _missing(self, level: int) -> Iterator[Request]:
        """Go through the documents for what the first model is to be asked at this level. What
        comes after it is found out on the way.
        """
        for document in self._askable():
            # What it failed at before is not asked again where the stronger one has answered.
            if self.escalation is None or not self.follow(document).finished:
                yield from self._at(level, self.steps, self._first(document, level))

    def _escalated(
        self, escalation: Escalation, progress: Progress, level: int
    ) -> Iterator[Request]:
        """Go through the documents for what the stronger model is to be asked at this level."""
        for document in self._askable():
            if escalation.unsure(self._first(document)):
                requests = self._at(level, escalation.steps, escalation.look(document, level))
                yield from progress.expect(requests)

    def _askable(self) -> Iterator[Document]:
        for document in self.spool:
            if not (document.error or self.steps.prompt.idle(document)):
                yield document

    def _at(self, level: int, steps: Steps, trail: Trail) -> Iterator[Request]:
        """Give what is missing at this level; the engine leaves out what it knows."""
        if trail.missing and trail.level == level:
            if steps.goes_on(trail):
                self._deepest = level + 1
            yield from (step.request for step in trail.missing)

    def _settle(self, escalation: Escalation) -> bool:
        """Find out what is unsure, once the first model has answered; say whether anything can
        be told.
        """
        if not escalation.can_tell(map(self._first, self.spool)):
            return False
        if escalation.promise is not None:
            escalation.keep(self._labelled())
        return not escalation.off

    def count(self) -> None:
        """Add up what the first model has saved, over all rows and whichever run asked."""
        if self.escalation is None:
            return
        counted = Bits()
        for document in self.spool:
            first = self._first(document)
            if first.results and counted.take(first.results[-1].entry):
                self.escalation.count(document, first)

    def _labelled(self) -> list[tuple[float | None, bool]]:
        """Give how sure the first model was of each row that it has answered and whose right label
        is known, and whether it was right.
        """
        found: list[tuple[float | None, bool]] = []
        for document in self.spool:
            if is_right(document.fields, self.pairs) is None:
                continue
            trail = self._first(document)
            if not trail.finished:
                continue
            cells = self.steps.prompt.answers(trail.answers)
            row = {f"{self.prefix}{name}": cell for name, cell in cells.items()}
            right = bool(is_right({**document.fields, **row}, self.pairs))
            found.append((trail.results[-1].confidence, right))
        return found

    def calibrate(self) -> list[str]:
        """Calibrate the confidence that is written, where right answers are known; say how."""
        if not self.rows.calibrates:
            return []
        self.rows.calibrated = Calibrated(self.rows.known(self.pairs))
        return self.rows.calibrated.notes

    def write(self, outcome: Outcome) -> None:
        """Write the output and count its rows: all, asked or not.

        What a person has said of its rows is in it again.
        """
        self.rows.reason = outcome.ending.reason
        columns, rows = self.rows.columns, outcome.counted(self.rows, self.prefix)
        if self.target is None:
            return
        said = self.corrections()
        if said is None or not said.rows:
            outcome.notes = write_table(self.target.path, columns, rows)
        else:
            written = said.columns(columns)
            outcome.notes = write_table(self.target.path, written, Corrected(rows, said))

    @property
    def answer(self) -> str | None:
        """Name the column of the one answer: the only one, or `label`."""
        prompt = self.steps.prompt
        own = prompt.columns[:-1] if prompt.confidence else prompt.columns
        names = [column.name for column in own]
        name = "label" if "label" in names else names[0] if len(names) == 1 else None
        return None if name is None else f"{self.prefix}{name}"

    def corrections(self) -> Corrections | None:
        """Give what a person has said of the output's rows; None where there isn't one answer."""
        inputs = [column.name for column in self.spool.source.columns]
        taken = [column.name for column in self.rows.columns]
        if self.answer is None or self.target is None:
            return None
        return start(self.target.path, inputs, self.answer, taken)


def _ahead(steps: Steps, document: Document, trail: Trail, seen: set[bytes]) -> Iterator[Step]:
    """Give the steps that are still to be asked, but for those `seen` of another document."""
    new = [step for step in trail.missing if step.request.key not in seen]
    seen.update(step.request.key for step in new)
    yield from new
    if new and steps.goes_on(trail):
        yield from steps.forecast(document, trail)


def _plan_escalation(plan: Plan, request: Request, escalation: Escalation) -> None:
    plan.escalations += 1
    ceiling_usd = escalation.ceiling_usd(request)
    if ceiling_usd is None or plan.escalated_usd is None:
        plan.escalated_usd = None
    else:
        plan.escalated_usd += ceiling_usd
