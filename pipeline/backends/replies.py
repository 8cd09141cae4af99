"""What a server has replied, as a Response: a chat completion, its usage, its log-probabilities."""

from __future__ import annotations

from typing import Any

import orjson

from pipeline.backends.formats import called
from pipeline.errors import TransientError
from pipeline.types import Levels, Response, Token, Usage

MOST_TOKENS = 10**12  # a count of more is none


def read_response(content: bytes, levels: Levels | None = None) -> Response:
    """Read a chat completion. Raises TransientError where a good status brought no completion."""
    usage: Usage | None = None
    try:
        data = orjson.loads(content)
        usage = _usage(data.get("usage"))
        choice = data["choices"][0]
        message = choice["message"]
        text, refusal = called(message) or message.get("content"), message.get("refusal")
        if not isinstance(text, str | None) or not isinstance(refusal, str | None):
            raise TypeError("content is not text")
        return Response(
            content=text,
            finish_reason=_word(choice.get("finish_reason")),
            model=_word(data.get("model")) or "",
            usage=usage,
            refusal=refusal,
            service_tier=_word(data.get("service_tier")),
            levels=levels,
            tokens=_tokens(choice.get("logprobs")),
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        start = content[:60].decode("utf-8", "replace").replace("\n", " ")
        raise TransientError(
            f"HTTP 200, but not a chat completion: {start!r}",
            levels=levels,
            lost=usage is None,
            usage=usage,
        ) from error


def _word(data: Any) -> str | None:
    return data if isinstance(data, str) else None


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


def _usage(data: Any) -> Usage | None:
    """Read the usage; None where it is missing or isn't made of counts."""
    try:
        prompt = data.get("prompt_tokens_details") or {}
        completion = data.get("completion_tokens_details") or {}
        counts = (
            data["prompt_tokens"],
            data["completion_tokens"],
            prompt.get("cached_tokens") or 0,
            prompt.get("cache_write_tokens") or 0,
            completion.get("reasoning_tokens") or 0,
        )
    except (LookupError, AttributeError, TypeError):
        return None
    if not all(isinstance(count, int) and 0 <= count <= MOST_TOKENS for count in counts):
        return None
    return Usage(*counts)
