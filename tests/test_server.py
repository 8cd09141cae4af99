"""The misbehaving server does what it says, seen through the real SDK."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx2
import jsonschema_rs
import openai
import pytest

from tests.server import (
    Behaviour,
    Fault,
    Kind,
    Latency,
    Limits,
    ManualClock,
    Server,
    ServerProcess,
    Tally,
    answer_to,
    digest,
    duration,
    mixture,
)
from tests.server.faults import MANGLED, STATUSES

MODEL = "gpt-6-luna"
Reply = openai.types.chat.ChatCompletion


def connect(server: Server | ServerProcess, key: str = "sk-test") -> openai.OpenAI:
    return openai.OpenAI(
        base_url=server.base_url,
        api_key=key,
        max_retries=0,
        timeout=10,
        # Reading the certificates takes 30 ms a client, and none is needed.
        http_client=openai.DefaultHttpxClient(verify=False),
    )


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with connect(server) as opened:
        yield opened


def ask(client: openai.OpenAI, text: str = "one two three", **parameters: Any) -> Reply:
    reply: Reply = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": text}], **parameters
    )
    return reply


def text_of(reply: Reply) -> str | None:
    return reply.choices[0].message.content


def raw(client: openai.OpenAI, text: str = "one two three") -> bytes:
    """Ask past the SDK's models, which hide what came."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
    response = client.post("/chat/completions", cast_to=httpx2.Response, body=body)
    return response.content


def rows(server: Server, count: int) -> list[str | None]:
    """Ask for many rows at once, in one event loop."""

    async def run() -> list[str | None]:
        async with openai.AsyncOpenAI(
            base_url=server.base_url, api_key="sk-test", max_retries=0, timeout=10
        ) as client:
            replies = await asyncio.gather(*(one(client, position) for position in range(count)))
        return [text_of(reply) for reply in replies]

    async def one(client: openai.AsyncOpenAI, position: int) -> Reply:
        return await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": f"row {position}"}]
        )

    return asyncio.run(run())


# Answers


def test_each_row_gets_its_own_answer(server: Server) -> None:
    server.change(latency_seconds=0.01)
    assert rows(server, 50) == [answer_to(f"row {position}") for position in range(50)]
    tally = server.tally
    assert (tally.received, tally.answered, tally.billed_twice) == (50, 50, 0)
    assert 1 < tally.max_in_flight <= 50
    assert tally.in_flight == 0


def test_usage_follows_the_rules(server: Server, client: openai.OpenAI) -> None:
    server.change(
        prompt_tokens=100,
        cached_tokens=40,
        completion_tokens=20,
        reasoning_tokens=5,
        model_suffix="-2026-01-01",
    )
    reply = ask(client)
    assert reply.model == "gpt-6-luna-2026-01-01"
    usage = reply.usage
    assert usage and usage.prompt_tokens_details and usage.completion_tokens_details
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (100, 25, 125)
    assert usage.prompt_tokens_details.cached_tokens == 40
    assert usage.completion_tokens_details.reasoning_tokens == 5
    cost = server.tally.billed.cost_usd(prompt="1", completion="10", cached="0.1")
    assert cost == Decimal("0.000314")


def test_default_usage_counts_words(client: openai.OpenAI) -> None:
    usage = ask(client, "one two three four five").usage
    assert usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (8, 5)


@pytest.mark.parametrize("parameter", ["max_tokens", "max_completion_tokens"])
def test_answer_is_cut_off_at_max_tokens(
    server: Server, client: openai.OpenAI, parameter: str
) -> None:
    server.change(answer=lambda body: "a b c d e f g h", reasoning_tokens=2)
    reply = ask(client, "one two three", **{parameter: 6})
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage and reply.usage.completion_tokens == 6
    assert text_of(reply) == "a b c d"


