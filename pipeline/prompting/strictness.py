"""A JSON Schema as servers take it: strict, or with null for what may be left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

Schema = Mapping[str, Any]  # a JSON Schema: JSON has no narrower type

# Keywords that hold schemas, by how they hold them. `allOf` isn't among them: closing each of its
# parts would leave nothing that fits them all.
_NAMED = ("properties", "$defs", "definitions")
_LISTED = ("anyOf", "oneOf", "prefixItems")

# What strict mode refuses: keywords that a model has no use for, those that bound an answer, and
# all formats but these.
_UNUSED = (
    *("default", "examples", "deprecated", "readOnly", "writeOnly", "discriminator", "$comment"),
    *("uniqueItems", "contentEncoding", "contentMediaType"),
)
_TOLD = ("minLength", "maxLength", "minProperties", "maxProperties", "format")
_FORMATS = (
    *("date", "time", "date-time", "duration"),
    *("email", "hostname", "ipv4", "ipv6", "uuid"),
)


def change_parts(schema: Schema, change: Callable[[Schema, str], Any]) -> dict[str, Any]:
    """Copy a schema with those directly inside it changed, each told with the name it has there,
    if any.
    """
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            result[key] = {name: _changed(part, change, name) for name, part in value.items()}
        elif key in _LISTED and isinstance(value, Sequence):
            result[key] = [_changed(part, change) for part in value]
        else:
            result[key] = _changed(value, change) if key == "items" else value
    return result


def _changed(part: Any, change: Callable[[Schema, str], Any], name: str = "") -> Any:
    return change(part, name) if isinstance(part, Mapping) else part


def strict(schema: Schema) -> dict[str, Any]:
    """Make a schema acceptable as a strict response format.

    Strict mode wants every object closed and every property required; one that the schema left
    optional may be null instead. It has `anyOf` and no `oneOf`, nothing beside a `$ref`, and not
    all keywords: those that bound an answer are told in words, for it is checked all the same
    (https://platform.openai.com/docs/guides/structured-outputs#supported-schemas).
    """
    result = lenient(schema, strict)
    if "oneOf" in result and "anyOf" not in result:
        result["anyOf"] = result.pop("oneOf")
    if "$ref" in result and len(result) > 1 and "anyOf" not in result:
        result["anyOf"] = [{"$ref": result.pop("$ref")}]
    for keyword in _UNUSED:
        result.pop(keyword, None)
    told = [word for word in _TOLD if word in result and result[word] not in _FORMATS]
    if told:
        bounds = ", ".join(f"{word}: {result.pop(word)}" for word in told)
        result["description"] = f"{result.get('description', '')} ({bounds})".strip()
    if result.get("properties"):
        result["required"] = list(result["properties"])
        result["additionalProperties"] = False
    return result


def lenient(
    schema: Schema, inner: Callable[[Schema], dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Let what the schema leaves optional be null besides. A schema that names nothing as required
    requires all of its properties.
    """
    change = inner or lenient
    result = change_parts(schema, lambda part, _: change(part))
    properties = result.get("properties")
    if properties:
        required = schema.get("required", list(properties))
        result["properties"] = {
            name: part if name in required else _nullable(part) for name, part in properties.items()
        }
        result["required"] = list(required)
    return result


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "null" and "enum" not in schema and "const" not in schema:
        return {**schema, "type": [kind, "null"]}
    return schema if _takes_null(schema) else {"anyOf": [schema, {"type": "null"}]}


def _takes_null(schema: Schema) -> bool:
    kind = schema.get("type")
    if "enum" in schema:
        return None in schema["enum"]
    return (
        kind == "null"
        or (isinstance(kind, list) and "null" in kind)
        or any(part == {"type": "null"} for part in schema.get("anyOf", ()))
    )


def strictly(schema: Schema) -> dict[str, Any]:
    """Return `strict` of a schema, made once for all requests that share it."""
    return _once(strict, Shared(schema))


def leniently(schema: Schema) -> dict[str, Any]:
    """Return `lenient` of a schema, made once for all requests that share it."""
    return _once(lenient, Shared(schema))


class Shared:
    """A schema by its identity: a dict has no hash, and all requests of a prompt share one."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shared) and other.schema is self.schema


@lru_cache(maxsize=8)
def _once(change: Callable[[Schema], dict[str, Any]], shared: Shared) -> dict[str, Any]:
    return change(shared.schema)
