"""Saved answers, looked up for many documents at once: each then takes a third of the time.

Whoever needs answers is a generator: it yields their keys, is sent the answers, and returns what
it found out with them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from pipeline.sources.spool import Slot
from pipeline.types import Record

AT_ONCE = 100  # documents
MOST_CHARACTERS = 1_000_000  # of their texts, which are in memory meanwhile
SLOW_SECONDS = 0.01  # a source that takes longer for a document isn't waited for

T = TypeVar("T")
Keys = Sequence[bytes]
Lookup = Generator[Keys, Sequence[Record | None], T]
Find = Callable[[Keys], Mapping[bytes, Record]]


def look_up(
    slots: Iterable[Slot], follow: Callable[[Slot], Lookup[T]], find: Find
) -> Iterator[tuple[Slot, T]]:
    """Yield documents with what `follow` returns of each."""
    batch: deque[Slot] = deque()
    characters, until = 0, time.monotonic() + SLOW_SECONDS
    for slot in slots:
        batch.append(slot)
        characters += (read := slot.characters)
        slow = read and time.monotonic() > until
        if len(batch) == AT_ONCE or characters > MOST_CHARACTERS or slow:
            yield from _together(batch, follow, find)
            characters, until = 0, time.monotonic() + SLOW_SECONDS
    yield from _together(batch, follow, find)


def look_up_one(lookup: Lookup[T], find: Find) -> T:
    """Return what a lookup by itself comes to."""
    begun = _Begun(lookup)
    return begun.end(find(begun.keys), find)


def _together(
    batch: deque[Slot], follow: Callable[[Slot], Lookup[T]], find: Find
) -> Iterator[tuple[Slot, T]]:
    begun = deque(_Begun(follow(slot)) for slot in batch)
    known = find([key for lookup in begun for key in lookup.keys])
    while batch:  # a document that has been passed on is not kept
        yield batch.popleft(), begun.popleft().end(known, find)


class _Begun(Generic[T]):
    """A lookup that waits for the answers under its `keys`, or has ended."""

    __slots__ = ("_ended", "_lookup", "_value", "keys")

    def __init__(self, lookup: Lookup[T]) -> None:
        self._lookup = lookup
        self._ended = False
        self._value: T
        self._send(None)

    def _send(self, answers: Sequence[Record | None] | None) -> None:
        try:
            # NOTE: a generator that hasn't begun takes None only.
            self.keys = self._lookup.send(answers)  # type: ignore[arg-type]
        except StopIteration as end:
            self._ended, self._value, self.keys = True, end.value, ()

    def end(self, known: Mapping[bytes, Record], find: Find) -> T:
        """Go on with the answers that are known already, then with those that it takes besides."""
        while not self._ended:
            self._send([known.get(key) for key in self.keys])
            known = find(self.keys)
        return self._value
