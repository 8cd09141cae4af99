"""What OpenAI and Azure take of a schema, checked before anything is sent
(https://platform.openai.com/docs/guides/structured-outputs#supported-schemas).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.errors import UsageError

MOST_PROPERTIES = 5_000
MOST_LEVELS = 10
MOST_VALUES = 1_000  # of all enums together
MOST_CHARACTERS = 120_000  # of names and values
LONG_ENUM = 250  # values, from which on this is the most characters of one
MOST_ENUM_CHARACTERS = 15_000

_LABELS = (
    "use fewer or shorter labels, or ask twice: first for a group of labels, then for one of its "
    "own; or ask another server with --base-url"
)
_OUTPUTS = "ask for fewer outputs, in two prompts if need be; or ask another server with --base-url"


class _Part(NamedTuple):
    schema: Mapping[str, Any]
    level: int  # of objects around it, itself one of them


def check_limits(schema: Mapping[str, Any], server: str) -> None:
    """Raise UsageError if a schema, as it is sent, is more than such a server takes."""
    parts = [*_parts(schema, 0)]
    enums = [part.schema["enum"] for part in parts if isinstance(part.schema.get("enum"), list)]
    names = [name for part in parts for name in _names(part.schema)]
    properties = sum(len(part.schema.get("properties") or ()) for part in parts)
    characters = sum(map(len, names)) + sum(map(_characters, enums))
    long = max((_characters(enum) for enum in enums if len(enum) > LONG_ENUM), default=0)
    _most(sum(map(len, enums)), MOST_VALUES, "labels (values to choose from)", _LABELS, server)
    what = f"characters of more than {LONG_ENUM} labels"
    _most(long, MOST_ENUM_CHARACTERS, what, _LABELS, server)
    _most(properties, MOST_PROPERTIES, "properties", _OUTPUTS, server)
    _most(max(part.level for part in parts), MOST_LEVELS, "levels of objects", _OUTPUTS, server)
    _most(characters, MOST_CHARACTERS, "characters of names and labels", _OUTPUTS, server)


def _most(count: int, most: int, what: str, way_on: str, server: str) -> None:
    if count > most:
        raise UsageError(
            f"outputs: {count:,} {what} are more than the {most:,} that {server} takes: {way_on}"
        )


def _parts(schema: Any, level: int) -> Iterator[_Part]:
    """Yield a schema and all those in it; one that is referred to counts where it is defined."""
    if not isinstance(schema, Mapping):
        return
    level += "properties" in schema
    yield _Part(schema, level)
    for name in ("properties", "$defs", "definitions"):
        below = 0 if name != "properties" else level
        for part in (schema.get(name) or {}).values():
            yield from _parts(part, below)
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for part in schema.get(name) or ():
            yield from _parts(part, level)
    yield from _parts(schema.get("items"), level)


def _names(schema: Mapping[str, Any]) -> Iterator[str]:
    for name in ("properties", "$defs", "definitions"):
        yield from schema.get(name) or ()
    if "const" in schema:
        yield str(schema["const"])


def _characters(enum: list[Any]) -> int:
    return sum(len(value) for value in enum if isinstance(value, str))
