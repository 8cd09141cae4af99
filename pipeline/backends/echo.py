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
from pipeline.schema import Schema
from pipeline.types import Request, Response, Usage


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


def _instance(schema: Schema, root: Schema, said: str) -> object:
    """Make the least that fits a schema; of an enum, the value that the text names, if any."""
    if "$ref" in schema:
        return _instance(_resolve(root, schema["$ref"]), root, said)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return _instance(schema[several][0], root, said)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        values: list[object] = schema["enum"]
        return next((value for value in values if str(value) in said), values[0])
    kind = schema.get("type", "string")
    return _of_kind(kind[0] if isinstance(kind, list) else kind, schema, root, said)


def _of_kind(kind: str, schema: Schema, root: Schema, said: str) -> object:
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: _instance(part, root, said) for name, part in parts.items()}
    if kind == "array":
        return [_instance(schema.get("items", {}), root, said)] * schema.get("minItems", 0)
    if kind == "string":
        return said[: schema.get("maxLength")]
    least = schema.get("minimum", 0)
    plain: dict[str, object] = {"integer": least, "number": least, "boolean": False, "null": None}
    return plain[kind]


def _resolve(root: Schema, reference: str) -> Schema:
    found = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        found = found[step] if step else found
    return found
