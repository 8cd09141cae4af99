"""Answers each request with its own last message: at once, offline and free.

Made for trying a prompt or a folder, for tests and for measuring the program by itself; public, so
that others' tests can use it too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline.backends.base import Backend
from pipeline.backends.messages import messages, names
from pipeline.costs import FREE, Counter
from pipeline.limits.gate import Gate
from pipeline.prompting.schema import Schema, resolve
from pipeline.types import Request, Response, Usage

DEEPEST = 8
_FORMATS = {"date": "2000-01-01", "date-time": "2000-01-01T00:00:00Z", "email": "a@example.org"}


class Echo(Backend):
    """A deterministic backend. An answer that must fit a schema is the least that fits."""

    server = "echo"
    sees = False

    def __init__(self, *, gate: Gate, counter: Counter) -> None:
        super().__init__(gate=gate, counter=counter, price=FREE)

    def body(self, request: Request) -> Mapping[str, object]:
        return {
            "model": request.model,
            "messages": messages(request, names(request)),
        }

    async def complete(self, request: Request, timeout_seconds: float) -> Response:
        said = request.messages[-1].text
        schema = (request.response_format or {}).get("json_schema")
        if isinstance(schema, dict):
            said = json.dumps(
                _instance(schema["schema"], schema["schema"], said), ensure_ascii=False
            )
        return Response(
            content=said,
            finish_reason="stop",
            model="echo",
            usage=Usage(
                prompt_tokens=self.counter.count_messages(request.messages),
                completion_tokens=self.counter.count(said),
            ),
        )


def _instance(schema: Schema, root: Schema, said: str, depth: int = 0) -> object:
    """Make the least that fits a schema; of an enum, the value that the text names, if any."""
    if "$ref" in schema:
        return _instance(resolve(root, schema["$ref"]), root, said, depth)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            # A schema that leads back into itself ends where it may be null.
            part = schema[several][-1 if depth > DEEPEST else 0]
            return _instance(part, root, said, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        values: list[object] = schema["enum"]
        return next((value for value in values if str(value) in said), values[0])
    kind = schema.get("type", "string")
    return _of_kind(kind[0] if isinstance(kind, list) else kind, schema, root, said, depth)


def _of_kind(kind: str, schema: Schema, root: Schema, said: str, depth: int) -> object:
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: _instance(part, root, said, depth + 1) for name, part in parts.items()}
    if kind == "array":
        item = _instance(schema["items"], root, said, depth + 1) if schema.get("minItems") else None
        return [item] * schema.get("minItems", 0)
    if kind == "string":
        return _FORMATS.get(schema.get("format", ""), said[: schema.get("maxLength")])
    least = schema.get("minimum", 0)
    plain: dict[str, object] = {"integer": least, "number": least, "boolean": False, "null": None}
    return plain[kind]
