"""A part of a source: its first documents, or some at random."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol, TypeVar, runtime_checkable

from pipeline.sources.base import Source, Wrapper
from pipeline.types import Document

SEED = 0  # the same sample each time, so that a run can go on

Item = TypeVar("Item")


@runtime_checkable
class Listing(Protocol):
    """What a source has besides that knows its documents before it reads them."""

    def __len__(self) -> int: ...

    def keep(self, positions: Sequence[int]) -> None:
        """Read only these documents, whose positions ascend."""


def select(source: Source, *, limit: int | None = None, sample: int | None = None) -> Source:
    """Take the first `limit` documents, or `sample` of them at random, or of those first ones."""
    if limit is None and sample is None:
        return source
    if isinstance(source, Listing):
        first = range(len(source))[:limit]
        source.keep(first if sample is None else sorted(_reservoir(first, sample)))
        return source
    return Selection(source, limit, sample)


class Selection(Wrapper):
    """A source that yields some of another's documents, in their order."""

    def __init__(self, source: Source, limit: int | None, sample: int | None) -> None:
        super().__init__(source)
        self._limit = limit
        self._sample = sample
        self._whole = sample or limit or 1  # it may turn out to be less
        self._yielded = 0

    def __iter__(self) -> Iterator[Document]:
        chosen: Iterator[Document] = islice(self._source, self._limit)
        if self._sample is not None:
            some = _reservoir(chosen, self._sample)
            self._whole = len(some)
            chosen = iter(sorted(some, key=lambda document: document.position))
        for document in chosen:
            self._yielded += 1
            yield document

    def fraction(self) -> float:
        """Say how much of the part has been read; to take a sample, all is read before."""
        part = self._yielded / self._whole if self._whole else 1.0
        return part if self._sample is not None else max(self._source.fraction(), part)


def _reservoir(items: Iterable[Item], size: int) -> list[Item]:
    """Choose evenly among items whose number isn't known (Vitter's algorithm R, 1985)."""
    generator = random.Random(SEED)
    chosen: list[Item] = []
    for number, item in enumerate(items):
        if number < size:
            chosen.append(item)
        elif (place := generator.randrange(number + 1)) < size:
            chosen[place] = item
    return chosen
