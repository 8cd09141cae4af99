"""What the references of a JSON Schema lead to, and how much that is: a few lines can unfold to
more than any machine checks, and a `$schema` or an `$id` can name another machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote

from pipeline.errors import RejectedError, UsageError

Schema = Mapping[str, Any]

_DRAFTS = {
    f"http{secure}://json-schema.org/{draft}/schema{end}"
    for secure in ("", "s")
    for draft in ("draft-06", "draft-07", "draft/2019-09", "draft/2020-12")
    for end in ("", "#")
}
_FOREIGN = ("$id", "$anchor", "$schema", "$dynamicRef", "$dynamicAnchor", "$recursiveRef")
_LENGTHS = ("minItems", "minLength", "minProperties", "minContains")

_NAMED = ("dependentSchemas", "dependencies", "properties", "patternProperties")
_DEEPER = (  # about what is in a value; the others are about the value itself
    *("properties", "patternProperties", "additionalProperties", "unevaluatedProperties"),
    *("propertyNames", "items", "prefixItems", "additionalItems", "unevaluatedItems", "contains"),
)
_KEYWORDS = (
    *("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"),
    *_DEEPER,
)
_SWITCHES = (
    *(
        "additionalProperties",
        "unevaluatedProperties",
        "additionalItems",
        "items",
        "unevaluatedItems",
    ),
)

_MOST_LEVELS = 100
_MOST_AT_ONCE = 1_000  # schemas for one value
_MOST_SURE = 500  # schemas in all, for which answers need no count
_MOST_LENGTH = 10_000
_MOST_WORK = 10**7  # of checking an answer, in characters: a few tenths of a second
_VISIT = 100


def resolve(root: Schema, reference: str) -> Schema:
    """Find what a reference into the same schema names; nothing where that isn't there."""
    found: Any = root
    for step in filter(None, reference.removeprefix("#").split("/")):
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


class Extent:
    """How much a schema unfolds to. Raises UsageError where that is too much, or leads elsewhere.

    `patterns` counts the regular expressions in it.
    """

    def __init__(self, root: Schema) -> None:
        self.patterns = 0
        self._root = root
        self._sizes: dict[int, tuple[int, int]] = {}  # by id: for one value, in all
        self._open: dict[int, int] = {}  # by id: how many values deep
        self._recurs = False
        self._total = self._measure(root, 0)[1]

    @property
    def small(self) -> bool:
        """Return whether any answer can be checked without counting first."""
        return not self._recurs and self._total <= _MOST_SURE

    def _measure(self, schema: Schema, depth: int) -> tuple[int, int]:
        place = id(schema)
        if place in self._open:
            if self._open[place] == depth:
                raise _refused("a `$ref` leads back to itself")
            self._recurs = True
            return 0, 0
        if place in self._sizes:
            return self._sizes[place]
        endless = next((key for key in _LENGTHS if schema.get(key, 0) > _MOST_LENGTH), None)
        if endless:
            raise _refused(f"`{endless}` {schema[endless]:g} is over {_MOST_LENGTH:,}")
        self.patterns += "pattern" in schema
        self.patterns += len(schema.get("patternProperties", ()))
        if len(self._open) == _MOST_LEVELS:
            raise _refused(f"it goes over {_MOST_LEVELS} levels deep")
        self._open[place] = depth
        at_once = total = 1
        for keyword, _, part in _parts(schema, self._root):
            deeper = keyword in _DEEPER
            inner = self._measure(part, depth + deeper)
            at_once += 0 if deeper else inner[0]
            total += inner[1]
        del self._open[place]
        if at_once > _MOST_AT_ONCE:
            raise _refused(f"a value would have to fit over {_MOST_AT_ONCE:,} schemas at once")
        self._sizes[place] = at_once, total
        return self._sizes[place]


def check_origin(root: Schema) -> None:
    """Raise UsageError for what makes a validator look for a schema elsewhere."""
    draft = root.get("$schema")
    if draft is not None and draft not in _DRAFTS:
        raise _refused(f"`$schema` {draft!r} is not known")
    own = {key: value for key, value in root.items() if key not in ("$id", "$schema")}
    for part in _mappings(own):
        foreign = next((key for key in _FOREIGN if isinstance(part.get(key), str)), None)
        if foreign:
            raise _refused(f"`{foreign}` isn't supported: use a `$ref` such as #/$defs/name")


def _mappings(value: object) -> Iterator[Mapping[str, object]]:
    if isinstance(value, Mapping):
        yield value
        for part in value.values():
            yield from _mappings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _mappings(part)


def _parts(schema: Schema, root: Schema) -> Iterator[tuple[str, str | None, Schema]]:
    """Yield the schemas directly in a schema, and the one that its reference names, each after its
    keyword and, of several that have names, its name.
    """
    if "$ref" in schema:
        reference = schema["$ref"]
        found = resolve(root, reference)
        if not reference.startswith("#") or not (found or found is root):
            raise _refused(f"`$ref` {reference!r} leads nowhere: only #/... into the schema itself")
        yield "$ref", None, found
    for keyword in _KEYWORDS:
        if keyword not in schema:
            continue
        for name, part in _listed(schema[keyword], keyword):
            if isinstance(part, Mapping):
                yield keyword, name, part
            elif isinstance(part, bool) and keyword not in _SWITCHES:
                raise _refused(f"`{keyword}` has {str(part).lower()} for a schema; say its type")


def _listed(value: Any, keyword: str) -> Iterable[tuple[str | None, object]]:
    if keyword in _NAMED:
        return cast(Mapping[str, object], value).items()
    if keyword == "items" and isinstance(value, list):
        raise _refused("`items` is a list: use `prefixItems`")
    return [(None, part) for part in (value if isinstance(value, list) else [value])]


def check_work(value: object, root: Schema) -> None:
    """Raise RejectedError if checking an answer against a schema would take too long."""
    try:
        _Work(root).visit(value, root)
    except RecursionError as error:
        raise RejectedError("the answer is too deeply nested to be checked") from error


class _Work:
    """Counts the characters that a validator looks at, again for each schema that they meet."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._left = _MOST_WORK
        self._sizes: dict[int, int] = {}

    def visit(self, value: object, schema: Schema) -> None:
        self._left -= _VISIT + self._size(value)
        if self._left < 0:
            raise RejectedError("the answer is too large to be checked against this schema")
        for keyword, name, part in _parts(schema, self._root):
            for inner in _values(value, keyword, name):
                self.visit(inner, part)

    def _size(self, value: object) -> int:
        if not isinstance(value, dict | list):
            return len(value) if isinstance(value, str) else 1
        if id(value) not in self._sizes:
            parts = [*value, *value.values()] if isinstance(value, dict) else value
            self._sizes[id(value)] = 1 + sum(map(self._size, parts))
        return self._sizes[id(value)]


def _values(value: object, keyword: str, name: str | None) -> Iterable[object]:
    """List the values in an answer that a part of a schema may be about."""
    if keyword not in _DEEPER:
        return [value]
    if isinstance(value, dict):
        names = [name] if keyword == "properties" else value
        return [value[name] for name in names if name in value]
    return value if isinstance(value, list) else ()


def _refused(problem: str) -> UsageError:
    return UsageError(f"outputs: the schema can't be used: {problem}")
