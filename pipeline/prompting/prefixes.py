"""What the requests of a prompt begin with, whatever the document: a server can keep it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import orjson

from pipeline.prompting.templates import Template
from pipeline.types import Message, Prefix, Role

WORTH = 0.1  # of what comes before it: a shorter beginning of a message isn't cut off for it


def find_prefix(
    model: str,
    templates: Sequence[tuple[Role, Template]],
    schema: Mapping[str, object] | None,
    *,
    shown: Sequence[Message] = (),
    before: int = 0,
) -> Prefix | None:
    """Return what requests of these messages begin with, with examples `shown` before one of them;
    None if that is nothing. It ends in a message in which a server can be told its end.
    """
    messages: list[Message] = []
    for place, (role, template) in enumerate(templates):
        if place == before:
            messages += shown
        if template.start.strip() and (template.fixed or _is_worth_it(template.start, messages)):
            messages.append(Message(role, template.start))
        if not template.fixed:
            break
    while messages and messages[-1].role == "assistant":  # OpenAI takes no mark there
        messages.pop()
    return Prefix(tuple(messages), _key(model, messages, schema)) if messages else None


def _is_worth_it(start: str, messages: Sequence[Message]) -> bool:
    return len(start) > WORTH * sum(len(message.text) for message in messages)


def _key(model: str, messages: Sequence[Message], schema: Mapping[str, object] | None) -> str:
    text = "\0".join(f"{message.role}\0{message.text}" for message in messages)
    digest = hashlib.sha256(f"{model}\0{text}".encode("utf-8", "surrogatepass"))
    digest.update(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))
    return digest.hexdigest()[:32]
