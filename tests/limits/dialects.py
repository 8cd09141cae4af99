"""What servers say of their limits: headers of every kind, true, odd, stuck or wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

from tests.limits.grants import Grant
from tests.server.buckets import duration

Headers = Mapping[str, str]
Dialect = Callable[[Grant, float], Headers]  # of a limit and the time


def told(limit: object, remaining: object, reset: object, names: str = "requests") -> Headers:
    return {
        f"x-ratelimit-limit-{names}": str(limit),
        f"x-ratelimit-remaining-{names}": str(remaining),
        f"x-ratelimit-reset-{names}": str(reset),
    }


def silent(grant: Grant, now: float) -> Headers:
    return {}


def until_whole(grant: Grant, now: float) -> Headers:
    """As OpenAI's: the time until the limit is whole again."""
    left = math.floor(max(grant.left(now), 0.0) + 1e-9)
    return told(round(grant.size), left, duration(grant.whole(now)))


def until_next(grant: Grant, now: float) -> Headers:
    """The time until one more is let in."""
    left = math.floor(max(grant.left(now), 0.0) + 1e-9)
    return told(round(grant.size), left, duration(grant.opens(now)))


def always_a_minute(grant: Grant, now: float) -> Headers:
    left = math.floor(max(grant.left(now), 0.0) + 1e-9)
    return told(round(grant.size), left, "60s")


def moment_seconds(grant: Grant, now: float) -> Headers:
    left = math.floor(max(grant.left(now), 0.0) + 1e-9)
    at = datetime.now(UTC).timestamp() + grant.whole(now)
    return told(round(grant.size), left, math.ceil(at))


def moment_milliseconds(grant: Grant, now: float) -> Headers:
    left = math.floor(max(grant.left(now), 0.0) + 1e-9)
    at = datetime.now(UTC).timestamp() + grant.whole(now)
    return told(round(grant.size), left, math.ceil(at * 1000))


def no_reset(grant: Grant, now: float) -> Headers:
    left = math.floor(max(grant.left(now), 0.0) + 1e-9)
    return {key: value for key, value in told(round(grant.size), left, "").items() if value}


def stuck(grant: Grant, now: float) -> Headers:
    """`remaining` never moves."""
    return told(round(grant.size), round(grant.size) - 1, "1s")


def always_nothing(grant: Grant, now: float) -> Headers:
    """`remaining` is always 0."""
    return told(round(grant.size), 0, "60s")


def ten_times_less(grant: Grant, now: float) -> Headers:
    """Tell the limit of another plan, which nobody keeps."""
    return told(max(round(grant.rate * 6), 1), 0, "1s")


def ten_times_more(grant: Grant, now: float) -> Headers:
    return told(round(grant.rate * 600), round(grant.rate * 599), "1s")


def zero(grant: Grant, now: float) -> Headers:
    return told(0, 0, "0s")


def not_a_number(grant: Grant, now: float) -> Headers:
    return told("NaN", "-1", "soon")


def plain(grant: Grant, now: float) -> Headers:
    """As many gateways: no word of requests or tokens, `reset` in whole seconds."""
    left = math.floor(max(grant.left(now), 0.0) + 1e-9)
    return {
        "x-ratelimit-limit": str(round(grant.size)),
        "x-ratelimit-remaining": str(left),
        "x-ratelimit-reset": str(math.ceil(grant.whole(now))),
    }


Asks = Callable[[Grant, float], Headers]  # the headers that say when to come again


def whole_seconds(grant: Grant, now: float) -> Headers:
    return {"retry-after": str(max(1, math.ceil(grant.opens(now) - 1e-9)))}


def one_second(grant: Grant, now: float) -> Headers:
    return {"retry-after": "1"}


def fraction(grant: Grant, now: float) -> Headers:
    return {"retry-after": f"{grant.opens(now) + 0.001:.3f}"}


def milliseconds(grant: Grant, now: float) -> Headers:
    return {"retry-after-ms": str(math.ceil(grant.opens(now) * 1000) + 1)}


def with_unit(grant: Grant, now: float) -> Headers:
    return {"retry-after": f"{math.ceil(grant.opens(now) * 1000) + 1}ms"}


def date(grant: Grant, now: float) -> Headers:
    at = datetime.now(UTC).timestamp() + grant.opens(now) + 1
    return {"retry-after": format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)}
