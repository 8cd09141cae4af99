"""JSON Schema: the response format that is asked for, and the parse of what came back."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from pipeline.errors import RejectedError, UsageError
from pipeline.prompting.labels import Labels
from pipeline.prompting.references import Extent, check_origin, check_work, resolve
from pipeline.prompting.strictness import Schema, Shared, lenient
from pipeline.types import Column, Kind

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

MOST_PROBLEMS = 3  # of an answer are told
MOST_CHARACTERS = 200  # of each of them
MOST_STEPS = 100  # into a schema, which may lead back into itself
MOST_TRIES = 100  # to find an object in prose

_PATTERN_BYTES = 1 << 24  # of a compiled regular expression
_PATTERNS_BYTES = 1 << 27  # of all in a schema

_KINDS: dict[object, Kind] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
}


_NONE = Labels()


def identifier(name: str) -> str:
    """Return what an API may call a schema of this name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64] or "answer"


def check(schema: Schema) -> None:
    """Raise UsageError unless this is a JSON Schema of an object with properties."""
    import jsonschema_rs

    check_origin(schema)
    try:
        jsonschema_rs.meta.validate(dict(schema))
    except jsonschema_rs.ValidationError as error:
        where = "/".join(str(part) for part in error.instance_path) or "top level"
        raise UsageError(f"outputs: not a JSON Schema: {error.message} (at {where})") from error
    if schema.get("type") != "object" or not schema.get("properties"):
        raise UsageError("outputs: the schema must be `type: object` with `properties`")
    unknown = sorted(set(schema.get("required", ())) - schema["properties"].keys())
    if unknown:
        raise UsageError(f"outputs: `required` names {unknown[0]!r}, which is not a property")
    Checker(schema)


def columns(schema: Schema) -> list[Column]:
    """Return a column for each top-level property."""
    return [Column(name, _kind(part, schema)) for name, part in schema["properties"].items()]


def _kind(schema: Schema, root: Schema) -> Kind:
    schema = plain(schema, root)
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = [part for part in kind if part != "null"]
        kind = kinds[0] if len(kinds) == 1 else None
    if kind in ("object", "array"):
        return "json"
    if kind is None and "enum" in schema:
        return "text" if all(isinstance(value, str) for value in schema["enum"]) else "any"
    return "any" if schema.get("format") == "date" else _KINDS.get(kind, "any")


def plain(schema: Schema, root: Schema) -> Schema:
    """Follow references, and the one alternative to null."""
    for _ in range(MOST_STEPS):
        choices = [
            part
            for name in ("anyOf", "oneOf")
            for part in schema.get(name, ())
            if part != {"type": "null"}
        ]
        if "$ref" in schema:
            schema = resolve(root, schema["$ref"])
        elif len(choices) == 1:
            schema = choices[0]
        else:
            break
    return schema


def allowed(schema: Schema, name: str) -> list[str]:
    """List the texts that a property, or each item of it, may be; none where it may be any."""
    found = plain(schema.get("properties", {}).get(name, {}), schema)
    values = found.get("enum") or plain(found.get("items", {}), schema).get("enum", ())
    return [value for value in values if isinstance(value, str)]


def cells(value: Mapping[str, object], schema: Schema) -> dict[str, object]:
    """Lay an answer out by column: whole numbers as integers, dates as dates."""
    return {
        name: _cell(value.get(name), plain(part, schema))
        for name, part in schema["properties"].items()
    }


def _cell(value: object, schema: Schema) -> object:
    if isinstance(value, float) and value.is_integer() and _kind(schema, schema) == "integer":
        return int(value)
    if isinstance(value, str) and schema.get("format") == "date":
        with contextlib.suppress(ValueError):
            return date.fromisoformat(value)
    return value


class Fitted(NamedTuple):
    """An answer that fits a schema, as JSON and as what that says."""

    content: str
    values: Mapping[str, object]


