"""Answers are looked up together, as far as that costs neither memory nor time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from pipeline.engine import lookups
from pipeline.engine.lookups import Lookup, look_up
from pipeline.sources.spool import Slot
from pipeline.types import Document, Record


class Journal:
    """Answers each key with itself; notes how many were looked up together."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def find(self, keys: Sequence[bytes]) -> Mapping[bytes, Record]:
        if keys:
            self.asked.append(len(keys))
        return {key: Record("ok", content=key.decode()) for key in keys}


def two_levels(slot: Slot) -> Lookup[list[str]]:
    """Need an answer, then one that follows on it."""
    name = slot.document.name
    (first,) = yield [name.encode()]
    assert first is not None
    (second,) = yield [f"{first.content}+".encode()]
    assert second is not None
    return [first.content or "", second.content or ""]


def one_level(slot: Slot) -> Lookup[str]:
    (record,) = yield [slot.document.name.encode()]
    assert record is not None
    return record.content or ""


def none(slot: Slot) -> Lookup[str]:
    """Need nothing."""
    return slot.document.name
    yield []


def slots(count: int, characters: int = 1) -> Iterator[Slot]:
    for number in range(count):
        yield Slot(Document(number, f"row {number}", {}, "x" * characters))


def test_documents_come_in_their_order_each_with_its_own_answers() -> None:
    journal = Journal()
    came = [answers for _, answers in look_up(slots(250), two_levels, journal.find)]
    assert came == [[f"row {number}", f"row {number}+"] for number in range(250)]
    assert sorted(journal.asked, reverse=True)[:3] == [100, 100, 50]


def test_what_needs_no_answer_asks_for_none() -> None:
    journal = Journal()
    assert [name for _, name in look_up(slots(3), none, journal.find)] == [
        "row 0",
        "row 1",
        "row 2",
    ]
    assert journal.asked == []


def test_large_documents_are_not_gathered() -> None:
    journal = Journal()
    assert len(list(look_up(slots(6, characters=400_000), one_level, journal.find))) == 6
    assert max(journal.asked) == 3


def test_a_slow_source_has_each_document_passed_on_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookups, "SLOW_SECONDS", -1.0)
    journal = Journal()
    arrived: list[int] = []

    def arriving() -> Iterator[Slot]:
        for number, slot in enumerate(slots(3)):
            arrived.append(number)
            yield slot

    came = look_up(arriving(), one_level, journal.find)
    for number in range(3):
        assert next(came)[1] == f"row {number}"
        assert arrived[-1] == number
