"""Many requests at once in simulated time: what hangs is hedged, what fails is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from pipeline.backends.base import Answered, Server
from pipeline.backends.lanes.live import Live
from pipeline.costs import FREE, counter
from pipeline.errors import RejectedError, TransientError
from pipeline.limits.gate import Gate
from pipeline.limits.window import Window
from pipeline.types import Request, Response, Usage
from tests.backends.asking import request, stream
from tests.clock import Clock

USUAL_SECONDS = 0.5
HANGS = 10_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes of an attempt, and when."""

    seconds: float = USUAL_SECONDS
    error: type[Exception] | None = None


class Paced(Server):
    """Answers when a script says so. The script is given a request's text and its attempt, from 1;
    `sent` has the moments of the attempts, `cancelled` counts those that were given up.
    """

    name = "paced"

    def __init__(self, clock: Clock, script: Callable[[str, int], Reply]) -> None:
        super().__init__(counter=counter("paced"), price=FREE)
        self.sent: dict[str, list[float]] = {}
        self.cancelled = 0
        self._clock = clock
        self._script = script

    def body(self, request: Request) -> Mapping[str, object]:
        return {}

    async def complete(self, request: Request, timeout_seconds: float) -> Response:
        text = request.document.name
        moments = self.sent.setdefault(text, [])
        moments.append(self._clock.now)
        attempt = len(moments)
        reply = self._script(text, attempt)
        try:
            async with asyncio.timeout(timeout_seconds):
                await asyncio.sleep(reply.seconds)
        except TimeoutError as error:
            raise TransientError("no answer", lost=True) from error
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if reply.error is not None:
            raise reply.error("broken")
        return Response(f"{text}, attempt {attempt}", "stop", "m", Usage(1, 1))


@dataclass(slots=True)
class Outcome:
    """What was answered, and the moments at which it came."""

    answered: dict[str, Answered] = field(default_factory=dict)
    at: dict[str, float] = field(default_factory=dict)
    hedges: int = 0

    def content(self, text: str) -> str | None:
        answer = self.answered[text].answer
        return answer.content if isinstance(answer, Response) else str(answer)


def ask(
    clock: Clock, server: Server, texts: Iterable[str], *, hedge: bool = True, stop_at: float = 0.0
) -> Outcome:
    """Ask a server with 20 requests in flight."""
    outcome = Outcome()

    async def main() -> None:
        lane = Live(server, Gate(window=Window(20), clock=clock), hedge=hedge)
        if stop_at:
            asyncio.get_running_loop().call_at(stop_at, lane.stop)
        async for batch in lane.complete_all(stream(map(request, texts))):
            for answered in batch:
                outcome.answered[answered.request.document.name] = answered
                outcome.at[answered.request.document.name] = clock.now
        outcome.hedges = lane.hedges

    clock.run(main())
    return outcome


def seconds_between(server: Paced, text: str) -> float:
    """Give the seconds between the first two attempts."""
    return server.sent[text][1] - server.sent[text][0]


def rows(count: int, *others: str) -> list[str]:
    """Give texts of about one length, so that their latencies are comparable; the others last."""
    return [*(f"row {number:04}" for number in range(count)), *others]


def hanging(*texts: str, then: Reply = Reply()) -> Callable[[str, int], Reply]:
    """Answer as usual, but for the first attempts at these texts."""

    def script(text: str, attempt: int) -> Reply:
        if text not in texts:
            return Reply()
        return Reply(HANGS) if attempt == 1 else then

    return script


def test_what_hangs_is_asked_a_second_time_once_it_is_far_later_than_others(clock: Clock) -> None:
    server = Paced(clock, hanging("row hang"))
    outcome = ask(clock, server, rows(150, "row hang"))
    first, second = server.sent["row hang"]
    assert second - first == pytest.approx(4 * USUAL_SECONDS, abs=0.11)  # it looks every 0.1 s
    assert outcome.content("row hang") == "row hang, attempt 2"
    assert outcome.answered["row hang"].attempts == 2
    assert outcome.at["row hang"] == pytest.approx(second + USUAL_SECONDS)
    assert (outcome.hedges, server.cancelled) == (1, 1)
    assert sum(map(len, server.sent.values())) == 152
    assert clock.now - first < 4


def test_without_hedging_what_hangs_is_waited_for_until_it_times_out(clock: Clock) -> None:
    server = Paced(clock, hanging("row hang"))
    outcome = ask(clock, server, rows(150, "row hang"), hedge=False)
    first, second = server.sent["row hang"]
    assert 60 <= second - first < 61  # and the backoff
    assert outcome.content("row hang") == "row hang, attempt 2"
    assert (outcome.hedges, server.cancelled) == (0, 0)


