"""Finds out that a server has read less of a prompt than was sent, and says nothing.

Ollama does so: it cuts a prompt to its context, and tells what is left as the prompt's tokens. Our
count is by another tokenizer than the server's, so that only what no tokenizer explains counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.types import Message, Request, Usage

ADVICE = (
    "; give the server a larger context (OLLAMA_CONTEXT_LENGTH or num_ctx for Ollama), "
    "or use --chunk-tokens N"
)
FAR = 4  # times as many tokens by our count: no tokenizer differs so much from another
LEAST_MISSING = 1_000
SHORT_CHARACTERS = 6  # a token: what has fewer isn't worth the counting
SURE_CHARACTERS = 1_000  # of a prompt tell how many characters a token has
WINDOW = 1_024  # tokens: contexts are multiples of it
_MOST_CHARACTERS = 8.0  # a token has, until it is known
_SHARE = 0.75  # of what was expected is too few if it is just as much as a window takes


class Truncation:
    """What a run has learned of how a server counts."""

    def __init__(self) -> None:
        self._characters: float | None = None  # the most that a token had
        self._before: Sequence[Message] = ()

    def problem(
        self, request: Request, usage: Usage | None, count: Callable[[], int]
    ) -> str | None:
        """Return what is wrong with a count; None if the prompt can have been read whole. Our own
        count costs time, and is seldom asked for.
        """
        told = usage.prompt_tokens + usage.cached_tokens if usage is not None else 0
        before, self._before = self._before, request.messages
        if not told or request.images:
            return None
        characters = sum([len(message.text) for message in request.messages])
        doubted = characters > SHORT_CHARACTERS * told or told % WINDOW == 0
        if doubted and self._is_cut(told, before, _text(request.messages), count):
            return f"the server read {told:,} of about {count():,} prompt tokens"
        if characters >= SURE_CHARACTERS and told % WINDOW:
            self._characters = max(characters / told, self._characters or 1.0)
        return None

    def _is_cut(
        self, told: int, before: Sequence[Message], text: str, count: Callable[[], int]
    ) -> bool:
        most = len(text.encode("utf-8", "replace"))  # a token has a byte at least
        if most <= FAR * told + LEAST_MISSING and told % WINDOW:
            return False
        # Some servers count no more than what differs from the request before.
        new = len(text) - _shared(_text(before), text)
        if count() * new / len(text) > FAR * told + LEAST_MISSING:
            return True
        expected = new / (self._characters or _MOST_CHARACTERS)
        return told % WINDOW == 0 and told < expected * _SHARE


def _text(messages: Sequence[Message]) -> str:
    return "".join(message.text for message in messages)


def _shared(one: str, other: str) -> int:
    """Return how many characters two texts begin with together."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low