def test_schema_gets_a_valid_instance(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "label": {"enum": ["billing", "bug", "other"]},
            "title": {"type": "string", "maxLength": 5},
            "sure": {"type": "boolean"},
            "score": {"type": "integer", "minimum": 1, "maximum": 5},
            "when": {"type": ["string", "null"], "format": "date"},
            "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "minItems": 2},
            "either": {"anyOf": [{"type": "null"}, {"type": "number"}]},
        },
        "required": ["label", "title", "sure", "score", "when", "parts", "either"],
        "additionalProperties": False,
        "$defs": {"part": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    answers = [
        json.loads(text_of(ask(client, f"row {position}", response_format=wanted)) or "")
        for position in range(10)
    ]
    for answer in answers:
        jsonschema_rs.validate(schema, answer)
    assert len({answer["label"] for answer in answers}) > 1


def test_models_are_listed(server: Server, client: openai.OpenAI) -> None:
    server.change(models=("a", "b"))
    assert [model.id for model in client.models.list()] == ["a", "b"]


def test_a_key_is_required_where_set(server: Server) -> None:
    server.change(require_key="sk-right")
    with connect(server, "sk-wrong") as client:
        for call in (lambda: ask(client), lambda: client.models.list()):
            with pytest.raises(openai.AuthenticationError) as caught:
                call()
            assert caught.value.code == "invalid_api_key"
    with connect(server, "sk-right") as client:
        ask(client)
    assert server.tally.billed.requests == 1


def test_context_and_models_are_bounded_where_set(server: Server, client: openai.OpenAI) -> None:
    server.change(context_tokens=20)
    ask(client, "a b c", max_tokens=14)
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, "a b c", max_tokens=15)
    assert caught.value.code == "context_length_exceeded"
    server.change(context_tokens=None, known_models_only=True, models=("another",))
    with pytest.raises(openai.NotFoundError) as missing:
        ask(client)
    assert missing.value.code == "model_not_found"


@pytest.mark.parametrize("size", [10, 100_000, 3_000_000])
def test_bodies_of_any_size_arrive_whole(client: openai.OpenAI, size: int) -> None:
    usage = ask(client, "a " * size).usage
    assert usage and usage.prompt_tokens == size + 3


# Faults


@pytest.mark.parametrize("kind", STATUSES)
def test_an_error_has_its_status_and_code(
    server: Server, client: openai.OpenAI, kind: Kind
) -> None:
    server.change(faults=(Fault(kind, times=1, headers={"retry-after": "7"}),))
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client)
    assert caught.value.status_code == STATUSES[kind].status
    assert caught.value.code == STATUSES[kind].code
    assert caught.value.response.headers["retry-after"] == "7"
    assert text_of(ask(client)) == answer_to("one two three")
    tally = server.tally
    assert tally.statuses == {STATUSES[kind].status: 1, 200: 1}
    assert tally.billed.requests == 1


def test_bad_gateway_is_a_page(server: Server, client: openai.OpenAI) -> None:
    server.change(faults=(Fault("bad_gateway"),))
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client)
    assert caught.value.response.text.startswith("<html>")


def test_any_status_and_code_can_be_had(server: Server, client: openai.OpenAI) -> None:
    fault = Fault("unsupported_parameter", has="temperature", param="temperature")
    server.change(faults=(fault, Fault("status", status=418, code="teapot", contains="tea")))
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, temperature=0)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "temperature")
    with pytest.raises(openai.APIStatusError) as teapot:
        ask(client, "some tea")
    assert (teapot.value.status_code, teapot.value.code) == (418, "teapot")
    assert ask(client).usage


MADE = {
    "empty_body": b"",
    "empty_object": b"{}",
    "null": b"null",
    "list": b"[]",
}


