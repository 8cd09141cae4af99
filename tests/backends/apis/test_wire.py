"""Replies that aren't quite JSON, and streams that nobody asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.backends.apis.complaints import ErrorReplyError
from pipeline.backends.apis.replies import read_response
from pipeline.backends.apis.wire import ENDED
from pipeline.errors import TransientError
from pipeline.types import Usage
from tests.backends.asking import completion

COUNTED = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
GOOD = completion(usage=COUNTED)


def with_message(**message: object) -> bytes:
    return completion(choices=[{"message": message, "finish_reason": "stop"}])


@pytest.mark.parametrize(
    "reply",
    [
        b"\xef\xbb\xbf" + GOOD,
        GOOD.decode().encode("utf-16"),
        b"\r\n \n" + GOOD + b"\n\n",
        GOOD + b"\n<!-- served by gateway 7 -->",
        GOOD + GOOD,
        b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n" + GOOD,
        GOOD.replace(b'"model"', b'"score": NaN, "least": -Infinity, "model"'),
    ],
)
def test_what_can_be_read_is_read(reply: bytes) -> None:
    response = read_response(reply)
    assert (response.content, response.finish_reason) == ("hi", "stop")
    assert response.usage == Usage(5, 2)


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (rb"a \ud83d b", "a \ufffd b"),
        (rb"a \udc00", "a \ufffd"),
        (rb"\ud83d\ude00", "😀"),
        (rb"\ud83d \ud83d\ude00", "\ufffd 😀"),
        (rb"C:\\ud83d", r"C:\ud83d"),
    ],
)
def test_half_of_a_pair_becomes_a_mark(escaped: bytes, text: str) -> None:
    assert read_response(completion().replace(b"hi", escaped)).content == text


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}],
        [{"type": "output_text", "text": "hi"}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"text": "hi"}],
        [{"type": "text", "text": {"value": "hi"}}],
        ["h", "i"],
        {"type": "text", "text": "hi"},
    ],
)
def test_a_content_may_come_in_parts(content: object) -> None:
    assert read_response(with_message(content=content)).content == "hi"


def test_a_part_may_be_a_refusal() -> None:
    response = read_response(with_message(content=[{"type": "refusal", "refusal": "No."}]))
    assert (response.content, response.refusal) == ("", "No.")


def test_a_choice_may_have_no_message() -> None:
    choice = {"index": 0, "finish_reason": "length"}
    usage = {"prompt_tokens": 10, "total_tokens": 110}
    response = read_response(completion(choices=[choice], usage=usage))
    assert (response.content, response.finish_reason) == (None, "length")
    assert response.usage == Usage(10, 100, 0, 0, 100)


def test_what_is_counted_is_billed_even_if_the_rest_cannot_be_read() -> None:
    with pytest.raises(TransientError) as caught:
        read_response(GOOD[:-1] + b', "rest": {')
    assert caught.value.usage == Usage(5, 2)
    assert not caught.value.lost


def piece(delta: Any, reason: str | None = None, **more: object) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return json.dumps({"model": "m", "choices": [choice], **more})


PIECES = (
    piece({"role": "assistant", "content": ""}),
    piece({"content": "bil"}),
    piece({"content": "ling"}),
    piece({}, "stop"),
    json.dumps({"model": "m", "choices": [], "usage": COUNTED}),
)


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
@pytest.mark.parametrize(
    "prefix", ["data: ", "data:", "event: chunk\ndata: ", ": wait\nid: 7\ndata: "]
)
def test_a_stream_is_put_together(prefix: str, end: str) -> None:
    stream = "".join(f"{prefix}{event}{end}" for event in (*PIECES, "[DONE]"))
    response = read_response(stream.encode())
    assert (response.content, response.finish_reason) == ("billing", "stop")
    assert (response.model, response.usage) == ("m", Usage(5, 2))


def test_pieces_on_lines_are_put_together() -> None:
    assert read_response("\n".join(PIECES).encode()).content == "billing"


def test_a_streamed_call_is_put_together() -> None:
    def calling(**function: str) -> str:
        return piece({"tool_calls": [{"index": 0, "function": function}]})

    events = (
        calling(name="f", arguments=""),
        calling(arguments='{"label": '),
        calling(arguments='"billing"}'),
        piece({}, "tool_calls"),
    )
    response = read_response("".join(f"data: {event}\n\n" for event in events).encode())
    assert response.content == '{"label": "billing"}'


def test_a_stream_that_breaks_off_is_no_whole_answer() -> None:
    response = read_response("".join(f"data: {event}\n\n" for event in PIECES[:2]).encode())
    assert (response.content, response.problem) == ("bil", ENDED)


def test_a_stream_may_end_in_an_error() -> None:
    error = json.dumps({"error": {"code": 502, "message": "Provider disconnected"}})
    stream = "".join(f"data: {event}\n\n" for event in (*PIECES[:2], error))
    with pytest.raises(ErrorReplyError) as caught:
        read_response(stream.encode())
    assert (caught.value.told.status, caught.value.told.text) == (502, "Provider disconnected")


def test_a_choice_may_say_what_broke_it_off() -> None:
    choice = {
        "message": {"content": "half"},
        "finish_reason": "error",
        "error": {"message": "Gone"},
    }
    assert read_response(completion(choices=[choice])).problem == "Gone"