class Checker:
    """Says whether answers fit a schema. Raises UsageError for a schema that can't be used."""

    def __init__(self, schema: Schema) -> None:
        import jsonschema_rs

        self._schema = lenient(schema)
        extent = Extent(self._schema)
        self._counts = not extent.small
        most_bytes = min(_PATTERN_BYTES, _PATTERNS_BYTES // max(1, extent.patterns))
        # Without look-around, which no server's grammar knows either, patterns take linear time.
        patterns = jsonschema_rs.RegexOptions(size_limit=most_bytes, dfa_size_limit=most_bytes)
        try:
            self._validator = jsonschema_rs.validator_for(
                self._schema, validate_formats=True, offline=True, pattern_options=patterns
            )
        except jsonschema_rs.ValidationError as error:
            raise UsageError(f"outputs: the schema can't be used: {error.message}") from error

    def fit(self, content: str, given: Mapping[str, object] | None = None) -> Fitted:
        """Return an answer as it fits; RejectedError says what doesn't. `given` is what it says, if
        it has been read.

        What names a value of an enum becomes that value, and texts that may be there once are.
        """
        given = parse(content) if given is None else given
        value = _spelled(given, self._schema, self._schema, MOST_STEPS)
        assert isinstance(value, dict), "it is an object as before"
        if self._counts:
            check_work(value, self._schema)
        try:
            errors = islice(self._validator.iter_errors(value), MOST_PROBLEMS)
            problems = [_problem(error) for error in errors]
        except ValueError as error:  # half a surrogate pair, which the validator can't look at
            raise RejectedError(f"the answer doesn't fit: {error}") from error
        if problems:
            raise RejectedError(f"the answer doesn't fit: {'; '.join(problems)}")
        said = content if value == given else json.dumps(value, ensure_ascii=False)
        return Fitted(said, value)


def _problem(error: ValidationError) -> str:
    where = ".".join(str(step) for step in error.instance_path)
    said = " ".join(error.message.split())
    if len(said) > MOST_CHARACTERS:  # the value comes first and what is wrong with it last
        said = f"{said[: MOST_CHARACTERS // 2]} ... {said[-MOST_CHARACTERS // 2 :]}"
    return f"{where}: {said}" if where else said


def _spelled(value: object, schema: Schema, root: Schema, steps: int) -> object:
    """Spell the values of enums as the schema does, and leave out what is there twice where each
    may be there once.
    """
    if not steps:
        return value
    schema = plain(schema, root)
    if isinstance(value, str):
        return _choices(schema).spell(value)
    if isinstance(value, dict):
        parts = schema.get("properties", {})
        return {
            name: _spelled(item, parts.get(name, {}), root, steps - 1)
            for name, item in value.items()
        }
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        items = [_spelled(item, schema["items"], root, steps - 1) for item in value]
        if schema.get("uniqueItems") and all(isinstance(item, str) for item in items):
            return list(dict.fromkeys(items))
        return items
    return value


def _choices(schema: Schema) -> Labels:
    """Return the texts that an enum has."""
    return _choices_once(Shared(schema)) if "enum" in schema else _NONE


@lru_cache(maxsize=64)
def _choices_once(shared: Shared) -> Labels:
    return Labels(value for value in shared.schema["enum"] if isinstance(value, str))


def parse(content: str) -> dict[str, object]:
    """Read an answer; RejectedError unless it is a JSON object."""
    try:
        value = json.loads(content, parse_constant=_no_number, parse_float=_number)
    except (ValueError, RecursionError) as error:
        if len(objects := _objects(content)) > 1:
            raise RejectedError(f"the answer has {len(objects)} JSON objects, not one") from error
        start = content[:60].replace("\n", " ")
        raise RejectedError(f"the answer is not JSON ({error}): {start!r}") from error
    if not isinstance(value, dict):
        raise RejectedError(f"the answer is a JSON {type(value).__name__}, not an object")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _number(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def shaped(content: str, schema: Schema) -> dict[str, object] | None:
    """Return what an answer says if it has the outer shape: the properties, and no others."""
    try:
        value = parse(content)
    except RejectedError:
        return None
    return value if value.keys() == schema["properties"].keys() else None


def extract(content: str, schema: Schema) -> str:
    """Return the JSON object in prose or in a code fence; a bare value of a lone enum is made one.

    An answer in which nothing is found stays as it is, and so does one with several objects that
    fit and differ: which of them is meant, nobody knows.
    """
    found = _objects(content)
    names = schema["properties"].keys()
    if found:
        best = _best(found, schema)
        if best is None:
            return content
        with contextlib.suppress(RecursionError):  # one that could just be read
            return json.dumps(best, ensure_ascii=False)
    if len(names) == 1:
        (name,) = names
        label = _choices(plain(schema["properties"][name], schema)).find(content)
        if label is not None:
            return json.dumps({name: label}, ensure_ascii=False)
    return content


def _best(found: list[dict[str, object]], schema: Schema) -> dict[str, object] | None:
    """Choose the object that fits, or else the likest; None if several fit and differ."""
    checker = _checker_once(Shared(schema))
    fitting: list[Mapping[str, object]] = []
    for value in found if len(found) > 1 else ():
        with contextlib.suppress(RejectedError, ValueError, RecursionError):
            fitted = checker.fit(json.dumps(value)).values
            if fitted not in fitting:
                fitting.append(fitted)
    if len(fitting) > 1:
        return None
    if fitting:
        return dict(fitting[0])
    return max(found, key=lambda value: len(value.keys() & schema["properties"].keys()))


@lru_cache(maxsize=8)
def _checker_once(shared: Shared) -> Checker:
    return Checker(shared.schema)


def _objects(content: str) -> list[dict[str, object]]:
    """List the JSON objects in a text that are in no other."""
    decoder = json.JSONDecoder()
    found: list[dict[str, object]] = []
    end = tries = 0
    while (start := content.find("{", end)) >= 0 and tries < MOST_TRIES:
        tries += 1
        try:
            value, end = decoder.raw_decode(content, start)
            found.append(value)
        except (ValueError, RecursionError):
            end = start + 1
    return found
