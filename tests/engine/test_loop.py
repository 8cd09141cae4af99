"""The loop: what is asked and what isn't, in which order, and on disk before anyone sees it."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

import pytest

from pipeline.backends.base import Answered
from pipeline.backends.servers.echo import Echo
from pipeline.costs import counter
from pipeline.engine.loop import READ_AT_ONCE, Engine
from pipeline.errors import AccessError, DocumentError, RejectedError
from pipeline.journal.store import Store
from pipeline.limits.budget import Budget
from pipeline.types import Request, Response, Result, Usage
from tests.backends.asking import request
from tests.journal.samples import opened

LABEL = {
    "type": "object",
    "properties": {"label": {"enum": ["bug", "praise"]}},
    "required": ["label"],
}
GOOD, BAD = '{"label":"bug"}', '{"label":"spam"}'

Script = Callable[[AsyncIterator[Request]], AsyncIterator[list[Answered]]]


class ByScript:
    """A lane that answers when and what a script says; `asked` are the requests that came."""

    patience_seconds = 1.0
    stopped = False
    in_flight = 0
    budget = Budget()

    def __init__(self, script: Script, *, affords: bool = True) -> None:
        self.server = Echo(counter=counter("echo"))
        self.asked: list[Request] = []
        self.note: Callable[[str], None] = lambda text: None
        self._script = script
        self._affords = affords

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def stop(self) -> None: ...

    def state(self) -> str:
        return ""

    def affords(self, request: Request) -> bool:
        return self._affords

    async def complete_all(self, requests: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
        async for batch in self._script(self._seen(requests)):
            yield batch

    async def _seen(self, requests: AsyncIterator[Request]) -> AsyncIterator[Request]:
        async for item in requests:
            self.asked.append(item)
            yield item

    @property
    def texts(self) -> list[str]:
        """The last message of each request."""
        return [item.messages[-1].text for item in self.asked]


def said(item: Request, content: str = "fine") -> Answered:
    """Answer a request."""
    return Answered(item, Response(content, "stop", "m", Usage(3, 2)), 1, 0.1, Usage(3, 2))


async def each(requests: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
    """Answer one request before the next is taken."""
    async for item in requests:
        yield [said(item)]


def together(count: int) -> Script:
    """Take this many requests before the first is answered; answer the others one by one."""

    async def script(requests: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
        yield [said(await anext(requests)) for _ in range(count)]
        async for batch in each(requests):
            yield batch

    return script


def in_turn(*contents: str) -> Script:
    """Answer each request before the next is taken, with these."""

    async def script(requests: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
        left = iter(contents)
        async for item in requests:
            yield [said(item, next(left))]

    return script


async def once(requests: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
    """Answer one request rightly, then stop."""
    yield [said(await anext(requests), GOOD)]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.csv"


def run(store: Store, lane: ByScript, requests: Iterable[Request | None]) -> list[Result]:
    async def main() -> list[Result]:
        return [result async for result in Engine(lane, store).run(requests)]

    return asyncio.run(main())


def ask(output: Path, lane: ByScript, requests: Iterable[Request | None]) -> list[tuple[str, str]]:
    """Run once over these requests; give the texts of the results and what became of them."""
    with opened(output) as store:
        return [
            (result.request.document.name, result.status) for result in run(store, lane, requests)
        ]


def test_an_answer_is_on_disk_before_anyone_sees_it(output: Path) -> None:
    seen = []

    async def main(store: Store) -> None:
        async for result in Engine(ByScript(together(2)), store).run(map(request, "abc")):
            other = Store(output)
            other.open_readonly()
            known = [other.get_all([key]).get(key) for key in (b"a", b"b", b"c")]
            seen.append((result.request.document.name, [bool(record) for record in known]))
            other.close(0)

    with opened(output) as store:
        asyncio.run(main(store))
    assert seen == [
        ("a", [True, True, False]),
        ("b", [True, True, False]),
        ("c", [True, True, True]),
    ]


def test_while_a_request_is_in_flight_the_same_is_not_asked(output: Path) -> None:
    lane = ByScript(together(2))
    assert ask(output, lane, map(request, "aabab")) == [("a", "ok"), ("b", "ok")]
    assert lane.texts == ["a", "b"]


def test_an_answer_that_came_after_it_was_looked_for_is_not_asked_for_again(output: Path) -> None:
    """All five are looked up at once, before the first is answered."""
    lane = ByScript(each)
    assert ask(output, lane, map(request, "aabab")) == [("a", "ok"), ("b", "ok")]
    assert lane.texts == ["a", "b"]


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_answered_long_ago_is_not_asked_again_in_a_run(output: Path, fails: bool) -> None:
    """What failed is asked again by the next run only."""
    others = [f"row {number}" for number in range(READ_AT_ONCE)]
    requests = [request("a"), *map(request, others), request("a")]

    async def script(asked: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
        async for item in asked:
            failed = fails and item.document.name == "a"
            yield [Answered(item, RejectedError("no")) if failed else said(item)]

    assert len(ask(output, ByScript(script), requests)) == 1 + READ_AT_ONCE
    assert ask(output, ByScript(each), requests) == ([("a", "ok")] if fails else [])


def test_what_is_asked_again_comes_before_anything_new_and_says_why(output: Path) -> None:
    asked = [request(name, schema=LABEL) for name in "abc"]
    lane = ByScript(in_turn(GOOD, BAD, GOOD, GOOD))
    assert ask(output, lane, asked) == [("a", "ok"), ("b", "again"), ("b", "ok"), ("c", "ok")]
    first, second = lane.asked[1], lane.asked[2]
    assert second.key == first.key
    assert [message.role for message in second.messages] == ["user", "assistant", "user"]
    assert "spam" in second.messages[1].text
    assert lane.texts[::3] == ["a", "c"]


def test_it_does_not_end_while_an_answer_may_have_to_be_asked_for_again(output: Path) -> None:
    """A lane waits for the next request while those before are on their way."""
    drained = threading.Event()

    def requests() -> Iterator[Request]:
        yield request("a", schema=LABEL)
        drained.set()

    async def script(asked: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
        first = await anext(asked)
        following = asyncio.ensure_future(anext(asked))
        turns = 0
        while not (drained.is_set() and turns > 1_000):  # time enough to see the end of the input
            turns += 1
            await asyncio.sleep(0)
        yield [said(first, BAD)]
        yield [said(await following, GOOD)]

    assert ask(output, ByScript(script), requests()) == [("a", "again"), ("a", "ok")]


def test_a_request_does_not_wait_for_what_comes_after_it(output: Path) -> None:
    answered = threading.Event()

    def requests() -> Iterator[Request | None]:
        yield request("a")
        until = time.monotonic() + 30
        while not answered.is_set() and time.monotonic() < until:
            yield None  # what is passed over
        yield request(str(answered.is_set()))

    async def script(asked: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
        async for item in asked:
            yield [said(item)]
            answered.set()

    assert ask(output, ByScript(script), requests()) == [("a", "ok"), ("True", "ok")]


def test_it_ends_only_when_what_is_asked_again_has_been_answered(output: Path) -> None:
    lane = ByScript(in_turn(BAD, BAD))
    with opened(output) as store:
        again, last = run(store, lane, [request("a", schema=LABEL)])
        record = store.get_all([b"a"]).get(b"a")
    assert (again.status, last.status) == ("again", "failed")
    assert "asked twice" in str(last.error)
    assert record is not None
    assert (record.attempts, record.usage) == (2, Usage(6, 4))  # both are billed


def test_a_run_goes_on_where_the_last_was_killed_between_two_asks(output: Path) -> None:
    asked = [request("a", schema=LABEL)]

    async def badly(requests: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
        yield [said(await anext(requests), BAD)]

    assert ask(output, ByScript(badly), asked) == [("a", "again")]
    lane = ByScript(in_turn(GOOD))
    assert ask(output, lane, asked) == [("a", "ok")]
    assert len(lane.asked[0].messages) == 3  # the second question, with what was wrong


def test_each_vote_is_a_request_and_a_run_takes_up_those_it_has(output: Path) -> None:
    asked = [request("a", schema=LABEL, votes=3, choice="label")]
    assert ask(output, ByScript(once), asked) == [("a", "vote")]
    with opened(output) as store:
        vote, last = run(store, ByScript(in_turn(GOOD, '{"label":"praise"}')), asked)
    assert (vote.status, last.status, last.content) == ("vote", "ok", GOOD)
    assert last.confidence == 0.6667


def test_without_room_in_the_budget_the_next_run_asks_again(output: Path) -> None:
    asked = [request("a", schema=LABEL)]
    with opened(output) as store:
        (only,) = run(store, ByScript(in_turn(BAD), affords=False), asked)
    assert str(only.error).endswith("; --max-cost leaves no room to ask again")
    lane = ByScript(in_turn(GOOD))
    assert ask(output, lane, asked) == [("a", "ok")]
    assert len(lane.asked[0].messages) == 3


def test_no_more_is_read_ahead_than_a_handful(output: Path) -> None:
    read = itertools.count()
    endless = (request(f"row {number}") for number in read)
    assert ask(output, ByScript(once), endless) == [("row 0", "ok")]
    assert next(read) <= READ_AT_ONCE + 1


def test_what_ends_the_run_is_raised_after_what_was_answered(output: Path) -> None:
    async def refused(requests: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
        yield [said(await anext(requests))]
        raise AccessError("no such key")

    with opened(output) as store, pytest.raises(AccessError):
        run(store, ByScript(refused), map(request, "ab"))
    assert ask(output, ByScript(each), map(request, "ab")) == [("b", "ok")]


def test_an_input_that_breaks_ends_the_run(output: Path) -> None:
    def broken() -> Iterator[Request]:
        yield request("a")
        raise DocumentError("the file is gone")

    with opened(output) as store, pytest.raises(DocumentError):
        run(store, ByScript(each), broken())
