"""What a server has replied, as a Response: a chat completion, its usage, its log-probabilities.

Nothing of it is believed that can't be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from pipeline.backends.apis.base import Asked
from pipeline.errors import TransientError
from pipeline.showing import hide, shown
from pipeline.types import Levels, Response, Token, Usage

QUOTED_BYTES = 1_000  # of a reply that is none: more than a secret in its first words has
LONGEST_WORD = 100  # characters of a model's or a reason's name
UNBELIEVED = (
    "has told token counts that can't be right: those tokens and their cost stay empty, and "
    "--max-cost takes the most that they can have cost"
)
DOUBTED = (
    "counts far more tokens than were sent to it or asked of it; cost_usd and --max-cost go by its "
    "count"
)
# https://platform.openai.com/docs/api-reference/chat/object
_TIERS = {"auto", "default", "flex", "scale", "priority", "fast"}


ANYTHING = Asked(10**12, alternatives=0)


def read_response(
    content: bytes,
    levels: Levels | None = None,
    *,
    asked: Asked = ANYTHING,
    note: Callable[[str], None] = lambda text: None,
) -> Response:
    """Read a chat completion, and `note` what is strange about its usage. Raises TransientError
    where a good status brought no completion.
    """
    usage: Usage | None = None
    try:
        data = orjson.loads(content)
        usage = _usage(data.get("usage"), asked, note)
        choice = data["choices"][0]
        message = choice["message"]
        text, refusal = _called(message) or message.get("content"), message.get("refusal")
        if not isinstance(text, str | None) or not isinstance(refusal, str | None):
            raise TypeError("content is not text")
        return Response(
            content=hide(text) if text else text,
            finish_reason=_word(choice.get("finish_reason")),
            model=_word(data.get("model")) or "",
            usage=usage,
            refusal=hide(refusal) if refusal else refusal,
            service_tier=tier if (tier := _word(data.get("service_tier"))) in _TIERS else None,
            levels=levels,
            tokens=() if asked.alternatives is None else _tokens(choice.get("logprobs")),
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        start = content[:QUOTED_BYTES].decode("utf-8", "replace").replace("\n", " ")
        raise TransientError(
            f"HTTP 200, but not a chat completion: '{shown(start)[:60]}'",
            levels=levels,
            lost=usage is None,
            usage=usage,
        ) from error


def _called(message: Mapping[str, Any]) -> str | None:
    """Return the arguments of the function that an answer calls; None if it calls none."""
    calls = message.get("tool_calls") or ()
    function = calls[0]["function"] if calls else message.get("function_call")
    arguments = function["arguments"] if function else None
    if arguments is None or isinstance(arguments, str):
        return arguments
    return orjson.dumps(arguments).decode()


def _word(data: Any) -> str | None:
    return hide(data)[:LONGEST_WORD] if isinstance(data, str) else None


def _tokens(data: Any) -> tuple[Token, ...]:
    """Read the log-probabilities; none where they are missing or aren't what they should be."""
    try:
        return tuple(
            Token(
                text=_bytes(entry),
                logprob=float(entry["logprob"]),
                others={
                    _bytes(other): float(other["logprob"])
                    for other in entry.get("top_logprobs") or ()
                },
            )
            for entry in (data or {}).get("content") or ()
        )
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError):
        return ()


def _bytes(entry: Any) -> bytes:
    """Give what a token stands for; its text alone doesn't tell where it is a part of a character.
    Raises TypeError or ValueError where it is nothing.
    """
    text, raw = entry["token"], entry.get("bytes")
    if not isinstance(text, str) or not isinstance(raw, list | None):
        raise TypeError("a token is a text, or a list of its bytes")
    return text.encode() if raw is None else bytes(raw)


def _usage(data: Any, asked: Asked, note: Callable[[str], None]) -> Usage | None:
    """Read the usage; None where it is missing or can't be true."""
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
    """Read the counts; None where parts are more than the whole."""
    prompt = data.get("prompt_tokens_details") or {}
    completion = data.get("completion_tokens_details") or {}
    read = _count(prompt.get("cached_tokens") or 0)
    written = _count(prompt.get("cache_write_tokens") or 0)
    thought = _count(completion.get("reasoning_tokens") or 0)
    asked, answered = _count(data["prompt_tokens"]), _count(data["completion_tokens"])
    if thought and data.get("total_tokens") == asked + answered + thought:
        answered += thought  # some servers count thoughts apart, and bill them all the same
    if read + written > asked or thought > answered:
        return None
    return Usage(asked, answered, read, written, thought)


def _count(value: Any) -> int:
    """Read a number of tokens; 7.0 is 7. Raises ValueError where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError("not a count")
    count = int(value)
    if count != value:
        raise ValueError("not a whole number")
    return count
