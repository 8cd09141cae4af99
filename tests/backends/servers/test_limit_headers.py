"""What headers say of limits, and what in them can't be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.backends.servers.headers import (
    LONGEST_WAIT_SECONDS,
    duration_seconds,
    retry_after,
    wait_in_words,
)
from pipeline.backends.servers.levels import LONGEST_RESET_SECONDS, MOST_AMOUNT, read_levels
from pipeline.types import Level, Levels


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "2s"}, 2.0),
        ({"retry-after": "500ms"}, 0.5),
        ({"retry-after": "1m30s"}, 90.0),
        ({"retry-after": "-1e300"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e300"}, LONGEST_WAIT_SECONDS),
        ({"retry-after-ms": "1e308"}, LONGEST_WAIT_SECONDS),
        ({"retry-after": "9" * 5000}, LONGEST_WAIT_SECONDS),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, LONGEST_WAIT_SECONDS),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, LONGEST_WAIT_SECONDS),
        ({"retry-after": "Fri, 31 Dec 99999 23:59:59 GMT"}, None),
        ({"retry-after": "Fri, 31 Dec 2030 23:59:59 +9999999999"}, None),
    ],
)
def test_how_long_to_wait_is_read_in_seconds(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers) == seconds


def test_how_long_to_wait_may_be_a_date() -> None:
    """https://www.rfc-editor.org/rfc/rfc9110#field.retry-after"""
    seconds = retry_after({"retry-after": "Fri, 31 Dec 2100 23:59:59 GMT"})
    assert seconds is not None
    assert 3600 < seconds < LONGEST_WAIT_SECONDS


def limits(limit: str, remaining: str, reset: str) -> dict[str, str]:
    return {
        "x-ratelimit-limit-requests": limit,
        "x-ratelimit-remaining-requests": remaining,
        "x-ratelimit-reset-requests": reset,
    }


@pytest.mark.parametrize(
    ("headers", "level"),
    [
        (limits("60", "59", "1s"), Level(60, 59, 1)),
        (limits("60", "59", "6m0s"), Level(60, 59, 360)),
        (limits("60", "-5", "1s"), Level(60, 0, 1)),
        (limits("60", "59", "soon"), Level(60, 59)),
        (limits("60", "59", "-1"), Level(60, 59)),
        (limits("60", "59", "nan"), Level(60, 59)),
        (limits("60", "59", "1e300"), Level(60, 59)),
        (limits("60", "59", "99999d"), Level(60, 59)),
        (limits("60", "59", "1000000000"), Level(60, 59)),  # long ago
        (limits("0", "0", "1s"), None),
        (limits("-1", "-1", ""), None),
        (limits("0.001", "0", "1s"), None),
        (limits("nan", "0", "1s"), None),
        (limits("inf", "0", "1s"), None),
        (limits("60", "inf", "1s"), None),
        (limits("1e300", "0", "1s"), None),
        (limits("60", "1e300", "1s"), None),
        (limits("many", "0", "1s"), None),
    ],
)
def test_a_limit_that_cannot_be_is_none(headers: dict[str, str], level: Level | None) -> None:
    assert read_levels(headers) == (None if level is None else Levels(level))


NOON = "Wed, 25 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1795608030", 30.0),
        ("1795608030.5", 30.5),
        ("1795608030000", 30.0),
        ("2026-11-25T12:00:30Z", 30.0),
        ("2026-11-25T13:00:30+01:00", 30.0),
        ("2026-11-25T12:00:30.250Z", 30.25),
        ("2026-11-25 12:00:30", 30.0),
        ("Wed, 25 Nov 2026 12:00:30 GMT", 30.0),
        ("30", 30.0),
        ("7m12.5s", 432.5),
        ("2030-11-25T12:00:30Z", None),  # no limit's window
        ("2020-11-25T12:00:30Z", None),
        ("25/11/2026", None),
    ],
)
def test_a_limit_may_be_whole_at_a_moment_of_the_servers_clock(
    reset: str, seconds: float | None
) -> None:
    assert read_levels({**limits("60", "59", reset), "date": NOON}) == Levels(
        Level(60, 59, seconds)
    )


@pytest.mark.parametrize(
    ("headers", "levels"),
    [
        (
            "X-RateLimit-Limit: 60, X-RateLimit-Remaining: 9, X-RateLimit-Reset: 30",
            Levels(Level(60, 9, 30)),
        ),
        (
            "RateLimit-Limit: 60;w=60, RateLimit-Remaining: 9, RateLimit-Reset: 30",
            Levels(Level(60, 9, 30)),
        ),
        (
            'RateLimit: "default";r=9;t=30, RateLimit-Policy: "default";q=60;w=60',
            Levels(Level(60, 9, 30)),
        ),
        ("RateLimit: limit=60 remaining=9 reset=30", Levels(Level(60, 9, 30))),
        (
            "x-ratelimit-limit-req-minute: 60, x-ratelimit-remaining-req-minute: 9",
            Levels(Level(60, 9)),
        ),
        (
            "x-ratelimit-limit-tokens-minute: 60, x-ratelimit-remaining-tokens-minute: 9, "
            "x-ratelimit-limit-tokens-day: 600, x-ratelimit-remaining-tokens-day: 4",
            Levels(None, Level(600, 4)),
        ),
        (
            "anthropic-ratelimit-requests-limit: 60, anthropic-ratelimit-requests-remaining: 9, "
            "anthropic-ratelimit-requests-reset: 2026-11-25T12:00:30Z, "
            "anthropic-ratelimit-input-tokens-limit: 500, "
            "anthropic-ratelimit-input-tokens-remaining: 400, "
            "anthropic-ratelimit-output-tokens-limit: 500, "
            "anthropic-ratelimit-output-tokens-remaining: 300",
            Levels(Level(60, 9, 30), Level(500, 300)),
        ),
        ("x-ratelimit-remaining-requests: 9", None),
        ("x-ratelimit-limit-requests: 60", None),
        ("x-ratelimit: yes", None),
    ],
)
def test_limits_are_read_by_whichever_names(headers: str, levels: Levels | None) -> None:
    pairs = [header.split(": ") for header in headers.split(", ")]
    assert read_levels({"date": NOON, **dict(pairs)}) == levels


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please try again in 7m12.5s.", 432.5),
        ("try again in 20ms", 0.02),
        ("retry after 5 seconds", 5.0),
        ("Please wait 1 minute and try again.", 60.0),
        ("Retry in 250 milliseconds", 0.25),
        ('{"retryDelay": "34s"}', 34.0),
        ("Too many requests: limit 60, used 61", None),
        ("gpt-4o is busy", None),
    ],
)
def test_how_long_to_wait_may_stand_in_the_body(text: str, seconds: float | None) -> None:
    assert wait_in_words(text) == seconds


numbers = st.one_of(
    st.floats().map(str), st.integers().map(str), st.text(), st.text("0123456789.hmsd")
)


@settings(max_examples=300, deadline=None)
@given(numbers, numbers, numbers)
def test_no_header_is_read_as_a_number_that_cannot_be(one: str, two: str, three: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        wait = retry_after({name: one})
        assert wait is None or 0 <= wait <= LONGEST_WAIT_SECONDS
    length = duration_seconds(one)
    assert length is None or length >= 0
    seen = read_levels(limits(one, two, three))
    if seen is not None and seen.requests is not None:
        assert 1 <= seen.requests.limit <= MOST_AMOUNT
        assert 0 <= seen.requests.remaining <= MOST_AMOUNT
        assert 0 <= (seen.requests.reset_seconds or 0) <= LONGEST_RESET_SECONDS
