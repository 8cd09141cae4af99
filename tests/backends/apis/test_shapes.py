"""Replies in which anything may stand anywhere: each is an answer, or says why it is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.backends.apis.base import Asked
from pipeline.backends.apis.replies import read_response
from pipeline.backends.base import Answered
from pipeline.backends.servers.formats import Formats
from pipeline.engine.judge import Judge
from pipeline.errors import TransientError
from pipeline.types import Response
from tests.backends.asking import request

SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["a", "b"]}, "score": {"type": "integer"}},
    "required": ["label"],
}
GOOD = {
    "id": "x",
    "model": "m",
    "service_tier": "default",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {
                "role": "assistant",
                "content": '{"label": "a", "score": 1}',
                "refusal": None,
                "tool_calls": [
                    {"function": {"name": "f", "arguments": '{"label": "a", "score": 1}'}}
                ],
                "function_call": None,
            },
            "logprobs": {
                "content": [
                    {
                        "token": "a",
                        "logprob": -0.1,
                        "bytes": [97],
                        "top_logprobs": [{"token": "b", "logprob": -2.5, "bytes": [98]}],
                    }
                ]
            },
        }
    ],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 8,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 7},
    },
}
_DEEP = json.loads("[" * 300 + "]" * 300)
ODD: list[object] = [
    None,
    True,
    -1,
    0,
    2**63,
    10**30,
    1e300,
    0.5,
    "",
    "x",
    "\0\x1b[31m\u202e",
    "\ud83d",
    "9" * 5000,
    "[" * 2000,
    '{"label": ' * 500,
    '{"label": "a", "label": "b"}',
    '{"label": NaN, "score": 1e999}',
    '{"score": ' + "9" * 5000 + "}",
    "<think>" * 500,
    [],
    {},
    [[]],
    [None],
    ["x", {"text": "x"}],
    {"x": [1]},
    [{}] * 1000,
    float("nan"),
    float("-inf"),
    _DEEP,
]
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=10,
)
Path = tuple[str | int, ...]


def paths(data: object, path: Path = ()) -> list[Path]:
    """List the places in a JSON value."""
    found = [path]
    if isinstance(data, dict | list):
        items = data.items() if isinstance(data, dict) else enumerate(data)
        for name, value in items:
            found += paths(value, (*path, name))
    return found


def put(data: Any, path: Path, value: object) -> Any:
    """Copy a JSON value with another in a place of it."""
    if not path:
        return value
    copy = data.copy()
    copy[path[0]] = put(data[path[0]], path[1:], value)
    return copy


def leave_out(data: Any, path: Path) -> Any:
    """Copy a JSON value without what is in a place of it."""
    if len(path) == 1:
        copy = data.copy()
        del copy[path[0]]
        return copy
    return put(data, path[:1], leave_out(data[path[0]], path[1:]))


PLACES = paths(GOOD)


def judge(content: bytes) -> str | None:
    """Read a reply, take it for an answer of a schema, and say what became of the row."""
    asked = request(schema=SCHEMA, max_tokens=100)
    try:
        response = read_response(content, asked=Asked(1000, 100, 20))
    except TransientError as error:
        answer: Response | TransientError = error
        begins = ("HTTP 200, but not a chat completion: ", "HTTP 200, but an error: ")
        assert str(error).startswith(begins)
    else:
        for rung in ("json_schema", "tools", "json_object", "words"):
            Formats("m", []).read(response.content or "", SCHEMA, rung)  # type: ignore[arg-type]
        answer = response
    result = Judge().settle(Answered(request=asked, answer=answer, attempts=1))
    assert "unexpected" not in (result.error or "")
    assert result.status in ("ok", "failed", "again")
    assert (result.error is None) == (result.status == "ok")
    return result.error


def written(data: object) -> bytes:
    """Write JSON as Python does: NaN, half a surrogate pair and endless numbers included."""
    return json.dumps(data).encode()


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)) or "all")
def test_anything_may_stand_anywhere(path: Path) -> None:
    for value in ODD:
        judge(written(put(GOOD, path, value)))
    if path:
        judge(written(leave_out(GOOD, path)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(PLACES), json_values), min_size=1, max_size=3))
def test_any_json_may_stand_anywhere(changes: list[tuple[Path, object]]) -> None:
    data: Any = GOOD
    for path, value in changes:
        try:
            data = put(data, path, value)
        except (LookupError, TypeError, AttributeError):
            continue  # an earlier change took the place away
    judge(written(data))


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(), json_values.map(written)))
def test_anything_may_stand_for_a_reply(content: bytes) -> None:
    assert judge(content)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), json_values.map(lambda value: written(value).decode())))
def test_anything_may_be_the_answer(text: str) -> None:
    judge(written(put(GOOD, ("choices", 0, "message"), {"content": text})))


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"choices":' * 100_000,
        b'{"choices": [' + b",".join([b'{"message": {"content": "a"}}'] * 100_000) + b"]}",
        b'{"usage": {"prompt_tokens": ' + b"9" * 100_000 + b"}}",
        b'{"choices": [], "choices": [{"message": {"content": "a"}}], "choices": null}',
        orjson.dumps(GOOD)[:-1] + b', "model": ["a"], "usage": 7, "choices": [7]}',
        b"\xef\xbb\xbf" + orjson.dumps(GOOD),
        orjson.dumps(GOOD).decode().encode("utf-16"),
    ],
)
def test_replies_to_break_a_parser_are_read_or_are_none(content: bytes) -> None:
    judge(content)


def mutants(count: int, seed: int = 0) -> list[Mapping[str, Any]]:
    """Make completions of which some place has been changed, the same for a seed."""
    draw = Random(seed)
    return [put(GOOD, draw.choice(PLACES), draw.choice(ODD)) for _ in range(count)]
