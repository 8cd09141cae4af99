"""Echo says what was said to it: at once, offline and free."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.backends.lanes.live import Live
from pipeline.backends.opening import Limits, open_lane
from pipeline.backends.servers.echo import Echo
from pipeline.prompting import schema, strictness
from pipeline.types import Message, Request, Response, Usage
from tests.backends.asking import complete, complete_all, request, stream


def answer(text: str, wanted: dict[str, Any] | None = None) -> str | None:
    """Give what is answered to a text, by a schema if there is one."""
    (response,) = complete(open_lane("echo"), request(text, schema=wanted))
    return response.content


def test_the_answer_is_the_last_message() -> None:
    messages = (Message("system", "Be brief."), Message("user", "hello world"))
    assert complete(open_lane("echo"), request(messages=messages)) == [
        Response(
            content="hello world",
            finish_reason="stop",
            model="echo",
            # 3 for the reply, 3 for each message: what is counted offline is what is billed.
            usage=Usage(prompt_tokens=3 + 3 + 3 + 3 + 2, completion_tokens=2),
        )
    ]


def test_long_texts_let_the_event_loop_turn_to_other_things() -> None:
    """Many at once would block it for as long as all of them take to be counted."""
    turns = 0
    turns_at: list[int] = []

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    class Noting(Echo):
        async def complete(self, request: Request, timeout_seconds: float) -> Response:
            turns_at.append(turns)
            return await super().complete(request, timeout_seconds)

    async def run() -> None:
        turning = asyncio.create_task(turn())
        opened = open_lane("echo")
        backend = Live(Noting(counter=opened.server.counter), opened.gate)
        texts = [f"{number} {'long ' * 30_000}" for number in range(20)]
        async for _ in backend.complete_all(stream(map(request, texts))):
            pass
        turning.cancel()

    asyncio.run(run())
    assert len(set(turns_at)) == 20


@settings(deadline=None, max_examples=30)
@given(text=st.text())
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert answer(text) == text


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ({"type": "string"}, '{"a": "é \\"said\\""}'),
        ({"type": "string", "enum": ["bug", "said"]}, '{"a": "said"}'),
        ({"type": "string", "enum": ["bug", "praise"]}, '{"a": "bug"}'),
        ({"type": "integer"}, '{"a": 0}'),
        ({"type": "number"}, '{"a": 0}'),
        ({"type": "boolean"}, '{"a": false}'),
        ({"type": "array", "items": {"type": "string"}}, '{"a": []}'),
        (an_object(b={"type": "integer"}), '{"a": {"b": 0}}'),
        ({"type": ["string", "null"]}, '{"a": "é \\"said\\""}'),
    ],
)
def test_an_answer_by_a_schema_is_the_least_that_fits(part: dict[str, Any], content: str) -> None:
    wanted = an_object(a=part)
    assert answer('é "said"', wanted) == content
    jsonschema_rs.validate(strictness.strict(wanted), schema.parse(content))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "integer", "enum": [3, 4]},
        {"type": "integer", "minimum": 5},
        {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"$ref": "#/$defs/part"},
        {"const": "x"},
        {"type": "string", "maxLength": 3},
    ],
)
def test_an_answer_by_a_schema_fits_it(part: dict[str, Any]) -> None:
    wanted = {**an_object(a=part), "$defs": {"part": {"type": "integer"}}}
    content = answer("hello", wanted)
    assert content is not None
    jsonschema_rs.validate(strictness.strict(wanted), schema.parse(content))
    assert schema.Checker(wanted).fit(content).content == content


def test_each_request_has_its_own_answer_for_nothing() -> None:
    backend = open_lane("echo")
    names = [f"row {number}" for number in range(1000)]
    found = complete_all(backend, [request(name) for name in names])
    answers = {
        name: item.answer.content
        for name, item in found.items()
        if isinstance(item.answer, Response)
    }
    assert answers == {name: name for name in names}
    assert {item.cost_usd for item in found.values()} == {Decimal(0)}
    assert {item.attempts for item in found.values()} == {1}


def test_nothing_is_ever_too_dear() -> None:
    backend = open_lane("echo", limits=Limits(max_cost_usd=Decimal(0)))
    assert complete_all(backend, [request("a")])["a"].cost_usd == 0


def test_the_body_is_a_request_of_the_api() -> None:
    messages = (Message("system", "Be brief."), Message("user", "hello"))
    assert open_lane("echo").server.body(request(messages=messages)) == {
        "model": "gpt-6-luna",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hello"},
        ],
    }
