"""What a server has replied, as a Response: a chat completion, its usage, its log-probabilities.

Nothing of it is believed that can't be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from pipeline.backends.apis.base import Asked
from pipeline.backends.apis.complaints import ErrorReplyError, complaint
from pipeline.backends.apis.ends import End, end_of
from pipeline.backends.apis.usages import read_usage
from pipeline.backends.apis.wire import find_usage, load
from pipeline.errors import TransientError, UnreadableError
from pipeline.showing import hide, shown
from pipeline.types import Levels, Response, Token, Usage

QUOTED_BYTES = 1_000  # of a reply that is none: more than a secret in its first words has
LONGEST_WORD = 100  # characters of a model's or a reason's name
THOUGHTS_ONLY = "the answer has thoughts only"
# https://platform.openai.com/docs/api-reference/chat/object
_THOUGHTS = {"thinking", "reasoning", "thought", "redacted_thinking"}  # parts of a content
_TIERS = {"auto", "default", "flex", "scale", "priority", "fast"}


ANYTHING = Asked(10**12, alternatives=0)


def read_response(
    content: bytes,
    levels: Levels | None = None,
    *,
    asked: Asked = ANYTHING,
    note: Callable[[str], None] = lambda text: None,
) -> Response:
    """Read a chat completion, and `note` what is strange about its usage. Raises ErrorReplyError
    for an error, TransientError if a good status brought neither.
    """
    usage: Usage | None = None
    try:
        data = _loaded(content)
        if isinstance(data, list) and len(data) == 1:
            (data,) = data  # Gemini sends errors so
        told = data.get("usage")
        usage = read_usage(_usage_inside(data) if told is None else told, asked, note)
        if data.get("error") or (not data.get("choices") and _is_error(data)):
            raise ErrorReplyError(complaint(data), levels=levels, usage=usage)
        choice = data["choices"][0]
        text, refusal = _said(choice)
        return Response(
            content=hide(text) if text else text,
            finish_reason=_reason(choice),
            model=_word(data.get("model")) or "",
            usage=usage,
            refusal=hide(refusal) if refusal else refusal,
            problem=_problem(choice) if choice.get("error") or not text else None,
            service_tier=tier if (tier := _word(data.get("service_tier"))) in _TIERS else None,
            levels=levels,
            tokens=() if asked.alternatives is None else _tokens(choice.get("logprobs")),
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        start = content[:QUOTED_BYTES].decode("utf-8", "replace").replace("\n", " ")
        if usage is None:
            usage = read_usage(find_usage(content), asked, note)
        kind = TransientError if usage is None else UnreadableError
        raise kind(
            f"HTTP 200, but not a chat completion: '{shown(start)[:60]}'",
            levels=levels,
            lost=usage is None,
            usage=usage,
        ) from error


def _loaded(content: bytes) -> Any:
    """Load a reply. One that isn't UTF-8 is of use only if its answer was cut off: in a character,
    as some servers do.
    """
    try:
        return load(content)
    except UnicodeDecodeError:
        data = load(content.decode("utf-8", "replace").encode())
        if end_of(_reason(data["choices"][0])) is not End.CUT:
            raise
        return data


def _usage_inside(data: Any) -> Any:
    """Find the usage where some servers tell it in a stream."""
    places = (*(data.get("choices") or ())[:1], data.get("x_groq"))
    told = (place.get("usage") for place in places if isinstance(place, dict))
    return next((usage for usage in told if usage is not None), None)


def _is_error(data: Any) -> bool:
    """Return True if a reply without choices is an error, whatever its status."""
    names = ("errors", "detail", "message", "Message", "msg", "code", "fault")
    return any(data.get(name) for name in names)


def _said(choice: Any) -> tuple[str | None, str | None]:
    """Return the answer and the refusal of a choice. One without a message has neither."""
    if "message" not in choice:
        if "text" not in choice and choice.get("finish_reason") is None:
            raise LookupError("neither a message nor a reason")
        return choice.get("text"), None  # Gemini: thoughts have used the allowance up
    message = choice["message"] or {}
    calls, function = message.get("tool_calls"), message.get("function_call")
    text = _called(calls[0]["function"] if calls else function) if calls or function else None
    refusal = message.get("refusal")
    if text is None:
        text = message.get("content")
        if isinstance(text, list | dict):
            text, refused = _in_parts(text)
            refusal = refusal or refused
    if not isinstance(text, str | None) or not isinstance(refusal, str | None):
        raise TypeError("content is not text")
    return text, refusal


def _in_parts(content: Any) -> tuple[str, str | None]:
    """Return the text and the refusal of a content that comes in parts."""
    texts: list[str] = []
    refusals: list[str] = []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            texts.append(part)
        elif part.get("type") == "refusal":
            refusals.append(part["refusal"])
        elif part.get("type", "text") in ("text", "output_text"):
            text = part["text"]
            texts.append(text["value"] if isinstance(text, dict) else text)
        elif part.get("type") not in _THOUGHTS:
            raise TypeError("a part is no text")
    return "".join(texts), "".join(refusals) or None


def _reason(choice: Any) -> str | None:
    """Return why an answer ended. What isn't a word is no good end either."""
    reason = choice.get("finish_reason")
    if reason is None:
        reason = choice.get("finishReason")
    return reason if reason is None else _word(reason if isinstance(reason, str) else str(reason))


def _problem(choice: Any) -> str | None:
    """Return what went wrong: what a choice says, or that thoughts told apart from its answer, of
    which there is none, have used the allowance up.
    """
    if error := choice.get("error"):
        return complaint(error).text or "no reason given"
    message = choice.get("message") or {}
    thought = any(message.get(name) for name in ("reasoning_content", "reasoning", "thinking"))
    return THOUGHTS_ONLY if thought and end_of(_reason(choice)) is End.CUT else None


def _called(function: Mapping[str, Any] | None) -> str | None:
    """Return the arguments of the function that an answer calls; None if there are none."""
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
    """Return what a token stands for: its text doesn't tell if it is a part of a character.
    Raises TypeError or ValueError where it is nothing.
    """
    text, raw = entry["token"], entry.get("bytes")
    if not isinstance(text, str) or not isinstance(raw, list | None):
        raise TypeError("a token is a text, or a list of its bytes")
    return text.encode() if raw is None else bytes(raw)
