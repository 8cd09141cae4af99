"""How long a server asks to wait. What can't be is left out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT_SECONDS = 100 * 365 * 86_400.0  # no longer one is told apart
LONGEST_TEXT = 100  # characters that are looked at
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s|d)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|h|m|s|d)\s*)+")
_DELAY = re.compile(r'"retry_?delay"\s*:\s*"(\d+(?:\.\d+)?s)"', re.IGNORECASE)
_WORDS = re.compile(
    r"(?:try again|retry|wait)[^\d\n.]{0,30}"
    r"((?:\d+(?:\.\d+)? ?(?:ms|milliseconds?|d|days?|h|hours?|m|minutes?|s|seconds?)\b,? ?"
    r"|\d+(?:\.\d+)?[hm](?=\d))+)",
    re.IGNORECASE,
)
_WORD = re.compile(r"(\d+(?:\.\d+)?) ?(ms|milli|[dhms])", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how long the server asks to wait, in seconds."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = _wait_seconds(headers.get(name, "")[:LONGEST_TEXT])
        if seconds is not None and math.isfinite(seconds):
            return min(max(seconds * unit, 0.0), LONGEST_WAIT_SECONDS)
    return None


def wait_in_words(text: str) -> float | None:
    """Read how long a refusal's body asks to wait: as google.rpc.RetryInfo, or in words."""
    if (delay := _DELAY.search(text)) is not None:
        return duration_seconds(delay.group(1))
    if (words := _WORDS.search(text)) is None:
        return None
    parts = _WORD.findall(words.group(1)[:LONGEST_TEXT])
    units = {"milli": 0.001, **_SECONDS}
    return min(sum(float(n) * units[unit.lower()] for n, unit in parts), LONGEST_WAIT_SECONDS)


def _wait_seconds(text: str) -> float | None:
    """Read a number, a time with its unit, or how far off a date is (RFC 9110, section 10.2.3)."""
    try:
        return float(text)
    except ValueError:
        pass
    if (seconds := duration_seconds(text)) is not None:
        return seconds
    try:
        when = parsedate_to_datetime(text)
        return (when - datetime.now(when.tzinfo)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None


def duration_seconds(text: str) -> float | None:
    """Read a time as OpenAI writes it, such as 6m0s, 8.64s or 120ms."""
    text = text[:LONGEST_TEXT].strip()
    if not _WHOLE.fullmatch(text):
        return None
    return sum(float(amount) * _SECONDS[unit] for amount, unit in _PART.findall(text))
