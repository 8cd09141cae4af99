"""A server is asked in the strictest way it knows; its replies tell which that is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.backends.apis.base import Manner
from pipeline.backends.apis.chat import Chat
from pipeline.backends.lanes.live import Live
from pipeline.backends.opening import open_lane
from pipeline.errors import RejectedError
from pipeline.prompting.strictness import strict
from pipeline.types import Detail, Image, Message, Request, Response
from tests.backends.asking import complete, complete_all, request
from tests.server import Fault, Server
from tests.server.answers import format_of

WANTED = {"type": "object", "properties": {"a": {"type": "string"}, "n": {"type": "integer"}}}
GOOD = '{"a": "x", "n": 1}'
ALL = ("json_schema", "tools", "json_object")


def connect(server: Server) -> Live:
    return open_lane("a-model", base_url=server.base_url)


def ask(number: int = 0) -> Request:
    return request(f"text {number}", schema=WANTED, schema_name="ask")


def formats(server: Server) -> list[str]:
    return [format_of(record.json) for record in server.tally.records]


@pytest.mark.parametrize(
    ("refuses", "used", "said"),
    [
        ((), ["json_schema"], []),
        (("json_schema",), ["json_schema", "tools"], ["function calling"]),
        (
            ALL[:2],
            ["json_schema", "tools", "json_object"],
            ["function", "`response_format: json_o"],
        ),
        (ALL, ["json_schema", "tools", "json_object", "text"], ["function", "`resp", "words"]),
    ],
)
def test_what_is_refused_is_asked_in_the_next_way_and_not_tried_again(
    server: Server, refuses: tuple[str, ...], used: list[str], said: list[str]
) -> None:
    server.change(refuses=refuses, answer=lambda body: GOOD)
    backend = connect(server)
    answers = complete(backend, ask(1), ask(2), ask(3))
    assert [answer.content for answer in answers] == [GOOD] * 3
    assert formats(server) == [*used, used[-1], used[-1]]
    assert len(backend.server.notices) == len(said)
    for notice, words in zip(backend.server.notices, said, strict=True):
        assert "is refused (HTTP 400: Invalid parameter: " in notice
        assert f"; answers are asked for by {words}" in notice


def test_a_refusal_that_names_nothing_is_tried_in_the_other_ways(server: Server) -> None:
    server.change(refuses=ALL[:1], vague=True, answer=lambda body: GOOD)
    backend = connect(server)
    complete(backend, ask(1), ask(2))
    assert formats(server) == ["json_schema", "tools", "tools"]
    assert backend.server.notices == [
        "a-model: `response_format: json_schema` is refused (HTTP 400: The request failed.); "
        "answers are asked for by function calling"
    ]


def test_a_bad_request_is_not_blamed_on_the_way(server: Server) -> None:
    server.change(faults=(Fault("bad_request", contains="text 1"),), answer=lambda body: GOOD)
    backend = connect(server)
    found = complete_all(backend, [ask(1)])
    assert isinstance(found["text 1"].answer, RejectedError)
    assert str(found["text 1"].answer) == "HTTP 400: The request is not valid."
    # Another is asked in the strictest way, and once that has worked nothing else is tried.
    server.reset()
    complete(connect(server), ask(2))
    assert formats(server) == ["json_schema"]
    assert backend.server.notices == []


def test_once_a_way_has_worked_a_bad_request_costs_one(server: Server) -> None:
    server.change(faults=(Fault("bad_request", contains="text 1"),), answer=lambda body: GOOD)
    backend = connect(server)
    with pytest.raises(RejectedError):
        complete(backend, ask(2), ask(1))
    assert formats(server) == ["json_schema", "json_schema"]


@pytest.mark.parametrize("kind", ["context_length_exceeded", "content_policy_violation"])
def test_what_is_about_the_content_is_not_tried_in_other_ways(server: Server, kind: Any) -> None:
    server.change(faults=(Fault(kind),))
    with pytest.raises(RejectedError):
        complete(connect(server), ask())
    assert formats(server) == ["json_schema"]


def test_a_limit_on_the_next_way_is_a_limit(server: Server) -> None:
    server.change(
        refuses=ALL[:1],
        answer=lambda body: GOOD,
        faults=(Fault("rate_limit_exceeded", has="tools", times=1),),
    )
    answered = complete_all(connect(server), [ask()])["text 0"]
    assert isinstance(answered.answer, Response)
    assert answered.answer.content == GOOD
    assert formats(server) == ["json_schema", "tools", "tools"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "This response_format type is unavailable now"),
        (400, "Invalid schema for response_format 'ask': 'oneOf' is not permitted."),
        (422, "[{'loc': ['body', 'response_format'], 'msg': 'Extra inputs are not permitted'}]"),
        (500, "failed to parse grammar"),
        (501, "structured outputs are not implemented"),
        (404, "No endpoints found that support response_format"),
    ],
)
def test_servers_say_it_in_many_words(server: Server, status: int, message: str) -> None:
    server.change(
        answer=lambda body: GOOD,
        faults=(Fault("status", status=status, message=message, has="response_format"),),
    )
    backend = connect(server)
    assert complete(backend, ask())[0].content == GOOD
    assert formats(server) == ["json_schema", "tools"]
    assert len(backend.server.notices) == 1


def test_an_error_that_says_nothing_of_the_way_is_retried(server: Server) -> None:
    server.change(answer=lambda body: GOOD, faults=(Fault("internal_error", times=1),))
    backend = connect(server)
    assert complete_all(backend, [ask()])["text 0"].attempts == 2
    assert formats(server) == ["json_schema", "json_schema"]


@pytest.mark.parametrize("said", ["It is x.", f"```json\n{GOOD}\n```", '{"other": 1}', "[]"])
def test_answers_that_nobody_has_looked_at_tell_that_the_way_is_ignored(
    server: Server, said: str
) -> None:
    server.change(answer=lambda body: said if "text 1" in str(body) else GOOD)
    backend = connect(server)
    first, _ = complete(backend, ask(1), ask(2))
    assert formats(server) == ["json_schema", "json_object"]
    assert (first.content == GOOD) == ("```" in said)
    assert backend.server.notices == [
        "a-model: `response_format: json_schema` is ignored; "
        "answers are asked for by `response_format: json_object`"
    ]


def test_a_single_odd_answer_among_many_tells_nothing(server: Server) -> None:
    server.change(answer=lambda body: "odd" if "text 19" in str(body) else GOOD)
    backend = connect(server)
    complete(backend, *(ask(number) for number in range(21)))
    assert formats(server) == ["json_schema"] * 21
    assert backend.server.notices == []


def test_in_words_the_schema_stands_at_the_end_of_the_last_message(server: Server) -> None:
    server.change(refuses=ALL, answer=lambda body: GOOD)
    messages = (Message("system", "Be brief."), Message("user", "a text"))
    complete(connect(server), request(messages=messages, schema=WANTED, schema_name="ask"))
    body: Any = server.tally.records[-1].json
    assert "response_format" not in body and "tools" not in body
    system, user = body["messages"]
    assert system["content"] == "Be brief."
    text, _, told = user["content"].partition("\n\nAnswer with one JSON object that fits")
    assert text == "a text"
    assert json.loads(told[told.index("{") :]) == strict(WANTED)


def test_in_words_the_schema_comes_after_the_images_of_a_message() -> None:
    address = "https://example.org/a.png"
    message = Message("user", (Image(address, b"", detail=Detail.LOW),))
    asked = request(messages=(message,), schema=WANTED, schema_name="ask")
    body: Any = Chat().body(asked, [address], Manner(rung="words"))
    first, told = body["messages"][0]["content"]
    assert first == {"type": "image_url", "image_url": {"url": address, "detail": "low"}}
    assert told["type"] == "text" and told["text"].startswith("Answer with one JSON object")


def test_a_function_is_called_with_the_schema(server: Server) -> None:
    server.change(refuses=ALL[:1], answer=lambda body: GOOD)
    complete(connect(server), ask())
    body: Any = server.tally.records[-1].json
    assert body["tool_choice"] == {"type": "function", "function": {"name": "ask"}}
    (tool,) = body["tools"]
    assert tool["function"]["parameters"] == strict(WANTED)


def test_a_refusal_of_the_model_tells_nothing_of_the_way(server: Server) -> None:
    server.change(faults=(Fault("refusal", times=1),), answer=lambda body: GOOD)
    backend = connect(server)
    complete(backend, ask(1), ask(2))
    assert formats(server) == ["json_schema", "json_schema"]
    assert backend.server.notices == []
