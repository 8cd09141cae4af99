"""What the headers of a reply say of the server's limits, by whichever names.

`x-ratelimit-remaining-requests` (OpenAI and many others), `x-ratelimit-remaining-req-minute`
(Mistral), `x-ratelimit-remaining-tokens-day` (Cerebras), `anthropic-ratelimit-tokens-remaining`,
`x-ratelimit-remaining` (gateways), `ratelimit: "default";r=50;t=30` (IETF's draft). What can't be
is left out. Of several limits of a kind the one that has the least left counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple

from pipeline.backends.servers.headers import LONGEST_TEXT, duration_seconds
from pipeline.types import Level, Levels

LONGEST_RESET_SECONDS = 31 * 86_400.0  # what is longer is a moment, not a time
SKEW_SECONDS = 1.0  # by which a moment may have passed
MOST_AMOUNT = 1e12  # requests or tokens
FIRST_MOMENT = 1e9  # seconds since 1970: a number from here on is a moment; in milliseconds from
FIRST_MILLISECONDS = 1e12
_KINDS = ("limit", "remaining", "reset")
_SHORT = {"q": "limit", "r": "remaining", "t": "reset", **dict(zip(_KINDS, _KINDS, strict=True))}
_PART = re.compile(r"(\w+)\s*=\s*([\d.]+)")
_NUMBER = re.compile(r"\s*([-+\w.]+)\s*(?:[,;]|$)")


class _Name(NamedTuple):
    """What a header tells: of which limit (`tokens day`), and of that the limit, or another."""

    limit: str
    tokens: bool
    kind: str


def read_levels(headers: Mapping[str, str]) -> Levels | None:
    """Read what a reply says of the limits."""
    found: dict[tuple[bool, str], dict[str, str]] = {}
    for header, text in headers.items():
        name = _name(header)
        if name is not None:
            told = found.setdefault((name.tokens, name.limit), {})
            told.update(_parts(text) if name.kind == "all" else {name.kind: text})
    if not found:
        return None
    now = _now(headers)
    levels: dict[bool, Level] = {}
    for (tokens, _), told in found.items():
        level = _level(told, now)
        if level is not None and (
            tokens not in levels or level.remaining < levels[tokens].remaining
        ):
            levels[tokens] = level
    return Levels(levels.get(False), levels.get(True)) if levels else None


@lru_cache(256)
def _name(header: str) -> _Name | None:
    """Read the name of a header."""
    words = header.lower().split("-")
    if "ratelimit" not in words:
        return None
    words = [word for word in words if word not in ("x", "anthropic", "ratelimit")]
    kinds = [word for word in words if word in _KINDS]
    rest = [word for word in words if word not in _KINDS]
    if not kinds and rest in ([], ["policy"]):
        return _Name("", tokens=False, kind="all")
    if len(kinds) != 1:
        return None
    return _Name(" ".join(rest), tokens=any("token" in word for word in rest), kind=kinds[0])


def _parts(text: str) -> dict[str, str]:
    """Read `limit=100, remaining=50, reset=30`, or `"default";r=50;t=30`."""
    parts = _PART.findall(text[:LONGEST_TEXT])
    return {_SHORT[name]: value for name, value in parts if name in _SHORT}


def _level(told: Mapping[str, str], now: datetime | None) -> Level | None:
    """Read a limit. One of nothing is none: the reply that tells it was let through."""
    limit = _number(told.get("limit", ""), MOST_AMOUNT)
    remaining = _number(told.get("remaining", ""), MOST_AMOUNT, -MOST_AMOUNT)
    if limit is None or remaining is None or limit < 1:
        return None
    return Level(limit, max(remaining, 0.0), _reset(told.get("reset", ""), now))


def _reset(text: str, now: datetime | None) -> float | None:
    """Read in how many seconds a limit is whole, told as a time or a moment."""
    text = text[:LONGEST_TEXT]
    number = _number(text, FIRST_MILLISECONDS * 100)
    if number is None:
        seconds = duration_seconds(text)
        if seconds is None:
            return _until(_moment(text), now)
        number = seconds
    if number < FIRST_MOMENT:
        return number if number <= LONGEST_RESET_SECONDS else None
    milliseconds = number >= FIRST_MILLISECONDS
    moment = datetime.fromtimestamp(number / 1000 if milliseconds else number, UTC)
    return _until(moment, now)


def _moment(text: str) -> datetime | None:
    """Read a moment as ISO 8601 or as HTTP writes it."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except (ValueError, TypeError, OverflowError):
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _until(moment: datetime | None, now: datetime | None) -> float | None:
    """Return how far off a moment is by the server's clock, if it may be that of a limit."""
    if moment is None:
        return None
    seconds = (moment - (now or datetime.now(UTC))) / timedelta(seconds=1)
    return max(seconds, 0.0) if -SKEW_SECONDS <= seconds <= LONGEST_RESET_SECONDS else None


def _now(headers: Mapping[str, str]) -> datetime | None:
    """Return what time it is by the server's clock."""
    return _moment(headers.get("date", ""))


def _number(text: str, most: float, least: float = 0.0) -> float | None:
    """Read a number, the first of several; None if it isn't one, or less or more than it can be."""
    part = _NUMBER.match(text[:LONGEST_TEXT])
    try:
        number = float(part.group(1)) if part else None
    except ValueError:
        return None
    return number if number is not None and least <= number <= most else None
