"""What a refusal is about is told by its words, whatever its status, and mended if it can be."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from pipeline.backends.base import Answered
from pipeline.backends.lanes.live import Live
from pipeline.backends.opening import Limits, open_lane
from pipeline.backends.servers.online import MOST_DENIED, MOST_FOREIGN
from pipeline.costs import fixed_price
from pipeline.errors import AccessError, BackendError, FatalError, RejectedError, TransientError
from pipeline.types import Request, Response, Usage
from tests.backends.asking import MODEL, complete, complete_all, request
from tests.server import Fault, Server

SCHEMA = {"type": "object", "properties": {"label": {"type": "string", "enum": ["bug", "praise"]}}}


def connect(server: Server) -> Live:
    return open_lane(MODEL, base_url=server.base_url, api_key="sk-test")


def refusing(status: int, body: object, **conditions: object) -> Fault:
    payload = body if isinstance(body, str) else json.dumps(body)
    return Fault("status", status=status, payload=payload.encode(), **conditions)  # type: ignore[arg-type]


def failure(server: Server, status: int, body: object, of: Request | None = None) -> BackendError:
    server.change(faults=(refusing(status, body),))
    with pytest.raises(BackendError) as caught:
        complete(connect(server), of or request())
    return caught.value


def said(words: str, **more: object) -> dict[str, object]:
    return {"error": {"message": words, **more}}


LONG = [
    (400, "This model's maximum context length is 4096 tokens. However, you requested 9000."),
    (400, "request (9000 tokens) exceeds the available context size (4096 tokens)"),
    (400, "prompt is too long: 210000 tokens > 200000 maximum"),
    (
        400,
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    ),
    (
        400,
        "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum",
    ),
    (400, "The number of tokens to keep is greater than the context length."),
    (400, "Please reduce the length of the messages or completion."),
    (413, "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000"),
    (429, "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 31000."),
    (422, "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 9000 `inputs` tokens"),
    (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 9000"),
    (500, "Context size has been exceeded."),
    (400, "AiError: bad input: prompt too long"),
    (400, "too many tokens: size limit exceeded by 12 tokens."),
    (500, "the input length exceeds the context length"),
    (200, "Input is too long for requested model."),
]


@pytest.mark.parametrize(("status", "words"), LONG, ids=str)
def test_too_long_is_refused_once_with_the_way_on(server: Server, status: int, words: str) -> None:
    """The other formats aren't tried either."""
    asked = request(schema=SCHEMA, schema_name="ask")
    error = failure(server, status, said(words, code=400), asked)
    assert type(error) is RejectedError
    assert words in str(error)
    assert str(error).endswith("--chunk-tokens N asks part by part")
    assert server.tally.received == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, said("Pay first.")),
        (400, said("Your credit balance is too low to access the API.")),
        (403, said("You have no credits left. Buy more.")),
        (403, said("Insufficient balance")),
        (403, said("This request requires more credits, or fewer max_tokens.")),
        (429, said("No.", code="insufficient_quota")),
        (429, said("No.", type="insufficient_quota")),
        (429, {"error": "Insufficient balance"}),
        (200, said("Insufficient credits. Add more.", code=402)),
        (200, {"error": {"message": "Out of credits", "code": "402"}}),
        (200, {"code": "INSUFFICIENT_QUOTA", "message": "No."}),
        (500, said("billing hard limit has been reached", code="billing_hard_limit_reached")),
    ],
)
def test_no_credit_ends_the_run_whatever_its_status(
    server: Server, status: int, body: object
) -> None:
    error = failure(server, status, body)
    assert type(error) is FatalError
    assert str(error).startswith("the account has no quota left (")
    assert server.tally.received == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, said("No.")),
        (400, [said("API key not valid. Please pass a valid API key.")]),
        (400, said("Incorrect API key provided: x.")),
        (400, said("Missing API key")),
        (403, said("Your API key has expired")),
        (403, said("No.", status="UNAUTHENTICATED")),
        (422, {"detail": "Invalid api_key"}),
        (200, said("No auth credentials found", code=401)),
        (200, said("Authentication failed", code="authentication_error")),
    ],
)
def test_a_bad_key_ends_the_run_whatever_its_status(
    server: Server, status: int, body: object
) -> None:
    error = failure(server, status, body)
    assert type(error) is AccessError
    assert " refuses the key (" in str(error)
    assert server.tally.received == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"error": "model 'x' not found, try pulling it first"}),
        (404, said("The model `x` does not exist or you do not have access to it.")),
        (400, said("x is not a valid model ID")),
        (400, said("Model Not Exist")),
        (400, said("The model `x` has been decommissioned and is no longer supported.")),
        (404, said("No endpoints found for x.")),
        (
            404,
            said("The API deployment for this resource does not exist", code="DeploymentNotFound"),
        ),
        (422, {"detail": "Unknown model: x"}),
        (200, said("No.", code="model_not_found")),
        (200, {"error": "model 'x' not found"}),
    ],
)
def test_a_missing_model_is_no_wrong_address(server: Server, status: int, body: object) -> None:
    error = failure(server, status, body)
    assert type(error) is AccessError
    assert f" doesn't know model {MODEL!r} (" in str(error)
    assert server.tally.received == 1


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            404,
            {"status": 404, "title": "Not Found", "detail": "Function 'f': Not found"},
            "Function",
        ),
        (404, "no route to that here", "no route to that here"),
        (400, "the gateway forbids a term (rule 17)", "the gateway forbids a term (rule 17)"),
        (403, said("Input flagged by moderation"), "Input flagged by moderation"),
        (503, "<html><title>Back soon</title></html>", "Back soon"),
        (200, said("\x1b]0;owned\x07\x9b31m Upstream failed"), r"\u001b]0;owned\u0007\u009b31m Up"),
    ],
)
def test_the_servers_words_are_told(server: Server, status: int, body: object, words: str) -> None:
    assert words in str(failure(server, status, body))


