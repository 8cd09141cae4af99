"""Chat completions (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from pipeline.backends.apis.base import Manner, Rung
from pipeline.backends.apis.messages import messages
from pipeline.backends.apis.replies import read_response
from pipeline.prompting.strictness import strictly
from pipeline.types import Request

INSTRUCTION = (
    "\n\nAnswer with one JSON object that fits this JSON Schema, and with nothing else:\n{schema}"
)


class Chat:
    """The API that all servers speak."""

    name = "chat"
    path = "/chat/completions"

    def body(self, request: Request, urls: Sequence[str], manner: Manner) -> dict[str, object]:
        """Return the body of a request, with these addresses for its images."""
        prefix = request.prefix if manner.marks else None
        body: dict[str, object] = {
            "model": request.model,
            "messages": messages(request, urls, prefix),
            **manner.taken(request.parameters),
        }
        if prefix is not None and "prompt_cache_key" not in manner.refused:
            body.setdefault("prompt_cache_key", prefix.key)
        if request.max_tokens is not None:
            body[manner.bound] = request.max_tokens
        if request.schema is not None:
            _ask_for(body, request, strictly(request.schema), manner.rung)
        return body

    read = staticmethod(read_response)


def _ask_for(body: dict[str, Any], request: Request, schema: dict[str, Any], rung: Rung) -> None:
    """Ask for an answer of a schema in this way."""
    name = request.schema_name
    if rung == "json_schema":
        wanted = {"name": name, "strict": True, "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
    elif rung == "tools":
        function = {"name": name, "description": "Give the answer.", "parameters": schema}
        body["tools"] = [{"type": "function", "function": function}]
        body["tool_choice"] = {"type": "function", "function": {"name": name}}
    else:
        if rung == "json_object":
            body["response_format"] = {"type": "json_object"}
        text = INSTRUCTION.format(schema=orjson.dumps(schema).decode())
        body["messages"] = _with_instruction(body["messages"], text)


def _with_instruction(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Add a text to the last message: any model reads that, and not all read a system message."""
    *before, last = messages
    content = last["content"]
    if isinstance(content, str):
        return [*before, {**last, "content": content + text}]
    return [*before, {**last, "content": [*content, {"type": "text", "text": text.strip()}]}]
