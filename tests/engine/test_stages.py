"""What is kept with a document between the walks over it: no request is made twice."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.backends.opening import Limits, open_lane
from pipeline.engine.lookups import look_up
from pipeline.engine.loop import Engine
from pipeline.engine.stages import MOST_KEPT, PASSED_AT_ONCE, Stage, Walk
from pipeline.engine.steps import Steps
from pipeline.journal.store import Store
from pipeline.prompting.loading import parse
from pipeline.sources.opening import open_source
from pipeline.sources.spool import Slot, Spool
from pipeline.types import Document, Record, Result, Usage
from tests.running import write_rows

TALK = parse("user:\n{{ text }}\nuser:\nShorter.\n")


class Fields(dict[str, Any]):
    """Cells that count how often a prompt is filled in with them."""

    read = 0

    def items(self) -> ItemsView[str, Any]:
        self.read += 1
        return super().items()


@pytest.fixture
def stage(store: Store) -> Stage:
    lane = open_lane("echo", limits=Limits())
    return Stage(Engine(lane, store), Steps(TALK, lane.server.counter))


def answer(store: Store, stage: Stage, slot: Slot) -> None:
    """Answer what a document is missing."""
    steps = stage.steps.missing(slot, stage.look(slot))
    store.put_all([Result(request=step.request, status="ok", content="yes") for step in steps])


def test_each_request_is_made_once_however_often_its_answer_is_looked_up(
    store: Store, stage: Stage
) -> None:
    fields = Fields(text="a")
    slot = Slot(Document(0, "row 1", fields, "a"))
    answer(store, stage, slot)
    answer(store, stage, slot)
    made = fields.read
    assert stage.look(slot).finished
    assert stage.look(slot).answers == ["yes", "yes"]
    assert fields.read == made


def test_what_is_known_stays_with_the_documents_from_walk_to_walk(
    tmp_path: Path, store: Store, stage: Stage
) -> None:
    texts = [f"row {number}" for number in range(130)]
    write_rows(tmp_path / "in.csv", [{"text": text} for text in texts])
    source = open_source(str(tmp_path / "in.csv"))
    with Spool(source, tmp_path) as spool:
        for slot in spool:
            answer(store, stage, slot)
        for slot in spool:
            answer(store, stage, slot)
        assert not any(stage.is_done(slot) for slot in spool)  # nobody has looked since
        spool.last_walk = True
        assert all(trail.finished for _, trail in look_up(spool, stage.follow, store.get_all))
        assert not any(stage.is_done(slot) for slot in spool)  # nobody would read it
        spool.last_walk = False
        walked = [
            (slot.document.text, trail.answers)
            for slot, trail in look_up(spool, stage.follow, store.get_all)
        ]
        assert walked == [(text, ["yes", "yes"]) for text in texts]
        assert all(stage.is_done(slot) for slot in spool)
        assert not any(Walk(spool, stage, 0))
    source.close()


def test_a_walk_says_afterwards_whether_another_level_follows(stage: Stage) -> None:
    slots = [Slot(Document(0, "row 1", {}, "a"))]
    walk = Walk(slots, stage, 0)
    assert [request.turn for request in walk if request] == [0]
    assert walk.goes_on
    deeper = Walk(slots, stage, 1)
    assert (any(deeper), deeper.goes_on) == (False, False)  # the first level has no answer yet


def test_a_new_document_is_asked_about_before_all_that_are_answered_have_been_passed(
    stage: Stage,
) -> None:
    new = Slot(Document(0, "new", {}, "a"))
    passed = 0

    def answered() -> Iterator[Slot]:
        nonlocal passed
        yield new
        while passed < 100 * PASSED_AT_ONCE:
            passed += 1
            yield Slot(Document(1, "answered", {}, "b"))

    def choose(slots: Iterable[Slot]) -> Iterator[Slot]:
        return (slot for slot in slots if slot is new)

    walk = iter(Walk(answered(), stage, 0, choose))
    request = next(walk)
    assert request is not None and request.document.name == "new"
    assert passed < PASSED_AT_ONCE
    assert not any(walk)
    assert passed == 100 * PASSED_AT_ONCE


def test_short_answers_stay_with_a_finished_document_and_long_ones_do_not(
    tmp_path: Path, store: Store, stage: Stage
) -> None:
    write_rows(tmp_path / "in.csv", [{"text": "short"}, {"text": "long"}])
    source = open_source(str(tmp_path / "in.csv"))
    sought: list[int] = []

    def find(keys: Sequence[bytes]) -> Mapping[bytes, Record]:
        sought.append(len(keys))
        return store.get_all(keys)

    with Spool(source, tmp_path) as spool:
        for slot in spool:
            content = "yes" * (1 if slot.document.text == "short" else MOST_KEPT)
            for _ in range(2):
                steps = stage.steps.missing(slot, stage.look(slot))
                store.put_all(
                    [
                        Result(
                            request=step.request, status="ok", content=content, usage=Usage(3, 2)
                        )
                        for step in steps
                    ]
                )
        first = [trail for _, trail in look_up(spool, stage.follow, find)]
        sought.clear()
        again = [trail for _, trail in look_up(spool, stage.follow, find)]
        assert sum(sought) == 2  # the two turns of the long one
        assert [trail.results for trail in again] == [trail.results for trail in first]
        assert [trail.said for trail in again] == [trail.said for trail in first]
        assert again[0].finished
    source.close()