@pytest.mark.parametrize("kind", MANGLED)
def test_a_mangled_reply_comes_with_200(server: Server, client: openai.OpenAI, kind: Kind) -> None:
    server.change(faults=(Fault(kind),))
    data = raw(client)
    tally = server.tally
    assert tally.statuses == {200: 1}
    assert tally.billed.requests == MANGLED[kind].billed
    assert tally.unreadable.requests == (MANGLED[kind].billed and not MANGLED[kind].readable)
    if kind in MADE:
        assert data == MADE[kind]
    elif kind == "invalid_utf8":
        with pytest.raises(UnicodeDecodeError):
            data.decode()
    elif kind in ("html", "not_json"):
        with pytest.raises(json.JSONDecodeError):
            json.loads(data)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("error_object", ["error", "message"], "Upstream failed."),
        ("choices_null", ["choices"], None),
        ("choices_empty", ["choices"], []),
        ("usage_null", ["usage"], None),
        ("usage_mistyped", ["usage", "prompt_tokens"], "many"),
        ("refusal", ["choices", 0, "message", "refusal"], "I can't help with that."),
        ("refusal", ["choices", 0, "message", "content"], None),
        ("content_filter", ["choices", 0, "finish_reason"], "content_filter"),
        ("content_empty", ["choices", 0, "message", "content"], ""),
        ("content_null", ["choices", 0, "message", "content"], None),
    ],
)
def test_a_mangled_completion_says(
    server: Server, client: openai.OpenAI, kind: Kind, path: list[str | int], value: object
) -> None:
    server.change(faults=(Fault(kind),))
    found = json.loads(raw(client))
    for step in path:
        found = found[step]
    assert found == value


def test_usage_can_be_missing(server: Server, client: openai.OpenAI) -> None:
    server.change(faults=(Fault("usage_missing"),))
    assert ask(client).usage is None


@pytest.mark.parametrize(
    ("kind", "billed"), [("truncated", 1), ("closed", 0), ("reset", 0), ("reset_unread", 0)]
)
def test_a_connection_breaks(
    server: Server, client: openai.OpenAI, kind: Kind, billed: int
) -> None:
    server.change(faults=(Fault(kind, times=1),))
    with pytest.raises(openai.APIConnectionError):
        ask(client)
    assert ask(client).usage
    tally = server.tally
    assert (tally.received, tally.billed.requests, tally.unreadable.requests) == (
        2,
        billed + 1,
        billed,
    )
    assert tally.answered + tally.resets == 2


