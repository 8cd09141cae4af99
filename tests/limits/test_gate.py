"""The door before a server that asks for too much: it never waits without end."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.costs import fixed_price
from pipeline.errors import BudgetError, FatalError, LimitError, TransientError
from pipeline.limits.budget import Budget
from pipeline.limits.circuit import Circuit
from pipeline.limits.gate import Gate, Pass
from pipeline.types import Level, Levels, Usage

PATIENCE_SECONDS = 600.0
DAY = 86_400.0


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def door(clock: Clock, cap: str | None = None) -> Gate:
    budget = Budget(fixed_price(Decimal(3), Decimal(17)), Decimal(cap)) if cap else None
    return Gate(clock=clock, circuit=Circuit(PATIENCE_SECONDS), budget=budget)


async def enter(gate: Gate) -> Pass | None:
    """Go through, or be told why not; None if it is to wait."""
    task = asyncio.ensure_future(gate.enter(10, 10))
    await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.wait([task])
    return None


async def through(gate: Gate, clock: Clock) -> Pass:
    """Wait until one may go through, which is no longer than twice the patience."""
    for _ in range(round(2 * PATIENCE_SECONDS)):
        if (taken := await enter(gate)) is not None:
            return taken
        gate.state()
        clock.now += 1.0
    raise AssertionError("it waits for ever")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (PATIENCE_SECONDS + 1, r"10 min, until (\d{4}-\d\d-\d\d )?\d\d:\d\d"),
        (DAY, r"24\.0 h, until \d{4}-\d\d-\d\d \d\d:\d\d"),
        (3650 * DAY, r"3,650 days, until \d{4}-\d\d-\d\d \d\d:\d\d"),
        (36_500 * DAY, r"36,500 days, until \d{4}-\d\d-\d\d \d\d:\d\d"),
    ],
)
@pytest.mark.parametrize("kind", [LimitError, TransientError])
def test_a_wait_that_is_longer_than_the_patience_ends_the_run(
    kind: type[TransientError], seconds: float, told: str
) -> None:
    async def run() -> None:
        gate = door(Clock())
        taken = await gate.enter(10, 10)
        error = kind("HTTP 4xx: a daily limit", retry_after_seconds=seconds)
        if isinstance(error, LimitError):
            gate.refuse(taken, error)
        else:
            gate.fail(taken, error, None, own=True)
        await gate.enter(10, 10)

    with pytest.raises(FatalError) as caught:
        asyncio.run(run())
    assert re.fullmatch(
        rf"the server asks to wait {told}(:\d\d)?, which is more than --patience \(10 min\): "
        "HTTP 4xx: a daily limit",
        str(caught.value),
    )


def test_a_wait_that_is_no_longer_than_the_patience_is_waited_for() -> None:
    async def run() -> None:
        clock = Clock()
        gate = door(clock)
        taken = await gate.enter(10, 10)
        gate.refuse(taken, LimitError("429", retry_after_seconds=PATIENCE_SECONDS))
        assert await enter(gate) is None
        clock.now += PATIENCE_SECONDS
        assert await enter(gate) is not None

    asyncio.run(run())


def test_a_long_wait_is_told_with_its_reason_though_nothing_else_is_to_be_sent() -> None:
    async def run() -> list[str]:
        clock, told = Clock(), list[str]()
        gate = Gate(circuit=Circuit(PATIENCE_SECONDS), clock=clock, note=told.append)
        error = LimitError("HTTP 429: slowly", retry_after_seconds=65.0)
        for _ in range(3):
            gate.refuse(await gate.enter(10, 10), error)
            gate.row_pause(error)
            assert gate.state().startswith("waiting for the limit until ")
            clock.now += 66
        return told

    told = asyncio.run(run())
    assert len(told) == 3
    assert re.fullmatch(r"waiting 1 min for the limit, until [\d: -]+: HTTP 429: slowly", told[0])


def test_a_server_that_refuses_all_is_left_after_the_patience() -> None:
    async def run() -> None:
        clock = Clock()
        gate = door(clock)
        for _ in range(100):
            gate.refuse(await through(gate, clock), LimitError("429", retry_after_seconds=60.0))

    told = "the server has refused every request for 10 min: 429"
    with pytest.raises(FatalError, match=told):
        asyncio.run(run())


def test_a_server_that_refuses_and_answers_is_never_left() -> None:
    async def run() -> None:
        clock = Clock()
        gate = door(clock)
        for _ in range(100):
            gate.refuse(await through(gate, clock), LimitError("429", retry_after_seconds=60.0))
            answer(gate, await through(gate, clock))
        assert gate.circuit.answers == gate.refused == 100

    asyncio.run(run())


USUAL = Usage(10, 10)


def answer(gate: Gate, taken: Pass, usage: Usage = USUAL, **limits: Level) -> None:
    cost = gate.budget.price.cost_usd(usage) if gate.budget.price else None
    levels = replace(Levels(), **limits) if limits else None
    gate.answer(taken, usage=usage, cost_usd=cost, levels=levels)
    gate.release()


def test_headers_alone_stop_nothing_that_the_server_answers() -> None:
    async def run() -> None:
        gate = door(Clock())
        for _ in range(100):
            answer(gate, await gate.enter(10, 10), requests=Level(1, 0, DAY))
        assert gate.circuit.answers == 100

    asyncio.run(run())


def test_a_limit_that_leaves_no_room_within_the_patience_ends_the_run() -> None:
    async def run() -> None:
        gate = door(Clock())
        answer(gate, await gate.enter(10, 10), requests=Level(1, 0, DAY))
        gate.refuse(
            await gate.enter(10, 10), LimitError("429: come tomorrow")
        )  # headers alone end nothing
        await gate.enter(10, 10)

    with pytest.raises(FatalError, match=r"the server asks to wait .*: 429: come tomorrow"):
        asyncio.run(run())


amounts = st.floats(0, 1e12)
levels = st.builds(Level, st.floats(1, 1e12), amounts, st.one_of(st.none(), st.floats(0, 31 * DAY)))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(levels, levels), min_size=1, max_size=5))
def test_whatever_a_server_tells_of_its_limits_the_run_goes_on_or_ends(
    told: list[tuple[Level, Level]],
) -> None:
    """Each is let through once what it has to wait is over, and that is never past the patience."""

    async def run() -> None:
        clock = Clock()
        gate = door(clock)
        for requests, tokens in told:
            answer(gate, await through(gate, clock), requests=requests, tokens=tokens)

    try:
        asyncio.run(run())
    except FatalError as error:
        assert "x-ratelimit headers" in str(error)


def test_one_count_of_the_server_says_little_of_other_prompts() -> None:
    """It adds 300 tokens to each prompt: to one of 10 as to one of 1,000."""

    async def run() -> None:
        gate = door(Clock(), cap="0.03")
        answer(gate, await gate.enter(10, 10), usage=Usage(310, 10))
        taken = await gate.enter(1_000, 10)
        assert gate.budget.reserved_usd <= Decimal("0.0132")  # 4,310 tokens; 31,000 would be 0.093
        answer(gate, taken, usage=Usage(1_300, 10))

    asyncio.run(run())


@pytest.mark.parametrize("prompt_tokens", [0, 1, 10, 40, 41, 310, 100_000])
def test_the_ceiling_holds_for_any_count_that_adds_to_what_we_count(prompt_tokens: int) -> None:
    async def run() -> None:
        gate = door(Clock(), cap="100")
        answer(gate, await gate.enter(10, 10), usage=Usage(prompt_tokens, 10))
        for ours in (10, 1_000):
            taken = await gate.enter(ours, 10)
            reserved = gate.budget.reserved_usd
            theirs = prompt_tokens + max(ours - 10, 0)
            assert gate.budget.price is not None
            assert reserved >= gate.budget.price.cost_usd(Usage(theirs, 10))
            answer(gate, taken, usage=Usage(ours, 10))

    asyncio.run(run())


def test_counts_beyond_measure_do_not_stop_the_tokens_a_minute() -> None:
    async def run() -> None:
        gate = door(Clock())
        answer(gate, await gate.enter(10, 10), usage=Usage(10**12, 10))
        taken = await gate.enter(10, 10)
        assert taken.tokens <= 1_100

    asyncio.run(run())


def test_a_cap_that_is_used_up_is_still_told() -> None:
    async def run() -> None:
        gate = door(Clock(), cap="0.0001")
        answer(gate, await gate.enter(10, 1), usage=Usage(10, 1))
        while True:
            answer(gate, await gate.enter(10, 1), usage=Usage(10, 1))

    with pytest.raises(BudgetError):
        asyncio.run(run())
