"""A model that is asked, and what it is asked about each document."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter

from pipeline.engine.loop import Engine
from pipeline.engine.steps import Outline, Steps, Trail
from pipeline.sources.spool import Slot
from pipeline.types import Record, Request

AT_ONCE = 50  # answers: looked up together, each takes half the time

# An outline as it is takes twice as long to write down and to read again.
_values = attrgetter("levels", "cuts", "chunks", "problem", "remark", "done")


class Stage:
    """Asks about every document. `number` is its place among the stages of a run."""

    number = 0

    def __init__(self, engine: Engine, steps: Steps) -> None:
        self.engine = engine
        self.steps = steps
        self._ready: Mapping[bytes, Record] = {}

    def is_done(self, slot: Slot) -> bool:
        """Return whether a document is known to be answered, without looking its answers up."""
        note = slot.notes.get(self.number)
        return note is not None and Outline(*note).done

    def look(self, slot: Slot, most: int | None = None) -> Trail:
        """Return how far the model has come with a document, through at most so many levels."""
        before = slot.notes.get(self.number)
        outline = None if before is None else Outline(*before)
        kept = None if outline is None else (len(outline.levels), outline.problem, outline.done)
        trail = self.steps.follow(slot, self._get, outline, most)
        outline = trail.outline
        if (len(outline.levels), outline.problem, outline.done) != kept:
            slot.note(self.number, _values(outline))
        return trail

    def look_ahead(self, slots: Iterable[Slot]) -> Iterator[Slot]:
        """Yield slots whose answers are looked up several at once, while nobody writes any."""
        ahead: deque[Slot] = deque()
        for slot in slots:
            known = self.number in slot.notes  # else its document may be in memory
            if known:
                ahead.append(slot)
            if len(ahead) == AT_ONCE or not known:
                yield from self._looked_up(ahead)
            if not known:
                yield slot
        yield from self._looked_up(ahead)

    def _looked_up(self, slots: deque[Slot]) -> Iterator[Slot]:
        keys = [key for slot in slots for key in self._first_keys(slot)]
        self._ready = self.engine.store.get_all(keys)
        while slots:
            yield slots.popleft()
        self._ready = {}

    def _first_keys(self, slot: Slot) -> Sequence[bytes]:
        levels = Outline(*slot.notes[self.number]).levels
        return levels[0] if levels else ()

    def _get(self, key: bytes) -> Record | None:
        return self._ready.get(key) or self.engine.store.get(key)


class Walk:
    """The requests of a level of the documents' steps, read once by whoever asks them.

    When it has been read, `goes_on` says whether another level follows.
    """

    def __init__(self, slots: Iterable[Slot], stage: Stage, level: int) -> None:
        self.goes_on = False
        self._slots = slots
        self._stage = stage
        self._level = level

    def __iter__(self) -> Iterator[Request]:
        steps = self._stage.steps
        for slot in self._slots:
            trail = self._stage.look(slot, self._level)
            if trail.missing and trail.level == self._level:
                self.goes_on = self.goes_on or steps.goes_on(trail)
                for step in steps.missing(slot, trail):
                    yield step.request
