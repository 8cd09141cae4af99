"""Answers for the examples of the documentation: whatever schema is asked for, one that fits."""

from __future__ import annotations

import json
from typing import Any

from tests.server.behaviour import Body

_VALUES: dict[str, Any] = {"number": 1.5, "integer": 1, "boolean": True, "null": None}


def fitting(body: Body) -> str:
    """Answer with the least that fits the schema of a request, or in words without one."""
    wanted: Any = body.get("response_format")
    if not wanted:
        return "In words."
    return json.dumps(_value(wanted["json_schema"]["schema"], wanted["json_schema"]["schema"]))


def _value(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _value(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return _value(schema["anyOf"][0], root)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: _value(part, root) for name, part in schema["properties"].items()}
    if kind == "array":
        return [_value(schema["items"], root)]
    return _VALUES.get(str(kind), "2026-01-02" if schema.get("format") == "date" else "a text")