def test_the_first_to_answer_stands_even_if_it_was_asked_first(clock: Clock) -> None:
    def script(text: str, attempt: int) -> Reply:
        slow = Reply(3.0) if attempt == 1 else Reply(HANGS)
        return slow if text == "row slow" else Reply()

    server = Paced(clock, script)
    outcome = ask(clock, server, rows(150, "row slow"))
    assert outcome.content("row slow") == "row slow, attempt 1"
    assert (outcome.hedges, server.cancelled) == (1, 1)


@pytest.mark.parametrize("error", [TransientError, RejectedError])
def test_a_second_request_that_fails_leaves_the_first_to_answer(
    clock: Clock, error: type[Exception]
) -> None:
    def script(text: str, attempt: int) -> Reply:
        slow = Reply(5.0) if attempt == 1 else Reply(0.1, error)
        return slow if text == "row slow" else Reply()

    server = Paced(clock, script)
    outcome = ask(clock, server, rows(150, "row slow"))
    assert outcome.content("row slow") == "row slow, attempt 1"
    assert (outcome.hedges, len(server.sent["row slow"])) == (1, 2)


def test_a_hundredth_of_the_requests_is_hedged_at_most(clock: Clock) -> None:
    late = [f"row h{number:03}" for number in range(10)]
    server = Paced(clock, hanging(*late))
    outcome = ask(clock, server, rows(240, *late))
    twice = [text for text in late if seconds_between(server, text) < 10]
    assert (outcome.hedges, len(twice)) == (2, 2)  # of 250
    assert len(outcome.answered) == 250  # the others after a minute


def test_nothing_is_hedged_before_it_is_known_how_long_answers_take(clock: Clock) -> None:
    server = Paced(clock, hanging("row 0005", then=Reply()))
    outcome = ask(clock, server, rows(19))
    assert outcome.hedges == 0
    assert seconds_between(server, "row 0005") >= 600


def test_longer_texts_are_given_the_time_that_longer_texts_take(clock: Clock) -> None:
    long = "long " * 1000
    server = Paced(clock, lambda text, attempt: Reply(9.0 if "long" in text else USUAL_SECONDS))
    outcome = ask(clock, server, rows(200, *(f"{long}{number}" for number in range(5))))
    assert (len(outcome.answered), outcome.hedges) == (205, 0)


def test_once_it_is_to_stop_nothing_is_hedged_and_what_hangs_is_left(clock: Clock) -> None:
    server = Paced(clock, hanging("row hang"))
    begun = clock.now
    outcome = ask(clock, server, rows(150, "row hang"), stop_at=begun + 5.5)
    assert begun + 5 > server.sent["row hang"][0] > begun + 3.5
    assert ("row hang" in outcome.answered, outcome.hedges) == (False, 0)
    assert len(outcome.answered) == 150
    assert clock.now == pytest.approx(begun + 5.5 + 10)  # seconds of grace


def test_what_fails_is_tried_again_after_a_while_that_grows(clock: Clock) -> None:
    failing = {number: Reply(0.1, TransientError) for number in range(1, 5)}

    def script(text: str, attempt: int) -> Reply:
        return failing.get(attempt, Reply()) if text == "row fail" else Reply()

    server = Paced(clock, script)
    outcome = ask(clock, server, rows(50, "row fail"))
    assert outcome.content("row fail") == "row fail, attempt 5"
    assert outcome.answered["row fail"].attempts == 5
    moments = server.sent["row fail"]
    waits = [late - early - 0.1 for early, late in pairwise(moments)]
    most = (0.25, 0.5, 1.0, 2.0)
    assert all(0 <= wait <= top + 1e-6 for wait, top in zip(waits, most, strict=True)), waits


def test_what_fails_while_others_are_answered_fails_in_the_end(clock: Clock) -> None:
    def script(text: str, attempt: int) -> Reply:
        return Reply(0.1, TransientError) if text == "row fail" else Reply()

    server = Paced(clock, script)
    outcome = ask(clock, server, ["row 0000", "row fail", *rows(4000)[1:], "the end"])
    assert outcome.content("row fail") == "broken"
    # The first is no blame of its own: nobody had been answered since.
    assert 10 <= outcome.answered["row fail"].attempts <= 11
    assert len(outcome.answered) == 4002