def test_a_flagged_input_fails_its_row_alone(server: Server) -> None:
    body = said("Upstream error: input flagged", code=400)
    server.change(
        faults=(refusing(200, body, contains="bad"), refusing(403, body, contains="ugly"))
    )
    found = complete_all(connect(server), [request("good"), request("bad"), request("ugly")])
    assert isinstance(found["good"].answer, Response)
    for name in ("bad", "ugly"):
        assert type(found[name].answer) is RejectedError
        assert found[name].attempts == 1


def test_an_error_inside_a_good_status_may_get_better(server: Server) -> None:
    body = said("Upstream failed", code=502)
    server.change(faults=(refusing(200, body, times=1),))
    assert complete_all(connect(server), [request()])["one two three"].attempts == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, {"detail": [{"loc": ["body", "NAME"], "msg": "Extra inputs are not permitted"}]}),
        (422, {"detail": "body.NAME: unknown field"}),
        (400, said("Unsupported value: 'NAME' does not support 0 with this model.")),
        (400, said("gpt-5 models don't support NAME=0.0.", code="400")),
        (400, said("`NAME` is deprecated for this model.")),
        (400, said("No.", param="NAME", code="unsupported_parameter")),
        (400, {"message": "property 'NAME' is unsupported"}),
        (500, said("got an unexpected keyword argument 'NAME'")),
        (200, said("Unrecognized request argument supplied: 'NAME'", code=400)),
    ],
)
@pytest.mark.parametrize("name", ["temperature", "seed", "top_p", "presence_penalty", "stream"])
def test_what_only_steers_is_left_out_where_words_refuse_it(
    server: Server, status: int, body: object, name: str
) -> None:
    told = json.loads(json.dumps(body).replace("NAME", name))
    server.change(faults=(refusing(status, told, has=name),))
    parameters = {} if name == "stream" else {name: 0}
    backend = connect(server)
    complete(backend, *(request(text, parameters=parameters) for text in "ab"))
    assert [name in dict(record.json) for record in server.tally.records] == [True, False, False]
    notice = f"{MODEL} does not take `{name}`: it is asked without"
    assert backend.server.notices == ([] if name == "stream" else [notice])


@pytest.mark.parametrize(
    "words",
    [
        "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "max_tokens: Extra inputs are not permitted",
        "unknown field `max_tokens`",
    ],
)
def test_the_longest_answer_has_another_name_where_words_refuse_it(
    server: Server, words: str
) -> None:
    server.change(faults=(refusing(422, said(words), has="max_tokens"),))
    complete(connect(server), request("a", max_tokens=9), request("b", max_tokens=9))
    bodies = [dict(record.json) for record in server.tally.records]
    assert ["max_completion_tokens" in body for body in bodies] == [False, True, True]


def test_a_number_that_is_refused_gets_no_other_name(server: Server) -> None:
    words = "max_tokens must be at least 16 for this model"
    error = failure(server, 400, said(words), request(max_tokens=9))
    assert str(error) == f"{MODEL} refuses `max_tokens` (HTTP 400: {words})"
    assert server.tally.received == 1


def test_a_parameter_refused_after_answers_fails_its_row_alone(server: Server) -> None:
    words = said("max_tokens must be at most 100 for this model")
    server.change(faults=(refusing(400, words, contains="bad"),))
    backend = connect(server)
    with pytest.raises(RejectedError):
        complete(backend, request("good", max_tokens=9), request("bad", max_tokens=900))


