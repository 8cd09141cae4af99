"""JSON Lines: an object a line, its numbers and its nesting kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

import orjson

from pipeline.errors import UsageError
from pipeline.sources.decoding import encoding_of, guessed, is_guess
from pipeline.sources.tables.inputs import FileInput
from pipeline.sources.tables.table import Dialect, Row
from pipeline.types import Column

# What may be a number that Python, unlike the file, writes otherwise: 1.10, 1E5, -0, or that orjson
# makes a float of: an integer of more than 64 bits.
_INEXACT = re.compile(r"\d[.eE]|\d{19}|-0")
_MOST_DIGITS = 4300  # that Python makes an integer of


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

    def __init__(self, file: FileInput, dialect: Dialect) -> None:
        dialect.only(file.name, "encoding")
        self._file = file
        with file.open() as raw:
            self._encoding = encoding_of(raw, file.name, dialect.encoding)
        names: dict[str, None] = {}
        for _, fields, _ in self.rows():
            if not fields.keys() <= names.keys():
                names |= dict.fromkeys(fields)
        if not names:
            raise UsageError(
                f"{file.name} has no columns; each of its lines has to be a JSON object"
            )
        self.columns: Sequence[Column] = tuple(map(Column, names))
        guess = not dialect.encoding and is_guess(self._encoding)
        self.notices: Sequence[str] = [guessed(self._encoding)] if guess else []

    def rows(self) -> Iterator[Row]:
        """Yield the lines that aren't blank; one that is no object has an error and no fields."""
        with self._file.lines(self._encoding) as lines:
            for number, line in enumerate(lines, 1):
                if not line.isspace():
                    fields = parse_object(line)
                    error = f"{self._file.name}, line {number}: not a JSON object"
                    yield number, fields or {}, error if fields is None else None

    def fraction(self) -> float:
        """Say how much of the file has been read, by bytes."""
        return self._file.fraction()


def parse_object(line: str) -> dict[str, object] | None:
    """Parse a JSON object; None if it is anything else."""
    try:
        value = _exact(line) if _INEXACT.search(line) else orjson.loads(line)
    except orjson.JSONDecodeError:
        value = _exact(line)
    return value if isinstance(value, dict) else None


def _exact(line: str) -> object:
    """Parse what orjson doesn't, or not to the digit: NaN, 1.10, integers of any size."""
    try:
        value = json.loads(line, parse_float=_number, parse_int=_integer, parse_constant=Number)
        # Half of a surrogate pair is a string to json, but no encoding can write it.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value


def _number(text: str) -> float:
    number = float(text)
    return number if repr(number) == text else Number(text)


def _integer(text: str) -> float:
    return Number(text) if text == "-0" or len(text) > _MOST_DIGITS else int(text)
