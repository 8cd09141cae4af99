"""Fields in a line, such as `vendor, date: date, total: number, kind: invoice|receipt`: a schema.

A field is a name, and after a colon its type: text, number, integer, boolean, date, a choice of
values with `|` between them, or a list of any of these, with `[]` after it. What stands in
parentheses tells the model what the field is. Every field may be null: a document needn't say it.
"""

from __future__ import annotations

import re
from typing import Any

from pipeline.errors import UsageError

_TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
}
_ALIASES = {
    "string": "text",
    "str": "text",
    "float": "number",
    "decimal": "number",
    "int": "integer",
    "bool": "boolean",
}
_FIELD = re.compile(
    r"\s*(?P<name>[^:,()]+?)\s*(?::\s*(?P<type>[^,()]*?)\s*)?(?:\((?P<note>[^()]*)\)\s*)?(?:,|\Z)"
)


def read(text: str, *, origin: str = "--fields") -> dict[str, Any]:
    """Make the JSON Schema of fields. Raises UsageError saying what of `origin` can't be read."""
    properties: dict[str, Any] = {}
    place = 0
    while place < len(text):
        found = _FIELD.match(text, place)
        if found is None:
            raise UsageError(
                f"{origin}: can't read {text[place:].strip()!r}; "
                "write them as in 'vendor, date: date, total: number, kind: invoice|receipt'"
            )
        name = found["name"]
        if name in properties:
            raise UsageError(f"{origin}: {name!r} is there twice")
        properties[name] = _schema(f"{origin}: {name}", found["type"] or "text", found["note"])
        place = found.end()
    if not properties:
        raise UsageError(f"{origin} is empty")
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _schema(where: str, kind: str, note: str | None) -> dict[str, Any]:
    schema: dict[str, Any]
    if kind.endswith("[]"):
        schema = {"type": ["array", "null"], "items": _single(where, kind[:-2].strip())}
    else:
        schema = _single(where, kind)
        if "enum" in schema:
            schema = {"anyOf": [schema, {"type": "null"}]}
        else:
            schema["type"] = [schema["type"], "null"]
    return schema | ({"description": note.strip()} if note and note.strip() else {})


def _single(where: str, kind: str) -> dict[str, Any]:
    if "|" in kind:
        values = [value for part in kind.split("|") if (value := part.strip())]
        if len(values) < 2 or len(set(values)) < len(values):
            raise UsageError(f"{where}: {kind!r} is no choice of different values")
        return {"type": "string", "enum": values}
    word = kind.lower() or "text"
    schema = _TYPES.get(_ALIASES.get(word, word))
    if schema is None:
        known = ", ".join(_TYPES)
        raise UsageError(
            f"{where} can't be {kind!r}; a field is {known}, a choice such as a|b, "
            "or a list of these such as text[]"
        )
    return dict(schema)
