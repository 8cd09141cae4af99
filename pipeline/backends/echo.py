"""Answers each request with its own last message: at once, offline and free.

Made for trying a prompt or a folder, for tests and for measuring the program by itself; public, so
that others' tests can use it too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.backends.base import Backend
from pipeline.costs import FREE, Counter
from pipeline.limits.gate import Gate
from pipeline.types import Request, Response, Usage


class Echo(Backend):
    """A deterministic backend. An answer that must fit a schema is the least that fits."""

    server = "echo"

    def __init__(self, *, gate: Gate, counter: Counter) -> None:
        super().__init__(gate=gate, counter=counter, price=FREE)

    def body(self, request: Request) -> Mapping[str, object]:
        return {
            "model": request.model,
            "messages": [
                {"role": message.role, "content": message.content} for message in request.messages
            ],
        }

    async def complete(self, request: Request, timeout_seconds: float) -> Response:
        said = request.messages[-1].content
        schema = (request.response_format or {}).get("json_schema")
        if isinstance(schema, dict):
            said = json.dumps(_instance(schema["schema"], said), ensure_ascii=False)
        return Response(
            content=said,
            finish_reason="stop",
            model="echo",
            usage=Usage(
                prompt_tokens=self.counter.count_messages(request.messages),
                completion_tokens=self.counter.count(said),
            ),
        )


def _instance(schema: Mapping[str, Any], said: str) -> object:
    """Make an instance of a schema: of an enum, the value that the text names, else the first."""
    if "enum" in schema:
        values: list[object] = schema["enum"]
        return next((value for value in values if str(value) in said), values[0])
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: _instance(part, said) for name, part in parts.items()}
    plain: dict[object, object] = {"array": [], "integer": 0, "number": 0, "boolean": False}
    return plain.get(kind, said if kind == "string" else None)
