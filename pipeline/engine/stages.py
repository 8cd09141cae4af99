"""A model that is asked, and what it is asked about each document.

What is found out about a document stays with its slot as a note. `Walk` goes through the requests
of one level of all documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import partial
from itertools import chain, islice
from operator import attrgetter, itemgetter
from typing import Any

from pipeline.engine.lookups import Lookup, look_up, look_up_one
from pipeline.engine.loop import Engine
from pipeline.engine.steps import Outline, Steps, Trail
from pipeline.sources.spool import Slot
from pipeline.types import Record, Request, Usage

PASSED_AT_ONCE = 500  # documents, in 5 ms if they are answered
MOST_KEPT = 2_000  # characters of answers that stay with a document; longer ones would cost disk

# Objects as they are take twice as long to write down and to read again.
_values = attrgetter("levels", "cuts", "chunks", "problem", "remark", "done")
_done = itemgetter(5)  # of those values
_fields = attrgetter(*(field.name for field in fields(Record) if field.name != "usage"))
_usage = attrgetter(*(field.name for field in fields(Usage)))


class Stage:
    """Asks about every document. `number` is its place among the stages of a run."""

    number = 0

    def __init__(self, engine: Engine, steps: Steps) -> None:
        self.engine = engine
        self.steps = steps

    def is_done(self, slot: Slot) -> bool:
        """Return whether a document is known to be answered, without looking its answers up."""
        note = slot.notes.get(self.number)
        return note is not None and _done(note)

    def look(self, slot: Slot) -> Trail:
        """Return how far the model has come with a document."""
        return look_up_one(self.follow(slot), self.engine.store.get_all)

    def follow(self, slot: Slot, most: int | None = None) -> Lookup[Trail]:
        """Look up how far the model has come with a document, through at most so many levels."""
        note = slot.notes.get(self.number)
        outline = None if note is None else _read(note)
        kept = None if outline is None else (len(outline.levels), outline.problem, outline.done)
        trail = yield from self.steps.follow(slot, outline, most)
        outline = trail.outline
        if slot.takes_notes and (len(outline.levels), outline.problem, outline.done) != kept:
            slot.note(self.number, _noted(trail))
        return trail


class Walk:
    """The requests of a level of the documents' steps, read once by whoever asks them.

    Of the documents it takes those that `choose` yields. After every few of them, taken or not,
    comes a None: what was found by then need not wait for what follows, which may all be answered.
    When it has been read, `goes_on` says whether another level follows.
    """

    def __init__(
        self,
        slots: Iterable[Slot],
        stage: Stage,
        level: int,
        choose: Callable[[Iterable[Slot]], Iterable[Slot]] = iter,
    ) -> None:
        self.goes_on = False
        self._slots = slots
        self._stage = stage
        self._level = level
        self._choose = choose

    def __iter__(self) -> Iterator[Request | None]:
        slots = iter(self._slots)
        for slot in slots:
            yield from self._requests(chain([slot], islice(slots, PASSED_AT_ONCE - 1)))
            yield None

    def _requests(self, slots: Iterable[Slot]) -> Iterator[Request]:
        steps, find = self._stage.steps, self._stage.engine.store.get_all
        follow = partial(self._stage.follow, most=self._level)
        for slot, trail in look_up(self._choose(slots), follow, find):
            if trail.missing and len(trail.said) == self._level:
                self.goes_on = self.goes_on or steps.goes_on(trail)
                for step in steps.missing(slot, trail):
                    yield step.request


def _noted(trail: Trail) -> tuple[Any, ...]:
    """Lay out what stays with a document; once it is done, its answers do."""
    kept: list[tuple[Any, ...]] = []
    if trail.outline.done and sum([len(each.content or "") for each in trail.results]) <= MOST_KEPT:
        kept = [_pack(record) for record in trail.results]
    return (*_values(trail.outline), kept)


def _read(note: tuple[Any, ...]) -> Outline:
    levels, cuts, chunks, problem, remark, done, kept = note
    answers = [_unpack(values) for values in kept]
    return Outline(levels, cuts, chunks, problem, remark, done, answers)


def _pack(record: Record) -> tuple[Any, ...]:
    usage = record.usage
    return (*_fields(record), None if usage is None else _usage(usage))


def _unpack(values: tuple[Any, ...]) -> Record:
    status, error, content, model, reason, cost_usd, attempts, seconds, sure, entry, usage = values
    counted = None if usage is None else Usage(*usage)
    return Record(
        status, error, content, model, reason, counted, cost_usd, attempts, seconds, sure, entry
    )
