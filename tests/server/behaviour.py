"""What the server does with a request: its answers, its limits, its faults. Data only.

Nothing here acts, and all of it but the functions can be sent to a server process as JSON.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

import orjson

Body = dict[str, object]
In = TypeVar("In")
Rule = int | Callable[[In], int]

Kind = Literal[
    # An error, by its code.
    "bad_request",
    "context_length_exceeded",
    "content_policy_violation",
    "unsupported_parameter",
    "invalid_api_key",
    "forbidden",
    "model_not_found",
    "request_timeout",
    "conflict",
    "unprocessable",
    "rate_limit_exceeded",
    "insufficient_quota",
    "billing_hard_limit_reached",
    "internal_error",
    "bad_gateway",
    "unavailable",
    "overloaded",
    "status",
    # A reply with status 200 that isn't a completion, or only half of one.
    "empty_body",
    "empty_object",
    "error_object",
    "null",
    "list",
    "html",
    "not_json",
    "invalid_utf8",
    "choices_null",
    "choices_empty",
    "usage_missing",
    "usage_null",
    "usage_mistyped",
    # A completion without the usual answer.
    "refusal",
    "content_filter",
    "content_empty",
    "content_null",
    # The connection.
    "truncated",
    "closed",
    "reset",
    "reset_unread",
    "hang",
    "drip",
    "flood",
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Requests and tokens per window, as token buckets; None is no limit.

    A bucket holds `burst_*` (a window's worth if not given) and fills by `*_per_window` each
    `window_seconds`. Tokens are charged at arrival: the prompt and what `max_tokens` allows. The
    `limit` header names the bucket's size or the rate of a minute; the headers tell the levels
    of when the request arrived or of when its reply leaves. `by_clock` lets a whole window's worth
    in at each turn of the clock, and nothing between. `says` is what the headers tell: the truth as
    OpenAI does, the moment in Unix seconds, always a minute, or levels that never move.
    """

    requests_per_window: float | None = None
    tokens_per_window: float | None = None
    window_seconds: float = 60.0
    burst_requests: float | None = None
    burst_tokens: float | None = None
    full: bool = True
    headers: bool = True
    headers_of: Literal["arrival", "reply"] = "arrival"
    header_limit: Literal["bucket", "minute"] = "bucket"
    by_clock: bool = False
    says: Literal["truth", "moment", "minute", "stuck"] = "truth"
    retry_after: bool = True
    retry_after_ms: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Latency:
    """A log-normal latency, drawn by the request, so that it is the same in every run."""

    median_seconds: float
    sigma: float = 0.0
    per_token_seconds: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, and when: every condition that is given must hold.

    `at` and `after` go by the request's number (the first is 1), `after_answers` by the answers
    given so far, `probability` by a draw from the request and its attempt (the same in every
    run), `contains` by the text of its messages, `has` by a key of its body. `seconds` is how long
    a hang or a drip takes, or an error waits. `billed` and `payload` (the body) overrule the
    kind's own. A flood is its payload again and again, until the client has enough; with
    `seconds`, one in that time.
    """

    kind: Kind
    _: dataclasses.KW_ONLY
    probability: float = 1.0
    at: tuple[int, ...] = ()
    after: int = 0
    after_answers: int | None = None
    contains: str | None = None
    has: str | None = None
    where: Callable[[Body], bool] | None = None
    times: int | None = None
    times_per_request: int | None = None
    seconds: float = 0.0
    billed: bool | None = None
    status: int | None = None
    code: str | None = None
    param: str | None = None
    message: str | None = None
    payload: bytes | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


# How a server under strain fails a request that it answers the next time.
BAD_REPLIES = (
    Fault("internal_error"),
    Fault("bad_gateway"),
    Fault("unavailable"),
    Fault("overloaded"),
    Fault("request_timeout"),
    Fault("truncated"),
    Fault("not_json"),
)


def mixture(probability: float, *faults: Fault) -> tuple[Fault, ...]:
    """Let the faults share a probability equally: one of them strikes that share of the replies."""
    share = probability / len(faults)
    return tuple(
        dataclasses.replace(fault, probability=share / (1 - share * position))
        for position, fault in enumerate(faults)
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Everything that can be set; the defaults answer at once, rightly and without end.

    Rules are a number or a function: of the answer for `completion_tokens` (the number of its
    words if None) and `reasoning_tokens` (which come on top), of the body for the others. The
    first fault that applies strikes. An answer has `allows_tokens` where the body says no number.
    Above `max_concurrent` requests wait in line, or are refused with `overflow_status`. `record` is
    how many of the last requests the tally keeps whole. Of the formats `json_schema`, `tools` and
    `json_object` it refuses some with status 400, naming them or not (`vague`), and ignores some:
    it answers as if they had not been asked for. `logprobs` makes the log-probabilities of an
    answer, for those who ask for them. A model that reasons takes these `efforts`, "none" among
    them or not: it refuses others, and with any but none whatever steers its sampling, and thinks
    only then. With `writes_cache` a long prompt is written to the cache, or with `explicit` what of
    it is marked, and read from there by others.
    """

    latency_seconds: float | Latency | Callable[[Body], float] = 0.0
    max_concurrent: int | None = None
    overflow_status: int | None = None
    answer: Callable[[Body], str] | None = None
    prompt_tokens: Rule[Body] | None = None
    cached_tokens: Rule[Body] = 0
    completion_tokens: Rule[str] | None = None
    reasoning_tokens: Rule[str] = 0
    context_tokens: int | None = None
    allows_tokens: int | None = None
    model_suffix: str = ""
    models: tuple[str, ...] = ("gpt-6-luna", "gpt-6.1-terra")
    known_models_only: bool = False
    require_key: str | None = None
    limits: Limits = Limits()
    refuses: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()
    vague: bool = False
    logprobs: Callable[[str], list[Body]] | None = None
    efforts: tuple[str, ...] = ()
    writes_cache: bool = False
    faults: tuple[Fault, ...] = ()
    bill_abandoned: bool = True
    seed: int = 0
    record: int = 1000


def dump(behaviour: Behaviour) -> bytes:
    """Write a behaviour as JSON; functions can't leave their process."""
    try:
        return orjson.dumps(behaviour)
    except TypeError as error:
        raise TypeError("a server process takes no functions in its behaviour") from error


def load(data: bytes) -> Behaviour:
    """Read a behaviour from JSON; what isn't there has its default."""
    fields = orjson.loads(data)
    if "limits" in fields:
        fields["limits"] = Limits(**fields["limits"])
    if isinstance(fields.get("latency_seconds"), dict):
        fields["latency_seconds"] = Latency(**fields["latency_seconds"])
    for name in ("models", "refuses", "ignores", "efforts"):
        if name in fields:
            fields[name] = tuple(fields[name])
    fields["faults"] = tuple(_fault(fault) for fault in fields.get("faults", ()))
    return Behaviour(**fields)


def _fault(fields: dict[str, object]) -> Fault:
    at = fields.get("at")
    return Fault(**{**fields, "at": tuple(at) if isinstance(at, list) else ()})  # type: ignore[arg-type]
