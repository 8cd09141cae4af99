"""What a server has replied, as a Response: a chat completion, its usage, its log-probabilities.

Nothing of it is believed that can't be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.backends.servers.formats import called
from pipeline.errors import TransientError
from pipeline.types import Levels, Response, Token, Usage

LONGEST_TOKENS = 2**17  # no model answers with more
# What a server may count and nobody sees: templates, tools, web pages, thoughts.
HIDDEN_TOKENS = 200_000
ALTERNATIVE_BYTES = 256  # that a token takes in log-probabilities
TOKEN_BYTES = 64  # and in an answer: escaped, and told twice where a model thinks aloud
FRAME_BYTES = 2**20  # of a reply besides its answer
MOST_BYTES = 32 * 2**20  # of any reply
LONGEST_WORD = 100  # characters of a model's or a reason's name
FAR_TOKENS = 1_000  # more than can be explained are worth a word
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, as far as a reply can be judged by it.

    `prompt_tokens` are the most that it can have, `alternatives` how many log-probabilities are
    told besides that of each token; None for none at all.
    """

    prompt_tokens: int
    max_tokens: int | None = None
    alternatives: int | None = None

    @property
    def most_bytes(self) -> int:
        """Say how long a reply can be, with all that is told of its answer."""
        each = TOKEN_BYTES
        if self.alternatives is not None:
            each += (1 + self.alternatives) * ALTERNATIVE_BYTES
        return min(FRAME_BYTES + each * (self.max_tokens or LONGEST_TOKENS), MOST_BYTES)

    def believes(self, usage: Usage) -> bool:
        """Say whether a usage is possible."""
        return usage.prompt_tokens <= self.prompt_tokens + HIDDEN_TOKENS and (
            usage.completion_tokens <= (self.max_tokens or LONGEST_TOKENS) + HIDDEN_TOKENS
        )

    def doubts(self, usage: Usage) -> bool:
        """Say whether a usage is far more than what was asked for explains."""
        return usage.prompt_tokens > self.prompt_tokens + FAR_TOKENS or (
            self.max_tokens is not None and usage.completion_tokens > self.max_tokens + FAR_TOKENS
        )


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
        text, refusal = called(message) or message.get("content"), message.get("refusal")
        if not isinstance(text, str | None) or not isinstance(refusal, str | None):
            raise TypeError("content is not text")
        return Response(
            content=text,
            finish_reason=_word(choice.get("finish_reason")),
            model=_word(data.get("model")) or "",
            usage=usage,
            refusal=refusal,
            service_tier=tier if (tier := _word(data.get("service_tier"))) in _TIERS else None,
            levels=levels,
            tokens=() if asked.alternatives is None else _tokens(choice.get("logprobs")),
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
    return data[:LONGEST_WORD] if isinstance(data, str) else None


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
