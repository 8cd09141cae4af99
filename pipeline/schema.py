"""JSON Schema: the response format that is asked for, and the parse of what came back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import RejectedError, UsageError
from pipeline.types import Column, Kind

Schema = Mapping[str, Any]  # a JSON Schema: JSON has no narrower type

_KINDS: dict[object, Kind] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
}


def check(schema: Schema) -> None:
    """Raise UsageError unless this is a JSON Schema of an object with properties."""
    import jsonschema_rs

    try:
        jsonschema_rs.meta.validate(dict(schema))
    except jsonschema_rs.ValidationError as error:
        where = "/".join(str(part) for part in error.instance_path) or "top level"
        raise UsageError(f"outputs: not a JSON Schema: {error.message} (at {where})") from error
    if schema.get("type") != "object" or not schema.get("properties"):
        raise UsageError("outputs: the schema must be `type: object` with `properties`")


def strict(schema: Schema) -> dict[str, Any]:
    """Make a schema acceptable as a strict response format.

    Strict mode wants every object closed and every property required; one that the schema left
    optional may be null instead
    (https://platform.openai.com/docs/guides/structured-outputs#supported-schemas).
    """
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions") and isinstance(value, Mapping):
            result[key] = {name: strict(part) for name, part in value.items()}
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, Sequence):
            result[key] = [strict(part) for part in value]
        elif key == "items" and isinstance(value, Mapping):
            result[key] = strict(value)
        else:
            result[key] = value
    properties = result.get("properties")
    if properties:
        required = schema.get("required", properties if "required" not in schema else ())
        result["properties"] = {
            name: part if name in required else _nullable(part) for name, part in properties.items()
        }
        result["required"] = list(properties)
        result["additionalProperties"] = False
    return result


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "null" and "enum" not in schema:
        return {**schema, "type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def response_format(name: str, schema: Schema) -> dict[str, Any]:
    """Ask for answers that fit the schema, in the API's words."""
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "strict": True, "schema": strict(schema)},
    }


def columns(schema: Schema) -> list[Column]:
    """Give a column for each top-level property."""
    return [Column(name, _kind(part)) for name, part in schema["properties"].items()]


def _kind(schema: Schema) -> Kind:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((part for part in kind if part != "null"), None)
    if kind in ("object", "array"):
        return "json"
    if kind is None and "enum" in schema:
        return "text" if all(isinstance(value, str) for value in schema["enum"]) else "any"
    return _KINDS.get(kind, "any")


def parse(content: str) -> dict[str, object]:
    """Read an answer; RejectedError unless it is a JSON object."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        start = content[:60].replace("\n", " ")
        raise RejectedError(f"the answer is not JSON ({error}): {start!r}") from error
    if not isinstance(value, dict):
        raise RejectedError(f"the answer is a JSON {type(value).__name__}, not an object")
    return value
