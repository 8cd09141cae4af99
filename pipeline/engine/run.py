"""One run from input to output: plan, ask, write. Three walks over the same documents."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from pipeline.backends.base import Lane
from pipeline.engine.ending import Ending
from pipeline.engine.escalation import Escalation, follow_all
from pipeline.engine.lookups import look_up
from pipeline.engine.loop import Engine
from pipeline.engine.plan import Plan, Planner
from pipeline.engine.progress import Progress
from pipeline.engine.rows import Bits, Rows
from pipeline.engine.settings import Settings
from pipeline.engine.stages import Stage, Walk
from pipeline.engine.steps import Steps, Trail
from pipeline.errors import FatalError
from pipeline.evaluation.gold import is_right
from pipeline.evaluation.pairs import Expected, Pair, find_pairs
from pipeline.outputs.targets import Target
from pipeline.prompting.labels import Labels
from pipeline.prompting.prompt import Prompt
from pipeline.prompting.schema import allowed
from pipeline.review.corrections import check_sample
from pipeline.sources.base import Source
from pipeline.sources.spool import Slot, Spool

PLAN_SECONDS = 5.0  # an input that takes longer to read is estimated from what was read by then


class Run:
    """A prompt over an input, with its journal: `plan`, `ask`, then `finish` of `afterwards.py`.

    `target` is where the output goes, if there is one. `notices` are what the user should know of
    how the run was made, `warnings` what even a quiet run says. `exit_code` is what the journal
    notes of its end. Raises UsageError where a column of right answers isn't there.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        spool: Spool,
        first: Stage,
        later: Sequence[Escalation] = (),
        expected: Expected | None = None,
        target: Target | None = None,
        notices: Sequence[str] = (),
        warnings: Sequence[str] = (),
    ) -> None:
        self.settings = settings
        self.spool = spool
        self.first = first
        self.later = later
        self.target = target
        self.notices = notices
        self.warnings = warnings
        self.exit_code = 0
        self.prefix = settings.prefix
        self._stopping = False
        columns = spool.source.columns
        safe = settings.safe_csv
        self.rows = Rows(
            spool,
            [replace(column, guarded=True) for column in columns] if safe else columns,
            steps=self.steps,
            look_up=self._look_up,
            prefix=self.prefix,
            calibrates=expected is not None and self.steps.prompt.confidence,
        )
        self.pairs: list[Pair] = []
        if expected is not None:
            prompt = self.steps.prompt
            self.pairs = _find_pairs(expected, self.rows, spool.source, prompt, self.prefix)
        if any(stage.promise is not None for stage in later):
            check_sample(self.pairs)

    @property
    def engine(self) -> Engine:
        """Return the first model's engine."""
        return self.first.engine

    @property
    def steps(self) -> Steps:
        """Return what the first model is asked about each document."""
        return self.first.steps

    @property
    def lanes(self) -> list[Lane]:
        """Return the lanes of the models, the first one's first."""
        return [stage.engine.lane for stage in (self.first, *self.later)]

    @property
    def escalation(self) -> Escalation | None:
        """Return what asks the stronger model."""
        return self.later[0] if self.later else None

    def look(self, slot: Slot) -> Trail:
        """Return what is known about a document, whichever model's answers stand."""
        return next(self._look_up([slot]))[1]

    def _look_up(self, slots: Iterable[Slot]) -> Iterator[tuple[Slot, Trail]]:
        """Yield documents with what is known about each, whichever model's answers stand."""
        return ((slot, trail) for slot, _, trail in self._look_up_all(slots))

    def _look_up_first(self, slots: Iterable[Slot]) -> Iterator[tuple[Slot, Trail]]:
        """Yield documents with how far the first model has come with each."""
        return look_up(slots, self.first.follow, self.engine.store.get_all)

    def _look_up_all(self, slots: Iterable[Slot]) -> Iterator[tuple[Slot, Trail, Trail]]:
        """Yield documents with how far the first model has come, and what stands in the end."""
        follow = partial(follow_all, self.first, self.later)
        for slot, (first, trail) in look_up(slots, follow, self.engine.store.get_all):
            yield slot, first, trail

    def plan(self, seconds: float = PLAN_SECONDS) -> Plan:
        """Find out what there is to do, from as much of the input as can be read in this time.

        Raises UsageError if right answers are to be known and none is.
        """
        planner = Planner(self.spool, self.first, self.later, self.pairs)
        plan = planner.plan(seconds)
        asked_all = plan.complete and not plan.requests
        if asked_all and (plan.escalations or not all(stage.settled for stage in self.later)):
            for stage in self.later:
                self._settle(stage)
            plan = planner.plan(seconds)
        for lane in self.lanes:
            lane.server.shared = plan.shared
        return plan

    async def ask(self, plan: Plan, progress: Progress) -> Ending:
        """Ask for all that is missing, and say how that ended."""
        if plan.complete and not (plan.requests or plan.escalations):
            return Ending()
        fatal: FatalError | None = None
        progress.state = lambda: _state(self.lanes)
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
        await self._ask(self.first, self._unfinished, progress)
        for stage in self.later:
            if self._stopping or self.engine.lane.stopped or not self._settle(stage):
                return
            await self._ask(stage, self._unsure, progress)

    async def _ask(
        self,
        stage: Stage,
        choose: Callable[[Stage, Iterable[Slot]], Iterator[Slot]],
        progress: Progress,
    ) -> None:
        """Ask a model about what is chosen, a level of the documents' steps at a time."""
        for level in itertools.count():
            walk = Walk(self.spool, stage, level, partial(choose, stage))
            requests = walk if stage is self.first else progress.expect(walk)
            async for result in stage.engine.run(requests):
                progress.add(result)
            if stage.engine.lane.stopped or not walk.goes_on:
                return

    def _unfinished(self, stage: Stage, slots: Iterable[Slot]) -> Iterator[Slot]:
        """Yield the documents that the first model is to be asked about.

        What it failed at before is not asked again if a stronger one has answered.
        """
        if not self.later:
            yield from self._askable(stage, slots)
            return
        for slot, trail in self._look_up(self._askable(stage, slots)):
            if not trail.finished:
                yield slot

    def _unsure(self, stage: Stage, slots: Iterable[Slot]) -> Iterator[Slot]:
        """Yield the documents that a stronger model is to be asked about."""
        for slot, first in self._look_up_first(self._askable(stage, slots)):
            if isinstance(stage, Escalation) and stage.unsure(first):
                yield slot

    def _askable(self, stage: Stage, slots: Iterable[Slot]) -> Iterator[Slot]:
        idle = self.steps.prompt.idle
        for slot in slots:
            if stage.is_done(slot):
                continue
            document = slot.document
            if not (document.error or idle(document)):
                yield slot

    def _settle(self, stage: Escalation) -> bool:
        trails = (trail for _, trail in self._look_up_first(self.spool))
        return stage.settle(trails, self._labelled)

    def count(self) -> None:
        """Add up what the first model has saved, over all rows and whichever run asked."""
        for stage in self.later:
            counted = Bits()
            for _, first, trail in self._look_up_all(self.spool):
                if first.results and counted.take(first.results[-1].entry):
                    stage.count(first, trail, self.steps)

    def _labelled(self) -> list[tuple[float | None, bool]]:
        """Give how sure the first model was of each row that it has answered and whose right label
        is known, and whether it was right.
        """
        found: list[tuple[float | None, bool]] = []
        pairs, spool = self.pairs, self.spool
        known = (slot for slot in spool if is_right(slot.document.fields, pairs) is not None)
        for slot, trail in self._look_up_first(known):
            if not trail.finished:
                continue
            fields = slot.document.fields
            cells = self.steps.prompt.answers(trail.answers)
            row = {f"{self.prefix}{name}": cell for name, cell in cells.items()}
            right = bool(is_right({**fields, **row}, pairs))
            found.append((trail.results[-1].confidence, right))
        return found


def _find_pairs(
    expected: Expected, rows: Rows, source: Source, prompt: Prompt, prefix: str
) -> list[Pair]:
    """Find what is compared with what, and the labels that there are."""
    inputs = [column.name for column in source.columns]
    names = [column.name for column in rows.columns]
    alone = prompt.answer is not None and len(expected.among(inputs)) == 1
    predicted = f"{prefix}{prompt.answer}" if alone else None
    found = find_pairs(names, expected, predicted, source.name, inputs=inputs)
    labels = [allowed(prompt.outputs or {}, pair.predicted.removeprefix(prefix)) for pair in found]
    return [
        replace(pair, labels=Labels(texts)) if texts else pair
        for pair, texts in zip(found, labels, strict=True)
    ]


def _state(lanes: Sequence[Lane]) -> str:
    """Say in a few words what a run is doing or waiting for."""
    return next((lane for lane in lanes if lane.in_flight), lanes[0]).state()