@pytest.mark.parametrize(
    "error",
    [
        {
            "message": "Generated JSON does not match the expected schema.",
            "code": "json_validate_failed",
        },
        {"message": "Failed to generate JSON.", "failed_generation": '{"lab'},
        {"message": "The model output did not match the schema"},
    ],
)
def test_an_answer_that_the_server_cannot_make_fit_is_the_rows_alone(
    server: Server, error: dict[str, object]
) -> None:
    server.change(
        answer=lambda body: '{"label": "bug"}',
        faults=(refusing(400, {"error": error}, contains="bad"),),
    )
    backend = connect(server)
    bad, good = complete(
        backend, *(request(text, schema=SCHEMA, schema_name="ask") for text in ("bad", "good"))
    )
    assert bad.problem == f"the server couldn't make the answer fit ({error['message']})"
    assert bad.content == error.get("failed_generation", "")
    assert (good.content, backend.server.notices) == ('{"label": "bug"}', [])
    assert server.tally.received == 2


REDIRECTS = [301, 302, 307, 308]


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_redirect_on_the_same_host_is_followed(server: Server, status: int) -> None:
    headers = {"location": "/v1/chat/completions"}
    server.change(faults=(Fault("status", status=status, headers=headers, times=1),))
    complete(connect(server), request())
    first, second = server.tally.records
    assert first.json == second.json
    assert first.header("authorization") == second.header("authorization") == "Bearer sk-test"


@pytest.mark.parametrize(
    ("status", "location", "base"),
    [
        (307, "http://other.test/v1/chat/completions", "http://other.test/v1"),
        (308, "http://127.0.0.1:9/v1/chat/completions/", "http://127.0.0.1:9/v1"),
        (303, "/v2/chat/completions", "/v2"),
        (302, "/login", "/login"),
    ],
)
def test_another_redirect_is_named(server: Server, status: int, location: str, base: str) -> None:
    fault = Fault("status", status=status, headers={"location": location})
    server.change(faults=(fault,))
    with pytest.raises(AccessError) as caught:
        complete(connect(server), request())
    assert str(caught.value).endswith(f"redirects to {location}: give {base} as --base-url")
    assert server.tally.received == 1


def test_redirects_without_end_are_a_line(server: Server) -> None:
    fault = Fault("status", status=307, headers={"location": "/v1/chat/completions"})
    server.change(faults=(fault,))
    with pytest.raises(AccessError, match="redirects to"):
        complete(connect(server), request())
    assert server.tally.received == 5


def test_an_ordinary_limit_is_no_end(server: Server) -> None:
    words = "You exceeded your current quota, please check your plan and billing details."
    with pytest.raises(TransientError, match="HTTP 429: You exceeded"):
        raise failure(server, 429, said(words, status="RESOURCE_EXHAUSTED"))


@pytest.mark.parametrize(
    "words",
    ["invalid text: 'my api key is not valid'", "invalid text: 'the model x does not exist'"],
)
def test_words_of_a_document_do_not_end_a_run_in_which_rows_were_answered(
    server: Server, words: str
) -> None:
    server.change(faults=(refusing(422, said(words), contains="bad"),))
    with pytest.raises(RejectedError, match="HTTP 422: invalid text"):
        complete(connect(server), request("good"), request("bad"))


def test_what_is_counted_and_cannot_be_read_is_seldom_asked_again(server: Server) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    server.change(faults=(refusing(200, {"choices": [7], "usage": usage}, billed=True),))
    found = complete_all(connect(server), [request(text) for text in "abcdef"])
    assert {item.attempts for item in found.values()} == {3}
    assert {item.usage for item in found.values()} == {Usage(27, 9)}


# A 403 in the middle of a run


def many(server: Server, *names: str) -> dict[str, Answered]:
    """Ask about some texts, one after the other."""
    limits = Limits(max_concurrency=1)
    lane = open_lane(MODEL, base_url=server.base_url, api_key="sk-test", limits=limits)
    return complete_all(lane, [request(name) for name in names])


@pytest.mark.parametrize(
    "body",
    [
        said("Forbidden"),
        "<html><title>Attention Required! | Cloudflare</title></html>",
        said("Request blocked by rule 949110"),
        "",
    ],
)
def test_a_row_that_is_forbidden_fails_alone_while_others_are_let_in(
    server: Server, body: object
) -> None:
    server.change(faults=(refusing(403, body, contains="bad"),))
    names = [f"{'bad' if number % 5 else 'good'} {number}" for number in range(20)]
    for name, answered in many(server, *names).items():
        bad = name.startswith("bad")
        assert isinstance(answered.answer, RejectedError if bad else Response)
        assert answered.attempts == 1


