"""Reads the bytes of a reply as JSON, as far as servers keep to it.

Some begin with a byte-order mark, write NaN or half of a surrogate pair, go on after the end, or
stream though nobody asked them to: the pieces of a stream are put together to a completion.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

Data = dict[str, Any]  # what a reply has is only known once it has been looked at

ENDED = "the stream ended before the answer did"
_DONE = "[DONE]"
_STREAM = re.compile(r"\s*(?:data|event|id|retry)?:")
_FIELD = re.compile(r"(data|event|id|retry)?: ?(.*)", re.S)
_LINES = re.compile(r"\r\n|\r|\n")
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|(?P<half>u[dD][89a-fA-F]..)|.)",
    re.S,
)
_USAGE = re.compile(r'"usage"\s*:\s*(?=\{)')
_DECODER = json.JSONDecoder()


def load(content: bytes) -> Any:
    """Return what a reply says. Raise ValueError if it can't be read."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    text = decode(content)
    try:
        if _STREAM.match(text):
            return _streamed(text)
        first, *others = _values(text)
    except RecursionError as error:
        raise ValueError("lists in lists without end") from error
    return merge([first, *others]) if _is_piece(first) else first


def decode(content: bytes) -> str:
    """Return a reply's text; half of a surrogate pair becomes U+FFFD. Raise ValueError for bytes
    that are no text.
    """
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = content.decode("utf-16" if wide else "utf-8-sig")
    return _ESCAPE.sub(lambda match: r"\ufffd" if match["half"] else match[0], text)


def find_usage(content: bytes) -> Any:
    """Return the usage of a reply that can't be read as a whole; None if there is none."""
    text = content.decode("utf-8", "replace")
    for found in _USAGE.finditer(text):
        try:
            return _DECODER.raw_decode(text, found.end())[0]
        except (ValueError, RecursionError):
            continue
    return None


def _values(text: str) -> Iterator[Any]:
    """Yield the first JSON value, and those that follow; what else follows is left out."""
    at = len(text) - len(text.lstrip())
    value, at = _DECODER.raw_decode(text, at)
    if not isinstance(value, dict | list) and text[at:].strip():
        raise ValueError("words that begin with a number")
    yield value
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        try:
            value, at = _DECODER.raw_decode(text, at)
        except ValueError:
            return
        yield value


def _streamed(text: str) -> Any:
    """Return the completion that an event stream brings, or the JSON behind some comments."""
    events = list(_events(text))
    if not events:
        rest = "\n".join(line for line in _LINES.split(text) if not line.startswith(":"))
        return next(_values(rest))
    pieces = [json.loads(event) for event in events if event != _DONE]
    return merge(pieces, done=_DONE in events)


def _events(text: str) -> Iterator[str]:
    """Yield the data of each event."""
    lines: list[str] = []
    for line in [*_LINES.split(text), ""]:
        field = _FIELD.match(line)
        if field and field[1] == "data":
            lines.append(field[2])
        elif not line and lines:
            yield "\n".join(lines).strip()
            lines = []


def _is_piece(data: Any) -> bool:
    choices = data.get("choices") if isinstance(data, dict) else None
    return bool(choices) and isinstance(choices, list) and "delta" in choices[0]


def merge(pieces: list[Any], *, done: bool = False) -> Data:
    """Put the pieces of a streamed completion together."""
    whole: Data = {}
    choice: Data = {"message": {}}
    for piece in pieces:
        if not isinstance(piece, dict):
            continue
        whole |= {name: value for name, value in piece.items() if value is not None}
        for part in piece.get("choices") or ():
            if not part.get("index"):
                _add_choice(choice, part)
    if "error" not in whole and not done and choice.get("finish_reason") is None:
        choice.setdefault("error", {"message": ENDED})
    return {**whole, "choices": [choice] if pieces else []}


def _add_choice(choice: Data, part: Data) -> None:
    message: Data = choice["message"]
    for name, value in (part.get("delta") or part.get("message") or {}).items():
        if name == "tool_calls":
            _add_calls(message.setdefault(name, []), value or ())
        elif name == "function_call":
            message[name] = _joined(message.get(name), value)
        elif name == "content" and isinstance(value, list):
            message[name] = [*(message.get(name) or ()), *value]
        elif isinstance(value, str) and name != "role":
            message[name] = (message.get(name) or "") + value
    for name in ("finish_reason", "error", "usage"):
        if part.get(name) is not None:
            choice[name] = part[name]
    tokens = (part.get("logprobs") or {}).get("content") or []
    choice.setdefault("logprobs", {"content": []})["content"] += tokens


def _add_calls(calls: list[Data], parts: Any) -> None:
    for part in parts:
        at = part.get("index", 0)
        while len(calls) <= at < 100:  # nobody asks for two
            calls.append({"function": {}})
        calls[at]["function"] = _joined(calls[at]["function"], part.get("function"))


def _joined(function: Data | None, part: Data | None) -> Data:
    """Add a piece of a function's call to what has come of it."""
    joined = dict(function or {})
    for name, value in (part or {}).items():
        joined[name] = joined[name] + value if isinstance(joined.get(name), str) else value
    return joined
