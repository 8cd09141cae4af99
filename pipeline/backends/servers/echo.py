"""Answers each request with its own last message: at once, offline and free.

Made for trying a prompt or a folder, for tests and for measuring the program by itself; public, so
that others' tests can use it too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline.backends.apis.messages import messages, names
from pipeline.backends.base import Server
from pipeline.costs import FREE, Counter
from pipeline.errors import RejectedError
from pipeline.prompting.references import Schema, resolve
from pipeline.prompting.strictness import leniently
from pipeline.types import Request, Response, Usage

DEEPEST = 8
LOOKED_THROUGH = 10_000
MOST_CHARACTERS = 10**7
_FORMATS = {"date": "2000-01-01", "date-time": "2000-01-01T00:00:00Z", "email": "a@example.org"}


class Echo(Server):
    """A deterministic backend. An answer that must fit a schema is the least that fits."""

    name = "echo"
    sees = False

    def __init__(self, *, counter: Counter) -> None:
        super().__init__(counter=counter, price=FREE)

    def body(self, request: Request) -> Mapping[str, object]:
        return {
            "model": request.model,
            "messages": messages(request, names(request)),
        }

    async def complete(self, request: Request, timeout_seconds: float) -> Response:
        said = request.messages[-1].text
        if request.schema is not None:
            said = json.dumps(_Least(leniently(request.schema), said).answer(), ensure_ascii=False)
        return Response(
            content=said,
            finish_reason="stop",
            model="echo",
            usage=Usage(
                prompt_tokens=self.counter.count_messages(request.messages),
                completion_tokens=self.counter.count(said),
            ),
        )


class _Least:
    """The least that fits a schema; of an enum, the value that the text names, if any."""

    def __init__(self, root: Schema, said: str) -> None:
        self._root = root
        self._said = said
        self._left = MOST_CHARACTERS

    def answer(self) -> object:
        """Raise RejectedError where the least is endless, or too much."""
        try:
            return self._make(self._root, 0)
        except RecursionError as error:
            raise RejectedError("no answer fits this schema: it is endless") from error

    def _make(self, schema: Schema, depth: int) -> object:
        value = self._value(schema, depth)
        self._left -= len(value) if isinstance(value, str) else 1
        if self._left < 0:
            raise RejectedError("the least that fits this schema is too long for an echo")
        return value

    def _value(self, schema: Schema, depth: int) -> object:
        if "$ref" in schema:
            return self._make(resolve(self._root, schema["$ref"]), depth)
        for several in ("anyOf", "oneOf", "allOf"):
            if schema.get(several):
                # A schema that leads back into itself ends where it may be null.
                return self._make(schema[several][-1 if depth > DEEPEST else 0], depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            values: list[object] = schema["enum"]
            start = self._said[:LOOKED_THROUGH]
            return next((value for value in values if str(value) in start), values[0])
        kind = schema.get("type", "string")
        return self._of_kind(kind[0] if isinstance(kind, list) else kind, schema, depth)

    def _of_kind(self, kind: str, schema: Schema, depth: int) -> object:
        if kind == "object":
            parts = schema.get("properties", {})
            return {name: self._make(part, depth + 1) for name, part in parts.items()}
        if kind == "array":
            item = schema.get("items", {})
            return [self._make(item, depth + 1) for _ in range(int(schema.get("minItems", 0)))]
        if kind == "string":
            most = int(schema.get("maxLength", len(self._said)))
            return _FORMATS.get(schema.get("format", ""), self._said[:most])
        least = schema.get("minimum", 0)
        plain = {"integer": least, "number": least, "boolean": False}
        return plain.get(kind)