def talk(server: Server, request: bytes) -> bytes:
    """Send bytes and read to the end: past the SDK, which takes a reset for an end now and then."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as stream:
            return stream.read()


BODY = b'{"model":"m","messages":[{"role":"user","content":"a"}]}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"


def test_a_truncated_reply_promises_more_than_it_sends(server: Server) -> None:
    server.change(faults=(Fault("truncated"),))
    head, _, body = talk(server, HEAD % len(BODY) + BODY).partition(b"\r\n\r\n")
    promised = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert 0 < len(body) < promised


def test_a_closed_connection_ends_without_a_byte(server: Server) -> None:
    server.change(faults=(Fault("closed"),))
    assert talk(server, HEAD % len(BODY) + BODY) == b""


@pytest.mark.parametrize(
    ("kind", "sent"),
    [("reset", HEAD % len(BODY) + BODY), ("reset_unread", HEAD % len(BODY) + BODY[:10])],
)
def test_a_reset_is_one(server: Server, kind: Kind, sent: bytes) -> None:
    server.change(faults=(Fault(kind),))
    with pytest.raises(ConnectionResetError):
        talk(server, sent)


@pytest.mark.parametrize(
    ("kind", "error"), [("refused", ConnectionRefusedError), ("reset", ConnectionResetError)]
)
def test_an_outage_refuses_or_resets(server: Server, kind: Any, error: type[Exception]) -> None:
    server.outage(kind)
    with pytest.raises(error):
        talk(server, b"")


def test_pipelined_and_split_requests_are_all_answered(server: Server) -> None:
    request = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
    last = HEAD % len(BODY) + BODY
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for start in range(0, len(request), 50):
            connection.sendall(request[start : start + 50])
        connection.sendall(request * 2 + last)
        with connection.makefile("rb") as stream:
            assert stream.read().count(b"HTTP/1.1 200 OK") == 4


@pytest.mark.parametrize("billed", [True, False])
def test_a_hang_outlasts_the_client_and_is_billed_as_set(server: Server, billed: bool) -> None:
    server.change(faults=(Fault("hang", seconds=100),), bill_abandoned=billed)
    with connect(server) as client, pytest.raises(openai.APITimeoutError):
        ask(client.with_options(timeout=0.05))
    server.wait(received=1, billed=int(billed))
    with connect(server) as client, pytest.raises(openai.APITimeoutError):
        ask(client.with_options(timeout=0.05))
    server.wait(received=2, billed=2 * billed)
    tally = server.tally
    assert (tally.answered, tally.billed.requests, tally.billed_twice) == (0, 2 * billed, billed)


def test_a_short_hang_and_a_drip_end_whole(server: Server, client: openai.OpenAI) -> None:
    server.change(faults=(Fault("hang", seconds=0.01, at=(1,)), Fault("drip", seconds=0.05)))
    assert [text_of(ask(client)) for _ in range(2)] == [answer_to("one two three")] * 2


def test_an_error_can_be_billed_and_late(server: Server, client: openai.OpenAI) -> None:
    server.change(faults=(Fault("internal_error", billed=True, seconds=0.01),))
    with pytest.raises(openai.InternalServerError):
        ask(client)
    tally = server.tally
    assert (tally.billed.requests, tally.unreadable.requests) == (1, 1)


# When faults strike


def codes(client: openai.OpenAI, texts: list[str]) -> str:
    """Tell in a letter how each request went: . or x."""
    letters = ""
    for text in texts:
        try:
            ask(client, text)
            letters += "."
        except openai.APIStatusError:
            letters += "x"
    return letters


@pytest.mark.parametrize(
    ("fault", "texts", "expected"),
    [
        (Fault("conflict"), ["a"] * 3, "xxx"),
        (Fault("conflict", at=(2, 4)), ["a"] * 5, ".x.x."),
        (Fault("conflict", after=2), ["a"] * 4, "..xx"),
        (Fault("conflict", after=1, times=2), ["a"] * 5, ".xx.."),
        (Fault("insufficient_quota", after_answers=3), ["a"] * 5, "...xx"),
        (Fault("conflict", times_per_request=1), ["a", "b", "a", "b", "a"], "xx..."),
        (Fault("conflict", contains="poison"), ["a", "b poison c", "a"], ".x."),
        (Fault("conflict", where=lambda body: "top_p" in body), ["a"], "."),
    ],
)
def test_a_fault_strikes_when_told(
    server: Server, client: openai.OpenAI, fault: Fault, texts: list[str], expected: str
) -> None:
    server.change(faults=(fault,))
    assert codes(client, texts) == expected


def test_a_mixture_strikes_its_share_the_same_each_time(
    server: Server, client: openai.OpenAI
) -> None:
    kinds: tuple[Kind, ...] = ("internal_error", "bad_gateway", "unavailable", "overloaded")
    server.change(faults=mixture(0.5, *(Fault(kind) for kind in kinds)))
    texts = [f"row {position}" for position in range(200)]
    first = codes(client, texts)
    statuses = server.tally.statuses
    assert 80 <= first.count("x") <= 120
    assert all(statuses[STATUSES[kind].status] > 10 for kind in kinds)
    server.reset()
    assert codes(client, texts) == first


# Limits


def limited(clock: ManualClock, **limits: Any) -> Server:
    return Server(Behaviour(limits=Limits(**limits)), clock=clock)


def refused(client: openai.OpenAI, **parameters: Any) -> httpx2.Headers:
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, **parameters)
    assert caught.value.code == "rate_limit_exceeded"
    return caught.value.response.headers


def test_requests_are_refused_above_the_bucket_and_let_in_as_it_fills() -> None:
    clock = ManualClock()
    with limited(clock, requests_per_window=60) as server, connect(server) as client:
        for _ in range(60):
            ask(client)
        headers = refused(client)
        assert headers["x-ratelimit-limit-requests"] == "60"
        assert headers["x-ratelimit-remaining-requests"] == "0"
        assert headers["x-ratelimit-reset-requests"] == "1m0s"
        assert (headers["retry-after"], headers["retry-after-ms"]) == ("1", "1000")
        assert "x-ratelimit-limit-tokens" not in headers
        clock.advance(0.9)
        assert refused(client)["retry-after-ms"] == "100"
        clock.advance(0.1)
        ask(client)
        clock.advance(3600)
        assert codes(client, ["a"] * 61) == "." * 60 + "x"
        tally = server.tally
    assert (tally.answered, tally.refused) == (121, 3)
    assert tally.codes == {"rate_limit_exceeded": 3}


def test_tokens_are_charged_with_what_max_tokens_allows() -> None:
    clock = ManualClock()
    with limited(clock, tokens_per_window=600) as server, connect(server) as client:
        response = client.chat.completions.with_raw_response.create(
            model=MODEL, messages=[{"role": "user", "content": "one two three"}], max_tokens=494
        )
        assert response.headers["x-ratelimit-remaining-tokens"] == "100"
        assert response.headers["x-ratelimit-reset-tokens"] == "50s"
        assert refused(client, max_tokens=104)["retry-after"] == "1"
        clock.advance(1.0)
        ask(client, max_tokens=104)
        clock.advance(3600)
        with pytest.raises(openai.RateLimitError, match="too large"):
            ask(client, max_tokens=601)


@pytest.mark.parametrize(
    ("limits", "at_start", "after_a_minute"),
    [
        ({"requests_per_window": 5}, "....." + "x", "....." + "x"),
        ({"requests_per_window": 5, "full": False}, "xxxxxx", "....." + "x"),
        ({"requests_per_window": 5, "window_seconds": 1}, "....." + "x", "....." + "x"),
        ({"requests_per_window": 5, "burst_requests": 2}, "..xxxx", "..xxxx"),
        ({"tokens_per_window": 12}, "...xxx", "...xxx"),
        ({"tokens_per_window": 12, "requests_per_window": 2}, "..xxxx", "..xxxx"),
    ],
)
def test_buckets_have_a_width_a_start_and_a_burst(
    limits: dict[str, Any], at_start: str, after_a_minute: str
) -> None:
    clock = ManualClock()
    with limited(clock, **limits) as server, connect(server) as client:
        assert codes(client, ["a"] * 6) == at_start
        clock.advance(60)
        assert codes(client, ["a"] * 6) == after_a_minute


def test_headers_can_be_kept_back() -> None:
    quiet = {"headers": False, "retry_after": False, "retry_after_ms": False}
    with (
        limited(ManualClock(), requests_per_window=1, full=False, **quiet) as server,
        connect(server) as client,
    ):
        headers = refused(client)
    assert not [name for name in headers if name.startswith(("x-ratelimit", "retry"))]


def test_a_window_by_the_clock_is_whole_at_each_turn_and_gets_nothing_in_between() -> None:
    clock = ManualClock(7.0)
    clocked = {"window_seconds": 10, "by_clock": True}
    with (
        limited(clock, requests_per_window=1, **clocked) as server,
        connect(server) as client,
    ):
        ask(client)
        clock.advance(2.9)
        assert refused(client)["retry-after-ms"] == "100"
        clock.advance(0.1)
        ask(client)


@pytest.mark.parametrize(
    ("says", "remaining", "reset"), [("minute", "0", "60s"), ("stuck", "4", "1m0s")]
)
def test_the_headers_can_say_what_is_not_so(says: str, remaining: str, reset: str) -> None:
    with (
        limited(ManualClock(), requests_per_window=5, full=False, says=says) as server,
        connect(server) as client,
    ):
        headers = refused(client)
    assert headers["x-ratelimit-remaining-requests"] == remaining
    assert headers["x-ratelimit-reset-requests"] == reset


def test_the_limit_header_can_state_the_minute() -> None:
    minute = {"window_seconds": 1, "header_limit": "minute", "headers_of": "reply"}
    with (
        limited(ManualClock(), requests_per_window=1, full=False, **minute) as server,
        connect(server) as client,
    ):
        assert refused(client)["x-ratelimit-limit-requests"] == "60"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0061, "7ms"),
        (0.12, "120ms"),
        (8.64, "8.64s"),
        (59.999, "59.999s"),
        (360, "6m0s"),
        (3600.5, "1h0m0.5s"),
    ],
)
def test_durations_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# Load


def test_requests_above_max_concurrent_wait_in_line(server: Server) -> None:
    server.change(max_concurrent=2, latency_seconds=Latency(0.005, sigma=0.5))
    assert rows(server, 20) == [answer_to(f"row {position}") for position in range(20)]
    assert server.tally.max_in_flight > 2


def test_requests_above_max_concurrent_are_refused_where_set(server: Server) -> None:
    server.change(
        max_concurrent=1, overflow_status=529, faults=(Fault("hang", seconds=60, at=(1,)),)
    )
    with connect(server) as client, ThreadPoolExecutor(1) as pool:
        hung = pool.submit(ask, client.with_options(timeout=60))
        server.wait(received=1)
        with pytest.raises(openai.InternalServerError) as caught:
            ask(client)
        assert caught.value.status_code == 529
        server.stop()
        assert isinstance(hung.exception(), openai.APIConnectionError)


# Outages


@pytest.mark.parametrize("kind", ["refused", "reset"])
def test_an_outage_ends_on_the_same_port(server: Server, kind: Any) -> None:
    with connect(server) as client:
        ask(client)
        url = server.base_url
        server.outage(kind)
        for _ in range(3):
            with pytest.raises(openai.APIConnectionError):
                ask(client)
        server.start()
        assert server.base_url == url
        ask(client)
    tally = server.tally
    assert (tally.received, tally.answered) == (2, 2)


def test_an_outage_loses_what_is_in_flight_and_ends_by_itself(server: Server) -> None:
    server.change(latency_seconds=60)
    with connect(server) as client, ThreadPoolExecutor(1) as pool:
        lost = pool.submit(ask, client)
        server.wait(received=1)
        server.outage("refused", seconds=0.05)
        assert isinstance(lost.exception(), openai.APIConnectionError)
        server.change(latency_seconds=0)
        while True:
            try:
                ask(client)
                break
            except openai.APIConnectionError:
                continue
    tally = server.tally
    assert (tally.lost, tally.abandoned, tally.billed.requests) == (1, 0, 1)


# The tally


def test_the_tally_counts_bodies_connections_and_keeps_the_last_requests(
    server: Server, client: openai.OpenAI
) -> None:
    server.change(record=2)
    for text in ("a", "b", "a"):
        ask(client, text)
    tally = server.tally
    assert (tally.connections, tally.billed_twice, tally.billed.prompt_tokens) == (1, 1, 12)
    assert sorted(tally.billed_by_body.values()) == [1, 2]
    last = tally.records[-1]
    assert len(tally.records) == 2
    assert last.json["messages"] == [{"role": "user", "content": "a"}]
    assert last.header("Authorization") == "Bearer sk-test"
    assert tally.billed_by_body[digest(last.body.encode())] == 2


def test_a_broken_answer_is_raised_at_the_end() -> None:
    def answer(body: dict[str, object]) -> str:
        raise ZeroDivisionError

    with (
        pytest.raises(ZeroDivisionError),
        Server(Behaviour(answer=answer)) as server,
        connect(server) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        ask(client)


def test_a_server_process_has_the_same_verbs() -> None:
    behaviour = Behaviour(
        latency_seconds=Latency(0.001),
        limits=Limits(requests_per_window=3),
        faults=(Fault("conflict", at=(2,)),),
    )
    with Server.process(behaviour) as server, connect(server) as client:
        assert codes(client, ["a"] * 4) == ".x.x"
        server.wait(received=4)
        assert server.tally.statuses == {200: 2, 409: 1, 429: 1}
        assert server.tally == Tally.load(server.tally.dump())
        server.outage("refused")
        with pytest.raises(openai.APIConnectionError):
            ask(client)
        server.start()
        server.reset()
        server.change(limits=Limits(), faults=())
        assert codes(client, ["a"] * 4) == "...."
        assert server.tally.billed.requests == 4
        with pytest.raises(TimeoutError):
            server.wait(received=5, timeout_seconds=0.01)
        with pytest.raises(TypeError, match="no functions"):
            server.change(answer=str)
