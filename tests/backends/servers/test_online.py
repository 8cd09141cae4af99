"""The API's answers and errors, as they come through the real SDK, become ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.backends.apis.replies import read_response
from pipeline.backends.lanes.live import Live
from pipeline.backends.opening import Limits, open_lane
from pipeline.costs import fixed_price
from pipeline.errors import (
    AccessError,
    BackendError,
    FatalError,
    LimitError,
    RejectedError,
    TransientError,
    UnreachableError,
    UnsentError,
    UsageError,
)
from pipeline.limits.circuit import FAILURES, Circuit
from pipeline.sources.files import images
from pipeline.types import Message, Request, Response, Usage
from pipeline.vendors import OPENAI_URL
from tests.backends.asking import MODEL, complete, complete_all, request
from tests.pictures import write
from tests.server import Fault, Kind, Server, answer_to
from tests.server import Limits as ServerLimits
from tests.server.faults import MANGLED, STATUSES

KEY = "sk-test"
LUNA = {"reasoning_effort": "none", "prompt_cache_options": {"mode": "explicit"}}
ALWAYS = {"model", "messages", "stream", "reasoning_effort"}


def connect(server: Server, *, key: str = KEY, **limits: Any) -> Live:
    return open_lane(
        MODEL,
        base_url=server.base_url,
        api_key=key,
        limits=Limits(**limits),
        price=fixed_price(Decimal(3), Decimal(17)),
    )


def failure(server: Server, of: Request | None = None, key: str = KEY) -> BackendError:
    with pytest.raises(BackendError) as caught:
        complete(connect(server, key=key), of or request())
    assert "\n" not in str(caught.value)
    return caught.value


def sent(server: Server) -> list[dict[str, Any]]:
    """Give the bodies that arrived."""
    return [dict(record.json) for record in server.tally.records]


# What is sent


def test_a_request_is_sent_as_it_is(server: Server) -> None:
    server.change(require_key=KEY)
    text = 'é 😀 "\\ \x00\u2028</s><|endoftext|>'
    messages = (
        Message("system", "Be brief."),
        Message("user", text),
        Message("assistant", "a"),
        Message("user", "b"),
    )
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    closed = {**schema, "required": ["a"], "additionalProperties": False}
    complete(
        connect(server),
        request(
            messages=messages,
            parameters={"temperature": 0, "stop": ["END"], "logit_bias": {"1": 2}},
            max_tokens=9,
            schema=schema,
            schema_name="ask",
        ),
    )
    assert sent(server) == [
        {
            "model": MODEL,
            "stream": False,
            "reasoning_effort": "none",
            "messages": [{"role": item.role, "content": item.content} for item in messages],
            "temperature": 0,
            "stop": ["END"],
            "logit_bias": {"1": 2},
            "max_tokens": 9,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "ask", "strict": True, "schema": closed},
            },
        }
    ]


def test_what_is_not_set_is_not_sent(server: Server) -> None:
    """But for `stream`: some gateways stream unless they are told not to. And a model that reasons
    does unless it is told not to.
    """
    complete(connect(server), request())
    messages = [{"role": "user", "content": "one two three"}]
    body = {"model": MODEL, "messages": messages, "stream": False, "reasoning_effort": "none"}
    assert sent(server) == [body]


def test_the_body_that_is_shown_is_the_one_that_is_sent(server: Server) -> None:
    asked = request(parameters={"seed": 1}, max_tokens=5)
    backend = connect(server)
    shown = backend.server.body(asked)
    complete(backend, asked)
    assert sent(server) == [shown]


@pytest.mark.parametrize(
    ("model", "url", "added"),
    [
        ("gpt-6-luna", OPENAI_URL, {"max_completion_tokens": 9, **LUNA}),
        ("a-model", OPENAI_URL, {"max_completion_tokens": 9}),
        ("gpt-6-luna", OPENAI_URL + "/", {"max_completion_tokens": 9, **LUNA}),
        ("gpt-6-luna", "http://127.0.0.1:9/v1", {"max_tokens": 9, "reasoning_effort": "none"}),
        ("llama-3", "http://127.0.0.1:9/v1", {"max_tokens": 9}),
    ],
)
def test_the_bound_has_the_name_that_the_server_knows(
    model: str, url: str, added: dict[str, object]
) -> None:
    backend = open_lane(model, base_url=url, api_key=KEY)
    asked = request("hi", model=model, max_tokens=9)
    messages = [{"role": "user", "content": "hi"}]
    body = {"model": model, "messages": messages, "stream": False, **added}
    assert backend.server.body(asked) == body


def test_a_prompts_own_reasoning_effort_is_kept() -> None:
    backend = open_lane(MODEL, api_key=KEY)
    asked = request(parameters={"reasoning_effort": "high"})
    assert backend.server.body(asked)["reasoning_effort"] == "high"


def test_a_slash_after_the_address_changes_nothing(server: Server) -> None:
    with_slash = open_lane(MODEL, base_url=f"{server.base_url}/", api_key=KEY)
    assert with_slash.server.identity == connect(server).server.identity
    assert complete(with_slash, request())


def test_without_a_key_a_server_is_asked_all_the_same(server: Server) -> None:
    complete(open_lane(MODEL, base_url=server.base_url), request())
    assert server.tally.answered == 1


def test_without_a_key_and_a_server_there_is_nobody_to_ask() -> None:
    with pytest.raises(UsageError) as caught:
        open_lane(MODEL)
    assert str(caught.value) == (
        "no API key: put OPENAI_API_KEY=... in the environment or in a .env file here, "
        "or try it free on this machine with --model local"
    )


def test_a_cap_needs_a_price(server: Server) -> None:
    with pytest.raises(UsageError) as caught:
        open_lane("no-such-model", base_url=server.base_url, limits=Limits(max_cost_usd=Decimal(1)))
    assert str(caught.value) == (
        f"--max-cost needs the price of no-such-model, which isn't published for {server.base_url}"
        ": give it with --price INPUT,OUTPUT (USD per million tokens)"
    )


# What comes back


def test_an_answer_has_its_text_its_model_and_its_usage(server: Server) -> None:
    server.change(
        prompt_tokens=100,
        cached_tokens=40,
        completion_tokens=20,
        reasoning_tokens=5,
        model_suffix="-x",
    )
    assert complete(connect(server), request()) == [
        Response(
            content=answer_to("one two three"),
            finish_reason="stop",
            model=f"{MODEL}-x",
            usage=Usage(100, 25, 40, 0, 5),
            refusal=None,
            service_tier="default",
        )
    ]


def completion(**changes: object) -> bytes:
    choice = {"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return json.dumps({"model": "m", "choices": [choice], "usage": usage, **changes}).encode()


def of(**changes: object) -> Response:
    plain: dict[str, Any] = {
        "content": "hi",
        "finish_reason": "stop",
        "model": "m",
        "usage": Usage(3, 2),
    }
    return Response(**{**plain, **changes})


@pytest.mark.parametrize(
    ("reply", "response"),
    [
        (completion(), of()),
        (completion(model=None), of(model="")),
        (completion(service_tier="flex"), of(service_tier="flex")),
        (completion(usage=None), of(usage=None)),
        (completion(usage={}), of(usage=None)),
        (completion(usage={"prompt_tokens": 3}), of(usage=None)),
        (completion(usage={"prompt_tokens": "3", "completion_tokens": 2}), of()),
        (completion(usage={"prompt_tokens": -3, "completion_tokens": 2}), of(usage=None)),
        (completion(usage=[3, 2]), of(usage=None)),
        (completion(usage={"prompt_tokens": 2**63, "completion_tokens": 2}), of(usage=None)),
        (completion(model=["m"], service_tier={"flex": 1}), of(model="")),
        (
            completion(choices=[{"message": {"content": "hi"}, "finish_reason": ["stop"]}]),
            of(finish_reason="['stop']"),
        ),
        (
            completion(
                usage={
                    "prompt_tokens": 9,
                    "completion_tokens": 8,
                    "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 1},
                    "completion_tokens_details": {"reasoning_tokens": 7},
                }
            ),
            of(usage=Usage(9, 8, 5, 1, 7)),
        ),
        (
            completion(
                usage={
                    "prompt_tokens": 9,
                    "completion_tokens": 8,
                    "prompt_tokens_details": None,
                    "completion_tokens_details": {"reasoning_tokens": None},
                }
            ),
            of(usage=Usage(9, 8)),
        ),
        (
            completion(choices=[{"message": {"content": None, "refusal": "No."}}]),
            of(content=None, finish_reason=None, refusal="No."),
        ),
        (completion(choices=[{"message": {"content": ""}}]), of(content="", finish_reason=None)),
        (completion(choices=[{"message": {}}]), of(content=None, finish_reason=None)),
    ],
)
def test_a_completion_is_read_whatever_is_left_out(reply: bytes, response: Response) -> None:
    assert read_response(reply) == response


@pytest.mark.parametrize(
    ("reply", "start", "usage"),
    [
        (b"", "", None),
        (b"<html>\n<body>", "<html> <body>", None),
        (b"{}", "{}", None),
        (b"null", "null", None),
        (b"[]", "[]", None),
        (b'"text"', '"text"', None),
        (b'{"choices":[{"message":"hi"}]}', '{"choices":[{"message":"hi"}]}', None),
        (completion(choices=[]), completion(choices=[]).decode()[:60], Usage(3, 2)),
        (completion(choices=None), completion(choices=None).decode()[:60], Usage(3, 2)),
        (
            completion(choices=[{"message": {"content": [7]}}]),
            completion(choices=[{"message": {"content": [7]}}]).decode()[:60],
            Usage(3, 2),
        ),
        (
            b'{"choices":[{"message":{"content":"\xff"}}]}',
            '{"choices":[{"message":{"content":"�"}}]}',
            None,
        ),
    ],
)
def test_what_is_no_completion_may_have_been_billed_and_is_asked_again(
    reply: bytes, start: str, usage: Usage | None
) -> None:
    with pytest.raises(TransientError) as caught:
        read_response(reply)
    assert str(caught.value) == f"HTTP 200, but not a chat completion: {start!r}"
    assert (caught.value.usage, caught.value.lost) == (usage, usage is None)


# What goes wrong


def test_a_picture_that_cannot_be_sent_costs_nothing_and_says_nothing_of_the_server(
    server: Server, tmp_path: Path
) -> None:
    write(tmp_path, "a.png")
    (image,) = images.read(tmp_path / "a.png")
    (tmp_path / "a.png").unlink()
    gone = request("gone", messages=(Message("user", (image,)),), max_tokens=20)
    backend = connect(server, max_cost_usd=Decimal(1))
    answered = complete_all(backend, [gone, request("fine", max_tokens=20)])
    assert isinstance(answered["gone"].answer, UnsentError)
    assert str(answered["gone"].answer) == "a.png can't be read any more: No such file or directory"
    assert (answered["gone"].attempts, answered["gone"].usage) == (0, None)
    assert isinstance(answered["fine"].answer, Response)
    budget = backend.gate.budget
    assert (budget.reserved_usd, budget.unsure_usd) == (0, 0)
    assert budget.taken_usd == answered["fine"].cost_usd
    assert (backend.gate.window.in_flight, backend.gate.circuit.answers) == (0, 1)


def test_a_probe_that_is_not_sent_lets_another_go() -> None:
    circuit = Circuit()
    for _ in range(FAILURES):
        circuit.fail(0.0, "gone")
    for now in (100.0, 200.0):
        assert circuit.open
        assert circuit.wait(now) == 0
        circuit.take()
        assert circuit.wait(now) > 0
        circuit.leave()


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        (Fault("bad_request"), RejectedError, "HTTP 400: The request is not valid."),
        (
            Fault("context_length_exceeded"),
            RejectedError,
            "HTTP 400 context_length_exceeded: Your input is too long.; "
            "--chunk-tokens N asks part by part",
        ),
        (
            Fault("content_policy_violation"),
            RejectedError,
            "HTTP 400 content_policy_violation: Your prompt was refused by the safety system.",
        ),
        (Fault("unprocessable"), RejectedError, "HTTP 422: Unprocessable."),
        (
            Fault("status", status=413),
            RejectedError,
            "HTTP 413: The request failed.; --chunk-tokens N asks part by part",
        ),
        (
            Fault("unsupported_parameter", param="modalities"),
            AccessError,
            f"{MODEL} refuses `modalities` (HTTP 400: This model does not support this parameter.)",
        ),
        (
            Fault("invalid_api_key"),
            AccessError,
            "URL refuses the key (HTTP 401: Incorrect API key provided.); check OPENAI_API_KEY",
        ),
        (
            Fault("forbidden"),
            AccessError,
            "URL refuses to answer (HTTP 403 unsupported_country_region_territory: "
            "Not allowed here.); check what OPENAI_API_KEY is allowed to do",
        ),
        (
            Fault("model_not_found"),
            AccessError,
            f"URL doesn't know model '{MODEL}' (HTTP 404: The model does not exist.); "
            "see `pipeline models`, --model and --base-url",
        ),
        (
            Fault("status", status=307, headers={"location": "https://example.com/v1"}),
            AccessError,
            "URL redirects to https://example.com/v1: give https://example.com/v1 as --base-url",
        ),
        (
            Fault("insufficient_quota"),
            FatalError,
            "the account has no quota left (You exceeded your current quota.); "
            "add credit or raise the limit with the provider",
        ),
        (
            Fault("billing_hard_limit_reached"),
            FatalError,
            "the account has no quota left (Billing hard limit has been reached.); "
            "add credit or raise the limit with the provider",
        ),
        (
            Fault("status", status=402, message="Pay first."),
            FatalError,
            "the account has no quota left (Pay first.); "
            "add credit or raise the limit with the provider",
        ),
        (Fault("request_timeout"), TransientError, "HTTP 408: Timed out."),
        (Fault("conflict"), TransientError, "HTTP 409: Try again."),
        (Fault("rate_limit_exceeded"), LimitError, "HTTP 429: Rate limit reached."),
        (Fault("internal_error"), TransientError, "HTTP 500: The server had an error."),
        (Fault("bad_gateway"), TransientError, "HTTP 502: Bad Gateway"),
        (
            Fault("unavailable"),
            TransientError,
            "HTTP 503: The engine is currently overloaded.",
        ),
        (Fault("overloaded"), TransientError, "HTTP 529: Overloaded."),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
def test_an_error_has_its_class_and_its_line(
    server: Server, fault: Fault, kind: type[BackendError], message: str
) -> None:
    server.change(faults=(fault,))
    asked = request(parameters={"modalities": ["x"]})
    error = failure(server, asked)
    assert (type(error), str(error)) == (kind, message.replace("URL", server.base_url))


def test_each_kind_of_error_is_tried_above() -> None:
    assert len(STATUSES) == 18


def test_long_words_of_a_server_are_one_short_line(server: Server) -> None:
    server.change(faults=(Fault("bad_request", message="word\n" * 1000),))
    assert str(failure(server)) == f"HTTP 400: {('word ' * 1000)[:300]}"


@pytest.mark.parametrize("kind", ["closed", "reset", "reset_unread", "truncated"])
def test_an_answer_that_was_lost_may_be_billed_and_is_asked_again(
    server: Server, kind: Kind
) -> None:
    server.change(faults=(Fault(kind),))
    error = failure(server)
    assert str(error).startswith(f"{server.base_url} can't be reached: ")
    assert isinstance(error, UnreachableError)
    assert error.lost


def test_a_server_that_is_not_there_has_billed_nothing(server: Server) -> None:
    server.stop()
    error = failure(server)
    assert str(error).startswith(f"{server.base_url} can't be reached: ")
    assert isinstance(error, UnreachableError)
    assert not error.lost


READABLE = [kind for kind, mangled in MANGLED.items() if mangled.readable]


@pytest.mark.parametrize("kind", MANGLED)
def test_a_mangled_reply_is_read_or_asked_again(server: Server, kind: Kind) -> None:
    server.change(faults=(Fault(kind, times_per_request=1),), prompt_tokens=10, completion_tokens=2)
    found = complete_all(connect(server), [request()])["one two three"]
    answered_at_once = kind.startswith(("usage", "refusal", "content"))
    assert found.attempts == (1 if answered_at_once else 2)
    assert isinstance(found.answer, Response)
    tally = server.tally
    readable = tally.billed.requests - tally.unreadable.requests
    known = Usage(10, 2)
    expected = {0: None, 1: known, 2: known + known}[readable]
    assert found.usage == expected
    assert found.cost_usd == (None if expected is None else readable * Decimal("0.000064"))


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("refusal", {"content": None, "refusal": "I can't help with that."}),
        ("content_filter", {"content": "", "finish_reason": "content_filter"}),
        ("content_empty", {"content": ""}),
        ("content_null", {"content": None}),
    ],
)
def test_a_completion_without_an_answer_comes_as_it_is(
    server: Server, kind: Kind, changes: dict[str, Any]
) -> None:
    server.change(faults=(Fault(kind),), prompt_tokens=10, completion_tokens=2)
    plain: dict[str, Any] = {
        "finish_reason": "stop",
        "model": MODEL,
        "usage": Usage(10, 2),
        "service_tier": "default",
    }
    assert complete(connect(server), request()) == [Response(**{**plain, **changes})]


# Keys


@pytest.mark.parametrize("key", ["sk-proj-aB3_dE6-gH9", "gsk_aB3dE6gH9", "aB3.dE6+gH9/="])
@pytest.mark.parametrize("kind", ["invalid_api_key", "bad_request"])
def test_a_key_that_the_server_repeats_is_not_told_on(server: Server, key: str, kind: Kind) -> None:
    fault = Fault(kind, message=f"Incorrect API key provided: {key}. You can find your API key.")
    server.change(faults=(fault,))
    error = failure(server, key=key)
    assert key not in str(error)
    assert "Incorrect API key provided: " in str(error)


def test_the_part_of_a_key_that_the_provider_shows_is_not_told_on(server: Server) -> None:
    server.change(
        faults=(Fault("invalid_api_key", message="Wrong key: sk-proj-****************abcd."),)
    )
    assert str(failure(server)) == (
        f"{server.base_url} refuses the key (HTTP 401: Wrong key: ***.); check OPENAI_API_KEY"
    )


# How a model wants to be asked


def refusing(*names: str, code: str = "unsupported_parameter") -> tuple[Fault, ...]:
    return tuple(Fault("unsupported_parameter", has=name, param=name, code=code) for name in names)


@pytest.mark.parametrize(
    "code", ["unsupported_parameter", "unsupported_value", "unknown_parameter"]
)
def test_a_parameter_that_only_steers_is_left_out_where_it_is_refused(
    server: Server, code: str
) -> None:
    server.change(faults=refusing("temperature", code=code))
    backend = connect(server, max_concurrency=4)
    asked = [request(f"row {n}", parameters={"temperature": 0, "seed": 1}) for n in range(12)]
    found = complete_all(backend, asked)
    assert {type(item.answer) for item in found.values()} == {Response}
    assert backend.server.notices == [f"{MODEL} does not take `temperature`: it is asked without"]
    refused = [body for body in sent(server) if "temperature" in body]
    assert len(refused) <= 4
    assert all(body["seed"] == 1 for body in sent(server))
    assert server.tally.answered == 12


def test_several_parameters_are_left_out_one_after_the_other(server: Server) -> None:
    server.change(faults=refusing("temperature", "top_p"))
    backend = connect(server)
    complete(backend, request(parameters={"temperature": 0, "top_p": 1, "seed": 1}))
    assert [sorted(body.keys() - ALWAYS) for body in sent(server)] == [
        ["seed", "temperature", "top_p"],
        ["seed", "top_p"],
        ["seed"],
    ]


def test_the_bound_is_renamed_where_its_name_is_refused(server: Server) -> None:
    server.change(faults=refusing("max_tokens"))
    backend = connect(server)
    complete(backend, request("a", max_tokens=9), request("b", max_tokens=9))
    assert [body.keys() - ALWAYS for body in sent(server)] == [
        {"max_tokens"},
        {"max_completion_tokens"},
        {"max_completion_tokens"},
    ]
    assert backend.server.notices == []


def test_a_bound_that_is_refused_by_both_names_is_never_left_out(server: Server) -> None:
    server.change(faults=refusing("max_tokens", "max_completion_tokens"))
    error = failure(server, request(max_tokens=9))
    assert isinstance(error, AccessError)
    assert [body.keys() - ALWAYS for body in sent(server)] == [
        {"max_tokens"},
        {"max_completion_tokens"},
    ]


def test_a_parameter_that_changes_the_answer_is_never_left_out(server: Server) -> None:
    server.change(faults=refusing("modalities"))
    error = failure(server, request(parameters={"modalities": ["x"]}))
    assert type(error) is AccessError
    assert server.tally.received == 1


# Again


TRANSIENT: list[Kind] = [
    "request_timeout",
    "conflict",
    "rate_limit_exceeded",
    "internal_error",
    "bad_gateway",
    "unavailable",
    "overloaded",
    "closed",
    "reset",
    "truncated",
]


def test_what_may_get_better_is_asked_again(server: Server) -> None:
    server.change(
        faults=tuple(Fault(kind, contains=kind, times_per_request=1) for kind in TRANSIENT)
    )
    found = complete_all(connect(server), [request(kind) for kind in TRANSIENT])
    assert {name: item.attempts for name, item in found.items()} == dict.fromkeys(TRANSIENT, 2)
    answers = {
        name: item.answer.content
        for name, item in found.items()
        if isinstance(item.answer, Response)
    }
    assert answers == {kind: answer_to(kind) for kind in TRANSIENT}


def test_what_cannot_get_better_is_not_asked_again(server: Server) -> None:
    server.change(faults=(Fault("bad_request", contains="bad"),))
    found = complete_all(connect(server), [request("good"), request("bad")])
    assert {
        name: (item.attempts, str(item.answer)) for name, item in found.items() if name == "bad"
    } == {"bad": (1, "HTTP 400: The request is not valid.")}
    assert isinstance(found["good"].answer, Response)
    assert server.tally.received == 2


@pytest.mark.parametrize(("milliseconds", "window"), [(True, 0.3), (False, 1.0)])
def test_a_retry_is_never_sooner_than_the_server_said(
    server: Server, milliseconds: bool, window: float
) -> None:
    """Whoever came sooner would find the bucket empty, and be refused once more."""
    server.change(
        limits=ServerLimits(
            requests_per_window=1,
            window_seconds=window,
            headers=False,
            retry_after_ms=milliseconds,
        )
    )
    found = complete_all(connect(server), [request("a"), request("b")])
    assert sorted(item.attempts for item in found.values()) == [1, 2]
    assert server.tally.statuses == {200: 2, 429: 1}


@pytest.mark.parametrize("kind", ["rate_limit_exceeded", "unavailable", "overloaded"])
def test_while_the_server_says_wait_nobody_asks(server: Server, kind: Kind) -> None:
    said = {"retry-after-ms": "400"}
    server.change(faults=(Fault(kind, at=(1,), headers=said),))
    complete_all(connect(server, max_concurrency=1), [request(str(n)) for n in range(4)])
    first, *others = [record.arrived for record in server.tally.records]
    assert len(others) == 4
    assert all(arrived - first >= 0.4 for arrived in others)


# Many


def test_each_request_gets_its_own_answer(server: Server) -> None:
    server.change(latency_seconds=0.005)
    names = [f"row {number}" for number in range(200)]
    found = complete_all(connect(server), [request(name) for name in names])
    answers = {
        name: item.answer.content
        for name, item in found.items()
        if isinstance(item.answer, Response)
    }
    assert answers == {name: answer_to(name) for name in names}
    assert server.tally.billed_twice == 0


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_are_in_flight_than_allowed(server: Server, limit: int) -> None:
    server.change(latency_seconds=0.01)
    backend = connect(server, max_concurrency=limit)
    complete_all(backend, [request(str(number)) for number in range(4 * limit)])
    assert server.tally.max_in_flight == limit


def test_requests_are_taken_as_fast_as_answers_come_and_not_faster(server: Server) -> None:
    backend = connect(server, max_concurrency=5)
    taken = 0

    async def requests() -> AsyncIterator[Request]:
        nonlocal taken
        for number in range(60):
            taken += 1
            yield request(str(number))

    async def run() -> None:
        answered = 0
        await backend.open()
        async for batch in backend.complete_all(requests()):
            # Those of this list are in flight until the next one is asked for; one more waits.
            assert taken <= answered + 5 + 1
            answered += len(batch)
        await backend.close()
        assert answered == 60

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["invalid_api_key", "insufficient_quota", "model_not_found"])
def test_what_no_retry_mends_ends_it_with_the_answers_that_came(server: Server, kind: Kind) -> None:
    server.change(faults=(Fault(kind, after=6),))
    backend = connect(server, max_concurrency=2)
    answers: list[object] = []

    async def requests() -> AsyncIterator[Request]:
        for number in range(1000):
            yield request(str(number))

    async def run() -> None:
        await backend.open()
        try:
            async for batch in backend.complete_all(requests()):
                answers.extend(item.answer for item in batch)
        finally:
            await backend.close()

    with pytest.raises(FatalError):
        asyncio.run(run())
    assert len(answers) == 6
    assert server.tally.received <= 8
