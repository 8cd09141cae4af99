"""JSON Lines: an object a line, its numbers and its nesting kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain

import orjson

from pipeline.errors import UsageError
from pipeline.sources.decoding import clean, examine
from pipeline.sources.tables.cells import Style
from pipeline.sources.tables.inputs import FileInput
from pipeline.sources.tables.table import MOST_LEVELS, MOST_VALUES, Dialect, Row, check_width
from pipeline.types import Column

# What may be a number that Python, unlike the file, writes otherwise: 1.10, 1E5, -0, or that orjson
# makes a float of: an integer of more than 64 bits.
_INEXACT = re.compile(r"\d[.eE]|\d{19}|-0")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_MOST_DIGITS = 4300  # that Python makes an integer of
_LONG = 1 << 20  # characters: no line that is shorter has too many values


class Number(float):
    """A number that is written as it was: `1.10`, `1E5`, `NaN`."""

    __slots__ = ("_text",)
    _text: str

    def __new__(cls, text: str) -> Number:
        number = super().__new__(cls, text)
        number._text = text
        return number

    def __str__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[type[Number], tuple[str]]:
        return Number, (self._text,)


class JsonlTable:
    """Lines of objects. The columns are the keys of all of them, in the order they come up."""

    unit = "line"
    style: Style | None = None

    def __init__(self, file: FileInput, dialect: Dialect) -> None:
        dialect.only(file.name, "encoding", "encoding_errors")
        self._file = file
        with file.open() as raw:
            self._script = examine(raw, file.name, dialect.encoding, dialect.encoding_errors)
        names: dict[str, None] = {}
        for _, fields, _ in self.rows():
            if not fields.keys() <= names.keys():
                names |= dict.fromkeys(fields)
                check_width(file.name, len(names))
        if not names:
            raise UsageError(
                f"{file.name} has no columns; each of its lines has to be a JSON object"
            )
        self.columns: Sequence[Column] = tuple(map(Column, names))
        self.notices: Sequence[str] = self._script.notices(dialect.encoding)

    def rows(self) -> Iterator[Row]:
        """Yield the lines that aren't blank; one that is no object has an error and no fields."""
        with self._file.lines(self._script.encoding, self._script.errors) as lines:
            for number, line in enumerate(lines, 1):
                if not line.isspace():
                    fields, error = parse_object(line), None
                    if fields is None:
                        error = f"{self._file.name}, line {number}: {_describe(line)}"
                    yield number, fields or {}, error

    def fraction(self) -> float:
        """Say how much of the file has been read, by bytes."""
        return self._file.fraction()

    def close(self) -> None:
        """Do nothing: no file is open but while rows are read."""


def parse_object(line: str) -> dict[str, object] | None:
    """Parse a JSON object; None if it is anything else, or no row that a table can have."""
    opened = _count_opened(line)
    if len(line) > _LONG and opened + line.count(",") > MOST_VALUES:
        return None
    try:
        value = _exact(line) if _INEXACT.search(line) else orjson.loads(line)
    except orjson.JSONDecodeError:
        value = _exact(line)
    if not isinstance(value, dict) or (opened > MOST_LEVELS and _is_deep(value)):
        return None
    return value


def _exact(line: str) -> object:
    """Parse what orjson doesn't, or not to the digit: NaN, 1.10, integers of any size."""
    try:
        value = json.loads(line, parse_float=_number, parse_int=_integer, parse_constant=Number)
        return _mended(value) if _SURROGATE.search(line) else value
    except (ValueError, RecursionError):
        return None


def _mended(value: object) -> object:
    """Put U+FFFD for each half of a surrogate pair, which no encoding can write."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return list(map(_mended, value)) if isinstance(value, list) else value


def _count_opened(line: str) -> int:
    return line.count("[") + line.count("{")


def _describe(line: str) -> str:
    """Say why a line is no row."""
    is_plain = _count_opened(line) <= MOST_LEVELS and line.count(",") <= MOST_VALUES
    bounds = f" of up to {MOST_VALUES:,} values on {MOST_LEVELS} levels"
    return f"not a JSON object{'' if is_plain else bounds}"


def _is_deep(value: object) -> bool:
    """Return whether lists and objects lie in each other deeper than what pickles and writes them
    goes.
    """
    inside: list[object] = [value]
    for _ in range(MOST_LEVELS):
        values = chain.from_iterable(
            item.values() if isinstance(item, dict) else item
            for item in inside
            if isinstance(item, (dict, list))
        )
        inside = [item for item in values if isinstance(item, (dict, list))]
    return bool(inside)


def _number(text: str) -> float:
    number = float(text)
    return number if repr(number) == text else Number(text)


def _integer(text: str) -> float:
    return Number(text) if text == "-0" or len(text) > _MOST_DIGITS else int(text)