def test_rows_that_are_all_forbidden_end_the_run_soon(server: Server) -> None:
    server.change(faults=(refusing(403, said("Forbidden"), after=3),))
    with pytest.raises(AccessError, match=r"refuses to answer \(HTTP 403: Forbidden"):
        many(server, *map(str, range(100)))
    assert server.tally.statuses == {200: 3, 403: MOST_DENIED}


@pytest.mark.parametrize(
    "body",
    [
        said("No.", code="unsupported_country_region_territory"),
        said("You have insufficient permissions for this operation. Missing scopes: model.request"),
        said("Your organization was suspended."),
        said("Your API key has expired"),
        said("You don't have the role that this needs", code="PermissionDenied"),
    ],
)
def test_what_is_forbidden_to_all_ends_the_run_at_once(server: Server, body: object) -> None:
    server.change(faults=(refusing(403, body, after=3),))
    with pytest.raises(AccessError):
        many(server, *map(str, range(100)))
    assert server.tally.statuses == {200: 3, 403: 1}


def test_a_403_before_any_answer_ends_the_run_at_once(server: Server) -> None:
    server.change(faults=(refusing(403, said("Forbidden")),))
    with pytest.raises(AccessError):
        many(server, *map(str, range(100)))
    assert server.tally.received == 1


# What is billed though it is refused


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (said("The input was flagged", code="content_filter"), RejectedError),
        (said("prompt is too long", code=400), RejectedError),
    ],
)
def test_a_refusal_that_says_what_it_billed_is_billed(
    server: Server, body: dict[str, object], kind: type[BackendError]
) -> None:
    counted = {"usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    server.change(faults=(refusing(200, {**body, **counted}, contains="bad"),))
    price = fixed_price(Decimal(3), Decimal(17))
    lane = open_lane(MODEL, base_url=server.base_url, api_key="sk-test", price=price)
    found = complete_all(lane, [request("good"), request("bad")])
    bad = found["bad"]
    assert isinstance(bad.answer, kind)
    assert (bad.usage, bad.cost_usd) == (Usage(7, 2), price.cost_usd(Usage(7, 2)))
    spent = [answered.cost_usd or 0 for answered in found.values()]
    assert lane.gate.budget.spent_usd == sum(spent)


# Parameters whose work can be done here


@pytest.mark.parametrize("stop", ["END", ["zzz", "END", "tail"]])
def test_stop_is_kept_to_if_the_server_does_not_take_it(server: Server, stop: object) -> None:
    words = "Unsupported parameter: 'stop' is not supported with this model."
    told = said(words, param="stop", code="unsupported_parameter")
    server.change(
        faults=(refusing(400, told, has="stop"),), answer=lambda body: "one two END tail zzz"
    )
    lane = connect(server)
    first, second = complete(lane, *(request(text, parameters={"stop": stop}) for text in "ab"))
    assert first.content == second.content == "one two "
    assert lane.server.notices == [f"{MODEL} does not take `stop`: answers are cut there"]
    assert server.tally.received == 3


def test_an_answer_that_was_cut_off_after_its_stop_is_whole(server: Server) -> None:
    server.change(
        faults=(refusing(400, said("'stop' is not supported"), has="stop"),),
        answer=lambda body: "one END two three four",
    )
    asked = request(parameters={"stop": ["END"]}, max_tokens=3)
    (answer,) = complete(connect(server), asked)
    assert (answer.content, answer.finish_reason) == ("one ", "stop")


# Web pages in place of answers


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("<!DOCTYPE html><html><title>Sign in</title><form></form></html>", "Sign in"),
        ("\ufeff\n<html><body>Sign in</body></html>", "Sign in"),
        ('{"status": "up", "version": 3}', '{"status": "up", "version": 3}'),
        ("[]", ""),
    ],
)
def test_what_never_answers_as_an_api_ends_the_run_soon(
    server: Server, reply: str, said: str
) -> None:
    server.change(faults=(refusing(200, reply),))
    with pytest.raises(AccessError) as caught:
        many(server, *map(str, range(100)))
    assert f"answers, but not as an API ('{said}'): check --base-url" in str(caught.value)
    assert server.tally.received == MOST_FOREIGN


def test_pages_among_answers_are_an_outage(server: Server) -> None:
    page = "<html><title>Back soon</title></html>"
    server.change(faults=(refusing(200, page, after=2, times=2 * MOST_FOREIGN),))
    found = many(server, *map(str, range(5)))
    assert all(isinstance(answered.answer, Response) for answered in found.values())
