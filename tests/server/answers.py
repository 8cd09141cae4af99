"""Completions: what is answered to a body, and what it costs. Pure functions, and no faults."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar, cast

import orjson

from .behaviour import Behaviour, Body, Rule
from .caching import Found
from .tally import Bill

In = TypeVar("In")
_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion as it will be sent, with its bill."""

    body: Body
    bill: Bill


def answer_to(message: str) -> str:
    """Give the default answer to a last message: a checksum and its first words."""
    words = message.split(None, 4)[:4]
    return f"{zlib.crc32(message.encode()):08x} {' '.join(words)}".rstrip()


def messages(body: Body) -> Iterator[str]:
    """Yield the text of each message; parts that aren't text have none."""
    listed = body.get("messages")
    for message in listed if isinstance(listed, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            yield "".join(str(part.get("text", "")) for part in content)
        else:
            yield content if isinstance(content, str) else ""


def last_message(body: Body) -> str:
    return next(reversed([*messages(body)]), "")


def prompt_tokens(body: Body, rule: Rule[Body] | None) -> int:
    """Count by the rule, or the words of each message and three more."""
    if rule is not None:
        return _by(rule, body)
    return sum(len(text.split()) + 3 for text in messages(body))


def max_tokens(body: Body) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if isinstance(value, int):
            return value
    return None


def complete(
    body: Body, behaviour: Behaviour, *, number: int, prompt: int, found: Found
) -> Completion:
    """Answer a body: the text, cut off where its tokens end, and the usage."""
    text = _text(body, behaviour)
    rule = behaviour.completion_tokens
    visible = len(text.split()) if rule is None else _by(rule, text)
    quiet = behaviour.efforts and body.get("reasoning_effort") == "none"
    reasoning = 0 if quiet else _by(behaviour.reasoning_tokens, text)
    allowed = max_tokens(body) or behaviour.allows_tokens
    reason = "stop"
    if allowed is not None and visible + reasoning > allowed:
        reason = "length"
        reasoning = min(reasoning, allowed)
        text = text[: len(text) * (allowed - reasoning) // visible] if visible else text
        visible = allowed - reasoning
    cached = min(prompt, found.cached_tokens or _by(behaviour.cached_tokens, body))
    written = min(prompt - cached, found.written_tokens)
    bill = Bill(1, prompt, visible + reasoning, cached, reasoning, written, int(written > 0))
    return Completion(_wrap(body, behaviour, number, text, reason, bill), bill)


def format_of(body: Body) -> str:
    """Name the format that is asked for: `json_schema`, `tools`, `json_object`, or none, `text`."""
    if body.get("tools"):
        return "tools"
    wanted = body.get("response_format")
    return str(wanted.get("type")) if isinstance(wanted, dict) else "text"


def _wrap(
    body: Body, behaviour: Behaviour, number: int, text: str, reason: str, bill: Bill
) -> Body:
    message: Body = {"role": "assistant", "content": text, "refusal": None}
    if format_of(body) == "tools" and "tools" not in behaviour.ignores:
        function = {"name": _function(body)["name"], "arguments": text}
        call = {"id": f"call_{number}", "type": "function", "function": function}
        message |= {"content": None, "tool_calls": [call]}
    logprobs = None
    if body.get("logprobs") and behaviour.logprobs is not None:
        logprobs = {"content": behaviour.logprobs(text)}
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": reason}
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": f"{body.get('model')}{behaviour.model_suffix}",
        "choices": [choice],
        "usage": {
            "prompt_tokens": bill.prompt_tokens,
            "completion_tokens": bill.completion_tokens,
            "total_tokens": bill.total_tokens,
            "prompt_tokens_details": {
                "cached_tokens": bill.cached_tokens,
                "cache_write_tokens": bill.cache_write_tokens,
            },
            "completion_tokens_details": {"reasoning_tokens": bill.reasoning_tokens},
        },
        "service_tier": "default",
    }


def _function(body: Body) -> Body:
    (tool,) = cast(list[Body], body["tools"])
    return cast(Body, tool["function"])


def _text(body: Body, behaviour: Behaviour) -> str:
    if behaviour.answer is not None:
        return behaviour.answer(body)
    message, kind = last_message(body), format_of(body)
    if kind == "text" or kind in behaviour.ignores:
        return answer_to(message)
    if kind == "json_object":
        return orjson.dumps({"answer": answer_to(message)}).decode()
    if kind == "tools":
        schema = cast(Body, _function(body)["parameters"])
    else:
        schema = cast(
            Body, cast(Body, cast(Body, body["response_format"])["json_schema"])["schema"]
        )
    return orjson.dumps(instance(schema, message)).decode()


def instance(schema: Body, message: str = "") -> object:
    """Make a valid instance of a schema: the choices in it by the message, the rest fixed."""
    return _instance(schema, schema, message, 0)


def _instance(schema: Body, root: Body, message: str, depth: int) -> object:
    schema = _resolve(schema, root, depth)
    if "const" in schema:
        return schema["const"]
    options = schema.get("enum")
    if isinstance(options, list):
        return options[zlib.crc32(message.encode()) % len(options)]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        properties = schema.get("properties")
        items = properties.items() if isinstance(properties, dict) else ()
        return {name: _instance(part, root, message, depth + 1) for name, part in items}
    if kind == "array":
        count = max(0 if depth > _DEEPEST else 1, _int(schema, "minItems"))
        return [_instance(_part(schema, "items"), root, message, depth + 1) for _ in range(count)]
    return _scalar(schema, str(kind), message)


def _resolve(schema: Body, root: Body, depth: int) -> Body:
    """Follow references, and the first of several alternatives; deep down the last, often null."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        found: object = root
        for step in reference.removeprefix("#").strip("/").split("/"):
            found = found[step] if step and isinstance(found, dict) else found
        return _resolve(found, root, depth) if isinstance(found, dict) else {}
    for name in ("anyOf", "oneOf", "allOf"):
        choices = schema.get(name)
        if isinstance(choices, list):
            return _resolve(choices[-1 if depth > _DEEPEST else 0], root, depth)
    return schema


def _scalar(schema: Body, kind: str, message: str) -> object:
    draw = zlib.crc32(message.encode())
    if kind in ("integer", "number"):
        low = _int(schema, "minimum")
        high = _int(schema, "maximum", low + 100)
        return low + draw % (high - low + 1)
    if kind == "boolean":
        return draw % 2 == 0
    if kind == "null":
        return None
    if schema.get("format") in ("date", "date-time"):
        day = (date(2026, 1, 1) + timedelta(days=draw % 365)).isoformat()
        return day if schema["format"] == "date" else f"{day}T00:00:00Z"
    return answer_to(message)[: _int(schema, "maxLength", 10_000)]


def _part(schema: Body, name: str) -> Body:
    part = schema.get(name)
    return part if isinstance(part, dict) else {}


def _int(schema: Body, name: str, default: int = 0) -> int:
    value = schema.get(name)
    return int(value) if isinstance(value, (int, float)) else default


def _by(rule: Rule[In], value: In) -> int:
    return rule(value) if callable(rule) else rule
