"""Reads what a server counted. Nothing is believed that can't be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.backends.apis.base import Asked
from pipeline.types import Usage

UNBELIEVED = (
    "has told token counts that can't be right: those tokens and their cost stay empty, and "
    "--max-cost takes the most that they can have cost"
)
DOUBTED = (
    "counts far more tokens than were sent to it or asked of it; cost_usd and --max-cost go by its "
    "count"
)
LONGEST_NUMBER = 30  # characters


def read_usage(data: Any, asked: Asked, note: Callable[[str], None]) -> Usage | None:
    """Read a usage; None if it is missing or can't be true, which is noted."""
    if data is None:
        return None
    try:
        usage = _counted(data)
    except (LookupError, AttributeError, TypeError, ValueError, OverflowError):
        usage = None
    if usage is None or not asked.believes(usage):
        note(UNBELIEVED)
        return None
    if asked.doubts(usage):
        note(DOUBTED)
    return usage


def _counted(data: Any) -> Usage | None:
    """Read the counts; None if parts are more than the whole."""
    prompt = data.get("prompt_tokens_details") or data.get("input_tokens_details") or {}
    completion = data.get("completion_tokens_details") or data.get("output_tokens_details") or {}
    read = _count(prompt.get("cached_tokens") or 0)
    written = _count(prompt.get("cache_write_tokens") or 0)
    thought = _count(completion.get("reasoning_tokens") or 0)
    asked = _count(_first(data, "prompt_tokens", "input_tokens"))
    told, total = _first(data, "completion_tokens", "output_tokens"), _total(data)
    answered = 0 if told is None and total is not None else _count(told)
    apart = (total or 0) - asked - answered
    if apart > 0 and read and apart == read + written:
        asked += apart  # some servers count what they have cached apart
    elif apart > 0 and apart == (thought or apart):
        answered, thought = answered + apart, apart  # or thoughts, and bill them all the same
    if read + written > asked or thought > answered:
        return None
    return Usage(asked, answered, read, written, thought)


def _first(data: Any, name: str, other: str) -> Any:
    found = data.get(name)
    return data.get(other) if found is None else found


def _total(data: Any) -> int | None:
    try:
        return _count(data.get("total_tokens"))
    except ValueError:
        return None


def _count(value: Any) -> int:
    """Read a number of tokens; 7.0 and "7" are 7. Raises ValueError if it is none."""
    if type(value) is int and 0 <= value < 2**63:
        return value
    if isinstance(value, str):
        value = float(value[:LONGEST_NUMBER])
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
        raise ValueError("not a count")
    number = int(value)
    if number != value:
        raise ValueError("not a whole number")
    return number
