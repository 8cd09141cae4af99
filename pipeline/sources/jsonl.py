"""JSON Lines: an object a line, its numbers and its nesting kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import orjson

from pipeline.errors import UsageError
from pipeline.sources.decoding import encoding_of
from pipeline.sources.inputs import FileInput
from pipeline.sources.table import Row
from pipeline.types import Column


class JsonlTable:
    """Lines of objects. The columns are the keys of all of them, in the order they come up."""

    unit = "line"

    def __init__(self, file: FileInput) -> None:
        self._file = file
        with file.open() as raw:
            self._encoding = encoding_of(raw, file.name)
        names: dict[str, None] = {}
        for _, fields, _ in self.rows():
            if not fields.keys() <= names.keys():
                names |= dict.fromkeys(fields)
        if not names:
            raise UsageError(
                f"{file.name} has no columns; each of its lines has to be a JSON object"
            )
        self.columns: Sequence[Column] = tuple(map(Column, names))

    def rows(self) -> Iterator[Row]:
        """Yield the lines that aren't blank; one that is no object has an error and no fields."""
        with self._file.lines(self._encoding) as lines:
            for number, line in enumerate(lines, 1):
                if not line.isspace():
                    fields = parse_object(line)
                    error = None if fields is not None else f"line {number} is not a JSON object"
                    yield number, fields or {}, error

    def fraction(self) -> float:
        """Say how much of the file has been read, by bytes."""
        return self._file.fraction()


def parse_object(line: str) -> dict[str, object] | None:
    """Parse a JSON object; None if it is anything else."""
    try:
        value = orjson.loads(line)
        if _maybe_rounded(value):
            value = _lenient(line)
    except orjson.JSONDecodeError:
        value = _lenient(line)
    return value if isinstance(value, dict) else None


def _maybe_rounded(value: object) -> bool:
    """Look for a number that may have been an integer: beyond 64 bits orjson makes it a float."""
    if isinstance(value, float):
        return value <= -(2**63) or value >= 2**64
    if isinstance(value, dict):
        return any(map(_maybe_rounded, value.values()))
    return isinstance(value, list) and any(map(_maybe_rounded, value))


def _lenient(line: str) -> object:
    """Parse what orjson doesn't: NaN, integers of any size."""
    try:
        value = json.loads(line)
        # Half of a surrogate pair is a string to json, but no encoding can write it.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value
